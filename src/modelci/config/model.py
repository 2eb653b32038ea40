"""What ``modelci.yaml`` may say, as frozen values; the field docs reach the JSON Schema."""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from modelci.domain.events import CIContext
from modelci.domain.gates import Gate, Rule, Severity, Threshold, WhenMissing
from modelci.domain.metrics import Direction

Limit = float | str
"""``0.01`` is in the metric's own unit, ``"1%"`` a share of the base's value."""


def parse_limit(limit: Limit) -> Threshold:
    """Read a limit, or raise ValueError saying what is wrong with it."""
    if not isinstance(limit, str):
        return Threshold(value=float(limit))
    number, percent, rest = limit.strip().partition("%")
    if not percent or rest:
        raise ValueError(f"{limit!r} is neither a number nor a share such as 1%")
    try:
        return Threshold(value=float(number) / 100, relative=True)
    except ValueError:
        raise ValueError(f"{limit!r} is neither a number nor a share such as 1%") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """One or more limits on the metrics that ``metric`` means.

    ``metric`` is a metric's name (``roc_auc``), dotted name (``test.roc_auc``), or either behind
    a file (``metrics/hgb.json:roc_auc``); globs are allowed.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: Limit | None = None
    max_increase: Limit | None = None
    min_gain: Limit | None = None
    severity: Severity = Severity.BLOCK
    missing: WhenMissing = WhenMissing.FAIL

    def gates(self) -> tuple[Gate, ...]:
        """Return a gate for each limit; ValueError where a limit (or every limit) is wrong."""
        limits = {rule: getattr(self, rule.value) for rule in Rule}
        found = tuple(
            Gate(
                metric=self.metric,
                rule=rule,
                threshold=parse_limit(limit),
                severity=self.severity,
                missing=self.missing,
            )
            for rule, limit in limits.items()
            if limit is not None
        )
        if not found:
            raise ValueError(f"it has no limit: give one of {', '.join(Rule)}")
        if not all(math.isfinite(gate.threshold.value) for gate in found):
            raise ValueError("a limit must be a finite number")
        if any(gate.rule.is_relative_to_base and gate.threshold.value < 0 for gate in found):
            raise ValueError("a change's limit is never negative: max_drop: 0.01 allows 0.01 worse")
        return found


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
    gates: tuple[GateConfig, ...] = ()
    run: RunConfig = field(default_factory=RunConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    promote: PromoteConfig = field(default_factory=PromoteConfig)
    forge: ForgeConfig = field(default_factory=ForgeConfig)

    def all_gates(self) -> tuple[Gate, ...]:
        """Return every gate, in the order written."""
        return tuple(gate for entry in self.gates for gate in entry.gates())
