"""A client's connection to the switch: requests are read whole, and answered in their order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus
from typing import cast

import httptools

from modelci.adapters.targets.switching.messages import (
    Refusal,
    Request,
    frame_request,
    own_answer,
)
from modelci.adapters.targets.switching.settings import Limits

_LINGER = 2.0  # seconds in which a client who still sends can read why we don't listen
_OVERHEAD = 8  # a chunk of one byte takes six

Answering = Callable[[Request, "Client"], Awaitable[None]]


class Client(asyncio.Protocol):
    """One connection. ``answering`` writes the answer to one request, and returns when it has."""

    def __init__(
        self,
        answering: Answering,
        clients: set["Client"],
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._answering = answering
        self._clients = clients
        self._limits = limits
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request | Refusal] = deque()
        self._wakeup: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._raw = 0  # bytes of the message that is being read
        self._is_reading = False  # in the middle of a request
        self._is_head = True
        self._is_deaf = False  # nothing more is read
        self._is_busy = False
        self._is_lingering = False
        self._continue_due = False
        self._is_last = False
        self._is_cut = False
        self._stays = False
        self._peer = ""
        self._begin()

    # What whoever answers calls

    def write(self, data: bytes) -> None:
        """Send a piece of the answer; nothing happens once the client is gone."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the client has taken enough of what was written."""
        if not self._writable.is_set():
            self._deadline = self._loop.time() + self._limits.write_seconds
            await self._writable.wait()

    def is_gone(self) -> bool:
        """Whether nobody listens any more."""
        return self._transport.is_closing()

    def keeps(self, request: Request) -> bool:
        """Say whether the connection stays after the answer to this request; then it does."""
        is_last = self._is_cut or (self._is_last and not self._waiting)
        self._stays = request.keep_alive and not is_last
        return self._stays

    def abort(self) -> None:
        """Break the connection off: an answer cannot be finished, and the client shall see it."""
        self._transport.abort()

    def end(self) -> None:
        """End the connection with the answer that is being written: that is where it ends."""
        self._is_cut = True

    # What the switch calls

    def finish(self) -> None:
        """Answer what was asked, and say with it that the connection ends."""
        self._is_last = True

    def close_if_idle(self) -> None:
        """Close a connection on which nothing was asked."""
        if not (self._is_busy or self._waiting or self._is_reading or self._is_lingering):
            self._transport.close()

    def check_deadline(self, now: float) -> None:
        """Give up on a client who takes too long."""
        if now < self._deadline or self._is_lingering:
            return
        if not self._writable.is_set():
            self._transport.abort()
        elif self._is_reading and not self._is_deaf and not self._is_busy:
            message = "The request did not come in time."
            self._refuse(_refusal(HTTPStatus.REQUEST_TIMEOUT, message))
        elif not self._is_busy and not self._waiting:
            self._transport.close()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._deadline = self._loop.time() + self._limits.head_seconds
        self._clients.add(self)
        self._task = self._loop.create_task(self._serve())

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._clients.discard(self)
        self._is_deaf = True
        self._gone.set()
        self._writable.set()
        self._wake()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> bool:
        """Go on answering a client who has only stopped asking."""
        self._is_deaf = True
        return self._is_busy or (bool(self._waiting) and not self._is_lingering)

    def data_received(self, data: bytes) -> None:
        if self._is_deaf:
            return
        if not self._is_reading:
            self._is_reading, self._raw = True, 0
            self._deadline = self._loop.time() + self._limits.head_seconds
        self._raw += len(data)
        self._feed(data)
        self._check_size()
        if self._is_full():
            self._transport.pause_reading()

    # What the parser calls

    def on_message_begin(self) -> None:
        self._begin()
        self._is_reading = True
        self._deadline = self._loop.time() + self._limits.head_seconds

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_head:  # later ones are trailers
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._is_head = False
        self._deadline = self._loop.time() + self._limits.body_seconds
        self._method = self._parser.get_method()
        refusal = self._judge_head()
        if refusal is not None:
            raise _RefusedError(refusal)

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._limits.body_bytes:
            raise _RefusedError(self._too_large())
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        self._is_reading = False
        self._continue_due = False
        self._raw = 0
        self._waiting.append(self._take_request())
        self._wake()

    # Reading

    def _begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._size = 0
        self._method = b""
        self._is_head = True

    def _feed(self, data: bytes) -> None:
        while data and not self._is_deaf:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # Nothing to upgrade to here: the request is answered as it is, others follow.
                data = data[upgrade.args[0] :]
                continue
            except httptools.HttpParserCallbackError as error:
                if not isinstance(error.__context__, _RefusedError):
                    raise
                self._refuse(error.__context__.refusal)
            except httptools.HttpParserError as error:
                message = f"The request is no HTTP/1.1: {error}."
                self._refuse(_refusal(HTTPStatus.BAD_REQUEST, message))
            return

    def _judge_head(self) -> Refusal | None:
        """Return why the request whose head is here is not read any further."""
        version = self._parser.get_http_version()
        if version not in {"1.0", "1.1"}:
            return _refusal(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here.")
        if len(self._headers) > self._limits.headers:
            return _too_many_headers(f"more than {self._limits.headers} headers")
        size = len(self._target) + sum(len(name) + len(value) for name, value in self._headers)
        if size > self._limits.head_bytes:
            return _too_many_headers(f"a head of more than {self._limits.head_bytes} bytes")
        if self._method == b"CONNECT":
            return _refusal(HTTPStatus.NOT_IMPLEMENTED, "There is nothing to connect to here.")
        hosts = [value for name, value in self._headers if name == b"host"]
        if len(hosts) > 1 or (version == "1.1" and not hosts):
            return _refusal(HTTPStatus.BAD_REQUEST, "A request names one host.")
        return self._judge_body(version)

    def _judge_body(self, version: str) -> Refusal | None:
        fields = dict(self._headers)
        length = int(fields.get(b"content-length", b"0"))
        if length > self._limits.body_bytes:
            return self._too_large()
        has_body = length > 0 or b"transfer-encoding" in fields
        if self._parser.should_upgrade() and has_body:
            return _refusal(HTTPStatus.NOT_IMPLEMENTED, "There is nothing to upgrade to here.")
        codings = [value.lower() for name, value in self._headers if name == b"transfer-encoding"]
        if codings not in ([], [b"chunked"]):
            return _refusal(HTTPStatus.NOT_IMPLEMENTED, "Bodies are plain or chunked.")
        expected = fields.get(b"expect")
        if expected is not None and expected.lower() != b"100-continue":
            return _refusal(HTTPStatus.EXPECTATION_FAILED, "Only 100-continue can be expected.")
        if expected is not None and has_body and version == "1.1":
            self._continue_due = True
            self._say_continue()
        return None

    def _take_request(self) -> Request:
        target = _origin_form(self._target)
        body = b"".join(self._pieces)
        self._pieces = []
        return Request(
            method=self._method,
            path=target.partition(b"?")[0],
            wire=frame_request(
                method=self._method,
                target=target,
                headers=self._headers,
                body=body,
                client=self._peer,
            ),
            keep_alive=self._parser.should_keep_alive(),
            is_http_1_0=self._parser.get_http_version() == "1.0",
        )

    def _check_size(self) -> None:
        """Bound what the parser keeps to itself: heads and trailers that never end, and chunks."""
        if self._is_deaf or not self._is_reading:
            return
        if self._is_head and self._raw > self._limits.head_bytes:
            self._refuse(_too_many_headers(f"a head of more than {self._limits.head_bytes} bytes"))
        elif self._raw > self._limits.head_bytes + _OVERHEAD * self._limits.body_bytes:
            self._refuse(self._too_large())

    def _is_full(self) -> bool:
        """Whether so much waits for its answer that nothing more is read."""
        held = sum(len(one.wire) for one in self._waiting if isinstance(one, Request))
        return len(self._waiting) > self._limits.waiting_requests or held > self._limits.body_bytes

    def _too_large(self) -> Refusal:
        return _refusal(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"The body has more than {self._limits.body_bytes} bytes.",
        )

    def _refuse(self, refusal: Refusal) -> None:
        """Say so, in its turn, and read nothing more."""
        self._is_deaf = True
        self._waiting.append(refusal)
        self._wake()

    # Answering

    async def _serve(self) -> None:
        """Answer one request after the other, until the connection ends."""
        with suppress(asyncio.CancelledError):
            while not self._transport.is_closing():
                if not self._waiting:
                    if self._is_deaf:
                        break
                    self._deadline_when_idle()
                    self._wakeup = self._loop.create_future()
                    await self._wakeup
                    continue
                message = self._waiting.popleft()
                if isinstance(message, Refusal):
                    await self._say_no(message)
                    return
                if not await self._answer(message):
                    break
        self._transport.close()

    async def _answer(self, request: Request) -> bool:
        """Answer a request; False where the connection ends with it."""
        self._is_busy, self._stays = True, False
        try:
            await self._answering(request, self)
            await self.drain()
        finally:
            self._is_busy = False
        if not self._is_full() and not self._is_deaf:
            self._transport.resume_reading()
        if self._is_reading:  # what comes next had to wait for us
            self._deadline = self._loop.time() + self._limits.head_seconds
        self._say_continue()
        return self._stays

    async def _say_no(self, refusal: Refusal) -> None:
        self._is_lingering = True
        self.write(own_answer(refusal.status, refusal.message, keep_alive=False))
        # Closed at once, what the client still sends would make the system drop our answer.
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()
            self._transport.resume_reading()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER):
                    await self._gone.wait()
        self._transport.close()

    def _say_continue(self) -> None:
        """Ask for a body that is waiting for it, once all that was asked before is answered."""
        if self._continue_due and not self._is_busy and not self._waiting:
            self._continue_due = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _deadline_when_idle(self) -> None:
        if not self._is_reading:
            self._deadline = self._loop.time() + self._limits.idle_seconds

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


class _RefusedError(Exception):
    """A request is not read to its end."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


def _origin_form(target: bytes) -> bytes:
    """Return what is asked for; proxies are asked for ``http://host/path``."""
    if target.startswith(b"/") or target == b"*":
        return target
    try:
        url = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError as error:
        refusal = _refusal(HTTPStatus.BAD_REQUEST, "The request's target is no URL.")
        raise _RefusedError(refusal) from error
    return (url.path or b"/") + (b"?" + url.query if url.query else b"")


def _refusal(status: HTTPStatus, message: str) -> Refusal:
    return Refusal(status=status, message=message)


def _too_many_headers(what: str) -> Refusal:
    return _refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The request has {what}.")
