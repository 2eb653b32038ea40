import math

import pytest

from modelci.domain.changes import (
    DataKind,
    Scalar,
    TrackedFile,
    ValueKey,
    diff_tracked,
    diff_values,
)
from modelci.domain.gates import Gate, Rule, Threshold, judge_all
from modelci.domain.pipeline import (
    ChangeKind,
    PipelineStage,
    Run,
    StageRun,
    StageStatus,
    diff_stages,
)
from modelci.domain.report import Report, Revision, diff_gates

ADDED, DELETED, CHANGED = ChangeKind.ADDED, ChangeKind.DELETED, ChangeKind.CHANGED


def key(name: str, path: str = "params.yaml") -> ValueKey:
    return ValueKey(path=path, name=name)


@pytest.mark.parametrize(
    ("base", "head", "differs"),
    [
        (1, 1.0, False),
        (1, True, True),
        (0, False, True),
        (True, True, False),
        (None, None, False),
        (None, 0, True),
        ("1", 1, True),
        (math.nan, math.nan, False),
        (math.nan, 1.0, True),
        ("[1,2]", "[1,2]", False),
    ],
)
def test_values_differ_where_a_reader_would_say_so(
    base: Scalar, head: Scalar, *, differs: bool
) -> None:
    assert bool(diff_values({key("a"): base}, {key("a"): head})) is differs


def test_a_null_is_not_an_absent_value() -> None:
    changes = diff_values({key("a"): None}, {key("b"): None})
    assert [(one.key.name, one.kind, one.base, one.head) for one in changes] == [
        ("a", DELETED, None, None),
        ("b", ADDED, None, None),
    ]
    (change,) = diff_values({key("a"): None}, {key("a"): 1})
    assert (change.kind, change.base, change.head) == (CHANGED, None, 1)


def test_changed_values_come_by_file_and_name() -> None:
    changes = diff_values({}, {key("b"): 1, key("z", "a.yaml"): 1, key("a"): 1})
    assert [str(one.key) for one in changes] == ["a.yaml:z", "params.yaml:a", "params.yaml:b"]


def tracked(path: str, hash_: str | None, kind: DataKind = DataKind.DATA) -> TrackedFile:
    return TrackedFile(path=path, kind=kind, hash=hash_, bytes=1)


def test_tracked_data_differs_by_its_hash_alone() -> None:
    base = {"a": tracked("a", "1"), "b": tracked("b", "1"), "c": tracked("c", "1")}
    head = {
        "b": TrackedFile(path="b", kind=DataKind.MODEL, hash="1", bytes=99),
        "c": tracked("c", "2", DataKind.MODEL),
        "d": tracked("d", None),
    }
    changes = diff_tracked(base, head)
    assert [(one.path, one.kind) for one in changes] == [
        ("a", DELETED),
        ("c", CHANGED),
        ("d", ADDED),
    ]
    assert changes[1].data is DataKind.MODEL
    assert (changes[1].base, changes[1].head) == (base["c"], head["c"])


def stage(name: str, **fields: object) -> PipelineStage:
    return PipelineStage(**{"name": name, "cmd": ("run",), **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cmd", ("other",)),
        ("deps", ("x",)),
        ("params", ("p",)),
        ("outs", ("o",)),
        ("frozen", True),
    ],
)
def test_a_stage_defined_anew_names_what_changed(field: str, value: object) -> None:
    (change,) = diff_stages((stage("train"),), (stage("train", **{field: value}),))
    assert (change.name, change.kind, change.fields) == ("train", CHANGED, (field,))


def test_stages_come_by_name_and_equal_ones_not_at_all() -> None:
    base = (stage("old"), stage("same"))
    head = (stage("same"), stage("new"))
    assert [(one.name, one.kind) for one in diff_stages(base, head)] == [
        ("new", ADDED),
        ("old", DELETED),
    ]


def gate(value: float, metric: str = "auc") -> Gate:
    return Gate(metric=metric, rule=Rule.MIN, threshold=Threshold(value=value))


def test_an_edited_gate_is_one_dropped_and_one_added() -> None:
    changes = diff_gates([gate(0.8), gate(1, "x")], [gate(1, "x"), gate(0.1)])
    assert [(one.kind, one.gate) for one in changes] == [(DELETED, gate(0.8)), (ADDED, gate(0.1))]
    assert diff_gates([gate(1)], [gate(1)]) == ()


def run(*statuses: StageStatus, error: str | None = None) -> Run:
    stages = tuple(
        StageRun(name=f"s{index}", status=status) for index, status in enumerate(statuses)
    )
    return Run(
        revision=None,
        dirty=False,
        started="2025-01-01T00:00:00Z",
        seconds=1,
        stages=stages,
        error=error,
    )


@pytest.mark.parametrize(
    ("gates", "done", "ok"),
    [
        ([], None, True),
        ([], run(StageStatus.RAN, StageStatus.UNCHANGED, StageStatus.RESTORED), True),
        ([], run(StageStatus.FAILED, StageStatus.NOT_RUN), False),
        ([], run(StageStatus.RAN, error="the push failed"), False),
        ([gate(0.5)], run(StageStatus.RAN), False),
        ([gate(0.5)], None, False),
    ],
)
def test_a_merge_may_go_on_only_if_no_gate_blocks_and_the_pipeline_ran_through(
    gates: list[Gate], done: Run | None, *, ok: bool
) -> None:
    report = Report(
        base=None,
        head=Revision(sha=None, name="HEAD", chosen="given"),
        head_sha=None,
        created="2025-01-01T00:00:00Z",
        version="0",
        gates=judge_all(gates, []),
        run=done,
    )
    assert report.is_ok is ok
