"""What ``modelci.yaml`` may say, as frozen values. ``config/keys.toml`` says what each means."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from modelci.config.model.deploying import (
    DeployConfig,
    EnvironmentMode,
    ImageTargetConfig,
    KServeTargetConfig,
    ServerTargetConfig,
    StrategyConfig,
    SwitchKind,
    TargetConfig,
    TargetKind,
)
from modelci.config.model.judging import (
    BYTES,
    BaselineConfig,
    BudgetConfig,
    DataConfig,
    FairnessConfig,
    GateConfig,
    SlicesConfig,
)
from modelci.config.model.monitoring import (
    ColumnDriftConfig,
    DriftConfig,
    LabelsConfig,
    MonitorConfig,
    PerformanceConfig,
    RetrainConfig,
    SkewConfig,
)
from modelci.config.model.promoting import (
    PromoteConfig,
    RegistryConfig,
    ReleaseConfig,
    SigningConfig,
    SigningMethod,
    TrustedSignerConfig,
)
from modelci.config.model.reporting import (
    CommentConfig,
    CommentMode,
    ForgeConfig,
    ForgeKind,
    ReportConfig,
)
from modelci.config.model.running import (
    FORK,
    EventRunConfig,
    ExecutorConfig,
    ExecutorKind,
    RunCache,
    RunConfig,
)
from modelci.config.model.serving import (
    LogFormat,
    ModelConfig,
    RequestLogConfig,
    SafetyConfig,
    ServeConfig,
)
from modelci.config.model.values import parse_bytes, split_address
from modelci.domain.evaluation import Evaluation
from modelci.domain.gates import Gate, Waiver
from modelci.domain.metrics import Direction
from modelci.domain.notes import ModelCard

__all__ = [
    "BYTES",
    "FORK",
    "BaselineConfig",
    "BudgetConfig",
    "ColumnDriftConfig",
    "CommentConfig",
    "CommentMode",
    "Config",
    "DataConfig",
    "DeployConfig",
    "DriftConfig",
    "EnvironmentMode",
    "EventRunConfig",
    "ExecutorConfig",
    "ExecutorKind",
    "FairnessConfig",
    "ForgeConfig",
    "ForgeKind",
    "GateConfig",
    "ImageTargetConfig",
    "KServeTargetConfig",
    "LabelsConfig",
    "LogFormat",
    "ModelConfig",
    "MonitorConfig",
    "PerformanceConfig",
    "PromoteConfig",
    "RegistryConfig",
    "ReleaseConfig",
    "ReportConfig",
    "RequestLogConfig",
    "RetrainConfig",
    "RunCache",
    "RunConfig",
    "SafetyConfig",
    "ServeConfig",
    "ServerTargetConfig",
    "SigningConfig",
    "SigningMethod",
    "SkewConfig",
    "SlicesConfig",
    "StrategyConfig",
    "SwitchKind",
    "TargetConfig",
    "TargetKind",
    "TrustedSignerConfig",
    "parse_bytes",
    "split_address",
]


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
