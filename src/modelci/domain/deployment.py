"""Deploying: from a tag to what runs on a target; a decision is a value before it is an act."""

from dataclasses import dataclass
from enum import StrEnum

from modelci.domain.golden import Environment, Health
from modelci.domain.provenance import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFile:
    """A file of a release, by its path in the release's folder."""

    path: str
    sha256: str
    bytes: int
    md5: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version as it is deployed, ``modelci.release/1``; the same bytes have the same ``id``.

    It is a folder: ``model`` (a path in it), maybe ``golden.json``, ``dvc.lock``, and this document
    as ``release.json``. A rollback deploys the same release again: which tag asked for it is the
    target's to remember.
    """

    id: str
    artifact: str
    version: str | None
    commit: str
    model: str
    files: tuple[ReleaseFile, ...]
    golden: str | None = None
    flavour: str | None = None
    trusted_types: tuple[str, ...] = ()
    allow_pickle: bool = False
    environment: Environment | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What a target runs, or ran: a release, and the tag that asked for it.

    ``assigned_seconds`` is when the registry came to say so (Unix time): what is older never
    replaces what is newer. ``since`` is UTC in ISO 8601. ``reason`` says why it was switched to,
    where it is no promotion. ``settled``: it was watched to the end, and stays. ``image`` is the
    image that it runs as, by digest, where it runs as one.
    """

    release: str
    artifact: str
    version: str | None
    tag: str
    commit: str
    assigned_seconds: int
    since: str
    by: str = ""
    run_url: str | None = None
    reason: str | None = None
    settled: bool = False
    image: str | None = None

    @property
    def label(self) -> str:
        """The version as people write it, or the short commit."""
        return self.version or self.commit[:7]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A release beside the running one: it answers a ``share`` of requests, or copies."""

    release: str
    share: float = 0.0
    shadow: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """What a target says of one artifact; ``history`` newest first, the running one in it."""

    running: Running | None = None
    previous: Running | None = None
    trial: Trial | None = None
    staged: tuple[str, ...] = ()
    history: tuple[Running, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a target saw of a release's traffic in the last ``seconds``; latencies in ms.

    ``divergence`` is the mean absolute difference of its numbers from the running release's, over
    ``compared`` requests that both answered.
    """

    seconds: float
    requests: int = 0
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    compared: int = 0
    divergence: float | None = None


class Strategy(StrEnum):
    """How a release takes over."""

    ALL = "all"
    CANARY = "canary"
    SHADOW = "shadow"


class StepKind(StrEnum):
    """A step of a deployment; each can be repeated."""

    FETCH = "fetch"
    VERIFY = "verify"
    SCAN = "scan"
    ENVIRONMENT = "environment"
    STAGE = "stage"
    CHECK = "check"
    TRIAL = "trial"
    SWITCH = "switch"
    WATCH = "watch"
    PRUNE = "prune"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployStep:
    """A planned step; ``share`` and ``seconds`` are a trial's, ``seconds`` also a watch's.

    A trial without a ``share`` gets copies of requests; one of 0 ends what an earlier run left.
    """

    kind: StepKind
    share: float | None = None
    seconds: float | None = None


class StepState(StrEnum):
    """What came of a step."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """A step that was taken, in how many seconds."""

    kind: StepKind
    state: StepState
    detail: str = ""
    seconds: float = 0.0


class DeployOutcome(StrEnum):
    """What a deployment came to."""

    PLANNED = "planned"
    DEPLOYED = "deployed"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SWITCHED_BACK = "switched-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The document ``modelci.deployment/1``: what was to run where, and what came of it.

    ``before`` ran when it began, ``after`` when it ended. ``allowed`` is why a rule was lifted;
    ``reason`` is why it failed, and ``hint`` what to do next.
    """

    target: str
    kind: str
    artifact: str
    tag: str
    version: str | None
    stage: str | None
    commit: str
    outcome: DeployOutcome
    strategy: Strategy = Strategy.ALL
    release: str | None = None
    plan: tuple[DeployStep, ...] = ()
    steps: tuple[StepRecord, ...] = ()
    findings: tuple[Finding, ...] = ()
    health: Health | None = None
    observations: tuple[Observation, ...] = ()
    before: Running | None = None
    after: Running | None = None
    reason: str | None = None
    hint: str | None = None
    notes: tuple[str, ...] = ()
    allowed: str | None = None
    by: str = ""
    run_url: str | None = None
    started: str | None = None
    seconds: float | None = None

    @property
    def is_left(self) -> bool:
        """Whether it failed after the switch and runs all the same, for want of another."""
        failed = self.outcome is DeployOutcome.FAILED
        return failed and self.after is not None and self.after.release == self.release


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """One artifact on one target, as ``modelci deployments`` lists it.

    ``healthy`` is whether it answers requests now, None where nobody can tell. ``differs`` are
    sentences on where the registry says otherwise: what its stages hold now.
    """

    target: str
    kind: str
    artifact: str
    state: TargetState
    healthy: bool | None = None
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """The document ``modelci.deployments/1``: what runs where, since when, by whom."""

    deployed: tuple[Deployed, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether all that should run does, as the registry says, and nobody failed to answer."""
        is_well = all(one.healthy is not False and not one.differs for one in self.deployed)
        return is_well and not self.notes
