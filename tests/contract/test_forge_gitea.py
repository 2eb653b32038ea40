"""Gitea's client where the network, the token or Gitea itself misbehaves."""

import io
import logging
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from tests.fakes.gitea_server import BOT, FORK, REPOSITORY, SHA, TOKEN, FakeGitea, serve
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge.gitea import GiteaForge, connect
from modelci.adapters.forge.gitea_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.settings import ForgeSettings
from modelci.config.model import CommentMode
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError, UsageError
from modelci.ports import Check, CheckStatus, Writer

MARKER = "<!-- modelci: report -->"
TAG = "models/credit#prod#7"
COMMENTS = "/issues/7/comments"

GoWrong = Callable[[Callable[[], object]], ForgeError]


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = 1_700_000_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(params=["", "/git"], ids=["at the top", "below a path"])
def gitea(request: pytest.FixtureRequest) -> Iterator[FakeGitea]:
    with serve(FakeGitea(prefix=request.param)) as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def progress() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture
def forge(gitea: FakeGitea, time: Time, progress: RecordedProgress) -> GiteaForge:
    return make_forge(gitea.api_url, time, progress)


def make_forge(
    api_url: str,
    time: Time,
    progress: RecordedProgress,
    *,
    token: str = TOKEN,
    login: str | None = None,
) -> GiteaForge:
    client = ForgeClient(
        "Gitea",
        api_url,
        token,
        judge=judge,
        progress=progress,
        sleep=time.sleep,
        clock=lambda: time.now,
    )
    return GiteaForge(client, REPOSITORY, progress=progress, login=login)


def comment(forge: GiteaForge, text: str = "one") -> str:
    posted = forge.upsert_comment(7, f"{MARKER}\n{text}", marker=MARKER)
    assert posted is not None
    return posted.action


def bodies(gitea: FakeGitea) -> list[str]:
    return [one["body"] for one in gitea.comments.get(7, [])]


@pytest.fixture
def go_wrong(progress: RecordedProgress, caplog: pytest.LogCaptureFixture) -> GoWrong:
    """Run something that fails; whatever then can be read must not hold the token."""

    def run(action: Callable[[], object]) -> ForgeError:
        with caplog.at_level(logging.DEBUG), pytest.raises(ForgeError) as caught:
            action()
        error = caught.value
        texts = [*traceback.format_exception(error), repr(error), repr(error.hint), caplog.text]
        assert not [text for text in [*texts, *progress.warnings] if TOKEN in text]
        return error

    return run


# Comments


def test_a_first_comment_takes_two_requests(gitea: FakeGitea, forge: GiteaForge) -> None:
    assert comment(forge) == "created"
    assert gitea.asked() == [f"GET {COMMENTS}", f"POST {COMMENTS}"]


def test_an_update_asks_who_we_are(gitea: FakeGitea, forge: GiteaForge) -> None:
    gitea.add_comment(7, f"{MARKER}\nold", author=BOT.lower())
    gitea.comments[7][0]["user"]["login"] = BOT
    assert comment(forge) == "updated"
    assert gitea.asked() == [f"GET {COMMENTS}", "GET /user", "PATCH /issues/comments/1001"]


def test_a_known_login_is_not_asked_for(
    gitea: FakeGitea, time: Time, progress: RecordedProgress
) -> None:
    gitea.add_comment(7, f"{MARKER}\nold", author=BOT)
    assert comment(make_forge(gitea.api_url, time, progress, login="ROBOT")) == "updated"
    assert "GET /user" not in gitea.asked()


@pytest.mark.parametrize("pages", [True, False], ids=["with pages", "without pages"])
@pytest.mark.parametrize("totals", [True, False], ids=["with a total", "without a total"])
def test_every_comment_is_read_and_none_for_ever(
    gitea: FakeGitea, forge: GiteaForge, pages: bool, totals: bool
) -> None:
    gitea.has_comment_pages, gitea.tells_totals = pages, totals
    for index in range(250):
        ours = index == 230
        gitea.add_comment(7, f"{MARKER}\nold" if ours else "text", author=BOT if ours else "ann")
    assert comment(forge) == "updated"
    listings = gitea.asked().count(f"GET {COMMENTS}")
    assert listings == (5 if pages else 1) + (0 if totals else 1)


def test_another_author_s_marker_is_left_alone(gitea: FakeGitea, forge: GiteaForge) -> None:
    gitea.add_comment(7, f"{MARKER}\ntheirs", author="eve")
    gitea.add_comment(7, f"{MARKER}\nnobody's", author=None)
    assert comment(forge) == "created"
    assert len(bodies(gitea)) == 3


@pytest.mark.parametrize("status", [403, 404])
def test_a_workflow_s_token_that_is_not_told_who_it_is_is_the_runner_s(
    gitea: FakeGitea, forge: GiteaForge, status: int
) -> None:
    gitea.users[TOKEN] = "forgejo-actions"
    gitea.fail("GET", "/user", status, "only users", times=9)
    gitea.add_comment(7, f"{MARKER}\ntheirs", author="eve")
    assert [comment(forge), comment(forge, "two")] == ["created", "updated"]
    assert bodies(gitea) == [f"{MARKER}\ntheirs", f"{MARKER}\ntwo"]


def test_duplicates_are_deleted_and_the_oldest_kept(gitea: FakeGitea, forge: GiteaForge) -> None:
    for _ in range(3):
        gitea.add_comment(7, f"{MARKER}\nold", author=BOT)
    assert comment(forge) == "updated"
    assert bodies(gitea) == [f"{MARKER}\none"]
    assert gitea.comments[7][0]["id"] == 1001


def test_an_older_run_writes_nothing(gitea: FakeGitea, forge: GiteaForge) -> None:
    newer, older = Writer(run_id=12, attempt=2), Writer(run_id=12, attempt=1)
    forge.upsert_comment(7, "new", marker=MARKER, writer=newer)
    before = bodies(gitea)
    posted = forge.upsert_comment(7, "old", marker=MARKER, writer=older)
    assert posted is not None
    assert posted.action == "outdated"
    assert bodies(gitea) == before


def test_an_older_comment_is_folded_below_a_new_one(gitea: FakeGitea, forge: GiteaForge) -> None:
    for text in ("one", "two"):
        forge.upsert_comment(7, text, marker=MARKER, mode=CommentMode.HIDE_AND_NEW)
    old, new = bodies(gitea)
    assert "<details>" in old
    assert MARKER not in old
    assert new == f"{MARKER}\ntwo"


# What goes wrong


def test_a_wrong_token_is_told_apart(
    gitea: FakeGitea, time: Time, progress: RecordedProgress
) -> None:
    forge = make_forge(gitea.api_url, time, progress, token="other")
    with pytest.raises(ForgeDeniedError, match="does not accept the token") as caught:
        comment(forge)
    assert "GITEA_TOKEN" in (caught.value.hint or "")


def test_a_token_refused_when_asked_who_it_is_is_refused(
    gitea: FakeGitea, forge: GiteaForge, go_wrong: GoWrong
) -> None:
    gitea.add_comment(7, f"{MARKER}\nold", author=BOT)
    gitea.fail("GET", "/user", 401, f"token {TOKEN}")
    assert "does not accept the token" in str(go_wrong(lambda: comment(forge)))
    assert bodies(gitea) == [f"{MARKER}\nold"]


def test_a_refusal_names_the_permission(
    gitea: FakeGitea, forge: GiteaForge, go_wrong: GoWrong
) -> None:
    gitea.fail("POST", COMMENTS, 403, "token does not have at least one of required scope(s)")
    error = go_wrong(lambda: comment(forge))
    assert isinstance(error, ForgeDeniedError)
    assert "`write:issue`" in (error.hint or "")
    assert "fork" in (error.hint or "")


def test_a_limit_is_waited_for_as_long_as_it_says(
    gitea: FakeGitea, forge: GiteaForge, time: Time, progress: RecordedProgress
) -> None:
    gitea.fail("POST", COMMENTS, 429, headers={"Retry-After": "7"})
    assert comment(forge) == "created"
    assert time.slept == [7]
    assert "of 60 s for waiting left" in progress.warnings[0]


def test_a_limit_without_a_time_takes_a_minute(
    gitea: FakeGitea, forge: GiteaForge, time: Time
) -> None:
    gitea.fail("GET", COMMENTS, 429)
    assert comment(forge) == "created"
    assert time.slept == [60]


@pytest.mark.parametrize("after", [True, False], ids=["after it was made", "before it was made"])
@pytest.mark.parametrize("how", ["502", "cut"])
def test_a_post_that_may_have_worked_is_looked_for_before_it_is_sent_again(
    gitea: FakeGitea, forge: GiteaForge, after: bool, how: str
) -> None:
    if how == "cut":
        gitea.hang_up("POST", COMMENTS, after=after)
    else:
        gitea.fail("POST", COMMENTS, 502, "Bad Gateway", after=after)
    assert comment(forge) == "created"
    assert bodies(gitea) == [f"{MARKER}\none"]
    assert gitea.asked().count(f"POST {COMMENTS}") == (1 if after else 2)


def test_a_redirection_elsewhere_gets_no_token(
    gitea: FakeGitea, forge: GiteaForge, go_wrong: GoWrong
) -> None:
    gitea.fail("GET", COMMENTS, 307, headers={"Location": "http://127.0.0.1:9/x"})
    assert "which gets no token of ours" in str(go_wrong(lambda: comment(forge)))


def test_an_answer_of_another_shape_is_an_error(
    gitea: FakeGitea, forge: GiteaForge, go_wrong: GoWrong
) -> None:
    gitea.fail("GET", COMMENTS, 200)
    assert "something unexpected" in str(go_wrong(lambda: comment(forge)))


# Pull requests


def test_a_pull_request_is_described(gitea: FakeGitea, forge: GiteaForge) -> None:
    found = forge.pull_request(7)
    assert (found.number, found.head_sha, found.head_branch) == (7, SHA, "feature")
    assert (found.head_repository, found.base_branch, found.is_open) == (REPOSITORY, "main", True)
    gitea.add_pull(9, state="closed", repository=None)
    closed = forge.pull_request(9)
    assert (closed.head_repository, closed.is_open) == (None, False)


def test_a_number_that_is_none_s_is_a_usage_error(forge: GiteaForge) -> None:
    with pytest.raises(UsageError, match="no pull request #99"):
        forge.pull_request(99)


def test_a_fork_s_pull_request_is_found_by_owner_branch_and_head(
    gitea: FakeGitea, forge: GiteaForge
) -> None:
    for number in range(10, 80):
        gitea.add_pull(number, sha="c" * 40, repository=FORK)
    gitea.add_pull(80, repository=FORK)
    gitea.add_pull(81, repository=None, sha="d" * 40)
    found = forge.find_pull_request(owner="Eve", branch="feature", sha=SHA)
    assert found is not None
    assert (found.number, found.head_repository) == (80, FORK)
    assert forge.find_pull_request(owner="eve", branch="main", sha=SHA) is None
    assert forge.find_pull_request(owner="mallory", branch="feature", sha=SHA) is None
    assert forge.find_pull_request(owner="eve", branch="feature", sha="d" * 40) is None


# Checks, pictures, releases


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (CheckStatus.IN_PROGRESS, "pending"),
        (CheckStatus.SUCCESS, "success"),
        (CheckStatus.FAILURE, "failure"),
        (CheckStatus.NEUTRAL, "success"),
    ],
)
def test_a_check_becomes_a_commit_status(
    gitea: FakeGitea, forge: GiteaForge, status: CheckStatus, state: str
) -> None:
    gitea.fail("POST", f"/statuses/{SHA}", 502)
    check = Check(name="modelci", sha=SHA, status=status, title="worse " * 100)
    assert forge.set_check(check).kind == "commit status"
    (made,) = gitea.statuses
    assert (made["status"], made["context"]) == (state, "modelci")
    assert len(made["description"]) == 255


def test_pictures_have_no_place(gitea: FakeGitea, forge: GiteaForge) -> None:
    with pytest.raises(ForgeDeniedError, match="no place") as caught:
        forge.store_pictures({"roc": b"\x89PNG\r\n\x1a\n"}, keep_days=90)
    assert "report.html" in (caught.value.hint or "")
    assert gitea.requests == []


def test_a_release_needs_its_tag(gitea: FakeGitea, forge: GiteaForge) -> None:
    with pytest.raises(ForgeError, match="has no tag") as caught:
        forge.publish_release(TAG, title="credit", body="text")
    assert caught.value.hint == f"Push it first: git push origin {TAG}"
    assert gitea.releases == {}


def test_a_release_that_may_have_been_made_is_looked_for(
    gitea: FakeGitea, forge: GiteaForge
) -> None:
    gitea.tags.add(TAG)
    gitea.fail("POST", "/releases", 500, after=True)
    assert forge.publish_release(TAG, title="credit", body="text").url.endswith(TAG)
    assert gitea.asked().count("POST /releases") == 1


def test_a_file_of_an_artifact_is_read(gitea: FakeGitea, forge: GiteaForge) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("report.json", b"{}")
    gitea.artifacts[42] = [("other", b"x"), ("modelci", data.getvalue())]
    assert forge.read_artifact(42, "modelci", "report.json", max_bytes=10) == b"{}"
    with pytest.raises(ForgeError, match="has no artifact 'nothing'"):
        forge.read_artifact(42, "nothing", "report.json", max_bytes=10)
    with pytest.raises(ForgeError, match="larger than 1 bytes"):
        forge.read_artifact(42, "modelci", "report.json", max_bytes=1)


def test_a_version_without_artifacts_is_told_apart(
    gitea: FakeGitea, forge: GiteaForge, go_wrong: GoWrong
) -> None:
    gitea.fail("GET", "/artifacts", 404)
    error = go_wrong(lambda: forge.read_artifact(42, "modelci", "report.json", max_bytes=10))
    assert "since 1.24" in (error.hint or "")


# How it is opened


def test_no_token_is_an_error_that_says_where_to_get_one() -> None:
    with pytest.raises(ForgeDeniedError, match="no token") as caught:
        connect(ForgeSettings(progress=RecordedProgress(), repository=REPOSITORY))
    assert "${{ github.token }}" in (caught.value.hint or "")


@pytest.mark.parametrize("repository", ["", "credit", "acme/..", "a/b/c", "a b/c"])
def test_what_is_no_repository_is_refused(repository: str) -> None:
    api_url = "https://gitea.example/api/v1"
    with pytest.raises(ConfigError, match="no repository on Gitea"):
        connect(
            ForgeSettings(
                progress=RecordedProgress(), repository=repository, token=TOKEN, api_url=api_url
            )
        )
