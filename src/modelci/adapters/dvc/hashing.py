"""DVC's hashes of files and folders, from their bytes."""

import hashlib
import json
from collections.abc import Mapping

MD5 = "md5"
LEGACY = "md5-dos2unix"
"""DVC 2's md5: of text files, with Unix line ends."""

_CHUNK = 1 << 20
_PROBE = 512
_TEXT = bytes(range(32, 127)) + b"\n\r\t\f\b"


def hash_bytes(data: bytes, name: str) -> str | None:
    """Return the hash of a file's bytes, or None where we do not know how ``name`` is made."""
    if name == MD5:
        return hashlib.md5(data, usedforsecurity=False).hexdigest()
    if name == LEGACY:
        return _legacy(data)
    return None


def hash_listing(files: Mapping[str, str], name: str) -> str | None:
    """Return the hash of a folder from its files' hashes by relative path."""
    listing = [{"md5": files[path], "relpath": path} for path in sorted(files)]
    digest = hash_bytes(json.dumps(listing, sort_keys=True).encode(), name)
    return f"{digest}.dir" if digest else None


def _legacy(data: bytes) -> str:
    # DVC decides chunk by chunk, by its first bytes, whether it is text.
    digest = hashlib.md5(usedforsecurity=False)
    for start in range(0, len(data), _CHUNK):
        chunk = data[start : start + _CHUNK]
        digest.update(chunk.replace(b"\r\n", b"\n") if _is_text(chunk[:_PROBE]) else chunk)
    return digest.hexdigest()


def _is_text(probe: bytes) -> bool:
    if b"\0" in probe:
        return False
    return len(probe.translate(None, _TEXT)) / len(probe) <= 0.3
