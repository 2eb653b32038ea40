"""Models and releases that load in no time, and servers of them, in a thread or a process."""

import asyncio
import hashlib
import math
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile
from modelci.domain.golden import (
    Environment,
    Golden,
    Health,
    InputColumn,
    OutputColumn,
    Row,
    ValueType,
)
from modelci.modelfiles.predictor import Columns
from modelci.serving.app import ServingApp
from modelci.serving.engine import Engine
from modelci.serving.http import DrainingServer
from modelci.serving.metrics import Metrics
from modelci.serving.model import ServedModel
from modelci.serving.requestlog import RequestLog
from modelci.serving.schema import RequestSchema
from modelci.serving.settings import Settings
from modelci.serving.source import Source
from modelci.serving.tensors import TensorSchema

INPUTS = (
    InputColumn(name="amount", type=ValueType.NUMBER, nullable=False, min=0, max=1000),
    InputColumn(name="age", type=ValueType.NUMBER, min=18, max=80),
    InputColumn(name="purpose", type=ValueType.STRING, nullable=False, values=("car", "home")),
)
ROW: Row = {"amount": 500, "age": None, "purpose": "car"}
ROWS: tuple[Row, ...] = (
    ROW,
    {"amount": 20.5, "age": 33, "purpose": "home"},
    {"amount": 999, "age": 80, "purpose": "car"},
)


# A model whose answers can be computed by hand.


def score(row: Row, slope: float) -> float:
    """Return what a release with that slope says of a row."""
    amount, age = row["amount"], row["age"]
    assert isinstance(amount, (int, float))
    assert age is None or isinstance(age, (int, float))
    code = {"car": 1.0, "home": 2.0}.get(str(row["purpose"]), 0.0)
    return 1 / (1 + math.exp(-(slope * amount / 1000 + (40 if age is None else age) / 100 - code)))


def _column(name: str, kind: int) -> Any:
    return helper.make_tensor_value_info(name, kind, [None, 1])


def _constant(name: str, value: float) -> Any:
    return helper.make_tensor(name, TensorProto.FLOAT, [], [value])


def onnx_model(slope: float) -> bytes:
    """Return that model as ONNX: a column an input, two probabilities out."""
    nodes = [
        helper.make_node("IsNaN", ["age"], ["gap"]),
        helper.make_node("Where", ["gap", "forty", "age"], ["aged"]),
        helper.make_node("Mul", ["aged", "percent"], ["a"]),
        helper.make_node("Mul", ["amount", "slope"], ["b"]),
        helper.make_node(
            "LabelEncoder",
            ["purpose"],
            ["code"],
            domain="ai.onnx.ml",
            keys_strings=["car", "home"],
            values_floats=[1.0, 2.0],
            default_float=0.0,
        ),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["sum", "code"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["yes"]),
        helper.make_node("Sub", ["one", "yes"], ["no"]),
        helper.make_node("Concat", ["no", "yes"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "credit",
        [
            _column("amount", TensorProto.FLOAT),
            _column("age", TensorProto.FLOAT),
            _column("purpose", TensorProto.STRING),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [
            _constant("forty", 40.0),
            _constant("percent", 0.01),
            _constant("slope", slope / 1000),
            _constant("one", 1.0),
        ],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=domains, ir_version=8)
    data: bytes = made.SerializeToString()
    return data


def write_release(
    folder: Path, *, version: str = "v1.0.0", slope: float = 1.0, said: float | None = None
) -> Release:
    """Write a release's folder; ``said`` is the slope that its golden requests were answered by."""
    model = folder / "model" / "credit.onnx"
    model.parent.mkdir(parents=True)
    model.write_bytes(onnx_model(slope))
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    answered = slope if said is None else said
    golden = Golden(
        model="models/credit.onnx",
        sha256=sha256,
        flavour="onnx",
        inputs=INPUTS,
        outputs=(OutputColumn(name="score"),),
        requests=ROWS,
        responses=tuple({"score": score(row, answered)} for row in ROWS),
        environment=Environment(python=".".join(map(str, sys.version_info[:3]))),
        tolerance=1e-4,
    )
    codec.write(golden, folder / "golden.json")
    release = Release(
        id=f"{version}-{sha256[:12]}",
        artifact="credit",
        version=version,
        commit="c" * 40,
        model="model/credit.onnx",
        files=tuple(_file(folder, path) for path in (model, folder / "golden.json")),
        golden="golden.json",
    )
    codec.write(release, folder / "release.json")
    return release


def _file(folder: Path, path: Path) -> ReleaseFile:
    data = path.read_bytes()
    name = path.relative_to(folder).as_posix()
    return ReleaseFile(path=name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))


# A model that does as a test wants.


@dataclass
class FakePredictor:
    """Answers ``score`` with the amount; may take some time, fail, or say something else.

    Where ``held`` is given, each answer waits until it is set.
    """

    inputs: tuple[InputColumn, ...] = INPUTS
    outputs: tuple[OutputColumn, ...] = (OutputColumn(name="score"),)
    seconds: float = 0.0
    held: threading.Event | None = None
    error: Exception | None = None
    says: Mapping[str, npt.NDArray[Any]] | None = None
    flavour: str = "fake"
    asked: list[Columns] = field(default_factory=list)

    def predict(self, columns: Columns) -> Mapping[str, npt.NDArray[Any]]:
        self.asked.append(columns)
        if self.seconds:
            time.sleep(self.seconds)
        if self.held is not None:
            self.held.wait(100)
        if self.error is not None:
            raise self.error
        if self.says is not None:
            return self.says
        return {"score": np.array(columns["amount"], dtype=np.float64)}


# Nothing here is encrypted, and to read all certificates takes longer than most of these tests.
_UNUSED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SOURCE = Source(artifact="credit", version="v1.0.0", release="v1.0.0-0", model="m", sha256="0")


def served(
    predictor: FakePredictor | None = None, *, inline_rows: int = 100, typed: bool = True
) -> ServedModel:
    """Return a model that is ready to answer."""
    predictor = predictor or FakePredictor()
    schema = RequestSchema(predictor.inputs, typed=typed)
    return ServedModel(
        source=SOURCE,
        predictor=predictor,
        golden=None,
        health=Health(ok=True),
        schema=schema,
        tensors=TensorSchema(schema, predictor.outputs),
        inline_rows=inline_rows,
    )


def named(model: ServedModel, version: str) -> ServedModel:
    """Return the same model under another version."""
    return replace(model, source=replace(model.source, version=version, release=version))


# Servers.


@dataclass
class Running:
    """A server in a thread of this process."""

    app: ServingApp
    port: int
    server: DrainingServer
    thread: threading.Thread

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60, verify=_UNUSED, **options)

    def connect(self) -> socket.socket:
        """Return a connection to say anything on."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def end(self) -> None:
        self.server.end()
        self.thread.join(100)
        assert not self.thread.is_alive()


@contextmanager
def running(
    model: ServedModel | None = None, settings: Settings | None = None
) -> Iterator[Running]:
    """Serve a model on loopback while the block runs."""
    settings = settings or Settings(drain_seconds=0)
    metrics = Metrics()
    engine = Engine(metrics, seconds=settings.timeout_seconds)
    log = RequestLog(settings.log, metrics) if settings.log else None
    app = ServingApp(model or served(), settings=settings, metrics=metrics, engine=engine, log=log)
    server = DrainingServer(app, settings)
    sock = socket.create_server(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[sock])))
    thread.start()
    found = Running(app=app, port=port, server=server, thread=thread)
    try:
        yield found
    finally:
        found.end()
        engine.close()
        if log is not None:
            log.close()


@dataclass
class Process:
    """``python -m modelci.serving`` in a process of its own, on a socket in the file system."""

    popen: subprocess.Popen[bytes]
    uds: Path
    admin: Path
    log: Path

    def client(self, **options: Any) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.uds), verify=_UNUSED)
        return httpx.Client(transport=transport, base_url="http://server", timeout=100, **options)

    def switcher(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.admin), verify=_UNUSED)
        return httpx.Client(transport=transport, base_url="http://admin", timeout=60)

    def is_heard(self) -> bool:
        """Whether somebody listens (httpx leaves a socket open where nobody does)."""
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(self.uds)) == 0

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_until_ready(self, seconds: float = 200) -> "Process":
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.popen.poll() is None:
            if self.is_heard():
                with self.client() as client:
                    assert client.get("/v2/health/ready").status_code == 200
                return self
            time.sleep(0.02)
        raise AssertionError(f"the server is not ready: {self.said()}")

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 100) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(seconds)


@contextmanager
def process(
    release: Path, *arguments: str, folder: Path, settings: Settings | None = None
) -> Iterator[Process]:
    """Run a release in a process while the block runs; ``folder`` is for its sockets and log."""
    # The path of a socket may have some hundred bytes: those of tests are longer.
    short = Path("/tmp") / f"mci-{os.getpid()}-{time.monotonic_ns():x}"  # noqa: S108 - for a socket
    short.mkdir(mode=0o700)
    command = [sys.executable, "-m", "modelci.serving", "run", "--release", str(release)]
    command += ["--uds", str(short / "s"), "--admin", str(short / "a"), *arguments]
    if settings is not None:
        import msgspec

        (folder / "settings.json").write_bytes(msgspec.json.encode(settings))
        command += ["--settings", str(folder / "settings.json")]
    log = folder / "server.log"
    with log.open("wb") as file:
        popen = subprocess.Popen(command, stdout=file, stderr=file)
    try:
        yield Process(popen=popen, uds=short / "s", admin=short / "a", log=log)
    finally:
        if popen.poll() is None:
            popen.terminate()
            try:
                popen.wait(100)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()
        for left in short.iterdir():
            left.unlink()
        short.rmdir()


def tensors_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as inputs of the Open Inference Protocol."""
    kinds = {"amount": "FP64", "age": "FP64", "purpose": "BYTES"}
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": kind,
            "data": [row[name] for row in rows],
        }
        for name, kind in kinds.items()
    ]
