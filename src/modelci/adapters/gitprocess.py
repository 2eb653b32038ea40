"""Starts Git to be read from, without GitPython, which takes as long to import as most answers."""

import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

from modelci.adapters import trace
from modelci.adapters.ci import git_environment
from modelci.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

_GRACE = 5.0  # seconds


class Answer(NamedTuple):
    """What a Git command came to."""

    code: int
    out: bytes
    err: str


def start(
    folder: "str | PathLike[str]",
    *arguments: str,
    stdin: int = subprocess.DEVNULL,
    stderr: "int | IO[bytes]" = subprocess.DEVNULL,
) -> "subprocess.Popen[bytes]":
    """Start a Git command in that folder; its output is a pipe."""
    try:
        return subprocess.Popen(
            ["git", *arguments],
            cwd=folder,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=git_environment(),
        )
    except FileNotFoundError as error:
        raise ConfigError("git is not installed.", hint="Install Git 2.30+.") from error


@contextmanager
def ended(process: "subprocess.Popen[bytes]") -> "Iterator[None]":
    """Leave no Git at work where we stop early: on SIGTERM it takes its locks away, and ends."""
    try:
        yield
    except BaseException:
        process.terminate()
        _await(process)
        raise


def _await(process: "subprocess.Popen[bytes]") -> None:
    """Wait until it has ended; whoever is told to stop once more waits no longer."""
    try:
        process.wait(_GRACE)
    except BaseException as error:
        process.kill()
        process.wait()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise


def ask(folder: "str | PathLike[str]", *arguments: str, stdin: bytes | None = None) -> Answer:
    """Run a Git command that only reads, and return all that it says."""
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with (
        trace.told("git", *arguments),
        start(folder, *arguments, stdin=source, stderr=subprocess.PIPE) as process,
        ended(process),
    ):
        out, err = process.communicate(stdin)
    return Answer(process.returncode, out, err.decode(errors="replace"))
