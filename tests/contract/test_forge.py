"""What every forge promises: the fake, the folder, and each client over real HTTP."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes import forge_server, gitea_server, gitlab_server
from tests.fakes.forge import FakeComment, FakeForge
from tests.fakes.gitea_server import FakeGitea
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub, serve
from tests.fakes.gitlab_server import FakeGitLab
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge import FORGES, ForgeSettings
from modelci.config.model import CommentMode
from modelci.ports import Forge, PostedComment, Writer

MARKER = "<!-- modelci: report -->"
OTHER_MARKER = "<!-- modelci: Report! -->"
TAG = "models/credit@v1.2.0"


@dataclass(frozen=True, kw_only=True)
class World:
    """A forge, and the eyes and hands of the people who use it."""

    forge: Forge
    bodies: Callable[[int], list[str]]
    someone_writes: Callable[[int, str], object]
    release_text: Callable[[str], str]
    count_writes: Callable[[], int]


def fake_world() -> World:
    forge = FakeForge()

    def bodies(number: int) -> list[str]:
        return [one.body for one in forge.comments if one.number == number]

    return World(
        forge=forge,
        bodies=bodies,
        someone_writes=lambda number, body: forge.comments.append(
            FakeComment(number=number, author="someone", body=body)
        ),
        release_text=lambda tag: "\n".join(forge.releases[tag]),
        count_writes=lambda: hash(repr(forge)),
    )


def local_world(folder: Path) -> World:
    comments = folder / "comments"
    comments.mkdir(parents=True)

    def someone_writes(number: int, body: str) -> None:
        path = comments / f"pr-{number}-by-someone-{len(list(comments.iterdir()))}.md"
        path.write_text(body, encoding="utf-8")

    def bodies(number: int) -> list[str]:
        paths = sorted(comments.glob(f"pr-{number}-*"), key=lambda path: path.stat().st_mtime_ns)
        return [path.read_text(encoding="utf-8").removesuffix("\n") for path in paths]

    return World(
        forge=FORGES["local"](ForgeSettings(progress=RecordedProgress(), folder=folder)),
        bodies=bodies,
        someone_writes=someone_writes,
        release_text=lambda tag: (
            folder / "releases" / f"{tag.replace('/', '%2F')}.md"
        ).read_text(),
        count_writes=lambda: sum(path.stat().st_mtime_ns for path in comments.iterdir()),
    )


def github_world(github: FakeGitHub) -> World:
    github.tags[TAG] = "f" * 40
    return World(
        forge=FORGES["github"](
            ForgeSettings(
                progress=RecordedProgress(),
                repository=REPOSITORY,
                api_url=github.api_url,
                token=TOKEN,
            )
        ),
        bodies=lambda number: [one["body"] for one in github.comments.get(number, [])],
        someone_writes=lambda number, body: github.add_comment(number, body, author="someone"),
        release_text=lambda tag: "{name}\n{body}".format(**github.releases[tag]),
        count_writes=lambda: sum(
            request.method != "GET" and not request.path.endswith("/graphql")
            for request in github.requests
        ),
    )


def gitlab_world(gitlab: FakeGitLab) -> World:
    gitlab.tags.add(TAG)
    return World(
        forge=FORGES["gitlab"](
            ForgeSettings(
                progress=RecordedProgress(),
                repository=gitlab_server.PROJECT,
                api_url=gitlab.api_url,
                token=gitlab_server.TOKEN,
            )
        ),
        bodies=lambda number: [one["body"] for one in gitlab.notes.get(number, [])],
        someone_writes=lambda number, body: gitlab.add_note(number, body, author="someone"),
        release_text=lambda tag: "{name}\n{description}".format(**gitlab.releases[tag]),
        count_writes=lambda: sum(request.method != "GET" for request in gitlab.requests),
    )


def gitea_world(gitea: FakeGitea) -> World:
    gitea.tags.add(TAG)
    return World(
        forge=FORGES["gitea"](
            ForgeSettings(
                progress=RecordedProgress(),
                repository=gitea_server.REPOSITORY,
                api_url=gitea.api_url,
                token=gitea_server.TOKEN,
            )
        ),
        bodies=lambda number: [one["body"] for one in gitea.comments.get(number, [])],
        someone_writes=lambda number, body: gitea.add_comment(number, body, author="someone"),
        release_text=lambda tag: "{name}\n{body}".format(**gitea.releases[tag]),
        count_writes=lambda: sum(request.method != "GET" for request in gitea.requests),
    )


@pytest.fixture(
    params=["fake", "local", "github", "github enterprise", "gitlab", "gitlab below", "gitea"]
)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    match request.param:
        case "fake":
            yield fake_world()
        case "local":
            yield local_world(tmp_path / "forge")
        case "gitlab" | "gitlab below" as kind:
            prefix = "/gitlab" if kind == "gitlab below" else ""
            with forge_server.serve(FakeGitLab(prefix=prefix)) as gitlab:
                yield gitlab_world(gitlab)
        case "gitea":
            with forge_server.serve(FakeGitea()) as gitea:
                yield gitea_world(gitea)
        case kind:
            prefix = "/api/v3" if kind == "github enterprise" else ""
            with serve(FakeGitHub(prefix=prefix)) as github:
                yield github_world(github)


def write(
    world: World,
    text: str = "one",
    *,
    marker: str = MARKER,
    run: tuple[int, int] | None = None,
    mode: CommentMode = CommentMode.UPDATE,
) -> PostedComment:
    """Comment on pull request 7; ``run`` is (run id, attempt)."""
    writer = Writer() if run is None else Writer(run_id=run[0], attempt=run[1], head_sha="a" * 40)
    posted = world.forge.upsert_comment(7, text, marker=marker, writer=writer, mode=mode)
    assert posted is not None
    return posted


def test_a_first_comment_is_created(world: World) -> None:
    posted = write(world, f"{MARKER}\none")
    assert posted.action == "created"
    assert posted.url
    assert world.bodies(7) == [f"{MARKER}\none"]


def test_posting_again_updates_in_place(world: World) -> None:
    first = write(world, f"{MARKER}\none")
    second = write(world, f"{MARKER}\ntwo")
    assert (second.url, second.action) == (first.url, "updated")
    assert world.bodies(7) == [f"{MARKER}\ntwo"]


def test_an_equal_comment_is_left_alone(world: World) -> None:
    first = write(world, f"{MARKER}\none\n")
    writes = world.count_writes()
    second = write(world, f"{MARKER}\none\n")
    assert (second.url, second.action) == (first.url, "unchanged")
    assert world.count_writes() == writes


def test_the_marker_is_added_where_it_is_missing(world: World) -> None:
    world.forge.upsert_comment(7, "one", marker=MARKER)
    world.forge.upsert_comment(7, "two", marker=MARKER)
    assert world.bodies(7) == [f"{MARKER}\ntwo"]


@pytest.mark.parametrize("number", [0, 250])
def test_the_marker_in_someone_elses_comment_is_not_ours(world: World, number: int) -> None:
    for index in range(number):
        world.someone_writes(7, f"comment {index}")
    theirs = f"look what it said:\n{MARKER}\nAUC fell"
    world.someone_writes(7, theirs)
    world.forge.upsert_comment(7, f"{MARKER}\none", marker=MARKER)
    world.forge.upsert_comment(7, f"{MARKER}\ntwo", marker=MARKER)
    assert theirs in world.bodies(7)
    assert world.bodies(7).count(f"{MARKER}\ntwo") == 1
    assert len(world.bodies(7)) == number + 2


def test_a_marker_inside_a_line_is_text(world: World) -> None:
    quoting = f"The marker is `{MARKER}`.\n> {MARKER}\n    {MARKER}\n{OTHER_MARKER}"
    world.forge.upsert_comment(7, quoting, marker=OTHER_MARKER)
    posted = write(world, f"{MARKER}\none")
    assert posted.action == "created"
    assert world.bodies(7) == [quoting, f"{MARKER}\none"]


def test_two_markers_are_two_comments(world: World) -> None:
    for text in ("one", "two"):
        world.forge.upsert_comment(7, f"{MARKER}\n{text}", marker=MARKER)
        world.forge.upsert_comment(7, f"{OTHER_MARKER}\n{text}", marker=OTHER_MARKER)
    assert sorted(world.bodies(7)) == sorted([f"{MARKER}\ntwo", f"{OTHER_MARKER}\ntwo"])


def test_two_pull_requests_are_two_comments(world: World) -> None:
    world.forge.upsert_comment(7, "seven", marker=MARKER)
    world.forge.upsert_comment(8, "eight", marker=MARKER)
    assert world.bodies(7) == [f"{MARKER}\nseven"]
    assert world.bodies(8) == [f"{MARKER}\neight"]


def test_text_of_any_script_arrives(world: World) -> None:
    text = f"{MARKER}\nAUC ↑ 0.8 – gut, 好, 👍🏽, \\u0041, %0A, \"'"
    world.forge.upsert_comment(7, text, marker=MARKER)
    assert world.bodies(7) == [text]


def test_what_no_encoding_can_hold_becomes_a_question_mark(world: World) -> None:
    posted = [write(world, "model\udcff.pkl") for _ in range(2)]
    assert world.bodies(7) == [f"{MARKER}\nmodel?.pkl"]
    assert posted[1].action == "unchanged"


@pytest.mark.parametrize("marker", ["", "  ", "two\nlines", "two\rlines"])
def test_a_marker_that_no_line_can_be_is_refused(world: World, marker: str) -> None:
    with pytest.raises(ValueError, match="a marker is one line"):
        world.forge.upsert_comment(7, "one", marker=marker)


def test_a_release_is_created_and_then_updated(world: World) -> None:
    first = world.forge.publish_release(TAG, title="credit v1.2.0", body="+0.01 AUC")
    second = world.forge.publish_release(TAG, title="credit v1.2.0", body="+0.02 AUC")
    assert first == second
    assert first.tag == TAG
    assert "credit v1.2.0" in world.release_text(TAG)
    assert "+0.02 AUC" in world.release_text(TAG)
    assert "+0.01 AUC" not in world.release_text(TAG)


def test_a_tag_may_be_recorded_again(world: World) -> None:
    for _ in range(2):
        world.forge.record_tag("credit#prod#7", commit="f" * 40, message="Assign prod\n")
