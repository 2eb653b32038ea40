"""A model that is ready to answer: loaded, warmed up, and held to its golden requests."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelci.documents import codec
from modelci.domain.golden import Golden, Health, OutputColumn, ValueType
from modelci.errors import DeploymentError
from modelci.modelfiles.load import load_model
from modelci.modelfiles.predictor import Columns, Predictor
from modelci.modelfiles.replay import check_health
from modelci.serving.schema import RequestSchema
from modelci.serving.source import Source
from modelci.serving.tensors import Answers, TensorSchema

INLINE_SECONDS = 0.01
"""What a prediction may take on the event loop; a longer one would keep other requests waiting."""

_logger = logging.getLogger(__name__)


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


def load(source: Source, *, onnx: bool = False, max_latency_ms: float | None = None) -> ServedModel:
    """Load a model, warm it up and replay its golden requests.

    With ``onnx`` it answers through ONNX Runtime, where that has been shown to answer the same.
    Raises ModelCIError where it cannot be loaded, and DeploymentError where it answers otherwise
    than it did when the requests were recorded, or too slowly.
    """
    model = examine(source, onnx=onnx, max_latency_ms=max_latency_ms)
    if not model.health.ok:
        raise DeploymentError(
            f"{source.artifact} {source.version} is not healthy: "
            f"{'; '.join(model.health.problems)}.",
            hint="Install the versions that it was trained with, or train it again with these. "
            "`modelci golden` in the pipeline records what it answers.",
        )
    return model


def examine(
    source: Source, *, onnx: bool = False, max_latency_ms: float | None = None
) -> ServedModel:
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
    if onnx:
        predictor = _speed_up(predictor, golden)
    loaded = time.perf_counter() - began
    health = check_health(lambda: predictor, golden, max_latency_ms=max_latency_ms)
    schema = RequestSchema(predictor.inputs, typed=golden is not None)
    return ServedModel(
        source=source,
        predictor=predictor,
        golden=golden,
        health=replace(health, load_seconds=loaded),
        schema=schema,
        tensors=TensorSchema(schema, predictor.outputs),
        # One row costs more than each of many: this is rather too few.
        inline_rows=int(INLINE_SECONDS * 1000 / (health.p50_ms or INLINE_SECONDS * 1000)),
    )


def _speed_up(predictor: Predictor, golden: Golden | None) -> Predictor:
    if golden is None:
        _logger.info("Served as it is: without golden requests nothing proves a faster form equal.")
        return predictor
    from modelci.modelfiles.fast import speed_up  # noqa: PLC0415 - seldom asked for

    fast, why = speed_up(predictor, golden)
    way = "Served faster" if fast is not predictor else "Served as it is"
    _logger.info("%s: %s.", way, why)
    return fast


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
