"""The builtin switch: one process in front of the releases' sockets.

It reads a request whole, asks the release that is to answer now, and passes the answer on. So a
switch is the exchange of one value: what was asked before it is answered by the old release, what
comes after by the new one. ``python -m modelci.adapters.targets.switching.proxy FD``, in the folder
with the sockets.
"""

import argparse
import asyncio
import gc
import random
import resource
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from modelci.adapters.targets.switching import control
from modelci.adapters.targets.switching.backend import Answer, Backend, BackendError
from modelci.adapters.targets.switching.client import Client
from modelci.adapters.targets.switching.differences import compare
from modelci.adapters.targets.switching.messages import (
    CHUNKED,
    Request,
    chunk,
    frame_head,
    is_bodiless,
    length_of,
    own_answer,
)
from modelci.adapters.targets.switching.routes import (
    INDEX,
    ROUTES,
    Route,
    Routes,
    by_length,
    index_of,
    path_prefix,
)
from modelci.adapters.targets.switching.settings import ProxySettings
from modelci.domain.deployment import Observation

_MOST_COPIES = 32  # requests that are compared at a time; further ones are not


@dataclass(slots=True)
class _Artifact:
    """A route with the backends that it names."""

    route: Route
    running: Backend
    trial: Backend | None = None

    def pick(self) -> Backend:
        """Return who answers the next request."""
        trial = self.route.trial
        if self.trial is None or trial is None or trial.shadow:
            return self.running
        is_tried = random.random() < trial.share  # noqa: S311 - a share of requests, no secret
        return self.trial if is_tried else self.running

    def other(self, asked: Backend) -> Backend | None:
        """Return who gets a copy of what ``asked`` has answered, to compare; None: nobody.

        A shadow gets copies of all. A canary's answers are held against the running release's.
        """
        trial = self.route.trial
        if trial is None or self.trial is None:
            return None
        if asked is self.running:
            return self.trial if trial.shadow else None
        return self.running


class Proxy:
    """Answers clients; ``route`` says by whom."""

    def __init__(self, settings: ProxySettings) -> None:
        self._settings = settings
        self._artifacts: dict[str, _Artifact] = {}
        self._prefixes: list[tuple[str, _Artifact]] = []
        self._backends: dict[str, Backend] = {}
        self._copies: set[asyncio.Task[None]] = set()
        self.clients: set[Client] = set()

    def route(self, routes: Routes) -> None:
        """Let these routes count from now on; requests under way are answered as they began."""
        backends = {
            name: self._backends.get(name) or Backend(name, path)
            for name, path in routes.sockets.items()
        }
        artifacts = {
            route.artifact: _Artifact(
                route=route,
                running=backends[route.running],
                trial=backends[route.trial.release] if route.trial else None,
            )
            for route in routes.routes
        }
        self._artifacts = artifacts
        # The longest first: churn/monthly has no part in what churn is asked, nor the reverse.
        self._prefixes = [(path_prefix(name), artifacts[name]) for name in by_length(artifacts)]
        for name, backend in self._backends.items():
            if name not in backends:
                backend.retire()
        self._backends = backends

    def observe(self, release: str, seconds: float) -> Observation | None:
        """Return a release's traffic; None where it is not known here."""
        backend = self._backends.get(release)
        return backend.traffic.observe(seconds) if backend else None

    async def answer(self, request: Request, client: Client) -> None:
        """Answer one request of a client."""
        artifact = self._find(request)
        if artifact is None:
            await self._answer_ourselves(request, client)
            return
        asked, answer = await self._ask(artifact, request)
        if isinstance(answer, BackendError):
            status = (
                HTTPStatus.GATEWAY_TIMEOUT if answer.is_late else HTTPStatus.SERVICE_UNAVAILABLE
            )
            _say(client, request, status, f"The model does not answer: {answer}.")
            return
        await _pass_on(answer, request, client)
        other = artifact.other(asked)
        if other is not None and request.asks_model:
            self._compare(artifact, request, answer, asked=asked, other=other)

    # Asking

    async def _ask(
        self, artifact: _Artifact, request: Request
    ) -> tuple[Backend, Answer | BackendError]:
        """Return who answered, and the answer.

        Nothing has been sent back yet when a release fails: the running one is asked then, also for
        what a trial answers with an error. So a bad trial costs its clients time, and no answer.
        """
        asked = artifact.pick()
        answer = await self._ask_one(asked, request)
        if not _has_failed(answer):
            return asked, answer
        running = self._artifacts.get(artifact.route.artifact, artifact).running
        if running is asked:
            if isinstance(answer, Answer) or answer.is_late:
                return asked, answer
            # It may have died under this very request, and be there again.
            return asked, await self._ask_one(running, request, count=False)
        if isinstance(answer, Answer):
            answer.abandon()
        return running, await self._ask_one(running, request)

    async def _ask_one(
        self, backend: Backend, request: Request, *, count: bool = True
    ) -> Answer | BackendError:
        began = time.monotonic()
        answer: Answer | BackendError
        seconds: float | None
        try:
            answer = await backend.ask(request, seconds=self._settings.answer_seconds)
            seconds = time.monotonic() - began
        except BackendError as error:
            answer = error
            seconds = time.monotonic() - began if error.is_late else None
        if count and request.asks_model:
            backend.traffic.answered(seconds, failed=_has_failed(answer))
        return answer

    # Comparing

    def _compare(
        self,
        artifact: _Artifact,
        request: Request,
        answer: Answer,
        *,
        asked: Backend,
        other: Backend,
    ) -> None:
        """Ask the other release the same, after the client has its answer, and compare."""
        if not answer.is_whole or len(self._copies) >= _MOST_COPIES:
            return
        copying = self._copy(artifact, request, answer, asked=asked, other=other)
        task = asyncio.get_running_loop().create_task(copying)
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def _copy(
        self,
        artifact: _Artifact,
        request: Request,
        answer: Answer,
        *,
        asked: Backend,
        other: Backend,
    ) -> None:
        is_shadow = other is artifact.trial
        # What the running release is asked for our sake alone is not its traffic.
        copy = await self._ask_one(other, request, count=is_shadow)
        if isinstance(copy, BackendError):
            return
        trial = other if is_shadow else asked
        _note(trial, running=answer if is_shadow else copy, tried=copy if is_shadow else answer)
        copy.abandon()

    # Answering ourselves

    def _find(self, request: Request) -> _Artifact | None:
        """Return whom a request is for: who is named in its path, or the only one."""
        if len(self._artifacts) == 1:
            return next(iter(self._artifacts.values()))
        path = unquote(request.path.decode("latin-1"))
        for prefix, artifact in self._prefixes:
            if path == prefix or path.startswith(prefix + "/"):
                return artifact
        return None

    async def _answer_ourselves(self, request: Request, client: Client) -> None:
        if not self._artifacts:
            _say(client, request, HTTPStatus.SERVICE_UNAVAILABLE, "No model is deployed here.")
        elif request.path == b"/v2/health/live":
            _say_ok(client, request, b'{"live":true}')
        elif request.path == b"/v2/health/ready":
            await self._answer_readiness(request, client)
        elif request.path == INDEX.encode():
            _say_ok(client, request, index_of(self._artifacts))
        else:
            names = ", ".join(sorted(self._artifacts))
            _say(
                client,
                request,
                HTTPStatus.NOT_FOUND,
                f"Several models answer here; name one in the path, as /v2/models/NAME: {names}.",
            )

    async def _answer_readiness(self, request: Request, client: Client) -> None:
        """Say whether every artifact's running release is ready."""
        for name, artifact in sorted(self._artifacts.items()):
            answer = await self._ask_one(artifact.running, request)
            if isinstance(answer, BackendError) or answer.status != HTTPStatus.OK:
                _say(client, request, HTTPStatus.SERVICE_UNAVAILABLE, f"{name} is not ready.")
                return
        _say_ok(client, request, b'{"ready":true}')


def _has_failed(answer: Answer | BackendError) -> bool:
    return isinstance(answer, BackendError) or answer.status >= 500


def _note(trial: Backend, *, running: Answer, tried: Answer) -> None:
    """Record how far a trial's answer is from the running release's."""
    if running.status >= 400:  # nothing to be held to
        return
    if tried.status >= 400:
        # An error of the server is counted already. But the request is fine, as the other says.
        trial.traffic.disagreed(int(tried.status < 500))
        return
    if not (running.is_json and tried.is_whole):  # of other kinds we know nothing
        return
    difference = compare(running.body, tried.body)
    if difference is None:
        trial.traffic.disagreed()
    else:
        trial.traffic.compared(difference.total, difference.numbers)


async def _pass_on(answer: Answer, request: Request, client: Client) -> None:
    framing, is_chunked = _frame(answer, request)
    if not framing and not is_bodiless(request.method, answer.status):
        client.end()  # only the connection's end can say where the body ends
    head = frame_head(
        status=answer.status,
        reason=answer.reason,
        headers=answer.headers,
        framing=framing,
        keep_alive=client.keeps(request),
    )
    if answer.is_whole:
        client.write(head + answer.body)
        return
    client.write(head)
    try:
        async for piece in answer.rest():
            if client.is_gone():
                answer.abandon()
                return
            if piece:
                client.write(chunk(piece) if is_chunked else piece)
            await client.drain()
    except BackendError:
        client.abort()  # so that nobody takes the half for the whole
        return
    if is_chunked:
        client.write(chunk(b""))


def _frame(answer: Answer, request: Request) -> tuple[bytes, bool]:
    """Return the line that says how long an answer's body is, and whether it is chunked."""
    said = [value for name, value in answer.headers if name == b"content-length"]
    if is_bodiless(request.method, answer.status) or not answer.is_whole:
        if said and answer.status != HTTPStatus.NO_CONTENT:
            return b"content-length: " + said[0] + b"\r\n", False
        if answer.is_whole or request.is_http_1_0:
            return b"", False
        return CHUNKED, True
    return length_of(len(answer.body)), False


def _say(client: Client, request: Request, status: HTTPStatus, message: str) -> None:
    wait = [(b"retry-after", b"1")] if status is HTTPStatus.SERVICE_UNAVAILABLE else []
    client.write(own_answer(status, message, keep_alive=client.keeps(request), headers=wait))


def _say_ok(client: Client, request: Request, body: bytes) -> None:
    head = frame_head(
        status=200,
        reason=b"OK",
        headers=[(b"content-type", b"application/json")],
        framing=length_of(len(body)),
        keep_alive=client.keeps(request),
    )
    client.write(head if request.method == b"HEAD" else head + body)


# The process


async def serve(listener: socket.socket, path: str, settings: ProxySettings) -> None:
    """Answer on a listening socket until SIGTERM, or SIGUSR1.

    ``path`` is the control socket. Both let what is asked be answered. At SIGUSR1 another process
    listens there already, and idle clients may ask once more before they are sent to it.
    """
    loop = asyncio.get_running_loop()
    proxy = Proxy(settings)
    with suppress(FileNotFoundError):
        proxy.route(msgspec.json.decode(Path(ROUTES).read_bytes(), type=Routes))
    ended: asyncio.Future[bool] = loop.create_future()
    for number, lingers in ((signal.SIGTERM, False), (signal.SIGUSR1, True)):
        loop.add_signal_handler(number, partial(_end, ended, lingers))
    server = await loop.create_server(
        lambda: Client(proxy.answer, proxy.clients, settings.limits, loop),
        sock=listener,
        backlog=_BACKLOG,
    )
    controls = await control.listen(path, _handlers(proxy))
    sweeping = loop.create_task(sweep(proxy))
    gc.freeze()
    lingers = await ended
    server.close()
    controls.close()  # which says that clients are taken no longer
    await drain(proxy, linger=_LINGER if lingers else 0.0, seconds=settings.drain_seconds)
    sweeping.cancel()


_BACKLOG = 4096
_LINGER = 5.0


def _end(ended: asyncio.Future[bool], lingers: bool) -> None:  # noqa: FBT001 - a signal's handler
    if not ended.done():
        ended.set_result(lingers)


async def drain(proxy: Proxy, *, linger: float, seconds: float) -> None:
    """Answer what is asked, and end; idle connections are closed after ``linger`` seconds."""
    began = time.monotonic()
    while proxy.clients and time.monotonic() - began < seconds:
        for client in list(proxy.clients):
            client.finish()
            if time.monotonic() - began >= linger:
                client.close_if_idle()
        await asyncio.sleep(0.02)


async def sweep(proxy: Proxy, *, every: float = 1.0) -> None:
    """Look now and then for clients who take too long; a timer for each request costs more."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(every)
        now = loop.time()
        for client in list(proxy.clients):
            client.check_deadline(now)


def _handlers(proxy: Proxy) -> Mapping[str, control.Handler]:
    async def route(message: control.Message) -> control.Message:
        proxy.route(msgspec.convert(message["routes"], Routes))
        return {}

    async def observe(message: control.Message) -> control.Message:
        seen = proxy.observe(message["release"], message["seconds"])
        return {"observation": None if seen is None else msgspec.to_builtins(seen)}

    async def ping(message: control.Message) -> control.Message:
        del message
        return {"clients": len(proxy.clients)}

    return {"route": route, "observe": observe, "ping": ping}


def main(arguments: list[str] | None = None) -> None:
    """Run the switch."""
    parser = argparse.ArgumentParser(prog="switch", description=__doc__)
    parser.add_argument("fd", type=int, help="number of the listening socket, inherited")
    parser.add_argument("--socket", required=True, help="path of the control socket")
    parser.add_argument("--settings", default="{}", help="JSON")
    asked = parser.parse_args(arguments)
    settings = msgspec.json.decode(asked.settings, type=ProxySettings)
    _allow_many_files()
    run: Any = asyncio.run
    with suppress(ImportError):
        import uvloop  # noqa: PLC0415 - where it is installed

        run = uvloop.run
    run(serve(socket.socket(fileno=asked.fd), asked.socket, settings))


def _allow_many_files() -> None:
    """Let as many connections be open as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main()
