"""Reports to render: one for each thing that can happen to a pull request."""

import base64
import math
from dataclasses import replace
from datetime import date
from itertools import pairwise

from modelci.domain.changes import (
    DataChange,
    DataKind,
    FileChange,
    TrackedFile,
    ValueChange,
    ValueKey,
)
from modelci.domain.evaluation import FairnessMetric, Mode, Task
from modelci.domain.evidence import EvaluationResult, Evidence
from modelci.domain.gates import (
    Gate,
    GateResult,
    Outcome,
    Rule,
    Severity,
    Subject,
    Threshold,
    Waiver,
    WhenMissing,
    judge_all,
)
from modelci.domain.history import HistoryPoint, MetricHistory
from modelci.domain.metrics import (
    Direction,
    MetricDelta,
    MetricKey,
    MetricValue,
    NonFinite,
    known_direction,
)
from modelci.domain.pipeline import ChangeKind, Run, StageChange, StageRun, StageStatus
from modelci.domain.plots import Picture, PictureKind, Plot
from modelci.domain.report import GateChange, Report, Revision, SettingChange, WaiverChange
from modelci.domain.slices import FairnessResult, SliceResult

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
        on_merge=("Register credit v1.3.0", "Assign staging to credit v1.3.0"),
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
        setting_changes=(
            SettingChange(key="slices.max_drop", base="0.01", head="0.9"),
            SettingChange(key="budget[model.pkl]", base="path: model.pkl", head=None),
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


def _hostile_waiver(name: str) -> Waiver:
    return Waiver(gate=name, reason=name, author=name, expires=date(2025, 12, 1))


def _hostile_result(name: str) -> GateResult:
    return judged(
        gate(name, Rule.MAX_DROP, 0.1),
        Outcome.FAILED,
        name,
        delta=metric(name, 0.5, 0.6),
        proof=evidence(name, 0.5, 0.6, 0.01, method=name),
        waiver=_hostile_waiver(name),
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
        gates=(*lost, *map(_hostile_result, EVIL)),
        gate_changes=tuple(
            GateChange(kind=ChangeKind.ADDED, gate=gate(name, Rule.MAX, 1)) for name in EVIL
        ),
        setting_changes=tuple(SettingChange(key=text, base=text, head=text) for text in EVIL),
        waiver_changes=tuple(
            WaiverChange(kind=ChangeKind.ADDED, waiver=_hostile_waiver(name)) for name in EVIL
        ),
        evaluations=tuple(
            EvaluationResult(predictions=name, task=Task.BINARY, comparable=False, reason=name)
            for name in EVIL
        ),
        slices=tuple(
            SliceResult(
                measure=name, slice=name, by=name, rows=1, outcome=Outcome.FAILED, reason=name
            )
            for name in EVIL
        ),
        fairness=tuple(
            FairnessResult(
                metric=FairnessMetric.EQUALIZED_ODDS,
                column=name,
                rate=name,
                rates=dict.fromkeys(EVIL, 0.5),
                rows={name: 1},
            )
            for name in EVIL
        ),
        history=tuple(
            history(one, (0.5, NonFinite.NAN, 0.6, 0.7, 0.8, 0.9), name=one.key.name)
            for one in metrics
        ),
        plots=tuple(
            Plot(id=name, title=name, template=name, x=name, y=name, x_label=name, y_label=name)
            for name in EVIL
        ),
        pictures=tuple(
            Picture(path=name, kind=PictureKind.SVG, head=b"<svg onload='alert(1)'/>")
            for name in EVIL
        ),
        from_fork=True,
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


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
WAIVER = Waiver(
    gate="hgb.f1",
    reason="the threshold is tuned again next sprint (RISK-214)",
    author="anna@acme.example",
    expires=date(2025, 12, 1),
)


def evidence(
    measure: str,
    base: float | None,
    head: float,
    error: float,
    *,
    method: str = "DeLong",
    rows: int = 20_000,
    p_value: float | None = None,
) -> Evidence:
    difference = head - (base or 0.0)
    return Evidence(
        measure=measure,
        method=method,
        rows=rows,
        head=head,
        base=base,
        difference=difference,
        standard_error=error,
        low=difference - 1.645 * error,
        high=difference + 1.645 * error,
        alpha=0.05,
        detectable=2.486 * error,
        p_value=p_value,
    )


def judged(
    of: Gate,
    outcome: Outcome,
    reason: str,
    *,
    delta: MetricDelta | None = None,
    proof: Evidence | None = None,
    subject: Subject = Subject.METRIC,
    mode: Mode = Mode.EVIDENCE,
    waiver: Waiver | None = None,
) -> GateResult:
    return GateResult(
        gate=of,
        outcome=outcome,
        reason=reason,
        key=delta.key if delta else None,
        delta=delta,
        subject=subject,
        mode=mode,
        evidence=proof,
        waiver=waiver,
    )


EVIDENCE_METRICS = (
    metric("hgb.brier", 0.05127, 0.05203),
    metric("hgb.f1", 0.3312, 0.2987),
    metric("hgb.ks", 0.4471, 0.4398),
    metric("hgb.log_loss", 0.1934, 0.1951),
    metric("hgb.pr_auc", 0.2718, 0.2604),
    metric("hgb.roc_auc", 0.7812, 0.7691),
    metric("logreg.roc_auc", 0.7603, 0.7618),
    metric("model_bytes", 1_204_224.0, 1_310_720.0, direction=Direction.UNKNOWN),
    metric("rows", 20_000.0, 20_000.0),
)
BRIER, F1, KS, LOG_LOSS, PR_AUC, ROC_AUC, LOGREG, BYTES, ROWS = EVIDENCE_METRICS
EVIDENCE_GATES = (
    judged(
        gate("hgb.roc_auc", Rule.MAX_DROP, 0.005),
        Outcome.FAILED,
        "worse by 0.0121, allowed drop 0.005, p = 0.004",
        delta=ROC_AUC,
        proof=evidence("roc_auc", 0.7812, 0.7691, 0.0026, p_value=0.004),
    ),
    judged(
        gate("hgb.pr_auc", Rule.MAX_DROP, 0.005),
        Outcome.INCONCLUSIVE,
        "worse by 0.0114, allowed drop 0.005, but that may be chance",
        delta=PR_AUC,
        proof=evidence("pr_auc", 0.2718, 0.2604, 0.0081, method="bootstrap", p_value=0.21),
    ),
    judged(
        gate("hgb.f1", Rule.MAX_DROP, 0.02),
        Outcome.FAILED,
        "worse by 0.0325, allowed drop 0.02, p = 0.013",
        delta=F1,
        proof=evidence("f1", 0.3312, 0.2987, 0.0056, method="bootstrap", p_value=0.013),
        waiver=WAIVER,
    ),
    judged(
        gate("hgb.brier", Rule.MAX_INCREASE, 0.02, relative=True),
        Outcome.PASSED,
        "+0.00076, allowed +0.001025",
        delta=BRIER,
        proof=evidence("brier", 0.05127, 0.05203, 0.0003, method="normal"),
        mode=Mode.NONINFERIOR,
    ),
    judged(
        gate("hgb.ks", Rule.MAX_DROP, 0.01),
        Outcome.PASSED,
        "worse by 0.0073, allowed drop 0.01",
        delta=KS,
        mode=Mode.POINT,
    ),
    judged(
        gate("logreg.roc_auc", Rule.MAX_DROP, 0.005),
        Outcome.INCOMPARABLE,
        "the test sets differ: 14,210 of 20,000 ids are on both sides",
        delta=LOGREG,
    ),
    judged(
        gate("model_bytes", Rule.MAX, 5_000_000),
        Outcome.PASSED,
        "1,310,720 must be ≤ 5,000,000",
        delta=BYTES,
        subject=Subject.BUDGET,
        mode=Mode.POINT,
    ),
    judged(
        gate("roc_auc on channel: broker", Rule.MAX_DROP, 0.02),
        Outcome.FAILED,
        "roc_auc on channel: broker is worse by 0.064, allowed drop 0.02, p = 0.002 of 6 slices",
        proof=evidence("roc_auc", 0.771, 0.707, 0.0135, rows=1_830, p_value=0.002),
        subject=Subject.SLICE,
    ),
    judged(
        gate("demographic_parity of sex", Rule.MAX, 0.1),
        Outcome.PASSED,
        "the gap is 0.041, allowed 0.1",
        proof=evidence("demographic_parity", None, 0.041, 0.009, method="normal"),
        subject=Subject.FAIRNESS,
    ),
    judged(
        gate("roc_auc against a dummy", Rule.MIN_GAIN, 0.1),
        Outcome.PASSED,
        "better by 0.2691, required gain 0.1",
        proof=evidence("roc_auc", 0.5, 0.7691, 0.006),
        subject=Subject.BASELINE,
    ),
    judged(
        gate("data/test.parquet", Rule.MAX, 0, severity=Severity.WARN),
        Outcome.WARNED,
        "3 ids stand twice",
        subject=Subject.DATA,
        mode=Mode.POINT,
    ),
)


def sliced(
    measure: str, by: str, name: str, rows: int, base: float, head: float, p_value: float
) -> SliceResult:
    error = 0.5 / math.sqrt(rows)
    return SliceResult(
        measure=measure,
        slice=name,
        by=by,
        rows=rows,
        base=base,
        head=head,
        evidence=evidence(measure, base, head, error, rows=rows, p_value=p_value),
        outcome=Outcome.FAILED if p_value < 0.05 else Outcome.PASSED,
        reason="worse than allowed" if p_value < 0.05 else "",
    )


SLICES = (
    sliced("roc_auc", "channel", "branch", 12_400, 0.785, 0.799, 1.0),
    sliced("roc_auc", "channel", "broker", 1_830, 0.771, 0.707, 0.002),
    sliced("roc_auc", "age", "18 to below 30", 5_770, 0.762, 0.757, 0.61),
    sliced("f1", "channel", "branch", 12_400, 0.335, 0.331, 0.88),
    sliced("f1", "channel", "broker", 1_830, 0.302, 0.281, 0.34),
    sliced("f1", "age", "18 to below 30", 5_770, 0.311, 0.318, 1.0),
    SliceResult(
        measure="roc_auc",
        slice="partner",
        by="channel",
        rows=41,
        base=0.7,
        head=0.6,
        reason="41 rows are fewer than min_rows 100",
    ),
)
FAIRNESS = (
    FairnessResult(
        metric=FairnessMetric.DEMOGRAPHIC_PARITY,
        column="sex",
        rate="chosen",
        rates={"female": 0.312, "male": 0.353},
        rows={"female": 9_120, "male": 10_880},
        base_gap=0.036,
        evidence=evidence("demographic_parity", None, 0.041, 0.009, method="normal"),
    ),
)
EVALUATIONS = (
    EvaluationResult(
        predictions="predictions/hgb.parquet",
        task=Task.BINARY,
        comparable=True,
        base_hash="5f0e",
        head_hash="77ab",
        base_rows=20_000,
        head_rows=20_000,
        common=20_000,
    ),
    EvaluationResult(
        predictions="predictions/logreg.parquet",
        task=Task.BINARY,
        comparable=False,
        reason="the test sets differ",
        base_hash="1d2e",
        head_hash="9c31",
        base_rows=20_000,
        head_rows=18_400,
        common=14_210,
    ),
)


def history(
    delta: MetricDelta, values: tuple[MetricValue | None, ...], *, name: str = ""
) -> MetricHistory:
    points = tuple(
        HistoryPoint(
            sha=f"{place:040x}",
            name=name or f"{place:07x}",
            seconds=1_761_000_000 + 86_400 * place,
            value=value,
            subject=f"Change {place}",
        )
        for place, value in enumerate(values, 1)
    )
    return MetricHistory(key=delta.key, direction=delta.direction, points=points)


HISTORY = (
    history(ROC_AUC, (0.741, 0.752, 0.7612, None, 0.77, 0.7764, 0.7801, 0.7812)),
    history(F1, (0.30, 0.31, 0.322, 0.321, 0.3305, 0.3312)),
    history(BYTES, (1_204_224.0, 1_204_224.0)),
)
PLOT = Plot(
    id="plots/roc.json",
    title="ROC of the test set",
    template="linear",
    x="fpr",
    y="tpr",
    x_label="false positive rate",
    y_label="true positive rate",
    rows=tuple(
        {"fpr": x, "tpr": round(x**power, 4), "rev": rev}
        for rev, power in (("base", 0.30), ("head", 0.32))
        for x in (0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
    ),
)
PICTURE = Picture(path="plots/calibration.png", kind=PictureKind.PNG, base=PNG, head=PNG)


def proven() -> Report:
    """Return a report with evidence, slices, groups, pictures and history; two gates block."""
    return replace(
        good(),
        metrics=EVIDENCE_METRICS,
        gates=EVIDENCE_GATES,
        evaluations=EVALUATIONS,
        slices=SLICES,
        fairness=FAIRNESS,
        plots=(PLOT,),
        pictures=(PICTURE,),
        history=HISTORY,
        waiver_changes=(
            WaiverChange(
                kind=ChangeKind.ADDED,
                waiver=Waiver(
                    gate="hgb.pr_auc", reason="noise", author="ben", expires=date(2026, 1, 31)
                ),
            ),
        ),
    )


def unclear() -> Report:
    """Return a fork's report in which one gate is waived and one cannot be decided."""
    gates = (EVIDENCE_GATES[1], EVIDENCE_GATES[2], *EVIDENCE_GATES[3:5])
    return replace(
        good(), metrics=EVIDENCE_METRICS, gates=gates, evaluations=EVALUATIONS[:1], from_fork=True
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
    "proven": proven,
    "unclear": unclear,
    "hostile": hostile,
}
