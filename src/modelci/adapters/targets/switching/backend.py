"""A release's process as the switch sees it: a socket, connections that are used again, answers."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import cast

import httptools

from modelci.adapters.targets.switching.messages import Request, is_bodiless
from modelci.adapters.targets.switching.traffic import Traffic

WHOLE = 1024 * 1024
"""Bytes of an answer's body up to which it is passed on whole; more goes as it comes."""

_AHEAD = 256 * 1024  # bytes that are read ahead of a client who is slow
_IDLE = 64  # connections that are kept


class BackendError(Exception):
    """A release gave no answer, or none that can be read; ``is_late`` where time ran out."""

    def __init__(self, message: str, *, is_late: bool = False) -> None:
        super().__init__(message)
        self.is_late = is_late


@dataclass(slots=True)
class Answer:
    """An answer: its head, and of the body what there is; the ``rest`` comes of large ones."""

    status: int = 0
    reason: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    source: "_Connection | None" = None

    @property
    def is_whole(self) -> bool:
        """Whether all of it is here."""
        return self.source is None

    @property
    def is_json(self) -> bool:
        """Whether all of it is here, and is JSON as it stands."""
        fields = dict(self.headers)
        is_plain = b"content-encoding" not in fields
        return self.is_whole and is_plain and b"json" in fields.get(b"content-type", b"")

    async def rest(self) -> AsyncIterator[bytes]:
        """Yield the body piece by piece; BackendError where the release stops in the middle."""
        yield self.body
        if self.source is not None:
            async for piece in self.source.pieces():
                yield piece

    def abandon(self) -> None:
        """Read no more of it."""
        if self.source is not None:
            self.source.abort("its answer is not wanted any more")


class Backend:
    """One release's process. Its traffic is counted by whoever asks it."""

    def __init__(self, release: str, socket: str) -> None:
        self.release = release
        self.traffic = Traffic()
        self._socket = socket
        self._idle: deque[_Connection] = deque()
        self._is_retired = False

    async def ask(self, request: Request, *, seconds: float) -> Answer:
        """Send a request and return the answer, within so many ``seconds``; else BackendError.

        A connection that had been waiting may have been closed meanwhile: a new one is then tried.
        """
        while self._idle:
            connection = self._idle.pop()  # the one used last: it is the least likely to be closed
            try:
                return await connection.exchange(request, seconds)
            except _StaleError:
                continue
        try:
            _, connection = await asyncio.get_running_loop().create_unix_connection(
                lambda: _Connection(self), self._socket
            )
        except OSError as error:
            raise BackendError(f"{self.release} is not there: {error}") from error
        return await connection.exchange(request, seconds)

    def retire(self) -> None:
        """Keep no connection any longer; requests that are being answered go on."""
        self._is_retired = True
        while self._idle:
            self._idle.pop().close()

    def serve_again(self) -> None:
        """Keep connections again."""
        self._is_retired = False

    def take_back(self, connection: "_Connection") -> None:
        """Keep a connection for the next request."""
        if self._is_retired or len(self._idle) >= _IDLE:
            connection.close()
        else:
            self._idle.append(connection)

    def forget(self, connection: "_Connection") -> None:
        """Do not use a connection again that was closed."""
        if connection in self._idle:
            self._idle.remove(connection)


class _StaleError(BackendError):
    """A connection that was used before is gone, and nothing came back."""


class _Connection(asyncio.Protocol):
    """One connection to a release; one request at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._parser = httptools.HttpResponseParser(self)
        self._waiting: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._pieces: list[bytes] = []
        self._size = 0
        self._more: asyncio.Event | None = None  # of an answer that is passed on as it comes
        self._is_head = True
        self._is_done = False
        self._is_used = False
        self._heard = False
        self._method = b"GET"
        self._error: str | None = None

    # What the switch calls

    async def exchange(self, request: Request, seconds: float) -> Answer:
        """Send a request, and return its answer: whole, or its beginning where it is large."""
        loop = asyncio.get_running_loop()
        self._waiting = waiting = loop.create_future()
        self._answer, self._pieces, self._size = Answer(), [], 0
        self._is_done, self._heard, self._method = False, False, request.method
        self._seconds = seconds
        timer = loop.call_later(seconds, self._time_is_up)
        self._transport.write(request.wire)
        try:
            answer: Answer = await waiting
        finally:
            timer.cancel()
        return answer

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield what follows of a large answer."""
        assert self._more is not None  # noqa: S101 - only large answers have a source
        while True:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._more.wait()
            except TimeoutError as error:
                self.abort("it stopped in the middle of its answer")
                raise BackendError(f"{self._backend.release} stopped in the middle") from error
            self._more.clear()
            pieces, self._pieces, self._size = self._pieces, [], 0
            for piece in pieces:
                yield piece
            if self._is_done:
                return
            if self._error is not None:
                raise BackendError(self._error)
            if not self._transport.is_closing():
                self._transport.resume_reading()

    def abort(self, reason: str) -> None:
        """Give the connection up."""
        self._fail(reason)
        self._transport.abort()

    def close(self) -> None:
        """Close a connection that waits for a request."""
        self._transport.close()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        if self._is_done:  # nobody asked; what comes next could be taken for another's answer
            self._drop()
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"{self._backend.release} answered what is no HTTP: {error}")
            self._drop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._backend.forget(self)
        if not self._is_head and not self._is_done and self._ends_with_connection():
            self.on_message_complete()
        self._fail(f"{self._backend.release} closed the connection" + (f": {exc}" if exc else ""))

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._is_done:
            raise ValueError("there is more than one answer")  # so the connection is dropped
        self._is_head = True

    def on_status(self, reason: bytes) -> None:
        self._answer.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_head:  # later ones are trailers
            self._answer.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._is_head = False
        self._answer.status = self._parser.get_status_code()
        if self._answer.status >= 200 and self._method == b"HEAD":
            self.on_message_complete()

    def on_body(self, body: bytes) -> None:
        if self._is_done:
            return
        self._pieces.append(body)
        self._size += len(body)
        if self._more is not None:
            self._more.set()
            if self._size > _AHEAD:
                self._transport.pause_reading()
        elif self._size > WHOLE:
            self._begin_streaming()

    def on_message_complete(self) -> None:
        if self._answer.status < 200:  # 100 Continue and the like; the answer is yet to come
            self._answer = Answer()
            return
        if self._is_done:
            return
        self._is_done = True
        if self._more is not None:
            self._more.set()
        else:
            self._answer.body = b"".join(self._pieces)
        self._settle()
        if self._may_be_used_again():
            self._is_used = True
            self._backend.take_back(self)
        else:
            self._transport.close()

    # The rest

    def _begin_streaming(self) -> None:
        self._more = asyncio.Event()
        self._answer.body = b"".join(self._pieces)
        self._answer.source = self
        self._pieces, self._size = [], 0
        self._transport.pause_reading()
        self._more.set()
        self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(self._answer)

    def _fail(self, reason: str, *, is_late: bool = False) -> None:
        self._error = reason
        if self._more is not None:
            self._more.set()
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            is_stale = self._is_used and not self._heard and not is_late
            error = _StaleError(reason) if is_stale else BackendError(reason, is_late=is_late)
            waiting.set_exception(error)

    def _time_is_up(self) -> None:
        self._fail(f"{self._backend.release} did not answer in time", is_late=True)
        self._transport.abort()

    def _may_be_used_again(self) -> bool:
        has_rest = self._method == b"HEAD" or self._more is not None
        return (
            not has_rest
            and self._parser.should_keep_alive()
            and not self._transport.is_closing()
            and not self._ends_with_connection()
        )

    def _drop(self) -> None:
        self._backend.forget(self)
        self._transport.abort()

    def _ends_with_connection(self) -> bool:
        framing = {b"content-length", b"transfer-encoding"}
        return not is_bodiless(self._method, self._answer.status) and not any(
            name in framing for name, _ in self._answer.headers
        )
