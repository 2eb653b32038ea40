"""A project with a Git remote, a DVC remote and tags, and runners that deploy from it."""

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

from tests.fakes.progress import RecordedProgress
from tests.integration.promoting import git

from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.adapters.dvc.stored import DvcBytes
from modelci.adapters.git import GitRepository
from modelci.adapters.targets.directory import DirectoryTarget
from modelci.adapters.targets.settings import TargetSettings
from modelci.config.model import Config, TargetConfig
from modelci.documents import codec
from modelci.domain.deploying import Limits, Manner
from modelci.domain.deployment import Deployment, Release, Running, TargetState
from modelci.domain.golden import Environment, Golden, Health
from modelci.domain.modelfiles import FileFormat, FileScan, Trust
from modelci.domain.orders import parse_wanted
from modelci.workflows.deploy import deploy
from modelci.workflows.deploy_plan import Job, Request, Tools

START = 1_700_000_000
MODEL, GOLDEN = "models/credit.skops", "models/credit.golden.json"
MADE_IN = Environment(python="3.11.4", packages={"scikit-learn": "1.5.2"}, needs=("scikit-learn",))
CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
LOCK = """\
schema: '2.0'
stages:
  train:
    cmd: python train.py
    outs:
    - path: {golden}
      hash: md5
      md5: {golden_hash}
      size: {golden_size}
    - path: {model}
      hash: md5
      md5: {model_hash}
      size: {model_size}
"""
PIPELINE = f"""\
stages:
  train:
    cmd: python train.py
    outs: [{GOLDEN}, {MODEL}]
artifacts:
  credit:
    path: {MODEL}
    type: model
"""


def hash_of(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()


class Probe:
    """Stands in for the process that loads a model; ``health`` by the model's content."""

    def __init__(self) -> None:
        self.ill: set[str] = set()
        self.checks = 0
        self.dies_at: int | None = None
        self.has = MADE_IN

    def check(self, folder: Path, *, python: Path | None, latency_ms: float | None) -> Health:  # noqa: ARG002
        self.checks += 1
        content = (folder / "model/credit.skops").read_text()
        is_ill = content in self.ill or self.checks == self.dies_at
        problems = (f"row 1: score of {content} is 0.1, not 0.9",) if is_ill else ()
        return Health(ok=not is_ill, problems=problems, rows=20)

    def environment(self, python: Path | None) -> Environment:  # noqa: ARG002
        return self.has


@dataclass(kw_only=True)
class Site:
    """``origin.git``, ``store`` (the DVC remote), ``work`` and clones, in ``folder``."""

    folder: Path
    probe: Probe = field(default_factory=Probe)
    config: Config = field(default_factory=Config)
    tags: int = 0
    clones: int = 0

    @classmethod
    def create(cls, folder: Path) -> "Site":
        site = cls(folder=folder)
        git(folder, "init", "--quiet", "--bare", "origin.git")
        git(folder, "init", "--quiet", "work")
        git(site.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        git(site.work, "remote", "add", "origin", site.bare.as_uri())
        (folder / "store").mkdir()
        return site

    @property
    def bare(self) -> Path:
        return self.folder / "origin.git"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    # -- the registry ------------------------------------------------------------------------------

    def merge(self, content: str) -> str:
        """Commit a model's hash, push the bytes to the store and the commit to main."""
        model = content.encode()
        golden = codec.encode(make_golden(model)).encode()
        files = {
            ".dvc/config": CONFIG,
            "dvc.yaml": PIPELINE,
            "dvc.lock": LOCK.format(
                golden=GOLDEN,
                golden_hash=hash_of(golden),
                golden_size=len(golden),
                model=MODEL,
                model_hash=hash_of(model),
                model_size=len(model),
            ),
        }
        for path, text in files.items():
            place = self.work / path
            place.parent.mkdir(exist_ok=True)
            place.write_text(text)
        for data in (model, golden):
            place = self.stored(data)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--allow-empty", "-m", content)
        git(self.work, "push", "--quiet", "origin", "HEAD:main")
        return git(self.work, "rev-parse", "HEAD")

    def stored(self, data: bytes | str) -> Path:
        """Return where the DVC remote keeps these bytes."""
        name = hash_of(data.encode() if isinstance(data, str) else data)
        return self.folder / "store" / "files" / "md5" / name[:2] / name[2:]

    def tag(self, name: str, commit: str, said: Mapping[str, str] | None = None) -> str:
        self.tags += 1
        lines = "\n".join(f"{key}: {value}" for key, value in (said or {}).items())
        date = f"{START + 10 * self.tags} +0000"
        message = f"Subject\n\n{lines}\n" if lines else "Subject\n"
        git(self.work, "tag", "-a", "-m", message, name, commit, GIT_COMMITTER_DATE=date)
        git(self.work, "push", "--quiet", "origin", f"refs/tags/{name}")
        return name

    def promote(self, content: str, *, stage: str = "prod") -> str:
        """Register a new version and assign the stage to it; return the assignment."""
        commit = self.merge(content)
        said = {
            "Modelci-Hash": f"md5:{hash_of(content.encode())}",
            "Modelci-Sha256": sha256(content.encode()).hexdigest(),
        }
        self.tag(f"credit@v{self.tags + 1}.0.0", commit, said)
        return self.tag(f"credit#{stage}#{self.tags + 1}", commit)

    # -- runners -----------------------------------------------------------------------------------

    def clone(self) -> GitRepository:
        """Clone as actions/checkout does: one commit, no tags, and an empty DVC cache."""
        self.clones += 1
        target = self.folder / f"clone-{self.clones}"
        clone = ("clone", "--quiet", "--no-tags", "--depth=1", "--branch=main")
        git(self.folder, *clone, self.bare.as_uri(), str(target))
        return GitRepository(target)

    def target(self) -> "Spied":
        settings = TargetSettings(
            name="prod",
            config=TargetConfig(path=str(self.folder / "srv"), stages=("prod",)),
            root=self.work,
            progress=RecordedProgress(),
        )
        return Spied(DirectoryTarget(settings, probe=self.probe))

    def job(
        self,
        wanted: str = "credit#prod",
        *,
        repository: GitRepository | None = None,
        allowed: str | None = None,
        **tools: Any,
    ) -> Job:
        repository = repository or self.clone()
        root = repository.root
        values: dict[str, Any] = {
            "git": repository,
            "reader": DvcSnapshotReader(root),
            "source": DvcBytes(root),
            "target": self.target(),
            "scan": scan,
            "folder": root / ".modelci",
            "progress": RecordedProgress(),
            "now": lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "clock": time.monotonic,
            "pause": time.sleep,
            **tools,
        }
        return Job(
            request=Request(
                wanted=parse_wanted(wanted),
                manner=Manner(limits=Limits(watch_seconds=0)),
                allowed=allowed,
                by="anna",
            ),
            tools=Tools(**values),
            config=self.config,
            settings=TargetConfig(path=str(self.folder / "srv"), stages=("prod",)),
        )

    def deploy(self, wanted: str = "credit#prod", **given: Any) -> Deployment:
        return deploy(self.job(wanted, **given))

    @property
    def runs(self) -> str | None:
        """What a reader of the target's folder finds."""
        model = self.folder / "srv/credit/current/model/credit.skops"
        return model.read_text() if model.exists() else None

    @property
    def state(self) -> TargetState:
        return self.target().read("credit")


def go_on(call: str, /) -> None:
    """Let the target do it."""


class Spied:
    """A target that tells ``before`` each call which one it is."""

    kind = "directory"

    def __init__(self, target: DirectoryTarget) -> None:
        self._target = target
        self.name = target.name
        self.before = go_on

    def lock(self) -> AbstractContextManager[None]:
        return self._target.lock()

    def artifacts(self) -> tuple[str, ...]:
        return self._target.artifacts()

    def read(self, artifact: str) -> TargetState:
        return self._target.read(artifact)

    def release(self, artifact: str, release_id: str) -> Release | None:
        return self._target.release(artifact, release_id)

    def environment(self) -> Environment | None:
        self.before("environment")
        return self._target.environment()

    def stage(self, release: Release, folder: Path, *, python: Path | None) -> None:
        self.before("stage")
        self._target.stage(release, folder, python=python)

    def check(self, release: Release, *, latency_ms: float | None) -> Health:
        self.before("check")
        return self._target.check(release, latency_ms=latency_ms)

    def switch(self, running: Running) -> None:
        self.before("switch")
        self._target.switch(running)

    def try_out(self, release: Release, *, share: float, shadow: bool) -> None:
        self._target.try_out(release, share=share, shadow=shadow)

    def observe(self, release: Release, *, seconds: float) -> None:
        self._target.observe(release, seconds=seconds)

    def prune(self, artifact: str, *, keep: int) -> tuple[str, ...]:
        self.before("prune")
        return self._target.prune(artifact, keep=keep)


def make_golden(model: bytes) -> Golden:
    return Golden(
        model=MODEL,
        sha256=sha256(model).hexdigest(),
        flavour="sklearn",
        inputs=(),
        outputs=(),
        requests=(),
        responses=(),
        environment=MADE_IN,
    )


def scan(path: Path, trust: Trust, flavour: str | None) -> tuple[FileScan, ...]:
    data = path.read_bytes()
    return (
        FileScan(
            path=str(path),
            format=FileFormat.SKOPS,
            sha256=sha256(data).hexdigest(),
            bytes=len(data),
        ),
    )
