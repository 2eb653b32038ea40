"""Counters of all workers in one piece of shared memory, and Prometheus' text of their sums.

Which series there are is fixed, so that each has its place: a worker adds to its own row without
asking anyone, and whichever is asked for the metrics adds up the rows. A worker that takes a dead
one's place goes on counting in its row.
"""

import mmap
import os
import resource
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, product
from pathlib import Path

from modelci.serving.refusal import Kind

INFER, RECORDS, OTHER = "infer", "records", "other"
_ENDPOINTS = (INFER, RECORDS, OTHER)
_CODES = tuple("200 400 401 404 405 408 413 422 431 500 503 504 other".split())
_SECONDS = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Series of one name; a histogram's have a place for each bucket, the rest, and the sum."""

    name: str
    type: str
    help: str
    labels: Mapping[str, Sequence[str]]
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[tuple[str, ...], ...]:
        """The values of the labels of each series."""
        return tuple(product(*self.labels.values()))

    @property
    def width(self) -> int:
        """How many numbers a series takes."""
        return len(self.buckets) + 2 if self.buckets else 1


def _family(name: str, type_: str, text: str, **labels: Sequence[str]) -> Family:
    buckets = _SECONDS if type_ == "histogram" else ()
    return Family(name=f"modelci_{name}", type=type_, help=text, labels=labels, buckets=buckets)


REQUESTS = _family(
    "requests_total", "counter", "Requests answered.", endpoint=_ENDPOINTS, code=_CODES
)
ERRORS = _family("errors_total", "counter", "Requests refused, by why.", kind=tuple(Kind))
LATENCY = _family(
    "request_seconds",
    "histogram",
    "Time from a request's head to its answer.",
    endpoint=(INFER, RECORDS),
)
PREDICTION = _family("prediction_seconds", "histogram", "Time that the model took for a batch.")
ROWS = _family("rows_total", "counter", "Rows answered.")
UNSEEN = _family("unseen_values_total", "counter", "Categories that training has never seen.")
IN_FLIGHT = _family("requests_in_flight", "gauge", "Requests that are being answered.")
SWITCHES = _family(
    "switches_total", "counter", "Models switched to, or refused.", result=("done", "refused")
)
LOGGED = _family("log_rows_total", "counter", "Rows that the request log has taken.")
DROPPED = _family("log_dropped_rows_total", "counter", "Rows that the request log has lost.")
STARTS = _family("worker_starts_total", "counter", "Times that a worker has started.")
MEMORY = _family("resident_memory_bytes", "gauge", "Memory that the workers hold.")
CPU = _family("cpu_seconds_total", "counter", "CPU time that the workers took.")

FAMILIES = (
    *(REQUESTS, ERRORS, LATENCY, PREDICTION, ROWS, UNSEEN, IN_FLIGHT),
    *(SWITCHES, LOGGED, DROPPED, STARTS, MEMORY, CPU),
)


def _lay_out() -> tuple[dict[tuple[str, tuple[str, ...]], int], int]:
    places: dict[tuple[str, tuple[str, ...]], int] = {}
    at = 0
    for family in FAMILIES:
        for labels in family.series:
            places[family.name, labels] = at
            at += family.width
    return places, at


_PLACES, _WIDTH = _lay_out()
_BYTES = 8


class Metrics:
    """The counters of one worker, in the row ``slot`` of the memory that ``file`` maps."""

    def __init__(self, file: int | None = None, *, slot: int = 0, slots: int = 1) -> None:
        size = _WIDTH * _BYTES * slots
        self._memory = mmap.mmap(-1 if file is None else file, size)
        self._rows = memoryview(self._memory).cast("d")
        self._slots = slots
        self._row = self._rows[slot * _WIDTH : (slot + 1) * _WIDTH]
        self._row[_PLACES[IN_FLIGHT.name, ()]] = 0.0
        self._answered = {
            (endpoint, code): _PLACES[REQUESTS.name, (endpoint, code)]
            for endpoint, code in REQUESTS.series
        }

    def add(self, family: Family, *labels: str, amount: float = 1) -> None:
        """Add to a counter, or to a gauge."""
        self._row[_PLACES[family.name, labels]] += amount

    def observe(self, family: Family, seconds: float, *labels: str) -> None:
        """Put a duration into a histogram."""
        at = _PLACES[family.name, labels]
        self._row[at + bisect_left(family.buckets, seconds)] += 1
        self._row[at + len(family.buckets) + 1] += seconds

    def answered(self, endpoint: str, status: int) -> None:
        """Count a request."""
        place = self._answered.get((endpoint, str(status)))
        self._row[self._answered[endpoint, "other"] if place is None else place] += 1

    def note_process(self) -> None:
        """Write down what this worker takes of the machine."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._row[_PLACES[MEMORY.name, ()]] = _resident_bytes(usage.ru_maxrss)
        self._row[_PLACES[CPU.name, ()]] = usage.ru_utime + usage.ru_stime

    def total(self, family: Family, *labels: str) -> float:
        """Return the sum of a counter, or gauge, over all workers."""
        return self._sum(_PLACES[family.name, labels])

    def text(self, info: Mapping[str, str]) -> str:
        """Return all of it in Prometheus' text format; ``info`` labels ``modelci_model_info``."""
        return "\n".join([*self._lines(info), ""])

    def _sum(self, place: int) -> float:
        return sum(self._rows[place + slot * _WIDTH] for slot in range(self._slots))

    def _lines(self, info: Mapping[str, str]) -> Iterator[str]:
        yield "# HELP modelci_model_info The model that answers."
        yield "# TYPE modelci_model_info gauge"
        yield f"modelci_model_info{_labels(info)} 1"
        for family in FAMILIES:
            yield f"# HELP {family.name} {family.help}"
            yield f"# TYPE {family.name} {family.type}"
            for values in family.series:
                labels = dict(zip(family.labels, values, strict=True))
                at = _PLACES[family.name, values]
                if family.buckets:
                    yield from self._histogram(family, labels, at)
                else:
                    yield f"{family.name}{_labels(labels)} {_number(self._sum(at))}"

    def _histogram(self, family: Family, labels: Mapping[str, str], at: int) -> Iterator[str]:
        counts = [self._sum(at + index) for index in range(len(family.buckets) + 1)]
        bounds = [*map(_number, family.buckets), "+Inf"]
        for bound, count in zip(bounds, accumulate(counts), strict=True):
            yield f"{family.name}_bucket{_labels({**labels, 'le': bound})} {_number(count)}"
        yield f"{family.name}_sum{_labels(labels)} {self._sum(at + len(counts))!r}"
        yield f"{family.name}_count{_labels(labels)} {_number(sum(counts))}"


def shared_memory(slots: int) -> int:
    """Return the descriptor of memory for the counters of so many workers."""
    with tempfile.TemporaryFile() as file:
        file.truncate(_WIDTH * _BYTES * slots)
        return os.dup(file.fileno())


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _resident_bytes(peak: int) -> float:
    """Return what this process holds now, or, where the system does not tell, at its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return float(peak * (1 if sys.platform == "darwin" else 1024))
    return float(pages * resource.getpagesize())
