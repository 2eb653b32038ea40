"""The front of a target: the socket on which clients ask, and the switch that listens there."""

import asyncio
import signal
import socket
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from modelci import __version__
from modelci.adapters.targets.layout import replace_file
from modelci.adapters.targets.switching import keeping, processes, switches
from modelci.adapters.targets.switching.keeping import LOG, Condition, Kept
from modelci.adapters.targets.switching.releases import Surroundings
from modelci.adapters.targets.switching.routes import ROUTES, Route, Routes
from modelci.adapters.targets.switching.switches import Switch
from modelci.config.model import split_address
from modelci.domain.deployment import Observation
from modelci.errors import DeploymentError

_BACKLOG = 4096
_START_SECONDS = 15.0
_RETIRE_SECONDS = 3.0
_RECORD = "switch.json"


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


class SwitchProcess(Kept):
    """The process that listens. Its number tells it from the one that it takes the place of."""

    def __init__(self, switch: Switch, number: int, front: "Front", around: Surroundings) -> None:
        log = around.logs / "switch.log"
        super().__init__(name_of(number), run=around.run, log=log, changed=around.wake)
        self.switch = switch
        self.number = number
        self._listener = front.listener
        self._front = front

    def command(self) -> Sequence[str]:
        return self.switch.command(self._listener.fileno(), self._front.routes)

    async def is_ready(self) -> bool:
        return await self.switch.is_ready()

    def gives_up(self) -> bool:
        return False

    @property
    def inherits(self) -> Sequence[int]:
        return (self._listener.fileno(), *self.switch.inherits)


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    """The switch as it was started, so that it is found again; another one takes its place."""

    kind: str
    number: int
    listen: str
    version: str
    limits: tuple[float, ...]


class Front:
    """Has one switch listen, the one that is asked for, and tells it who answers.

    ``routes`` are what it is to know. They are on disk before it is told, so that one that starts
    begins with them.
    """

    def __init__(self, around: Surroundings, *, inherited: int | None) -> None:
        self.listener = Listener(around.settings.listen, inherited)
        self.routes = Routes()
        self.current: SwitchProcess | None = None
        self._around = around
        self._told: Routes | None = None  # what the current process is known to know
        self._retiring: dict[str, asyncio.Task[None]] = {}
        with suppress(OSError, msgspec.DecodeError):
            self.routes = msgspec.json.decode((around.run / ROUTES).read_bytes(), type=Routes)

    @property
    def kind(self) -> str | None:
        """What kind of switch there is."""
        return self.current.switch.kind if self.current else None

    async def have(self, kind: str) -> None:
        """Have a switch of that kind, as the settings say; DeploymentError where it cannot be."""
        if self.current is None:
            self.current = await self._find() or self._begin(kind)
            self.current.keep()
        wanted = self._describe(kind, self.current.number)
        if self._read_record() != wanted:
            await self._replace(kind)

    async def tell(self, routes: Routes) -> None:
        """Let these routes count from now on."""
        if routes != self.routes:
            self.routes = routes
            self._write(ROUTES, routes)
        current = self.current
        if current is None or current.condition is not Condition.READY:
            self._told = None
        elif routes != self._told:
            if current.switch.can_route(routes):
                await current.switch.route(routes)
                self._told = routes
            else:
                await self._replace(current.switch.kind)

    async def wait(self) -> bool:
        """Wait until the switch is up; False where it was already. Raises DeploymentError."""
        current = self.current
        if current is None or current.condition is Condition.READY:
            return False
        if await current.wait(_START_SECONDS) is not Condition.READY:
            raise _not_started(current)
        return True

    def live(self, artifact: str) -> Route | None:
        """Return the route that the switch is known to know."""
        return self._told.find(artifact) if self._told else None

    async def observe(self, release: str, seconds: float) -> Observation | None:
        """Return what the switch saw of a release; None while there is none."""
        current = self.current
        if current is None or current.condition is not Condition.READY:
            return None
        return await current.switch.observe(release, seconds)

    async def stop(self) -> None:
        """Take no more clients, and end when those that there are have their answers."""
        grace = self._around.settings.drain_seconds
        self.listener.close()
        if self.current is not None:
            await self.current.stop(grace=grace)
            self.current.switch.close()
        await asyncio.gather(*self._retiring.values())
        for number in (0, 1):  # one that took no one's place yet
            left = processes.find(self._around.run / f"{name_of(number)}.pid")
            if left is not None:
                left.stop(grace=grace)

    async def leave(self) -> None:
        """Look after it no more."""
        if self.current is not None:
            await self.current.leave()

    # One after the other

    async def _find(self) -> SwitchProcess | None:
        """Return the switch that an earlier supervisor left running; end one that it replaced."""
        left, found = self._read_record(), None
        if left is None:
            return None
        for number in (left.number, 1 - left.number):
            switch = self._make(left.kind, number)
            if processes.find(self._around.run / f"{switch.name}.pid") is None:
                continue
            if number == left.number:
                found = switch
            else:
                await self._retire(switch)
        if found is not None:
            self.listener.address = left.listen
        return found

    def _begin(self, kind: str) -> SwitchProcess:
        self.listener.fileno()  # an address that is taken is told before anything is started
        switch = self._make(kind, int(name_of(0) in self._retiring))
        self._write(_RECORD, self._describe(kind, switch.number))
        return switch

    async def _replace(self, kind: str) -> None:
        """Let another switch listen on the same socket, and then this one end."""
        before = self.current
        assert before is not None  # noqa: S101 - there is one to replace
        if self.listener.address != self._around.settings.listen:
            moved = Listener(self._around.settings.listen)
            moved.fileno()
            self.listener.close()
            self.listener = moved
        elif not self.listener.is_held:
            # The socket went with the supervisor that had it: the old one must give it back.
            await self._retire(before)
        after = self._make(kind, 1 - before.number)
        after.keep()
        if await after.wait(_START_SECONDS) is not Condition.READY:
            await after.stop(grace=1)
            raise _not_started(after)
        self.current, self._told = after, self.routes  # with which it began
        self._write(_RECORD, self._describe(kind, after.number))
        LOG.info("%s (%s) takes the place of %s", after.name, kind, before.name)
        if before.name not in self._retiring:
            await self._retire(before)

    async def _retire(self, before: SwitchProcess) -> None:
        """Let a switch take no more clients, and end when those it has are through."""
        await before.leave()
        process = before.process or processes.find(self._around.run / f"{before.name}.pid")
        if process is not None:
            process.send(signal.SIGUSR1)
        ends = time.monotonic() + _RETIRE_SECONDS
        while time.monotonic() < ends and await keeping.is_heard(before.switch.control):
            await asyncio.sleep(0.005)
        before.switch.close()
        grace = self._around.settings.drain_seconds
        stopping = before.stop(grace=grace, number=signal.SIGUSR1)
        task = asyncio.get_running_loop().create_task(stopping)
        self._retiring[before.name] = task
        task.add_done_callback(lambda _: self._retiring.pop(before.name, None))

    def _make(self, kind: str, number: int) -> SwitchProcess:
        around = self._around
        switch = switches.make(kind, settings=around.settings, run=around.run, number=number)
        return SwitchProcess(switch, number, self, around)

    # What is remembered of it

    def _describe(self, kind: str, number: int) -> _Record:
        settings = self._around.settings
        return _Record(
            kind=str(kind),
            number=number,
            listen=settings.listen,
            version=__version__,
            limits=(settings.body_bytes, settings.answer_seconds, settings.drain_seconds),
        )

    def _read_record(self) -> _Record | None:
        with suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode((self._around.run / _RECORD).read_bytes(), type=_Record)
        return None

    def _write(self, name: str, content: _Record | Routes) -> None:
        replace_file(self._around.run / name, msgspec.json.encode(content), mode=0o600, sync=False)


def name_of(number: int) -> str:
    """Return the name of the switch of that number."""
    return f"switch-{number}"


def _not_started(switch: SwitchProcess) -> DeploymentError:
    return DeploymentError(
        f"The switch ({switch.switch.kind}) does not start: {switch.reason}.",
        hint=f"Its log is {switch.log}.",
    )
