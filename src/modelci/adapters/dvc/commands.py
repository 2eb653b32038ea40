"""Runs shell commands in process groups of their own, and keeps what they print."""

import os
import re
import resource
import selectors
import signal
import subprocess
import sys
import time
from codecs import getincrementaldecoder
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

TAIL_LINES = 40
TAIL_BYTES = 8 * 1024

# A coloured progress bar spends many bytes on one line that is read.
_KEPT_BYTES = 8 * TAIL_BYTES
_CHUNK = 64 * 1024
# How often we look whether a command ended while something it started holds the pipe open.
_PATIENCE = 0.05
_SHORT = 0.002
# How often we look how large its processes are.
_FIRST_LOOK, _BETWEEN_LOOKS = 0.1, 0.5
_RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_PEAK = re.compile(rb"VmHWM:\s+(\d+) kB")
# Actions sends SIGINT, SIGTERM after 7.5 s and SIGKILL after 10 s: we must be done before.
_GRACES = (5.0, 2.0)
_LEFTOVER_GRACE = 0.5
_GENTLE = (signal.SIGINT, signal.SIGTERM)
_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC: titles, links
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class StageLog:
    """What a stage prints: all of it in a file, each piece to a listener, the end kept as text."""

    def __init__(
        self, path: Path, listener: Callable[[str], None], *, append: bool = False
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab" if append else "wb", buffering=0)
        self._listener = listener
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._end = bytearray()

    def write(self, data: bytes) -> None:
        """Take a piece as it came; a character may be cut in two."""
        self._file.write(data)
        self._end += data
        if len(self._end) > 2 * _KEPT_BYTES:
            del self._end[:-_KEPT_BYTES]
        if text := self._decoder.decode(data):
            self._listener(text)

    def tail(self) -> str:
        """Return the last lines, without colours and control characters."""
        return clean_tail(self._end[-_KEPT_BYTES:].decode("utf-8", "replace"))

    def close(self) -> None:
        """Close the file; ``tail`` still answers."""
        self._file.close()


def clean_tail(text: str) -> str:
    """Return at most 40 lines and 8 KiB of the end of ``text``, as a terminal would show them."""
    plain = _ESCAPES.sub("", text).replace("\r\n", "\n")
    # A progress bar goes back to the start of its line: what was written last is what is seen.
    lines = [
        _CONTROLS.sub("", line.rstrip("\r").rpartition("\r")[2])
        for line in plain.rstrip().split("\n")
    ]
    kept = "\n".join(line.rstrip() for line in lines[-TAIL_LINES:])
    return kept.encode("utf-8", "replace")[-TAIL_BYTES:].decode("utf-8", "ignore")


class Halt:
    """Asks every running command to end: gently, and when asked again at once."""

    def __init__(self) -> None:
        self.is_asked = False
        self.is_urgent = False

    def ask(self) -> None:
        """Ask, or ask again."""
        self.is_urgent = self.is_asked
        self.is_asked = True


class HaltedError(Exception):
    """A command was ended because ``Halt`` asked for it."""


class TimedOutError(Exception):
    """A command was ended because its time was over."""


@dataclass(slots=True)
class Usage:
    """What commands took: CPU seconds, and the bytes of the largest process, if it was seen."""

    cpu_seconds: float = 0.0
    peak_bytes: int | None = None

    def saw(self, number: int) -> None:
        """Take a size into account."""
        self.peak_bytes = max(number, self.peak_bytes or 0)


class ProcessGroups:
    """Runs a stage's commands one after the other, each in its own session.

    One that leaves a process behind (``server &``) does not keep us waiting, and what is left
    behind can go on printing until the stage is over. An exception, a halt above all, ends the
    whole group of the running command: SIGINT, after a grace SIGTERM, after another SIGKILL.
    They inherit the open file ``held``: a lock on it lasts until the last of them has ended, even
    if we are killed.
    """

    def __init__(
        self,
        sink: Callable[[bytes], None],
        *,
        cwd: str,
        environment: Mapping[str, str],
        graces: tuple[float, float] = _GRACES,
        halt: Halt | None = None,
        timeout: float | None = None,
        usage: Usage | None = None,
        held: int | None = None,
    ) -> None:
        self._sink = sink
        self._graces = graces
        self._cwd = cwd
        # Through a pipe Python would hold back what it prints until there is a lot of it.
        self._environment = {"PYTHONUNBUFFERED": "1", **environment}
        self._selector = selectors.DefaultSelector()
        self._halt = halt or Halt()
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._next_look = 0.0
        self._usage = usage or Usage()
        self._held = () if held is None else (held,)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for key in list(self._selector.get_map().values()):
            self._forget(key.fd)
        self._selector.close()

    def run(self, command: Sequence[str] | str) -> int:
        """Run one command to its end and return its exit code (minus the signal that ended it).

        Raises HaltedError or TimedOutError once its whole group has ended.
        """
        self._check()
        reading, writing = os.pipe()
        self._selector.register(reading, selectors.EVENT_READ)
        process = None
        try:
            try:
                process = self._start(command, writing)
            finally:
                os.close(writing)
            return self._follow(process, reading)
        except BaseException:
            if process is not None:
                self._end(process)
            raise

    def _start(self, command: Sequence[str] | str, output: int) -> subprocess.Popen[bytes]:
        self._next_look = time.monotonic() + _FIRST_LOOK
        return subprocess.Popen(
            command,
            shell=isinstance(command, str),
            cwd=self._cwd,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=self._held,
        )

    def _follow(self, process: subprocess.Popen[bytes], reading: int) -> int:
        while (code := self._reap(process)) is None:
            self._check()
            self._look_at(process)
            if reading in self._selector.get_map():
                self._pass_on(_PATIENCE)
            else:  # it has closed its output; most end just then
                time.sleep(_SHORT)
        # What it wrote is in the pipe; what it left running may write for ever.
        for _ in range(1024):
            if not self._pass_on(0):
                break
        return code

    def _check(self) -> None:
        if self._halt.is_asked:
            raise HaltedError
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise TimedOutError

    def _reap(self, process: subprocess.Popen[bytes], options: int = os.WNOHANG) -> int | None:
        """Return the exit code once the process has ended, and keep what it took."""
        if process.returncode is None:
            pid, status, used = os.wait4(process.pid, options)
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
                self._usage.cpu_seconds += used.ru_utime + used.ru_stime
                # Until it became the command the process was a copy of ours, as large as we are.
                if used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss:
                    self._usage.saw(used.ru_maxrss * _RSS_UNIT)
        return process.returncode

    def _look_at(self, process: subprocess.Popen[bytes]) -> None:
        """See now and then how large the command's processes have become."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _BETWEEN_LOOKS
            if size := largest_process(process.pid):
                self._usage.saw(size)

    def _pass_on(self, seconds: float) -> bool:
        """Hand on what comes within ``seconds``; say whether anything came."""
        ready = self._selector.select(seconds)
        for key, _ in ready:
            data = os.read(key.fd, _CHUNK)
            if data:
                self._sink(data)
            else:
                self._forget(key.fd)
        return bool(ready)

    def _forget(self, fd: int) -> None:
        self._selector.unregister(fd)
        os.close(fd)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        is_gone = False
        try:
            for number, grace in zip(_GENTLE, self._graces, strict=True):
                _signal_group(process, number)
                is_gone = self._is_gone_within(process, grace)
                if is_gone:
                    return
        finally:
            if not is_gone:
                _signal_group(process, signal.SIGKILL)
                self._reap(process, 0)

    def _is_gone_within(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._halt.is_urgent:
            # Its last words matter, and a full pipe would keep it from ending.
            if not self._pass_on(0.01):
                time.sleep(0.01)
            if self._reap(process) is None:
                continue
            if not _signal_group(process, 0):
                return True
            # A shell's background jobs ignore SIGINT: no use in waiting for them.
            deadline = min(deadline, time.monotonic() + _LEFTOVER_GRACE)
        return False


def largest_process(pid: int) -> int | None:
    """Return the most bytes that a process or one of its descendants has held; None if unknown."""
    sizes = []
    waiting = [pid]
    while waiting:
        folder = Path("/proc", str(waiting.pop()))
        try:
            found = _PEAK.search((folder / "status").read_bytes())
            children = (folder / "task" / folder.name / "children").read_text(encoding="ascii")
        except OSError:  # it has ended, or this is no Linux
            continue
        waiting += map(int, children.split())
        sizes += [int(found[1]) * 1024] if found else []
    return max(sizes, default=None)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> bool:
    """Send a signal to the group; False if nobody is left in it."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):  # macOS: of zombies only
        return False
    return True
