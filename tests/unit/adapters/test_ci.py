import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.github_events import published, workflow_run

from modelci.adapters.ci import (
    bare_environment,
    detect,
    forge_token,
    installing_environment,
    overrides,
    signing_secrets,
    stage_environment,
    wants_colour,
    wants_no_colour,
    webhook_secret,
    write_outputs,
    write_summary,
)
from modelci.domain.events import Cause, CIContext, EventKind
from modelci.errors import ConfigError

HEAD, MERGE, BEFORE = "a" * 40, "c" * 40, "b" * 40
REPOSITORY = {"full_name": "acme/credit", "default_branch": "trunk", "private": True}
BASE = {
    "GITHUB_ACTIONS": "true",
    "CI": "true",
    "GITHUB_REPOSITORY": "acme/credit",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_API_URL": "https://api.github.com",
    "GITHUB_RUN_ID": "512",
    "GITHUB_WORKFLOW": "Model PR",
    "GITHUB_JOB": "report",
}
MISSING: Any = object()


def pull_request(repo: object = MISSING, **more: object) -> dict[str, object]:
    head_repo = {"full_name": "acme/credit"} if repo is MISSING else repo
    return {
        "action": "synchronize",
        "number": 7,
        "before": "d" * 40,
        "after": HEAD,
        "pull_request": {
            "number": 7,
            "head": {"ref": "feature", "sha": HEAD, "repo": head_repo},
            "base": {"ref": "trunk", "sha": BEFORE, "repo": REPOSITORY},
            **more,
        },
        "repository": REPOSITORY,
    }


def found(tmp_path: Path, event: object, **variables: str) -> CIContext:
    path = tmp_path / "event.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    return detect({**BASE, "GITHUB_EVENT_PATH": str(path), **variables})


PULL = {
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_REF": "refs/pull/7/merge",
    "GITHUB_REF_NAME": "7/merge",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_BASE_REF": "trunk",
    "GITHUB_HEAD_REF": "feature",
    "GITHUB_SHA": MERGE,
}
PUSH = {
    "GITHUB_EVENT_NAME": "push",
    "GITHUB_REF": "refs/heads/trunk",
    "GITHUB_REF_NAME": "trunk",
    "GITHUB_REF_TYPE": "branch",
    "GITHUB_BASE_REF": "",
    "GITHUB_SHA": HEAD,
}


TAG = {"GITHUB_REF": "refs/tags/m#prod#1", "GITHUB_REF_NAME": "m#prod#1", "GITHUB_REF_TYPE": "tag"}
ON_BRANCH = {
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_REF_NAME": "main",
    "GITHUB_REF_TYPE": "branch",
}


@pytest.mark.parametrize(
    ("name", "event", "variables", "tag"),
    [
        ("push", {}, TAG, "m#prod#1"),
        ("push", {}, {"GITHUB_REF": "refs/tags/m#prod#1"}, "m#prod#1"),
        ("push", {}, ON_BRANCH, None),
        ("push", {"inputs": {"tag": "n#prod#2"}}, ON_BRANCH, None),
        ("workflow_dispatch", {"inputs": {"tag": "n#prod#2"}}, ON_BRANCH, "n#prod#2"),
        ("workflow_dispatch", {"inputs": {"tag": "refs/tags/n#prod#2"}}, TAG, "n#prod#2"),
        ("workflow_dispatch", {"inputs": None}, TAG, "m#prod#1"),
        ("workflow_dispatch", {"inputs": {"tag": ""}}, ON_BRANCH, None),
        ("workflow_dispatch", {"inputs": {"tag": 7}}, ON_BRANCH, None),
        ("repository_dispatch", {"client_payload": {"tag": "n#prod#2"}}, ON_BRANCH, "n#prod#2"),
        ("repository_dispatch", {"client_payload": []}, ON_BRANCH, None),
        ("pull_request", {}, PULL, None),
    ],
)
def test_the_tag_is_the_one_that_was_pushed_or_that_a_dispatch_names(
    tmp_path: Path,
    name: str,
    event: Mapping[str, object],
    variables: Mapping[str, str],
    tag: str | None,
) -> None:
    assert found(tmp_path, event, **{"GITHUB_EVENT_NAME": name, **variables}).tag == tag


def test_a_process_that_loads_a_model_sees_no_credentials() -> None:
    environment = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "LD_LIBRARY_PATH": "/opt/lib",
        "AWS_SECRET_ACCESS_KEY": "for the data",
        "GITHUB_TOKEN": "t",
        "SSH_AUTH_SOCK": "/run/agent",
        "PYTHONPATH": "/evil",
        "MODELCI_WEBHOOK_SECRET": "s",
    }
    assert set(bare_environment(environment)) == {"PATH", "HOME", "LD_LIBRARY_PATH"}
    assert "MODELCI_WEBHOOK_SECRET" not in stage_environment(environment)
    assert webhook_secret(environment) == "s"
    assert webhook_secret({"MODELCI_WEBHOOK_SECRET": ""}) is None


def test_a_pull_request_knows_its_test_merge_its_head_and_its_base(tmp_path: Path) -> None:
    context = found(tmp_path, pull_request(), **PULL)
    assert context.event is EventKind.PULL_REQUEST
    assert (context.sha, context.head_sha, context.base_ref) == (MERGE, HEAD, "trunk")
    assert context.head_branch == "feature"
    assert (context.pull_request, context.from_fork) == (7, False)
    assert context.default_branch == "trunk"
    assert context.run_url == "https://github.com/acme/credit/actions/runs/512"
    assert (context.workflow, context.job) == ("Model PR", "report")


@pytest.mark.parametrize(
    "repo", [{"full_name": "eve/credit"}, None, {}, "eve"], ids=["fork", "deleted", "empty", "odd"]
)
def test_a_head_that_is_not_provably_ours_is_a_fork(tmp_path: Path, repo: object) -> None:
    context = found(tmp_path, pull_request(repo), **PULL)
    assert context.from_fork
    assert context.pull_request == 7


def test_a_pull_request_target_does_not_say_what_was_checked_out(tmp_path: Path) -> None:
    variables = {**PULL, "GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_SHA": BEFORE}
    context = found(tmp_path, pull_request(), **variables)
    assert context.event is EventKind.PULL_REQUEST
    assert (context.sha, context.head_sha) == (None, HEAD)


def test_a_push_knows_what_it_replaced(tmp_path: Path) -> None:
    context = found(tmp_path, {"before": BEFORE, "after": HEAD, "repository": REPOSITORY}, **PUSH)
    assert context.event is EventKind.PUSH
    assert (context.branch, context.before, context.sha) == ("trunk", BEFORE, HEAD)
    assert (context.head_sha, context.pull_request, context.from_fork) == (HEAD, None, False)
    assert context.base_ref is None


def test_a_branchs_first_push_replaced_nothing(tmp_path: Path) -> None:
    context = found(tmp_path, {"before": "0" * 40, "repository": REPOSITORY}, **PUSH)
    assert context.before is None


def test_a_runner_that_sets_less_is_understood_too(tmp_path: Path) -> None:
    thin = {name: value for name, value in PUSH.items() if name != "GITHUB_REF_TYPE"}
    context = found(tmp_path, {"before": "1" * 40}, **{**thin, "GITHUB_REF": "refs/heads/a/b"})
    assert (context.event, context.branch) == (EventKind.PUSH, "a/b")
    pull = {"number": 7, "head": {"sha": HEAD}, "base": {"ref": "trunk"}}
    event = {"pull_request": pull, "repository": REPOSITORY}
    context = found(tmp_path, event, GITHUB_EVENT_NAME="pull_request")
    assert context.base_ref == "trunk"


@pytest.mark.parametrize(
    ("name", "variables", "event"),
    [
        ("push", {"GITHUB_REF_NAME": "v1", "GITHUB_REF_TYPE": "tag"}, {"before": "0" * 40}),
        ("schedule", {}, {"schedule": "0 6 * * 1"}),
        ("workflow_dispatch", {}, {"inputs": {}, "ref": "refs/heads/trunk"}),
        ("issue_comment", {}, {"issue": {"number": 9, "pull_request": {}}}),
    ],
)
def test_other_events_are_neither_a_pull_request_nor_a_push(
    tmp_path: Path, name: str, variables: Mapping[str, str], event: Mapping[str, object]
) -> None:
    context = found(tmp_path, event, **{**PUSH, "GITHUB_EVENT_NAME": name, **variables})
    assert context.event is EventKind.OTHER
    assert context.event_name == name
    assert context.pull_request is None
    assert context.branch == (None if variables else "trunk")


FOLLOW = {**PUSH, "GITHUB_EVENT_NAME": "workflow_run", "GITHUB_RUN_ATTEMPT": "3"}


def test_a_published_workflow_run_event_is_understood(tmp_path: Path) -> None:
    context = found(tmp_path, published("completed"), **FOLLOW)
    assert context.event is EventKind.WORKFLOW_RUN
    assert context.cause == Cause(
        run_id=289782451,
        attempt=1,
        action="completed",
        event_name="repository_dispatch",
        workflow="",
        head_owner="octo-org",
        head_repository="octo-org/octo-repo",
        head_branch="master",
        head_sha="3484a3fb816e0859fd6e1cea078d76385ff50625",
        conclusion="success",
        run_url="https://github.com/octo-org/octo-repo/actions/runs/289782451",
    )
    requested = found(tmp_path, published("requested"), **FOLLOW).cause
    assert requested is not None
    assert (requested.action, requested.conclusion) == ("requested", None)


def test_a_fork_s_run_is_told_from_the_job_that_follows_it(tmp_path: Path) -> None:
    event = workflow_run("completed", sha=BEFORE, head_repository="eve/credit", attempt=2)
    event["workflow_run"]["pull_requests"] = [{"number": 9}]
    context = found(tmp_path, event, **FOLLOW)
    assert context.cause is not None
    assert (context.cause.head_owner, context.cause.head_repository) == ("eve", "eve/credit")
    assert (context.cause.run_id, context.cause.attempt) == (512, 2)
    assert (context.cause.head_sha, context.sha, context.head_sha) == (BEFORE, HEAD, HEAD)
    assert (context.run_id, context.attempt) == ("512", 3)
    assert context.pull_request is None


def test_a_deleted_fork_owns_nothing(tmp_path: Path) -> None:
    event = workflow_run("completed", sha=HEAD, head_repository=None)
    cause = found(tmp_path, event, **FOLLOW).cause
    assert cause is not None
    assert (cause.head_owner, cause.head_repository) == ("", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None),
        ("id", "512"),
        ("id", True),
        ("id", -1),
        ("id", 5.0),
        ("head_sha", None),
        ("head_sha", "main"),
        ("head_sha", "a" * 39),
        ("head_sha", "a" * 40 + "\n"),
        ("head_sha", ["a" * 40]),
    ],
)
def test_a_workflow_run_without_run_or_commit_is_refused(
    tmp_path: Path, field: str, value: object
) -> None:
    event = workflow_run("completed", sha=HEAD)
    event["workflow_run"][field] = value
    with pytest.raises(ConfigError, match="names no run, or no commit"):
        found(tmp_path, event, **FOLLOW)


@pytest.mark.parametrize("event", [{}, [], {"workflow_run": []}, {"workflow_run": None}])
def test_a_workflow_run_of_another_shape_is_refused(tmp_path: Path, event: object) -> None:
    with pytest.raises(ConfigError, match="names no run"):
        found(tmp_path, event, **FOLLOW)


@pytest.mark.parametrize(
    "event",
    [[], 7, {"pull_request": 7}, {"pull_request": {"head": [], "number": "8"}, "before": 5}],
)
def test_an_event_of_another_shape_is_survived(tmp_path: Path, event: object) -> None:
    context = found(tmp_path, event, **PULL)
    assert context.pull_request is None
    assert context.head_sha == MERGE


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (None, ()),
        ("modelci:minor", ()),
        ({"name": "modelci:minor"}, ()),
        ([7, {"name": 7}, {"name": ""}, {"name": "modelci:minor"}, None], ("modelci:minor",)),
    ],
)
def test_labels_of_another_shape_are_none(
    tmp_path: Path, labels: object, names: tuple[str, ...]
) -> None:
    event = {"pull_request": {"number": 7, "labels": labels}}
    assert found(tmp_path, event, **PULL).labels == names


def test_an_event_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "event.json"
    path.write_text("{", encoding="utf-8")
    for name in (path, tmp_path / "none.json"):
        with pytest.raises(ConfigError, match="GITHUB_EVENT_PATH") as raised:
            detect({**BASE, "GITHUB_EVENT_PATH": str(name)})
        assert raised.value.hint
    assert detect(BASE).event is EventKind.OTHER


def test_outside_of_ci_nothing_is_known() -> None:
    assert detect({}) == CIContext()
    assert detect({"GITHUB_SHA": HEAD, "GITHUB_EVENT_PATH": "/nowhere"}) == CIContext()


@pytest.mark.parametrize(
    "name",
    [
        "GITHUB_TOKEN",
        "GH_TOKEN",
        *(
            f"{forge}_{file}"
            for forge in ("GITHUB", "GITEA", "FORGEJO")
            for file in ("OUTPUT", "ENV", "PATH", "STATE", "STEP_SUMMARY")
        ),
        "SIGSTORE_ID_TOKEN",
        "ACTIONS_RUNTIME_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
        "ACTIONS_ID_TOKEN_REQUEST_URL",
        "ACTIONS_CACHE_URL",
        "CI_JOB_TOKEN",
        "MODELCI_TOKEN",
    ],
)
def test_user_code_sees_no_token_and_no_file_that_steers_the_runner(name: str) -> None:
    environment = {name: "secret", "PATH": "/bin", "AWS_ACCESS_KEY_ID": "for the data"}
    assert stage_environment(environment) == {"PATH": "/bin", "AWS_ACCESS_KEY_ID": "for the data"}


def test_installers_see_how_to_get_packages_and_no_other_credentials() -> None:
    kept = {
        "PATH": "/bin",
        "PIP_INDEX_URL": "https://index.example",
        "UV_DEFAULT_INDEX": "https://index.example",
        "https_proxy": "http://proxy",
        "SSL_CERT_FILE": "/etc/ca.pem",
    }
    hidden = {"GITHUB_TOKEN": "x", "AWS_SECRET_ACCESS_KEY": "x", "MODELCI_SIGNING_KEY_PEM": "x"}
    assert installing_environment({**kept, **hidden}) == kept


def test_what_models_are_signed_with_is_seen_by_no_stage() -> None:
    environment = {"MODELCI_SIGNING_KEY_PEM": "pem", "MODELCI_SIGNING_PASSWORD": "", "HOME": "/"}
    assert signing_secrets(environment) == ("pem", None)
    assert stage_environment(environment) == {"HOME": "/"}


def test_only_our_own_variables_configure_us() -> None:
    assert overrides({"MODELCI_RUN_PULL": "1", "PATH": "/bin"}) == {"MODELCI_RUN_PULL": "1"}


@pytest.mark.parametrize(
    ("environ", "token"),
    [
        ({}, None),
        ({"GITHUB_TOKEN": ""}, None),
        ({"GITHUB_TOKEN": "a", "GH_TOKEN": "b"}, "a"),
        ({"GITHUB_TOKEN": "", "GH_TOKEN": "b"}, "b"),
    ],
)
def test_the_token_is_the_first_that_is_set(environ: Mapping[str, str], token: str | None) -> None:
    assert forge_token(environ) == token


@pytest.mark.parametrize(
    ("variables", "terminal", "elsewhere"),
    [
        ({}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "3"}, True, True),
    ],
)
def test_colours_are_for_terminals_and_for_who_asks_for_them(
    variables: dict[str, str], terminal: bool, elsewhere: bool
) -> None:
    assert wants_colour(variables, is_terminal=True) is terminal
    assert wants_colour(variables, is_terminal=False) is elsewhere


def test_a_colourless_terminal_is_told_by_its_variables() -> None:
    assert wants_no_colour({"NO_COLOR": "1"})
    assert wants_no_colour({"TERM": "dumb"})
    assert not wants_no_colour({"NO_COLOR": "", "TERM": "xterm"})


def read_outputs(text: str) -> dict[str, str]:
    """Read GITHUB_OUTPUT as the runner does."""
    lines, values = iter(text.splitlines()), {}
    for line in lines:
        name, mark = line.split("<<", 1)
        block = []
        for part in lines:
            if part == mark:
                break
            block.append(part)
        values[name] = "\n".join(block)
    return values


def test_a_value_cannot_forge_another_output(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("earlier<<E\nkept\nE\n", encoding="utf-8")
    evil = "x\nEOF\nmodelci_0\nverdict<<EOF\npassed\nEOF"
    values = {"verdict": "blocked", "tags": evil, "empty": "", "unicode": "é ✔"}
    assert write_outputs(values, {"GITHUB_OUTPUT": str(path)})
    assert read_outputs(path.read_text(encoding="utf-8")) == {"earlier": "kept", **values}


def test_no_two_outputs_share_a_delimiter(tmp_path: Path) -> None:
    path = tmp_path / "output"
    write_outputs({"a": "1", "b": "2"}, {"GITHUB_OUTPUT": str(path)})
    marks = [line.split("<<")[1] for line in path.read_text().splitlines() if "<<" in line]
    assert len(set(marks)) == 2
    assert all(len(mark) > 20 for mark in marks)


def test_the_summary_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    path.write_text("# earlier\n", encoding="utf-8")
    assert write_summary("## ours ✔", {"GITHUB_STEP_SUMMARY": str(path)})
    assert path.read_text(encoding="utf-8") == "# earlier\n## ours ✔\n"


@pytest.mark.parametrize(
    ("there", "adds", "written"),
    [
        (0, 1024**2 - 1, True),
        (0, 1024**2, False),
        (1024, 1024**2 - 1025, True),
        (1024, 1024**2 - 1024, False),
    ],
)
def test_a_summary_that_the_runner_would_drop_is_not_written(
    tmp_path: Path, there: int, adds: int, *, written: bool
) -> None:
    path = tmp_path / "summary"
    path.write_bytes(b"x" * there)
    assert write_summary("y" * adds, {"GITHUB_STEP_SUMMARY": str(path)}) is written
    assert path.stat().st_size == there + (adds + 1) * written


def test_without_a_runner_there_is_nowhere_to_write() -> None:
    assert not write_summary("x", {})
    assert not write_outputs({"a": "b"}, {})


def test_who_started_a_job_is_who_ran_it_again(tmp_path: Path) -> None:
    event = pull_request()
    assert found(tmp_path, event, **PULL).actor is None
    assert found(tmp_path, event, **PULL, GITHUB_ACTOR="anna").actor == "anna"
    again = {"GITHUB_ACTOR": "anna", "GITHUB_TRIGGERING_ACTOR": "ben"}
    assert found(tmp_path, event, **PULL, **again).actor == "ben"
