"""Several stages at a time: together where they may, apart where they must, and nothing lost."""

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.integration.dvcproject import Project, statuses

from modelci.domain.pipeline import RunOptions, StageStatus
from modelci.errors import ConfigError

RAN, FAILED, NOT_RUN = StageStatus.RAN, StageStatus.FAILED, StageStatus.NOT_RUN

# Each waits until the other is there: neither could end if they ran one after the other.
MEETING = """\
stages:
  a: {cmd: 'touch a.txt; while [ ! -e b.txt ]; do sleep 0.01; done', outs: [a.txt]}
  b: {cmd: 'touch b.txt; while [ ! -e a.txt ]; do sleep 0.01; done', outs: [b.txt]}
"""
# Fails if another that takes the same is at work.
ALONE = "mkdir busy && sleep 0.1 && rmdir busy && echo ${item} > o${item}"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.create(tmp_path / "project")


def alone(meta: str) -> str:
    return (
        "stages:\n  s:\n    foreach: [1, 2, 3, 4]\n    do:\n"
        f"      cmd: {ALONE}\n      outs: ['o${{item}}']\n      meta: {{modelci: {meta}}}\n"
    )


def test_stages_run_together(project: Project) -> None:
    project.write(dvc__yaml=MEETING)
    runs = project.run(jobs=2)
    assert statuses(runs) == {"a": RAN, "b": RAN}
    a, b = runs.values()
    assert a.start_seconds is not None
    assert b.start_seconds is not None
    assert a.seconds is not None
    assert b.start_seconds < a.start_seconds + a.seconds


@pytest.mark.parametrize("meta", ["{exclusive: db}", "{cpus: 4}", "{cpus: 99}", "{gpu: 1}"])
def test_what_is_needed_alone_runs_alone(project: Project, meta: str) -> None:
    project.write(dvc__yaml=alone(meta))
    options = RunOptions(jobs=4, gpus=1)
    runs = project.pipeline.run([], options, progress=project.heard)
    assert {run.status for run in runs} == {RAN}


def test_what_needs_less_runs_together(project: Project) -> None:
    project.write(dvc__yaml=alone("{cpus: 0.5}"))
    assert FAILED in statuses(project.run(jobs=2, keep_going=True)).values()


def test_a_stage_that_takes_too_long_is_ended_with_all_it_started(project: Project) -> None:
    project.write(
        dvc__yaml="""\
stages:
  slow:
    cmd: sleep 60 & echo $! > pid; echo begun; wait
    meta: {modelci: {timeout: 1s}}
  other: {cmd: echo 1 > other.txt, outs: [other.txt]}
"""
    )
    runs = project.run(jobs=2, keep_going=True)
    assert statuses(runs) == {"slow": FAILED, "other": RAN}
    assert runs["slow"].log_tail.endswith("begun\ntimed out after 1 s")
    assert runs["slow"].seconds is not None
    assert runs["slow"].seconds < 20
    state = Path(f"/proc/{project.read('pid').strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_stage_is_tried_again(project: Project) -> None:
    project.write(
        dvc__yaml="""\
stages:
  flaky:
    cmd: echo try >> tries; test $(wc -l < tries) = 3 && echo 1 > out.txt
    outs: [out.txt]
    meta: {modelci: {retries: 2}}
"""
    )
    run = project.run()["flaky"]
    assert (run.status, run.attempts, run.exit_code) == (RAN, 3, 0)
    log = (project.root / ".dvc/tmp/modelci/logs/flaky.log").read_text()
    assert log.count("> echo try") == 3
    assert "trying again, 1 of 2" in project.heard.notes[0]
    project.write(dvc__yaml=project.read("dvc.yaml").replace("= 3", "= 9"))
    again = project.run()["flaky"]
    assert (again.status, again.attempts) == (FAILED, 3)


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ("{env: [HOME, NO_SUCH_VARIABLE]}", "needs the environment variable NO_SUCH_VARIABLE."),
        ("{memory: 900TB}", "needs 900,000 GB of memory, and there are"),
        ("{gpu: 99}", "s needs 99 GPUs, and there are"),
    ],
)
def test_what_cannot_be_had_is_a_failure(project: Project, meta: str, reason: str) -> None:
    project.write(dvc__yaml=f"stages: {{s: {{cmd: touch s, meta: {{modelci: {meta}}}}}}}")
    run = project.run()["s"]
    assert run.status is FAILED
    assert reason in run.log_tail
    assert not project.has("s")


@pytest.mark.parametrize(
    ("meta", "message", "hint"),
    [
        ("{cpu: 2}", "has no key 'cpu'.", "Did you mean cpus?"),
        ("{cpus: two}", "meta.modelci.cpus: a number above 0 is wanted, not 'two'.", None),
        ("{memory: lots}", "meta.modelci.memory: memory is a number of bytes", None),
        ("{timeout: 2x}", "meta.modelci.timeout: a time is a number of seconds", None),
        ("{retries: -1}", "meta.modelci.retries: a whole number is wanted, not -1.", None),
        ("{exclusive: }", "meta.modelci.exclusive: a name is wanted, not None.", None),
        ("{env: A}", "meta.modelci.env: a list of names", None),
        ("3", "must be a mapping.", "For example {cpus: 2, timeout: 2h}."),
    ],
)
def test_needs_that_cannot_be_read(
    project: Project, meta: str, message: str, hint: str | None
) -> None:
    project.put("sub/dvc.yaml", f"stages: {{train: {{cmd: x, meta: {{modelci: {meta}}}}}}}")
    with pytest.raises(ConfigError) as error:
        project.run()
    assert str(error.value).startswith("sub/dvc.yaml: stage sub/dvc.yaml:train: meta.modelci")
    assert message in str(error.value)
    assert error.value.hint == hint


def test_what_others_keep_in_meta_is_theirs(project: Project) -> None:
    project.write(dvc__yaml="stages: {s: {cmd: echo, meta: {owner: me}}}")
    assert project.run()["s"].status is RAN
    project.write(dvc__yaml="stages: {s: {cmd: echo, meta: just text}}")
    assert project.run()["s"].status is RAN


def test_what_runs_while_another_fails_is_kept(project: Project) -> None:
    project.write(
        dvc__yaml="""\
stages:
  bad: {cmd: 'while [ ! -e begun ]; do sleep 0.01; done; exit 3', outs: [bad.txt]}
  good: {cmd: touch begun; sleep 0.3; echo 1 > good.txt, outs: [good.txt]}
  later: {cmd: cp good.txt later.txt, deps: [good.txt], outs: [later.txt]}
"""
    )
    runs = project.run(jobs=2)
    assert statuses(runs) == {"bad": FAILED, "good": RAN, "later": NOT_RUN}
    assert runs["later"].reasons == ("the run stopped: bad failed",)
    assert "good:" in project.read("dvc.lock")


def test_a_stage_may_call_dvc_while_others_run(project: Project) -> None:
    project.write(
        dvc__yaml="""\
stages:
  first: {cmd: echo 1 > one.txt, outs: [one.txt]}
  asks: {cmd: dvc status --json one.txt > asked.json, deps: [one.txt], outs: [asked.json]}
  sleeps:
    foreach: [1, 2, 3]
    do: {cmd: "sleep 0.3; echo ${item} > s${item}", outs: ["s${item}"]}
"""
    )
    project.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    runs = project.run(jobs=3)
    assert set(statuses(runs).values()) == {RAN}, runs["asks"].log_tail


def test_what_a_stage_took_is_measured(project: Project) -> None:
    command = "import time; x = bytes([1]) * 400_000_000; time.sleep(0.5); sum(range(5_000_000))"
    project.write(
        dvc__yaml=f"stages: {{big: {{cmd: '{sys.executable} -c \"{command}\"', meta: {{}}}}}}"
    )
    run = project.run()["big"]
    assert run.status is RAN
    assert run.cpu_seconds is not None
    assert 0.02 < run.cpu_seconds < 60
    assert run.peak_bytes is not None
    assert 400e6 < run.peak_bytes < 900e6


def test_a_plan_refuses_needs_that_cannot_be_read(project: Project) -> None:
    project.write(dvc__yaml="stages: {s: {cmd: echo 1, meta: {modelci: {cpus: x}}}}")
    with pytest.raises(ConfigError, match="cpus"):
        project.plan()


# -- ending --------------------------------------------------------------------------------------

SCRIPT = """
import os, sys
from pathlib import Path
from modelci.adapters.dvc.pipeline import DvcPipeline
from modelci.domain.pipeline import RunOptions
from tests.integration.dvcproject import Heard

class Loud(Heard):
    def stage_ended(self, run, done, total):
        print(run.name, run.status, flush=True)

pipeline = DvcPipeline(Path(sys.argv[1]), environment=dict(os.environ))
try:
    pipeline.run([], RunOptions(jobs=3), progress=Loud())
except KeyboardInterrupt:
    sys.exit(130)
"""


def start(project: Project) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(project.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("seed", range(4))
def test_no_finished_stage_is_lost_whenever_we_are_killed(project: Project, seed: int) -> None:
    """``kill -9``: what had ended is unchanged in the next run, and nothing is in the way."""
    chance = random.Random(seed)
    stages = [
        f"  s{n}: {{cmd: sleep 0.0{n % 4}; echo {n} > o{n}, always_changed: false, "
        f"deps: [seed.txt], outs: [o{n}: {{persist: true}}]}}\n"
        for n in range(40)
    ]
    project.write(dvc__yaml="stages:\n" + "".join(stages), seed__txt="1")
    process = start(project)
    assert process.stdout is not None
    ended = [process.stdout.readline() for _ in range(chance.randint(1, 20))]
    time.sleep(chance.random() / 10)
    process.kill()
    ended += process.communicate()[0].splitlines()
    names = {line.split()[0] for line in ended}
    assert all(line.split()[1] == "ran" for line in ended)
    states = project.states()
    reasons = {one.name: one.reasons for one in project.plan().stages if one.name in names}
    assert {states[name] for name in names} == {"unchanged"}, reasons
    runs = project.run(jobs=3)
    assert not [run.log_tail for run in runs.values() if run.status is FAILED]
    assert {runs[name].status for name in names} == {StageStatus.UNCHANGED}
    assert {one.state.value for one in project.plan().stages} == {"unchanged"}, [
        one for one in project.plan().stages if one.state.value != "unchanged"
    ]
    ignored = project.read(".gitignore").split()
    assert sorted(ignored) == sorted(f"/o{n}" for n in range(40))
    assert not [name for name in project.tree() if "dvc.lock." in name]


def test_interrupted_twice_it_leaves_no_group_that_ignores_it(project: Project) -> None:
    """That the second one waits for no grace is ``test_told_twice_to_end_no_grace_is_given``."""
    stages = [
        f"  s{n}: {{cmd: \"trap 'echo > heard{n}' INT; trap '' TERM; echo $$ > p{n}; "
        'while :; do sleep 0.05; done"}\n'
        for n in range(3)
    ]
    project.write(dvc__yaml="stages:\n" + "".join(stages))
    process = start(project)
    files = [project.root / f"p{n}" for n in range(3)]
    wait_for(files)
    process.send_signal(signal.SIGINT)
    wait_for([project.root / f"heard{n}" for n in range(3)])
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, err) == (130, "")
    assert [line.split()[1] for line in out.splitlines()] == ["interrupted"] * 3
    for file in files:
        state = Path(f"/proc/{file.read_text().strip()}/stat")
        assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def wait_for(files: Sequence[Path]) -> None:
    deadline = time.monotonic() + 60
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.02)
