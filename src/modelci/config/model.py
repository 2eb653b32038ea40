"""What ``modelci.yaml`` may say, as frozen values; the field docs reach the JSON Schema."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelci.domain.gates import Gate
from modelci.domain.metrics import Direction


class ForgeKind(StrEnum):
    """Which forge to talk to; ``auto`` asks the environment."""

    AUTO = "auto"
    GITHUB = "github"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeConfig:
    """``path`` is the local forge's folder."""

    kind: ForgeKind = ForgeKind.AUTO
    path: str = ".modelci/forge"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """``pull`` restores from the DVC remote before a run, ``push`` uploads after it."""

    pull: bool = False
    push: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """``title`` heads the comment and tells two reports on one pull request apart."""

    title: str = "Model report"
    max_bytes: int = 65_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig:
    """``artifacts`` (default: all) are versioned on merge and ``assign``ed to these stages.

    ``commit_results`` lets a merge commit the ``dvc.lock`` and metrics that its own run made.
    """

    artifacts: tuple[str, ...] | None = None
    assign: tuple[str, ...] = ()
    commit_results: bool = True
    releases: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole of ``modelci.yaml``, after defaults, environment and flags."""

    default_branch: str | None = None
    metrics: Mapping[str, Direction] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    run: RunConfig = field(default_factory=RunConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    promote: PromoteConfig = field(default_factory=PromoteConfig)
    forge: ForgeConfig = field(default_factory=ForgeConfig)
