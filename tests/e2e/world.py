"""A project as its users have it: a bare remote, a DVC store, a laptop, runners like GitHub's.

Everything lies in one folder: ``origin.git``, ``store`` and the checkouts beside each other.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from tests.fakes.github_events import workflow_run
from tests.fakes.github_server import REPOSITORY, TOKEN

from modelci.cli import main

if TYPE_CHECKING:
    from tests.fakes.github_server import FakeGitHub

PIPELINE = """\
stages:
  prepare:
    cmd: sort rows.csv > data.csv
    deps: [rows.csv]
    outs: [data.csv]
  train:
    cmd: sh train.sh
    deps: [data.csv, train.sh]
    params: [quality]
    outs: [model.txt]
  evaluate:
    cmd: sh evaluate.sh
    deps: [data.csv, evaluate.sh, model.txt]
    params: [noise]
    metrics:
      - metrics.json:
          cache: false
artifacts:
  credit:
    path: model.txt
    type: model
"""
TRAIN = "sed -n 's/quality: //p' params.yaml > model.txt\n"
EVALUATE = """\
noise=$(sed -n 's/noise: //p' params.yaml)
printf '{"roc_auc": %s, "brier": %s}\\n' "$(cat model.txt)" "$noise" > metrics.json
"""
SETTINGS = """\
gates:
  - metric: roc_auc
    min: 0.70
    max_drop: 0.005
  - metric: brier
    max_drop: 1%
    severity: warn
run: {pull: true, push: true}
promote:
  assign: [staging]
"""
FORK = "somebody/credit"
FILES = {
    ".gitignore": ".venv\n",
    "dvc.yaml": PIPELINE,
    "evaluate.sh": EVALUATE,
    "modelci.yaml": SETTINGS,
    "params.yaml": "quality: 0.80\nnoise: 0.100\n",
    "rows.csv": "3\n1\n2\n",
    "train.sh": TRAIN,
}
BETTER = {"params.yaml": "quality: 0.85\nnoise: 0.100\n"}
WORSE = {"params.yaml": "quality: 0.75\nnoise: 0.100\n"}
NOISY = {"params.yaml": "quality: 0.81\nnoise: 0.200\n"}
BROKEN = {"evaluate.sh": "echo no such column >&2\nexit 3\n"}

_SECONDS = 240  # whatever else the machine does


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """What GitHub tells a job: the event's payload and variables."""

    event: Mapping[str, Any]
    variables: Mapping[str, str]


@dataclass(frozen=True)
class Checkout:
    """A clone to work in; GitHub's variables, where it is a runner's."""

    folder: Path
    variables: Mapping[str, str]

    def modelci(self, *arguments: str, code: int = 0, **variables: str | None) -> Result:
        """Run modelci within this process: a third of a second quicker, and DVC stays loaded."""
        runner = CliRunner(env={**self.variables, **variables})
        with chdir(self.folder):
            done = runner.invoke(main, arguments, prog_name="modelci")
        ours = Result(code=done.exit_code, out=done.stdout, err=done.stderr)
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise AssertionError(f"{ours.out}\n{ours.err}") from done.exception
        return checked(ours, code)

    def command(self, *arguments: str, code: int = 0, **variables: str | None) -> Result:
        """Run the real ``modelci`` command in a process of its own."""
        return checked(self.run("modelci", *arguments, **variables), code)

    def run(self, *command: str, **variables: str | None) -> Result:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment(variables),
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
        return Result(code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())

    def environment(self, variables: Mapping[str, str | None]) -> dict[str, str]:
        merged = {**os.environ, **self.variables, **variables}
        return {name: value for name, value in merged.items() if value is not None}

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def put(self, files: Mapping[str, str | bytes]) -> None:
        for path, text in files.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(text if isinstance(text, bytes) else text.encode())

    def commit(self, files: Mapping[str, str | bytes] | None = None) -> str:
        self.put(files or {})
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "work")
        return self.git("rev-parse", "HEAD")

    def read(self, path: str) -> str:
        return (self.folder / path).read_text(encoding="utf-8")

    def document(self, name: str) -> Any:
        return json.loads(self.read(f".modelci/{name}.json"))

    def tags(self) -> list[str]:
        return self.git("tag", "--list").split()

    # -- what GitHub's runner keeps for a step ----------------------------------------------------

    @property
    def summary(self) -> str:
        return Path(self.variables["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")

    @property
    def outputs(self) -> dict[str, str]:
        return read_outputs(Path(self.variables["GITHUB_OUTPUT"]))


def checked(result: Result, code: int) -> Result:
    """Hold what all commands promise: the exit code, and words instead of a traceback."""
    said = f"exit code {result.code}\n{result.out}\n{result.err}"
    assert result.code == code, said
    assert "Traceback" not in result.err, said
    assert "this is a bug" not in result.err, said
    return result


def read_outputs(path: Path) -> dict[str, str]:
    """Read ``GITHUB_OUTPUT`` as the runner does."""
    found = {}
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        name, _, mark = line.partition("<<")
        value = []
        for part in lines:
            if part == mark:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found


class World:
    """The remote, the store and all checkouts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.remote = root / "origin.git"
        self.laptop = Checkout(root / "laptop", {})
        self.github: FakeGitHub | None = None

    @classmethod
    def create(cls, root: Path) -> "World":
        """Make a project whose pipeline was run, pushed and tagged nothing yet."""
        world = cls(root)
        laptop = world.laptop
        laptop.folder.mkdir(parents=True)
        (root / "store").mkdir()
        laptop.git("init", "--quiet")
        laptop.git("init", "--quiet", "--bare", str(world.remote))
        laptop.git("remote", "add", "origin", world.remote.as_uri())
        laptop.put(FILES)
        add_dvc(laptop, remote="../../store")
        laptop.modelci("run")
        laptop.commit()
        laptop.git("push", "--quiet", "--set-upstream", "origin", "main")
        laptop.git("remote", "set-head", "origin", "main")
        return world

    def copy(self, root: Path) -> "World":
        shutil.copytree(self.root, root, symlinks=True)
        world = World(root)
        world.laptop.git("remote", "set-url", "origin", world.remote.as_uri())
        return world

    def bare(self, *arguments: str) -> str:
        return Checkout(self.remote, {}).git(*arguments)

    def clone(self, name: str, *options: str) -> Checkout:
        """Clone as a person does."""
        self.laptop.git("clone", "--quiet", *options, self.remote.as_uri(), str(self.root / name))
        return Checkout(self.root / name, {})

    def propose(self, files: Mapping[str, str]) -> str:
        """Open pull request 7: push its branch and GitHub's test merge; return its head."""
        laptop = self.laptop
        laptop.git("switch", "--quiet", "--force-create", "change", "main")
        head = laptop.commit(files)
        laptop.git("push", "--quiet", "--force", "origin", "change", "HEAD:refs/pull/7/head")
        laptop.git("switch", "--quiet", "--detach", "main")
        laptop.git("merge", "--quiet", "--no-ff", "-m", f"Merge {head} into main", "change")
        laptop.git("push", "--quiet", "--force", "origin", "HEAD:refs/pull/7/merge")
        laptop.git("switch", "--quiet", "main")
        self._tell_github()
        return head

    def _tell_github(self, repository: str = REPOSITORY) -> None:
        if self.github is not None:
            head = self.bare("rev-parse", "refs/pull/7/head")
            self.github.add_pull(7, sha=head, branch="change", repository=repository)

    def push(self, files: Mapping[str, str], *, branch: str = "main") -> str:
        """Commit to a branch and push it; return the commit."""
        if branch != "main":
            self.laptop.git("switch", "--quiet", "--force-create", branch)
        sha = self.laptop.commit(files)
        self.laptop.git("push", "--quiet", "origin", branch)
        return sha

    # -- runners ----------------------------------------------------------------------------------

    def pull_request_runner(
        self,
        *,
        ref: str = "refs/pull/7/merge",
        fork: bool = False,
        name: str = "runner",
        variables: Mapping[str, str] | None = None,
    ) -> Checkout:
        """Give a job of pull request 7: its event, and ``ref`` checked out."""
        job = self.pull_request_job(fork=fork)
        job = replace(job, variables={**job.variables, **(variables or {})})
        return self.runner(self.checkout(name, ref), job)

    def push_runner(
        self,
        *,
        branch: str = "main",
        name: str = "runner",
        before: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> Checkout:
        """Give a job of a push: its event, and the branch checked out."""
        job = self.push_job(branch=branch, before=before)
        job = replace(job, variables={**job.variables, **(variables or {})})
        return self.runner(self.checkout(name, f"refs/heads/{branch}"), job)

    def workflow_run_runner(
        self,
        action: str = "completed",
        *,
        name: str = "follower",
        conclusion: str | None = "success",
        variables: Mapping[str, str] | None = None,
        **run: Any,
    ) -> Checkout:
        """Give a job that follows a run of model-pr: its event, and the default branch."""
        job = self.workflow_run_job(action, conclusion=conclusion, **run)
        job = replace(job, variables={**job.variables, **(variables or {})})
        return self.runner(self.checkout(name, "refs/heads/main"), job)

    def workflow_run_job(
        self,
        action: str,
        *,
        fork: bool = False,
        sha: str | None = None,
        run_id: int = 42,
        attempt: int = 1,
        conclusion: str | None = None,
        event: str = "pull_request",
    ) -> Job:
        """Say what GitHub tells the jobs that follow a run for pull request 7."""
        return Job(
            event=workflow_run(
                action,
                sha=sha or self.bare("rev-parse", "refs/pull/7/head"),
                head_repository=FORK if fork else REPOSITORY,
                event=event,
                run_id=run_id,
                attempt=attempt,
                conclusion=conclusion,
            ),
            variables={
                "GITHUB_EVENT_NAME": "workflow_run",
                "GITHUB_REF": "refs/heads/main",
                "GITHUB_REF_NAME": "main",
                "GITHUB_REF_TYPE": "branch",
                "GITHUB_RUN_ID": "900",
                "GITHUB_SHA": self.bare("rev-parse", "main"),
                "GITHUB_WORKFLOW": "model-comment",
            },
        )

    def pull_request_job(self, *, fork: bool = False, run_id: int = 42, attempt: int = 1) -> Job:
        """Say what GitHub tells the jobs of pull request 7, in the fields that anybody reads."""
        whose = FORK if fork else REPOSITORY
        self._tell_github(whose)
        head = {"sha": self.bare("rev-parse", "refs/pull/7/head"), "ref": "change"}
        base = {"sha": self.bare("rev-parse", "main"), "ref": "main"}
        return Job(
            event={
                "number": 7,
                "pull_request": {
                    "number": 7,
                    "head": {**head, "repo": {"full_name": whose, "fork": fork}},
                    "base": {**base, "repo": {"full_name": REPOSITORY}},
                },
                "repository": {"full_name": REPOSITORY, "default_branch": "main"},
            },
            variables={
                "GITHUB_EVENT_NAME": "pull_request",
                "GITHUB_BASE_REF": "main",
                "GITHUB_HEAD_REF": "change",
                "GITHUB_REF": "refs/pull/7/merge",
                "GITHUB_REF_NAME": "7/merge",
                "GITHUB_REF_TYPE": "branch",
                "GITHUB_RUN_ATTEMPT": str(attempt),
                "GITHUB_RUN_ID": str(run_id),
                "GITHUB_SHA": self.bare("rev-parse", "refs/pull/7/merge"),
                "GITHUB_WORKFLOW": "model-pr",
            },
        )

    def push_job(self, *, branch: str = "main", before: str = "") -> Job:
        """Say what GitHub tells the jobs of a push."""
        return Job(
            event={
                "before": before or "0" * 40,
                "ref": f"refs/heads/{branch}",
                "repository": {"full_name": REPOSITORY, "default_branch": "main"},
            },
            variables={
                "GITHUB_EVENT_NAME": "push",
                "GITHUB_REF": f"refs/heads/{branch}",
                "GITHUB_REF_NAME": branch,
                "GITHUB_REF_TYPE": "branch",
                "GITHUB_SHA": self.bare("rev-parse", branch),
                "GITHUB_WORKFLOW": "model-merge",
            },
        )

    def checkout(self, name: str, ref: str) -> Path:
        """Check out as actions/checkout does: one commit, no tags, detached but for a branch."""
        folder = self.root / name
        folder.mkdir()
        clone = Checkout(folder, {})
        clone.git("init", "--quiet")
        clone.git("remote", "add", "origin", self.remote.as_uri())
        fetch = ("fetch", "--quiet", "--no-tags", "--depth=1", "origin")
        if ref.startswith("refs/heads/"):
            branch = ref.removeprefix("refs/heads/")
            clone.git(*fetch, f"+{ref}:refs/remotes/origin/{branch}")
            clone.git("checkout", "--quiet", "-B", branch, f"refs/remotes/origin/{branch}")
        else:
            clone.git(*fetch, ref)
            clone.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        return folder

    def runner(self, folder: Path, job: Job) -> Checkout:
        """Give a checkout the variables and files of GitHub's runner."""
        files = folder.parent / f"{folder.name}-files"
        files.mkdir(exist_ok=True)
        (files / "event.json").write_text(json.dumps(job.event), encoding="utf-8")
        for name in ("summary", "output", "env", "path", "state"):
            (files / name).touch()
        return Checkout(
            folder,
            {
                "CI": "true",
                "GITHUB_ACTIONS": "true",
                "GITHUB_API_URL": "http://127.0.0.1:9",  # nobody listens there
                "GITHUB_ENV": str(files / "env"),
                "GITHUB_EVENT_PATH": str(files / "event.json"),
                "GITHUB_JOB": "run",
                "GITHUB_OUTPUT": str(files / "output"),
                "GITHUB_PATH": str(files / "path"),
                "GITHUB_REPOSITORY": REPOSITORY,
                "GITHUB_RUN_ID": "42",
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_STATE": str(files / "state"),
                "GITHUB_STEP_SUMMARY": str(files / "summary"),
                "RUNNER_TEMP": str(files),
                **job.variables,
            },
        )


def add_dvc(checkout: Checkout, *, remote: str | None = None) -> None:
    """Do what ``dvc init`` (and ``dvc remote add``) do, without DVC's start-up."""
    config = ""
    if remote:
        config = f"[core]\n    remote = store\n['remote \"store\"']\n    url = {remote}\n"
    checkout.put({".dvc/config": config, ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n"})


def with_token(api_url: str) -> dict[str, str]:
    """Return the variables that let a job write."""
    return {"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": api_url}


def hint_of(result: Result) -> str:
    """Return what modelci advises."""
    _, found, hint = result.err.partition("Hint: ")
    assert found, result.err
    return hint
