from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.holds import held, trailers
from modelci.domain.registry import Holder, TagRecord, fold_registry
from modelci.domain.rollback import (
    PLANS,
    RegistryChange,
    Wish,
    plan_deprecate,
    plan_deregister,
    plan_release,
    plan_rollback,
    plan_unassign,
    stage_history,
)
from modelci.domain.tags import TagName
from modelci.domain.versions import Version
from modelci.errors import PromotionError, UsageError

Tags = tuple[TagRecord, ...]


def tag(name: str, commit: str, seconds: int, message: str = "x\n") -> TagRecord:
    parsed = TagName.parse(name)
    assert parsed is not None
    return TagRecord(parsed, f"refs/tags/{name}", commit, seconds, "Anna", message)


# Three versions, each of which held prod in its turn.
THREE: Tags = (
    tag("m@v1.0.0", "a", 10),
    tag("m#prod#1", "a", 11),
    tag("m@v1.1.0", "b", 20),
    tag("m#prod#2", "b", 21),
    tag("m@v1.2.0", "c", 30),
    tag("m#prod#3", "c", 31),
)


def wish(to: str | None = None, *, stage: str | None = "prod", **fields: object) -> Wish:
    values: dict[str, object] = {"artifact": "m", "reason": "bad", "by": "Ben", "seconds": 100}
    version = Version.parse(to) if to else None
    return Wish(**{**values, **fields}, stage=stage, to=version)  # type: ignore[arg-type]


def made(tags: Sequence[TagRecord], change: RegistryChange) -> Tags:
    """Return the tags after the change."""
    new = [tag(one.name, one.commit, one.seconds, one.message) for one in change.tags]
    return (*tags, *new)


def holder(tags: Sequence[TagRecord], stage: str = "prod") -> str | None:
    (state,) = fold_registry(tags)
    return state.stages[stage].label if stage in state.stages else None


def test_a_rollback_is_a_new_assignment_of_the_version_before() -> None:
    change = plan_rollback(THREE, wish())
    (planned,) = change.tags
    assert (planned.name, planned.commit, planned.seconds) == ("m#prod#4", "b", 100)
    assert trailers(planned.message) == {
        "Modelci-Reason": "bad",
        "Modelci-By": "Ben",
        "Modelci-Rollback-From": "v1.2.0",
        "Modelci-Hold": "true",
    }
    assert (change.before, change.after) == ("v1.2.0", "v1.1.0")
    after = made(THREE, change)
    assert holder(after) == "v1.1.0"
    assert held(after, "m", "prod") is not None


def judged(seconds: int, version: str, commit: str, *, md5: str, verdict: str = "passed") -> Tags:
    message = f"Register\n\nModelci-Verdict: {verdict}\nModelci-Hash: md5:{md5}\n"
    return (
        tag(f"m@v{version}", commit, seconds, message),
        tag(f"m#prod#{seconds}", commit, seconds + 1),
    )


def test_a_rollback_passes_by_versions_of_the_same_bytes_unless_one_is_named() -> None:
    tags = (
        *judged(10, "1.0.0", "a", md5="1"),
        *judged(20, "1.1.0-rc.1", "b", md5="2"),
        *judged(30, "1.1.0", "c", md5="2"),
    )
    change = plan_rollback(tags, wish())
    assert (change.after, change.notes) == ("v1.0.0", ())
    named = plan_rollback(tags, wish("1.1.0-rc.1"))
    assert named.after == "v1.1.0-rc.1"
    assert named.notes == ("v1.1.0-rc.1 changes no model: the bytes are the same.",)
    with pytest.raises(PromotionError, match="the bytes are the same") as caught:
        plan_rollback(tags[2:], wish())
    assert "--to to go back nevertheless: v1.1.0-rc.1." in (caught.value.hint or "")


def test_a_rollback_passes_by_blocked_versions_unless_one_is_named() -> None:
    tags = (
        *judged(10, "1.0.0", "a", md5="1"),
        *judged(20, "1.1.0", "b", md5="2", verdict="blocked"),
        *judged(30, "1.2.0", "c", md5="3"),
    )
    change = plan_rollback(tags, wish())
    assert (change.after, change.notes) == ("v1.0.0", ())
    named = plan_rollback(tags, wish("1.1.0"))
    assert named.notes == ("v1.1.0 was blocked when it was judged (m@v1.1.0).",)
    with pytest.raises(PromotionError, match="was blocked"):
        plan_rollback(tags[2:], wish())


def test_tags_of_one_second_are_ordered_by_their_counter() -> None:
    registered = (tag("m@v1.0.0", "a", 10), tag("m@v1.1.0", "b", 10))
    tags = (*registered, tag("m#prod#10", "b", 11), tag("m#prod#9", "a", 11))
    assert [one.commit for one in stage_history(tags, "prod")] == ["a", "b"]


def test_a_rollback_may_go_further_back() -> None:
    change = plan_rollback(THREE, wish("1.0.0"))
    assert holder(made(THREE, change)) == "v1.0.0"


def test_asked_for_twice_it_is_done_once() -> None:
    after = made(THREE, plan_rollback(THREE, wish()))
    again = plan_rollback(after, wish())
    assert (again.tags, again.standing) == ((), ("m#prod#4",))
    assert "already rolled back from v1.2.0 to v1.1.0" in again.notes[0]
    named = plan_rollback(after, wish("1.1.0"))
    assert (named.tags, named.standing) == ((), ("m#prod#4",))
    released = made(after, plan_release(after, wish()))
    assert plan_release(released, wish()).standing == ()
    assert holder(made(after, plan_rollback(after, wish("1.0.0")))) == "v1.0.0"


def test_a_rollback_after_a_release_goes_on_backwards() -> None:
    tags = made(THREE, plan_rollback(THREE, wish()))
    tags = made(tags, plan_release(tags, wish()))
    assert holder(tags) == "v1.1.0"
    assert plan_rollback(tags, wish()).after == "v1.0.0"


def test_after_a_rollback_and_a_newer_version_one_goes_back_to_what_was_good() -> None:
    tags = made(THREE, plan_rollback(THREE, wish()))
    tags = (*tags, tag("m@v1.3.0", "d", 200), tag("m#prod#9", "d", 201))
    # v1.2.0 was rolled back: nobody wants that again.
    assert plan_rollback(tags, wish()).after == "v1.1.0"
    assert [one.commit for one in stage_history(tags, "prod")] == ["a", "b", "d"]


def test_a_hold_is_put_again_where_somebody_assigned_past_it() -> None:
    tags = made(THREE, plan_rollback(THREE, wish()))
    tags = (*tags, tag("m#prod#9", "c", 201))
    assert plan_rollback(tags, wish()).after == "v1.1.0"


def test_deregistered_versions_are_not_gone_back_to() -> None:
    tags = (*THREE, tag("m@v1.1.0!#4", "b", 40))
    assert plan_rollback(tags, wish()).after == "v1.0.0"
    with pytest.raises(PromotionError, match="deregistered"):
        plan_rollback(tags, wish("1.1.0"))


@pytest.mark.parametrize(
    ("to", "error", "says"),
    [
        ("1.2.0", PromotionError, "holds prod already"),
        ("1.3.0", PromotionError, "never held prod"),
        ("9.9.9", UsageError, "There is no m@v9.9.9"),
    ],
)
def test_what_cannot_be_gone_back_to_is_refused(to: str, error: type[Exception], says: str) -> None:
    tags = (*THREE, tag("m@v1.3.0", "d", 40))
    with pytest.raises(error, match=says):
        plan_rollback(tags, wish(to))


def test_where_nothing_was_before_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(PromotionError, match="No active version held prod"):
        plan_rollback(THREE[:2], wish())


def test_where_nothing_holds_the_stage_any_more_a_rollback_brings_the_last_one_back() -> None:
    tags = (*THREE[:2], tag("m#prod!#9", "a", 40))
    change = plan_rollback(tags, wish())
    assert (change.before, change.after) == (None, "v1.0.0")


def test_a_tag_is_later_than_all_there_are_whatever_the_clock_says() -> None:
    (planned,) = plan_rollback(THREE, wish(seconds=5)).tags
    assert planned.seconds == 32


@pytest.mark.parametrize("action", ["rollback", "release-hold", "unassign"])
def test_unknown_stages_and_artifacts_are_named(action: str) -> None:
    with pytest.raises(UsageError, match="stage 'prdo'") as caught:
        PLANS[action](THREE, wish(stage="prdo"))
    assert caught.value.hint == "Did you mean 'prod'? Its stages: prod."
    with pytest.raises(UsageError, match="an artifact 'n'"):
        PLANS[action](THREE, wish(artifact="n"))


def test_a_release_assigns_the_holder_once_more() -> None:
    tags = made(THREE, plan_rollback(THREE, wish()))
    change = plan_release(tags, wish())
    assert [(one.name, one.commit) for one in change.tags] == [("m#prod#5", "b")]
    after = made(tags, change)
    assert (holder(after), held(after, "m", "prod")) == ("v1.1.0", None)
    assert plan_release(after, wish()).tags == ()


def test_a_release_of_a_stage_that_nothing_holds_does_not_fill_it() -> None:
    tags = made(THREE[:4], plan_rollback(THREE[:4], wish()))
    tags = (*tags, tag("m#prod!#8", "a", 200), tag("m#prod!#9", "b", 201))
    assert holder(tags) is None
    after = made(tags, plan_release(tags, wish()))
    assert (holder(after), held(after, "m", "prod")) == (None, None)


def test_an_unassigned_stage_falls_back_and_that_is_said() -> None:
    change = plan_unassign(THREE, wish())
    assert [one.name for one in change.tags] == ["m#prod!#4"]
    assert (change.before, change.after) == ("v1.2.0", "v1.1.0")
    assert change.notes[0] == "prod falls back to v1.1.0 (m#prod#2)."
    assert any("DVC's own resolver" in note for note in change.notes)
    assert holder(made(THREE, change)) == "v1.1.0"


def test_of_a_stage_without_holder_nothing_is_unassigned() -> None:
    tags = made(THREE[:2], plan_unassign(THREE[:2], wish()))
    assert plan_unassign(tags, wish()).tags == ()


def test_a_version_that_holds_a_stage_is_not_deregistered_unless_forced() -> None:
    with pytest.raises(PromotionError, match=r"v1\.2\.0 holds prod"):
        plan_deregister(THREE, wish("1.2.0", stage=None))
    change = plan_deregister(THREE, wish("1.2.0", stage=None, force=True))
    assert [one.name for one in change.tags] == ["m@v1.2.0!#4"]
    assert change.notes[0] == "prod falls back to v1.1.0 (m#prod#2)."
    after = made(THREE, change)
    assert holder(after) == "v1.1.0"
    assert plan_deregister(after, wish("1.2.0", stage=None)).tags == ()


def test_a_version_that_holds_nothing_is_deregistered() -> None:
    change = plan_deregister(THREE, wish("1.0.0", stage=None))
    (state,) = fold_registry(made(THREE, change))
    assert [str(one.version) for one in state.versions if one.active] == ["1.2.0", "1.1.0"]


def test_a_version_that_is_not_there_is_not_deregistered() -> None:
    with pytest.raises(UsageError, match=r"There is no m@v3\.0\.0") as caught:
        plan_deregister(THREE, wish("3.0.0", stage=None))
    assert caught.value.hint == "Registered: v1.2.0, v1.1.0, v1.0.0."


def test_an_artifact_is_deprecated_once_and_a_later_tag_revives_it() -> None:
    change = plan_deprecate(THREE, wish(stage=None))
    assert [one.name for one in change.tags] == ["m@deprecated#4"]
    assert change.notes[0] == "m still holds prod."
    after = made(THREE, change)
    assert fold_registry(after)[0].deprecated
    assert plan_deprecate(after, wish(stage=None)).tags == ()
    back = plan_rollback(after, wish())
    assert "makes it active again" in back.notes[0]
    assert not fold_registry(made(after, back))[0].deprecated


def test_where_the_greatest_version_holds_a_stage_it_is_taken_from_the_greater_ones() -> None:
    asked = wish("1.0.0", holder=Holder.SEMVER)
    change = plan_rollback(THREE, asked)
    assert [(one.name, one.commit) for one in change.tags] == [
        ("m#prod#4", "a"),
        ("m#prod!#5", "c"),
        ("m#prod!#6", "b"),
    ]
    after = made(THREE, change)
    (state,) = fold_registry(after, holder=Holder.SEMVER)
    assert state.stages["prod"].label == "v1.0.0"
    assert held(after, "m", "prod") is not None
    assert plan_rollback(after, asked).tags == ()


STEPS = st.lists(st.sampled_from(["rollback", "release-hold", "unassign", "promote"]), max_size=8)


@given(steps=STEPS)
def test_whatever_came_before_a_change_does_what_it_says(steps: list[str]) -> None:
    tags = THREE
    for number, step in enumerate(steps):
        if step == "promote":
            commit = "abc"[number % 3]
            newest = max(one.seconds for one in tags)
            tags = (*tags, tag(f"m#prod#{50 + number}", commit, newest + 1))
            continue
        try:
            change = PLANS[step](tags, wish())
        except PromotionError:
            continue
        after = made(tags, change)
        assert holder(after) == change.after
        assert len({one.ref for one in after}) == len(after)
        assert PLANS[step](after, wish()).tags == () or step == "unassign"
        if step != "unassign":
            assert (held(after, "m", "prod") is None) is (step == "release-hold")
        tags = after
