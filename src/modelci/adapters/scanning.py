"""Reads datasets of any size in batches of Arrow: files, folders of them, and URLs of fsspec."""

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from modelci.adapters import trace
from modelci.adapters.datasets import describe_error, require_columns
from modelci.errors import ConfigError, ModelCIError
from modelci.ports import MissingDataError, Piece

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pa_csv
    import pyarrow.json as pa_json
    import pyarrow.parquet as pq
except ImportError as error:
    raise ConfigError(
        "Datasets are read in pieces with pyarrow, which is not installed.",
        hint="Run `pip install 'modelci[monitor]'`.",
    ) from error

if TYPE_CHECKING:
    from pyarrow import RecordBatch

_Batches = Iterator["RecordBatch"]

_BUFFER = 1 << 20
_FEW_BYTES = 4
_MOST_LINE = 1 << 28
_MOST_FILES = 100_000
_REMOTE_HINT = (
    "A URL may need an extra, such as `pip install 'modelci[s3]'`, and the credentials that its "
    "own tools read from the environment."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How much is read at a time: ``values`` and ``rows`` of a batch, bytes of text.

    A batch holds about 64 MB, and no more rows than keep a column in the processor's cache. A piece
    of Parquet has ``piece_rows`` or more.
    """

    values: int = 1 << 23
    rows: int = 1 << 16
    piece_rows: int = 1 << 20
    csv_bytes: int = 1 << 22
    json_bytes: int = 1 << 24

    def rows_for(self, columns: int) -> int:
        """Return how many rows a batch of so many columns has."""
        return max(1, min(self.rows, self.values // max(1, columns)))


USUAL = Sizes()


class DatasetScanner:
    """Keeps the promises of ``ports.RowScanner``; local paths are relative to ``folder``."""

    def __init__(self, folder: Path, *, sizes: Sizes = USUAL) -> None:
        self._folder = folder
        self._sizes = sizes

    def scan(self, location: str, *, columns: Sequence[str] | None = None) -> _Batches:
        """Return the rows in batches, files in order of their names."""
        for piece in self.pieces(location):
            yield from self.read(piece, columns=columns)

    def pieces(self, location: str) -> tuple[Piece, ...]:
        """Return what ``scan`` reads, in its order."""
        with _explained(location):
            files = self._files(location)
            return tuple(piece for file in files for piece in _divided(file))

    def read(self, piece: Piece, *, columns: Sequence[str] | None = None) -> _Batches:
        """Return the batches of one piece."""
        wanted = list(dict.fromkeys(columns)) if columns is not None else None
        file = self._file(self._places(piece.path))
        with _explained(piece.path):
            total, unit = file.size(piece)
            with trace.told("read", piece.path, total=total, unit=unit) as advance:
                rows = batches = 0
                for batch in file.format(file, piece, wanted):
                    rows, batches = rows + batch.num_rows, batches + bool(batch.num_rows)
                    advance(rows if unit == "rows" else min(total or 0, file.position(batches)))
                    yield batch

    def hashes(self, location: str) -> Mapping[str, str]:
        """Return the MD5 of each file, as DVC has it, by its path as it was named."""
        with _explained(location):
            return {self._named(file): file.md5() for file in self._files(location)}

    def _named(self, file: "_File") -> str:
        path = Path(file.path)
        near = file.is_local and path.is_relative_to(self._folder)
        return path.relative_to(self._folder).as_posix() if near else file.url

    def _places(self, location: str) -> tuple[Any, str]:
        """Return the filesystem of a location and the path in it."""
        import fsspec  # noqa: PLC0415 - takes a while, and URLs alone need more than the disk

        if "://" in location:
            found: tuple[Any, str] = fsspec.core.url_to_fs(location)
            return found
        return fsspec.filesystem("file"), str(self._folder / location)

    def _file(self, place: tuple[Any, str]) -> "_File":
        return _File.at(place, self._sizes)

    def _files(self, location: str) -> "list[_File]":
        system, path = self._places(location)
        if system.isfile(path):
            return [self._file((system, path))]
        found = _matching(system, path) if "*" in path else _below(system, path)
        if not found:
            what = "holds no dataset" if system.exists(path) else "does not exist"
            raise MissingDataError(
                f"{location} {what}.",
                hint=f"Name a file, or a folder of files, that end in {_ENDINGS}."
                if system.exists(path)
                else "Is it where that says, and may you read it?",
            )
        return [self._file((system, one)) for one in found]


@contextmanager
def _explained(location: str) -> Iterator[None]:
    try:
        yield
    except ModelCIError:
        raise
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        raise _unreadable(
            location, error, "Is it whole, what its ending says, and may you read it?"
        ) from error
    except Exception as error:  # whatever a filesystem of fsspec raises
        if "://" not in location:
            raise
        raise _unreadable(location, error, _REMOTE_HINT) from error


def _unreadable(location: str, error: Exception, hint: str) -> MissingDataError:
    said = describe_error(error)
    far = f" {_REMOTE_HINT}" if "://" in location and hint is not _REMOTE_HINT else ""
    return MissingDataError(f"{location} cannot be read: {said}.", hint=hint + far)


def _matching(system: Any, pattern: str) -> list[str]:
    found = [one for one in system.glob(pattern) if _is_dataset(one) and system.isfile(one)]
    return sorted(one for one in found if not PurePosixPath(one).name.startswith((".", "_")))


def _below(system: Any, folder: str) -> list[str]:
    if not system.isdir(folder):
        return []
    found = sorted(system.find(folder))
    if len(found) > _MOST_FILES:
        raise ValueError(f"it holds {len(found):,} files, more than {_MOST_FILES:,}")
    top = PurePosixPath(folder)
    return [one for one in found if _is_dataset(one) and not _is_hidden(PurePosixPath(one), top)]


def _is_hidden(path: PurePosixPath, top: PurePosixPath) -> bool:
    """Whether it is what Spark, Hadoop and others keep beside the data."""
    below = path.relative_to(top) if path.is_relative_to(top) else path
    return any(part.startswith((".", "_")) for part in below.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file on some filesystem of fsspec; ``compression`` is Arrow's name of it."""

    system: Any
    path: str
    format: "Callable[[_File, Piece, list[str] | None], _Batches]"
    compression: str | None
    sizes: Sizes
    opened: list[Any] = field(default_factory=list)  # its bytes, while somebody reads them

    @classmethod
    def at(cls, place: tuple[Any, str], sizes: Sizes) -> "_File":
        system, path = place
        suffixes = [one.lower() for one in PurePosixPath(path).suffixes]
        compression = _COMPRESSIONS.get(suffixes[-1]) if suffixes else None
        ending = "".join(suffixes[-2:-1] if compression else suffixes[-1:])
        format_ = _FORMATS.get(ending)
        if format_ is None or (compression and format_ is _read_parquet):
            raise MissingDataError(
                f"{path} is no dataset that modelci reads in pieces.",
                hint=f"Datasets end in {_ENDINGS}; text also in {', '.join(_COMPRESSIONS)}.",
            )
        return cls(system=system, path=path, format=format_, compression=compression, sizes=sizes)

    @property
    def is_local(self) -> bool:
        return "file" in _protocols(self.system)

    @property
    def url(self) -> str:
        return self.path if self.is_local else str(self.system.unstrip_protocol(self.path))

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Open what is in it, unpacked, as a file of Arrow."""
        with self.raw() as raw:
            plain = pa.OSFile(self.path) if self.is_local else pa.PythonFile(raw, mode="r")
            self.opened.append(plain)
            yield pa.CompressedInputStream(plain, self.compression) if self.compression else plain
            self.opened.remove(plain)

    def position(self, batches: int) -> int:
        """Return how many of its bytes are in so many batches, packed as they are."""
        if self.format in {_read_csv, _read_tsv} and not self.compression:
            return batches * self.sizes.csv_bytes  # Arrow itself has read far ahead
        return sum(one.tell() for one in self.opened if not one.closed)

    def size(self, piece: Piece) -> tuple[int | None, str]:
        """Return how much a piece of it holds, in rows or in bytes, if anybody wants to see it."""
        if not trace.is_watched():
            return None, ""
        if self.format is not _read_parquet:
            return self.system.size(self.path), "bytes"
        with self.raw() as raw, pq.ParquetFile(raw) as parquet:
            groups = range(parquet.metadata.num_row_groups)[piece.start : piece.stop]
            return sum(parquet.metadata.row_group(one).num_rows for one in groups), "rows"

    def raw(self) -> Any:
        """Open its bytes."""
        if self.is_local:
            return Path(self.path).open("rb")
        return self.system.open(self.path, "rb", block_size=self.sizes.csv_bytes)

    def md5(self) -> str:
        size = self.system.size(self.path) if trace.is_watched() else None
        told = trace.told("hash", self.url, total=size, unit="bytes")
        with told as advance, self.raw() as raw:
            digest = hashlib.md5(usedforsecurity=False)
            while block := raw.read(self.sizes.csv_bytes):
                digest.update(block)
                advance(raw.tell())
        return digest.hexdigest()

    def chosen(self, names: Sequence[str], wanted: list[str] | None) -> list[str] | None:
        """Return the wanted columns; MissingColumnError for one that is not there."""
        require_columns(self.url, names, wanted)
        return wanted


def _protocols(system: Any) -> tuple[str, ...]:
    found = system.protocol
    return (found,) if isinstance(found, str) else tuple(found)


# -- Parquet -----------------------------------------------------------------------------------


def _divided(file: _File) -> Iterator[Piece]:
    """Divide Parquet by row groups, into pieces of a million rows or more."""
    if file.format is not _read_parquet:
        yield Piece(path=file.url)
        return
    with file.raw() as raw, pq.ParquetFile(raw) as parquet:
        rows = [
            parquet.metadata.row_group(place).num_rows
            for place in range(parquet.metadata.num_row_groups)
        ]
    start, held = 0, 0
    for place, count in enumerate(rows, 1):
        held += count
        if held >= file.sizes.piece_rows or place == len(rows):
            yield Piece(path=file.url, start=start, stop=place)
            start, held = place, 0
    if not rows:
        yield Piece(path=file.url, start=0, stop=0)


def _read_parquet(file: _File, piece: Piece, wanted: list[str] | None) -> _Batches:
    with file.raw() as raw, pq.ParquetFile(raw) as parquet:
        first, dictionaries = parquet.schema_arrow, _dictionaries(parquet)
    names = file.chosen(first.names, wanted) or first.names
    texts = [name for name in dictionaries if name in names] if _unique(first) else []
    with (
        file.raw() as raw,
        pq.ParquetFile(
            raw, read_dictionary=texts, pre_buffer=not file.is_local, buffer_size=_BUFFER
        ) as parquet,
    ):
        groups = range(parquet.metadata.num_row_groups)[piece.start : piece.stop]
        yield _empty(parquet.schema_arrow, wanted)
        # Threads would take memory of their own each; counting is most of the work.
        yield from parquet.iter_batches(
            batch_size=file.sizes.rows_for(len(names)),
            row_groups=list(groups),
            columns=wanted,
            use_threads=False,
        )


def _dictionaries(parquet: Any) -> list[str]:
    """Return which texts were written as numbers of a few different ones, to be read as those.

    They take a few bytes a row; ids, which take more, would be looked up for nothing.
    """
    metadata, schema = parquet.metadata, parquet.schema_arrow
    if not metadata.num_row_groups:
        return []
    group = metadata.row_group(0)
    columns = map(group.column, range(group.num_columns))
    return [
        one.path_in_schema
        for one in columns
        if one.path_in_schema in schema.names
        and _is_text(schema.field(one.path_in_schema).type)
        and one.total_uncompressed_size <= _FEW_BYTES * one.num_values
    ]


def _unique(schema: Any) -> bool:
    return len(set(schema.names)) == len(schema.names)


def _is_text(type_: Any) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_))


def _empty(schema: Any, wanted: list[str] | None) -> Any:
    """Return no rows: a file without any has columns all the same."""
    kept = schema if wanted is None else pa.schema([schema.field(name) for name in wanted])
    # Not by `pa.array`: it would load pandas, which takes a second.
    return pa.RecordBatch.from_arrays([pa.nulls(0, one.type) for one in kept], schema=kept)


# -- CSV ---------------------------------------------------------------------------------------


def _read_csv(
    file: _File, piece: Piece, wanted: list[str] | None, separator: str = ","
) -> _Batches:
    del piece
    done = 0
    try:
        for batch in _csv_batches(file, wanted, separator):
            done += batch.num_rows
            yield batch
    except pa.ArrowInvalid as error:
        if "conversion error" not in str(error):
            raise
    else:
        return
    # The first rows did not show what is in a column: read the rest as text, and each batch's
    # columns as what they can be.
    for batch in _csv_batches(file, wanted, separator, done=done, as_text=True):
        yield _typed(batch)


def _csv_batches(
    file: _File,
    wanted: list[str] | None,
    separator: str,
    *,
    done: int = 0,
    as_text: bool = False,
) -> _Batches:
    names = _csv_names(file, separator)
    if names is None:
        return
    chosen = file.chosen(names, wanted)
    types = dict.fromkeys(names, pa.string()) if as_text else None
    with (
        file.open() as stream,
        pa_csv.open_csv(
            stream,
            read_options=pa_csv.ReadOptions(
                block_size=file.sizes.csv_bytes, skip_rows_after_names=done
            ),
            parse_options=_csv_options(separator),
            convert_options=pa_csv.ConvertOptions(
                column_types=types, include_columns=chosen, strings_can_be_null=True
            ),
        ) as reader,
    ):
        yield _empty(reader.schema, None)
        yield from reader


def _csv_names(file: _File, separator: str) -> list[str] | None:
    """Return the first line's names; None of a file without any."""
    with file.open() as stream:
        if not stream.read(1):
            return None
    with (
        file.open() as stream,
        pa_csv.open_csv(
            stream,
            read_options=pa_csv.ReadOptions(block_size=file.sizes.csv_bytes),
            parse_options=_csv_options(separator),
        ) as reader,
    ):
        return list(reader.schema.names)


def _csv_options(separator: str) -> Any:
    return pa_csv.ParseOptions(delimiter=separator, newlines_in_values=True)


def _read_tsv(file: _File, piece: Piece, wanted: list[str] | None) -> _Batches:
    yield from _read_csv(file, piece, wanted, "\t")


def _typed(batch: Any) -> Any:
    """Return a batch of texts with each column as what all of its values are."""
    return pa.RecordBatch.from_arrays(
        [_narrowed(column) for column in batch.columns], names=batch.schema.names
    )


def _narrowed(column: Any) -> Any:
    for type_ in (pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us")):
        try:
            return pc.cast(column, type_)
        except pa.ArrowInvalid:
            continue
    return column


# -- JSON Lines --------------------------------------------------------------------------------


def _read_json_lines(file: _File, piece: Piece, wanted: list[str] | None) -> _Batches:
    del piece
    seen: dict[str, None] = {}
    for lines in _whole_lines(file):
        table = _parsed(lines)
        seen |= dict.fromkeys(table.schema.names)
        kept = table if wanted is None else _with_columns(table, wanted)
        yield from kept.to_batches(max_chunksize=file.sizes.rows_for(kept.num_columns))
    file.chosen(list(seen), wanted if seen else None)


def _whole_lines(file: _File) -> Iterator[bytes]:
    """Return the file's lines, many at a time."""
    rest = b""
    with file.open() as stream:
        while block := stream.read(file.sizes.json_bytes):
            head, found, tail = block.rpartition(b"\n")
            if not found:
                rest += tail
                if len(rest) > _MOST_LINE:
                    raise ValueError("a line has more than 256 MB; is it JSON Lines?")
                continue
            yield rest + head
            rest = tail
    if rest.strip():
        yield rest


def _parsed(lines: bytes) -> Any:
    if not lines.strip():
        return pa.table({})
    try:
        options = pa_json.ReadOptions(block_size=len(lines) + 1)
        return pa_json.read_json(io.BytesIO(lines), read_options=options)
    except pa.ArrowInvalid:
        return _parsed_slowly(lines)


def _parsed_slowly(lines: bytes) -> Any:
    """Return rows whose columns hold values of several types: what is not alike becomes text."""
    import msgspec  # noqa: PLC0415 - only where it is needed

    try:
        rows = [msgspec.json.decode(line) for line in lines.splitlines() if line.strip()]
    except msgspec.DecodeError as error:
        raise ValueError(f"a line is no JSON: {error}") from error
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("each of its lines must be an object")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _alike([row.get(name) for row in rows]) for name in names})


def _alike(values: list[Any]) -> Any:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if one is None else _text(one) for one in values], pa.string())


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, str) else repr(value)


def _with_columns(table: Any, wanted: list[str]) -> Any:
    """Return those columns; what no line of these has is null, for JSON leaves out what is not."""
    nothing = pa.nulls(table.num_rows)
    return pa.table(
        {name: table[name] if name in table.schema.names else nothing for name in wanted}
    )


_FORMATS: Mapping[str, Callable[[_File, Piece, list[str] | None], _Batches]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
    ".pq": _read_parquet,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
}
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
_TEXT_ENDINGS = tuple(one for one, read in _FORMATS.items() if read is not _read_parquet)
_ENDINGS = ", ".join(_FORMATS)


def _is_dataset(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    plain, _, last = name.rpartition(".")
    return name.endswith(tuple(_FORMATS)) or (
        f".{last}" in _COMPRESSIONS and plain.endswith(_TEXT_ENDINGS)
    )
