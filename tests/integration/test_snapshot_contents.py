"""Metrics, parameters and tracked data of real repositories, against what DVC says of them."""

import contextlib
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from tests.fakes.trees import CommitTree, FolderTree
from tests.integration.dvcproject import Project, git

from modelci.adapters.dvc.hashing import LEGACY, hash_bytes
from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.domain.changes import DataKind, TrackedFile, ValueKey
from modelci.domain.metrics import MetricKey
from modelci.domain.snapshot import Snapshot
from modelci.errors import ForgeError

METRICS = {
    "m.json": '{"auc": 0.5, "n": 3, "ok": true, "name": "x", "none": null, "deep": {"a.b": 1},'
    ' "nan": NaN, "list": [1, 2], "empty": {}, "odd|`key`\\n": 2}',
    "m.yaml": "a: 1e-3\nb: {c: .inf}\nd: 010\n5: 6\n",
    "m.toml": "[t]\nx = 1.5\ndeep.y = 2\n",
    "folder/one.json": '{"x": 1}',
    "folder/in/two.yaml": "x: 2\n",
    "top/three.json": '{"x": 3}',
    "alone.yaml": "0.25\n",
}
PIPELINE = """\
stages:
  a:
    cmd: cp -r given/. .
    deps: [given]
    params: [lr, {conf.json: [a.b]}]
    metrics:
      - m.json: {cache: false}
      - m.yaml
      - m.toml
      - folder
      - alone.yaml
    outs: [top]
    plots: [p.csv: {cache: false}]
metrics: [top/three.json]
params: [extra.toml]
artifacts:
  credit: {path: top, type: model, desc: It, labels: [x], meta: {k: 1}}
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.create(tmp_path_factory.mktemp("contents") / "repo")
    for path, text in METRICS.items():
        project.put(f"given/{path}", text)
    project.put("given/p.csv", "x\n1\n")
    project.put("params.yaml", "lr: 0.1\nlist: [1, 'a']\nnan: .nan\ndeep: {x: {}, y: null}\n")
    project.put("conf.json", '{"a": {"b": 1}}')
    project.put("extra.toml", "x = 2020-01-01\n")
    project.put("dvc.yaml", PIPELINE)
    project.put("net.onnx", "model")
    project.add("net.onnx")
    assert project.repro()
    project.commit()
    return project


@pytest.fixture
def project(ran: Project, tmp_path: Path) -> Project:
    return ran.copy(tmp_path / "repo")


def test_metrics_are_dvc_s(project: Project) -> None:
    expected = {
        (file, name): leaf
        for file, data in dvc_metrics(project).items()
        for name, leaf in leaves(data)
    }
    for tree in (CommitTree(project.root), FolderTree(project.root)):
        found = read(project, tree)
        ours: dict[tuple[str, str], Any] = {
            (key.path, key.name): float(value) for key, value in found.metrics.items()
        }
        ours |= {(k.path, k.name): v for k, v in found.texts.items() if v is not None}
        assert ours.keys() == expected.keys()
        assert all(same(ours[key], expected[key]) for key in ours)
        assert found.texts[ValueKey(path="m.json", name="none")] is None
        assert found.notes == ()


def test_params_are_all_leaves_of_all_files(project: Project) -> None:
    assert {str(key): value for key, value in read(project).params.items()} == {
        "params.yaml:lr": 0.1,
        "params.yaml:list": '[1,"a"]',
        "params.yaml:nan": "NaN",
        "params.yaml:deep.x": "{}",
        "params.yaml:deep.y": None,
        "conf.json:a.b": 1,
        "extra.toml:x": "2020-01-01",
    }


def test_tracked_data_have_kind_size_and_hash(project: Project) -> None:
    tracked = read(project).tracked
    with contextlib.chdir(project.root), Repo() as repo:
        expected = {
            str(out): (out.hash_info.value, out.meta.size, out.meta.nfiles, not out.use_cache)
            for out in repo.index.outs
        }
    assert {
        path: (one.hash, one.bytes, one.files, one.in_git) for path, one in tracked.items()
    } == expected
    assert {path: one.kind for path, one in tracked.items()} == {
        **dict.fromkeys(["m.json", "m.yaml", "m.toml", "folder", "alone.yaml"], DataKind.METRICS),
        "p.csv": DataKind.PLOTS,
        "top": DataKind.MODEL,
        "net.onnx": DataKind.MODEL,
    }


def test_on_disk_wins_in_the_work_tree(project: Project) -> None:
    (project.root / "m.yaml").unlink()
    project.put("m.yaml", "a: 7\n")
    key = MetricKey(path="m.yaml", name="a")
    assert read(project, FolderTree(project.root)).metrics[key] == 7
    assert read(project, CommitTree(project.root)).metrics[key] == 1e-3
    assert read(project, FolderTree(project.root)).stale == {"a": ("output m.yaml differs",)}


def test_what_the_cache_lacks_is_noted_or_fetched(project: Project) -> None:
    shutil.move(project.root / ".dvc/cache", project.root / "../elsewhere")
    found = read(project)
    assert "m.yaml is not in the local DVC cache: run `dvc fetch m.yaml`, or pass --pull" in (
        found.notes
    )
    assert "folder is not in the local DVC cache: run `dvc fetch folder`, or pass --pull" in (
        found.notes
    )
    assert MetricKey(path="m.json", name="auc") in found.metrics
    fetched: list[str] = []

    def fetch(files: Sequence[TrackedFile]) -> None:
        fetched.extend(file.path for file in files)
        shutil.copytree(project.root / "../elsewhere", project.root / ".dvc/cache")

    reader = DvcSnapshotReader(project.root, fetch=fetch, config_folders=())
    assert reader.read(CommitTree(project.root)).metrics == found.metrics
    pulled = reader.read(CommitTree(project.root), pull=True)
    assert sorted(fetched) == ["alone.yaml", "folder", "m.toml", "m.yaml", "top"]
    assert pulled.notes == ()
    assert pulled.metrics[MetricKey(path="folder/in/two.yaml", name="x")] == 2


def test_a_remote_that_fails_leaves_notes(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc/cache")

    def fetch(files: Sequence[TrackedFile]) -> None:
        raise ForgeError("no route to host")

    reader = DvcSnapshotReader(project.root, fetch=fetch, config_folders=())
    notes = reader.read(CommitTree(project.root), pull=True).notes
    assert "The DVC remote gave nothing: no route to host" in notes
    assert any(note.startswith("m.yaml is not in the local DVC cache") for note in notes)


def test_a_damaged_object_is_not_believed(project: Project) -> None:
    for file in (project.root / ".dvc/cache/files/md5").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_text("a: 99\n")
    found = read(project, CommitTree(project.root))
    assert MetricKey(path="m.yaml", name="a") not in found.metrics


@pytest.mark.parametrize("level", ["system", "user", "repo", "local"])
def test_the_cache_lies_where_the_nearest_settings_say(
    project: Project, tmp_path: Path, level: str
) -> None:
    shutil.move(project.root / ".dvc/cache", tmp_path / "right")
    files = {
        "system": tmp_path / "system/config",
        "user": tmp_path / "user/config",
        "repo": project.root / ".dvc/config",
        "local": project.root / ".dvc/config.local",
    }
    for name, file in files.items():
        file.parent.mkdir(exist_ok=True)
        where = tmp_path / "right" if name == level else tmp_path / "wrong"
        file.write_text(f"['remote \"x\"']\n    url = y\n[CACHE]\n    dir = {where}\n")
        if name == level:
            break
    folders = (tmp_path / "system", tmp_path / "user")
    reader = DvcSnapshotReader(project.root, config_folders=folders)
    found = reader.read(CommitTree(project.root))
    assert found.metrics[MetricKey(path="m.yaml", name="a")] == 1e-3


def test_a_relative_cache_counts_from_its_settings(project: Project) -> None:
    shutil.move(project.root / ".dvc/cache", project.root / "../shared")
    (project.root / ".dvc/config").write_text("[cache]\n    dir = ../../shared\n")
    assert read(project).notes == ()


def test_old_hashes_are_found_in_the_old_cache(project: Project) -> None:
    text = b"a: 5\r\n"
    digest = hash_bytes(text, LEGACY) or ""
    folder = project.root / ".dvc/cache" / digest[:2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / digest[2:]).write_bytes(text)
    project.put("dvc.yaml", "stages: {old: {cmd: x, metrics: [old.yaml]}}")
    project.put(
        "dvc.lock",
        f"schema: '2.0'\nstages: {{old: {{cmd: x, outs: [{{path: old.yaml, md5: {digest}}}]}}}}",
    )
    found = read(project, FolderTree(project.root))
    assert found.metrics == {MetricKey(path="old.yaml", name="a"): 5}
    assert found.stale == {}


def test_an_old_lock_is_compared_as_dvc_2_hashed(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put("crlf.txt", "a\r\nb\r\n")
    project.put("dvc.yaml", "stages: {old: {cmd: x, deps: [crlf.txt]}}")
    project.put(
        "dvc.lock",
        "schema: '2.0'\nstages:\n  old:\n    cmd: x\n    deps:\n"
        "    - {path: crlf.txt, md5: dd8c6a395b5dd36c56d23275028f526c}\n",
    )
    with contextlib.chdir(project.root), Repo() as repo:
        assert repo.status() == {}
    assert read(project, FolderTree(project.root)).stale == {}


def test_only_the_own_project_is_read(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put("dvc.yaml", "stages: {a: {cmd: x}}")
    (project.root / "sub").mkdir()
    with contextlib.chdir(project.root / "sub"):
        Repo.init(subdir=True).close()
    project.put("sub/dvc.yaml", "stages: {b: {cmd: x}}")
    found = read(project, FolderTree(project.root))
    assert [stage.name for stage in found.stages] == ["a"]
    assert any(note.startswith("sub was left out") for note in found.notes)
    shutil.rmtree(project.root / ".dvc")
    git(project.root, "rm", "-r", "--cached", "--quiet", "--ignore-unmatch", ".dvc")
    found = read(project, FolderTree(project.root))
    assert [stage.name for stage in found.stages] == ["sub/dvc.yaml:b"]


def test_what_dvcignore_hides_is_left_out(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put(".dvcignore", "# comment\n/old/\n*.skip\n!keep/\n")
    project.put("sub/.dvcignore", "gone\n")
    for folder in (".", "old", "sub", "sub/gone", "keep"):
        project.put(f"{folder}/dvc.yaml", "stages: {a: {cmd: ls, deps: [d]}}")
        project.put(f"{folder}/d/file", "x")
    project.put("d/more.skip", "x")
    assert project.repro(all_pipelines=True)
    with contextlib.chdir(project.root), Repo() as repo:
        expected = {stage.addressing for stage in repo.index.stages}
    found = read(project, FolderTree(project.root))
    assert {stage.name for stage in found.stages} == expected
    assert found.stale == {}


def read(project: Project, tree: CommitTree | FolderTree | None = None) -> Snapshot:
    reader = DvcSnapshotReader(project.root, config_folders=())
    return reader.read(tree or CommitTree(project.root))


def dvc_metrics(project: Project) -> dict[str, Any]:
    with contextlib.chdir(project.root), Repo() as repo:
        shown = repo.metrics.show()
    return {path: result["data"] for path, result in shown[""]["data"].items()}


def leaves(data: object, prefix: str = "") -> list[tuple[str, object]]:
    if not isinstance(data, dict):
        return [(prefix.removesuffix("."), data)]
    return [leaf for name, inner in data.items() for leaf in leaves(inner, f"{prefix}{name}.")]


def same(one: object, other: object) -> bool:
    pair = (one, other)
    return one == other or all(isinstance(each, float) and math.isnan(each) for each in pair)
