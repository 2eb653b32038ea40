"""Deployed models that are watched, and what opens a retraining."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelci.domain.gates import (
    Limit,
    WhenUnclear,
)
from modelci.domain.monitoring import Correction, DriftStatistic
from modelci.domain.triggers import Trigger


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
