"""The history of a watched model, over real Git remotes and folders."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.integration.gitserver import serve_http

from modelci.adapters.git import GitRepository
from modelci.adapters.journal import MAX_ENTRY_BYTES, FolderJournal, GitJournal
from modelci.errors import ForgeDeniedError, ForgeError
from modelci.ports import Journal

REF = "refs/modelci/monitor/credit#prod"
NOW = 1_700_000_000


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=where, capture_output=True, check=True)
    return done.stdout.decode().strip()


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    """A bare remote whose branch has three commits."""
    work, bare = tmp_path / "first", tmp_path / "origin.git"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    git(tmp_path, "init", "--quiet", str(work))
    for number in range(3):
        git(work, "commit", "--quiet", "--allow-empty", "-m", f"Commit {number}")
    git(work, "push", "--quiet", str(bare), "HEAD:refs/heads/main")
    return bare


@pytest.fixture
def clone(tmp_path: Path, origin: Path) -> Callable[..., GitRepository]:
    def make(name: str, *options: str) -> GitRepository:
        git(tmp_path, "clone", "--quiet", *options, f"file://{origin}", name)
        return GitRepository(tmp_path / name)

    return make


def journal(repository: GitRepository, remote: str | None = "origin") -> GitJournal:
    return GitJournal(repository, "credit#prod", remote=remote)


def write(where: Journal, name: str, text: str = "{}") -> bool:
    return where.write(name, text.encode(), message=f"Watch {name}", seconds=NOW)


@pytest.fixture(params=["remote", "clone", "folder"])
def any_journal(
    request: pytest.FixtureRequest, tmp_path: Path, clone: Callable[..., GitRepository]
) -> Journal:
    if request.param == "folder":
        return FolderJournal(tmp_path / "a folder" / "of windows")
    return journal(clone("work"), remote="origin" if request.param == "remote" else None)


def test_a_journal_begins_empty(any_journal: Journal) -> None:
    assert any_journal.read() == {}


def test_what_is_written_is_read_by_its_name(any_journal: Journal) -> None:
    for name in ("2026-01", "26/ä b#%", "2026-02"):
        assert write(any_journal, name, f'"{name}"')
    expected = {name: f'"{name}"'.encode() for name in ("2026-01", "2026-02", "26/ä b#%")}
    assert any_journal.read() == expected


def test_a_window_written_again_is_replaced_and_an_equal_one_left(any_journal: Journal) -> None:
    write(any_journal, "2026-01", "1")
    write(any_journal, "2026-02", "2")
    assert not write(any_journal, "2026-01", "1")
    assert write(any_journal, "2026-01", "3")
    assert any_journal.read() == {"2026-01": b"3", "2026-02": b"2"}


def test_each_window_is_a_commit_on_top_of_those_before(
    clone: Callable[..., GitRepository], origin: Path
) -> None:
    for name in ("2026-01", "2026-02"):
        write(journal(clone(f"of {name}")), name)
    assert git(origin, "log", "--format=%s %an <%ae> %ct", REF).splitlines() == [
        f"Watch 2026-02 Test Author <author@example.com> {NOW}",
        f"Watch 2026-01 Test Author <author@example.com> {NOW}",
    ]
    assert git(origin, "ls-tree", "--name-only", REF).splitlines() == [
        "2026-01.json",
        "2026-02.json",
    ]


def test_a_shallow_clone_keeps_the_history_and_stays_shallow(
    clone: Callable[..., GitRepository],
) -> None:
    write(journal(clone("full")), "2026-01")
    shallow = clone("shallow", "--depth=1")
    write(journal(shallow), "2026-02")
    assert shallow.is_shallow()
    assert [*journal(clone("another")).read()] == ["2026-01", "2026-02"]


def test_a_full_clone_stays_full(clone: Callable[..., GitRepository]) -> None:
    write(journal(clone("first one")), "2026-01")
    full = clone("full")
    journal(full).read()
    assert not full.is_shallow()
    assert git(full.root, "status", "--porcelain") == ""


def test_jobs_that_write_at_the_same_time_lose_nothing(
    clone: Callable[..., GitRepository],
) -> None:
    names = [f"2026-0{number}" for number in range(1, 5)]
    journals = [journal(clone(f"job {name}")) for name in names]
    threads = [
        threading.Thread(target=write, args=pair) for pair in zip(journals, names, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [*journal(clone("reader")).read()] == names


def test_a_history_that_was_removed_begins_anew(
    clone: Callable[..., GitRepository], origin: Path
) -> None:
    work = clone("work")
    write(journal(work), "2026-01")
    git(origin, "update-ref", "-d", REF)
    assert journal(work).read() == {}
    assert write(journal(work), "2026-02")
    assert [*journal(clone("another")).read()] == ["2026-02"]


def test_histories_of_stages_and_models_are_apart(clone: Callable[..., GitRepository]) -> None:
    work = clone("work")
    write(journal(work), "2026-01")
    other = GitJournal(work, "models:credit#prod", remote="origin")
    assert write(other, "2026-02")
    assert ([*journal(work).read()], [*other.read()]) == (["2026-01"], ["2026-02"])


def test_a_remote_that_forbids_it_says_so(
    clone: Callable[..., GitRepository], origin: Path
) -> None:
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no monitoring here >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with pytest.raises(ForgeDeniedError, match=r"refused refs/modelci/monitor/credit#prod"):
        write(journal(clone("work")), "2026-01")


def test_a_remote_that_is_gone_is_an_error(
    clone: Callable[..., GitRepository], origin: Path
) -> None:
    work = clone("work")
    origin.rename(origin.with_name("elsewhere.git"))
    with pytest.raises(ForgeError, match="fetch refs/modelci/monitor"):
        journal(work).read()


def test_a_write_whose_answer_was_lost_is_found_to_be_done(
    clone: Callable[..., GitRepository], origin: Path, tmp_path: Path
) -> None:
    work = clone("work")
    git(origin, "config", "http.receivepack", "true")
    with serve_http(tmp_path) as http:
        git(work.root, "remote", "set-url", "origin", http.url(origin.name))
        write(journal(work), "2026-01")
        http.cut.set()
        with pytest.raises(ForgeError, match="push refs/modelci/monitor/credit#prod"):
            write(journal(work), "2026-02")
        http.wait()
        http.mend()
        assert not write(journal(work), "2026-02"), "it has reached the remote"
        assert [*journal(work).read()] == ["2026-01", "2026-02"]
    assert len(git(origin, "log", "--format=%h", REF).splitlines()) == 2


def test_what_is_too_large_is_not_read(any_journal: Journal) -> None:
    write(any_journal, "2026-01", "x" * (MAX_ENTRY_BYTES + 1))
    write(any_journal, "2026-02")
    assert [*any_journal.read()] == ["2026-02"]
