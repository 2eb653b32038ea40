"""What the supervisor and its workers say to each other: a line of JSON a message."""

import asyncio
import socket
from typing import Any

import msgspec

from modelci.domain.golden import Health
from modelci.errors import ModelCIError
from modelci.serving.settings import Settings
from modelci.serving.source import Source

_MAX_LINE = 1 << 22


class Start(msgspec.Struct, tag=True, frozen=True):
    """To a new worker: what it is to be. It answers Done when its model is loaded.

    ``level`` is of its log: it says no more than we do.
    """

    source: Source
    settings: Settings
    slot: int
    slots: int
    level: int


class Listen(msgspec.Struct, tag=True, frozen=True):
    """To a loaded worker: begin to answer."""


class Prepare(msgspec.Struct, tag=True, frozen=True):
    """To a worker: load another model beside the one that answers. It answers Done."""

    source: Source


class Commit(msgspec.Struct, tag=True, frozen=True):
    """To a worker: answer from the model that was prepared. It answers Done."""


class Discard(msgspec.Struct, tag=True, frozen=True):
    """To a worker: forget the model that was prepared. It answers Done."""


class Done(msgspec.Struct, tag=True, frozen=True):
    """What came of what was asked for: the model's ``health``, or what went wrong."""

    health: Health | None = None
    error: str | None = None
    hint: str | None = None
    exit_code: int = 0


class Ask(msgspec.Struct, tag=True, frozen=True):
    """From a worker: somebody wants all workers to switch; None: to what the path names now."""

    folder: str | None


class Asked(msgspec.Struct, tag=True, frozen=True):
    """To the worker that asked: what came of it."""

    outcome: Done


Order = Start | Listen | Prepare | Commit | Discard | Asked
Reply = Done | Ask


def failed(error: ModelCIError) -> Done:
    """Return an error as a message."""
    return Done(error=str(error), hint=error.hint, exit_code=error.exit_code)


def encode(message: Order | Reply) -> bytes:
    """Return a message as a line."""
    return msgspec.json.encode(message) + b"\n"


def read_first(sock: socket.socket) -> Start:
    """Read the first message of all, before there is an event loop."""
    with sock.makefile("rb", buffering=0) as file:
        return msgspec.json.decode(file.readline(_MAX_LINE), type=Start)


class Link:
    """One end of the connection between supervisor and worker."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> "Link":
        """Return the end that a socket is."""
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=_MAX_LINE)
        return cls(reader, writer)

    def send(self, message: Order | Reply) -> None:
        """Send a message; nothing happens where the other end is gone."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def receive(self, kind: Any) -> Any:
        """Return the next message, or None where the other end is gone."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        return msgspec.json.decode(line, type=kind) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
