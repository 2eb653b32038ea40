"""Makes empty environments and puts packages into them: by uv where it is there, else by pip.

Which index they ask, and how they get there, is what this machine is set up with: nothing here
names one. They run in an empty folder, so that no file of the project decides it either.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelci.adapters.dvc.commands import ProcessGroups, TimedOutError
from modelci.errors import DeploymentError

_KEPT = 64 * 1024  # bytes of what an installer says
_MOST_SAID = 600
_SECONDS_TO_ANSWER = 60

# What of the caller's environment would let an installer put things elsewhere.
_ASTRAY = frozenset(
    """PIP_PREFIX PIP_REQUIRE_VIRTUALENV PIP_ROOT PIP_TARGET PIP_USER PYTHONHOME PYTHONPATH
    PYTHONSTARTUP UV_BREAK_SYSTEM_PACKAGES UV_PREFIX UV_PROJECT UV_PYTHON UV_SYSTEM_PYTHON UV_TARGET
    UV_WORKING_DIRECTORY VIRTUAL_ENV""".split()
)
_UV_INDEXES = frozenset(
    """UV_CONFIG_FILE UV_DEFAULT_INDEX UV_EXTRA_INDEX_URL UV_INDEX UV_INDEX_URL UV_NO_INDEX
    UV_OFFLINE""".split()
)
_PIP_INDEX = re.compile(r"^[\w:-]+\.(?:index[-_]url|no[-_]index)=", re.MULTILINE)

_UNSOLVABLE = ("No solution found", "ResolutionImpossible")
_UNREACHED = (
    *("error sending request", "dns error", "client error (Connect)", "tunnel error"),
    *("Network connectivity is disabled", "NewConnectionError", "ProxyError"),
    *("Temporary failure in name resolution", "Connection refused", "timed out", "SSLError"),
    *("CERTIFICATE_VERIFY_FAILED", "invalid peer certificate", "Max retries exceeded"),
)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]*@")


class UnsolvableError(Exception):
    """No versions go with those that are wanted; its text is what the installer says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """A tool that makes environments; ``variables`` are all of ours that it sees.

    ``uv`` is None where pip does it, which then comes into the environment with the rest.
    """

    variables: Mapping[str, str]
    timeout_seconds: float
    uv: Path | None

    @property
    def name(self) -> str:
        """What it is called."""
        return "uv" if self.uv else "pip"

    def create(self, base: Path, place: Path) -> None:
        """Make an empty environment of the interpreter ``base``; DeploymentError if it cannot."""
        command = [str(base), "-I", "-m", "venv", str(place)]
        if self.uv is not None:
            command = [*self._uv(), "venv", "--no-project", "--python", str(base), str(place)]
        with tempfile.TemporaryDirectory(prefix="modelci-environment-") as folder:
            code, said = self._run(command, folder)
        if code:
            raise _not_created(base, said)

    def install(self, python: Path, requirements: Sequence[str]) -> None:
        """Install the requirements for that interpreter, with what they require in turn.

        Raises UnsolvableError where no versions go with them, DeploymentError where one cannot be
        had.
        """
        with tempfile.TemporaryDirectory(prefix="modelci-environment-") as folder:
            listed = Path(folder, "requirements.txt")
            listed.write_text("".join(f"{one}\n" for one in requirements), encoding="utf-8")
            code, said = self._run([*self._install(python), "-r", str(listed)], folder)
        if code and any(mark in said for mark in _UNSOLVABLE) and not _is_unreached(said):
            raise UnsolvableError(said)
        if code:
            raise refuse(said)

    def _install(self, python: Path) -> list[str]:
        if self.uv is not None:
            return [*self._uv(), "pip", "install", "--python", str(python)]
        quiet = ("--no-input", "--disable-pip-version-check", "--progress-bar=off", "--no-color")
        return [str(python), "-I", "-m", "pip", "install", *quiet]

    def _uv(self) -> list[str]:
        return [str(self.uv), "--color=never", "--no-progress", "--no-python-downloads"]

    def _run(self, command: Sequence[str], folder: str) -> tuple[int, str]:
        said = bytearray()

        def hear(data: bytes) -> None:
            said.extend(data)
            del said[:-_KEPT]

        # pip trusts the certificates of the system; uv does where it is told so.
        trust = {"UV_SYSTEM_CERTS": "true", "UV_NATIVE_TLS": "true"} if self.uv else {}
        try:
            with ProcessGroups(
                hear,
                cwd=folder,
                environment={**trust, **self.variables},
                timeout=self.timeout_seconds,
            ) as groups:
                code = groups.run(command)
        except TimedOutError as error:
            raise DeploymentError(
                f"{self.name} took longer than {self.timeout_seconds:g} s to make an environment.",
                hint="Is the index that this machine is set up with slow, or out of reach?",
            ) from error
        return code, said.decode(errors="replace")


def choose_installer(
    base: Path, variables: Mapping[str, str], *, uv: Path | None, timeout_seconds: float
) -> Installer:
    """Return ``uv`` where there is one, unless an index is set up for the pip of ``base`` alone.

    uv reads no settings of pip, and would ask an index that nobody here has chosen.
    """
    seen = {key: text for key, text in variables.items() if key not in _ASTRAY}
    if uv is not None and not _has_uv_index(seen) and _has_pip_index(base, seen):
        uv = None
    return Installer(variables=seen, timeout_seconds=timeout_seconds, uv=uv)


def find_uv(variables: Mapping[str, str]) -> Path | None:
    """Return the uv beside this Python, or on PATH."""
    beside = Path(sys.executable).with_name("uv")
    if os.access(beside, os.X_OK):
        return beside
    found = shutil.which("uv", path=variables.get("PATH", os.defpath))
    return Path(found) if found else None


def _has_uv_index(variables: Mapping[str, str]) -> bool:
    if not _UV_INDEXES.isdisjoint(variables):
        return True
    home = Path(variables.get("HOME") or Path.home())
    config = Path(variables.get("XDG_CONFIG_HOME") or home / ".config")
    return any(one.is_file() for one in (config / "uv/uv.toml", Path("/etc/uv/uv.toml")))


def _has_pip_index(base: Path, variables: Mapping[str, str]) -> bool:
    told = answer([str(base), "-I", "-m", "pip", "config", "list"], variables)
    return bool(_PIP_INDEX.search(told.stdout.decode(errors="replace")))


def refuse(said: str) -> DeploymentError:
    """Return the error for what an installer says: nothing was reached, or it is not to be had."""
    if _is_unreached(said):
        return DeploymentError(
            f"The packages of the model's environment cannot be fetched: {_gist(said)}",
            hint="No index was reached. The settings of pip (pip.conf, PIP_INDEX_URL) or uv "
            "(uv.toml, UV_DEFAULT_INDEX), HTTPS_PROXY and SSL_CERT_FILE say where it is and how "
            "to get there.",
        )
    return DeploymentError(
        f"The environment that the model was made in cannot be made again: {_gist(said)}",
        hint="Does the index that this machine is set up with have these versions, for its system "
        "and this Python? A package of your own has to be there too; or let the target have "
        "`environment: current`.",
    )


def _is_unreached(said: str) -> bool:
    return any(mark in said for mark in _UNREACHED)


def _not_created(base: Path, said: str) -> DeploymentError:
    hint = "Is there room on the disk, and does this Python work?"
    if "ensurepip" in said:
        hint = "Install Python's venv (Debian: `apt-get install python3-venv`), or uv."
    return DeploymentError(f"{base} cannot make an environment: {_gist(said)}", hint=hint)


def _gist(said: str) -> str:
    """Return what an installer has to say for itself, without its progress or a password."""
    lines = [line.strip() for line in said.splitlines()]
    told = [at for at, line in enumerate(lines) if line.lower().startswith(("error:", "×", "x "))]
    text = " ".join(line for line in (lines[told[0] :] if told else lines[-3:]) if line)
    return without_credentials(text)[:_MOST_SAID] or "it does not say why"


def without_credentials(text: str) -> str:
    """Return a text without what stands before the host of an address."""
    return _CREDENTIALS.sub("", text)


def answer(
    command: Sequence[str], variables: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    """Run a command that answers at once; one that cannot be run has nothing to say."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            env={key: text for key, text in variables.items() if key not in _ASTRAY},
            timeout=_SECONDS_TO_ANSWER,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, -1, b"", str(error).encode())
