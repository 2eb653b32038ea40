"""Bytes behind what DVC tracks: files, folders and what Git keeps, from the cache and a remote."""

import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from tests.integration.dvcproject import Project

from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.adapters.dvc.stored import DvcBytes
from modelci.adapters.git import GitRepository
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.provenance import FileBytes
from modelci.errors import ConfigError, PipelineError

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


# -- brought into a folder -----------------------------------------------------------------------


def fetch(
    project: Project, path: str, into: Path, *, inside: str | None = None, remote: str | None = None
) -> list[FileBytes]:
    git = GitRepository(project.root)
    tree = git.tree(git.resolve("HEAD").sha)
    tracked = DvcSnapshotReader(project.root).read(tree).tracked[path]
    stored = DvcBytes(project.root, remote=remote, config_folders=(), pause=lambda _: None)
    return list(stored.fetch(tree, tracked, inside or path, into))


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


BOTH = {"model/a": b"a\n", "model/deep/b": b"b\n"}


def test_the_cache_is_believed_only_where_its_bytes_are_right(
    project: Project, tmp_path: Path
) -> None:
    place(project.root / ".dvc" / "cache", b"b\n").write_bytes(b"B\n")
    first, second = fetch(project, "model", tmp_path / "release")
    assert first.is_right
    assert second.is_right
    assert files(tmp_path / "release") == BOTH
    assert str(project.root / ".dvc" / "cache") in (first.source or "")
    assert (second.source or "").startswith("store: ")


def test_without_a_remote_the_cache_does(project: Project, tmp_path: Path) -> None:
    (project.root / ".dvc" / "config").write_text("")
    assert all(one.is_right for one in fetch(project, "model", tmp_path / "release"))
    place(project.root / ".dvc" / "cache", b"a\n").unlink()
    with pytest.raises(PipelineError, match="No default DVC remote") as error:
        fetch(project, "model", tmp_path / "other")
    assert "dvc remote add" in (error.value.hint or "")
    # The first error ends it: the other file was written, whole, or not begun.
    assert files(tmp_path / "other") in ({}, {"model/deep/b": b"b\n"})


def test_a_file_of_git_comes_from_git(project: Project, tmp_path: Path) -> None:
    (found,) = fetch(project, "m.json", tmp_path / "release")
    assert found == expected("m.json", b'{"x":1}\n')
    assert files(tmp_path / "release") == {"m.json": b'{"x":1}\n'}


@pytest.mark.parametrize("changed", [False, True])
def test_a_folder_of_git_is_held_to_its_hash_too(tmp_path: Path, *, changed: bool) -> None:
    project = Project.create(tmp_path / "project")
    project.put("dvc.yaml", PIPELINE.replace("[model]", "[{model: {cache: false}}]"))
    project.run()
    if changed:
        project.put("model/a", "A\n")
    project.commit()
    found = fetch(project, "model", tmp_path / "release")
    assert [one.path for one in found] == (["model"] if changed else ["model/a", "model/deep/b"])
    assert all(one.is_right is not changed for one in found)
    assert files(tmp_path / "release") == ({} if changed else BOTH)


@pytest.mark.parametrize(
    "name", ["../../evil", "/evil", "a/../../evil", "", ".", "a//b", ".git/hooks/evil", "a\0b"]
)
def test_a_list_that_leads_out_of_its_folder_is_refused_even_with_the_right_hash(
    project: Project, tmp_path: Path, name: str
) -> None:
    file = listed(tmp_path / "store", [{"md5": "0" * 32, "relpath": name}])
    with pytest.raises(PipelineError, match="cannot lie there") as error:
        fetch_file(project, file, tmp_path / "release")
    assert "meant harm" in (error.value.hint or "")
    assert files(tmp_path) == {
        path: data for path, data in files(tmp_path).items() if not path.startswith("release")
    }


@pytest.mark.parametrize("hash_", ["../../../../etc/passwd", "0" * 32 + ".dir", "x"])
def test_a_list_that_names_what_is_no_hash_is_refused(
    project: Project, tmp_path: Path, hash_: str
) -> None:
    file = listed(tmp_path / "store", [{"md5": hash_, "relpath": "a"}])
    with pytest.raises(PipelineError, match="cannot lie there"):
        fetch_file(project, file, tmp_path / "release")


def test_what_is_no_list_is_refused(project: Project, tmp_path: Path) -> None:
    file = listed(tmp_path / "store", {"no": "list"})
    with pytest.raises(PipelineError, match="is no list"):
        fetch_file(project, file, tmp_path / "release")


def test_a_list_that_cannot_lie_on_a_disk_is_refused(project: Project, tmp_path: Path) -> None:
    hash_ = hashlib.md5(b"a\n", usedforsecurity=False).hexdigest()
    names = [{"md5": hash_, "relpath": "a"}, {"md5": hash_, "relpath": "a/b"}]
    with pytest.raises(PipelineError, match="cannot be written"):
        fetch_file(project, listed(tmp_path / "store", names), tmp_path / "release")


def listed(store: Path, content: object) -> TrackedFile:
    """Put a list into the remote under its own right hash, as whoever writes dvc.lock can."""
    data = json.dumps(content).encode()
    hash_ = f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}.dir"
    target = store / "files" / "md5" / hash_[:2] / hash_[2:]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    return TrackedFile(path="model", kind=DataKind.MODEL, hash=hash_)


def fetch_file(project: Project, file: TrackedFile, into: Path) -> tuple[FileBytes, ...]:
    tree = GitRepository(project.root).work_tree()
    return DvcBytes(project.root, config_folders=()).fetch(tree, file, file.path, into)


def test_a_link_in_the_way_is_replaced_and_a_folder_that_leads_away_is_refused(
    project: Project, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_bytes(b"kept")
    release = tmp_path / "release"
    (release / "model").mkdir(parents=True)
    (release / "model" / "a").symlink_to(elsewhere / "kept")
    fetch(project, "model", release)
    assert not (release / "model" / "a").is_symlink()
    shutil.rmtree(release / "model" / "deep")
    (release / "model" / "deep").symlink_to(elsewhere)
    with pytest.raises(PipelineError, match="leads out of"):
        fetch(project, "model", release)
    assert files(elsewhere) == {"kept": b"kept"}


def test_what_a_killed_one_has_left_goes(project: Project, tmp_path: Path) -> None:
    left = tmp_path / "release" / ".modelci-x1"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    fetch(project, "model", tmp_path / "release")
    assert [path.name for path in (tmp_path / "release").iterdir()] == ["model"]


def test_another_remote_can_be_named(project: Project, tmp_path: Path) -> None:
    shutil.move(tmp_path / "store", tmp_path / "release-store")
    shutil.rmtree(project.root / ".dvc" / "cache")
    with pytest.raises(PipelineError, match="There is nothing at the DVC remote store"):
        fetch(project, "model", tmp_path / "one")
    (tmp_path / "store").mkdir()  # and now it is empty
    assert not fetch(project, "model", tmp_path / "two")[0].is_right
    with (project.root / ".dvc" / "config").open("a") as config:
        config.write(f"['remote \"prod\"']\n    url = {tmp_path / 'release-store'}\n")
    found = fetch(project, "model", tmp_path / "three", remote="prod")
    assert all(one.is_right for one in found)
    with pytest.raises(ConfigError, match="nowhere"):
        fetch(project, "model", tmp_path / "four", remote="nowhere")


def test_a_path_that_the_folder_does_not_hold_is_none(project: Project, tmp_path: Path) -> None:
    (found,) = fetch(project, "model", tmp_path / "release", inside="model/c")
    assert found.path == "model/c"
    assert found.refusal == "model/c: dvc.lock names no such file"


def test_a_cloud_versioned_remote_is_refused(project: Project, tmp_path: Path) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")
    (project.root / ".dvc" / "config").write_text(
        "[core]\n    remote = s\n['remote \"s\"']\n    url = s3://models/x\n"
        "    version_aware = true\n"
    )
    with pytest.raises(ConfigError, match=r"s \(s3://models/x\) is cloud-versioned"):
        fetch(project, "model", tmp_path / "release")


def test_a_place_where_nothing_can_be_written_is_named(project: Project) -> None:
    with pytest.raises(PipelineError, match="cannot be written below /proc/modelci"):
        fetch(project, "model", Path("/proc/modelci"))


def test_a_plugin_that_is_not_installed_is_named_whoever_needs_it(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "dvc_s3", None)  # as where it is not installed
    project.add_remote("s3://models/x")
    shutil.rmtree(project.root / ".dvc" / "cache")
    for act in (lambda: fetch(project, "model", tmp_path / "release"), project.push):
        with pytest.raises(PipelineError, match=r"s3://models/x.* needs a plug-in") as error:
            act()
        assert error.value.hint == "pip install 'modelci[s3]'"
