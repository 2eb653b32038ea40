"""A pull request's event as GitHub publishes it, read as the runner gives it to us.

``payloads/pull_request.synchronize.json`` is from the npm package @octokit/webhooks-examples 7.6.1
(MIT) without its addresses of further requests. None is published of a fork's pull request: here
the head's repository is made another's, or null as after the fork's deletion.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub, serve
from tests.fakes.progress import RecordedProgress

from modelci.adapters.ci import github as ci
from modelci.adapters.forge import FORGES, ForgeSettings
from modelci.domain.events import CIContext, EventKind

PAYLOAD = Path(__file__).parents[1] / "fakes" / "payloads" / "pull_request.synchronize.json"
PUBLISHED: dict[str, Any] = json.loads(PAYLOAD.read_text(encoding="utf-8"))
HEAD = PUBLISHED["pull_request"]["head"]
THEIRS = PUBLISHED["repository"]["full_name"]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[dict[str, Any]], CIContext]:
    def detect(event: dict[str, Any]) -> CIContext:
        path = tmp_path / "event.json"
        path.write_text(json.dumps(event), encoding="utf-8")
        context = ci.detect(
            {
                "GITHUB_ACTIONS": "true",
                "GITHUB_EVENT_PATH": str(path),
                "GITHUB_EVENT_NAME": "pull_request",
                "GITHUB_REPOSITORY": THEIRS,
                "GITHUB_SHA": "f" * 40,
            }
        )
        assert context is not None
        return context

    return detect


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with serve(FakeGitHub()) as server:
        yield server


def with_head(repository: dict[str, Any] | None) -> dict[str, Any]:
    pull = PUBLISHED["pull_request"]
    return {**PUBLISHED, "pull_request": {**pull, "head": {**HEAD, "repo": repository}}}


def test_the_published_event_is_understood(read: Callable[[dict[str, Any]], CIContext]) -> None:
    context = read(PUBLISHED)
    assert context.event is EventKind.PULL_REQUEST
    assert (context.pull_request, context.from_fork) == (PUBLISHED["number"], False)
    assert context.head_sha == HEAD["sha"] != context.sha
    assert context.base_ref == PUBLISHED["pull_request"]["base"]["ref"]
    assert context.default_branch == PUBLISHED["repository"]["default_branch"]
    assert context.labels == ("bug",)


@pytest.mark.parametrize("repository", [None, {**HEAD["repo"], "full_name": "eve/Hello-World"}])
def test_a_forks_event_is_told_from_our_own(
    read: Callable[[dict[str, Any]], CIContext], repository: dict[str, Any] | None
) -> None:
    context = read(with_head(repository))
    assert context.from_fork
    assert context.head_sha == HEAD["sha"]


def test_the_events_pull_request_is_found_by_its_head(github: FakeGitHub) -> None:
    github.add_pull(
        PUBLISHED["number"],
        sha=HEAD["sha"],
        branch=HEAD["ref"],
        repository=HEAD["repo"]["full_name"],
    )
    settings = ForgeSettings(
        progress=RecordedProgress(),
        repository=REPOSITORY,
        api_url=github.api_url,
        token=TOKEN,
    )
    owner, branch = HEAD["label"].split(":")
    find = FORGES["github"](settings).find_pull_request
    found = find(owner=owner, branch=branch, sha=HEAD["sha"])
    assert found is not None
    assert found.number == PUBLISHED["number"]
    assert find(owner=owner, branch=branch, sha="0" * 40) is None
