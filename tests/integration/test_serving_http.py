"""A server on loopback, asked by honest clients and by others."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.fakes.serving import (
    ROW,
    ROWS,
    FakePredictor,
    Running,
    named,
    running,
    served,
    tensors_of,
)

from modelci.serving import metrics as counted
from modelci.serving.metrics import ERRORS, IN_FLIGHT, LOGGED, REQUESTS, UNSEEN
from modelci.serving.refusal import Kind
from modelci.serving.settings import LogSettings, Settings


@pytest.fixture
def server() -> Iterator[Running]:
    with running() as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with server.client() as found:
        yield found


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert is_so()


# The Open Inference Protocol and records.


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/v2/health/live", {"live": True}),
        ("/v2/health/ready", {"ready": True}),
        ("/v2/models/credit/ready", {"name": "credit", "ready": True}),
        ("/v2/models/credit/versions/v1.0.0/ready", {"name": "credit", "ready": True}),
    ],
)
def test_probes_say_yes(client: httpx.Client, path: str, content: Mapping[str, Any]) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.json()) == (200, content)


@pytest.mark.parametrize("path", ["/v2/models", "/v2/models/"])
def test_the_models_are_listed(client: httpx.Client, path: str) -> None:
    reply = client.get(path)
    assert (reply.status_code, reply.json()) == (200, {"models": ["credit"]})


def test_the_server_and_the_model_describe_themselves(client: httpx.Client) -> None:
    assert client.get("/v2").json() == client.get("/v2/").json()
    assert client.get("/v2").json()["extensions"] == ["binary_tensor_data"]
    model = client.get("/v2/models/credit").json()
    assert model == client.get("/v2/models/credit/versions/v1.0.0").json()
    assert model["inputs"][2] == {"name": "purpose", "datatype": "BYTES", "shape": [-1]}
    assert model["outputs"] == [{"name": "score", "datatype": "FP64", "shape": [-1]}]


@pytest.mark.parametrize(
    "path", ["/predict", "/v2/models/credit/records", "/v2/models/credit/versions/v1.0.0/records"]
)
def test_records_are_answered_in_their_order(client: httpx.Client, path: str) -> None:
    reply = client.post(path, json={"records": ROWS, "id": "r1"})
    assert reply.json() == {
        "id": "r1",
        "model": "credit",
        "version": "v1.0.0",
        "predictions": [{"score": 500.0}, {"score": 20.5}, {"score": 999.0}],
    }


@pytest.mark.parametrize(
    "path", ["/v2/models/credit/infer", "/v2/models/credit/versions/v1.0.0/infer"]
)
def test_tensors_are_answered(client: httpx.Client, path: str) -> None:
    reply = client.post(path, json={"id": "42", "inputs": tensors_of(ROWS)})
    assert reply.json() == {
        "model_name": "credit",
        "model_version": "v1.0.0",
        "id": "42",
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [3], "data": [500.0, 20.5, 999.0]}
        ],
    }


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/other",
        "/v2/models/credit/versions/v9",
        "/v2/models/credit/versions/v9/infer",
        "/v2/models/other/infer",
        "/nothing",
        "/",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_there_is_not_is_told_as_json(client: httpx.Client, method: str, path: str) -> None:
    reply = client.request(method, path)
    assert reply.status_code == 404
    assert reply.json()["error"]


def test_predictions_are_asked_for_by_post(client: httpx.Client) -> None:
    for path in ("/predict", "/v2/models/credit/infer"):
        reply = client.get(path)
        assert (reply.status_code, reply.headers["allow"]) == (405, "POST")


def test_a_request_keeps_its_id_or_gets_one(client: httpx.Client) -> None:
    given = client.post("/predict", json=[ROW], headers={"x-request-id": "abc-1"})
    assert given.headers["x-request-id"] == given.json()["id"] == "abc-1"
    made = client.post("/predict", json=[ROW])
    assert made.headers["x-request-id"] == made.json()["id"] != "abc-1"
    refused = client.post("/predict", json=[])
    assert refused.headers["x-request-id"] == refused.json()["id"]
    assert client.get("/v2", headers={"x-request-id": "abc-2"}).headers["x-request-id"] == "abc-2"


@pytest.mark.parametrize("given", ["x" * 200, "a\tb", "ü", ""])
def test_an_id_that_could_spoil_a_log_is_replaced(client: httpx.Client, given: str) -> None:
    reply = client.post("/predict", json=[ROW], headers=[(b"x-request-id", given.encode())])
    assert len(reply.json()["id"]) == 32


def test_unseen_categories_are_answered_with_a_warning(
    server: Running, client: httpx.Client
) -> None:
    reply = client.post("/predict", json=[{**ROW, "purpose": "boat"}])
    assert reply.json()["warnings"] == [
        {"row": 0, "column": "purpose", "message": "not seen in training"}
    ]
    assert server.app.metrics.total(UNSEEN) == 1


def test_wrong_rows_are_told_by_field(client: httpx.Client) -> None:
    reply = client.post("/predict", json=[ROW, {**ROW, "amount": "7"}])
    assert reply.status_code == 422
    assert reply.json()["problems"] == [
        {"row": 1, "column": "amount", "message": "must be a number, not a string"}
    ]
    tensors = tensors_of([ROW])
    tensors[0]["data"] = ["7"]
    reply = client.post("/v2/models/credit/infer", json={"inputs": tensors})
    assert (reply.status_code, reply.json()["problems"][0]["column"]) == (400, "amount")


def test_a_missing_number_in_an_answer_is_null() -> None:
    says = {"score": np.array([np.nan])}
    with running(served(FakePredictor(says=says))) as server, server.client() as client:
        assert client.post("/predict", json=[ROW]).json()["predictions"] == [{"score": None}]
        assert (
            b'"data":[null]'
            in client.post("/v2/models/credit/infer", json={"inputs": tensors_of([ROW])}).content
        )


# What goes wrong in here.


def test_a_clients_mistake_that_only_the_model_sees_is_the_clients() -> None:
    error = ValueError("Found unknown categories ['boat'] in column 0\nand more")
    with running(served(FakePredictor(error=error))) as server, server.client() as client:
        reply = client.post("/predict", json=[ROW])
        assert reply.status_code == 422
        assert reply.json()["error"] == (
            "The model cannot read this: Found unknown categories ['boat'] in column 0"
        )
        reply = client.post("/v2/models/credit/infer", json={"inputs": tensors_of([ROW])})
        assert reply.status_code == 400


@pytest.mark.parametrize(
    "predictor",
    [
        FakePredictor(error=RuntimeError("the password is hunter2")),
        FakePredictor(says={"score": np.array([1.0, 2.0])}),
        FakePredictor(says={}),
    ],
)
def test_no_client_and_no_log_sees_what_went_wrong_inside(
    predictor: FakePredictor, caplog: pytest.LogCaptureFixture
) -> None:
    with running(served(predictor)) as server, server.client() as client:
        for _ in range(2):
            reply = client.post("/predict", json=[ROW])
            assert reply.status_code == 500
            assert reply.json()["error"] == "The server failed to answer; its log says where."
            assert "Traceback" not in reply.text
        assert server.app.metrics.total(ERRORS, Kind.INTERNAL) == 2
    assert "A request failed: " in caplog.messages[0]
    assert "hunter2" not in caplog.text


# Who may ask.


def test_without_a_token_only_probes_and_the_page_are_answered() -> None:
    settings = Settings(drain_seconds=0).with_tokens("secret")
    with running(settings=settings) as server, server.client() as client:
        for path in ("/v2", "/v2/models/credit", "/metrics", "/openapi.json", "/nothing"):
            reply = client.get(path)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
        for path in ("/predict", "/v2/models/credit/infer"):
            reply = client.post(path, json=[ROW], headers={"authorization": "Bearer secre"})
            assert reply.status_code == 401
        for path in ("/v2/health/live", "/v2/health/ready", "/docs"):
            assert client.get(path).status_code == 200
        assert server.app.metrics.total(ERRORS, Kind.UNAUTHORIZED) == 7
        client.headers["authorization"] = "Bearer secret"
        assert client.post("/predict", json=[ROW]).status_code == 200
        assert client.get("/v2").status_code == 200


# Limits.


def test_a_body_that_is_too_long_is_refused_before_it_comes() -> None:
    settings = Settings(drain_seconds=0, max_body=1000)
    with running(settings=settings) as server, server.connect() as sock:
        sock.sendall(b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n")
        reply = read_all(sock).decode()
        assert reply.startswith("HTTP/1.1 413 ")
        assert "connection: close" in reply
        assert "larger than 1,000 bytes" in reply


def test_whoever_sends_too_much_sees_why() -> None:
    """The client sends all of it before it reads: a reset would take the answer from it."""
    settings = Settings(drain_seconds=0, max_body=1_000_000)
    with running(settings=settings) as server, server.client() as client:
        for content in (b" " * 3_000_000, iter([b" " * 100_000] * 30)):
            reply = client.post("/predict", content=content)
            assert reply.status_code == 413
        assert client.post("/predict", json=[ROW]).status_code == 200
        assert server.app.metrics.total(ERRORS, Kind.TOO_LARGE) == 2


def test_a_body_in_chunks_is_answered_and_counted_as_it_comes(client: httpx.Client) -> None:
    body = json.dumps([ROW] * 500).encode()
    pieces = (body[at : at + 1000] for at in range(0, len(body), 1000))
    reply = client.post("/predict", content=pieces)
    assert len(reply.json()["predictions"]) == 500


def test_too_many_rows_are_refused() -> None:
    with running(settings=Settings(drain_seconds=0, max_rows=2)) as server:
        with server.client() as client:
            assert client.post("/predict", json=[ROW] * 3).status_code == 422
            tensors = {"inputs": tensors_of([ROW] * 3)}
            assert client.post("/v2/models/credit/infer", json=tensors).status_code == 400
        assert server.app.metrics.total(ERRORS, Kind.TOO_MANY_ROWS) == 2


def test_a_model_that_takes_too_long_is_not_waited_for() -> None:
    settings = Settings(drain_seconds=0, timeout_seconds=0.3)
    held = threading.Event()
    model = served(FakePredictor(held=held), inline_rows=0)
    with running(model, settings) as server, server.client() as client:
        assert client.post("/predict", json=[ROW]).status_code == 504
        # The event loop was free meanwhile, and is.
        assert client.get("/v2/health/live").status_code == 200
        assert server.app.metrics.total(ERRORS, Kind.TIMEOUT) == 1
        held.set()


def test_a_model_that_never_comes_back_makes_the_server_ask_to_be_started_again() -> None:
    settings = Settings(drain_seconds=0, timeout_seconds=0.02)
    held = threading.Event()
    model = served(FakePredictor(held=held), inline_rows=0)
    with running(model, settings) as server, server.client() as client:
        assert client.post("/predict", json=[ROW]).status_code == 504
        wait_until(lambda: client.get("/v2/health/live").status_code == 503)
        assert client.get("/v2/health/ready").status_code == 503
        held.set()
        wait_until(lambda: client.get("/v2/health/live").status_code == 200)


def test_more_than_may_wait_are_turned_away() -> None:
    settings = Settings(drain_seconds=0, max_waiting=4)
    held = threading.Event()
    model = served(FakePredictor(held=held), inline_rows=0)
    with running(model, settings) as server, ThreadPoolExecutor(12) as pool:

        def ask(_: int) -> httpx.Response:
            with server.client() as client:
                return client.post("/predict", json=[ROW])

        asked = [pool.submit(ask, number) for number in range(12)]
        wait_until(lambda: any(one.done() for one in asked))
        held.set()
        replies = [one.result() for one in asked]
        codes = [one.status_code for one in replies]
        assert codes.count(200) >= 4
        assert codes.count(503) >= 1
        assert set(codes) == {200, 503}
        assert {one.headers.get("retry-after") for one in replies} == {None, "1"}
        wait_until(lambda: server.app.metrics.total(IN_FLIGHT) == 0)


def test_one_thread_asks_the_model_and_in_order() -> None:
    """Quick batches wait for a slow one that came first: the model is asked by one at a time."""

    class Watched(FakePredictor):
        busy = 0
        worst = 0

        def predict(self, columns: Any) -> Any:
            Watched.busy += 1
            Watched.worst = max(Watched.worst, Watched.busy)
            time.sleep(0.05 if len(columns["amount"]) > 1 else 0)
            Watched.busy -= 1
            return super().predict(columns)

    with running(served(Watched(), inline_rows=1)) as server, ThreadPoolExecutor(8) as pool:

        def ask(number: int) -> int:
            with server.client() as client:
                return client.post("/predict", json=[ROW] * (1 + number % 2)).status_code

        assert set(pool.map(ask, range(40))) == {200}
    assert Watched.worst == 1


# Clients that are slow, rude, or broken.


def read_all(sock: socket.socket) -> bytes:
    found = b""
    while data := sock.recv(65_536):
        found += data
    return found


@pytest.fixture
def impatient() -> Iterator[Running]:
    with running(settings=Settings(drain_seconds=0, timeout_seconds=0.4)) as found:
        yield found


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /pre",
        b"POST /predict HTTP/1.1\r\nhost: x\r\nx-slow: ",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n",
    ],
)
def test_a_request_that_trickles_in_is_ended(impatient: Running, begun: bytes) -> None:
    with impatient.connect() as sock:
        sock.sendall(begun)
        began = time.monotonic()
        # A byte now and then does not keep it alive.
        for _ in range(2):
            time.sleep(0.05)
            sock.sendall(b"1")
        reply = read_all(sock)
        assert time.monotonic() - began < 30
        assert reply.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert impatient.app.metrics.total(ERRORS, Kind.SLOW_CLIENT) == 1
    wait_until(lambda: impatient.app.metrics.total(IN_FLIGHT) == 0)


def test_a_connection_that_says_nothing_is_ended(impatient: Running) -> None:
    with impatient.connect() as sock:
        assert read_all(sock) == b""


def test_a_client_that_does_not_take_its_answer_is_ended(impatient: Running) -> None:
    body = json.dumps([ROW] * 10_000).encode()
    request = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    with impatient.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with suppress(OSError):  # it ends while we still send
            for _ in range(200):
                sock.sendall(request)
                time.sleep(0.02)
    wait_until(lambda: not impatient.server.server_state.connections)


def test_endless_headers_are_ended(server: Running) -> None:
    with server.connect() as sock:
        sock.sendall(b"GET /v2 HTTP/1.1\r\nhost: x\r\n")
        reply = b""
        try:
            for number in range(3000):
                sock.sendall(b"x-%d: %s\r\n" % (number, b"y" * 60))
            reply = read_all(sock)
        except OSError:  # it was closed while we still sent
            pass
        assert reply[:12] in {b"", b"HTTP/1.1 431"}
    assert server.app.metrics.total(ERRORS, Kind.TOO_LARGE) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n12",
        b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        (
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n"
            b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
    ],
)
def test_what_is_no_http_is_refused(server: Running, sent: bytes) -> None:
    with server.connect() as sock:
        sock.sendall(sent)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")
    with server.client() as client:
        assert client.post("/predict", json=[ROW]).status_code == 200


def test_a_client_that_goes_away_in_the_middle_leaves_nothing(server: Running) -> None:
    for begun in (b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n[", b"GET"):
        with server.connect() as sock:
            sock.sendall(begun)
    with server.client() as client:
        assert client.post("/predict", json=[ROW]).status_code == 200
    wait_until(lambda: server.app.metrics.total(IN_FLIGHT) == 0)


def test_requests_in_one_packet_are_answered_in_order(server: Running) -> None:
    bodies = [json.dumps({"records": [ROW], "id": str(number)}).encode() for number in range(3)]
    requests = [
        b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(one), one)
        for one in bodies
    ]
    with server.connect() as sock:
        sock.sendall(
            b"".join(requests[:2]) + requests[2].replace(b"host", b"connection: close\r\nhost")
        )
        replies = read_all(sock)
    assert [replies.index(b'"id":"%d"' % number) for number in range(3)] == sorted(
        replies.index(b'"id":"%d"' % number) for number in range(3)
    )


def test_a_slow_second_request_does_not_take_the_firsts_answer() -> None:
    settings = Settings(drain_seconds=0, timeout_seconds=1.5)
    model = served(FakePredictor(seconds=0.3), inline_rows=0)
    body = json.dumps([ROW] * 2).encode()
    with running(model, settings) as server, server.connect() as sock:
        sock.sendall(
            b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%sPOST /pre"
            % (len(body), body)
        )
        replies = read_all(sock)
    assert replies.startswith(b"HTTP/1.1 200 OK")
    assert replies.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 408 Request Timeout" in replies


def test_a_client_that_waits_to_be_asked_for_its_body_is(server: Running) -> None:
    body = json.dumps([ROW]).encode()
    with server.connect() as sock:
        sock.sendall(
            b"POST /predict HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        )
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(body)
        assert read_all(sock).startswith(b"HTTP/1.1 200 OK")


def test_a_websocket_is_not_spoken(client: httpx.Client) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-key": "x"}
    assert client.get("/predict", headers=upgrade).status_code == 405


# Metrics, log, page.


def test_metrics_are_counted_by_endpoint_and_status(server: Running, client: httpx.Client) -> None:
    client.post("/predict", json=ROWS)
    client.post("/predict", json=[])
    client.post("/v2/models/credit/infer", json={"inputs": tensors_of([ROW])})
    client.get("/v2")
    metrics = server.app.metrics
    assert metrics.total(REQUESTS, "records", "200") == 1
    assert metrics.total(REQUESTS, "records", "422") == 1
    assert metrics.total(REQUESTS, "infer", "200") == 1
    assert metrics.total(REQUESTS, "other", "200") == 1
    assert metrics.total(counted.ROWS) == 4
    reply = client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (
        'modelci_model_info{artifact="credit",version="v1.0.0",release="v1.0.0-0",flavour="fake"} 1'
    ) in reply.text


def test_what_is_asked_and_answered_is_logged(tmp_path: Path) -> None:
    settings = Settings(drain_seconds=0, log=LogSettings(path=str(tmp_path)))
    with running(settings=settings) as server:
        with server.client() as client:
            client.post("/predict", json=[{**ROW, "amount": 7}], headers={"x-request-id": "h"})
            client.post("/predict", json={"records": ROWS, "ids": ["a", "b", "c"]})
            client.post("/v2/models/credit/infer", json={"inputs": tensors_of([ROW]), "id": "t"})
            client.post("/predict", json=[{"amount": "refused"}])
        metrics = server.app.metrics
    (file,) = tmp_path.iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["id"] for one in rows] == ["h", "a", "b", "c", "t"]
    assert [one["score"] for one in rows] == [7, 500, 20.5, 999, 500]
    assert metrics.total(LOGGED) == 5


def test_the_page_may_talk_to_this_server_alone(client: httpx.Client) -> None:
    reply = client.get("/docs")
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "connect-src 'self'" in policy
    assert "http" not in reply.text.replace("http-equiv", "")


# Switching.


def test_requests_are_answered_by_the_model_that_they_began_with() -> None:
    held = threading.Event()
    slow = served(FakePredictor(held=held), inline_rows=0)
    with running(slow) as server, ThreadPoolExecutor(2) as pool:

        def ask() -> str:
            with server.client() as client:
                return str(client.post("/predict", json=[ROW]).json()["version"])

        first = pool.submit(ask)
        wait_until(lambda: server.app.metrics.total(IN_FLIGHT) == 1)
        server.app.switch(named(served(), "v2.0.0"))
        second = pool.submit(ask)
        held.set()
        assert first.result() == "v1.0.0"
        assert second.result() == "v2.0.0"


def test_a_switched_model_is_described_anew(server: Running, client: httpx.Client) -> None:
    assert client.get("/openapi.json").json()["info"]["version"] == "v1.0.0"
    server.app.switch(named(served(), "v2.0.0"))
    assert client.get("/openapi.json").json()["info"]["version"] == "v2.0.0"
    assert client.get("/v2/models/credit").json()["versions"] == ["v2.0.0"]
    assert client.get("/v2/models/credit/versions/v1.0.0").status_code == 404
    assert 'version="v2.0.0"' in client.get("/metrics").text


# The end.


def test_a_server_that_ends_answers_what_it_has_begun_and_what_comes_meanwhile() -> None:
    settings = Settings(drain_seconds=3)
    model = served(FakePredictor(seconds=0.3), inline_rows=0)
    with running(model, settings) as server, server.client() as idle, ThreadPoolExecutor(2) as pool:

        def ask() -> httpx.Response:
            with server.client() as client:
                return client.post("/predict", json=[ROW])

        assert idle.get("/v2/health/ready").status_code == 200
        begun = pool.submit(ask)
        wait_until(lambda: server.app.metrics.total(IN_FLIGHT) == 1)
        ended = pool.submit(server.end)
        # A balancer that looks sees that it should send nothing more ...
        wait_until(lambda: idle.get("/v2/health/ready").status_code == 503)
        wait_until(lambda: idle.get("/v2/health/ready").headers.get("connection") == "close")
        # ... and what it still sends is answered, and told not to come again.
        late = ask()
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        assert begun.result().status_code == 200
        ended.result()
        with pytest.raises(httpx.ConnectError):
            ask()
