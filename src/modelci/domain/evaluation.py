"""How models are evaluated beyond their metrics files: predictions, slices, groups, budgets, data.

These values are both what ``modelci.yaml`` says and what the analysis is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Label = str | int | float | bool


class Task(StrEnum):
    """What a model predicts."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


class Mode(StrEnum):
    """How a gate that compares with the base treats chance.

    ``point`` compares two numbers. ``evidence`` fails what is worse by more than allowed, and
    provably so. ``noninferior`` fails what is not proven to be no worse than allowed.
    ``superior`` fails what is not proven to be better (by more than the required gain).
    """

    POINT = "point"
    EVIDENCE = "evidence"
    NONINFERIOR = "noninferior"
    SUPERIOR = "superior"


@dataclass(frozen=True, slots=True, kw_only=True)
class CostMatrix:
    """What each kind of answer costs per row, in any one currency; a gain is negative."""

    true_positive: float = 0.0
    false_positive: float = 1.0
    false_negative: float = 1.0
    true_negative: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescore:
    """How to score the base's model on the head's test set, where the test sets differ.

    ``cmd`` runs in the head's work tree. ``files`` of the base (its model) are laid, by their own
    paths, into the folder that ``MODELCI_BASE`` names; predictions go to ``MODELCI_OUT``, a file
    with the ending of the evaluation's predictions.
    """

    cmd: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Predictions of the test set, one row each, tracked by DVC or Git.

    ``score`` is the probability of ``positive`` (binary), the prediction (regression), or a column
    for each class (multiclass). ``prediction`` is a column of hard labels, where the score and
    ``threshold`` do not make them. ``metrics`` is one metric's name or glob (as in a gate), or a
    list of them: which metrics these predictions are behind; by default all whose values they
    reproduce. ``alpha`` is the one-sided error allowed. ``retrain_sd`` is how much a metric differs
    (standard deviation) between trainings that nothing but chance tells apart. ``slices``
    says whether slices and groups (fairness) are judged on them, ``baseline`` whether they are
    compared with a dummy's.
    """

    predictions: str
    id: str = "id"
    target: str = "y_true"
    score: str | Mapping[str, str] = "score"
    prediction: str | None = None
    task: Task = Task.BINARY
    positive: Label = 1
    threshold: float = 0.5
    metrics: str | tuple[str, ...] | None = None
    mode: Mode = Mode.EVIDENCE
    alpha: float = 0.05
    resamples: int = 2000
    seed: int = 0
    bins: int = 10
    cost: CostMatrix | None = None
    retrain_sd: Mapping[str, float] = field(default_factory=dict)
    rescore: Rescore | None = None
    slices: bool = True
    baseline: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceBy:
    """Slices by the values of ``column``, by ``bins`` of it, or the rows that a ``query`` means.

    ``bins`` are edges, or a number of quantiles. A query holds comparisons, ``and``, ``or``,
    ``not`` and ``in``, and nothing that could run code.
    """

    column: str | None = None
    bins: tuple[float, ...] | int | None = None
    query: str | None = None
    name: str | None = None


class FairnessMetric(StrEnum):
    """Which rate is to be alike in all groups: of those chosen, of hits, or of hits and misses."""

    DEMOGRAPHIC_PARITY = "demographic_parity"
    EQUAL_OPPORTUNITY = "equal_opportunity"
    EQUALIZED_ODDS = "equalized_odds"


class ColumnType(StrEnum):
    """What a column of a dataset holds."""

    NUMBER = "number"
    INTEGER = "integer"
    STRING = "string"
    BOOLEAN = "boolean"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRule:
    """What holds for each value of a column; ``max_missing`` is a share of the rows."""

    type: ColumnType | None = None
    min: float | None = None
    max: float | None = None
    values: tuple[Label, ...] | None = None
    max_missing: float | None = None
    unique: bool = False
