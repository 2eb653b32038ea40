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
    ``serving`` is the file that they get for settings. ``compares``: answers are to be compared,
    which not every switch does.
    """

    name: str
    listen: str
    python: str
    switch: str = "auto"
    workers: int = 1
    server: tuple[str, ...] = ("-m", "modelci.serving")
    environment: Mapping[str, str] = field(default_factory=dict)
    serving: str | None = None
    compares: bool = False
    body_bytes: int = 10 * 1024 * 1024
    answer_seconds: float = 40.0
    drain_seconds: float = 30.0
    ready_seconds: float = 300.0
    lease_seconds: float = 600.0

    def server_command(self, python: str | None, verb: str, release: Path) -> list[str]:
        """Return the command that runs or checks a release."""
        return [python or self.python, "-I", *self.server, verb, "--release", str(release)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a client may take: bytes, and seconds for a request's head, all of it, or none."""

    head_bytes: int = 64 * 1024
    headers: int = 128
    body_bytes: int = 10 * 1024 * 1024
    head_seconds: float = 30.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0
    write_seconds: float = 60.0
    waiting_requests: int = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What the builtin switch is told.

    ``answer_seconds`` is how long a release may take, ``drain_seconds`` how long an end may.
    """

    limits: Limits = field(default_factory=Limits)
    answer_seconds: float = 40.0
    drain_seconds: float = 30.0


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
