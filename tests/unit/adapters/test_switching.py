"""What the switches and their supervisor decide, without a process or a socket."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.adapters.targets.layout import Place
from modelci.adapters.targets.switching import launch, processes
from modelci.adapters.targets.switching.differences import compare
from modelci.adapters.targets.switching.haproxy import (
    SLOTS,
    Slots,
    backend_of,
    slots,
    weights_of,
    write_config,
)
from modelci.adapters.targets.switching.messages import frame_request
from modelci.adapters.targets.switching.processes import Process
from modelci.adapters.targets.switching.routes import Route, Routes, routes_of, wanted
from modelci.adapters.targets.switching.settings import ServerSettings
from modelci.adapters.targets.switching.traffic import HORIZON, Traffic
from modelci.config.model import split_address
from modelci.domain.deployment import Running, Trial
from modelci.errors import DeploymentError

A, B, C = "a-1", "b-2", "c-3"
SETTINGS = ServerSettings(name="prod", listen="127.0.0.1:8080", python="/usr/bin/python3")


class Clock:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def run(release: str) -> Running:
    return Running(
        release=release,
        artifact="credit",
        version=None,
        tag="credit#prod",
        commit="c" * 40,
        assigned_seconds=1,
        since="2026-01-01T00:00:00Z",
    )


# -- traffic ---------------------------------------------------------------------------------------


def test_nothing_is_known_of_traffic_that_there_was_none_of() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    clock.seconds += 5
    seen = traffic.observe(60)
    assert (seen.seconds, seen.requests, seen.errors) == (5, 0, 0)
    assert (seen.p50_ms, seen.p99_ms, seen.divergence) == (None, None, None)


def test_percentiles_are_as_exact_as_two_percent() -> None:
    traffic = Traffic(Clock())
    latencies = [number / 1000 for number in range(1, 1001)]
    random.Random(1).shuffle(latencies)
    for seconds in latencies:
        traffic.answered(seconds)
    seen = traffic.observe(60)
    assert seen.p50_ms == pytest.approx(500, rel=0.02)
    assert seen.p99_ms == pytest.approx(990, rel=0.02)


def test_only_the_last_seconds_count() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    for _ in range(10):
        traffic.answered(0.001, failed=True)
        clock.seconds += 1
        traffic.answered(0.001)
    assert traffic.observe(60).errors == 10
    assert traffic.observe(3).errors == 3
    clock.seconds += 100
    assert traffic.observe(3).requests == 0
    assert traffic.observe(200).requests == 20


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    clock = Clock()
    traffic = Traffic(clock)
    traffic.answered(0.001)
    clock.seconds += HORIZON + 1
    traffic.answered(0.001)
    seen = traffic.observe(10 * HORIZON)
    assert (seen.requests, seen.seconds) == (1, HORIZON)


def test_a_request_without_an_answer_has_no_latency() -> None:
    traffic = Traffic(Clock())
    traffic.answered(None, failed=True)
    seen = traffic.observe(1)
    assert (seen.requests, seen.errors, seen.p50_ms) == (1, 1, None)


def test_the_divergence_is_the_mean_over_all_numbers() -> None:
    traffic = Traffic(Clock())
    traffic.compared(0.4, 4)
    traffic.compared(0.0, 1)
    traffic.disagreed()
    seen = traffic.observe(1)
    assert seen.compared == 2
    assert seen.divergence == pytest.approx(0.08)
    assert seen.errors == 1


# -- differences -----------------------------------------------------------------------------------


def tensor(data: list[object], **fields: object) -> bytes:
    output = {"name": "score", "datatype": "FP64", "shape": [len(data)], "data": data}
    named = {"model_name": "credit", "model_version": "v1", "id": "1"}
    return json.dumps({**named, **fields, "outputs": [output]}).encode()


def rows(*predictions: dict[str, object], **fields: object) -> bytes:
    named = {"id": "1", "model": "credit", "version": "v1"}
    return json.dumps({**named, **fields, "predictions": predictions}).encode()


@pytest.mark.parametrize(
    ("one", "other", "mean"),
    [
        (tensor([0.5, 0.7]), tensor([0.5, 0.7], model_version="v2", id="9"), 0.0),
        (tensor([0.5, 0.7]), tensor([0.6, 0.7]), 0.05),
        (tensor([1, 2]), tensor([1.0, 2.5]), 0.25),
        (tensor(["a", "b"]), tensor(["a", "c"]), 0.5),
        (tensor([True]), tensor([False]), 1.0),
        (rows({"score": 0.5, "label": "a"}), rows({"score": 0.9, "label": "a"}, version="v2"), 0.2),
        (rows({"p": {"a": 0.1, "b": 0.9}}), rows({"p": {"b": 0.7, "a": 0.3}}), 0.2),
        (rows({"score": None}), rows({"score": None}), 0.0),
        (b'{"any": [1, {"thing": 2}]}', b'{"any": [1, {"thing": 4}]}', 1.0),
        (b"3", b"5", 2.0),
    ],
)
def test_answers_differ_by_what_the_model_says_alone(one: bytes, other: bytes, mean: float) -> None:
    found = compare(one, other)
    assert found is not None
    assert found.total / found.numbers == pytest.approx(mean)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tensor([0.5]), tensor([0.5, 0.7])),
        (tensor([0.5]), tensor(["0.5"])),
        (tensor([0.5]), tensor([None])),
        (tensor([1]), tensor([True])),
        (rows({"score": 1}), rows({"points": 1})),
        (rows({"score": 1}), tensor([1])),
        (b"{}", b"<html>"),
        (b"[" * 100_000, b"[" * 100_000),
        (b'"\xff"', b'"\xff"'),
    ],
)
def test_answers_of_other_shapes_cannot_be_compared(one: bytes, other: bytes) -> None:
    assert compare(one, other) is None
    assert compare(other, one) is None


# -- routes ----------------------------------------------------------------------------------------


def routes(place: Place, ready: set[str], live: Routes | None = None) -> tuple[Route, ...]:
    return routes_of({"credit": place}, ready=frozenset(ready), live=live or Routes())


def test_a_place_wants_what_answers_and_one_to_go_back_to() -> None:
    place = Place(running=run(A), previous=run(B), trial=Trial(release=C, share=0.1))
    assert wanted({"credit": place, "churn": Place()}) == dict.fromkeys((A, B, C), "credit")


def test_the_running_release_answers() -> None:
    assert routes(Place(running=run(A)), {A}) == (Route(artifact="credit", running=A),)
    assert routes(Place(), {A}) == ()


def test_a_release_that_answers_goes_on_until_the_next_can() -> None:
    live = Routes(routes=(Route(artifact="credit", running=A),))
    place = Place(running=run(B), previous=run(A))
    assert routes(place, {A}, live) == live.routes
    assert routes(place, {A, B}, live) == (Route(artifact="credit", running=B),)
    # Where neither is ready, nobody is better than the one that is wanted.
    assert routes(place, set(), live) == (Route(artifact="credit", running=B),)


def test_a_trial_begins_when_its_release_is_ready_and_is_none_against_itself() -> None:
    trial = Trial(release=B, share=0.2)
    place = Place(running=run(A), trial=trial)
    assert routes(place, {A})[0].trial is None
    assert routes(place, {A, B})[0].trial == trial
    assert routes(Place(running=run(B), trial=trial), {B})[0].trial is None


# -- HAProxy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "weights"),
    [
        (0.0, (256, 1)),
        (0.0000001, (256, 1)),
        (0.05, (19, 1)),
        (0.25, (3, 1)),
        (0.5, (1, 1)),
        (0.999999, (1, 256)),
    ],
)
def test_shares_become_weights(share: float, weights: tuple[int, int]) -> None:
    route = Route(artifact="credit", running=A, trial=Trial(release=B, share=share))
    found = weights_of(route)
    assert (found[A], found[B]) == weights


@given(share=st.floats(0.004, 0.996))
def test_weights_are_near_their_shares(share: float) -> None:
    found = weights_of(Route(artifact="x", running=A, trial=Trial(release=B, share=share)))
    assert all(1 <= weight <= 256 for weight in found.values())
    assert found[B] / (found[A] + found[B]) == pytest.approx(share, abs=0.004)


def test_a_shadow_has_no_weight_on_haproxy() -> None:
    route = Route(artifact="credit", running=A, trial=Trial(release=B, shadow=True))
    assert weights_of(route) == {A: 256}


def test_slots_are_remembered_by_their_links(tmp_path: Path) -> None:
    sockets = {A: "a-1.sock", B: "b-2.sock"}
    held = Slots(tmp_path)
    assert held.take("credit", A, sockets) == ("slot0", True)
    assert held.take("credit", B, sockets) == ("slot1", True)
    assert held.take("credit", A, sockets) == ("slot0", False)
    assert Slots(tmp_path).of("credit") == {"slot0": A, "slot1": B}
    assert Slots(tmp_path).of("churn") == {}
    link = tmp_path / f"{backend_of('credit')}-slot1.sock"
    assert os.readlink(link) == "b-2.sock"  # noqa: PTH115


def test_the_slot_that_was_given_up_last_is_taken_last(tmp_path: Path) -> None:
    held = Slots(tmp_path)
    names = [f"r-{number}" for number in range(SLOTS + 2)]
    sockets = {name: f"{name}.sock" for name in names}
    for name in names[:SLOTS]:
        held.take("credit", name, sockets)
    with pytest.raises(DeploymentError, match="More than 8 releases of credit are up"):
        held.take("credit", names[-1], sockets)
    for slot in ("slot3", "slot1"):
        held.free("credit", slot)
    assert held.take("credit", names[-1], sockets) == ("slot3", True)
    assert held.take("credit", names[-2], sockets) == ("slot1", True)


def config(folder: Path, *artifacts: str) -> str:
    made = Routes(
        routes=tuple(Route(artifact=name, running=A) for name in artifacts),
        sockets={A: "a-1.sock"},
    )
    return write_config(SETTINGS, made, Slots(folder), name="haproxy-0", listener=3, log=4)


def test_no_name_can_say_something_to_haproxy(tmp_path: Path) -> None:
    text = config(tmp_path, "it's } server evil 10.0.0.1:80 #", "churn")
    servers = [line.split() for line in text.splitlines() if line.strip().startswith("server ")]
    assert len(servers) == 2 * len(slots())
    assert all(words[2].startswith("unix@artifact-") for words in servers)
    assert "'/v2/models/it'\\''s } server evil 10.0.0.1:80 #'" in text
    with pytest.raises(DeploymentError, match="cannot be written into HAProxy's"):
        config(tmp_path, "a\n    server evil 10.0.0.1:80", "churn")


# -- addresses and requests ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8080", ("::1", 8080)), ("::1:1", ("::1", 1))],
)
def test_addresses_are_split(text: str, address: tuple[str, int]) -> None:
    assert split_address(text) == address


@pytest.mark.parametrize("text", ["", "8080", ":8080", "localhost", "a:b", "a:99999", "a:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no address such as"):
        split_address(text)


def test_a_request_without_a_body_has_no_length() -> None:
    wire = frame_request(method=b"GET", target=b"/", headers=[(b"host", b"x")], body=b"", client="")
    assert wire == b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    empty = frame_request(method=b"POST", target=b"/", headers=[], body=b"", client="10.0.0.1")
    assert empty == (b"POST / HTTP/1.1\r\nx-forwarded-for: 10.0.0.1\r\ncontent-length: 0\r\n\r\n")


# -- processes -------------------------------------------------------------------------------------


def test_a_process_is_known_by_more_than_its_number() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        found = launch.identity(child.pid)
        assert found is not None
        process = msgspec.convert(found, Process)
        assert process.is_alive()
        for other in (replace(process, started="1"), replace(process, boot="other")):
            assert not other.is_alive()
            assert not other.send(signal.SIGKILL)
            other.kill_all()
        assert process.is_alive()
        assert child.stdin is not None
        child.stdin.close()
        child.wait()
        assert not process.is_alive()


def test_a_process_that_nobody_waited_for_yet_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert launch.identity(child.pid) is None
    child.wait()


def start(tmp_path: Path, code: str, *, detach: bool = False) -> Process:
    return processes.start(
        [sys.executable, "-c", code],
        pid_file=tmp_path / "it.pid",
        log=tmp_path / "it.log",
        folder=tmp_path,
        environment={"SHOWN": "1"},
        detach=detach,
    )


@pytest.mark.parametrize("detach", [True, False])
def test_a_process_that_was_started_is_found_by_its_file(tmp_path: Path, detach: bool) -> None:
    code = "import os, time; print(dict(os.environ), os.getcwd(), flush=True); time.sleep(60)"
    process = start(tmp_path, code, detach=detach)
    assert processes.find(tmp_path / "it.pid") == process
    assert os.getsid(process.pid) == process.pid
    while not (said := processes.tail(tmp_path / "it.log")):
        pass
    assert "'SHOWN': '1'" in said
    assert "HOME" not in said
    assert str(tmp_path) in said
    process.stop(grace=5)
    assert processes.find(tmp_path / "it.pid") is None
    if not detach:
        assert processes.reap(process) == "killed by SIGTERM"


def test_what_ignores_the_request_to_end_is_made_to_with_its_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "child = subprocess.Popen(['sleep', '60']); print(child.pid, flush=True); time.sleep(60)"
    )
    process = start(tmp_path, code, detach=True)
    while not (said := processes.tail(tmp_path / "it.log")):
        pass
    process.stop(grace=0.1)
    assert process.wait(60)
    deadline = time.monotonic() + 100
    while launch.identity(int(said)) is not None:  # a killed process takes a moment to end
        assert time.monotonic() < deadline


def test_a_program_that_cannot_be_run_says_so_in_its_log(tmp_path: Path) -> None:
    process = processes.start(
        ["/nowhere/python"], pid_file=tmp_path / "it.pid", log=tmp_path / "it.log", folder=tmp_path
    )
    assert process.wait(60)
    assert processes.reap(process) == "exit code 1"
    assert "FileNotFoundError" in processes.tail(tmp_path / "it.log")


def test_a_log_that_grew_too_large_is_put_aside_while_it_is_written(tmp_path: Path) -> None:
    log = tmp_path / "it.log"
    with log.open("ab", buffering=0) as file:
        file.write(b"x" * (processes.LOG_BYTES + 1))
        processes.rotate(log)
        file.write(b"new")
    assert log.read_bytes() == b"new"
    assert (tmp_path / "it.log.1").stat().st_size == processes.LOG_BYTES + 1
    processes.rotate(log)
    assert log.read_bytes() == b"new"
