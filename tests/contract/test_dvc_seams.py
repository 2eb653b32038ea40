"""What we rely on behind DVC's public names. A red test here means: DVC has moved it.

Nothing of ours but ``seams.py`` knows these names; correct it there.
"""

import contextlib
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dvc.repo
import dvc.repo.reproduce
import dvc.stage
import dvc.stage.cache
import dvc.stage.decorators
import dvc.stage.run
import pytest
from dvc.repo import Repo
from dvc.stage import Stage
from dvc.stage.exceptions import StageCmdFailedError
from tests.integration.dvcproject import Project

from modelci.adapters.dvc import seams

PIPELINE = """\
stages:
  one: {cmd: echo 1 > one.txt, outs: [one.txt]}
  two: {cmd: cp one.txt two.txt, deps: [one.txt], outs: [two.txt]}
"""


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repo]:
    project = Project.create(tmp_path / "project").write(dvc__yaml=PIPELINE)
    with contextlib.chdir(project.root), Repo() as opened:
        yield opened


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (dvc.stage.run.cmd_run, ["stage", "dry", "run_env"]),
        (dvc.stage.run.run_stage, ["stage", "dry", "force", "run_env", "kwargs"]),
        (dvc.stage.run._make_cmd, ["executable", "cmd"]),
        (dvc.stage.run._enforce_cmd_list, ["cmd"]),
        (dvc.stage.Stage.reproduce, ["self", "interactive", "kwargs"]),
        (dvc.stage.Stage.changed, ["self", "allow_missing", "upstream"]),
        (dvc.stage.Stage.dump, ["self", "kwargs"]),
        (dvc.stage.cache._can_hash, ["stage"]),
        (dvc.stage.cache.StageCache._load, ["self", "stage"]),
        (dvc.stage.cache.StageCache._create_stage, ["self", "cache", "wdir"]),
        (dvc.stage.cache.StageCache.push, ["self", "remote", "odb"]),
        (dvc.repo.lock_repo, ["repo"]),
        (dvc.repo.reproduce.collect_stages, ["repo", "targets", "recursive", "glob"]),
        (dvc.repo.reproduce.get_active_graph, ["graph"]),
        (dvc.repo.reproduce.plan_repro, ["graph", "stages", "pipeline", "downstream"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures(function: Callable[..., object], parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


def test_dvc_itself_runs_commands_through_the_seam(repo: Repo) -> None:
    seen = []

    def run(stage: Stage) -> None:
        assert not repo.lock.is_locked, "DVC lets go of the repository while a command runs"
        seen.append(stage.addressing)
        Path(f"{stage.name}.txt").write_text("by us", encoding="utf-8")

    with seams.commands_run_by(run):
        repo.reproduce()
    assert seen == ["one", "two"]
    assert Path("two.txt").read_text(encoding="utf-8") == "by us"


def test_the_seam_is_closed_again() -> None:
    original = dvc.stage.run.cmd_run
    with seams.commands_run_by(print):
        assert dvc.stage.run.cmd_run is not original
    assert dvc.stage.run.cmd_run is original
    with contextlib.suppress(ZeroDivisionError), seams.commands_run_by(print):
        raise ZeroDivisionError
    assert dvc.stage.run.cmd_run is original


def test_a_failed_command_is_dvcs_own_error() -> None:
    error = seams.command_failed("false", 3)
    assert isinstance(error, StageCmdFailedError)
    assert str(error) == "failed to run: false, exited with 3"


def test_shell_commands(repo: Repo) -> None:
    (stage, _), _ = seams.collect(repo, ["dvc.yaml"])
    stage.cmd = "echo 1\necho 2"
    assert seams.shell_commands(stage, "/bin/bash") == [
        ("echo 1", ["/bin/bash", "--noprofile", "--norc", "-c", "echo 1"]),
        ("echo 2", ["/bin/bash", "--noprofile", "--norc", "-c", "echo 2"]),
    ]
    stage.cmd = ["echo 1"]
    assert seams.shell_commands(stage, None) == [("echo 1", ["/bin/sh", "-c", "echo 1"])]


def test_the_environment_is_what_dvc_would_hand_on(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stage, _), _ = seams.collect(repo, ["dvc.yaml"])
    monkeypatch.setenv("SOME", "thing")
    theirs = dvc.stage.run.prepare_kwargs(stage)
    assert seams.stage_environment(stage, dict(os.environ)) == theirs["env"]
    assert theirs.keys() == {"cwd", "env", "close_fds", "shell"}
    assert seams.stage_environment(stage, {"DVC_ROOT": "/given"})["DVC_ROOT"] == "/given"


def test_collecting_is_what_reproduce_does(repo: Repo) -> None:
    stages, graph = seams.collect(repo, ["two"])
    assert [stage.addressing for stage in stages] == ["one", "two"]
    assert [stage.addressing for stage in graph.successors(stages[1])] == ["one"]
    everything, _ = seams.collect(repo, [])
    assert everything == stages


def test_a_recorded_run_is_found_by_what_is_there_now(repo: Repo) -> None:
    repo.reproduce()
    Path("two.txt").unlink()
    with seams.locked(repo):
        (_, two), _ = seams.collect(repo, ["dvc.yaml"])
        found = seams.recorded_run(two)
        assert found is not None
        assert [out.def_path for out in found.outs] == ["two.txt"]
        Path("one.txt").unlink()
        Path("one.txt").write_text("else", encoding="utf-8")
        (_, two), _ = seams.collect(repo, ["dvc.yaml"])
        assert seams.recorded_run(two) is None
