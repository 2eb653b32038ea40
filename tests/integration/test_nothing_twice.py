"""What one job has made no other makes again; and what a job may believe of others."""

import hashlib
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.daskcluster import wait_until
from tests.integration.dvcproject import Heard, Project

from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.domain.pipeline import RunOptions, StageStatus

TRAIN = "stages: {train: {cmd: cp data.txt model.bin, deps: [data.txt], outs: [model.bin]}}\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "here").write(dvc__yaml=TRAIN, data__txt="honest\n")
    project.add_remote(tmp_path / "store")
    project.commit()
    return project


def elsewhere(project: Project, name: str = "there") -> Project:
    """A checkout of the same files on a machine that has nothing else."""
    root = project.root.parent / name
    shutil.copytree(project.root, root, ignore=shutil.ignore_patterns("cache", "tmp", "model.bin"))
    return Project(root)


def run(project: Project, options: RunOptions, remote: str | None = None) -> dict[str, StageStatus]:
    pipeline = DvcPipeline(project.root, environment=project.environment, remote=remote)
    runs = pipeline.run([], options, progress=Heard())
    if options.push:
        pipeline.push(progress=Heard(), record=options.record)
    return {run.name: run.status for run in runs}


def test_what_a_killed_run_has_finished_is_there_for_others(
    project: Project, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    project.write(
        dvc__yaml="stages:\n"
        "  a:\n    cmd: cp data.txt a.txt; echo '{}' > m.json\n    deps: [data.txt]\n"
        "    outs: [a.txt]\n    metrics: [{m.json: {cache: false}}]\n"
        f"  b:\n    cmd: echo . > {mark}; sleep 60; cp a.txt b.txt\n    deps: [a.txt]\n"
        "    outs: [b.txt]\n"
    )
    job = subprocess.Popen(
        [sys.executable, "-m", "modelci", "-q", "run", "--push"], cwd=project.root
    )
    wait_until(mark)
    job.send_signal(signal.SIGKILL)
    job.wait()
    project.remove("a.txt", "m.json", "dvc.lock")
    other = elsewhere(project)
    other.write(dvc__yaml=project.read("dvc.yaml").replace("sleep 60", "true"))
    assert run(other, RunOptions(pull=True)) == {
        "a": StageStatus.RESTORED,
        "b": StageStatus.RAN,
    }
    assert other.has("m.json")


def test_a_remote_of_their_own_keeps_jobs_apart(project: Project, tmp_path: Path) -> None:
    project.add_remote(tmp_path / "pulls", name="pulls")
    project.add_remote(tmp_path / "store")  # the default
    options = RunOptions(pull=True, push=True)
    assert run(project, options, "pulls") == {"train": StageStatus.RAN}
    assert (tmp_path / "pulls" / "runs").exists()
    assert not (tmp_path / "store").exists()
    project.remove("dvc.lock")
    assert run(elsewhere(project, "release"), options) == {"train": StageStatus.RAN}
    assert run(elsewhere(project, "pull"), options, "pulls") == {"train": StageStatus.RESTORED}


def test_a_job_that_only_reads_leaves_no_record(project: Project, tmp_path: Path) -> None:
    run(project, RunOptions(push=True, record=False))
    assert (tmp_path / "store" / "files").exists()
    assert not (tmp_path / "store" / "runs").exists()


def poison(store: Path) -> None:
    """Make the store say that another model came of the run that it knows."""
    (entry,) = (path for path in store.glob("runs/*/*/*") if path.is_file())
    fake = b"fake\n"
    value = hashlib.md5(fake, usedforsecurity=False).hexdigest()
    honest = hashlib.md5(b"honest\n", usedforsecurity=False).hexdigest()
    text, outs = entry.read_text().split("outs:")
    entry.write_text(text + "outs:" + outs.replace(honest, value).replace("size: 7", "size: 5"))
    target = store / "files" / "md5" / value[:2] / value[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(fake)


def test_a_release_ignores_a_poisoned_run_cache(project: Project, tmp_path: Path) -> None:
    assert run(project, RunOptions(push=True)) == {"train": StageStatus.RAN}
    project.remove("dvc.lock")
    poison(tmp_path / "store")
    believer = elsewhere(project, "believer")
    assert run(believer, RunOptions(pull=True)) == {"train": StageStatus.RESTORED}
    assert believer.read("model.bin") == "fake\n"
    release = elsewhere(project, "release")
    assert run(release, RunOptions(pull=True, run_cache=False)) == {"train": StageStatus.RAN}
    assert release.read("model.bin") == "honest\n"


def test_a_release_job_is_told_so_by_its_event(project: Project, tmp_path: Path) -> None:
    run(project, RunOptions(push=True))
    project.remove("dvc.lock")
    poison(tmp_path / "store")
    project.write(modelci__yaml="run: {pull: true, events: {push: {run_cache: off}}}\n")
    for event, expected in (("push", "honest\n"), ("schedule", "fake\n")):
        job = elsewhere(project, event)
        subprocess.run(
            [sys.executable, "-m", "modelci", "-q", "run"],
            cwd=job.root,
            check=True,
            env={**project.environment, "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": event},
        )
        assert job.read("model.bin") == expected
