"""Deploying what was just tagged, in the same run: a job's own tags start no workflow on GitHub."""

from collections.abc import Callable, Mapping, Sequence
from shlex import quote

from modelci.domain.deployment import Deployment, DeployOutcome
from modelci.domain.orders import Wanted, choose_target, wanted_by
from modelci.errors import DeploymentError, ModelCIError
from modelci.ports import Progress

Deploy = Callable[[Wanted, str], Deployment]
"""Brings what is wanted to the target of that name."""


def deploy_tags(
    tags: Sequence[str],
    targets: Mapping[str, Sequence[str]],
    *,
    named: str | None,
    deploy: Deploy,
    progress: Progress,
) -> tuple[Deployment, ...]:
    """Deploy what ``tags`` have assigned, or left to another version, and return what came of it.

    Each goes to the target ``named``, or to the one that takes its stage; a stage that none takes
    is left alone. Every one is tried. Raises DeploymentError with what to run where one was
    refused or has failed; the tags stand.
    """
    stages = {stage for name, taken in targets.items() if named in {None, name} for stage in taken}
    wishes = dict.fromkeys(wanted for tag in tags for wanted in wanted_by(tag, stages))
    done: list[Deployment] = []
    refused: list[tuple[str, str, ModelCIError]] = []
    for wanted in wishes:
        name = "?"
        try:
            name = choose_target(targets, wanted.stage, named)
            done.append(deploy(wanted, name))
        except ModelCIError as error:
            progress.warn(f"{wanted} is tagged, but was not deployed: {error}")
            refused.append((str(wanted), name, error))
    if refused:
        raise _explain(refused)
    _require_success(done)
    return tuple(done)


def _explain(refused: Sequence[tuple[str, str, ModelCIError]]) -> DeploymentError:
    names = ", ".join(wanted for wanted, _, _ in refused)
    _, _, error = refused[0]
    commands = "; ".join(
        f"`modelci deploy {quote(wanted)} --to {quote(name)}`" for wanted, name, _ in refused
    )
    return DeploymentError(
        f"Tagged, but not deployed: {names}: {error}",
        hint=f"{error.hint or ''} Then {commands}.".strip(),
    )


def _require_success(done: Sequence[Deployment]) -> None:
    for one in done:
        require_success(one)


def require_success(deployment: Deployment) -> None:
    """Raise DeploymentError, with the reason, for a deployment that has failed."""
    if deployment.outcome not in {DeployOutcome.FAILED, DeployOutcome.SWITCHED_BACK}:
        return
    if deployment.is_left:
        raise DeploymentError(
            f"{deployment.tag} runs on {deployment.target}, where nothing ran before it, but has "
            f"failed: {deployment.reason}",
            hint=deployment.hint,
        )
    runs = f"{deployment.after.label} runs" if deployment.after else "nothing runs"
    raise DeploymentError(
        f"{deployment.tag} was not deployed to {deployment.target}, where {runs}: "
        f"{deployment.reason}",
        hint=deployment.hint,
    )
