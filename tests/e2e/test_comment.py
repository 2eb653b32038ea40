"""``modelci comment``, and a forge that is not well."""

import json
import re
from dataclasses import replace

import pytest
from tests.e2e.world import Checkout, World, hint_of
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub
from tests.golden.samples import proven

from modelci.documents import codec

POST = "/issues/7/comments"


@pytest.fixture
def laptop(site: World, github: FakeGitHub) -> Checkout:
    """A person's checkout of a GitHub repository, with a report to post."""
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": github.api_url,
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": TOKEN,
    }
    site.laptop.modelci("report")
    github.add_pull(7, sha=site.laptop.git("rev-parse", "HEAD"))
    return Checkout(site.laptop.folder, variables)


def test_a_report_is_posted_once_and_then_left_alone(laptop: Checkout, github: FakeGitHub) -> None:
    first = laptop.modelci("comment", "--pr", "7")
    second = laptop.modelci("comment", "--pr", "7")
    (comment,) = github.comments[7]
    assert first.out == f"Comment created: {comment['html_url']}\n"
    assert second.out == f"Comment unchanged: {comment['html_url']}\n"


def test_a_report_is_made_and_posted_in_one_go(laptop: Checkout, github: FakeGitHub) -> None:
    done = laptop.modelci("report", "--format", "md", "--comment", "--pr", "7")
    (comment,) = github.comments[7]
    assert f"Comment created: {comment['html_url']}\n" in done.err
    assert done.out.startswith("<!-- modelci:report local/report -->\n")
    again = laptop.modelci("comment", "--pr", "7")
    assert again.out == f"Comment unchanged: {comment['html_url']}\n"


def test_a_report_for_no_pull_request_is_not_begun(laptop: Checkout, github: FakeGitHub) -> None:
    report = laptop.folder / ".modelci" / "report.json"
    report.unlink()
    assert "--pr" in hint_of(laptop.modelci("report", "--comment", code=2))
    assert "give both" in laptop.modelci("report", "--pr", "7", code=2).err
    laptop.modelci("report", "--comment", "--pr", "7", GITHUB_TOKEN=None, code=4)
    assert not report.exists()
    assert github.requests == []


def test_two_jobs_keep_two_comments(laptop: Checkout, github: FakeGitHub) -> None:
    laptop.modelci("comment", "--pr", "7", "--id", "north")
    laptop.modelci("comment", "--pr", "7", "--id", "south")
    markers = [comment["body"].partition("\n")[0] for comment in github.comments[7]]
    assert markers == ["<!-- modelci:report north -->", "<!-- modelci:report south -->"]


def test_a_dry_run_prints_the_comment(laptop: Checkout, github: FakeGitHub) -> None:
    done = laptop.modelci("comment", "--pr", "7", "--dry-run", GITHUB_TOKEN=None)
    assert done.out.startswith("<!-- modelci:report local/report -->\n## Model report\n")
    assert github.requests == []


def test_a_head_that_moved_on_is_told_of_and_no_error(laptop: Checkout, github: FakeGitHub) -> None:
    github.add_pull(7, sha="e" * 40)
    done = laptop.modelci("comment", "--pr", "7")
    assert done.out.startswith("Outdated, so nothing was posted. The report is of ")
    assert "the head of pull request 7 is eeeeeee now." in done.out
    done = laptop.modelci("comment", "--pr", "7", "--json")
    assert (json.loads(done.out)["action"], json.loads(done.out)["url"]) == ("outdated", None)
    assert github.comments == {}


def test_flags_choose_what_becomes_of_an_earlier_comment(
    laptop: Checkout, github: FakeGitHub
) -> None:
    for mode in ("update", "new", "hide-and-new"):
        done = laptop.modelci("comment", "--pr", "7", "--mode", mode)
        assert done.out.startswith("Comment created: ")
    assert len(github.comments[7]) == 3
    assert len(github.minimized) == 2


def test_on_change_only_begins_no_comment_where_nothing_changed(
    laptop: Checkout, github: FakeGitHub
) -> None:
    laptop.modelci("report", "HEAD")
    done = laptop.modelci("comment", "--pr", "7", "--on-change-only")
    assert done.out == "No comment was posted. Nothing changed.\n"
    assert github.comments == {}
    done = laptop.modelci("comment", "--pr", "7", "--always", MODELCI_COMMENT_ON_CHANGE_ONLY="true")
    assert done.out.startswith("Comment created: ")


def test_no_such_pull_request(laptop: Checkout) -> None:
    done = laptop.modelci("comment", "--pr", "99", code=2)
    assert "99" in done.err


def test_a_check_is_set_and_kept(laptop: Checkout, github: FakeGitHub) -> None:
    sha = laptop.git("rev-parse", "HEAD")
    first = laptop.modelci("check", "--start", "--sha", sha)
    assert first.out.startswith("modelci: in progress. The pipeline runs (https://github.com/")
    laptop.modelci("report", "HEAD")
    second = laptop.modelci("check", "--sha", sha, "--json")
    (check,) = github.check_runs
    assert (check["head_sha"], check["status"]) == (sha, "completed")
    assert json.loads(second.out) == {
        "name": "modelci",
        "status": "success",
        "title": check["output"]["title"],
        "kind": "check run",
        "url": check["html_url"],
    }
    laptop.modelci("check", "--failed", "--sha", sha, "--name", "other")
    assert [one["name"] for one in github.check_runs] == ["modelci", "other"]
    assert github.check_runs[1]["conclusion"] == "failure"


def test_a_check_of_no_commit_or_another_is_refused(laptop: Checkout, github: FakeGitHub) -> None:
    assert "--sha" in hint_of(laptop.modelci("check", "--start", code=2))
    assert "The report is of " in laptop.modelci("check", "--sha", "e" * 40, code=2).err
    off = laptop.modelci("check", "--start", "--sha", "e" * 40, "--name", "")
    assert off.out == "comment.check is empty: no check is wanted.\n"
    assert github.check_runs == []


def test_a_check_that_may_not_be_set_is_an_error(laptop: Checkout, github: FakeGitHub) -> None:
    sha = laptop.git("rev-parse", "HEAD")
    for path in ("/check-runs", f"/statuses/{sha}"):
        github.fail("POST", path, 403, "Resource not accessible by integration")
    done = laptop.modelci("check", "--start", "--sha", sha, code=4)
    assert "`checks: write`" in hint_of(done)


def test_no_pull_request(laptop: Checkout) -> None:
    done = laptop.modelci("comment", code=2)
    assert "Which pull request?" in done.err
    assert "--pr" in hint_of(done)


def test_no_token(laptop: Checkout) -> None:
    done = laptop.modelci("comment", "--pr", "7", code=4, GITHUB_TOKEN=None)
    assert "There is no token for GitHub." in done.err
    assert "`GITHUB_TOKEN: ${{ github.token }}`" in hint_of(done)


def test_no_forge(site: World) -> None:
    site.laptop.modelci("report")
    done = site.laptop.modelci("comment", "--pr", "7", code=3)
    assert "Which forge?" in done.err
    assert "forge: {kind: local}" in hint_of(done)


@pytest.mark.parametrize(
    ("status", "said", "message", "hint"),
    [
        (401, "Bad credentials", "does not accept the token", "GITHUB_TOKEN"),
        (403, "Resource not accessible", "GitHub refused POST", "`pull-requests: write`"),
        (404, "Not Found", "or hides it from this token", "Check the repository"),
        (422, "Validation Failed", "GitHub rejects what POST", None),
    ],
)
def test_a_refusal_is_explained_and_not_repeated(
    laptop: Checkout, github: FakeGitHub, status: int, said: str, message: str, hint: str | None
) -> None:
    github.fail("POST", POST, status, said)
    done = laptop.modelci("comment", "--pr", "7", code=4)
    assert message in done.err
    assert hint is None or hint in hint_of(done)
    assert TOKEN not in done.err
    assert sum(one.method == "POST" and one.path.endswith(POST) for one in github.requests) == 1


@pytest.mark.parametrize(
    ("status", "said", "headers"),
    [
        (429, "Too many requests", {"retry-after": "1"}),
        (403, "You have exceeded a secondary rate limit", {"retry-after": "1"}),
        (502, "Bad gateway", {}),
    ],
)
def test_what_passes_by_itself_is_waited_for(
    laptop: Checkout, github: FakeGitHub, status: int, said: str, headers: dict[str, str]
) -> None:
    github.fail("GET", POST, status, said, headers=headers)
    done = laptop.modelci("comment", "--pr", "7")
    assert done.out.startswith("Comment created: ")
    assert "Trying again in 1 s" in done.err


def test_a_wait_that_is_too_long_is_not_begun(laptop: Checkout, github: FakeGitHub) -> None:
    github.fail("GET", POST, 429, "Too many requests", headers={"retry-after": "3600"})
    done = laptop.modelci("comment", "--pr", "7", code=4)
    assert "GitHub limits how often it may be asked" in done.err


def test_the_local_forge_writes_files(site: World) -> None:
    laptop = site.laptop
    laptop.modelci("report")
    refused = laptop.modelci("comment", "--pr", "7", code=2, MODELCI_FORGE_KIND="local")
    path = hint_of(refused).partition("Describe it in ")[2].partition(": {")[0]
    laptop.put({path: json.dumps({"head_sha": laptop.git("rev-parse", "HEAD")})})
    done = laptop.modelci("comment", "--pr", "7", MODELCI_FORGE_KIND="local")
    (comment,) = (laptop.folder / ".modelci" / "forge" / "comments").glob("*.md")
    assert str(comment) in done.out
    assert "## Model report" in comment.read_text(encoding="utf-8")


@pytest.fixture
def illustrated(laptop: Checkout) -> Checkout:
    """The same with a report that has a plot and a picture."""
    report = replace(proven(), head_sha=laptop.git("rev-parse", "HEAD"))
    codec.write(report, laptop.folder / ".modelci" / "report.json")
    return laptop


def test_pictures_are_stored_in_the_repository_and_shown(
    illustrated: Checkout, github: FakeGitHub
) -> None:
    done = illustrated.modelci("comment", "--pr", "7", MODELCI_COMMENT_PICTURES="true")
    assert done.out.startswith("Comment created: ")
    assert "::warning::" not in done.err
    body = github.comments[7][0]["body"]
    shown = re.findall(r"!\[[^\]]*\]\((\S+)\)", body)
    assert shown
    assert all(url.startswith(f"https://github.com/{REPOSITORY}/blob/") for url in shown)
    (branch,) = github.refs
    stored = github.files(branch.removeprefix("refs/heads/"))
    names = {url.partition("?")[0].rpartition("/")[2] for url in shown}
    assert names <= {path.rpartition("/")[2] for path in stored}
    assert "report.html" not in body


def test_pictures_that_may_not_be_stored_are_said_to_be_elsewhere(
    illustrated: Checkout, github: FakeGitHub
) -> None:
    github.fail("POST", "/git/blobs", 403, "Resource not accessible by integration", times=9)
    github.fail("POST", "/git/trees", 403, "Resource not accessible by integration", times=9)
    done = illustrated.modelci("comment", "--pr", "7", MODELCI_COMMENT_PICTURES="true")
    assert done.out.startswith("Comment created: ")
    assert "No pictures in the comment: " in done.err
    assert "`contents: write`" in done.err
    assert "on the page report.html in the run's artifact" in github.comments[7][0]["body"]
