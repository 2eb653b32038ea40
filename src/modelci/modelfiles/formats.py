"""How a file is written, by its bytes: a name says what it likes."""

import io
import json
import pickletools
from collections.abc import Callable
from zipfile import BadZipFile, ZipFile

from modelci.domain.modelfiles import FileFormat
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
    """Whether a pickle of the oldest protocols may begin here: they begin as anything."""
    if not data or data[0] not in _OPCODES:
        return False
    steps = 0
    try:
        for opcode, _, _ in pickletools.genops(data):
            steps += 1
            if opcode.name in {"STOP", "GLOBAL", "INST", "STACK_GLOBAL"}:
                return True
            if steps > 100_000:
                return True
    except Exception:  # noqa: BLE001 - whatever other bytes make of it
        return False
    return False


_TESTS: dict[FileFormat, Callable[[bytes], bool]] = {
    FileFormat.NUMPY: lambda data: data.startswith(ARRAY),
    FileFormat.JOBLIB: is_compressed,
    FileFormat.JSON: _is_json,
    FileFormat.ONNX: looks_like_onnx,
    FileFormat.PICKLE: lambda data: data[:1] == b"\x80" or _may_be_pickle(data),
}
