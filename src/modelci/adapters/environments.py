"""Python environments for releases: one for each set of versions, made once, then found again.

::

    FOLDER/KEY/             a virtual environment; KEY stands for Python X.Y, packages and modelci
    FOLDER/KEY/ready.json   written last: without it this is no environment, and is made anew
    FOLDER/.KEY.lock        held by whoever makes it
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import distributions
from pathlib import Path

import modelci
from modelci.adapters.installing import (
    Installer,
    UnsolvableError,
    answer,
    choose_installer,
    find_uv,
    refuse,
)
from modelci.domain.environments import (
    OLDEST_PYTHON,
    find_deviations,
    list_requirements,
    make_key,
    minor_version,
    normalize,
)
from modelci.domain.golden import Environment
from modelci.errors import DeploymentError
from modelci.ports import Progress

READY = "ready.json"

FindUv = Callable[[Mapping[str, str]], Path | None]
"""Takes the environment's variables and returns uv; None where pip is to do it."""

_VERSION = "import platform; print(platform.python_version())"
_INSPECT = """\
import importlib.metadata, json, platform
import modelci.serving.checking, modelci.serving.launch
found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions()}
print(json.dumps({"python": platform.python_version(), "packages": found}))
"""


class VirtualEnvironments:
    """Makes virtual environments; keeps the promises of ``ports.Environments``.

    ``variables`` are all that installers see: how to reach an index, and no token. ``pythons`` are
    the folders to look for interpreters in (default: our own, PATH's, pyenv's and uv's), and
    ``find_uv`` finds uv there, or says None for pip.
    """

    def __init__(
        self,
        *,
        variables: Mapping[str, str],
        timeout_seconds: float = 1800.0,
        pythons: Sequence[Path] | None = None,
        find_uv: FindUv = find_uv,
    ) -> None:
        self._variables = variables
        self._timeout = timeout_seconds
        self._pythons = pythons
        self._find_uv = find_uv

    def current(self) -> Environment:
        """Return this Python's version, and the packages that are installed for it."""
        found = ((one.metadata["Name"], one.version) for one in distributions())
        packages = sorted((normalize(name), version) for name, version in found if name)
        return Environment(python=platform.python_version(), packages=dict(packages))

    def build(self, recorded: Environment, folder: Path, *, progress: Progress) -> Path:
        """Return the interpreter of an environment that has what was recorded, below ``folder``.

        One that another process makes now is waited for. Raises DeploymentError where this machine
        has no such Python, or a package cannot be had; what was begun is removed.
        """
        _require_supported(recorded)
        place = folder / make_key(
            recorded.python,
            list_requirements(recorded, self._ours),
            platform=sysconfig.get_platform(),
            code=self._code,
        )
        if _is_ready(place):
            return _python_of(place)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _lock(folder / f".{place.name}.lock", progress):
                if not _is_ready(place):
                    self._make(place, recorded, progress)
        except OSError as error:
            raise DeploymentError(
                f"No environment can be made in {folder}: {error}.",
                hint="Is there room, and may this user write there?",
            ) from error
        return _python_of(place)

    # -- making one --------------------------------------------------------------------------------

    def _make(self, place: Path, recorded: Environment, progress: Progress) -> None:
        base = self._find_python(recorded)
        installer = choose_installer(
            base,
            self._variables,
            uv=self._find_uv(self._variables),
            timeout_seconds=self._timeout,
        )
        needs = [f"{name} {recorded.packages.get(name)}" for name in recorded.needs]
        what = ", ".join([f"Python {recorded.python}", *needs])
        progress.note(f"Making an environment with {installer.name}: {what}")
        began = time.monotonic()
        shutil.rmtree(place, ignore_errors=True)
        try:
            with progress.busy(f"Installing {what}"):
                installer.create(base, place)
                self._install(installer, place, recorded)
            _add_modelci(place)
            found = self._inspect(place, recorded)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        _mark(place, found)
        progress.note(f"Made {place.name} in {time.monotonic() - began:.1f} s")

    def _install(self, installer: Installer, place: Path, recorded: Environment) -> None:
        """Install our own versions of what serving takes, or else such as go with the recorded."""
        python = _python_of(place)
        try:
            installer.install(python, list_requirements(recorded, self._ours))
        except UnsolvableError:
            try:
                installer.install(python, list_requirements(recorded, {}))
            except UnsolvableError as error:
                raise refuse(str(error)) from error

    def _inspect(self, place: Path, recorded: Environment) -> Environment:
        """Return what was made, in its own words; DeploymentError if it is not what it should."""
        done = answer([str(_python_of(place)), "-I", "-c", _INSPECT], self._variables)
        try:
            said = json.loads(done.stdout)
        except ValueError as error:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise DeploymentError(
                f"modelci's server cannot run with the model's packages: {(lines or [''])[-1]}",
                hint="Train with newer ones, or serve it by a target of kind command.",
            ) from error
        found = Environment(python=said["python"], packages=said["packages"])
        wrong = find_deviations(recorded, found)
        if wrong:
            raise DeploymentError(
                f"The environment that was made is not the recorded one: {'; '.join(wrong)}.",
                hint="A constraint of this machine may stand against it (PIP_CONSTRAINT, "
                "UV_CONSTRAINT, UV_OVERRIDE).",
            )
        return found

    # -- what there is -----------------------------------------------------------------------------

    @cached_property
    def _ours(self) -> Mapping[str, str]:
        return self.current().packages

    @cached_property
    def _code(self) -> str:
        """The digest of the modelci that runs: another one gets environments of its own."""
        digest = hashlib.sha256()
        for file in sorted(_source().rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                data = file.read_bytes()
                digest.update(f"{file.relative_to(_source())}\0{len(data)}\0".encode() + data)
        return digest.hexdigest()

    def _find_python(self, recorded: Environment) -> Path:
        wanted = minor_version(recorded.python)
        seen: dict[tuple[int, int], str] = {}
        for python in self._candidates(".".join(map(str, wanted))):
            version = self._version_of(python)
            if version is not None and minor_version(version) == wanted:
                return python
            if version is not None:
                seen.setdefault(minor_version(version), version)
        raise _no_python(recorded, list(seen.values()))

    def _candidates(self, wanted: str) -> Iterator[Path]:
        """Yield interpreters that may be of the version ``X.Y``, and tell which others there are.

        Each on PATH is asked: pyenv puts commands there that only say where they are not.
        """
        folders = self._pythons
        if folders is None:
            yield Path(sys.executable)
            path = self._variables.get("PATH", os.defpath).split(os.pathsep)
            folders = [Path(one) for one in path if one] + list(self._managed(wanted))
        names = (f"python{wanted}", "python3")
        yield from (folder / name for name in names for folder in folders)

    def _managed(self, wanted: str) -> Iterator[Path]:
        """Yield the folders in which pyenv and uv keep an interpreter of the version."""
        home = Path(self._variables.get("HOME") or Path.home())
        pyenv = Path(self._variables.get("PYENV_ROOT") or home / ".pyenv")
        data = Path(self._variables.get("XDG_DATA_HOME") or home / ".local/share")
        uv = Path(self._variables.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
        yield from sorted((pyenv / "versions").glob(f"{wanted}.*/bin"), reverse=True)
        yield from sorted(uv.glob(f"cpython-{wanted}.*/bin"), reverse=True)

    def _version_of(self, python: Path) -> str | None:
        if not os.access(python, os.X_OK):
            return None
        told = answer([str(python), "-I", "-c", _VERSION], self._variables)
        version = told.stdout.decode(errors="replace").strip()
        return version if told.returncode == 0 and version[:1].isdigit() else None


def _require_supported(recorded: Environment) -> None:
    oldest = ".".join(map(str, OLDEST_PYTHON))
    try:
        wanted = minor_version(recorded.python)
    except ValueError as error:
        raise DeploymentError(
            f"The golden requests tell of no Python: {error}.",
            hint="Let the pipeline record them again: `modelci golden MODEL DATA`.",
        ) from error
    if wanted < OLDEST_PYTHON:
        raise DeploymentError(
            f"The model was made with Python {recorded.python}, and modelci serves with {oldest} "
            "or newer.",
            hint=f"Train it again with Python {oldest} or newer, or serve it by a target of kind "
            "command.",
        )


def _no_python(recorded: Environment, there: Sequence[str]) -> DeploymentError:
    name = ".".join(map(str, minor_version(recorded.python)))
    return DeploymentError(
        f"The model was made with Python {recorded.python}, and this machine has no Python {name} "
        f"(it has {', '.join(there) or 'none'}).",
        hint=f"Install it so that `python{name}` is on PATH (`apt-get install python{name} "
        f"python{name}-venv`, `uv python install {name}`, `pyenv install {name}`), or train with a "
        "Python that is here.",
    )


@contextmanager
def _lock(path: Path, progress: Progress) -> Iterator[None]:
    """Hold a lock; that of a process which dies is free at once."""
    with path.open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.note("Waiting for another process, which makes this environment")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_ready(place: Path) -> bool:
    return (place / READY).is_file() and os.access(_python_of(place), os.X_OK)


def _mark(place: Path, found: Environment) -> None:
    part = place / f".{READY}.part"
    said = {"python": found.python, "packages": dict(sorted(found.packages.items()))}
    with part.open("w", encoding="utf-8") as file:
        json.dump(said, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    part.replace(place / READY)


def _add_modelci(place: Path) -> None:
    """Copy this modelci: what serves there is what checks and switches here."""
    (packages,) = place.glob("lib/python*/site-packages")
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(_source(), packages / "modelci", ignore=ignore)


def _python_of(place: Path) -> Path:
    return place / "bin" / "python"


def _source() -> Path:
    return Path(modelci.__file__).parent
