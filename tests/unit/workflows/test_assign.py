"""A registered version goes to further stages."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.pipeline import FakePipeline
from tests.fakes.progress import RecordedProgress

from modelci.config.model import PromoteConfig, RegistryConfig
from modelci.domain.allowance import Liftable
from modelci.domain.promotion import PlannedTag, Promotion, Rules
from modelci.domain.registry import Holder
from modelci.domain.tags import Query
from modelci.errors import PromotionError, UsageError
from modelci.workflows.assign import Wanted, assign

PASSED = (
    ("Modelci-Path", "m.skops"),
    ("Modelci-Hash", "md5:abc"),
    ("Modelci-Verdict", "passed"),
)
NOW = 1_800_000_000


@dataclass(kw_only=True)
class World:
    """A remote on which version 1 and 2 of ``m`` are registered, by seconds 1 and 2."""

    folder: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    pipeline: FakePipeline = field(default_factory=FakePipeline)

    def __post_init__(self) -> None:
        for number in (1, 2):
            sha = self.remote.commit({"f": str(number).encode()}, seconds=number)
            self.tag(f"m@v{number}.0.0", sha, number, PASSED)

    def tag(
        self, name: str, commit: str, seconds: int, trailers: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.remote.tags[name] = PlannedTag(
            name=name,
            artifact="m",
            commit=commit,
            seconds=seconds,
            subject="x",
            trailers=tuple(trailers),
        )

    def commit(self, name: str) -> str:
        return self.remote.tags[name].commit

    def assign(
        self,
        query: str,
        *stages: str,
        settings: PromoteConfig | None = None,
        registry: RegistryConfig | None = None,
        allowed: str | None = None,
        by: str | None = None,
        dry_run: bool = False,
    ) -> Promotion:
        parsed = Query.parse(query)
        assert parsed is not None
        return assign(
            Wanted(query=parsed, stages=stages, seconds=NOW, by=by),
            git=FakeGit(self.folder, self.remote, depth=1),
            settings=settings or PromoteConfig(),
            progress=RecordedProgress(),
            pipeline=lambda: self.pipeline,
            rules=Rules(allowed=allowed),
            registry=registry or RegistryConfig(),
            dry_run=dry_run,
            pause=lambda _: None,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(folder=tmp_path)


@pytest.mark.parametrize(
    ("query", "version"),
    [("m@v1.0.0", 1), ("m@v1", 1), ("m@latest", 2), ("m#dev", 1), ("m@v2.0.0", 2)],
)
def test_a_version_is_named_by_itself_or_by_the_stage_that_it_holds(
    world: World, query: str, version: int
) -> None:
    world.tag("m#dev#1", world.commit("m@v1.0.0"), 5)
    done = world.assign(query, "prod")
    (made,) = done.tags
    assert made.name == "m#prod#2"
    assert made.commit == world.commit(f"m@v{version}.0.0")
    assert made.seconds == NOW
    assert made.trailers == PASSED
    assert world.remote.tags["m#prod#2"] == made


def test_asked_for_again_nothing_is_missing(world: World) -> None:
    world.assign("m@v1.0.0", "prod")
    again = world.assign("m@v1.0.0", "prod")
    assert (again.done, again.tags) == (True, ())
    assert again.unpromoted[0].reason == "v1.0.0 holds prod"


def test_a_dry_run_assigns_nothing(world: World) -> None:
    assert [one.name for one in world.assign("m@v1.0.0", "prod", dry_run=True).tags] == ["m#prod#1"]
    assert "m#prod#1" not in world.remote.tags


@pytest.mark.parametrize(
    ("query", "stages", "message"),
    [
        ("m@v1.0.0", (), "no stage for it"),
        ("m@v1.0.0", ("pr od",), "cannot be a stage"),
        ("m@v3.0.0", ("prod",), r"no version m@v3\.0\.0"),
        ("m#qa", ("prod",), "no version m#qa"),
        ("n@v1.0.0", ("prod",), "speaks of an artifact 'n'"),
    ],
)
def test_what_does_not_exist_is_a_usage_error(
    world: World, query: str, stages: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        world.assign(query, *stages)


@pytest.mark.parametrize(
    ("trailers", "message", "rule"),
    [
        (
            (("Modelci-Hash", "md5:abc"), ("Modelci-Verdict", "blocked")),
            "although gates blocked",
            "gates",
        ),
        ((), "bears no verdict", "verdict"),
    ],
)
def test_a_version_that_no_gate_let_through_needs_a_reason(
    world: World, trailers: tuple[tuple[str, str], ...], message: str, rule: str
) -> None:
    world.tag("m@v1.0.0", world.commit("m@v1.0.0"), 1, trailers)
    with pytest.raises(PromotionError, match=message):
        world.assign("m@v1.0.0", "prod")
    (made,) = world.assign("m@v1.0.0", "prod", allowed="as before", by="ada").tags
    assert made.trailers[-3:] == (
        ("Modelci-Allowed", "as before"),
        ("Modelci-Allowed-By", "ada"),
        ("Modelci-Allowed-Rules", rule),
    )


def test_a_version_of_before_there_were_verdicts_passed(world: World) -> None:
    world.tag("m@v1.0.0", world.commit("m@v1.0.0"), 1, [("Modelci-Hash", "md5:abc")])
    assert world.assign("m@v1.0.0", "prod").done


def test_a_reason_is_more_than_nothing(world: World) -> None:
    with pytest.raises(UsageError, match="--allow needs a reason"):
        world.assign("m@v1.0.0", "prod", allowed=" ")


def test_the_stage_before_must_hold_the_version(world: World) -> None:
    settings = PromoteConfig(stages=("dev", "prod"))
    with pytest.raises(PromotionError, match="nothing holds dev"):
        world.assign("m@v1.0.0", "prod", settings=settings)
    world.assign("m@v1.0.0", "dev", settings=settings)
    assert world.assign("m@v1.0.0", "prod", settings=settings).done
    with pytest.raises(PromotionError, match=r"v1\.0\.0 holds dev"):
        world.assign("m@v2.0.0", "prod", settings=settings)
    done = world.assign("m@v2.0.0", "prod", settings=settings, allowed="hotfix")
    assert done.allowed_rules == (Liftable.STAGE_ORDER,)


def test_a_hold_stops_another_version_until_it_is_released(world: World) -> None:
    world.tag(
        "m#prod#1",
        world.commit("m@v1.0.0"),
        5,
        [("Modelci-Hold", "true"), ("Modelci-Reason", "worse in EU"), ("Modelci-By", "ada")],
    )
    with pytest.raises(PromotionError, match=r"held by m#prod#1 \(by ada\): worse in EU") as raised:
        world.assign("m@v2.0.0", "prod")
    assert "modelci release-hold m --stage prod" in (raised.value.hint or "")
    assert world.assign("m@v2.0.0", "prod", allowed="fixed").allowed_rules == (Liftable.HOLD,)


def test_bytes_that_the_remote_lacks_stop_it(world: World) -> None:
    world.pipeline.lacks = frozenset({"abc"})
    with pytest.raises(PromotionError, match=r"lacks m\.skops \(md5 abc\)"):
        world.assign("m@v1.0.0", "prod")
    assert "m#prod#1" not in world.remote.tags
    done = world.assign("m@v1.0.0", "prod", allowed="they are on their way")
    assert done.allowed_rules == (Liftable.STORED_BYTES,)
    assert "The DVC remote lacks m.skops (md5 abc)." in done.notes


def test_a_reason_that_lifts_nothing_is_in_no_tag(world: World) -> None:
    done = world.assign("m@v1.0.0", "prod", allowed="to be sure", by="ada")
    assert done.allowed == "to be sure"
    assert done.allowed_rules == ()
    assert done.tags[0].trailers == PASSED


def test_a_step_back_is_done_and_said(world: World) -> None:
    world.assign("m@v2.0.0", "prod")
    done = world.assign("m@v1.0.0", "prod")
    assert any("prod held v2.0.0, which is newer" in note for note in done.notes)


def test_where_the_greatest_version_holds_a_step_back_would_change_nothing(world: World) -> None:
    registry = RegistryConfig(holder=Holder.SEMVER)
    world.assign("m@v2.0.0", "prod", registry=registry)
    with pytest.raises(PromotionError, match="holder is semver"):
        world.assign("m@v1.0.0", "prod", registry=registry)


@pytest.mark.parametrize(
    ("stage", "near"),
    [("Prod", "Did you mean prod? "), ("stging", "Did you mean staging? "), ("x", "")],
)
def test_a_stage_that_is_not_listed_is_refused_with_those_that_are(
    world: World, stage: str, near: str
) -> None:
    settings = PromoteConfig(stages=("dev", "staging", "prod"))
    before = dict(world.remote.tags)
    with pytest.raises(UsageError, match="none of the stages") as caught:
        world.assign("m@v1.0.0", stage, settings=settings, allowed="a reason lifts no typo")
    assert (caught.value.hint or "").startswith(f"{near}There are dev, staging, prod;")
    assert world.remote.tags == before
