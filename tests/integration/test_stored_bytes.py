"""Bytes behind what DVC tracks: files, folders and what Git keeps, from the cache and a remote."""

import hashlib
from pathlib import Path

import pytest
from tests.integration.dvcproject import Project

from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.adapters.dvc.stored import DvcBytes
from modelci.adapters.git import GitRepository
from modelci.domain.provenance import FileBytes

PIPELINE = """\
stages:
  train:
    cmd: mkdir -p model/deep && echo a > model/a && echo b > model/deep/b && echo '{"x":1}' > m.json
    outs: [model]
    metrics:
      - m.json: {cache: false}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "project")
    project.add_remote(tmp_path / "store")
    project.put("dvc.yaml", PIPELINE)
    project.run()
    project.push()
    project.commit()
    return project


def read(
    project: Project, path: str, inside: str | None = None, *, pull: bool = False
) -> list[FileBytes]:
    git = GitRepository(project.root)
    tree = git.tree(git.resolve("HEAD").sha)
    tracked = DvcSnapshotReader(project.root).read(tree).tracked[path]
    stored = DvcBytes(project.root, config_folders=())
    return list(stored.read(tree, tracked, inside or path, pull=pull))


def expected(path: str, data: bytes) -> FileBytes:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(data).hexdigest()
    return FileBytes(path=path, recorded=md5, found=md5, sha256=sha256, size=len(data))


def place(root: Path, data: bytes) -> Path:
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    (found,) = root.rglob(md5[2:])
    found.chmod(0o644)
    return found


@pytest.mark.parametrize("pull", [False, True])
def test_every_file_of_a_folder_is_hashed(project: Project, *, pull: bool) -> None:
    both = [expected("model/a", b"a\n"), expected("model/deep/b", b"b\n")]
    assert read(project, "model", pull=pull) == both
    assert read(project, "model", "model/deep", pull=pull) == both[1:]
    assert read(project, "model", "model/a", pull=pull) == both[:1]


def test_what_git_keeps_is_read_from_git(project: Project) -> None:
    assert read(project, "m.json") == [expected("m.json", b'{"x":1}\n')]


def test_one_file_that_was_changed_is_told_from_the_others(project: Project) -> None:
    place(project.root / ".dvc" / "cache", b"b\n").write_bytes(b"B\n")
    first, second = read(project, "model")
    assert first == expected("model/a", b"a\n")
    assert second.recorded == expected("", b"b\n").found
    assert second.found == expected("", b"B\n").found
    # The DVC remote's are honest; what it sends does not go through the cache.
    assert read(project, "model", pull=True)[1] == expected("model/deep/b", b"b\n")


def test_a_changed_list_of_files_is_not_followed(project: Project) -> None:
    (listing,) = (project.root / ".dvc" / "cache").rglob("*.dir")
    listing.chmod(0o644)
    listing.write_bytes(b'[{"md5": "../../../../etc/passwd", "relpath": "../../x"}]')
    (one,) = read(project, "model")
    assert one.path == "model"
    assert one.found != one.recorded


def test_what_is_gone_has_no_digest(project: Project, tmp_path: Path) -> None:
    place(project.root / ".dvc" / "cache", b"a\n").unlink()
    place(tmp_path / "store", b"a\n").unlink()
    for pull in (False, True):
        found = read(project, "model", pull=pull)
        assert (found[0].path, found[0].found, found[0].sha256) in {
            ("model/a", None, None),
            ("model", None, None),
        }
