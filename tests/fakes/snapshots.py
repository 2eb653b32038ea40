"""Reads a snapshot from two small JSON files, in place of DVC's own."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from modelci.domain.artifacts import Artifact
from modelci.domain.changes import DataKind, TrackedFile, ValueKey
from modelci.domain.metrics import MetricKey, MetricValue, metric_value
from modelci.domain.pipeline import PipelineStage
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError
from modelci.ports import FileTree

LOCK, METRICS, PARAMS, MODEL = "dvc.lock", "metrics.json", "params.json", "models/m.skops"


def lock(model: str | None = "one", *, stale: bool = False) -> bytes:
    """Return the text of a lock that says which bytes the model has."""
    return json.dumps({"model": model, "stale": stale}).encode()


def metrics(**values: float) -> bytes:
    return json.dumps(values).encode()


@dataclass(kw_only=True)
class FakeSnapshots:
    """``dvc.lock`` names the model's bytes, ``metrics.json`` and ``params.json`` hold numbers."""

    artifacts: tuple[Artifact, ...] = (Artifact(name="m", path=MODEL, type="model"),)
    pulls: list[bool] = field(default_factory=list)

    def read(self, tree: FileTree, *, pull: bool = False) -> Snapshot:
        self.pulls.append(pull)
        found = tree.read([LOCK, METRICS, PARAMS])
        locked = json.loads(found.get(LOCK, b"{}"))
        tracked = {
            METRICS: TrackedFile(path=METRICS, kind=DataKind.METRICS, hash=None, in_git=True)
        }
        if locked.get("model"):
            tracked[MODEL] = TrackedFile(path=MODEL, kind=DataKind.MODEL, hash=locked["model"])
        blob = tree.blob_id(LOCK)
        return Snapshot(
            stages=(PipelineStage(name="train", cmd=("python train.py",)),),
            metrics={
                MetricKey(path=METRICS, name=name): metric_value(value)
                for name, value in json.loads(found.get(METRICS, b"{}")).items()
            },
            params={
                ValueKey(path=PARAMS, name=name): value
                for name, value in json.loads(found.get(PARAMS, b"{}")).items()
            },
            tracked=tracked,
            artifacts=self.artifacts,
            stale={"train": ("train.py changed",)} if locked.get("stale") else {},
            locks={LOCK: blob} if blob else {},
        )

    def metrics(
        self, trees: Iterable[FileTree]
    ) -> Iterator[Mapping[MetricKey, MetricValue] | ConfigError]:
        for tree in trees:
            try:
                values = json.loads(tree.read([METRICS]).get(METRICS, b"{}"))
            except ValueError:
                yield ConfigError(f"{METRICS} cannot be read.")
            else:
                yield {
                    MetricKey(path=METRICS, name=name): metric_value(value)
                    for name, value in values.items()
                }
