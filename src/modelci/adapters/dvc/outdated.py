"""Which stages are out of date by dvc.lock: the same answer in every clone of a commit.

Jobs that share out a pipeline must agree, whatever data each of them has and however far the others
are. So outputs are taken to be what the lock file says, here or not.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dvc.exceptions import DvcException

from modelci.adapters.dvc.reasons import (
    NEVER_RUN,
    definition_reasons,
    dep_reasons,
    is_never_run,
    makers_of,
)
from modelci.domain.pipeline import Plan, PlannedStage, PlannedState

Find = Callable[[Any, Mapping[str, Any]], Mapping[str, Any] | None]
"""Returns the outputs by path that a past run of a stage left, given those of stages before it."""

_UNKNOWN = (PlannedState.RUN, PlannedState.DEPENDS)


def plan_by_lock(stages: Sequence[Any], graph: Any, *, find: Find | None = None) -> Plan:
    """Return the plan for ``stages``, which stand in the order of a run."""
    states: dict[Any, PlannedState] = {}
    known: dict[str, Any] = {}
    planned = []
    for stage in stages:
        upstream = [one for one in graph.successors(stage) if one in states]
        reasons: tuple[str, ...] = ()
        if any(states[one] in _UNKNOWN for one in upstream) and not stage.frozen:
            state, outs = PlannedState.DEPENDS, None
        else:
            reasons = _reasons(stage, upstream, known)
            state, outs = _judge(stage, reasons, known, find)
        known.update(outs or {})
        states[stage] = state
        names = tuple(one.addressing for one in upstream)
        planned.append(
            PlannedStage(name=stage.addressing, state=state, reasons=reasons, after=names)
        )
    return Plan(stages=tuple(planned))


def _judge(
    stage: Any, reasons: Sequence[str], known: Mapping[str, Any], find: Find | None
) -> tuple[PlannedState, Mapping[str, Any] | None]:
    if not reasons:
        return PlannedState.UNCHANGED, {out.fs_path: out for out in stage.outs}
    try:
        outs = find(stage, known) if find is not None else None
    except (DvcException, OSError):  # a dependency is nowhere: the run will say so
        outs = None
    return (PlannedState.RUN if outs is None else PlannedState.RESTORE), outs


def _reasons(stage: Any, upstream: Sequence[Any], known: Mapping[str, Any]) -> tuple[str, ...]:
    if stage.frozen or not stage.cmd:
        return ()
    if is_never_run(stage) or not all(out.hash_info for out in stage.outs):
        return (NEVER_RUN,)
    # A part of a directory that a stage wrote: its hash is told by no output's.
    parts = [
        dep
        for dep in stage.deps
        if dep.fs_path not in known and next(makers_of(dep, upstream), None) is not None
    ]
    hashes = {path: out.hash_info for path, out in known.items()}
    return (
        *definition_reasons(stage),
        *dep_reasons(stage, upstream, expected=hashes, leave=parts),
    )
