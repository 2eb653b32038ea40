"""``python -m modelci.serving`` in processes: started, switched, killed, and told to end."""

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from tests.fakes.serving import ROW, Process, process, score, write_release

from modelci.documents import codec
from modelci.domain.golden import Health
from modelci.serving.settings import LogSettings, Settings

WORKERS = [1, 2]


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with releases: one, two, and one whose golden requests it does not answer."""
    folder = tmp_path_factory.mktemp("releases")
    write_release(folder / "one", version="v1.0.0", slope=1)
    write_release(folder / "two", version="v2.0.0", slope=2)
    write_release(folder / "wrong", version="v3.0.0", slope=3, said=4)
    return folder


def serving(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "modelci.serving", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


def run(release: Path, folder: Path, workers: int, **settings: Any) -> Any:
    settings = {"drain_seconds": 0.2, **settings}
    return process(release, "--workers", str(workers), folder=folder, settings=Settings(**settings))


def ask(client: httpx.Client) -> dict[str, Any]:
    reply = client.post("/predict", json=[ROW])
    assert reply.status_code == 200, reply.text
    content: dict[str, Any] = reply.json()
    return content


def workers_of(server: Process) -> list[int]:
    """Return the processes below a server."""
    path = Path(f"/proc/{server.popen.pid}/task/{server.popen.pid}/children")
    return [int(pid) for pid in path.read_text().split()]


# Looking at a release without serving it.


def test_a_healthy_release_is_said_to_be(releases: Path) -> None:
    done = serving("check", "--release", str(releases / "one"))
    health = codec.decode(Health, done.stdout.encode(), source="stdout")
    assert (done.returncode, health.ok, health.rows) == (0, True, 3)
    assert health.worst is not None
    assert health.worst < 1e-6
    assert health.p50_ms is not None


def test_a_release_that_answers_otherwise_is_not_healthy(releases: Path) -> None:
    done = serving("check", "--release", str(releases / "wrong"))
    health = codec.decode(Health, done.stdout.encode(), source="stdout")
    assert (done.returncode, health.ok) == (1, False)
    assert "score is" in health.problems[0]


def test_a_release_that_takes_too_long_is_not_healthy(releases: Path) -> None:
    done = serving("check", "--release", str(releases / "one"), "--max-latency-ms", "0.000001")
    assert done.returncode == 1
    assert "99th percentile" in json.loads(done.stdout)["problems"][0]


def test_what_is_no_release_is_not_healthy(tmp_path: Path) -> None:
    done = serving("check", "--release", str(tmp_path))
    assert done.returncode == 1
    assert "release.json cannot be read" in json.loads(done.stdout)["problems"][0]


# Starting.


@pytest.mark.parametrize("workers", WORKERS)
def test_a_release_is_served_and_ends_when_told(
    releases: Path, tmp_path: Path, workers: int
) -> None:
    with run(releases / "one", tmp_path, workers) as server:
        with server.wait_until_ready().client() as client:
            answer = ask(client)
            assert answer["version"] == "v1.0.0"
            assert answer["predictions"][0]["score"] == pytest.approx(score(ROW, 1))
        assert server.end() == 0
        assert not server.uds.exists()
        assert not server.admin.exists()
        assert "credit v1.0.0 answers at" in server.said()


@pytest.mark.parametrize("workers", WORKERS)
def test_a_release_that_answers_otherwise_is_not_served(
    releases: Path, tmp_path: Path, workers: int
) -> None:
    with run(releases / "wrong", tmp_path, workers) as server:
        assert server.popen.wait(200) == 7
        assert "Error: credit v3.0.0 is not healthy: row 1: score is" in server.said()
        assert "Hint: " in server.said()
        assert not server.uds.exists()


def test_nobody_is_heard_before_the_model_is_ready(releases: Path, tmp_path: Path) -> None:
    """A client that comes too early is turned away at once, and not kept waiting."""
    with run(releases / "one", tmp_path, 1) as server:
        while not server.uds.exists():
            time.sleep(0.005)
        deadline = time.monotonic() + 200
        refused = 0
        while not server.is_heard() and time.monotonic() < deadline:
            refused += 1
            time.sleep(0.005)
        assert refused
        with server.client() as client:
            assert client.get("/v2/health/ready").status_code == 200


def test_a_port_that_is_taken_is_told(releases: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = serving("run", "--release", str(releases / "one"), "--port", port)
    assert done.returncode == 3
    assert f"Error: 127.0.0.1:{port} cannot be listened on: Address already in use." in done.stderr


def test_a_socket_of_a_living_server_is_not_taken_and_a_dead_ones_is(
    releases: Path, tmp_path: Path
) -> None:
    with run(releases / "one", tmp_path, 1) as server:
        server.wait_until_ready()
        release = ("--release", str(releases / "one"))
        done = serving("run", *release, "--uds", str(server.uds))
        assert done.returncode == 3
        assert "A server answers at" in done.stderr
        server.end(signal.SIGKILL)
        assert server.uds.exists()
        second = subprocess.Popen(
            [sys.executable, "-m", "modelci.serving", "run", *release, "--uds", str(server.uds)],
            stderr=subprocess.DEVNULL,
        )
        try:
            again = Process(popen=second, uds=server.uds, admin=server.admin, log=server.log)
            again.wait_until_ready()
        finally:
            second.terminate()
            second.wait(30)


def test_something_else_is_never_removed(releases: Path, tmp_path: Path) -> None:
    file = tmp_path / "precious"
    file.write_text("data")
    done = serving("run", "--release", str(releases / "one"), "--uds", str(file))
    assert done.returncode == 3
    assert "is there, and is no socket" in done.stderr
    assert file.read_text() == "data"


def test_a_server_has_at_least_one_worker(releases: Path) -> None:
    done = serving("run", "--release", str(releases / "one"), "--workers", "0")
    assert done.returncode == 2
    assert "'0' is no number of processes" in done.stderr


def test_wrong_settings_are_told(releases: Path, tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"max_bodi": 3}')
    done = serving(
        "run", "--release", str(releases / "one"), "--settings", str(tmp_path / "settings.json")
    )
    assert done.returncode == 3
    assert "max_bodi" in done.stderr


# What runs beside a model has its packages, and few others.


@pytest.mark.parametrize("module", ["app", "__main__", "launch", "checking", "supervisor"])
def test_no_module_of_serving_needs_what_it_does_not_serve_with(module: str) -> None:
    code = f"import sys, modelci.serving.{module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=280
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert "modelci" in loaded
    refused = "click dvc git httpx jinja2 rich yaml pandas sklearn scipy pyarrow onnx distributed"
    assert loaded & set(refused.split()) == set()


BARE = """
import sys

sys.modules.update(dict.fromkeys({refused!r}))  # as if they were not installed
from modelci.serving.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_release_runs_where_there_is_nothing_else(releases: Path) -> None:
    refused = {"dvc", "git", "httpx", "jinja2", "rich", "yaml", "pandas", "sklearn", "scipy"}
    done = subprocess.run(
        [
            *(sys.executable, "-c", BARE.format(refused=refused)),
            *("check", "--release", str(releases / "one")),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_server_that_lacks_its_packages_says_what_to_install(releases: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-c", BARE.format(refused={"uvicorn", "starlette"})),
            *("run", "--release", str(releases / "one"), "--port", "0"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 3
    assert "Serving needs packages that are not installed: starlette, uvicorn." in done.stderr
    assert "pip install 'modelci[serve]'" in done.stderr


# Switching.


class Load:
    """Clients that ask without a pause, each over a connection that stays, until told to end."""

    def __init__(self, server: Process, clients: int = 4) -> None:
        self._server = server
        self._ending = threading.Event()
        self.failures: list[str] = []
        self.versions: list[set[str]] = []
        self.answers = 0
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        expected = {"v1.0.0": score(ROW, 1), "v2.0.0": score(ROW, 2)}
        seen: set[str] = set()
        self.versions.append(seen)
        with self._server.client() as client:
            while not self._ending.is_set():
                try:
                    answer = ask(client)
                    said = answer["predictions"][0]["score"]
                    assert said == pytest.approx(expected[answer["version"]])
                except (AssertionError, httpx.HTTPError) as error:
                    self.failures.append(repr(error))
                    return
                seen.add(answer["version"])
                self.answers += 1


@pytest.mark.parametrize("workers", WORKERS)
def test_switches_under_load_fail_no_request(releases: Path, tmp_path: Path, workers: int) -> None:
    with run(releases / "one", tmp_path, workers) as server:
        server.wait_until_ready()
        with Load(server) as load, server.switcher() as switcher:
            for name in itertools.islice(itertools.cycle(["two", "one"]), 30):
                reply = switcher.post("/switch", json={"release": str(releases / name)})
                assert reply.status_code == 200, reply.text
        assert load.failures == []
        assert load.answers > 30
        assert set().union(*load.versions) == {"v1.0.0", "v2.0.0"}
        with server.client() as client:
            # Who has switched sees no old answer any more, from whichever worker.
            assert {ask(client)["version"] for _ in range(20)} == {"v1.0.0"}
            assert 'modelci_switches_total{result="done"} 30\n' in client.get("/metrics").text


@pytest.mark.parametrize("workers", WORKERS)
def test_what_is_not_healthy_is_not_switched_to(
    releases: Path, tmp_path: Path, workers: int
) -> None:
    with run(releases / "one", tmp_path, workers) as server:
        server.wait_until_ready()
        with server.switcher() as switcher, server.client() as client:
            reply = switcher.post("/switch", json={"release": str(releases / "wrong")})
            assert reply.status_code == 409
            assert "v3.0.0 is not healthy: row 1: score is" in reply.json()["error"]
            assert reply.json()["hint"]
            assert reply.json()["version"] == "v1.0.0"
            reply = switcher.post("/switch", json={"release": "/nothing"})
            assert (reply.status_code, reply.json()["error"]) == (
                409,
                "There is no folder /nothing.",
            )
            assert switcher.post("/switch", content=b"{").status_code == 400
            assert switcher.post("/switch", json={"relaese": "x"}).status_code == 400
            assert switcher.get("/switch").status_code == 405
            assert switcher.get("/status").json()["version"] == "v1.0.0"
            assert ask(client)["version"] == "v1.0.0"
            assert 'modelci_switches_total{result="refused"} 2\n' in client.get("/metrics").text


@pytest.mark.parametrize("workers", WORKERS)
def test_a_hangup_lets_it_look_again_where_a_link_leads(
    releases: Path, tmp_path: Path, workers: int
) -> None:
    current = tmp_path / "current"
    current.symlink_to(releases / "one")
    with run(current, tmp_path, workers) as server:
        server.wait_until_ready()
        (tmp_path / "next").symlink_to(releases / "two")
        (tmp_path / "next").replace(current)
        with server.client() as client:
            assert ask(client)["version"] == "v1.0.0"
            server.popen.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + 100
            while ask(client)["version"] != "v2.0.0" and time.monotonic() < deadline:
                time.sleep(0.05)
            assert ask(client)["version"] == "v2.0.0"
            current.unlink()
            server.popen.send_signal(signal.SIGHUP)
            while "was not switched" not in server.said() and time.monotonic() < deadline:
                time.sleep(0.05)
            assert "The model was not switched: There is no folder" in server.said()
            assert ask(client)["version"] == "v2.0.0"


def test_only_its_owner_may_switch(releases: Path, tmp_path: Path) -> None:
    with run(releases / "one", tmp_path, 1) as server:
        server.wait_until_ready()
        assert server.admin.stat().st_mode & 0o777 == 0o600


# Deaths.


@pytest.fixture
def pair(releases: Path, tmp_path: Path) -> Iterator[Process]:
    own = tmp_path / "own"
    shutil.copytree(releases / "one", own)
    with run(own, tmp_path, 2) as server:
        server.wait_until_ready()
        deadline = time.monotonic() + 200
        while len(workers_of(server)) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        yield server


def starts(server: Process) -> int:
    with server.client() as client:
        text = client.get("/metrics").text
    return int(text.split("\nmodelci_worker_starts_total ")[1].split("\n", 1)[0])


def wait_for_starts(server: Process, count: int) -> None:
    deadline = time.monotonic() + 200
    found = 0
    while found < count and time.monotonic() < deadline:
        time.sleep(0.1)
        with suppress(httpx.HTTPError):
            found = starts(server)
    assert found == count


def test_a_worker_that_dies_is_started_again(pair: Process) -> None:
    wait_for_starts(pair, 2)
    before = workers_of(pair)
    os.kill(before[0], signal.SIGKILL)
    wait_for_starts(pair, 3)
    assert len(set(workers_of(pair)) - set(before)) == 1
    with pair.client() as client:
        assert {ask(client)["version"] for _ in range(20)} == {"v1.0.0"}
    assert "ended (SIGKILL) and is started again" in pair.said()
    assert pair.end() == 0


def test_a_worker_that_is_started_again_has_the_model_of_the_others(
    pair: Process, releases: Path
) -> None:
    wait_for_starts(pair, 2)
    with pair.switcher() as switcher:
        reply = switcher.post("/switch", json={"release": str(releases / "two")})
        assert reply.status_code == 200
    for pid in workers_of(pair):
        os.kill(pid, signal.SIGKILL)
    wait_for_starts(pair, 4)
    with pair.client() as client:
        assert {ask(client)["version"] for _ in range(20)} == {"v2.0.0"}


def test_no_worker_outlives_its_supervisor(pair: Process) -> None:
    before = workers_of(pair)
    pair.end(signal.SIGKILL)
    deadline = time.monotonic() + 100
    while any(Path(f"/proc/{pid}").exists() for pid in before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in before)


def test_where_no_worker_comes_up_any_more_the_server_ends(pair: Process, tmp_path: Path) -> None:
    wait_for_starts(pair, 2)
    (tmp_path / "own" / "model" / "credit.onnx").write_bytes(b"broken")
    for pid in workers_of(pair):
        os.kill(pid, signal.SIGKILL)
    assert pair.popen.wait(200) == 3
    assert "Error: " in pair.said().splitlines()[-2]


def test_a_killed_server_leaves_a_log_that_can_be_read(releases: Path, tmp_path: Path) -> None:
    log = LogSettings(path=str(tmp_path / "log"))
    with run(releases / "one", tmp_path, 1, log=log) as server:
        with server.wait_until_ready().client() as client:
            sent = [ask(client)["id"] for _ in range(50)]
            deadline = time.monotonic() + 100
            while time.monotonic() < deadline:
                with suppress(StopIteration):
                    if next((tmp_path / "log").iterdir()).read_bytes().count(b"\n") >= 50:
                        break
                time.sleep(0.05)
        server.end(signal.SIGKILL)
    (file,) = (tmp_path / "log").iterdir()
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == sent


# Ends.


@pytest.mark.parametrize("workers", WORKERS)
def test_under_load_it_ends_without_a_failed_request(
    releases: Path, tmp_path: Path, workers: int
) -> None:
    """Each client's last answer says that the connection closes, and none is cut off before."""
    log = LogSettings(path=str(tmp_path / "log"))
    with run(releases / "one", tmp_path, workers, drain_seconds=1.0, log=log) as server:
        server.wait_until_ready()
        answered: list[str] = []
        failures: list[str] = []

        def keep_asking() -> None:
            with server.client() as client:
                while True:
                    try:
                        reply = client.post("/predict", json=[ROW])
                    except httpx.HTTPError as error:
                        failures.append(repr(error))
                        return
                    answered.append(reply.json()["id"])
                    if reply.headers.get("connection") == "close":
                        return

        threads = [threading.Thread(target=keep_asking) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        assert server.end() == 0
        for thread in threads:
            thread.join()
    assert failures == []
    rows = [
        json.loads(line)["id"]
        for file in (tmp_path / "log").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    # And every one of them is in the log.
    assert sorted(rows) == sorted(answered)


def test_an_interrupt_ends_it_at_once(releases: Path, tmp_path: Path) -> None:
    with run(releases / "one", tmp_path, 1, drain_seconds=300) as server:
        server.wait_until_ready()
        assert server.end(signal.SIGINT) == 0


def test_a_second_interrupt_ends_all_workers(releases: Path, tmp_path: Path) -> None:
    with run(releases / "one", tmp_path, 2, drain_seconds=300) as server:
        server.wait_until_ready()
        before = workers_of(server)
        server.popen.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert server.end(signal.SIGINT) == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in before)
