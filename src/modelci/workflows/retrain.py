"""A retraining pull request: its branch is prepared without a token, then pushed and proposed.

``prepare`` runs the project's code and writes nothing that others see but data, on the DVC remote;
``propose`` has the write token and runs none. ``act`` does both, where one job may.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelci.config.model import MonitorConfig
from modelci.domain.monitoring import Action, Monitoring
from modelci.domain.retraining import Retraining
from modelci.ports import Forge, Git, Progress, Retrainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What it takes to retrain; ``forge`` is asked for only once something is to be proposed.

    ``describe`` makes the pull request's text of what was found and what the branch changes, as
    Markdown; ``default_branch`` is what it is proposed to, where it is configured.
    """

    git: Git
    forge: Callable[[], Forge]
    retrainer: Retrainer
    describe: Callable[[Monitoring, Retraining], str]
    progress: Progress
    default_branch: str | None = None


def prepare(
    monitoring: Monitoring, settings: MonitorConfig, *, current: str, tools: Tools
) -> Retraining:
    """Make the commit of a window's retraining branch, or find it on the remote.

    ``current`` is where the window's data are. Raises PipelineError where the project's command
    fails.
    """
    raise NotImplementedError


def propose(
    actions: Sequence[Action],
    monitoring: Monitoring,
    settings: MonitorConfig,
    retraining: Retraining,
    *,
    tools: Tools,
) -> tuple[Action, ...]:
    """Push what was prepared and open its pull request, or bring the open one up to date.

    Returns the actions, those that are a retraining with their ``url`` and what was ``done`` (or
    why it was held back); of the others nothing changes.
    """
    raise NotImplementedError


def act(
    actions: Sequence[Action],
    monitoring: Monitoring,
    settings: MonitorConfig,
    *,
    current: str,
    tools: Tools,
) -> tuple[Action, ...]:
    """Prepare and propose, where any of the ``actions`` is a retraining that is not held back."""
    raise NotImplementedError
