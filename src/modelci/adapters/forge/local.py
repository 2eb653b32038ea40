"""A forge that is a folder, for demos and for work without a network.

It holds ``comments/pr-7-SLUG.md``, ``releases/TAG.md`` and ``tags/TAG.md``, to be read by people.
"""

import os
import re
import tempfile
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from modelci.adapters.forge.settings import ForgeSettings
from modelci.adapters.forge.sticky import mark, normalize
from modelci.errors import ConfigError, ForgeError
from modelci.ports import PostedComment, PostedRelease

MAX_NAME_CHARACTERS = 120


def connect(settings: ForgeSettings) -> "LocalForge":
    """Return the forge of the settings' folder, which need not exist yet."""
    if settings.folder is None:
        raise ConfigError(
            "The local forge has no folder.", hint="Set `forge.path` in modelci.yaml."
        )
    return LocalForge(settings.folder)


class LocalForge:
    """A folder of Markdown files; a file's path is its URL. Files are replaced whole."""

    name = "the local forge"

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()

    def upsert_comment(self, number: int, body: str, *, marker: str) -> PostedComment:
        """Write the comment's file, one for each pull request and marker."""
        text = normalize(mark(body, marker)) + "\n"
        path = self._folder / "comments" / f"pr-{number}-{_slug(marker)}.md"
        known = self._read(path)
        if known is not None and normalize(known) == normalize(text):
            return PostedComment(url=str(path), action="unchanged")
        self._write(path, text)
        return PostedComment(url=str(path), action="created" if known is None else "updated")

    def publish_release(self, tag: str, *, title: str, body: str) -> PostedRelease:
        """Write the release's file."""
        path = self._folder / "releases" / f"{_file_name(tag)}.md"
        self._write(path, f"# {title}\n\n{normalize(body)}\n")
        return PostedRelease(tag=tag, url=str(path))

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        """Write the tag's file: its name, its commit, its message."""
        path = self._folder / "tags" / f"{_file_name(tag)}.md"
        quoted = "\n".join(f"    {line}".rstrip() for line in normalize(message).split("\n"))
        self._write(path, f"# {tag}\n\nCommit: `{commit}`\n\n{quoted}\n")

    def _read(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, error) from error

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _replace(path, text.encode("utf-8", "replace"))
        except OSError as error:
            raise _unusable(path, error) from error


def _replace(path: Path, data: bytes) -> None:
    """Write a file so that readers, and a process that dies, see the old or the new one."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        part.chmod(0o644)  # mkstemp's files are for their owner alone
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _unusable(path: Path, error: OSError) -> ForgeError:
    return ForgeError(
        f"The local forge cannot use {path}: {error.strerror}.",
        hint="`forge.path` in modelci.yaml names a folder that can be written to.",
    )


def _slug(marker: str) -> str:
    """Return words to recognise a marker by, and a hash to tell it from all others."""
    words = "-".join(re.findall(r"[a-z0-9]+", marker.lower()))[:60].strip("-")
    return "-".join(filter(None, [words, _digest(marker)]))


def _file_name(name: str) -> str:
    """Escape a name so that it is one file's, in the folder meant for it.

    Tags keep their ``@``, ``#`` and ``=``; a slash and what some file system forbids become
    ``%XX``. Dots alone lead nowhere, since an extension follows.
    """
    escaped = quote(name.encode("utf-8", "replace"), safe="@#=+!,")
    if len(escaped) > MAX_NAME_CHARACTERS:
        escaped = f"{escaped[:MAX_NAME_CHARACTERS]}-{_digest(name)}"
    return escaped


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
