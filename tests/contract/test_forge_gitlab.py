"""GitLab's client where the network, the token or GitLab itself misbehaves."""

import logging
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from tests.fakes.gitlab_server import BOT, FORK, PROJECT, SHA, TOKEN, FakeGitLab, serve
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge.gitlab import GitLabForge, connect
from modelci.adapters.forge.gitlab_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.settings import ForgeSettings
from modelci.config.model import CommentMode
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError, UsageError
from modelci.ports import Check, CheckStatus, Writer

MARKER = "<!-- modelci: report -->"
TAG = "models/credit#prod#7"
NOTES = "/merge_requests/7/notes"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
NOW = 1_700_000_000.0

GoWrong = Callable[[Callable[[], object]], ForgeError]


@dataclass
class Time:
    """A clock that only sleeping moves."""

    now: float = NOW
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture(params=["", "/gitlab"], ids=["at the top", "below a path"])
def gitlab(request: pytest.FixtureRequest) -> Iterator[FakeGitLab]:
    with serve(FakeGitLab(prefix=request.param)) as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def progress() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture
def forge(gitlab: FakeGitLab, time: Time, progress: RecordedProgress) -> GitLabForge:
    return make_forge(gitlab.api_url, time, progress)


def make_forge(
    api_url: str, time: Time, progress: RecordedProgress, *, token: str = TOKEN
) -> GitLabForge:
    client = ForgeClient(
        "GitLab",
        api_url,
        token,
        judge=judge,
        progress=progress,
        sleep=time.sleep,
        clock=lambda: time.now,
    )
    return GitLabForge(client, api_url, PROJECT, progress=progress)


def comment(forge: GitLabForge, text: str = "one") -> str:
    posted = forge.upsert_comment(7, f"{MARKER}\n{text}", marker=MARKER)
    assert posted is not None
    return posted.action


def bodies(gitlab: FakeGitLab) -> list[str]:
    return [note["body"] for note in gitlab.notes.get(7, [])]


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


def test_a_first_comment_takes_two_requests(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    assert comment(forge) == "created"
    assert gitlab.asked() == [f"GET {NOTES}", f"POST {NOTES}"]


def test_an_update_takes_three_requests(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    gitlab.add_note(7, f"{MARKER}\nold", author=BOT)
    assert comment(forge) == "updated"
    assert gitlab.asked() == [f"GET {NOTES}", "GET /user", f"PUT {NOTES}/1001"]


def test_a_comment_s_page_is_found_by_its_address(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    posted = forge.upsert_comment(7, "one", marker=MARKER)
    assert posted is not None
    address = f"{gitlab.url}{gitlab.prefix}/{PROJECT}/-/merge_requests/7#note_1001"
    assert posted.url == address


@pytest.mark.parametrize("believes", ["", "http://gitlab.internal", "http://gitlab.internal/git"])
def test_all_pages_are_read_wherever_gitlab_thinks_it_is(
    gitlab: FakeGitLab, forge: GitLabForge, believes: str
) -> None:
    gitlab.believes = believes
    for index in range(250):
        ours = index == 230
        gitlab.add_note(7, f"{MARKER}\nold" if ours else "text", author=BOT if ours else "ann")
    assert comment(forge) == "updated"
    assert gitlab.asked().count(f"GET {NOTES}") == 3
    assert all("authorization" in request.headers for request in gitlab.requests)


def test_another_author_s_marker_and_the_system_s_are_left_alone(
    gitlab: FakeGitLab, forge: GitLabForge
) -> None:
    gitlab.add_note(7, f"{MARKER}\ntheirs", author="eve")
    gitlab.add_note(7, f"{MARKER}\nsystem", author=BOT, system=True)
    gitlab.add_note(7, f"{MARKER}\nnobody's", author=None)
    assert comment(forge) == "created"
    assert len(bodies(gitlab)) == 4


def test_duplicates_are_deleted_and_the_oldest_kept(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    for _ in range(3):
        gitlab.add_note(7, f"{MARKER}\nold", author=BOT)
    assert comment(forge) == "updated"
    assert bodies(gitlab) == [f"{MARKER}\none"]
    assert gitlab.notes[7][0]["id"] == 1001


def test_an_older_run_writes_nothing(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    newer, older = Writer(run_id=12, head_sha=SHA), Writer(run_id=11, head_sha=SHA)
    forge.upsert_comment(7, "new", marker=MARKER, writer=newer)
    before = bodies(gitlab)
    posted = forge.upsert_comment(7, "old", marker=MARKER, writer=older)
    assert posted is not None
    assert posted.action == "outdated"
    assert bodies(gitlab) == before


def test_an_older_comment_is_folded_below_a_new_one(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    mode = CommentMode.HIDE_AND_NEW
    for text in ("one", "two"):
        forge.upsert_comment(7, text, marker=MARKER, mode=mode)
    old, new = bodies(gitlab)
    assert "<details>" in old
    assert MARKER not in old
    assert "one" in old
    assert new == f"{MARKER}\ntwo"


def test_no_line_is_a_command_to_gitlab(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    hostile = "text\n/merge\n/close now\n```\n/approve\n```\na/b, see acme/other!12 ![](x.png)"
    assert [comment(forge, hostile), comment(forge, hostile)] == ["created", "unchanged"]
    assert not [line for line in bodies(gitlab)[0].split("\n") if line.startswith("/")]
    assert "!12" not in bodies(gitlab)[0]
    assert "![](x.png)" in bodies(gitlab)[0]


def test_a_comment_that_is_too_long_is_refused_before_it_is_sent(
    gitlab: FakeGitLab, forge: GitLabForge
) -> None:
    with pytest.raises(ForgeError, match="1,000,0") as caught:
        comment(forge, "x" * 1_000_000)
    assert "report.max_bytes" in (caught.value.hint or "")
    assert gitlab.requests == []


# What goes wrong


def test_a_wrong_token_is_told_apart(
    gitlab: FakeGitLab, time: Time, progress: RecordedProgress
) -> None:
    forge = make_forge(gitlab.api_url, time, progress, token="glpat-other")
    with pytest.raises(ForgeDeniedError, match="does not accept the token") as caught:
        comment(forge)
    assert "masked variable GITLAB_TOKEN" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("path", "needs"),
    [(NOTES, "the role Reporter"), ("/statuses/" + SHA, "the role Developer")],
)
def test_a_refusal_names_scope_and_role(
    gitlab: FakeGitLab, forge: GitLabForge, go_wrong: GoWrong, path: str, needs: str
) -> None:
    gitlab.fail("POST", path, 403, "403 Forbidden")
    check = Check(name="modelci", sha=SHA, status=CheckStatus.SUCCESS, title="fine")
    error = go_wrong(lambda: (forge.set_check(check), comment(forge)))
    assert isinstance(error, ForgeDeniedError)
    assert "scope `api`" in (error.hint or "")
    assert needs in (error.hint or "")


def test_words_of_gitlab_reach_the_error_without_the_token(
    gitlab: FakeGitLab, forge: GitLabForge, go_wrong: GoWrong
) -> None:
    gitlab.fail("POST", NOTES, 400, {"note": [f"bad\n\x1b[31m {TOKEN}"]})
    error = go_wrong(lambda: comment(forge))
    assert "***" in str(error)
    assert str(error).isprintable()


def test_a_limit_is_waited_for_as_long_as_it_says(
    gitlab: FakeGitLab, forge: GitLabForge, time: Time, progress: RecordedProgress
) -> None:
    gitlab.fail("POST", NOTES, 429, "Retry later", headers={"Retry-After": "7"})
    reset = {"RateLimit-Reset": str(int(NOW) + 11)}
    gitlab.fail("GET", NOTES, 429, "Retry later", headers=reset)
    assert comment(forge) == "created"
    assert time.slept == [12, 7]
    assert "of 60 s for waiting left" in progress.warnings[0]
    assert len(bodies(gitlab)) == 1


def test_a_limit_that_outlasts_the_budget_ends_it(
    gitlab: FakeGitLab, forge: GitLabForge, time: Time, go_wrong: GoWrong
) -> None:
    gitlab.fail("GET", NOTES, 429, "Retry later", headers={"Retry-After": "3600"})
    assert "would have to wait 3600 s" in str(go_wrong(lambda: comment(forge)))
    assert time.slept == []


@pytest.mark.parametrize("after", [True, False], ids=["after it was made", "before it was made"])
@pytest.mark.parametrize("how", ["502", "cut"])
def test_a_post_that_may_have_worked_is_looked_for_before_it_is_sent_again(
    gitlab: FakeGitLab, forge: GitLabForge, after: bool, how: str
) -> None:
    if how == "cut":
        gitlab.hang_up("POST", NOTES, after=after)
    else:
        gitlab.fail("POST", NOTES, 502, "Bad Gateway", after=after)
    assert comment(forge) == "created"
    assert bodies(gitlab) == [f"{MARKER}\none"]
    assert gitlab.asked().count(f"POST {NOTES}") == (1 if after else 2)


def test_a_reading_that_breaks_down_is_repeated(
    gitlab: FakeGitLab, forge: GitLabForge, time: Time
) -> None:
    gitlab.fail("GET", NOTES, 503, times=2)
    assert comment(forge) == "created"
    assert time.slept == [1, 2]


@pytest.mark.parametrize("target", ["http://127.0.0.1:9/x", "http://localhost/x"])
def test_a_redirection_elsewhere_gets_no_token(
    gitlab: FakeGitLab, forge: GitLabForge, go_wrong: GoWrong, target: str
) -> None:
    gitlab.fail("GET", NOTES, 302, headers={"Location": target})
    assert "which gets no token of ours" in str(go_wrong(lambda: comment(forge)))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", NOTES, {"message": "no list"}), ("POST", NOTES, {"id": "x"}), ("GET", NOTES, [1])],
)
def test_an_answer_of_another_shape_is_an_error(
    gitlab: FakeGitLab, forge: GitLabForge, go_wrong: GoWrong, method: str, path: str, body: object
) -> None:
    gitlab.fail(method, path, 200)
    gitlab.faults[0].reply = type(gitlab.faults[0].reply)(body=body)  # type: ignore[misc]
    assert "something unexpected" in str(go_wrong(lambda: comment(forge)))


# Merge requests


def test_a_merge_request_is_described(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    found = forge.pull_request(7)
    assert (found.number, found.head_sha, found.head_branch) == (7, SHA, "feature")
    assert (found.head_repository, found.base_branch, found.is_open) == (PROJECT, "main", True)
    gitlab.add_merge_request(9, state="merged", source_project_id=None)
    merged = forge.pull_request(9)
    assert (merged.head_repository, merged.is_open) == (None, False)


def test_a_number_that_is_none_s_is_a_usage_error(forge: GitLabForge) -> None:
    with pytest.raises(UsageError, match="no merge request !99"):
        forge.pull_request(99)


def test_a_fork_s_merge_request_is_found_by_owner_branch_and_head(
    gitlab: FakeGitLab, forge: GitLabForge
) -> None:
    gitlab.add_merge_request(7, source_branch="other")
    gitlab.add_merge_request(8, source_branch="other")
    gitlab.add_merge_request(9, sha="c" * 40)
    gitlab.add_merge_request(10, source_project_id=8)
    gitlab.add_merge_request(11, source_project_id=99, sha="d" * 40)
    found = forge.find_pull_request(owner=FORK.split("/")[0], branch="feature", sha=SHA)
    assert found is not None
    assert (found.number, found.head_repository) == (10, FORK)
    assert forge.find_pull_request(owner="mallory", branch="feature", sha=SHA) is None
    assert forge.find_pull_request(owner="eve", branch="feature", sha="e" * 40) is None
    assert forge.find_pull_request(owner="eve", branch="feature", sha="d" * 40) is None


# Checks, pictures, releases


def test_a_check_becomes_a_commit_status(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    def check(status: CheckStatus, title: str) -> Check:
        return Check(
            name="modelci", sha=SHA, status=status, title=title, url="https://ci.example/1"
        )

    # Two starts: older versions of GitLab refuse the second.
    for _ in range(2):
        posted = forge.set_check(check(CheckStatus.IN_PROGRESS, "running"))
    assert (posted.kind, posted.url) == ("commit status", "https://ci.example/1")
    forge.set_check(check(CheckStatus.FAILURE, "worse " * 100))
    (status,) = gitlab.statuses
    assert (status["status"], status["sha"], status["name"]) == ("failed", SHA, "modelci")
    assert len(status["description"]) == 255
    forge.set_check(check(CheckStatus.NEUTRAL, "who knows"))
    assert gitlab.statuses[-1]["status"] == "success"


def test_a_status_that_is_refused_otherwise_is_an_error(
    gitlab: FakeGitLab, forge: GitLabForge, go_wrong: GoWrong
) -> None:
    gitlab.fail("POST", "/statuses/" + SHA, 400, "Cannot transition status via :drop")
    check = Check(name="modelci", sha=SHA, status=CheckStatus.FAILURE, title="worse")
    assert "Cannot transition" in str(go_wrong(lambda: forge.set_check(check)))


def test_pictures_are_uploaded_once_each_and_named_by_their_address(
    gitlab: FakeGitLab, forge: GitLabForge
) -> None:
    gitlab.fail("POST", "/uploads", 502, after=True)
    pictures = {"roc": PNG, "same as roc": PNG, "loss": PNG + b"!"}
    addresses = forge.store_pictures(pictures, keep_days=90)
    assert list(addresses) == list(pictures)
    assert addresses["roc"] == addresses["same as roc"] != addresses["loss"]
    assert {data for _, data in gitlab.uploads} == {PNG, PNG + b"!"}
    start = f"{gitlab.url}{gitlab.prefix}/-/project/7/uploads/"
    assert all(address.startswith(start) for address in addresses.values())
    assert all(address.endswith(".png") for address in addresses.values())


def test_what_is_no_picture_is_not_uploaded(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    with pytest.raises(ForgeError, match="no picture"):
        forge.store_pictures({"page": b"<html><script>"}, keep_days=90)
    assert gitlab.uploads == []


def test_a_release_needs_its_tag(gitlab: FakeGitLab, forge: GitLabForge) -> None:
    with pytest.raises(ForgeError, match="has no tag") as caught:
        forge.publish_release(TAG, title="credit", body="text")
    assert caught.value.hint == f"Push it first: git push origin {TAG}"
    assert gitlab.releases == {}


def test_a_release_that_may_have_been_made_is_looked_for(
    gitlab: FakeGitLab, forge: GitLabForge
) -> None:
    gitlab.tags.add(TAG)
    gitlab.fail("POST", "/releases", 500, after=True)
    released = forge.publish_release(TAG, title="credit", body="text")
    assert released.url.endswith(f"/-/releases/{TAG}")
    assert gitlab.asked().count("POST /releases") == 1


def test_an_artifact_is_not_to_be_had(forge: GitLabForge) -> None:
    with pytest.raises(ForgeError, match="no other pipeline's artifacts") as caught:
        forge.read_artifact(1, "modelci", "report.json", max_bytes=1)
    assert "needs:" in (caught.value.hint or "")


# How it is opened


@pytest.mark.parametrize("token", [None, "", "  ", "glcbt-64_abc"])
def test_a_job_s_own_token_will_not_do(token: str | None) -> None:
    with pytest.raises(ForgeDeniedError) as caught:
        connect(settings(token=token))
    assert "project access token" in (caught.value.hint or "")
    assert "CI_JOB_TOKEN cannot" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("api_url", "problem"),
    [
        ("https://gitlab.example", "does not end in /api/v4"),
        ("http://gitlab.example/api/v4", "without encryption"),
        ("https://a:b@gitlab.example/api/v4", "user name or password"),
    ],
)
def test_an_address_that_would_not_do_is_refused(api_url: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        connect(settings(api_url=api_url))


@pytest.mark.parametrize("project", ["", "credit", "acme/../x", "acme/..", "a b/c", "/acme/credit"])
def test_what_is_no_project_is_refused(project: str) -> None:
    with pytest.raises(ConfigError, match="no project on GitLab"):
        connect(settings(repository=project))


def settings(
    *,
    api_url: str = "https://gitlab.example/api/v4",
    token: str | None = TOKEN,
    repository: str = PROJECT,
) -> ForgeSettings:
    return ForgeSettings(
        progress=RecordedProgress(), api_url=api_url, token=token, repository=repository
    )


def test_without_python_gitlab_the_error_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['gitlab'] = None\n"
        "from modelci.adapters.forge import FORGES, ForgeSettings\n"
        "from modelci.adapters.progress import SilentProgress\n"
        "from modelci.errors import ConfigError\n"
        "try: FORGES['gitlab'](ForgeSettings(progress=SilentProgress()))\n"
        "except ConfigError as error: print(error.hint)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "pip install 'modelci[gitlab]'\n"
