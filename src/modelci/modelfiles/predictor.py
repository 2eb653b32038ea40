"""What loads a model and asks it; a flavour each."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy.typing as npt

from modelci.domain.golden import InputColumn, OutputColumn, Value

Columns = Mapping[str, Sequence[Value] | npt.NDArray[Any]]
"""A request: each input's values, all of one length, in any order of the inputs; missing: None."""


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
