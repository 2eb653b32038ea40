"""The builtin switch speaks HTTP/1.1 with all kinds of clients, and of releases."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import h11
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelci.adapters.targets.switching.client import Client
from modelci.adapters.targets.switching.proxy import Proxy, drain, sweep
from modelci.adapters.targets.switching.routes import Route, Routes
from modelci.adapters.targets.switching.settings import Limits, ProxySettings
from modelci.domain.deployment import Trial

Run = Callable[[Coroutine[Any, Any, None]], object]
Script = Callable[["Heard"], Awaitable[bytes | None]]


@dataclass(frozen=True)
class Heard:
    """A request as a release got it."""

    method: str
    target: str
    headers: dict[str, str]
    names: tuple[str, ...]
    body: bytes
    number: int
    writer: asyncio.StreamWriter


@dataclass
class Release:
    """Answers on a socket as it is told; what a script returns is sent as it is, None ends it."""

    socket: str
    script: Script
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    talking: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self) -> asyncio.Server:
        return await asyncio.start_unix_server(self._hear, self.socket)

    async def end(self) -> None:
        for task in self.talking:
            task.cancel()
        await asyncio.gather(*self.talking, return_exceptions=True)

    def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self.talking.add(task)
        task.add_done_callback(self.talking.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        parser = h11.Connection(h11.SERVER)
        try:
            while (heard := await self._read(parser, reader, writer)) is not None:
                self.heard.append(heard)
                said = await self.script(heard)
                if said is None:
                    break
                writer.write(said)
                await writer.drain()
                parser = h11.Connection(h11.SERVER)
        except (ConnectionError, h11.RemoteProtocolError):
            pass
        finally:
            writer.close()

    async def _read(
        self, parser: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Heard | None:
        request, body = None, b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                parser.receive_data(await reader.read(65536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                headers = [(name.decode(), value.decode()) for name, value in request.headers]
                return Heard(
                    method=request.method.decode(),
                    target=request.target.decode(),
                    headers=dict(headers),
                    names=tuple(name for name, _ in headers),
                    body=body,
                    number=len(self.heard),
                    writer=writer,
                )
            else:
                return None


def reply(
    body: bytes = b"{}", *, status: str = "200 OK", headers: Sequence[str] = (), length: bool = True
) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def echo(heard: Heard) -> bytes:
    return reply(
        json.dumps(
            {"target": heard.target, "body": heard.body.decode("latin-1"), "headers": heard.headers}
        ).encode()
    )


def post(body: bytes = b'{"x": 1}', *headers: str, path: str = "/predict") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Front:
    """A switch that listens on ``port``, in front of releases ``a`` and ``b``."""

    proxy: Proxy
    port: int
    a: Release
    b: Release

    async def send(self, *pieces: bytes, pause: float = 0.0, seconds: float = 60.0) -> bytes:
        """Send pieces on one connection, and return all that comes until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            async with asyncio.timeout(seconds):
                return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()

    def route(self, running: str = "a", trial: Trial | None = None) -> None:
        self.proxy.route(
            Routes(
                routes=(Route(artifact="credit", running=running, trial=trial),),
                sockets={"a": self.a.socket, "b": self.b.socket},
            )
        )


def parse(data: bytes, count: int | None = None, *, method: str = "POST") -> list[tuple[int, Any]]:
    """Return status and body of each answer; all of them must be whole."""
    parser = h11.Connection(h11.CLIENT)
    found: list[tuple[int, Any]] = []
    rest = data
    while rest:
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(rest)
        parser.receive_data(b"")
        status, body = 0, b""
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            assert event is not h11.NEED_DATA, rest
        found.append((status, json.loads(body) if body else None))
        rest = parser.trailing_data[0]
    assert count is None or len(found) == count
    return found


@asynccontextmanager
async def front(
    folder: Path,
    script: Script = echo,
    other: Script = echo,
    *,
    limits: Limits | None = None,
    answer_seconds: float = 60.0,
) -> AsyncIterator[Front]:
    given = ProxySettings(limits=limits or Limits(), answer_seconds=answer_seconds)
    proxy = Proxy(given)
    loop = asyncio.get_running_loop()
    releases = [Release(str(folder / name), does) for name, does in (("a", script), ("b", other))]
    servers = [await one.serve() for one in releases]
    listener = socket.create_server(("127.0.0.1", 0))
    server = await loop.create_server(
        lambda: Client(proxy.answer, proxy.clients, given.limits, loop), sock=listener
    )
    sweeping = loop.create_task(sweep(proxy, every=0.05))
    made = Front(proxy, listener.getsockname()[1], *releases)
    made.route()
    try:
        yield made
    finally:
        sweeping.cancel()
        server.close()
        await drain(proxy, linger=0.0, seconds=1.0)
        made.proxy.route(Routes())
        for one in (*servers, server):
            one.close()
        for release in releases:
            await release.end()
        await asyncio.sleep(0.01)  # transports close in the loop's next turns


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return asyncio.run if request.param == "asyncio" else uvloop.run


CLOSE = "Connection: close"


def test_a_request_is_passed_on_and_its_answer_back(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            [(status, said)] = parse(await it.send(post(b'{"x": 1}', CLOSE)))
            assert status == 200
            assert said["body"] == '{"x": 1}'
            assert it.a.heard[0].method == "POST"

    run(scenario())


def test_pipelined_requests_are_answered_in_their_order(run: Run, tmp_path: Path) -> None:
    async def slow_first(heard: Heard) -> bytes:
        await asyncio.sleep(0.2 if heard.number == 0 else 0)
        return reply(heard.body)

    async def scenario() -> None:
        async with front(tmp_path, slow_first) as it:
            many = [post(b"%d" % number) for number in range(49)] + [post(b"49", CLOSE)]
            found = parse(await it.send(b"".join(many)))
            assert found == [(200, number) for number in range(50)]

    run(scenario())


def test_large_requests_wait_with_the_client_and_not_in_memory(run: Run, tmp_path: Path) -> None:
    answers = asyncio.Event()

    async def waits(heard: Heard) -> bytes:
        await answers.wait()
        return reply(b"1")

    async def scenario() -> None:
        async with front(tmp_path, waits, limits=Limits(body_bytes=1_000_000)) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            many = [post(b"x" * 900_000)] * 30 + [post(b"", CLOSE)]
            writing = asyncio.ensure_future(write_all(writer, many))
            await asyncio.sleep(0.5)
            assert not writing.done()
            [client] = it.proxy.clients
            assert len(client._waiting) <= 4
            answers.set()
            await writing
            assert len(parse(await reader.read())) == 31
            writer.close()

    run(scenario())


async def write_all(writer: asyncio.StreamWriter, pieces: Sequence[bytes]) -> None:
    for piece in pieces:
        writer.write(piece)
        await writer.drain()


def test_connections_to_releases_are_used_again(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            for _ in range(5):
                parse(await it.send(post(b"1"), post(b"2", CLOSE)), 2)
            assert len(it.a.heard) == 10
            assert it.a.connections == 1

    run(scenario())


def test_chunks_become_a_body_with_a_length(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            request = (
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n"
                b"Connection: close\r\n\r\n"
                b"4\r\nabcd\r\n2;ext=1\r\nef\r\n0\r\nSum: 9\r\nHost: y\r\n\r\n"
            )
            for piece in (len(request), 1):
                pieces = [request[at : at + piece] for at in range(0, len(request), piece)]
                [(status, _)] = parse(await it.send(*pieces))
                heard = it.a.heard[-1]
                assert (status, heard.body) == (200, b"abcdef")
                assert heard.headers["content-length"] == "6"
                assert not {"transfer-encoding", "trailer", "sum"} & set(heard.names)
                assert heard.headers["host"] == "x"

    run(scenario())


def test_what_is_meant_for_one_hop_stays_there(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes:
        headers = ["Connection: X-Inner", "X-Inner: 1", "Keep-Alive: timeout=1", "X-Kept: 2"]
        return reply(headers=headers)

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            said = await it.send(
                post(
                    b"{}",
                    "Connection: close, X-Mine",
                    "X-Mine: 1",
                    "TE: trailers",
                    "Proxy-Authorization: secret",
                    "Authorization: Bearer kept",
                    "X-Forwarded-For: 10.0.0.1",
                )
            )
            heard = it.a.heard[0]
            assert not {"x-mine", "te", "proxy-authorization", "connection"} & set(heard.names)
            assert heard.headers["authorization"] == "Bearer kept"
            assert heard.headers["x-forwarded-for"] == "10.0.0.1, 127.0.0.1"
            assert b"x-kept: 2" in said
            assert b"x-inner" not in said
            assert b"keep-alive" not in said.lower()

    run(scenario())


def test_nobody_can_have_the_host_or_the_length_taken_away(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            await it.send(post(b"abc", "Connection: close, host, content-length, authorization"))
            assert it.a.heard[0].headers["host"] == "x"
            assert it.a.heard[0].body == b"abc"

    run(scenario())


def test_a_client_who_waits_for_it_is_told_to_go_on(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            head, _, body = post(b"abc", "Expect: 100-continue", CLOSE).partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            assert await reader.readline() == b"\r\n"
            writer.write(body)
            parse(await reader.read(), 1)
            assert it.a.heard[0].body == b"abc"
            assert "expect" not in it.a.heard[0].names
            writer.close()

    run(scenario())


def test_being_told_to_go_on_comes_after_the_answer_before_it(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes:
        await asyncio.sleep(0.1)
        return reply(heard.body)

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            head, _, body = post(b"22", "Expect: 100-continue", CLOSE).partition(b"\r\n\r\n")
            writer.write(post(b"1") + head + b"\r\n\r\n")
            said = await reader.readuntil(b"100 Continue\r\n\r\n")
            assert parse(said.removesuffix(b"HTTP/1.1 100 Continue\r\n\r\n")) == [(200, 1)]
            writer.write(body)
            assert parse(await reader.read()) == [(200, 22)]
            writer.close()

    run(scenario())


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path, limits=Limits(body_bytes=10)) as it:
            head = post(b"x" * 11, "Expect: 100-continue").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            [(status, said)] = parse(await it.send(head))
            assert (status, "more than 10 bytes" in said["error"]) == (413, True)
            chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + (
                b"4\r\nabcd\r\n" * 5
            )
            assert parse(await it.send(chunked))[0][0] == 413
            assert parse(await it.send(post(b"x" * 10, CLOSE)))[0][0] == 200
            assert len(it.a.heard) == 1

    run(scenario())


def test_a_client_who_goes_on_sending_still_reads_why(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path, limits=Limits(body_bytes=1000)) as it:
            found = parse(await it.send(post(b"x" * 5_000_000)))
            assert found[0][0] == 413

    run(scenario())


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"b" * 3000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: " + b"b" * 3000, 431),
        (b"GET /" + b"a" * 3000, 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 40 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\n", 417),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (post(b"abc", "Upgrade: h2c", "Connection: Upgrade"), 501),
        (b"GET nonsense HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
def test_what_cannot_be_read_is_refused(run: Run, tmp_path: Path, head: bytes, status: int) -> None:
    async def scenario() -> None:
        limits = Limits(head_bytes=2000, headers=30)
        async with front(tmp_path, limits=limits) as it:
            [(found, said)] = parse(await it.send(head))
            assert (found, set(said)) == (status, {"error"})
            assert it.a.heard == []

    run(scenario())


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 6", b"Transfer-Encoding: chunked"],
        [b"Content-Length: 6", b"Content-Length: 5"],
        [b"Content-Length: 6, 5"],
        [b"Content-Length: +6"],
        [b"Content-Length: 0x6"],
        [b"Content-Length : 6"],
        [b" Content-Length: 6"],
        [b"Transfer-Encoding : chunked"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"],
        [b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding:\x0bchunked"],
        [b"X: y\rTransfer-Encoding: chunked"],
        [b"X: \x00", b"Content-Length: 6"],
    ],
)
def test_where_a_body_ends_is_never_in_doubt(run: Run, tmp_path: Path, lines: list[bytes]) -> None:
    """Two servers that disagree on it let one client's words stand in another's request."""

    async def scenario() -> None:
        async with front(tmp_path) as it:
            head = b"\r\n".join([b"POST / HTTP/1.1", b"Host: x", *lines, b"", b""])
            said = await it.send(head + b"0\r\n\r\n" + SMUGGLED)
            assert parse(said)[0][0] in {400, 501}
            assert it.a.heard == []

    run(scenario())


def test_an_upgrade_is_not_taken_and_what_follows_is_answered(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            ask = (
                b"GET /%d HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
            many = b"".join(ask % number for number in range(2000))
            found = parse(await it.send(many + post(b"1", CLOSE)), 2001)
            assert [one["target"] for _, one in found[:2000]] == [f"/{n}" for n in range(2000)]
            assert "upgrade" not in it.a.heard[0].names

    run(scenario())


def test_what_proxies_are_asked_is_understood(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            await it.send(b"GET http://x/v2?a=b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            await it.send(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert [one.target for one in it.a.heard] == ["/v2?a=b", "*"]

    run(scenario())


def test_http_1_0_ends_with_the_answer_unless_it_asks_to_stay(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            assert len(parse(await it.send(b"GET /a HTTP/1.0\r\n\r\n"))) == 1
            stay = b"GET /b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
            assert len(parse(await it.send(stay + b"GET /c HTTP/1.0\r\n\r\n"))) == 2

    run(scenario())


def test_answers_without_a_body_have_none(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes:
        if heard.method == "HEAD":
            return reply(b"", headers=["Content-Length: 11"], length=False)
        if heard.target == "/none":
            return reply(b"", status="204 No Content", length=False)
        return reply(b"", status="304 Not Modified", headers=["ETag: 1"], length=False)

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            end = " HTTP/1.1\r\nHost: x\r\n\r\n"
            many = "".join(f"{one}{end}" for one in ("HEAD /", "GET /none", "GET /same", "HEAD /"))
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(many.encode())
            heads = [await reader.readuntil(b"\r\n\r\n") for _ in range(4)]
            writer.close()
            assert [one.split()[1] for one in heads] == [b"200", b"204", b"304", b"200"]
            assert b"content-length: 11" in heads[0]
            assert b"content-length" not in heads[1]

    run(scenario())


LARGE = b"x" * 3_000_000


@pytest.mark.parametrize("framing", ["length", "chunked", "end"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_large_answers_go_through_as_they_come(
    run: Run, tmp_path: Path, framing: str, version: str
) -> None:
    body = json.dumps(LARGE.decode()).encode()

    async def script(heard: Heard) -> bytes | None:
        head = {"length": f"Content-Length: {len(body)}", "chunked": "Transfer-Encoding: chunked"}
        said = reply(b"", headers=[head[framing]] if framing in head else [], length=False)
        pieces = [body[at : at + 70_000] for at in range(0, len(body), 70_000)]
        if framing == "chunked":
            pieces = [b"%x\r\n%b\r\n" % (len(one), one) for one in pieces] + [b"0\r\n\r\n"]
        for piece in (said, *pieces):
            heard.writer.write(piece)
            await heard.writer.drain()
        return None if framing == "end" else b""

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            ask = f"GET / HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
            [(status, said)] = parse(await it.send(ask), method="GET")
            assert (status, said) == (200, LARGE.decode())

    run(scenario())


def test_a_client_who_reads_slowly_does_not_fill_the_memory(run: Run, tmp_path: Path) -> None:
    sent = 0

    async def script(heard: Heard) -> bytes:
        nonlocal sent
        heard.writer.write(reply(b"", headers=["Content-Length: 100000000"], length=False))
        for _ in range(1000):
            heard.writer.write(b"x" * 100_000)
            await heard.writer.drain()
            sent += 100_000
        return b""

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            _, writer = await asyncio.open_connection("127.0.0.1", it.port, limit=1024)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.5)
            assert sent < 30_000_000  # what sockets hold, and not the 100 MB
            writer.transport.abort()
            await asyncio.sleep(0.2)
            assert it.proxy.clients == set()

    run(scenario())


# -- releases that misbehave -----------------------------------------------------------------------


def test_a_release_that_is_not_there_is_a_503_with_a_reason(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            it.proxy.route(
                Routes(
                    routes=(Route(artifact="credit", running="gone"),),
                    sockets={"gone": str(tmp_path / "gone")},
                )
            )
            said = await it.send(post(b"1"), post(b"2", CLOSE))
            found = parse(said, 2)
            assert [status for status, _ in found] == [503, 503]
            assert "gone is not there" in found[0][1]["error"]
            assert b"retry-after: 1" in said

    run(scenario())


def test_no_release_at_all_is_a_503(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            it.proxy.route(Routes())
            found = parse(await it.send(post(b"1", CLOSE)))
            assert found == [(503, {"error": "No model is deployed here."})]

    run(scenario())


def test_a_release_that_dies_under_a_request_is_asked_once_more(run: Run, tmp_path: Path) -> None:
    async def dies_once(heard: Heard) -> bytes | None:
        return None if heard.number == 0 else reply(b"7")

    async def scenario() -> None:
        async with front(tmp_path, dies_once) as it:
            assert parse(await it.send(post(b"1", CLOSE))) == [(200, 7)]

    run(scenario())


def test_a_connection_that_was_closed_while_it_waited_costs_nothing(
    run: Run, tmp_path: Path
) -> None:
    async def script(heard: Heard) -> bytes | None:
        if heard.number % 2 == 0:
            asyncio.get_running_loop().call_later(0.05, heard.writer.close)
        return reply(b"7")

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            for _ in range(10):
                assert parse(await it.send(post(b"1", CLOSE))) == [(200, 7)]
                await asyncio.sleep(0.06)
            assert len(it.a.heard) == 10

    run(scenario())


@pytest.mark.parametrize(
    "nonsense", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: a\r\n\r\n"]
)
def test_what_is_no_http_is_a_503(run: Run, tmp_path: Path, nonsense: bytes) -> None:
    async def script(heard: Heard) -> bytes:
        return nonsense

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            [(status, said)] = parse(await it.send(post(b"1", CLOSE)))
            assert (status, "no HTTP" in said["error"]) == (503, True)

    run(scenario())


def test_more_than_one_answer_is_never_passed_to_the_next_client(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes:
        return reply(b"%d" % heard.number) + reply(b"666")

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            for number in range(5):
                assert parse(await it.send(post(b"1", CLOSE))) == [(200, number)]

    run(scenario())


def test_an_answer_that_does_not_come_is_a_504(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes:
        await asyncio.sleep(3)
        return reply()

    async def scenario() -> None:
        async with front(tmp_path, script, answer_seconds=0.2) as it:
            [(status, said)] = parse(await it.send(post(b"1", CLOSE)))
            assert (status, "in time" in said["error"]) == (504, True)
            assert len(it.a.heard) == 1  # it is not made to work twice

    run(scenario())


def test_half_an_answer_is_not_passed_off_as_a_whole_one(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes | None:
        heard.writer.write(reply(b"", headers=["Transfer-Encoding: chunked"], length=False))
        heard.writer.write(b"%x\r\n" % 4_000_000 + b"x" * 2_000_000)
        await heard.writer.drain()
        return None

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            said = await it.send(post(b"1", CLOSE))
            assert not said.endswith(b"0\r\n\r\n")

    run(scenario())


# -- trials ----------------------------------------------------------------------------------------


async def fails(heard: Heard) -> bytes:
    return reply(b'{"error": "no"}', status="500 Oh")


def test_what_a_trial_cannot_answer_the_running_release_does(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path, other=fails) as it:
            it.route("a", Trial(release="b", share=0.9999999))
            for _ in range(20):
                [(status, _)] = parse(await it.send(post(b"1", CLOSE)))
                assert status == 200
            seen = it.proxy.observe("b", 60)
            assert seen is not None
            assert (seen.requests, seen.errors) == (20, 20)
            running = it.proxy.observe("a", 60)
            assert running is not None
            assert (running.requests, running.errors) == (20, 0)

    run(scenario())


def test_a_trial_that_is_late_costs_time_and_no_answer(run: Run, tmp_path: Path) -> None:
    async def late(heard: Heard) -> bytes:
        await asyncio.sleep(2)
        return reply()

    async def scenario() -> None:
        async with front(tmp_path, other=late, answer_seconds=0.2) as it:
            it.route("a", Trial(release="b", share=0.9999999))
            assert parse(await it.send(post(b"1", CLOSE)))[0][0] == 200

    run(scenario())


def test_a_shadow_gets_copies_of_predictions_alone(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path) as it:
            it.route("a", Trial(release="b", shadow=True))
            await it.send(
                post(b"1", "X-Id: 5"),
                b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
                post(b"2", CLOSE),
            )
            async with asyncio.timeout(60):
                while len(it.b.heard) < 2:
                    await asyncio.sleep(0.01)
            assert [one.method for one in it.b.heard] == ["POST", "POST"]
            assert [one.method for one in it.a.heard] == ["POST", "GET", "POST"]
            assert it.b.heard[0].headers["x-id"] == "5"

    async def bounded() -> None:
        await asyncio.wait_for(scenario(), 100)

    run(bounded())


# -- clients who are slow, or leave ----------------------------------------------------------------


@pytest.mark.parametrize(
    "begun", [b"POST / HTTP/1.1\r\nHost", post(b"x" * 100)[:-50], b"\r\n", b"GET"]
)
def test_a_request_that_does_not_come_to_its_end_is_a_408(
    run: Run, tmp_path: Path, begun: bytes
) -> None:
    async def scenario() -> None:
        limits = Limits(head_seconds=0.2, body_seconds=0.3)
        async with front(tmp_path, limits=limits) as it:
            found = parse(await it.send(begun))
            assert [status for status, _ in found] == [408]

    run(scenario())


def test_drops_that_come_one_by_one_do_not_buy_time(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with front(tmp_path, limits=Limits(head_seconds=0.3)) as it:
            drops = [bytes([one]) for one in b"GET /" + b"a" * 60]
            found = parse(await it.send(*drops, pause=0.02))
            assert [status for status, _ in found] == [408]

    run(scenario())


def test_connections_on_which_nothing_is_asked_are_closed(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        limits = Limits(head_seconds=0.2, idle_seconds=0.2)
        async with front(tmp_path, limits=limits) as it:
            assert await it.send() == b""
            assert len(parse(await it.send(post()))) == 1

    run(scenario())


def test_a_client_who_stops_asking_is_still_answered(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes:
        await asyncio.sleep(0.1)
        return reply(heard.body)

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(post(b"1") + post(b"2"))
            writer.write_eof()
            assert parse(await reader.read()) == [(200, 1), (200, 2)]
            writer.close()

    run(scenario())


def test_a_client_who_leaves_does_no_harm(run: Run, tmp_path: Path) -> None:
    async def script(heard: Heard) -> bytes:
        await asyncio.sleep(0.1)
        return reply(heard.body)

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            for _ in range(5):
                _, writer = await asyncio.open_connection("127.0.0.1", it.port)
                writer.write(post(b"1"))
                await writer.drain()
                await asyncio.sleep(0.02)
                writer.transport.abort()
            assert parse(await it.send(post(b"2", CLOSE))) == [(200, 2)]
            await asyncio.sleep(0.1)
            assert it.proxy.clients == set()

    run(scenario())


def test_a_switch_that_ends_answers_what_was_asked_and_says_that_it_ends(
    run: Run, tmp_path: Path
) -> None:
    async def script(heard: Heard) -> bytes:
        await asyncio.sleep(0.2)
        return reply(heard.body)

    async def scenario() -> None:
        async with front(tmp_path, script) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            writer.write(post(b"1") + post(b"2"))
            await asyncio.sleep(0.05)
            await drain(it.proxy, linger=0.0, seconds=5.0)
            said = await reader.read()
            assert parse(said) == [(200, 1), (200, 2)]
            assert said.count(b"connection: close") == 1
            writer.close()

    run(scenario())


# -- any way of cutting it -------------------------------------------------------------------------

BODIES = st.lists(st.binary(max_size=40), min_size=1, max_size=6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=BODIES, cuts=st.lists(st.integers(0, 600), max_size=8), chunked=st.booleans())
def test_requests_mean_the_same_however_they_are_cut(
    run: Run, tmp_path: Path, bodies: list[bytes], cuts: list[int], chunked: bool
) -> None:
    def spell(body: bytes) -> bytes:
        if not chunked:
            return post(body)
        chunks = b"".join(b"1\r\n%c\r\n" % one for one in body)
        return (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks
        )

    stream = b"".join(map(spell, bodies)) + post(b"", CLOSE)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[one:two] for one, two in pairwise(places)]

    async def scenario() -> None:
        async with front(tmp_path) as it:
            assert len(parse(await it.send(*pieces))) == len(bodies) + 1
            assert [one.body for one in it.a.heard] == [*bodies, b""]

    run(scenario())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_no_bytes_at_all_break_it(run: Run, tmp_path: Path, data: bytes) -> None:
    async def scenario() -> None:
        limits = Limits(head_seconds=0.1, idle_seconds=0.1, body_seconds=0.1)
        async with front(tmp_path, limits=limits) as it:
            await it.send(data)
            assert parse(await it.send(post(b"1", CLOSE)))[0][0] == 200

    run(scenario())
