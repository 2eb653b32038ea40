"""How the processes of a target talk: lines of JSON on a unix socket that only their user opens."""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from modelci.errors import DeploymentError, ModelCIError

Message = Mapping[str, Any]
Handler = Callable[[Message], Awaitable[Message]]

_HINT = "Run it again: what is needed is started then."
_LONGEST_LINE = 4 * 1024 * 1024
_LONGEST_PATH = 100  # bytes that every system takes for a unix socket


class UnreachableError(DeploymentError):
    """Nobody listens on a control socket."""


async def listen(path: str, handlers: Mapping[str, Handler]) -> asyncio.Server:
    """Answer messages: ``do`` names the handler, and what it returns is the reply.

    A ModelCIError is told to whoever asked. ``path`` is one that the system takes as it is.
    """

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            while line := await _read_line(reader):
                writer.write(json.dumps(await _reply(line, handlers)).encode() + b"\n")
                await writer.drain()
        writer.close()

    Path(path).unlink(missing_ok=True)
    server = await asyncio.start_unix_server(talk, path, limit=_LONGEST_LINE, start_serving=False)
    os.chmod(path, 0o600)  # noqa: PTH101 - before the first connection
    await server.start_serving()
    return server


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # longer than anything that we say
        return b""


async def _reply(line: bytes, handlers: Mapping[str, Handler]) -> Message:
    try:
        message = json.loads(line)
        handler = handlers[message["do"]]
    except (ValueError, KeyError, TypeError):
        return {"error": "That is no message that is understood here."}
    try:
        return await handler(message)
    except ModelCIError as error:
        return {"error": str(error), "hint": error.hint}
    except Exception as error:
        logging.getLogger("modelci").exception("modelci has a bug")
        return {"error": f"modelci has a bug: {type(error).__name__}: {error}."}


def call(path: Path, message: Message, *, seconds: float) -> Message:
    """Send a message and return the reply; DeploymentError where it is an error.

    Raises UnreachableError where nobody listens.
    """
    with address_of(path) as address, socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        try:
            connection.connect(address)
            connection.sendall(json.dumps(message).encode() + b"\n")
            with connection.makefile("rb") as file:
                line = file.readline(_LONGEST_LINE)
        except TimeoutError as error:
            raise DeploymentError(
                f"{path} gave no answer within {seconds:g} s to {message['do']!r}.",
                hint=f"See the logs in {path.parent.parent / 'log'}.",
            ) from error
        except OSError as error:
            raise UnreachableError(f"Nobody listens on {path}: {error}.", hint=_HINT) from error
    if not line:
        raise UnreachableError(f"{path} closed the connection.", hint=_HINT)
    return _checked(json.loads(line))


def is_ready(path: Path, *, seconds: float = 5.0) -> bool:
    """Ask the model server on a socket whether it is ready."""
    try:
        with address_of(path) as address, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(address)
            connection.sendall(READINESS)
            with connection.makefile("rb") as file:
                return says_yes(file.readline(1024))
    except (OSError, DeploymentError):
        return False


READINESS = b"GET /v2/health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"


def says_yes(line: bytes) -> bool:
    """Whether the first line of an answer is that of a success."""
    return line.split(b" ")[1:2] == [b"200"]


class Caller:
    """A connection to a control socket that stays, for asyncio."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, message: Message, *, seconds: float) -> Message:
        """Send a message and return the reply, as ``call`` does."""
        async with self._lock:
            try:
                async with asyncio.timeout(seconds):
                    line = await self._exchange(json.dumps(message).encode() + b"\n")
            except (OSError, TimeoutError) as error:
                self.close()
                raise UnreachableError(f"{self._path} does not answer: {error}.") from error
            except asyncio.CancelledError:
                self.close()  # the reply that is under way is nobody's
                raise
        if not line:
            self.close()
            raise UnreachableError(f"{self._path} closed the connection.")
        return _checked(json.loads(line))

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, line: bytes) -> bytes:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self._path, limit=_LONGEST_LINE)
        reader, writer = self._streams
        writer.write(line)
        await writer.drain()
        return await reader.readline()


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """Give a path that fits into a socket's address, however deep the folder is."""
    text = str(path)
    if len(os.fsencode(text)) <= _LONGEST_PATH:
        yield text
        return
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UnreachableError(f"Nobody listens on {path}: {error.strerror}.") from error
    try:
        short = Path(f"/proc/self/fd/{folder}")
        if not short.exists():
            raise DeploymentError(
                f"{path.parent} is too long a path for sockets.", hint="Choose a shorter one."
            )
        yield str(short / path.name)
    finally:
        os.close(folder)


def _checked(reply: Message) -> Message:
    if "error" in reply:
        raise DeploymentError(str(reply["error"]), hint=reply.get("hint"))
    return reply
