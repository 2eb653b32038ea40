"""A target's folder: releases side by side, what runs of them, and what ran.

::

    lock            held while somebody deploys, and says who
    state.json      what runs, ran before and is tried out; replaced whole: the truth of a target
    history.jsonl   every switch, the oldest first
    releases/ID/    a release: release.json, the model, golden.json, dvc.lock
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import msgspec

from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile, Running, TargetState, Trial
from modelci.errors import ConfigError, DeploymentError, TargetBusyError

SCHEMA = "modelci.target/1"
HISTORY_SHOWN = 100
_HISTORY_READ = 256 * 1024  # bytes from the end: hundreds of switches
_LAST_LINES = 16 * 1024
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What an artifact has on a target."""

    running: Running | None = None
    previous: Running | None = None
    trial: Trial | None = None

    @property
    def releases(self) -> tuple[str, ...]:
        """The releases that may be asked, the running one first."""
        named = (
            self.running and self.running.release,
            self.trial and self.trial.release,
            self.previous and self.previous.release,
        )
        return tuple(dict.fromkeys(name for name in named if name))


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """``state.json``; ``pythons`` are interpreters by release, where one has its own."""

    schema: str = SCHEMA
    artifacts: Mapping[str, Place] = field(default_factory=dict)
    pythons: Mapping[str, str] = field(default_factory=dict)

    def place(self, artifact: str) -> Place:
        """Return what an artifact has; an empty place where it was never deployed."""
        return self.artifacts.get(artifact, Place())

    def with_place(self, artifact: str, place: Place) -> "State":
        """Return the state in which the artifact has that place."""
        return replace(self, artifacts={**self.artifacts, artifact: place})


def after_switch(place: Place, running: Running) -> Place:
    """Return the place once ``running`` answers everything.

    What ran before is the previous one, unless it is the same release under another tag.
    """
    before = place.running
    previous = before if before and before.release != running.release else place.previous
    return Place(running=running, previous=previous)


class Layout:
    """One target's folder. Whoever writes holds its lock; readers see one whole state."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.releases = folder / "releases"
        self._state = folder / "state.json"
        self._history = folder / "history.jsonl"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep others out meanwhile; the lock of a process that dies is free at once."""
        self._make(self.folder)
        with (self.folder / "lock").open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise TargetBusyError(
                    f"Target {self.name} is being deployed to by {file.read(500) or 'somebody'}.",
                    hint="Run it again when that one is through.",
                ) from error
            file.seek(0)
            file.truncate()
            file.write(_who())
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)

    def read_state(self) -> State:
        """Return ``state.json``; an empty state where nothing was deployed yet."""
        try:
            text = self._state.read_bytes()
        except FileNotFoundError:
            return State()
        except OSError as error:
            raise DeploymentError(f"{self._state} cannot be read: {error.strerror}.") from error
        try:
            state = msgspec.json.decode(text, type=State)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DeploymentError(
                f"{self._state} is damaged: {error}.",
                hint=f"Move it away and deploy again; {self._history.name} says what ran.",
            ) from error
        if state.schema != SCHEMA:
            raise DeploymentError(
                f"{self._state} is a {state.schema!r}, not a {SCHEMA!r}.",
                hint="Use the modelci version that wrote it, or a newer one.",
            )
        return state

    def write_state(self, state: State) -> None:
        """Replace ``state.json``; once this returns, it outlives a power cut."""
        self._make(self.folder)
        try:
            replace_file(self._state, msgspec.json.format(msgspec.json.encode(state), indent=1))
        except OSError as error:
            raise DeploymentError(f"{self._state} cannot be written: {error.strerror}.") from error

    def artifacts(self) -> tuple[str, ...]:
        """Return the artifacts that were ever deployed here."""
        return tuple(sorted(self.read_state().artifacts))

    def read(self, artifact: str) -> TargetState:
        """Return what runs, ran and is staged of an artifact."""
        place = self.read_state().place(artifact)
        return TargetState(
            running=place.running,
            previous=place.previous,
            trial=place.trial,
            staged=self.staged(artifact),
            history=self._read_history(artifact, place.running),
        )

    def switch(self, running: Running) -> State:
        """Record that ``running`` answers from now on, and return the new state.

        The state is written before the history: one that misses its line gets it next time.
        """
        state = self.read_state()
        place = state.place(running.artifact)
        same = place.running is not None and replace(place.running, since=running.since) == running
        after = replace(place, trial=None) if same else after_switch(place, running)
        if after != place:
            state = state.with_place(running.artifact, after)
            self.write_state(state)
        self._remember(after.running or running)
        return state

    def set_trial(self, artifact: str, trial: Trial | None) -> State:
        """Record what is tried out beside the running release, and return the new state."""
        state = self.read_state()
        place = state.place(artifact)
        if place.trial != trial:
            state = state.with_place(artifact, replace(place, trial=trial))
            self.write_state(state)
        return state

    def path(self, release: str) -> Path:
        """Return a release's folder."""
        return self.releases / release

    def python(self, release: str) -> Path | None:
        """Return the interpreter that a release was staged with."""
        python = self.read_state().pythons.get(release)
        return Path(python) if python else None

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> Path:
        """Copy a release's ``folder`` here, whole or not at all, and return where it lies.

        What is there already, byte for byte, stays. Raises DeploymentError for other bytes than
        the release names.
        """
        self._set_python(release.id, python)
        place = self.path(release.id)
        if not has_bytes_of(release, place):
            part = self.releases / f".{release.id}.part"
            self._make(self.releases)
            for stale in (part, place):
                shutil.rmtree(stale, ignore_errors=True)
            self._copy(release, folder, part)
            part.replace(place)
            _sync(self.releases)
        moment = time.time_ns()  # finer than what the kernel would put there
        os.utime(place, ns=(moment, moment))  # staged last: pruned last
        return place

    def staged(self, artifact: str) -> tuple[str, ...]:
        """Return the ids of the artifact's staged releases, the one staged last first."""
        found = []
        for folder in self._folders():
            with suppress(ConfigError, OSError):
                release = codec.read(Release, folder / "release.json")
                if release.artifact == artifact and release.id == folder.name:
                    found.append((folder.stat().st_mtime_ns, release.id))
        return tuple(name for _, name in sorted(found, reverse=True))

    def is_whole(self, release: Release) -> bool:
        """Whether every file of a staged release has the bytes that it names; all are read."""
        return has_bytes_of(release, self.path(release.id))

    def release(self, release: str) -> Release:
        """Return the document of a staged release; DeploymentError where there is none."""
        try:
            return codec.read(Release, self.path(release) / "release.json")
        except ConfigError as error:
            raise DeploymentError(
                f"Release {release} is not on {self.name}.", hint="Deploy it again."
            ) from error

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Remove the artifact's releases but the newest ``keep`` and those that may be asked."""
        state = self.read_state()
        asked = state.place(artifact).releases
        gone = tuple(name for name in self.staged(artifact)[max(keep, 0) :] if name not in asked)
        for name in gone:
            # Renamed first: a release that is there is whole, also when this is cut short.
            doomed = self.releases / f".{name}.gone"
            shutil.rmtree(doomed, ignore_errors=True)
            self.path(name).replace(doomed)
        for left in self.releases.glob(".*.gone"):
            shutil.rmtree(left, ignore_errors=True)
        pythons = {name: path for name, path in state.pythons.items() if name not in gone}
        if pythons != state.pythons:
            self.write_state(replace(state, pythons=pythons))
        return gone

    def _folders(self) -> Iterator[Path]:
        with suppress(FileNotFoundError):
            yield from (one for one in self.releases.iterdir() if not one.name.startswith("."))

    def _set_python(self, release: str, python: Path | None) -> None:
        state = self.read_state()
        others = {name: path for name, path in state.pythons.items() if name != release}
        pythons = others if python is None else {**others, release: str(python)}
        if pythons != state.pythons:
            self.write_state(replace(state, pythons=pythons))

    def _copy(self, release: Release, folder: Path, part: Path) -> None:
        try:
            shutil.copytree(folder, part)
            codec.write(release, part / "release.json")
        except (OSError, shutil.Error) as error:
            shutil.rmtree(part, ignore_errors=True)
            raise DeploymentError(
                f"Release {release.id} cannot be put on {self.name}: {error}."
            ) from error
        wrong = [file.path for file in release.files if not _is_intact(part, file)]
        if wrong:
            shutil.rmtree(part, ignore_errors=True)
            raise DeploymentError(
                f"{', '.join(wrong)} of release {release.id} has other bytes than the release "
                "names."
            )
        for folder_or_file in (part, *part.rglob("*")):
            _sync(folder_or_file)

    def _read_history(self, artifact: str, running: Running | None) -> tuple[Running, ...]:
        ran = [one for one in self._switches() if one.artifact == artifact]
        if running is not None and (not ran or ran[-1] != running):
            ran.append(running)
        return tuple(reversed(list(_told_last(ran))[-HISTORY_SHOWN:]))

    def _switches(self, most_bytes: int = _HISTORY_READ) -> Iterator[Running]:
        """Yield what the history ends with; a line that was cut short is no line."""
        try:
            with self._history.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - most_bytes))
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return
        for line in lines:
            with suppress(msgspec.DecodeError, UnicodeDecodeError):
                yield msgspec.json.decode(line, type=Running)

    def _remember(self, running: Running) -> None:
        newest = None
        for one in self._switches(_LAST_LINES):
            newest = one if one.artifact == running.artifact else newest
        if newest == running:
            return
        with self._history.open("ab+") as file:
            file.seek(max(0, file.tell() - 1))
            is_torn = file.read(1) not in {b"", b"\n"}
            file.write(b"\n" * is_torn + msgspec.json.encode(running) + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise no_folder(self.name, folder, error) from error


def no_folder(target: str, folder: Path, error: OSError) -> DeploymentError:
    """Return the error of a target that cannot have a folder, with what is in the way."""
    other = f"set deploy.targets.{target}.path to another folder"
    file = next((one for one in (folder, *folder.parents) if one.is_file()), None)
    return DeploymentError(
        f"Target {target} cannot have its folder {folder}: {error.strerror}.",
        hint=f"{file} is a file: move it away, or {other}."
        if file
        else f"Make it, so that whoever deploys can write there, or {other}.",
    )


def now() -> str:
    """Return the time as documents have it."""
    return datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds")


def replace_file(path: Path, data: bytes, *, mode: int = 0o644, sync: bool = True) -> None:
    """Write a file whole or not at all; with ``sync`` it outlives a power cut from then on."""
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    part.replace(path)
    if sync:
        _sync(path.parent)


def _told_last(ran: Sequence[Running]) -> Iterator[Running]:
    """Yield each switch once, as it was told last: by and by more is known of it."""
    for one, following in pairwise((*ran, None)):
        if one is not None and (following is None or _switch(one) != _switch(following)):
            yield one


def _switch(running: Running) -> tuple[str, ...]:
    return running.release, running.tag, running.since


def has_bytes_of(release: Release, place: Path) -> bool:
    """Whether every file of a release lies in a folder with the bytes that it names."""
    return place.is_dir() and all(_is_intact(place, file) for file in release.files)


def _is_intact(folder: Path, file: ReleaseFile) -> bool:
    path = folder / file.path
    try:
        if path.stat().st_size != file.bytes:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as data:
            while block := data.read(_BLOCK):
                digest.update(block)
    except OSError:
        return False
    return digest.hexdigest() == file.sha256


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _who() -> str:
    user = str(os.getuid())
    with suppress(KeyError):  # of a container that has no such user
        user = pwd.getpwuid(os.getuid()).pw_name
    return f"{user} on {socket.gethostname()} (process {os.getpid()}) since {now()}"
