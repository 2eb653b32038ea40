"""Keeps a target's releases and its switch up, and makes the switch follow ``state.json``.

``python -m modelci.adapters.targets.switching.supervisor FOLDER`` (the target's). Whoever deploys
writes ``state.json`` and says so on ``.server/control.sock``; if they are killed before they can,
it is seen within half a second. The supervisor can be killed, too: the next finds everything
running.
"""

import argparse
import asyncio
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, NoReturn

import msgspec

from modelci import __version__
from modelci.adapters.targets.layout import Place, replace_file
from modelci.adapters.targets.shelves import Shelves
from modelci.adapters.targets.switching import control, launch, processes, switches
from modelci.adapters.targets.switching.control import Message
from modelci.adapters.targets.switching.front import Front
from modelci.adapters.targets.switching.keeping import LOG, Condition, Kept
from modelci.adapters.targets.switching.releases import Releases, Surroundings
from modelci.adapters.targets.switching.routes import Routes, routes_of, wanted
from modelci.adapters.targets.switching.settings import read_settings
from modelci.config.model import SwitchKind
from modelci.errors import DeploymentError

RUN = ".server"
"""The folder in a target's that holds sockets, logs and what else a running server needs."""

CONTROL = "control.sock"
PID_FILE = "supervisor.pid"

_TICK = 0.5
_LOGS_EVERY = 60.0


class Supervisor:
    """One target's. It works in its folder ``.server``, where the sockets are."""

    def __init__(self, folder: Path, *, listener: int | None = None) -> None:
        run = folder / RUN
        self.renewal: str | None = None
        self._folder = folder
        self._around = Surroundings(run, read_settings(run), self._wake)
        self._shelves = Shelves(self._around.settings.name, folder)
        self._releases = Releases(self._shelves, self._around)
        self._front = Front(self._around, inherited=listener)
        self._places = dict[str, Place]()
        self._seen: dict[str, tuple[int, int]] = {}
        self._problem: str | None = None
        self._following = asyncio.Lock()
        self._wakeup = asyncio.Event()
        self._is_ending = False
        self._is_left = False

    async def run(self) -> None:
        """Supervise until SIGTERM, or until a successor takes over.

        ``renewal`` is then its interpreter, where it is this process that becomes the successor.
        """
        self._releases.find(self._folder)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end)
        server = await control.listen(CONTROL, self._handlers())
        LOG.info("modelci %s supervises %s", __version__, self._folder)
        tidied = 0.0
        while not self._is_ending:
            await self._follow_quietly()
            if time.monotonic() - tidied > _LOGS_EVERY:
                tidied = time.monotonic()
                for log in self._around.logs.glob("*.log"):
                    processes.rotate(log)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._wakeup.wait()
            self._wakeup.clear()
        server.close()
        await (self._leave_all() if self._is_left else self._stop_all())

    @property
    def listener(self) -> int | None:
        """The listening socket's number, for a successor."""
        listener = self._front.listener
        return listener.fileno() if listener.is_held else None

    def _wake(self) -> None:
        self._wakeup.set()

    def _end(self) -> None:
        self._is_ending = True
        self._wake()

    async def _stop_all(self) -> None:
        LOG.info("stopping")
        await self._front.stop()
        await self._releases.stop_all()

    async def _leave_all(self) -> None:
        LOG.info("leaving everything to a successor")
        await self._front.leave()
        await self._releases.leave_all()

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
            needed = wanted(self._places)
            self._releases.have(needed)
            await self._front.have(self._choose_switch())
            await self._front.tell(self._routes())
            answering = {name for route in self._front.routes.routes for name in route.releases}
            self._releases.drop(answering | needed.keys())
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
            try:
                self._read_place(artifact)
            except DeploymentError as error:
                problem = error
        return problem

    def _read_place(self, artifact: str) -> None:
        layout = self._shelves.of(artifact)
        status = (layout.folder / "state.json").stat()
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen.get(artifact):
            state = layout.read_state()
            self._places[artifact] = state.place(artifact)
            self._around.pythons.update(state.pythons)
            self._seen[artifact] = seen

    def _routes(self) -> Routes:
        sockets = self._releases.sockets
        routes = routes_of(self._places, ready=self._releases.ready, live=self._front.routes)
        known = tuple(route for route in routes if sockets.keys() >= set(route.releases))
        return Routes(routes=known, sockets=sockets)

    def _choose_switch(self) -> str:
        """Return the kind of switch to have; one that is ours stays ours where any will do."""
        settings = self._around.settings
        if settings.switch != SwitchKind.AUTO:
            return settings.switch
        compares = settings.compares or any(
            place.trial and place.trial.shadow for place in self._places.values()
        )
        is_ours = self._front.kind == SwitchKind.BUILTIN
        if compares or is_ours or switches.find_haproxy() is None:
            return SwitchKind.BUILTIN
        return SwitchKind.HAPROXY

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
        switch = self._front.current
        return {
            "version": __version__,
            "pid": os.getpid(),
            "problem": self._problem,
            "listen": self._front.listener.address,
            "switch": switch and {"kind": switch.switch.kind, **_describe(switch)},
            "releases": {one.name: _describe(one) for one in self._releases},
            "stopping": self._releases.stopping,
            "routes": msgspec.to_builtins(self._front.routes),
        }

    async def _up(self, message: Message) -> Message:
        """Have a release's process running for a while, and wait until it is ready."""
        name, ends = message["release"], time.monotonic() + message["seconds"]
        await self._releases.stopped(name, message["seconds"])
        self._releases.look_at(message["artifact"], name)
        self._releases.restart_failed(name)
        await self._follow()
        one = self._releases.get(name)
        await one.wait(max(0.0, ends - time.monotonic()))
        return _describe(one)

    async def _apply(self, message: Message) -> Message:
        """Follow ``state.json`` at once; reply who answers now for the artifact."""
        began, artifact = time.perf_counter(), message["artifact"]
        self._seen.pop(artifact, None)  # two writes may look like one to the file system
        await self._follow()
        seconds = time.perf_counter() - began
        if await self._front.wait():
            await self._follow()
        route = self._front.live(artifact)
        return {"route": route and msgspec.to_builtins(route), "seconds": seconds}

    async def _observe(self, message: Message) -> Message:
        seen = await self._front.observe(message["release"], message["seconds"])
        return {"observation": None if seen is None else msgspec.to_builtins(seen)}

    async def _reload(self, message: Message) -> Message:
        """Read the settings again; releases that run already keep theirs."""
        del message
        self._around.settings = read_settings(self._around.run)
        await self._follow()
        return {}

    async def _renew(self, message: Message) -> Message:
        """Become the program of another version of modelci; everything goes on meanwhile."""
        self.renewal = message["python"]
        return await self._leave(message)

    async def _leave(self, message: Message) -> Message:
        """End, and let everything go on: another supervisor is about to look after it."""
        self._is_left = True
        return await self._stop(message)

    async def _stop(self, message: Message) -> Message:
        del message
        self._end()
        return {}


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
    if supervisor.listener is not None:
        os.set_inheritable(supervisor.listener, True)  # noqa: FBT003
        command += ["--listener", str(supervisor.listener)]
    lock.close()
    os.execv(python, command)  # noqa: S606 - no shell, and the release's own Python


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
