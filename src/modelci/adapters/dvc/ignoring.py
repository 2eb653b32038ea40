"""Git's view of outputs, as DVC asks for it, without reading all of it anew for each output.

DVC lists outputs in ``.gitignore`` and refuses those that Git tracks. For every output it reads the
whole index, and after every stage it compiles every ``.gitignore`` again.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modelci.adapters.dvc import seams

Stamp = tuple[int, int, int] | None


class GitView:
    """Stands in for two methods of DVC's Git object, for one run."""

    def __init__(self, scm: Any) -> None:
        self._scm = scm
        self._index: tuple[Stamp, frozenset[str]] | None = None
        self._seen: dict[str, Stamp] = {}
        self._lines: dict[str, set[str]] = {}
        self._added: dict[str, dict[str, str]] = {}

    def is_tracked(self, path: str) -> bool:
        """Whether Git's index holds the file, or something below the folder."""
        stamp = _stamp(seams.git_index_path(self._scm))
        if self._index is None or self._index[0] != stamp:
            paths = seams.tracked_paths(self._scm)
            self._index = stamp, frozenset(part for path in paths for part in _with_folders(path))
        return os.path.relpath(path, self._scm.root_dir).replace(os.sep, "/") in self._index[1]

    def ignore(self, path: str) -> str | None:
        """List the path in its folder's .gitignore; return that file if it was not ignored yet."""
        entry, gitignore = seams.gitignore_entry(self._scm, path)
        self._forget_if_changed(path)
        if path in self._added.get(gitignore, {}) or self._scm.is_ignored(path):
            return None
        line = f"{seams.escape_pattern(entry)}\n"
        lines = self._lines.setdefault(gitignore, set()) or self._read(gitignore)
        if line not in lines:
            _append(gitignore, line)
            lines.add(line)
            self._added.setdefault(gitignore, {})[path] = line
            self._seen[gitignore] = _stamp(gitignore)
        return gitignore

    def settle(self, paths: Sequence[str]) -> None:
        """Let the lines added here stand as a run one after the other would have left them."""
        ranks = {path: rank for rank, path in enumerate(paths)}
        for gitignore, added in self._added.items():
            _sort_lines(Path(gitignore), added, ranks)

    def _read(self, gitignore: str) -> set[str]:
        try:
            text = Path(gitignore).read_text(encoding="utf-8")
        except FileNotFoundError:
            return self._lines[gitignore]
        self._lines[gitignore].update(text.splitlines(keepends=True))
        return self._lines[gitignore]

    def _forget_if_changed(self, path: str) -> None:
        """See what a command may have done to a .gitignore that has a say on ``path``."""
        folder = os.path.dirname(path)  # noqa: PTH120 - once for every output
        while len(folder) >= len(self._scm.root_dir):
            gitignore = os.path.join(folder, ".gitignore")  # noqa: PTH118
            stamp = _stamp(gitignore)
            if self._seen.setdefault(gitignore, stamp) != stamp:
                self._seen[gitignore] = stamp
                self._lines.pop(gitignore, None)
                seams.forget_ignored(self._scm)
            folder = os.path.dirname(folder)  # noqa: PTH120


def _append(path: str, line: str) -> None:
    with open(path, "a+b") as file:  # noqa: PTH123
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = f"\n{line}"
        file.write(line.encode())


def _sort_lines(path: Path, added: Mapping[str, str], ranks: Mapping[str, int]) -> None:
    """Sort the added lines among the places that they hold."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    ranked = {line: ranks.get(name, -1) for name, line in added.items()}
    places = [place for place, line in enumerate(lines) if line in ranked]
    ordered = sorted((lines[place] for place in places), key=ranked.__getitem__)
    if ordered != [lines[place] for place in places]:
        for place, line in zip(places, ordered, strict=True):
            lines[place] = line
        path.write_text("".join(lines), encoding="utf-8")


def _with_folders(path: str) -> list[str]:
    cuts = [place for place, char in enumerate(path) if char == "/"]
    return [path, *(path[:cut] for cut in cuts)]


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)  # noqa: PTH116 - for every output
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
