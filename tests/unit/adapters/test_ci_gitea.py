import json
from pathlib import Path

import pytest

from modelci.adapters.ci import detect, forge_token
from modelci.domain.events import CIContext, EventKind

HEAD, BEFORE = "a" * 40, "b" * 40
BASE = {
    "CI": "true",
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/credit",
    "GITHUB_SERVER_URL": "https://git.example/gitea",
    "GITHUB_API_URL": "http://gitea:3000/api/v1",
    "GITHUB_RUN_ID": "512",
    "GITHUB_RUN_NUMBER": "31",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_WORKFLOW": "model-pr.yml",
    "GITHUB_JOB": "comment",
}
PULL = {
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_REF": "refs/pull/7/head",
    "GITHUB_BASE_REF": "main",
    "GITHUB_HEAD_REF": "feature",
    "GITHUB_SHA": HEAD,
}
EVENT = {
    "action": "synchronized",
    "number": 7,
    "pull_request": {
        "number": 7,
        "head": {"ref": "feature", "sha": HEAD, "repo": {"full_name": "acme/credit"}},
        "base": {"ref": "main", "sha": BEFORE, "repo": {"full_name": "acme/credit"}},
    },
    "repository": {"full_name": "acme/credit", "default_branch": "main"},
}


def found(tmp_path: Path, event: object, **variables: str) -> CIContext:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    return detect({**BASE, "GITHUB_EVENT_PATH": str(path), **variables})


@pytest.mark.parametrize("variable", ["GITEA_ACTIONS", "FORGEJO_ACTIONS"])
def test_a_pull_request_is_read_as_github_s(tmp_path: Path, variable: str) -> None:
    context = found(tmp_path, EVENT, **PULL, **{variable: "true"})
    assert (context.provider, context.event) == ("gitea", EventKind.PULL_REQUEST)
    assert (context.pull_request, context.head_sha, context.base_ref) == (7, HEAD, "main")
    assert (context.from_fork, context.default_branch) == (False, "main")
    assert (context.workflow, context.job) == ("model-pr.yml", "comment")


def test_the_api_and_the_pages_are_below_the_server_s_address(tmp_path: Path) -> None:
    context = found(tmp_path, EVENT, **PULL, GITEA_ACTIONS="true")
    assert context.api_url == "https://git.example/gitea/api/v1"
    assert context.run_url == "https://git.example/gitea/acme/credit/actions/runs/31"


def test_a_fork_is_a_fork(tmp_path: Path) -> None:
    head = {"ref": "feature", "sha": HEAD, "repo": {"full_name": "eve/credit"}}
    event = {**EVENT, "pull_request": {**EVENT["pull_request"], "head": head}}  # type: ignore[dict-item]
    assert found(tmp_path, event, **PULL, GITEA_ACTIONS="true").from_fork


def test_a_push_knows_what_it_replaced(tmp_path: Path) -> None:
    variables = {"GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/main", "GITHUB_SHA": HEAD}
    event = {"before": BEFORE, "repository": EVENT["repository"]}
    context = found(tmp_path, event, **variables, FORGEJO_ACTIONS="true")
    assert (context.event, context.branch, context.before) == (EventKind.PUSH, "main", BEFORE)


def test_a_runner_that_names_no_server_has_no_api(tmp_path: Path) -> None:
    context = found(tmp_path, EVENT, **PULL, GITEA_ACTIONS="true", GITHUB_SERVER_URL="")
    assert (context.provider, context.api_url, context.run_url) == ("gitea", None, None)


def test_github_s_own_runner_is_not_gitea_s(tmp_path: Path) -> None:
    assert found(tmp_path, EVENT, **PULL, GITEA_ACTIONS="false").provider == "github"


def test_the_runner_s_github_token_is_gitea_s_only_where_it_runs_us() -> None:
    environ = {"GITHUB_TOKEN": "a"}
    assert forge_token(environ, kind="gitea") is None
    assert forge_token({**environ, "GITEA_ACTIONS": "true"}, kind="gitea") == "a"
    assert forge_token({**environ, "FORGEJO_TOKEN": "b"}, kind="gitea") == "b"
    assert forge_token({"FORGEJO_TOKEN": "b", "GITEA_TOKEN": "c"}, kind="gitea") == "c"
