"""Finds DVC's settings and reads objects from its local cache, without DVC."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from modelci.adapters.dvc.hashing import LEGACY, hash_bytes
from modelci.adapters.dvc.templating import Dialect
from modelci.errors import ConfigError

MAX_BYTES = 256 * 1024 * 1024
"""A metrics or parameters file larger than this is none."""

_HASH = re.compile(r"[0-9a-f]{32}(\.dir)?")
_URL = re.compile(r"\w+://")


class DvcSettings:
    """The settings of one DVC project; read when first needed, since most reports need none.

    ``folders`` are those of the system's and the user's settings, in DVC's order: what is nearer
    to the project wins.
    """

    def __init__(self, project: Path, folders: Sequence[Path] | None = None) -> None:
        self._project = project
        self._folders = folders
        self._values: dict[str, dict[str, Any]] | None = None

    def get(self, section: str, name: str) -> str | None:
        """Return one setting; a path comes as it counts from the file that sets it."""
        if self._values is None:
            self._values = self._load()
        value = self._values.get(section, {}).get(name)
        return value if isinstance(value, str) else None

    @property
    def cache_folder(self) -> Path:
        """Where the local cache lies."""
        return Path(self.get("cache", "dir") or self._project / ".dvc" / "cache")

    @property
    def dialect(self) -> Dialect:
        """How mappings are written as options."""
        return Dialect(
            bools=self.get("parsing", "bool") or "store_true",
            lists=self.get("parsing", "list") or "nargs",
        )

    def _load(self) -> dict[str, dict[str, Any]]:
        folders = _system_folders() if self._folders is None else self._folders
        own = self._project / ".dvc"
        merged: dict[str, dict[str, Any]] = {}
        for file in (
            *(folder / "config" for folder in folders),
            own / "config",
            own / "config.local",
        ):
            for section, values in _read_settings(file).items():
                merged.setdefault(section, {}).update(values)
        return merged


class CachePlace(Protocol):
    """Says where a cache lies."""

    @property
    def cache_folder(self) -> Path:
        """The cache's folder."""


@dataclass(frozen=True, slots=True)
class CacheAt:
    """A cache by its folder, whatever DVC's settings say."""

    cache_folder: Path


class Cache:
    """The objects of a local DVC cache, by hash; what is not whole is not there."""

    def __init__(self, settings: CachePlace) -> None:
        self._settings = settings

    def read(self, hash_: str, hash_name: str) -> bytes | None:
        """Return an object's bytes, or None where it is missing, damaged or far too large."""
        file = self.place(hash_, hash_name)
        if file is None:
            return None
        try:
            if file.stat().st_size > MAX_BYTES:
                return None
            data = file.read_bytes()
        except OSError:
            return None
        return data if hash_bytes(data, hash_name) == hash_.removesuffix(".dir") else None

    def place(self, hash_: str, hash_name: str) -> Path | None:
        """Return where an object would lie, unchecked; None for what is no hash."""
        if not is_hash(hash_):
            return None
        folder = self._settings.cache_folder
        if hash_name != LEGACY:
            folder = folder / "files" / "md5"
        return folder / hash_[:2] / hash_[2:]

    def read_listing(self, hash_: str, hash_name: str) -> Mapping[str, str] | None:
        """Return the hashes of a folder's files by relative path, from its ``.dir`` object."""
        data = self.read(hash_, hash_name)
        return None if data is None else parse_listing(data)


def is_hash(text: str) -> bool:
    """Whether this can be an object's name: nothing that leads elsewhere does."""
    return _HASH.fullmatch(text) is not None


def parse_listing(data: bytes) -> Mapping[str, str] | None:
    """Return the hashes of a folder's files by relative path, from its list; None if it is none."""
    try:
        listing = {entry["relpath"]: entry["md5"] for entry in json.loads(data)}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = all(isinstance(text, str) for pair in listing.items() for text in pair)
    return listing if texts else None


def _system_folders() -> tuple[Path, ...]:
    import platformdirs  # noqa: PLC0415 - 5 to 30 ms that a report seldom needs

    return (
        Path(platformdirs.site_config_dir("dvc", "iterative")),
        Path(platformdirs.user_config_dir("dvc", "iterative")),
    )


def _read_settings(file: Path) -> dict[str, dict[str, Any]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from error
    from configobj import (  # type: ignore[import-untyped]  # noqa: PLC0415 - as above
        ConfigObj,
        ConfigObjError,
    )

    try:
        parsed = ConfigObj(lines).dict()
    except ConfigObjError as error:
        raise ConfigError(f"{file} cannot be read: {error}.") from error
    sections = {
        name.lower(): {key.lower(): value for key, value in section.items()}
        for name, section in parsed.items()
        if isinstance(section, dict)
    }
    cache = sections.get("cache", {})
    if isinstance(cache.get("dir"), str):
        cache["dir"] = _resolve(cache["dir"], file.parent)
    return sections


def _resolve(path: str, folder: Path) -> str:
    if _URL.match(path):
        return path
    return str(folder.resolve() / Path(path).expanduser())
