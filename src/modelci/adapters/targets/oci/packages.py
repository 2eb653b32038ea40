"""Which files a release's packages are made of, as the interpreter that has them tells."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

import modelci
from modelci.adapters.targets.tools import ToolError, Tools
from modelci.domain.environments import SERVING, normalize
from modelci.domain.golden import Environment
from modelci.errors import DeploymentError

# It runs in the interpreter that is asked; `packaging` is there, since modelci.serving needs it.
_LIST = """\
import json, platform, sys
from importlib.metadata import PackageNotFoundError, distribution
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

def own(file):
    name = file.name
    made = file.suffix == ".pyc" or ".." in file.parts or file.is_absolute()
    return not made and not (file.parts[0].endswith(".dist-info") and name in LEFT_OUT)

def is_editable(one):
    told = json.loads(one.read_text("direct_url.json") or "{}")
    return bool(told.get("dir_info", {}).get("editable"))

LEFT_OUT = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"}
waiting, found, missing = json.load(sys.stdin), {}, []
roots = set(waiting)
while waiting:
    name = str(canonicalize_name(waiting.pop()))
    if name in found or name in missing or name in ("modelci", "pip"):
        continue
    try:
        one = distribution(name)
    except PackageNotFoundError:
        missing.append(name)
        continue
    files = None
    if one.files is not None and not is_editable(one):
        files = [
            [str(file), str(one.locate_file(file)), file.hash.value if file.hash else ""]
            for file in one.files
            if own(file)
        ]
    found[name] = {"version": one.version, "files": files}
    for text in one.requires or ():
        wanted = Requirement(text)
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            waiting.append(wanted.name)
json.dump({
    "python": platform.python_version(),
    "packages": found,
    "missing": [name for name in missing if name in roots],
}, sys.stdout)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file of a package: where it belongs, where it lies, and its hash as the wheel told it."""

    path: str
    source: Path
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Packages:
    """What an interpreter has of a release's environment; ``python`` is its version.

    ``versions`` are those of the packages, ``files`` theirs and those of modelci itself.
    """

    interpreter: Path
    python: str
    versions: Mapping[str, str]
    files: tuple[File, ...]

    @property
    def key(self) -> str:
        """What stands for the contents: the same files have the same."""
        parts = [self.python, *(f"{file.path}\0{file.hash}" for file in self.files)]
        return sha256("\n".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Package:
    version: str
    files: list[tuple[str, str, str]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listing:
    """What the interpreter answers; ``files`` are None of what no wheel has brought."""

    python: str
    packages: dict[str, _Package]
    missing: list[str]


def list_packages(recorded: Environment, python: Path | None, tools: Tools) -> Packages:
    """Ask an interpreter (None: ours) for what was recorded and what serving takes.

    What training had and the model does not need may be missing. Raises DeploymentError where a
    package is missing that it needs, or has no files of its own to put into an image.
    """
    interpreter = python or Path(sys.executable)
    found = _ask(interpreter, [*recorded.packages, *recorded.needs, *SERVING], tools)
    needed = {normalize(name) for name in (*recorded.needs, *SERVING)}
    missing = sorted(needed & set(found.missing))
    if missing:
        raise DeploymentError(
            f"{interpreter} lacks {', '.join(missing)}, which the image is to have.",
            hint="`environment: build` of the target installs what training recorded; or install "
            "them there (`pip install 'modelci[serve]'` for the server's).",
        )
    files = {file.path: file for file in (*_own_files(found), *_modelci())}
    return Packages(
        interpreter=interpreter,
        python=found.python,
        versions={name: one.version for name, one in sorted(found.packages.items())},
        files=tuple(files[path] for path in sorted(files)),
    )


def _ask(interpreter: Path, names: Sequence[str], tools: Tools) -> _Listing:
    try:
        said = tools.run(
            [str(interpreter), "-I", "-c", _LIST], stdin=json.dumps(list(names)).encode()
        )
        return msgspec.json.decode(said, type=_Listing)
    except (ToolError, msgspec.DecodeError) as error:
        raise DeploymentError(
            f"{interpreter} does not tell which packages it has: {error}",
            hint="`python` of the target is to be a Python 3 that has the model's packages.",
        ) from error


def _own_files(found: _Listing) -> Iterator[File]:
    without = sorted(name for name, one in found.packages.items() if one.files is None)
    if without:
        raise DeploymentError(
            f"{', '.join(without)} cannot be put into an image: no wheel brought it.",
            hint="Installed in editable form, or by the system, it has no files of its own: "
            "`pip install` a wheel of it, or let the target have `environment: build`.",
        )
    for one in found.packages.values():
        for path, source, value in one.files or ():
            yield File(path=path, source=Path(source), hash=value)


def _modelci() -> Iterator[File]:
    """Return the files of this modelci: what serves there is what checks and switches here."""
    top = Path(modelci.__file__).parent
    for file in top.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc":
            digest = sha256(file.read_bytes()).hexdigest()
            yield File(path=str(file.relative_to(top.parent)), source=file, hash=digest)
