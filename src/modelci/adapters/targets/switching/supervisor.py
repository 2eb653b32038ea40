"""Keeps a target's releases and its switch up, and makes the switch follow ``state.json``.

``python -m modelci.adapters.targets.switching.supervisor FOLDER`` (the target's). Whoever deploys
writes ``state.json`` and says so on ``.server/control.sock``; if they are killed before they can,
it is seen within half a second. The supervisor can be killed, too: the next finds everything
running.
"""

import argparse
import asyncio
import fcntl
import glob
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from modelci import __version__
from modelci.adapters.targets.layout import Layout, Place, replace_file
from modelci.adapters.targets.shelves import Shelves
from modelci.adapters.targets.switching import (
    control,
    keeping,
    launch,
    processes,
    switches,
)
from modelci.adapters.targets.switching.control import Message
from modelci.adapters.targets.switching.keeping import LOG, Condition, Kept
from modelci.adapters.targets.switching.routes import ROUTES, Routes, routes_of, wanted
from modelci.adapters.targets.switching.settings import read_settings
from modelci.adapters.targets.switching.switches import Switch
from modelci.config.model import SwitchKind, split_address
from modelci.documents import codec
from modelci.domain.deployment import Release
from modelci.errors import DeploymentError

RUN = ".server"
"""The folder in a target's that holds sockets, logs and what else a running server needs."""

CONTROL = "control.sock"
PID_FILE = "supervisor.pid"

_TICK = 0.5
_LOGS_EVERY = 60.0
_BACKLOG = 4096


class ReleaseProcess(Kept):
    """A release's server on its socket."""

    def __init__(self, release: str, *, layout: Layout, supervisor: "Supervisor") -> None:
        super().__init__(
            release,
            run=supervisor.run_folder,
            log=supervisor.logs / f"{release}.log",
            changed=supervisor.wake,
        )
        self.is_candidate = True
        self.socket = f"{release}.sock"
        self._folder = layout.path(release)
        self._settings = supervisor.settings
        self._pythons = supervisor.pythons

    def command(self) -> Sequence[str]:
        python = self._pythons.get(self.name)
        command = self._settings.server_command(python, "run", self._folder)
        command += ["--uds", self.socket, "--workers", str(self._settings.workers)]
        if self._settings.serving is not None:
            command += ["--settings", self._settings.serving]
        return command

    async def is_ready(self) -> bool:
        return await keeping.answers_ready(self.socket)

    def gives_up(self) -> bool:
        """One that nothing depends on yet has failed; whoever asked for it is told why."""
        return self.is_candidate

    @property
    def ready_seconds(self) -> float:
        return self._settings.ready_seconds

    @property
    def environment(self) -> dict[str, str] | None:
        return dict(self._settings.environment) or None


class SwitchProcess(Kept):
    """The process that listens. Its number tells it from the one that it takes the place of."""

    def __init__(
        self,
        switch: Switch,
        *,
        number: int,
        listener: "Listener",
        supervisor: "Supervisor",
    ) -> None:
        super().__init__(
            f"switch-{number}",
            run=supervisor.run_folder,
            log=supervisor.logs / "switch.log",
            changed=supervisor.wake,
        )
        self.switch = switch
        self.number = number
        self._listener = listener
        self._supervisor = supervisor

    def command(self) -> Sequence[str]:
        return self.switch.command(self._listener.fileno(), self._supervisor.desired)

    async def is_ready(self) -> bool:
        return await self.switch.is_ready()

    def gives_up(self) -> bool:
        return False

    @property
    def inherits(self) -> Sequence[int]:
        return (self._listener.fileno(), *self.switch.inherits)


class Listener:
    """The socket on which clients ask; while we have it, no connection is refused."""

    def __init__(self, address: str, inherited: int | None = None) -> None:
        self.address = address
        self._socket = None if inherited is None else socket.socket(fileno=inherited)

    def fileno(self) -> int:
        """Return the socket's number, having bound it when it is first asked for."""
        if self._socket is None:
            self._socket = self._bind()
        return self._socket.fileno()

    @property
    def is_held(self) -> bool:
        """Whether the socket is ours; a supervisor that found a switch running has none."""
        return self._socket is not None

    def close(self) -> None:
        """Give the address back."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _bind(self) -> socket.socket:
        host, port = split_address(self.address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((host, port))
            bound.listen(_BACKLOG)
        except OSError as error:
            bound.close()
            raise DeploymentError(
                f"{self.address} cannot be listened on: {error.strerror or error}.",
                hint="Stop what listens there, or set another `server.listen`.",
            ) from error
        return bound


class Supervisor:
    """One target's. It works in ``run_folder``, where the sockets are."""

    def __init__(self, folder: Path, *, listener: int | None = None) -> None:
        self.run_folder = folder / RUN
        self.logs = self.run_folder / "log"
        self.settings = read_settings(self.run_folder)
        self.desired = Routes()
        self.pythons: dict[str, str] = {}  # of releases that have one of their own
        self._folder = folder
        self._shelves = Shelves(self.settings.name, folder)
        self._listener = Listener(self.settings.listen, listener)
        self._releases: dict[str, ReleaseProcess] = {}
        self._candidates: dict[str, _Candidate] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}
        self._switch: SwitchProcess | None = None
        self._told: Routes | None = None  # what the switch's process is known to know
        self._places = dict[str, Place]()
        self._problem: str | None = None
        self._seen: dict[str, tuple[int, int]] = {}
        self._following = asyncio.Lock()
        self._wakeup = asyncio.Event()
        self._ending = asyncio.Event()
        self._is_left = False
        self.renewal: str | None = None

    # The process

    async def run(self) -> None:
        """Supervise until SIGTERM, or until a successor takes over.

        ``renewal`` is then its interpreter, where it is this process that becomes the successor.
        """
        loop = asyncio.get_running_loop()
        self._find_what_runs()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        server = await control.listen(CONTROL, self._handlers())
        LOG.info("modelci %s supervises %s", __version__, self._folder)
        tidied = 0.0
        while not self._ending.is_set():
            await self._follow_quietly()
            if time.monotonic() - tidied > _LOGS_EVERY:
                tidied = time.monotonic()
                for log in self.logs.glob("*.log"):
                    processes.rotate(log)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._wakeup.wait()
            self._wakeup.clear()
        server.close()
        if self._is_left:
            await self._leave_all()
        else:
            await self._stop_all()

    def wake(self) -> None:
        """Look at everything again, soon."""
        self._wakeup.set()

    def listener(self) -> int | None:
        """Return the listening socket's number for a successor."""
        return self._listener.fileno() if self._listener.is_held else None

    def _find_what_runs(self) -> None:
        """Learn of what an earlier supervisor left: its routes, and releases that were tried."""
        with suppress(OSError, msgspec.DecodeError):
            self.desired = msgspec.json.decode((self.run_folder / ROUTES).read_bytes(), type=Routes)
        for pid_file in self.run_folder.glob("*.pid"):
            process, name = processes.find(pid_file), pid_file.stem
            if process is None or name.startswith(("switch-", "supervisor")):
                continue
            staged = list(self._folder.glob(f"*/releases/{glob.escape(name)}/release.json"))
            if staged:
                self._try(codec.read(Release, staged[0]).artifact, name)
            else:
                process.kill_all()

    def _try(self, artifact: str, name: str) -> None:
        """Keep a release's process for a while, until it is known whether it is to answer."""
        ends = time.monotonic() + self.settings.lease_seconds
        self._candidates[name] = _Candidate(artifact, ends)

    # Following state.json

    async def _follow_quietly(self) -> None:
        try:
            await self._follow()
        except (DeploymentError, OSError) as error:
            if str(error) != self._problem:
                LOG.warning("%s", error)
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 - what runs is to be kept up all the same
            LOG.exception("modelci has a bug")
            self._problem = f"a bug: {type(error).__name__}: {error}"
        else:
            self._problem = None

    async def _follow(self) -> None:
        """Have those processes that ``state.json`` wants, and tell the switch who answers."""
        async with self._following:
            problem = self._read_places()
            asked = self._have_releases()
            await self._have_switch()
            await self._tell_switch()
            answering = {name for route in self.desired.routes for name in route.releases}
            for name in self._releases.keys() - asked - answering:
                self._stop_release(name)
        if problem is not None:
            raise problem

    def _read_places(self) -> DeploymentError | None:
        """Read each ``state.json`` that is not the one that was read.

        For one that cannot be read what was read last counts, and the error is returned.
        """
        problem = None
        artifacts = self._shelves.artifacts()
        for gone in self._places.keys() - set(artifacts):
            del self._places[gone]
            self._seen.pop(gone, None)
        for artifact in artifacts:
            layout = self._shelves.of(artifact)
            status = (layout.folder / "state.json").stat()
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen.get(artifact):
                try:
                    state = layout.read_state()
                    self._places[artifact] = state.place(artifact)
                    self.pythons.update(state.pythons)
                    self._seen[artifact] = seen
                except DeploymentError as error:
                    problem = error
        return problem

    def _have_releases(self) -> frozenset[str]:
        """Start what is to run, and return the names of it."""
        now, needed = time.monotonic(), dict(wanted(self._places))
        self._candidates = {
            name: one
            for name, one in self._candidates.items()
            if one.ends > now and name not in needed
        }
        tried = {name: one.artifact for name, one in self._candidates.items()}
        for name, artifact in (tried | needed).items():
            if name in self._stopping:  # it can be started when it has ended
                continue
            one = self._releases.get(name)
            if one is None:
                layout = self._shelves.of(artifact)
                one = ReleaseProcess(name, layout=layout, supervisor=self)
                self._releases[name] = one
                one.is_candidate = name not in needed
                one.keep()
            elif name in needed and one.is_candidate:
                one.is_candidate = False
                one.keep()
        return frozenset(tried | needed)

    def _stop_release(self, name: str) -> None:
        """Let a release answer what it was asked, and end; nobody asks it any more."""
        process = self._releases.pop(name)

        async def stop() -> None:
            try:
                await process.stop(grace=self.settings.drain_seconds)
                (self.run_folder / process.socket).unlink(missing_ok=True)
            finally:
                del self._stopping[name]
                self.wake()

        self._stopping[name] = asyncio.get_running_loop().create_task(stop())

    def _ready(self) -> frozenset[str]:
        ready = Condition.READY
        return frozenset(name for name, one in self._releases.items() if one.condition is ready)

    # The switch

    async def _tell_switch(self) -> None:
        sockets = {name: one.socket for name, one in sorted(self._releases.items())}
        routes = routes_of(self._places, ready=self._ready(), live=self.desired)
        desired = Routes(
            routes=tuple(route for route in routes if sockets.keys() >= set(route.releases)),
            sockets=sockets,
        )
        if desired != self.desired:
            self.desired = desired
            # A switch that starts anew begins with these.
            replace_file(
                self.run_folder / ROUTES, msgspec.json.encode(desired), mode=0o600, sync=False
            )
        switch = self._switch
        if switch is None or switch.condition is not Condition.READY:
            self._told = None
        elif desired != self._told:
            if switch.switch.can_route(desired):
                await switch.switch.route(desired)
                self._told = desired
            else:
                await self._replace_switch(self._choose())

    async def _have_switch(self) -> None:
        kind = self._choose()
        if self._switch is None:
            self._switch = await self._find_switch() or self._begin_switch(kind)
            self._switch.keep()
        if self._differs(kind):
            await self._replace_switch(kind)

    def _choose(self) -> str:
        wants = self.settings.switch
        if wants != SwitchKind.AUTO:
            return wants
        places = self._places.values()
        shadows = self.settings.shadows or any(one.trial and one.trial.shadow for one in places)
        is_builtin = self._switch is not None and self._switch.switch.kind == SwitchKind.BUILTIN
        if shadows or is_builtin or switches.find_haproxy() is None:
            return SwitchKind.BUILTIN
        return SwitchKind.HAPROXY

    def _new_switch(self, kind: str, *, number: int) -> SwitchProcess:
        return SwitchProcess(
            switches.make(kind, settings=self.settings, run=self.run_folder, number=number),
            number=number,
            listener=self._listener,
            supervisor=self,
        )

    async def _find_switch(self) -> SwitchProcess | None:
        """Return the switch that an earlier supervisor left running; end one that it replaced."""
        left = self._read_record()
        if left is None:
            return None
        found = None
        for number in (left.number, 1 - left.number):
            switch = self._new_switch(left.kind, number=number)
            if processes.find(self.run_folder / f"{switch.name}.pid") is None:
                continue
            if number == left.number:
                found = switch
            else:
                await self._retire(switch)
        if found is not None:
            self._listener.address = left.listen
        return found

    def _begin_switch(self, kind: str) -> SwitchProcess:
        self._listener.fileno()  # an address that is taken is told before anything is started
        switch = self._new_switch(kind, number=int("switch-0" in self._stopping))
        self._record(switch)
        return switch

    def _record(self, switch: SwitchProcess) -> None:
        record = _Record(
            kind=switch.switch.kind,
            number=switch.number,
            listen=self._listener.address,
            version=__version__,
        )
        replace_file(self.run_folder / _RECORD, msgspec.json.encode(record), mode=0o600)

    def _read_record(self) -> "_Record | None":
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self.run_folder / _RECORD).read_bytes(), type=_Record)
        return None

    def _differs(self, kind: str) -> bool:
        """Whether the switch is not the one that the settings ask for."""
        left = self._read_record()
        return left is None or (left.kind, left.listen, left.version) != (
            kind,
            self.settings.listen,
            __version__,
        )

    async def _replace_switch(self, kind: str) -> None:
        """Let another switch listen on the same socket, and then this one end."""
        before = self._switch
        assert before is not None  # noqa: S101 - there is one to replace
        moves = self._listener.address != self.settings.listen
        if moves:
            listener = Listener(self.settings.listen)
            listener.fileno()
            self._listener.close()
            self._listener = listener
        elif not self._listener.is_held:
            # The socket went with the supervisor that had it: the old one must give it back.
            await before.stop(grace=self.settings.drain_seconds)
        after = self._new_switch(kind, number=1 - before.number)
        after.keep()
        if await after.wait(_SWITCH_SECONDS) is not Condition.READY:
            await after.stop(grace=1)
            raise _not_started(after)
        self._switch, self._told = after, self.desired  # with which it began
        self._record(after)
        LOG.info("%s (%s) takes the place of %s", after.name, kind, before.name)
        await self._retire(before)

    async def _retire(self, before: SwitchProcess) -> None:
        """Let a switch take no more clients, and end when those it has are through."""
        process = before.process or processes.find(self.run_folder / f"{before.name}.pid")
        if process is not None:
            process.send(signal.SIGUSR1)
        ends = time.monotonic() + _RETIRE_SECONDS
        while time.monotonic() < ends and await keeping.is_heard(before.switch.control):
            await asyncio.sleep(0.005)
        before.switch.close()
        grace = self.settings.drain_seconds
        stopping = before.stop(grace=grace, number=signal.SIGUSR1)
        task = asyncio.get_running_loop().create_task(stopping)
        self._stopping[before.name] = task
        task.add_done_callback(lambda _: self._stopping.pop(before.name, None))

    # The end

    async def _stop_all(self) -> None:
        LOG.info("stopping")
        if self._switch is not None:
            self._listener.close()
            await self._switch.stop(grace=self.settings.drain_seconds)
            self._switch.switch.close()
        grace = self.settings.drain_seconds
        await asyncio.gather(
            *self._stopping.values(), *(one.stop(grace=grace) for one in self._releases.values())
        )
        for name in ("switch-0", "switch-1"):  # one that took no one's place yet
            left = processes.find(self.run_folder / f"{name}.pid")
            if left is not None:
                left.stop(grace=grace)

    async def _leave_all(self) -> None:
        LOG.info("leaving everything to a successor")
        for one in (*self._releases.values(), self._switch):
            if one is not None:
                await one.leave()

    # What can be asked

    def _handlers(self) -> Mapping[str, control.Handler]:
        return {
            "status": self._status,
            "up": self._up,
            "apply": self._apply,
            "observe": self._observe,
            "reload": self._reload,
            "renew": self._renew,
            "leave": self._leave,
            "stop": self._stop,
        }

    async def _status(self, message: Message) -> Message:
        del message
        switch = self._switch
        return {
            "version": __version__,
            "pid": os.getpid(),
            "problem": self._problem,
            "listen": self._listener.address,
            "switch": switch
            and {
                "kind": switch.switch.kind,
                "pid": switch.process.pid if switch.process else None,
                "condition": switch.condition,
                "reason": switch.reason,
            },
            "releases": {name: _describe(one) for name, one in sorted(self._releases.items())},
            "stopping": sorted(self._stopping),
            "routes": msgspec.to_builtins(self.desired),
        }

    async def _up(self, message: Message) -> Message:
        """Have a release's process running for a while, and wait until it is ready."""
        name, ends = message["release"], time.monotonic() + message["seconds"]
        while name in self._stopping and time.monotonic() < ends:
            await asyncio.sleep(0.05)
        self._try(message["artifact"], name)
        before = self._releases.get(name)
        if before is not None and before.condition is Condition.FAILED:
            before.keep()
        await self._follow()
        one = self._releases.get(name)
        if one is None:
            raise DeploymentError(f"Release {name} is still being stopped.", hint="Try again.")
        await one.wait(max(0.0, ends - time.monotonic()))
        return _describe(one)

    async def _apply(self, message: Message) -> Message:
        """Follow ``state.json`` at once; reply who answers now for the artifact."""
        began, artifact = time.perf_counter(), message["artifact"]
        self._seen.pop(artifact, None)  # two writes may look like one to the file system
        await self._follow()
        seconds = time.perf_counter() - began
        switch = self._switch
        if switch is not None and switch.condition is not Condition.READY:
            if await switch.wait(_SWITCH_SECONDS) is not Condition.READY:
                raise _not_started(switch)
            await self._follow()
        route = self._told.find(artifact) if self._told else None
        return {"route": route and msgspec.to_builtins(route), "seconds": seconds}

    async def _observe(self, message: Message) -> Message:
        switch = self._switch
        if switch is None or switch.condition is not Condition.READY:
            return {"observation": None}
        seen = await switch.switch.observe(message["release"], message["seconds"])
        return {"observation": None if seen is None else msgspec.to_builtins(seen)}

    async def _reload(self, message: Message) -> Message:
        """Read the settings again; releases that run already keep theirs."""
        del message
        self.settings = read_settings(self.run_folder)
        await self._follow()
        return {}

    async def _renew(self, message: Message) -> Message:
        """Become the program of another version of modelci; everything goes on meanwhile."""
        self.renewal = message["python"]
        return await self._leave({})

    async def _leave(self, message: Message) -> Message:
        """End, and let everything go on: another supervisor is about to look after it."""
        del message
        self._is_left = True
        self._ending.set()
        self.wake()
        return {}

    async def _stop(self, message: Message) -> Message:
        del message
        self._ending.set()
        self.wake()
        return {}


_SWITCH_SECONDS = 15.0
_RETIRE_SECONDS = 3.0
_RECORD = "switch.json"


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A release that is looked at, and until when (of the monotonic clock)."""

    artifact: str
    ends: float


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """The switch that is to be found again."""

    kind: str
    number: int
    listen: str
    version: str


def _not_started(switch: SwitchProcess) -> DeploymentError:
    return DeploymentError(
        f"The switch ({switch.switch.kind}) does not start: {switch.reason}.",
        hint=f"Its log is {switch.log}.",
    )


def _describe(one: Kept) -> Message:
    return {
        "condition": one.condition,
        "pid": one.process.pid if one.process else None,
        "reason": one.reason,
        "restarts": one.restarts,
        "since": one.since,
        "log": processes.tail(one.log) if one.condition is not Condition.READY else "",
    }


def main(arguments: list[str] | None = None) -> None:
    """Supervise the target in a folder."""
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--listener", type=int, help="the listening socket, from a predecessor")
    asked = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S%z"
    )
    folder: Path = asked.folder.resolve()
    os.chdir(folder / RUN)
    lock = _only_one(folder)
    replace_file(Path(PID_FILE), json.dumps(launch.identity(os.getpid())).encode(), sync=False)
    supervisor = Supervisor(folder, listener=asked.listener)
    asyncio.run(supervisor.run())
    if supervisor.renewal is not None:
        _become(supervisor, folder, lock)


def _become(supervisor: Supervisor, folder: Path, lock: IO[bytes]) -> NoReturn:
    """Become the successor; it has our number, and the socket on which clients ask."""
    python = str(supervisor.renewal)
    command = [python, "-P", "-m", f"{__spec__.name}", str(folder)]
    listener = supervisor.listener()
    if listener is not None:
        os.set_inheritable(listener, True)  # noqa: FBT003
        command += ["--listener", str(listener)]
    lock.close()
    os.execv(python, command)  # noqa: S606


def _only_one(folder: Path) -> IO[bytes]:
    """Hold what one supervisor of a target can hold, or exit."""
    lock = (folder / RUN / "supervisor.lock").open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"{folder} has a supervisor already.")
    return lock


if __name__ == "__main__":
    main()
