"""One base for every error: what happened, what to do next, and how to exit."""

from typing import ClassVar

BLOCKED_EXIT_CODE = 1
"""A gate failed: a verdict and no error."""

UNCLEAR_EXIT_CODE = 8
"""Nothing blocks but gates that the data cannot decide, where the configuration says they do."""


class ModelCIError(Exception):
    """What went wrong, and what to do about it.

    Every family has its own ``exit_code``, so that CI can tell a bad configuration from a
    forge that refused us. None is 1 or 8: those are verdicts, and no errors.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ModelCIError):
    """The command was called wrongly, or asked for something that does not exist here."""

    exit_code = 2


class ConfigError(ModelCIError):
    """A file of the project (``modelci.yaml``, ``dvc.yaml``, metrics, Git state) cannot be used."""

    exit_code = 3


class NoPipelineError(ConfigError):
    """Nothing can be run, since no stage is described; what is tagged and reported needs none."""


class ForgeError(ModelCIError):
    """The forge or the Git remote could not be reached, or answered something unexpected."""

    exit_code = 4


class ForgeDeniedError(ForgeError):
    """The forge knows us and says no: a permission is missing."""


class BranchMovedError(ForgeError):
    """A branch of the remote is no longer what it was when it was looked at."""


class PipelineError(ModelCIError):
    """A stage of the pipeline failed, or its data could not be had."""

    exit_code = 5


class PromotionError(ModelCIError):
    """A promotion was refused; nothing was tagged."""

    exit_code = 6


class TagTakenError(PromotionError):
    """A tag was there first, or another push holds it: what was planned is out of date."""


class DeploymentError(ModelCIError):
    """A deployment was refused or failed; what ran before runs on."""

    exit_code = 7


class TargetBusyError(DeploymentError):
    """Somebody deploys to the target now; the message says who."""
