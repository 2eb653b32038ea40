"""Canary and shadow on a real ``server`` target: what is promoted, what is not, and who notices."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.model_server import Behaviour, spell
from tests.fakes.progress import RecordedProgress
from tests.fakes.releasebytes import FakeBytes
from tests.fakes.snapshots import FakeSnapshots, lock
from tests.integration.serving import Load, World, served

from modelci.adapters.targets.switching.switches import find_haproxy
from modelci.config.model import Config
from modelci.domain.deploying import Limits, Manner
from modelci.domain.deployment import Deployment, DeployOutcome, StepKind, StepState, Strategy
from modelci.domain.modelfiles import FileFormat, FileScan, Trust
from modelci.domain.orders import parse_wanted
from modelci.domain.promotion import PlannedTag
from modelci.workflows.deploy import deploy
from modelci.workflows.deploy_plan import Job, Request, Tools

LIMITS = Limits(
    watch_seconds=0.5,
    min_requests=40,
    patience_seconds=100,
    max_error_rate=0.02,
    max_latency_ms=20_000,  # a machine may be slow
    max_divergence=0.05,
)
QUICK = replace(LIMITS, max_latency_ms=150)
CANARY = Manner(strategy=Strategy.CANARY, shares=(0.2, 0.5), limits=LIMITS)
SHADOW = Manner(strategy=Strategy.SHADOW, limits=LIMITS)


@dataclass
class Site:
    """A registry whose versions of ``m`` behave as they are told, deployed to a real target."""

    world: World
    remote: FakeRemote = field(default_factory=FakeRemote)
    progress: RecordedProgress = field(default_factory=RecordedProgress)
    tagged: int = 0

    def promote(self, **behaviour: object) -> None:
        """Register a version that behaves so, and assign prod to it."""
        told = Behaviour(name=str(self.tagged), **behaviour)  # type: ignore[arg-type]
        sha = self.remote.commit(
            {"dvc.lock": lock(spell(told))}, seconds=1_700_000_000 + self.tagged
        )
        self.tag(f"m@v{self.tagged + 1}.0.0", sha)
        self.tag(f"m#prod#{self.tagged + 1}", sha)

    def tag(self, name: str, commit: str) -> None:
        self.tagged += 1
        self.remote.tags[name] = PlannedTag(
            name=name,
            artifact="m",
            commit=commit,
            seconds=1_700_000_000 + 10 * self.tagged,
            subject="Subject",
        )

    def deploy(self, manner: Manner) -> Deployment:
        return deploy(
            Job(
                request=Request(wanted=parse_wanted("m#prod"), manner=manner, by="anna"),
                tools=Tools(
                    git=FakeGit(self.world.folder, self.remote, depth=1),
                    reader=FakeSnapshots(),
                    source=FakeBytes(),
                    target=self.world.target,
                    scan=look,
                    folder=self.world.folder / ".modelci",
                    progress=self.progress,
                    now=lambda: f"2026-01-01T00:00:{self.tagged:02}Z",
                    clock=time.monotonic,
                    pause=time.sleep,
                ),
                config=Config(),
                settings=replace(self.world.config, stages=("prod",)),
            )
        )

    def load(self) -> Load:
        return Load(self.world.port, artifact="m")

    @property
    def first(self) -> str:
        """The release that runs."""
        running = self.world.target.read("m").running
        assert running is not None
        return running.release


def look(path: Path, trust: Trust, flavour: str | None) -> tuple[FileScan, ...]:
    data = path.read_bytes()
    digest = sha256(data).hexdigest()
    scan = FileScan(path=str(path), format=FileFormat.JSON, sha256=digest, bytes=len(data))
    return (scan,)


@contextmanager
def first_deployed(folder: Path, switch: str) -> Iterator[Site]:
    """A site on which the first version runs."""
    with served(World.make(folder, switch=switch)) as world:
        made = Site(world)
        made.promote()
        done = made.deploy(Manner(limits=replace(LIMITS, watch_seconds=0, min_requests=0)))
        assert done.outcome is DeployOutcome.DEPLOYED, done
        yield made


@pytest.fixture(params=["builtin", "haproxy"])
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    if request.param == "haproxy" and find_haproxy() is None:
        pytest.skip("there is no HAProxy here and `make haproxy` could not install it")
    with first_deployed(tmp_path, request.param) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Site]:
    """A site with the builtin switch, which sees and compares more than HAProxy."""
    with first_deployed(tmp_path, "builtin") as made:
        yield made


def trials(done: Deployment) -> list[tuple[StepState, str]]:
    return [(one.state, one.detail) for one in done.steps if one.kind is StepKind.TRIAL]


def test_a_good_canary_is_promoted_in_steps(site: Site) -> None:
    first = site.first
    site.promote(offset=0.01)
    with site.load() as load:
        done = site.deploy(CANARY)
        load.more(20)
    assert done.outcome is DeployOutcome.DEPLOYED, (done.reason, site.progress.notes)
    assert [state for state, _ in trials(done)] == [StepState.DONE] * 2
    assert done.release is not None
    assert site.world.answering(artifact="m") == done.release
    assert load.failures == []
    tried = done.observations[0]
    assert tried.requests >= LIMITS.min_requests
    assert tried.errors == 0
    assert tried.p99_ms is not None
    assert load.answers[first] > load.answers[done.release] / 10
    assert site.world.target.read("m").trial is None


def test_a_canary_that_fails_is_aborted_and_no_client_notices(own: Site) -> None:
    first = own.first
    own.promote(status=500, share=0.5)
    with own.load() as load:
        done = own.deploy(CANARY)
        load.more(20)
    assert done.outcome is DeployOutcome.FAILED
    assert "requests failed" in str(done.reason)
    assert load.failures == []
    assert own.world.answering(artifact="m") == first
    assert own.world.target.read("m").trial is None
    assert done.observations[-1].errors > 0


def test_a_canary_that_fails_on_haproxy_is_aborted(site: Site) -> None:
    """HAProxy passes on what its share of the clients is answered; nobody else is."""
    first = site.first
    site.promote(status=500)
    with site.load() as load:
        done = site.deploy(CANARY)
        load.more(20)
        failed = len(load.failures)
        load.more(50)
    assert done.outcome is DeployOutcome.FAILED
    assert "requests failed" in str(done.reason)
    assert len(load.failures) == failed
    assert all(one.startswith("500: ") for one in load.failures)
    assert site.world.answering(artifact="m") == first


def test_a_canary_that_dies_is_aborted_and_no_client_notices(own: Site) -> None:
    assert _aborted_dying(own) == []


def test_a_canary_that_dies_behind_either_switch_cuts_what_it_was_asked_at_most(site: Site) -> None:
    """HAProxy gives up what a release was asked on a connection that was in use before."""
    assert {one.partition(":")[0] for one in _aborted_dying(site)} <= {"RemoteDisconnected"}


def _aborted_dying(site: Site) -> list[str]:
    """Try out a canary that dies, hold what runs against it, and return what clients missed."""
    first = site.first
    site.promote(die=True, share=0.3)
    with site.load() as load:
        done = site.deploy(replace(CANARY, limits=replace(LIMITS, min_requests=10)))
        load.more(20)
    assert done.outcome is DeployOutcome.FAILED, site.progress.notes
    assert site.world.answering(artifact="m") == first
    return load.failures


def test_a_slow_canary_is_aborted(site: Site) -> None:
    first = site.first
    site.promote(delay_ms=250)
    with site.load() as load:
        done = site.deploy(replace(CANARY, limits=QUICK))
        load.more(20)
    assert done.outcome is DeployOutcome.FAILED
    assert "ms" in str(done.reason)
    assert load.failures == []
    assert site.world.answering(artifact="m") == first


def test_a_canary_whose_numbers_differ_is_aborted(own: Site) -> None:
    first = own.first
    own.promote(offset=0.3)
    with own.load() as load:
        done = own.deploy(CANARY)
        load.more(20)
    assert done.outcome is DeployOutcome.FAILED
    assert "its numbers differ by 0.3 on average" in str(done.reason)
    assert load.failures == []
    assert own.world.answering(artifact="m") == first


def test_a_canary_that_refuses_what_the_running_release_answers_is_aborted(own: Site) -> None:
    own.promote(status=422)
    with own.load():
        done = own.deploy(CANARY)
    assert done.outcome is DeployOutcome.FAILED
    assert "requests failed" in str(done.reason)


def test_a_canary_that_answers_in_another_shape_is_aborted(own: Site) -> None:
    own.promote(shape=2)
    with own.load():
        done = own.deploy(CANARY)
    assert done.outcome is DeployOutcome.FAILED
    assert "requests failed" in str(done.reason)


def test_a_good_shadow_is_promoted_and_its_differences_are_recorded(own: Site) -> None:
    first = own.first
    own.promote(offset=0.02)
    with own.load() as load:
        done = own.deploy(SHADOW)
        load.more(20)
    assert done.outcome is DeployOutcome.DEPLOYED, done.reason
    seen = done.observations[0]
    assert seen.compared >= LIMITS.min_requests
    assert seen.divergence == pytest.approx(0.02)
    assert load.failures == []
    assert load.answers[first] > 0
    assert own.world.answering(artifact="m") == done.release


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"offset": 0.3}, "its numbers differ by 0.3"),
        ({"status": 500}, "requests failed"),
        ({"die": True}, "requests failed"),
        ({"delay_ms": 250}, "ms"),
        ({"shape": 2}, "requests failed"),
    ],
)
def test_a_bad_shadow_is_aborted_and_answers_nobody(
    own: Site, behaviour: dict[str, object], reason: str
) -> None:
    first = own.first
    own.promote(**behaviour)
    limits = QUICK if "delay_ms" in behaviour else LIMITS
    with own.load() as load:
        done = own.deploy(replace(SHADOW, limits=replace(limits, min_requests=5)))
        load.more(20)
    assert done.outcome is DeployOutcome.FAILED
    assert reason in str(done.reason)
    assert load.failures == []
    assert set(load.answers) == {first}
    assert own.world.answering(artifact="m") == first


def test_copies_do_not_slow_clients_down(own: Site) -> None:
    own.promote(delay_ms=1000)
    with own.load() as load:
        load.more(50)
        load.latencies.clear()
        own.deploy(replace(SHADOW, limits=replace(QUICK, min_requests=5)))
        latencies = sorted(load.latencies)
    assert latencies[len(latencies) // 2] < 1


def test_a_release_that_fails_once_it_answers_everything_is_switched_back(site: Site) -> None:
    first = site.first
    site.promote(status=500, share=0.5)
    with site.load() as load:
        done = site.deploy(Manner(limits=LIMITS))
        failed = len(load.failures)
        load.more(50)
    assert done.outcome is DeployOutcome.SWITCHED_BACK
    assert "requests failed" in str(done.reason)
    assert len(load.failures) <= failed + load.clients
    assert site.world.answering(artifact="m") == first


def test_haproxy_refuses_a_shadow_and_says_what_to_set(site: Site) -> None:
    if site.world.config.server.switch != "haproxy":
        pytest.skip("the builtin switch makes copies")
    site.promote()
    done = site.deploy(SHADOW)
    assert done.outcome is DeployOutcome.FAILED
    assert "makes no copies of requests" in str(done.reason)
    assert "server.switch to builtin" in str(done.hint)


def test_where_any_switch_will_do_a_shadow_gets_ours_without_losing_a_request(
    tmp_path: Path,
) -> None:
    if find_haproxy() is None:
        pytest.skip("there is no HAProxy here and `make haproxy` could not install it")
    with served(World.make(tmp_path, switch="auto")) as world:
        site = Site(world)
        site.promote()
        site.deploy(Manner(limits=replace(LIMITS, watch_seconds=0)))
        assert world.status()["switch"]["kind"] == "haproxy"
        site.promote(offset=0.01)
        with site.load() as load:
            load.more(20)
            done = site.deploy(SHADOW)
            load.more(20)
        assert done.outcome is DeployOutcome.DEPLOYED, done.reason
        assert world.status()["switch"]["kind"] == "builtin"
        assert load.failures == []
