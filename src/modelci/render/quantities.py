"""Numbers as people read them: metrics, changes, sizes, durations, counts.

A changed pair never reads as two equal texts: both sides are rounded to the decimal place that
shows their difference, and written out in full where rounding would still hide it.
"""

import math
from datetime import UTC, datetime

from modelci.domain import wording
from modelci.domain.gates import Threshold
from modelci.domain.metrics import MetricDelta, MetricKey, MetricValue

ABSENT = "—"
_DIGITS = 4  # of a value
_CHANGE_DIGITS = 2  # of a difference
_HUGE = 1e15
_TINY = 1e-4


def number(value: MetricValue | None) -> str:
    """Return one value with some four digits; a whole number in full."""
    if not isinstance(value, float):
        return ABSENT if value is None else str(value)
    return _written(value, _last_place(value))


def pair(base: MetricValue | None, head: MetricValue | None) -> tuple[str, str]:
    """Return two values, with the digits that tell them apart."""
    if not isinstance(base, float) or not isinstance(head, float) or base == head:
        return number(base), number(head)
    place = _shared_place(base, head)
    texts = _written(base, place), _written(head, place)
    return (repr(base), repr(head)) if texts[0] == texts[1] else texts


def change(delta: MetricDelta) -> str:
    """Return ``+0.0032 (+0.41 %)``, or nothing where there is no difference to count."""
    if delta.change is None or not isinstance(delta.base, float):
        return ""
    if not math.isfinite(delta.change):
        return ""
    share = percent(delta.change, of=delta.base) if delta.change else ""
    return f"{difference(delta)} ({share})" if share else difference(delta)


def difference(delta: MetricDelta) -> str:
    """Return ``+0.0032`` or ``−12``."""
    assert isinstance(delta.base, float)  # noqa: S101 - only numbers come here
    assert isinstance(delta.head, float)  # noqa: S101 - likewise
    gap = delta.head - delta.base
    place = _shared_place(delta.base, delta.head) if gap else 0
    return _signed(gap, _written(abs(gap), place, tiny=1e-7))


def interval(low: float, high: float, *, signed: bool = True) -> str:
    """Return ``−0.0121 … +0.0042``: both bounds with two digits of their distance."""
    gap = high - low
    if not math.isfinite(gap):
        return ABSENT
    place = _leading(gap) - _CHANGE_DIGITS + 1 if gap else _last_place(low)
    return " … ".join(_bound(one, place, signed=signed) for one in (low, high))


def _bound(value: float, place: int, *, signed: bool) -> str:
    text = _written(abs(value), place, tiny=1e-7)
    if not any(digit in text for digit in "123456789"):
        return "0"
    return _signed(value, text) if signed or value < 0 else text


def level(alpha: float) -> str:
    """Return the level of an interval whose bounds each err in ``alpha`` of the cases: 90 %."""
    return f"{100 * (1 - 2 * alpha):.4g} %"


def size_of_change(value: float) -> str:
    """Return a change's magnitude with two digits: 0.012."""
    if not math.isfinite(value):
        return "∞"
    return _written(abs(value), _leading(value) - _CHANGE_DIGITS + 1, tiny=1e-7)


def effect(value: float | None) -> str:
    """Return an effect size, such as a PSI, with three decimals: ``0.031``, ``< 0.001``."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞"
    return "0" if value == 0 else "< 0.001" if 0 < value < 0.001 else f"{value:,.3f}"


def signed_change(before: float, now: float) -> str:
    """Return ``−0.051`` with the digits that tell both apart; nothing where there is no number."""
    if not math.isfinite(now - before):
        return ""
    key = MetricKey(path="", name="")
    return difference(MetricDelta(key=key, base=before, head=now))


def probability(p: float | None) -> str:
    """Return a p-value: ``0.031``, ``< 0.001``."""
    if p is None or not math.isfinite(p):
        return ABSENT
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def percent(part: float, *, of: float) -> str:
    """Return a signed share, or nothing where there is nothing to take a share of."""
    share = 100 * (part / abs(of)) if of else math.inf
    if not math.isfinite(share):
        return ""
    size = abs(share)
    if size >= 1e6:
        return _signed(share, f"{_scientific(size, 2)} %")
    decimals = 0 if size >= 100 else 2 if size >= 0.1 or size == 0 else None
    text = f"{size:.1g}" if decimals is None else f"{size:,.{decimals}f}"
    return _signed(share, f"{_plain_exponent(text)} %")


def share(part: float | None) -> str:
    """Return a share of a whole: ``0.03 %``, ``2.1 %``, ``45 %``."""
    if part is None or not math.isfinite(part):
        return ABSENT
    size = 100 * abs(part)
    if size and size < 0.01:
        return "< 0.01 %"
    decimals = 2 if size < 1 else 1 if size < 99.95 else 0
    text = f"{100 * part:z,.{decimals}f}"
    return f"{text.rstrip('0').rstrip('.') if decimals else text} %"


def limit(threshold: Threshold) -> str:
    """Return a gate's limit, unrounded."""
    if threshold.relative:
        return f"{threshold.value * 100:.10g} %"
    return f"{threshold.value:,.0f}" if _is_whole(threshold.value) else str(threshold)


def size(count: int | None) -> str:
    """Return a size in bytes with a decimal unit."""
    return ABSENT if count is None else wording.size(count)


def size_pair(base: int | None, head: int | None) -> tuple[str, str]:
    """Return two sizes; where the unit hides their difference, in bytes."""
    texts = size(base), size(head)
    if texts[0] == texts[1] and base is not None and head is not None and base != head:
        return f"{base:,} B", f"{head:,} B"
    return texts


def duration(seconds: float | None) -> str:
    """Return ``0.4 s``, ``12 s``, ``3 min 05 s`` or ``2 h 05 min``."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def instant(seconds: int) -> str:
    """Return the day of a Unix time, in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()
    except (OverflowError, OSError, ValueError):
        return ABSENT


def moment(seconds: float) -> str:
    """Return a Unix time in UTC, without the time of day where that is midnight."""
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return ABSENT
    return f"{at:%Y-%m-%d %H:%M}".removesuffix(" 00:00")


def _shared_place(base: float, head: float) -> int:
    # Two finite numbers that differ: gradual underflow keeps their difference above zero.
    if _is_whole(base) and _is_whole(head):
        return 0
    gap = abs(head - base)
    biggest = _leading(max(abs(base), abs(head))) - _DIGITS + 1
    return min(biggest, _leading(gap) - _CHANGE_DIGITS + 1) if math.isfinite(gap) else biggest


def _last_place(value: float) -> int:
    """Return the decimal place (-2 for hundredths) of the last digit to show."""
    return 0 if _is_whole(value) else _leading(value) - _DIGITS + 1


def _is_whole(value: float) -> bool:
    return float(value).is_integer() and abs(value) < _HUGE


def _leading(value: float) -> int:
    """Return the decimal place of the first digit."""
    return math.floor(math.log10(abs(value))) if value else 0


def _written(value: float, place: int, *, tiny: float = _TINY) -> str:
    if value == 0:
        return "0"
    digits = _leading(value) - place + 1
    if digits > 15:
        return _plain_exponent(repr(value))
    if not tiny <= abs(value) < _HUGE:
        return _scientific(value, max(digits, 2))
    return f"{value:z,.{max(0, -place)}f}"  # z: what rounds to nothing is never "-0"


def _scientific(value: float, digits: int) -> str:
    return _plain_exponent(f"{value:.{digits - 1}e}")


def _plain_exponent(text: str) -> str:
    """Write ``1e-07`` as ``1e-7``."""
    mantissa, found, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if found else text


def _signed(value: float, text: str) -> str:
    if value == 0:
        return f"±{text}"
    return f"+{text}" if value > 0 else f"−{text}"
