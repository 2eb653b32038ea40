"""Where releases run, by the kind that a target has in ``deploy.targets``."""

from importlib import import_module
from typing import TYPE_CHECKING

from modelci.errors import ConfigError

if TYPE_CHECKING:  # the switch and its supervisor live here, too, and start without them
    from collections.abc import Callable

    from modelci.adapters.targets.settings import TargetSettings
    from modelci.ports import Target

    Connect = Callable[[TargetSettings], Target]
    """Makes a target from its settings; raises ConfigError or DeploymentError."""

TARGETS = ("directory", "command", "image", "kserve", "server")
"""The kinds. Each has a module with a ``connect``: what one needs is no burden to the others."""


def connect(settings: "TargetSettings") -> "Target":
    """Return the target that the settings describe."""
    kind = settings.config.kind
    if kind not in TARGETS:
        raise ConfigError(
            f"Nothing deploys to targets of kind {kind} yet ({settings.name}).",
            hint=f"There are: {', '.join(TARGETS)}.",
        )
    module = import_module(f"{__name__}.{kind}")
    make: Connect = module.connect
    return make(settings)
