"""Deployments as files of the local forge: one for an environment, the newest first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from modelci.adapters.forge.deploying import Known
from modelci.adapters.forge.failures import LookAgainError
from modelci.errors import ForgeError
from modelci.ports import DeploymentStatus, ForgeDeployment

if TYPE_CHECKING:
    from modelci.adapters.forge.local import LocalForge

MAX_ENTRIES = 100
"""How many a file holds, besides those that still run."""


class _Entry(msgspec.Struct):
    id: int
    set_at: datetime
    deployment: ForgeDeployment


class LocalDeployments:
    """A ``deploying.Store``; ``path`` tells an environment's file, ``clock`` gives Unix time."""

    tells_replaced = False

    def __init__(
        self,
        forge: "LocalForge",
        folder: Path,
        *,
        path: Callable[[str], Path],
        clock: Callable[[], float],
    ) -> None:
        self._forge = forge
        self._folder = folder
        self._path = path
        self._clock = clock

    def history(self, environment: str | None, artifact: str | None) -> Iterator[Known]:
        """Read the environment's file, or all that there are."""
        paths = self._folder.glob("*.json") if environment is None else [self._path(environment)]
        entries = [(one, path) for path in paths for one in self._read(path)]
        for one, path in sorted(entries, key=lambda entry: entry[0].id, reverse=True):
            if artifact in {None, one.deployment.artifact}:
                yield Known(
                    key=one.id,
                    deployment=one.deployment,
                    url=str(path),
                    seconds=int(one.set_at.timestamp()),
                )

    def keeps(self, wanted: ForgeDeployment) -> ForgeDeployment:
        """Keep all of it, with a description that UTF-8 can hold."""
        text = wanted.description.encode("utf-8", "replace").decode()
        return replace(wanted, description=text)

    def create(self, wanted: ForgeDeployment) -> Known:
        """Put an entry on top; the oldest go."""
        path = self._path(wanted.environment)
        entries = self._read(path)
        # Numbers follow the clock, so that those of several environments have an order.
        last = max((one.id for one in entries), default=0)
        new = self._entry(wanted, key=max(last + 1, int(self._clock() * 1_000_000)))
        kept = [
            one
            for place, one in enumerate([new, *entries])
            if place < MAX_ENTRIES or one.deployment.status is DeploymentStatus.SUCCESS
        ]
        return self._write(path, kept, new)

    def update(self, known: Known, wanted: ForgeDeployment) -> Known:
        """Rewrite an entry."""
        path = self._path(wanted.environment)
        new = self._entry(wanted, key=known.key)
        return self._write(
            path, [new if one.id == known.key else one for one in self._read(path)], new
        )

    def wait(self, error: LookAgainError, *, tries: int) -> None:  # noqa: ARG002
        """Never wait: a file is written or it is not."""
        raise error

    def _entry(self, wanted: ForgeDeployment, *, key: int) -> _Entry:
        now = datetime.fromtimestamp(int(self._clock()), UTC)
        return _Entry(id=key, set_at=now, deployment=wanted)

    def _read(self, path: Path) -> list[_Entry]:
        data = self._forge.read(path)
        if data is None:
            return []
        try:
            return msgspec.json.decode(data, type=list[_Entry])
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise ForgeError(
                f"{path} lists no deployments: {error}.",
                hint="Mend it, or remove it: the next deployment writes it anew.",
            ) from error

    def _write(self, path: Path, entries: Sequence[_Entry], new: _Entry) -> Known:
        self._forge.write(path, msgspec.json.format(msgspec.json.encode(entries)) + b"\n")
        seconds = int(new.set_at.timestamp())
        return Known(key=new.id, deployment=new.deployment, url=str(path), seconds=seconds)
