"""The slice of GitHub's description: that it is one, that it loads fast, and that it objects."""

import time

import pytest
from tests.fakes.github_server import FakeGitHub, Request, serve
from tests.fakes.openapi import SLICE, Description

ROOT = "/repos/acme/credit"
CHECK = {"name": "modelci", "head_sha": "a" * 40, "status": "in_progress"}


@pytest.fixture(scope="module")
def description() -> Description:
    return Description()


def test_the_slice_is_small_and_loads_fast() -> None:
    start = time.process_time()
    description = Description()
    assert not description.check_request("GET", f"{ROOT}/pulls/7", "", None)
    assert time.process_time() - start < 1
    assert SLICE.stat().st_size < 200_000


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", f"{ROOT}/issues/7/comments", "per_page=100&page=2", None),
        ("POST", f"{ROOT}/issues/7/comments", "", {"body": "text"}),
        ("PATCH", f"{ROOT}/git/refs/heads/modelci/pictures-2026-11", "", {"sha": "a" * 40}),
        ("GET", f"{ROOT}/pulls", "state=open&head=eve%3Atune&sort=created", None),
        ("POST", f"{ROOT}/check-runs", "", CHECK),
        (
            "POST",
            f"{ROOT}/check-runs",
            "",
            {**CHECK, "status": "completed", "conclusion": "success"},
        ),
    ],
)
def test_a_right_request_is_passed(
    description: Description, method: str, path: str, query: str, body: object
) -> None:
    assert description.check_request(method, path, query, body) == []


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "wrong"),
    [
        ("GET", "/user", "", None, "not in the description"),
        ("PUT", f"{ROOT}/issues/7/comments", "", None, "not in the description"),
        ("GET", f"{ROOT}/issues/seven/comments", "", None, "'seven' is not of type 'integer'"),
        ("GET", f"{ROOT}/issues/7/comments", "page_size=9", None, "'page_size'"),
        ("GET", f"{ROOT}/pulls", "state=opened", None, "'opened' is not one of"),
        ("GET", f"{ROOT}/pulls/7", "", {}, "takes no body"),
        ("POST", f"{ROOT}/issues/7/comments", "", None, "is not of type 'object'"),
        ("POST", f"{ROOT}/issues/7/comments", "", {"text": "x"}, "'body' is a required property"),
        ("POST", f"{ROOT}/issues/7/comments", "", {"body": 1}, "1 is not of type 'string'"),
        ("POST", f"{ROOT}/issues/7/comments", "", {"body": "x", "to": 1}, "no field 'to'"),
        ("POST", f"{ROOT}/check-runs", "", {**CHECK, "status": "done"}, "'done'"),
        (
            "POST",
            f"{ROOT}/check-runs",
            "",
            {**CHECK, "output": {"title": "t", "summary": "x" * 65_536}},
            "at $.output.summary",
        ),
        ("POST", f"{ROOT}/statuses/{'a' * 40}", "", {"state": "neutral"}, "'neutral'"),
    ],
)
def test_a_wrong_request_is_told(
    description: Description, method: str, path: str, query: str, body: object, wrong: str
) -> None:
    assert wrong in "; ".join(description.check_request(method, path, query, body))


@pytest.mark.parametrize(
    ("path", "status", "body", "wrong"),
    [
        ("/issues/7/comments", 200, [{"id": 1}], "required property"),
        ("/issues/7/comments", 204, None, "never answers 204"),
        ("/issues/7/comments", 403, {"message": 1}, "1 is not of type 'string'"),
        ("/pulls/7", 200, [], "is not of type 'object'"),
    ],
)
def test_a_wrong_reply_is_told(
    description: Description, path: str, status: int, body: object, wrong: str
) -> None:
    told = description.check_reply("GET", f"{ROOT}{path}", status, body)
    assert wrong in "; ".join(told)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", f"{ROOT}/issues/7/comments", {"body": "x", "colour": "red"}),
        ("POST", "/graphql", {"query": "query { viewer { name } }", "variables": {}}),
        ("POST", "/graphql", {"query": "query { viewer { login } }", "variables": {"id": 1}}),
        ("GET", f"{ROOT}/labels", None),
    ],
)
def test_the_server_fails_the_test_that_breaks_the_rules(
    method: str, path: str, body: object
) -> None:
    server = FakeGitHub()
    request = Request(method=method, path=path, query="", headers={}, body=body)
    with pytest.raises(AssertionError, match=r"knows no field|does not know|not in the desc"):  # noqa: SIM117
        with serve(server):
            server.answer(request)


def test_a_token_at_the_store_fails_the_test() -> None:
    server = FakeGitHub()
    artifact = server.add_artifact(1, "report", b"")
    headers = {"authorization": "Bearer x"}
    path = f"/store/{artifact.id}"
    with pytest.raises(AssertionError, match="the token went"), serve(server):
        server.answer(Request(method="GET", path=path, query="", headers=headers, body=None))
