"""What the server of a pod has counted, read from its metrics."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelci.domain.deployment import Observation

_SAMPLE = re.compile(r"(\w+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_PREDICTING = {"infer", "records"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Predictions that were asked for, failed ones, and how many took at most so many seconds."""

    requests: float = 0.0
    errors: float = 0.0
    buckets: Mapping[float, float] = field(default_factory=dict)

    def since(self, before: "Counters") -> "Counters":
        """Return what was counted after ``before``; all of it where the server began anew."""
        if before.requests > self.requests:
            return self
        return Counters(
            requests=self.requests - before.requests,
            errors=self.errors - before.errors,
            buckets={
                bound: count - before.buckets.get(bound, 0.0)
                for bound, count in self.buckets.items()
            },
        )


def read_counters(text: str) -> Counters:
    """Read Prometheus' text of ``modelci.serving``; the endpoints that predict are added up."""
    requests = errors = 0.0
    buckets: dict[float, float] = {}
    for line in text.splitlines():
        found = _SAMPLE.fullmatch(line)
        labels = dict(_LABEL.findall(found[2] or "")) if found else {}
        if found is None or labels.get("endpoint") not in _PREDICTING:
            continue
        value = float(found[3])
        if found[1] == "modelci_requests_total":
            requests += value
            errors += value if labels["code"].startswith("5") else 0.0
        elif found[1] == "modelci_request_seconds_bucket":
            bound = float(labels["le"])
            buckets[bound] = buckets.get(bound, 0.0) + value
    return Counters(requests=requests, errors=errors, buckets=buckets)


def add_up(parts: Iterable[Counters]) -> Counters:
    """Return the sum over pods."""
    requests = errors = 0.0
    buckets: dict[float, float] = {}
    for one in parts:
        requests, errors = requests + one.requests, errors + one.errors
        for bound, count in one.buckets.items():
            buckets[bound] = buckets.get(bound, 0.0) + count
    return Counters(requests=requests, errors=errors, buckets=buckets)


def describe(seen: Counters, *, seconds: float) -> Observation:
    """Return the observation; latencies are the bounds of the buckets that they fall into."""
    return Observation(
        seconds=seconds,
        requests=round(seen.requests),
        errors=round(seen.errors),
        p50_ms=_quantile(seen.buckets, 0.5),
        p99_ms=_quantile(seen.buckets, 0.99),
    )


def _quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return the least bound, in ms, below which that share of the requests stayed."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if not total:
        return None
    finite = [bound for bound in bounds if bound != float("inf")]
    enough = (bound for bound in finite if buckets[bound] >= share * total)
    return next(enough, finite[-1] if finite else 0.0) * 1000
