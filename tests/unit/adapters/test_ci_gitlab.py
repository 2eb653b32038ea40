from collections.abc import Mapping

import pytest

from modelci.adapters.ci import detect, forge_token, stage_environment
from modelci.config.model import EventRunConfig, RunConfig
from modelci.domain.events import CIContext, EventKind

HEAD, MERGE, BEFORE, NONE = "a" * 40, "c" * 40, "b" * 40, "0" * 40
# As GitLab documents them, for a job of GitLab 17 below a path.
BASE = {
    "CI": "true",
    "GITLAB_CI": "true",
    "CI_SERVER_URL": "https://host.example/gitlab",
    "CI_API_V4_URL": "https://host.example/gitlab/api/v4",
    "CI_PROJECT_PATH": "acme/models/credit",
    "CI_DEFAULT_BRANCH": "trunk",
    "CI_PIPELINE_ID": "512",
    "CI_PIPELINE_URL": "https://host.example/gitlab/acme/models/credit/-/pipelines/512",
    "CI_JOB_NAME": "model",
    "CI_JOB_URL": "https://host.example/gitlab/acme/models/credit/-/jobs/9",
    "CI_COMMIT_SHA": HEAD,
    "CI_COMMIT_BEFORE_SHA": NONE,
}
PUSH = {
    "CI_PIPELINE_SOURCE": "push",
    "CI_COMMIT_BRANCH": "trunk",
    "CI_COMMIT_REF_NAME": "trunk",
    "CI_COMMIT_BEFORE_SHA": BEFORE,
}
REQUEST = {
    "CI_PIPELINE_SOURCE": "merge_request_event",
    "CI_COMMIT_REF_NAME": "feature",
    "CI_MERGE_REQUEST_IID": "7",
    "CI_MERGE_REQUEST_PROJECT_PATH": "acme/models/credit",
    "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "acme/models/credit",
    "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "feature",
    "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "trunk",
    "CI_MERGE_REQUEST_DIFF_BASE_SHA": BEFORE,
    "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": "",
}


def found(*variables: Mapping[str, str], **more: str) -> CIContext:
    merged = dict(BASE)
    for one in variables:
        merged.update(one)
    return detect({**merged, **more})


def test_a_merge_request_knows_its_number_its_head_and_its_base() -> None:
    context = found(REQUEST)
    assert (context.provider, context.event) == ("gitlab", EventKind.PULL_REQUEST)
    assert (context.pull_request, context.base_ref, context.branch) == (7, "trunk", None)
    assert (context.sha, context.head_sha, context.before) == (HEAD, HEAD, None)
    assert (context.repository, context.from_fork) == ("acme/models/credit", False)
    assert context.api_url == "https://host.example/gitlab/api/v4"
    assert (context.run_id, context.attempt) == ("512", None)
    assert context.run_url == BASE["CI_JOB_URL"]
    assert (context.workflow, context.job) == ("gitlab-ci", "model")


def test_a_merge_request_knows_its_branch() -> None:
    assert found(REQUEST).head_branch == "feature"
    assert found(PUSH).head_branch is None


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("modelci:minor,bug", ("modelci:minor", "bug")),
        ("bug, needs a look,", ("bug", "needs a look")),
    ],
)
def test_a_merge_request_knows_its_labels(text: str, labels: tuple[str, ...]) -> None:
    assert found(REQUEST, CI_MERGE_REQUEST_LABELS=text).labels == labels
    assert found(REQUEST).labels == found(PUSH, CI_MERGE_REQUEST_LABELS=text).labels == ()


def test_a_pipeline_for_merged_results_has_a_test_merge() -> None:
    context = found(REQUEST, CI_COMMIT_SHA=MERGE, CI_MERGE_REQUEST_SOURCE_BRANCH_SHA=HEAD)
    assert (context.sha, context.head_sha) == (MERGE, HEAD)


@pytest.mark.parametrize("runs_in", ["acme/models/credit", "eve/credit"])
def test_a_fork_s_merge_request_is_the_target_s_wherever_it_runs(runs_in: str) -> None:
    theirs = {"CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "eve/credit", "CI_PROJECT_PATH": runs_in}
    context = found(REQUEST, theirs)
    assert context.from_fork
    assert (context.repository, context.pull_request) == ("acme/models/credit", 7)


def test_a_source_that_is_not_provably_ours_is_a_fork() -> None:
    variables = dict(REQUEST)
    del variables["CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"]
    assert found(variables).from_fork


def test_a_push_knows_what_it_replaced() -> None:
    context = found(PUSH)
    assert (context.event, context.branch, context.before) == (EventKind.PUSH, "trunk", BEFORE)
    assert (context.pull_request, context.from_fork) == (None, False)
    assert context.default_branch == "trunk"
    assert found(PUSH, CI_COMMIT_BEFORE_SHA=NONE).before is None


@pytest.mark.parametrize(
    "variables",
    [
        {"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "v1"},
        {"CI_PIPELINE_SOURCE": "schedule", "CI_COMMIT_BRANCH": "trunk"},
        {"CI_PIPELINE_SOURCE": "web", "CI_COMMIT_BRANCH": "trunk"},
        {"CI_PIPELINE_SOURCE": "parent_pipeline", "CI_MERGE_REQUEST_IID": "7"},
        {},
    ],
)
def test_other_pipelines_are_neither_a_merge_request_nor_a_push(
    variables: Mapping[str, str],
) -> None:
    context = found(variables)
    assert (context.event, context.pull_request) == (EventKind.OTHER, None)
    assert context.event_name == variables.get("CI_PIPELINE_SOURCE", "")


@pytest.mark.parametrize("number", ["", "0", "-1", "seven", "\uff17"])
def test_a_number_that_is_none_is_unknown(number: str) -> None:
    assert found(REQUEST, CI_MERGE_REQUEST_IID=number).pull_request is None


def test_the_settings_of_an_event_hold_on_gitlab_too() -> None:
    run = RunConfig(events={"pull_request": EventRunConfig(pull=True)})
    assert run.for_event(found(REQUEST)).pull
    assert not run.for_event(found(PUSH)).pull


def test_the_token_for_gitlab_is_no_job_token_and_nobody_else_s() -> None:
    environ = {"CI_JOB_TOKEN": "glcbt-1", "GITHUB_TOKEN": "ghp_1", "GITEA_TOKEN": "x"}
    assert forge_token(environ, kind="gitlab") is None
    assert forge_token({**environ, "GITLAB_TOKEN": "glpat-1"}, kind="gitlab") == "glpat-1"
    assert forge_token({"GITLAB_TOKEN": "glpat-1"}) is None
    assert forge_token({"GITLAB_TOKEN": "glpat-1"}, kind="local") is None


def test_no_stage_sees_a_token() -> None:
    secret = ("CI_JOB_TOKEN", "GITLAB_TOKEN", "CI_REPOSITORY_URL", "FORGEJO_TOKEN", "GITEA_TOKEN")
    assert stage_environment(dict.fromkeys(secret, "x")) == {}


def test_who_started_a_job() -> None:
    assert detect({**BASE, **PUSH}).actor is None
    assert detect({**BASE, **PUSH, "GITLAB_USER_LOGIN": "anna"}).actor == "anna"


def test_a_pipeline_of_a_tag_knows_the_tag() -> None:
    assert found({"CI_PIPELINE_SOURCE": "push", "CI_COMMIT_TAG": "m#prod#1"}).tag == "m#prod#1"
    assert found(PUSH).tag is None
