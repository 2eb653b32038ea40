from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.allowance import Liftable, Objection
from modelci.domain.artifacts import Artifact
from modelci.domain.promotion import (
    MOST_TAGS,
    Candidate,
    PlannedTag,
    Promotion,
    Rules,
    greatest_bump,
    keep_allowance,
    lift,
    plan_assignment,
    plan_promotion,
)
from modelci.domain.registry import ArtifactState, TagRecord, fold_registry
from modelci.domain.tags import TagName
from modelci.domain.versions import Part
from modelci.errors import PromotionError, UsageError

OLD, NEW = "a" * 40, "b" * 40
NOW = 1_000
AT: "At" = {"commit": NEW, "committed_seconds": NOW}


class At(TypedDict):
    commit: str
    committed_seconds: int


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


def test_assignments_of_this_commit_that_hold_their_stages_stand() -> None:
    wanted = [candidate(assign=("dev", "prod")), candidate("n", assign=("prod",))]
    first = plan(wanted)
    assert first.standing == ()
    again = plan(wanted, *pushed(first))
    assert again.standing == ("m#dev#1", "m#prod#2", "n#prod#1")
    cut = plan(wanted, *pushed(first)[:2])
    assert (names(cut), cut.standing) == (["m#prod#2", "n@v0.0.1", "n#prod#1"], ("m#dev#1",))
    # Another version has dev now, and prod was taken away: nobody deploys there what had it.
    later = [tag("m@v0.0.2", OLD, NOW + 1), tag("m#dev#3", OLD, NOW + 2)]
    gone = [*later, tag("m#prod!#4", NEW, NOW + 3)]
    assert plan(wanted, *pushed(first), *gone).standing == ("n#prod#1",)
    deprecated = tag("n@deprecated", NEW, NOW + 4)
    assert plan(wanted, *pushed(first), *gone, deprecated).standing == ()
    elsewhere = plan(wanted, *pushed(first), commit="c" * 40)
    assert elsewhere.standing == ()


def test_what_is_made_does_not_stand_from_before() -> None:
    first = plan([candidate(assign=("dev", "prod"))])
    found = replace(first, standing=("m#dev#1", "n#prod#7")).with_tags(first.tags)
    assert found.standing == ("n#prod#7",)


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


# -- versions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "rules", "version"),
    [
        ([], Rules(pre="rc"), "v0.0.1-rc.1"),
        ([tag("m@v1.2.3")], Rules(pre="rc"), "v1.2.4-rc.1"),
        ([tag("m@v1.2.3")], Rules(pre="rc", bump="minor"), "v1.3.0-rc.1"),
        ([tag("m@v1.3.0-rc.1")], Rules(pre="rc"), "v1.3.0-rc.2"),
        ([tag("m@v1.3.0-rc.9")], Rules(pre="rc"), "v1.3.0-rc.10"),
        ([tag("m@v1.3.0-rc.1")], Rules(pre="rc", bump="minor"), "v1.3.0-rc.2"),
        ([tag("m@v1.3.0-rc.1")], Rules(pre="rc", bump="major"), "v2.0.0-rc.1"),
        ([tag("m@v1.3.0-beta.4")], Rules(pre="rc"), "v1.3.0-rc.1"),
        ([tag("m@v1.3.0-rc.2")], Rules(), "v1.3.0"),
        ([tag("m@v1.3.0-rc.2"), tag("m@v1.3.0-rc.2!", seconds=2)], Rules(pre="rc"), "v1.3.0-rc.3"),
    ],
)
def test_pre_releases_count_up_to_their_release(
    tags: list[TagRecord], rules: Rules, version: str
) -> None:
    promotion = plan_promotion(
        [candidate()], registry(*tags), commit=NEW, committed_seconds=NOW, rules=rules
    )
    assert names(promotion) == [f"m@{version}"]


@pytest.mark.parametrize(
    ("pre", "message"),
    [("alpha", "would stand before v1.3.0-rc.1"), ("1", "cannot name"), ("a b", "cannot name")],
)
def test_a_pre_release_that_cannot_be_next_is_refused(pre: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_promotion(
            [candidate()],
            registry(tag("m@v1.3.0-rc.1")),
            commit=NEW,
            committed_seconds=NOW,
            rules=Rules(pre=pre),
        )


def test_the_release_of_a_pre_release_needs_no_new_bytes_but_a_commit_of_its_own() -> None:
    same = candidate(hash_="md5:one", last="md5:one")
    there = registry(tag("m@v1.3.0-rc.2"))

    def final(commit: str, *, asked: bool) -> Promotion:
        return plan_promotion(
            [same], there, commit=commit, committed_seconds=NOW, rules=Rules(final=asked)
        )

    assert names(final(NEW, asked=True)) == ["m@v1.3.0"]
    assert names(final(NEW, asked=False)) == []
    with pytest.raises(PromotionError, match="no second version") as caught:
        final(OLD, asked=True)
    assert "git commit --allow-empty" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ((), None),
        (("patch",), "patch"),
        (("patch", " Minor "), "minor"),
        (("major", "minor"), "major"),
        (("huge",), None),
    ],
)
def test_the_greatest_part_that_is_asked_for_counts(
    asked: tuple[str, ...], part: Part | None
) -> None:
    assert greatest_bump(asked) == part


def test_a_flag_counts_for_more_than_what_commits_ask_for() -> None:
    wanted = [replace(candidate(), bump="minor")]
    assert names(plan_promotion(wanted, registry(tag("m@v1.0.0")), **AT)) == ["m@v1.1.0"]
    flag = Rules(bump="patch")
    assert names(plan_promotion(wanted, registry(tag("m@v1.0.0")), rules=flag, **AT)) == [
        "m@v1.0.1"
    ]


# -- what is left alone ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "tags", "reason", "rule"),
    [
        (
            replace(candidate(), withdrawn="m@v1.0.0"),
            [tag("m@v1.0.0"), tag("m@v1.0.0!", seconds=2)],
            "these bytes were withdrawn as m@v1.0.0; --allow REASON registers them",
            Liftable.WITHDRAWN,
        ),
        (
            candidate(),
            [tag("m@v1.0.0"), tag("m@deprecated", seconds=2)],
            "m is deprecated; --allow REASON promotes it nevertheless",
            Liftable.DEPRECATED,
        ),
    ],
)
def test_what_was_taken_back_is_brought_back_only_for_a_reason(
    wanted: Candidate, tags: list[TagRecord], reason: str, rule: Liftable
) -> None:
    left = plan_promotion([wanted], registry(*tags), **AT)
    assert names(left) == []
    assert left.unpromoted[0].reason == reason
    forced = plan_promotion([wanted], registry(*tags), rules=Rules(allowed="because"), **AT)
    assert names(forced) == ["m@v1.0.1"]
    assert (forced.allowed, forced.allowed_rules) == ("because", (rule,))


def test_a_deprecated_artifact_of_unchanged_bytes_has_nothing_lifted() -> None:
    tags = [tag("m@v1.0.0"), tag("m@deprecated", seconds=2)]
    same = candidate(hash_="md5:one", last="md5:one")
    found = plan_promotion([same], registry(*tags), rules=Rules(allowed="because"), **AT)
    assert (names(found), found.allowed_rules) == ([], ())
    assert found.unpromoted[0].reason == "unchanged since v1.0.0"


def test_what_was_lifted_is_written_into_the_tags_that_it_was_lifted_for() -> None:
    found = plan_promotion([candidate("a"), candidate("b")], {}, rules=Rules(allowed="x"), **AT)
    stored = Objection(rule=Liftable.STORED_BYTES, message="gone", artifact="b")
    gates = Objection(rule=Liftable.GATES, message="blocked")
    kept = keep_allowance(lift(found, [stored, gates]), by="ada")
    said = [dict(one.trailers) for one in kept.tags]
    assert [one["Modelci-Allowed-Rules"] for one in said] == ["gates", "gates, stored-bytes"]
    assert {one["Modelci-Allowed-By"] for one in said} == {"ada"}
    assert kept.allowed_rules == (Liftable.GATES, Liftable.STORED_BYTES)
    assert keep_allowance(found, by="ada") == found


def test_a_stage_that_was_given_away_is_not_taken_back_by_a_run_again() -> None:
    there = [
        *(tag("m@v1.0.0"), tag("m@v1.1.0", NEW, 2), tag("m#prod#1", NEW, 3)),
        tag("m#prod#2", OLD, 4),
    ]
    wanted = replace(candidate(assign=("prod",)), assigned=frozenset({"prod"}))
    left = plan(
        [wanted],
        *there,
    )
    assert names(left) == []
    assert left.unpromoted[0].reason == (
        "v1.1.0 had prod before, v1.0.0 holds it now: "
        "`modelci promote m@v1.1.0 --assign prod` gives it back"
    )


def test_a_stage_on_hold_is_left_and_the_version_is_registered() -> None:
    wanted = replace(candidate(assign=("dev", "prod")), held={"prod": "m#prod is held by m#prod#4"})
    found = plan([wanted])
    assert names(found) == ["m@v0.0.1", "m#dev#1"]
    assert found.notes == ("m#prod is held by m#prod#4; `modelci release-hold` lets it go",)
    allowed = plan_promotion([wanted], {}, rules=Rules(allowed="x"), **AT)
    assert names(allowed) == ["m@v0.0.1", "m#dev#1", "m#prod#2"]
    assert allowed.notes == ()
    assert allowed.allowed_rules == (Liftable.HOLD,)
    elsewhere = replace(wanted, assign=("dev",))
    unaffected = plan_promotion([elsewhere], {}, rules=Rules(allowed="x"), **AT)
    assert unaffected.allowed_rules == ()


# -- stages in order -------------------------------------------------------------------------

ORDER = ("dev", "staging", "prod")


def ordered(wanted: tuple[str, ...], *tags: TagRecord, allowed: str | None = None) -> Promotion:
    return plan_promotion(
        [candidate(assign=wanted)],
        registry(*tags),
        rules=Rules(order=ORDER, allowed=allowed),
        **AT,
    )


def test_stages_are_assigned_in_their_order() -> None:
    assert names(ordered(("staging", "dev"))) == ["m@v0.0.1", "m#dev#1", "m#staging#2"]
    assert names(ordered(("other", "dev"))) == ["m@v0.0.1", "m#dev#1", "m#other#2"]


@pytest.mark.parametrize(
    ("wanted", "held"),
    [(("prod",), "nothing holds staging"), (("dev", "prod"), "nothing holds staging")],
)
def test_a_stage_accepts_only_what_the_one_before_it_holds(
    wanted: tuple[str, ...], held: str
) -> None:
    with pytest.raises(PromotionError, match=held) as raised:
        ordered(wanted)
    assert "`modelci promote m@v0.0.1 --assign staging` first" in (raised.value.hint or "")
    assert "m#prod" in names(ordered(wanted, allowed="hotfix"))[-1]


def test_another_version_in_the_stage_before_is_named() -> None:
    with pytest.raises(PromotionError, match=r"v1\.0\.0 holds dev"):
        ordered(("staging",), tag("m@v1.0.0"), tag("m#dev#1", seconds=2))


def test_a_registered_version_goes_on_to_the_next_stage() -> None:
    tags = [tag("m@v1.0.0"), tag("m#dev#7", seconds=50)]
    (state,) = fold_registry(tags)
    rules = Rules(order=ORDER)
    found = plan_assignment(state, state.versions[0], ["staging"], now=9, rules=rules)
    (one,) = found.tags
    assert (one.name, one.commit, one.seconds) == ("m#staging#8", OLD, 51)
    there = plan_assignment(state, state.versions[0], ["dev"], now=99, rules=rules)
    assert (names(there), there.standing) == ([], ("m#dev#7",))
    both = plan_assignment(state, state.versions[0], ["dev", "staging"], now=99, rules=rules)
    assert (names(both), both.standing) == (["m#staging#8"], ("m#dev#7",))
    with pytest.raises(PromotionError, match="nothing holds staging"):
        plan_assignment(state, state.versions[0], ["prod"], now=9, rules=rules)


def test_a_withdrawn_version_gets_no_stage() -> None:
    (state,) = fold_registry([tag("m@v1.0.0"), tag("m@v1.0.0!", seconds=2)])
    with pytest.raises(PromotionError, match=r"m@v1\.0\.0 was withdrawn"):
        plan_assignment(state, state.versions[0], ["dev"], now=9, rules=Rules(allowed="x"))


# -- pushes ----------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 5), max_size=6))
def test_pushes_hold_whole_artifacts_and_no_more_tags_than_are_heard_of(sizes: list[int]) -> None:
    stages = ("a", "b", "c", "d")
    wanted = [candidate(f"m{place}", assign=stages[: size - 1]) for place, size in enumerate(sizes)]
    promotion = plan(wanted)
    assert [tag for group in promotion.pushes for tag in group] == list(promotion.tags)
    for group in promotion.pushes:
        artifacts = {one.artifact for one in group}
        assert len(group) <= MOST_TAGS or len(artifacts) == 1
    homes = [name for group in promotion.pushes for name in {one.artifact for one in group}]
    assert len(homes) == len(set(homes))
