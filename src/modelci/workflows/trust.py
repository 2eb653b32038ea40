"""Whom a job that releases believes: nothing that a pull request's job could have written.

Whoever writes a DVC remote can make its run cache say that any file came of any stage. So a job on
the default branch does not restore past runs from a remote that jobs of pull requests push to: it
runs what ``dvc.lock`` does not name.
"""

import shlex
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace

from modelci.config.model import Config, EventRunConfig, ExecutorKind, RunCache, RunConfig
from modelci.domain.checks import Check, Health
from modelci.domain.events import CIContext, EventKind
from modelci.domain.remotes import DataRemote, are_one_place, find_remote

_PULL_REQUEST = "pull_request"
_PUSH = CIContext(event=EventKind.PUSH, event_name="push")
_PROPOSALS = (
    CIContext(event=EventKind.PULL_REQUEST, event_name=_PULL_REQUEST),
    CIContext(event=EventKind.PULL_REQUEST, event_name=_PULL_REQUEST, from_fork=True),
)
_SEPARATE = (
    "Give pull requests a remote of their own (`dvc remote add pr URL`), and credentials for that "
    "one alone. In modelci.yaml: `run: {events: {pull_request: {remote: pr}}}`. Or, where everyone "
    "who may open one is trusted: `run: {events: {push: {run_cache: on}}}`."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How the pipeline runs in a job, and why past runs are not believed there, if they are not."""

    run: RunConfig
    doubt: str | None = None


def settle_run(
    config: Config,
    context: CIContext,
    *,
    releases: bool,
    fixed: Container[str] = (),
    remotes: Callable[[], Sequence[DataRemote]] = tuple,
) -> Settled:
    """Return how the pipeline runs in this job; ``releases`` says that it is one that promotes.

    ``fixed`` names what a flag or variable has decided. What the event's own ``run_cache`` says, or
    a flag or variable, is done: whoever wrote it knows who may push.
    """
    usual = config.run.for_event(context, fixed=fixed)
    said = config.run.events.get(context.event_name, EventRunConfig()).run_cache
    if not releases or said is not None or "run_cache" in fixed or not _restores(config, usual):
        return Settled(run=usual)
    shared = _shared_with(config.run, usual, remotes())
    if shared is None:
        return Settled(run=usual)
    return Settled(run=replace(usual, run_cache=RunCache.OFF), doubt=_doubt(usual, shared))


def _restores(config: Config, run: RunConfig) -> bool:
    pulls = run.pull or config.executor.kind is not ExecutorKind.LOCAL
    return pulls and run.run_cache is not RunCache.OFF


def _shared_with(
    run: RunConfig, released: RunConfig, remotes: Sequence[DataRemote]
) -> RunConfig | None:
    """Return the settings of a pull request's job that pushes to where a release restores from."""
    for context in _PROPOSALS:
        proposed = run.for_event(context)
        if proposed.push and are_one_place(remotes, proposed.remote, released.remote):
            return proposed
    return None


def _doubt(released: RunConfig, proposed: RunConfig) -> str:
    one, other = (run.remote or "the default DVC remote" for run in (released, proposed))
    same = f" ({other} is the same place)" if one != other else ""
    return (
        f"Past runs are not restored: jobs of pull requests push to {one}{same}, and could have "
        "made them up."
    )


def check_remotes(config: Config, remotes: Sequence[DataRemote]) -> Iterator[Check]:
    """Say which of the DVC remotes that jobs use is taken at its word, and who shares one."""
    for remote in _used(config.run, remotes):
        name = shlex.quote(remote.name)
        if not remote.verifies:
            yield Check(
                name=f"dvc remote {remote.name}",
                health=Health.WARNING,
                detail="DVC takes its word for what it sends: changed bytes are pulled as they are",
                fix=f"`dvc remote modify {name} verify true`, and commit .dvc/config.",
            )
    settled = settle_run(config, _PUSH, releases=True, remotes=lambda: remotes)
    if settled.doubt is not None:
        yield Check(
            name="run cache",
            health=Health.WARNING,
            detail=f"On merge: {settled.doubt}",
            fix=_SEPARATE,
        )


def _used(run: RunConfig, remotes: Sequence[DataRemote]) -> list[DataRemote]:
    """Return the remotes that this project's jobs use, each once."""
    names = [run.remote, *(event.remote for event in run.events.values() if event.remote)]
    found = (find_remote(remotes, name) for name in names)
    return list(dict.fromkeys(one for one in found if one is not None))
