"""Reads ``dvc.lock`` and ``*.dvc``: what was there when a stage last ran, or data was added."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelci.adapters.dvc.hashing import LEGACY, MD5, hash_listing
from modelci.adapters.dvc.paths import Ref, locate
from modelci.adapters.dvc.shape import (
    Where,
    located,
    mapping,
    measure,
    optional_text,
    sequence,
    text,
)
from modelci.formats import parse_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPath:
    """A dependency or output as it was; ``hash_name`` says how ``hash`` was made."""

    path: str
    hash: str | None
    hash_name: str
    bytes: int | None = None
    files: int | None = None

    @property
    def is_folder(self) -> bool:
        """Whether the hash is that of a listing."""
        return self.hash is not None and self.hash.endswith(".dir")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedStage:
    """A stage as it last ran; paths are spelt as in ``dvc.yaml``."""

    cmd: Any
    deps: Mapping[str, LockedPath] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    outs: Mapping[str, LockedPath] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOut:
    """What a ``.dvc`` file tracks."""

    ref: Ref
    locked: LockedPath
    in_git: bool = False
    is_metric: bool = False
    is_plot: bool = False
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A ``.dvc`` file: added or imported data; old ones may hold a command."""

    file: str
    outs: tuple[SourceOut, ...]
    deps: tuple[Ref, ...] = ()
    cmd: str | None = None
    frozen: bool = False


def read_lock(path: str, data: bytes) -> dict[str, LockedStage]:
    """Return the stages of a ``dvc.lock`` by their name in the ``dvc.yaml`` beside it."""
    content = parse_yaml(data, path)
    with located(path, data):
        measure(content)
        content = mapping(content, ())
        # Lock files of DVC 1 have neither a schema nor the level above the stages.
        is_old = "schema" not in content and "stages" not in content
        where: Where = () if is_old else ("stages",)
        stages = content if is_old else mapping(content.get("stages"), where)
        return {name: _stage(entry, (*where, name)) for name, entry in stages.items()}


def read_source(path: str, data: bytes) -> Source:
    """Return what a ``.dvc`` file tracks."""
    content = parse_yaml(data, path)
    with located(path, data):
        measure(content)
        content = mapping(content, ())
        folder = posixpath.join(
            posixpath.dirname(path), optional_text(content.get("wdir"), ("wdir",)) or ""
        )
        outs = sequence(content.get("outs"), ("outs",))
        deps = sequence(content.get("deps"), ("deps",))
        return Source(
            file=path,
            outs=tuple(_source_out(out, folder, ("outs", n)) for n, out in enumerate(outs)),
            deps=tuple(
                locate(folder, dep["path"])
                for dep in deps
                if isinstance(dep, dict) and isinstance(dep.get("path"), str) and "repo" not in dep
            ),
            cmd=optional_text(content.get("cmd"), ("cmd",)),
            frozen=bool(content.get("frozen") or content.get("locked")),
        )


def _source_out(value: Any, folder: str, where: Where) -> SourceOut:
    out = mapping(value, where)
    locked = _path(out, where)
    return SourceOut(
        ref=locate(folder, locked.path),
        locked=locked,
        in_git=out.get("cache") is False,
        is_metric=bool(out.get("metric")),
        is_plot=bool(out.get("plot")),
        type=optional_text(out.get("type"), (*where, "type")),
    )


def _stage(value: Any, where: Where) -> LockedStage:
    entry = mapping(value, where)
    params = mapping(entry.get("params"), (*where, "params"))
    return LockedStage(
        cmd=entry.get("cmd"),
        deps=_paths(entry.get("deps"), (*where, "deps")),
        params={file: mapping(values, (*where, "params", file)) for file, values in params.items()},
        outs=_paths(entry.get("outs"), (*where, "outs")),
    )


def _paths(value: Any, where: Where) -> dict[str, LockedPath]:
    found = (
        _path(mapping(item, (*where, index)), (*where, index))
        for index, item in enumerate(sequence(value, where))
    )
    return {entry.path: entry for entry in found}


def _path(entry: dict[str, Any], where: Where) -> LockedPath:
    path = text(entry.get("path"), (*where, "path"))
    files = entry.get("files")
    if files is not None:
        return _listed(path, sequence(files, (*where, "files")), where)
    # DVC 2 wrote no `hash:` and meant the hash of text with Unix line ends.
    name = optional_text(entry.get("hash"), (*where, "hash")) or LEGACY
    value = _hash(entry.get("md5"))
    if value is None:
        name, value = _cloud_hash(entry) or (name, None)
    return LockedPath(
        path=path,
        hash=value,
        hash_name=name,
        bytes=_number(entry.get("size")),
        files=_number(entry.get("nfiles")),
    )


def _listed(path: str, files: list[Any], where: Where) -> LockedPath:
    """Return a folder whose files are listed one by one, as for remotes that keep versions."""
    listing = {}
    size = 0
    for index, value in enumerate(files):
        here = (*where, "files", index)
        entry = mapping(value, here)
        listing[text(entry.get("relpath"), (*here, "relpath"))] = _hash(entry.get("md5"))
        size += _number(entry.get("size")) or 0
    hashes = {name: value for name, value in listing.items() if value is not None}
    return LockedPath(
        path=path,
        hash=hash_listing(hashes, MD5) if len(hashes) == len(listing) else None,
        hash_name=MD5,
        bytes=size,
        files=len(listing),
    )


def _cloud_hash(entry: Mapping[str, Any]) -> tuple[str, str] | None:
    for name in ("etag", "checksum"):
        value = _hash(entry.get(name))
        if value is not None:
            return name, value
    return None


def _hash(value: Any) -> str | None:
    # A hash of digits only, unquoted, is a number to YAML.
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number or (isinstance(value, str) and value) else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
