"""Starts Git to be read from, without GitPython, which takes as long to import as most answers."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from modelci.adapters.ci import git_environment
from modelci.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Answer:
    """What a Git command came to."""

    code: int
    out: bytes
    err: str


def start(
    folder: Path,
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


def ask(folder: Path, *arguments: str, stdin: bytes | None = None) -> Answer:
    """Run a Git command that only reads, and return all that it says."""
    source = subprocess.DEVNULL if stdin is None else subprocess.PIPE
    with start(folder, *arguments, stdin=source, stderr=subprocess.PIPE) as process:
        out, err = process.communicate(stdin)
    return Answer(process.returncode, out, err.decode(errors="replace"))
