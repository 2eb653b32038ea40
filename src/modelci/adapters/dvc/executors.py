"""Where a stage's commands run: here, in process groups of this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from modelci.adapters.dvc.commands import Halt, ProcessGroups, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class StageJob:
    """A stage's commands, each as written and as an argument list, and what they see.

    ``timeout`` is in seconds, for all of them together.
    """

    name: str
    commands: tuple[tuple[str, list[str]], ...]
    cwd: str
    environment: Mapping[str, str]
    timeout: float | None = None


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
        ) as processes:
            for text, command in job.commands:
                output(f"> {text}\n".encode())
                end = JobEnd(command=text, exit_code=processes.run(command))
                if end.exit_code:
                    break
        return end
