"""How a change is judged: gates, slices, fairness, budgets, the baseline and the data."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from modelci.config.model.values import parse_bytes, parse_tolerance, require_finite
from modelci.domain.evaluation import ColumnRule, FairnessMetric, Mode, SliceBy
from modelci.domain.gates import (
    Gate,
    Limit,
    Rule,
    Severity,
    Threshold,
    WhenMissing,
    WhenUnclear,
    parse_limit,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """One or more limits on the metrics that ``metric`` means.

    ``metric`` is a metric's name (``roc_auc``), dotted name (``test.roc_auc``), or either behind
    a file (``metrics/hgb.json:roc_auc``); globs are allowed. ``mode`` (of the limits that compare
    with the base) is by default the evaluation's. With ``branches`` (globs) it is a gate of pull
    requests from these branches alone.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: Limit | None = None
    max_increase: Limit | None = None
    min_gain: Limit | None = None
    severity: Severity = Severity.BLOCK
    missing: WhenMissing = WhenMissing.FAIL
    mode: Mode | None = None
    inconclusive: WhenUnclear = WhenUnclear.WARN
    incomparable: WhenUnclear = WhenUnclear.WARN
    branches: tuple[str, ...] = ()

    def gates(self) -> tuple[Gate, ...]:
        """Return a gate for each limit; ValueError where a limit (or every limit) is wrong."""
        limits = {rule: getattr(self, rule.value) for rule in Rule}
        found = tuple(
            Gate(
                metric=self.metric,
                rule=rule,
                threshold=parse_limit(limit),
                severity=self.severity,
                missing=self.missing,
                mode=self.mode if rule.is_relative_to_base else None,
                inconclusive=self.inconclusive,
                incomparable=self.incomparable,
            )
            for rule, limit in limits.items()
            if limit is not None
        )
        if not found:
            raise ValueError(f"it has no limit: give one of {', '.join(Rule)}")
        if self.mode is not None and not any(gate.rule.is_relative_to_base for gate in found):
            raise ValueError("a mode is for limits that compare with the base, such as max_drop")
        if not all(math.isfinite(gate.threshold.value) for gate in found):
            raise ValueError("a limit must be a finite number")
        if any(gate.rule.is_relative_to_base and gate.threshold.value < 0 for gate in found):
            raise ValueError("a change's limit is never negative: max_drop: 0.01 allows 0.01 worse")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesConfig:
    """No slice of the test set may get worse by more than ``max_drop``, in any of ``metrics``.

    ``by`` holds columns of the predictions file, or columns with bins, or queries. A slice with
    fewer rows than ``min_rows`` is not judged. ``alpha`` is shared by all slices (Holm).
    """

    by: tuple[str | SliceBy, ...] = ()
    metrics: tuple[str, ...] = ()
    max_drop: Limit = 0.01
    min_rows: int = 100
    alpha: float = 0.05
    severity: Severity = Severity.BLOCK

    def gate(self, measure: str) -> Gate:
        """Return the gate that all slices share for a measure; ValueError for a wrong limit."""
        return Gate(
            metric=f"{measure} on slices",
            rule=Rule.MAX_DROP,
            threshold=parse_tolerance(self.max_drop),
            severity=self.severity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessConfig:
    """The widest gap between groups of ``column`` in that rate may be at most ``max``."""

    column: str
    metric: FairnessMetric
    max: float
    min_rows: int = 30
    mode: Mode = Mode.EVIDENCE
    severity: Severity = Severity.BLOCK

    def gate(self) -> Gate:
        """Return the gate."""
        return Gate(
            metric=f"{self.metric} of {self.column}",
            rule=Rule.MAX,
            threshold=Threshold(value=self.max),
            severity=self.severity,
            mode=self.mode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """What the model may cost: the bytes of ``path`` (as DVC records them), or a metric."""

    path: str | None = None
    max_bytes: int | str | None = None
    metric: str | None = None
    max: float | None = None
    max_increase: Limit | None = None
    severity: Severity = Severity.BLOCK

    def gates(self) -> tuple[Gate, ...]:
        """Return a gate for each limit; ValueError where what it says means nothing.

        A path's size is judged as the metric ``bytes`` of that file.
        """
        if (self.path is None) == (self.metric is None):
            raise ValueError("it takes either a path or a metric")
        if self.path is not None and self.max is not None:
            raise ValueError("what a path's bytes may be is max_bytes")
        if self.metric is not None and self.max_bytes is not None:
            raise ValueError("max_bytes is for a path; a metric has max")
        most = self.max if self.max_bytes is None else parse_bytes(self.max_bytes)
        found = []
        if most is not None:
            found.append(self._gate(Rule.MAX, Threshold(value=require_finite(most))))
        if self.max_increase is not None:
            found.append(self._gate(Rule.MAX_INCREASE, parse_tolerance(self.max_increase)))
        if not found:
            limit = "max_bytes" if self.metric is None else "max"
            raise ValueError(f"it has no limit: give {limit} or max_increase")
        return tuple(found)

    def _gate(self, rule: Rule, threshold: Threshold) -> Gate:
        return Gate(
            metric=self.metric or f"{self.path}:{BYTES}",
            rule=rule,
            threshold=threshold,
            severity=self.severity,
            mode=Mode.POINT if rule.is_relative_to_base else None,
        )


BYTES = "bytes"
"""What the size of a file is called among its metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineConfig:
    """The head must beat a dummy that knows only the targets, by ``min_gain``, in ``metrics``."""

    metrics: tuple[str, ...] = ()
    min_gain: float = 0.0
    severity: Severity = Severity.BLOCK

    def gate(self, measure: str) -> Gate:
        """Return the gate of a measure."""
        return Gate(
            metric=f"{measure} against a dummy",
            rule=Rule.MIN_GAIN,
            threshold=Threshold(value=self.min_gain),
            severity=self.severity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What holds for a dataset: its rows, its columns, unique ids, and no id of the other files.

    ``disjoint_from`` are files (the training set's) that may share no ``id`` with this one.
    """

    path: str
    id: str | None = None
    min_rows: int | None = None
    max_rows: int | None = None
    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    only_these_columns: bool = False
    disjoint_from: tuple[str, ...] = ()
    severity: Severity = Severity.BLOCK

    def gate(self, check: str) -> Gate:
        """Return the gate of one check: no row may break it."""
        return Gate(
            metric=f"{self.path}: {check}",
            rule=Rule.MAX,
            threshold=Threshold(value=0.0),
            severity=self.severity,
        )
