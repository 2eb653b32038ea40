"""The workflows themselves: their ``run:`` steps, run as GitHub would."""

from pathlib import Path

import pytest
from tests.e2e.steps import WorkflowRun
from tests.e2e.world import BETTER, WORSE, World
from tests.fakes.github_server import FakeGitHub

PROJECT = Path(__file__).parents[2]
FOLDERS = [
    pytest.param(PROJECT / ".github" / "workflows", id="ours"),
    pytest.param(PROJECT / "src" / "modelci" / "templates" / "init" / "workflows", id="template"),
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_blocked_pull_request_fails_one_job_and_the_other_comments(
    site: World, github: FakeGitHub, folder: Path
) -> None:
    site.propose(WORSE)
    run = WorkflowRun(site=site, event=site.pull_request_job(), api_url=github.api_url)

    jobs = run.play(folder / "model-pr.yml")

    assert jobs["run"].result == "failure", jobs["run"].log
    assert jobs["comment"].result == "success", jobs["comment"].log
    (comment,) = github.comments[7]
    assert comment["body"].startswith("<!-- modelci:report model-pr/comment -->")
    assert "**Blocked**" in comment["body"]


def test_a_fork_s_pull_request_has_no_job_that_writes(site: World, github: FakeGitHub) -> None:
    site.propose(BETTER)
    event = site.pull_request_job(fork=True)
    run = WorkflowRun(site=site, event=event, api_url=github.api_url)

    jobs = run.play(PROJECT / ".github" / "workflows" / "model-pr.yml")

    assert [jobs["run"].result, jobs["comment"].result] == ["success", "skipped"]
    assert github.requests == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_merge_is_run_in_one_job_and_promoted_in_another(
    site: World, github: FakeGitHub, folder: Path
) -> None:
    before = site.bare("rev-parse", "main")
    pushed = site.push(BETTER)
    event = site.push_job(before=before)
    run = WorkflowRun(site=site, event=event, api_url=github.api_url)

    jobs = run.play(folder / "model-merge.yml")

    assert jobs["run"].result == "success", jobs["run"].log
    assert jobs["promote"].result == "success", jobs["promote"].log
    assert site.bare("tag", "--list").split() == ["credit#staging#1", "credit@v0.0.1"]
    assert site.bare("rev-parse", "main^") == pushed
    assert "created on origin" in jobs["promote"].log


def test_a_merge_that_is_blocked_never_reaches_the_job_that_tags(
    site: World, github: FakeGitHub
) -> None:
    before = site.bare("rev-parse", "main")
    site.push(WORSE)
    event = site.push_job(before=before)
    run = WorkflowRun(site=site, event=event, api_url=github.api_url)

    jobs = run.play(PROJECT / ".github" / "workflows" / "model-merge.yml")

    assert [jobs["run"].result, jobs["promote"].result] == ["failure", "skipped"]
    assert site.bare("tag", "--list") == ""
