"""Real DVC repositories, planned, run and pushed."""

import json
from pathlib import Path

import pytest
from tests.integration.dvcproject import Project, git, locked, statuses

from modelci.adapters.dvc.plots import DvcPlotsReader
from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.adapters.git import GitRepository
from modelci.domain.pipeline import PlannedState, StageStatus

RAN, RESTORED, UNCHANGED = StageStatus.RAN, StageStatus.RESTORED, StageStatus.UNCHANGED
FAILED, NOT_RUN = StageStatus.FAILED, StageStatus.NOT_RUN

CHAIN = """\
stages:
  prepare:
    cmd: mkdir -p data && cp raw.csv data/x && cp raw.csv data/y
    deps: [raw.csv]
    outs: [data]
  train:
    cmd: cat data/x params.yaml > model.bin && echo trained
    deps: [data]
    params: [train]
    outs: [model.bin]
  evaluate:
    cmd: wc -c < model.bin > metrics.json
    deps: [model.bin]
    metrics:
      - metrics.json:
          cache: false
"""
PARAMS = "train:\n  lr: {lr}\n  kind: [a, b]\n"


@pytest.fixture
def chain(tmp_path: Path) -> Project:
    project = Project.create(tmp_path / "project")
    return project.write(dvc__yaml=CHAIN, params__yaml=PARAMS.format(lr=0.1), raw__csv="1,2\n")


def test_the_first_run_runs_all_and_says_why(chain: Project) -> None:
    runs = chain.run()
    assert statuses(runs) == {"prepare": RAN, "train": RAN, "evaluate": RAN}
    train = runs["train"]
    assert train.reasons == ("never run",)
    assert train.exit_code == 0
    assert train.log_tail.endswith("\ntrained")
    assert train.seconds is not None
    (model,) = train.outputs
    assert (model.path, model.bytes, model.files) == ("model.bin", 36, None)
    (data,) = runs["prepare"].outputs
    assert data.hash is not None
    assert data.hash.endswith(".dir")
    assert (data.bytes, data.files) == (8, 2)


def test_progress_is_told(chain: Project) -> None:
    chain.run()
    assert chain.heard.started == [
        ("prepare", ("never run",), 0, 3),
        ("train", ("never run",), 1, 3),
        ("evaluate", ("never run",), 2, 3),
    ]
    assert [(run.name, done, total) for run, done, total in chain.heard.ended] == [
        ("prepare", 1, 3),
        ("train", 2, 3),
        ("evaluate", 3, 3),
    ]
    assert "> cat data/x params.yaml > model.bin && echo trained\ntrained\n" in chain.heard.output
    assert chain.heard.warnings == []


def test_nothing_to_do(chain: Project) -> None:
    first = chain.run()
    again = chain.run()
    assert set(statuses(again).values()) == {UNCHANGED}
    assert chain.heard.started == []
    assert again["train"].outputs == first["train"].outputs
    assert again["train"].seconds is None
    assert set(chain.states().values()) == {"unchanged"}


def test_a_changed_parameter_and_back_is_restored(chain: Project) -> None:
    chain.run()
    lock, tree = chain.read("dvc.lock"), chain.tree()
    chain.write(params__yaml=PARAMS.format(lr=0.25))
    runs = chain.run()
    assert runs["prepare"].status is UNCHANGED
    assert runs["train"].reasons == ("params.yaml: train.lr changed (0.1 → 0.25)",)
    assert runs["evaluate"].reasons == ("upstream train changed model.bin",)
    chain.write(params__yaml=PARAMS.format(lr=0.1))
    planned = {stage.name: stage for stage in chain.plan().stages}
    runs = chain.run()
    assert statuses(runs) == {"prepare": UNCHANGED, "train": RESTORED, "evaluate": RESTORED}
    assert runs["train"].exit_code is None
    assert runs["train"].reasons == ("params.yaml: train.lr changed (0.25 → 0.1)",)
    assert [name for name, *_ in chain.heard.started] == ["train", "evaluate"]
    assert chain.heard.output == ""
    assert (chain.read("dvc.lock"), chain.tree()) == (lock, tree)
    # The plan knew it: what train will restore is known, and so is what evaluate will find.
    assert {name: stage.state for name, stage in planned.items()} == {
        "prepare": PlannedState.UNCHANGED,
        "train": PlannedState.RESTORE,
        "evaluate": PlannedState.RESTORE,
    }
    assert {name: stage.reasons for name, stage in planned.items()} == {
        name: run.reasons for name, run in runs.items()
    }


@pytest.mark.parametrize(
    ("change", "name", "reason"),
    [
        ({"raw__csv": "3\n"}, "prepare", "dependency raw.csv changed"),
        ({"dvc__yaml": CHAIN.replace("echo trained", "echo done")}, "train", "command changed"),
        ({"model__bin": "tampered"}, "train", "output model.bin changed"),
        (
            {"params__yaml": "train:\n  lr: 0.1\n  kind: [a, c]\n  depth: {n: 2}\n"},
            "train",
            'params.yaml: train.kind changed (["a", "b"] → ["a", "c"])',
        ),
        ({"params__yaml": "other: 1\n"}, "train", "params.yaml: train is gone"),
        (
            {"dvc__yaml": CHAIN.replace("deps: [data]", "deps: [data, params.yaml]")},
            "train",
            "dependency params.yaml is new",
        ),
        (
            {"dvc__yaml": CHAIN.replace("cmd: wc", "always_changed: true\n    cmd: wc")},
            "evaluate",
            "always changed",
        ),
    ],
)
def test_reasons(chain: Project, change: dict[str, str], name: str, reason: str) -> None:
    chain.run()
    chain.write(**change)
    planned = {stage.name: stage for stage in chain.plan().stages}
    assert reason in planned[name].reasons
    runs = chain.run(keep_going=True)
    assert reason in runs[name].reasons
    for other in runs.values():
        assert len(other.reasons) == len(set(other.reasons))


def test_a_missing_output_comes_from_the_cache(chain: Project) -> None:
    chain.run()
    chain.remove("model.bin", "metrics.json")
    assert chain.states() == {
        "prepare": "unchanged",
        "train": "restore",
        "evaluate": "restore",
    }
    runs = chain.run()
    assert statuses(runs) == {"prepare": UNCHANGED, "train": RESTORED, "evaluate": RESTORED}
    assert runs["train"].reasons == ("output model.bin missing",)
    assert chain.has("metrics.json")


def test_the_run_cache_replaces_outputs_and_lock(chain: Project) -> None:
    chain.run()
    tree = chain.tree()
    chain.remove("data", "model.bin", "metrics.json", "dvc.lock")
    assert set(chain.states().values()) == {"restore"}
    assert set(statuses(chain.run()).values()) == {RESTORED}
    assert chain.tree() == tree


def test_force_runs_what_is_up_to_date(chain: Project) -> None:
    chain.run()
    runs = chain.run("train", force=True)
    assert statuses(runs) == {"prepare": RAN, "train": RAN}
    assert runs["train"].reasons == ("forced",)


DIAMOND = """\
stages:
  top:
    cmd: echo 1 > top.txt
    outs: [top.txt]
  left:
    cmd: echo before; exit 3
    deps: [top.txt]
    outs: [left.txt]
  right:
    cmd: cp top.txt right.txt
    deps: [top.txt]
    outs: [right.txt]
  join:
    cmd: cat left.txt right.txt > join.txt
    deps: [left.txt, right.txt]
    outs: [join.txt]
"""


def test_a_failure_stops_the_run_and_leaves_the_rest_in_place(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(dvc__yaml=DIAMOND)
    runs = project.run()
    assert statuses(runs) == {"top": RAN, "left": FAILED, "right": NOT_RUN, "join": NOT_RUN}
    left = runs["left"]
    assert (left.exit_code, left.log_tail) == (3, "> echo before; exit 3\nbefore")
    assert left.outputs == ()
    assert runs["right"].reasons == ("the run stopped: left failed",)
    assert "top:" in project.read("dvc.lock")
    assert "left" not in project.read("dvc.lock")


def test_keep_going_runs_what_does_not_depend_on_the_failure(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(dvc__yaml=DIAMOND)
    runs = project.run(keep_going=True)
    assert statuses(runs) == {"top": RAN, "left": FAILED, "right": RAN, "join": NOT_RUN}
    assert runs["join"].reasons == ("upstream left failed",)


def test_what_fails_beside_a_command(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        dvc__yaml="""\
stages:
  lies:
    cmd: echo working
    outs: [never.txt]
  needs:
    cmd: echo 1 > needs.txt
    deps: [absent.txt]
    outs: [needs.txt]
  lost:
    wdir: nowhere
    cmd: echo 1 > ../lost.txt
    outs: [../lost.txt]
"""
    )
    runs = project.run(keep_going=True)
    assert set(statuses(runs).values()) == {FAILED}
    assert {run.exit_code for run in runs.values()} == {None}
    assert runs["lies"].log_tail.startswith(
        "> echo working\nworking\nOutput 'never.txt' does not exist.\nThe stage's command must"
    )
    assert "absent.txt" in runs["needs"].log_tail
    assert "does not exist" in runs["needs"].log_tail
    assert "nowhere" in runs["lost"].log_tail


def test_matrix_foreach_subfolders_and_wdir(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        dvc__yaml="""\
stages:
  fit:
    matrix:
      model: [a, b]
    cmd: echo ${item.model} > ${item.model}.bin
    outs: ["${item.model}.bin"]
  each:
    foreach: [1, 2]
    do:
      wdir: work
      cmd: cat ../a.bin > ${item}.txt
      deps: [../a.bin]
      outs: ["${item}.txt"]
""",
        sub___dvc__yaml="""\
stages:
  last:
    cmd: cat ../work/1.txt > last.txt; echo $DVC_STAGE $DVC_ROOT
    deps: [../work/1.txt]
    outs: [last.txt]
""",
    )
    (project.root / "work").mkdir()
    assert list(project.run("dvc.yaml")) == ["fit@a", "fit@b", "each@1", "each@2"]
    assert "sub/dvc.yaml:last" in project.states()
    runs = project.run("sub/dvc.yaml")
    assert statuses(runs) == {
        "fit@a": UNCHANGED,
        "each@1": UNCHANGED,
        "sub/dvc.yaml:last": RAN,
    }
    last = runs["sub/dvc.yaml:last"]
    assert [out.path for out in last.outputs] == ["sub/last.txt"]
    assert last.log_tail.endswith(f"sub/dvc.yaml:last {project.root}")
    assert list(project.run("each")) == ["fit@a", "each@1", "each@2"]
    assert project.plan("each@2").stages[1].after == ("fit@a",)
    logs = {path.name for path in (project.root / ".dvc/tmp/modelci/logs").iterdir()}
    assert {"fit@a.log", "sub%2Fdvc.yaml%3Alast.log"} <= logs


@pytest.mark.parametrize("folders", [("one", "two"), (".", "one")])
def test_without_a_target_every_pipeline_of_the_repository_runs(
    tmp_path: Path, folders: tuple[str, ...]
) -> None:
    project = Project.create(tmp_path / "project")
    for name in folders:
        project.put(f"{name}/dvc.yaml", "stages: {a: {cmd: echo 1 > a.txt, outs: [a.txt]}}")
    names = {f"{name}/dvc.yaml:a" if name != "." else "a" for name in folders}
    assert set(project.run()) == names


def test_frozen_callback_persist_and_added_data(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(raw__csv="1\n")
    project.add("raw.csv")
    project.write(
        dvc__yaml="""\
stages:
  cold:
    frozen: true
    cmd: cp raw.csv cold.csv
    deps: [raw.csv]
    outs: [cold.csv]
  always:
    cmd: echo hello
  grows:
    cmd: echo 1 >> grows.txt
    deps: [raw.csv]
    outs:
      - grows.txt:
          persist: true
""",
        cold__csv="as it was\n",
    )
    assert project.states() == {
        "cold": "frozen",
        "always": "run",
        "raw.csv.dvc": "unchanged",
        "grows": "run",
    }
    runs = project.run()
    assert statuses(runs) == {
        "cold": RAN,  # recorded for the first time
        "always": RAN,
        "raw.csv.dvc": UNCHANGED,
        "grows": RAN,
    }
    assert project.read("cold.csv") == "as it was\n"
    assert project.run()["cold"].reasons == ("frozen",)
    project.write(raw__csv="2\n")
    runs = project.run()
    assert runs["raw.csv.dvc"].reasons == ("output raw.csv changed",)
    assert runs["grows"].reasons == ("upstream raw.csv.dvc changed raw.csv",)
    assert project.read("grows.txt") == "1\n1\n"


def test_the_plan_waits_for_what_runs(chain: Project) -> None:
    chain.run()
    chain.write(raw__csv="9,9,9\n")
    plan = {stage.name: stage for stage in chain.plan().stages}
    assert plan["prepare"].state is PlannedState.RUN
    assert plan["train"].state is PlannedState.DEPENDS
    assert plan["train"].reasons == ("upstream prepare will run",)
    assert plan["evaluate"].reasons == ("upstream train may run",)
    assert plan["evaluate"].after == ("train",)
    chain.write(params__yaml=PARAMS.format(lr=7))
    plan = {stage.name: stage for stage in chain.plan().stages}
    assert plan["train"].state is PlannedState.RUN
    assert plan["train"].reasons == ("params.yaml: train.lr changed (0.1 → 7)",)


def test_a_plan_writes_nothing(chain: Project) -> None:
    chain.run()
    chain.commit()
    chain.remove("model.bin")
    chain.write(raw__csv="9\n")
    before = (chain.tree(), cached(chain))
    chain.plan()
    assert (chain.tree(), cached(chain)) == before


def cached(project: Project) -> set[str]:
    cache = project.root / ".dvc" / "cache"
    return {str(path.relative_to(cache)) for path in cache.rglob("*")}


def test_another_clone_restores_from_the_remote(chain: Project, tmp_path: Path) -> None:
    chain.add_remote(tmp_path / "store")
    chain.run()
    chain.commit()
    assert chain.push() == 7  # a file and its listing, model, metrics; three recorded runs
    assert chain.push() == 0
    git(tmp_path, "clone", "--quiet", str(chain.root), "clone")
    clone = Project(tmp_path / "clone")
    assert clone.states() == {"prepare": "run", "train": "depends", "evaluate": "depends"}
    runs = clone.run(pull=True)
    assert statuses(runs) == {"prepare": RESTORED, "train": RESTORED, "evaluate": UNCHANGED}
    assert clone.heard.output == ""
    assert clone.tree() == chain.tree()


def test_the_remote_restores_what_another_branch_made(chain: Project, tmp_path: Path) -> None:
    chain.add_remote(tmp_path / "store")
    chain.run()
    chain.commit()
    git(tmp_path, "clone", "--quiet", str(chain.root), "clone")
    chain.write(params__yaml=PARAMS.format(lr=5))
    chain.run()
    chain.push()
    clone = Project(tmp_path / "clone").write(params__yaml=PARAMS.format(lr=5))
    runs = clone.run(pull=True)
    assert statuses(runs) == {"prepare": RESTORED, "train": RESTORED, "evaluate": RESTORED}
    assert clone.tree() == chain.tree()


def test_what_the_remote_lacks_is_run(chain: Project, tmp_path: Path) -> None:
    chain.add_remote(tmp_path / "store")
    chain.run()
    chain.commit()
    git(tmp_path, "clone", "--quiet", str(chain.root), "clone")
    clone = Project(tmp_path / "clone")
    runs = clone.run(pull=True)  # nothing was ever pushed
    assert set(statuses(runs).values()) == {RAN, UNCHANGED}
    assert clone.tree() == chain.tree()


def test_pull_without_a_remote_is_a_warning(chain: Project) -> None:
    runs = chain.run(pull=True)
    assert set(statuses(runs).values()) == {RAN}
    assert chain.heard.warnings == ["Nothing can be pulled: no default DVC remote is configured."]


def test_fetch_brings_a_file_into_the_cache(chain: Project, tmp_path: Path) -> None:
    chain.write(dvc__yaml=CHAIN.replace("          cache: false\n", "          cache: true\n"))
    chain.add_remote(tmp_path / "store")
    chain.run()
    chain.commit()
    chain.push()
    git(tmp_path, "clone", "--quiet", str(chain.root), "clone")
    clone = Project(tmp_path / "clone")
    clone.pipeline.fetch([locked(clone, "metrics.json")])
    files = [name for name in cached(clone) if "files/md5/" in name and name.count("/") == 3]
    assert len(files) == 1
    assert not clone.has("metrics.json")
    clone.pipeline.fetch([locked(clone, "model.bin")])
    assert len(cached(clone)) > len(files)


def test_the_log_is_kept_whole_and_its_tail_clean(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        talk__py="""\
import sys
for number in range(5000):
    print(f"line {number}")
print("\\x1b[31mred\\x1b[0m \\x07bell", flush=True)
for number in range(101):
    print(f"\\r{number}%", end="", file=sys.stderr, flush=True)
print(" done", file=sys.stderr)
print("é" * 9000)
sys.stdout.buffer.write(b"\\xff\\n")
""",
        dvc__yaml="stages: {talk: {cmd: python talk.py; exit 1, deps: [talk.py]}}",
    )
    run = project.run()["talk"]
    assert len(run.log_tail.splitlines()) <= 40
    assert len(run.log_tail.encode()) <= 8192
    assert run.log_tail.endswith("é\n�")
    raw = (project.root / ".dvc/tmp/modelci/logs/talk.log").read_bytes()
    assert b"line 0\n" in raw
    assert b"line 4999\n" in raw
    assert raw.decode("utf-8", "replace") == project.heard.output


def test_commands_see_only_the_given_environment(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        dvc__yaml="stages: {show: {cmd: 'env; readlink /proc/self/fd/0'}}"
    )
    project.environment = {"PATH": project.environment["PATH"], "SEEN": "yes"}
    tail = project.run()["show"].log_tail.splitlines()
    assert "SEEN=yes" in tail
    assert "DVC_STAGE=show" in tail
    assert f"DVC_ROOT={project.root}" in tail
    assert not [line for line in tail if line.startswith(("HOME=", "XDG", "DVC_NO"))]
    assert tail[-1] == "/dev/null"


def test_each_line_of_a_command_is_a_command(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        dvc__yaml="stages:\n  lines:\n    cmd:\n    - echo one\n    - exit 4\n    - echo three\n"
    )
    run = project.run()["lines"]
    assert (run.exit_code, run.log_tail) == (4, "> echo one\none\n> exit 4")


def test_a_process_left_behind_does_not_keep_us(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        dvc__yaml="stages:\n  serve:\n    cmd:\n"
        "    - (sleep 0.2; echo late; sleep 60) & echo $! > pid\n"
        "    - sleep 0.4; kill $(cat pid)\n"
    )
    run = project.run()["serve"]
    assert run.status is RAN
    assert "late" in run.log_tail
    assert run.seconds is not None
    assert run.seconds < 50


def test_dvc_is_quiet_and_its_warnings_are_passed_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_IGNORE_ISATTY", "1")  # its bars, as in a terminal
    project = Project.create(tmp_path / "project").write(
        dvc__yaml="stages: {empty: {cmd: touch none.txt, outs: [none.txt]}}"
    )
    project.add_remote(tmp_path / "store")
    capfd.readouterr()  # what DVC itself says of setting up, where an earlier test let it talk
    project.run(pull=True)
    assert project.heard.warnings == ["DVC: 'none.txt' is empty."]
    project.push()
    assert project.heard.warnings == []
    assert capfd.readouterr() == ("", "")


def test_autostage(chain: Project) -> None:
    config = chain.root / ".dvc" / "config"
    config.write_text("[core]\n    autostage = true\n", encoding="utf-8")
    chain.run()
    index = (chain.root / ".git" / "index").read_bytes()
    assert b"dvc.lock" in index
    assert b".gitignore" in index


def test_values_of_json_parameters(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        p__json=json.dumps({"long": "x" * 100, "deep": {"a": 1, "b": 2}}),
        dvc__yaml="stages: {a: {cmd: echo 1 > a, params: [p.json: ], outs: [a]}}",
    )
    project.run()
    project.write(p__json=json.dumps({"long": "y" * 100, "deep": {"a": 1, "c": 3}}))
    assert project.run()["a"].reasons == (
        f"p.json: long changed ({'x' * 39}… → {'y' * 39}…)",
        "p.json: deep.c changed (none → 3)",
        "p.json: deep.b changed (2 → none)",
    )


def test_metrics_and_plots_in_a_folder_are_pulled_from_a_real_remote(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "project").write(
        dvc__yaml="""\
stages:
  measure:
    cmd: mkdir -p out && cp m.json p.csv out/
    deps: [m.json, p.csv]
    outs: [out]
metrics: [out/m.json]
plots:
  - out/p.csv: {x: x, y: y}
""",
        m__json='{"auc": 0.5}',
        p__csv="x,y\n1,2\n",
    )
    project.add_remote(tmp_path / "store")
    project.run()
    project.commit()
    project.push()
    git(tmp_path, "clone", "--quiet", str(project.root), "clone")
    clone = Project(tmp_path / "clone")
    tree = GitRepository.discover(clone.root).tree("HEAD")
    for pull in (False, True):
        fetch = clone.pipeline.fetch
        found = DvcSnapshotReader(clone.root, fetch=fetch).read(tree, pull=pull)
        assert {key.name: value for key, value in found.metrics.items()} == (
            {"auc": 0.5} if pull else {}
        )
    gallery = DvcPlotsReader(clone.root, fetch=fetch).read(None, tree, pull=True)
    assert [dict(row) for row in gallery.plots[0].rows] == [{"x": 1, "y": 2, "rev": "head"}]
