"""The target ``server``: releases answer, are switched, and come back, whatever is killed."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.ports import free_port
from tests.fakes.progress import RecordedProgress
from tests.integration.serving import (
    BOOT,
    Load,
    World,
    ask,
    get,
    is_alive,
    running,
    served,
    wait_for,
    with_config,
)

from modelci.adapters.targets.examining import examine
from modelci.adapters.targets.layout import Layout
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.switching import control
from modelci.adapters.targets.switching.switches import find_haproxy
from modelci.config.model import SwitchKind
from modelci.domain.checks import Check, Health
from modelci.domain.deployment import Trial
from modelci.errors import DeploymentError, TargetBusyError


@pytest.fixture(params=["builtin", "haproxy"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "haproxy" and find_haproxy() is None:
        pytest.skip("there is no HAProxy here and `make haproxy` could not install it")
    with served(World.make(tmp_path, switch=request.param)) as made:
        yield made


def test_the_first_release_answers(world: World) -> None:
    release = world.deploy("a", offset=1.0)
    answer = world.ask(0.5)
    assert answer["model_version"] == release.id
    assert answer["outputs"][0]["data"] == [1.5]
    state = world.target.read("credit")
    assert (state.running and state.running.release) == release.id
    assert world.target.artifacts() == ("credit",)


def test_a_switch_goes_to_the_new_release_and_keeps_the_old_one_warm(world: World) -> None:
    first = world.deploy("a")
    pid = world.pid_of(first)
    second = world.deploy("b")
    assert world.answering() == second.id
    assert world.pid_of(first) == pid
    world.target.switch(running(first, reason="back"))
    assert world.answering() == first.id
    assert world.pid_of(first) == pid


def test_hundreds_of_switches_under_load_fail_no_request(world: World) -> None:
    one, other = world.deploy("a"), world.deploy("b")
    with Load(world.port) as load:
        load.more(20)
        for number in range(150):
            world.target.switch(running((one, other)[number % 2], tag=f"credit#prod#{number}"))
        load.more(20)
    assert load.failures == []
    assert set(load.answers) == {one.id, other.id}
    assert world.answering() == other.id


def test_after_a_switch_nobody_is_answered_by_the_old_release(world: World) -> None:
    releases = [world.deploy("a"), world.deploy("b")]
    with Load(world.port):
        for number in range(20):
            release = releases[number % 2]
            world.target.switch(running(release, tag=f"credit#prod#{number}"))
            assert {world.answering() for _ in range(5)} == {release.id}


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_trial_gets_its_share_of_the_requests(world: World, share: float) -> None:
    first = world.deploy("a")
    second = world.stage("b")
    world.target.try_out(second, share=share, shadow=False)
    answers = Counter(world.answering() for _ in range(400))
    assert set(answers) == {first.id, second.id}
    # Five standard deviations of a binomial, so that one run in a million fails by chance.
    assert abs(answers[second.id] / 400 - share) < 5 * (share * (1 - share) / 400) ** 0.5
    seen = world.target.observe(second, seconds=60)
    assert seen is not None
    assert seen.requests == answers[second.id]
    world.target.try_out(second, share=0.0, shadow=False)
    assert {world.answering() for _ in range(50)} == {first.id}


def test_what_cannot_be_tried_is_refused(world: World) -> None:
    release = world.stage("a")
    with pytest.raises(DeploymentError, match="Nothing of credit runs on prod"):
        world.target.try_out(release, share=0.1, shadow=False)
    world.deploy("a")
    with pytest.raises(DeploymentError, match="answers everything on prod already"):
        world.target.try_out(release, share=0.1, shadow=False)
    with pytest.raises(DeploymentError, match="2 is no share"):
        world.target.try_out(world.stage("b"), share=2, shadow=False)
    assert world.target.read("credit").trial is None


def test_a_release_that_does_not_start_leaves_everything_as_it_was(world: World) -> None:
    first = world.deploy("a")
    broken = world.stage("b", exit_at_start=True)
    with Load(world.port) as load:
        health = world.target.check(broken, latency_ms=None)
        load.more(10)
    assert not health.ok
    assert "exit code 3" in health.problems[0]
    assert "ValueError: this model cannot be loaded" in health.problems[0]
    with pytest.raises(DeploymentError, match="cannot answer on prod: its server does not start"):
        world.target.switch(running(broken))
    assert load.failures == []
    assert world.answering() == first.id
    assert world.target.read("credit").running == running(first)


def test_a_release_that_is_not_healthy_is_not_started(world: World) -> None:
    world.deploy("a")
    bad = world.stage("b", is_healthy=False)
    health = world.target.check(bad, latency_ms=None)
    assert health.problems == ("row 1: score is 0.5, not 0.7",)
    assert bad.id not in world.status()["releases"]


def test_a_release_whose_bytes_were_changed_is_not_started(world: World) -> None:
    release = world.stage("a")
    model = world.folder / "prod/credit/releases" / release.id / "model/behaviour.json"
    model.write_text("{}")
    health = world.target.check(release, latency_ms=None)
    assert not health.ok
    assert "other bytes" in health.problems[0]


def test_pruned_releases_end_and_the_previous_one_stays_warm(world: World) -> None:
    releases = [world.deploy(name) for name in "abcd"]
    assert world.target.prune("credit", keep=0) == (releases[1].id, releases[0].id)
    wait_for(lambda: not world.status()["stopping"])
    assert set(world.status()["releases"]) == {releases[2].id, releases[3].id}
    assert world.target.prune("credit", keep=0) == ()
    world.target.switch(running(releases[2], reason="back"))
    assert world.answering() == releases[2].id


def test_a_pruned_release_can_be_deployed_again(world: World) -> None:
    first = world.deploy("a")
    world.deploy("b")
    world.deploy("c")
    world.target.prune("credit", keep=0)
    again = world.deploy("a")
    assert again == first
    assert world.answering() == first.id


def test_several_artifacts_answer_by_their_names(world: World) -> None:
    credit = world.deploy("a")
    churn = world.deploy("b", artifact="churn/monthly")
    yearly = world.deploy("b", artifact="churn")
    assert world.answering(artifact="churn") == yearly.id
    assert world.answering() == credit.id
    assert world.answering(artifact="churn/monthly") == churn.id
    assert world.answering(artifact="churn%2Fmonthly") == churn.id
    assert world.target.artifacts() == ("churn", "churn/monthly", "credit")
    status, said = ask(world.port, artifact="nothing")
    assert (status, "name one in the path" in said["error"]) == (404, True)
    assert get(world.port, "/v2/models") == (200, {"models": ["churn", "churn/monthly", "credit"]})
    assert get(world.port, "/v2/health/live") == (200, {"live": True})
    assert get(world.port, "/v2/health/ready") == (200, {"ready": True})
    newer = world.deploy("c")
    assert world.answering() == newer.id
    assert world.answering(artifact="churn/monthly") == churn.id


def test_the_path_of_a_target_may_be_long(tmp_path: Path) -> None:
    deep = tmp_path / ("long" * 20) / ("longer" * 20)
    deep.mkdir(parents=True)
    with served(World.make(deep)) as world:
        release = world.deploy("a")
        assert world.answering() == release.id


def test_stopping_ends_every_process(world: World) -> None:
    assert not world.target.answers("credit")
    release = world.deploy("a")
    assert world.target.answers("credit")
    pids = [world.status()["pid"], world.status()["switch"]["pid"], world.pid_of(release)]
    assert world.target.stop()
    assert not any(is_alive(pid) for pid in pids)
    assert not world.target.answers("credit")
    assert world.target.status() is None
    assert not world.target.stop()


def test_stopping_ends_also_what_a_killed_supervisor_has_left(world: World) -> None:
    release = world.deploy("a")
    status = world.status()
    os.kill(status["pid"], signal.SIGKILL)
    wait_for(lambda: world.target.status() is None)
    assert world.target.stop()
    assert not any(
        is_alive(pid) for pid in (status["switch"]["pid"], status["releases"][release.id]["pid"])
    )


def test_nothing_is_stopped_while_somebody_deploys(world: World) -> None:
    release = world.deploy("a")
    with world.target.lock(), pytest.raises(TargetBusyError, match="is being deployed to by"):
        world.target.stop()
    assert world.answering() == release.id


def test_a_first_deployment_that_fails_leaves_no_process(world: World) -> None:
    with world.target.lock():
        release = world.stage("a", exit_at_start=True)
        assert not world.target.check(release, latency_ms=None).ok
        pid = world.status()["pid"]
    assert world.target.status() is None
    assert not is_alive(pid)


def test_a_deployment_that_fails_leaves_a_supervisor_that_it_found(world: World) -> None:
    release = world.stage("a")
    assert world.target.check(release, latency_ms=None).ok  # has one started
    with world.target.lock():
        pass
    assert world.target.status() is not None


def test_everything_comes_back_after_a_reboot(world: World) -> None:
    world.deploy("a")
    second = world.deploy("b")
    world.target.stop()
    for left in world.run.glob("*.sock"):  # as a crash leaves them
        left.unlink()
    with world.target.lock():
        pass
    wait_for(lambda: world.answering() == second.id)
    assert len(world.status()["releases"]) == 2


def test_an_address_that_is_taken_is_told_before_anything_changes(world: World) -> None:
    with socket.create_server(("127.0.0.1", world.port)):
        release = world.stage("a")
        with pytest.raises(DeploymentError, match="cannot be listened on: Address already in use"):
            world.target.check(release, latency_ms=None)
    assert world.target.read("credit").running is None
    assert world.target.check(release, latency_ms=None).ok


# -- kill -9 ---------------------------------------------------------------------------------------


def test_a_release_that_is_killed_is_started_again(world: World) -> None:
    release = world.deploy("a")
    pid = world.pid_of(release)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: world.answering() == release.id)
    assert world.pid_of(release) != pid
    described = world.status()["releases"][release.id]
    assert described["restarts"] >= 1
    assert "killed by SIGKILL" in described["reason"]


def test_a_switch_that_is_killed_refuses_no_connection(world: World) -> None:
    release = world.deploy("a")
    before = world.status()["switch"]["pid"]
    with Load(world.port) as load:
        load.more(20)
        os.kill(before, signal.SIGKILL)
        load.more(40)
    # What was under way is lost; nobody who came later is.
    assert len(load.failures) <= load.clients
    assert not any("refused" in one for one in load.failures)
    assert world.answering() == release.id
    assert world.status()["switch"]["pid"] != before


def test_a_supervisor_that_is_killed_interrupts_nothing(world: World) -> None:
    first = world.deploy("a")
    status = world.status()
    with Load(world.port) as load:
        load.more(20)
        os.kill(status["pid"], signal.SIGKILL)
        wait_for(lambda: world.target.status() is None)
        assert world.target.answers("credit")
        load.more(20)
        second = world.deploy("b")
        load.more(20)
    assert load.failures == []
    assert set(load.answers) == {first.id, second.id}
    after = world.status()
    assert after["pid"] != status["pid"]
    assert after["switch"]["pid"] == status["switch"]["pid"]
    assert after["releases"][first.id]["pid"] == status["releases"][first.id]["pid"]


def test_what_a_found_supervisor_took_over_it_keeps_up(world: World) -> None:
    release = world.deploy("a")
    os.kill(world.status()["pid"], signal.SIGKILL)
    wait_for(lambda: world.target.status() is None)
    with world.target.lock():
        pass
    wait_for(lambda: world.status()["switch"]["condition"] == "ready")
    for pid in (world.pid_of(release), world.status()["switch"]["pid"]):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: world.answering() == release.id)


def test_a_state_that_nobody_told_of_is_followed(world: World) -> None:
    """Whoever wrote it was killed before they could tell."""
    first, second = world.deploy("a"), world.deploy("b")
    layout = Layout("prod", world.folder / "prod/credit")
    layout.switch(running(first, reason="back"))
    wait_for(lambda: world.answering() == first.id, seconds=30)
    layout.set_trial("credit", Trial(release=second.id, share=0.5))
    wait_for(lambda: {world.answering() for _ in range(20)} == {first.id, second.id}, seconds=30)


def test_nothing_is_taken_from_a_release_that_answers_for_one_that_cannot(world: World) -> None:
    first = world.deploy("a")
    broken = world.stage("b", exit_at_start=True)
    Layout("prod", world.folder / "prod/credit").switch(running(broken))
    wait_for(lambda: world.status()["releases"][broken.id]["restarts"] >= 2)
    assert world.answering() == first.id


def test_a_process_that_has_the_number_of_ours_by_now_is_left_alone(world: World) -> None:
    release = world.deploy("a")
    world.target.stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pid_file = world.run / f"{release.id}.pid"
        pid_file.write_text(f'{{"pid": {stranger.pid}, "started": "1", "boot": "{BOOT}"}}')
        with world.target.lock():
            pass
        wait_for(lambda: world.answering() == release.id)
        world.target.stop()
        assert stranger.poll() is None
        stranger.kill()


STEPS = """
import os, signal, sys
from pathlib import Path
from tests.integration.serving import World, running
world = World.at(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
release = world.release("b", offset=1.0)
target, until = world.target, int(sys.argv[4])
folder = world.folder / "work/credit/b"
is_new = target.read("credit").running.release != release.id
steps = [
    lambda: target.stage(release, folder, python=None),
    lambda: target.check(release, latency_ms=None),
    lambda: is_new and target.try_out(release, share=0.5, shadow=False),
    lambda: target.switch(running(release)),
    lambda: target.prune("credit", keep=1),
]
with target.lock():
    for number, step in enumerate(steps):
        if number == until:
            os.kill(os.getpid(), signal.SIGKILL)
        step()
"""


def test_a_deployment_killed_between_any_two_steps_is_finished_by_the_next(world: World) -> None:
    world.deploy("a")
    with Load(world.port) as load:
        for until in range(1, 6):
            done = world.play(STEPS, until)
            assert done.returncode == (-signal.SIGKILL if until < 5 else 0), done.stderr
            load.more(10)
        assert done.returncode == 0, done.stderr
        load.more(10)
    assert load.failures == []
    state = world.target.read("credit")
    assert state.running is not None
    assert world.answering() == state.running.release
    assert state.running.release.startswith("b-")
    assert state.trial is None
    assert [one.release for one in state.history] == [
        state.running.release,
        state.previous.release if state.previous else None,
    ]


# -- settings, versions, systemd -------------------------------------------------------------------


def test_the_address_can_be_moved(world: World) -> None:
    release = world.deploy("a")
    moved = replace(with_config(world, listen=f"127.0.0.1:{(port := free_port())}"), port=port)
    with moved.target.lock():
        pass
    wait_for(lambda: moved.answering() == release.id)
    wait_for(lambda: refuses(world.port))


def test_the_switch_can_be_exchanged_under_load(world: World) -> None:
    if find_haproxy() is None:
        pytest.skip("there is no HAProxy here and `make haproxy` could not install it")
    release = world.deploy("a")
    kinds = ("haproxy", "builtin", "haproxy")
    with Load(world.port) as load:
        load.more(20)
        for kind in kinds:
            other = with_config(world, switch=SwitchKind(kind))
            with other.target.lock():
                pass
            assert world.status()["switch"]["kind"] == kind
            load.more(20)
            assert other.deploy("b") != release
            other.target.switch(running(release, tag=kind))
    assert load.failures == []
    assert world.answering() == release.id


def test_another_version_takes_over_without_losing_a_request(world: World) -> None:
    release = world.deploy("a")
    before = world.status()
    with Load(world.port) as load:
        load.more(20)
        renewed = control.call(
            world.run / "control.sock", {"do": "renew", "python": sys.executable}, seconds=5
        )
        assert renewed == {}
        wait_for(lambda: world.status()["switch"]["condition"] == "ready")
        load.more(20)
        # It still has the socket: a switch that dies now refuses nobody, either.
        os.kill(world.status()["switch"]["pid"], signal.SIGKILL)
        load.more(20)
        second = world.deploy("b")
        load.more(20)
    after = world.status()
    assert after["pid"] == before["pid"]
    assert after["releases"][release.id]["pid"] == before["releases"][release.id]["pid"]
    assert len(load.failures) <= load.clients
    assert not any("refused" in one for one in load.failures)
    assert world.answering() == second.id


SERVE = """
import sys
from pathlib import Path
from tests.integration.serving import World
World.at(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]).target.serve()
"""


def test_a_supervisor_of_systemds_takes_over_from_one_that_a_deployment_started(
    world: World,
) -> None:
    release = world.deploy("a")
    before = world.status()
    with Load(world.port) as load, world.start(SERVE) as served:
        wait_for(lambda: world.status()["pid"] == served.pid)
        load.more(20)
        second = world.deploy("b")
        load.more(20)
        assert load.failures == []
        assert world.status()["pid"] == served.pid
        assert world.pid_of(release) == before["releases"][release.id]["pid"]
    assert world.answering() == second.id
    with world.start(SERVE) as served:
        wait_for(lambda: world.status()["pid"] == served.pid)
        served.terminate()
        assert served.wait(100) == 0
    assert world.target.status() is None
    assert refuses(world.port)


def test_a_damaged_state_stops_nothing(world: World) -> None:
    first = world.deploy("a")
    other = world.deploy("b", artifact="churn")
    (world.folder / "prod/credit/state.json").write_text('{"schema": "mode')
    wait_for(lambda: "is damaged" in str(world.status()["problem"]))
    os.kill(world.pid_of(first), signal.SIGKILL)
    wait_for(lambda: world.answering() == first.id)
    with pytest.raises(DeploymentError, match="is damaged"):
        world.target.read("credit")
    newer = world.stage("c", artifact="churn")
    with pytest.raises(DeploymentError, match="is damaged"):
        world.target.check(newer, latency_ms=None)
    assert world.answering(artifact="churn") == other.id


def test_only_their_user_can_talk_to_its_processes(world: World) -> None:
    world.deploy("a")
    assert stat.S_IMODE(world.run.stat().st_mode) == 0o700
    for path in world.run.glob("*.sock"):
        if "control" in path.name or "switch" in path.name or "haproxy" in path.name:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for path in (*world.run.glob("*.cfg"), world.run / "settings.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("said", [b"nonsense\n", b"[]\n", b'{"do": "up"}\n', b'{"do": "fly"}\n'])
def test_what_is_no_message_is_answered_with_an_error(world: World, said: bytes) -> None:
    release = world.deploy("a")
    with (
        control.address_of(world.run / "control.sock") as address,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.connect(address)
        connection.sendall(said * 2)
        with connection.makefile("rb") as file:
            assert [b'"error"' in file.readline() for _ in range(2)] == [True, True]
    assert world.answering() == release.id


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def examined(world: World) -> list[Check]:
    settings = TargetSettings(
        name="prod", config=world.config, root=world.folder, progress=RecordedProgress()
    )
    return list(examine(settings))


def test_an_address_is_the_targets_own_while_it_answers_there(world: World) -> None:
    assert examined(world) == []
    world.deploy("a")
    assert examined(world) == []
    os.kill(world.status()["pid"], signal.SIGKILL)
    wait_for(lambda: world.target.status() is None)
    assert examined(world) == []


def test_an_address_that_something_else_has_is_seen_beforehand(world: World) -> None:
    with socket.create_server(("127.0.0.1", world.port)):
        (one,) = examined(world)
    assert one.health is Health.WARNING
    assert one.detail == f"the address 127.0.0.1:{world.port} is taken by something else"
