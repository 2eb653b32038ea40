"""Runs the tools that targets work with: umoci, skopeo, kubectl."""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from modelci.adapters import trace
from modelci.errors import DeploymentError

_MOST_SAID = 600
_FATAL = re.compile(r'level=fatal msg=("(?:[^"\\]|\\.)*")')
_ERROR = re.compile(r"error\b", re.IGNORECASE)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")
_PACKAGES = {"kubectl": "kubectl (of your cluster's version)"}


class ToolError(Exception):
    """A tool ended with a failure; its text is what the tool said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """Starts tools. ``environment`` is all that they see: how they find their credentials, too."""

    environment: Mapping[str, str] = field(repr=False)
    timeout_seconds: float

    def run(self, command: Sequence[str], *, stdin: bytes = b"") -> bytes:
        """Return what a tool says; ToolError where it fails, DeploymentError where there is none.

        Nothing in ``command`` may be secret: it is shown to whoever lists processes.
        """
        tool = command[0]
        try:
            with trace.told(*command):
                done = subprocess.run(
                    list(command),
                    input=stdin,
                    capture_output=True,
                    check=False,
                    env=dict(self.environment),
                    timeout=self.timeout_seconds,
                )
        except FileNotFoundError as error:
            package = _PACKAGES.get(tool, tool)
            raise DeploymentError(
                f"{tool} is not installed, which this target works with.",
                hint=f"Install {package}, or put it on PATH (Debian, Ubuntu: `apt-get install "
                f"{tool}`).",
            ) from error
        except OSError as error:
            raise DeploymentError(f"{tool} cannot be run: {error.strerror}.") from error
        except subprocess.TimeoutExpired as error:
            raise DeploymentError(
                f"`{' '.join(command[:2])}` took longer than {self.timeout_seconds:g} s.",
                hint="timeout_seconds of the target says how long it may take.",
            ) from error
        if done.returncode:
            raise ToolError(_gist(done.stderr.decode(errors="replace")))
        return done.stdout


def _gist(said: str) -> str:
    """Return what a tool has to say for itself, without what stands before a host's name."""
    fatal = _FATAL.findall(said)
    lines = [line.strip() for line in said.strip().splitlines() if line.strip()]
    first = next((at for at, line in enumerate(lines) if _ERROR.match(line)), -3)
    text = _unquote(fatal[-1]) if fatal else " ".join(lines[first:])
    return _CREDENTIALS.sub("", text)[:_MOST_SAID] or "it does not say why"


def _unquote(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        return text.strip('"')
