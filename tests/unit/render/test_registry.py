import pytest

from modelci.documents.registry import registry_document
from modelci.documents.registry_views import (
    SideEntry,
    diff_document,
    history_document,
    ref_document,
    stages_document,
)
from modelci.domain.artifacts import Artifact
from modelci.domain.registry import Holder, Rule, TagRecord, fold_registry, list_events
from modelci.domain.signatures import Standing, TagSignature, Verification
from modelci.domain.tags import TagName
from modelci.render import registry as render
from modelci.render import registry_views as views


def tag(ref: str, commit: str, seconds: int, by: str = "Ann") -> TagRecord:
    name = TagName.parse(ref)
    assert name
    return TagRecord(name=name, ref=ref, commit=commit, seconds=seconds, tagger=by)


STATES = fold_registry(
    [
        tag("hgb@v0.0.1", "a" * 40, 1),
        tag("hgb@v0.1.0", "b" * 40, 2),
        tag("hgb#prod#3", "a" * 40, 3),
        tag("hgb#dev#4", "b" * 40, 4),
        tag("sub=logreg@v1.0.0", "b" * 40, 5),
        tag("old@v1.0.0", "c" * 40, 6),
        tag("old@deprecated", "c" * 40, 7),
    ]
)


def test_the_registry_lists_who_holds_what() -> None:
    assert render.render_overview(STATES, holder=Holder.NEWEST) == (
        "Artifact           Latest   #dev     #prod    Versions\n"
        "──────────────────────────────────────────────────────\n"
        "hgb                v0.1.0   v0.1.0   v0.0.1          2\n"
        "old (deprecated)   v1.0.0   —        —               1\n"
        "sub:logreg         v1.0.0   —        —               1\n"
        "\n"
        "Of a stage's versions the one assigned last holds it (registry.holder: newest).\n"
        "\n"
        "! old: DVC does not know that it is deprecated\n"
    )
    assert "empty" in render.render_overview((), holder=Holder.NEWEST)


def test_one_artifact_is_shown_with_every_version_and_what_dvc_yaml_says() -> None:
    declared = Artifact(
        name="hgb", path="models/hgb", type="model", desc="Trees", labels=("a",), meta={"team": "x"}
    )
    states = fold_registry(
        [
            tag("hgb@v0.0.1", "a" * 40, 1, by="Zoë\x1b[31m\t☃"),
            tag("hgb@v0.0.2", "b" * 40, 2),
            tag("hgb@v0.0.2!", "b" * 40, 3),
            tag("hgb#prod#4", "a" * 40, 4),
            tag("hgb#qa#5", "f" * 40, 5),
            TagRecord(
                name=TagName.parse("hgb@created"),  # type: ignore[arg-type]
                ref="refs/tags/hgb@created",
                commit="a" * 40,
                seconds=9,
                flaw=Rule.CREATED,
            ),
        ]
    )
    document = registry_document(states, asked="hgb", declared=declared, holder=Holder.SEMVER)
    text = render.render_registry(document)
    assert text == (
        "hgb: models/hgb (model)\n"
        "Trees\n"
        "labels: a\n"
        "team: x\n"
        "\n"
        "Version              Stages   Since                  By               Commit\n"
        "─────────────────────────────────────────────────────────────────────────────\n"
        "v0.0.2 (withdrawn)   —        1970-01-01T00:00:02Z   Ann              bbbbbbb\n"
        "v0.0.1               prod     1970-01-01T00:00:01Z   Zoë\\x1b[31m\\t☃   aaaaaaa\n"
        "fffffff              qa       1970-01-01T00:00:05Z   Ann              fffffff\n"
        "\n"
        "Of a stage's versions the greatest holds it (registry.holder: semver).\n"
        "\n"
        "! hgb@created (created): GTO's grammar has the form, and GTO gives up on it\n"
        "! hgb: DVC takes hgb@v0.0.2! for the latest version: it ignores deregistrations\n"
    )
    assert "\x1b[2m" in render.render_registry(document, colour=True)
    sha = "a" * 40
    assert render.plain_registry(document).split("\n")[1].split("\t")[:5] == [
        *("hgb", "v0.0.1", sha, "prod", "1970-01-01T00:00:01Z")
    ]
    assert [line.count("\t") for line in render.plain_registry(document).splitlines()] == [7] * 3


def test_many_remarks_end_in_a_count() -> None:
    found = [tag(f"m#s{number}!#{number}", "a" * 40, number) for number in range(1, 31)]
    text = render.render_overview(fold_registry(found), holder=Holder.NEWEST)
    assert text.count("\n!") == 20
    assert text.endswith("… and 10 more: see --json, or `modelci doctor`\n")


TAGS = [tag("m@v1.0.0", "a" * 40, 1), tag("m#prod#2", "a" * 40, 2), tag("m#qa#3", "b" * 40, 3)]


def test_history_stages_and_a_tag_as_tables_and_as_lines() -> None:
    history = history_document(list_events(TAGS))
    assert views.render_history(history).split("\n")[2:] == [
        "1970-01-01T00:00:03Z   m          assignment     —         qa      bbbbbbb   Ann",
        "1970-01-01T00:00:02Z   m          assignment     v1.0.0    prod    aaaaaaa   Ann",
        "1970-01-01T00:00:01Z   m          registration   v1.0.0    —       aaaaaaa   Ann",
        "",
    ]
    assert views.plain_history(history).split("\n")[1] == "\t".join(
        ["1970-01-01T00:00:02Z", "m", "assignment", "v1.0.0", "prod", "a" * 40, "m#prod#2", "Ann"]
    )
    states = fold_registry(TAGS)
    stages = stages_document(states, allowed=["dev", "prod"], holder=Holder.NEWEST)
    assert views.render_stages(stages).split("\n")[2:5] == [
        "dev                —          —",
        "prod               m          v1.0.0",
        "qa (not in .gto)   m          bbbbbbb",
    ]
    assert views.plain_stages(stages).splitlines() == [
        "dev\t\t\t",
        f"prod\tm\tv1.0.0\t{'a' * 40}",
        f"qa\tm\t\t{'b' * 40}",
    ]
    reading = ref_document(list_events(TAGS)[1], states[0], standing=True)
    assert views.render_ref(reading) == (
        "m#prod#2: assignment of m v1.0.0 #prod; it stands.\n"
        f"By Ann, 1970-01-01T00:00:02Z, at {'a' * 40}.\n"
    )
    assert views.plain_ref(reading).endswith("\tm#prod#2\tAnn\tstanding\n")
    assert "empty" in views.render_history(history_document(()))
    empty = stages_document((), allowed=None, holder=Holder.NEWEST)
    assert "No stage" in views.render_stages(empty)


def side(version: str, digest: str | None, **metrics: object) -> SideEntry:
    return SideEntry(
        asked=f"m@{version}",
        artifact="m",
        version=version,
        commit="a" * 40,
        tag=f"m@{version}",
        at="1970-01-01T00:00:00Z",
        by="Ann",
        hash=digest,
        metrics=metrics,
    )


@pytest.mark.parametrize(
    ("hashes", "said"),
    [(("x", "x"), "The bytes are the same."), (("x", "y"), "The bytes differ."), ((None, "y"), "")],
)
def test_two_versions_side_by_side(hashes: tuple[str | None, str | None], said: str) -> None:
    diff = diff_document(
        side("v1.0.0", hashes[0], auc=0.5, kind="a"), side("v2.0.0", hashes[1], auc=0.75, f1=1)
    )
    lines = views.render_diff(diff).split("\n")
    assert lines[-6:] == [
        "Metric   Base   Head   Change",
        "─────────────────────────────",
        "auc       0.5   0.75    +0.25",
        "f1          —      1        —",
        "kind        a      —        —",
        "",
    ]
    assert [line for line in lines if line.startswith("The bytes")] == ([said] if said else [])
    assert views.plain_diff(diff).splitlines()[3:] == ["auc\t0.5\t0.75", "f1\t\t1", "kind\ta\t"]


def test_signatures_are_lines_for_scripts() -> None:
    good = TagSignature(
        tag="m@v1.0.0",
        artifact="m",
        standing=Standing.GOOD,
        kind="ssh",
        signer="a@b",
        key="SHA256:x",
    )
    odd = TagSignature(
        tag="m@v1.1.0", artifact="m", standing=Standing.BAD, reason="a tab\tand a line\nof it"
    )
    assert views.plain_verification(Verification(required=True, tags=(good, odd))) == (
        "m@v1.0.0\tm\tgood\tssh\ta@b\tSHA256:x\t\n"
        "m@v1.1.0\tm\tbad\t\t\t\ta tab\\tand a line\\nof it\n"
    )
    assert views.plain_verification(Verification(required=True, tags=())) == ""
