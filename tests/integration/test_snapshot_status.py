"""``stale`` says of a stage what ``dvc status`` says of it: nothing where that finds nothing."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo
from tests.fakes.trees import CommitTree, FolderTree
from tests.integration.dvcproject import Project, git

from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.domain.snapshot import Snapshot

Edit = Callable[[Project], object]

FILES = {
    "params.yaml": "train: {lr: 0.1, layers: [1, 2]}\nday: 1\nbig: 1e-05\n",
    "conf.py": "SIZE = (3, 4)\nDEEP = {'a': 1}\n",
    "other.toml": "x = 1\n[table]\nday = 'x'\n",
    "src/prepare.py": "a\n",
    "src/deep/lib.py": "b\n",
    "notes.txt": "one\ntwo\n",
    "data/raw.csv": "raw\n",
    "data/folder/a": "a\n",
    "data/folder/in/b": "b\n",
    "sub/params.yaml": "k: v\n",
    "sub/in.txt": "in\n",
    "dvc.yaml": """\
vars: [{greeting: hello}]
stages:
  prepare:
    cmd: mkdir -p out && cp data/raw.csv out/p.txt && echo ${greeting}
    deps: [data/raw.csv, src, notes.txt]
    params: [train.lr, day, train.layers.1]
    outs: [out/p.txt]
  train:
    foreach: [x, y]
    do:
      cmd: mkdir -p model plots/${item} && cp out/p.txt model/${item}.pkl
        && echo '{"auc":0.5}' > m-${item}.json && echo 1 > plots/${item}/p.csv
      deps: [out/p.txt, data/folder/in/b, data/folder/in, data/folder]
      params:
        - conf.py: [SIZE, DEEP.a]
        - other.toml:
      outs: ["model/${item}.pkl"]
      metrics: [{"m-${item}.json": {cache: false}}]
      plots: [{"plots/${item}": {cache: false}}]
  cached:
    cmd: "mkdir -p many && echo 'a: 1' > many/one.yaml && echo 'a: 2' > many/two.yaml"
    deps: [model]
    metrics: [many]
""",
    "sub/dvc.yaml": """\
stages:
  below:
    wdir: work
    cmd: cp ../in.txt out.txt
    deps: [../in.txt, ../../data]
    params: [../params.yaml: [k]]
    outs: [out.txt]
""",
    "sub/work/.keep": "",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project.create(tmp_path_factory.mktemp("status") / "repo")
    for path, text in FILES.items():
        project.put(path, text)
    project.add("data/raw.csv")
    project.add("data/folder")
    assert project.repro(all_pipelines=True)
    project.commit()
    return project


@pytest.fixture
def project(ran: Project, tmp_path: Path) -> Project:
    return ran.copy(tmp_path / "repo")


def edit(path: str, old: str, new: str) -> Edit:
    def apply(project: Project) -> None:
        text = project.read(path)
        assert old in text
        project.put(path, text.replace(old, new))

    return apply


def put(path: str, text: str) -> Edit:
    return lambda project: project.put(path, text)


def drop(path: str) -> Edit:
    return lambda project: project.remove(path)


def add(path: str) -> Edit:
    return lambda project: project.add(path)


def repro(*targets: str) -> Edit:
    return lambda project: project.repro(*targets, all_pipelines=not targets)


def both(*edits: Edit) -> Edit:
    def apply(project: Project) -> None:
        for one in edits:
            one(project)

    return apply


SCENARIOS: dict[str, Edit] = {
    "nothing": lambda _: None,
    "a param": edit("params.yaml", "0.1", "0.2"),
    "a param spelt otherwise": edit("params.yaml", "0.1", "1.0e-1"),
    "a param in a list": edit("params.yaml", "[1, 2]", "[1, 3]"),
    "a param of nobody": edit("params.yaml", "1e-05", "2e-05"),
    "a param removed": edit("params.yaml", "day: 1", ""),
    "python params": edit("conf.py", "(3, 4)", "(3, 5)"),
    "python list for tuple": edit("conf.py", "(3, 4)", "[3, 4]"),
    "python params of nobody": edit("conf.py", "}", ", 'b': 2}"),
    "whole file of params": edit("other.toml", "'x'", "'y'"),
    "whole file, one more": edit("other.toml", "x = 1", "x = 1\ny = 2"),
    "params file gone": drop("conf.py"),
    "a variable in a command": edit("dvc.yaml", "greeting: hello", "greeting: bye"),
    "a file": edit("notes.txt", "two", "2"),
    "a file in a folder": edit("src/deep/lib.py", "b", "c"),
    "a file more in a folder": put("src/new.py", "x"),
    "a file gone": drop("notes.txt"),
    "a folder gone": drop("src"),
    "a folder's file renamed": both(drop("src/prepare.py"), put("src/p.py", "a\n")),
    "an output in Git": edit("m-x.json", "0.5", "0.6"),
    "an output folder in Git": edit("plots/y/p.csv", "1", "2"),
    "a loop's new item": edit("dvc.yaml", "[x, y]", "[x, y, z]"),
    "a loop's item gone": edit("dvc.yaml", "[x, y]", "[x]"),
    "a dependency more": edit("dvc.yaml", "src, notes.txt]", "src, notes.txt, conf.py]"),
    "a dependency less": edit("dvc.yaml", "src, notes.txt]", "src]"),
    "a dependency spelt otherwise": edit("dvc.yaml", "src, notes.txt]", "src, ./notes.txt]"),
    "an output less": edit("dvc.yaml", '      outs: ["model/${item}.pkl"]\n', ""),
    "a param more": edit("dvc.yaml", "[train.lr, day", "[train.lr, big, day"),
    "a param less": edit("dvc.yaml", "[train.lr, day", "[train.lr"),
    "a frozen stage": both(
        edit("dvc.yaml", "  prepare:\n", "  prepare:\n    frozen: true\n"),
        edit("notes.txt", "two", "2"),
        edit("params.yaml", "0.1", "0.2"),
    ),
    "a frozen stage's command": edit(
        "dvc.yaml", "  prepare:\n    cmd: mkdir", "  prepare:\n    frozen: true\n    cmd: ls;mkdir"
    ),
    "a stage's own folder": edit("sub/dvc.yaml", "wdir: work", "wdir: ."),
    "a file of the subfolder": edit("sub/in.txt", "in", "out"),
    "a param of the subfolder": edit("sub/params.yaml", "v", "w"),
    "no lock": drop("dvc.lock"),
    "a stage's entry gone": edit("dvc.lock", "  train@x:", "  gone:"),
    "description and meta": edit("dvc.yaml", "  prepare:\n", "  prepare:\n    desc: it\n"),
    "data added anew": both(put("data/raw.csv", "new\n"), add("data/raw.csv")),
    "a folder added anew": both(put("data/folder/in/b", "B\n"), add("data/folder")),
    "another member added anew": both(put("data/folder/c", "c"), add("data/folder")),
    "one stage ran": both(edit("params.yaml", "0.1", "0.2"), repro("prepare")),
    "all ran": both(edit("params.yaml", "0.1", "0.2"), repro()),
    "one stage ran anew": both(
        put("data/raw.csv", "new\n"),
        add("data/raw.csv"),
        repro("prepare"),
    ),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_stale_is_what_dvc_status_finds(project: Project, name: str) -> None:
    SCENARIOS[name](project)
    expected = status(project)
    assert set(read(project, FolderTree(project.root)).stale) == expected
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--allow-empty", "--message", name)
    assert set(read(project, CommitTree(project.root)).stale) == expected


def test_what_ran_leaves_nothing_to_note(project: Project) -> None:
    snapshot = read(project, CommitTree(project.root))
    assert (snapshot.stale, snapshot.notes) == ({}, ())


def test_reasons_name_what_differs(project: Project) -> None:
    for name in ("a param", "a file", "an output in Git", "a variable in a command"):
        SCENARIOS[name](project)
    put("data/raw.csv", "new\n")(project)
    project.add("data/raw.csv")
    stale = read(project, FolderTree(project.root)).stale
    assert stale["prepare"] == (
        "command differs",
        "dependency data/raw.csv differs from what data/raw.csv.dvc tracks",
        "dependency notes.txt differs",
        "param train.lr of params.yaml is 0.2, dvc.lock has 0.1",
    )
    assert stale["train@x"] == ("output m-x.json differs",)


def test_stages_after_one_that_ran_name_the_writer(project: Project) -> None:
    SCENARIOS["one stage ran anew"](project)
    assert read(project, FolderTree(project.root)).stale["train@x"] == (
        "dependency out/p.txt differs from what `prepare` wrote",
    )


def test_files_that_git_ignores_raise_no_alarm(project: Project) -> None:
    project.put(".gitignore", "*.pyc\n")
    project.put("src/__pycache__/x.pyc", "bytes")
    assert project.repro("prepare")
    project.commit()
    snapshot = read(project, CommitTree(project.root))
    assert snapshot.stale == {}
    assert any("src was not compared" in note for note in snapshot.notes)


def test_what_git_changes_on_the_way_raises_no_alarm(project: Project) -> None:
    project.put(".gitattributes", "*.csv filter=strip\n* text\n")
    git(project.root, "config", "filter.strip.clean", "tr a-z A-Z")
    project.put("notes.txt", "one\r\ntwo\r\n")
    project.put("x.csv", "text\n")
    edit("dvc.yaml", "src, notes.txt]", "src, notes.txt, x.csv]")(project)
    assert project.repro("prepare")
    project.commit()
    assert CommitTree(project.root).read(["x.csv"]) == {"x.csv": b"TEXT\n"}
    assert read(project, CommitTree(project.root)).stale == {}


def test_links_are_followed(project: Project) -> None:
    (project.root / "link.txt").symlink_to("notes.txt")
    (project.root / "lib").symlink_to("src/deep", target_is_directory=True)
    edit("dvc.yaml", "src, notes.txt]", "src, link.txt, lib/lib.py, lib]")(project)
    assert project.repro("prepare")
    project.commit()
    assert read(project, CommitTree(project.root)).stale == {}
    project.put("notes.txt", "changed\n")
    project.commit()
    assert read(project, CommitTree(project.root)).stale["prepare"] == (
        "dependency link.txt differs",
    )


def read(project: Project, tree: FolderTree | CommitTree) -> Snapshot:
    return DvcSnapshotReader(project.root, config_folders=()).read(tree)


def status(project: Project) -> set[str]:
    with contextlib.chdir(project.root), Repo() as repo:
        found = repo.status()
    return {name for name in found if not name.endswith(".dvc")}
