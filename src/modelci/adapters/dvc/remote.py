"""Reads objects of a DVC remote by hash, and nothing else: no repository of DVC's is opened.

That takes DVC's configuration and the filesystem of its plug-in for the URL. DVC's own transfer
would look for what else the remote has, write into the cache, and take most remotes' word for the
bytes.
"""

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from dvc.config import Config
from dvc.config import ConfigError as DvcConfigError
from dvc.fs import get_cloud_fs
from dvc_objects.fs.base import ObjectFileSystem

from modelci.adapters.dvc import faults
from modelci.adapters.dvc.hashing import LEGACY, Hasher
from modelci.errors import ConfigError, ModelCIError, PipelineError

if TYPE_CHECKING:
    from concurrent.futures import Future

Pause = Callable[[int], None]
"""Waits before the next try, after so many failures."""

_CHUNK = 1 << 20
_BLOCK = 8 << 20
_AHEAD = 8  # blocks of one object on their way at a time
_ATTEMPTS = 5
_FOLDER = ".dir"


def pause_briefly(failures: int) -> None:
    """Wait 0.2 s, then twice as long each time."""
    time.sleep(0.1 * 2**failures)


@dataclass(frozen=True, slots=True)
class _Store:
    """A remote as it is configured; ``path`` is its top in the plug-in's filesystem."""

    label: faults.RemoteLabel
    kind: Any
    options: dict[str, Any]
    path: str


class RemoteObjects:
    """The objects of the DVC remote of the project in a folder; asked by several threads.

    ``name`` is the remote's, instead of the default one. Nothing is read or connected to before
    the first object is asked for.
    """

    def __init__(
        self, project: Path, *, name: str | None = None, pause: Pause = pause_briefly
    ) -> None:
        self._project = project
        self._name = name
        self._pause = pause
        self._lock = threading.Lock()
        self._store: _Store | None = None
        self._filesystem: Any = None

    def place(self, hash_: str, hash_name: str) -> str:
        """Return where an object should lie, for messages."""
        label = self._open().label
        return f"{label.name}: {label.url.rstrip('/')}/{'/'.join(_parts(hash_, hash_name))}"

    def pour(self, hash_: str, hash_name: str, sink: BinaryIO | None = None) -> Hasher | None:
        """Read an object into ``sink``, hashed on the way; None where the remote lacks it.

        Whether the hash is right is for the caller to see; what is not is read a second time, as
        an answer that was cut short need not say so. Raises PipelineError for a remote that does
        not answer or denies access, and ConfigError for one that is not configured rightly.
        """
        hasher = None
        for _ in range(2):
            hasher = self._read(_parts(hash_, hash_name), hash_name, sink)
            if hasher is None or hasher.found == hash_.removesuffix(_FOLDER):
                break
        return hasher

    def _read(self, parts: tuple[str, ...], hash_name: str, sink: BinaryIO | None) -> Hasher | None:
        """Read an object once; where the connection is cut go on from there, a few times."""
        store = self._open()
        hasher = _begin(hash_name, sink)
        failures = 0
        while True:
            filesystem = None
            try:
                filesystem = self._connect(store)
                path = filesystem.join(store.path, *parts)
                for chunk in _chunks(filesystem, path, hasher.size):
                    hasher.update(chunk)
                    if sink is not None:
                        sink.write(chunk)
            except FileNotFoundError:
                self._require_there(store)
                return None
            except _CannotResumeError:
                hasher = _begin(hash_name, sink)
            except ModelCIError:
                raise
            except Exception as error:
                failures += 1
                if failures >= _attempts(store) or _is_final(error):
                    raise faults.remote_failed("fetch from", store.label, error) from error
                self._forget(filesystem)
                self._pause(failures)
            else:
                return hasher

    def _open(self) -> _Store:
        with self._lock:
            if self._store is None:
                self._store = _configure(self._project, self._name)
            return self._store

    def _connect(self, store: _Store) -> Any:
        with self._lock:
            if self._filesystem is None:
                self._filesystem = store.kind(**store.options)
            return self._filesystem

    def _forget(self, filesystem: Any) -> None:
        """Let the next try connect anew, if nobody has done so meanwhile."""
        with self._lock:
            if self._filesystem is filesystem:
                self._filesystem = None

    def _require_there(self, store: _Store) -> None:
        """Refuse to say that an object is missing where there is no such remote at all."""
        filesystem = self._connect(store)
        try:
            is_there = not filesystem.CAN_TRAVERSE or filesystem.exists(store.path)
        except Exception:  # noqa: BLE001 - who may read objects need not be let list them
            return
        if not is_there:
            raise PipelineError(
                f"There is nothing at the DVC remote {store.label}.",
                hint="Is its URL right? `modelci run --push` (or `dvc push`) brings the bytes "
                "there.",
            )


class _CannotResumeError(Exception):
    """The remote sends an object from its beginning, or not at all."""


def _configure(project: Path, name: str | None) -> _Store:
    label = faults.RemoteLabel(name or "(default)")
    try:
        config = Config(dvc_dir=str(project / ".dvc"))
        name = name or config["core"].get("remote")
        if not name:
            raise faults.no_remote()
        label = faults.RemoteLabel.of(config, name)
        kind, options, path = get_cloud_fs(config, name=name)
    except DvcConfigError as error:
        raise ConfigError(
            f"DVC's configuration cannot be used: {error}.", hint="See .dvc/config."
        ) from error
    except ImportError as error:
        raise faults.remote_failed("use", label, error) from error
    if options.get("version_aware") or options.get("worktree"):
        raise ConfigError(
            f"The DVC remote {label} is cloud-versioned: it keeps files by their paths, and has "
            "nothing by hash.",
            hint="Keep models in a remote without version_aware and worktree; run.remote names it.",
        )
    return _Store(label, kind, options, path)


def _parts(hash_: str, hash_name: str) -> tuple[str, ...]:
    above = () if hash_name == LEGACY else ("files", "md5")
    return (*above, hash_[:2], hash_[2:])


def _begin(hash_name: str, sink: BinaryIO | None) -> Hasher:
    if sink is not None:
        sink.seek(0)
        sink.truncate()
    return Hasher(hash_name)


def _attempts(store: _Store) -> int:
    """How often to try: the clients of object stores try each request again by themselves."""
    return 2 if issubclass(store.kind, ObjectFileSystem) else _ATTEMPTS


def _is_final(error: Exception) -> bool:
    return (
        isinstance(error, (DvcConfigError, IsADirectoryError))
        or faults.is_denied(error)
        or faults.lacks_plugin(error)
        or faults.is_disk_full(error)
    )


def _chunks(filesystem: Any, path: str, start: int) -> Iterator[bytes]:
    if isinstance(filesystem, ObjectFileSystem):
        return _blocks(filesystem, path, start)
    return _stream(filesystem, path, start)


def _stream(filesystem: Any, path: str, start: int) -> Iterator[bytes]:
    """Yield an object's bytes from ``start`` on, from one answer."""
    # By HTTP a file is read in blocks, a request each, unless it is told not to; then it cannot
    # be sought in.
    in_one = filesystem.protocol in {"http", "https"} and not start
    with filesystem.open(path, "rb", **({"block_size": 0} if in_one else {})) as stream:
        if start:
            try:
                stream.seek(start)
            except (ValueError, io.UnsupportedOperation) as error:
                raise _CannotResumeError from error
        while chunk := stream.read(_CHUNK):
            yield chunk


def _blocks(filesystem: Any, path: str, start: int) -> Iterator[bytes]:
    """Yield an object's bytes from ``start`` on, in blocks of which several are on their way.

    An object store sends one answer slower than several. What fits into one block takes one
    request.
    """
    try:
        first: bytes = filesystem.cat_file(path, start, start + _BLOCK)
    except OSError:
        if filesystem.info(path)["size"] > start:
            raise
        return  # there is no range of nothing
    yield first
    if len(first) < _BLOCK:
        return
    size = filesystem.info(path)["size"]
    starts = iter(range(start + _BLOCK, size, _BLOCK))
    pending: deque[Future[bytes]] = deque()
    pool = ThreadPoolExecutor(_AHEAD)
    try:
        while True:
            while len(pending) < _AHEAD and (at := next(starts, None)) is not None:
                end = min(at + _BLOCK, size)
                pending.append(pool.submit(filesystem.cat_file, path, at, end))
            if not pending:
                return
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
