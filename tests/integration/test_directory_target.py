"""The target that is a folder: its link, its checks, and what it does after a crash."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.releasefolders import make_release, running, settings

from modelci.adapters.targets import connect
from modelci.adapters.targets.directory import DirectoryTarget
from modelci.adapters.targets.probing import ProcessProbe
from modelci.config.model import TargetKind
from modelci.domain.deployment import Release
from modelci.domain.golden import Environment, Health
from modelci.errors import DeploymentError, TargetBusyError

WELL = Health(ok=True, rows=3)


@dataclass
class Probe:
    """Stands in for the process that loads a model."""

    checked: list[tuple[Path, Path | None, float | None]] = field(default_factory=list)

    def check(self, folder: Path, *, python: Path | None, latency_ms: float | None) -> Health:
        self.checked.append((folder, python, latency_ms))
        return WELL

    def environment(self, python: Path | None) -> Environment:
        return Environment(python=str(python))


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
def target(tmp_path: Path, probe: Probe) -> DirectoryTarget:
    return DirectoryTarget(settings(tmp_path, python="/opt/bin/python"), probe=probe)


def stage(
    target: DirectoryTarget, tmp_path: Path, content: str, *, artifact: str = "credit"
) -> Release:
    release = make_release(tmp_path / content, content, artifact=artifact)
    target.stage(release, tmp_path / content, python=None)
    return release


def current(tmp_path: Path, artifact: str = "credit") -> str:
    return (tmp_path / "srv" / artifact / "current/model/credit.skops").read_text()


def test_the_link_leads_to_what_runs(target: DirectoryTarget, tmp_path: Path) -> None:
    one, two = stage(target, tmp_path, "one"), stage(target, tmp_path, "two")
    target.switch(running(one))
    assert current(tmp_path) == "one"
    target.switch(running(two, tag="credit#prod#2"))
    assert current(tmp_path) == "two"
    state = target.read("credit")
    assert (state.running and state.running.release) == two.id
    assert (state.previous and state.previous.release) == one.id
    assert state.staged == (two.id, one.id)
    assert target.release("credit", one.id) == one
    assert target.release("credit", "v9-x") is None
    assert target.artifacts() == ("credit",)


def test_artifacts_do_not_see_each_other(target: DirectoryTarget, tmp_path: Path) -> None:
    names = {"models/eu:credit": "models%2Feu=credit", "eu/credit": "eu%2Fcredit"}
    for artifact, folder in names.items():
        target.switch(running(stage(target, tmp_path, folder, artifact=artifact)))
        assert current(tmp_path, folder) == folder
    assert target.artifacts() == ("eu/credit", "models/eu:credit")
    assert len(target.read("eu/credit").staged) == 1


def test_what_is_not_staged_is_not_switched_to(target: DirectoryTarget, tmp_path: Path) -> None:
    one = stage(target, tmp_path, "one")
    target.switch(running(one))
    other = make_release(tmp_path / "two", "two")
    with pytest.raises(DeploymentError, match=f"Release {other.id} is not on prod"):
        target.switch(running(other))
    assert current(tmp_path) == "one"


def test_bytes_that_changed_on_the_target_are_seen_by_the_check(
    target: DirectoryTarget, probe: Probe, tmp_path: Path
) -> None:
    one = stage(target, tmp_path, "one")
    assert target.check(one, latency_ms=20) == WELL
    folder = tmp_path / "srv/credit/releases" / one.id
    assert probe.checked == [(folder, Path("/opt/bin/python"), 20)]
    (folder / "model/credit.skops").write_text("evil")
    found = target.check(one, latency_ms=None)
    assert not found.ok
    assert "has other bytes than were staged" in found.problems[0]
    assert len(probe.checked) == 1


def test_a_release_is_checked_in_the_python_that_it_was_staged_for(
    target: DirectoryTarget, probe: Probe, tmp_path: Path
) -> None:
    one = make_release(tmp_path / "one", "one")
    target.stage(one, tmp_path / "one", python=Path("/env/bin/python"))
    target.check(one, latency_ms=None)
    assert probe.checked[0][1] == Path("/env/bin/python")
    assert target.environment() == Environment(python="/opt/bin/python")


def test_a_folder_divides_no_traffic_and_sees_none(target: DirectoryTarget, tmp_path: Path) -> None:
    one = stage(target, tmp_path, "one")
    with pytest.raises(DeploymentError, match="is a folder, which divides no traffic"):
        target.try_out(one, share=0.05, shadow=False)
    with pytest.raises(DeploymentError, match="is a folder, which divides no traffic"):
        target.try_out(one, share=0, shadow=True)
    target.try_out(one, share=0, shadow=False)
    assert target.observe(one, seconds=5) is None


def test_a_process_that_died_between_the_state_and_the_link_is_made_up_for(
    target: DirectoryTarget, tmp_path: Path
) -> None:
    one, two = stage(target, tmp_path, "one"), stage(target, tmp_path, "two")
    target.switch(running(one))
    target.switch(running(two, tag="credit#prod#2"))
    link = tmp_path / "srv/credit/current"
    link.unlink()
    link.symlink_to(Path("releases", one.id))
    with target.lock():
        assert current(tmp_path) == "two"
    link.unlink()
    (link.parent / ".current.part").symlink_to("nowhere")
    with target.lock():
        assert current(tmp_path) == "two"


def test_pruning_keeps_what_runs_and_what_ran(target: DirectoryTarget, tmp_path: Path) -> None:
    releases = [stage(target, tmp_path, name) for name in "abcd"]
    for number, release in enumerate(releases[:2]):
        target.switch(running(release, tag=f"credit#prod#{number}"))
    assert target.prune("credit", keep=1) == (releases[2].id,)
    assert set(target.read("credit").staged) == {releases[n].id for n in (0, 1, 3)}


def test_a_path_that_nobody_may_write_is_said(tmp_path: Path, probe: Probe) -> None:
    (tmp_path / "srv").write_text("a file")
    target = DirectoryTarget(settings(tmp_path), probe=probe)
    with pytest.raises(DeploymentError, match="srv"), target.lock():
        pass


def test_something_else_in_the_links_place_is_said(target: DirectoryTarget, tmp_path: Path) -> None:
    one = stage(target, tmp_path, "one")
    (tmp_path / "srv/credit/current").mkdir()
    (tmp_path / "srv/credit/current/file").touch()
    with pytest.raises(DeploymentError, match="cannot be made to lead to"):
        target.switch(running(one))


# -- while others read and write -------------------------------------------------------------------

READER = """
import pathlib, sys
link = pathlib.Path(sys.argv[1]) / "current/model/credit.skops"
print("ready", flush=True)
seen = set()
while not pathlib.Path(sys.argv[2]).exists():
    seen.add(link.read_text())
print(sorted(seen))
"""


def test_whoever_reads_through_the_link_always_finds_a_whole_model(
    target: DirectoryTarget, tmp_path: Path
) -> None:
    one, two = stage(target, tmp_path, "one"), stage(target, tmp_path, "two")
    target.switch(running(one))
    end = tmp_path / "end"
    with subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path / "srv/credit"), str(end)],
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "ready\n"
        for number in range(100):
            release = two if number % 2 else one
            target.switch(running(release, tag=f"credit#prod#{number + 2}"))
            target.prune("credit", keep=1)
        end.touch()
        out, _ = reader.communicate(timeout=100)
    assert reader.returncode == 0
    assert out == "['one', 'two']\n"


SWITCHER = """
import pathlib, sys
from itertools import count
sys.path.insert(0, sys.argv[3])
from tests.fakes.releasefolders import running, settings
from modelci.adapters.targets.directory import DirectoryTarget
target = DirectoryTarget(settings(pathlib.Path(sys.argv[1])), probe=None)
releases = [target.release("credit", one) for one in target.read("credit").staged]
print("ready", flush=True)
for number in count(int(sys.argv[2])):
    with target.lock():
        target.switch(running(releases[number % 2], tag=f"credit#prod#{number}"))
        target.prune("credit", keep=3)
"""


@pytest.fixture
def switcher(target: DirectoryTarget, tmp_path: Path) -> list[str]:
    for content in ("one", "two"):
        target.switch(running(stage(target, tmp_path, content)))
    return [sys.executable, "-c", SWITCHER, str(tmp_path)]


def test_killed_at_any_moment_state_and_link_come_together_again(
    target: DirectoryTarget, switcher: list[str], tmp_path: Path
) -> None:
    for kill in range(8):
        with subprocess.Popen(
            [*switcher, str(100_000 * (kill + 1)), str(Path.cwd())],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            try:
                process.wait(0.05 + kill * 0.013)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        with target.lock():
            state = target.read("credit")
            assert state.running is not None
            assert len(state.staged) == 2
            link = (tmp_path / "srv/credit/current").readlink()
            assert link.name == state.running.release
            assert state.history[0] == state.running


def test_one_deploys_at_a_time_and_the_other_hears_who(
    target: DirectoryTarget, tmp_path: Path, probe: Probe
) -> None:
    other = DirectoryTarget(settings(tmp_path), probe=probe)
    with (
        target.lock(),
        pytest.raises(TargetBusyError, match=f"process {os.getpid()}"),
        other.lock(),
    ):
        pass
    with other.lock():
        pass


# -- the process that looks at a release -----------------------------------------------------------


def test_a_python_tells_what_it_has() -> None:
    probe = ProcessProbe(environment_variables={"PATH": "/bin"}, timeout_seconds=200)
    found = probe.environment(None)
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert "scikit-learn" in found.packages
    assert "msgspec" in found.packages


def fake_serving(folder: Path, text: str) -> ProcessProbe:
    """Return a probe whose module to run is this text."""
    (folder / "stand_in.py").write_text(text)
    python = folder / "python"
    # The isolated mode looks at no PYTHONPATH: a script puts the module where it is found.
    python.write_text(
        "#!/bin/sh\n"
        f'[ "$1" = -I ] && [ "$2" = -m ] && [ "$3" = stand_in ] || exit 90\nshift 3\n'
        f'exec {sys.executable} -I {folder}/stand_in.py "$@"\n'
    )
    python.chmod(0o755)
    return ProcessProbe(
        environment_variables={"PATH": "/usr/bin:/bin"}, timeout_seconds=100, module="stand_in"
    )


def check(folder: Path, text: str) -> Health:
    probe = fake_serving(folder, text)
    return probe.check(folder / "r1", python=folder / "python", latency_ms=12.5)


def test_the_answer_of_the_check_is_its_document(tmp_path: Path) -> None:
    text = f"""
import json, os, sys
assert sys.argv[1:] == ["check", "--release", {str(tmp_path / "r1")!r}, "--max-latency-ms=12.5"]
assert set(os.environ) <= {{"LC_CTYPE", "PATH", "PWD"}}
print(json.dumps(dict(schema="modelci.health/1", ok=False, problems=["row 3"], rows=7)))
sys.exit(1)
"""
    found = check(tmp_path, text)
    assert (found.ok, found.problems, found.rows) == (False, ("row 3",), 7)


def test_a_check_that_dies_is_no_health(tmp_path: Path) -> None:
    found = check(tmp_path, "import os; print('half', flush=True); os._exit(139)")
    assert not found.ok
    assert found.problems == ("the check gave no answer: it ended with 139 and said: half",)


def test_a_check_that_hangs_is_ended(tmp_path: Path) -> None:
    probe = ProcessProbe(environment_variables={"PATH": "/usr/bin:/bin"}, timeout_seconds=0.3)
    with pytest.raises(DeploymentError, match=r"The check of r1 took longer than 0\.3 s"):
        probe.check(tmp_path / "r1", python=sleeper(tmp_path), latency_ms=None)


def sleeper(folder: Path) -> Path:
    script = folder / "sleeper"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o755)
    return script


def test_what_is_no_python_is_said(tmp_path: Path) -> None:
    probe = ProcessProbe(environment_variables={"PATH": "/bin"}, timeout_seconds=100)
    with pytest.raises(DeploymentError, match="cannot be run: No such file"):
        probe.environment(tmp_path / "python")
    with pytest.raises(DeploymentError, match="does not tell which packages it has"):
        probe.environment(Path("/bin/echo"))


# -- by its kind -----------------------------------------------------------------------------------


def test_a_target_is_made_by_its_kind(tmp_path: Path) -> None:
    target = connect(settings(tmp_path))
    assert (target.name, target.kind) == ("prod", "directory")


@pytest.mark.parametrize("kind", [TargetKind.DIRECTORY, TargetKind.COMMAND])
def test_every_kind_knows_its_name(tmp_path: Path, kind: TargetKind) -> None:
    assert connect(settings(tmp_path, kind=kind, cmd="true")).kind == kind
