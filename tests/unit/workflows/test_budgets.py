import pytest
from tests.fakes.trees import MemoryTree

from modelci.config.model import BudgetConfig
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.gates import GateResult, Outcome, Severity, Subject
from modelci.domain.metrics import MetricDelta, MetricKey
from modelci.domain.snapshot import Snapshot
from modelci.workflows.budgets import judge_budgets, measure_sizes

SIZE = BudgetConfig(path="m.bin", max_bytes="1 kB", max_increase="10%")
LATENCY = MetricDelta(key=MetricKey(path="metrics.json", name="latency_ms"), base=10.0, head=12.0)


def judge(budget: BudgetConfig, before: int | None, after: int | None) -> list[GateResult]:
    sides = ({} if size is None else {"m.bin": size} for size in (before, after))
    return list(judge_budgets([budget], [LATENCY], *sides))


@pytest.mark.parametrize(
    ("before", "after", "outcomes"),
    [
        (900, 990, [Outcome.PASSED, Outcome.PASSED]),
        (900, 991, [Outcome.PASSED, Outcome.FAILED]),
        (1000, 1001, [Outcome.FAILED, Outcome.PASSED]),
        (None, 999, [Outcome.PASSED, Outcome.INCOMPARABLE]),
        (900, None, [Outcome.MISSING, Outcome.MISSING]),
        (None, None, [Outcome.MISSING, Outcome.MISSING]),
    ],
)
def test_a_file_may_weigh_so_much(
    before: int | None, after: int | None, outcomes: list[Outcome]
) -> None:
    results = judge(SIZE, before, after)
    assert [result.outcome for result in results] == outcomes
    assert {result.subject for result in results} == {Subject.BUDGET}
    assert {result.gate.metric for result in results} == {"m.bin:bytes"}
    assert all(("at the head" in one.reason) is (after is None) for one in results)


def test_a_metric_may_cost_so_much() -> None:
    (result,) = judge(BudgetConfig(metric="latency_ms", max=11, severity=Severity.WARN), 1, 1)
    assert (result.outcome, result.subject) == (Outcome.WARNED, Subject.BUDGET)
    assert result.key == LATENCY.key
    (result,) = judge(BudgetConfig(metric="no_such", max=11), 1, 1)
    assert result.outcome is Outcome.MISSING


def test_sizes_are_those_that_dvc_records_or_git_has() -> None:
    tracked = TrackedFile(path="m.bin", kind=DataKind.MODEL, hash="1", bytes=5_000_000_000)
    plain = TrackedFile(path="in.git", kind=DataKind.DATA, hash=None, in_git=True)
    snapshot = Snapshot(tracked={one.path: one for one in (tracked, plain)})
    budgets = [BudgetConfig(path=path, max_bytes=1) for path in ("m.bin", "in.git", "gone")]
    tree = MemoryTree({"in.git": b"12345"})
    assert measure_sizes(budgets, snapshot, tree) == {"m.bin": 5_000_000_000, "in.git": 5}
    assert "m.bin" not in tree.asked
    assert measure_sizes(budgets, snapshot, None) == {"m.bin": 5_000_000_000}
