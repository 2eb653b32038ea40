"""The reference profile: what a model was trained on, and what it answered, in a small document.

It is made of counts, so that two profiles over the same edges add up exactly, in any order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

BINS = 50
"""How many bins of equal counts a number's reference has; statistics may join neighbours."""

MOST_CATEGORIES = 100
"""How many values of a category are kept by name; the rest are counted as OTHER."""


class ColumnKind(StrEnum):
    """How a column is watched; ``empty`` has no value at all, an ``identifier`` almost only new."""

    NUMBER = "number"
    CATEGORY = "category"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    IDENTIFIER = "identifier"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberProfile:
    """Finite numbers: ``counts`` (k,) between ``edges`` (k + 1,); the last bin holds both edges.

    A bin holds its left edge and not its right one. ``below`` and ``above`` lie outside the edges
    (of a reference: none); ``infinite`` are counted apart. Times are seconds since 1970, UTC.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int = 0
    above: int = 0
    infinite: int = 0
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryProfile:
    """Values with their counts, the most frequent first; ``other`` rows have another value.

    ``distinct`` is how many values there were, or, where there were too many to count, at least. Of
    a window the reference's values come first, in its order and if only with 0, and then what it
    does not name.
    """

    values: tuple[str, ...]
    counts: tuple[int, ...]
    other: int = 0
    distinct: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One column; ``dtype`` is Arrow's name of its type (several: joined by ``|``).

    ``missing`` counts nulls and NaN, and all rows of files without the column. ``mistyped`` counts
    values that cannot be of its kind, such as text among numbers.
    """

    name: str
    kind: ColumnKind
    dtype: str
    rows: int
    missing: int = 0
    mistyped: int = 0
    number: NumberProfile | None = None
    category: CategoryProfile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A monotone map from scores to observed rates (isotonic), by its knots, and how sure it is.

    ``scores`` grow, ``rates`` do not fall; between knots it is linear.
    """

    scores: tuple[float, ...]
    rates: tuple[float, ...]
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Realised:
    """A measure on labelled rows, with a two-sided interval of level ``1 - 2 * alpha``."""

    value: float
    low: float
    high: float
    rows: int
    alpha: float = 0.025


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The document ``modelci.profile/1``: the data that a deployed model's is compared with.

    ``columns`` are those of the data, in its order. ``scores`` is the profile of the score column,
    ``chosen`` the share of rows at or above ``threshold``. ``target_rate`` is the share of
    positives, of labelled rows. ``id`` is the column that names rows, ``duplicates`` how many rows
    repeat another's. ``hashes`` are what it was made of, by path.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]
    id: str | None = None
    duplicates: int = 0
    scores: ColumnProfile | None = None
    threshold: float | None = None
    chosen: float | None = None
    target_rate: float | None = None
    calibration: Calibration | None = None
    realised: Mapping[str, Realised] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> ColumnProfile | None:
        """Return a column by its name."""
        return next((one for one in self.columns if one.name == name), None)
