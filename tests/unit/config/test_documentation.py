"""docs/configuration.md names every key that modelci.yaml may have."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from modelci.config.model import Config

TEXT = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text(encoding="utf-8")


def keys(section: type, prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys of a section, of what its lists hold too (``gates.[].metric``)."""
    hints = get_type_hints(section)
    for field in fields(section):
        kind, key = hints[field.name], f"{prefix}{field.name}"
        if is_dataclass(kind) and isinstance(kind, type):
            yield from keys(kind, f"{key}.")
            continue
        yield key
        held = _held(kind)
        if held is not None:
            yield from keys(held, f"{key}.[].")


def _held(kind: Any) -> type | None:
    """Return the dataclass that a tuple or a mapping holds."""
    found = [one for one in _flat(kind) if is_dataclass(one) and isinstance(one, type)]
    return found[0] if found else None


def _flat(kind: Any) -> Iterator[Any]:
    yield kind
    for one in get_args(kind):
        yield from _flat(one)


@pytest.mark.parametrize("key", list(keys(Config)))
def test_the_key_is_in_the_documentation(key: str) -> None:
    if key.startswith("run.events.[]."):
        return  # the keys of `run` once more
    _, is_listed, name = key.rpartition(".[].")
    section = key.partition(".")[0]
    if not is_listed:
        assert f"`{key}`" in TEXT or f"## {key.capitalize()}" in TEXT
        return
    _, start, rest = TEXT.partition(f"## {HEADINGS.get(section, section.capitalize())}\n")
    assert start
    told, name = rest.partition("\n## ")[0], name.rpartition(".")[2]
    assert re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`|^\s*(- )?{name}:|\{{{name}:", told, re.MULTILINE)


HEADINGS: Mapping[str, str] = {"evaluation": "Predictions", "budget": "Budgets"}
