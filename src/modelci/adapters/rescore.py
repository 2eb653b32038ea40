"""Scores a base's model on the head's test set, by the project's own command."""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelci.adapters.datasets import read_file
from modelci.adapters.dvc.commands import ProcessGroups, clean_tail
from modelci.adapters.dvc.paths import locate
from modelci.domain.evaluation import Rescore
from modelci.errors import PipelineError
from modelci.ports import FileTree, Progress, Table

if TYPE_CHECKING:
    from modelci.adapters.dvc.locate import Locator

BASE, OUT = "MODELCI_BASE", "MODELCI_OUT"
_KEPT_BYTES = 16 * 1024


class CommandRescorer:
    """The ``Rescorer`` that runs a shell command at ``root``.

    ``environment`` is what user code may see: no token is in it.
    """

    def __init__(self, root: Path, *, environment: Mapping[str, str], locator: "Locator") -> None:
        self._root = root
        self._environment = environment
        self._locator = locator

    def rescore(
        self, command: Rescore, base: FileTree, *, like: str, pull: bool, progress: Progress
    ) -> Table:
        """Return what the command wrote, in the format of ``like``."""
        with tempfile.TemporaryDirectory(prefix="modelci-rescore-") as scratch:
            theirs, out = Path(scratch, "base"), Path(scratch, "out", PurePosixPath(like).name)
            out.parent.mkdir()
            theirs.mkdir()
            for path in command.files:
                self._lay_down(base, path, theirs, pull=pull)
            progress.note(f"Scoring the base's model on the head's test set: {command.cmd}")
            with progress.busy(f"Scoring: {command.cmd}"):
                self._run(command.cmd, {BASE: str(theirs), OUT: str(out)})
            if not out.is_file():
                raise PipelineError(
                    f"`{command.cmd}` wrote no predictions.",
                    hint=f"It must write a file like {like} to the path in ${OUT}.",
                )
            return Table(frame=read_file(out), hash=None)

    def _lay_down(self, base: FileTree, path: str, folder: Path, *, pull: bool) -> None:
        """Copy a file of the base, for user code shall not write to DVC's cache."""
        found = self._locator.find(base, path, pull=pull)
        place = folder / (locate("", path).path or PurePosixPath(path).name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(found.source, Path):
            shutil.copyfile(found.source, place)
        else:
            place.write_bytes(found.source)

    def _run(self, command: str, more: Mapping[str, str]) -> None:
        said = bytearray()

        def hear(data: bytes) -> None:
            said.extend(data)
            del said[:-_KEPT_BYTES]

        with ProcessGroups(
            hear, cwd=str(self._root), environment={**self._environment, **more}
        ) as groups:
            code = groups.run(command)
        if code:
            tail = clean_tail(said.decode("utf-8", "replace"))
            raise PipelineError(
                f"`{command}` ended with {code}.",
                hint=f"It said last: {tail.splitlines()[-1]}" if tail else "It said nothing.",
            )
