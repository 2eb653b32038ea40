"""Windows: the months, weeks or days that a deployed model is watched by, in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MONTHLY = "%Y-%m"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
# From the longest to the shortest; what tells a pattern's windows apart is its shortest.
_UNITS = (
    ("year", "YyG"),
    ("month", "mbB"),
    ("week", "VUW"),
    ("day", "djuwaA"),
    ("hour", "HI"),
)
_WEEKDAY = re.compile(r"%[uwaA]")
_DIRECTIVE = re.compile(r"%(.)")
_TURN_OF_THE_YEAR = tuple(
    datetime(2026, 12, 25, 23, tzinfo=UTC) + timedelta(days=days) for days in range(15)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A period by its name; ``end`` is where the next one starts."""

    name: str
    start: datetime
    end: datetime

    def is_settled(self, now: datetime, delay: timedelta) -> bool:
        """Whether what takes ``delay`` to be known is known of all of it."""
        return now >= self.end + delay


def parse_duration(text: str) -> timedelta:
    """Read ``30d``, ``12h``, ``2w``, ``90m`` or ``45s``; ValueError says what is wrong."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no duration such as 30d, 12h or 2w")
    try:
        return timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    except OverflowError:
        raise ValueError(f"{text!r} is too long a time") from None


def parse_window(name: str, pattern: str) -> Window:
    """Return the window of that name, where ``pattern`` (strftime's) says how they are named.

    Raises ValueError where the pattern names no periods, or would call the window otherwise.
    """
    unit = _unit(pattern)
    wrong = ValueError(f"{name!r} is none of the windows that {pattern} names")
    # A week's name has no day, and without one strptime does not look at it.
    dated = unit == "week" and not _WEEKDAY.search(pattern)
    try:
        start = datetime.strptime(
            f"{name} 1" if dated else name, f"{pattern} %u" if dated else pattern
        ).replace(tzinfo=UTC)
        if start.strftime(pattern) != name:
            raise wrong
        return Window(name=name, start=start, end=_next(start, unit))
    except (ValueError, OverflowError):
        raise wrong from None


def is_newer(name: str, than: str, pattern: str) -> bool:
    """Whether a window starts after another one; a name that is none of the pattern's does not."""
    try:
        return parse_window(name, pattern).start > parse_window(than, pattern).start
    except ValueError:
        return False


def window_at(moment: datetime, pattern: str) -> Window:
    """Return the window that a moment lies in."""
    return parse_window(moment.astimezone(UTC).strftime(pattern), pattern)


def last_complete(now: datetime, pattern: str) -> Window:
    """Return the newest window that has ended."""
    return window_at(window_at(now, pattern).start - timedelta(microseconds=1), pattern)


def check_pattern(pattern: str) -> None:
    """Raise ValueError for a pattern whose names do not mean one period each."""
    _unit(pattern)
    for day in _TURN_OF_THE_YEAR:
        # %m alone names no year, %Y-%H no day, and the last %W of a year is another's first.
        try:
            found = window_at(day, pattern)
        except ValueError:
            found = None
        if found is None or not found.start <= day < found.end:
            raise ValueError(
                f"{pattern!r} does not name one period each: write it like %Y-%m, %G-W%V or "
                "%Y-%m-%d"
            )


def _unit(pattern: str) -> str:
    used = set(_DIRECTIVE.findall(pattern.replace("%%", "")))
    found = [name for name, letters in _UNITS if used & set(letters)]
    if not found:
        raise ValueError(f"{pattern!r} names no periods: write it like %Y-%m, %G-W%V or %Y-%m-%d")
    return found[-1]


def _next(start: datetime, unit: str) -> datetime:
    if unit == "hour":
        return start + timedelta(hours=1)
    if unit in {"day", "week"}:
        return start + timedelta(days=7 if unit == "week" else 1)
    if unit == "month":
        return (start.replace(day=1) + timedelta(days=31)).replace(day=1)
    return start.replace(year=start.year + 1)
