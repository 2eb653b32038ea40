"""Where a path that DVC's files name lies in the repository, if it does at all."""

import posixpath
import re
from dataclasses import dataclass

_URL = re.compile(r"\w+://")
_ELSEWHERE = re.compile(r"[/~\\]|[A-Za-z]:[\\/]")
_PRIVATE = frozenset({".git", ".dvc"})


@dataclass(frozen=True, slots=True)
class Ref:
    """A path as it is written, and from the top of the repository.

    ``path`` is None where it leads out of the repository, or to what Git and DVC keep for
    themselves (``.git/config`` may hold a token): such a path is never read.
    """

    written: str
    path: str | None
    is_url: bool = False


def locate(folder: str, written: str) -> Ref:
    """Return where ``written`` leads, seen from ``folder`` (from the top; "" is the top)."""
    if _URL.match(written):
        return Ref(written, None, is_url=True)
    if _ELSEWHERE.match(written) or "\0" in written:
        return Ref(written, None)
    path = posixpath.normpath(posixpath.join(folder, written))
    parts = path.split("/")
    if path.startswith("/") or parts[0] == ".." or any(p.casefold() in _PRIVATE for p in parts):
        return Ref(written, None)
    return Ref(written, path)


def join(folder: str, name: str) -> str:
    """Join a folder ("" is the top) and a name."""
    return f"{folder}/{name}" if folder else name


def parents(path: str) -> list[str]:
    """Return the folders above ``path``, nearest first; the top is left out."""
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]
