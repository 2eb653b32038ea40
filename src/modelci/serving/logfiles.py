"""The files of the request log: one that this process writes, and the closed ones of all.

The file that is being written is JSON Lines, whole lines at a time, and locked: who can lock it
knows that its process is gone. What a process that was killed left is mended by the next one: a
torn last line is cut off. As Parquet, a file is rewritten once it is closed.
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

from modelci.domain.golden import ValueType
from modelci.errors import ConfigError
from modelci.serving.settings import LogSettings

PREFIX = "requests-"
TIME = "time"
_BLOCK = 1 << 16

Columns = Mapping[str, ValueType]
"""The columns of the log beside ``time``, in their order, with their types."""


class LogFiles:
    """Writes lines of one set of columns after the other; each set begins a file."""

    def __init__(self, settings: LogSettings) -> None:
        self._settings = settings
        self._folder = Path(settings.path)
        self._columns: Columns | None = None
        self._path: Path | None = None
        self._file = -1
        self._bytes = 0
        if settings.format == "parquet" and find_spec("pyarrow") is None:
            raise ConfigError(
                "The request log cannot be written as Parquet: pyarrow is missing.",
                hint="Run `pip install 'modelci[parquet]'`, or say `format: jsonl`.",
            )
        try:
            # Requests may hold what is nobody else's business.
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mend_all()
            self._prune()
        except OSError as error:
            raise ConfigError(
                f"The request log cannot be kept in {self._folder}: {error.strerror}.",
                hint="Name a folder that this user may write to.",
            ) from error

    def write(self, lines: bytes, columns: Columns) -> None:
        """Append whole lines; an OSError leaves the file as it was."""
        if self._path is None or self._columns != columns:
            self.close()
            self._begin(columns)
        rest = lines
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, self._bytes)
            raise
        self._bytes += len(lines)
        if self._bytes >= self._settings.max_bytes:
            self.close()

    def close(self) -> None:
        """Close the file, if there is one, and drop what is too old."""
        if self._path is None:
            return
        path, self._path = self._path, None
        try:
            os.fsync(self._file)
            if self._settings.format == "parquet":
                _to_parquet(path, self._columns)
        finally:
            os.close(self._file)
        self._prune()

    def _begin(self, columns: Columns) -> None:
        while True:
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            path = self._folder / f"{PREFIX}{now}-{os.getpid()}.jsonl"
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file).st_nlink:
                break
            os.close(file)  # another process took it for one that was left, before it was locked
        self._file, self._path, self._columns, self._bytes = file, path, columns, 0

    def _mend_all(self) -> None:
        for part in self._folder.glob(f"{PREFIX}*.part"):
            with _left(part.with_suffix(".jsonl")) as file:
                if file is not None or not part.with_suffix(".jsonl").exists():
                    part.unlink(missing_ok=True)
        for path in sorted(self._folder.glob(f"{PREFIX}*.jsonl")):
            with _left(path) as file:
                if file is not None:
                    _cut_torn_line(file)
                    self._finish(path, file)

    def _finish(self, path: Path, file: int) -> None:
        if os.fstat(file).st_size == 0:
            path.unlink()
        elif self._settings.format == "parquet":
            _to_parquet(path, None)

    def _prune(self) -> None:
        closed = [
            path
            for path in self._folder.glob(f"{PREFIX}*")
            if path.suffix == ".parquet" or (path.suffix == ".jsonl" and _is_left(path))
        ]
        # Their names begin with when they were begun.
        for path in sorted(closed, reverse=True)[self._settings.keep :]:
            path.unlink(missing_ok=True)


@contextmanager
def _left(path: Path) -> Iterator[int | None]:
    """Give the descriptor of a file that no process writes any more, locked; else None."""
    try:
        file = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        # Another process may have had it meanwhile, and have put a Parquet file in its place.
        yield file if path.exists() else None
    finally:
        os.close(file)


def _is_left(path: Path) -> bool:
    with _left(path) as file:
        return file is not None


def _cut_torn_line(file: int) -> None:
    size = at = os.fstat(file).st_size
    while at > 0:
        start = max(0, at - _BLOCK)
        block = os.pread(file, at - start, start)
        found = block.rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    if at != size:
        os.ftruncate(file, at)


def _to_parquet(path: Path, columns: Columns | None) -> None:
    """Rewrite a file of lines; ``columns`` are None where another process wrote them."""
    import pyarrow as pa  # noqa: PLC0415 - an extra, and slow to import
    from pyarrow import json, parquet  # noqa: PLC0415

    types = {
        ValueType.NUMBER: pa.float64(),
        ValueType.INTEGER: pa.int64(),
        ValueType.STRING: pa.string(),
        ValueType.BOOLEAN: pa.bool_(),
    }
    fields = {name: types[kind] for name, kind in (columns or {}).items()}
    schema = pa.schema({**fields, TIME: pa.timestamp("us", tz="UTC")})
    part = path.with_suffix(".part")
    try:
        table = json.read_json(
            path,
            # The file is some megabytes, and the cores have requests to answer.
            read_options=json.ReadOptions(use_threads=False),
            parse_options=json.ParseOptions(explicit_schema=schema),
        )
        parquet.write_table(table, part)
    except pa.ArrowException:
        part.unlink(missing_ok=True)  # it stays lines, which are as good
        return
    part.chmod(0o600)
    part.replace(path.with_suffix(".parquet"))
    path.unlink()
