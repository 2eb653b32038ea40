"""``modelci comment``, and a forge that is not well."""

import pytest
from tests.e2e.world import Checkout, World, hint_of
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub

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
    return Checkout(site.laptop.folder, variables)


def test_a_report_is_posted_once_and_then_left_alone(laptop: Checkout, github: FakeGitHub) -> None:
    first = laptop.modelci("comment", "--pr", "7")
    second = laptop.modelci("comment", "--pr", "7")
    (comment,) = github.comments[7]
    assert first.out == f"Comment created: {comment['html_url']}\n"
    assert second.out == f"Comment unchanged: {comment['html_url']}\n"


def test_two_jobs_keep_two_comments(laptop: Checkout, github: FakeGitHub) -> None:
    laptop.modelci("comment", "--pr", "7", "--id", "north")
    laptop.modelci("comment", "--pr", "7", "--id", "south")
    markers = [comment["body"].partition("\n")[0] for comment in github.comments[7]]
    assert markers == ["<!-- modelci:report north -->", "<!-- modelci:report south -->"]


def test_a_dry_run_prints_the_comment(laptop: Checkout, github: FakeGitHub) -> None:
    done = laptop.modelci("comment", "--pr", "7", "--dry-run", GITHUB_TOKEN=None)
    assert done.out.startswith("<!-- modelci:report local/report -->\n## Model report\n")
    assert github.requests == []


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
    done = laptop.modelci("comment", "--pr", "7", MODELCI_FORGE_KIND="local")
    (comment,) = (laptop.folder / ".modelci" / "forge" / "comments").glob("*.md")
    assert str(comment) in done.out
    assert "## Model report" in comment.read_text(encoding="utf-8")
