"""Where versions are deployed, and how a release takes over."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelci.domain.deploying import Limits, Manner
from modelci.domain.deployment import Strategy


class TargetKind(StrEnum):
    """What a release is deployed to."""

    DIRECTORY = "directory"
    SERVER = "server"
    IMAGE = "image"
    KSERVE = "kserve"
    COMMAND = "command"

    @property
    def divides_traffic(self) -> bool:
        """Whether a release can be given a share of the requests, or copies of them."""
        return self not in {TargetKind.DIRECTORY, TargetKind.IMAGE}


class EnvironmentMode(StrEnum):
    """Where a release runs: in an environment built from what training recorded, or as is."""

    BUILD = "build"
    CURRENT = "current"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyConfig:
    """How a release takes over, and what makes it go back.

    ``all`` switches at once; ``canary`` gives it growing ``shares`` of the traffic first, and
    ``shadow`` copies of requests. Each step is watched for ``watch_seconds``, a trial also until
    ``min_requests`` came (at most ``patience_seconds``), and so is the switch. More errors than
    ``max_error_rate``, a 99th percentile above ``max_latency_ms``, or numbers that differ by more
    than ``max_divergence`` on average from the running release's abort it.
    """

    kind: Strategy = Strategy.ALL
    shares: tuple[str, ...] = ("5%", "25%")
    watch_seconds: float = 10.0
    min_requests: int = 0
    patience_seconds: float = 600.0
    max_error_rate: float = 0.01
    max_latency_ms: float | None = None
    max_divergence: float | None = None

    @property
    def compares(self) -> bool:
        """Whether a trial's answers are held against the running release's."""
        is_canary = self.kind is Strategy.CANARY
        return self.kind is Strategy.SHADOW or (is_canary and self.max_divergence is not None)

    def manner(self, kind: Strategy | None = None) -> Manner:
        """Return how a release takes over; ValueError where a share or a limit is none."""
        numbers = (self.watch_seconds, self.patience_seconds)
        if not all(0 <= one < math.inf for one in numbers):
            raise ValueError("watch_seconds and patience_seconds must be 0 or more")
        if self.min_requests < 0:
            raise ValueError("min_requests must be 0 or more")
        if not 0 <= self.max_error_rate <= 1:
            raise ValueError("max_error_rate is a share of requests, 0 to 1")
        for name in ("max_latency_ms", "max_divergence"):
            limit = getattr(self, name)
            if limit is not None and not 0 <= limit < math.inf:
                raise ValueError(f"{name} must be 0 or more")
        return Manner(
            strategy=kind or self.kind,
            shares=tuple(map(_share, self.shares)),
            limits=Limits(
                watch_seconds=self.watch_seconds,
                min_requests=self.min_requests,
                patience_seconds=self.patience_seconds,
                max_error_rate=self.max_error_rate,
                max_latency_ms=self.max_latency_ms,
                max_divergence=self.max_divergence,
            ),
        )


def _share(text: str) -> float:
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = math.nan
    if not 0 < share < 1:
        raise ValueError(f"shares has {text!r}, which is no share of the traffic such as 5%")
    return share


class SwitchKind(StrEnum):
    """What stands in front of releases' servers; auto: HAProxy where it is installed."""

    AUTO = "auto"
    BUILTIN = "builtin"
    HAPROXY = "haproxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTargetConfig:
    """Where a target's ``switch`` listens, and how many ``workers`` each release's server has.

    HAProxy compares no answers: where releases are tried as shadows, or a canary has a
    ``max_divergence``, auto is builtin.
    """

    listen: str = "127.0.0.1:8080"
    switch: SwitchKind = SwitchKind.AUTO
    workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTargetConfig:
    """``repository`` is where images go, ``base`` the pinned image with Python that they stand on.

    With ``{artifact}`` in it each artifact has a repository of its own. ``tag`` is what leads to
    the image that is to run (default: the target's one stage, or its name). ``insecure`` speaks to
    the registry without TLS, and ``prune`` lets it delete old releases.
    """

    repository: str | None = None
    base: str | None = None
    tag: str | None = None
    insecure: bool = False
    prune: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KServeTargetConfig:
    """The InferenceService of an image: ``apply`` it, or commit it to a GitOps ``branch``.

    ``service`` is its name, with ``{artifact}`` for the artifact's; ``context`` is kubectl's, and
    ``path`` a folder of the branch. ``cpu`` and ``memory`` are what each of ``min_replicas`` gets.
    ``annotations`` are put on the InferenceService as they are.
    """

    namespace: str = "default"
    service: str = "{artifact}"
    apply: bool = False
    context: str | None = None
    branch: str | None = None
    path: str = "kserve"
    cpu: str = "1"
    memory: str = "2Gi"
    min_replicas: int = 1
    service_account: str | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetConfig:
    """One place where releases run; ``path`` is its folder on this machine.

    ``stages`` are those whose tags come here when no target is named. ``keep`` is how many
    releases stay to go back to. ``python`` is the interpreter of releases that run as is (default:
    ours). ``cmd`` is the command of ``kind: command``, and ``timeout_seconds`` what each of its
    steps, or a check, may take.
    """

    kind: TargetKind = TargetKind.DIRECTORY
    path: str | None = None
    stages: tuple[str, ...] = ()
    keep: int = 3
    environment: EnvironmentMode = EnvironmentMode.CURRENT
    python: str | None = None
    timeout_seconds: float = 600.0
    strategy: StrategyConfig | None = None
    server: ServerTargetConfig = field(default_factory=ServerTargetConfig)
    image: ImageTargetConfig = field(default_factory=ImageTargetConfig)
    kserve: KServeTargetConfig = field(default_factory=KServeTargetConfig)
    cmd: str | None = None

    @property
    def surroundings(self) -> str:
        """What a release is put into, which makes it another one: an image's base, too."""
        of_images = self.kind in {TargetKind.IMAGE, TargetKind.KSERVE}
        return f"{self.environment} on {self.image.base}" if of_images else str(self.environment)

    def object_to(self, strategy: Strategy) -> str | None:
        """Say why a release cannot take over so, in a sentence; None where it can."""
        if strategy is Strategy.ALL:
            return None
        if not self.kind.divides_traffic:
            return f"a {self.kind} divides no traffic, so it takes --strategy all alone"
        if self.kind is TargetKind.KSERVE and strategy is Strategy.SHADOW:
            return "KServe copies no requests, so it takes no --strategy shadow: a server does"
        if self.kind is TargetKind.KSERVE and not self.kserve.apply:
            return "from a branch no traffic is seen, so it takes --strategy all alone"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployConfig:
    """Where versions are deployed, and what each must bring.

    ``require_golden`` refuses a model without golden requests, ``require_provenance`` one whose
    release has no provenance, ``require_signature`` one whose bytes nobody signed who may.
    ``wait_seconds`` is how long a deployment waits for another one on the same target.
    """

    targets: Mapping[str, TargetConfig] = field(default_factory=dict)
    strategy: StrategyConfig = field(default_factory=StrategyConfig)
    require_golden: bool = False
    require_provenance: bool = False
    require_signature: bool = False
    wait_seconds: float = 600.0

    def manner(self, target: TargetConfig, kind: Strategy | None = None) -> Manner:
        """Return how a release takes over on a target, by its own strategy or the common one.

        Where traffic cannot be divided the common one means ``all``; ValueError where ``kind`` asks
        for what the target cannot do.
        """
        against = target.object_to(kind) if kind is not None else None
        if against is not None:
            raise ValueError(against)
        settings = target.strategy or self.strategy
        usual = Strategy.ALL if target.object_to(settings.kind) else settings.kind
        return settings.manner(kind or usual)
