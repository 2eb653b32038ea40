"""A folder for each artifact in a target's folder, each laid out by itself.

::

    PATH/lock                 held while somebody deploys, and says who
    PATH/ARTIFACT/            state.json, history.jsonl, releases/ID/: see ``layout``

An artifact's folder is named as in tags (``dir=name``), with ``%2F`` for a slash.
"""

from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import quote, unquote

from modelci.adapters.targets.layout import Layout
from modelci.adapters.targets.settings import TargetSettings
from modelci.domain.deployment import Release, Running, TargetState
from modelci.errors import DeploymentError


class ShelvedTarget:
    """What the targets have in common whose releases lie in a folder of this machine.

    Who asks their releases is not seen, unless a target says otherwise.
    """

    def __init__(self, settings: TargetSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._shelves = Shelves(settings.name, settings.path)

    def lock(self) -> AbstractContextManager[None]:
        """Lock the folder that remembers what runs."""
        return self._shelves.lock()

    def artifacts(self) -> tuple[str, ...]:
        """Return the artifacts that were ever deployed here."""
        return self._shelves.artifacts()

    def read(self, artifact: str) -> TargetState:
        """Return what is to run, ran before, and is staged."""
        return self._shelves.of(artifact).read(artifact)

    def release(self, artifact: str, release_id: str) -> Release | None:
        """Return a staged release; None where there is none that can be read."""
        return self._shelves.release(artifact, release_id)

    def answers(self, artifact: str) -> bool | None:
        """Return None: who asks is not seen here."""
        del artifact
        return None

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        """Copy the folder beside the others, whole or not at all."""
        self._shelves.of(release.artifact).stage(release, folder, python=python)

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Remove the oldest releases, and return which."""
        return self._shelves.of(artifact).prune(artifact, keep=keep)

    @property
    def _python(self) -> Path | None:
        """The interpreter of releases that run as is, where it is not ours."""
        python = self._settings.config.python
        return Path(python) if python else None


class Shelves:
    """The layouts of a target's artifacts; its folder need not exist yet."""

    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path

    def lock(self) -> AbstractContextManager[None]:
        """Keep others from deploying any artifact here meanwhile."""
        return Layout(self._name, self._path).lock()

    def artifacts(self) -> tuple[str, ...]:
        """Return the artifacts that were ever deployed here."""
        if not self._path.is_dir():
            return ()
        found = (one for one in self._path.iterdir() if (one / "state.json").is_file())
        return tuple(sorted(unquote(one.name).replace("=", ":", 1) for one in found))

    def of(self, artifact: str) -> Layout:
        """Return the layout of an artifact's folder."""
        return Layout(self._name, self._path / quote(artifact.replace(":", "=", 1), safe="="))

    def release(self, artifact: str, release_id: str) -> Release | None:
        """Return a staged release; None where there is none that can be read."""
        try:
            return self.of(artifact).release(release_id)
        except DeploymentError:
            return None

    def require(self, running: Running) -> Release:
        """Return the release that is to be switched to; DeploymentError where it is not staged."""
        return self.of(running.artifact).release(running.release)
