"""Where releases run, by the kind that a target has in ``deploy.targets``."""

from collections.abc import Callable, Mapping
from importlib import import_module

from modelci.adapters.targets.settings import TargetSettings
from modelci.config.model import TargetKind
from modelci.errors import ConfigError
from modelci.ports import Target

Connect = Callable[[TargetSettings], Target]
"""Makes a target from its settings; raises ConfigError or DeploymentError."""

TARGETS: Mapping[TargetKind, str] = {
    TargetKind.DIRECTORY: "directory",
    TargetKind.COMMAND: "command",
    TargetKind.IMAGE: "image",
    TargetKind.KSERVE: "kserve",
    TargetKind.SERVER: "server",
}
"""The module of each kind, which has a ``connect``: what one needs is no burden to the others."""


def connect(settings: TargetSettings) -> Target:
    """Return the target that the settings describe."""
    kind = settings.config.kind
    if kind not in TARGETS:
        raise ConfigError(
            f"Nothing deploys to targets of kind {kind} yet ({settings.name}).",
            hint=f"There are: {', '.join(TARGETS)}.",
        )
    module = import_module(f"{__name__}.{TARGETS[kind]}")
    make: Connect = module.connect
    return make(settings)
