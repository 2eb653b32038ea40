"""What a run would do with each stage; nothing is written."""

from collections.abc import Iterable, Sequence
from typing import Any

from dvc.exceptions import DvcException

from modelci.adapters.dvc import seams
from modelci.adapters.dvc.reasons import (
    FORCED,
    NEVER_RUN,
    definition_reasons,
    dep_reasons,
    is_never_run,
    makers_of,
    out_reasons,
    reasons_to_run,
)
from modelci.domain.pipeline import Plan, PlannedStage, PlannedState, RunOptions

_UNKNOWN = (PlannedState.RUN, PlannedState.DEPENDS)


def plan_stages(stages: Sequence[Any], graph: Any, options: RunOptions) -> Plan:
    """Return the plan for ``stages``, which stand in the order of a run.

    Edges of ``graph`` lead from a stage to one whose output it reads; with no graph none waits.
    """
    planner = _Planner(stages, graph, options)
    return Plan(stages=tuple(planner.plan(stage) for stage in stages))


class _Planner:
    """Goes through the stages once and remembers what they will leave behind.

    A stage that will be restored leaves known bytes, so that what comes after it can still be
    told; after one that will run nothing can.
    """

    def __init__(self, stages: Sequence[Any], graph: Any, options: RunOptions) -> None:
        self._graph = graph
        self._options = options
        self._position = {stage: number for number, stage in enumerate(stages)}
        self._states: dict[Any, PlannedState] = {}
        self._restored: dict[str, Any] = {}

    def plan(self, stage: Any) -> PlannedStage:
        upstream = sorted(self._upstream(stage), key=self._position.__getitem__)
        state, reasons = self._judge(stage, upstream)
        self._states[stage] = state
        return PlannedStage(
            name=stage.addressing,
            state=state,
            reasons=reasons,
            after=tuple(one.addressing for one in upstream),
        )

    def _upstream(self, stage: Any) -> list[Any]:
        """Return those of the planned stages that ``stage`` waits for."""
        found = self._graph.successors(stage) if self._graph else ()
        return [one for one in found if one in self._position]

    def _judge(self, stage: Any, upstream: Sequence[Any]) -> tuple[PlannedState, tuple[str, ...]]:
        if stage.frozen and stage.cmd:
            return PlannedState.FROZEN, out_reasons(stage)
        if self._options.force:
            return PlannedState.RUN, (FORCED,)
        waiting = [one for one in upstream if self._is_unknown_to(stage, one)]
        if waiting:
            return self._judge_waiting(stage, upstream, waiting)
        expected = {path: out.hash_info for path, out in self._restored.items()}
        reasons = reasons_to_run(stage, upstream, expected=expected)
        if not reasons:
            return PlannedState.UNCHANGED, ()
        past = self._recorded_run(stage)
        if past is None:
            return PlannedState.RUN, reasons
        self._restored.update({out.fs_path: out for out in past.outs})
        return PlannedState.RESTORE, reasons

    def _judge_waiting(
        self, stage: Any, upstream: Sequence[Any], waiting: Sequence[Any]
    ) -> tuple[PlannedState, tuple[str, ...]]:
        if is_never_run(stage):
            return PlannedState.RUN, (NEVER_RUN,)
        unknown = [dep for dep in stage.deps if next(makers_of(dep, waiting), None)]
        own = (
            *definition_reasons(stage),
            *dep_reasons(stage, upstream, expected={}, leave=unknown),
        )
        if own:
            return PlannedState.RUN, own
        return PlannedState.DEPENDS, tuple(self._announce(one) for one in waiting)

    def _is_unknown_to(self, stage: Any, upstream: Any) -> bool:
        state = self._states.get(upstream)
        if state is PlannedState.RESTORE:  # known, if the stage reads just what it writes
            read = {dep.fs_path for dep in stage.deps}
            pairs = (makers_of(dep, [upstream]) for dep in stage.deps)
            return any(out.fs_path not in read for found in pairs for _, out in found)
        return state in _UNKNOWN

    def _announce(self, upstream: Any) -> str:
        words = {PlannedState.RUN: "will run", PlannedState.RESTORE: "will be restored"}
        return f"upstream {upstream.addressing} {words.get(self._states[upstream], 'may run')}"

    def _recorded_run(self, stage: Any) -> Any | None:
        if not stage.cmd or stage.frozen or not self._options.run_cache:
            return None
        _expect(stage.deps, self._restored)
        try:
            return seams.recorded_run(stage)
        except (DvcException, OSError):  # a dependency is missing: the run will say so
            return None


def _expect(deps: Iterable[Any], restored: dict[str, Any]) -> None:
    """Make dependencies answer as if what will be restored were there; the plan's own objects."""
    for dep in deps:
        out = restored.get(dep.fs_path)
        if out is not None:
            dep.get_hash = lambda out=out: out.hash_info
            dep.get_meta = lambda out=out: out.meta
