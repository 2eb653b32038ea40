"""HTTP/1.1 messages as the switch passes them on; httptools parses, this module frames anew."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus

import msgspec

Headers = Sequence[tuple[bytes, bytes]]
"""Names, in lower case, and values."""

_HOP_BY_HOP = frozenset(
    b"""connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer
    transfer-encoding upgrade""".split()
)
_FORWARDED = b"x-forwarded-for"
_LENGTH = frozenset({b"content-length"})
_REFRAMED = frozenset({b"content-length", b"expect", _FORWARDED})
_ESSENTIAL = frozenset({b"authorization", b"content-encoding", b"content-type", b"host"})
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
_BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A whole request; ``wire`` is what a release is sent."""

    method: bytes
    path: bytes
    wire: bytes
    keep_alive: bool
    is_http_1_0: bool = False

    @property
    def asks_model(self) -> bool:
        """Whether it is a prediction: what is counted, and copied to a shadow."""
        return self.method == b"POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What is said to a request that cannot be read; the connection ends with it."""

    status: HTTPStatus
    message: str


def frame_request(
    *, method: bytes, target: bytes, headers: Headers, body: bytes, client: str
) -> bytes:
    """Return a request with a length, without what was meant for this hop alone."""
    lines = [method + b" " + target + b" HTTP/1.1\r\n"]
    dropped = _HOP_BY_HOP | _REFRAMED | _named_by_connection(headers)
    forwarded = [value for name, value in headers if name == _FORWARDED]
    if client:
        forwarded.append(client.encode())
    lines.extend(name + b": " + value + b"\r\n" for name, value in headers if name not in dropped)
    if forwarded:
        lines.append(_FORWARDED + b": " + b", ".join(forwarded) + b"\r\n")
    if body or method in _WITH_BODY:
        lines.append(b"content-length: %d\r\n" % len(body))
    lines.extend((b"\r\n", body))
    return b"".join(lines)


def frame_head(
    *, status: int, reason: bytes, headers: Headers, framing: bytes, keep_alive: bool
) -> bytes:
    """Return the head of an answer; ``framing`` is the line that says how long its body is."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
    dropped = _HOP_BY_HOP | _LENGTH | _named_by_connection(headers)
    lines.extend(name + b": " + value + b"\r\n" for name, value in headers if name not in dropped)
    lines.append(framing)
    if not keep_alive:
        lines.append(b"connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def own_answer(
    status: HTTPStatus,
    message: str,
    *,
    keep_alive: bool,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> bytes:
    """Return an answer of the switch itself; its body is JSON with an ``error``, as the model's."""
    body = msgspec.json.encode({"error": message})
    head = frame_head(
        status=status,
        reason=status.phrase.encode(),
        headers=[(b"content-type", b"application/json"), *headers],
        framing=length_of(len(body)),
        keep_alive=keep_alive,
    )
    return head + body


def length_of(size: int) -> bytes:
    """Return the header line of a body whose length is known."""
    return b"content-length: %d\r\n" % size


CHUNKED = b"transfer-encoding: chunked\r\n"


def chunk(data: bytes) -> bytes:
    """Return a chunk of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def is_bodiless(method: bytes, status: int) -> bool:
    """Whether an answer has no body, whatever its headers say."""
    return method == b"HEAD" or status in _BODILESS or status < 200


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    """Return the headers that ``Connection`` names: they end here, too."""
    named = [value.lower() for name, value in headers if name == b"connection"]
    if named in ([], [b"keep-alive"], [b"close"]):
        return frozenset()
    # Nobody can have a header taken away that the other end relies on.
    return frozenset(one.strip() for one in b",".join(named).split(b",")) - _ESSENTIAL
