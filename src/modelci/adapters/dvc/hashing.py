"""DVC's hashes of files and folders, from their bytes; sha256 beside them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from modelci.adapters import trace

MD5 = "md5"
LEGACY = "md5-dos2unix"
"""DVC 2's md5: of text files, with Unix line ends."""

_CHUNK = 1 << 20
_SMALL = 4 << 20
_PROBE = 512
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"


@dataclass(frozen=True, slots=True)
class Hashes:
    """What a file's bytes give; ``found`` is by DVC's algorithm, None where we do not know that."""

    found: str | None
    sha256: str
    size: int


def hash_file(path: Path, name: str) -> Hashes:
    """Hash a file by DVC's algorithm ``name``, and by sha256 at the same time."""
    size = path.stat().st_size
    if size < _SMALL:
        data = path.read_bytes()
        return Hashes(hash_bytes(data, name), hashlib.sha256(data).hexdigest(), len(data))
    told = trace.told("hash", path.name, total=size, unit="bytes")
    with told as advance, ThreadPoolExecutor(1) as pool:  # hashlib lets go of Python's lock
        found = pool.submit(_hash_large, path, name)
        sha256 = hashlib.sha256()
        for done, block in _blocks(path):
            sha256.update(block)
            advance(done)
        return Hashes(found.result(), sha256.hexdigest(), size)


def _hash_large(path: Path, name: str) -> str | None:
    digest = hashlib.md5(usedforsecurity=False)
    if name == MD5:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: digest).hexdigest()
    if name != LEGACY:
        return None
    for _, block in _blocks(path):
        digest.update(_unix_lines(block))
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield a file's blocks, each with how many bytes have been read by then."""
    done = 0
    with path.open("rb") as stream:
        while block := stream.read(_CHUNK):
            done += len(block)
            yield done, block


def hash_bytes(data: bytes, name: str) -> str | None:
    """Return the hash of a file's bytes, or None where we do not know how ``name`` is made."""
    if name == MD5:
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    if name == LEGACY:
        return hashlib.md5(_unix_lines(data), usedforsecurity=False).hexdigest()
    return None


def hash_listing(files: Mapping[str, str], name: str) -> str | None:
    """Return the hash of a folder from its files' hashes by relative path."""
    listing = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    digest = hash_bytes(json.dumps(listing, sort_keys=True).encode(), name)
    return f"{digest}.dir" if digest else None


def _unix_lines(data: bytes) -> bytes:
    # DVC decides chunk by chunk, by its first bytes, whether it is text.
    chunks = (data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK))
    return b"".join(
        chunk.replace(b"\r\n", b"\n") if _is_text(chunk[:_PROBE]) else chunk for chunk in chunks
    )


def _is_text(probe: bytes) -> bool:
    if b"\0" in probe:
        return False
    return len(probe.translate(None, _TEXT)) / len(probe) <= 0.3
