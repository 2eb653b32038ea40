"""How a metric went, from commit to commit or from version to version."""

from dataclasses import dataclass

from modelci.domain.metrics import Direction, MetricKey, MetricValue


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryPoint:
    """A metric's value at a commit; ``name`` is its version or short sha, ``seconds`` its time."""

    sha: str
    name: str
    seconds: int
    value: MetricValue | None
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricHistory:
    """One metric's values, the oldest first."""

    key: MetricKey
    direction: Direction
    points: tuple[HistoryPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Metrics over the last commits of a branch, or over versions; ``of`` says which."""

    of: str
    metrics: tuple[MetricHistory, ...] = ()
    notes: tuple[str, ...] = ()
