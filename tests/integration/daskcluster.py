"""A Dask scheduler and workers as processes of their own, each worker in its own folder."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import distributed


class Cluster:
    """``workers`` are there once ``grow`` has returned; a worker that is killed stays away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._file = folder / "scheduler.json"
        self._scheduler = self._start("distributed.cli.dask_scheduler", "--port", "0")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (*self.workers.values(), self._scheduler):
            process.kill()
            process.wait()

    @property
    def address(self) -> str:
        with self._client() as client:
            return str(client.scheduler.address)

    def grow(
        self, *names: str, environment: Mapping[str, str] | None = None, resources: str = ""
    ) -> None:
        for name in names:
            self.workers[name] = self._start(
                "distributed.cli.dask_worker",
                *("--name", name, "--nthreads", "1", "--no-nanny"),
                *("--local-directory", str(self.folder / name)),
                *(["--resources", resources] if resources else []),
                environment=environment,
            )
        with self._client() as client:
            client.wait_for_workers(len(self.alive), timeout=200)

    @property
    def alive(self) -> list[str]:
        return [name for name, process in self.workers.items() if process.poll() is None]

    def kill(self, name: str) -> None:
        self.workers[name].send_signal(signal.SIGKILL)
        self.workers[name].wait()

    def name_of(self, pid: int) -> str:
        (name,) = (name for name, process in self.workers.items() if process.pid == pid)
        return name

    def clones(self) -> list[Path]:
        return sorted(self.folder.glob("**/modelci/*/*/work"))

    def _client(self) -> Any:
        return distributed.Client(  # type: ignore[no-untyped-call]
            scheduler_file=str(self._file), set_as_default=False, timeout=100
        )

    def _start(
        self, module: str, *options: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        common = ("--scheduler-file", str(self._file), "--no-dashboard")
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, *common, *options],
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
                stdout=log,
                stderr=log,
            )


def wait_until(path: Path, seconds: float = 100) -> str:
    """Return what a file holds once there is something in it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and (text := path.read_text(encoding="utf-8")):
            return text
        time.sleep(0.02)
    raise TimeoutError(path)
