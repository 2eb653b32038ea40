"""What DVC's files say, and the data and bytes that they name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from modelci.domain.changes import TrackedFile
from modelci.domain.metrics import MetricKey, MetricValue
from modelci.domain.plots import Gallery
from modelci.domain.provenance import FileBytes
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError
from modelci.ports.git import FileTree

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyarrow import RecordBatch


class SnapshotReader(Protocol):
    """Reads what DVC's files say of a revision, without running DVC."""

    def read(self, tree: FileTree, *, pull: bool = False) -> Snapshot:
        """Return the snapshot.

        Metrics and parameters that DVC keeps in its cache are read from there; with ``pull``
        they are fetched from the DVC remote first. What cannot be had becomes a note.
        """

    def metrics(
        self, trees: Iterable[FileTree]
    ) -> Iterator[Mapping[MetricKey, MetricValue] | ConfigError]:
        """Yield the metrics of each revision, and for one that cannot be read its error.

        Cheap for many revisions; what is not in Git or DVC's cache is left out.
        """


class MissingDataError(ConfigError):
    """A dataset is not in this revision, not in the cache, or cannot be read."""


class MissingColumnError(MissingDataError):
    """A dataset lacks the ``column`` that is asked of it."""

    def __init__(self, message: str, *, hint: str | None = None, column: str = "") -> None:
        super().__init__(message, hint=hint)
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A dataset's columns; ``hash`` is DVC's or Git's id of what is read, None outside both.

    In the work tree, too, it is that of the content.
    """

    frame: "DataFrame"
    hash: str | None


class Tables(Protocol):
    """Reads datasets (CSV, Parquet, JSON Lines) of a revision by hash, never by checkout."""

    def read(
        self,
        tree: FileTree,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        pull: bool = False,
    ) -> Table:
        """Return those columns (default: all) of the file at ``path``, rows in the file's order.

        With ``pull`` the DVC remote is asked for what the cache lacks. Raises MissingDataError.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a dataset that can be read by itself: a file, or row groups ``start:stop`` of one.

    ``path`` is absolute, or a URL of fsspec.
    """

    path: str
    start: int | None = None
    stop: int | None = None


class RowScanner(Protocol):
    """Reads datasets of any size piece by piece, outside of any revision.

    A location is a file (CSV, TSV, Parquet, JSON Lines, also compressed), a folder of them, a
    pattern with ``*``, or an fsspec URL of these. Every method raises MissingDataError for what is
    not there or cannot be read, MissingColumnError for what lacks a column.
    """

    def scan(
        self, location: str, *, columns: Sequence[str] | None = None
    ) -> Iterator["RecordBatch"]:
        """Return the rows in batches, files in order of their names.

        Only ``columns`` where given. Batches may differ in columns and types, as their files do.
        """

    def pieces(self, location: str) -> tuple[Piece, ...]:
        """Return what ``scan`` reads, in its order."""

    def read(
        self, piece: Piece, *, columns: Sequence[str] | None = None
    ) -> Iterator["RecordBatch"]:
        """Return the batches of one piece: together the pieces' are those of ``scan``."""

    def hashes(self, location: str) -> Mapping[str, str]:
        """Return the MD5 of each file, as DVC has it, by its path as it was named."""


class Countable(Protocol):
    """Counts of rows, which add up whatever the order; they can be sent to other processes."""

    def add(self, batch: "RecordBatch", /) -> None:
        """Count a batch's rows."""

    def merge(self, other: Self, /) -> None:
        """Add what another, that began alike, has counted."""


Counted = TypeVar("Counted", bound=Countable)


class RowCounter(Protocol):
    """Counts the rows of a dataset, here or on several machines."""

    def count(self, location: str, empty: Counted) -> Counted:
        """Return what ``empty`` becomes by all rows of the dataset; raises as ``RowScanner``."""


class StoredBytes(Protocol):
    """Hashes the bytes behind what DVC tracks."""

    def read(
        self, tree: FileTree, file: TrackedFile, path: str, *, pull: bool
    ) -> tuple[FileBytes, ...]:
        """Return the files at ``path``, which is ``file`` or lies in it, with their digests.

        With ``pull`` the bytes are those that the DVC remote has now, else those in the cache.
        """


class ReleaseBytes(Protocol):
    """Brings the bytes of what DVC tracks into a folder, hashed on the way."""

    def fetch(
        self, tree: FileTree, file: TrackedFile, path: str, into: Path
    ) -> tuple[FileBytes, ...]:
        """Write the files at ``path``, which is ``file`` or lies in it, below ``into``.

        A file lies there by its name, a folder's files in a folder of its name. They come by hash
        from the cache or the DVC remote, or from Git, and nothing else is fetched; what is there
        already with the right bytes stays. A file that is refused (its bytes are not those that
        ``dvc.lock`` names, or nobody has them) is not left there: its FileBytes says why
        (``refusal``). Raises PipelineError where the remote does not answer, denies access, or
        names files outside of the folder.
        """


class Plots(Protocol):
    """Reads what DVC's files define as plots."""

    def read(self, base: FileTree | None, head: FileTree, *, pull: bool = False) -> Gallery:
        """Return the plots and pictures of two revisions, paired by DVC's ids and by paths."""
