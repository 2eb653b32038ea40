"""Differences between two revisions that are no metrics: parameters, data, files."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from modelci.domain.pipeline import ChangeKind

Scalar = str | int | float | bool | None
"""A leaf of a parameters file; a list stands as its JSON text."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ValueKey:
    """A parameter is named by its file (from the top of the repository) and dotted name."""

    path: str
    name: str

    def __str__(self) -> str:
        return f"{self.path}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChange:
    """A value that differs; ``kind`` tells an absent side from one that is null."""

    key: ValueKey
    kind: ChangeKind
    base: Scalar = None
    head: Scalar = None


def diff_values(
    base: Mapping[ValueKey, Scalar], head: Mapping[ValueKey, Scalar]
) -> tuple[ValueChange, ...]:
    """Return what differs, ordered by file and name. ``1`` and ``True`` differ; 1 and 1.0 not."""
    return tuple(
        ValueChange(
            key=key,
            kind=_kind(in_base=key in base, in_head=key in head),
            base=base.get(key),
            head=head.get(key),
        )
        for key in sorted(base.keys() | head.keys(), key=lambda key: (key.path, key.name))
        if key not in base or key not in head or not _equal(base[key], head[key])
    )


def _equal(one: Scalar, other: Scalar) -> bool:
    if one != one and other != other:  # noqa: PLR0124 - two NaNs are equal here
        return True
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _kind(*, in_base: bool, in_head: bool) -> ChangeKind:
    if in_base and in_head:
        return ChangeKind.CHANGED
    return ChangeKind.DELETED if in_base else ChangeKind.ADDED


class DataKind(StrEnum):
    """What a tracked output is to the pipeline."""

    DATA = "data"
    MODEL = "model"
    METRICS = "metrics"
    PLOTS = "plots"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedFile:
    """A file or directory that DVC tracks: its hash, size in bytes and number of files."""

    path: str
    kind: DataKind
    hash: str | None
    bytes: int | None = None
    files: int | None = None
    hash_name: str = "md5"
    in_git: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DataChange:
    """A tracked file or directory whose bytes differ."""

    path: str
    kind: ChangeKind
    data: DataKind
    base: TrackedFile | None = None
    head: TrackedFile | None = None


def diff_tracked(
    base: Mapping[str, TrackedFile], head: Mapping[str, TrackedFile]
) -> tuple[DataChange, ...]:
    """Return the tracked paths whose hash differs, by path."""
    changes = []
    for path in sorted(base.keys() | head.keys()):
        before, after = base.get(path), head.get(path)
        if before and after and before.hash == after.hash:
            continue
        named = after or before
        assert named is not None  # noqa: S101 - the path came from one of the two
        changes.append(
            DataChange(
                path=path,
                kind=_kind(in_base=before is not None, in_head=after is not None),
                data=named.kind,
                base=before,
                head=after,
            )
        )
    return tuple(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file in Git that differs; line counts are None for binary files."""

    path: str
    kind: ChangeKind
    added: int | None = None
    deleted: int | None = None
