"""Processes that outlive whoever started them, and are found again by the file that each wrote.

A process is known by its number, when it started and in which boot of the machine, so that a
number which another process has by now is never signalled.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from modelci.adapters.targets.switching import launch
from modelci.errors import DeploymentError

LOG_BYTES = 5 * 1024 * 1024
"""A log that is larger is put aside when its process is looked at, and the one before deleted."""

_TAIL = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process that was started here; ``started`` is the system's own measure of time."""

    pid: int
    started: str
    boot: str

    def is_alive(self) -> bool:
        """Whether it is still this process, and has not ended."""
        found = launch.identity(self.pid)
        return found is not None and msgspec.convert(found, Process) == self

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to it and to nothing else; False where it has ended."""
        # Where the system has handles of processes, no signal goes astray between two looks.
        handle = _open_handle(self.pid)
        try:
            if not self.is_alive():
                return False
            if handle is None:
                os.kill(self.pid, number)
            else:
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            if handle is not None:
                os.close(handle)
        return True

    def kill_all(self) -> None:
        """Kill it, and what of its session outlived it.

        A session keeps its number from being given to another process. Where somebody else has
        the number, nothing of ours is left.
        """
        found = launch.identity(self.pid)
        if found is not None and msgspec.convert(found, Process) != self:
            return
        if _boot() != self.boot:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False where it goes on."""
        ends = time.monotonic() + seconds
        while self.is_alive():
            if time.monotonic() > ends:
                return False
            time.sleep(0.01)
        return True

    def stop(self, *, grace: float) -> None:
        """Ask it to end, and after so many seconds make it."""
        if self.send(signal.SIGTERM):
            self.wait(grace)
        self.kill_all()


def read(pid_file: Path) -> Process | None:
    """Return the process that wrote the file, alive or not."""
    try:
        return msgspec.json.decode(pid_file.read_bytes(), type=Process)
    except (OSError, msgspec.DecodeError):
        return None


def find(pid_file: Path) -> Process | None:
    """Return the living process that wrote the file."""
    process = read(pid_file)
    return process if process is not None and process.is_alive() else None


def start(
    command: Sequence[str],
    *,
    pid_file: Path,
    log: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    inherit: Sequence[int] = (),
    detach: bool = False,
) -> Process:
    """Start a program in a session of its own, and return it once it has written its file.

    It works in ``folder``, writes to ``log``, sees nothing of our standard streams, and inherits
    the ``inherit``ed files. Unless it is to ``detach``, ``reap`` must be called now and then.
    """
    rotate(log)
    pid_file.unlink(missing_ok=True)
    launcher = [sys.executable, "-I", "-S", launch.__file__, *(["--detach"] if detach else [])]
    child = subprocess.Popen(
        [*launcher, str(pid_file), str(log), "--", *command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=inherit,
    )
    if detach:
        child.wait()
    else:
        _CHILDREN[child.pid] = child
    ends = time.monotonic() + _START_SECONDS
    while time.monotonic() < ends:
        process = read(pid_file)
        if process is not None:
            return process
        time.sleep(0.002)
    raise DeploymentError(
        f"{Path(command[0]).name} could not be started.", hint=f"Its log is {log}."
    )


_START_SECONDS = 20.0
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


def reap(process: Process) -> str | None:
    """Return how a child of ours ended, in words; None where it goes on, or is no child."""
    child = _CHILDREN.get(process.pid)
    if child is not None:
        code = child.poll()
        if code is not None:
            del _CHILDREN[process.pid]
    else:
        code = _collect(process.pid)
    if code is None or code >= 0:
        return None if code is None else f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def _collect(pid: int) -> int | None:
    """Collect a child that was started before this process became another program."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if ended else None


def watch(process: Process) -> int | None:
    """Return a file that becomes readable when the process ends; None where there is no such."""
    handle = _open_handle(process.pid)
    if handle is not None and not process.is_alive():
        os.close(handle)
        return None
    return handle


def close(handle: int) -> None:
    """Close what ``watch`` returned."""
    os.close(handle)


def _open_handle(pid: int) -> int | None:
    if hasattr(os, "pidfd_open"):
        with suppress(OSError):
            return os.pidfd_open(pid)
    return None


def rotate(log: Path) -> None:
    """Put a log aside that has grown too large, by copying: its writer keeps it open."""
    with suppress(OSError):
        if log.stat().st_size > LOG_BYTES:
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
            os.truncate(log, 0)


def tail(log: Path) -> str:
    """Return the last lines of a log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""


def _boot() -> str:
    found = launch.identity(os.getpid())
    return str(found["boot"]) if found else ""
