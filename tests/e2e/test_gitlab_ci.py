"""The ``.gitlab-ci.yml`` for GitLab: its own scripts, run as a runner would."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.world import BETTER, WORSE, Checkout, World
from tests.fakes.gitlab_server import BOT, PROJECT, TOKEN, FakeGitLab, serve

FILE = Path(__file__).parents[2] / "src/modelci/templates/init/gitlab/gitlab-ci.yml"
JOBS = yaml.safe_load(FILE.read_text(encoding="utf-8"))


@pytest.fixture(params=["", "/gitlab"], ids=["at the top", "below a path"])
def gitlab(request: pytest.FixtureRequest) -> Iterator[FakeGitLab]:
    with serve(FakeGitLab(prefix=request.param)) as server:
        yield server


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    log: str
    checkout: Checkout


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A pipeline's jobs, which hand on nothing but ``.modelci/``."""

    site: World
    gitlab: FakeGitLab
    ref: str
    variables: Mapping[str, str]

    def play(self, name: str) -> Ended:
        job = JOBS[name]
        checkout = Checkout(self.site.checkout(f"job-{name}", self.ref), self._told(name, job))
        kept = self.site.root / "kept"
        if "needs" in job:
            shutil.copytree(kept, checkout.folder / ".modelci")
        script = [line for line in job["script"] if "pip install" not in line]
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", "\n".join(script)],
            cwd=checkout.folder,
            env={**os.environ, **checkout.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if "artifacts" in job:
            assert job["artifacts"]["paths"] == [".modelci/"]
            if (checkout.folder / ".modelci").is_dir():
                shutil.copytree(checkout.folder / ".modelci", kept)
        return Ended(code=done.returncode, log=done.stdout.decode(), checkout=checkout)

    def _told(self, name: str, job: Mapping[str, Any]) -> dict[str, str]:
        # A variable with an environment scope reaches the jobs of that environment alone.
        may_write = job.get("environment", {}).get("name") == "modelci"
        return {
            "CI": "true",
            "GITLAB_CI": "true",
            "CI_JOB_NAME": name,
            "CI_JOB_TOKEN": "glcbt-64_0123456789",
            "CI_PIPELINE_ID": "512",
            "CI_SERVER_URL": f"{self.gitlab.url}{self.gitlab.prefix}",
            "CI_API_V4_URL": self.gitlab.api_url,
            "CI_PROJECT_PATH": PROJECT,
            "CI_PROJECT_URL": (self.site.root / "origin").as_uri(),
            "CI_DEFAULT_BRANCH": "main",
            **self.variables,
            **({"GITLAB_TOKEN": TOKEN} if may_write else {}),
        }


def merge_request(site: World, gitlab: FakeGitLab, *, merged_results: bool) -> Pipeline:
    head = site.bare("rev-parse", "refs/pull/7/head")
    gitlab.add_merge_request(7, sha=head, source_branch="change")
    ref = "refs/pull/7/merge" if merged_results else "refs/pull/7/head"
    return Pipeline(
        site=site,
        gitlab=gitlab,
        ref=ref,
        variables={
            "CI_PIPELINE_SOURCE": "merge_request_event",
            "CI_COMMIT_SHA": site.bare("rev-parse", ref),
            "CI_MERGE_REQUEST_IID": "7",
            "CI_MERGE_REQUEST_PROJECT_PATH": PROJECT,
            "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": PROJECT,
            "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "change",
            "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": head if merged_results else "",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        },
    )


@pytest.mark.parametrize("merged_results", [True, False], ids=["merged results", "detached"])
def test_a_blocked_merge_request_fails_one_job_and_the_other_comments(
    site: World, gitlab: FakeGitLab, merged_results: bool
) -> None:
    site.propose(WORSE)
    pipeline = merge_request(site, gitlab, merged_results=merged_results)

    model = pipeline.play("model")
    assert model.code == 1, model.log
    assert gitlab.requests == []
    metrics = model.checkout.read(".modelci/metrics.txt")
    assert 'modelci_roc_auc{file="metrics.json"} 0.75' in metrics
    assert "roc_auc" in model.checkout.read(".modelci/report.junit.xml")

    comment = pipeline.play("comment")
    assert comment.code == 0, comment.log
    (note,) = gitlab.notes[7]
    assert note["author"]["username"] == BOT
    assert note["body"].startswith("<!-- modelci:report gitlab-ci/comment -->")
    assert "**Blocked**" in note["body"]
    assert TOKEN not in comment.log


def test_a_merge_is_promoted_with_the_token_that_no_file_holds(
    site: World, gitlab: FakeGitLab
) -> None:
    before = site.bare("rev-parse", "main")
    site.push(BETTER)
    pipeline = Pipeline(
        site=site,
        gitlab=gitlab,
        ref="refs/heads/main",
        variables={
            "CI_PIPELINE_SOURCE": "push",
            "CI_COMMIT_BRANCH": "main",
            "CI_COMMIT_SHA": site.bare("rev-parse", "main"),
            "CI_COMMIT_BEFORE_SHA": before,
        },
    )

    model = pipeline.play("model")
    assert model.code == 0, model.log
    assert site.bare("tag", "--list") == ""
    promote = pipeline.play("promote")
    assert promote.code == 0, promote.log

    assert site.bare("tag", "--list").split() == ["credit#staging#1", "credit@v0.0.1"]
    settings = promote.checkout.read(".git/config")
    assert TOKEN not in settings + promote.log
    filled = subprocess.run(
        ["git", "credential", "fill"],
        cwd=promote.checkout.folder,
        env={**os.environ, "GITLAB_TOKEN": TOKEN},
        input=b"protocol=https\nhost=gitlab.example\n\n",
        capture_output=True,
        check=True,
    )
    assert f"password={TOKEN}".encode() in filled.stdout


def test_only_jobs_that_run_nobody_s_code_have_the_token() -> None:
    jobs = {name: job for name, job in JOBS.items() if not name.startswith(".")}
    writing = {name for name, job in jobs.items() if "environment" in job}
    needed = {"comment": "model", "promote": "model", "act": "watch"}
    assert writing == set(needed)
    for name in writing:
        script = " ".join(jobs[name]["script"])
        assert "requirements.txt" not in script
        assert "modelci ci" not in script
        assert "modelci run" not in script
        assert "modelci retrain" not in script
        # Nothing but documents comes from the job that ran the project's code.
        assert jobs[name]["needs"] == [needed[name]]


def test_a_fork_s_pipeline_has_no_job_that_comments() -> None:
    (rule,) = JOBS["comment"]["rules"]
    same = "$CI_MERGE_REQUEST_SOURCE_PROJECT_PATH == $CI_MERGE_REQUEST_PROJECT_PATH"
    assert same in rule["if"]
    assert rule["when"] == "always"


def test_gitlab_s_own_schema_takes_the_file() -> None:
    done = subprocess.run(
        ["check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(FILE)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_metrics_can_be_had_outside_of_gitlab_too(site: World) -> None:
    out = site.laptop.modelci("report", "--format", "openmetrics").out
    assert 'modelci_roc_auc{file="metrics.json"} 0.8' in out.splitlines()
    assert out.endswith("# EOF\n")
