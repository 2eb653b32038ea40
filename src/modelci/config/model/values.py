"""Texts that stand for values: sizes, addresses, tolerances."""

import math
import re

from modelci.domain.gates import Limit, Threshold, parse_limit


def parse_bytes(size: float | str) -> float:
    """Return a number of bytes: ``5000``, ``"5 MB"`` (5,000,000) or ``"5 MiB"`` (5,242,880)."""
    if not isinstance(size, str):
        return float(size)
    found = _SIZE.fullmatch(size.strip())
    if found is None:
        raise ValueError(f"{size!r} is no size such as 5 MB or 5 MiB")
    power = "kmgt".find(found["unit"].lower()) + 1 if found["unit"] else 0
    return float(found["number"]) * (1024.0 if found["binary"] else 1000.0) ** power


def split_address(listen: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8080`` or ``[::1]:8080``; ValueError for others."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{listen!r} is no address such as 127.0.0.1:8080")
    return host, int(port)


_SIZE = re.compile(
    r"(?P<number>\d+(?:\.\d+)?) *(?:(?P<unit>[kmgt])(?P<binary>i)?)?(?:b|bytes)?", re.IGNORECASE
)


def parse_tolerance(limit: Limit) -> Threshold:
    """Return how much worse something may be; ValueError for what is negative or no number."""
    threshold = parse_limit(limit)
    if require_finite(threshold.value) < 0:
        raise ValueError("a change's limit is never negative: 0.01 allows 0.01 worse")
    return threshold


def require_finite(limit: float) -> float:
    """Return the number itself; ValueError for infinity and what is no number."""
    if not math.isfinite(limit):
        raise ValueError("a limit must be a finite number")
    return limit
