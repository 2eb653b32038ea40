"""One request and its answer as bytes: what is read of the head, the body, what is sent."""

import asyncio
import itertools
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress

import msgspec
from starlette.types import Receive, Send

from modelci.serving.refusal import Kind, Refusal
from modelci.serving.schema import MAX_ID

Header = tuple[bytes, bytes]
JSON: Header = (b"content-type", b"application/json")
BINARY: Header = (b"content-type", b"application/octet-stream")

_PROCESS = secrets.token_hex(8)
_numbers = itertools.count(1)
_LINGER_FACTOR = 10
_LINGER_SECONDS = 2.0


class Head(msgspec.Struct, frozen=True, gc=False):
    """What the server reads of a request's headers."""

    request_id: str
    authorization: bytes | None
    length: int | None
    json_length: bytes | None


class Reply(msgspec.Struct, frozen=True, gc=False):
    """A whole answer."""

    status: int
    headers: Sequence[Header]
    body: bytes


def read_head(headers: Iterable[Header]) -> Head:
    """Read the headers; a request without a decent id gets one."""
    request_id = authorization = length = json_length = None
    for name, value in headers:
        if name == b"x-request-id":
            request_id = value
        elif name == b"authorization":
            authorization = value
        elif name == b"content-length":
            length = value
        elif name == b"inference-header-content-length":
            json_length = value
    return Head(
        request_id=_request_id(request_id),
        authorization=authorization,
        length=None if length is None else int(length),
        json_length=json_length,
    )


def _request_id(given: bytes | None) -> str:
    """Return the client's id where it may stand in headers and logs, else one of ours."""
    if given and len(given) <= MAX_ID and given.isascii():
        text = given.decode("ascii")
        if text.isprintable():
            return text
    return f"{_PROCESS}{next(_numbers):016x}"


async def read_body(receive: Receive, head: Head, most: int) -> bytes | None:
    """Return the whole body; None where the client went away before its end.

    Raises Refusal where it is longer than ``most`` bytes, as soon as that is known.
    """
    if head.length is not None and head.length > most:
        raise _too_large(most)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        parts, size = [body], len(body)
        while message.get("more_body", False) and size <= most:
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
        body = b"".join(parts)
    if len(body) > most:
        raise _too_large(most)
    return body if message["type"] == "http.request" else None


def _too_large(most: int) -> Refusal:
    return Refusal(
        413,
        Kind.TOO_LARGE,
        f"The body is larger than {most:,} bytes. Send fewer rows at a time.",
        # What is still on its way would have to be read to use the connection again.
        headers=[(b"connection", b"close")],
    )


async def send_reply(send: Send, reply: Reply, request_id: str) -> None:
    """Send an answer."""
    await send(_start(reply, request_id))
    await send({"type": "http.response.body", "body": reply.body})


async def send_early(send: Send, reply: Reply, request_id: str) -> None:
    """Send an answer before the request has come in; ``linger`` ends it."""
    await send(_start(reply, request_id))
    await send({"type": "http.response.body", "body": reply.body, "more_body": True})


async def linger(send: Send, receive: Receive, *, most: int) -> None:
    """Hear some more of a request that was answered early, and end.

    A connection that is closed while the client still sends is reset, and the client may then
    never see the answer.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_SECONDS):
            heard, message = 0, await receive()
            while message.get("more_body", False) and heard < most * _LINGER_FACTOR:
                heard += len(message.get("body", b""))
                message = await receive()
    await send({"type": "http.response.body", "body": b""})


def _start(reply: Reply, request_id: str) -> dict[str, object]:
    headers = [
        *reply.headers,
        (b"content-length", str(len(reply.body)).encode()),
        (b"x-request-id", request_id.encode()),
    ]
    return {"type": "http.response.start", "status": reply.status, "headers": headers}
