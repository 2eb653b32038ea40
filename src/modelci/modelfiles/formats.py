"""How a file is written, by its bytes: a name says what it likes."""

import io
import json
import pickletools
import re
from collections.abc import Callable
from zipfile import BadZipFile, ZipFile

from modelci.domain.modelfiles import Danger, FileFormat
from modelci.modelfiles.archives import is_compressed
from modelci.modelfiles.onnxfiles import looks_like_onnx

SCHEMA = "schema.json"
"""What a skops file says of itself lies in this member."""

ARRAY = b"\x93NUMPY"
"""How a file of numpy's begins."""

_ZIP = b"PK\x03\x04"
_OPCODES = frozenset(ord(one.code) for one in pickletools.opcodes)
_JSON = frozenset(bytes([one]) for one in b'{["-0123456789tfn \t\r\n')
_MOST_JSON = 256 * 1024 * 1024


def detect(data: bytes) -> FileFormat:
    """Return the format; a compressed file may be JOBLIB, which only its contents tell.

    Where one file could be read in two ways, it is what loading would take it for.
    """
    if data.startswith(_ZIP):
        return _detect_archive(data)
    return next((kind for kind, is_it in _TESTS.items() if is_it(data)), FileFormat.UNKNOWN)


def _detect_archive(data: bytes) -> FileFormat:
    try:
        with ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
    except (BadZipFile, OSError, ValueError, NotImplementedError):
        return FileFormat.UNKNOWN
    if SCHEMA in names:
        return FileFormat.SKOPS
    is_arrays = bool(names) and all(name.endswith(".npy") for name in names)
    return FileFormat.NUMPY if is_arrays else FileFormat.UNKNOWN


def _is_json(data: bytes) -> bool:
    if data[:1] not in _JSON or len(data) > _MOST_JSON:
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _may_be_pickle(data: bytes) -> bool:
    """Whether a pickle of the oldest protocols may begin here: they begin as anything.

    It is none where reading it would fail before it has named a thing: by a step that takes from
    an empty stack, as text soon has, or (in text) by a name that no module has.
    """
    if not data or data[0] not in _OPCODES:
        return False
    stack: list[object] = []
    try:
        for steps, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            _step(opcode, stack)
            if opcode.name in {"GLOBAL", "INST"}:
                module = str(argument).partition(" ")[0]
                return _MODULE.fullmatch(module) is not None or not _is_text(data)
            if opcode.name in {"STOP", "STACK_GLOBAL"} or steps > _MOST_STEPS:
                return True
    except Exception:  # noqa: BLE001 - whatever other bytes make of it
        return False
    return False


_MODULE = re.compile(r"[\w.-]+")
_MOST_STEPS = 100_000
_MARK = pickletools.markobject


def _step(opcode: pickletools.OpcodeInfo, stack: list[object]) -> None:
    """Do to the stack what the step does; IndexError where it has not got what that takes."""
    taken = list(opcode.stack_before)
    if _MARK in taken:
        while stack.pop() is not _MARK:
            pass
        taken = taken[: taken.index(_MARK)]
    for _ in taken:
        stack.pop()
    stack.extend(opcode.stack_after)


def _is_text(data: bytes) -> bool:
    try:
        return b"\0" not in data and data.decode().strip() != ""
    except UnicodeDecodeError:
        return False


def explain_unknown(data: bytes) -> tuple[Danger, str]:
    """Say what bytes are that have no known format: nothing, cut short, text, or something else."""
    if not data:
        return Danger.MALFORMED, "it is empty"
    if data.startswith(_ZIP):
        try:
            with ZipFile(io.BytesIO(data)):
                return Danger.UNKNOWN_FORMAT, "a zip archive, but neither skops's nor numpy's"
        except (BadZipFile, OSError, ValueError, NotImplementedError):
            return Danger.MALFORMED, "a zip archive (as skops writes) that is cut short or damaged"
    if _is_text(data):
        return Danger.UNKNOWN_FORMAT, "text, and no format of models that is known"
    return Danger.UNKNOWN_FORMAT, "no format of models that is known"


_TESTS: dict[FileFormat, Callable[[bytes], bool]] = {
    FileFormat.NUMPY: lambda data: data.startswith(ARRAY),
    FileFormat.JOBLIB: is_compressed,
    FileFormat.JSON: _is_json,
    FileFormat.ONNX: looks_like_onnx,
    FileFormat.PICKLE: lambda data: data[:1] == b"\x80" or _may_be_pickle(data),
}
