"""What predictions, row by row, say of a difference between two models."""

from dataclasses import dataclass

from modelci.domain.evaluation import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """How sure a difference is; every number is in the measure's own unit.

    ``difference`` is head minus base. ``low`` and ``high`` bound it, each one-sided at ``alpha``:
    together a two-sided interval of level 1 − 2·alpha. ``p_value`` is one-sided, of "no worse
    than allowed"; where several are judged together it is adjusted for that. ``detectable`` is
    the smallest true worsening that a test of this level finds 8 times out of 10, counted from
    nothing. ``base`` is None where something is judged by itself (a gap, a dummy).
    """

    measure: str
    method: str
    rows: int
    head: float
    base: float | None = None
    difference: float
    standard_error: float
    low: float
    high: float
    alpha: float
    detectable: float
    p_value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationResult:
    """What became of one pair of predictions; ``reason`` says why they prove nothing.

    ``common`` counts the ids on both sides. ``rescored`` says that the base's model was scored
    anew on the head's test set.
    """

    predictions: str
    task: Task
    comparable: bool
    reason: str | None = None
    base_hash: str | None = None
    head_hash: str | None = None
    base_rows: int | None = None
    head_rows: int | None = None
    common: int | None = None
    rescored: bool = False
