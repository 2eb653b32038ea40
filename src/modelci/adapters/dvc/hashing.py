"""DVC's hashes of files and folders, from their bytes; sha256 beside them."""

import hashlib
import json
from collections.abc import Mapping

MD5 = "md5"
LEGACY = "md5-dos2unix"
"""DVC 2's md5: of text files, with Unix line ends."""

_CHUNK = 1 << 20
_PROBE = 512
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"


class Hasher:
    """Hashes ``size`` bytes as they come, by DVC's algorithm ``name`` and by sha256."""

    def __init__(self, name: str) -> None:
        self.size = 0
        self._name = name
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256()
        self._rest = b""

    def update(self, data: bytes) -> None:
        """Take the bytes that follow."""
        self.size += len(data)
        self._sha256.update(data)
        if self._name != LEGACY:
            self._md5.update(data)
            return
        data = self._rest + data
        whole = len(data) - len(data) % _CHUNK
        self._md5.update(_unix_lines(data[:whole]))
        self._rest = data[whole:]

    @property
    def found(self) -> str | None:
        """DVC's hash of all bytes so far; None where we do not know how ``name`` is made."""
        if self._name not in {MD5, LEGACY}:
            return None
        whole = self._md5.copy()
        whole.update(_unix_lines(self._rest))
        return whole.hexdigest()

    @property
    def sha256(self) -> str:
        """The sha256 of all bytes so far."""
        return self._sha256.hexdigest()


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
