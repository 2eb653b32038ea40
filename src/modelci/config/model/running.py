"""How the pipeline runs, and where."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from modelci.domain.events import CIContext


class RunCache(StrEnum):
    """What a run makes of past ones: restores them and records itself, only restores, or neither.

    That is of past runs which the run cache knows; what ``dvc.lock`` names is always restored.
    """

    ON = "on"
    READ = "read"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRunConfig:
    """What is different in jobs of one event; what is not given stays as it is."""

    pull: bool | None = None
    push: bool | None = None
    run_cache: RunCache | None = None
    remote: str | None = None


FORK = "fork"
"""The event of ``run.events`` that stands for pull requests from a fork."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """``pull`` restores from the DVC remote before a run, ``push`` uploads each stage after it.

    ``remote`` names the DVC remote (default: DVC's own default). ``events`` says what is different
    in jobs of an event: ``pull_request``, ``push``, ``schedule``, …, and ``fork`` for pull requests
    from a fork, which push nothing unless that names a remote of theirs.
    """

    pull: bool = False
    push: bool = False
    run_cache: RunCache = RunCache.ON
    remote: str | None = None
    events: Mapping[str, EventRunConfig] = field(default_factory=dict)

    def for_event(self, context: CIContext, *, fixed: Container[str] = ()) -> "RunConfig":
        """Return what holds in this job; ``fixed`` names what a flag or variable has decided."""
        events = [context.event_name, *([FORK] if context.from_fork else [])]
        found = self
        for event in events:
            found = found._changed_by(self.events.get(event, EventRunConfig()), fixed)
        theirs = self.events.get(FORK, EventRunConfig()).remote
        if context.from_fork and theirs is None:
            # What a fork runs is anyone's: no job of ours shall restore it.
            mode = RunCache.READ if found.run_cache is RunCache.ON else found.run_cache
            found = replace(found, push=False, run_cache=mode)
        return found

    def _changed_by(self, event: EventRunConfig, fixed: Container[str]) -> "RunConfig":
        return replace(
            self,
            pull=_decide(event.pull, self.pull, "pull" in fixed),
            push=_decide(event.push, self.push, "push" in fixed),
            run_cache=_decide(event.run_cache, self.run_cache, "run_cache" in fixed),
            remote=_decide(event.remote, self.remote, "remote" in fixed),
        )


T = TypeVar("T")


def _decide(event: T | None, usual: T, is_fixed: bool) -> T:  # noqa: FBT001
    return usual if event is None or is_fixed else event


class ExecutorKind(StrEnum):
    """Where stages run."""

    LOCAL = "local"
    DASK = "dask"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorConfig:
    """A Dask cluster: the ``address`` of a running scheduler, or one that we start and stop.

    ``cluster`` is the import path of any of Dask's cluster classes, made with ``arguments`` and
    scaled to ``workers``. ``wait_seconds`` is how long the first worker may take to come.
    ``share_credentials`` sends the DVC remote's credentials, as configured here, to the workers.
    """

    kind: ExecutorKind = ExecutorKind.LOCAL
    address: str | None = None
    cluster: str = "distributed.LocalCluster"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    workers: int | None = None
    wait_seconds: float = 300.0
    share_credentials: bool = False
