"""What we rely on behind DVC's public names. A red test here means: DVC has moved it.

Nothing of ours but ``seams.py`` knows these names; correct it there.
"""

import contextlib
import inspect
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import dvc.repo
import dvc.repo.reproduce
import dvc.rwlock
import dvc.stage
import dvc.stage.cache
import dvc.stage.decorators
import dvc.stage.run
import dvc.stage.serialize
import dvc.utils.serialize._yaml
import dvc.utils.strictyaml
import networkx as nx  # type: ignore[import-untyped]
import pytest
import scmrepo.git
from dvc.repo import Repo
from dvc.stage import Stage
from dvc.stage.exceptions import StageCmdFailedError
from hypothesis import given
from hypothesis import strategies as st
from tests.integration.dvcproject import Project

from modelci.adapters.dvc import seams
from modelci.adapters.dvc.ignoring import GitView
from modelci.adapters.dvc.locking import Claims
from modelci.adapters.dvc.quickprint import QuickPrint
from modelci.adapters.dvc.quickyaml import QuickYaml

PIPELINE = """\
stages:
  one: {cmd: echo 1 > one.txt, outs: [one.txt]}
  two: {cmd: cp one.txt two.txt, deps: [one.txt], outs: [two.txt]}
"""


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Repo]:
    project = Project.create(tmp_path / "project").write(dvc__yaml=PIPELINE)
    with contextlib.chdir(project.root), Repo() as opened:
        yield opened


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (dvc.stage.run.cmd_run, ["stage", "dry", "run_env"]),
        (dvc.stage.run.run_stage, ["stage", "dry", "force", "run_env", "kwargs"]),
        (dvc.stage.run._make_cmd, ["executable", "cmd"]),
        (dvc.stage.run._enforce_cmd_list, ["cmd"]),
        (dvc.stage.Stage.reproduce, ["self", "interactive", "kwargs"]),
        (dvc.stage.Stage.changed, ["self", "allow_missing", "upstream"]),
        (dvc.stage.Stage.dump, ["self", "kwargs"]),
        (dvc.stage.cache._can_hash, ["stage"]),
        (dvc.stage.cache.StageCache._load, ["self", "stage"]),
        (dvc.stage.cache.StageCache._create_stage, ["self", "cache", "wdir"]),
        (dvc.stage.cache.StageCache.push, ["self", "remote", "odb"]),
        (dvc.repo.lock_repo, ["repo"]),
        (dvc.repo.reproduce.collect_stages, ["repo", "targets", "recursive", "glob"]),
        (dvc.repo.reproduce.get_active_graph, ["graph"]),
        (dvc.repo.reproduce.plan_repro, ["graph", "stages", "pipeline", "downstream"]),
        (dvc.rwlock.rwlock, ["tmp_dir", "fs", "cmd", "read", "write", "hardlink"]),
        (dvc.stage.serialize.to_lockfile, ["stage", "kwargs"]),
        (dvc.utils.serialize._yaml.parse_yaml, ["text", "path", "typ"]),
        (dvc.utils.serialize._yaml.parse_yaml_for_update, ["text", "path"]),
        (dvc.utils.serialize._yaml._dump, ["data", "stream"]),
        (dvc.utils.strictyaml.parse_yaml, ["text", "path", "typ"]),
        (scmrepo.git.Git.ignore, ["self", "path"]),
        (scmrepo.git.Git._get_gitignore, ["self", "path"]),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_signatures(function: Callable[..., object], parameters: list[str]) -> None:
    assert list(inspect.signature(function).parameters) == parameters


def test_dvc_itself_runs_commands_through_the_seam(repo: Repo) -> None:
    seen = []

    def run(stage: Stage) -> None:
        assert repo.lock.is_locked, "letting go of the repository is up to us"
        seen.append(stage.addressing)
        Path(f"{stage.name}.txt").write_text("by us", encoding="utf-8")

    with seams.commands_run_by(run):
        repo.reproduce()
    assert seen == ["one", "two"]
    assert Path("two.txt").read_text(encoding="utf-8") == "by us"


def test_the_seams_are_closed_again(repo: Repo) -> None:
    def state() -> tuple[object, ...]:
        return (
            dvc.stage.run.cmd_run,
            dvc.stage.run.unlocked_repo,
            dvc.rwlock.rwlock,
            dvc.utils.strictyaml.parse_yaml,
            dvc.utils.serialize._yaml.parse_yaml,
            dvc.utils.serialize._yaml._dump,
            repo.state.links,
            dict(vars(repo.scm)).keys(),
        )

    original = state()
    with contextlib.suppress(ZeroDivisionError), contextlib.ExitStack() as stack:
        stack.enter_context(seams.commands_run_by(print))
        stack.enter_context(seams.paths_claimed_by(Claims().rwlock))
        stack.enter_context(seams.yaml_parsed_by(lambda theirs: QuickYaml(theirs).parse))
        stack.enter_context(seams.git_asked_by(repo.scm, GitView(repo.scm)))
        stack.enter_context(seams.yaml_printed_by(lambda theirs: QuickPrint(theirs).dump))
        stack.enter_context(seams.links_kept_open(repo.state))
        assert not set(map(id, original[:7])) & set(map(id, state()[:7]))
        raise ZeroDivisionError
    assert state() == original


def test_dvc_itself_asks_all_that_is_replaced(repo: Repo) -> None:
    asked = set()

    @contextlib.contextmanager
    def rwlock(*args: object) -> Iterator[None]:
        asked.add("rwlock")
        yield

    def reader(theirs: Callable[..., object]) -> Callable[..., object]:
        def parse(text: str, path: str, typ: str = "safe") -> object:
            asked.add(f"{Path(path).name} {typ}")
            return theirs(text, path, typ=typ)

        return parse

    class Asked:
        def is_tracked(self, path: str) -> bool:
            asked.add(f"is_tracked {Path(path).name}")
            return False

        def ignore(self, path: str) -> str | None:
            asked.add(f"ignore {Path(path).name}")
            return None

    with (
        seams.paths_claimed_by(rwlock),
        seams.yaml_parsed_by(reader),
        seams.git_asked_by(repo.scm, Asked()),
    ):
        repo.reproduce()
        repo.reproduce()
    files = {f"{what} {name}.txt" for what in ("is_tracked", "ignore") for name in ("one", "two")}
    assert asked >= {"rwlock", "dvc.yaml safe", "dvc.lock safe", *files}


def test_dvc_prints_by_the_seam(repo: Repo) -> None:
    printed = []

    def printer(theirs: Callable[..., object]) -> Callable[..., object]:
        def dump(data: dict[str, object], stream: object) -> object:
            printed.append(next(iter(data)))
            return theirs(data, stream)

        return dump

    with seams.yaml_printed_by(printer):
        repo.reproduce()
    assert printed == ["schema", "cmd", "schema"], (
        "one can be in the run cache, and both in dvc.lock"
    )


def test_links_are_the_same_in_a_database_that_stays_open(repo: Repo) -> None:
    with seams.links_kept_open(repo.state):
        repo.reproduce()
        opened = repo.state.links._links._con
        repo.state.save_link(str(Path("one.txt").absolute()), repo.fs)
        assert repo.state.links._links._con is opened
    repo.state.close()
    ours = {path: repo.state.links[path] for path in repo.state.links}
    assert ours.keys() == {"one.txt", "two.txt"}
    repo.state.links.clear()
    for path in ours:
        repo.state.save_link(str(Path(path).absolute()), repo.fs)
    assert {path: repo.state.links[path] for path in repo.state.links} == ours


def test_a_failed_command_is_dvcs_own_error() -> None:
    error = seams.command_failed("false", 3)
    assert isinstance(error, StageCmdFailedError)
    assert str(error) == "failed to run: false, exited with 3"


def test_shell_commands(repo: Repo) -> None:
    stage, _ = seams.collect(repo, "dvc.yaml")
    stage.cmd = "echo 1\necho 2"
    assert seams.shell_commands(stage, "/bin/bash") == [
        ("echo 1", ["/bin/bash", "--noprofile", "--norc", "-c", "echo 1"]),
        ("echo 2", ["/bin/bash", "--noprofile", "--norc", "-c", "echo 2"]),
    ]
    stage.cmd = ["echo 1"]
    assert seams.shell_commands(stage, None) == [("echo 1", ["/bin/sh", "-c", "echo 1"])]


def test_the_environment_is_what_dvc_would_hand_on(
    repo: Repo, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, _ = seams.collect(repo, "dvc.yaml")
    monkeypatch.setenv("SOME", "thing")
    theirs = dvc.stage.run.prepare_kwargs(stage)
    assert seams.stage_environment(stage, dict(os.environ)) == theirs["env"]
    assert theirs.keys() == {"cwd", "env", "close_fds", "shell"}
    assert seams.stage_environment(stage, {"DVC_ROOT": "/given"})["DVC_ROOT"] == "/given"


def test_collecting_is_what_reproduce_does(repo: Repo) -> None:
    for target in ("dvc.yaml", "two", "one"):
        theirs = dvc.repo.reproduce.collect_stages(repo, [target])
        assert seams.collect(repo, target) == theirs
    stages, graph = seams.order(repo, seams.collect(repo, "two"))
    assert [stage.addressing for stage in stages] == ["one", "two"]
    assert [stage.addressing for stage in graph.successors(stages[1])] == ["one"]
    everything, _ = seams.order(repo, [])
    assert everything == stages


@given(data=st.data())
def test_the_order_is_plan_repros(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    graph = nx.DiGraph()
    graph.add_nodes_from(range(count))
    for node in range(1, count):
        for before in data.draw(st.sets(st.integers(0, node - 1), max_size=3)):
            graph.add_edge(node, before)
    sources = data.draw(st.lists(st.sampled_from(range(count)), unique=True))
    downstream = data.draw(st.booleans())
    theirs = dvc.repo.reproduce.plan_repro(graph, sources, downstream=downstream)
    assert seams.in_order(graph, sources, downstream=downstream) == theirs


def test_a_recorded_run_is_found_by_what_is_there_now(repo: Repo) -> None:
    repo.reproduce()
    Path("two.txt").unlink()
    with seams.locked(repo):
        _, two = seams.collect(repo, "dvc.yaml")
        found = seams.recorded_run(two)
        assert found is not None
        assert [out.def_path for out in found.outs] == ["two.txt"]
        Path("one.txt").unlink()
        Path("one.txt").write_text("else", encoding="utf-8")
        _, two = seams.collect(repo, "dvc.yaml")
        assert seams.recorded_run(two) is None


def test_bars_of_transfers_are_drawn_by_ours(repo: Repo, tmp_path: Path) -> None:
    drawn: dict[str, tuple[float, float | None]] = {}

    class Bar:
        def __init__(self, total: float | None = None, desc: str = "", **_: object) -> None:
            self.n, self.total, self.desc = 0.0, total, desc

        def update(self, n: float) -> None:
            self.n += n
            drawn[self.desc] = (self.n, self.total)

        def close(self) -> None:
            """A bar that was drawn is closed."""

    with repo.config.edit("local") as config:
        config["remote"]["here"] = {"url": str(tmp_path / "store")}
        config["core"]["remote"] = "here"
    repo.reproduce()
    with seams.bars_drawn_by(Bar):
        assert repo.push() == 1  # both stages write the same bytes
    pushed = [one for desc, one in drawn.items() if desc.startswith("Pushing")]
    assert pushed
    assert all(n == total for n, total in pushed)
    before = dict(drawn)
    shutil.rmtree(tmp_path / "store")
    repo.push()
    assert drawn == before  # nobody's but inside
