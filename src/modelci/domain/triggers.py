"""Which actions a watched window sets off: by its gates, the windows before it, and the clock."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from modelci.domain.gates import GateResult, Outcome
from modelci.domain.monitoring import Action, ActionKind, Monitoring, TriggerKind
from modelci.domain.wording import counted

_COUNT = re.compile(r"(?:>=)?\s*([1-9]\d{0,8})")
_JUDGED = frozenset({Outcome.PASSED, Outcome.WARNED, Outcome.FAILED})
_JUDGED_BY_OUTCOMES = _JUDGED - {Outcome.WARNED}  # which says that there are none


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """``when`` a gate of that kind fails, do ``action``.

    ``columns`` is how many must fail (``">=2"``), ``consecutive`` in how many windows in a row,
    ``days`` the age of the version (``when: age``).
    """

    when: TriggerKind
    action: ActionKind
    columns: str | int | None = None
    consecutive: int = 1
    days: float | None = None


def parse_count(text: str | int) -> int:
    """Read ``2`` or ``">=2"``; ValueError says what is wrong."""
    found = _COUNT.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f'columns is {text!r}: write how many must have drifted, such as ">=2"')
    return int(found[1])


def has_fired(trigger: Trigger, window: Monitoring) -> bool | None:
    """Whether a window alone sets a trigger off; None where its data decide nothing of it."""
    if trigger.when is TriggerKind.AGE and trigger.days is not None:
        age = window.watched.age_days
        return None if age is None else age >= trigger.days
    own = [one for one in window.gates if one.subject.value == trigger.when.value]
    failed = {one.gate.metric for one in own if _fails(one)}
    needed = 1
    if trigger.columns is not None:
        # Scores and decisions drift too, and are no columns.
        names = {one.name for one in window.columns}
        failed = {metric for metric in failed if metric.partition(" of ")[2] in names}
        needed = parse_count(trigger.columns)
    if len(failed) >= needed:
        return True
    is_judged = _JUDGED_BY_OUTCOMES if trigger.when is TriggerKind.PERFORMANCE else _JUDGED
    return False if any(one.outcome in is_judged for one in own) else None


def count_in_a_row(trigger: Trigger, current: Monitoring, earlier: Sequence[Monitoring]) -> int:
    """Return in how many windows up to ``current`` the trigger has gone off in a row.

    ``earlier`` are the windows before it, the oldest first; only those of the same version count,
    and what decides nothing neither counts nor breaks the row.
    """
    if has_fired(trigger, current) is not True:
        return 0
    found = 1
    for window in reversed(earlier):
        fired = has_fired(trigger, window)
        if window.watched.commit != current.watched.commit or fired is False:
            break
        found += fired is True
    return found


def count_kinds(current: Monitoring, earlier: Sequence[Monitoring]) -> Mapping[str, int]:
    """Return per kind of trigger in how many windows in a row a gate of it has failed."""
    found: dict[str, int] = {}
    for kind in TriggerKind:
        plain = Trigger(when=kind, action=ActionKind.ISSUE)
        if has_fired(plain, current) is not None:
            found[kind.value] = count_in_a_row(plain, current, earlier)
    return found


def decide_actions(
    triggers: Sequence[Trigger],
    current: Monitoring,
    earlier: Sequence[Monitoring],
    *,
    others: Sequence[Monitoring],
    now: datetime,
    cooldown: timedelta,
) -> tuple[Action, ...]:
    """Return what is to be done, one action of a kind; what has to wait says why.

    A retraining that was asked for in any of the ``others`` holds the next one back for the
    ``cooldown``; asked again for the same window, it is the same one. An issue is brought up to
    date by every window. ``earlier`` are the windows before ``current``, the oldest first.
    """
    wanted = [one for trigger in triggers if (one := _wish(trigger, current, earlier)) is not None]
    merged = (_merge([one for one in wanted if one.kind is kind]) for kind in ActionKind)
    return tuple(
        _cool_down(action, current, others, now=now, cooldown=cooldown)
        for action in merged
        if action is not None
    )


def hold_back_issue(actions: Sequence[Action], newer: str | None) -> tuple[Action, ...]:
    """Leave an issue to the ``newer`` window that is remembered, if there is one."""
    if newer is None:
        return tuple(actions)
    why = f"the newer window {newer} is remembered"
    return tuple(
        replace(one, held_back=why) if one.kind is ActionKind.ISSUE and not one.held_back else one
        for one in actions
    )


def _fails(result: GateResult) -> bool:
    return result.outcome is Outcome.FAILED and result.waiver is None


def _wish(trigger: Trigger, current: Monitoring, earlier: Sequence[Monitoring]) -> Action | None:
    """Return what a trigger asks for; held back, where it did not go off often enough."""
    count = count_in_a_row(trigger, current, earlier)
    if not count:
        return None
    waits = count < trigger.consecutive
    return Action(
        kind=trigger.action,
        trigger=trigger.when,
        reason="; ".join(_reasons(trigger, current, count)),
        held_back=f"in {count} of {trigger.consecutive} windows in a row so far" if waits else None,
    )


def _reasons(trigger: Trigger, current: Monitoring, count: int) -> Iterator[str]:
    age = current.watched.age_days
    if trigger.when is TriggerKind.AGE and age is not None:
        yield f"the version is {age:.0f} days old"
        return
    names = dict.fromkeys(
        one.gate.metric
        for one in current.gates
        if one.subject.value == trigger.when.value and _fails(one)
    )
    shown = ", ".join([*names][:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    yield f"{trigger.when}: {shown}{more}"
    if count > 1:
        yield f"in {counted(count, 'window')} in a row"


_MOST_NAMED = 5


def _merge(actions: Sequence[Action]) -> Action | None:
    """Make one of all that ask for the same: those that are due, or else those that wait."""
    due = [one for one in actions if one.held_back is None] or list(actions)
    if not due:
        return None
    reasons = dict.fromkeys(one.reason for one in due)
    return replace(due[0], reason="; ".join(reasons))


def _cool_down(
    action: Action,
    current: Monitoring,
    others: Sequence[Monitoring],
    *,
    now: datetime,
    cooldown: timedelta,
) -> Action:
    if action.held_back is not None or action.kind is not ActionKind.RETRAIN_PR:
        return action
    for window in reversed(others):
        until = datetime.fromisoformat(window.created) + cooldown
        if window.window != current.window and _has_done(window, action.kind) and now < until:
            why = f"cooling down until {until:%Y-%m-%d %H:%M} UTC: {window.window} asked for one"
            return replace(action, held_back=why)
    return action


def _has_done(window: Monitoring, kind: ActionKind) -> bool:
    return any(one.kind is kind and one.done is not None for one in window.actions)
