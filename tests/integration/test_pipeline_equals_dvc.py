"""The same repository, once run by us and once by ``dvc repro``: the same files, to the byte."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from dvc.repo import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
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
    downstream: bool = False
    single_item: bool = False
    run_cache: bool = True
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


MENDED = FAILING.replace("exit 3", "echo 3 > bad.txt").replace("echo 1,", "echo 1 > lies.txt,")
WIDE = "stages:\n" + "".join(
    f"  s{n}: {{cmd: sleep 0.0{9 - n}; echo {n} > s{n}.txt, outs: [s{n}.txt]}}\n" for n in range(9)
)
ODD = """\
stages:
  "1":
    cmd: 'echo "#: a" > one.txt # done'
    outs: [one.txt]
  multi:
    cmd: |
      echo a >  multi.txt
      echo 'é: "x"' >> multi.txt
    params: [long, none, lists, deep.er, tiny, flag]
    outs: [multi.txt]
  with-a_long.name-that-has-no-end-and-goes-on-and-on-until-nobody-cares-any-more-about-its-width:
    cmd: >-
      echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
      cccccccccccccccccccccccccccccc dddddddd > "a file, with [odd] name"
    deps: [one.txt, multi.txt]
    outs: ["a file, with [odd] name", "!bang"]
""".replace(' name"\n    deps', " name\"; echo 1 > '!bang'\n    deps").replace(
    "with-a_long.name", "with-a_long-name"
)
ODD_PARAMS = (
    "long: 'a text of more than eighty characters: it is folded, and has quotes: \\'\"'\n".replace(
        "\\'", "''"
    )
    + "none:\nlists: &x [[1, 2], [], {}]\ndeep: {er: *x, no: 1}\n"
    "tiny: 1e-3\nflag: yes\n"
)
READING = """\
stages:
  read: {cmd: cat import.csv data/*.csv > read.txt, deps: [import.csv, data], outs: [read.txt]}
  again: {cmd: cat import.csv > again.txt, deps: [import.csv], outs: [again.txt]}
"""


def with_comment(project: Project) -> None:
    lock = project.read("dvc.lock")
    project.put("dvc.lock", lock.replace("  s3:\n", "  s3: # by hand\n").replace("'2.0'", '"2.0"'))


def with_sources(project: Project) -> None:
    project.put("source.csv", "1\n")
    project.put("data/a.csv", "a\n")
    project.put("data/b.csv", "b\n")
    project.add("data")
    with contextlib.chdir(project.root), Repo() as repo:
        repo.imp_url("source.csv", "import.csv")


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
    "failure, going on": (
        Step(files={"dvc.yaml": FAILING}, keep_going=True, fails=True),
        Step(
            files={"dvc.yaml": FAILING.replace("exit 3", "echo 3 > bad.txt")},
            keep_going=True,
            fails=True,
        ),
        Step(files={"dvc.yaml": MENDED}),
    ),
    "single items, downstream, no run cache": (
        Step(files={"dvc.yaml": WITH_PLOT, **PARAMS}),
        Step(files={"params.yaml": "lr: 0.2\n"}, targets=("b", "z"), single_item=True),
        Step(edit=remove("dir", "m.json"), targets=("b",), downstream=True),
        Step(files={"params.yaml": "lr: 0.1\n"}, run_cache=False),
        Step(targets=("b",), downstream=True, force=True),
    ),
    "a lock file that people have edited": (
        Step(files={"dvc.yaml": WIDE}, targets=("s3", "s1")),
        Step(edit=with_comment),
        Step(edit=remove("s1.txt", "s4.txt")),
    ),
    "odd names and values": (
        Step(files={"dvc.yaml": ODD, "params.yaml": ODD_PARAMS}),
        Step(files={"params.yaml": ODD_PARAMS.replace("1e-3", "1e-4")}),
    ),
    "data and imports": (
        Step(edit=with_sources, files={"dvc.yaml": READING}),
        Step(files={"source.csv": "5\n"}),
        Step(files={"data/a.csv": "changed\n"}, targets=("import.csv.dvc", "read")),
        Step(targets=("import.csv.dvc",), force=True),
    ),
}
# With several jobs, what would not have run any more may have: only one after the other is alike.
SEQUENTIAL: dict[str, tuple[Step, ...]] = {
    "failure": (
        Step(files={"dvc.yaml": FAILING}, fails=True),
        Step(keep_going=True, fails=True),
        Step(files={"dvc.yaml": FAILING.replace("exit 3", "echo 3 > bad.txt")}, fails=True),
        Step(keep_going=True, fails=True),
    ),
}


@pytest.mark.parametrize(
    ("steps", "jobs"),
    [
        *((steps, jobs) for steps in SCENARIOS.values() for jobs in (1, 4)),
        *((steps, 1) for steps in SEQUENTIAL.values()),
    ],
    ids=[*(f"{name}-{jobs}" for name in SCENARIOS for jobs in (1, 4)), *SEQUENTIAL],
)
def test_the_tree_is_the_same(tmp_path: Path, steps: tuple[Step, ...], jobs: int) -> None:
    ours = Project.create(tmp_path / "ours")
    theirs = Project.create(tmp_path / "theirs")
    for step in steps:
        compare(ours, theirs, step, jobs)


def compare(ours: Project, theirs: Project, step: Step, jobs: int) -> None:
    for project in (ours, theirs):
        for path, text in step.files.items():
            project.put(path, text)
        if step.edit:
            step.edit(project)
    runs = ours.run(
        *step.targets,
        jobs=jobs,
        keep_going=step.keep_going,
        force=step.force,
        downstream=step.downstream,
        single_item=step.single_item,
        run_cache=step.run_cache,
    )
    is_ok = theirs.repro(
        *step.targets,
        on_error="keep-going" if step.keep_going else "fail",
        force=step.force,
        downstream=step.downstream,
        single_item=step.single_item,
        run_cache=step.run_cache,
    )
    assert is_ok != step.fails
    assert any(run.status is StageStatus.FAILED for run in runs.values()) == step.fails
    assert ours.tree() == theirs.tree()
    assert run_cache(ours) == run_cache(theirs)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_pipelines(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Any graph, then any edit of it: as ``dvc repro`` leaves it."""
    folder = tmp_path_factory.mktemp("random")
    ours, theirs = Project.create(folder / "ours"), Project.create(folder / "theirs")
    for _ in range(2):
        files = data.draw(pipelines())
        keep_going = "exit 1" in "".join(files.values())
        step = Step(files=files, keep_going=keep_going, fails=keep_going)
        compare(ours, theirs, step, jobs=data.draw(st.integers(2, 5)))


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, str]:
    count = draw(st.integers(2, 7))
    files = {"seed.txt": draw(st.sampled_from(["1", "2"])), "params.yaml": "p: 1\nq: [a, b]\n"}
    pipes: dict[str, list[str]] = {}
    made: list[str] = []
    broken = draw(st.one_of(st.none(), st.integers(0, count - 1)))
    for number in range(count):
        folder = draw(st.sampled_from(["", "", "sub"])) if number else ""
        up = "../" if folder else ""
        deps = draw(st.lists(st.sampled_from(["seed.txt", *made]), max_size=3, unique=True))
        out = f"o{number}.txt"
        texts = " ".join(up + dep for dep in deps)
        command = f"cat {texts} > {out}" if deps else f"echo {number} > {out}"
        lines = [f"  s{number}:", f"    cmd: sleep 0.0{draw(st.integers(0, 9))}; {command}"]
        if number == broken:
            lines[1] = "    cmd: exit 1"
        if deps:
            lines.append(f"    deps: [{', '.join(up + dep for dep in deps)}]")
        if draw(st.booleans()):
            lines.append(f"    params: [{up}params.yaml: [{draw(st.sampled_from(['p', 'q']))}]]")
        lines += draw(
            st.sampled_from(
                [
                    [f"    outs: [{out}]"],
                    [f"    outs: [{out}: {{cache: false}}]"],
                    [f"    outs: [{out}: {{persist: true}}]"],
                    [f"    metrics: [{out}: {{cache: false}}]"],
                ]
            )
        )
        pipes.setdefault(f"{folder}/dvc.yaml".lstrip("/"), []).extend(lines)
        made.append(f"{folder}/{out}".lstrip("/"))
    # A pipeline at the top that needs all of those below.
    join = ["  all:", f"    cmd: cat {' '.join(made)} > all", f"    deps: [{', '.join(made)}]"]
    pipes["dvc.yaml"] += join
    return files | {path: "\n".join(["stages:", *lines, ""]) for path, lines in pipes.items()}


def run_cache(project: Project) -> dict[str, bytes]:
    folder = project.root / ".dvc" / "cache"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
