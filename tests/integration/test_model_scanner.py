"""Models of revisions are scanned wherever their bytes lie."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.fakes.trees import CommitTree, FolderTree
from tests.integration.dvcproject import Project

from modelci.adapters.dvc.models import DvcModelScanner
from modelci.domain.changes import TrackedFile
from modelci.domain.modelfiles import FileFormat, FileScan, Trust
from modelci.errors import ForgeError
from modelci.ports import FileTree, MissingDataError

PIPELINE = """\
stages:
  train:
    cmd: cp given.json model.json; mkdir deep; cp given.json deep/one.json; cp evil.pkl deep/two.pkl
    deps: [given.json]
    outs: [model.json, deep]
"""
EVIL = b"cos\nsystem\n(S'true'\ntR."


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.create(tmp_path_factory.mktemp("models") / "repo")
    project.put("dvc.yaml", PIPELINE)
    project.put("given.json", '{"a": 1}')
    (project.root / "evil.pkl").write_bytes(EVIL)
    assert project.repro("train")
    project.commit()
    return project


@pytest.fixture
def project(ran: Project, tmp_path: Path) -> Project:
    return ran.copy(tmp_path / "repo")


def scan(
    project: Project, tree: FileTree, path: str, *, fetch: object = None, pull: bool = False
) -> tuple[FileScan, ...]:
    scanner = DvcModelScanner(project.root, fetch=fetch, config_folders=[])  # type: ignore[arg-type]
    return scanner.scan(tree, path, trust=Trust(), flavour=None, pull=pull)


def test_a_file_is_read_from_the_cache_and_from_disk(project: Project) -> None:
    head, work = CommitTree(project.root, "HEAD"), FolderTree(project.root)
    (project.root / "model.json").unlink()
    (project.root / "model.json").write_bytes(EVIL)
    (cached,) = scan(project, head, "model.json")
    assert (cached.path, cached.format, cached.is_safe) == ("model.json", FileFormat.JSON, True)
    (lying,) = scan(project, work, "model.json")
    assert (lying.format, lying.is_safe) == (FileFormat.PICKLE, False)


def test_every_file_of_a_tracked_folder_is_scanned(project: Project) -> None:
    for tree in (CommitTree(project.root, "HEAD"), FolderTree(project.root)):
        found = scan(project, tree, "deep")
        assert [(one.path, one.is_safe) for one in found] == [
            ("deep/one.json", True),
            ("deep/two.pkl", False),
        ]


@pytest.mark.parametrize("path", ["model.json", "deep"])
def test_what_the_cache_lacks_is_fetched_where_that_is_wanted(
    path: str, project: Project, tmp_path: Path
) -> None:
    cache, away = project.root / ".dvc" / "cache", tmp_path / "away"
    shutil.move(cache, away)
    head = CommitTree(project.root, "HEAD")
    with pytest.raises(MissingDataError, match=r"not in the local DVC cache") as caught:
        scan(project, head, path)
    assert "--pull" in str(caught.value.hint)

    asked: list[str] = []

    def fetch(files: Sequence[TrackedFile]) -> None:
        for file in files:
            asked.append(file.path)
            place = Path("files/md5") / str(file.hash)[:2] / str(file.hash)[2:]
            (cache / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(away / place, cache / place)

    assert scan(project, head, path, fetch=fetch, pull=True)
    assert asked == (
        ["model.json"] if path == "model.json" else ["deep", "deep/one.json", "deep/two.pkl"]
    )


@pytest.mark.parametrize("path", ["model.json", "deep"])
def test_a_remote_that_gives_nothing_is_no_crash(path: str, project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")
    head = CommitTree(project.root, "HEAD")

    def refuse(files: Sequence[TrackedFile]) -> None:
        raise ForgeError("The remote is away.", hint="Wait.")

    with pytest.raises(MissingDataError, match="the DVC remote gave nothing: The remote is away"):
        scan(project, head, path, fetch=refuse, pull=True)
    with pytest.raises(MissingDataError, match="nor on the remote"):
        scan(project, head, path, fetch=lambda _: None, pull=True)


def test_what_is_no_file_of_the_revision_is_refused(project: Project) -> None:
    head = CommitTree(project.root, "HEAD")
    for path in ("nowhere.pkl", "../outside.pkl"):
        with pytest.raises(MissingDataError):
            scan(project, head, path)
    assert json.loads((project.root / "given.json").read_text()) == {"a": 1}
