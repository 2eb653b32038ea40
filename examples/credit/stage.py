"""What the stage scripts share: reading parameters, and refusing input that cannot be used."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class BadInputError(Exception):
    """The data or the parameters cannot be used; the one-line message says what to do."""


def read_params(path: Path, section: str) -> dict[str, Any]:
    """Read one section of ``params.yaml``; ``a.b`` is section ``b`` within ``a``."""
    try:
        node = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInputError(f"cannot read {path}: {one_line(error)}") from error
    for key in section.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        raise BadInputError(f"{path} has no section {section!r}: add it")
    return node


def fraction(params: dict[str, Any], key: str) -> float:
    """Read a parameter that must lie strictly between 0 and 1."""
    value = params.get(key)
    # Compared this way round, NaN is refused as well.
    if isinstance(value, int | float) and 0.0 < value < 1.0:
        return float(value)
    raise BadInputError(f"parameter {key!r} is {value!r}: set it between 0 and 1")


def month(params: dict[str, Any], key: str) -> str:
    """Read a parameter that is a month, such as 2025-12."""
    value = params.get(key)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}", value):
        return value
    raise BadInputError(f"parameter {key!r} is {value!r}: write it like '2025-12'")


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write JSON for Git: one value a line, so that a diff shows which one changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def one_line(error: BaseException) -> str:
    """Fold a library's message into one line, for a log that shows only one."""
    return " ".join(str(error).split())


def run(main: Callable[[], None]) -> None:
    """Run a script; bad input ends it with one line on stderr and exit code 1."""
    try:
        main()
    except BadInputError as error:
        sys.exit(f"error: {error}")
