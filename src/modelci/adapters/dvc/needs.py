"""Reads what a stage says it needs: ``meta: {modelci: {cpus: 2, memory: 8GB, ...}}``."""

import math
import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeGuard

from modelci.domain.schedule import Needs
from modelci.errors import ConfigError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)\s*([smhd])\s*)+")
_TIMES = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def needs_of(stage: Any) -> Needs:
    """Return what a DVC stage needs. Raises ConfigError naming its file, the stage and the key."""
    meta = stage.meta or {}
    given = meta.get("modelci") if isinstance(meta, dict) else None
    if given is None:
        return Needs()
    where = f"{stage.relpath}: stage {stage.addressing}: meta.modelci"
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be a mapping.", hint="For example {cpus: 2, timeout: 2h}.")
    found: dict[str, Any] = {}
    for key, value in given.items():
        reader = _READERS.get(key)
        if reader is None:
            near = get_close_matches(str(key), _READERS, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(_READERS)}."
            raise ConfigError(f"{where} has no key {key!r}.", hint=hint)
        try:
            found[_FIELDS.get(str(key), str(key))] = reader(value)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{where}.{key}: {error}, not {value!r}.") from None
    return Needs(**found)


def seconds_of(value: Any) -> float:
    """Read a time: a number of seconds, or such as ``90s``, ``2h``, ``1h 30m``."""
    if _is_number(value) and value > 0:
        return float(value)
    if isinstance(value, str) and _TIME.fullmatch(value.strip()):
        seconds = sum(float(n) * _SECONDS[unit] for n, unit in _TIMES.findall(value))
        if seconds:
            return seconds
    raise ValueError("a time is a number of seconds, or such as 90s, 2h or 1h 30m")


def spell_seconds(seconds: float) -> str:
    """Write a time as people say it: ``2 h``, ``1.5 s``."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g} {'min' if unit == 'm' else unit}"
    return f"{seconds:g} s"


def _cpus(value: Any) -> float:
    if not _is_number(value) or value <= 0:
        raise ValueError("a number above 0 is wanted")
    return float(value)


def _memory(value: Any) -> int:
    if _is_number(value) and value > 0:
        return math.ceil(value)
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if not found:
        raise ValueError("memory is a number of bytes, or such as 512MB, 8GB or 1.5GiB")
    number, unit, binary = found.groups()
    scale: int = (1024 if binary else 1000) ** _POWERS[unit.upper()]
    return math.ceil(float(number) * scale)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number is wanted")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("a name is wanted")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(
        isinstance(name, str) and _NAME.fullmatch(name) for name in value
    ):
        raise ValueError("a list of names of environment variables is wanted")
    return tuple(value)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_FIELDS = {"gpu": "gpus"}
_READERS: dict[str, Callable[[Any], Any]] = {
    "cpus": _cpus,
    "memory": _memory,
    "gpu": _count,
    "exclusive": _text,
    "timeout": seconds_of,
    "retries": _count,
    "env": _names,
}
