"""Loads ``modelci.yaml``: default < file < ``MODELCI_*`` < flag, each value with its origin."""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, get_args, get_type_hints

import msgspec

from modelci.config.checks import find_problems
from modelci.config.model import (
    CommentMode,
    Config,
    ExecutorKind,
    ForgeKind,
    SwitchKind,
    TargetKind,
)
from modelci.domain.deployment import Strategy
from modelci.domain.evaluation import ColumnType, FairnessMetric, Mode, Task
from modelci.domain.gates import Severity, WhenMissing, WhenUnclear
from modelci.domain.metrics import Direction
from modelci.domain.monitoring import ActionKind, Correction, DriftStatistic, TriggerKind
from modelci.domain.registry import Holder
from modelci.errors import ConfigError
from modelci.formats import locate_yaml, parse_yaml

FILE = "modelci.yaml"
DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A configuration and, by dotted key, where each value that is no default comes from."""

    config: Config
    origins: Mapping[str, str]


def _parse(text: bytes, source: str) -> Any:
    """Read the file; where it is no YAML, say what that most often comes from."""
    try:
        return parse_yaml(text, source)
    except ConfigError as error:
        if error.hint is not None:
            raise
        hint = (
            "Indent it by blanks: YAML takes no tabs."
            if "start any token" in str(error) and re.search(rb"(?m)^ *\t", text)
            else "Mend that line or the one above: a block's keys begin in one column, a blank "
            "follows each colon, brackets are closed, text with `: ` or ` #` is in quotes."
        )
        raise ConfigError(str(error), hint=hint) from error


def load(
    text: bytes | None,
    *,
    source: str = FILE,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Loaded:
    """Merge the file's text with ``MODELCI_*`` variables and flags (by dotted key; None: unset)."""
    data = (_parse(text, source) if text else None) or {}
    if not isinstance(data, dict):
        raise ConfigError(f"{source} must hold keys and values, not a {type(data).__name__}.")
    for section in ("evaluation", "monitor"):
        if isinstance(data.get(section), dict):  # one model's is the usual case
            data[section] = [data[section]]
    for section in ("slices", "baseline"):
        found = data.get(section)
        if isinstance(found, dict) and isinstance(found.get("metrics"), str):
            found["metrics"] = [found["metrics"]]
    _refuse_unknown(data, Config, (), text or b"", source)
    origins = {key: _origin(text or b"", key, source) for key in _leaves(data, Config)}
    for key, variable in variables().items():
        value = (environment or {}).get(variable)
        # CI systems set a variable that nobody gave a value to the empty text.
        if value:
            _set(data, key, _from_text(value, key, variable))
            origins[key] = variable
    for key, flag in (flags or {}).items():
        if flag is not None:
            _set(data, key, flag)
            origins[key] = "--" + key.rsplit(".", 1)[-1].replace("_", "-")
    return Loaded(config=_convert(data, text or b"", source, origins), origins=origins)


def leaves(config: Config) -> Iterator[tuple[str, object]]:
    """Yield every dotted key of a configuration with its value."""
    yield from _values(config, "")


def _values(part: Any, prefix: str) -> Iterator[tuple[str, object]]:
    for field in fields(part):
        value = getattr(part, field.name)
        if is_dataclass(value):
            yield from _values(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value


def _leaves(data: Mapping[str, Any], kind: type, prefix: str = "") -> Iterator[str]:
    hints = get_type_hints(kind)
    for key, value in data.items():
        if is_dataclass(hints[key]) and isinstance(value, dict):
            yield from _leaves(value, hints[key], f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def variables() -> dict[str, str]:
    """Return the environment variable of each plain value: ``forge.kind``: MODELCI_FORGE_KIND."""
    return {
        key: "MODELCI_" + key.replace(".", "_").upper()
        for key, value in leaves(Config())
        if not isinstance(value, (tuple, Mapping))
    }


def _from_text(text: str, key: str, variable: str) -> Any:
    """Return text as it stands where the key takes text, else what it means as YAML."""
    kind: Any = Config
    for part in key.split("."):
        kind = get_type_hints(kind)[part]
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return parse_yaml(text.encode(), variable)
    return text


def _set(data: dict[str, Any], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):  # the file is wrong here, which the conversion will say
            return
    data[last] = value


def _refuse_unknown(
    data: Any, kind: Any, path: tuple[str | int, ...], text: bytes, source: str
) -> None:
    if isinstance(kind, UnionType):
        kind = next((one for one in get_args(kind) if is_dataclass(one)), None)
    if not is_dataclass(kind) or not isinstance(data, dict):
        return
    hints = get_type_hints(kind)
    for key, value in data.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            raise ConfigError(
                f"{_at(text, (*path, str(key)), source)}: unknown key {key!r}.",
                hint=f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(hints)}.",
            )
        _refuse_unknown(value, hints[key], (*path, key), text, source)
        items = get_args(hints[key]) or (None,)
        if isinstance(value, list):
            for index, entry in enumerate(value):
                _refuse_unknown(entry, items[0], (*path, key, index), text, source)
        elif isinstance(value, dict):  # of a mapping, what its values are
            for name, entry in value.items():
                _refuse_unknown(entry, items[-1], (*path, key, name), text, source)


_ERROR_PATH = re.compile(
    r"^(?P<what>.*?)(?: - at (?:`key` in )?`(?:key in )?\$?(?P<path>[^`]*)`)?$", re.DOTALL
)


def _convert(
    data: Mapping[str, Any], text: bytes, source: str, origins: Mapping[str, str]
) -> Config:
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        found = _ERROR_PATH.match(str(error))
        what, where = (found["what"], found["path"] or "") if found else (str(error), "")
        path = _name_entries(_steps(where), data, str(error))
        key = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path).lstrip(".")
        place = origins.get(key) or _at(text, path, source)
        raise ConfigError(
            f"{place}: {key or 'the file'}: {_plain(what)}.",
            hint=_wanted(what, path),
        ) from error
    for path, problem in find_problems(config):
        raise ConfigError(f"{_at(text, path, source)}: {problem}.")
    return config


_Path = tuple[str | int, ...]
_ANY = "[...]"
"""How msgspec has an entry of a mapping whose name it does not tell."""


def _steps(where: str) -> _Path:
    """Return the steps of a path such as ``.gates[0].min`` or ``.models[...].flavour``."""
    found = re.findall(r"\[\d+\]|\[\.\.\.\]|[^.\[\]]+", where)
    return tuple(int(one[1:-1]) if re.fullmatch(r"\[\d+\]", one) else one for one in found)


def _name_entries(path: _Path, data: Mapping[str, Any], error: str) -> _Path:
    """Return the path with the name of each entry: the one that makes that error by itself."""
    while _ANY in path:
        above, below = path[: path.index(_ANY)], path[path.index(_ANY) + 1 :]
        entries = _part(data, above)
        named = (one for one in entries if _makes(error, _with(data, above, {one: entries[one]})))
        found = next(named, None)
        if found is None:
            return above
        data, path = _with(data, above, {found: entries[found]}), (*above, str(found), *below)
    return path


def _part(data: Any, path: _Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _with(data: Any, path: _Path, part: Any) -> Any:
    """Return the data with another part at a path; nothing is changed in place."""
    if not path:
        return part
    inner = _with(data[path[0]], path[1:], part)
    if isinstance(data, list):
        index = int(path[0])
        return [*data[:index], inner, *data[index + 1 :]]
    return {**data, path[0]: inner}


def _makes(error: str, data: Any) -> bool:
    try:
        msgspec.convert(data, Config)
    except msgspec.ValidationError as found:
        return str(found) == error
    return False


def _plain(what: str) -> str:
    """Return what is wrong in the words of somebody who writes YAML."""
    if missing := re.fullmatch(r"Object missing required field (`.*`)", what):
        return f"{missing[1]} is missing"
    return "this is no date" if what == _NO_DATE else what


_NO_DATE = "Invalid RFC3339 encoded date"
_WANTED = {
    "array": "A list is wanted here: each entry on a line of its own, after `- `.",
    "bool": "Write `true` or `false`.",
    "float": "Write a plain number.",
    "int": "Write a whole number.",
    "object": "Keys and values are wanted here, such as `key: value`.",
    "str": "Write a text; quote what looks like a number.",
}


def _wanted(what: str, path: Sequence[str | int]) -> str | None:
    """Return what may stand at a place where something else was found."""
    if what == _NO_DATE:
        return "Write a date such as 2026-03-31."
    if expected := re.match(r"Expected `(\w+)", what):
        return _WANTED.get(expected[1])
    choices = _CHOICES.get(str(path[-1])) if path else None
    if path and path[-1] == "mode":
        choices = CommentMode if path[0] == "comment" else Mode
    if path and path[-1] == "kind":
        choices = _KINDS.get(_section(path), ForgeKind)
    choices = choices or (Direction if path and path[0] == "metrics" else None)
    if choices is None or not what.startswith("Invalid enum value"):
        return None
    return f"One of: {', '.join(choices)}."


def _section(path: Sequence[str | int]) -> str:
    """Return what a ``kind`` is of: the key above it, whatever it is called below ``targets``."""
    above = [str(one) for one in path[:-1]]
    return "targets" if above[:2] == ["deploy", "targets"] and len(above) <= 3 else above[-1]


_KINDS: dict[str, type[StrEnum]] = {
    "executor": ExecutorKind,
    "strategy": Strategy,
    "targets": TargetKind,
}
_CHOICES: dict[str, type[StrEnum]] = {
    "severity": Severity,
    "missing": WhenMissing,
    "holder": Holder,
    "task": Task,
    "inconclusive": WhenUnclear,
    "incomparable": WhenUnclear,
    "metric": FairnessMetric,
    "type": ColumnType,
    "switch": SwitchKind,
    "when": TriggerKind,
    "action": ActionKind,
    "statistic": DriftStatistic,
    "correction": Correction,
}


def _origin(text: bytes, key: str, source: str) -> str:
    return _at(text, tuple(key.split(".")), source)


def _at(text: bytes, path: tuple[str | int, ...], source: str) -> str:
    line = locate_yaml(text, path) if text and path else None
    return f"{source}:{line}" if line else source
