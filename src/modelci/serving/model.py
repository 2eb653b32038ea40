"""A model that is ready to answer: loaded, warmed up, and held to its golden requests."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from modelci.documents import codec
from modelci.domain.golden import (
    Answer,
    Golden,
    Health,
    InputColumn,
    OutputColumn,
    Row,
    ValueType,
    compare_answers,
)
from modelci.errors import DeploymentError
from modelci.modelfiles.load import load_model
from modelci.modelfiles.predictor import Columns, Predictor
from modelci.serving.schema import RequestSchema
from modelci.serving.source import Source
from modelci.serving.tensors import Answers, TensorSchema

INLINE_SECONDS = 0.01
"""What a prediction may take on the event loop; a longer one would keep other requests waiting."""

_WARM_UP = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServedModel:
    """A loaded model with its schemas; a request keeps the one that it began with.

    Up to ``inline_rows`` rows are answered within INLINE_SECONDS.
    """

    source: Source
    predictor: Predictor
    golden: Golden | None
    health: Health
    schema: RequestSchema
    tensors: TensorSchema
    inline_rows: int

    @property
    def outputs(self) -> tuple[OutputColumn, ...]:
        """What it answers."""
        return self.predictor.outputs

    def predict(self, columns: Columns, rows: int) -> Answers:
        """Return its answers, or raise DeploymentError for some that do not fit the request."""
        answers = self.predictor.predict(columns)
        for output in self.predictor.outputs:
            shape = answers[output.name].shape
            if shape != ((rows, len(output.classes)) if output.classes else (rows,)):
                raise DeploymentError(f"{output.name} has the shape {shape} for {rows} rows.")
        return answers


def load(source: Source, *, max_latency_ms: float | None = None) -> ServedModel:
    """Load a model, warm it up and replay its golden requests.

    Raises ModelCIError where it cannot be loaded, and DeploymentError where it answers otherwise
    than it did when the requests were recorded, or too slowly.
    """
    model = examine(source, max_latency_ms=max_latency_ms)
    if not model.health.ok:
        raise DeploymentError(
            f"{source.artifact} {source.version} is not healthy: "
            f"{'; '.join(model.health.problems)}.",
            hint="It was trained elsewhere, or its golden requests are of another model: compare "
            "the versions of its packages, or record them again with `modelci golden`.",
        )
    return model


def examine(source: Source, *, max_latency_ms: float | None = None) -> ServedModel:
    """Do what ``load`` does, and return a model that is not healthy as well."""
    began = time.perf_counter()
    golden = codec.read(Golden, Path(source.golden)) if source.golden else None
    if golden is not None and golden.sha256 != source.sha256:
        raise DeploymentError(
            f"{source.golden} was recorded with another model than {source.model}.",
            hint="Let the pipeline record it again: `modelci golden MODEL DATA --out FILE`.",
        )
    path = Path(source.model)
    predictor = load_model(path, trust=source.trust, flavour=source.flavour, golden=golden)
    loaded = time.perf_counter() - began
    health = replay(predictor, golden, max_latency_ms=max_latency_ms)
    per_row = (health.p50_ms or INLINE_SECONDS * 1000) / 1000
    schema = RequestSchema(predictor.inputs, typed=golden is not None)
    return ServedModel(
        source=source,
        predictor=predictor,
        golden=golden,
        health=replace(health, load_seconds=loaded),
        schema=schema,
        tensors=TensorSchema(schema, predictor.outputs),
        # One row costs more than each of many: this is rather too few.
        inline_rows=int(INLINE_SECONDS / per_row),
    )


def replay(
    predictor: Predictor, golden: Golden | None, *, max_latency_ms: float | None = None
) -> Health:
    """Ask a model its golden requests: all at once, and one by one for how long each takes."""
    requests = golden.requests if golden else ()
    if golden is None or not requests:
        return Health(ok=True)
    columns = to_columns(requests, predictor.inputs)
    found = list(to_answers(predictor.predict(columns), predictor.outputs))
    worst, problems = compare_answers(golden.responses, found, tolerance=golden.tolerance)
    seconds = _time_rows(predictor, requests)
    p50, p99 = statistics.median(seconds) * 1000, float(np.quantile(seconds, 0.99)) * 1000
    if max_latency_ms is not None and p99 > max_latency_ms:
        problems = (*problems, f"a row takes {p99:.1f} ms, more than {max_latency_ms:g} ms")
    return Health(
        ok=not problems, problems=problems, rows=len(requests), worst=worst, p50_ms=p50, p99_ms=p99
    )


def _time_rows(predictor: Predictor, requests: Sequence[Row]) -> list[float]:
    single = [to_columns([row], predictor.inputs) for row in requests]
    for columns in single[:_WARM_UP]:
        predictor.predict(columns)
    seconds = []
    for columns in single:
        began = time.perf_counter()
        predictor.predict(columns)
        seconds.append(time.perf_counter() - began)
    return seconds


def to_columns(rows: Sequence[Row], inputs: Sequence[InputColumn]) -> dict[str, list[Any]]:
    """Turn rows into columns; what a row lacks is missing."""
    return {one.name: [row.get(one.name) for row in rows] for one in inputs}


def to_answers(
    found: Mapping[str, npt.NDArray[Any]], outputs: Sequence[OutputColumn]
) -> Iterator[Answer]:
    """Yield what a model says of each row, as golden responses have it."""
    lists = {one.name: found[one.name].tolist() for one in outputs}
    for values in zip(*lists.values(), strict=True):
        yield {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in zip(lists, values, strict=True)
        }


def output_names(outputs: Sequence[OutputColumn]) -> tuple[str, ...]:
    """Return the columns that outputs make in a table: one for each class of those with classes."""
    return tuple(
        name
        for one in outputs
        for name in ([f"{one.name}.{label}" for label in one.classes] or [one.name])
    )


def output_types(outputs: Sequence[OutputColumn]) -> tuple[ValueType, ...]:
    """Return the types of those columns."""
    return tuple(one.type for one in outputs for _ in (one.classes or [one.name]))
