"""One stage in a clone of its own: what it needs comes, what it writes goes, nothing else does."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from dvc.repo import Repo
from tests.integration.dvcproject import Project

from modelci.adapters.clones import LocalSource
from modelci.adapters.dvc import records
from modelci.adapters.dvc.worker import Site, run_task
from modelci.domain.elsewhere import Source, StageOutcome, StageTask
from modelci.formats import parse_yaml

PIPELINE = """\
stages:
  prepare:
    cmd: tr a-z A-Z < raw.txt > data.txt; mkdir -p parts; echo 1 > parts/a; echo 2 > parts/b
    deps: [raw.txt]
    params: [case]
    outs: [data.txt, parts]
  train:
    cmd: cat data.txt parts/* > model.bin; echo '{"score":1}' > metrics.json
    deps: [data.txt, parts]
    outs: [model.bin]
    metrics: [{metrics.json: {cache: false}}]
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "driver").write(
        dvc__yaml=PIPELINE, raw__txt="raw\n", params__yaml="case: upper\n"
    )
    project.add_remote(tmp_path / "remote")
    project.commit()
    return project


@pytest.fixture
def source(project: Project) -> Iterator[Source]:
    with LocalSource(project.root, url=None, subdir=".", environment=os.environ) as local:
        yield local.bundled()


class Worker:
    def __init__(self, folder: Path, source: Source) -> None:
        self.folder = folder
        self.source = source
        self.said = b""

    def run(self, task: StageTask) -> StageOutcome:
        site = Site(name="w", folder=self.folder, environment=os.environ, output=self.hear)
        return run_task(task, self.source, site)

    def hear(self, data: bytes) -> None:
        self.said += data

    @property
    def work(self) -> Path:
        return self.folder / self.source.family / "0" / "work"


@pytest.fixture
def worker(tmp_path: Path, source: Source) -> Worker:
    return Worker(tmp_path / "worker", source)


def task(project: Project, name: str, settings: Mapping[str, object] | None = None) -> StageTask:
    with contextlib.chdir(project.root), Repo() as repo, repo.lock:
        (stage,) = repo.stage.collect(name)
        stage.save_deps()
        entry = records.inputs_of(stage)
        return StageTask(stage=name, entry=entry, settings=settings or {})


def locked(project: Project, name: str) -> object:
    return parse_yaml(project.read("dvc.lock").encode(), "dvc.lock")["stages"][name]


def test_a_chain_runs_with_nothing_but_the_remote_between(
    project: Project, worker: Worker, tmp_path: Path
) -> None:
    first = worker.run(task(project, "prepare"))
    assert first.problem is None
    assert b"> tr a-z A-Z" in worker.said
    reference = project.copy(tmp_path / "reference")
    assert reference.repro()
    assert first.entry == locked(reference, "prepare")
    other = Worker(tmp_path / "other", worker.source)
    second = other.run(task(reference, "train"))
    assert second.entry == locked(reference, "train")
    assert not (other.work / "raw-of-no-interest").exists()
    # What both pushed is all that a third needs to restore everything.
    project.run(pull=True)
    assert {run.status.value for run, _, _ in project.heard.ended} == {"restored"}
    assert project.tree() == reference.tree()


def test_a_failure_is_told_with_its_exit_code(project: Project, worker: Worker) -> None:
    project.write(dvc__yaml="stages: {a: {cmd: [echo one, exit 3], deps: [raw.txt], outs: [x]}}\n")
    with LocalSource(project.root, url=None, subdir=".", environment=os.environ) as local:
        worker.source = local.bundled()
    outcome = worker.run(task(project, "a"))
    assert (outcome.exit_code, outcome.command, outcome.entry) == (3, "exit 3", None)
    assert worker.said.decode().splitlines() == ["> echo one", "one", "> exit 3"]


def test_what_nobody_has_is_asked_for(project: Project, worker: Worker) -> None:
    project.write(raw__txt="changed since\n", params__yaml="case: lower\n")
    wanted = task(project, "prepare")
    outcome = worker.run(wanted)
    assert outcome.lacking is not None
    assert set(outcome.lacking.files) == {"raw.txt", "params.yaml"}
    with contextlib.chdir(project.root), Repo() as repo, repo.lock:
        (stage,) = repo.stage.collect("prepare")
        sent = {path: records.send_file(stage, path) for path in outcome.lacking.files}
    outcome = worker.run(replace(wanted, files=sent))
    assert outcome.problem is None
    assert (worker.work / "data.txt").read_text() == "CHANGED SINCE\n"


def test_a_remote_out_of_reach_is_a_problem(project: Project, worker: Worker) -> None:
    settings = {"remote": {"store": {"url": "/proc/nowhere"}}}
    outcome = worker.run(task(project, "prepare", settings=settings))
    assert outcome.entry is None
    assert "Could not push the stage's outputs to the DVC remote store" in (outcome.problem or "")


def test_a_worker_asks_for_a_commit_that_it_cannot_fetch(worker: Worker, project: Project) -> None:
    worker.source = replace(worker.source, bundle=None)
    outcome = worker.run(task(project, "prepare"))
    assert outcome.lacking is not None
    assert outcome.lacking.source == "the commit is not on the Git remote"


def test_clones_are_used_again_but_never_shared(worker: Worker, project: Project) -> None:
    import fcntl

    worker.run(task(project, "prepare"))
    worker.run(task(project, "prepare"))
    assert [path.name for path in worker.work.parents[1].iterdir()] == ["0"]
    with (worker.work.parent / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert worker.run(task(project, "prepare")).problem is None
    assert sorted(path.name for path in worker.work.parents[1].iterdir()) == ["0", "1"]
