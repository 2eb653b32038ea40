"""A real remote and real clones for promotions; only DVC is played (see ``fakes.snapshots``)."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock, metrics

from modelci.adapters.git import GitRepository
from modelci.config.model import PromoteConfig
from modelci.domain.artifacts import Artifact
from modelci.domain.gates import Gate, Rule, Threshold, judge_all
from modelci.domain.metrics import diff_metrics
from modelci.domain.promotion import Promotion, Rules
from modelci.domain.registry import ArtifactState, fold_registry
from modelci.domain.report import Report, Revision
from modelci.domain.tags import Query
from modelci.errors import ModelCIError
from modelci.ports import Git
from modelci.workflows.assign import Wanted, assign
from modelci.workflows.promote import promote
from modelci.workflows.revisions import last_promoted

GATES = (Gate(metric="auc", rule=Rule.MIN, threshold=Threshold(value=0.5)),)
ARTIFACT = Artifact(name="m", path="models/m.skops", type="model")
START = 1_700_000_000


def git(where: Path, *arguments: str, stdin: bytes = b"", **env: str) -> str:
    done = subprocess.run(
        ["git", *arguments],
        cwd=where,
        input=stdin,
        capture_output=True,
        check=True,
        env={**os.environ, **env},
    )
    return done.stdout.decode().strip()


@dataclass(kw_only=True)
class Site:
    """A bare repository in ``folder``, and a work tree that merges into it."""

    folder: Path
    artifacts: tuple[Artifact, ...] = (ARTIFACT,)
    clones: int = 0
    merges: int = 0
    reports: dict[str, Report] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bare.exists():
            return
        git(self.folder, "init", "--quiet", "--bare", str(self.bare))
        git(self.bare, "config", "http.receivepack", "true")
        git(self.bare, "config", "uploadpack.allowAnySHA1InWant", "true")
        git(self.folder, "init", "--quiet", str(self.work))
        git(self.work, "remote", "add", "origin", str(self.bare))

    @property
    def bare(self) -> Path:
        return self.folder / "origin.git"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def merge(self, model: str = "one", *, message: str = "Merge") -> str:
        self.merges += 1
        date = f"{START + 100 * self.merges} +0000"
        (self.work / "dvc.lock").write_bytes(lock(model))
        (self.work / "metrics.json").write_bytes(metrics(auc=0.8))
        (self.work / "README").write_text(str(self.merges))
        git(self.work, "add", "--all")
        git(
            self.work,
            "commit",
            "--quiet",
            "-m",
            message,
            GIT_AUTHOR_DATE=date,
            GIT_COMMITTER_DATE=date,
        )
        git(self.work, "push", "--quiet", "origin", "HEAD:main")
        return git(self.work, "rev-parse", "HEAD")

    def clone(
        self,
        url: str | None = None,
        *,
        depth: int | None = 1,
        at: str | None = None,
        name: str = "Test Author",
        ssh: str | None = None,
    ) -> GitRepository:
        """Clone as a job of its own would, tagless, with ``name`` for its tagger."""
        self.clones += 1
        target = self.folder / f"clone-{self.clones}"
        limit = [f"--depth={depth}"] if depth else []
        options = ["-c", f"core.sshCommand={ssh}"] if ssh else []
        source = url or f"file://{self.bare}"
        clone = ("clone", "--quiet", "--no-tags", *limit, "--branch=main", source, str(target))
        git(self.folder, *options, *clone)
        git(target, "config", "user.name", name)
        git(target, "config", "http.proxy", "")
        if ssh:
            git(target, "config", "core.sshCommand", ssh)
        if at:
            git(target, "fetch", "--quiet", "--no-tags", *limit, "origin", at)
            git(target, "checkout", "--quiet", "--detach", at)
        return GitRepository(target)

    def report(self, repository: Git) -> Report:
        """Judge the commit checked out, as ``modelci report`` does."""
        head = repository.resolve("HEAD")
        snapshot = self.reader.read(repository.tree(head.sha))
        deltas = diff_metrics({}, snapshot.metrics)
        names = [one.name for one in self.artifacts]
        last = last_promoted(fold_registry(repository.tags(names, remote="origin")), head)
        return Report(
            base=Revision(sha=last.commit, name=last.tag, chosen="", tag=last.tag)
            if last
            else None,
            head=Revision(sha=head.sha, name="main", chosen="HEAD"),
            head_sha=head.sha,
            created="2025-01-01T00:00:00Z",
            version="1.0",
            metrics=deltas,
            gates=judge_all(GATES, deltas),
            locks=dict(snapshot.locks),
        )

    @property
    def reader(self) -> FakeSnapshots:
        return FakeSnapshots(artifacts=self.artifacts)

    def promote(self, repository: Git, report: Report | None = None, **given: object) -> Promotion:
        values: dict[str, Any] = {
            "settings": PromoteConfig(assign=("prod",)),
            "progress": RecordedProgress(),
            "default_branch": "main",
            "pause": lambda _: None,
        }
        report = report or self.report(repository)
        return promote(git=repository, reader=self.reader, report=report, **{**values, **given})

    def assign(
        self, repository: Git, query: str, *stages: str, seconds: int = START, **given: object
    ) -> Promotion:
        parsed = Query.parse(query)
        assert parsed is not None
        values: dict[str, Any] = {
            "settings": PromoteConfig(),
            "rules": Rules(),
            "progress": RecordedProgress(),
            "pause": lambda _: None,
        }
        wanted = Wanted(query=parsed, stages=stages, seconds=seconds)
        return assign(wanted, git=repository, **{**values, **given})

    @property
    def tags(self) -> Mapping[str, str]:
        """The remote's tags and their commits."""
        form = "--format=%(refname:short) %(*objectname)"
        lines = git(self.bare, "for-each-ref", form, "refs/tags").splitlines()
        return dict(line.split(" ") for line in lines)

    @property
    def state(self) -> ArtifactState:
        return fold_registry(GitRepository(self.work).tags(["m"], remote="origin"))[0]

    def hook(self, name: str, script: str) -> None:
        path = self.bare / "hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def unhook(self, name: str) -> None:
        (self.bare / "hooks" / name).unlink()


Act = Callable[[], Promotion]


def outcome(act: Act) -> Promotion | ModelCIError:
    """Return what came of it: a promotion, or why there is none."""
    try:
        return act()
    except ModelCIError as error:
        return error
