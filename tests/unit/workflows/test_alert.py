"""The issue of a watched model: opened, brought up to date, and closed once all is well."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.progress import RecordedProgress

from modelci.config.model import MonitorConfig
from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Subject, Threshold
from modelci.domain.monitoring import Action, ActionKind, Monitoring, TriggerKind, Watched
from modelci.domain.triggers import Trigger
from modelci.ports import Forge
from modelci.workflows import alert
from modelci.workflows.retrain import Text

DUE = Action(kind=ActionKind.ISSUE, trigger=TriggerKind.DRIFT, reason="drift: psi of amount")
RETRAIN = Action(kind=ActionKind.RETRAIN_PR, trigger=TriggerKind.DRIFT, reason="drift")
DRIFT = Trigger(when=TriggerKind.DRIFT, action=ActionKind.ISSUE)
PERFORMANCE = Trigger(when=TriggerKind.PERFORMANCE, action=ActionKind.ISSUE)
SETTINGS = MonitorConfig(model="credit", stage="prod", current="x.csv", triggers=(DRIFT,))


def gate(subject: Subject, outcome: Outcome) -> GateResult:
    rule = Gate(metric="psi of amount", rule=Rule.MAX, threshold=Threshold(value=0.2))
    return GateResult(gate=rule, subject=subject, outcome=outcome, reason="")


def watch(
    *gates: GateResult, window: str = "2026-03", actions: Sequence[Action] = ()
) -> Monitoring:
    watched = Watched(artifact="credit", stage="prod", version="v1.0.0", tag=None, commit=None)
    return Monitoring(
        watched=watched,
        window=window,
        current="x.csv",
        created="2026-04-01T00:00:00Z",
        version="0",
        rows=1000,
        gates=gates,
        actions=tuple(actions),
    )


def act(
    forge: Forge, monitoring: Monitoring, settings: MonitorConfig = SETTINGS
) -> tuple[Action, ...]:
    return alert.act(
        monitoring,
        settings,
        forge=lambda: forge,
        describe=lambda found, marker: Text(
            title="credit needs attention", body=f"{marker}\n{found.window}"
        ),
        progress=RecordedProgress(),
    )


FAILED, PASSED = gate(Subject.DRIFT, Outcome.FAILED), gate(Subject.DRIFT, Outcome.PASSED)


def test_an_issue_is_opened_and_every_window_brings_it_up_to_date() -> None:
    forge = FakeForge()
    first, other = act(forge, watch(FAILED, actions=(DUE, RETRAIN)))
    assert (first.done, first.url) == ("created", "https://forge.example/issues/1")
    assert other == RETRAIN
    assert act(forge, watch(FAILED, actions=(DUE,)))[0].done == "unchanged"
    assert act(forge, watch(FAILED, window="2026-04", actions=(DUE,)))[0].done == "updated"
    _, is_open, shown = forge.issues[1]
    assert is_open
    assert shown.body == "<!-- modelci: monitor credit#prod -->\n2026-04"
    assert shown.labels == ("modelci",)
    assert len(forge.issues) == 1


def test_it_is_closed_when_well_again() -> None:
    forge = FakeForge()
    act(forge, watch(FAILED, actions=(DUE,)))
    assert act(forge, watch(PASSED, window="2026-04")) == ()
    assert forge.issues[1][1] is False
    assert forge.said == [(1, "2026-04 is well again.")]
    act(forge, watch(PASSED, window="2026-05"))
    assert len(forge.said) == 1


@pytest.mark.parametrize(
    "outcome", [Outcome.INCONCLUSIVE, Outcome.MISSING, Outcome.INCOMPARABLE, None]
)
def test_what_the_data_do_not_decide_is_no_recovery(outcome: Outcome | None) -> None:
    forge = FakeForge()
    act(forge, watch(FAILED, actions=(DUE,)))
    gates = () if outcome is None else (gate(Subject.DRIFT, outcome),)
    act(forge, watch(*gates, window="2026-04"))
    assert forge.issues[1][1] is True


def test_an_issue_stays_while_another_of_its_reasons_is_open() -> None:
    """Labels come late: performance that is not judged yet has not recovered."""
    settings = replace(SETTINGS, triggers=(DRIFT, PERFORMANCE))
    forge = FakeForge()
    act(forge, watch(FAILED, actions=(DUE,)), settings)
    unclear = gate(Subject.PERFORMANCE, Outcome.INCONCLUSIVE)
    act(forge, watch(PASSED, unclear, window="2026-04"), settings)
    assert forge.issues[1][1] is True
    act(forge, watch(PASSED, gate(Subject.PERFORMANCE, Outcome.PASSED), window="2026-05"), settings)
    assert forge.issues[1][1] is False


def test_one_that_waits_opens_nothing_and_closes_nothing() -> None:
    forge = FakeForge()
    waiting = replace(DUE, held_back="in 1 of 2 windows so far")
    assert act(forge, watch(FAILED, actions=(waiting,))) == (waiting,)
    assert not forge.issues


def test_without_a_trigger_for_it_the_forge_is_not_asked() -> None:
    def refuse() -> Forge:
        raise AssertionError

    found = alert.act(
        watch(FAILED, actions=(RETRAIN,)),
        replace(
            SETTINGS, triggers=(Trigger(when=TriggerKind.DRIFT, action=ActionKind.RETRAIN_PR),)
        ),
        forge=refuse,
        describe=lambda _, marker: Text(title="", body=marker),
        progress=RecordedProgress(),
    )
    assert found == (RETRAIN,)


def test_two_stages_of_a_model_have_an_issue_each() -> None:
    forge = FakeForge()
    for stage in ("prod", "staging", None):
        act(forge, watch(FAILED, actions=(DUE,)), replace(SETTINGS, stage=stage))
    assert len(forge.issues) == 3
