"""A run's files reach another folder whatever state the work tree is in."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from modelci.adapters.clones import LocalSource, SourceUnavailableError, check_out
from modelci.domain.elsewhere import Source


def git(root: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    path = tmp_path / "upstream.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    return path


@pytest.fixture
def root(tmp_path: Path, upstream: Path) -> Path:
    path = tmp_path / "driver"
    subprocess.run(["git", "clone", "--quiet", str(upstream), str(path)], check=True)
    (path / "kept").write_text("one\n")
    (path / "gone").write_text("two\n")
    (path / ".gitignore").write_text("/ignored\n")
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "first")
    git(path, "push", "--quiet", "origin", "HEAD")
    return path


class Describe(Protocol):
    def __call__(self, root: Path, *, url: str | None = "remote") -> LocalSource: ...


@pytest.fixture
def describe() -> Iterator[Describe]:
    with ExitStack() as stack:

        def describe(root: Path, *, url: str | None = "remote") -> LocalSource:
            found = git(root, "remote", "get-url", "origin") if url else None
            return stack.enter_context(
                LocalSource(root, url=found, subdir=".", environment=os.environ)
            )

        yield describe


def files(root: Path) -> dict[str, bytes]:
    names = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    paths = [root / name for name in names.split("\0") if name]
    return {str(path.relative_to(root)): path.read_bytes() for path in paths if path.exists()}


def test_a_pushed_commit_is_fetched_from_the_remote(
    root: Path, tmp_path: Path, describe: Describe
) -> None:
    source = describe(root).source
    assert source.commit == git(root, "rev-parse", "HEAD")
    assert source.bundle is None
    check_out(source, tmp_path / "worker", os.environ)
    assert files(tmp_path / "worker") == files(root)


def make_dirty(root: Path) -> None:
    (root / "kept").write_bytes(b"changed\r\n\0\xff")
    (root / "gone").unlink()
    (root / "new" / "deep").mkdir(parents=True)
    (root / "new" / "deep" / "script.sh").write_text("#!/bin/sh\n")
    (root / "new" / "deep" / "script.sh").chmod(0o755)
    (root / "ignored").write_text("secret\n")


def test_changes_are_sent_and_leave_no_trace(
    root: Path, tmp_path: Path, describe: Describe
) -> None:
    make_dirty(root)
    git(root, "add", "new")
    before = git(root, "status", "--porcelain"), git(root, "count-objects")
    local = describe(root)
    assert local.source.url is None
    with pytest.raises(SourceUnavailableError):
        check_out(local.source, tmp_path / "worker", os.environ)
    check_out(local.bundled(), tmp_path / "worker", os.environ)
    assert files(tmp_path / "worker") == files(root)
    assert os.access(tmp_path / "worker" / "new" / "deep" / "script.sh", os.X_OK)
    assert not (tmp_path / "worker" / "ignored").exists()
    assert (git(root, "status", "--porcelain"), git(root, "count-objects")) == before


def test_the_same_files_are_the_same_commit(root: Path, describe: Describe) -> None:
    make_dirty(root)
    assert describe(root).source == describe(root).source


@pytest.mark.parametrize("url", ["remote", None])
def test_a_commit_that_nobody_has_is_sent(
    root: Path, tmp_path: Path, url: str | None, describe: Describe
) -> None:
    (root / "kept").write_text("not pushed\n")
    git(root, "commit", "--quiet", "--all", "--message", "second")
    check_out(describe(root, url=url).bundled(), tmp_path / "worker", os.environ)
    assert files(tmp_path / "worker") == files(root)


def test_a_shallow_clone_can_send_its_changes(
    root: Path, tmp_path: Path, upstream: Path, describe: Describe
) -> None:
    shallow = tmp_path / "shallow"
    git(root, "commit", "--quiet", "--allow-empty", "--message", "second")
    git(root, "push", "--quiet")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{upstream}", str(shallow))
    (shallow / "kept").write_text("changed\n")
    check_out(describe(shallow).bundled(), tmp_path / "worker", os.environ)
    assert files(tmp_path / "worker") == files(shallow)


def test_a_clone_is_used_again(root: Path, tmp_path: Path, describe: Describe) -> None:
    worker = tmp_path / "worker"
    check_out(describe(root).source, worker, os.environ)
    (worker / "ignored").write_text("an output\n")
    (worker / "left").write_text("by a stage\n")
    (root / "kept").write_text("changed\n")
    check_out(describe(root).bundled(), worker, os.environ)
    assert files(worker) == files(root)
    assert (worker / "ignored").exists()
    git(root, "checkout", "--quiet", "kept")
    check_out(describe(root).source, worker, os.environ)
    assert files(worker) == files(root)


def test_a_remote_out_of_reach_is_told_apart(root: Path, tmp_path: Path) -> None:
    gone = Source(commit="0" * 40, family="f", url=str(tmp_path / "nowhere.git"))
    with pytest.raises(SourceUnavailableError, match=r"nowhere\.git"):
        check_out(gone, tmp_path / "worker", os.environ)
