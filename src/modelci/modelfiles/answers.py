"""Rows, as documents hold them, and columns, as models read them."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from modelci.domain.golden import Answer, InputColumn, Row, Value, ValueType
from modelci.modelfiles.predictor import Predictor


def columns_of(rows: Sequence[Row], inputs: Sequence[InputColumn]) -> dict[str, list[Value]]:
    """Return the rows by column."""
    return {one.name: [row.get(one.name) for row in rows] for one in inputs}


def answer(predictor: Predictor, rows: Sequence[Row]) -> tuple[Answer, ...]:
    """Return what a model says of each row; ValueError where it cannot read them."""
    return answers_of(predictor.predict(columns_of(rows, predictor.inputs)))


def answers_of(found: Mapping[str, npt.NDArray[Any]]) -> tuple[Answer, ...]:
    """Return a model's arrays by row."""
    listed = {name: array.tolist() for name, array in found.items()}
    count = max(map(len, listed.values()), default=0)
    return tuple(
        {name: _plain(values[number]) for name, values in listed.items()} for number in range(count)
    )


def _plain(value: Any) -> float | str | tuple[float, ...]:
    if isinstance(value, list):
        return tuple(value)
    return value if isinstance(value, (int, float)) else str(value)


def sample_rows(inputs: Sequence[InputColumn], known: Sequence[Row], count: int) -> list[Row]:
    """Return made-up rows within what the columns had; the same call returns the same rows."""
    random = np.random.default_rng(0)
    columns = [list(islice(_values(one, known, random), count)) for one in inputs]
    names = [one.name for one in inputs]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(
    column: InputColumn, known: Sequence[Row], random: np.random.Generator
) -> Iterator[Value]:
    given = [row[column.name] for row in known if row.get(column.name) is not None]
    values: Sequence[Value] = column.values or given
    while True:
        if column.nullable and random.random() < 0.1:
            yield None
        elif column.type is ValueType.BOOLEAN:
            yield bool(random.random() < 0.5)
        elif column.type is ValueType.STRING or column.min is None or column.max is None:
            yield values[int(random.integers(len(values)))] if values else None
        elif column.type is ValueType.INTEGER:
            yield int(random.integers(int(column.min), int(column.max) + 1))
        else:
            yield float(random.uniform(column.min, column.max))
