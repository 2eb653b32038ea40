"""Stands in for ``python -m modelci.serving``: loads in no time, and fails as it is told.

``model_server.py run --release DIR --uds SOCK`` and ``… check --release DIR``. The release's model
says how it behaves: a ``Behaviour`` as JSON.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvicorn

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """``share`` is that of the predictions which ``status``, ``die`` and ``delay_ms`` count for."""

    name: str = "a"
    offset: float = 0.0
    shape: int = 1
    share: float = 1.0
    status: int = 200
    die: bool = False
    delay_ms: float = 0.0
    size: int = 0
    start_seconds: float = 0.0
    exit_at_start: bool = False
    is_healthy: bool = True


class App:
    """Answers like the real server, as far as the switch can tell."""

    def __init__(self, release: Path) -> None:
        self.release = json.loads((release / "release.json").read_text(encoding="utf-8"))
        text = (release / self.release["model"]).read_text(encoding="utf-8")
        self.behaviour = Behaviour(**json.loads(text))
        self._due = 0.0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["method"] == "POST":
            await self.predict(body, send)
        else:
            seen = {name.decode(): value.decode() for name, value in scope["headers"]}
            await answer(send, 200, {"path": scope["path"], "headers": seen, "pid": os.getpid()})

    async def predict(self, body: bytes, send: Send) -> None:
        self._due += self.behaviour.share  # evenly, so that nothing is left to chance
        is_meant = self._due >= 1
        self._due -= is_meant
        if is_meant and self.behaviour.delay_ms:
            await asyncio.sleep(self.behaviour.delay_ms / 1000)
        if is_meant and self.behaviour.die:
            os.kill(os.getpid(), signal.SIGKILL)
        if is_meant and self.behaviour.status != 200:
            await answer(send, self.behaviour.status, {"error": "as told"})
            return
        asked = json.loads(body or b"{}")
        value = float(asked.get("value", 0.0)) + self.behaviour.offset
        output = {"name": "score", "shape": [self.behaviour.shape], "datatype": "FP64"}
        document = {
            "model_name": self.release["artifact"],
            "model_version": self.release["id"],
            "outputs": [output | {"data": [value] * self.behaviour.shape}],
            "padding": "x" * self.behaviour.size,
        }
        await answer(send, 200, document)


async def answer(send: Send, status: int, document: object) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def run(release: Path, uds: str) -> None:
    app = App(release)
    if app.behaviour.exit_at_start:
        sys.stderr.write("ValueError: this model cannot be loaded\n")
        sys.exit(3)
    time.sleep(app.behaviour.start_seconds)
    uvicorn.run(app, uds=uds, log_level="warning", access_log=False, timeout_keep_alive=5)


def check(release: Path) -> int:
    behaviour = App(release).behaviour
    health = {
        "schema": "modelci.health/1",
        "ok": behaviour.is_healthy,
        "problems": [] if behaviour.is_healthy else ["row 1: score is 0.5, not 0.7"],
        "rows": 20,
        "worst": 0.0,
        "load_seconds": 0.01,
        "p50_ms": 0.1,
        "p99_ms": 0.2,
    }
    sys.stdout.write(json.dumps(health) + "\n")
    return 0 if behaviour.is_healthy else 1


def main() -> int:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "check"):
        command = commands.add_parser(name)
        command.add_argument("--release", type=Path, required=True)
        command.add_argument("--uds")
        command.add_argument("--workers")
        command.add_argument("--settings")
        command.add_argument("--max-latency-ms")
    asked = parser.parse_args()
    if asked.command == "check":
        return check(asked.release)
    run(asked.release, asked.uds)
    return 0


def write_behaviour(folder: Path, behaviour: Behaviour) -> bytes:
    """Write what ``App`` reads, and return it."""
    (folder / "model").mkdir(parents=True, exist_ok=True)
    data = spell(behaviour).encode()
    (folder / "model/behaviour.json").write_bytes(data)
    return data


def spell(behaviour: Behaviour) -> str:
    return json.dumps(asdict(behaviour))


if __name__ == "__main__":
    sys.exit(main())
