"""A deployed model with a Git remote and a DVC remote, and runners that watch it."""
# ruff: noqa: ARG002

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from tests.fakes.progress import RecordedProgress
from tests.integration.promoting import git

from modelci.adapters.dvc.bringing import FileBringer, NamedBringer
from modelci.adapters.dvc.locate import Locator
from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.adapters.git import GitRepository
from modelci.adapters.journal import GitJournal
from modelci.adapters.scanning import DatasetScanner
from modelci.analysis.outcomes import calibrate, realise
from modelci.analysis.profile import build
from modelci.config.model import Config, LabelsConfig, MonitorConfig, PerformanceConfig, SkewConfig
from modelci.documents import codec
from modelci.domain.evaluation import Evaluation
from modelci.domain.golden import Golden
from modelci.domain.modelfiles import Trust
from modelci.domain.profile import Profile
from modelci.errors import ModelCIError
from modelci.ports import Journal
from modelci.workflows.monitor import Act, Seen, Tools, do_nothing, watch
from modelci.workflows.watched import Sources, name_of

MODEL, PROFILE = "models/credit.skops", "models/credit.profile.json"
DVC_CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
PIPELINE = f"""\
stages:
  train:
    cmd: python train.py
    outs: [{MODEL}, {PROFILE}]
artifacts:
  credit:
    path: {MODEL}
    type: model
"""
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
SETTINGS = MonitorConfig(
    model="credit",
    stage="prod",
    current="scored/{window}.parquet",
    id="key",
    labels=LabelsConfig(path="outcomes/{window}.csv", join="key", delay="30d"),
    performance={"roc_auc": PerformanceConfig(max_drop=0.05), "estimate": "cbpe"},
    skew=SkewConfig(rows=50),
)
EVALUATION = Evaluation(predictions="predictions.parquet", target="defaulted", threshold=0.5)


@dataclass(kw_only=True)
class FakeModel:
    """An ``Asker`` whose model answers the logistic of x, off by ``skew``; or cannot."""

    skew: float = 0.0
    error: ModelCIError | None = None

    def ask(
        self,
        model: Path,
        rows: Sequence[Mapping[str, Any]],
        *,
        golden: Golden | None,
        trust: Trust,
        flavour: str | None,
    ) -> Sequence[Mapping[str, object]]:
        if self.error is not None:
            raise self.error
        assert model.read_bytes().startswith(b"model of v")
        return [{"score": float(logistic(row["x"])) + self.skew} for row in rows]


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x, dtype=np.float64)))


def applications(
    rows: int = 1_500, *, seed: int = 1, shift: float = 0.0, reverse: bool = False
) -> pd.DataFrame:
    """Make scored rows: the score is right, or (``reverse``) the very opposite of what happens."""
    random = np.random.default_rng(seed)
    x = random.normal(size=rows) + shift
    score = logistic(x)
    chance = 1 - score if reverse else score
    return pd.DataFrame(
        {
            "key": [f"{seed}-{row}" for row in range(rows)],
            "x": x,
            "kind": random.choice(["a", "b", "c"], size=rows),
            "defaulted": (random.random(rows) < chance).astype(int),
            "score": score,
        }
    )


def profile_of(frame: pd.DataFrame) -> Profile:
    inputs = pa.Table.from_pandas(frame[["key", "x", "kind"]], preserve_index=False)
    scores = pa.Table.from_pandas(frame[["score"]], preserve_index=False)
    answers = build(scores.to_batches(), score="score", threshold=0.5)
    score, target = frame["score"].to_numpy(), frame["defaulted"].to_numpy()
    return replace(
        build(inputs.to_batches(), id="key"),
        scores=answers.scores,
        threshold=0.5,
        chosen=answers.chosen,
        target_rate=float(target.mean()),
        calibration=calibrate(score, target),
        realised=realise(["roc_auc"], score, target, evaluation=EVALUATION),
    )


@dataclass(kw_only=True)
class Site:
    """``origin.git``, ``store`` (the DVC remote), ``work`` and runners, in ``folder``."""

    folder: Path
    model: FakeModel = field(default_factory=FakeModel)
    now: str = "2026-04-01T06:00:00Z"
    runners: int = 0
    versions: int = 0

    def __post_init__(self) -> None:
        git(self.folder, "init", "--quiet", "--bare", "origin.git")
        git(self.folder, "init", "--quiet", "work")
        git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        git(self.work, "remote", "add", "origin", self.bare.as_uri())
        (self.folder / "store").mkdir()
        (self.work / ".dvc").mkdir()
        (self.work / ".dvc/config").write_text(DVC_CONFIG)
        (self.work / ".gitignore").write_text("scored\noutcomes\n.modelci\n")

    @property
    def bare(self) -> Path:
        return self.folder / "origin.git"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def data(self) -> Path:
        """Where production data are: no runner has them in its checkout."""
        return self.folder / "production"

    def promote(self, profile: Profile | None, *, stage: str | None = "prod") -> str:
        """Register the next version, with its profile, and let it hold the stage."""
        self.versions += 1
        outs = {MODEL: f"model of v{self.versions}.0.0".encode()}
        if profile is not None:
            outs[PROFILE] = codec.encode(profile).encode()
        (self.work / "dvc.yaml").write_text(PIPELINE)
        lock = "\n".join(map(self._store, *zip(*outs.items(), strict=True)))
        (self.work / "dvc.lock").write_text(
            f"schema: '2.0'\nstages:\n  train:\n    cmd: python train.py\n    outs:\n{lock}\n"
        )
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "-m", f"Version {self.versions}")
        git(self.work, "push", "--quiet", "origin", "HEAD:main")
        date = f"{START + 60 * self.versions} +0000"
        names = [f"credit@v{self.versions}.0.0"]
        names += [f"credit#{stage}#{self.versions}"] if stage else []
        for name in names:
            git(self.work, "tag", "-a", "-m", name, name, GIT_COMMITTER_DATE=date)
            git(self.work, "push", "--quiet", "origin", f"refs/tags/{name}")
        return git(self.work, "rev-parse", "HEAD")

    def _store(self, path: str, data: bytes) -> str:
        name = md5(data, usedforsecurity=False).hexdigest()
        place = self.folder / "store" / "files" / "md5" / name[:2] / name[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        return f"    - path: {path}\n      hash: md5\n      md5: {name}\n      size: {len(data)}"

    def score(self, window: str, frame: pd.DataFrame) -> None:
        """Let a window's rows be scored; nobody knows yet what becomes of them."""
        (self.data / "scored").mkdir(parents=True, exist_ok=True)
        frame.drop(columns="defaulted").to_parquet(self.data / f"scored/{window}.parquet")

    def settle(self, window: str, frame: pd.DataFrame) -> None:
        """Let the outcomes of a window become known, in some order."""
        (self.data / "outcomes").mkdir(parents=True, exist_ok=True)
        shuffled = frame[["key", "defaulted"]].sample(frac=1, random_state=1)
        shuffled.to_csv(self.data / f"outcomes/{window}.csv", index=False)

    def clone(self) -> GitRepository:
        """Clone as actions/checkout does: one commit, no tags, and an empty DVC cache."""
        self.runners += 1
        target = self.folder / f"runner-{self.runners}"
        clone = ("clone", "--quiet", "--no-tags", "--depth=1", "--branch=main")
        git(self.folder, *clone, self.bare.as_uri(), str(target))
        for name in ("scored", "outcomes"):
            (target / name).symlink_to(self.data / name)
        return GitRepository(target)

    def tools(
        self,
        repository: GitRepository | None = None,
        *,
        act: Act = do_nothing,
        journal: Callable[[MonitorConfig], Journal | None] | None = None,
        progress: RecordedProgress | None = None,
    ) -> Tools:
        repository = repository or self.clone()
        root = repository.root
        folder = root / ".modelci"
        locator = Locator(root, fetch=DvcPipeline(root, environment={}).fetch)
        return Tools(
            sources=Sources(
                git=repository,
                reader=DvcSnapshotReader(root),
                bring=NamedBringer(FileBringer(locator, root, folder, pull=True), folder),
            ),
            rows=DatasetScanner(root),
            asker=self.model,
            journal=journal or (lambda one: GitJournal(repository, name_of(one), remote="origin")),
            config=Config(evaluation=(EVALUATION,)),
            progress=progress or RecordedProgress(),
            now=lambda: self.now,
            version="1.0.0",
            act=act,
        )

    def watch(
        self,
        settings: MonitorConfig = SETTINGS,
        window: str | None = None,
        *,
        current: str | None = None,
        **tools: Any,
    ) -> tuple[Seen, ...]:
        return tuple(watch(settings, self.tools(**tools), window=window, current=current))

    def remembered(self, name: str = "credit#prod") -> list[str]:
        """Return the subjects of the history's commits, the newest first."""
        ref = f"refs/modelci/monitor/{name}"
        return git(self.bare, "log", "--format=%s", ref, "--").splitlines()
