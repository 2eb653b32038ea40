"""GitHub's published description of requests and replies, to hold both sides of a test to it."""

import json
import re
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft202012Validator

SLICE = Path(__file__).parents[1] / "contract" / "openapi" / "github.json"


class Description:
    """The slice that ``tools/cut_openapi.py`` made; what it lacks is a violation."""

    def __init__(self, path: Path = SLICE) -> None:
        self._root = json.loads(path.read_text(encoding="utf-8"))
        self._validators: dict[str, Draft202012Validator] = {}

    def check_request(self, method: str, path: str, query: str, body: object) -> list[str]:
        """Return what is wrong with a request; ``path`` is still percent-encoded."""
        name, arguments = self._find(method, path)
        if name is None:
            return [f"{method} {path} is not in the description"]
        operation = self._root["operations"][name]
        given = [("path", key, value) for key, value in arguments.items()]
        given += [
            ("query", key, value) for key, value in parse_qsl(query, strict_parsing=bool(query))
        ]
        wrong = [one for where, key, value in given for one in self._check(name, where, key, value)]
        if operation["request"] is None:
            return wrong + ([f"{name} takes no body"] if body is not None else [])
        schema = operation["request"]
        known = [
            key
            for one in [schema, *schema.get("oneOf", ()), *schema.get("anyOf", ())]
            for key in one.get("properties", {})
        ]
        unknown = sorted(set(body) - set(known)) if isinstance(body, dict) else []
        wrong += [f"{name} knows no field {key!r}" for key in unknown]
        return wrong + self._validate(f"{_pointer('operations', name, 'request')}", body)

    def check_reply(self, method: str, path: str, status: int, body: object) -> list[str]:
        """Return what is wrong with a reply; an error that is not described has a message."""
        name, _ = self._find(method, path)
        if name is None:
            return []
        replies = self._root["operations"][name]["responses"]
        if str(status) in replies:
            pointer = _pointer("operations", name, "responses", str(status))
            schema = replies[str(status)]
            return [] if schema is None else self._validate(pointer, body)
        if status < 400:
            return [f"{name} never answers {status}"]
        return self._validate(_pointer("schemas", "basic-error"), body)

    def example(self, schema: str, **fields: object) -> dict[str, Any]:
        """Return an object of that schema: all that is required, null where it may be."""
        made = self._fill({"$ref": f"#/schemas/{schema}"})
        assert isinstance(made, dict)
        return {**made, **fields}

    @cached_property
    def _patterns(self) -> list[tuple[str, str, re.Pattern[str]]]:
        found = []
        for name in self._root["operations"]:
            method, path = name.split(" ")
            # Of all parameters only a ref has slashes of its own.
            pattern = re.sub(r"\\\{ref\\\}", "(?P<ref>.+)", re.escape(path))
            pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)
            found.append((method, name, re.compile(pattern)))
        return found

    def _find(self, method: str, path: str) -> tuple[str | None, dict[str, str]]:
        for wanted, name, pattern in self._patterns:
            match = pattern.fullmatch(path)
            if match and wanted == method:
                return name, match.groupdict()
        return None, {}

    def _check(self, name: str, where: str, key: str, value: str) -> list[str]:
        parameter = f"{where} {key}"
        schema = self._root["operations"][name]["parameters"].get(parameter)
        if schema is None:
            return [f"{name} knows no {where} parameter {key!r}"]
        pointer = _pointer("operations", name, "parameters", parameter)
        typed = int(value) if schema.get("type") == "integer" and value.isdecimal() else value
        return self._validate(pointer, typed)

    def _validate(self, pointer: str, value: object) -> list[str]:
        if pointer not in self._validators:
            self._validators[pointer] = Draft202012Validator({**self._root, "$ref": pointer})
        return [
            f"{pointer} at {error.json_path}: {error.message[:300]}"
            for error in self._validators[pointer].iter_errors(value)
        ]

    def _fill(self, schema: dict[str, Any]) -> object:  # noqa: PLR0911
        if "$ref" in schema:
            return self._fill(self._root["schemas"][schema["$ref"].rpartition("/")[2]])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                may_be_null = {"type": "null"} in schema[key]
                return None if may_be_null else self._fill(schema[key][0])
        if "allOf" in schema:
            parts = [self._fill(one) for one in schema["allOf"]]
            return {
                key: value
                for part in parts
                if isinstance(part, dict)
                for key, value in part.items()
            }
        if "enum" in schema:
            return schema["enum"][0]
        kinds = schema.get("type", "object")
        match "null" if "null" in kinds else kinds:
            case "object":
                properties = schema.get("properties", {})
                return {key: self._fill(properties[key]) for key in schema.get("required", ())}
            case "array":
                return []
            case "string":
                return _TEXTS.get(schema.get("format", ""), "text")
            case "integer" | "number":
                return 1
            case "boolean":
                return False
            case _:
                return None


_TEXTS = {"date-time": "2026-01-02T03:04:05Z", "uri": "https://github.com/acme/credit"}


def _pointer(*parts: str) -> str:
    return "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in parts)


@cache
def github() -> Description:
    """Return GitHub's, read once."""
    return Description()
