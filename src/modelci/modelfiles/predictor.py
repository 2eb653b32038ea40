"""What loads a model and asks it; a flavour each."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from modelci.domain.golden import InputColumn, OutputColumn, Value

Columns = Mapping[str, Sequence[Value] | npt.NDArray[Any]]
"""A request: each input's values, all of one length, in any order of the inputs; missing: None."""


def side_by_side(
    columns: Columns, names: Sequence[str], dtype: npt.DTypeLike
) -> npt.NDArray[Any] | None:
    """Return the columns of a matrix, None where they are not all numbers as they stand.

    Columns are converted all at once: one by one takes ten times as long for a single row.
    """
    try:
        found = np.array([columns[name] for name in names], dtype=dtype)
    except (TypeError, ValueError):
        return None
    return np.ascontiguousarray(found.T)


class Predictor(Protocol):
    """A loaded model. It is asked by one thread at a time, and may use one thread itself."""

    @property
    def flavour(self) -> str:
        """How it was loaded."""

    @property
    def inputs(self) -> tuple[InputColumn, ...]:
        """The columns that it reads, in its own order; types as far as the model knows them."""

    @property
    def outputs(self) -> tuple[OutputColumn, ...]:
        """What it answers."""

    def predict(self, columns: Columns) -> Mapping[str, npt.NDArray[Any]]:
        """Return an array per output: ``(rows,)``, or ``(rows, classes)`` for one with classes.

        Raises ValueError for columns that it cannot read.
        """
