from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress

from modelci.domain.deployment import Deployment, DeployOutcome
from modelci.domain.orders import Wanted, parse_wanted
from modelci.domain.promotion import PlannedTag
from modelci.errors import DeploymentError, UsageError
from modelci.workflows.follow import Follower, Round

EVERY = Round(every=10, stages=("prod", "eu/prod"))
DONE = Deployment(
    target="prod",
    kind="directory",
    artifact="m",
    tag="m#prod#1",
    version="v1.0.0",
    stage="prod",
    commit="c" * 40,
    outcome=DeployOutcome.DEPLOYED,
)


class FakeBell:
    """A clock that waits by moving on, and says stop when nobody has more to do."""

    def __init__(self, acts: list[Callable[[], None]]) -> None:
        self.acts = acts
        self.seconds = 0.0
        self.waits: list[float] = []
        self.is_stopped = False

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += seconds
        if self.acts:
            self.acts.pop(0)()
        else:
            self.is_stopped = True

    def clock(self) -> float:
        return self.seconds


@dataclass
class World:
    """``outcomes`` come of one deployment after the other (the last one stays)."""

    folder: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    outcomes: list[Deployment | BaseException] = field(default_factory=lambda: [DONE])
    meanwhile: Callable[[], None] = field(default=lambda: None)
    asked: list[str] = field(default_factory=list)
    told: list[Deployment] = field(default_factory=list)
    progress: RecordedProgress = field(default_factory=RecordedProgress)
    acts: list[Callable[[], None]] = field(default_factory=list)

    def tag(self, name: str) -> None:
        self.remote.tags[name] = PlannedTag(
            name=name, artifact="m", commit="c" * 40, seconds=1, subject="x"
        )

    def follow(self, what: Round = EVERY) -> FakeBell:
        if "main" not in self.remote.branches:
            self.remote.commit({})
        bell = FakeBell(self.acts)
        Follower(
            git=FakeGit(self.folder, self.remote, depth=1),
            deploy=self.deploy,
            tell=self.told.append,
            progress=self.progress,
            clock=bell.clock,
            bell=bell,
        ).follow(what)
        return bell

    def deploy(self, wanted: Wanted) -> Deployment:
        self.asked.append(str(wanted))
        self.meanwhile()
        found = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(found, Deployment):
            return found
        raise found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def idle() -> None: ...


def test_what_is_assigned_is_deployed_once_and_again_when_it_moves(world: World) -> None:
    world.tag("m#prod#1")
    world.acts = [idle, idle, lambda: world.tag("m#prod#2"), idle]
    bell = world.follow()
    assert world.asked == ["m#prod", "m#prod"]
    assert bell.waits == [10] * 5
    assert world.told == [DONE, DONE]


def test_what_is_unchanged_is_not_told(world: World) -> None:
    world.tag("m#prod#1")
    world.outcomes = [replace(DONE, outcome=DeployOutcome.UNCHANGED)]
    world.follow()
    assert world.told == []


def test_every_artifact_of_the_targets_stages_is_followed_and_no_other(world: World) -> None:
    for name in ("m#prod#1", "n#eu/prod#1", "models=k#prod#4", "m#dev#2", "m@v1.0.0", "v1", "x#y"):
        world.tag(name)
    world.acts = [lambda: world.tag("n@v2.0.0")]
    world.follow()
    assert world.asked == ["m#prod", "models:k#prod", "n#eu/prod", "n#eu/prod"]


def test_one_wish_is_followed_alone(world: World) -> None:
    for name in ("m#prod#1", "n#prod#1"):
        world.tag(name)
    world.acts = [lambda: world.tag("n#prod#2"), lambda: world.tag("m#prod!#2")]
    world.follow(Round(every=10, wanted=parse_wanted("m#prod")))
    assert world.asked == ["m#prod", "m#prod"]


def test_a_failure_is_tried_again_after_longer_and_longer(world: World) -> None:
    world.tag("m#prod#1")
    failed = replace(DONE, outcome=DeployOutcome.SWITCHED_BACK, reason="errors")
    world.outcomes = [failed, DeploymentError("The target is away.", hint="Look."), DONE]
    world.acts = [idle] * 12
    world.follow()
    # At 0 s, after 20 s, and after another 40 s.
    assert world.asked == ["m#prod"] * 3
    assert world.told == [failed, DONE]
    assert world.progress.warnings == ["errors", "The target is away. Look."]


def test_a_release_that_fails_for_good_is_left_alone_for_an_hour(world: World) -> None:
    world.tag("m#prod#1")
    world.outcomes = [replace(DONE, outcome=DeployOutcome.FAILED, reason="golden")]
    world.acts = [idle] * 1000
    bell = world.follow()
    hours = bell.seconds / 3600
    assert 8 <= len(world.asked) <= 9 + hours


def test_a_failure_is_tried_again_at_once_when_the_tags_change(world: World) -> None:
    world.tag("m#prod#1")
    world.outcomes = [DeploymentError("ill"), DONE]
    world.acts = [lambda: world.tag("m#prod#2")]
    world.follow()
    assert world.asked == ["m#prod", "m#prod"]


def test_a_remote_that_is_away_ends_nothing(world: World) -> None:
    world.tag("m#prod#1")

    def away(*, is_away: bool) -> None:
        world.remote.away = is_away

    world.meanwhile = lambda: away(is_away=True)
    world.acts = [idle, idle, idle, lambda: away(is_away=False), idle]
    bell = world.follow()
    assert bell.waits == [10, 20, 40, 80, 10, 10]
    assert world.asked == ["m#prod"]
    assert len(world.progress.warnings) == 3


def test_a_stage_that_nothing_holds_any_more_leaves_what_runs(world: World) -> None:
    world.tag("m#prod#1")
    world.outcomes = [UsageError("Nothing of m holds stage 'prod'.")]
    world.acts = [idle, idle]
    world.follow()
    assert world.asked == ["m#prod"]
    assert world.progress.notes == ["Nothing of m holds stage 'prod'. What runs is left as it is."]


def test_asked_to_stop_in_a_deployment_it_stops(world: World) -> None:
    world.tag("m#prod#1")
    world.tag("n#prod#1")
    bell = FakeBell([])

    def stop(_wanted: Wanted) -> Deployment:
        bell.is_stopped = True
        raise KeyboardInterrupt

    world.remote.commit({})
    follower = Follower(
        git=FakeGit(world.folder, world.remote, depth=1),
        deploy=stop,
        tell=world.told.append,
        progress=world.progress,
        clock=bell.clock,
        bell=bell,
    )
    follower.follow(EVERY)
    assert bell.waits == []


def test_an_interruption_that_nobody_asked_for_is_passed_on(world: World) -> None:
    world.tag("m#prod#1")
    world.outcomes = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        world.follow()


def test_without_a_remote_there_is_nothing_to_follow(tmp_path: Path) -> None:
    bell = FakeBell([])
    follower = Follower(
        git=FakeGit(tmp_path),
        deploy=lambda _: DONE,
        tell=lambda _: None,
        progress=RecordedProgress(),
        clock=bell.clock,
        bell=bell,
    )
    with pytest.raises(UsageError, match="has no remote to follow"):
        follower.follow(EVERY)
    assert bell.waits == []
