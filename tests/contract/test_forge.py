"""What every forge promises: the fake, the folder, and each client over real HTTP."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes import forge_server, gitea_server, gitlab_server
from tests.fakes.archives import make_zip
from tests.fakes.forge import FakeComment, FakeForge
from tests.fakes.gitea_server import FakeGitea
from tests.fakes.github_server import REPOSITORY, TOKEN, FakeGitHub, serve
from tests.fakes.gitlab_server import FakeGitLab
from tests.fakes.progress import RecordedProgress

from modelci.adapters.forge import FORGES, ForgeSettings
from modelci.config.model import CommentMode
from modelci.errors import ForgeDeniedError, ForgeError, UsageError
from modelci.ports import Check, CheckStatus, Forge, PostedComment, PullRequest, Writer

MARKER = "<!-- modelci: report -->"
OTHER_MARKER = "<!-- modelci: Report! -->"
TAG = "models/credit@v1.2.0"
SHA = "0123456789abcdef0123456789abcdef01234567"
OTHER_SHA = "f" * 40
PNG = b"\x89PNG\r\n\x1a\n"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>AUC ↑</text></svg>'.encode()


@dataclass(frozen=True, kw_only=True)
class World:
    """A forge, and the eyes and hands of the people who use it.

    ``add_pull`` takes a number, the head's owner, branch and sha, and the base's branch. ``check``
    tells a check's status and title by sha and name; ``picture`` what is shown at an address.
    ``add_merge`` merges pull request 7 as a commit, with labels. A forge without a place for
    pictures, or for artifacts, or that starts no workflows, says so: there is None to look with.
    """

    forge: Forge
    bodies: Callable[[int], list[str]]
    someone_writes: Callable[[int, str], object]
    release_text: Callable[[str], str]
    release_files: Callable[[str], Mapping[str, bytes]]
    count_writes: Callable[[], int]
    add_pull: Callable[[int, str, str, str, str], object]
    check: Callable[[str, str], tuple[str, str]]
    picture: Callable[[str], bytes] | None
    add_artifact: Callable[[int, str, Mapping[str, bytes]], object] | None
    add_merge: Callable[[str, Sequence[str]], object]
    dispatches: Callable[[], list[tuple[str, str, dict[str, str]]]] | None


def fake_world() -> World:
    forge = FakeForge()

    def bodies(number: int) -> list[str]:
        return [one.body for one in forge.comments if one.number == number and not one.is_deleted]

    def add_pull(number: int, owner: str, branch: str, sha: str, base: str) -> None:
        forge.pulls[number] = PullRequest(
            number=number,
            head_sha=sha,
            head_branch=branch,
            head_repository=f"{owner}/credit",
            base_branch=base,
        )

    def check(sha: str, name: str) -> tuple[str, str]:
        found = [one for one in forge.checks if (one.sha, one.name) == (sha, name)]
        return found[-1].status, found[-1].title

    return World(
        forge=forge,
        bodies=bodies,
        someone_writes=lambda number, body: forge.comments.append(
            FakeComment(number=number, author="someone", body=body)
        ),
        release_text=lambda tag: "\n".join(forge.releases[tag]),
        release_files=lambda tag: forge.assets[tag],
        count_writes=lambda: hash(repr(forge)),
        add_pull=add_pull,
        check=check,
        picture=lambda address: forge.pictures[address.rpartition("/")[2]],
        add_artifact=lambda run, name, files: forge.artifacts.update({(run, name): dict(files)}),
        add_merge=lambda sha, labels: forge.labels.update({sha: tuple(sorted(labels))}),
        dispatches=lambda: forge.dispatches,
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

    def add_pull(number: int, owner: str, branch: str, sha: str, base: str) -> None:
        pull = {"head_sha": sha, "head_branch": branch, "head_repository": f"{owner}/credit"}
        (folder / "pulls").mkdir(exist_ok=True)
        text = json.dumps({**pull, "base_branch": base})
        (folder / "pulls" / f"{number}.json").write_text(text)

    def check(sha: str, name: str) -> tuple[str, str]:
        title, _, status, *_ = (folder / "checks" / sha / f"{name}.md").read_text().split("\n")
        return status.removeprefix(f"{name}: "), title.removeprefix("# ")

    def add_artifact(run: int, name: str, files: Mapping[str, bytes]) -> None:
        for path, data in files.items():
            file = folder / "artifacts" / str(run) / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def add_merge(sha: str, labels: Sequence[str]) -> None:
        (folder / "pulls").mkdir(exist_ok=True)
        pull = {"head_sha": "a" * 40, "merge_commit_sha": sha, "labels": labels}
        (folder / "pulls" / "7.json").write_text(json.dumps(pull))

    def dispatches() -> list[tuple[str, str, dict[str, str]]]:
        found = [json.loads(one.read_text()) for one in (folder / "dispatches").glob("*/*.json")]
        return [(one["workflow"], one["tag"], one["inputs"]) for one in found]

    return World(
        forge=FORGES["local"](ForgeSettings(progress=RecordedProgress(), folder=folder)),
        bodies=bodies,
        someone_writes=someone_writes,
        release_text=lambda tag: (
            folder / "releases" / f"{tag.replace('/', '%2F')}.md"
        ).read_text(),
        release_files=lambda tag: {
            path.name: path.read_bytes()
            for path in (folder / "releases" / tag.replace("/", "%2F")).iterdir()
        },
        count_writes=lambda: sum(path.stat().st_mtime_ns for path in comments.iterdir()),
        add_pull=add_pull,
        check=check,
        picture=lambda address: (comments / address).read_bytes(),
        add_artifact=add_artifact,
        add_merge=add_merge,
        dispatches=dispatches,
    )


def github_world(github: FakeGitHub) -> World:
    github.tags[TAG] = "f" * 40

    def add_pull(number: int, owner: str, branch: str, sha: str, base: str) -> None:
        repository = f"{owner}/credit"
        github.add_pull(number, sha=sha, branch=branch, repository=repository, base=base)

    def check(sha: str, name: str) -> tuple[str, str]:
        (run,) = [one for one in github.check_runs if (one["head_sha"], one["name"]) == (sha, name)]
        return run["conclusion"] or run["status"], run["output"]["title"]

    def picture(address: str) -> bytes:
        found = re.fullmatch(
            f"{github.url}/{REPOSITORY}/blob/([0-9a-f]+)/([^/]+)\\?raw=true", address
        )
        assert found
        tree = github.objects[github.objects[found[1]]["tree"]]
        data = github.objects[tree[found[2]]]
        assert isinstance(data, bytes)
        return data

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
        release_files=github.assets_of,
        count_writes=lambda: sum(
            request.method != "GET" and not request.path.endswith("/graphql")
            for request in github.requests
        ),
        add_pull=add_pull,
        check=check,
        picture=picture,
        add_artifact=lambda run, name, files: github.add_artifact(run, name, make_zip(files)),
        add_merge=lambda sha, labels: github.add_merge(7, sha, *labels),
        dispatches=lambda: github.dispatches,
    )


def gitlab_world(gitlab: FakeGitLab) -> World:
    gitlab.tags.add(TAG)
    states = {"running": "in_progress", "failed": "failure"}

    def add_pull(number: int, owner: str, branch: str, sha: str, base: str) -> None:
        gitlab.projects[100 + number] = f"{owner}/credit"
        more = {"source_branch": branch, "target_branch": base, "source_project_id": 100 + number}
        gitlab.add_merge_request(number, sha=sha, **more)

    def check(sha: str, name: str) -> tuple[str, str]:
        (*_, last) = [one for one in gitlab.statuses if (one["sha"], one["name"]) == (sha, name)]
        return states.get(last["status"], last["status"]), last["description"]

    def picture(address: str) -> bytes:
        (data,) = [data for name, data in gitlab.uploads if address.endswith(f"/{name}")]
        return data

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
        release_files=gitlab.assets_of,
        count_writes=lambda: sum(request.method != "GET" for request in gitlab.requests),
        add_pull=add_pull,
        check=check,
        picture=picture,
        add_artifact=None,
        add_merge=lambda sha, labels: gitlab.merge_requests[7].update(
            state="merged", merge_commit_sha=sha, labels=list(labels)
        ),
        dispatches=None,
    )


def gitea_world(gitea: FakeGitea) -> World:
    gitea.tags.add(TAG)

    def add_pull(number: int, owner: str, branch: str, sha: str, base: str) -> None:
        pull = gitea.add_pull(number, sha=sha, repository=f"{owner}/credit")
        pull["head"]["ref"], pull["base"]["ref"] = branch, base

    def check(sha: str, name: str) -> tuple[str, str]:
        ours = [one for one in gitea.statuses if one["url"].endswith(f"/statuses/{sha}")]
        (*_, last) = [one for one in ours if one["context"] == name]
        return {"pending": "in_progress"}.get(last["status"], last["status"]), last["description"]

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
        release_files=gitea.assets_of,
        count_writes=lambda: sum(request.method != "GET" for request in gitea.requests),
        add_pull=add_pull,
        check=check,
        picture=None,
        add_artifact=lambda run, name, files: gitea.artifacts.setdefault(run, []).append(
            (name, make_zip(files))
        ),
        add_merge=lambda sha, labels: gitea.pulls[7].update(
            state="closed",
            merged=True,
            merge_commit_sha=sha,
            labels=[{"id": 1, "name": one, "color": "00aabb"} for one in labels],
        ),
        dispatches=lambda: gitea.dispatches,
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


FILES = {"report.html": b"<p>better</p>", "dvc.lock": b"schema: '2.0'\n"}


def test_a_release_has_its_files(world: World) -> None:
    posted = world.forge.publish_release(TAG, title="t", body="b", assets=FILES)
    assert posted.notes == ()
    assert dict(world.release_files(TAG)) == FILES
    read = world.forge.read_release_asset(TAG, "dvc.lock", max_bytes=100)
    assert read == FILES["dvc.lock"]


def test_a_release_published_again_is_the_same(world: World) -> None:
    first = world.forge.publish_release(TAG, title="t", body="b", assets=FILES)
    second = world.forge.publish_release(TAG, title="t", body="b", assets=FILES)
    assert second == first
    assert dict(world.release_files(TAG)) == FILES


def test_what_a_published_release_lacks_is_added_and_what_it_has_is_left(world: World) -> None:
    world.forge.publish_release(TAG, title="t", body="b", assets={"dvc.lock": b"old"})
    posted = world.forge.publish_release(TAG, title="t", body="b", assets=FILES)
    assert "dvc.lock" in " ".join(posted.notes)
    assert dict(world.release_files(TAG)) == {**FILES, "dvc.lock": b"old"}


def test_a_file_that_is_missing_or_too_large_is_not_read(world: World) -> None:
    with pytest.raises(ForgeError, match="model"):
        world.forge.read_release_asset(TAG, "model.bin", max_bytes=100)
    world.forge.publish_release(TAG, title="t", body="b", assets=FILES)
    with pytest.raises(ForgeError, match="model"):
        world.forge.read_release_asset(TAG, "model.bin", max_bytes=100)
    with pytest.raises(ForgeError, match=r"larger|too large"):
        world.forge.read_release_asset(TAG, "report.html", max_bytes=3)


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


# Which run wrote last


def test_an_older_run_never_overwrites_a_newer_report(world: World) -> None:
    first = write(world, "of run 8", run=(8, 1))
    late = write(world, "of run 7", run=(7, 1))
    assert (late.url, late.action) == (first.url, "outdated")
    assert len(world.bodies(7)) == 1
    assert "of run 8" in world.bodies(7)[0]


def test_a_rerun_overwrites_its_first_attempt_and_not_the_other_way(world: World) -> None:
    write(world, "first attempt", run=(8, 1))
    assert write(world, "second attempt", run=(8, 2)).action == "updated"
    assert write(world, "first attempt", run=(8, 1)).action == "outdated"
    assert "second attempt" in world.bodies(7)[0]


def test_who_wrote_is_not_seen_and_not_added_twice(world: World) -> None:
    for run in (1, 2, 2):
        posted = write(world, "text", run=(run, 1))
    assert posted.action == "unchanged"
    lines = world.bodies(7)[0].split("\n")
    assert [line.startswith("<!--") for line in lines] == [True, True, False]


def test_without_a_writer_who_comes_last_writes(world: World) -> None:
    write(world, "of a run", run=(8, 1))
    assert write(world, "by hand").action == "updated"


def test_mode_new_leaves_the_older_comment(world: World) -> None:
    urls = {write(world, text, mode=CommentMode.NEW).url for text in ("one", "two", "two")}
    assert len(urls) == 3
    assert world.bodies(7) == [f"{MARKER}\none", f"{MARKER}\ntwo", f"{MARKER}\ntwo"]


def test_mode_hide_and_new_puts_the_older_comment_out_of_sight(world: World) -> None:
    for run in (1, 2, 3):
        posted = write(world, f"run {run}", run=(run, 1), mode=CommentMode.HIDE_AND_NEW)
        assert posted.action == "created"
    assert len(world.bodies(7)) == 3
    (seen,) = [body for body in world.bodies(7) if MARKER in body.split("\n")]
    assert seen.endswith("\nrun 3")
    assert write(world, "x", run=(2, 1), mode=CommentMode.HIDE_AND_NEW).action == "outdated"


def test_without_create_nothing_is_posted_anew(world: World) -> None:
    for text in ("one", "two"):
        posted = world.forge.upsert_comment(7, text, marker=MARKER, create=False)
        assert (posted is None) is (text == "one")
        if text == "one":
            assert world.bodies(7) == []
            write(world, "first")
    assert world.bodies(7) == [f"{MARKER}\ntwo"]


# Pull requests


def test_a_pull_request_is_read_by_its_number(world: World) -> None:
    world.add_pull(21, "somebody", "tune/lr", SHA, "main")
    assert world.forge.pull_request(21) == PullRequest(
        number=21,
        head_sha=SHA,
        head_branch="tune/lr",
        head_repository="somebody/credit",
        base_branch="main",
    )


def test_a_pull_request_that_is_not_there_is_a_mistake_of_use(world: World) -> None:
    with pytest.raises(UsageError):
        world.forge.pull_request(404)


def test_a_pull_request_is_found_by_owner_branch_and_head(world: World) -> None:
    world.add_pull(21, "somebody", "tune", SHA, "main")
    world.add_pull(22, "another", "tune", SHA, "main")
    world.add_pull(23, "somebody", "tune2", SHA, "main")
    find = world.forge.find_pull_request
    found = find(owner="somebody", branch="tune", sha=SHA)
    assert found is not None
    assert (found.number, found.head_repository) == (21, "somebody/credit")
    assert find(owner="somebody", branch="tune", sha=OTHER_SHA) is None
    assert find(owner="nobody", branch="tune", sha=SHA) is None
    assert find(owner="somebody", branch="tun", sha=SHA) is None


def test_of_a_branch_proposed_twice_one_is_found_whole(world: World) -> None:
    world.add_pull(21, "somebody", "tune", SHA, "main")
    world.add_pull(22, "somebody", "tune", SHA, "release")
    found = world.forge.find_pull_request(owner="somebody", branch="tune", sha=SHA)
    assert found is not None
    assert (found.number, found.base_branch) in {(21, "main"), (22, "release")}


# Checks


def test_a_check_is_set_and_then_completed(world: World) -> None:
    for status, title in ((CheckStatus.IN_PROGRESS, "Running"), (CheckStatus.FAILURE, "AUC fell")):
        check = Check(name="modelci", sha=SHA, status=status, title=title, summary="**AUC** fell")
        assert world.forge.set_check(check).kind in {"check run", "commit status"}
        assert world.check(SHA, "modelci") == (status.value, title)


def test_checks_of_two_names_and_commits_stay_apart(world: World) -> None:
    for sha in (SHA, OTHER_SHA):
        for name in ("modelci", "modelci-deep"):
            title = f"{name} {sha[0]}"
            status = CheckStatus.SUCCESS
            world.forge.set_check(Check(name=name, sha=sha, status=status, title=title))
    assert world.check(OTHER_SHA, "modelci") == ("success", "modelci f")
    assert world.check(SHA, "modelci-deep") == ("success", "modelci-deep 0")


# Pictures


def test_pictures_are_shown_at_their_addresses(world: World) -> None:
    pictures = {"roc.png": PNG + b"1", "loss": SVG, "same as roc": PNG + b"1", "b": PNG + b"2"}
    picture = world.picture
    if picture is None:
        with pytest.raises(ForgeDeniedError):
            world.forge.store_pictures(pictures, keep_days=90)
        return
    stored = world.forge.store_pictures(pictures, keep_days=90)
    assert {name: picture(address) for name, address in stored.items()} == pictures
    assert stored["roc.png"] == stored["same as roc"]


def test_pictures_stored_again_keep_their_addresses(world: World) -> None:
    if world.picture is None:
        pytest.skip("the forge has no place for pictures")
    first = world.forge.store_pictures({"roc": PNG}, keep_days=90)
    assert world.forge.store_pictures({"again": PNG}, keep_days=90) == {"again": first["roc"]}
    assert world.forge.store_pictures({}, keep_days=90) == {}


@pytest.mark.parametrize("data", [b"", b"<html><svg>", b"\xff<svg>", b"<p>text", b"%PDF-1.7"])
def test_what_is_no_picture_is_not_stored(world: World, data: bytes) -> None:
    with pytest.raises(ForgeError, match=r"no picture|no place"):
        world.forge.store_pictures({"x": data}, keep_days=90)


# Artifacts


def test_one_file_of_an_artifact_is_read(world: World) -> None:
    read = world.forge.read_artifact
    if world.add_artifact is None:
        with pytest.raises(ForgeError, match="artifacts"):
            read(5, "report", "report.json", max_bytes=2)
        return
    world.add_artifact(5, "report", {"report.json": b"{}", "deep/er.txt": b"x" * 100})
    assert read(5, "report", "report.json", max_bytes=2) == b"{}"
    assert read(5, "report", "deep/er.txt", max_bytes=100) == b"x" * 100
    for run, name, path, size in (
        (5, "report", "report.json", 1),
        (5, "report", "other.json", 9),
        (5, "report", "../report/report.json", 9),
        (5, "report", "/etc/hostname", 999),
        (5, "report", "deep", 9),
        (5, "other", "report.json", 9),
        (6, "report", "report.json", 9),
    ):
        with pytest.raises(ForgeError):
            read(run, name, path, max_bytes=size)


# Labels and workflows


def test_a_merge_has_the_labels_of_its_pull_request(world: World) -> None:
    world.add_merge(SHA, ["modelci:minor", "data & <b>"])
    assert world.forge.labels_of(SHA) == ("data & <b>", "modelci:minor")
    assert world.forge.labels_of(OTHER_SHA) == ()


def test_a_workflow_is_started_at_a_tag(world: World) -> None:
    def dispatch() -> None:
        world.forge.dispatch("deploy.yml", tag="credit#prod#7", inputs={"tag": "credit#prod#7"})

    if world.dispatches is None:
        with pytest.raises(ForgeError, match="by itself"):
            dispatch()
        return
    dispatch()
    assert world.dispatches() == [("deploy.yml", "credit#prod#7", {"tag": "credit#prod#7"})]
