"""Metrics of two revisions, side by side."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from operator import attrgetter


class NonFinite(StrEnum):
    """A metric value that is no number to compare: spelt out, never a raw NaN."""

    NAN = "NaN"
    INFINITY = "Infinity"
    MINUS_INFINITY = "-Infinity"


MetricValue = float | NonFinite
"""What a metrics file may hold at a leaf; booleans and text are not metrics."""


def metric_value(number: float) -> MetricValue:
    """Return ``number`` as a value that JSON can hold."""
    if math.isfinite(number):
        return float(number)
    if math.isnan(number):
        return NonFinite.NAN
    return NonFinite.INFINITY if number > 0 else NonFinite.MINUS_INFINITY


class Direction(StrEnum):
    """Whether a metric gets better when it grows or when it shrinks."""

    HIGHER = "higher"
    LOWER = "lower"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class MetricKey:
    """A metric is named by its file (from the top of the repository) and its dotted name."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDelta:
    """One metric at the base and at the head.

    ``None`` means that the metric does not exist on that side; it never means zero.
    """

    key: MetricKey
    base: MetricValue | None
    head: MetricValue | None
    direction: Direction = Direction.UNKNOWN

    @property
    def change(self) -> float | None:
        """Head minus base, where both are finite numbers."""
        if isinstance(self.base, float) and isinstance(self.head, float):
            return self.head - self.base
        return None

    @property
    def gain(self) -> float | None:
        """The change counted in the metric's good direction: positive is better."""
        if self.change is None or self.direction is Direction.UNKNOWN:
            return None
        return self.change if self.direction is Direction.HIGHER else -self.change

    @property
    def is_changed(self) -> bool:
        """Whether the two sides differ (two NaNs are equal)."""
        return self.base != self.head


def diff_metrics(
    base: Mapping[MetricKey, MetricValue],
    head: Mapping[MetricKey, MetricValue],
    directions: Mapping[str, Direction] | None = None,
) -> tuple[MetricDelta, ...]:
    """Pair the metrics of two revisions, ordered by file and then by name."""
    resolve = DirectionResolver(directions or {})
    # Merging dicts keeps the hashes they hold; a set of their keys would work each out anew.
    return tuple(
        MetricDelta(key=key, base=base.get(key), head=head.get(key), direction=resolve(key))
        for key in sorted({**base, **head}, key=attrgetter("path", "name"))
    )


_LOWER = frozenset(
    """brier brier_score brier_score_loss cost deviance ece error error_rate fall_out fnr fpr
    hamming_loss hinge_loss latency latency_ms log_loss logloss loss mae mape max_error
    mean_absolute_error mean_absolute_percentage_error mean_squared_error
    mean_squared_log_error median_absolute_error mse msle nll perplexity rmse
    root_mean_squared_error rmsle smape wape wer""".split()
)
_HIGHER = frozenset(
    """acc accuracy adjusted_rand_score ap auc auc_pr auc_roc auprc auroc average_precision
    avg_prec balanced_accuracy binary_accuracy bleu categorical_accuracy cohen_kappa dice
    dice_coef dice_coeff explained_variance f1 f1_score f2 f_score fbeta gini iou jaccard
    jaccard_coeff kappa ks map matthews_corrcoef mcc mean_iou miou mrr ndcg npv pr_auc precision
    r2 r2_score recall roc_auc roc_auc_ovo roc_auc_ovr rouge sensitivity silhouette
    sparse_categorical_accuracy specificity tnr top_5_accuracy tpr""".split()
)
_AVERAGES = ("_macro", "_micro", "_weighted", "_samples", "_binary", "_score", "_mean")
_SIDES = ("train_", "training_", "val_", "valid_", "validation_", "test_", "eval_", "dev_", "cv_")


class DirectionResolver:
    """Says of each metric whether higher or lower is better.

    The configuration decides, by the first of its patterns that ``matches``, in the order
    written; else the names that the field uses.
    """

    def __init__(self, configured: Mapping[str, Direction]) -> None:
        self._configured = configured

    def __call__(self, key: MetricKey) -> Direction:
        for pattern, direction in self._configured.items():
            if matches(pattern, key):
                return direction
        return known_direction(key.name)


def known_direction(name: str) -> Direction:
    """Return the direction that the field's own name for a metric implies.

    ``test.roc_auc``, ``val_roc_auc`` and ``f1_macro`` are read as ``roc_auc`` and ``f1``;
    a scikit-learn scorer's ``neg_`` prefix turns a loss into something to maximise.
    """
    return _known_direction(name.rsplit(".", 1)[-1])


@lru_cache(maxsize=4096)  # thousands of metrics share a few names
def _known_direction(last: str) -> Direction:
    last = last.lower().replace("-", "_").replace(" ", "_")
    for prefix in _SIDES:
        last = last.removeprefix(prefix)
    if last.startswith("neg_") and known_direction(last[4:]) is Direction.LOWER:
        return Direction.HIGHER
    candidates = [last, *(last.removesuffix(ending) for ending in _AVERAGES)]
    if any(candidate in _LOWER for candidate in candidates):
        return Direction.LOWER
    if any(candidate in _HIGHER for candidate in candidates):
        return Direction.HIGHER
    return Direction.UNKNOWN


def matches(pattern: str, key: MetricKey) -> bool:
    """Whether a configured pattern means this metric.

    ``roc_auc`` means that last part of a name, ``test.roc_auc`` that whole name,
    ``metrics/*.json:roc_auc`` also says which file; ``*``, ``?`` and ``[]`` are globs.
    """
    if pattern.isidentifier():  # the usual form, by the shortest way: no glob, dot or colon in it
        return key.name == pattern or key.name.endswith(f".{pattern}")
    if pattern in {key.name, str(key)}:  # names may hold what else is a glob or a colon: f1[macro]
        return True
    path_pattern, colon, name_pattern = pattern.rpartition(":")
    if colon and not fnmatchcase(key.path, path_pattern):
        return False
    return fnmatchcase(key.name, name_pattern) or (
        "." not in name_pattern and fnmatchcase(key.name.rsplit(".", 1)[-1], name_pattern)
    )
