"""JSON Schemas of the documents and of ``modelci.yaml``, generated from the dataclasses."""

import re
from importlib import import_module
from typing import Any

import msgspec

from modelci.config.keys import meanings
from modelci.config.model import Config
from modelci.documents.codec import SCHEMAS
from modelci.domain.gates import Verdict
from modelci.domain.report import Report

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, dict[str, Any]]:
    """Return every schema by its file's stem: ``modelci.report-1``, …, ``modelci.yaml``."""
    found = {name.replace("/", "-"): _document(kind, name) for kind, name in kinds().items()}
    return found | {"modelci.yaml": _describe(_close(_ease(_root(Config, "modelci.yaml"))))}


def kinds() -> dict[type, str]:
    """Return every kind of document with its schema."""
    return {_find(where): name for where, name in SCHEMAS.items()}


def _find(where: str) -> type:
    module, _, name = where.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


def _root(kind: type, title: str) -> dict[str, Any]:
    """Return the JSON Schema of a dataclass, its own fields at the root."""
    (root,), components = msgspec.json.schema_components([kind])
    definitions = dict(components)
    own = definitions.pop(root["$ref"].rsplit("/", 1)[-1])
    text = {
        "$schema": _DIALECT,
        "title": title,
        **{key: part for key, part in own.items() if key != "title"},
    }
    rebased: dict[str, Any] = _rebase(text | {"$defs": definitions})
    return rebased


def _document(kind: type, name: str) -> dict[str, Any]:
    schema = _root(kind, name)
    own: dict[str, Any] = {"schema": {"const": name}}
    if kind is Report:
        verdict = _root(Verdict, "Verdict")
        own |= {"ok": {"type": "boolean"}, "verdict": {"properties": verdict["properties"]}}
    schema["properties"] = own | schema["properties"]
    schema["required"] = ["schema", *schema.get("required", [])]
    return schema


def _ease(schema: dict[str, Any]) -> dict[str, Any]:
    """Take one entry where the loader does, without a list around it."""
    places = ((schema, "evaluation"), *((schema["$defs"][name], "metrics") for name in _NAMING))
    for part, key in places:
        several = part["properties"][key]
        default = several.pop("default")
        part["properties"][key] = {"anyOf": [several["items"], several], "default": default}
    return schema


_NAMING = ("SlicesConfig", "BaselineConfig")


def _close(schema: dict[str, Any]) -> dict[str, Any]:
    """Refuse unknown keys, as the loader does; documents, in contrast, may grow."""
    for part in (schema, *schema["$defs"].values()):
        if "properties" in part:
            part["additionalProperties"] = False
    return schema


def _describe(schema: dict[str, Any]) -> dict[str, Any]:
    """Say of each key what it means, as an editor shows it: links are for the documentation."""
    parts = {Config.__name__: schema, **schema["$defs"]}
    for name, keys in meanings().items():
        for key, meaning in keys.items():
            parts[name]["properties"][key]["description"] = _LINK.sub(r"\1", meaning)
    return schema


_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def _rebase(value: Any) -> Any:
    """Point references at ``$defs``, where this document keeps them."""
    if isinstance(value, dict):
        return {key: _rebase(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_rebase(part) for part in value]
    if isinstance(value, str) and value.startswith("#/components/schemas/"):
        return value.replace("#/components/schemas/", "#/$defs/")
    return value
