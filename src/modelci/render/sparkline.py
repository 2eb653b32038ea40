"""How a metric went, in a line of eight heights of bar."""

import math
from collections.abc import Iterable, Sequence

from modelci.domain.history import MetricHistory
from modelci.domain.metrics import MetricValue

BARS = "▁▂▃▄▅▆▇█"
GAP = "·"
"""Stands where there is no number: a blank at an end of a line would be lost."""

_MOST = 40  # bars in a line; the newest values are kept


def sparkline(history: MetricHistory, *, most: int = _MOST) -> str:
    """Return a bar for each of the last ``most`` points, from the least value to the greatest."""
    return bars([point.value for point in history.points[-most:]])


def bars(values: Sequence[MetricValue | None], *, within: tuple[float, float] | None = None) -> str:
    """Return a bar for each value; all of one height where they are equal.

    The lowest and the highest bar are those of the least and the greatest value, or of what all
    values lie ``within``.
    """
    numbers = [value for value in values if isinstance(value, float) and math.isfinite(value)]
    if not numbers:
        return GAP * len(values)
    low, high = within or (min(numbers), max(numbers))
    return "".join(_bars(values, low, high))


def _bars(values: Iterable[MetricValue | None], low: float, high: float) -> Iterable[str]:
    # Halved before they are subtracted: two numbers that JSON can hold may differ by more.
    width = high / 2 - low / 2
    for value in values:
        if not isinstance(value, float) or not math.isfinite(value):
            yield GAP
        elif not width:
            yield BARS[3]
        else:
            share = (value / 2 - low / 2) / width
            yield BARS[min(int(share * len(BARS)), len(BARS) - 1)]
