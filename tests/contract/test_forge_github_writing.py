"""What GitHub's client writes beside comments: checks and pictures; and how often it asks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from tests.fakes.github_server import (
    BOT,
    REPOSITORY,
    TOKEN,
    FakeGitHub,
    Fault,
    Reply,
    Request,
    serve,
)
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge.github import HEADERS, GitHubForge, find_server_url
from modelci.adapters.forge.github_checks import cut_text
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.config.model import CommentMode
from modelci.errors import ForgeDeniedError, ForgeError, UsageError
from modelci.ports import Check, CheckStatus, PostedCheck, Writer

MARKER = "<!-- modelci:report credit -->"
COMMENTS = "/issues/7/comments"
SHA = "0123456789abcdef0123456789abcdef01234567"
RUNS = f"/commits/{SHA}/check-runs"
STATUSES = f"/statuses/{SHA}"
REFUSED = "Resource not accessible by integration"
REFS = "/git/matching-refs/heads/modelci/pictures-"
BRANCH = "modelci/pictures-2026-11"
PNG = b"\x89PNG\r\n\x1a\n"
SVG = b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>"


def seconds(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


@dataclass
class Time:
    now: float = seconds("2026-11-23")
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with serve(FakeGitHub()) as server:
        yield server


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def progress() -> RecordedProgress:
    return RecordedProgress()


@pytest.fixture
def make(github: FakeGitHub, time: Time, progress: RecordedProgress) -> Callable[[], GitHubForge]:
    """Make the forge of another job."""

    def make_forge() -> GitHubForge:
        client = ForgeClient(
            "GitHub",
            github.api_url,
            TOKEN,
            judge=judge,
            progress=progress,
            headers=HEADERS,
            sleep=time.sleep,
            clock=lambda: time.now,
        )
        return GitHubForge(client, REPOSITORY, clock=lambda: time.now)

    return make_forge


@pytest.fixture
def forge(make: Callable[[], GitHubForge]) -> GitHubForge:
    return make()


def make_request(*, query: str = "", body: object = None) -> Request:
    return Request(method="GET", path="", query=query, headers={}, body=body)


def write(
    forge: GitHubForge, text: str, *, run: int, mode: CommentMode = CommentMode.UPDATE
) -> str | None:
    writer = Writer(run_id=run, head_sha=SHA)
    posted = forge.upsert_comment(7, text, marker=MARKER, writer=writer, mode=mode)
    return posted.action if posted else None


# Comments


def test_an_update_with_its_look_at_the_pull_request_takes_three_requests(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    write(make(), "one", run=1)
    github.requests.clear()
    forge = make()
    assert forge.pull_request(7).head_sha == "a" * 40
    assert write(forge, "two", run=2) == "updated"
    assert github.asked() == ["POST /graphql", f"GET {COMMENTS}", "PATCH /issues/comments/1001"]


def test_a_first_comment_with_its_look_at_the_pull_request_takes_three_requests(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    forge.pull_request(7)
    write(forge, "one", run=1)
    assert github.asked() == ["POST /graphql", f"GET {COMMENTS}", f"POST {COMMENTS}"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=403, body={"message": REFUSED}),
        Reply(body={"data": None, "errors": [{"type": "FORBIDDEN"}]}),
        Reply(body={"data": {"viewer": {"login": BOT}, "repository": None}}),
        Reply(body=b"<html>"),
    ],
)
def test_without_graphql_the_pull_request_is_read_by_rest(
    github: FakeGitHub, forge: GitHubForge, reply: Reply
) -> None:
    github.add_pull(9, sha=SHA, repository="eve/credit", base="release", state="closed")
    github.faults.append(Fault(method="POST", path="/graphql", reply=reply))
    pull = forge.pull_request(9)
    assert (pull.head_sha, pull.head_repository, pull.base_branch) == (SHA, "eve/credit", "release")
    assert not pull.is_open
    assert github.asked() == ["POST /graphql", "GET /pulls/9"]


def test_a_deleted_fork_has_no_repository(github: FakeGitHub, forge: GitHubForge) -> None:
    github.add_pull(9, sha=SHA, repository=None, owner="eve")
    first = forge.pull_request(9)
    assert first.head_repository is None
    # The description says that there always is one, and GitHub sends null.
    reply = Reply(body=github.pulls[9])
    github.faults.append(Fault(method="GET", path="/pulls/9", reply=reply))
    assert forge.pull_request(9) == first
    assert github.asked() == ["POST /graphql", "GET /pulls/9"]


def test_an_unknown_number_names_what_to_check(forge: GitHubForge) -> None:
    with pytest.raises(UsageError, match="/pulls/99") as caught:
        forge.pull_request(99)
    assert "number" in (caught.value.hint or "")


def test_of_a_branch_proposed_twice_the_newest_is_found(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    for number, base in ((21, "main"), (22, "release")):
        github.add_pull(number, sha=SHA, branch="a/b&c", repository="Eve/credit", base=base)
    found = forge.find_pull_request(owner="Eve", branch="a/b&c", sha=SHA)
    assert found is not None
    assert (found.number, found.base_branch) == (22, "release")
    assert len(github.requests) == 1


def test_a_list_that_ignores_the_filter_finds_nobody_elses(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.add_pull(21, sha=SHA, branch="tune", repository="eve/credit")
    listed = FakeGitHub.list_pulls(github, make_request(query="state=open"))
    for owner, branch in (("mallory", "tune"), ("eve", "other")):
        github.faults.append(Fault(method="GET", path="/pulls", reply=listed))
        assert forge.find_pull_request(owner=owner, branch=branch, sha=SHA) is None


@pytest.mark.parametrize("may_minimize", [True, False])
def test_an_older_comment_is_minimised_or_folded_away(
    github: FakeGitHub, forge: GitHubForge, *, may_minimize: bool
) -> None:
    github.may_minimize = may_minimize
    for run in (1, 2, 3):
        write(forge, f"run {run}", run=run, mode=CommentMode.HIDE_AND_NEW)
    assert github.minimized == (["IC_1001", "IC_1002"] if may_minimize else [])
    bodies = [one["body"] for one in github.comments[7]]
    assert ["<details>" in body for body in bodies] == [not may_minimize] * 2 + [False]
    assert [MARKER in body for body in bodies] == [False, False, True]


def test_an_edit_that_adds_a_line_of_state_stays_within_the_limit(forge: GitHubForge) -> None:
    with pytest.raises(ForgeError, match="65,536"):
        write(forge, "x" * (65_536 - len(MARKER) - 1), run=1)


def test_a_duplicate_that_is_gone_by_now_is_no_error(
    github: FakeGitHub, forge: GitHubForge, progress: RecordedProgress
) -> None:
    for _ in range(3):
        github.add_comment(7, f"{MARKER}\nold", author=BOT)
    github.fail("DELETE", "/issues/comments/1002", 404, "Not Found")
    github.fail("DELETE", "/issues/comments/1003", 403, REFUSED)
    assert write(forge, "new", run=1) == "updated"
    (warning,) = progress.warnings
    assert "could not delete it" in warning


# Checks


def set_check(forge: GitHubForge, status: CheckStatus, **fields: str) -> PostedCheck:
    given = {"title": "Title", "summary": "**Summary**", **fields}
    return forge.set_check(Check(name="modelci / credit", sha=SHA, status=status, **given))


def test_a_check_run_is_found_again_by_the_next_job(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    posted = [
        set_check(make(), status, url="https://github.com/acme/credit/actions/runs/5")
        for status in (CheckStatus.IN_PROGRESS, CheckStatus.SUCCESS, CheckStatus.IN_PROGRESS)
    ]
    (run,) = github.check_runs
    assert {one.kind for one in posted} == {"check run"}
    assert {one.url for one in posted} == {run["html_url"]}
    assert (run["status"], run["conclusion"]) == ("in_progress", None)
    assert run["details_url"].endswith("/runs/5")
    assert github.asked() == [
        *(f"GET {RUNS}", "POST /check-runs"),
        *(f"GET {RUNS}", "PATCH /check-runs/1001") * 2,
    ]


@pytest.mark.parametrize("status", list(CheckStatus)[1:])
def test_a_completed_check_run_has_its_conclusion(
    github: FakeGitHub, forge: GitHubForge, status: CheckStatus
) -> None:
    set_check(forge, status)
    (run,) = github.check_runs
    assert (run["status"], run["conclusion"]) == ("completed", status.value)
    assert (run["output"]["title"], run["output"]["summary"]) == ("Title", "**Summary**")


def test_a_workflows_job_of_the_same_name_is_not_ours(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    job = {"name": "modelci / credit", "head_sha": SHA, "status": "in_progress"}
    github.create_check_run(make_request(body=job))
    set_check(forge, CheckStatus.SUCCESS)
    assert [one["conclusion"] for one in github.check_runs] == [None, "success"]


@pytest.mark.parametrize("after", [False, True])
def test_after_a_lost_reply_the_check_run_is_looked_for(
    github: FakeGitHub, forge: GitHubForge, *, after: bool
) -> None:
    github.hang_up("POST", "/check-runs", after=after)
    set_check(forge, CheckStatus.FAILURE)
    (run,) = github.check_runs
    assert run["conclusion"] == "failure"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", RUNS), ("POST", "/check-runs"), ("PATCH", "/check-runs/1001")]
)
@pytest.mark.parametrize(
    "message", [REFUSED, "You must authenticate via a GitHub App.", "Resource not accessible"]
)
def test_where_check_runs_are_refused_a_commit_status_says_it(
    github: FakeGitHub, forge: GitHubForge, method: str, path: str, message: str
) -> None:
    if method == "PATCH":
        set_check(forge, CheckStatus.IN_PROGRESS)
    github.fail(method, path, 403, message, times=99)
    url = "https://example.com/run"
    for status in CheckStatus:
        assert set_check(forge, status, url=url) == PostedCheck(kind="commit status", url=url)
    assert [one["state"] for one in github.statuses] == ["pending", "success", "failure", "success"]
    assert {one["context"] for one in github.statuses} == {"modelci / credit"}
    refused = [one for one in github.asked() if one == f"{method} {path}"]
    assert len(refused) == 1  # it is not asked for what was refused before


def test_where_both_are_refused_the_permissions_are_named(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.fail("GET", RUNS, 403, REFUSED)
    github.fail("POST", STATUSES, 403, REFUSED, times=2)
    for _ in range(2):
        with pytest.raises(ForgeDeniedError) as caught:
            set_check(forge, CheckStatus.SUCCESS)
        assert "`checks: write` or `statuses: write`" in (caught.value.hint or "")


def test_texts_are_cut_to_what_github_takes(github: FakeGitHub, forge: GitHubForge) -> None:
    line = "AUC ↑ 👍🏽 \udcff\n"
    set_check(forge, CheckStatus.SUCCESS, title=line * 100, summary=line * 10_000)
    (run,) = github.check_runs
    summary = run["output"]["summary"]
    assert 60_000 < len(summary.encode()) <= 65_535
    assert summary.endswith("AUC ↑ 👍🏽 ?\n\n… (cut)")
    assert len(run["output"]["title"]) == 255
    github.fail("GET", RUNS, 403, REFUSED)
    set_check(forge, CheckStatus.SUCCESS, title=line * 100)
    (status,) = github.statuses
    assert len(status["description"]) == 140
    assert status["description"].endswith("…")


@pytest.mark.parametrize("text", ["", "x", "x" * 100, "é" * 50])
def test_a_text_that_fits_is_not_cut(text: str) -> None:
    assert cut_text(text, 100) == text


@pytest.mark.parametrize("text", ["x" * 101, "é" * 51, "👍" * 30, "a\n" * 60, "\n" + "x" * 200])
def test_a_cut_text_is_whole_and_fits(text: str) -> None:
    cut = cut_text(text, 100)
    assert len(cut.encode()) <= 100
    kept = cut.removesuffix("\n\n… (cut)")
    assert text.startswith(kept)
    assert len(kept.encode()) >= 40


# Pictures


def test_first_pictures_make_an_orphan_branch(github: FakeGitHub, forge: GitHubForge) -> None:
    stored = forge.store_pictures({"roc": PNG, "loss": SVG}, keep_days=90)
    assert github.asked() == [
        *(f"GET {REFS}", "POST /git/blobs", "POST /git/trees"),
        *("POST /git/commits", "POST /git/refs"),
    ]
    sha = github.refs[f"refs/heads/{BRANCH}"]
    commit = github.objects[sha]
    assert commit["parents"] == []
    assert "[skip ci]" in commit["message"]
    assert sorted(github.files(BRANCH).values()) == sorted([PNG, SVG])
    for name, end in (("roc", ".png"), ("loss", ".svg")):
        assert stored[name].startswith(f"{github.url}/{REPOSITORY}/blob/{sha}/")
        assert stored[name].endswith(f"{end}?raw=true")


def test_further_pictures_build_on_the_months_branch(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    make().store_pictures({"roc": PNG}, keep_days=90)
    first = github.refs[f"refs/heads/{BRANCH}"]
    make().store_pictures({"roc": PNG, "new": PNG + b"2"}, keep_days=90)
    second = github.refs[f"refs/heads/{BRANCH}"]
    assert github.objects[second]["parents"] == [first]
    assert sorted(github.files(BRANCH).values()) == [PNG, PNG + b"2"]


def test_what_is_there_already_is_not_written_again(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    first = make().store_pictures({"a": PNG, "b": SVG}, keep_days=90)
    github.requests.clear()
    assert make().store_pictures({"b": SVG}, keep_days=90) == {"b": first["b"]}
    assert {request.method for request in github.requests} == {"GET"}


def test_equal_pictures_are_stored_once(github: FakeGitHub, forge: GitHubForge) -> None:
    stored = forge.store_pictures({"a": PNG, "b": PNG}, keep_days=90)
    assert stored["a"] == stored["b"]
    assert len(github.files(BRANCH)) == 1


@pytest.mark.parametrize("keep_days", [0, 1, 30, 90])
def test_months_wholly_older_than_kept_are_deleted(
    github: FakeGitHub, make: Callable[[], GitHubForge], time: Time, keep_days: int
) -> None:
    for month in ("2025-12", "2026-07", "2026-08", "2026-09", "2026-10"):
        time.now = seconds(f"{month}-15")
        make().store_pictures({"a": PNG}, keep_days=9_999)
    github.refs["refs/heads/modelci/pictures-by-hand"] = "f" * 40
    github.refs["refs/heads/modelci/pictures-2026-07-x"] = "f" * 40
    time.now = seconds("2026-11-29")
    make().store_pictures({"a": PNG}, keep_days=keep_days)
    left = [name.removeprefix("refs/heads/modelci/pictures-") for name in github.refs]
    kept = {0: [], 1: [], 30: ["2026-10"], 90: ["2026-08", "2026-09", "2026-10"]}[keep_days]
    assert sorted(left) == sorted([*kept, "2026-07-x", "2026-11", "by-hand"])


def test_a_month_that_cannot_be_deleted_is_only_told_of(
    github: FakeGitHub, make: Callable[[], GitHubForge], time: Time, progress: RecordedProgress
) -> None:
    time.now = seconds("2026-01-01")
    make().store_pictures({"a": PNG}, keep_days=9)
    time.now = seconds("2026-11-23")
    github.fail("DELETE", "pictures-2026-01", 422, "Reference does not exist")
    assert make().store_pictures({"a": PNG}, keep_days=9)
    assert "pictures of 2026-01 could not be removed" in progress.warnings[0]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_race_is_lost_once_and_then_won(
    github: FakeGitHub, make: Callable[[], GitHubForge], time: Time, *, is_first: bool
) -> None:
    if not is_first:
        make().store_pictures({"old": PNG + b"0"}, keep_days=90)
    raced: list[Request] = []

    def be_faster(server: FakeGitHub, request: Request) -> None:
        if not raced and request.path.endswith("/git/commits") and request.method == "POST":
            raced.append(request)
            make().store_pictures({"theirs": PNG + b"1"}, keep_days=90)

    github.before = be_faster
    make().store_pictures({"ours": PNG + b"2"}, keep_days=90)
    wanted = {PNG + b"1", PNG + b"2"} | (set() if is_first else {PNG + b"0"})
    assert set(github.files(BRANCH).values()) == wanted
    assert time.slept == [1]


def test_a_race_that_is_always_lost_ends(
    github: FakeGitHub, forge: GitHubForge, time: Time
) -> None:
    github.fail("POST", "/git/refs", 422, "Reference already exists", times=99)
    with pytest.raises(ForgeError, match="somebody was faster"):
        forge.store_pictures({"a": PNG}, keep_days=90)
    assert sum(one == "POST /git/refs" for one in github.asked()) == 5
    assert not github.refs


@pytest.mark.parametrize("after", [False, True])
def test_after_a_lost_reply_the_branch_is_looked_for(
    github: FakeGitHub, forge: GitHubForge, *, after: bool
) -> None:
    github.hang_up("POST", "/git/refs", after=after)
    stored = forge.store_pictures({"a": PNG}, keep_days=90)
    assert github.refs[f"refs/heads/{BRANCH}"] in stored["a"]


@pytest.mark.parametrize(("method", "path"), [("GET", REFS), ("POST", "/blobs"), ("POST", "/refs")])
def test_denied_pictures_name_their_permission(
    github: FakeGitHub, forge: GitHubForge, method: str, path: str
) -> None:
    github.fail(method, path, 403, REFUSED)
    with pytest.raises(ForgeDeniedError) as caught:
        forge.store_pictures({"a": PNG}, keep_days=90)
    assert "`contents: write`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("api_url", "server_url"),
    [
        ("https://api.github.com", "https://github.com"),
        ("https://api.github.com/", "https://github.com"),
        ("https://ghe.example/api/v3", "https://ghe.example"),
        ("https://ghe.example:8443/api/v3/", "https://ghe.example:8443"),
        ("https://api.acme.ghe.com", "https://acme.ghe.com"),
        ("https://api.example.com/api/v3", "https://api.example.com"),
    ],
)
def test_people_look_where_the_apis_address_says(api_url: str, server_url: str) -> None:
    assert find_server_url(api_url) == server_url


# Starting workflows


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [
        (403, "Resource not accessible by integration", "Write `actions: write`"),
        (404, "Not Found", "Is deploy.yml among the workflows of the default branch?"),
        (422, "Workflow does not have 'workflow_dispatch' trigger", "inputs: {tag: {}}"),
        (422, 'Unexpected inputs provided: ["tag"]', "inputs: {tag: {}}"),
        (422, "No ref found for: credit#prod#1", "Look at the runs of deploy.yml"),
        (502, "Bad gateway", "Look at the runs of deploy.yml"),
    ],
)
def test_a_workflow_that_is_not_started_is_asked_for_once(
    github: FakeGitHub, forge: GitHubForge, status: int, said: str, hint: str
) -> None:
    github.fail("POST", "/dispatches", status, said, times=2)
    with pytest.raises(ForgeError) as raised:
        forge.dispatch("deploy.yml", tag="credit#prod#1", inputs={"tag": "credit#prod#1"})
    assert hint in (raised.value.hint or "")
    assert github.asked() == ["POST /actions/workflows/deploy.yml/dispatches"]
    assert isinstance(raised.value, ForgeDeniedError) == (status == 403)


def test_a_pull_request_that_is_not_merged_has_no_labels_to_give(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.add_merge(7, SHA, "modelci:major")
    github.pulls[7]["merged_at"] = None
    assert forge.labels_of(SHA) == ()
