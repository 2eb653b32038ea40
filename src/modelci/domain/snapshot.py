"""Everything that DVC's files say of one revision."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelci.domain.artifacts import Artifact
from modelci.domain.changes import Scalar, TrackedFile, ValueKey
from modelci.domain.metrics import MetricKey, MetricValue
from modelci.domain.pipeline import PipelineStage

# Words of notes, which others know them by.
NOT_CACHED = "not in the local DVC cache"
NOT_COMPARED = "and metrics that can be compared are names and numbers in JSON, YAML or TOML"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The pipeline, numbers and tracked data of one revision, or of the work tree.

    ``texts`` are metrics that are no numbers. ``stale`` says per stage why its entry in
    ``dvc.lock`` does not belong to the files beside it. ``notes`` are things left out, and why.
    ``locks`` are the Git blob ids of the lock files, by path.
    """

    stages: tuple[PipelineStage, ...] = ()
    metrics: Mapping[MetricKey, MetricValue] = field(default_factory=dict)
    texts: Mapping[ValueKey, Scalar] = field(default_factory=dict)
    params: Mapping[ValueKey, Scalar] = field(default_factory=dict)
    tracked: Mapping[str, TrackedFile] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    stale: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    locks: Mapping[str, str] = field(default_factory=dict)
