"""The switches that a supervisor can keep: what to start, and how to tell it who answers."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from modelci.adapters.targets.switching import control, proxy
from modelci.adapters.targets.switching.client import Limits
from modelci.adapters.targets.switching.haproxy import HAProxySwitch
from modelci.adapters.targets.switching.routes import Routes
from modelci.adapters.targets.switching.settings import ServerSettings
from modelci.domain.deployment import Observation
from modelci.errors import DeploymentError

BUILTIN = "builtin"
HAPROXY = "haproxy"
AUTO = "auto"


class Switch(Protocol):
    """One process that listens, and lets releases answer. Names of files are in its folder."""

    @property
    def kind(self) -> str:
        """What it is."""

    @property
    def control(self) -> str:
        """The socket on which it is told things; closed as soon as it takes no more clients."""

    @property
    def inherits(self) -> Sequence[int]:
        """The open files that its process is to have, beside the listening socket."""

    def command(self, listener: int, routes: Routes) -> Sequence[str]:
        """Return the command that starts it, with these routes from the first request on."""

    async def is_ready(self) -> bool:
        """Ask its process."""

    def can_route(self, routes: Routes) -> bool:
        """Whether the process can be told so; else another has to take its place."""

    async def route(self, routes: Routes) -> None:
        """Let these routes count from now on."""

    async def observe(self, release: str, seconds: float) -> Observation | None:
        """Return what it saw of a release's traffic."""

    def close(self) -> None:
        """Let go of what was opened to talk to the process."""


class BuiltinSwitch:
    """Our own."""

    kind = BUILTIN
    inherits: Sequence[int] = ()

    def __init__(self, settings: ServerSettings, *, number: int) -> None:
        self._settings = settings
        self.control = f"switch-{number}.sock"
        self._caller = control.Caller(self.control)

    def command(self, listener: int, routes: Routes) -> Sequence[str]:
        del routes  # it reads them itself
        settings = proxy.Settings(
            limits=Limits(body_bytes=self._settings.body_bytes),
            answer_seconds=self._settings.answer_seconds,
            drain_seconds=self._settings.drain_seconds,
        )
        text = msgspec.json.encode(settings).decode()
        module = ["-P", "-m", proxy.__name__]
        named = ["--socket", self.control, "--settings", text]
        return [sys.executable, *module, str(listener), *named]

    async def is_ready(self) -> bool:
        try:
            await self._caller.call({"do": "ping"}, seconds=5)
        except DeploymentError:
            return False
        return True

    def can_route(self, routes: Routes) -> bool:
        del routes
        return True

    async def route(self, routes: Routes) -> None:
        told = {"do": "route", "routes": msgspec.to_builtins(routes)}
        await self._caller.call(told, seconds=10)

    async def observe(self, release: str, seconds: float) -> Observation | None:
        asked = {"do": "observe", "release": release, "seconds": seconds}
        seen = (await self._caller.call(asked, seconds=10))["observation"]
        return None if seen is None else msgspec.convert(seen, Observation)

    def close(self) -> None:
        self._caller.close()


def find_haproxy() -> str | None:
    """Return HAProxy's program; it is seldom on the path of users."""
    return shutil.which("haproxy") or shutil.which(
        "haproxy", path="/usr/local/sbin:/usr/sbin:/sbin"
    )


def make(kind: str, *, settings: ServerSettings, run: Path, number: int) -> Switch:
    """Return a switch of that kind."""
    if kind == BUILTIN:
        return BuiltinSwitch(settings, number=number)
    program = find_haproxy()
    if kind != HAPROXY or program is None:
        raise DeploymentError(
            f"There is no switch {kind!r} here.", hint="`server.switch: auto` takes one that is."
        )
    return HAProxySwitch(settings, run=run, number=number, program=program)
