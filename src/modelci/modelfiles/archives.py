"""Reads and unpacks compressed bytes, never more of them than asked for."""

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import IO, cast
from zipfile import BadZipFile, ZipFile

from modelci.domain.modelfiles import Danger
from modelci.modelfiles.findings import RefusedError

_CHUNK = 1024 * 1024
_MAX_MEMBERS = 100_000


def read_members(archive: ZipFile, *, max_bytes: int) -> dict[str, bytes]:
    """Return the contents of an archive's members by name; RefusedError for no honest archive.

    What the archive says of their sizes is believed first, and holds: ``zipfile`` reads no more.
    """
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise RefusedError(Danger.TOO_LARGE, "archive", f"it has {len(members):,} members")
    if len({one.filename for one in members}) != len(members):
        raise RefusedError(Danger.MALFORMED, "archive", "two members have one name")
    size = sum(one.file_size for one in members)
    if size > max_bytes:
        raise RefusedError(Danger.TOO_LARGE, "archive", f"it unpacks to {size:,} bytes")
    try:
        return {one.filename: archive.read(one) for one in members}
    except (BadZipFile, EOFError, RuntimeError, NotImplementedError, zlib.error) as error:
        raise RefusedError(Danger.MALFORMED, "archive", str(error)) from error


def _open_gzip(stream: IO[bytes]) -> IO[bytes]:
    return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))


def _open_zlib(stream: IO[bytes]) -> IO[bytes]:
    return io.BufferedReader(_Zlib(stream))


class _Zlib(io.RawIOBase):
    """Reads a zlib stream piece by piece, as joblib writes one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._unpacker = zlib.decompressobj()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._unpacker.eof:
            packed = self._unpacker.unconsumed_tail or self._stream.read(_CHUNK)
            if not packed:
                raise EOFError("it ends early")
            data = self._unpacker.decompress(packed, len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
        return 0


def _open_lz4(stream: IO[bytes]) -> IO[bytes]:
    try:
        from lz4.frame import LZ4FrameFile  # noqa: PLC0415 - joblib's own extra
    except ImportError as error:
        raise RefusedError(
            Danger.UNKNOWN_FORMAT, "lz4", "reading it takes `pip install lz4`"
        ) from error
    opened: IO[bytes] = LZ4FrameFile(stream)
    return opened


COMPRESSIONS: dict[bytes, Callable[[IO[bytes]], IO[bytes]]] = {
    b"\x1f\x8b": _open_gzip,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x5d\x00\x00": lzma.LZMAFile,
    b"\x04\x22\x4d\x18": _open_lz4,
    b"x\x01": _open_zlib,
    b"x\x5e": _open_zlib,
    b"x\x9c": _open_zlib,
    b"x\xda": _open_zlib,
}
"""How files begin that joblib compresses, and what opens them."""


def is_compressed(data: bytes) -> bool:
    """Whether the bytes begin as one of joblib's compressions does."""
    return data.startswith(tuple(COMPRESSIONS))


def unpack(data: bytes, *, max_bytes: int) -> bytes:
    """Return what was compressed; RefusedError where it is broken, or more than ``max_bytes``."""
    open_it = next(found for magic, found in COMPRESSIONS.items() if data.startswith(magic))
    parts: list[bytes] = []
    left = max_bytes
    try:
        with open_it(io.BytesIO(data)) as stream:
            while part := stream.read(min(_CHUNK, left + 1)):
                left -= len(part)
                if left < 0:
                    raise RefusedError(
                        Danger.TOO_LARGE, "file", f"it unpacks to more than {max_bytes:,} bytes"
                    )
                parts.append(part)
    except (OSError, EOFError, RuntimeError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise RefusedError(Danger.MALFORMED, "file", str(error)) from error
    return b"".join(parts)
