"""The same repository, once run by us and once by ``dvc repro``: the same files, to the byte."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.integration.dvcproject import Project

from modelci.domain.pipeline import StageStatus

Edit = Callable[[Project], object]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to the files, and then how the pipeline is run."""

    edit: Edit | None = None
    targets: tuple[str, ...] = ()
    keep_going: bool = False
    force: bool = False
    files: dict[str, str] = field(default_factory=dict)
    fails: bool = False


PLAIN = """\
vars: [{note: hello}]
stages:
  # A comment stays.
  b:
    cmd: mkdir -p dir/deep && cp a.txt dir/a && cp a.txt dir/deep/b
    deps: [a.txt]
    params: [lr, {other.json: }]
    outs: [dir]
  a:
    cmd: echo ${note} > a.txt
    outs: [a.txt]
  z:
    cmd:
      - cat dir/a > z.txt
      - echo 1 > m.json
    deps: [dir]
    outs: [z.txt]
    metrics:
      - m.json: {cache: false}
    plots:
      - p.csv: {cache: false}
"""
WITH_PLOT = PLAIN.replace("> m.json", "> m.json; printf 'x,y\\n1,2\\n' > p.csv")
PARAMS = {"params.yaml": "lr: 0.1\n", "other.json": '{"depth": [1, 2]}'}

MIXED = """\
stages:
  fit:
    matrix: {model: [x, y], size: [1, 2]}
    cmd: echo ${item.model} ${item.size} > ${item.model}${item.size}.bin
    deps: [data.csv]
    outs: ["${item.model}${item.size}.bin"]
  each:
    foreach: {one: 1, two: 2}
    do:
      wdir: work
      cmd: echo ${item} > ${key}.txt
      deps: [../x1.bin]
      outs: ["${key}.txt"]
  kept:
    cmd: echo 1 >> kept.txt
    deps: [data.csv]
    outs: [kept.txt: {persist: true}]
  always:
    always_changed: true
    cmd: wc -l < data.csv > lines.txt
    deps: [data.csv]
    outs: [lines.txt]
  call:
    cmd: "true"
  cold:
    frozen: true
    cmd: exit 1
    deps: [data.csv]
    outs: [cold.txt]
"""
SUB = """\
stages:
  last:
    cmd: cat ../work/one.txt > last.txt
    deps: [../work/one.txt]
    outs: [last.txt: {cache: false}]
"""
FAILING = """\
stages:
  one: {cmd: echo 1 > one.txt, outs: [one.txt]}
  bad: {cmd: exit 3, deps: [one.txt], outs: [bad.txt]}
  lies: {cmd: echo 1, deps: [one.txt], outs: [lies.txt]}
  after: {cmd: cp bad.txt after.txt, deps: [bad.txt], outs: [after.txt]}
  other: {cmd: echo 2 > other.txt, outs: [other.txt]}
"""


def remove(*paths: str) -> Edit:
    return lambda project: project.remove(*paths)


def mixed(project: Project) -> None:
    (project.root / "work").mkdir()
    project.put("data.csv", "1\n2\n")
    project.put("cold.txt", "cold\n")
    project.add("data.csv")


SCENARIOS: dict[str, tuple[Step, ...]] = {
    "params and back": (
        Step(files={"dvc.yaml": WITH_PLOT, **PARAMS}),
        Step(),
        Step(files={"params.yaml": "lr: 0.2\n"}),
        Step(files={"params.yaml": "lr: 0.1\n", "other.json": '{"depth": [1, 2], "new": null}'}),
        Step(files={"other.json": PARAMS["other.json"]}),
    ),
    "outputs and lock lost": (
        Step(files={"dvc.yaml": WITH_PLOT, **PARAMS}),
        Step(edit=remove("dir", "z.txt", "m.json")),
        Step(edit=remove("a.txt", "dvc.lock", "p.csv")),
        Step(force=True),
    ),
    "stages come and go": (
        Step(files={"dvc.yaml": WITH_PLOT, **PARAMS}, targets=("a",)),
        Step(targets=("b",)),
        Step(files={"dvc.yaml": WITH_PLOT.replace("hello", "bye") + "  more: {cmd: echo 1}\n"}),
        Step(files={"dvc.yaml": "stages: {new: {cmd: cp a.txt n, deps: [a.txt], outs: [n]}}"}),
    ),
    "an output not made": (Step(files={"dvc.yaml": PLAIN, **PARAMS}, keep_going=True, fails=True),),
    "many kinds": (
        Step(edit=mixed, files={"dvc.yaml": MIXED, "sub/dvc.yaml": SUB}),
        Step(targets=("sub/dvc.yaml", "cold")),
        Step(files={"data.csv": "1\n2\n3\n"}),
        Step(targets=("fit", "sub/dvc.yaml:last")),
    ),
    "failure": (
        Step(files={"dvc.yaml": FAILING}, fails=True),
        Step(keep_going=True, fails=True),
        Step(files={"dvc.yaml": FAILING.replace("exit 3", "echo 3 > bad.txt")}, fails=True),
        Step(keep_going=True, fails=True),
    ),
}


@pytest.mark.parametrize("steps", SCENARIOS.values(), ids=SCENARIOS)
def test_the_tree_is_the_same(tmp_path: Path, steps: tuple[Step, ...]) -> None:
    ours = Project.create(tmp_path / "ours")
    theirs = Project.create(tmp_path / "theirs")
    for step in steps:
        for project in (ours, theirs):
            for path, text in step.files.items():
                project.put(path, text)
            if step.edit:
                step.edit(project)
        runs = ours.run(*step.targets, keep_going=step.keep_going, force=step.force)
        on_error = "keep-going" if step.keep_going else "fail"
        is_ok = theirs.repro(*step.targets, on_error=on_error, force=step.force)
        assert is_ok != step.fails
        assert any(run.status is StageStatus.FAILED for run in runs.values()) == step.fails
        assert ours.tree() == theirs.tree()
        assert run_cache(ours) == run_cache(theirs)


def run_cache(project: Project) -> set[str]:
    folder = project.root / ".dvc" / "cache"
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
