"""Images in a layout on this machine, put together by umoci: base, then packages, then release.

::

    LAYOUT/     an OCI image layout: the base, each set of packages on it, each release on those
    SCRATCH/    what is being made
"""

import json
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from modelci.adapters.targets.oci.layers import (
    PACKAGES,
    RELEASE,
    write_archive,
    write_packages,
    write_release,
)
from modelci.adapters.targets.oci.packages import Packages
from modelci.adapters.targets.oci.registry import OtherBytesError, Registry, fetch_base
from modelci.adapters.targets.tools import ToolError, Tools
from modelci.domain.deployment import Release
from modelci.domain.environments import minor_version
from modelci.domain.images import Base
from modelci.errors import DeploymentError

PORT = 8080
NOTE = "modelci"
NOBODY = "65532:65532"
_EPOCH = "1970-01-01T00:00:00Z"
_NAME = "org.opencontainers.image.ref.name"
_HEX = 16
_BLOCK = 1024 * 1024
_FORMAT = "1"  # raised when what an image of the same files looks like changes

# One-row requests are the usual ones, and threads only slow them down.
_VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": f"/{PACKAGES}",
    "PYTHONSAFEPATH": "1",
    "PYTHONUNBUFFERED": "1",
}
_ENTRYPOINT = (
    *("python3", "-m", "modelci.serving", "run", "--release", f"/{RELEASE}"),
    *("--host", "0.0.0.0", "--port", str(PORT)),  # noqa: S104 - a container's own network
)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "AMD64": "amd64"}


class Assembly:
    """The layout below ``folder``. Whoever writes holds the target's lock."""

    def __init__(self, folder: Path, tools: Tools) -> None:
        self.layout = folder / "layout"
        self._scratch = folder / "scratch"
        self._tools = tools

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give an empty folder, which is gone afterwards."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(parents=True)
        try:
            yield self._scratch
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def have_packages(self, base: Base, packages: Packages, *, root: Path) -> str:
        """Return the name of an image with these packages, made unless it is there and whole."""
        start = self._have_base(base, root=root)
        self._require_fit(start, packages)
        digest = self.digest(start) or ""
        key = sha256(f"{_FORMAT} {digest} {packages.key}".encode()).hexdigest()[:_HEX]
        name = f"packages-{key}"
        if self._is_whole(name):
            return name
        with self.scratch() as folder:
            archive = folder / "packages.tar"
            write_packages(packages, folder / "root", archive, self._tools)
            self._umoci("config", start, name, *_manner())
            self._add_layer(name, name, archive, "packages")
        return name

    def build(
        self, start: str, release: Release, folder: Path, *, name: str, labels: Mapping[str, str]
    ) -> str:
        """Add a release to an image, under another name, and return its digest."""
        with self.scratch() as scratch:
            archive = scratch / "release.tar"
            write_release(release, folder, scratch / "root", archive)
            told = [f"--config.label={key}={value}" for key, value in sorted(labels.items())]
            self._umoci("config", start, name, "--no-history", *told)
            self._add_layer(name, name, archive, "release")
        return self.digest(name) or ""

    def build_note(self, files: Mapping[str, bytes], name: str) -> None:
        """Make an image that holds files and nothing else."""
        self._have_layout()
        with self.scratch() as scratch:
            folder = scratch / "note"
            folder.mkdir()
            for path, data in files.items():
                (folder / path).write_bytes(data)
            archive = scratch / "note.tar"
            write_archive(folder, NOTE, archive)
            self._run("new", "--image", f"{self.layout}:{name}")
            self._umoci("config", name, name, "--no-history")
            self._add_layer(name, name, archive, "note")

    def digest(self, name: str) -> str | None:
        """Return the digest of an image in the layout; None where there is none of that name."""
        return next((digest for one, digest in self._index() if one == name), None)

    def keep(self, names: Sequence[str]) -> None:
        """Remove all images but these and those that they stand on, with what only others need."""
        needed = {layer for name in names for layer in self._layers(name)}
        gone = [
            name
            for name, _ in self._index()
            if name not in names and not needed.issuperset(self._layers(name))
        ]
        for name in gone:
            self._run("remove", "--image", f"{self.layout}:{name}")
        if gone:
            self._run("gc", "--layout", str(self.layout))

    def _have_base(self, base: Base, *, root: Path) -> str:
        self._have_layout()
        name = f"base-{sha256(repr(base).encode()).hexdigest()[:_HEX]}"
        if base.is_layout or not self._is_whole(name):
            fetch_base(base, self.layout, name, root=root, tools=self._tools)
        return name

    def _have_layout(self) -> None:
        if not (self.layout / "index.json").is_file():
            shutil.rmtree(self.layout, ignore_errors=True)
            self.layout.parent.mkdir(parents=True, exist_ok=True)
            self._run("init", "--layout", str(self.layout))

    def _require_fit(self, start: str, packages: Packages) -> None:
        """Refuse a base of another machine, or with another Python than the packages are for."""
        config = self._config(start)
        machine = _MACHINES.get(platform.machine(), platform.machine())
        found = config.get("architecture", machine)
        if found != machine:
            raise DeploymentError(
                f"The base image is for {found}, and this machine's packages are for {machine}.",
                hint="Deploy on a machine of that kind, or name another image.base.",
            )
        variables = (config.get("config") or {}).get("Env") or []
        told = dict(one.partition("=")[::2] for one in variables).get("PYTHON_VERSION")
        if told and minor_version(told) != minor_version(packages.python):
            raise DeploymentError(
                f"The base image has Python {told}, and the packages are for {packages.python}.",
                hint="Name an image.base with that Python, such as python:"
                f"{'.'.join(map(str, minor_version(packages.python)))}-slim, by its digest.",
            )

    # -- the layout's files ------------------------------------------------------------------------

    def _config(self, name: str) -> Mapping[str, Any]:
        manifest = json.loads(read_blob(self.layout, self.digest(name) or ""))
        config: Mapping[str, Any] = json.loads(read_blob(self.layout, manifest["config"]["digest"]))
        return config

    def _index(self) -> Iterator[tuple[str, str]]:
        with suppress(FileNotFoundError):
            index = json.loads((self.layout / "index.json").read_bytes())
            for one in index.get("manifests", ()):
                yield one.get("annotations", {}).get(_NAME, ""), one["digest"]

    def _layers(self, name: str) -> tuple[Path, ...]:
        digest = self.digest(name)
        return list_layers(self.layout, digest) if digest else ()

    def _is_whole(self, name: str) -> bool:
        """Whether an image is there with all its bytes, whatever the machine went through."""
        digest = self.digest(name)
        return digest is not None and not find_damage(self.layout, digest)

    # -- umoci -------------------------------------------------------------------------------------

    def _add_layer(self, start: str, name: str, archive: Path, what: str) -> None:
        image = ("--image", f"{self.layout}:{start}", "--tag", name)
        told = (f"--history.created={_EPOCH}", f"--history.created_by=modelci: {what}")
        self._run("raw", "add-layer", *image, *told, str(archive))

    def _umoci(self, verb: str, start: str, name: str, *options: str) -> None:
        image = ("--image", f"{self.layout}:{start}", "--tag", name)
        self._run(verb, *image, f"--created={_EPOCH}", *options)

    def _run(self, *arguments: str) -> None:
        try:
            self._tools.run(["umoci", *arguments])
        except ToolError as error:
            raise DeploymentError(
                f"umoci could not put the image together: {error}",
                hint=f"Is there room on the disk? {self.layout.parent} can be removed: it is made "
                "anew.",
            ) from error


def _manner() -> list[str]:
    """Return how a container of an image starts; what else its base says stays."""
    variables = [f"--config.env={name}={value}" for name, value in _VARIABLES.items()]
    words = [f"--config.entrypoint={word}" for word in _ENTRYPOINT]
    return [
        *("--no-history", "--clear=config.cmd", "--clear=config.entrypoint"),
        *("--clear=config.exposedports", f"--config.exposedports={PORT}/tcp"),
        *("--config.stopsignal=SIGTERM", f"--config.user={NOBODY}", "--config.workingdir=/"),
        *variables,
        *words,
    ]


def blob_path(layout: Path, digest: str) -> Path:
    """Return where a layout keeps a blob."""
    kind, _, value = digest.partition(":")
    return layout / "blobs" / kind / value


def read_blob(layout: Path, digest: str) -> bytes:
    """Return a small blob of a layout; DeploymentError where it is missing."""
    try:
        return blob_path(layout, digest).read_bytes()
    except OSError as error:
        raise DeploymentError(
            f"The image layout {layout} lacks {digest}.", hint="Remove it: it is made anew."
        ) from error


def list_layers(layout: Path, digest: str) -> tuple[Path, ...]:
    """Return the layers of an image in a layout, the lowest first."""
    manifest = json.loads(read_blob(layout, digest))
    return tuple(blob_path(layout, one["digest"]) for one in manifest["layers"])


def pull_whole(registry: Registry, digest: str, layout: Path) -> None:
    """Pull an image into a new layout and hash all of it; OtherBytesError if that differs."""
    registry.pull(digest, layout, "pulled")
    damage = find_damage(layout, digest)
    if damage:
        raise OtherBytesError(", ".join(damage))


def find_damage(layout: Path, digest: str) -> tuple[str, ...]:
    """Return which blobs of an image are not what their digests say; every byte is read."""
    if _hash(blob_path(layout, digest)) != digest:
        return (f"the manifest {digest}",)
    manifest = json.loads(read_blob(layout, digest))
    blobs = {"the configuration": manifest["config"]["digest"]}
    for number, layer in enumerate(manifest["layers"], start=1):
        blobs[f"layer {number} of {len(manifest['layers'])}"] = layer["digest"]
    return tuple(
        f"{what} ({said})" for what, said in blobs.items() if _hash(blob_path(layout, said)) != said
    )


def _hash(path: Path) -> str | None:
    digest = sha256()
    try:
        with path.open("rb") as data:
            while block := data.read(_BLOCK):
                digest.update(block)
    except OSError:
        return None
    return f"sha256:{digest.hexdigest()}"
