"""Reads objects of a DVC remote by hash, and nothing else: no repository of DVC's is opened.

That takes DVC's configuration, and its plug-in for the URL, which knows how to get a file fast.
DVC's own transfer would look at what else is there, and write into the cache.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.config import Config
from dvc.config import ConfigError as DvcConfigError
from dvc.fs import get_cloud_fs
from dvc_objects.fs.base import ObjectFileSystem

from modelci.adapters.dvc import faults
from modelci.adapters.dvc.hashing import LEGACY
from modelci.domain.remotes import DataRemote
from modelci.errors import ConfigError, PipelineError

Pause = Callable[[int], None]
"""Waits before the next try, after so many failures."""

_ATTEMPTS = 5
_BY_HTTP = frozenset("azure gs http https oss s3 webdav webdavs".split())


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


def read_remotes(project: Path) -> tuple[DataRemote, ...]:
    """Return the DVC remotes of the project in a folder; none where it is no project of DVC's."""
    config = read_config(project)
    default = str(config["core"].get("remote", "")).lower()
    return tuple(
        DataRemote(
            name=name,
            url=faults.RemoteLabel.of(config, name).url,
            verifies=bool(values.get("verify")),
            is_default=name == default,
        )
        for name, values in config["remote"].items()
    )


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

    def find(self, hash_: str, hash_name: str, scratch: Path) -> Path | None:
        """Write an object to ``scratch`` as it is, and return that; None where there is none.

        Whether the hash is right is for the caller to see. Where the connection is cut it is made
        and the object sent again, a few times. Raises PipelineError for a remote that does not
        answer or denies access, and ConfigError for one that is not configured rightly.
        """
        store = self._open()
        failures = 0
        while True:
            filesystem = None
            try:
                filesystem = self._connect(store)
                path = filesystem.join(store.path, *_parts(hash_, hash_name))
                filesystem.get_file(path, str(scratch))
            except FileNotFoundError:
                self._require_there(store)
                return None
            except Exception as error:  # every kind of remote has errors of its own
                failures += 1
                if failures >= _attempts(store) or _is_final(error):
                    raise faults.remote_failed("fetch from", store.label, error) from error
                self._forget(filesystem)
                self._pause(failures)
            else:
                return scratch

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
        if filesystem is None or filesystem.protocol in _BY_HTTP:
            return  # there is none to forget, or it does so by itself
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


def read_config(project: Path) -> Config:
    """Return DVC's settings of the project in a folder, of all their files; paths are absolute."""
    try:
        return Config(dvc_dir=str(project / ".dvc"))
    except DvcConfigError as error:
        raise _unusable(error) from error


def _unusable(error: DvcConfigError) -> ConfigError:
    return ConfigError(f"DVC's configuration cannot be used: {error}.", hint="See .dvc/config.")


def _configure(project: Path, name: str | None) -> _Store:
    config = read_config(project)
    name = name or config["core"].get("remote")
    if not name:
        raise faults.no_remote()
    label = faults.RemoteLabel.of(config, name)
    try:
        kind, options, path = get_cloud_fs(config, name=name)
    except DvcConfigError as error:
        raise _unusable(error) from error
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
