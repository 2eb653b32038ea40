"""Answers to JSON records: an object for each row."""

from collections.abc import Sequence
from typing import Any

import msgspec

from modelci.domain.golden import OutputColumn
from modelci.serving.model import ServedModel
from modelci.serving.schema import Batch
from modelci.serving.tensors import Answers

_encode = msgspec.json.Encoder().encode


def write(model: ServedModel, batch: Batch, answers: Answers, *, request_id: str) -> bytes:
    """Return the body of an answer; a NaN, which JSON does not have, is null."""
    source = model.source
    content: dict[str, Any] = {
        "id": request_id,
        "model": source.artifact,
        "version": source.version,
        "predictions": to_predictions(model.outputs, answers),
    }
    if batch.warnings:
        content["warnings"] = batch.warnings
    return _encode(content)


def to_predictions(outputs: Sequence[OutputColumn], answers: Answers) -> list[dict[str, Any]]:
    """Return an object for each row; an output with classes is an object of them."""
    columns = [_values(one, answers) for one in outputs]
    names = [one.name for one in outputs]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _values(output: OutputColumn, answers: Answers) -> list[Any]:
    values: list[Any] = answers[output.name].tolist()
    if not output.classes:
        return values
    return [dict(zip(output.classes, row, strict=True)) for row in values]
