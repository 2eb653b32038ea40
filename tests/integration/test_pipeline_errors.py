"""What is wrong with a repository is said in words that help."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from dvc.repo import Repo
from tests.integration.dvcproject import Heard, Project, git, locked, statuses

from modelci.adapters.dvc.commands import Halt, HaltedError, ProcessGroups, clean_tail
from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.adapters.dvc.running import log_path
from modelci.domain.pipeline import RunOptions, StageStatus
from modelci.errors import ConfigError, ModelCIError, PipelineError, UsageError

ONE = "stages: {one: {cmd: echo 1 > one.txt, outs: [one.txt]}}"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "project")


def error_of(project: Project, *targets: str) -> ModelCIError:
    """Return the error of a run; the plan's must be the same."""
    with pytest.raises(ModelCIError) as planned:
        project.plan(*targets)
    with pytest.raises(ModelCIError) as error:
        project.run(*targets)
    assert type(planned.value) is type(error.value)
    assert str(planned.value) == str(error.value)
    return error.value


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "no DVC stages"),
        ({"dvc.yaml": "stages:\n  a:\n    cmd: [\n"}, "dvc.yaml:4:1 cannot be read"),
        ({"dvc.yaml": "stages:\n  a:\n    cmd: x\n    outz: [b]\n"}, "dvc.yaml:"),
        ({"dvc.yaml": ONE, "dvc.lock": "schema: '2.0'\n<<<<<<< HEAD\n"}, "merge conflict"),
        ({"dvc.yaml": "stages: {a: {cmd: 'echo ${nope}'}}"}, "nope"),
        (
            {"dvc.yaml": "stages: {a: {cmd: 'echo ${a}'}}", "params.yaml": "a: [1\n"},
            "params.yaml:2:1 cannot be read",
        ),
        (
            {
                "dvc.yaml": "stages:\n"
                "  a: {cmd: x, deps: [b.txt], outs: [a.txt]}\n"
                "  b: {cmd: x, deps: [a.txt], outs: [b.txt]}\n"
            },
            "in a circle",
        ),
        (
            {"dvc.yaml": "stages: {a: {cmd: x, outs: [o]}, b: {cmd: y, outs: [o]}}"},
            "contradicts itself",
        ),
        (
            {"dvc.yaml": "stages: {a: {cmd: x, outs: [o]}, b: {cmd: y, outs: [o/p]}}"},
            "contradicts itself",
        ),
    ],
)
def test_a_broken_pipeline(project: Project, files: dict[str, str], message: str) -> None:
    for path, text in files.items():
        project.put(path, text)
    error = error_of(project)
    assert isinstance(error, ConfigError)
    assert message in str(error)


def test_an_unknown_target(project: Project) -> None:
    project.write(dvc__yaml="stages: {prepare: {cmd: x}, train: {cmd: y}}")
    error = error_of(project, "trian")
    assert isinstance(error, UsageError)
    assert str(error) == "There is no stage 'trian'."
    assert error.hint == "Did you mean train?"
    assert error_of(project, "zzz").hint == "The stages are prepare, train."
    assert isinstance(error_of(project, "sub/dvc.yaml:x"), UsageError)
    project.put("ml/dvc.yaml", "stages: {fit: {cmd: x}}")
    assert error_of(project, "fit").hint == "Did you mean ml/dvc.yaml:fit?"
    assert isinstance(error_of(project, "sub/none.dvc"), UsageError)


def test_no_dvc_and_no_git(tmp_path: Path) -> None:
    pipeline = DvcPipeline(tmp_path, environment={})
    with pytest.raises(ConfigError, match="no DVC repository") as error:
        pipeline.plan([], RunOptions())
    assert "dvc init" in str(error.value.hint)
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(ConfigError, match="Git"):
        pipeline.plan([], RunOptions())


def test_a_locked_repository_names_the_process(project: Project) -> None:
    project.put("dvc.yaml", ONE)
    with contextlib.chdir(project.root), Repo() as repo, repo.lock:
        error = error_of(project)
    assert isinstance(error, PipelineError)
    assert str(error) == f"The DVC repository is locked by process {os.getpid()}."


def test_push_without_a_remote(project: Project) -> None:
    project.put("dvc.yaml", ONE)
    with pytest.raises(PipelineError, match="No default DVC remote") as error:
        project.push()
    assert "dvc remote add" in str(error.value.hint)


def test_a_remote_that_cannot_be_written(project: Project, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    project.put("dvc.yaml", ONE)
    project.run()
    project.add_remote(tmp_path / "file" / "store")
    with pytest.raises(PipelineError, match=r"push to the DVC remote store \(.*/file/store\)"):
        project.push()


@pytest.mark.parametrize("url", ["ssh://u:secret@127.0.0.1:1/x", "nonsense://x"])
def test_a_remote_that_does_not_answer(project: Project, url: str) -> None:
    project.put("dvc.yaml", ONE)
    config = project.root / ".dvc" / "config"
    config.write_text(f"[core]\n    remote = far\n['remote \"far\"']\n    url = {url}\n")
    with pytest.raises(ModelCIError) as error:
        project.run(pull=True)
    assert "secret" not in str(error.value)


def test_a_remote_that_is_not_described(project: Project) -> None:
    project.put("dvc.yaml", ONE)
    (project.root / ".dvc" / "config").write_text("[core]\n    remote = gone\n")
    with pytest.raises(ConfigError, match="gone"):
        project.run(pull=True)


def test_what_is_neither_here_nor_in_the_remote_is_a_warning(
    project: Project, tmp_path: Path
) -> None:
    project.put("dvc.yaml", ONE)
    project.add_remote(tmp_path / "store")
    project.run()
    project.remove(".dvc/cache")
    project.push()
    (warning,) = project.heard.warnings
    assert "Missing cache files" in warning


def test_fetch_of_what_the_remote_lacks(project: Project, tmp_path: Path) -> None:
    project.put("dvc.yaml", ONE)
    project.run()
    project.commit()
    with pytest.raises(PipelineError, match="No default DVC remote"):
        project.pipeline.fetch([locked(project, "one.txt")])
    project.pipeline.fetch([])
    project.add_remote(tmp_path / "store")
    git(tmp_path, "clone", "--quiet", str(project.root), "clone")
    clone = Project(tmp_path / "clone")
    clone.add_remote(tmp_path / "store")
    clone.pipeline.fetch([locked(clone, "one.txt")])  # the cache will tell


def test_the_remote_is_named_once_it_answers(project: Project, tmp_path: Path) -> None:
    assert project.pipeline.check_remote() is None
    project.add_remote(tmp_path / "store")
    assert "store" in (project.pipeline.check_remote() or "")


def test_dvc_is_left_as_it_was(project: Project) -> None:
    import logging

    import dvc.stage.run

    before = dvc.stage.run.cmd_run, logging.getLogger("dvc").handlers, Path.cwd()
    project.put("dvc.yaml", ONE.replace("echo", "exit"))
    project.run()
    assert (dvc.stage.run.cmd_run, logging.getLogger("dvc").handlers, Path.cwd()) == before


# -- ending ------------------------------------------------------------------------------------

SCRIPT = """
import os, sys
from pathlib import Path
from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.cli.interrupts import ending_heard
from modelci.domain.pipeline import RunOptions
from tests.integration.dvcproject import Heard

heard = Heard()
pipeline = DvcPipeline(Path(sys.argv[1]), environment=dict(os.environ))
try:
    with ending_heard():
        pipeline.run([], RunOptions(keep_going=True, jobs=1), progress=heard)
except KeyboardInterrupt:
    for run, done, total in heard.ended:
        print(run.name, run.status, repr(run.log_tail))
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_whole_group(project: Project, number: int) -> None:
    project.write(
        dvc__yaml="""\
stages:
  quick: {cmd: echo 1 > quick.txt, outs: [quick.txt]}
  slow:
    cmd: (trap 'echo bye; exit' INT; echo $$ > pids; sleep 60 & echo $! >> pids; wait)
    deps: [quick.txt]
  never: {cmd: touch never.txt, deps: [quick.txt], outs: [never.txt]}
"""
    )
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(project.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    pids = project.root / "pids"
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2, 60)
    process.send_signal(number)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (130, "")
    quick, slow = out.splitlines()
    assert quick.startswith("quick ran")
    assert slow.startswith("slow interrupted")
    assert "bye\\ninterrupted" in slow
    assert not [pid for pid in pids.read_text().split() if is_alive(int(pid))]
    assert not project.has("never.txt")
    assert "quick:" in project.read("dvc.lock")
    # Nothing is locked, and what was done stays done.
    project.put("dvc.yaml", project.read("dvc.yaml").replace("sleep 60", "sleep 0"))
    assert statuses(project.run())["quick"] is StageStatus.UNCHANGED


def wait_for(is_there: object, seconds: float) -> None:
    assert callable(is_there)
    deadline = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_command_that_ignores_signals_is_killed(tmp_path: Path) -> None:
    said = bytearray()

    def hear(data: bytes) -> None:
        said.extend(data)
        if b"ready" in said and b"again" not in said:
            said.extend(b"again")
            raise KeyboardInterrupt

    command = "trap '' INT TERM; echo $$ > pid; echo ready; while :; do sleep 0.05; done"
    groups = ProcessGroups(hear, cwd=str(tmp_path), environment=dict(os.environ), graces=(0.1, 0.1))
    with groups, pytest.raises(KeyboardInterrupt):
        groups.run(["/bin/sh", "-c", command])
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_told_twice_to_end_no_grace_is_given(tmp_path: Path) -> None:
    """Were one given, the command would run for as long as the test may."""
    said, halt = bytearray(), Halt()

    def hear(data: bytes) -> None:
        said.extend(data)
        if said.count(b"\n") == 1 + halt.is_asked:
            halt.ask()

    command = "trap 'echo heard' INT; trap '' TERM; echo ready; while :; do sleep 0.05; done"
    groups = ProcessGroups(
        hear, cwd=str(tmp_path), environment=dict(os.environ), graces=(600.0, 600.0), halt=halt
    )
    with groups, pytest.raises(HaltedError):
        groups.run(["/bin/sh", "-c", command])
    assert said == b"ready\nheard\n"


def test_a_shell_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    groups = ProcessGroups(lambda _: None, cwd=str(tmp_path), environment={})
    with groups, pytest.raises(FileNotFoundError):
        groups.run(["/no/such/shell", "-c", "true"])


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        ("", ""),
        ("a\n\n\n", "a"),
        ("a\r\nb\r\n", "a\nb"),
        ("10%\r50%\r100%\n", "100%"),
        ("\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07", "red link"),
        ("nul\x00 del\x7f csi\x9b tab\t.", "nul del csi tab\t."),
        ("\n".join(map(str, range(100))), "\n".join(map(str, range(60, 100)))),
    ],
)
def test_tails(text: str, tail: str) -> None:
    assert clean_tail(text) == tail


def test_log_names() -> None:
    names = ["a/b:c", "a%2Fb:c", "../x", "train@hgb", "é" * 300, "é" * 301, "."]
    paths = [log_path(Path("logs"), name) for name in names]
    assert len(set(paths)) == len(names)
    assert {path.parent for path in paths} == {Path("logs")}
    assert all(len(path.name.encode()) < 255 for path in paths)
    assert paths[3].name == "train@hgb.log"
    assert isinstance(Heard().notes, list)
