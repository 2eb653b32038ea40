"""A person at a prompt, who types what a page says and looks at what comes of it."""

import os
import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from tests.docs.blocks import Block
from tests.docs.calls import plain_call

from modelci.cli import main

PORT = "8765"  # what pages let servers listen at
_SECONDS = 120
_EXIT_CODE = re.compile(r"#.*\bexit code (\d+)")
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
_IN_BACKGROUND = re.compile(r"(?<!&)&\s*(#.*)?$")
# What is another with every run: figures, ids of commits and bytes; and how a table is ruled.
_FIGURES = re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b|\d[\d.,]*(?<=\d)")
_DURATIONS = re.compile(r"\d[\d.]* (?:ms|s|min|h)\b(?: \d+ (?:s|min)\b)?")
_RULES = re.compile(r"[─━═]+")
# The state of a shell, which the next command begins with.
_SCRIPT = """\
%s
status=$?
{ pwd; env -0; } > "$MODELCI_TEST_STATE.new"
mv "$MODELCI_TEST_STATE.new" "$MODELCI_TEST_STATE"
"""
# A shell with something in the background stays its parent, or nobody might ever bury it.
_STAY = "trap : TERM; wait; wait\n"


@dataclass(frozen=True, kw_only=True)
class Typed:
    """A command, what the page shows of its output, and the exit code that it has."""

    command: str
    shown: str
    code: int = 0


def typed(block: Block) -> Iterator[Typed]:
    """Read a block: `$ ` begins a command, and what belongs to none is output."""
    if block.language != "console":
        yield Typed(command=f"set -e\n{block.text}", shown="")
        return
    lines = iter(block.text.splitlines())
    command: list[str] = []
    shown: list[str] = []
    for line in lines:
        if not line.startswith("$ "):
            shown.append(line)
            continue
        if command:
            yield _typed(command, shown)
        command, shown = [line[2:]], []
        while command[-1].endswith("\\"):
            command.append(next(lines).removeprefix("> "))
        if here := _HERE.search(line):
            while command[-1] != here[2]:
                command.append(next(lines))
    if command:
        yield _typed(command, shown)


def _typed(command: list[str], shown: list[str]) -> Typed:
    whole = "\n".join(command)
    code = _EXIT_CODE.search(whole)
    return Typed(command=whole, shown="\n".join(shown), code=int(code[1]) if code else 0)


def missing(shown: str, said: str) -> str | None:
    """Return the first part that is shown and was not said; figures and line breaks are free."""
    rest = _plain(said)
    for part in _plain(shown).split("…"):
        if part.strip():
            _, found, rest = rest.partition(part.strip())
            if not found:
                return part.strip()
    return None


def _plain(text: str) -> str:
    text = _FIGURES.sub("0", _DURATIONS.sub("0 s", text))
    return " ".join(_RULES.sub("─", text).split())


def free_port() -> str:
    """Return a port that nobody listens at, and that is given to nobody who asks for any."""
    for port in count(20000 + os.getpid() % 10000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return str(port)
    raise AssertionError


@dataclass(kw_only=True)
class Shell:
    """One page's shell: its folder and variables live as long as the page."""

    folder: Path
    files: Path
    variables: dict[str, str]
    names: dict[str, Any] = field(default_factory=dict)
    port: str = field(default_factory=free_port)
    running: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    def play(self, block: Block) -> None:
        """Do what a block says; raise AssertionError where it isn't as the block says."""
        block = replace(block, text=self.at_its_port(block.text))
        if block.language == "python":
            self._python(block)
            return
        for one in typed(block):
            where = f"{block.name}: {one.command}"
            code, said = self._type(one)
            assert code == one.code, f"{where}\nexit code {code}, not {one.code}:\n{said}"
            lacking = missing(one.shown, said)
            assert lacking is None, f"{where}\nit does not say:\n{lacking}\nbut:\n{said}"

    def at_its_port(self, text: str) -> str:
        """Let a server of a page listen where nobody else does."""
        return text.replace(PORT, self.port)

    def _python(self, block: Block) -> None:
        """Save it as the file that it names, or run it."""
        code = compile(block.text, block.file or block.name, "exec")
        if block.file:
            path = self.folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        else:
            with chdir(self.folder):
                exec(code, self.names)  # noqa: S102 - our own pages

    def _type(self, one: Typed) -> tuple[int, str]:
        arguments = plain_call(one.command)
        if arguments is not None:
            return self._call(arguments)
        return self._bash(one)

    def _call(self, arguments: list[str]) -> tuple[int, str]:
        """Run modelci within this process: quicker, and DVC stays loaded."""
        absent = {name: None for name in os.environ if name not in self.variables}
        with chdir(self.folder):
            done = CliRunner(env={**absent, **self.variables}).invoke(
                main, arguments, prog_name="modelci"
            )
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise AssertionError(f"{shlex.join(arguments)}\n{done.output}") from done.exception
        return done.exit_code, done.output

    def _bash(self, one: Typed) -> tuple[int, str]:
        number = next(self.numbers)
        state, log = (self.files / f"{number}.{name}" for name in ("state", "log"))
        stays = bool(_IN_BACKGROUND.search(one.command))
        script = _SCRIPT % one.command + (_STAY if stays else "exit $status\n")
        with log.open("wb") as talk:
            # Whatever it leaves running may hold this file; a pipe would never end.
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.folder,
                env={**self.variables, "MODELCI_TEST_STATE": str(state)},
                stdin=subprocess.DEVNULL,
                stdout=talk,
                stderr=talk,
                start_new_session=True,
            )
        self.running.append(process)
        if stays:
            _wait_until(lambda: state.exists() and missing(one.shown, _said(log)) is None)
            code = 0
        else:
            code = process.wait(_SECONDS)
            self.running.remove(process)
        if state.exists():
            self._remember(state.read_text(encoding="utf-8"))
        return code, _said(log)

    def _remember(self, state: str) -> None:
        folder, _, variables = state.partition("\n")
        self.folder = Path(folder)
        pairs = (pair.partition("=") for pair in variables.split("\0") if pair)
        own = {"MODELCI_TEST_STATE", "PWD", "OLDPWD", "SHLVL", "_"}
        self.variables = {name: value for name, _, value in pairs if name not in own}

    def close(self) -> None:
        """End what the page left running, by the process groups that were started here."""
        for process in self.running:
            for which in (signal.SIGTERM, signal.SIGKILL):
                if process.poll() is None:
                    os.killpg(process.pid, which)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(15)


def _said(log: Path) -> str:
    return log.read_text(encoding="utf-8")


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
