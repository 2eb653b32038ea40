"""GitHub's client where the network, the token or GitHub itself misbehaves."""

import logging
import socket
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pytest
from tests.fakes.github_server import BOT, REPOSITORY, TOKEN, FakeGitHub, Fault, Reply, serve
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge.github import HEADERS, GitHubForge, connect
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.settings import ForgeSettings
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError

MARKER = "<!-- modelci: report -->"
TAG = "credit#prod#7"
COMMENTS = "/issues/7/comments"
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
def forge(github: FakeGitHub, time: Time, progress: RecordedProgress) -> GitHubForge:
    return make_forge(github.api_url, time, progress)


def make_forge(
    api_url: str,
    time: Time,
    progress: RecordedProgress,
    *,
    token: str = TOKEN,
    login: str | None = None,
    likely_login: str | None = None,
) -> GitHubForge:
    client = ForgeClient(
        "GitHub",
        api_url,
        token,
        judge=judge,
        progress=progress,
        headers=HEADERS,
        sleep=time.sleep,
        clock=lambda: time.now,
    )
    return GitHubForge(client, REPOSITORY, login=login, likely_login=likely_login)


def comment(forge: GitHubForge, text: str = "one") -> str:
    posted = forge.upsert_comment(7, f"{MARKER}\n{text}", marker=MARKER)
    assert posted is not None
    return posted.action


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


# How many requests


def test_a_first_comment_takes_two_requests(github: FakeGitHub, forge: GitHubForge) -> None:
    assert comment(forge) == "created"
    assert github.asked() == [f"GET {COMMENTS}", f"POST {COMMENTS}"]


def test_an_update_takes_three_requests(github: FakeGitHub, forge: GitHubForge) -> None:
    for index in range(99):
        ours = index == 50
        text = f"{MARKER}\nold" if ours else f"comment {index}"
        github.add_comment(7, text, author=BOT if ours else "someone")
    assert comment(forge) == "updated"
    assert github.asked() == [
        f"GET {COMMENTS}",
        "POST /graphql",
        "PATCH /issues/comments/1051",
    ]


def test_an_update_takes_two_requests_when_the_login_is_known(
    github: FakeGitHub, time: Time, progress: RecordedProgress
) -> None:
    github.add_comment(7, f"{MARKER}\nold", author=BOT)
    assert comment(make_forge(github.api_url, time, progress, login="GitHub-Actions[bot]")) == (
        "updated"
    )
    assert github.asked() == [f"GET {COMMENTS}", "PATCH /issues/comments/1001"]


def test_an_equal_comment_takes_two_requests(github: FakeGitHub, forge: GitHubForge) -> None:
    github.add_comment(7, f"{MARKER}\r\none\r\n", author=BOT)
    assert comment(forge) == "unchanged"
    assert github.asked() == [f"GET {COMMENTS}", "POST /graphql"]


def test_all_pages_are_read_and_the_login_is_asked_once(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    for index in range(250):
        quoting = f"{MARKER}\nquoted" if index % 100 == 0 else "text"
        github.add_comment(7, quoting, author="someone")
    assert comment(forge, "one") == "created"
    assert comment(forge, "two") == "updated"
    reading = [f"GET {COMMENTS}", "POST /graphql", *[f"GET {COMMENTS}"] * 2]
    again = [f"GET {COMMENTS}"] * 3
    assert github.asked() == [
        *reading,
        f"POST {COMMENTS}",
        *again,
        "PATCH /issues/comments/1251",
    ]


def test_requests_say_who_asks_and_in_which_dialect(github: FakeGitHub, forge: GitHubForge) -> None:
    comment(forge)
    for request in github.requests:
        assert request.headers["x-github-api-version"] == "2022-11-28"
        assert request.headers["accept"] == "application/vnd.github+json"
        assert request.headers["user-agent"].startswith("modelci/")
        assert request.headers["authorization"] == f"Bearer {TOKEN}"


# Whose comment it is


def test_a_comment_of_a_deleted_account_is_not_ours(github: FakeGitHub, forge: GitHubForge) -> None:
    github.add_comment(7, f"{MARKER}\nold", author=None)
    assert comment(forge) == "created"


def test_an_apps_token_updates_the_apps_comment(
    github: FakeGitHub, time: Time, progress: RecordedProgress
) -> None:
    github.logins["ghs_app"] = "acme-models[bot]"
    github.add_comment(7, f"{MARKER}\nold", author=BOT)
    github.add_comment(7, f"{MARKER}\nold", author="acme-models[bot]")
    assert comment(make_forge(github.api_url, time, progress, token="ghs_app")) == "updated"
    assert [one["body"] for one in github.comments[7]] == [f"{MARKER}\nold", f"{MARKER}\none"]


def test_of_duplicates_the_oldest_is_updated(github: FakeGitHub, forge: GitHubForge) -> None:
    for _ in range(2):
        github.add_comment(7, f"{MARKER}\nold", author=BOT)
    assert comment(forge) == "updated"
    assert github.comments[7][0]["body"] == f"{MARKER}\none"


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=403, body={"message": "Resource not accessible by integration"}),
        Reply(status=404, body={"message": "Not Found"}),
        Reply(body={"data": None, "errors": [{"message": "no"}]}),
    ],
)
def test_without_graphql_a_workflows_token_is_taken_for_its_own(
    github: FakeGitHub, time: Time, progress: RecordedProgress, go_wrong: GoWrong, reply: Reply
) -> None:
    github.add_comment(7, f"{MARKER}\nold", author=BOT)
    fault = Fault(method="POST", path="/graphql", reply=reply)
    github.faults.append(replace(fault))
    assert comment(make_forge(github.api_url, time, progress, likely_login=BOT)) == "updated"
    github.faults.append(replace(fault))
    error = go_wrong(lambda: comment(make_forge(github.api_url, time, progress)))
    assert "whose token" in str(error)


def test_enterprise_server_has_graphql_beside_rest(time: Time, progress: RecordedProgress) -> None:
    with serve(FakeGitHub(prefix="/api/v3")) as github:
        github.add_comment(7, f"{MARKER}\nold", author=BOT)
        assert comment(make_forge(f"{github.api_url}/", time, progress)) == "updated"
        assert github.asked()[1] == "POST /api/graphql"


# Refusals


@pytest.mark.parametrize(
    ("status", "message", "kind", "said", "hint"),
    [
        (401, "Bad credentials", ForgeDeniedError, "token (Bad credentials)", "GITHUB_TOKEN"),
        (
            403,
            "Resource not accessible by integration",
            ForgeDeniedError,
            "Resource not accessible",
            "`pull-requests: write`",
        ),
        (403, "The issue is locked.", ForgeDeniedError, "is locked", "Unlock"),
        (404, "Not Found", ForgeError, "/issues/7/comments, or hides it", "number"),
        (410, "Issues has been disabled", ForgeError, "gone (Issues", "turned off"),
        (422, "Body is too long", ForgeError, "Body is too long", None),
        (418, "", ForgeError, "answered 418", None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_refusal_says_why_and_is_final(
    github: FakeGitHub,
    forge: GitHubForge,
    time: Time,
    go_wrong: GoWrong,
    method: str,
    status: int,
    message: str,
    kind: type[ForgeError],
    said: str,
    hint: str | None,
) -> None:
    github.fail(method, COMMENTS, status, message, times=99)
    error = go_wrong(lambda: comment(forge))
    assert isinstance(error, kind)
    assert isinstance(error, ForgeDeniedError) == (kind is ForgeDeniedError)
    assert said in str(error)
    assert hint is None or hint in (error.hint or "")
    assert not time.slept


def test_a_denied_release_names_its_own_permission(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong
) -> None:
    github.tags[TAG] = "f" * 40
    github.fail("POST", "/releases", 403, "Resource not accessible by integration")
    error = go_wrong(lambda: forge.publish_release(TAG, title="x", body=""))
    assert isinstance(error, ForgeDeniedError)
    assert "`contents: write`" in (error.hint or "")
    assert "fork" in (error.hint or "")


def test_an_unknown_pull_request_is_no_denial(forge: GitHubForge, go_wrong: GoWrong) -> None:
    error = go_wrong(lambda: forge.upsert_comment(99, "one", marker=MARKER))
    assert "/issues/99/comments" in str(error)


def test_a_token_that_is_echoed_is_struck_out(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong
) -> None:
    github.fail("GET", COMMENTS, 401, f"no user has {TOKEN}\n\x1b[31m")
    assert "no user has ***" in str(go_wrong(lambda: comment(forge)))


def test_a_comment_over_the_limit_is_not_sent(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong
) -> None:
    error = go_wrong(lambda: comment(forge, "é" * 65_536))
    assert "65,536" in str(error)
    assert not github.requests
    assert comment(forge, "é" * (65_535 - len(MARKER))) == "created"


# When GitHub is busy or ill


@pytest.mark.parametrize(
    ("status", "message", "headers", "pause"),
    [
        (403, "", {"Retry-After": "7"}, 7.0),
        (429, "", {"Retry-After": "7"}, 7.0),
        (429, "", {"Retry-After": "0"}, 1.0),
        (429, "", {"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, 60.0),
        (403, "", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW + 30:.0f}"}, 31.0),
        (403, "", {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW - 9:.0f}"}, 1.0),
        (403, "You have exceeded a secondary rate limit.", {}, 60.0),
        (429, "", {}, 60.0),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_limit_is_waited_for(
    github: FakeGitHub,
    forge: GitHubForge,
    time: Time,
    progress: RecordedProgress,
    method: str,
    status: int,
    message: str,
    headers: Mapping[str, str],
    pause: float,
) -> None:
    if method == "PATCH":
        github.add_comment(7, f"{MARKER}\nold", author=BOT)
    path = "/issues/comments/1001" if method == "PATCH" else COMMENTS
    github.fail(method, path, status, message, headers=headers)
    assert comment(forge) == ("updated" if method == "PATCH" else "created")
    assert time.slept == [pause]
    assert len(github.comments[7]) == 1
    assert f"Trying again in {pause:.0f} s ({60 - pause:.0f} of 60 s" in progress.warnings[0]


def test_a_limit_beyond_the_budget_fails_at_once(
    github: FakeGitHub, forge: GitHubForge, time: Time, go_wrong: GoWrong
) -> None:
    github.fail("GET", COMMENTS, 429, headers={"Retry-After": "3600"})
    error = go_wrong(lambda: comment(forge))
    assert "would have to wait 3600 s, and of 60 s for waiting 60 s are left" in str(error)
    assert not isinstance(error, ForgeDeniedError)
    assert not time.slept


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(("method", "path"), [("GET", COMMENTS), ("PATCH", "/comments/1001")])
def test_what_may_be_repeated_is_tried_again(
    github: FakeGitHub, forge: GitHubForge, time: Time, method: str, path: str, status: int
) -> None:
    github.add_comment(7, f"{MARKER}\nold", author=BOT)
    github.fail(method, path, status, times=3)
    assert comment(forge) == "updated"
    assert time.slept == [1, 2, 4]


def test_all_waiting_comes_out_of_one_budget(
    github: FakeGitHub, forge: GitHubForge, time: Time, go_wrong: GoWrong
) -> None:
    github.fail("GET", COMMENTS, 500, times=3)
    comment(forge)
    github.fail("GET", COMMENTS, 500, times=99)
    error = go_wrong(lambda: comment(forge))
    assert "answered 500" in str(error)
    assert sum(time.slept) <= 60
    assert time.slept == [1, 2, 4, 1, 2, 4, 8, 16, 16]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("cut", [False, True])
def test_after_a_lost_reply_the_comment_is_looked_for(
    github: FakeGitHub, forge: GitHubForge, time: Time, *, after: bool, cut: bool
) -> None:
    if cut:
        github.hang_up("POST", COMMENTS, after=after)
    else:
        github.fail("POST", COMMENTS, 502, after=after)
    assert comment(forge) == "created"
    assert [one["body"] for one in github.comments[7]] == [f"{MARKER}\none"]
    assert github.asked()[:3] == [f"GET {COMMENTS}", f"POST {COMMENTS}", f"GET {COMMENTS}"]
    assert time.slept == [1]


@pytest.mark.parametrize("after", [False, True])
def test_after_a_lost_reply_the_release_is_looked_for(
    github: FakeGitHub, forge: GitHubForge, *, after: bool
) -> None:
    github.tags[TAG] = "f" * 40
    github.hang_up("POST", "/releases", after=after)
    posted = forge.publish_release(TAG, title="credit", body="+0.01")
    assert posted.url.endswith(TAG)
    assert len(github.releases) == 1


def test_a_forge_that_never_answers_is_given_up(
    time: Time, progress: RecordedProgress, go_wrong: GoWrong
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        forge = make_forge(f"http://127.0.0.1:{unused.getsockname()[1]}", time, progress)
        error = go_wrong(lambda: comment(forge))
    assert "did not answer GET" in str(error)
    assert "127.0.0.1" in (error.hint or "")
    assert time.slept == [1, 2, 4, 8, 16, 16]


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b"{}", b'[{"id": 1}]', b"[" * 50_000])
def test_an_answer_that_makes_no_sense_is_no_crash(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong, body: bytes
) -> None:
    github.faults.append(Fault(method="GET", path=COMMENTS, reply=Reply(body=body)))
    assert "something unexpected" in str(go_wrong(lambda: comment(forge)))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'{"message": 3}', b'{"errors": "x"}'])
def test_an_error_that_makes_no_sense_is_no_crash(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong, body: bytes
) -> None:
    reply = Reply(status=422, body=body)
    github.faults.append(Fault(method="GET", path=COMMENTS, reply=reply))
    assert "Unprocessable" in str(go_wrong(lambda: comment(forge)))


# Where the token goes


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_renamed_repository_is_followed_on_the_same_host(
    github: FakeGitHub, forge: GitHubForge, status: int
) -> None:
    github.add_comment(7, f"{MARKER}\nold", author=BOT)
    moved = f"/repos/{REPOSITORY}{COMMENTS}?per_page=100&page=1"
    github.fail("GET", COMMENTS, status, headers={"Location": moved})
    assert comment(forge) == "updated"


def test_a_write_is_not_redirected(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong
) -> None:
    github.fail("POST", COMMENTS, 307, headers={"Location": "/repositories/1/issues/7/comments"})
    error = go_wrong(lambda: comment(forge))
    assert "has moved" in str(error)
    assert "renamed" in (error.hint or "")


def test_a_circle_of_redirects_ends(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong
) -> None:
    here = f"/repos/{REPOSITORY}{COMMENTS}"
    github.fail("GET", COMMENTS, 301, headers={"Location": here}, times=99)
    assert "circles" in str(go_wrong(lambda: comment(forge)))


@pytest.mark.parametrize("header", ["Location", "Link"])
def test_another_host_gets_neither_request_nor_token(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong, header: str
) -> None:
    with serve(FakeGitHub()) as other:
        url = f"{other.url}/repos/{REPOSITORY}{COMMENTS}"
        reply = (
            Reply(status=301, headers={"Location": url})
            if header == "Location"
            else Reply(body=[], headers={"Link": f'<{url}>; rel="next"'})
        )
        github.faults.append(Fault(method="GET", path=COMMENTS, reply=reply))
        error = go_wrong(lambda: comment(forge))
        assert "another host" in str(error)
        assert not other.requests
    assert not github.comments


@pytest.mark.parametrize("header", ["Location", "Link"])
def test_a_pointer_that_is_no_url_is_no_crash(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong, header: str
) -> None:
    reply = (
        Reply(status=301, headers={"Location": "http://host:port"})
        if header == "Location"
        else Reply(body=[], headers={"Link": '<http://host:port>; rel="next"'})
    )
    github.faults.append(Fault(method="GET", path=COMMENTS, reply=reply, times=99))
    assert "URL" in str(go_wrong(lambda: comment(forge)))


def test_pages_without_end_end(github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong) -> None:
    here = f'<{github.url}/repos/{REPOSITORY}{COMMENTS}>; rel="next"'
    reply = Reply(body=[], headers={"Link": here})
    github.faults.append(Fault(method="GET", path=COMMENTS, reply=reply, times=999))
    assert "100 pages" in str(go_wrong(lambda: comment(forge)))


def test_no_proxy_stands_before_loopback(
    github: FakeGitHub,
    time: Time,
    progress: RecordedProgress,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with serve(FakeGitHub()) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert comment(make_forge(github.api_url, time, progress)) == "created"
        assert not proxy.requests


# Releases


@pytest.mark.parametrize("tag", ["credit@v1.2.0", "a/b=credit#prod!#7", "credit@v1.0.0-rc.1+b.5"])
def test_a_release_finds_its_tag_whatever_its_name(
    github: FakeGitHub, forge: GitHubForge, tag: str
) -> None:
    github.tags[tag] = "f" * 40
    forge.publish_release(tag, title="t", body="one")
    assert github.asked() == [
        f"GET /releases/tags/{tag}",
        "GET /releases",  # is there a draft?
        f"GET /git/ref/tags/{tag}",
        "POST /releases",
    ]
    github.requests.clear()
    forge.publish_release(tag, title="t", body="two")
    forge.publish_release(tag, title="t", body="two\n")
    assert github.asked() == [
        f"GET /releases/tags/{tag}",
        "PATCH /releases/1001",
        f"GET /releases/tags/{tag}",
    ]
    assert github.releases[tag]["body"] == "two"


def test_a_release_never_makes_a_tag(
    github: FakeGitHub, forge: GitHubForge, go_wrong: GoWrong
) -> None:
    error = go_wrong(lambda: forge.publish_release(TAG, title="t", body=""))
    assert f"git push origin {TAG}" in (error.hint or "")
    assert not github.tags
    assert not github.releases


# Settings


def test_no_token_is_a_denial_that_says_what_to_set() -> None:
    with pytest.raises(ForgeDeniedError, match="no token") as caught:
        connect(ForgeSettings(progress=RecordedProgress(), repository=REPOSITORY))
    assert "github.token" in (caught.value.hint or "")


@pytest.mark.parametrize("token", ["x y", "x\ny", "\u00fcx", "\x00"])
def test_a_token_that_is_none_is_refused_unseen(token: str) -> None:
    settings = ForgeSettings(progress=RecordedProgress(), repository=REPOSITORY, token=token)
    with pytest.raises(ForgeDeniedError, match="no token has") as caught:
        connect(settings)
    assert token not in str(caught.value)


def test_settings_do_not_show_the_token() -> None:
    assert TOKEN not in repr(ForgeSettings(progress=RecordedProgress(), token=TOKEN))


@pytest.mark.parametrize(
    "api_url",
    [
        "http://ghe.example/api/v3",
        "ftp://x",
        "api.github.com",
        "https://",
        "https://u:p@h",
        "",
        "https://h/?x=1",
        "http://[",
        "http://127.0.0.1.example",
    ],
)
def test_a_token_goes_only_where_it_is_safe(api_url: str) -> None:
    settings = ForgeSettings(
        progress=RecordedProgress(), repository=REPOSITORY, token=TOKEN, api_url=api_url
    )
    with pytest.raises(ConfigError, match="URL of GitHub's API"):
        connect(settings)


@pytest.mark.parametrize("repository", ["", "x", "a/b/c", "a/..", "a/b?c", "a/b\n", "../x", "é/x"])
def test_a_repository_is_an_owner_and_a_name(repository: str) -> None:
    settings = ForgeSettings(progress=RecordedProgress(), repository=repository, token=TOKEN)
    with pytest.raises(ConfigError, match="no repository"):
        connect(settings)
