"""ONNX files: operators that a runtime knows, and numbers. Read as protobuf, without a library.

Such a file cannot bring code. It can name operators that only a further library has, and files
that its numbers lie in: neither is in what was tagged.
"""

from collections.abc import Collection, Iterator

from modelci.domain.modelfiles import Danger
from modelci.modelfiles.findings import Examined, RefusedError, malformed

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
"""Operators of these domains are part of ONNX Runtime itself."""

_IR_VERSION, _GRAPH, _TRAINING, _FUNCTIONS = 1, 7, 20, 25
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_NODE = {"op_type": 4, "domain": 7}
_EXTERNAL, _LOCATION = 13, 14
_MAX_DEPTH = 64

# Where messages lie in messages, by field: enough to find every node and tensor.
_MODEL = {_GRAPH: "graph", _TRAINING: "training", _FUNCTIONS: "function"}
_INSIDE: dict[str, dict[int, str]] = {
    "model": _MODEL,
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {_EXTERNAL: "entry"},
    "entry": {},
}


def looks_like_onnx(data: bytes) -> bool:
    """Whether the bytes are a message with a version and a graph, from end to end."""
    try:
        fields = dict(_fields(memoryview(data)))
    except ValueError:
        return False
    version = fields.get(_IR_VERSION)
    return isinstance(version, int) and 0 < version < 64 and _is_message(fields.get(_GRAPH))


def _is_message(value: object) -> bool:
    return isinstance(value, memoryview)


def examine(data: bytes, trusted: Collection[str]) -> Examined:
    """Return the operators that a model names, and what of that is refused."""
    found = Examined()
    try:
        known = frozenset(trusted) | set(_functions(memoryview(data)))
        _examine("model", memoryview(data), known, found, depth=0)
    except RefusedError as error:
        found.add(error.finding)
    except ValueError as error:
        found.add(malformed("onnx", error))
    return found


def _functions(model: memoryview) -> Iterator[str]:
    """Yield the operators that the model itself puts together from others."""
    for number, value in _fields(model):
        if number == _FUNCTIONS and isinstance(value, memoryview):
            own = dict(_fields(value))
            yield f"{_text(own.get(10))}.{_text(own.get(1))}"


def _examine(
    kind: str, message: memoryview, known: frozenset[str], found: Examined, *, depth: int
) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    own: dict[int, int | memoryview] = {}
    for number, value in _fields(message):
        own[number] = value
        inner = _INSIDE[kind].get(number)
        if inner is not None and isinstance(value, memoryview):
            _examine(inner, value, known, found, depth=depth + 1)
    if kind == "node":
        _judge_node(own, known, found)
    if kind == "entry" and _text(own.get(1)) == "location":
        detail = f"its numbers lie in {_text(own.get(2))!r}: save it as one file"
        found.refuse(Danger.EXTERNAL_DATA, "onnx", detail)
    if kind == "tensor" and own.get(_LOCATION) == 1 and _EXTERNAL not in own:
        found.refuse(Danger.EXTERNAL_DATA, "onnx", "its numbers lie elsewhere")


def _judge_node(node: dict[int, int | memoryview], known: frozenset[str], found: Examined) -> None:
    domain, kind = _text(node.get(_NODE["domain"])), _text(node.get(_NODE["op_type"]))
    name = f"{domain or 'ai.onnx'}.{kind}"
    found.name(name)
    if domain not in DOMAINS and known.isdisjoint({name, domain}):
        found.refuse(Danger.UNTRUSTED_TYPE, name, "an operator that ONNX Runtime does not have")


def _text(value: int | memoryview | None) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, memoryview) else ""


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield each field's number and value; ValueError where the bytes are no message."""
    at, end = 0, len(message)
    while at < end:
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise ValueError("a field has no number")
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(message, at)
        if size is None or at + size > end:
            raise ValueError("a field has no end")
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it ends early")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has no end")
