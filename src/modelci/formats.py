"""Reads YAML, JSON and TOML as DVC does, and says file and line when it cannot.

DVC reads YAML 1.2 (through ruamel.yaml): ``no`` is text, ``1e-3`` a number, ``010`` ten. PyYAML's
C parser with 1.2's own scalar rules reads the same values some twenty times faster. Dates stay
text, since none of our values is one.
"""

import json
import re
import tomllib
from collections.abc import Callable, Hashable
from pathlib import PurePosixPath
from typing import Any

import yaml

from modelci.errors import ConfigError

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MARK = b"<<<<<<< "
_CONFLICT = re.compile(rb"^<<<<<<< ", re.MULTILINE)
# What PyYAML lets through from values that are not what their tag says (``!!bool maybe``).
_ODD_TAGS = (ArithmeticError, AttributeError, LookupError, TypeError)
_MAX_DEPTH = 2_000
_DEEP_BLOCK = re.compile(rb"^[-? \t]{%d}" % _MAX_DEPTH, re.MULTILINE)


_MAX_MERGED = 100_000
"""Keys of one mapping, with those that ``<<`` brings: merges of merges double at every line."""


class _Loader(_Base):  # type: ignore[misc]
    """Safe, YAML 1.2, and strict about keys that stand twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def flatten_mapping(self, node: Any) -> None:
        own = len(node.value)
        super().flatten_mapping(node)
        if len(node.value) > max(own, _MAX_MERGED):
            problem = f"more than {_MAX_MERGED:,} merged keys"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if (key.tag, key.value) in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} stands twice", key.start_mark
                    )
                seen.add((key.tag, key.value))
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return found


def _int(_: Any, node: yaml.ScalarNode) -> int:
    digits = node.value.replace("_", "").lower()
    base = {"0b": 2, "0o": 8, "0x": 16}.get(digits.lstrip("+-")[:2], 10)
    return int(digits, base)


def _float(_: Any, node: yaml.ScalarNode) -> float:
    return float(node.value.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
    ("int", r"[-+]?0b[01_]+|[-+]?0o[0-7_]+|[-+]?0x[0-9a-fA-F_]+|[-+]?[0-9_]+", "-+0123456789"),
    (
        "float",
        r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), list(_first)
    )
_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)


def parse_yaml(data: bytes, source: str) -> Any:
    """Return the values of a YAML text; an empty one is None."""
    _refuse_conflict(data, source)
    try:
        _refuse_depth(data)
        return yaml.load(data, Loader=_Loader)  # noqa: S506 - a safe loader's subclass
    except yaml.MarkedYAMLError as error:
        raise _broken(source, _place(error.problem_mark), error.problem or "no YAML") from error
    except (yaml.YAMLError, ValueError, RecursionError, *_ODD_TAGS) as error:
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise _broken(source, "", problem) from error


def parse_json(data: bytes, source: str) -> Any:
    """Return the values of a JSON text, NaN and Infinity included, as Python writes them."""
    _refuse_conflict(data, source)
    try:
        value = json.loads(data)
        if data.count(b"[") + data.count(b"{") > _MOST_NESTED:
            _refuse_nesting(value)
    except json.JSONDecodeError as error:
        raise _broken(source, f":{error.lineno}:{error.colno}", error.msg) from error
    except (ValueError, RecursionError) as error:
        raise _broken(source, "", str(error)) from error
    return value


_MOST_NESTED = 500


def _refuse_nesting(value: object) -> None:
    """Raise ValueError for what is nested deeper than those can follow who read it.

    Python's parser refuses it by itself up to 3.11; later ones take some ten times as much.
    """
    level = [value]
    for _ in range(_MOST_NESTED):
        level = [
            one
            for outer in level
            if isinstance(outer, dict | list)
            for one in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {_MOST_NESTED} deep")


def parse_toml(data: bytes, source: str) -> Any:
    """Return the values of a TOML text."""
    _refuse_conflict(data, source)
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise _broken(source, "", str(error)) from error


_PARSERS: dict[str, Callable[[bytes, str], Any]] = {
    ".json": parse_json,
    ".toml": parse_toml,
    ".yaml": parse_yaml,
    ".yml": parse_yaml,
}


def parse(path: str, data: bytes) -> Any:
    """Read ``data`` by the ending of its path; DVC takes every other ending for YAML."""
    return _PARSERS.get(PurePosixPath(path).suffix.lower(), parse_yaml)(data, path)


def locate_yaml(data: bytes, path: tuple[str | int, ...]) -> int | None:
    """Return the line (from 1) of the value that ``path`` leads to, or of the deepest part."""
    node = yaml.compose(data, Loader=_Loader)
    line = None
    for step in path:
        found = None
        if isinstance(node, yaml.MappingNode):
            if isinstance(step, int):  # one entry that stands where a list of them may
                continue
            found = next((pair for pair in node.value if pair[0].value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = (node.value[step], node.value[step]) if step < len(node.value) else None
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _refuse_conflict(data: bytes, source: str) -> None:
    found = _CONFLICT.search(data) if _MARK in data else None
    if found:
        line = data.count(b"\n", 0, found.start()) + 1
        raise ConfigError(
            f"{source}:{line} holds a merge conflict.",
            hint="Resolve it (for dvc.lock: take either side, then `modelci run`), and commit.",
        )


def _refuse_depth(data: bytes) -> None:
    # Some 20,000 levels crash the process, since PyYAML's C parser recurses unchecked. Walking
    # the events is safe but slow, so only a text that could be that deep is walked.
    if data.count(b"[") + data.count(b"{") < _MAX_DEPTH and not _DEEP_BLOCK.search(data):
        return
    depth = 0
    event: Any
    for event in yaml.parse(data, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested more than {_MAX_DEPTH} levels deep",
                problem_mark=event.start_mark,
            )


def _place(mark: Any) -> str:
    return f":{mark.line + 1}:{mark.column + 1}" if mark else ""


def _broken(source: str, place: str, problem: str) -> ConfigError:
    return ConfigError(f"{source}{place} cannot be read: {problem}.")
