"""Says why an entry of ``dvc.lock`` does not belong to the files beside it.

The promise: where ``dvc status`` on a fresh checkout finds nothing, nothing is found here, so
that a promotion may be refused on this ground. What cannot be known from Git (a file behind a
filter, a folder with files that Git ignores, something too large to hash in passing) is no reason.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from modelci.adapters.dvc.contents import Contents, Parser
from modelci.adapters.dvc.files import Files, Ignored
from modelci.adapters.dvc.hashing import hash_bytes, hash_listing
from modelci.adapters.dvc.lockfile import LockedPath, LockedStage
from modelci.adapters.dvc.numbers import Allowance, TooLargeError, scalar
from modelci.adapters.dvc.paths import Ref
from modelci.adapters.dvc.project import ParamsFile, Stage
from modelci.domain.changes import TrackedFile
from modelci.errors import ConfigError

MAX_BYTES = 16 * 1024 * 1024
MAX_FILES = 5_000
"""Larger dependencies in Git are not hashed: a report shall not take minutes."""

_GLOB = re.compile(r"[*?\[]")
_FILTER = re.compile(r"^(\S+)\s.*(?:filter=|working-tree-encoding=|(?:^|\s)ident(?:\s|$))")
_SHOWN = 60
_MISSING = object()


class Match(Enum):
    """How a path compares with its hash in ``dvc.lock``."""

    SAME = auto()
    DIFFERS = auto()
    MISSING = auto()
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """Compares stages with their lock. ``wrote`` says of a tracked path who wrote it."""

    files: Files
    contents: Contents
    parser: Parser
    ignored: Ignored
    tracked: Mapping[str, TrackedFile]
    wrote: Mapping[str, str]
    submodules: Sequence[str]
    note: Callable[[str], None]
    filters: tuple[str, ...] = ()
    _hashes: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def wanted(self, stages: Iterable[tuple[Stage, LockedStage | None]]) -> set[str]:
        """Return the files in Git that ``reasons`` will hash, to be read in one go."""
        found: set[str] = set()
        for stage, lock in stages:
            if lock is None:
                continue
            refs = [(ref, lock.deps) for ref in (() if stage.frozen else stage.deps)]
            refs += [(out.ref, lock.outs) for out in stage.outs]
            for ref, locked in refs:
                entry = locked.get(ref.written)
                if ref.path is None or entry is None or _is_large(entry):
                    continue
                if ref.path in self.files.paths:
                    found.add(ref.path)
                elif entry.is_folder:
                    found.update(self._visible(ref.path))
        return found

    def reasons(self, stage: Stage, lock: LockedStage | None) -> tuple[str, ...]:
        """Return why the entry of ``stage`` is out of date; none if it is not."""
        if lock is None:
            return ("not in dvc.lock: never run",)
        found = []
        if stage.cmd != lock.cmd:
            found.append("command differs")
        if not stage.frozen:
            found += [reason for ref in stage.deps for reason in self._dep(ref, lock)]
            found += [reason for file in stage.params for reason in self._params(file, lock)]
        found += [reason for out in stage.outs for reason in self._out(out.ref, lock)]
        return tuple(found)

    def _dep(self, ref: Ref, lock: LockedStage) -> Iterator[str]:
        entry = lock.deps.get(ref.written)
        if entry is None:
            yield f"dependency {ref.path or ref.written} is not in dvc.lock"
        elif ref.path is not None and entry.hash is not None:
            match self._compare(ref.path, entry):
                case Match.DIFFERS if ref.path in self.wrote and ref.path not in self.files.paths:
                    yield f"dependency {ref.path} differs from what {self.wrote[ref.path]}"
                case Match.DIFFERS:
                    yield f"dependency {ref.path} differs"
                case Match.MISSING:
                    yield f"dependency {ref.path} is missing: neither in Git nor tracked by DVC"
                case Match.SAME | Match.UNKNOWN:
                    pass

    def _out(self, ref: Ref, lock: LockedStage) -> Iterator[str]:
        entry = lock.outs.get(ref.written)
        if entry is None:
            yield f"output {ref.path or ref.written} is not in dvc.lock"
            return
        if ref.path is None or entry.hash is None:
            return
        is_here = ref.path in self.files.paths or self.files.peek(ref.path) is not None
        if is_here or (entry.is_folder and self.files.under(ref.path)):
            tracked = self.tracked.get(ref.path)
            if entry.is_folder and tracked is not None and not tracked.in_git:
                return
            if self._compare_bytes(ref.path, entry) is Match.DIFFERS:
                yield f"output {ref.path} differs"

    def _params(self, file: ParamsFile, lock: LockedStage) -> Iterator[str]:
        path = file.ref.path
        if path is None:
            return
        data = self.contents.get(path)
        if data is None:
            if path not in self.contents.lacking and not self._is_elsewhere(path):
                yield f"parameters file {path} is missing"
            return
        try:
            values = self.parser.parse(path, data)
        except ConfigError:
            yield f"parameters file {path} cannot be read"
            return
        locked = lock.params.get(file.ref.written)
        if locked is None:
            yield f"parameters file {path} is not in dvc.lock"
            return
        values = values if isinstance(values, dict) else {}
        for key in file.keys or list(dict.fromkeys([*values, *locked])):
            # dvc.lock's keys are text; globs choose among several, which DVC alone resolves.
            if _GLOB.search(str(key)):
                continue
            actual = find_param(values, key) if file.keys else values.get(key, _MISSING)
            yield from _compare_param(str(key), path, actual, locked.get(str(key), _MISSING))

    def _compare(self, path: str, entry: LockedPath) -> Match:
        tracked = self.tracked.get(path)
        if tracked is not None and not tracked.in_git:
            if tracked.hash is None or tracked.hash_name != entry.hash_name:
                return Match.UNKNOWN
            return _verdict(tracked.hash == entry.hash)
        owner = self.contents.owner(path)
        if owner is not None:
            return self._compare_member(path, owner, entry)
        found = self._compare_bytes(path, entry)
        if found is Match.MISSING and self._is_elsewhere(path):
            return Match.UNKNOWN
        return found

    def _compare_member(self, path: str, owner: TrackedFile, entry: LockedPath) -> Match:
        listing = self.contents.listing(owner)
        if listing is None or owner.hash_name != entry.hash_name:
            return Match.UNKNOWN
        name = path[len(owner.path) + 1 :]
        if name in listing:
            return _verdict(listing[name] == entry.hash)
        inner = {
            file.removeprefix(f"{name}/"): value
            for file, value in listing.items()
            if file.startswith(f"{name}/")
        }
        if not inner:
            return Match.MISSING
        return _verdict(hash_listing(inner, entry.hash_name) == entry.hash)

    def _compare_bytes(self, path: str, entry: LockedPath) -> Match:
        if _is_large(entry):
            self.note(f"{path} is large: it was not compared with dvc.lock")
            return Match.UNKNOWN
        if path == "." or self._is_elsewhere(path):
            return Match.UNKNOWN
        if path in self.files.paths:
            return self._compare_file(path, entry)
        followed = self.files.follow(path)
        if followed != path:
            return self._compare(followed, entry) if followed else Match.UNKNOWN
        if entry.is_folder:
            return self._compare_folder(path, entry)
        return Match.MISSING if self.files.get(path) is None else self._compare_file(path, entry)

    def _compare_file(self, path: str, entry: LockedPath) -> Match:
        found = self._hash(path, entry.hash_name)
        if found is None:
            return Match.UNKNOWN
        if found == entry.hash or self._is_same_text(path, entry):
            return Match.SAME
        target = self.files.end_of(path)
        if target is not None:
            return self._compare(target, entry)
        return Match.UNKNOWN if self._is_filtered(path) else Match.DIFFERS

    def _is_same_text(self, path: str, entry: LockedPath) -> bool:
        # Git may check text out with other line ends than it keeps.
        data = (self.files.get(path) or b"").replace(b"\r\n", b"\n")
        variants = (data, data.replace(b"\n", b"\r\n"))
        return any(hash_bytes(variant, entry.hash_name) == entry.hash for variant in variants)

    def _compare_folder(self, path: str, entry: LockedPath) -> Match:
        visible = self._visible(path)
        if not visible and not self.contents.tracked_under(path):
            return Match.MISSING
        hashes = self._folder_hashes(path, visible, entry.hash_name)
        if hashes is None:
            return Match.UNKNOWN
        if hash_listing(hashes, entry.hash_name) == entry.hash:
            return Match.SAME
        if entry.files is None or len(hashes) < entry.files:
            # DVC also counts what Git ignores (caches of all kinds): nothing can be said.
            self.note(
                f"{path} was not compared with dvc.lock, which counts {entry.files} files in it "
                f"where Git has {len(hashes)}"
            )
            return Match.UNKNOWN
        is_certain = not any(self._is_filtered(file) or self._is_link(file) for file in visible)
        return Match.DIFFERS if is_certain else Match.UNKNOWN

    def _folder_hashes(
        self, path: str, visible: Sequence[str], name: str
    ) -> Mapping[str, str] | None:
        """Return the hashes of a folder's files by relative path, or None if one is not known."""
        hashes = {file: self._hash(file, name) for file in visible}
        for below in self.contents.tracked_under(path):
            found = self._tracked_hashes(self.tracked[below], name)
            if found is None:
                return None
            hashes.update(found)
        known = {file[len(path) + 1 :]: value for file, value in hashes.items() if value}
        return known if len(known) == len(hashes) else None

    def _tracked_hashes(self, tracked: TrackedFile, name: str) -> Mapping[str, str] | None:
        if tracked.in_git:
            return {}
        if tracked.hash is None or tracked.hash_name != name:
            return None
        if not tracked.hash.endswith(".dir"):
            return {tracked.path: tracked.hash}
        listing = self.contents.listing(tracked)
        if listing is None:
            return None
        return {f"{tracked.path}/{file}": value for file, value in listing.items()}

    def _visible(self, folder: str) -> list[str]:
        return [file for file in self.files.under(folder) if not self.ignored.hides(file)]

    def _hash(self, path: str, name: str) -> str | None:
        key = (path, name)
        if key not in self._hashes:
            data = self.files.get(path)
            self._hashes[key] = None if data is None else hash_bytes(data, name)
        return self._hashes[key]

    def _is_filtered(self, path: str) -> bool:
        data = self.files.get(path) or b""
        if data.startswith(b"version https://git-lfs.github.com/spec/"):
            return True
        names = (path, PurePosixPath(path).name)
        return any(fnmatchcase(name, pattern) for pattern in self.filters for name in names)

    def _is_link(self, path: str) -> bool:
        return self.files.link_target(path) is not None

    def _is_elsewhere(self, path: str) -> bool:
        return any(_lies_in(path, folder) for folder in self.submodules)


def read_filters(attributes: bytes | None) -> tuple[str, ...]:
    """Return the patterns of ``.gitattributes`` whose files Git changes on the way."""
    lines = (attributes or b"").decode(errors="replace").splitlines()
    found = (_FILTER.match(line.strip()) for line in lines)
    return tuple(match[1].lstrip("/") for match in found if match)


def find_param(values: Any, name: str) -> Any:
    """Return the value that a dotted name leads to, as DVC finds it, or ``_MISSING``."""
    found = values
    for step in name.split("."):
        if isinstance(found, dict):
            found = found[step] if step in found else _by_other_key(found, step)
        elif isinstance(found, list | tuple) and re.fullmatch(r"-?\d{1,9}", step):
            index = int(step)
            found = found[index] if -len(found) <= index < len(found) else _MISSING
        else:
            return _MISSING
        if found is _MISSING:
            return _MISSING
    return found


def _by_other_key(values: Mapping[Any, Any], step: str) -> Any:
    return next((value for key, value in values.items() if str(key) == step), _MISSING)


def _compare_param(name: str, path: str, actual: Any, locked: Any) -> Iterator[str]:
    if actual is _MISSING:
        yield f"param {name} of {path} is missing"
    elif locked is _MISSING:
        yield f"param {name} of {path} is not in dvc.lock"
    elif not _is_same(actual, locked):
        yield f"param {name} of {path} is {_show(actual)}, dvc.lock has {_show(locked)}"


def _is_same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other) or _is_same_value(one, other)
    except RecursionError:
        return False


def _is_same_value(one: Any, other: Any) -> bool:
    """Compare as DVC would after a trip through YAML: no tuples, dates as text, NaN is NaN."""
    match one, other:
        case float(), float():
            return one == other or (math.isnan(one) and math.isnan(other))
        case ((list() | tuple()), (list() | tuple())):
            return len(one) == len(other) and all(map(_is_same_value, one, other))
        case dict(), dict():
            return one.keys() == other.keys() and all(
                _is_same_value(value, other[key]) for key, value in one.items()
            )
        case ((dt.date() | dt.time()), str()):
            return _is_same_time(one, other)
        case _:
            return bool(one == other)


def _is_same_time(one: dt.date | dt.time, other: str) -> bool:
    try:
        return type(one).fromisoformat(other) == one
    except ValueError:
        return False


def _show(value: Any) -> str:
    try:
        text = str(scalar(value, Allowance(1_000)))
    except TooLargeError:
        return "another"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _verdict(is_same: bool) -> Match:  # noqa: FBT001
    return Match.SAME if is_same else Match.DIFFERS


def _is_large(entry: LockedPath) -> bool:
    return (entry.bytes or 0) > MAX_BYTES or (entry.files or 0) > MAX_FILES


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
