"""What a doctor finds where a model is to be watched."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.snapshots import FakeSnapshots, lock

from modelci.config.load import load
from modelci.domain.checks import Check, Health
from modelci.domain.promotion import PlannedTag
from modelci.workflows.watch_checks import check_monitors

PROFILE = "models/m.profile.json"
CONFIG = """\
monitor:
  model: m
  stage: prod
  current: scored/{window}.parquet
  performance: {roc_auc: {max_drop: 0.03}, estimate: cbpe}
  triggers: [{when: drift, action: issue}]
evaluation: {predictions: predictions.csv}
"""


@dataclass
class World:
    root: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    config: str = CONFIG

    def promote(self, *, profile: bool = True, stage: str = "prod") -> None:
        sha = self.remote.commit({"dvc.lock": lock(), **({PROFILE: b"{}"} if profile else {})})
        for name in ("m@v1.0.0", f"m#{stage}#1"):
            self.remote.tags[name] = PlannedTag(
                name=name, artifact="m", commit=sha, subject="Tag it", seconds=1_700_000_000
            )

    def check(self) -> list[Check]:
        git = FakeGit(self.root, self.remote)
        tree, reader = git.work_tree(), FakeSnapshots()
        config = load(self.config.encode()).config
        return [*check_monitors(config, reader.read(tree), tree, git=git, reader=reader)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_model_that_can_be_watched_is_ok(world: World) -> None:
    world.promote()
    (found,) = world.check()
    assert found.health is Health.OK
    assert (found.name, found.detail) == ("monitor m#prod", "scored/{window}.parquet, 1 trigger")


def test_a_profile_that_nothing_writes_is_a_problem(world: World) -> None:
    world.promote(profile=False)
    problem, warning = world.check()
    assert problem.health is Health.PROBLEM
    assert problem.detail == f"nothing writes its reference profile, {PROFILE}"
    assert f"--out {PROFILE}" in (problem.fix or "")
    assert warning.detail == "v1.0.0, which is to be watched, has no reference profile"


def test_a_version_from_before_the_profile_is_a_warning(world: World) -> None:
    world.promote(profile=False)
    world.remote.commit({"dvc.lock": lock(), PROFILE: b"{}"})
    (found,) = world.check()
    assert found.health is Health.WARNING
    assert "no reference profile" in found.detail


def test_a_stage_that_nothing_holds_is_a_warning(world: World) -> None:
    world.promote(stage="dev")
    (found,) = world.check()
    assert found.health is Health.WARNING
    assert "holds stage 'prod'" in found.detail
    assert found.fix == "`modelci promote --assign prod`."


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("model: m", "model: other", "dvc.yaml declares no artifact 'other' (it declares: m)"),
        ("roc_auc", "rmse", "rmse is no measure of binary predictions"),
    ],
)
def test_what_does_not_exist_is_a_problem(world: World, old: str, new: str, said: str) -> None:
    world.promote()
    world.config = CONFIG.replace(old, new, 1)
    assert said in [one.detail for one in world.check() if one.health is Health.PROBLEM]


def test_each_model_is_looked_at(world: World) -> None:
    world.promote()
    world.config = """\
monitor:
  - {model: m, stage: prod, current: a}
  - {model: m, stage: dev, current: b}
"""
    assert [one.health for one in world.check()] == [Health.OK, Health.WARNING]
