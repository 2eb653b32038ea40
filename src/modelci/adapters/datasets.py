"""Reads datasets of a revision: CSV, Parquet, JSON Lines and JSON records. Nothing is unpickled."""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from modelci.adapters.dvc.contents import Fetch
from modelci.adapters.dvc.locate import Located, Locator
from modelci.domain.wording import meant
from modelci.ports import FileTree, MissingColumnError, MissingDataError, Table

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_BYTES = 2 * 1024**3
MAX_JSON_BYTES = 256 * 1024**2
MAX_CELLS = 250_000_000

_VALUES = re.compile(r"(?<=, got )(\d+): .*")
_QUOTED = re.compile(r"\b(value|float:) (['\"]).*?\2")

_Read = Callable[["_File", Sequence[str] | None], "DataFrame"]


class DatasetReader:
    """The ``Tables`` over Git, the disk and DVC's cache.

    ``max_bytes`` bounds a file once it is unzipped. The others are ``DvcSnapshotReader``'s.
    """

    def __init__(
        self,
        root: Path,
        *,
        fetch: Fetch | None = None,
        config_folders: Sequence[Path] | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._max_bytes = max_bytes
        self._locator = Locator(root, fetch=fetch, config_folders=config_folders)

    def read(
        self,
        tree: FileTree,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        pull: bool = False,
    ) -> Table:
        """Return those columns, in that order, of the file at ``path``.

        The hash is that of the bytes read: Git's id where Git tracks the file (also on disk),
        DVC's where DVC does. Raises MissingDataError for what is not there, is no such file, lacks
        a column, or is too large.
        """
        read, zipped = _reader_for(path)
        found = self._locator.find(tree, path, pull=pull)
        file = _File(found, zipped=zipped, limit=self._max_bytes)
        return Table(frame=_parse(file, read, columns), hash=found.hash)


def read_file(path: Path, *, columns: Sequence[str] | None = None) -> "DataFrame":
    """Return a dataset that lies on disk, outside of any revision; raises as ``read`` does."""
    read, zipped = _reader_for(path.name)
    found = Located(path=path.name, source=path, hash=None)
    return _parse(_File(found, zipped=zipped), read, columns)


def describe_error(error: Exception) -> str:
    """Return what a parser says, in one line, without the values that it quotes: logs are read."""
    text = " ".join(str(error).split())
    text = _VALUES.sub(r"\1", text)
    text = "".join(one for one in _QUOTED.sub(r"\1 …", text) if one.isprintable())
    return text[:200].rstrip(" .:") or type(error).__name__


def _parse(file: "_File", read: _Read, columns: Sequence[str] | None) -> "DataFrame":
    wanted = list(dict.fromkeys(columns)) if columns else None
    try:
        frame = read(file, wanted)
    except (ValueError, OSError, EOFError, OverflowError, RecursionError, zlib.error) as error:
        raise MissingDataError(
            f"{file.path} cannot be read: {describe_error(error)}.",
            hint="Is it whole, and what its ending says? Look at it with pandas.",
        ) from error
    except MemoryError as error:
        raise _too_large(file.path, "it does not fit into memory") from error
    return frame if wanted is None else frame[wanted]


@dataclass(frozen=True, slots=True)
class _File:
    """A file's bytes as a stream that ends with an error once there are too many."""

    found: Located
    zipped: bool
    limit: int = MAX_BYTES

    @property
    def path(self) -> str:
        return self.found.path

    @contextmanager
    def open(self, most: int = MAX_BYTES) -> Iterator[BinaryIO]:
        with self.raw() as raw:
            plain = gzip.GzipFile(fileobj=raw) if self.zipped else raw
            yield io.BufferedReader(_Bounded(plain, self.path, min(most, self.limit)))

    def raw(self) -> BinaryIO:
        source = self.found.source
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > self.limit:
            raise _too_large(self.path, f"it holds {size:,} bytes")
        return source.open("rb") if isinstance(source, Path) else io.BytesIO(source)

    def check(self, names: Sequence[str], wanted: Sequence[str] | None) -> None:
        """Raise MissingColumnError for a column that is wanted and not among ``names``."""
        require_columns(self.path, names, wanted)


def require_columns(place: str, names: Sequence[str], wanted: Sequence[str] | None) -> None:
    """Raise MissingColumnError, with the nearest name, for one wanted that ``place`` has not."""
    for name in wanted or ():
        if name not in names:
            raise MissingColumnError(
                f"{place} has no column {name!r}.",
                hint=f"{meant(name, names)}It has {', '.join(map(str, names[:20])) or 'none'}.",
                column=name,
            )


class _Bounded(io.RawIOBase):
    """Reads from ``plain``, no more than ``limit`` bytes: a small file may unzip to a large one."""

    def __init__(self, plain: Any, path: str, limit: int) -> None:
        self._plain = plain
        self._path = path
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._plain.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise _too_large(self._path, "it holds too many bytes")
        buffer[: len(data)] = data
        return len(data)


def _read_csv(file: _File, wanted: Sequence[str] | None, separator: str = ",") -> "DataFrame":
    import pandas as pd  # noqa: PLC0415 - only where a dataset is read

    with file.open() as stream:
        names = list(pd.read_csv(stream, sep=separator, nrows=0).columns)
    file.check(names, wanted)
    with file.open() as stream:
        frame = pd.read_csv(
            stream, sep=separator, usecols=list(wanted) if wanted else None, low_memory=False
        )
    if not frame.index.equals(pd.RangeIndex(len(frame))):
        raise ValueError("its rows have more fields than its first line names")
    return frame


def _read_tsv(file: _File, wanted: Sequence[str] | None) -> "DataFrame":
    return _read_csv(file, wanted, "\t")


def _read_parquet(file: _File, wanted: Sequence[str] | None) -> "DataFrame":
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError as error:
        raise MissingDataError(
            f"{file.path} is Parquet, which needs pyarrow.",
            hint="Run `pip install 'modelci[parquet]'`.",
        ) from error
    try:
        with file.raw() as raw, pq.ParquetFile(raw) as parquet:
            names = list(parquet.schema_arrow.names)
            file.check(names, wanted)
            rows = parquet.metadata.num_rows
            if rows * len(wanted or names) > MAX_CELLS:
                raise _too_large(file.path, f"it holds {rows:,} rows")
            # A column that was an index of a DataFrame is a column like any other.
            frame: DataFrame = parquet.read(columns=wanted).to_pandas(ignore_metadata=True)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return frame


def _read_json(file: _File, wanted: Sequence[str] | None) -> "DataFrame":
    with file.open(MAX_JSON_BYTES) as stream:
        rows = json.load(stream)
    if not isinstance(rows, list):
        raise ValueError("it is no list of records: [{...}, {...}]")  # noqa: TRY004 - of the file
    return _frame(file, rows, wanted)


def _read_json_lines(file: _File, wanted: Sequence[str] | None) -> "DataFrame":
    with file.open(MAX_JSON_BYTES) as stream:
        rows = [json.loads(line) for line in stream if line.strip()]
    return _frame(file, rows, wanted)


def _frame(file: _File, rows: list[Any], wanted: Sequence[str] | None) -> "DataFrame":
    import pandas as pd  # noqa: PLC0415 - only where a dataset is read

    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("each of its rows must be an object")
    names = list(dict.fromkeys(name for row in rows for name in row))
    file.check(names, wanted)
    return pd.DataFrame({name: [row.get(name) for row in rows] for name in wanted or names})


def _too_large(path: str, what: str) -> MissingDataError:
    return MissingDataError(
        f"{path} is too large: {what}.",
        hint="Give a smaller test set: 100,000 rows settle most questions.",
    )


_READERS: Mapping[str, _Read] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".json": _read_json,
}
_NEVER_ZIPPED = frozenset({".parquet", ".pq"})


def _reader_for(path: str) -> tuple[_Read, bool]:
    name = path.lower()
    zipped = name.endswith(".gz")
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in _READERS or (zipped and ending in _NEVER_ZIPPED):
        raise MissingDataError(
            f"{path} is no dataset that modelci reads.",
            hint=f"Datasets end in {', '.join(_READERS)}; text also in .gz.",
        )
    return _READERS[ending], zipped
