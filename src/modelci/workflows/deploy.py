"""``modelci deploy``: what the registry says is to run, on a target, checked and reversible."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from modelci.domain.deployment import Deployment, DeployOutcome
from modelci.errors import DeploymentError, ModelCIError, TargetBusyError, UsageError
from modelci.workflows.deploy_plan import Gathered, Job, Tools, describe, gather, plan
from modelci.workflows.deploy_steps import forget_work, take

_BETWEEN_TRIES = 0.5


def deploy(job: Job, *, dry_run: bool = False) -> Deployment:
    """Bring what is wanted to the target, or (``dry_run``) say what that takes.

    The remote's tags decide, before anything is done and again just before the switch. What is
    against the rules raises DeploymentError, and nothing was changed; a step that fails is in the
    document, with what runs now. Run again, it goes on where it was cut short.
    """
    _require_sense(job)
    gathered = gather(job)
    steps = plan(job, gathered)
    if not steps:
        forget_work(job, gathered)  # of a run that was killed at its very end
    if dry_run or not steps:
        return describe(job, gathered, steps)
    with _hold(job.tools, job.config.deploy.wait_seconds):
        gathered = gather(job)  # others may have deployed while we waited
        document = describe(job, gathered, plan(job, gathered))
        return _act(job, gathered, document) if document.plan else document


def _act(job: Job, gathered: Gathered, document: Deployment) -> Deployment:
    tools = job.tools
    began = tools.clock()
    document = replace(document, started=tools.now())
    tools.announce(document)
    try:
        done = take(job, gathered, document)
    except BaseException:
        tools.announce(_interrupted(tools, document))
        raise
    done = replace(done, seconds=round(tools.clock() - began, 3))
    tools.announce(done)
    return done


def _interrupted(tools: Tools, document: Deployment) -> Deployment:
    """Return how a deployment stands that was cut short: nobody shall think that it goes on."""
    after = document.before
    with suppress(ModelCIError):
        after = tools.target.read(document.artifact).running
    return replace(document, outcome=DeployOutcome.FAILED, after=after, reason="it was interrupted")


def _require_sense(job: Job) -> None:
    if job.request.allowed is not None and not job.request.allowed.strip():
        raise UsageError("--allow needs a reason.", hint="The target remembers it: say why.")
    if job.config.deploy.require_provenance and job.tools.provenance is None:
        raise DeploymentError(
            "deploy.require_provenance is true, and no forge is known that has releases.",
            hint="forge.kind says which one; it takes a token to ask it.",
        )


@contextmanager
def _hold(tools: Tools, wait_seconds: float) -> Iterator[None]:
    """Lock the target; wait for who deploys there now, up to so many seconds."""
    deadline, is_told = tools.clock() + wait_seconds, False
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(tools.target.lock())
                break
            except TargetBusyError as error:
                if tools.clock() >= deadline:
                    raise
                if not is_told:
                    tools.progress.note(f"Waiting: {error}")
                    is_told = True
                tools.pause(_BETWEEN_TRIES)
        yield
