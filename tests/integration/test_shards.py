"""A pipeline over CI jobs: clones that share nothing but the Git remote and the DVC remote."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from tests.e2e.world import Checkout
from tests.integration.dvcproject import Project, git

PIPELINE = """\
stages:
  prepare:
    cmd: mkdir parts; for i in a b c; do cat raw.txt > parts/$i; done
    deps: [raw.txt]
    params: [case]
    outs: [parts]
  fit:
    foreach: [a, b, c]
    do:
      cmd: test ${item} != ${bad}; cat parts/${item} > ${item}.bin; echo '{"n":1}' > ${item}.json
      deps: [parts]
      outs:
        - ${item}.bin
      metrics:
        - ${item}.json: {cache: false}
  pick:
    cmd: cat a.bin b.bin c.bin > best.bin
    deps: [a.bin, b.bin, c.bin]
    outs: [best.bin]
  stamp:
    cmd: echo now > stamp.txt
    outs: [{stamp.txt: {persist: true}}]
  side:
    cmd: cp stamp.txt side.txt
    deps: [stamp.txt]
    outs: [side.txt]
vars: [{bad: none}]
"""


class Pull:
    """A commit on the Git remote, and the jobs that work on it."""

    def __init__(self, folder: Path, pipeline: str = PIPELINE) -> None:
        self.folder = folder
        self.origin = folder / "origin.git"
        self.count = 0
        project = Project.create(folder / "author").write(
            dvc__yaml=pipeline, raw__txt="raw\n", params__yaml="case: upper\n"
        )
        project.add_remote(folder / "store")
        project.commit()
        git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(self.origin))
        git(project.root, "push", "--quiet", str(self.origin), "HEAD:refs/heads/main")

    def clone(self) -> Project:
        self.count += 1
        root = self.folder / f"job-{self.count}"
        git(self.folder, "clone", "--quiet", str(self.origin), str(root))
        return Project(root)

    def job(self, *command: str, code: int = 0) -> tuple[Project, str]:
        """Run a command in a clone of its own, with the parts of the jobs before it."""
        clone = self.clone()
        parts = self.folder / "parts"
        if parts.exists() and "--collect" in command:
            shutil.copytree(parts, clone.root / ".modelci" / "parts")
        done = Checkout(clone.root, {}).modelci(*command, code=code)
        if (clone.root / ".modelci" / "parts").exists() and "--shard" in command:
            shutil.copytree(clone.root / ".modelci" / "parts", parts, dirs_exist_ok=True)
        return clone, done.out

    def matrix(self, *options: str) -> list[list[dict[str, str]]]:
        waves = json.loads(self.job("plan", "--matrix", "github", *options)[1])
        return [wave["include"] for wave in waves]

    def reference(self) -> Project:
        clone = self.clone()
        clone.repro()
        return clone


def files(project: Project) -> dict[str, bytes]:
    return {path: data for path, data in project.tree().items() if ".modelci" not in path}


def statuses(text: str) -> dict[str, str]:
    return {stage["name"]: stage["status"] for stage in json.loads(text)["stages"]}


def test_the_jobs_together_do_what_one_machine_does(tmp_path: Path) -> None:
    pull = Pull(tmp_path)
    waves = pull.matrix("--shards", "2")
    assert [[job["stages"] for job in wave] for wave in waves] == [
        ["prepare", "stamp"],
        ["fit@a fit@c", "fit@b side"],
        ["pick"],
    ]
    for wave in waves:
        for job in reversed(wave):  # in whatever order
            pull.job("run", "--shard", job["shard"], "--wave", str(job["wave"]))
    collected, text = pull.job("run", "--collect", "--json")
    assert files(collected) == files(pull.reference())
    assert set(statuses(text).values()) == {"ran"}
    # Once it is all recorded, a run elsewhere restores what can be restored.
    _, text = pull.job("run", "--pull", "--json")
    assert {name for name, status in statuses(text).items() if status == "ran"} == {"stamp"}


SMALL = """\
stages:
  a: {cmd: cp raw.txt a.txt, deps: [raw.txt], outs: [a.txt]}
  b: {cmd: echo no; exit 4, deps: [raw.txt], outs: [b.txt]}
  c: {cmd: cp a.txt c.txt, deps: [a.txt], outs: [c.txt]}
  d: {cmd: cat a.txt b.txt > d.txt, deps: [a.txt, b.txt], outs: [d.txt]}
"""


def test_what_failed_elsewhere_fails_here_and_what_no_job_ran_is_run(tmp_path: Path) -> None:
    pull = Pull(tmp_path, SMALL)
    pull.job("run", "--shard", "1/2")
    pull.job("run", "--shard", "2/2", code=5)
    # The jobs of the second wave never came.
    _, text = pull.job("run", "--collect", "--json", code=5)
    assert statuses(text) == {"a": "ran", "b": "failed", "c": "ran", "d": "not_run"}
    (failed,) = (one for one in json.loads(text)["stages"] if one["name"] == "b")
    assert failed["exit_code"] == 4
    assert "no" in failed["log_tail"].splitlines()


def test_a_job_that_comes_before_its_time_says_so(tmp_path: Path) -> None:
    pull = Pull(tmp_path, SMALL)
    clone, _ = pull.job("run", "--shard", "1/1", "--wave", "2", code=5)
    part = json.loads((clone.root / ".modelci/parts/wave-2-1-of-1.json").read_text())
    assert {one["status"] for one in part["stages"]} == {"not_run"}
    assert part["error"].startswith("a: No other job has run it yet.")
    _, text = pull.job("run", "--shard", "3/3", "--json")
    assert statuses(text) == {}  # two stages are two jobs


def test_jobs_that_may_not_record_their_runs_cannot_share_them_out(tmp_path: Path) -> None:
    pull = Pull(tmp_path, SMALL)
    pull.job("run", "--shard", "1/1", "--no-run-cache", code=3)


def test_parts_of_another_commit_are_refused(tmp_path: Path) -> None:
    pull = Pull(tmp_path, SMALL)
    pull.job("run", "--shard", "1/2")
    git(pull.folder / "author", "commit", "--quiet", "--allow-empty", "--message", "next")
    git(pull.folder / "author", "push", "--quiet", str(pull.origin), "HEAD:refs/heads/main")
    pull.job("run", "--collect", code=3)


def test_gitlab_gets_a_pipeline_of_the_same_waves(tmp_path: Path) -> None:
    pipeline = yaml.safe_load(Pull(tmp_path, SMALL).job("plan", "--matrix", "gitlab")[1])
    assert pipeline["stages"] == ["wave-1", "wave-2", "collect"]
    assert [name for name in pipeline if name.startswith("wave 2")] == [
        "wave 2: 1 of 2",
        "wave 2: 2 of 2",
    ]


def test_a_lock_file_that_a_job_has_written_is_no_base_for_the_next_wave(tmp_path: Path) -> None:
    pull = Pull(tmp_path, SMALL.replace("echo no; exit 4", "cp raw.txt b.txt"))
    clone, _ = pull.job("run", "--shard", "1/1", "--wave", "1")
    again = subprocess.run(
        [sys.executable, "-m", "modelci", "run", "--shard", "1/1", "--wave", "2"],
        cwd=clone.root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 2
    assert "dvc.lock is not as the commit has it" in again.stderr


def test_a_wave_is_only_for_shards(tmp_path: Path) -> None:
    pull = Pull(tmp_path, SMALL)
    pull.job("run", "--wave", "1", code=2)
