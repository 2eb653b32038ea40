from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.artifacts import Artifact
from modelci.domain.promotion import Candidate, PlannedTag, Promotion, Rules, plan_promotion
from modelci.domain.registry import ArtifactState, TagRecord, fold_registry
from modelci.domain.tags import TagName
from modelci.domain.versions import Part

OLD, NEW = "a" * 40, "b" * 40
NOW = 1_000


def tag(name: str, commit: str = OLD, seconds: int = 1) -> TagRecord:
    parsed = TagName.parse(name)
    assert parsed is not None
    return TagRecord(name=parsed, ref=f"refs/tags/{name}", commit=commit, seconds=seconds)


def registry(*tags: TagRecord) -> Mapping[str, ArtifactState]:
    return {state.name: state for state in fold_registry(tags)}


def candidate(
    name: str = "m",
    hash_: str | None = "md5:new",
    last: str | None = "md5:old",
    assign: tuple[str, ...] = (),
) -> Candidate:
    artifact = Artifact(name=name, path=f"models/{name}")
    return Candidate(artifact=artifact, hash=hash_, last_hash=last, assign=assign)


def plan(
    candidates: Sequence[Candidate],
    *tags: TagRecord,
    commit: str = NEW,
    bump: Part = "patch",
    seconds: int = NOW,
) -> Promotion:
    return plan_promotion(
        candidates,
        registry(*tags),
        commit=commit,
        committed_seconds=seconds,
        rules=Rules(bump=bump),
    )


def names(promotion: Promotion) -> list[str]:
    return [one.name for one in promotion.tags]


def pushed(promotion: Promotion) -> list[TagRecord]:
    """The planned tags as they come back from the remote."""
    return [tag(one.name, one.commit, one.seconds) for one in promotion.tags]


@pytest.mark.parametrize(
    ("tags", "bump", "version"),
    [
        ([], "patch", "v0.0.1"),
        ([], "major", "v0.0.1"),
        ([tag("m@v1.2.3")], "patch", "v1.2.4"),
        ([tag("m@v1.2.3")], "minor", "v1.3.0"),
        ([tag("m@v1.2.3")], "major", "v2.0.0"),
        ([tag("m@v1.2.3"), tag("m@v1.3.0-rc.1")], "patch", "v1.3.0"),
        ([tag("m@v1.2.3", seconds=9), tag("m@v2.0.0", seconds=1)], "patch", "v2.0.1"),
        # A withdrawn version's name is never used again.
        ([tag("m@v1.0.0"), tag("m@v1.0.1"), tag("m@v1.0.1!", seconds=2)], "patch", "v1.0.2"),
        ([tag("m@v0.0.1"), tag("m@v0.0.1!", seconds=2)], "patch", "v0.0.2"),
        ([tag("other@v5.0.0")], "patch", "v0.0.1"),
    ],
)
def test_a_changed_artifact_gets_the_next_version(
    tags: list[TagRecord], bump: Part, version: str
) -> None:
    assert names(plan([candidate()], *tags, bump=bump)) == [f"m@{version}"]


def test_unchanged_bytes_are_no_new_version() -> None:
    promotion = plan([candidate(last="md5:new", assign=("prod",))], tag("m@v1.0.0"))
    assert names(promotion) == []
    (left,) = promotion.unpromoted
    assert (left.artifact, left.reason) == ("m", "unchanged since v1.0.0")


def test_bytes_that_nobody_can_compare_are_a_new_version() -> None:
    assert names(plan([candidate(last=None)], tag("m@v1.0.0"))) == ["m@v1.0.1"]


def test_an_artifact_that_was_never_run_is_left_and_says_so() -> None:
    promotion = plan([candidate(hash_=None)])
    assert names(promotion) == []
    assert "run the pipeline" in promotion.unpromoted[0].reason


@pytest.mark.parametrize(
    ("tags", "planned"),
    [
        ([], ["m@v0.0.1", "m#dev#1", "m#prod#2"]),
        ([tag("m@v0.0.1"), tag("m#prod#7")], ["m@v0.0.2", "m#dev#8", "m#prod#9"]),
        ([tag("m@v0.0.1#12")], ["m@v0.0.2", "m#dev#13", "m#prod#14"]),
    ],
)
def test_assignments_count_on_from_the_greatest_counter(
    tags: list[TagRecord], planned: list[str]
) -> None:
    assert names(plan([candidate(assign=("dev", "prod"))], *tags)) == planned


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_promotion_cut_short_plans_only_what_is_missing(kept: int) -> None:
    wanted = [candidate(assign=("dev", "prod"))]
    first = plan(wanted, tag("m@v0.0.1"))
    survivors = pushed(first)[:kept]
    second = plan(wanted, tag("m@v0.0.1"), *survivors)
    assert names(second) == names(first)[kept:]
    assert names(plan(wanted, tag("m@v0.0.1"), *survivors, *pushed(second))) == []


def test_the_same_commit_again_holds_nothing() -> None:
    wanted = [candidate(assign=("prod",)), candidate("n", assign=("prod",))]
    first = plan(wanted)
    again = plan(wanted, *pushed(first))
    assert again.tags == ()
    assert [one.reason for one in again.unpromoted] == [
        "v0.0.1 is already promoted from this commit"
    ] * 2


def test_an_older_commits_job_run_again_rolls_nothing_back() -> None:
    wanted = [candidate(assign=("prod",))]
    first = plan(wanted, commit=OLD)
    second = plan(wanted, *pushed(first), commit=NEW, seconds=NOW + 10)
    again = plan(wanted, *pushed(first), *pushed(second), commit=OLD)
    assert again.tags == ()
    assert "rollback" in again.unpromoted[0].reason


def test_several_artifacts_have_versions_and_counters_of_their_own() -> None:
    wanted = [
        candidate("m", assign=("prod",)),
        candidate("sub:n", assign=("prod",)),
        candidate("same", last="md5:new"),
    ]
    promotion = plan(wanted, tag("m@v1.0.0"), tag("m#prod#5"), tag("same@v1.0.0"))
    assert names(promotion) == ["m@v1.0.1", "m#prod#6", "sub=n@v0.0.1", "sub=n#prod#1"]
    assert [one.artifact for one in promotion.unpromoted] == ["same"]


@pytest.mark.parametrize(("newest", "seconds"), [(5, NOW), (NOW, NOW + 1), (NOW + 50, NOW + 51)])
def test_a_tag_is_later_than_every_earlier_one(newest: int, seconds: int) -> None:
    promotion = plan([candidate(assign=("prod",))], tag("m@v1.0.0", seconds=newest))
    assert {one.seconds for one in promotion.tags} == {seconds}


def test_the_same_plan_makes_the_same_tags_again() -> None:
    assert plan([candidate(assign=("prod",))]) == plan([candidate(assign=("prod",))])


@given(
    st.lists(
        st.sampled_from(["m@v0.0.1", "m@v0.0.2", "m@v0.0.2!", "m@v1.0.0-a", "m#prod#3", "m#dev"])
        | st.sampled_from(["m#prod!#4", "m@deprecated", "m@v9.9.9!"]),
        unique=True,
        max_size=6,
    ),
    st.lists(st.sampled_from([OLD, NEW, "c" * 40]), min_size=6, max_size=6),
    st.lists(st.integers(1, 3 * NOW), min_size=6, max_size=6),
)
def test_whatever_tags_there_are_a_second_promotion_holds_nothing(
    there: list[str], commits: list[str], times: list[int]
) -> None:
    tags = [tag(*row) for row in zip(there, commits, times, strict=False)]
    wanted = [candidate(assign=("dev", "prod"))]
    first = plan(wanted, *tags)
    assert not set(names(first)) & set(there)
    states = registry(*tags, *pushed(first))
    if first.tags:
        assert {states["m"].stages[stage].commit for stage in ("dev", "prod")} == {NEW}
    assert names(plan(wanted, *tags, *pushed(first))) == []


def test_the_message_ends_in_trailers_that_name_bytes_path_and_predecessor() -> None:
    promotion = plan_promotion(
        [candidate()],
        registry(tag("m@v1.0.0")),
        commit=NEW,
        committed_seconds=NOW,
        trailers=[("Modelci-Run", "https://ci.example/1")],
    )
    assert promotion.tags[0].message == (
        "Register m v1.0.1\n"
        "\n"
        "Modelci-Previous: m@v1.0.0\n"
        "Modelci-Path: models/m\n"
        "Modelci-Hash: md5:new\n"
        "Modelci-Run: https://ci.example/1\n"
    )


def test_a_path_cannot_forge_a_trailer() -> None:
    one = PlannedTag(
        name="m@v1.0.0",
        artifact="m",
        commit=NEW,
        seconds=1,
        subject="Register m v1.0.0",
        trailers=(("Modelci-Path", "x\nModelci-Hash: md5:forged"),),
    )
    assert one.message.splitlines()[2:] == ["Modelci-Path: x Modelci-Hash: md5:forged"]
