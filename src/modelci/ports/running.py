"""The pipeline, and whatever else runs the project's code."""

from collections.abc import Callable, Sequence
from typing import Protocol

from modelci.domain.changes import TrackedFile
from modelci.domain.elsewhere import Source, StageOutcome, StageTask
from modelci.domain.evaluation import Rescore
from modelci.domain.pipeline import Plan, RunOptions, StageRun
from modelci.domain.retraining import Built, RetrainOrder
from modelci.domain.schedule import Needs
from modelci.domain.snapshot import Snapshot
from modelci.ports.data import Table
from modelci.ports.git import FileTree
from modelci.ports.progress import Progress


class StageExecutor(Protocol):
    """Machines elsewhere that run stages in clones of their own; asked by several threads."""

    @property
    def slots(self) -> int:
        """How many stages can run at a time, as far as is known."""

    @property
    def share_credentials(self) -> bool:
        """Whether the machines are to have the DVC remote's credentials from here."""

    def run(
        self,
        task: StageTask,
        source: Source,
        *,
        needs: Needs,
        output: Callable[[bytes], None],
        is_halted: Callable[[], bool],
    ) -> StageOutcome | None:
        """Run one stage and wait for it; ``output`` hears what it prints.

        Returns None once ``is_halted`` and nothing of it is left. A machine that is lost is no
        failure: another takes the stage. Raises PipelineError where none can.
        """

    def close(self) -> None:
        """Give back what was started for the run."""


class Pipeline(Protocol):
    """The DVC pipeline of the checkout, run through DVC itself."""

    def version(self) -> str:
        """Return DVC's version."""

    def check_remote(self) -> str | None:
        """Return the default DVC remote's name once it answers; None where none is set.

        Raises PipelineError where it cannot be reached.
        """

    def plan(self, targets: Sequence[str], options: RunOptions) -> Plan:
        """Say what a run would do."""

    def outdated(self, targets: Sequence[str], *, recorded: bool) -> Plan:
        """Say which stages are out of date by dvc.lock alone, the same in every clone.

        With ``recorded`` those that the remote's run cache knows are to be restored.
        """

    def run(
        self,
        targets: Sequence[str],
        options: RunOptions,
        *,
        progress: Progress,
        executor: StageExecutor | None = None,
    ) -> tuple[StageRun, ...]:
        """Run what is out of date; a stage that fails is a value, not an error."""

    def missing(self, files: Sequence[TrackedFile]) -> tuple[TrackedFile, ...] | None:
        """Return those tracked files that the DVC remote lacks, by hash and without download.

        A folder is there if its list is, and every file in it. A remote that is a folder which does
        not exist lacks everything. Returns None where no remote is set. Raises PipelineError where
        it does not answer.
        """

    def push(self, *, progress: Progress, record: bool = True) -> int:
        """Push data and models to the DVC remote, with ``record`` also the run cache.

        Returns how many objects went.
        """


class Reproducer(Protocol):
    """Runs a commit's pipeline once more."""

    def run(self, commit: str, inputs: Sequence[TrackedFile], *, progress: Progress) -> Snapshot:
        """Return what all its stages write, from nothing but the commit and its ``inputs``.

        Raises PipelineError where a stage fails or the inputs cannot be had.
        """


class Retrainer(Protocol):
    """Makes the commit of a retraining branch; it runs the project's code, which sees no token."""

    def build(self, order: RetrainOrder, *, progress: Progress) -> Built:
        """Run the command in a clean clone of ``order.base``, track and push data, commit.

        The commit is in this repository then, on no branch. Raises PipelineError where the command
        or the pipeline fails, ConfigError where what is to be added is not there.
        """


class Rescorer(Protocol):
    """Scores a base's model on the head's test set, by the project's own command."""

    def rescore(
        self, command: Rescore, base: FileTree, *, like: str, pull: bool, progress: Progress
    ) -> Table:
        """Run the command in the work tree and return the predictions that it wrote.

        ``like`` is the path of the head's predictions, whose format they have. Raises
        PipelineError where the command fails, MissingDataError where the base's files are not
        to be had.
        """
