"""Where a stage's commands run: here, in process groups of this machine, or in another place."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from modelci.adapters.dvc.commands import Halt, ProcessGroups, Usage
from modelci.domain.schedule import Needs


@dataclass(frozen=True, slots=True, kw_only=True)
class StageJob:
    """A stage's commands, each as written and as an argument list, and what they see.

    ``timeout`` is in seconds, for all of them together. They inherit the open file ``held``.
    """

    name: str
    commands: tuple[tuple[str, list[str]], ...]
    cwd: str
    environment: Mapping[str, str]
    timeout: float | None = None
    held: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How it ended: ``command`` is the last that ran, the one that failed if the code is not 0."""

    command: str
    exit_code: int


class Executor(Protocol):
    """Runs the commands of stages, several at a time, and never touches DVC."""

    def run(
        self, job: StageJob, *, output: Callable[[bytes], None], usage: Usage, halt: Halt
    ) -> JobEnd:
        """Run the commands up to the first that fails; ``output`` takes what they print.

        Raises HaltedError or TimedOutError once no process of the job is left.
        """


class Place(Protocol):
    """Somewhere else for the commands of stages. Its methods are for whoever holds the token."""

    @property
    def slots(self) -> int | None:
        """How many stages can run there at a time; None if they run here."""

    def takes(self, stage: Any) -> bool:
        """Whether the commands of ``stage`` are run there rather than here."""

    def needs_here(self, stage: Any, needs: Needs) -> Needs:
        """Return what the stage takes of this machine."""

    def run(
        self,
        stage: Any,
        needs: Needs,
        *,
        let_go: Callable[[], AbstractContextManager[None]],
        output: Callable[[bytes], None],
        usage: Usage,
        halt: Halt,
    ) -> JobEnd:
        """Have the commands run, and put what they wrote in place here.

        Waits without the token, inside ``let_go()``. Raises HaltedError, TimedOutError, or
        PipelineError for what is no fault of the commands.
        """


class LocalExecutor:
    """Keeps the promises of ``Executor`` on this machine."""

    def run(
        self, job: StageJob, *, output: Callable[[bytes], None], usage: Usage, halt: Halt
    ) -> JobEnd:
        """Run them here."""
        end = JobEnd(command="", exit_code=0)
        with ProcessGroups(
            output,
            cwd=job.cwd,
            environment=job.environment,
            halt=halt,
            timeout=job.timeout,
            usage=usage,
            held=job.held,
        ) as processes:
            for text, command in job.commands:
                output(f"> {text}\n".encode())
                end = JobEnd(command=text, exit_code=processes.run(command))
                if end.exit_code:
                    break
        return end
