"""An issue about a deployed model: opened or updated while something fails, closed when well."""

from collections.abc import Callable, Sequence

from modelci.config.model import MonitorConfig
from modelci.domain.monitoring import Action, Monitoring
from modelci.ports import Forge


def act(
    actions: Sequence[Action],
    monitoring: Monitoring,
    settings: MonitorConfig,
    *,
    forge: Callable[[], Forge],
    describe: Callable[[Monitoring], str],
) -> tuple[Action, ...]:
    """Open or update the model's issue where an action asks for it; close it when all is well.

    To be called for every window, also without actions. Returns the actions, the issue's with its
    ``url`` and what was ``done``.
    """
    raise NotImplementedError
