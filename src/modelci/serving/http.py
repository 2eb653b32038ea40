"""uvicorn, made careful: clients have limited time and room, and an end loses no request.

uvicorn waits for ever for the rest of a request's head or body, and for a client to take its
answer, and closes idle connections in the moment that it is told to end, whatever is on its way.
"""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from modelci.serving.app import ServingApp
from modelci.serving.metrics import ERRORS
from modelci.serving.refusal import Kind
from modelci.serving.settings import Settings

MAX_HEAD = 65_536
"""The most bytes of a request's line and headers."""

_logger = logging.getLogger(__name__)
_CLOSE = (b"connection", b"close")


class CarefulProtocol(HttpToolsProtocol):
    """A connection. ``app`` and ``seconds`` are set by ``make_protocol``."""

    app_: ServingApp
    seconds: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_request = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the client some time for the whole of its first request."""
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Take what came; time runs from a request's first byte to its last."""
        if not self._in_request or self._head_bytes:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD and not self.transport.is_closing():
            self._refuse(431, "Request Header Fields Too Large", Kind.TOO_LARGE)
        elif self._in_request and self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_request = True
        self._head_bytes = max(self._head_bytes, 1)

    def on_headers_complete(self) -> None:
        """End its head."""
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End its body."""
        self._in_request = False
        self._stop_timer()
        super().on_message_complete()

    def pause_writing(self) -> None:
        """Give the client some time to take its answer."""
        super().pause_writing()
        self._taking = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on, for it takes it."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        if self._taking is not None:
            self._taking.cancel()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if not self._in_request:  # it was connected, and never asked anything
            self.transport.close()
        elif self._answers_another:
            self._start_timer()
        else:
            self._refuse(408, "Request Timeout", Kind.SLOW_CLIENT)

    @property
    def _answers_another(self) -> bool:
        """Whether a request that came before this one on the connection has no answer yet."""
        is_head = self._head_bytes > 0  # there is no cycle for it so far
        return bool(self.pipeline) or (
            is_head and not getattr(self.cycle, "response_complete", True)
        )

    def _refuse(self, status: int, reason: str, kind: Kind) -> None:
        """Answer for the application, which waits for the rest in vain, and end."""
        body = b'{"error": "%s."}' % reason.encode()
        is_begun = getattr(self.cycle, "response_started", False) and not self._head_bytes
        if not is_begun and not self._answers_another:
            self.transport.write(
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                b"connection: close\r\n\r\n%s" % (status, reason.encode(), len(body), body)
            )
        self.app_.metrics.add(ERRORS, kind)
        self.transport.close()


def make_protocol(app: ServingApp, settings: Settings) -> type[CarefulProtocol]:
    """Return the connections of a server: uvicorn takes a class, and makes the objects itself."""
    return type("Protocol", (CarefulProtocol,), {"app_": app, "seconds": settings.timeout_seconds})


class DrainingServer(uvicorn.Server):
    """Ends on SIGTERM in three steps; SIGINT leaves out the first, a second one the others.

    It says that it is not ready, and answers on, closing each connection after an answer. Then it
    takes no more connections. Then it waits for what it is answering.
    """

    def __init__(
        self,
        app: ServingApp,
        settings: Settings,
        *,
        on_hangup: Callable[[], None] | None = None,
        heeds_terminal: bool = True,
    ) -> None:
        protocol = make_protocol(app, settings)
        super().__init__(make_config(app, protocol, settings))
        self._app = app
        self._drain_seconds = settings.drain_seconds
        self._on_hangup = on_hangup
        self._heeds_terminal = heeds_terminal

    def end(self, *, drain: bool = True) -> None:
        """Begin to end."""
        if self.should_exit:
            self.force_exit = not drain
            return
        if not drain:
            self._drain_seconds = 0.0
        self._app.is_draining = True
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to signals in the event loop, and end with success."""
        if threading.current_thread() is not threading.main_thread():
            yield  # whoever runs a server in a thread ends it
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.end)
        # A terminal sends these to all processes: the supervisor says what workers do about them.
        interrupt = (lambda: self.end(drain=False)) if self._heeds_terminal else _ignore
        loop.add_signal_handler(signal.SIGINT, interrupt)
        loop.add_signal_handler(signal.SIGHUP, self._on_hangup or _ignore)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then end as uvicorn does."""
        self._app.is_draining = True
        self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
        if self._drain_seconds:
            await asyncio.sleep(self._drain_seconds)
        await super().shutdown(sockets)


class PrivateServer(uvicorn.Server):
    """A server beside the first one, for whom may use its socket; it has no signals of its own."""

    def __init__(self, app: Any) -> None:
        super().__init__(make_config(app, HttpToolsProtocol, Settings(timeout_seconds=1)))

    async def begin(self, sock: socket.socket) -> None:
        """Answer from now on."""
        self.config.load()
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup([sock])

    async def end(self, sock: socket.socket) -> None:
        """Answer no more; what has begun has two seconds."""
        await self.shutdown([sock])


def make_config(app: Any, protocol: type[asyncio.Protocol], settings: Settings) -> uvicorn.Config:
    """Return uvicorn's configuration: the quickest parts, and no logs but errors."""
    return uvicorn.Config(
        app,
        loop="none",
        http=protocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        workers=1,
        timeout_keep_alive=int(settings.keep_alive_seconds),
        timeout_graceful_shutdown=int(settings.timeout_seconds) + 1,
    )


def _ignore() -> None:
    pass
