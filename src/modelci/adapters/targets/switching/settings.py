"""What a supervisor is told by whoever deploys: ``.server/settings.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from modelci.adapters.targets.layout import replace_file
from modelci.errors import DeploymentError

FILE = "settings.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """How a target serves.

    ``server`` are the arguments of Python that make it a release's server, ``python`` runs those
    releases that have no interpreter of their own, ``environment`` is all that they see of ours.
    ``serving`` is the file that they get for settings. ``shadows``: copies are wanted, which not
    every switch makes.
    """

    name: str
    listen: str
    python: str
    switch: str = "auto"
    workers: int = 1
    server: tuple[str, ...] = ("-m", "modelci.serving")
    environment: Mapping[str, str] = field(default_factory=dict)
    serving: str | None = None
    shadows: bool = False
    body_bytes: int = 10 * 1024 * 1024
    answer_seconds: float = 40.0
    drain_seconds: float = 30.0
    ready_seconds: float = 300.0
    lease_seconds: float = 600.0

    def server_command(self, python: str | None, verb: str, release: Path) -> list[str]:
        """Return the command that runs or checks a release."""
        return [python or self.python, "-I", *self.server, verb, "--release", str(release)]


def read_settings(run: Path) -> ServerSettings:
    """Return what ``.server/settings.json`` says."""
    path = run / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=ServerSettings)
    except (OSError, msgspec.DecodeError) as error:
        raise DeploymentError(
            f"{path} cannot be read: {error}.", hint="`modelci deploy` writes it anew."
        ) from error


def write_settings(settings: ServerSettings, run: Path) -> bool:
    """Write ``.server/settings.json``; False where it says so already."""
    text = msgspec.json.format(msgspec.json.encode(settings), indent=1)
    path = run / FILE
    if path.exists() and path.read_bytes() == text:
        return False
    replace_file(path, text, mode=0o600)
    return True


def split_address(listen: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8080`` or ``[::1]:8080``; DeploymentError for others."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise DeploymentError(
            f"{listen!r} is no address to listen on.", hint="Write it as 127.0.0.1:8080."
        )
    return host, int(port)
