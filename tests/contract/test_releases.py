"""Releases cut short, and completed by the next run."""

from collections.abc import Iterator

import httpx
import pytest
from tests.fakes import forge_server, github_server, gitlab_server
from tests.fakes.gitea_server import REPOSITORY as GITEA_REPOSITORY
from tests.fakes.gitea_server import TOKEN as GITEA_TOKEN
from tests.fakes.gitea_server import FakeGitea
from tests.fakes.github_server import FakeGitHub
from tests.fakes.gitlab_server import FakeGitLab
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge import FORGES, ForgeSettings
from modelci.adapters.forge.github import GitHubForge
from modelci.adapters.forge.github_releases import find_uploads_url
from modelci.adapters.forge.github_replies import judge
from modelci.adapters.forge.gitlab_releases import package_of
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeError
from modelci.ports import Forge, PostedRelease

TAG = "models/credit@v1.2.0"
FILES = {"report.html": b"<p>better</p>", "report.json": b"{}\n", "dvc.lock": b"stages:\n"}


@pytest.fixture(params=["", "/api/v3"])
def github(request: pytest.FixtureRequest) -> Iterator[FakeGitHub]:
    with github_server.serve(FakeGitHub(prefix=request.param)) as server:
        server.tags[TAG] = "f" * 40
        yield server


@pytest.fixture
def gitlab() -> Iterator[FakeGitLab]:
    with forge_server.serve(FakeGitLab()) as server:
        server.tags.add(TAG)
        yield server


@pytest.fixture
def gitea() -> Iterator[FakeGitea]:
    with forge_server.serve(FakeGitea()) as server:
        server.tags.add(TAG)
        yield server


def connect(kind: str, repository: str, api_url: str, token: str) -> Forge:
    return FORGES[kind](
        ForgeSettings(
            progress=RecordedProgress(),
            repository=repository,
            api_url=api_url,
            token=token,
            wait_seconds=5,
        )
    )


def on_github(server: FakeGitHub) -> Forge:
    return connect("github", github_server.REPOSITORY, server.api_url, github_server.TOKEN)


def on_gitlab(server: FakeGitLab) -> Forge:
    return connect("gitlab", gitlab_server.PROJECT, server.api_url, gitlab_server.TOKEN)


def on_gitea(server: FakeGitea) -> Forge:
    return connect("gitea", GITEA_REPOSITORY, server.api_url, GITEA_TOKEN)


def release(forge: Forge, **more: bool) -> PostedRelease:
    return forge.publish_release(TAG, title="credit v1.2.0", body="better", assets=FILES, **more)


def test_a_release_is_a_draft_until_its_files_are_there(github: FakeGitHub) -> None:
    seen: list[tuple[str, list[bool]]] = []

    def look(server: FakeGitHub, request: github_server.Request) -> None:
        seen.append((request.method, [one["draft"] for one in server.releases.values()]))

    github.before = look
    release(on_github(github))

    uploads = [drafts for method, drafts in seen if method == "POST"]
    assert uploads == [[], [True], [True], [True]]
    assert github.releases[TAG]["draft"] is False
    assert github.assets_of(TAG) == FILES


@pytest.mark.parametrize("done", range(4))
def test_what_was_cut_short_is_completed_by_the_next_run(github: FakeGitHub, done: int) -> None:
    """After the draft, and after each of the three files; the last time before it is public."""

    def die(server: FakeGitHub, request: github_server.Request) -> None:
        """Refuse all that comes once so many files are there."""
        if request.method in {"POST", "PATCH"} and TAG in server.releases:
            here = len(server.releases[TAG]["assets"])
            if here == done:
                server.fail(request.method, request.path, 403, "the runner is gone")

    github.before = die
    with pytest.raises(ForgeError, match="gone"):
        release(on_github(github))
    assert github.releases[TAG]["draft"] is True
    assert github.assets_of(TAG) == dict(list(FILES.items())[:done])
    number = github.releases[TAG]["id"]
    github.before = None
    github.requests.clear()

    posted = release(on_github(github))

    assert posted.notes == ()
    assert github.releases[TAG]["id"] == number
    assert github.releases[TAG]["draft"] is False
    assert github.assets_of(TAG) == FILES
    assert sum(one.startswith("POST") for one in github.asked()) == len(FILES) - done


def test_a_file_that_broke_off_or_holds_other_bytes_is_replaced_in_a_draft(
    github: FakeGitHub,
) -> None:
    github.fail("POST", "/assets", 403)
    with pytest.raises(ForgeError):
        release(on_github(github))
    draft = github.releases[TAG]
    github.add_asset(draft, "report.html", b"", state="open", digest=None)
    github.add_asset(draft, "report.json", b"[]\n")  # as long, but other bytes

    release(on_github(github))

    assert github.assets_of(TAG) == FILES


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_reply_to_an_upload_is_looked_after(github: FakeGitHub, *, after: bool) -> None:
    github.hang_up("POST", "/assets", after=after)
    release(on_github(github))
    assert github.assets_of(TAG) == FILES


def test_an_immutable_release_stays_as_it_is(github: FakeGitHub) -> None:
    github.immutable = True
    assert release(on_github(github)).notes == ()
    assert release(on_github(github)).notes == ()

    posted = on_github(github).publish_release(
        TAG, title="credit v1.2.0", body="other", assets={**FILES, "dvc.lock": b"changed"}
    )

    (note,) = posted.notes
    assert "immutable" in note
    assert "its text, dvc.lock" in note
    assert github.assets_of(TAG) == FILES
    assert github.releases[TAG]["body"] == "better"


def test_a_draft_is_found_among_many_releases(github: FakeGitHub) -> None:
    others = on_github(github)
    for number in range(101):  # a page has a hundred
        github.tags[f"other@v0.0.{number}"] = "f" * 40
        others.publish_release(f"other@v0.0.{number}", title="t", body="")
    github.fail("POST", "/assets", 403)
    with pytest.raises(ForgeError):
        release(on_github(github))
    number = github.releases[TAG]["id"]
    release(on_github(github))
    assert github.releases[TAG]["id"] == number


def test_only_the_newest_stable_version_is_the_latest(github: FakeGitHub) -> None:
    forge = on_github(github)
    release(forge)
    for tag in ("models/credit@v1.3.0-rc.1", "models/credit@v1.1.9"):
        github.tags[tag] = "f" * 40
    rc, old = list(github.tags)[-2:]
    forge.publish_release(rc, title="rc", body="", assets=FILES, prerelease=True)
    forge.publish_release(old, title="old", body="", assets=FILES, latest=False)
    assert github.latest == TAG
    assert [github.releases[tag]["prerelease"] for tag in (TAG, rc, old)] == [False, True, False]


@pytest.mark.parametrize(
    ("api", "uploads"),
    [
        ("https://api.github.com", "https://uploads.github.com"),
        ("https://api.acme.ghe.com", "https://uploads.acme.ghe.com"),
        ("https://git.acme.com/api/v3", None),
        ("http://127.0.0.1:8080", None),
    ],
)
def test_uploads_go_to_the_apis_sibling(api: str, uploads: str | None) -> None:
    assert find_uploads_url(api) == uploads


@pytest.mark.parametrize(
    ("host", "is_asked"),
    [("uploads.github.com", True), ("uploads.evil.com", False), ("uploads.github.com:8443", False)],
)
def test_the_token_goes_to_the_api_and_its_sibling_alone(host: str, *, is_asked: bool) -> None:
    asked: list[httpx.Request] = []
    draft = {
        "id": 5,
        "html_url": "https://github.com/acme/credit/releases/1",
        "upload_url": f"https://{host}/repos/acme/credit/releases/5/assets{{?name,label}}",
        "tag_name": TAG,
        "draft": True,
    }

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if "/releases/tags/" in request.url.path:
            return httpx.Response(404, json={"message": "Not Found"})
        listed = request.method == "GET"
        return httpx.Response(200, json=[draft] if listed else draft)

    api = "https://api.github.com"
    client = ForgeClient(
        "GitHub",
        api,
        github_server.TOKEN,
        judge=judge,
        progress=RecordedProgress(),
        transport=httpx.MockTransport(answer),
        uploads=find_uploads_url(api),
    )
    forge = GitHubForge(client, "acme/credit")
    if is_asked:
        forge.publish_release(TAG, title="t", body="", assets={"a b.txt": b"x"})
        (upload,) = [one for one in asked if one.url.host == host]
        assert upload.url.params["name"] == "a b.txt"
        assert upload.headers["authorization"] == f"Bearer {github_server.TOKEN}"
        assert upload.content == b"x"
    else:
        with pytest.raises(ForgeError, match="another host"):
            forge.publish_release(TAG, title="t", body="", assets={"a.txt": b"x"})
    assert {one.url.host for one in asked} <= {"api.github.com", "uploads.github.com"}


@pytest.mark.parametrize("done", range(4))
def test_on_gitea_too_a_draft_is_completed(gitea: FakeGitea, done: int) -> None:
    if done == 0:
        gitea.fail("POST", "/assets", 403)
    else:
        gitea.fail("PATCH", "/1001", 403)
    with pytest.raises(ForgeError):
        release(on_gitea(gitea))
    draft = gitea.releases[TAG]
    assert draft["draft"] is True
    del draft["assets"][done:]
    if done:
        draft["assets"][0]["size"] += 1  # cut short on the way

    posted = release(on_gitea(gitea), prerelease=True)

    assert posted.notes == ()
    assert gitea.releases[TAG]["id"] == draft["id"]
    assert (draft["draft"], draft["prerelease"]) == (False, True)
    assert gitea.assets_of(TAG) == FILES


def test_on_gitlab_the_files_come_first_and_the_release_whole(gitlab: FakeGitLab) -> None:
    gitlab.fail("PUT", "/dvc.lock", 403)
    with pytest.raises(ForgeError, match="refused"):
        release(on_gitlab(gitlab))
    assert gitlab.releases == {}
    before = sum(one.startswith("PUT") for one in gitlab.asked())

    release(on_gitlab(gitlab))

    assert gitlab.assets_of(TAG) == FILES
    assert sum(one.startswith("PUT") for one in gitlab.asked()) == before + 1
    assert sum(one == "POST /projects/acme/credit/releases" for one in gitlab.asked()) <= 1


def test_on_gitlab_a_file_of_other_bytes_is_stored_anew_before_it_is_public(
    gitlab: FakeGitLab,
) -> None:
    gitlab.packages[package_of(TAG)] = [(1, "dvc.lock", b"cut")]
    release(on_gitlab(gitlab))
    assert gitlab.assets_of(TAG) == FILES


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/b@v1.0.0", "a-b@v1.0.0"), ("a/b@v1.0.0", "a_b@v1.0.0"), ("d=a@v1.0.0", "d/a@v1.0.0")],
)
def test_packages_of_two_tags_differ(one: str, other: str) -> None:
    assert package_of(one) != package_of(other)
    assert all(
        part.replace("-", "").replace(".", "").replace("_", "").isalnum()
        for part in (*package_of(one), *package_of(other))
    )
