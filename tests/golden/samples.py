"""Reports to render: one for each thing that can happen to a pull request."""

from itertools import pairwise

from modelci.domain.changes import (
    DataChange,
    DataKind,
    FileChange,
    TrackedFile,
    ValueChange,
    ValueKey,
)
from modelci.domain.gates import (
    Gate,
    GateResult,
    Outcome,
    Rule,
    Severity,
    Threshold,
    WhenMissing,
    judge_all,
)
from modelci.domain.metrics import (
    Direction,
    MetricDelta,
    MetricKey,
    MetricValue,
    NonFinite,
    known_direction,
)
from modelci.domain.pipeline import ChangeKind, Run, StageChange, StageRun, StageStatus
from modelci.domain.report import GateChange, Report, Revision

FILE = "metrics.json"
HEAD_SHA = "9f2c41d0aa5b7c38e1d64f0b2a9c7e5d13f8b604"
BASE_SHA = "4b7d90e2c1f3a58866d2e07b95c4a1f0de3c8b72"
BASE = Revision(sha=BASE_SHA, name="main", chosen="merge base with the default branch")
HEAD = Revision(sha=HEAD_SHA, name="feature/deeper-trees", chosen="the pull request's head")
CREATED = "2025-11-03T09:26:53Z"
RUN_URL = "https://github.com/acme/credit/actions/runs/5123456789"


def metric(
    name: str,
    base: MetricValue | None,
    head: MetricValue | None,
    *,
    path: str = FILE,
    direction: Direction | None = None,
) -> MetricDelta:
    return MetricDelta(
        key=MetricKey(path=path, name=name),
        base=base,
        head=head,
        direction=known_direction(name) if direction is None else direction,
    )


def gate(
    name: str,
    rule: Rule,
    value: float,
    *,
    relative: bool = False,
    severity: Severity = Severity.BLOCK,
    missing: WhenMissing = WhenMissing.FAIL,
) -> Gate:
    threshold = Threshold(value=value, relative=relative)
    return Gate(metric=name, rule=rule, threshold=threshold, severity=severity, missing=missing)


GATES = (
    gate("hgb.roc_auc", Rule.MIN, 0.75),
    gate("hgb.roc_auc", Rule.MAX_DROP, 0.005),
    gate("hgb.brier", Rule.MAX_INCREASE, 0.02, relative=True),
    gate("hgb.f1", Rule.MAX_DROP, 0.02, severity=Severity.WARN),
    gate("hgb.ks", Rule.MIN, 0.4),
    gate("model_bytes", Rule.MAX, 5_000_000),
)
GOOD_METRICS = (
    metric("hgb.brier", 0.05127, 0.05093),
    metric("hgb.f1", 0.3312, 0.3312),
    metric("hgb.ks", 0.4471, 0.4538),
    metric("hgb.log_loss", 0.1934, 0.1934),
    metric("hgb.roc_auc", 0.7812, 0.7844),
    metric("logreg.roc_auc", 0.7603, 0.7603),
    metric("model_bytes", 1_204_224.0, 1_310_720.0, direction=Direction.UNKNOWN),
    metric("rows", 20_000.0, 20_000.0),
)
PARAMS = (
    ValueChange(
        key=ValueKey(path="params.yaml", name="hgb.max_depth"),
        kind=ChangeKind.CHANGED,
        base=6,
        head=8,
    ),
    ValueChange(key=ValueKey(path="params.yaml", name="hgb.l2"), kind=ChangeKind.ADDED, head=0.001),
)
DATA = (
    DataChange(
        path="models/hgb.skops",
        kind=ChangeKind.CHANGED,
        data=DataKind.MODEL,
        base=TrackedFile(path="models/hgb.skops", kind=DataKind.MODEL, hash="a1", bytes=1_204_224),
        head=TrackedFile(path="models/hgb.skops", kind=DataKind.MODEL, hash="a2", bytes=1_310_720),
    ),
    DataChange(
        path="data/prepared",
        kind=ChangeKind.ADDED,
        data=DataKind.DATA,
        head=TrackedFile(
            path="data/prepared", kind=DataKind.DATA, hash="b.dir", bytes=3_400_112, files=4
        ),
    ),
)
FILES = (
    FileChange(path="params.yaml", kind=ChangeKind.CHANGED, added=2, deleted=1),
    FileChange(path="docs/roc.png", kind=ChangeKind.ADDED),
)
STAGES = (
    StageRun(name="generate", status=StageStatus.UNCHANGED, seconds=0.02),
    StageRun(name="prepare", status=StageStatus.RESTORED, reasons=("the run cache has it",)),
    StageRun(
        name="train@hgb",
        status=StageStatus.RAN,
        reasons=("params.yaml: hgb.max_depth changed", "params.yaml: hgb.l2 is new"),
        seconds=41.7,
        exit_code=0,
    ),
    StageRun(name="train@logreg", status=StageStatus.UNCHANGED, seconds=0.01),
    StageRun(
        name="evaluate",
        status=StageStatus.RAN,
        reasons=("models/hgb.skops changed",),
        seconds=6.2,
        exit_code=0,
    ),
)
RUN = Run(
    revision=HEAD_SHA,
    dirty=False,
    started="2025-11-03T09:25:58Z",
    seconds=49.3,
    stages=STAGES,
    version="0.1.0",
)


def good() -> Report:
    return Report(
        base=BASE,
        head=HEAD,
        head_sha=HEAD_SHA,
        created=CREATED,
        version="0.1.0",
        metrics=GOOD_METRICS,
        params=PARAMS,
        stages=(StageChange(name="train@hgb", kind=ChangeKind.CHANGED, fields=("cmd", "params")),),
        data=DATA,
        files=FILES,
        gates=judge_all(GATES, GOOD_METRICS),
        run=RUN,
        run_url=RUN_URL,
    )


def blocked() -> Report:
    metrics = (
        metric("hgb.brier", 0.05127, 0.05203),
        metric("hgb.f1", 0.3312, 0.2987),
        metric("hgb.ks", 0.4471, 0.4398),
        metric("hgb.log_loss", 0.1934, 0.1951),
        metric("hgb.roc_auc", 0.7812, 0.7691),
        metric("logreg.roc_auc", 0.7603, 0.7603),
        metric("model_bytes", 1_204_224.0, 1_310_720.0, direction=Direction.UNKNOWN),
        metric("rows", 20_000.0, 20_000.0),
        metric("roc_auc", 0.71, None, path="shadow/metrics.json"),
        metric("roc_auc.new_channel", None, 0.702, path="shadow/metrics.json"),
    )
    gates = (
        *GATES,
        gate("calibration", Rule.MAX, 0.1),
        gate("*.roc_auc.new_channel", Rule.MAX_DROP, 0.01),
    )
    return Report(
        base=BASE,
        head=Revision(
            sha="0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60718293",
            name="refs/pull/12/merge",
            chosen="the test merge of #12",
        ),
        head_sha=HEAD_SHA,
        created=CREATED,
        version="0.1.0",
        metrics=metrics,
        params=PARAMS[:1],
        data=DATA[:1],
        files=FILES[:1],
        gates=judge_all(gates, metrics),
        gate_changes=(
            GateChange(kind=ChangeKind.DELETED, gate=GATES[1]),
            GateChange(kind=ChangeKind.ADDED, gate=gate("hgb.roc_auc", Rule.MAX_DROP, 0.05)),
        ),
        run=RUN,
        run_url=RUN_URL,
        notes=("shadow/dvc.lock is out of date for stage score: its command changed",),
    )


def warned() -> Report:
    metrics = (*GOOD_METRICS[:1], metric("hgb.f1", 0.3312, 0.2987), *GOOD_METRICS[2:])
    return Report(
        base=BASE,
        head=Revision(sha=HEAD_SHA, name="HEAD", chosen="the work tree", dirty=True),
        head_sha=None,
        created=CREATED,
        version="0.1.0",
        metrics=metrics,
        gates=judge_all(GATES, metrics),
    )


LOG = """\
reading data/prepared/train.parquet
\x1b[32mINFO\x1b[0m fitting 8 trees
epoch 1\repoch 2\repoch 3
```
Traceback (most recent call last):
  File "examples/credit/train.py", line 41, in <module>
    main()
ValueError: max_depth must be > 0, ask @ml-team | see #12 <!-- modelci:report -->
::error::not ours
"""


def failed() -> Report:
    stages = (
        STAGES[0],
        StageRun(
            name="train@hgb",
            status=StageStatus.FAILED,
            reasons=("params.yaml: hgb.max_depth changed",),
            seconds=3.4,
            exit_code=1,
            log_tail=LOG,
        ),
        StageRun(
            name="evaluate", status=StageStatus.NOT_RUN, reasons=("train@hgb failed before it",)
        ),
    )
    return Report(
        base=BASE,
        head=HEAD,
        head_sha=HEAD_SHA,
        created=CREATED,
        version="0.1.0",
        params=PARAMS,
        run=Run(
            revision=HEAD_SHA,
            dirty=False,
            started="2025-11-03T09:25:58Z",
            seconds=3.6,
            stages=stages,
            version="0.1.0",
        ),
        run_url=RUN_URL,
    )


def first() -> Report:
    metrics = tuple(
        metric(delta.key.name, None, delta.head, direction=delta.direction)
        for delta in GOOD_METRICS
    )
    return Report(
        base=None,
        head=HEAD,
        head_sha=HEAD_SHA,
        created=CREATED,
        version="0.1.0",
        metrics=metrics,
        gates=judge_all(GATES, metrics),
    )


def ungated() -> Report:
    return Report(
        base=BASE,
        head=HEAD,
        head_sha=HEAD_SHA,
        created=CREATED,
        version="0.1.0",
        metrics=GOOD_METRICS,
    )


EVIL = (
    "a|b",
    "`tick` ``two``",
    "`edge`",
    "@octocat",
    "fixes #1, GH-2, acme/credit#3",
    "www.evil.example https://evil.example/?a=b",
    "<!-- modelci:report -->",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "line\nbreak\r\n| forged | row |",
    "\x1b[31mred\x1b]0;title\x07",
    "right\u202eto\u2066left",
    "[link](https://evil.example) ![image](x)",
    "**bold** _it_ ~~no~~ $x^2$ :rocket:",
    "::error::forged ##[error]forged",
    r"back\|slash\\",
    " ",
    "",
    "n" * 300,
)


def hostile() -> Report:
    metrics = tuple(metric(name, 0.5, 0.5 + place / 100) for place, name in enumerate(EVIL, 1))
    nan = metric("@nan", 0.5, NonFinite.NAN, path="@octocat/metrics|.json")
    lost = judge_all([gate(name, Rule.MIN, 0.9) for name in EVIL], ())
    return Report(
        base=Revision(sha="<b>not a sha</b>", name="@octocat", chosen="because #1\n# heading"),
        head=Revision(sha=None, name="`head`", chosen="1. www.evil.example"),
        head_sha="@octocat",
        created="@octocat",
        version="0.1.0 <!-- modelci:report -->",
        metrics=(*metrics, nan),
        params=tuple(
            ValueChange(
                key=ValueKey(path=name, name=name), kind=ChangeKind.CHANGED, base=name, head=other
            )
            for name, other in pairwise(EVIL)
        ),
        data=tuple(
            DataChange(path=name, kind=ChangeKind.ADDED, data=DataKind.DATA) for name in EVIL
        ),
        files=tuple(FileChange(path=name, kind=ChangeKind.DELETED) for name in EVIL),
        stages=tuple(
            StageChange(name=name, kind=ChangeKind.CHANGED, fields=(name,)) for name in EVIL
        ),
        gates=lost,
        gate_changes=tuple(
            GateChange(kind=ChangeKind.ADDED, gate=gate(name, Rule.MAX, 1)) for name in EVIL
        ),
        run=Run(
            revision=None,
            dirty=True,
            started="",
            seconds=1,
            stages=tuple(
                StageRun(name=name, status=StageStatus.FAILED, reasons=(name,), log_tail=name)
                for name in EVIL
            ),
        ),
        notes=EVIL,
        run_url="javascript:alert(1)",
    )


def many(metrics: int = 3_000, gates: int = 0) -> Report:
    deltas = tuple(
        metric(f"group_{place % 50}.value_{place}", float(place), place * 1.01 + 0.1)
        for place in range(metrics)
    )
    return Report(
        base=BASE,
        head=HEAD,
        head_sha=HEAD_SHA,
        created=CREATED,
        version="0.1.0",
        metrics=deltas,
        files=tuple(
            FileChange(path=f"src/file_{place}.py", kind=ChangeKind.CHANGED, added=1, deleted=1)
            for place in range(2_000)
        ),
        gates=tuple(
            GateResult(
                gate=gate(f"metric_{place}", Rule.MAX, -1),
                outcome=Outcome.FAILED,
                reason="1 must be ≤ -1",
                key=MetricKey(path=FILE, name=f"metric_{place}"),
                delta=metric(f"metric_{place}", 0.5, 1.0),
            )
            for place in range(gates)
        ),
    )


CASES = {
    "good": good,
    "blocked": blocked,
    "warned": warned,
    "failed": failed,
    "first": first,
    "ungated": ungated,
    "hostile": hostile,
}
