import pytest

from modelci.domain.registry import (
    ArtifactState,
    Doubt,
    Holder,
    Rule,
    TagRecord,
    fold_registry,
    list_events,
)
from modelci.domain.tags import TagName

A, B, C = "a" * 40, "b" * 40, "c" * 40


def tag(name: str, commit: str = A, seconds: int = 1) -> TagRecord:
    parsed = TagName.parse(name)
    assert parsed is not None
    return TagRecord(name=parsed, ref=f"refs/tags/{name}", commit=commit, seconds=seconds)


def fold(*tags: TagRecord) -> ArtifactState:
    (state,) = fold_registry(reversed(tags))
    return state


def holders(state: ArtifactState) -> dict[str, str]:
    return {stage: one.label for stage, one in state.stages.items()}


def test_the_latest_is_the_greatest_active_version_by_semver() -> None:
    state = fold(
        tag("m@v0.0.10", A, 1), tag("m@v0.0.9", B, 2), tag("m@v0.1.0", C, 3), tag("m@v0.1.0!", C, 4)
    )
    assert [str(one.version) for one in state.versions] == ["0.1.0", "0.0.10", "0.0.9"]
    assert [one.active for one in state.versions] == [False, True, True]
    assert state.latest is not None
    assert state.latest.tag == "m@v0.0.10"
    assert state.version_at(C) is None
    assert state.version_at(A) == state.latest


@pytest.mark.parametrize(
    ("tags", "active"),
    [
        ([tag("m@v1.0.0", A, 1)], True),
        ([tag("m@v1.0.0", A, 1), tag("m@v1.0.0!", A, 2)], False),
        ([tag("m@v1.0.0", A, 1), tag("m@v1.0.0!", A, 1)], False),
        ([tag("m@v1.0.0!", A, 1), tag("m@v1.0.0", A, 2)], True),
        ([tag("m@v1.0.0", A, 1), tag("m@v1.0.0!", A, 2), tag("m@v1.0.0#3", A, 3)], True),
    ],
)
def test_the_newest_word_on_a_version_counts_and_a_withdrawal_wins_a_tie(
    tags: list[TagRecord], *, active: bool
) -> None:
    (version,) = fold(*tags).versions
    assert version.active is active


@pytest.mark.parametrize(
    ("events", "holding"),
    [
        (["m#prod#1 a 3"], {"prod": "v1.0.0"}),
        (["m#prod#1 a 3", "m#prod#2 b 4"], {"prod": "v2.0.0"}),
        # A rollback is a new assignment of the older version.
        (["m#prod#2 b 4", "m#prod#3 a 5"], {"prod": "v1.0.0"}),
        # Time orders, not the counter.
        (["m#prod#9 a 3", "m#prod#1 b 4"], {"prod": "v2.0.0"}),
        # An unassignment falls back to what was assigned before.
        (["m#prod#1 a 3", "m#prod#2 b 4", "m#prod!#3 b 5"], {"prod": "v1.0.0"}),
        (["m#prod#1 a 3", "m#prod!#2 a 4"], {}),
        (["m#prod#1 a 3", "m#prod!#2 a 4", "m#prod#3 a 5"], {"prod": "v1.0.0"}),
        # In one second an unassignment wins; else the version that was registered first.
        (["m#prod#2 a 3", "m#prod!#1 a 3"], {}),
        (["m#prod#1 a 3", "m#prod#2 b 3"], {"prod": "v1.0.0"}),
        (["m#prod#2 a 3", "m#prod#1 b 3"], {"prod": "v1.0.0"}),
        # A commit that was never registered cannot be unassigned in GTO.
        (["m#prod#1 c 3", "m#prod!#2 c 4"], {"prod": "ccccccc"}),
        # A withdrawn version holds nothing.
        (["m#prod#1 a 3", "m#prod#2 b 4", "m@v2.0.0! b 5"], {"prod": "v1.0.0"}),
        # Stages are apart from each other.
        (["m#dev#1 b 3", "m#prod#2 a 4"], {"dev": "v2.0.0", "prod": "v1.0.0"}),
        # A commit that was never registered goes by its own name.
        (["m#prod#1 c 3"], {"prod": "ccccccc"}),
        (["m#prod a 3"], {"prod": "v1.0.0"}),
    ],
)
def test_the_newest_assignment_of_an_active_version_holds_the_stage(
    events: list[str], holding: dict[str, str]
) -> None:
    rows = [event.split() for event in events]
    happened = [tag(name, commit * 40, int(seconds)) for name, commit, seconds in rows]
    state = fold(tag("m@v1.0.0", A, 1), tag("m@v2.0.0", B, 2), *happened)
    assert holders(state) == holding


def test_an_assignment_may_come_before_its_registration() -> None:
    state = fold(tag("m#prod#1", A, 1), tag("m@v1.0.0", A, 2))
    assert holders(state) == {"prod": "v1.0.0"}


@pytest.mark.parametrize("order", [("m@v1.0.0", "m@v2.0.0"), ("m@v2.0.0", "m@v1.0.0")])
def test_a_commit_registered_anew_after_a_withdrawal_holds_its_stage(
    order: tuple[str, str],
) -> None:
    first, second = order
    state = fold(
        tag(first, A, 1), tag(second, A, 2), tag(f"{second}!", A, 3), tag("m#prod#4", A, 4)
    )
    assert holders(state) == {"prod": first.removeprefix("m@")}


@pytest.mark.parametrize(
    ("last", "deprecated"), [("m@deprecated", True), ("m@v1.0.1", False), ("m#prod#3", False)]
)
def test_an_artifact_is_deprecated_while_that_is_the_last_word(
    last: str, *, deprecated: bool
) -> None:
    state = fold(tag("m@v1.0.0", A, 1), tag("m@deprecated#2", A, 2), tag(last, A, 3))
    assert state.deprecated is deprecated


def test_the_counter_is_the_greatest_of_all_the_artifacts_tags() -> None:
    state = fold(tag("m@v1.0.0#4", A, 1), tag("m#prod#009", A, 2), tag("m#dev#2", A, 3))
    assert state.counter == 9
    assert state.newest_seconds == 3


def test_artifacts_come_by_name_and_do_not_mix() -> None:
    states = fold_registry([tag("b@v1.0.0"), tag("a=b@v2.0.0"), tag("a@v3.0.0", B)])
    assert [(one.name, [str(v.version) for v in one.versions]) for one in states] == [
        ("a", ["3.0.0"]),
        ("a:b", ["2.0.0"]),
        ("b", ["1.0.0"]),
    ]
    assert fold_registry([]) == ()


@pytest.mark.parametrize(
    ("holder", "events", "holding"),
    [
        (Holder.NEWEST, ["m#prod#1 b 3", "m#prod#2 a 4"], "v1.0.0"),
        (Holder.SEMVER, ["m#prod#1 b 3", "m#prod#2 a 4"], "v2.0.0"),
        # A version goes before a commit that was never registered.
        (Holder.SEMVER, ["m#prod#1 a 3", "m#prod#2 c 4"], "v1.0.0"),
        (Holder.SEMVER, ["m#prod#2 c 4"], "ccccccc"),
    ],
)
def test_who_holds_a_stage_is_a_matter_of_configuration(
    holder: Holder, events: list[str], holding: str
) -> None:
    rows = [event.split() for event in events]
    happened = [tag(name, commit * 40, int(seconds)) for name, commit, seconds in rows]
    tags = [tag("m@v1.0.0", A, 1), tag("m@v2.0.0", B, 2), *happened]
    (state,) = fold_registry(tags, holder=holder)
    assert holders(state) == {"prod": holding}


def flawed(name: str, rule: Rule, message: str = "") -> TagRecord:
    return tag(name)._replace(flaw=rule, message=message)


def test_a_flawed_tag_counts_for_nothing_but_its_number_and_is_named() -> None:
    state = fold(
        tag("m@v1.0.0", A, 1),
        flawed("m@v2.0.0#7", Rule.NO_COMMIT),
        flawed("m#prod#9", Rule.RENAMED, "m#prod#8"),
        flawed("m@v3.0.0", Rule.LIGHTWEIGHT),
    )
    assert [str(one.version) for one in state.versions] == ["1.0.0"]
    assert (state.stages, state.counter) == ({}, 9)
    assert sorted((one.ref, one.rule) for one in state.problems) == [
        ("m#prod#9", Rule.RENAMED),
        ("m@v2.0.0#7", Rule.NO_COMMIT),
    ]
    assert fold_registry([flawed("m@v3.0.0", Rule.LIGHTWEIGHT)]) == ()
    (lone,) = fold_registry([flawed("m@v3.0.0", Rule.NO_TAGGER)])
    assert (lone.versions, lone.deprecated, len(lone.problems)) == ((), False, 1)


def test_two_versions_and_an_assignment_on_one_commit_are_marked() -> None:
    state = fold(tag("m@v1.0.0", A, 1), tag("m@v2.0.0", A, 2), tag("m#prod#3", A, 3))
    assert holders(state) == {"prod": "v2.0.0"}
    assert [(one.ref, one.rule) for one in state.problems] == [("m#prod#3", Rule.TWO_VERSIONS)]
    assert fold(tag("m@v1.0.0", A, 1), tag("m@v2.0.0", A, 2)).problems == ()


@pytest.mark.parametrize(
    ("events", "doubts"),
    [
        (["m#prod#1 a 3", "m#prod#2 b 4"], []),
        (["m#prod#1 a 3", "m#prod#2 b 3"], [(Doubt.TIE, "prod"), (Doubt.DVC, "prod")]),
        (["m#prod#1 a 3", "m#prod!#2 a 4"], [(Doubt.DVC, "prod")]),
        (["m#prod#1 c 3", "m#prod!#2 c 4"], [(Doubt.IGNORED, "prod")]),
        (["m@v2.0.0! b 3"], [(Doubt.DVC, None)]),
        (["m@v2.0.0#4 a 3"], [(Doubt.MOVED, None)]),
        (["m@deprecated a 3"], [(Doubt.DVC, None)]),
    ],
)
def test_what_deserves_a_second_look(
    events: list[str], doubts: list[tuple[Doubt, str | None]]
) -> None:
    rows = [event.split() for event in events]
    happened = [tag(name, commit * 40, int(seconds)) for name, commit, seconds in rows]
    state = fold(tag("m@v1.0.0", A, 1), tag("m@v2.0.0", B, 2), *happened)
    assert [(one.doubt, one.stage) for one in state.warnings] == doubts


def test_events_come_newest_first_and_know_the_version_of_their_commit() -> None:
    tags = [
        tag("m@v1.0.0", A, 1),
        tag("m#prod#2", A, 1),
        tag("m#qa#3", B, 2),
        tag("n@v9.0.0", B, 3),
    ]
    found = list_events([*tags, flawed("m@v8.0.0", Rule.NESTED)])
    assert [(one.tag.tag, one.version and str(one.version)) for one in found] == [
        ("n@v9.0.0", "9.0.0"),
        ("m#qa#3", None),
        ("m#prod#2", "1.0.0"),
        ("m@v1.0.0", "1.0.0"),
    ]
