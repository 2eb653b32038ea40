"""A small DVC repository in a folder, run by us or by DVC itself."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from dvc.exceptions import DvcException
from dvc.repo import Repo

from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.adapters.progress import SilentProgress
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.pipeline import Plan, RunOptions, StageRun, StageStatus
from modelci.formats import parse_yaml
from modelci.ports import Advance

_DEFAULTS = RunOptions()


class Heard:
    """A ``Progress`` that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.started: list[tuple[str, tuple[str, ...], int, int]] = []
        self.output = ""
        self.ended: list[tuple[StageRun, int, int]] = []

    def busy(
        self, text: str, total: float | None = None, unit: str = ""
    ) -> contextlib.AbstractContextManager[Advance]:
        return SilentProgress().busy(text, total, unit)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def stage_started(self, name: str, reasons: Sequence[str], done: int, total: int) -> None:
        self.started.append((name, tuple(reasons), done, total))

    def stage_output(self, name: str, text: str) -> None:  # noqa: ARG002
        self.output += text

    def stage_ended(self, run: StageRun, done: int, total: int) -> None:
        self.ended.append((run, done, total))


class Project:
    """A Git and DVC repository; ``heard`` is what the last run told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.heard = Heard()
        self.environment = dict(os.environ)

    @classmethod
    def create(cls, root: Path) -> Self:
        root.mkdir()
        git(root, "init", "--quiet")
        with contextlib.chdir(root):
            Repo.init().close()
        return cls(root)

    def write(self, **files: str) -> Self:
        """Write files; ``__`` in a name stands for a dot, ``___`` for a slash."""
        for name, text in files.items():
            self.put(name.replace("___", "/").replace("__", "."), text)
        return self

    def put(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def has(self, path: str) -> bool:
        return (self.root / path).exists()

    def remove(self, *paths: str) -> None:
        for path in paths:
            target = self.root / path
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink()

    def commit(self) -> None:
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", "state")

    def add(self, path: str) -> None:
        with contextlib.chdir(self.root), Repo() as repo:
            repo.add(path)

    def add_remote(self, url: Path | str, *, name: str = "store") -> None:
        with contextlib.chdir(self.root), Repo() as repo, repo.config.edit() as config:
            config["remote"][name] = {"url": str(url)}
            config["core"]["remote"] = name

    @property
    def pipeline(self) -> DvcPipeline:
        return DvcPipeline(self.root, environment=self.environment)

    def plan(self, *targets: str, options: RunOptions = _DEFAULTS) -> Plan:
        return self.pipeline.plan(targets, options)

    def states(self, *targets: str) -> dict[str, str]:
        return {stage.name: stage.state.value for stage in self.plan(*targets).stages}

    def run(
        self,
        *targets: str,
        pull: bool = False,
        force: bool = False,
        keep_going: bool = False,
        jobs: int = 1,
        downstream: bool = False,
        single_item: bool = False,
        run_cache: bool = True,
    ) -> dict[str, StageRun]:
        self.heard = Heard()
        options = RunOptions(
            jobs=jobs,
            pull=pull,
            force=force,
            keep_going=keep_going,
            downstream=downstream,
            single_item=single_item,
            run_cache=run_cache,
        )
        runs = self.pipeline.run(targets, options, progress=self.heard)
        ended = {run.name: run for run, _, _ in self.heard.ended}
        assert ended == {run.name: run for run in runs}
        assert jobs > 1 or list(ended) == [run.name for run in runs]
        return ended if jobs == 1 else {run.name: run for run in runs}

    def push(self) -> int:
        self.heard = Heard()
        return self.pipeline.push(progress=self.heard)

    def repro(self, *targets: str, **options: object) -> bool:
        """Let DVC itself run the pipeline; say whether it succeeded."""
        with contextlib.chdir(self.root), Repo() as repo:
            try:
                # DVC means the folder's own dvc.yaml where no target is named, we mean every one.
                files = sorted(
                    (str(path.relative_to(self.root)) for path in self.root.rglob("dvc.yaml")),
                    key=lambda path: (path.count("/"), path),
                )
                repo.reproduce(list(targets) or files or None, **options)
            except DvcException:
                return False
        return True

    def tree(self) -> dict[str, bytes]:
        """Every file of the work tree, apart from the insides of Git and DVC."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.relative_to(self.root).parts[0] not in {".git", ".dvc"}
        }

    def copy(self, root: Path) -> "Project":
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)


def statuses(runs: dict[str, StageRun]) -> dict[str, StageStatus]:
    return {name: run.status for name, run in runs.items()}


def locked(project: Project, path: str) -> TrackedFile:
    """Return an output as the project's dvc.lock has it."""
    stages = parse_yaml(project.read("dvc.lock").encode(), "dvc.lock")["stages"].values()
    (found,) = (out for stage in stages for out in stage["outs"] if out["path"] == path)
    return TrackedFile(path=path, kind=DataKind.DATA, hash=found["md5"])


def git(root: Path, *args: str) -> None:
    subprocess.run(["git", *args], cwd=root, check=True, capture_output=True)
