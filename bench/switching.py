"""``python -m bench.switching``: switches under load, by our switch and by HAProxy.

Two releases of a logistic regression run behind each switch. What a switch adds to a request is
measured first, with one client at a time; then clients ask without a pause while the target is
switched to and fro. A switch is ``Target.switch``: the process seen to be ready, the state written
and synced, the switch told of it. Its live part is measured by itself, too: what the supervisor
needs from reading the new state to the switch's word that it counts.
"""

import argparse
import asyncio
import hashlib
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import skops.io
import uvloop
from sklearn.linear_model import LogisticRegression

from modelci.adapters.ci import bare_environment
from modelci.adapters.progress import SilentProgress
from modelci.adapters.targets.layout import Layout, now
from modelci.adapters.targets.server import ServerTarget, connect
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.switching import control
from modelci.adapters.targets.switching.supervisor import CONTROL, RUN
from modelci.adapters.targets.switching.switches import find_haproxy
from modelci.config.model import ServerTargetConfig, SwitchKind, TargetConfig, TargetKind
from modelci.documents import codec
from modelci.domain.deployment import Release, ReleaseFile, Running
from modelci.serving.settings import Settings

COLUMNS = ("amount", "age", "income", "term")
ARTIFACT = "credit"


# -- clients ---------------------------------------------------------------------------------------


class Connection(asyncio.Protocol):
    """One that stays, and asks one thing at a time; quicker than what it measures."""

    def __init__(self) -> None:
        self._data = b""
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if found and len(body) >= _length(head) and self._waiting is not None:
            waiting, self._waiting, answer, self._data = self._waiting, None, self._data, b""
            waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(f"closed: {exc}"))

    async def ask(self, request: bytes) -> bytes:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        self._transport.close()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


def _request() -> bytes:
    row = {"amount": 5000.0, "age": 41.0, "income": 32000.0, "term": 24.0}
    body = json.dumps([row]).encode()
    head = "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


REQUEST = _request()


@dataclass(kw_only=True)
class Load:
    """What clients saw; latencies in ms."""

    latencies: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, began: float, answer: bytes) -> None:
        """Count an answer."""
        self.latencies.append((time.perf_counter() - began) * 1000)
        if answer.startswith(b"HTTP/1.1 200 "):
            self.answers["b" if b'"version":"b"' in answer else "a"] += 1
        else:
            self.errors.append(answer[:80].decode(errors="replace"))


async def _client(load: Load, address: str | int, goes_on: Sequence[Any], most: int) -> None:
    loop = asyncio.get_running_loop()
    connection = None
    for _ in range(most):
        if not goes_on:
            break
        began = time.perf_counter()
        try:
            if connection is None:
                connection = await _connect(loop, address)
            load.note(began, await connection.ask(REQUEST))
        except OSError as error:
            load.errors.append(str(error))
            connection = None
    if connection is not None:
        connection.close()


async def _connect(loop: asyncio.AbstractEventLoop, address: str | int) -> Connection:
    if isinstance(address, int):
        return (await loop.create_connection(Connection, "127.0.0.1", address))[1]
    return (await loop.create_unix_connection(Connection, address))[1]


def ask(address: str | int, *, clients: int, requests: int) -> Load:
    """Ask so many requests, and return what came of it."""
    load = Load()
    _ask(load, address, [True], clients=clients, most=requests // clients)
    return load


def _ask(
    load: Load, address: str | int, goes_on: Sequence[Any], *, clients: int, most: int
) -> None:
    async def all_of_them() -> None:
        asking = (_client(load, address, goes_on, most) for _ in range(clients))
        await asyncio.gather(*asking)

    began = time.perf_counter()
    uvloop.run(all_of_them())
    load.seconds = time.perf_counter() - began


# -- what is asked ---------------------------------------------------------------------------------


def write_release(folder: Path, name: str, *, sign: int) -> Release:
    """Train a model in milliseconds, and write its release."""
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(generator.normal(size=(500, len(COLUMNS))), columns=list(COLUMNS))
    model = LogisticRegression().fit(rows, (sign * rows["amount"] > 0).astype(int))
    path = folder / "model/credit.skops"
    path.parent.mkdir(parents=True)
    path.write_bytes(skops.io.dumps(model))
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    release = Release(
        id=f"{name}-{digest[:12]}",
        artifact=ARTIFACT,
        version=name,
        commit="c" * 40,
        model="model/credit.skops",
        files=(ReleaseFile(path="model/credit.skops", sha256=digest, bytes=len(data)),),
    )
    codec.write(release, folder / "release.json")
    return release


def running(release: Release, number: int) -> Running:
    """Return what is to run, for the tag of that number."""
    return Running(
        release=release.id,
        artifact=ARTIFACT,
        version=release.version,
        tag=f"{ARTIFACT}#prod#{number}",
        commit=release.commit,
        assigned_seconds=number,
        since=now(),
    )


@contextmanager
def target_of(switch: str, port: int) -> Iterator[tuple[ServerTarget, Path]]:
    """Give a target with that switch, and its folder."""
    with tempfile.TemporaryDirectory(prefix="modelci-bench-") as scratch:
        settings = TargetSettings(
            name="bench",
            config=TargetConfig(
                kind=TargetKind.SERVER,
                path="target",
                server=ServerTargetConfig(listen=f"127.0.0.1:{port}", switch=SwitchKind(switch)),
            ),
            root=Path(scratch),
            progress=SilentProgress(),
            bare=bare_environment(),
            serving=Settings(drain_seconds=0).as_json(),
        )
        target = connect(settings)
        try:
            yield target, Path(scratch)
        finally:
            target.stop()


# -- measuring -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Of one switch; all times in ms. ``cpu`` is its process's, for each request."""

    switch: str
    direct: Load
    through: Load
    many: Load
    cpu: float
    switches: list[float]
    live: list[float]
    load: Load
    stale: int


def measure(switch: str, *, switches: int, requests: int, clients: int, port: int) -> Figures:
    """Measure one switch."""
    with target_of(switch, port) as (target, folder):
        releases = [
            write_release(folder / name, name, sign=sign) for name, sign in (("a", 1), ("b", -1))
        ]
        for number, release in enumerate(releases):
            target.stage(release, folder / "ab"[number], python=None)
            health = target.check(release, latency_ms=None)
            if not health.ok:
                sys.exit(f"{release.id}: {health.problems}")
            target.switch(running(release, number))
        socket = str(folder / "target" / RUN / f"{releases[1].id}.sock")
        for address in (socket, port):
            ask(address, clients=1, requests=500)
        direct = ask(socket, clients=1, requests=requests // 5)
        through = ask(port, clients=1, requests=requests // 5)
        before = _cpu_seconds(target)
        many = ask(port, clients=16, requests=requests)
        cpu = (_cpu_seconds(target) - before) / len(many.latencies) * 1000
        took, live, load, stale = _switch_under_load(
            target,
            releases,
            folder,
            port=port,
            switches=switches,
            requests=requests,
            clients=clients,
        )
        return Figures(
            switch=switch,
            direct=direct,
            through=through,
            many=many,
            cpu=cpu,
            switches=took,
            live=live,
            load=load,
            stale=stale,
        )


def _cpu_seconds(target: ServerTarget) -> float:
    """Return what the switch's process has used, user and system."""
    pid = (target.status() or sys.exit("there is no supervisor"))["switch"]["pid"]
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _switch_under_load(
    target: ServerTarget,
    releases: Sequence[Release],
    folder: Path,
    *,
    port: int,
    switches: int,
    requests: int,
    clients: int,
) -> tuple[list[float], list[float], Load, int]:
    """Return how long switches took, their live part, what clients saw, and stale answers."""
    goes_on, load = [True], Load()
    asking = threading.Thread(
        target=_ask, args=(load, port, goes_on), kwargs={"clients": clients, "most": sys.maxsize}
    )
    asking.start()
    took, stale = list[float](), 0
    for number in range(switches):
        release = releases[number % 2]
        before = time.perf_counter()
        target.switch(running(release, number))
        took.append((time.perf_counter() - before) * 1000)
        if number % 50 == 0:
            stale += ask(port, clients=1, requests=1).answers[str(release.version)] != 1
    live = [_live_part(folder, releases[number % 2], number) for number in range(switches // 10)]
    while len(load.latencies) < requests:
        time.sleep(0.1)
    goes_on.clear()
    asking.join()
    return took, live, load, stale


def _live_part(folder: Path, release: Release, number: int) -> float:
    """Write the state as the target does, and return how long the supervisor took to follow."""
    Layout("bench", folder / "target" / ARTIFACT).switch(running(release, 1_000_000 + number))
    told = {"do": "apply", "artifact": ARTIFACT}
    reply = control.call(folder / "target" / RUN / CONTROL, told, seconds=10)
    if reply["route"]["running"] != release.id:
        sys.exit("the switch did not follow")
    return float(reply["seconds"]) * 1000


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    return (
        f"{statistics.median(ordered):8.3f} {ordered[int(len(ordered) * 0.99)]:8.3f} "
        f"{ordered[-1]:9.3f}"
    )


def show(figures: Figures) -> None:
    """Print the figures of one switch."""
    print(f"{figures.switch}: ms {'p50':>20} {'p99':>8} {'most':>9}")
    print(f"  asked directly        {_spread(figures.direct.latencies)}")
    print(f"  asked through it      {_spread(figures.through.latencies)}")
    added = [
        statistics.quantiles(figures.through.latencies, n=100)[at]
        - statistics.quantiles(figures.direct.latencies, n=100)[at]
        for at in (49, 98)
    ]
    print(f"  which adds            {added[0]:8.3f} {added[1]:8.3f}")
    rate = len(figures.many.latencies) / figures.many.seconds
    print(f"  16 clients            {_spread(figures.many.latencies)}   {rate:,.0f} requests/s")
    print(f"  its CPU a request     {figures.cpu:8.3f}")
    print(f"  a switch              {_spread(figures.switches)}   of {len(figures.switches):,}")
    print(f"    its live part       {_spread(figures.live)}")
    load = figures.load
    print(f"  clients meanwhile     {_spread(load.latencies)}")
    print(
        f"  {len(load.latencies):,} requests, {load.answers['a']:,} answered by a and "
        f"{load.answers['b']:,} by b, {len(load.errors)} failed {load.errors[:3] or ''}"
    )
    print(
        f"  asked right after a switch: {figures.stale} answered by the old release\n", flush=True
    )


def main() -> int:
    """Measure the switches asked for, and exit with 1 if a request failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.switching", description=__doc__)
    parser.add_argument("--switches", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=25_000)
    parser.add_argument("--clients", type=int, default=8, help="that ask while it is switched")
    parser.add_argument("--port", type=int, default=18_437)
    parser.add_argument("--only", choices=["builtin", "haproxy"])
    asked = parser.parse_args()
    known = ["builtin", *(["haproxy"] if find_haproxy() else [])]
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, "
        f"load {os.getloadavg()[0]:.1f}; {asked.clients} clients\n",
        flush=True,
    )
    failed = 0
    for switch in [asked.only] if asked.only else known:
        figures = measure(
            switch,
            switches=asked.switches,
            requests=asked.requests,
            clients=asked.clients,
            port=asked.port,
        )
        show(figures)
        failed += len(figures.load.errors) + len(figures.many.errors) + figures.stale
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
