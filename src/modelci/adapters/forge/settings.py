"""What it takes to reach a forge."""

from dataclasses import dataclass, field
from pathlib import Path

from modelci.ports import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeSettings:
    """Each forge takes what it needs.

    ``repository`` is ``owner/name``. ``login`` is the name that our comments bear, where the
    forge need not be asked. ``wait_seconds`` bounds all waiting for a forge that is busy or ill.
    ``server_url`` is where people look at it, where that does not follow from ``api_url``.
    ``folder`` is the local forge's.
    """

    progress: Progress
    repository: str | None = None
    api_url: str = "https://api.github.com"
    server_url: str | None = None
    token: str | None = field(default=None, repr=False)
    login: str | None = None
    wait_seconds: float = 60.0
    folder: Path | None = None
