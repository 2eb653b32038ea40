"""Keeps a process up: starts or finds it, sees it become ready and end, and starts it again."""

import asyncio
import logging
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from modelci.adapters.targets.switching import control, processes
from modelci.adapters.targets.switching.processes import Process
from modelci.errors import DeploymentError

LOG = logging.getLogger("modelci.supervisor")

_FIRST_WAIT = 0.1
_LONGEST_WAIT = 30.0
_GOOD_SECONDS = 60.0  # a process that ran so long has not failed to start
_POLL = 0.02


class Condition(StrEnum):
    """How a kept process is."""

    STARTING = "starting"
    READY = "ready"
    WAITING = "waiting"  # to be started again
    FAILED = "failed"  # and not started again
    STOPPING = "stopping"


class Kept(ABC):
    """One process and the task that keeps it up. ``changed`` is called with each new condition."""

    def __init__(self, name: str, *, run: Path, log: Path, changed: Callable[[], None]) -> None:
        self.name = name
        self.condition = Condition.STARTING
        self.reason = ""
        self.restarts = 0
        self.since = time.time()
        self.process: Process | None = None
        self.log = log
        self._run = run
        self._pid_file = run / f"{name}.pid"
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    # What a kind of process says of itself

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return the command to start it with."""

    @abstractmethod
    async def is_ready(self) -> bool:
        """Ask it."""

    @abstractmethod
    def gives_up(self) -> bool:
        """Whether it is not to be started again once it failed to become ready."""

    @property
    def ready_seconds(self) -> float:
        """How long it may take to become ready."""
        return 60.0

    @property
    def inherits(self) -> Sequence[int]:
        """The open files that it is to have."""
        return ()

    @property
    def environment(self) -> dict[str, str] | None:
        """What it sees of the environment; None: all."""
        return None

    # What the supervisor does with it

    def keep(self) -> None:
        """Begin, or begin again after it was given up."""
        if self._task is None or self._task.done():
            self._set(Condition.STARTING)
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def wait(self, seconds: float) -> Condition:
        """Wait until it is ready or has failed, at most so long."""
        ends = time.monotonic() + seconds
        while self.condition not in {Condition.READY, Condition.FAILED}:
            if time.monotonic() > ends:
                break
            await asyncio.sleep(_POLL)
        return self.condition

    async def stop(self, *, grace: float, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end, and make it after ``grace`` seconds."""
        self._set(Condition.STOPPING)
        await self.leave()
        process = self.process or processes.find(self._pid_file)
        if process is None:
            return
        process.send(number)
        ends = time.monotonic() + grace
        while process.is_alive() and time.monotonic() < ends:
            await asyncio.sleep(_POLL)
        process.kill_all()
        while process.is_alive():  # nothing outlasts that, but it takes a moment
            await asyncio.sleep(_POLL)
        processes.reap(process)
        self._pid_file.unlink(missing_ok=True)
        LOG.info("%s: stopped", self.name)

    async def leave(self) -> None:
        """Look after it no more; it goes on."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # The task

    async def _keep(self) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            was_ready = await self._run_once()
            failures = 0 if time.monotonic() - began > _GOOD_SECONDS else failures + 1
            if not was_ready and self.gives_up():
                self._set(Condition.FAILED)
                return
            self._set(Condition.WAITING)
            await asyncio.sleep(min(_FIRST_WAIT * 2 ** (failures - 1), _LONGEST_WAIT))
            self.restarts += 1

    async def _run_once(self) -> bool:
        """Run the process until it ends, and return whether it had become ready."""
        self._set(Condition.STARTING)
        try:
            self.process = processes.find(self._pid_file) or self._start()
        except (DeploymentError, OSError) as error:
            self.reason = str(error)
            LOG.warning("%s: %s", self.name, error)
            return False
        ended = asyncio.ensure_future(self._end_of(self.process))
        try:
            is_ready = await self._become_ready(ended)
            if is_ready:
                self._set(Condition.READY)
                LOG.info("%s: ready (process %d)", self.name, self.process.pid)
                await ended
        finally:
            ended.cancel()
        self.reason = self._how_it_ended(self.process, is_ready=is_ready)
        LOG.warning("%s: %s", self.name, self.reason)
        self.process.kill_all()
        return is_ready

    def _start(self) -> Process:
        leftover = processes.read(self._pid_file)
        if leftover is not None:  # its workers may have outlived it
            leftover.kill_all()
        return processes.start(
            self.command(),
            pid_file=self._pid_file,
            log=self.log,
            folder=self._run,
            environment=self.environment,
            inherit=self.inherits,
        )

    async def _become_ready(self, ended: "asyncio.Future[None]") -> bool:
        ends = time.monotonic() + self.ready_seconds
        while not ended.done() and time.monotonic() < ends:
            if await self.is_ready():
                return True
            await asyncio.wait([ended], timeout=_POLL)
        return False

    async def _end_of(self, process: Process) -> None:
        handle = processes.watch(process)
        if handle is None:
            while process.is_alive():
                await asyncio.sleep(0.2)
            return
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        loop.add_reader(handle, over.set)
        try:
            await over.wait()
        finally:
            loop.remove_reader(handle)
            processes.close(handle)

    def _how_it_ended(self, process: Process, *, is_ready: bool) -> str:
        how = processes.reap(process)
        if how is None and process.is_alive():
            return f"it was not ready within {self.ready_seconds:g} s"
        how = f"it ended ({how})" if how else "it ended"
        return how if is_ready else f"{how} before it was ready"

    def _set(self, condition: Condition) -> None:
        if condition is not self.condition:
            self.condition, self.since = condition, time.time()
            self._changed()


async def is_heard(path: str) -> bool:
    """Whether somebody listens on a socket."""
    try:
        _, writer = await asyncio.open_unix_connection(path)
    except OSError:
        return False
    writer.close()
    return True


async def answers_ready(path: str) -> bool:
    """Ask a release's socket whether it is ready."""
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(control.READINESS)
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return control.says_yes(line)
