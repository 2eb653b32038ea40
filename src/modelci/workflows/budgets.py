"""Budgets: what files may weigh, and any metric that is a cost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from modelci.config.model import BYTES, BudgetConfig
from modelci.domain.gates import GateResult, Outcome, Subject, judge_all
from modelci.domain.metrics import Direction, MetricDelta, MetricKey
from modelci.domain.snapshot import Snapshot
from modelci.ports import FileTree


def measure_sizes(
    budgets: Iterable[BudgetConfig], snapshot: Snapshot, tree: FileTree | None
) -> Mapping[str, int]:
    """Return the bytes of the paths that have a budget; those that nobody knows are not there."""
    paths = dict.fromkeys(budget.path for budget in budgets if budget.path is not None)
    known = {path: _recorded(snapshot, path) for path in paths}
    unknown = [path for path, size in known.items() if size is None]
    in_git = tree.read(unknown) if tree and unknown else {}
    known |= {path: len(data) for path, data in in_git.items()}
    return {path: size for path, size in known.items() if size is not None}


def _recorded(snapshot: Snapshot, path: str) -> int | None:
    tracked = snapshot.tracked.get(path)
    return tracked.bytes if tracked else None


def judge_budgets(
    budgets: Sequence[BudgetConfig],
    metrics: Sequence[MetricDelta],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> tuple[GateResult, ...]:
    """Judge every budget; a path that the head lacks is missing."""
    return tuple(
        result
        for budget in budgets
        for result in (
            judge_all(budget.gates(), metrics, subject=Subject.BUDGET)
            if budget.path is None
            else _judge_size(budget, budget.path, before, after)
        )
    )


def _judge_size(
    budget: BudgetConfig, path: str, before: Mapping[str, int], after: Mapping[str, int]
) -> Iterator[GateResult]:
    delta = MetricDelta(
        key=MetricKey(path=path, name=BYTES),
        base=_bytes(before.get(path)),
        head=_bytes(after.get(path)),
        direction=Direction.LOWER,
    )
    for result in judge_all(budget.gates(), [delta], subject=Subject.BUDGET):
        # Its name is the gate's: "bytes" alone says too little.
        named = replace(result, key=None)
        if result.outcome is Outcome.MISSING:
            named = replace(named, reason=f"neither DVC nor Git has a file {path} at the head")
        yield named


def _bytes(size: int | None) -> float | None:
    return None if size is None else float(size)
