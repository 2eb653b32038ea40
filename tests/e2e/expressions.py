"""GitHub's expressions: what stands between ``${{`` and ``}}``, and after ``if:``.

``expressions.json`` holds what GitHub's own evaluator makes of the expressions of our workflows and
of the language's corners; ``test_expressions.py`` holds this one to it.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

# None, bool, float, str, or a list or a mapping of these.
Value = Any
Function = Callable[..., Value]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)"
    r"|(?P<sign>&&|\|\||==|!=|<=|>=|[<>!()\[\],.]))"
)
_WORDS: Mapping[str, Value] = {"true": True, "false": False, "null": None}
_HOLE = re.compile(r"\$\{\{((?:[^'}]|'[^']*'|\}(?!\}))*)\}\}")
_STATUS = re.compile(r"\b(?:success|always|failure|cancelled)\(\)")


class ExpressionError(ValueError):
    """This is none of GitHub's expressions, or one that nobody here can evaluate."""


def evaluate(
    expression: str,
    contexts: Mapping[str, Value],
    functions: Mapping[str, Function] | None = None,
) -> Value:
    """Return the value; what a context does not hold is None, what is no context an error."""
    reader = _Reader(expression, contexts, {**_FUNCTIONS, **(functions or {})})
    value = reader.either()
    reader.expect_end()
    return value


def fill(
    text: str, contexts: Mapping[str, Value], functions: Mapping[str, Function] | None = None
) -> Value:
    """Put values into a text; a text that is one expression keeps the value's type."""
    holes = [*_HOLE.finditer(text)]
    if len(holes) == 1 and holes[0].group() == text.strip():
        return evaluate(holes[0][1], contexts, functions)
    return _HOLE.sub(lambda one: as_text(evaluate(one[1], contexts, functions)), text)


def holds(condition: str, contexts: Mapping[str, Value], functions: Mapping[str, Function]) -> bool:
    """Judge an ``if:``; one that asks for no status is as if it began with ``success() &&``."""
    holes = [*_HOLE.finditer(condition)]
    bare = holes[0][1] if holes and holes[0].group() == condition.strip() else condition
    value = evaluate(bare, contexts, functions) if bare.strip() else True
    needs_success = not _STATUS.search(bare)
    return is_true(value) and not (needs_success and not is_true(functions["success"]()))


def found_in(text: str) -> Iterator[str]:
    """Yield the expressions of a text."""
    for hole in _HOLE.finditer(text):
        yield hole[1].strip()


def is_true(value: Value) -> bool:
    if isinstance(value, float) and math.isnan(value):
        return False
    return isinstance(value, Mapping | list) or bool(value)


def as_text(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value:.15g}"
        case str():
            return value
    return "Object" if isinstance(value, Mapping) else "Array"


def _as_number(value: Value) -> float:
    match value:
        case None:
            return 0.0
        case bool() | int() | float():
            return float(value)
        case str():
            try:
                return float(value.strip() or "0")
            except ValueError:
                return math.nan
    return math.nan


def _equal(left: Value, right: Value) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.upper() == right.upper()
    if isinstance(left, Mapping | list) or isinstance(right, Mapping | list):
        return left is right
    return _as_number(left) == _as_number(right)


def _less(left: Value, right: Value) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.upper() < right.upper()
    return _as_number(left) < _as_number(right)


def _contains(where: Value, what: Value) -> bool:
    if isinstance(where, list):
        return any(_equal(one, what) for one in where)
    return as_text(what).upper() in as_text(where).upper()


def _format(form: Value, *values: Value) -> str:
    def put(hole: re.Match[str]) -> str:
        return as_text(values[int(hole[1])]) if hole[1] else hole[0][0]

    return re.sub(r"\{(\d+)\}|\{\{|\}\}", put, as_text(form))


def _join(values: Value, sign: Value = ",") -> str:
    return as_text(sign).join(map(as_text, values if isinstance(values, list) else [values]))


_FUNCTIONS: Mapping[str, Function] = {
    "contains": _contains,
    "startswith": lambda text, what: as_text(text).upper().startswith(as_text(what).upper()),
    "endswith": lambda text, what: as_text(text).upper().endswith(as_text(what).upper()),
    "format": _format,
    "join": _join,
    "fromjson": lambda text: json.loads(as_text(text)),
    "tojson": lambda value: json.dumps(value, indent=2),
}
_EQUALITIES: Mapping[str, Callable[[Value, Value], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
}
_ORDERS: Mapping[str, Callable[[Value, Value], bool]] = {
    "<": _less,
    ">": lambda left, right: _less(right, left),
    "<=": lambda left, right: _less(left, right) or _equal(left, right),
    ">=": lambda left, right: _less(right, left) or _equal(left, right),
}


class _Reader:
    """Reads and evaluates in one go; nothing that an expression does has an effect."""

    def __init__(
        self, text: str, contexts: Mapping[str, Value], functions: Mapping[str, Function]
    ) -> None:
        self.text = text
        self.contexts = contexts
        self.functions = functions
        self.tokens = [*self._split(text.strip())]
        self.at = 0
        self.idle = 0

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        place = 0
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None or found.lastgroup is None:
                raise self._error()
            yield found.lastgroup, found[found.lastgroup]
            place = found.end()

    def _error(self) -> ExpressionError:
        return ExpressionError(f"no expression of GitHub's: {self.text}")

    def _next(self) -> tuple[str, str]:
        if self.at == len(self.tokens):
            raise self._error()
        self.at += 1
        return self.tokens[self.at - 1]

    def _takes(self, *signs: str) -> str | None:
        if self.at < len(self.tokens) and self.tokens[self.at] in [("sign", one) for one in signs]:
            return self._next()[1]
        return None

    def _expect(self, sign: str) -> None:
        if self._takes(sign) is None:
            raise self._error()

    def expect_end(self) -> None:
        if self.at != len(self.tokens):
            raise self._error()

    def either(self) -> Value:
        value = self._both()
        while self._takes("||"):
            value = self._unless(is_true(value), value, self._both)
        return value

    def _both(self) -> Value:
        value = self._equal()
        while self._takes("&&"):
            value = self._unless(not is_true(value), value, self._equal)
        return value

    def _unless(self, is_settled: bool, value: Value, read: Callable[[], Value]) -> Value:
        """Read what follows, and evaluate it unless the value is settled."""
        self.idle += is_settled
        other = read()
        self.idle -= is_settled
        return value if is_settled else other

    def _equal(self) -> Value:
        value = self._ordered()
        while sign := self._takes(*_EQUALITIES):
            value = _EQUALITIES[sign](value, self._ordered())
        return value

    def _ordered(self) -> Value:
        value = self._denied()
        while sign := self._takes(*_ORDERS):
            value = _ORDERS[sign](value, self._denied())
        return value

    def _denied(self) -> Value:
        return not is_true(self._denied()) if self._takes("!") else self._looked_up()

    def _looked_up(self) -> Value:
        value = self._single()
        while sign := self._takes(".", "["):
            key = self._next()[1] if sign == "." else self.either()
            if sign == "[":
                self._expect("]")
            value = _member(value, key)
        return value

    def _single(self) -> Value:
        kind, text = self._next()
        match kind:
            case "string":
                return text[1:-1].replace("''", "'")
            case "number":
                return float(text)
            case "name":
                return self._named(text)
        if text != "(":
            raise self._error()
        value = self.either()
        self._expect(")")
        return value

    def _named(self, name: str) -> Value:
        if self._takes("("):
            return self._called(name)
        if name in _WORDS:
            return _WORDS[name]
        if name not in self.contexts:
            raise ExpressionError(f"there is no {name} here: {self.text}")
        return self.contexts[name]

    def _called(self, name: str) -> Value:
        given = []
        while not self._takes(")"):
            given.append(self.either())
            if not self._takes(","):
                self._expect(")")
                break
        if name.lower() not in self.functions:
            raise ExpressionError(f"there is no function {name} here: {self.text}")
        return None if self.idle else self.functions[name.lower()](*given)


def _member(value: Value, key: Value) -> Value:
    if isinstance(value, list) and isinstance(key, float):
        return value[int(key)] if 0 <= key < len(value) else None
    if isinstance(value, Mapping):
        found = [one for name, one in value.items() if _equal(name, as_text(key))]
        return found[0] if found else None
    return None
