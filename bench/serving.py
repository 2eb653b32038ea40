"""``python -m bench.serving``: our server beside FastAPI, MLServer and plain Starlette.

One model (a logistic regression on ten numbers), one client (wrk), one row a request. All servers
run at once and are asked in turn, round after round; what counts is the ratio of medians. Then one
of ours is switched between two releases under load, and asked for some time while its memory is
watched. A goal that is missed is said so, and is no failure; a failed request is one.
"""

import argparse
import hashlib
import http.client
import json
import os
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

COLUMNS = 10
PEERS = Path(__file__).with_name("peers")
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
}
LUA = (
    'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = [==[{}]==]\n'
)


class BenchError(Exception):
    """A server did not start, or a request failed."""


# Servers.


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A server: ``command`` is run with a port in place of ``{port}``; ``body`` asks one row."""

    name: str
    command: tuple[str, ...]
    path: str
    body: str
    folder: Path


@dataclass(slots=True, kw_only=True)
class Measured:
    """What came of a side: a figure a round, by number of connections; ``cpu`` is µs a request."""

    side: Side
    port: int
    process: "subprocess.Popen[bytes]"
    cold_start: list[float] = field(default_factory=list)
    memory: int = 0
    cpu_start: list[float] = field(default_factory=list)
    cpu: dict[int, list[float]] = field(default_factory=dict)
    per_second: dict[int, list[float]] = field(default_factory=dict)
    p50: dict[int, list[float]] = field(default_factory=dict)
    p99: dict[int, list[float]] = field(default_factory=dict)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


@contextmanager
def running(side: Side) -> Iterator[Measured]:
    """Start a server, wait for its first answer, end it."""
    port = free_port()
    began = time.perf_counter()
    log = (side.folder / f"{re.sub('[^a-z0-9]+', '-', side.name)}.log").open("ab")
    process = subprocess.Popen(
        [one.replace("{port}", str(port)) for one in side.command],
        cwd=side.folder,
        env={**os.environ, **ENVIRONMENT, **mlserver_settings(side, port)},
        stdout=log,
        stderr=log,
    )
    try:
        wait(side, port, process)
        found = Measured(side=side, port=port, process=process)
        found.cold_start.append(time.perf_counter() - began)
        found.cpu_start.append(cpu_of(process.pid))
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def mlserver_settings(side: Side, port: int) -> dict[str, str]:
    if "mlserver" not in side.name:
        return {}
    return {
        "MLSERVER_HTTP_PORT": str(port),
        "MLSERVER_GRPC_PORT": str(free_port()),
        "MLSERVER_METRICS_PORT": str(free_port()),
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_DEBUG": "false",
    }


def wait(side: Side, port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{side.name} ended with {process.returncode}: see {side.folder}")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            headers = {"content-type": "application/json"}
            connection.request("POST", side.path, body=side.body, headers=headers)
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    raise BenchError(f"{side.name} did not answer")


def memory_of(pid: int) -> int:
    """Return the bytes that a process and its children hold."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(memory_of(int(child)) for child in children)


def cpu_of(pid: int) -> float:
    """Return the CPU seconds that a process and its living children took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_of(int(child)) for child in children)


# The client.


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What wrk saw; latencies in ms."""

    per_second: float
    p50: float
    p99: float
    requests: int
    failed: int


_UNIT = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def ask(side: Side, port: int, *, connections: int, seconds: float) -> Asked:
    """Ask one row again and again over so many connections."""
    script = side.folder / "ask.lua"
    script.write_text(LUA.format(side.body), encoding="utf-8")
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "--latency",
        "-s",
        str(script),
    ]
    said = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{side.path}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said
    )
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    return Asked(
        per_second=float(_find(r"Requests/sec:\s+([\d.]+)", said)[0]),
        p50=_milliseconds(said, "50"),
        p99=_milliseconds(said, "99"),
        requests=int(_find(r"(\d+) requests in", said)[0]),
        failed=sum(map(int, errors.groups() if errors else ()))
        + (int(refused[1]) if refused else 0),
    )


def _find(pattern: str, text: str) -> tuple[str, ...]:
    found = re.search(pattern, text)
    if found is None:
        raise BenchError(f"wrk said something else: {text}")
    return tuple(str(one) for one in found.groups())


def _milliseconds(said: str, percentile: str) -> float:
    number, unit = _find(rf"{percentile}%\s+([\d.]+)(us|ms|s)", said)
    return float(number) * _UNIT[unit]


# The model.


def make_models(folder: Path) -> dict[str, Path]:
    """Write the model in every form: a release with skops, two with ONNX, and a joblib file."""
    import joblib
    import numpy as np
    import pandas as pd
    import skops.io
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from modelci.domain.modelfiles import Trust
    from modelci.modelfiles.estimators import SklearnPredictor
    from modelci.modelfiles.load import load_model
    from modelci.modelfiles.onnx import convert

    random = np.random.default_rng(0)
    table = random.normal(size=(2000, COLUMNS))
    names = [f"x{number}" for number in range(COLUMNS)]
    found = {}
    for number in (1, 2):
        labels = (table[:, 0] * number + random.normal(size=len(table)) > 0).astype(int)
        model = make_pipeline(StandardScaler(), LogisticRegression()).fit(table, labels)
        plain = folder / f"plain-{number}"
        plain.mkdir()
        joblib.dump(model, plain / "model.joblib")
        skops.io.dump(model, plain / "model.skops")
        loaded = load_model(plain / "model.skops", trust=Trust())
        assert isinstance(loaded, SklearnPredictor)  # noqa: S101 - a pipeline's
        (plain / "model.onnx").write_bytes(convert(loaded))
        data = pd.DataFrame(table[:50], columns=names)
        for kind in ("skops", "onnx"):
            found[f"{kind}-{number}"] = make_release(folder, plain / f"model.{kind}", data, number)
        found[f"plain-{number}"] = plain
    onnx_alone = folder / "plain-onnx"
    onnx_alone.mkdir()
    shutil.copy(folder / "plain-1" / "model.onnx", onnx_alone)
    return {**found, "plain-onnx": onnx_alone}


def make_release(folder: Path, model: Path, data: Any, number: int) -> Path:
    """Write a release's folder with golden requests."""
    from dataclasses import replace

    from modelci.documents import codec
    from modelci.domain.deployment import Release, ReleaseFile
    from modelci.domain.modelfiles import Trust
    from modelci.modelfiles.record import RecordOptions, record_golden

    release = folder / f"{model.suffix[1:]}-{number}"
    target = release / "model" / model.name
    target.parent.mkdir(parents=True)
    shutil.copy(model, target)
    options = RecordOptions(columns=tuple(data.columns))
    golden = record_golden(target, data, trust=Trust(), options=options)
    codec.write(replace(golden, model=model.name), release / "golden.json")
    files = []
    for path in (target, release / "golden.json"):
        content = path.read_bytes()
        name = path.relative_to(release).as_posix()
        sha256 = hashlib.sha256(content).hexdigest()
        files.append(ReleaseFile(path=name, sha256=sha256, bytes=len(content)))
    codec.write(
        Release(
            id=f"v{number}.0.0-{files[0].sha256[:12]}",
            artifact="bench",
            version=f"v{number}.0.0",
            commit="0" * 40,
            model=files[0].path,
            files=tuple(files),
            golden="golden.json",
        ),
        release / "release.json",
    )
    return release


def make_sides(folder: Path, models: Mapping[str, Path], peers: Path) -> list[Side]:
    """Return all servers that can be had here, ours first."""
    ours = str(environment(peers, "modelci") / "python")
    row = {f"x{number}": 0.1 * number for number in range(COLUMNS)}
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in row.items()
    ]
    records, protocol = json.dumps([row]), json.dumps({"inputs": tensors})
    infer = "/v2/models/bench/infer"

    def side(name: str, command: Sequence[str], body: str, path: str = "/predict") -> Side:
        place = folder / re.sub("[^a-z0-9]+", "-", name)
        place.mkdir()
        return Side(name=name, command=tuple(command), path=path, body=body, folder=place)

    serve = [ours, "-m", "modelci.serving", "run", "--port", "{port}", "--release"]
    apps = [str(COLUMNS), "{port}"]
    plain = str(models["plain-1"])
    starlette = [ours, str(PEERS / "starlette_app.py"), plain, *apps]
    sides = [
        side("modelci onnx", [*serve, str(models["onnx-1"])], records),
        side("modelci onnx, v2", [*serve, str(models["onnx-1"])], protocol, infer),
        side("modelci sklearn", [*serve, str(models["skops-1"])], records),
        side("starlette sklearn", starlette, records),
    ]
    fastapi = str(environment(peers, "fastapi") / "python")
    app = str(PEERS / "fastapi_app.py")
    sklearn_only = folder / "plain-sklearn"
    sklearn_only.mkdir()
    shutil.copy(models["plain-1"] / "model.joblib", sklearn_only)
    sides += [
        side("fastapi sklearn", [fastapi, app, str(sklearn_only), *apps], records),
        side("fastapi onnx", [fastapi, app, str(models["plain-onnx"]), *apps], records),
    ]
    try:
        mlserver = environment(peers, "mlserver")
    except BenchError as error:
        print(f"MLServer is left out: {error}", file=sys.stderr)
        return sides
    matrix = {"name": "x", "shape": [1, COLUMNS], "datatype": "FP64", "data": list(row.values())}
    found = side(
        "mlserver sklearn",
        [str(mlserver / "mlserver"), "start", "."],
        json.dumps({"inputs": [matrix], "outputs": [{"name": "predict_proba"}]}),
        infer,
    )
    shutil.copy(models["plain-1"] / "model.joblib", found.folder)
    settings = {
        "name": "bench",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "v1"},
    }
    (found.folder / "model-settings.json").write_text(json.dumps(settings), encoding="utf-8")
    return [*sides, found]


def environment(peers: Path, name: str) -> Path:
    """Return the programs of a peer's environment, made with uv where there is none."""
    programs = peers / name / "bin"
    if not (programs / "python").exists():
        uv = [str(Path(sys.executable).with_name("uv")), "--quiet"]
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        install = ["pip", "install", "--system-certs", "--python", str(programs / "python")]
        for command in (
            [*uv, "venv", "--python", python, str(peers / name)],
            [*uv, *install, "-r", str(PEERS / f"{name}.txt")],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                shutil.rmtree(peers / name, ignore_errors=True)
                raise BenchError(done.stderr.strip().splitlines()[-1])
    return programs


# What is measured.


def compare(sides: Sequence[Side], *, rounds: int, seconds: float) -> list[Measured]:
    """Ask all servers in turn, over 1 and over 16 connections."""
    with ExitStack() as stack:
        found = [stack.enter_context(running(side)) for side in sides]
        for one in found:
            ask(one.side, one.port, connections=1, seconds=1)
        for _ in range(rounds):
            for connections in (1, 16):
                for one in found:
                    before = cpu_of(one.process.pid)
                    asked = ask(one.side, one.port, connections=connections, seconds=seconds)
                    took = (cpu_of(one.process.pid) - before) / asked.requests * 1e6
                    one.cpu.setdefault(connections, []).append(took)
                    if asked.failed:
                        raise BenchError(f"{one.side.name} failed {asked.failed} requests")
                    one.per_second.setdefault(connections, []).append(asked.per_second)
                    one.p50.setdefault(connections, []).append(asked.p50)
                    one.p99.setdefault(connections, []).append(asked.p99)
        for one in found:
            one.memory = memory_of(one.process.pid)
    for one in found:
        for _ in range(2):
            with running(one.side) as again:
                one.cold_start += again.cold_start
                one.cpu_start += again.cpu_start
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched:
    """Switches under load: how many, in how many seconds, and what became of the requests."""

    switches: int
    seconds: float
    requests: int
    failed: int
    p99: float
    per_second: float


def switch(side: Side, releases: Sequence[Path], *, count: int) -> Switched:
    """Switch a server between releases, again and again, while 16 connections ask it."""
    admin = side.folder / "admin"
    with_admin = Side(
        name=side.name,
        command=(*side.command, "--admin", str(admin)),
        path=side.path,
        body=side.body,
        folder=side.folder,
    )
    with running(with_admin) as server:
        script = side.folder / "ask.lua"
        script.write_text(LUA.format(side.body), encoding="utf-8")
        command = ["wrk", "-t1", "-c16", "-d900s", "--latency", "-s", str(script)]
        load = subprocess.Popen(
            [*command, f"http://127.0.0.1:{server.port}{side.path}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        began = time.perf_counter()
        for number in range(count):
            post(admin, "/switch", {"release": str(releases[(number + 1) % len(releases)])})
        took = time.perf_counter() - began
        load.send_signal(signal.SIGINT)
        said, _ = load.communicate(timeout=60)
        text = fetch(server.port, "/metrics")
    errors = re.search(
        r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said
    )
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    done = re.search(r'modelci_switches_total{result="done"} (\d+)', text)
    if done is None or int(done[1]) != count:
        raise BenchError(f"{done and done[1]} of {count} switches were done")
    return Switched(
        switches=count,
        seconds=took,
        requests=int(_find(r"(\d+) requests in", said)[0]),
        failed=sum(map(int, errors.groups() if errors else ()))
        + (int(refused[1]) if refused else 0),
        p99=_milliseconds(said, "99"),
        per_second=float(_find(r"Requests/sec:\s+([\d.]+)", said)[0]),
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def post(admin: Path, path: str, content: object) -> None:
    connection = _UnixConnection(admin)
    connection.request("POST", path, body=json.dumps(content))
    reply = connection.getresponse()
    said = reply.read()
    connection.close()
    if reply.status != 200:
        raise BenchError(f"{path} was answered {reply.status}: {said.decode()}")


def fetch(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    text = connection.getresponse().read().decode()
    connection.close()
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Soaked:
    """Memory in bytes, at even intervals, under load with the request log on."""

    seconds: float
    requests: int
    failed: int
    memory: tuple[int, ...]

    @property
    def growth(self) -> float:
        """How much more is held at the end than after the first quarter, as a share."""
        settled = self.memory[len(self.memory) // 4]
        return self.memory[-1] / settled - 1


def soak(side: Side, *, seconds: float) -> Soaked:
    """Ask a server that logs for some time, and watch its memory."""
    log = {"path": str(side.folder / "log"), "max_bytes": 4_000_000, "keep": 3}
    settings = side.folder / "settings.json"
    settings.write_text(json.dumps({"log": log}), encoding="utf-8")
    logging_side = Side(
        name=side.name,
        command=(*side.command, "--settings", str(settings)),
        path=side.path,
        body=side.body,
        folder=side.folder,
    )
    memory, requests, failed = [], 0, 0
    with running(logging_side) as server:
        for _ in range(12):
            asked = ask(side, server.port, connections=16, seconds=seconds / 12)
            requests, failed = requests + asked.requests, failed + asked.failed
            memory.append(memory_of(server.process.pid))
    return Soaked(seconds=seconds, requests=requests, failed=failed, memory=tuple(memory))


# What is said.


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A goal, what was found, and whether that meets it."""

    goal: str
    found: str
    is_met: bool


def judge(found: Sequence[Measured]) -> Iterator[Verdict]:
    """Yield the goals of serving, as far as their peers ran."""
    by_name = {one.side.name: one for one in found}
    fast, slow = by_name["modelci onnx"], by_name["modelci sklearn"]
    for peer in ("fastapi sklearn", "fastapi onnx", "mlserver sklearn"):
        if peer in by_name:
            for connections in (1, 16):
                times = _median(fast, connections) / _median(by_name[peer], connections)
                goal = f"onnx at least 2× {peer} at {connections}"
                yield Verdict(goal=goal, found=f"{times:.2f}×", is_met=times >= 2)
    for connections in (1, 16):
        times = _median(slow, connections) / _median(by_name["starlette sklearn"], connections)
        goal = f"sklearn no worse than plain Starlette at {connections}"
        yield Verdict(goal=goal, found=f"{times:.2f}×", is_met=times >= 1)
    for one in (fast, slow):
        for connections in (1, 16):
            p50 = statistics.median(one.p50[connections])
            p99 = statistics.median(one.p99[connections])
            goal = f"{one.side.name}: p99 under 3× p50 at {connections}"
            yield Verdict(goal=goal, found=f"{p99 / p50:.1f}×", is_met=p99 < 3 * p50)
    for one, most in ((fast, 1.0), (slow, 3.0)):
        start = statistics.median(one.cold_start)
        goal = f"{one.side.name}: first answer within {most:g} s"
        yield Verdict(goal=goal, found=f"{start:.2f} s", is_met=start < most)


def _median(one: Measured, connections: int) -> float:
    return statistics.median(one.per_second[connections])


def table(found: Sequence[Measured]) -> Iterator[str]:
    """Yield a table of medians."""
    yield (
        f"{'':20}{'cold s':>8}{'CPU s':>7}{'MB':>6}{'req/s 1':>9}{'p50':>7}{'p99':>7}{'CPU µs':>8}"
        f"{'req/s 16':>10}{'p50':>7}{'p99':>7}{'CPU µs':>8}"
    )
    for one in found:
        cells = f"{statistics.median(one.cold_start):8.2f}{statistics.median(one.cpu_start):7.2f}"
        cells += f"{one.memory / 1e6:6.0f}"
        for connections, width in ((1, 9), (16, 10)):
            p50, p99 = one.p50[connections], one.p99[connections]
            cells += f"{_median(one, connections):{width}.0f}"
            cells += f"{statistics.median(p50):7.2f}{statistics.median(p99):7.2f}"
            cells += f"{statistics.median(one.cpu[connections]):8.0f}"
        yield f"{one.side.name:20}{cells}"


def main() -> int:
    """Measure, print, and fail only where something does not work."""
    asked = _parse()
    if shutil.which("wrk") is None:
        print("wrk is not installed (Debian: apt-get install wrk).", file=sys.stderr)
        return 2
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="modelci-bench-") as scratch:
        folder = Path(scratch)
        models = make_models(folder)
        sides = make_sides(folder, models, asked.environments.absolute())
        print(f"{os.cpu_count()} CPUs, Python {platform.python_version()}, load {before[0]:.1f}")
        found = compare(sides, rounds=asked.rounds, seconds=asked.seconds)
        print("\n".join(table(found)), flush=True)
        verdicts = list(judge(found))
        switched = switch(sides[0], [models["onnx-1"], models["onnx-2"]], count=asked.switches)
        verdicts.append(
            Verdict(
                goal=f"{switched.switches:,} switches under load, no failed request",
                found=f"{switched.failed} of {switched.requests:,} failed, in "
                f"{switched.seconds:.0f} s, p99 {switched.p99:.1f} ms",
                is_met=switched.failed == 0,
            )
        )
        soaked = soak(sides[0], seconds=asked.soak)
        verdicts.append(
            Verdict(
                goal=f"{soaked.seconds:.0f} s of load, memory grows by less than 2 %",
                found=f"{soaked.memory[len(soaked.memory) // 4] / 1e6:.1f} to "
                f"{soaked.memory[-1] / 1e6:.1f} MB over {soaked.requests:,} requests",
                is_met=soaked.growth < 0.02 and soaked.failed == 0,
            )
        )
    for one in verdicts:
        print(f"{'met   ' if one.is_met else 'MISSED'} {one.goal}: {one.found}")
    print(f"load {before[0]:.1f} to {os.getloadavg()[0]:.1f}")
    if asked.json:
        asked.json.write_text(_document(found, switched, soaked, verdicts), encoding="utf-8")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all servers")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement")
    parser.add_argument("--switches", type=int, default=10_000)
    parser.add_argument("--soak", type=float, default=120, metavar="SECONDS")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(".bench"),
        metavar="FOLDER",
        help="where each side's environment is, or is made",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures")
    return parser.parse_args()


def _document(
    found: Sequence[Measured], switched: Switched, soaked: Soaked, verdicts: Sequence[Verdict]
) -> str:
    sides = [
        {
            "name": one.side.name,
            "cold_start_seconds": one.cold_start,
            "cold_start_cpu_seconds": one.cpu_start,
            "cpu_microseconds_per_request": one.cpu,
            "memory_bytes": one.memory,
            "requests_per_second": one.per_second,
            "p50_ms": one.p50,
            "p99_ms": one.p99,
        }
        for one in found
    ]
    content = {
        "schema": "modelci.bench-serving/1",
        "load": os.getloadavg(),
        "sides": sides,
        "switched": asdict(switched),
        "soaked": asdict(soaked),
        "verdicts": [asdict(one) for one in verdicts],
    }
    return json.dumps(content, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
