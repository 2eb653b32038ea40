"""The live table in a terminal: a pseudo-terminal stands in for one."""

import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.e2e.world import World

SHOW, HIDE = "\x1b[?25h", "\x1b[?25l"


def in_terminal(
    folder: Path,
    environment: Mapping[str, str],
    *arguments: str,
    columns: int = 100,
    interrupt_after: str | None = None,
    free: tuple[str, Path] | None = None,
) -> tuple[int, str]:
    """Run modelci with stderr on a terminal; return the exit code and what it showed.

    ``free`` is a text and a file: once the text is seen, the file is made, which something that is
    slow waits for.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    before = termios.tcgetattr(theirs)
    shown, until = b"", time.monotonic() + 200
    is_interrupted = interrupt_after is None
    with subprocess.Popen(
        ["modelci", *arguments],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        while time.monotonic() < until:
            is_over = process.poll() is not None
            while select.select([ours], [], [], 0.05)[0]:
                shown += os.read(ours, 65536)
                if not is_interrupted and str(interrupt_after).encode() in shown:
                    is_interrupted = True
                    process.send_signal(signal.SIGINT)
                if free is not None and free[0].encode() in shown:
                    free[1].touch()
            if is_over:
                break
        process.kill()
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
    return process.returncode, shown.decode()


@pytest.fixture
def terminal(site: World) -> dict[str, str]:
    variables = {"NO_COLOR": None, "TERM": "xterm-256color", "COLUMNS": None, "LINES": None}
    return site.laptop.environment(variables)


SLOW = "printf 'epoch \\033[2J7\\n'\n"
WAIT = "for _ in $(seq 2000); do test -e {} && break; sleep 0.1; done"


@pytest.mark.parametrize("columns", [30, 100])
def test_a_table_appears_and_goes(
    site: World, terminal: dict[str, str], columns: int, tmp_path: Path
) -> None:
    laptop, seen = site.laptop, tmp_path / "seen"
    laptop.put({"train.sh": f"{SLOW}{WAIT.format(seen)}\n{laptop.read('train.sh')}"})
    code, shown = in_terminal(
        laptop.folder, terminal, "run", columns=columns, free=("epoch 7", seen)
    )
    assert code == 0, shown
    assert "▸ train" in shown
    assert "epoch 7" in shown
    assert "\x1b[2J" not in shown  # the stage clears no screen
    assert "train ✔ ran" in shown
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    assert shown.index(HIDE) < shown.index(SHOW)
    assert shown.rstrip().endswith("\x1b[2K")


def test_interrupted_it_leaves_the_terminal_clean(site: World, terminal: dict[str, str]) -> None:
    site.laptop.put({"train.sh": "echo epoch 7\nsleep 600\n"})
    code, shown = in_terminal(site.laptop.folder, terminal, "run", interrupt_after="epoch 7")
    assert code == 130
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    after = shown[shown.index(SHOW) :]
    assert "▸" not in after
    assert "Interrupted. Stages that ended are in dvc.lock" in after


def test_what_takes_long_without_a_stage_has_a_row(
    site: World, terminal: dict[str, str], tmp_path: Path
) -> None:
    git = shutil.which("git", path=terminal["PATH"])
    slow, seen = tmp_path / "bin" / "git", tmp_path / "seen"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\ncase "$*" in *log*) {WAIT.format(seen)};; esac\nexec {git} "$@"\n')
    slow.chmod(0o755)
    variables = terminal | {"PATH": f"{slow.parent}:{terminal['PATH']}"}
    code, shown = in_terminal(site.laptop.folder, variables, "history", "*", free=("git log", seen))
    assert code == 0, shown
    assert "▸ \x1b" in shown or "▸ Reading history" in shown
    assert "git log" in shown
    assert shown.count(HIDE) == shown.count(SHOW) == 1
    assert "▸" not in shown[shown.index(SHOW) :]


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_none_has_plain_lines(
    site: World, terminal: dict[str, str], variables: dict[str, str]
) -> None:
    code, shown = in_terminal(site.laptop.folder, terminal | variables, "run", "--force")
    assert code == 0, shown
    assert "\x1b" not in shown
    assert "✔ ran" in shown


def test_quiet_shows_nothing(site: World, terminal: dict[str, str]) -> None:
    assert in_terminal(site.laptop.folder, terminal, "-q", "run", "--force") == (0, "")


def test_a_timeline_beside_the_document(site: World) -> None:
    laptop = site.laptop
    done = laptop.modelci("run", "--force", "--json", "--timeline", "trace.json")
    names = {one["name"] for one in json.loads(done.out)["stages"]}
    events = json.loads(laptop.read("trace.json"))["traceEvents"]
    assert {event["name"] for event in events if event["ph"] == "X"} == names
    laptop.modelci("run", "--timeline", "page.html")
    assert laptop.read("page.html").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--timeline", "x.txt"), ".json or .html"),
        (("--timeline", "nowhere/x.html"), "no folder nowhere"),
        (("--dry-run", "--timeline", "x.html"), "a dry run has no times"),
    ],
)
def test_a_timeline_that_cannot_be_written_is_refused_at_once(
    site: World, arguments: tuple[str, ...], message: str
) -> None:
    before = site.laptop.read(".modelci/run.json")
    done = site.laptop.modelci("run", "--force", *arguments, code=2)
    assert message in done.err
    assert site.laptop.read(".modelci/run.json") == before
