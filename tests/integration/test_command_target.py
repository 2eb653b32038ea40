"""The target that is the project's own command: what it is told, and what its answers come to."""

import json
from pathlib import Path

import pytest
from tests.fakes.progress import RecordedProgress
from tests.fakes.releasefolders import make_release, running, settings

from modelci.adapters.targets.command import CommandTarget
from modelci.domain.deployment import Observation, Release, Trial
from modelci.errors import DeploymentError

SCRIPT = """\
#!/bin/sh
env | grep ^MODELCI_DEPLOY_ | sort > "log-$MODELCI_DEPLOY_STEP"
echo "$MODELCI_DEPLOY_STEP" >> steps
echo "at the step $MODELCI_DEPLOY_STEP"
"""


class World:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.progress = RecordedProgress()
        self.script(SCRIPT)

    def script(self, text: str) -> None:
        path = self.root / "deploy.sh"
        path.write_text(text)
        path.chmod(0o755)

    def target(self, **config: object) -> CommandTarget:
        values = {"cmd": "./deploy.sh", "timeout_seconds": 20, **config}
        return CommandTarget(settings(self.root, progress=self.progress, **values))

    def told(self, step: str) -> dict[str, str]:
        lines = (self.root / f"log-{step}").read_text().splitlines()
        pairs = (line.removeprefix("MODELCI_DEPLOY_").split("=", 1) for line in lines)
        return dict(pair for pair in pairs if len(pair) == 2)

    def stage(self, content: str = "one", *, python: Path | None = None) -> Release:
        release = make_release(self.root / content, content)
        self.target().stage(release, self.root / content, python=python)
        return release

    @property
    def steps(self) -> list[str]:
        return (self.root / "steps").read_text().split()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_each_step_is_told_what_it_is_about(world: World) -> None:
    one = world.stage(python=Path("/env/bin/python"))
    folder = world.root / "srv/credit/releases" / one.id
    common = {
        "TARGET": "prod",
        "ARTIFACT": "credit",
        "RELEASE": one.id,
        "VERSION": "v1.0.0",
        "COMMIT": "c" * 40,
        "FOLDER": str(folder),
        "MODEL": str(folder / "model/credit.skops"),
        "PYTHON": "/env/bin/python",
        "PREVIOUS": "",
    }
    target = world.target()
    assert target.check(one, latency_ms=20).ok
    target.switch(running(one, by="anna", run_url="https://ci.example/7", reason="hotfix"))
    target.observe(one, seconds=5)
    two = world.stage("two")
    target.try_out(two, share=0.25, shadow=False)
    told = {step: world.told(step) for step in ("stage", "check", "switch", "observe", "try")}
    for step, variables in told.items():
        assert variables.pop("STEP") == step
        assert variables.pop("OUT").endswith("/out.json")
    assert told["check"] == {**common, "LATENCY_MS": "20"}
    assert told["switch"] == {
        **common,
        "TAG": "credit#prod#1",
        "BY": "anna",
        "RUN_URL": "https://ci.example/7",
        "REASON": "hotfix",
    }
    assert told["observe"] == {**common, "PREVIOUS": one.id, "SECONDS": "5"}
    assert told["try"]["RELEASE"] == two.id
    assert told["try"]["PREVIOUS"] == one.id
    assert (told["try"]["SHARE"], told["try"]["SHADOW"]) == ("0.25", "false")
    assert world.steps == ["stage", "check", "switch", "observe", "stage", "try"]


def test_the_command_sees_no_token(world: World) -> None:
    world.script("#!/bin/sh\nenv > all\n")
    world.stage()
    names = {line.partition("=")[0] for line in (world.root / "all").read_text().splitlines()}
    foreign = {one for one in names if not one.startswith("MODELCI_DEPLOY_")}
    assert foreign <= {"PATH", "PWD", "OLDPWD", "SHLVL", "_", "PYTHONUNBUFFERED"}


def test_what_it_says_is_heard(world: World) -> None:
    world.stage()
    assert world.progress.stages == ["prod: stage started", "prod: stage ended"]


def test_what_was_switched_to_is_remembered(world: World) -> None:
    one, two = world.stage("one"), world.stage("two")
    target = world.target()
    target.switch(running(one))
    target.switch(running(two, tag="credit#prod#2"))
    state = target.read("credit")
    assert (state.running and state.running.release) == two.id
    assert (state.previous and state.previous.release) == one.id
    assert target.artifacts() == ("credit",)
    assert target.environment() is None
    assert target.release("credit", one.id) == one


def test_a_step_that_fails_says_its_last_words_and_changes_nothing(world: World) -> None:
    one, two = world.stage("one"), world.stage("two")
    world.target().switch(running(one))
    world.script("#!/bin/sh\necho going on\necho 'no such host' >&2\nexit 3\n")
    with pytest.raises(DeploymentError, match="ended with 3 at the step switch: no such host") as (
        raised
    ):
        world.target().switch(running(two, tag="credit#prod#2"))
    assert "docs/targets.md" in (raised.value.hint or "")
    running_now = world.target().read("credit").running
    assert running_now is not None
    assert running_now.release == one.id


def test_a_step_that_takes_too_long_is_ended(world: World) -> None:
    world.script("#!/bin/sh\nsleep 60\n")
    release = make_release(world.root / "one", "one")
    with pytest.raises(DeploymentError, match=r"took longer than 0\.3 s at the step stage"):
        world.target(timeout_seconds=0.3).stage(release, world.root / "one", python=None)


@pytest.mark.parametrize(
    ("script", "ok", "problems"),
    [
        ("exit 0", True, ()),
        ("echo 'wrong answers'; exit 1", False, ("`./deploy.sh` ended with 1: wrong answers",)),
        ("exit 1", False, ("`./deploy.sh` ended with 1: it said nothing",)),
        (
            (
                'echo \'{"schema": "modelci.health/1", "ok": false, "problems": ["row 3"]}\' '
                '> "$MODELCI_DEPLOY_OUT"; exit 1'
            ),
            False,
            ("row 3",),
        ),
        (
            (
                'echo \'{"schema": "modelci.health/1", "ok": true, "rows": 20}\' '
                '> "$MODELCI_DEPLOY_OUT"'
            ),
            True,
            (),
        ),
        (
            'echo \'{"schema": "modelci.health/1", "ok": true}\' > "$MODELCI_DEPLOY_OUT"; exit 9',
            False,
            ("`./deploy.sh` ended with 9: it said nothing",),
        ),
    ],
)
def test_a_check_is_answered_by_the_exit_code_or_by_a_document(
    world: World, script: str, *, ok: bool, problems: tuple[str, ...]
) -> None:
    one = world.stage()
    world.script(f"#!/bin/sh\n{script}\n")
    found = world.target().check(one, latency_ms=None)
    assert (found.ok, found.problems) == (ok, problems)


def test_bytes_that_changed_are_seen_before_the_command_is_asked(world: World) -> None:
    one = world.stage()
    (world.root / "srv/credit/releases" / one.id / "model/credit.skops").write_text("evil")
    found = world.target().check(one, latency_ms=None)
    assert "has other bytes than were staged" in found.problems[0]
    assert world.steps == ["stage"]


def test_traffic_is_what_the_command_writes_of_it(world: World) -> None:
    one = world.stage()
    assert world.target().observe(one, seconds=5) is None
    seen = {"requests": 120, "errors": 1, "p99_ms": 8.5}
    world.script(f"#!/bin/sh\necho '{json.dumps(seen)}' > \"$MODELCI_DEPLOY_OUT\"\n")
    assert world.target().observe(one, seconds=5) == Observation(
        seconds=5, requests=120, errors=1, p99_ms=8.5
    )
    world.script("#!/bin/sh\necho '[1]' > \"$MODELCI_DEPLOY_OUT\"\n")
    with pytest.raises(DeploymentError, match="wrote no observation") as raised:
        world.target().observe(one, seconds=5)
    assert '{"requests": 120' in (raised.value.hint or "")


def test_a_trial_is_remembered_before_it_is_begun_and_until_it_is_ended(world: World) -> None:
    one, two = world.stage("one"), world.stage("two")
    target = world.target()
    target.switch(running(one))
    world.script("#!/bin/sh\nexit 1\n")
    with pytest.raises(DeploymentError):
        target.try_out(two, share=0, shadow=True)
    assert target.read("credit").trial == Trial(release=two.id, shadow=True)
    with pytest.raises(DeploymentError):
        target.try_out(two, share=0, shadow=False)
    assert target.read("credit").trial is not None
    world.script(SCRIPT)
    target.try_out(two, share=0, shadow=False)
    assert target.read("credit").trial is None
    assert (world.told("try")["SHARE"], world.told("try")["SHADOW"]) == ("0", "false")


def test_each_release_that_goes_is_told(world: World) -> None:
    releases = [world.stage(name) for name in ("one", "two", "three")]
    target = world.target()
    target.switch(running(releases[2]))
    assert set(target.prune("credit", keep=1)) == {releases[0].id, releases[1].id}
    assert world.steps[-2:] == ["prune", "prune"]
    assert world.told("prune")["ARTIFACT"] == "credit"
