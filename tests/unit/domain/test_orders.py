from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.deployment import Running, TargetState
from modelci.domain.orders import (
    Objection,
    Order,
    choose_target,
    object_by_age,
    object_by_holds,
    parse_wanted,
    resolve_order,
)
from modelci.domain.registry import Holder, Rule, TagRecord, fold_registry
from modelci.domain.tags import Action, TagName
from modelci.errors import DeploymentError, UsageError

A, B, C = "a" * 40, "b" * 40, "c" * 40
HOLD = "Modelci-Reason: recall fell\nModelci-By: Ben\nModelci-Hold: true"


def tag(name: str, commit: str = A, seconds: int = 1, said: str = "") -> TagRecord:
    parsed = TagName.parse(name)
    assert parsed is not None
    message = f"Subject\n\n{said}\n" if said else "Subject\n"
    return TagRecord(parsed, f"refs/tags/{name}", commit, seconds, "Anna", message)


TWO = (
    tag("m@v1.0.0", A, 1, "Modelci-Hash: md5:1"),
    tag("m#prod#1", A, 2),
    tag("m@v2.0.0", B, 3),
    tag("m#prod#2", B, 4),
)


def ask(
    text: str, tags: Sequence[TagRecord] = TWO, holder: Holder = Holder.NEWEST
) -> tuple[Order, list[str]]:
    order, objections = resolve_order(parse_wanted(text), tags, holder=holder)
    return order, [one.message for one in objections]


@pytest.mark.parametrize(
    ("text", "version", "by", "stage", "seconds"),
    [
        ("m#prod", "v2.0.0", "m#prod#2", "prod", 4),
        ("m#prod#2", "v2.0.0", "m#prod#2", "prod", 4),
        ("refs/tags/m#prod#2", "v2.0.0", "m#prod#2", "prod", 4),
        ("m@v2.0.0", "v2.0.0", "m@v2.0.0", None, 3),
        ("m@v1", "v1.0.0", "m@v1.0.0", None, 1),
        ("m@latest", "v2.0.0", "m@v2.0.0", None, 3),
    ],
)
def test_what_is_named_is_what_is_to_run(
    text: str, version: str, by: str, stage: str | None, seconds: int
) -> None:
    order, objections = ask(text)
    assert (order.version, order.tag, order.stage, order.seconds) == (version, by, stage, seconds)
    assert objections == []


def test_the_order_knows_what_the_version_and_its_assignment_say() -> None:
    tags = (*TWO, tag("m#prod#3", A, 5, HOLD))
    order, _ = ask("m#prod", tags)
    assert order.registration == "m@v1.0.0"
    assert order.said == {"Modelci-Hash": "md5:1"}
    assert order.reason == "recall fell"


def test_a_version_whose_registration_has_a_counter_is_found() -> None:
    order, objections = ask("m@v3.0.0#9", (*TWO, tag("m@v3.0.0#9", C, 9)))
    assert (order.tag, order.version, objections) == ("m@v3.0.0#9", "v3.0.0", [])


@pytest.mark.parametrize("text", ["models:m#prod", "models=m#prod#2", "models/dvc.yaml:m#prod"])
def test_an_artifact_of_a_folder_is_named_as_commands_and_tags_do(text: str) -> None:
    tags = [tag("models=m@v1.0.0", A, 1), tag("models=m#prod#2", A, 2)]
    order, objections = ask(text, tags)
    assert (order.artifact, order.tag, objections) == ("models:m", "models=m#prod#2", [])


def test_a_tag_that_came_late_is_superseded() -> None:
    order, objections = ask("m#prod#1")
    assert order.version == "v1.0.0"
    assert objections == ["m#prod#1 (v1.0.0) is superseded: v2.0.0 holds prod now (m#prod#2)."]


def test_a_stage_that_was_taken_away_deploys_nothing() -> None:
    tags = [tag("m@v1.0.0", A, 1), tag("m#prod#1", A, 2), tag("m#prod!#2", A, 3)]
    _, objections = ask("m#prod#1", tags)
    assert objections == ["m#prod#1 (v1.0.0) is superseded: nothing holds prod since m#prod!#2."]
    with pytest.raises(UsageError, match="Nothing of m holds stage 'prod'") as raised:
        ask("m#prod", tags)
    assert raised.value.hint == (
        "None of its stages is held. `modelci promote m --assign prod` assigns it."
    )


def test_what_a_stage_falls_back_to_was_decided_by_the_tag_that_took_it_away() -> None:
    for last in (tag("m#prod!#3", B, 9), tag("m@v2.0.0!", B, 9)):
        order, objections = ask("m#prod", (*TWO, last))
        assert (order.tag, order.version, order.seconds) == ("m#prod#1", "v1.0.0", 9)
        assert objections == []
        assert age(order, ran("m#prod#2", 4)) == []


def test_the_same_commit_assigned_again_is_one_order() -> None:
    """As the release of a hold does: whoever hears of the older tag deploys for the newer one."""
    tags = (*TWO, tag("m#prod#3", B, 5, "Modelci-Hold: released"))
    for text in ("m#prod#2", "m#prod#3", "m#prod"):
        order, objections = ask(text, tags)
        assert (order.tag, order.seconds, objections) == ("m#prod#3", 5, [])


def test_the_configured_holder_decides() -> None:
    tags = (*TWO, tag("m#prod#3", A, 5))
    assert ask("m#prod", tags)[0].version == "v1.0.0"
    order, objections = ask("m#prod", tags, Holder.SEMVER)
    assert (order.version, order.tag, objections) == ("v2.0.0", "m#prod#2", [])
    assert "superseded" in ask("m#prod#3", tags, Holder.SEMVER)[1][0]


def test_a_commit_without_a_version_is_deployed_by_its_commit() -> None:
    order, objections = ask("m#dev", [tag("m#dev#1", C, 1)])
    assert (order.label, order.version, order.registration) == (C[:7], None, None)
    assert objections == []


def test_what_was_withdrawn_is_objected_to() -> None:
    withdrawn = (*TWO, tag("m@v2.0.0!", B, 5))
    assert ask("m@v2.0.0", withdrawn)[1] == ["m@v2.0.0 was deregistered."]
    assert ask("m#prod#2", withdrawn)[1] == ["m@v2.0.0 was deregistered."]
    deprecated = (*TWO, tag("m@deprecated#5", B, 6))
    assert ask("m#prod", deprecated)[1] == ["m is deprecated: nobody is to use it any more."]


@pytest.mark.parametrize("text", ["m#prod!#3", "m@v1.0.0!#4", "m@deprecated#5"])
def test_a_tag_that_takes_away_is_nothing_to_deploy(text: str) -> None:
    with pytest.raises(DeploymentError, match="takes something away") as raised:
        ask(text, (*TWO, tag(text, A, 9)))
    assert "`modelci deploy m#" in (raised.value.hint or "")


def test_a_tag_that_does_not_count_is_refused_by_the_rule_that_it_breaks() -> None:
    copied = tag("m#prod#9", A, 9)._replace(flaw=Rule.RENAMED, message="n#prod#9")
    with pytest.raises(DeploymentError, match=r"m#prod#9 does not count \(renamed\)"):
        ask("m#prod#9", (*TWO, copied))
    assert ask("m#prod", (*TWO, copied))[0].tag == "m#prod#2"
    light = tag("m#prod#9", "", 0)._replace(flaw=Rule.LIGHTWEIGHT)
    with pytest.raises(DeploymentError, match="it is lightweight"):
        ask("m#prod#9", (*TWO, light))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("m", "names nothing to deploy"),
        ("v1.0.0", "names nothing to deploy"),
        ("release of may", "names nothing to deploy"),
        ("n#prod", "No tag speaks of an artifact 'n'"),
        ("m#prod#7", "There is no tag 'm#prod#7'"),
        ("m#dev", "Nothing of m holds stage 'dev'"),
        ("m@v9", "There is no version m@v9"),
    ],
)
def test_what_there_is_not_is_a_usage_error(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ask(text)


def test_before_the_first_promotion_the_command_is_named() -> None:
    with pytest.raises(UsageError, match="No tag speaks of an artifact 'm'") as raised:
        ask("m#dev", [])
    assert (raised.value.hint or "").startswith("`modelci promote m --assign dev` makes the first")
    with pytest.raises(UsageError) as raised:
        ask("m@latest", [])
    assert (raised.value.hint or "").startswith("`modelci promote m` makes the first")


# -- holds and age --------------------------------------------------------------------------------


def test_a_hold_keeps_all_but_its_own_commit_out() -> None:
    held = (*TWO, tag("m#prod#3", A, 5, HOLD))
    own, _ = ask("m#prod#3", held)
    assert list(object_by_holds(own, held, ())) == []
    past = (*held, tag("m#prod#4", B, 6))
    order, objections = ask("m#prod", past)
    assert (order.tag, objections) == ("m#prod#4", [])
    (objection,) = object_by_holds(order, past, ())
    assert objection.message == "m#prod is held by m#prod#3 (by Ben): recall fell."
    assert "`modelci release-hold m --stage prod" in objection.hint


def test_a_version_is_kept_out_of_a_target_whose_stage_is_held() -> None:
    held = (*TWO, tag("m#prod#3", A, 5, HOLD))
    order, _ = ask("m@v2.0.0", held)
    assert len(list(object_by_holds(order, held, ["dev", "prod"]))) == 1
    assert list(object_by_holds(order, held, ["dev"])) == []


def ran(*runs: str | int, commit: str = A) -> TargetState:
    pairs = list(zip(runs[::2], runs[1::2], strict=True))
    history = tuple(
        Running(
            release=f"r{number}",
            artifact="m",
            version=None,
            tag=str(name),
            commit=commit,
            assigned_seconds=int(seconds),
            since="2026-01-01T00:00:00Z",
        )
        for number, (name, seconds) in enumerate(pairs)
    )
    return TargetState(running=history[0] if history else None, history=history)


def age(order: Order, state: TargetState, tags: Sequence[TagRecord] = TWO) -> list[Objection]:
    return list(object_by_age(order, state, tags))


def test_an_older_assignment_never_replaces_a_newer_deployment_of_its_stage() -> None:
    order, _ = ask("m#prod")
    (objection,) = age(order, ran("m#prod#3", 5))
    assert objection.message == (
        "m#prod#2 is older than m#prod#3 (aaaaaaa), which was deployed here at "
        "2026-01-01T00:00:00Z."
    )
    assert "`modelci rollback m --stage prod" in objection.hint
    assert age(order, ran("m#prod#2", 4)) == []
    assert age(order, ran()) == []
    assert age(order, ran("m#dev#9", 99)) == []


def test_also_what_ran_before_a_deployment_by_hand_counts() -> None:
    order, _ = ask("m#prod")
    assert len(age(order, ran("m@v9.0.0", 99, "m#prod#3", 5))) == 1
    assert age(order, ran("m@v9.0.0", 99, "m#prod#1", 2)) == []
    version, _ = ask("m@v1.0.0")
    assert len(age(version, ran("m@v2.0.0", 3))) == 1


def test_an_older_version_never_replaces_a_newer_one_that_a_stage_has_brought() -> None:
    older, _ = ask("m@v1.0.0")
    newer, _ = ask("m@v2.0.0")
    (objection,) = age(older, ran("m#prod#2", 4, commit=B))
    assert objection.message == (
        "m@v1.0.0 is older than m@v2.0.0, which m#prod#2 has brought here at 2026-01-01T00:00:00Z."
    )
    assert "`modelci rollback m --stage prod" in objection.hint
    # Assigned later than the newer one was registered, and still of the older version.
    assert age(newer, ran("m#prod#3", 9, commit=A)) == []
    assert age(older, ran("m#prod#3", 9, commit=A)) == []
    withdrawn = (*TWO, tag("m@v2.0.0!", B, 5))
    assert age(older, ran("m#prod#2", 4, commit=B), withdrawn) == []
    assert age(older, ran("m#prod#2", 4, commit=C)) == []


# -- targets --------------------------------------------------------------------------------------

TARGETS = {"prod": ["prod"], "eu": ["prod", "eu/prod"], "lab": []}


@pytest.mark.parametrize(
    ("stage", "named", "found"),
    [
        ("eu/prod", None, "eu"),
        ("prod", "prod", "prod"),
        (None, "lab", "lab"),
        ("dev", "lab", "lab"),
    ],
)
def test_the_target_is_the_one_named_or_the_only_one_that_takes_the_stage(
    stage: str | None, named: str | None, found: str
) -> None:
    assert choose_target(TARGETS, stage, named) == found


@pytest.mark.parametrize(
    ("stage", "named", "says"),
    [
        ("prod", None, "prod and eu take stage 'prod'"),
        ("dev", None, "No target takes stage 'dev'"),
        (None, None, "A version has no stage that tells where it goes"),
        ("prod", "moon", "There is no target 'moon'"),
    ],
)
def test_where_no_target_is_meant_they_are_listed(
    stage: str | None, named: str | None, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as raised:
        choose_target(TARGETS, stage, named)
    assert "prod (prod); eu (prod, eu/prod); lab (no stage)" in (raised.value.hint or "")


def test_without_any_target_it_says_how_to_have_one() -> None:
    with pytest.raises(UsageError, match="No target is configured") as raised:
        choose_target({}, "prod", None)
    assert "deploy:" in (raised.value.hint or "")


# -- whatever the history -------------------------------------------------------------------------

COMMITS = st.sampled_from([A, B, C])
VERSIONS = {A: "v1.0.0", B: "v1.1.0", C: "v2.0.0"}


@st.composite
def histories(draw: st.DrawFn) -> list[TagRecord]:
    tags: list[TagRecord] = []
    for seconds in range(1, draw(st.integers(2, 12))):
        commit = draw(COMMITS)
        form = draw(st.sampled_from(["@{v}", "@{v}!", "#prod", "#prod", "#prod!", "#dev"]))
        name = f"m{form.format(v=VERSIONS[commit])}#{len(tags) + 1}"
        tags.append(tag(name, commit, seconds))
    return tags


@given(tags=histories(), holder=st.sampled_from(list(Holder)))
def test_what_holds_a_stage_is_ordered_without_objection_and_all_else_with(
    tags: list[TagRecord], holder: Holder
) -> None:
    (state,) = fold_registry(tags, holder=holder)
    for one in tags:
        if one.name.action is not Action.ASSIGN:
            continue
        held = state.stages.get(one.name.stage or "")
        order, objections = ask(one.tag, tags, holder)
        is_held = held is not None and held.commit == one.commit
        assert (objections == []) is is_held
        if held is not None and is_held:
            assert (order.tag, order.commit) == (held.tag, held.commit)
            assert order == ask(f"m#{one.name.stage}", tags, holder)[0]


@given(tags=histories(), more=histories(), holder=st.sampled_from(list(Holder)))
def test_later_tags_never_make_the_present_holder_look_old(
    tags: list[TagRecord], more: list[TagRecord], holder: Holder
) -> None:
    """What the registry says later was decided later: it always may replace what runs."""
    later = [
        one._replace(seconds=one.seconds + 100, ref=f"{one.ref.rpartition('#')[0]}#{number + 100}")
        for number, one in enumerate(more)
    ]
    states = [fold_registry(found, holder=holder)[0] for found in (tags, [*tags, *later])]
    if not all("prod" in state.stages for state in states):
        return
    before, after = (ask("m#prod", found, holder)[0] for found in (tags, [*tags, *later]))
    assert after.seconds >= before.seconds
