"""The switches that a supervisor can keep: what to start, and how to tell it who answers."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from modelci.adapters.targets.switching import control
from modelci.adapters.targets.switching.haproxy import HAProxySwitch
from modelci.adapters.targets.switching.routes import Routes
from modelci.adapters.targets.switching.settings import Limits, ProxySettings, ServerSettings
from modelci.config.model import SwitchKind
from modelci.domain.deployment import Observation
from modelci.errors import DeploymentError

PROXY = f"{__package__}.proxy"
"""The module of our own switch: only its process loads what it takes to speak HTTP."""


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

    kind = SwitchKind.BUILTIN.value
    inherits: Sequence[int] = ()

    def __init__(self, settings: ServerSettings, *, number: int) -> None:
        self._settings = settings
        self.control = f"switch-{number}.sock"
        self._caller = control.Caller(self.control)

    def command(self, listener: int, routes: Routes) -> Sequence[str]:
        del routes  # it reads them itself
        settings = ProxySettings(
            limits=Limits(body_bytes=self._settings.body_bytes),
            answer_seconds=self._settings.answer_seconds,
            drain_seconds=self._settings.drain_seconds,
        )
        text = msgspec.json.encode(settings).decode()
        module = ["-P", "-m", PROXY]
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
    if kind == SwitchKind.BUILTIN:
        return BuiltinSwitch(settings, number=number)
    program = find_haproxy()
    if kind != SwitchKind.HAPROXY or program is None:
        raise DeploymentError(
            f"There is no switch {kind!r} here.", hint="`server.switch: auto` takes one that is."
        )
    return HAProxySwitch(settings, run=run, number=number, program=program)
