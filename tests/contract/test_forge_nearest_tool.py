"""What the nearest comment tool gets wrong, line by line, and what ours does instead.

The lines are from the measurements that the design rests on (CML 0.20.6).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from tests.fakes.github_server import BOT, REPOSITORY, TOKEN, FakeGitHub, serve
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge.github import HEADERS, GitHubForge
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeDeniedError, ForgeError
from modelci.ports import Writer

MARKER = "<!-- modelci:report model-pr/report -->"
OTHER_MARKER = "<!-- modelci:report model-pr/deep -->"
COMMENTS = "/issues/7/comments"


@dataclass
class Network(httpx.BaseTransport):
    """The real one, which remembers the hosts that were asked."""

    hosts: set[str] = field(default_factory=set)
    wire: httpx.HTTPTransport = field(default_factory=httpx.HTTPTransport)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.hosts.add(f"{request.url.host}:{request.url.port}")
        return self.wire.handle_request(request)

    def close(self) -> None:
        self.wire.close()


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with serve(FakeGitHub()) as server:
        yield server


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def make(github: FakeGitHub, network: Network, slept: list[float]) -> Callable[[], GitHubForge]:
    """Make the forge of another job: nothing is remembered but what GitHub keeps."""

    def make_forge() -> GitHubForge:
        client = ForgeClient(
            "GitHub",
            github.api_url,
            TOKEN,
            judge=judge,
            progress=RecordedProgress(),
            headers=HEADERS,
            sleep=slept.append,
            transport=network,
        )
        return GitHubForge(client, REPOSITORY)

    return make_forge


@pytest.fixture
def forge(make: Callable[[], GitHubForge]) -> GitHubForge:
    return make()


def write(forge: GitHubForge, text: str, *, marker: str = MARKER, run: int = 1) -> str:
    writer = Writer(run_id=run, head_sha="a" * 40)
    posted = forge.upsert_comment(7, f"{marker}\n{text}", marker=marker, writer=writer)
    assert posted is not None
    return posted.action


def texts(github: FakeGitHub) -> list[str]:
    """Return what people see of our comments."""
    ours = (one["body"] for one in github.comments[7] if one["user"]["login"] == BOT)
    return ["\n".join(body.split("\n")[2:]) for body in ours]


@pytest.mark.parametrize("people", [35, 101, 235])
def test_it_reads_one_page_of_comments_and_we_read_all(
    github: FakeGitHub, make: Callable[[], GitHubForge], people: int
) -> None:
    for index in range(people):
        github.add_comment(7, f"comment {index}", author="someone")
    for run in (1, 2, 3):
        write(make(), f"run {run}", run=run)
    assert texts(github) == ["run 3"]


def test_it_overwrites_a_quoted_reply_and_we_look_at_the_author(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    write(make(), "one")
    ours = github.comments[7][0]["body"]
    for theirs in (ours, "\n".join(f"> {line}" for line in ours.split("\n")), f"See:\n{ours}"):
        github.add_comment(7, theirs, author="someone")
    theirs = [one["body"] for one in github.comments[7][1:]]
    assert write(make(), "two", run=2) == "updated"
    assert [one["body"] for one in github.comments[7][1:]] == theirs
    assert texts(github) == ["two"]


def test_its_two_jobs_share_a_comment_and_ours_have_one_each(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    for text in ("one", "two"):
        write(make(), f"report {text}")
        write(make(), f"deep {text}", marker=OTHER_MARKER)
    assert texts(github) == ["report two", "deep two"]


@pytest.mark.parametrize(
    "markdown",
    [
        "> [!WARNING]\n> AUC fell",
        "- [ ] to do\n- [x] done\n* other bullet",
        "| a \\| b | `x|y` |\n|:--|--:|\n| 1 | 2 |",
        "text  \nwith a hard break\\\nand one more",
        "```mermaid\nxychart-beta\n```",
        "<details>\n<summary>More</summary>\n\n_x_ *y* __z__\n</details>",
        "&lt;b&gt; &amp; \\<i\\> \\* \\_ \\[x\\](y)\ttab",
        "trailing blank lines\n\n\n1) one\n3. three",
        "windows\r\nline ends\r\n",
    ],
)
def test_it_writes_the_markdown_anew_and_we_leave_it_alone(
    github: FakeGitHub, forge: GitHubForge, markdown: str
) -> None:
    write(forge, markdown)
    assert texts(github) == [markdown]


def test_it_uploads_images_and_links_to_a_stranger_and_we_do_not(
    github: FakeGitHub, forge: GitHubForge, network: Network, tmp_path: Path
) -> None:
    for name in ("plot.png", "model.pkl"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\nsecret")
    text = f"![plot]({tmp_path}/plot.png) [model]({tmp_path}/model.pkl) ![](plot.png)"
    write(forge, text)
    assert texts(github) == [text]
    assert network.hosts == {github.url.removeprefix("http://")}
    assert github.asked() == [f"GET {COMMENTS}", f"POST {COMMENTS}"]


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_it_gives_up_at_an_outage_and_we_try_again(
    github: FakeGitHub, make: Callable[[], GitHubForge], status: int, method: str
) -> None:
    if method == "PATCH":
        write(make(), "old")
    path = "/issues/comments/1001" if method == "PATCH" else COMMENTS
    github.fail(method, path, status, times=2, headers={"Retry-After": "1"})
    write(make(), "new", run=2)
    assert texts(github) == ["new"]


def test_it_waits_136_seconds_for_a_limit_of_2_and_we_wait_2(
    github: FakeGitHub, forge: GitHubForge, slept: list[float]
) -> None:
    message = "You have exceeded a secondary rate limit."
    github.fail("POST", COMMENTS, 403, message, headers={"Retry-After": "2"})
    assert write(forge, "text") == "created"
    assert slept == [2]


def test_it_dumps_json_at_a_denial_and_we_name_the_permission(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    github.fail("POST", COMMENTS, 403, "Resource not accessible by integration")
    with pytest.raises(ForgeDeniedError) as caught:
        write(forge, "text")
    assert "`pull-requests: write`" in (caught.value.hint or "")
    assert "{" not in f"{caught.value}{caught.value.hint}"
    assert caught.value.exit_code == 4


def test_it_dumps_json_at_a_long_body_and_we_say_what_to_set(
    github: FakeGitHub, forge: GitHubForge
) -> None:
    with pytest.raises(ForgeError, match="65,536") as caught:
        write(forge, "x" * 70_000)
    assert "`report.max_bytes`" in (caught.value.hint or "")
    assert not github.requests


def test_its_older_slow_run_overwrites_a_newer_report_and_ours_does_not(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    slow, fast = make(), make()
    assert write(fast, "of run 12", run=12) == "created"
    assert write(slow, "of run 11", run=11) == "outdated"
    assert texts(github) == ["of run 12"]


def test_it_writes_the_token_to_disk_and_we_write_nothing(
    forge: GitHubForge, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(home.rglob("*"))
    write(forge, "text")
    forge.store_pictures({"roc": b"\x89PNG\r\n\x1a\n"}, keep_days=9)
    assert sorted(home.rglob("*")) == before
    assert not list(tmp_path.iterdir())


def test_it_phones_home_and_we_talk_to_the_forge_alone(
    github: FakeGitHub, forge: GitHubForge, network: Network
) -> None:
    forge.pull_request(7)
    write(forge, "text")
    with pytest.raises(ForgeError):
        forge.read_artifact(1, "report", "report.json", max_bytes=1)
    assert network.hosts == {github.url.removeprefix("http://")}


def test_it_takes_two_or_three_requests_for_a_comment_and_we_take_no_more(
    github: FakeGitHub, make: Callable[[], GitHubForge]
) -> None:
    for run in (1, 2):
        github.requests.clear()
        forge = make()
        forge.pull_request(7)
        write(forge, f"run {run}", run=run)
        assert len(github.requests) == 3
