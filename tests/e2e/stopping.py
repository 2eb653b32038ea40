"""Telling a command to stop at a moment that it names itself, and looking at what it leaves."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 60
# A second first: who starts Git is to wait for it when it is told to stop, and on a busy machine
# may otherwise still be within ``Popen``, where Python knows no child that it could end.
_GIT = """\
#!/bin/sh
for word; do
  if [ "$word" = "$BLOCK_GIT_AT" ]; then sleep 1; echo $$ > "$BEGUN"; exec sleep 600; fi
done
exec %s "$@"
"""
BLOCK = 'if [ -n "$BEGUN" ]; then echo $$ > "$BEGUN"; sleep 600; fi\n'
"""What makes a script of the project's wait to be stopped, where it is asked to."""


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """How a command ended that was told to stop."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Place:
    """A scratch folder of the commands that are stopped; ``begun`` is written when it is time."""

    folder: Path

    @property
    def begun(self) -> Path:
        return self.folder / "begun"

    @property
    def scratch(self) -> Path:
        return self.folder / "tmp"

    def environment(self, base: Mapping[str, str], block_git_at: str | None) -> dict[str, str]:
        """Return variables under which project scripts block, or Git does at one of its verbs."""
        tools = self.folder / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(exist_ok=True)
        (tools / "git").write_text(_GIT % shutil.which("git", path=base["PATH"]))
        (tools / "git").chmod(0o755)
        more = {"BEGUN": str(self.begun), "TMPDIR": str(self.scratch)}
        if block_git_at is not None:
            more |= {"BLOCK_GIT_AT": block_git_at, "PATH": f"{tools}:{base['PATH']}"}
        return {**base, **more}


def stopped(
    words: Sequence[str],
    place: Place,
    number: int,
    *,
    folder: Path,
    base: Mapping[str, str],
    block_git_at: str | None = None,
) -> Stopped:
    """Run modelci until it says that it has begun, send it the signal, and wait for its end."""
    place.folder.mkdir(exist_ok=True)
    place.begun.unlink(missing_ok=True)
    with subprocess.Popen(
        ["modelci", *words],
        cwd=folder,
        env=place.environment(base, block_git_at),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            wait_until(lambda: place.begun.exists() or process.poll() is not None)
            assert place.begun.exists(), process.communicate()
            process.send_signal(number)
            out, err = process.communicate(timeout=_SECONDS)
        finally:
            process.kill()
    return Stopped(code=process.returncode, out=out, err=err)


def assert_left_in_order(place: Place, folder: Path) -> None:
    """Hold a stopped command to its promise: no process, lock, scratch or half a file is left."""
    wait_until(lambda: not survivors(place.begun))
    assert list(place.scratch.iterdir()) == []
    assert [*(folder / ".git").rglob("*.lock"), *(folder / ".modelci").rglob(".*.part")] == []
    claims = folder / ".dvc" / "tmp" / "rwlock"
    assert not claims.exists() or json.loads(claims.read_text() or "{}") in ({}, {"__info__": {}})


def survivors(begun: Path) -> list[int]:
    """Return the processes that a stopped command has left, by the variable that all inherit."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            continue
        if f"BEGUN={begun}".encode() in variables and state != "Z":
            found.append(int(entry.name))
    return found


def wait_until(is_so: Callable[[], bool]) -> None:
    """Look again and again until it is so; fail after a minute."""
    end = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
