"""Watched windows to render: what a year of a credit model can bring.

Distributions are made of quantiles of the normal distribution, so that a window of 4,000 rows is
the same on every machine. What ``analysis`` and ``domain.watching`` would say of them is written
down here in short: a renderer's test rests on values alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from statistics import NormalDist

from scipy.special import chdtrc

from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Severity, Subject, Threshold
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, known_direction
from modelci.domain.monitoring import (
    Action,
    ActionKind,
    ColumnDrift,
    Estimate,
    Monitoring,
    Performance,
    Skew,
    TriggerKind,
    Watched,
)
from modelci.domain.profile import (
    CategoryProfile,
    ColumnKind,
    ColumnProfile,
    NumberProfile,
    Realised,
)

ROWS, NOW = 20_000, 4_000
BINS = 50
COMMIT = "9f2c41d0aa5b7c38e1d64f0b2a9c7e5d13f8b604"
RUN_URL = "https://github.com/acme/credit/actions/runs/5123456789"
FORGE = "https://github.com/acme/credit"
WATCHED = Watched(
    artifact="credit",
    stage="prod",
    version="v1.4.0",
    tag="credit#prod#7",
    commit=COMMIT,
    age_days=41.2,
)
NORMAL = NormalDist()

# -- profiles ----------------------------------------------------------------------------------

Quantile = Callable[[float], float]
"""A column's value for a standard normal one."""

NUMBERS: Mapping[str, tuple[str, Quantile]] = {
    "income_eur": ("double", lambda z: round(math.exp(7.9 + 0.45 * z), 2)),
    "age": ("int64", lambda z: float(round(18 + 60 * NORMAL.cdf(z - 0.3)))),
    "employment_years": ("double", lambda z: round(40 * NORMAL.cdf(0.9 * z - 1.1), 1)),
    "utilisation": ("double", lambda z: round(1 / (1 + math.exp(-1.4 * z + 0.9)), 4)),
    "amount_eur": ("double", lambda z: round(math.exp(9.1 + 0.7 * z), 2)),
}
CATEGORIES: Mapping[str, tuple[ColumnKind, Mapping[str, float]]] = {
    "purpose": (
        ColumnKind.CATEGORY,
        {"car": 0.31, "furniture": 0.24, "education": 0.17, "repair": 0.15, "travel": 0.13},
    ),
    "channel": (ColumnKind.CATEGORY, {"online": 0.52, "branch": 0.33, "broker": 0.15}),
    "has_mortgage": (ColumnKind.BOOLEAN, {"false": 0.62, "true": 0.38}),
}


def counted(edges: Sequence[float], weights: Sequence[float], rows: int) -> tuple[int, ...]:
    """Return whole counts by weight that add up to ``rows``."""
    steps = [round(rows * total) for total in accumulate(weights, initial=0.0)]
    return tuple(after - before for before, after in pairwise(steps))


def number(
    quantile: Quantile, *, rows: int, shift: float = 0.0, spread: float = 1.0
) -> NumberProfile:
    """Return a normal value, moved and stretched, seen through ``quantile`` at the edges."""
    ends = [NORMAL.inv_cdf(max(1e-4, min(1 - 1e-4, place / BINS))) for place in range(BINS + 1)]
    kept: list[tuple[float, float]] = []  # the z of an edge, and the edge: no two are equal
    for z in ends:
        if not kept or quantile(z) > kept[-1][1]:
            kept.append((z, quantile(z)))
    edges = tuple(edge for _, edge in kept)
    moved = NormalDist(shift, spread)
    parts = [moved.cdf(z) for z, _ in kept]
    parts[0], parts[-1] = min(parts[0], 1e-3), max(parts[-1], 1 - 1e-3)
    below, above = round(rows * parts[0]), round(rows * (1 - parts[-1]))
    inner = rows - below - above
    total = parts[-1] - parts[0]
    weights = [(after - before) / total for before, after in pairwise(parts)]
    counts = counted(edges, weights, inner)
    low, high = (quantile(shift + side * 3.6 * spread) for side in (-1, 1))
    return NumberProfile(
        edges=edges,
        counts=counts if rows != ROWS else (counts[0] + below, *counts[1:-1], counts[-1] + above),
        below=0 if rows == ROWS else below,
        above=0 if rows == ROWS else above,
        min=edges[0] if rows == ROWS else min(low, edges[0]) if below else max(low, edges[0]),
        max=edges[-1] if rows == ROWS else max(high, edges[-1]) if above else min(high, edges[-1]),
    )


def category(shares: Mapping[str, float], *, rows: int) -> CategoryProfile:
    counts = counted((), [*shares.values()], rows)
    return CategoryProfile(values=tuple(shares), counts=counts, distinct=len(shares))


def column(
    name: str,
    kind: ColumnKind,
    dtype: str,
    rows: int,
    *,
    missing: float = 0.0,
    number: NumberProfile | None = None,
    category: CategoryProfile | None = None,
) -> ColumnProfile:
    return ColumnProfile(
        name=name,
        kind=kind,
        dtype=dtype,
        rows=rows,
        missing=round(rows * missing),
        number=number,
        category=category,
    )


# -- drift -------------------------------------------------------------------------------------


def compared(before: ColumnProfile, now: ColumnProfile | None, *, tests: int = 10) -> ColumnDrift:
    """Return what the counts of two profiles say of a difference, in short."""
    if now is None or before.kind is ColumnKind.IDENTIFIER:
        note = "an identifier: its values are not compared" if now else "not in the window"
        return ColumnDrift(name=before.name, reference=before, current=now, note=note)
    names = list({**_by_value(before.category), **_by_value(now.category)})
    counts = [_counts(one, names) for one in (before, now)]
    shares = [[max(one, 0.5) / sum(side) for one in side] for side in counts]
    gaps = list(accumulate(one - other for one, other in zip(*shares, strict=True)))
    is_number = before.number is not None
    known = _by_value(before.category)
    current = _by_value(now.category)
    return ColumnDrift(
        name=before.name,
        reference=before,
        current=now,
        psi=sum((q - p) * math.log(q / p) for p, q in zip(*shares, strict=True)),
        ks=max(map(abs, gaps)) if is_number else None,
        wasserstein=2.2 * max(map(abs, gaps)) if is_number else None,
        jensen_shannon=_jensen_shannon(*shares),
        cramers_v=math.sqrt(sum((p - q) ** 2 / (p + q) for p, q in zip(*shares, strict=True)) / 2),
        p_value=min(1.0, tests * _p_value(*counts)),
        missing_before=before.missing / before.rows,
        missing_now=now.missing / now.rows,
        new={name: count / now.rows for name, count in current.items() if name not in known},
        lost={name: count / before.rows for name, count in known.items() if not current.get(name)},
    )


def _by_value(one: CategoryProfile | None) -> dict[str, int]:
    return dict(zip(one.values, one.counts, strict=True)) if one else {}


def _counts(one: ColumnProfile, names: Sequence[str]) -> list[float]:
    if one.number:
        inner = [sum(one.number.counts[at : at + 5]) for at in range(0, len(one.number.counts), 5)]
        return [*map(float, inner), float(one.number.below + one.number.above), float(one.missing)]
    assert one.category
    found = dict(zip(one.category.values, one.category.counts, strict=True))
    return [*(float(found.get(name, 0)) for name in names), float(one.missing)]


def _jensen_shannon(before: Sequence[float], now: Sequence[float]) -> float:
    middle = [(p + q) / 2 for p, q in zip(before, now, strict=True)]
    sides = (
        sum(one * math.log2(one / half) for one, half in zip(side, middle, strict=True))
        for side in (before, now)
    )
    return math.sqrt(max(0.0, sum(sides) / 2))


def _p_value(before: Sequence[float], now: Sequence[float]) -> float:
    total = sum(before) + sum(now)
    statistic, cells = 0.0, 0
    for pair in zip(before, now, strict=True):
        if sum(pair) < 10:
            continue
        cells += 1
        for seen, side in zip(pair, (before, now), strict=True):
            expected = sum(pair) * sum(side) / total
            statistic += (seen - expected) ** 2 / expected
    return float(chdtrc(max(1, cells - 1), statistic))


def columns(
    *,
    rows: int = NOW,
    shifts: Mapping[str, tuple[float, float]] | None = None,
    missing: Mapping[str, float] | None = None,
    shares: Mapping[str, Mapping[str, float]] | None = None,
) -> tuple[ColumnDrift, ...]:
    """Return the ten columns of a window; ``shifts`` are by mean and standard deviation."""
    found = [
        compared(
            column("application_id", ColumnKind.IDENTIFIER, "string", ROWS),
            column("application_id", ColumnKind.IDENTIFIER, "string", rows),
        )
    ]
    for name, (dtype, quantile) in NUMBERS.items():
        shift, spread = (shifts or {}).get(name, (0.01, 1.0))
        gap = 0.02 if name in {"income_eur", "utilisation"} else 0.0
        before = number(quantile, rows=ROWS)
        now = number(quantile, rows=rows, shift=shift, spread=spread)
        found.append(
            compared(
                column(name, ColumnKind.NUMBER, dtype, ROWS, missing=gap, number=before),
                column(
                    name,
                    ColumnKind.NUMBER,
                    dtype,
                    rows,
                    missing=(missing or {}).get(name, gap),
                    number=now,
                ),
            )
        )
    for name, (kind, usual) in CATEGORIES.items():
        dtype = "bool" if kind is ColumnKind.BOOLEAN else "string"
        now_shares = (shares or {}).get(name, usual)
        found.append(
            compared(
                column(name, kind, dtype, ROWS, category=category(usual, rows=ROWS)),
                column(name, kind, dtype, rows, category=category(now_shares, rows=rows)),
            )
        )
    found.append(applied(rows))
    return tuple(found)


def applied(rows: int) -> ColumnDrift:
    """Return the day of the application, which moves on by itself: it is not judged."""
    start, days = 1_735_689_600.0, 365 * 86_400.0  # 2025-01-01, and a year
    edges = tuple(start + days * place / BINS for place in range(BINS + 1))
    before = NumberProfile(edges=edges, counts=(ROWS // BINS,) * BINS, min=edges[0], max=edges[-1])
    now = NumberProfile(
        edges=edges,
        counts=(0,) * BINS,
        above=rows,
        min=edges[-1],
        max=edges[-1] + 30 * 86_400,
    )
    return compared(
        column("applied_on", ColumnKind.DATETIME, "date32[day]", ROWS, number=before),
        column("applied_on", ColumnKind.DATETIME, "date32[day]", rows, number=now),
    )


def scores(*, rows: int = NOW, shift: float = 0.01, spread: float = 1.0) -> ColumnDrift:
    def quantile(z: float) -> float:
        return round(1 / (1 + math.exp(2.7 - 1.1 * z)), 5)

    return compared(
        column("score", ColumnKind.NUMBER, "double", ROWS, number=number(quantile, rows=ROWS)),
        column(
            "score",
            ColumnKind.NUMBER,
            "double",
            rows,
            number=number(quantile, rows=rows, shift=shift, spread=spread),
        ),
    )


# -- gates -------------------------------------------------------------------------------------


def drift_gates(
    found: Sequence[ColumnDrift], *, warn: float = 0.1, fail: float = 0.25
) -> tuple[GateResult, ...]:
    """Return what drifted, and one result for the rest."""
    dates = ColumnKind.DATETIME
    judged = [one for one in found if one.p_value is not None and one.reference.kind is not dates]
    bad = [one for one in judged if (one.psi or 0) >= warn and (one.p_value or 0) < 0.01]
    results = [
        _failed(
            f"psi of {one.name}",
            f"{one.psi:.3g}, below {limit:g} wanted, p < 0.0001",
            limit,
            fails=limit == fail,
        )
        for one in bad
        for limit in [fail if (one.psi or 0) >= fail else warn]
    ]
    other = "the other " if bad else ""
    rest = f"{other}{len(judged) - len(bad)} of {len(judged)} distributions are as they were"
    return (*results, _gate("drift", rest, Outcome.PASSED, Subject.DRIFT))


def _failed(
    metric: str, reason: str, limit: float, *, fails: bool, subject: Subject = Subject.DRIFT
) -> GateResult:
    return GateResult(
        gate=Gate(
            metric=metric,
            rule=Rule.MAX,
            threshold=Threshold(value=limit),
            severity=Severity.BLOCK if fails else Severity.WARN,
        ),
        outcome=Outcome.FAILED if fails else Outcome.WARNED,
        reason=reason,
        subject=subject,
    )


def _gate(metric: str, reason: str, outcome: Outcome, subject: Subject) -> GateResult:
    return GateResult(
        gate=Gate(metric=metric, rule=Rule.MAX, threshold=Threshold(value=0.0)),
        outcome=outcome,
        reason=reason,
        subject=subject,
    )


SCHEMA_HOLDS = _gate("schema", "31 of 31 checks hold", Outcome.PASSED, Subject.SCHEMA)
AGE_HOLDS = _gate("age", "41 days old, 90 allowed", Outcome.PASSED, Subject.AGE)


def performance_gate(one: Performance, *, max_drop: float = 0.03) -> GateResult:
    now = one.realised or one.estimated
    assert one.reference
    assert now
    drop = one.reference.value - now.value
    if known_direction(one.measure) is Direction.LOWER:
        drop = -drop
    outcome = Outcome.FAILED if drop > max_drop else Outcome.PASSED
    said = f"worse by {drop:.3g}" if drop > 0 else f"better by {-drop:.3g}"
    return GateResult(
        gate=Gate(metric=one.measure, rule=Rule.MAX_DROP, threshold=Threshold(value=max_drop)),
        outcome=outcome,
        reason=f"{said}, allowed drop {max_drop:g}"
        + (", p < 0.0001" if outcome is Outcome.FAILED else ""),
        key=MetricKey(path="", name=one.measure),
        delta=MetricDelta(
            key=MetricKey(path="", name=one.measure),
            base=one.reference.value,
            head=now.value,
            direction=known_direction(one.measure),
        ),
        subject=Subject.PERFORMANCE,
    )


def performance(
    *, realised: float | None = None, estimated: float | None = 0.779, labelled: int = 3_650
) -> tuple[Performance, ...]:
    """Return the area under the curve, and a Brier score that goes with it."""
    auc = Performance(
        measure="roc_auc",
        reference=Realised(value=0.7812, low=0.7689, high=0.7935, rows=4_000),
        realised=None
        if realised is None
        else Realised(value=realised, low=realised - 0.019, high=realised + 0.019, rows=labelled),
        estimated=None
        if estimated is None
        else Estimate(
            method="cbpe", value=estimated, low=estimated - 0.016, high=estimated + 0.016, rows=NOW
        ),
    )
    brier = Performance(
        measure="brier",
        reference=Realised(value=0.0912, low=0.0878, high=0.0946, rows=4_000),
        realised=None
        if realised is None
        else Realised(
            value=round(0.0912 + (0.7812 - realised) / 4, 4),
            low=round(0.0872 + (0.7812 - realised) / 4, 4),
            high=round(0.0952 + (0.7812 - realised) / 4, 4),
            rows=labelled,
        ),
        estimated=None
        if estimated is None
        else Estimate(method="cbpe", value=0.0917, low=0.0885, high=0.0949, rows=NOW),
    )
    return auc, brier


# -- windows -----------------------------------------------------------------------------------


def window(
    month: str,
    *,
    rows: int = NOW,
    found: tuple[ColumnDrift, ...] | None = None,
    score: ColumnDrift | None = None,
    chosen: float = 0.121,
    measured: tuple[Performance, ...] = (),
    labelled: int = 0,
    more: tuple[GateResult, ...] = (),
    actions: tuple[Action, ...] = (),
    notes: tuple[str, ...] = (),
    watched: Watched = WATCHED,
    skew: Skew | None = None,
) -> Monitoring:
    found = columns(rows=rows) if found is None else found
    score = score or scores(rows=rows)
    judged = [performance_gate(one) for one in measured if one.measure == "roc_auc"]
    return Monitoring(
        watched=watched,
        window=month,
        current=f"s3://acme-scored/credit/{month}.parquet",
        created=f"{month}-28T04:17:09Z",
        version="0.9.0",
        rows=rows,
        labelled=labelled,
        columns=found,
        scores=score,
        chosen_before=0.1204,
        chosen_now=chosen,
        performance=measured,
        skew=skew,
        gates=(*drift_gates([*found, score]), SCHEMA_HOLDS, *judged, *more, AGE_HOLDS),
        actions=actions,
        notes=notes,
        run_url=RUN_URL,
    )


def quiet() -> Monitoring:
    """A month as the reference was; its outcomes have arrived."""
    return window(
        "2026-03",
        measured=performance(realised=0.7774),
        labelled=3_650,
        skew=Skew(rows=200, differing=0, worst=0.0),
    )


def warned() -> Monitoring:
    """Incomes rise a little, and more of them are missing; no outcome is known yet."""
    return window(
        "2026-04",
        found=columns(
            shifts={"income_eur": (0.3, 1.05), "amount_eur": (0.12, 1.0)},
            missing={"income_eur": 0.055},
        ),
        score=scores(shift=0.06),
        chosen=0.129,
        measured=performance(estimated=0.774),
    )


def drifted() -> Monitoring:
    """A partner brings other applicants through a new channel; a retraining is asked for."""
    return window(
        "2026-05",
        found=columns(
            shifts={
                "income_eur": (-0.62, 1.1),
                "age": (-0.38, 1.0),
                "employment_years": (-0.5, 1.05),
                "utilisation": (0.33, 1.0),
                "amount_eur": (0.2, 1.0),
            },
            missing={"income_eur": 0.084, "utilisation": 0.061},
            shares={
                "channel": {"online": 0.38, "branch": 0.23, "broker": 0.1, "partner": 0.29},
                "purpose": {
                    "car": 0.28,
                    "furniture": 0.27,
                    "education": 0.16,
                    "repair": 0.16,
                    "travel": 0.13,
                },
            },
        ),
        score=scores(shift=0.55, spread=1.1),
        chosen=0.238,
        measured=performance(estimated=0.7531),
        actions=(
            Action(
                kind=ActionKind.RETRAIN_PR,
                trigger=TriggerKind.DRIFT,
                reason="drift: psi of channel, psi of income_eur; in 2 windows in a row",
                url=f"{FORGE}/pull/118",
                done="opened",
            ),
            Action(
                kind=ActionKind.ISSUE,
                trigger=TriggerKind.DRIFT,
                reason="drift: psi of channel, psi of income_eur",
                url=f"{FORGE}/issues/117",
                done="updated",
            ),
        ),
        notes=("2 of 31 files of the window were still being written and were left out.",),
    )


def concept() -> Monitoring:
    """Nothing drifts, but the labels are others: the estimate cannot see it."""
    return window(
        "2026-06",
        measured=performance(realised=0.7038, estimated=0.7768),
        labelled=3_650,
        skew=Skew(rows=200, differing=0, worst=0.0),
        actions=(
            Action(
                kind=ActionKind.RETRAIN_PR,
                trigger=TriggerKind.PERFORMANCE,
                reason="performance: roc_auc",
                held_back="cooling down until 2026-07-05 04:17 UTC: 2026-05 asked for one",
            ),
        ),
    )


def too_few() -> Monitoring:
    """A week in which hardly anybody applied."""
    found = columns(rows=120)
    reason = "not enough data: 120 rows, at least 300 wanted"
    small = window("2026-07", rows=120, found=found, score=scores(rows=120), chosen=0.133)
    return replace(
        small,
        gates=tuple(
            _gate(name, reason, Outcome.INCONCLUSIVE, subject)
            for name, subject in (("drift", Subject.DRIFT), ("schema", Subject.SCHEMA))
        ),
    )


EVIL = (
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a|b`c``d` **bold** @everyone #1 ::error::x",
    "right\u202eto\x1b[31mleft\nline",
    "",
    "x" * 300,
    "=cmd|'/C calc'!A0 </details> <!-- modelci:report -->",
)


def hostile() -> Monitoring:
    """Names and values that try to be something else, and numbers that are none."""
    base = drifted()
    first = base.columns[1]
    assert first.reference.number
    assert first.current
    odd = [replace(first, name=name, note=f"note {name}") for name in EVIL]
    wild = compared(
        column(
            EVIL[0], ColumnKind.CATEGORY, "string", ROWS, category=category({"a": 1.0}, rows=ROWS)
        ),
        column(
            EVIL[0],
            ColumnKind.CATEGORY,
            "string",
            NOW,
            category=category({name: 1 / len(EVIL) for name in EVIL}, rows=NOW),
        ),
    )
    empty = NumberProfile(edges=(), counts=())
    constant = NumberProfile(edges=(3.0, 3.0), counts=(ROWS,), min=3.0, max=3.0)
    huge = NumberProfile(edges=(-1.7e308, 0.0, 1.7e308), counts=(9, 9), min=-1.7e308, max=1.7e308)
    numbers = [
        ColumnDrift(
            name=name,
            reference=column(name, ColumnKind.NUMBER, "double", ROWS, number=profile),
            current=column(name, ColumnKind.NUMBER, "double", NOW, number=profile),
            psi=psi,
            p_value=p_value,
        )
        for name, profile, psi, p_value in (
            ("empty", empty, None, None),
            ("constant", constant, 0.0, 1.0),
            ("huge", huge, math.inf, math.nan),
        )
    ]
    gone = ColumnDrift(name="gone", reference=first.reference, current=None, note="not there")
    return replace(
        base,
        watched=replace(base.watched, artifact=EVIL[0], stage=EVIL[1], version=EVIL[2]),
        window=EVIL[5],
        current=f"s3://key:secret@bucket/{EVIL[1]}",
        columns=(*odd, wild, *numbers, gone),
        scores=None,
        performance=tuple(replace(one, measure=EVIL[0]) for one in base.performance),
        gates=tuple(
            _failed(f"psi of {name}", f"because {name}", 0.25, fails=True) for name in EVIL[:3]
        ),
        actions=(
            Action(
                kind=ActionKind.ISSUE,
                trigger=TriggerKind.DRIFT,
                reason=EVIL[1],
                done=EVIL[5],
                url="javascript:alert(1)",
            ),
        ),
        notes=EVIL,
        run_url="javascript:alert(1)",
    )


def unwatched() -> Monitoring:
    """A window of a model for which nothing is asked, not even by a version."""
    return Monitoring(
        watched=Watched(artifact="credit", stage=None, version=None, tag=None, commit=None),
        window="2026-08",
        current="data/scored",
        created="2026-08-28T04:17:09Z",
        version="0.9.0",
        rows=0,
    )


CASES: Mapping[str, Callable[[], Monitoring]] = {
    "quiet": quiet,
    "warned": warned,
    "drifted": drifted,
    "concept": concept,
    "too_few": too_few,
    "hostile": hostile,
    "unwatched": unwatched,
}


def year() -> tuple[Monitoring, ...]:
    """Return the windows up to the last one of ``CASES`` that belongs to them."""
    early = [
        window(
            month,
            measured=performance(realised=auc),
            labelled=3_600,
            found=columns(shifts={"income_eur": (shift, 1.0), "age": (shift / 2, 1.0)}),
            watched=replace(WATCHED, version=version),
        )
        for month, auc, shift, version in (
            ("2025-11", 0.7801, 0.02, "v1.3.2"),
            ("2025-12", 0.7822, 0.05, "v1.3.2"),
            ("2026-01", 0.7790, 0.04, "v1.4.0"),
            ("2026-02", 0.7768, 0.09, "v1.4.0"),
        )
    ]
    return (*early, quiet(), warned(), drifted(), concept(), too_few())


def before(this: Monitoring) -> tuple[Monitoring, ...]:
    """Return the windows of ``year`` that lie before one."""
    return tuple(one for one in year() if one.window < this.window)


def renamed(one: Monitoring, names: Mapping[str, str], *, artifact: str) -> Monitoring:
    """Return a window in which some columns, and the model, are called otherwise."""
    return replace(
        one,
        watched=replace(one.watched, artifact=artifact),
        columns=tuple(
            replace(drift, name=names.get(drift.name, drift.name)) for drift in one.columns
        ),
    )
