"""Where releases run."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from modelci.domain.deployment import Observation, Release, Running, TargetState
from modelci.domain.golden import Environment, Health
from modelci.ports.progress import Progress


class Environments(Protocol):
    """Python environments for releases."""

    def current(self) -> Environment:
        """Return the environment that this process runs in."""

    def build(self, recorded: Environment, folder: Path, *, progress: Progress) -> Path:
        """Return the interpreter of an environment that has what was recorded, below ``folder``.

        It is made once per set of versions and then found again, and holds modelci for serving.
        Raises DeploymentError where this machine has no such Python or a package cannot be had.
        """


class Target(Protocol):
    """Where releases run: one release of an artifact at a time, others beside it.

    Every method can be repeated, and one that was cut short can be called again. Those that act
    raise DeploymentError.
    """

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    @property
    def kind(self) -> str:
        """What kind of target it is."""

    def lock(self) -> AbstractContextManager[None]:
        """Keep others from deploying here meanwhile; TargetBusyError names who does so now."""

    def artifacts(self) -> tuple[str, ...]:
        """Return the artifacts that were ever deployed here."""

    def read(self, artifact: str) -> TargetState:
        """Return what runs, ran and is staged here."""

    def release(self, artifact: str, release_id: str) -> Release | None:
        """Return a staged release as it was staged; None where it is not."""

    def answers(self, artifact: str) -> bool | None:
        """Whether what runs answers requests now; None where that is not the target's to see."""

    def environment(self) -> Environment | None:
        """Return what is installed where releases run as is; None where nobody can tell."""

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        """Put a release's ``folder`` beside the running one, whole or not at all.

        ``python`` is the interpreter to run it with (None: the target's own).
        """

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        """Load the staged release, warm it up and replay its golden requests."""

    def switch(self, running: Running) -> None:
        """Let the staged ``running.release`` answer everything, from one moment to the next.

        It ends a trial, and is remembered in the history. What ran before stays, to go back to.
        For the release that runs already only what else is known of it is remembered.
        """

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        """Let a staged release answer a share of the requests, or copies of them (``shadow``).

        With neither, a trial ends. DeploymentError where the target cannot divide traffic.
        """

    def observe(self, release: Release, *, seconds: float) -> Observation | None:
        """Return what the release's traffic was in the last ``seconds``; None: it is not seen."""

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        """Remove staged releases but the newest ``keep``, and never the running or previous one.

        Returns the ids of what went.
        """
