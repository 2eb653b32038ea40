"""Reads CSV files straight out of a tree, in place of DVC's cache; and plays a rescoring stage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO

import pandas as pd

from modelci.domain.evaluation import Rescore
from modelci.errors import PipelineError
from modelci.ports import FileTree, MissingDataError, Progress, Table


def csv(frame: pd.DataFrame) -> bytes:
    """Return a table's text."""
    return frame.to_csv(index=False).encode()


@dataclass(kw_only=True)
class FakeTables:
    """Keeps the promises of ``ports.Tables``; remembers what it was asked for."""

    reads: list[tuple[str, tuple[str, ...] | None]] = field(default_factory=list)
    pulls: list[bool] = field(default_factory=list)

    def read(
        self,
        tree: FileTree,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        pull: bool = False,
    ) -> Table:
        self.reads.append((path, None if columns is None else tuple(columns)))
        self.pulls.append(pull)
        data = tree.read([path]).get(path)
        if data is None:
            raise MissingDataError(f"{path} is not in the DVC cache.", hint="Pull it.")
        frame = pd.read_csv(BytesIO(data))
        lacking = [name for name in columns or () if name not in frame.columns]
        if lacking:
            raise MissingDataError(f"{path} has no column {lacking[0]!r}.")
        return Table(
            frame=frame if columns is None else frame[list(dict.fromkeys(columns))],
            hash=tree.blob_id(path),
        )


@dataclass(kw_only=True)
class FakeRescorer:
    """Answers with ``make()``, or says that the command failed."""

    make: Callable[[], pd.DataFrame] | None = None
    commands: list[str] = field(default_factory=list)

    def rescore(
        self, command: Rescore, base: FileTree, *, like: str, pull: bool, progress: Progress
    ) -> Table:
        del base, like, pull, progress
        self.commands.append(command.cmd)
        if self.make is None:
            raise PipelineError("`python score.py` ended with 1.")
        return Table(frame=self.make(), hash=None)
