import hashlib
import hmac
import http.client
import select
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from modelci.adapters.webhook import MAX_BYTES, is_authentic, listen, parse_address
from modelci.errors import ConfigError, UsageError

SECRET, BODY = "s3cret", b'{"ref": "refs/tags/m#prod#1"}'
DIGEST = hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest()


def header(values: Mapping[str, str]) -> Callable[[str], str]:
    return lambda name: values.get(name, "")


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"X-Hub-Signature-256": f"sha256={DIGEST}"}, True),
        ({"X-Gitea-Signature": DIGEST}, True),
        ({"X-Gitlab-Token": SECRET}, True),
        ({"X-Hub-Signature-256": f"sha256={'0' * 64}", "X-Gitea-Signature": DIGEST}, True),
        ({"X-Hub-Signature-256": DIGEST}, False),
        ({"X-Hub-Signature-256": f"sha256={'0' * 64}"}, False),
        ({"X-Hub-Signature": f"sha1={DIGEST}"}, False),
        ({"X-Gitea-Signature": f"sha256={DIGEST}"}, False),
        ({"X-Gitlab-Token": SECRET + "x"}, False),
        ({"X-Gitlab-Token": "\udce9"}, False),
        ({"X-Gitlab-Token": ""}, False),
        ({}, False),
    ],
)
def test_a_hook_is_believed_if_it_was_signed_with_the_secret(
    headers: Mapping[str, str], *, wanted: bool
) -> None:
    assert is_authentic(header(headers), BODY, SECRET) is wanted


def test_another_body_than_was_signed_is_not_believed() -> None:
    signed = header({"X-Hub-Signature-256": f"sha256={DIGEST}"})
    assert not is_authentic(signed, BODY + b" ", SECRET)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("127.0.0.1:9000", ("127.0.0.1", 9000)),
        (":9000", ("127.0.0.1", 9000)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, wanted: tuple[str, int]) -> None:
    assert parse_address(text) == wanted


@pytest.mark.parametrize("text", ["9000", "localhost", "localhost:", "localhost:x", "h:70000"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no HOST:PORT"):
        parse_address(text)


@contextmanager
def server(rings: list[str]) -> Iterator[int]:
    ring = partial(rings.append, "ring")
    with listen("127.0.0.1:0", secret=SECRET, ring=ring, notice_seconds=0.01) as port:
        yield port


def send(port: int, method: str, body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(
            method, "/", body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_valid_hook_rings_and_nothing_else_does() -> None:
    rings: list[str] = []
    with server(rings) as port:
        assert send(port, "POST", BODY, x_hub_signature_256=f"sha256={DIGEST}") == 202
        assert rings == ["ring"]
        assert send(port, "POST", BODY, x_hub_signature_256="sha256=bad") == 403
        assert send(port, "POST", BODY) == 403
        assert send(port, "POST", BODY, x_gitlab_token=SECRET) == 202
    assert rings == ["ring", "ring"]
    with pytest.raises(OSError, match="refused"):
        send(port, "POST", BODY)


def get(port: int, method: str, path: str) -> tuple[int, str | None, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        return reply.status, reply.headers["Allow"], reply.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_hears_in_a_line_which_is_wanted(method: str) -> None:
    rings: list[str] = []
    with server(rings) as port:
        status, allowed, said = get(port, method, "/")
        assert get(port, "HEAD", "/") == (405, "POST", "")
    assert (status, allowed) == (405, "POST")
    assert said == "Webhooks come by POST; GET /health says whether somebody listens.\n"
    assert rings == []


def test_whether_somebody_listens_can_be_asked() -> None:
    rings: list[str] = []
    with server(rings) as port:
        assert get(port, "GET", "/health") == (200, None, "ok\n")
        assert get(port, "HEAD", "/health") == (200, None, "")
    assert rings == []


def test_what_is_no_method_gets_no_page_of_html() -> None:
    with server([]) as port, socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.0 501 ")
    assert b"<html" not in answer.lower()


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (f"Content-Length: {MAX_BYTES + 1}", b"413"),
        ("Content-Length: -1", b"411"),
        ("Content-Length: many", b"411"),
        ("Transfer-Encoding: chunked", b"411"),
        ("", b"411"),
    ],
)
def test_a_body_that_is_too_large_or_of_no_known_size_is_not_read(
    headers: str, status: bytes
) -> None:
    rings: list[str] = []
    with server(rings) as port:
        answer = raw(port, f"POST / HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n".encode())
    assert answer.split(b" ")[1] == status
    assert rings == []


def test_many_silent_clients_do_not_keep_it_from_stopping() -> None:
    with ExitStack() as clients:
        with listen("127.0.0.1:0", secret=SECRET, ring=lambda: None, silence_seconds=None) as port:
            idle = [
                clients.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60))
                for _ in range(33)
            ]
            # One is turned away: by then as many as may be are waited for.
            assert select.select(idle, [], [], 60)[0]
        # It has ended, while they are as silent as before.
        idle[0].setblocking(False)
        with pytest.raises(BlockingIOError):
            idle[0].recv(1)


def test_without_a_secret_nobody_listens() -> None:
    with (
        pytest.raises(ConfigError, match="Webhooks need a secret") as raised,
        listen("127.0.0.1:0", secret=None, ring=lambda: None),
    ):
        pass
    assert "MODELCI_WEBHOOK_SECRET" in (raised.value.hint or "")


def test_an_address_in_use_is_said() -> None:
    with (
        server([]) as port,
        pytest.raises(ConfigError, match=f"Nobody can listen at 127.0.0.1:{port}"),
        listen(f"127.0.0.1:{port}", secret=SECRET, ring=lambda: None),
    ):
        pass


def test_a_length_of_thousands_of_digits_is_answered() -> None:
    with server([]) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", "9" * 5_000)
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()
