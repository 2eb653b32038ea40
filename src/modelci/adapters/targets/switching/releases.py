"""The processes of a target's releases: those that are to run, and those that are looked at."""

import asyncio
import glob
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from modelci.adapters.targets.shelves import Shelves
from modelci.adapters.targets.switching import keeping, processes
from modelci.adapters.targets.switching.keeping import Condition, Kept
from modelci.adapters.targets.switching.settings import ServerSettings
from modelci.documents import codec
from modelci.domain.deployment import Release
from modelci.errors import DeploymentError


@dataclass(slots=True)
class Surroundings:
    """What all processes of a target share. ``wake`` is called when one comes or goes.

    ``settings`` are those of now, ``pythons`` the interpreters of releases that have their own.
    """

    run: Path
    settings: ServerSettings
    wake: Callable[[], None]
    pythons: dict[str, str] = field(default_factory=dict)

    @property
    def logs(self) -> Path:
        """The folder of logs."""
        return self.run / "log"


class ReleaseProcess(Kept):
    """A release's server on its socket. A candidate is one that nothing depends on yet."""

    def __init__(
        self, release: str, folder: Path, around: Surroundings, *, is_candidate: bool
    ) -> None:
        log = around.logs / f"{release}.log"
        super().__init__(release, run=around.run, log=log, changed=around.wake)
        self.is_candidate = is_candidate
        self.socket = f"{release}.sock"
        self._folder = folder
        self._around = around

    def command(self) -> Sequence[str]:
        settings = self._around.settings
        python = self._around.pythons.get(self.name)
        command = settings.server_command(python, "run", self._folder)
        command += ["--uds", self.socket, "--workers", str(settings.workers)]
        if settings.serving is not None:
            command += ["--settings", settings.serving]
        return command

    async def is_ready(self) -> bool:
        return await keeping.answers_ready(self.socket)

    def gives_up(self) -> bool:
        """A candidate has failed; whoever asked for it is told why."""
        return self.is_candidate

    @property
    def ready_seconds(self) -> float:
        return self._around.settings.ready_seconds

    @property
    def environment(self) -> dict[str, str] | None:
        return dict(self._around.settings.environment) or None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A release that is looked at, and until when (of the monotonic clock)."""

    artifact: str
    ends: float


class Releases:
    """Keeps the processes of releases."""

    def __init__(self, shelves: Shelves, around: Surroundings) -> None:
        self._shelves = shelves
        self._around = around
        self._kept: dict[str, ReleaseProcess] = {}
        self._candidates: dict[str, _Candidate] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}

    def find(self, folder: Path) -> None:
        """Learn of what an earlier supervisor left in a target's folder; it is kept for a while.

        What nobody has staged any more cannot be meant to run.
        """
        for pid_file in self._around.run.glob("*.pid"):
            process, name = processes.find(pid_file), pid_file.stem
            if process is None or name.startswith(("switch-", "supervisor")):
                continue
            staged = list(folder.glob(f"*/releases/{glob.escape(name)}/release.json"))
            if staged:
                self.look_at(codec.read(Release, staged[0]).artifact, name)
            else:
                process.kill_all()

    def look_at(self, artifact: str, name: str) -> None:
        """Keep a release's process until it is known whether it is to answer."""
        ends = time.monotonic() + self._around.settings.lease_seconds
        self._candidates[name] = _Candidate(artifact, ends)

    def have(self, needed: Mapping[str, str]) -> None:
        """Have those running that are ``needed``, with their artifacts, and those looked at."""
        now = time.monotonic()
        self._candidates = {
            name: one
            for name, one in self._candidates.items()
            if one.ends > now and name not in needed
        }
        tried = {name: one.artifact for name, one in self._candidates.items()}
        for name, artifact in (*tried.items(), *needed.items()):
            if name in self._stopping:  # it can be started when it has ended
                continue
            one = self._kept.get(name)
            if one is None:
                folder = self._shelves.of(artifact).path(name)
                is_candidate = name not in needed
                one = ReleaseProcess(name, folder, self._around, is_candidate=is_candidate)
                self._kept[name] = one
                one.keep()
            elif name in needed and one.is_candidate:
                one.is_candidate = False
                one.keep()

    def drop(self, needed: set[str]) -> None:
        """Stop what is neither ``needed`` nor looked at: nobody asks it any more."""
        for name in self._kept.keys() - needed - self._candidates.keys():
            self._stopping[name] = asyncio.get_running_loop().create_task(self._stop(name))

    @property
    def sockets(self) -> Mapping[str, str]:
        """The sockets of those that are kept."""
        return {name: one.socket for name, one in sorted(self._kept.items())}

    @property
    def ready(self) -> frozenset[str]:
        """Those that can answer."""
        is_ready = Condition.READY
        return frozenset(name for name, one in self._kept.items() if one.condition is is_ready)

    @property
    def stopping(self) -> Sequence[str]:
        """Those that answer what they were asked, and end."""
        return sorted(self._stopping)

    def __iter__(self) -> Iterator[ReleaseProcess]:
        return iter([one for _, one in sorted(self._kept.items())])

    async def stopped(self, name: str, seconds: float) -> None:
        """Wait, at most so long, for a release that is being stopped: it has its socket still."""
        if name in self._stopping:
            await asyncio.wait([self._stopping[name]], timeout=seconds)

    def restart_failed(self, name: str) -> None:
        """Try again what was given up."""
        one = self._kept.get(name)
        if one is not None and one.condition is Condition.FAILED:
            one.keep()

    def get(self, name: str) -> ReleaseProcess:
        """Return a release's process; DeploymentError where it cannot be had yet."""
        if name not in self._kept:
            raise DeploymentError(f"Release {name} is still being stopped.", hint="Try again.")
        return self._kept[name]

    async def stop_all(self) -> None:
        """Let all end."""
        grace = self._around.settings.drain_seconds
        ends = [one.stop(grace=grace) for one in self._kept.values()]
        await asyncio.gather(*self._stopping.values(), *ends)

    async def leave_all(self) -> None:
        """Look after them no more."""
        for one in self._kept.values():
            await one.leave()

    async def _stop(self, name: str) -> None:
        process = self._kept.pop(name)
        try:
            await process.stop(grace=self._around.settings.drain_seconds)
            (self._around.run / process.socket).unlink(missing_ok=True)
        finally:
            del self._stopping[name]
            self._around.wake()
