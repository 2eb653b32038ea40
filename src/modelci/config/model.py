"""What ``modelci.yaml`` may say, as frozen values; the field docs reach the JSON Schema."""

import math
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from modelci.domain.deploying import Limits, Manner
from modelci.domain.deployment import Strategy
from modelci.domain.evaluation import ColumnRule, Evaluation, FairnessMetric, Mode, SliceBy
from modelci.domain.events import CIContext
from modelci.domain.gates import (
    Gate,
    Limit,
    Rule,
    Severity,
    Threshold,
    Waiver,
    WhenMissing,
    WhenUnclear,
    parse_limit,
)
from modelci.domain.metrics import Direction
from modelci.domain.monitoring import Correction, DriftStatistic
from modelci.domain.notes import ModelCard
from modelci.domain.registry import Holder
from modelci.domain.triggers import Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class GateConfig:
    """One or more limits on the metrics that ``metric`` means.

    ``metric`` is a metric's name (``roc_auc``), dotted name (``test.roc_auc``), or either behind
    a file (``metrics/hgb.json:roc_auc``); globs are allowed. ``mode`` (of the limits that compare
    with the base) is by default the evaluation's. With ``branches`` (globs) it is a gate of pull
    requests from these branches alone.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    max_drop: Limit | None = None
    max_increase: Limit | None = None
    min_gain: Limit | None = None
    severity: Severity = Severity.BLOCK
    missing: WhenMissing = WhenMissing.FAIL
    mode: Mode | None = None
    inconclusive: WhenUnclear = WhenUnclear.WARN
    incomparable: WhenUnclear = WhenUnclear.WARN
    branches: tuple[str, ...] = ()

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
                mode=self.mode if rule.is_relative_to_base else None,
                inconclusive=self.inconclusive,
                incomparable=self.incomparable,
            )
            for rule, limit in limits.items()
            if limit is not None
        )
        if not found:
            raise ValueError(f"it has no limit: give one of {', '.join(Rule)}")
        if self.mode is not None and not any(gate.rule.is_relative_to_base for gate in found):
            raise ValueError("a mode is for limits that compare with the base, such as max_drop")
        if not all(math.isfinite(gate.threshold.value) for gate in found):
            raise ValueError("a limit must be a finite number")
        if any(gate.rule.is_relative_to_base and gate.threshold.value < 0 for gate in found):
            raise ValueError("a change's limit is never negative: max_drop: 0.01 allows 0.01 worse")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesConfig:
    """No slice of the test set may get worse by more than ``max_drop``, in any of ``metrics``.

    ``by`` holds columns of the predictions file, or columns with bins, or queries. A slice with
    fewer rows than ``min_rows`` is not judged. ``alpha`` is shared by all slices (Holm).
    """

    by: tuple[str | SliceBy, ...] = ()
    metrics: tuple[str, ...] = ()
    max_drop: Limit = 0.01
    min_rows: int = 100
    alpha: float = 0.05
    severity: Severity = Severity.BLOCK

    def gate(self, measure: str) -> Gate:
        """Return the gate that all slices share for a measure; ValueError for a wrong limit."""
        return Gate(
            metric=f"{measure} on slices",
            rule=Rule.MAX_DROP,
            threshold=_tolerance(self.max_drop),
            severity=self.severity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessConfig:
    """The widest gap between groups of ``column`` in that rate may be at most ``max``."""

    column: str
    metric: FairnessMetric
    max: float
    min_rows: int = 30
    mode: Mode = Mode.EVIDENCE
    severity: Severity = Severity.BLOCK

    def gate(self) -> Gate:
        """Return the gate."""
        return Gate(
            metric=f"{self.metric} of {self.column}",
            rule=Rule.MAX,
            threshold=Threshold(value=self.max),
            severity=self.severity,
            mode=self.mode,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetConfig:
    """What the model may cost: the bytes of ``path`` (as DVC records them), or a metric."""

    path: str | None = None
    max_bytes: int | str | None = None
    metric: str | None = None
    max: float | None = None
    max_increase: Limit | None = None
    severity: Severity = Severity.BLOCK

    def gates(self) -> tuple[Gate, ...]:
        """Return a gate for each limit; ValueError where what it says means nothing.

        A path's size is judged as the metric ``bytes`` of that file.
        """
        if (self.path is None) == (self.metric is None):
            raise ValueError("it takes either a path or a metric")
        if self.path is not None and self.max is not None:
            raise ValueError("what a path's bytes may be is max_bytes")
        if self.metric is not None and self.max_bytes is not None:
            raise ValueError("max_bytes is for a path; a metric has max")
        most = self.max if self.max_bytes is None else parse_bytes(self.max_bytes)
        found = []
        if most is not None:
            found.append(self._gate(Rule.MAX, Threshold(value=_finite(most))))
        if self.max_increase is not None:
            found.append(self._gate(Rule.MAX_INCREASE, _tolerance(self.max_increase)))
        if not found:
            limit = "max_bytes" if self.metric is None else "max"
            raise ValueError(f"it has no limit: give {limit} or max_increase")
        return tuple(found)

    def _gate(self, rule: Rule, threshold: Threshold) -> Gate:
        return Gate(
            metric=self.metric or f"{self.path}:{BYTES}",
            rule=rule,
            threshold=threshold,
            severity=self.severity,
            mode=Mode.POINT if rule.is_relative_to_base else None,
        )


BYTES = "bytes"
"""What the size of a file is called among its metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineConfig:
    """The head must beat a dummy that knows only the targets, by ``min_gain``, in ``metrics``."""

    metrics: tuple[str, ...] = ()
    min_gain: float = 0.0
    severity: Severity = Severity.BLOCK

    def gate(self, measure: str) -> Gate:
        """Return the gate of a measure."""
        return Gate(
            metric=f"{measure} against a dummy",
            rule=Rule.MIN_GAIN,
            threshold=Threshold(value=self.min_gain),
            severity=self.severity,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """What holds for a dataset: its rows, its columns, unique ids, and no id of the other files.

    ``disjoint_from`` are files (the training set's) that may share no ``id`` with this one.
    """

    path: str
    id: str | None = None
    min_rows: int | None = None
    max_rows: int | None = None
    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    only_these_columns: bool = False
    disjoint_from: tuple[str, ...] = ()
    severity: Severity = Severity.BLOCK

    def gate(self, check: str) -> Gate:
        """Return the gate of one check: no row may break it."""
        return Gate(
            metric=f"{self.path}: {check}",
            rule=Rule.MAX,
            threshold=Threshold(value=0.0),
            severity=self.severity,
        )


def parse_bytes(size: float | str) -> float:
    """Return a number of bytes: ``5000``, ``"5 MB"`` (5,000,000) or ``"5 MiB"`` (5,242,880)."""
    if not isinstance(size, str):
        return float(size)
    found = _SIZE.fullmatch(size.strip())
    if found is None:
        raise ValueError(f"{size!r} is no size such as 5 MB or 5 MiB")
    power = "kmgt".find(found["unit"].lower()) + 1 if found["unit"] else 0
    return float(found["number"]) * (1024.0 if found["binary"] else 1000.0) ** power


def split_address(listen: str) -> tuple[str, int]:
    """Return host and port of ``127.0.0.1:8080`` or ``[::1]:8080``; ValueError for others."""
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise ValueError(f"{listen!r} is no address such as 127.0.0.1:8080")
    return host, int(port)


_SIZE = re.compile(
    r"(?P<number>\d+(?:\.\d+)?) *(?:(?P<unit>[kmgt])(?P<binary>i)?)?(?:b|bytes)?", re.IGNORECASE
)


def _tolerance(limit: Limit) -> Threshold:
    threshold = parse_limit(limit)
    if _finite(threshold.value) < 0:
        raise ValueError("a change's limit is never negative: 0.01 allows 0.01 worse")
    return threshold


def _finite(limit: float) -> float:
    if not math.isfinite(limit):
        raise ValueError("a limit must be a finite number")
    return limit


class CommentMode(StrEnum):
    """What becomes of an earlier comment: it is updated, left alone, or hidden below a new one."""

    UPDATE = "update"
    NEW = "new"
    HIDE_AND_NEW = "hide-and-new"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentConfig:
    """``on_change_only`` posts nothing where nothing changed (an earlier comment is updated).

    ``pictures`` lets plots be stored on the forge to be seen in the comment, for ``keep_days``.
    ``check`` reports the verdict as a check run (or commit status) of this name too.
    """

    mode: CommentMode = CommentMode.UPDATE
    on_change_only: bool = False
    pictures: bool = False
    keep_days: int = 90
    check: str = "modelci"


class ForgeKind(StrEnum):
    """Which forge to talk to; ``auto`` asks the environment."""

    AUTO = "auto"
    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
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
    """``title`` heads the comment and tells two reports on one pull request apart.

    ``history`` is how many commits of the default branch the sparklines look back. ``plots`` lets
    the report hold DVC's plots. ``templates`` is a folder of Jinja templates that override parts
    of the comment and the page.
    """

    title: str = "Model report"
    max_bytes: int = 65_000
    history: int = 20
    plots: bool = True
    templates: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteConfig:
    """``artifacts`` (default: all) are versioned on merge and ``assign``ed to these stages.

    ``commit_results`` lets a merge commit the ``dvc.lock`` and metrics that its own run made.
    ``stages`` are those that a version passes one by one: each accepts only what the one before it
    holds. ``remote`` is the Git remote to promote on (default: the branch's). ``require_remote``
    refuses versions whose bytes cannot be looked for in a DVC remote. ``starts_workflows`` says
    that the token which pushes is an app's or a person's: GitHub starts nothing for a job's own.
    ``dispatch`` is the workflow's file, such as deploy.yml, that is started for each assignment.
    ``deploy`` deploys each assignment in the same run: to the target that takes its stage (true),
    or to the one named. ``sign_models`` signs the bytes of each new version (see ``signing``).
    """

    artifacts: tuple[str, ...] | None = None
    assign: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    commit_results: bool = True
    releases: bool = False
    remote: str | None = None
    require_remote: bool = False
    starts_workflows: bool = False
    dispatch: str | None = None
    deploy: bool | str = False
    sign_models: bool = False

    @property
    def deploys(self) -> bool:
        """Whether what is assigned is deployed in the same run."""
        return self.deploy not in _NO

    @property
    def deploy_target(self) -> str | None:
        """The target to deploy to; None: the one that takes the stage."""
        is_name = isinstance(self.deploy, str) and self.deploy not in {*_NO, "true"}
        return str(self.deploy) if is_name else None


_NO = (False, "", "false")  # a variable of the environment holds a text


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryConfig:
    """``sign`` signs our tags, or never does (default: as Git's ``tag.gpgSign`` says).

    ``require_signed`` refuses versions whose tags nobody signed who may. ``allowed_signers`` is the
    path of an SSH allowed-signers file, read on the default branch; ``signers`` says who may sign
    which artifact (or glob of artifacts): principals, addresses or fingerprints.

    ``holder`` says which of the versions assigned to a stage holds it: the ``newest`` assignment
    (as GTO has it, unless it is told otherwise), or ``semver``, the greatest version.
    """

    holder: Holder = Holder.NEWEST
    sign: bool | None = None
    require_signed: bool = False
    allowed_signers: str | None = None
    signers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class SigningMethod(StrEnum):
    """What a version's bytes are signed by."""

    KEY = "key"
    CERTIFICATE = "certificate"
    SIGSTORE = "sigstore"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedSignerConfig:
    """Somebody whose signatures count: by a key, by a certificate, or by an identity.

    ``public_key`` is the path of a key (PEM), ``certificates`` those of an authority, of which the
    signing certificate bears the name ``subject`` (default: any). ``identity`` is what ``issuer``
    vouches for to Sigstore; ``trust_config`` describes a private instance of it. The files are
    read, as this section is, on the default branch.
    """

    public_key: str | None = None
    certificates: tuple[str, ...] = ()
    subject: str | None = None
    identity: str | None = None
    issuer: str | None = None
    trust_config: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningConfig:
    """How a version's bytes are signed, and whose signatures count.

    By a ``private_key`` (a path, or MODELCI_SIGNING_KEY_PEM; MODELCI_SIGNING_PASSWORD opens it), by
    it and its ``certificate`` with the ``certificate_chain`` above that, or by the identity that
    the job has for Sigstore (``trust_config``: a private instance). ``trusted`` are those whose
    signatures count, by a name of your choice; ``signers`` says which of them may sign which
    artifact (or glob of artifacts).
    """

    method: SigningMethod = SigningMethod.KEY
    private_key: str | None = None
    certificate: str | None = None
    certificate_chain: tuple[str, ...] = ()
    trust_config: str | None = None
    trusted: Mapping[str, TrustedSignerConfig] = field(default_factory=dict)
    signers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseConfig:
    """What a version's release holds, where ``promote.releases`` wants one.

    ``max_bytes`` bounds its notes; forges take at least 125,000 characters.
    """

    max_bytes: int = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is to be known of an artifact to serve it.

    ``golden`` is the file that ``modelci golden`` wrote in the pipeline (default: beside the model,
    ``models/credit.golden.json`` for ``models/credit.skops``). ``flavour`` says how to load it
    where its format does not. ``max_latency_ms`` bounds the 99th percentile of single golden rows.
    """

    golden: str | None = None
    flavour: str | None = None
    max_latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyConfig:
    """Which models may be loaded. ``trusted_types`` vouches for types beyond those built in.

    ``allow_pickle`` names artifacts whose pickles may be loaded, through an allow-list of what
    honest models of scikit-learn hold. ``scan: false`` takes the gate off reports.
    """

    trusted_types: tuple[str, ...] = ()
    allow_pickle: tuple[str, ...] = ()
    scan: bool = True


class LogFormat(StrEnum):
    """What a closed file of the request log is."""

    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLogConfig:
    """Where ``modelci serve`` writes what it was asked and answered; ``path`` is a folder.

    ``sample`` is the share of requests; a file that reaches ``max_bytes`` is closed and the next
    begun, and of closed ones the newest ``keep`` stay. ``format`` is jsonl or parquet.
    """

    path: str | None = None
    sample: float = 1.0
    format: LogFormat = LogFormat.JSONL
    max_bytes: int | str = "64 MB"
    keep: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """How ``modelci serve`` listens, and what a request may cost.

    ``threads`` is what numerical libraries may use in each worker. ``drain_seconds`` is how long a
    server that is told to end still takes requests. ``onnx`` lets ONNX Runtime answer where it has
    been shown to answer the same. ``token_file`` holds bearer tokens, one a line.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    max_body: int | str = "10 MB"
    max_rows: int = 10_000
    timeout_seconds: float = 30.0
    drain_seconds: float = 0.5
    threads: int = 1
    onnx: bool = False
    token_file: str | None = None
    log: RequestLogConfig = field(default_factory=RequestLogConfig)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsConfig:
    """Where outcomes are: ``path`` (as ``monitor.current``), joined by ``join``.

    ``delay`` is how long they take to be complete, such as 30d: windows younger than that are not
    judged by them. ``target`` is their column (default: the evaluation's).
    """

    path: str
    join: str
    delay: str = "0d"
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftConfig:
    """A column drifts where its ``statistic`` reaches ``warn`` or ``fail``, and provably so.

    ``alpha`` is shared by all columns (``correction``).
    """

    statistic: DriftStatistic = DriftStatistic.PSI
    warn: float = 0.10
    fail: float = 0.25
    alpha: float = 0.01
    correction: Correction = Correction.HOLM


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDriftConfig:
    """What is different for one column; what is not given stays as it is."""

    statistic: DriftStatistic | None = None
    warn: float | None = None
    fail: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceConfig:
    """How much worse than the reference a measure may be, by evidence; or a bound on its value."""

    max_drop: Limit | None = None
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SkewConfig:
    """Whether logged answers are those of the tagged model, asked again for up to ``rows`` rows.

    A number may differ by ``tolerance`` (default: that of the golden requests, else 1e-6), and a
    share of ``max_share`` of the rows by more. ``rows: 0`` asks nothing.
    """

    rows: int = 200
    tolerance: float | None = None
    max_share: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainConfig:
    """What a retraining pull request changes.

    On its branch ``params`` are set (``train.until``, or ``FILE:NAME``), ``cmd`` is run, and what
    it wrote is committed, of which DVC is to ``add`` some. ``{window}`` in ``params`` and ``add``
    stands for the window's name; ``cmd`` finds that and the window's file in MODELCI_WINDOW and
    MODELCI_CURRENT. ``run`` lets the monitor's job run the pipeline too; else the pull request's
    own workflow does. ``branch`` is its branch, one per model (``{model}``); ``labels`` are the
    pull request's. ``auto_merge`` lets the forge merge it once all that it requires has passed.
    """

    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    cmd: str | None = None
    add: tuple[str, ...] = ()
    run: bool = False
    branch: str = "modelci/retrain-{model}"
    labels: tuple[str, ...] = ("modelci",)
    auto_merge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorConfig:
    """One deployed model that is watched.

    ``current`` is the data that it scored, a file, folder or fsspec URL; ``{window}`` in it stands
    for the window's name, such as 2026-03 (``window`` is its strftime form). With ``time``, a
    column, only the window's rows of it count. ``profile`` is the reference (default: beside the
    model). ``inconclusive`` says whether a gate that the data cannot decide fails (exit code 8).
    ``columns`` overrides ``drift`` by column, or says ``ignore``. ``performance`` names
    measures with their limits, and ``estimate: cbpe``. ``history`` is where past windows' results
    are kept: ``git`` (a ref of its own, on the remote), ``none``, or a folder.
    """

    model: str
    current: str
    stage: str | None = None
    window: str = "%Y-%m"
    time: str | None = None
    profile: str | None = None
    id: str | None = None
    score: str = "score"
    labels: LabelsConfig | None = None
    min_rows: int = 300
    inconclusive: WhenUnclear = WhenUnclear.WARN
    drift: DriftConfig = field(default_factory=DriftConfig)
    columns: Mapping[str, ColumnDriftConfig | str] = field(default_factory=dict)
    performance: Mapping[str, PerformanceConfig | str] = field(default_factory=dict)
    max_age_days: float | None = None
    skew: SkewConfig = field(default_factory=SkewConfig)
    triggers: tuple[Trigger, ...] = ()
    cooldown: str = "7d"
    retrain: RetrainConfig = field(default_factory=RetrainConfig)
    history: str = "git"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole of ``modelci.yaml``, after defaults, environment and flags."""

    default_branch: str | None = None
    metrics: Mapping[str, Direction] = field(default_factory=dict)
    gates: tuple[GateConfig, ...] = ()
    evaluation: tuple[Evaluation, ...] = ()
    slices: SlicesConfig = field(default_factory=SlicesConfig)
    fairness: tuple[FairnessConfig, ...] = ()
    budget: tuple[BudgetConfig, ...] = ()
    baseline: BaselineConfig = field(default_factory=BaselineConfig)
    data: tuple[DataConfig, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    run: RunConfig = field(default_factory=RunConfig)
    executor: ExecutorConfig = field(default_factory=ExecutorConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    comment: CommentConfig = field(default_factory=CommentConfig)
    promote: PromoteConfig = field(default_factory=PromoteConfig)
    registry: RegistryConfig = field(default_factory=RegistryConfig)
    signing: SigningConfig = field(default_factory=SigningConfig)
    release: ReleaseConfig = field(default_factory=ReleaseConfig)
    model_card: ModelCard = field(default_factory=ModelCard)
    models: Mapping[str, ModelConfig] = field(default_factory=dict)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    serve: ServeConfig = field(default_factory=ServeConfig)
    deploy: DeployConfig = field(default_factory=DeployConfig)
    monitor: tuple[MonitorConfig, ...] = ()
    forge: ForgeConfig = field(default_factory=ForgeConfig)

    def of_branch(self, branch: str | None) -> "Config":
        """Return the configuration with the gates that hold for a pull request from ``branch``."""
        gates = tuple(
            one
            for one in self.gates
            if not one.branches or any(fnmatchcase(branch or "", name) for name in one.branches)
        )
        return self if gates == self.gates else replace(self, gates=gates)

    def all_gates(self) -> tuple[Gate, ...]:
        """Return every gate, in the order written."""
        return tuple(gate for entry in self.gates for gate in entry.gates())
