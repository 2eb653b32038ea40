"""What was seen of a release's traffic: seconds in a ring, latencies in a histogram."""

import math
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from modelci.domain.deployment import Observation

HORIZON = 3600
"""How many seconds are remembered."""

_FASTEST = 1e-5  # seconds; what is faster counts as that
_STEP = 1.04  # latencies are told apart by 4 %
_LOG_STEP = math.log(_STEP)


@dataclass(slots=True)
class _Second:
    second: int
    requests: int = 0
    errors: int = 0
    compared: int = 0
    numbers: int = 0
    difference: float = 0.0
    latencies: Counter[int] = field(default_factory=Counter)


class Traffic:
    """One release's traffic. It is told of every request, and asked about the last seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._seconds: deque[_Second] = deque()

    def answered(self, seconds: float | None, *, failed: bool = False) -> None:
        """Count a request; ``seconds`` is how long it took, None where no answer came."""
        now = self._now()
        now.requests += 1
        now.errors += failed
        if seconds is not None:
            now.latencies[_bin(seconds)] += 1

    def compared(self, difference: float, numbers: int) -> None:
        """Count a comparison: the sum of absolute differences of so many ``numbers``."""
        now = self._now()
        now.compared += 1
        now.numbers += numbers
        now.difference += difference

    def disagreed(self, errors: int = 1) -> None:
        """Count what was answered, but not as it should have been."""
        self._now().errors += errors

    def observe(self, seconds: float) -> Observation:
        """Return what was seen in the last ``seconds``, or since the beginning if that is later."""
        clock = self._clock()
        span = min(seconds, clock - self._began, float(HORIZON))
        seen = [one for one in self._seconds if one.second >= math.floor(clock - span)]
        latencies: Counter[int] = Counter()
        for one in seen:
            latencies.update(one.latencies)
        numbers = sum(one.numbers for one in seen)
        return Observation(
            seconds=span,
            requests=sum(one.requests for one in seen),
            errors=sum(one.errors for one in seen),
            p50_ms=_percentile(latencies, 0.50),
            p99_ms=_percentile(latencies, 0.99),
            compared=sum(one.compared for one in seen),
            divergence=sum(one.difference for one in seen) / numbers if numbers else None,
        )

    def _now(self) -> _Second:
        second = math.floor(self._clock())
        if not self._seconds or self._seconds[-1].second != second:
            self._seconds.append(_Second(second))
            while self._seconds[0].second <= second - HORIZON:
                self._seconds.popleft()
        return self._seconds[-1]


def _bin(seconds: float) -> int:
    return int(math.log(max(seconds, _FASTEST) / _FASTEST) / _LOG_STEP)


def _percentile(latencies: Counter[int], share: float) -> float | None:
    """Return a percentile in ms, as exact as the histogram's bins (2 %)."""
    rank = math.ceil(sum(latencies.values()) * share)
    seen = 0
    for number in sorted(latencies):
        seen += latencies[number]
        if seen >= rank:
            return _FASTEST * math.exp((number + 0.5) * _LOG_STEP) * 1000
    return None
