"""Starts Git to be read from, without GitPython, which takes as long to import as most answers."""

import subprocess
from typing import IO, TYPE_CHECKING, NamedTuple

from modelci.adapters.ci import git_environment
from modelci.errors import ConfigError

if TYPE_CHECKING:
    from os import PathLike


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


def ask(folder: "str | PathLike[str]", *arguments: str, stdin: bytes | None = None) -> Answer:
    """Run a Git command that only reads, and return all that it says."""
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with start(folder, *arguments, stdin=source, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(stdin)
    return Answer(process.returncode, out, err.decode(errors="replace"))
