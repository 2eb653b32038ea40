"""What the model was asked and what it answered, as a table that a monitor reads.

A request leaves its values in a bounded queue and goes on; a thread writes them to files some
times a second. What the queue or the disk does not take is counted, and never waited for.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from modelci.domain.golden import ValueType
from modelci.serving.logfiles import TIME, LogFiles
from modelci.serving.metrics import DROPPED, LOGGED, Metrics
from modelci.serving.model import ServedModel, output_names, output_types
from modelci.serving.schema import Batch
from modelci.serving.settings import LogSettings
from modelci.serving.tensors import Answers

MAX_WAITING_ROWS = 20_000
"""Rows that may wait to be written: some seconds of them, and some 30 MB."""

_logger = logging.getLogger(__name__)
_PAUSE_SECONDS = 0.2
_LAST_SECONDS = 30.0  # a disk that does not answer shall not keep the process from its end
_CHUNK_ROWS = 64  # encoded without letting go of Python's lock: some tenths of a millisecond
_OWN = {"id": ValueType.STRING, "artifact": ValueType.STRING, "version": ValueType.STRING}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogShape:
    """The columns of a model's log: ``id``, ``time``, ``artifact``, ``version``, inputs, outputs.

    An input that has the name of one of the others is called ``input.NAME``.
    """

    artifact: str
    version: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    names: tuple[str, ...]
    types: Mapping[str, ValueType]

    @classmethod
    def of(cls, model: ServedModel) -> "LogShape":
        """Return the shape of a model's log."""
        outputs = output_names(model.outputs)
        taken = {*_OWN, TIME, *outputs}
        inputs = model.schema.inputs
        logged = tuple(f"input.{name}" if name in taken else name for name in inputs)
        # Where nobody knows the types, Parquet finds them out.
        kinds = (one.type for one in inputs.values())
        known = dict(zip(logged, kinds, strict=True)) if model.schema.typed else {}
        return cls(
            artifact=model.source.artifact,
            version=model.source.version,
            inputs=tuple(inputs),
            outputs=tuple(one.name for one in model.outputs),
            names=("id", TIME, "artifact", "version", *logged, *outputs),
            types={**_OWN, **known, **dict(zip(outputs, output_types(model.outputs), strict=True))},
        )


@dataclass(frozen=True, slots=True)
class _Entry:
    seconds: float
    id: str
    shape: LogShape
    batch: Batch
    answers: Answers


class RequestLog:
    """Takes a share of the requests; ``add`` never waits and never fails."""

    def __init__(
        self,
        settings: LogSettings,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._sample = settings.sample
        self._files = LogFiles(settings)
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._queue: deque[_Entry] = deque()
        # Each is raised by one thread alone; the difference of the first two is what waits.
        self._taken_rows = 0
        self._done_rows = 0
        self._refused_rows = 0
        self._lost_rows = 0
        self._ending = threading.Event()
        self._has_complained = False
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)
        self._thread.start()

    def add(self, request_id: str, shape: LogShape, batch: Batch, answers: Answers) -> None:
        """Let a request be written, if chance will have it, and there is room."""
        if self._sample < 1 and self._chance() >= self._sample:
            return
        waiting = self._taken_rows - self._done_rows
        if waiting and waiting + batch.rows > MAX_WAITING_ROWS:
            self._refused_rows += batch.rows
            return
        self._taken_rows += batch.rows
        self._queue.append(_Entry(self._clock(), request_id, shape, batch, answers))

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._ending.set()
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        counted = 0
        is_last = False
        while not is_last:
            is_last = self._ending.wait(_PAUSE_SECONDS)
            self._write_waiting()
            lost = self._refused_rows + self._lost_rows
            self._metrics.add(DROPPED, amount=lost - counted)
            counted = lost
        try:
            self._files.close()
        except OSError as error:
            self._complain(error)

    def _write_waiting(self) -> None:
        while self._queue:
            shape = self._queue[0].shape
            rows: list[dict[str, Any]] = []
            while self._queue and len(rows) < _CHUNK_ROWS and self._queue[0].shape is shape:
                rows += _to_rows(self._queue.popleft())
            for at in range(0, len(rows), _CHUNK_ROWS):
                self._write(rows[at : at + _CHUNK_ROWS], shape)
            self._done_rows += len(rows)

    def _write(self, rows: list[dict[str, Any]], shape: LogShape) -> None:
        try:
            self._files.write(_encoder.encode_lines(rows), shape.types)
        except (OSError, TypeError, ValueError) as error:
            self._lost_rows += len(rows)
            self._complain(error)
        else:
            self._metrics.add(LOGGED, amount=len(rows))
        time.sleep(0)  # let requests be answered in between

    def _complain(self, error: Exception) -> None:
        """Say once that the log is not whole; from then on, the metrics tell."""
        if not self._has_complained:
            self._has_complained = True
            why = error.strerror if isinstance(error, OSError) else type(error).__name__
            _logger.warning("The request log cannot be written: %s.", why)


_encoder = msgspec.json.Encoder()


def _to_rows(entry: _Entry) -> Iterator[dict[str, Any]]:
    shape, batch = entry.shape, entry.batch
    moment = datetime.fromtimestamp(entry.seconds, UTC)
    when = moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
    columns = [_to_list(batch.columns[name]) for name in shape.inputs]
    columns += [column for name in shape.outputs for column in _to_lists(entry.answers[name])]
    for row_id, values in zip(_ids(entry), zip(*columns, strict=True), strict=True):
        cells = (row_id, when, shape.artifact, shape.version, *values)
        yield dict(zip(shape.names, cells, strict=True))


def _ids(entry: _Entry) -> Iterator[str]:
    """Yield the id of each row: the client's own, else the request's, with the row's number."""
    if entry.batch.ids is not None:
        yield from entry.batch.ids
    elif entry.batch.rows == 1:
        yield entry.id
    else:
        yield from (f"{entry.id}/{row}" for row in range(entry.batch.rows))


def _to_list(values: Any) -> list[Any]:
    return list(values.tolist() if isinstance(values, np.ndarray) else values)


def _to_lists(array: Any) -> list[list[Any]]:
    return [array.tolist()] if array.ndim == 1 else array.T.tolist()
