"""Looks at a release in the interpreter that is to run it: a process with a bare environment."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from modelci.documents import codec
from modelci.domain.golden import Environment, Health
from modelci.errors import ConfigError, DeploymentError

SERVING = "modelci.serving"
_MOST_SAID = 400

# It runs in any Python 3, where neither modelci nor its packages need be installed.
_LIST_PACKAGES = """\
import json, platform
from importlib.metadata import distributions
found = {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}
print(json.dumps({"python": platform.python_version(), "packages": found}))
"""


class Probe(Protocol):
    """Tells how a release does in a Python, and what that has."""

    def check(self, folder: Path, *, python: Path | None, latency_ms: float | None) -> Health:
        """Load a release's folder, and replay its golden requests."""

    def environment(self, python: Path | None) -> Environment:
        """Return what a Python has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessProbe:
    """The ``Probe`` that starts a process for each question, in Python's isolated mode.

    ``environment_variables`` are all that it sees. ``module`` is what is run of modelci.
    """

    environment_variables: Mapping[str, str]
    timeout_seconds: float
    module: str = SERVING

    def check(self, folder: Path, *, python: Path | None, latency_ms: float | None) -> Health:
        """Run ``modelci.serving check``; a check that fails is a Health, not an error."""
        limit = [] if latency_ms is None else [f"--max-latency-ms={latency_ms:g}"]
        command = ["-m", self.module, "check", "--release", str(folder), *limit]
        done = self._run(python, command, f"The check of {folder.name}")
        try:
            return codec.decode(Health, done.stdout, source="the check")
        except ConfigError:
            said = _last_line(done.stderr) or _last_line(done.stdout) or "nothing"
            what = f"it ended with {done.returncode} and said: {said}"
            return Health(ok=False, problems=(f"the check gave no answer: {what}",))

    def environment(self, python: Path | None) -> Environment:
        """Return the Python's version, and the packages that are installed for it."""
        done = self._run(python, ["-c", _LIST_PACKAGES], "Listing its packages")
        try:
            found = json.loads(done.stdout)
            packages = {_normal(name): str(one) for name, one in found["packages"].items()}
            return Environment(python=str(found["python"]), packages=packages)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DeploymentError(
                f"{python or sys.executable} does not tell which packages it has: "
                f"{_last_line(done.stderr) or 'it said nothing'}",
                hint="`python` of the target is to be a Python 3 interpreter.",
            ) from error

    def _run(
        self, python: Path | None, arguments: Sequence[str], what: str
    ) -> "subprocess.CompletedProcess[bytes]":
        # Isolated (-I): no variable, no file of the current folder or the user's decides what is
        # imported.
        command = [str(python or sys.executable), "-I", *arguments]
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                env=dict(self.environment_variables),
                timeout=self.timeout_seconds,
            )
        except subprocess.TimeoutExpired as error:
            raise DeploymentError(
                f"{what} took longer than {self.timeout_seconds:g} s.",
                hint="timeout_seconds of the target says how long it may take.",
            ) from error
        except OSError as error:
            raise DeploymentError(
                f"{command[0]} cannot be run: {error.strerror}.",
                hint="`python` of the target is to be a Python 3 interpreter on this machine.",
            ) from error


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1][:_MOST_SAID] if lines else ""
