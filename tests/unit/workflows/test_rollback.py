from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.pipeline import FakePipeline
from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock

from modelci.config.model import Config, PromoteConfig, RegistryConfig
from modelci.domain.allowance import Liftable
from modelci.domain.holds import trailers
from modelci.domain.promotion import PlannedTag
from modelci.domain.rollback import RegistryChange, Wish
from modelci.domain.versions import Version
from modelci.errors import ForgeError, PromotionError, UsageError
from modelci.ports import NO_BLOBS, Blobs, Git
from modelci.workflows.rollback import change_registry


class HurriedGit(FakeGit):
    """Somebody else is quicker: ``meanwhile`` happens just before our next push.

    ``afterwards`` happens just after it.
    """

    meanwhile: Callable[[], object] | None = None
    afterwards: Callable[[], object] | None = None

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        do, self.meanwhile = self.meanwhile, None
        if do:
            do()
        super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)
        do, self.afterwards = self.afterwards, None
        if do:
            do()


@dataclass
class World:
    """A remote on which three versions of m held prod, one after the other."""

    folder: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    pipeline: FakePipeline = field(default_factory=FakePipeline)
    progress: RecordedProgress = field(default_factory=RecordedProgress)

    def __post_init__(self) -> None:
        for number in range(3):
            sha = self.remote.commit({"dvc.lock": lock(f"bytes{number}")}, seconds=100 * number)
            self.tag(f"m@v1.{number}.0", sha, 100 * number + 1)
            self.tag(f"m#prod#{number + 1}", sha, 100 * number + 2)

    def tag(self, name: str, commit: str, seconds: int) -> None:
        self.remote.tags[name] = PlannedTag(
            name=name, artifact="m", commit=commit, seconds=seconds, subject="x"
        )

    def clone(self) -> HurriedGit:
        return HurriedGit(self.folder, self.remote)

    def change(
        self,
        action: str = "rollback",
        git: Git | None = None,
        *,
        config: Config | None = None,
        dry_run: bool = False,
        pauses: list[int] | None = None,
        **fields: object,
    ) -> RegistryChange:
        wish: dict[str, object] = {"artifact": "m", "stage": "prod", "reason": "bad", "by": "Ben"}
        return change_registry(
            action,
            Wish(**{**wish, "seconds": 1000, **fields}),  # type: ignore[arg-type]
            git=git or self.clone(),
            reader=FakeSnapshots(),
            pipeline=lambda: self.pipeline,
            config=config or Config(),
            progress=self.progress,
            dry_run=dry_run,
            pause=(pauses if pauses is not None else []).append,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_tag_is_made_on_the_remote_of_a_clone_that_has_none(world: World) -> None:
    change = world.change()
    assert (change.done, change.remote, change.after) == (True, "origin", "v1.1.0")
    assert "m#prod#4" in world.remote.tags


def test_a_dry_run_tags_nothing(world: World) -> None:
    change = world.change(dry_run=True)
    assert ([one.name for one in change.tags], change.done) == (["m#prod#4"], False)
    assert "m#prod#4" not in world.remote.tags


def test_two_who_roll_back_at_once_roll_back_once(world: World) -> None:
    git = world.clone()
    git.meanwhile = lambda: world.change(by="Anna", seconds=999)
    change = world.change(git=git)
    assert (change.done, change.tags, change.after) == (True, (), "v1.1.0")
    assert "already rolled back" in change.notes[0]
    assert [name for name in world.remote.tags if "#prod" in name][3:] == ["m#prod#4"]


def test_another_version_than_it_was_planned_for_is_not_gone_back_to(world: World) -> None:
    git = world.clone()
    second = world.remote.tags["m@v1.1.0"].commit
    git.meanwhile = lambda: world.tag("m#prod#4", second, 900)  # as `gto assign` does, no rollback
    with pytest.raises(PromotionError, match=r"m#prod#4 by .* came first\. ") as caught:
        world.change(git=git)
    assert "to go back to v1.1.0, and would now go to v1.2.0" in str(caught.value)
    assert "m#prod#5" not in world.remote.tags


def test_bytes_that_go_while_a_push_is_tried_again_are_not_gone_back_to(world: World) -> None:
    git = world.clone()

    def cut() -> None:
        world.pipeline.lacks = frozenset({"bytes1"})
        raise ForgeError("The line is dead.")

    git.meanwhile = cut
    with pytest.raises(PromotionError, match="The DVC remote lacks"):
        world.change(git=git)
    assert "m#prod#4" not in world.remote.tags


def test_a_rollback_run_again_says_what_it_starts_again(world: World) -> None:
    config = Config(promote=PromoteConfig(dispatch="deploy.yml"))
    first = world.change(config=config)
    assert first.standing == ()
    again = world.change(config=config)
    assert (again.tags, again.standing) == ((), ("m#prod#4",))
    assert again.notes[-1].startswith("m#prod#4 was there before: deploy.yml starts for it again")
    assert world.change().notes[-1].startswith("Name an older version")


def test_a_promotion_that_came_first_is_named_and_nothing_is_tagged(world: World) -> None:
    git = world.clone()
    newest = world.remote.commit({"dvc.lock": lock("newest")})

    def promote() -> None:
        world.tag("m@v1.3.0", newest, 900)
        world.tag("m#prod#4", newest, 901)

    git.meanwhile = promote
    with pytest.raises(PromotionError, match=r"m#prod#4 by Test Author .* came first") as caught:
        world.change(git=git)
    assert caught.value.exit_code == 6
    assert "m#prod#5" not in world.remote.tags


def test_an_assignment_that_slips_past_at_the_same_time_is_rolled_back_too(world: World) -> None:
    git = world.clone()
    newest = world.remote.commit({"dvc.lock": lock("newest")})

    def promote() -> None:
        world.tag("m@v1.3.0", newest, 2000)
        world.tag("m#prod#9", newest, 2000)

    git.afterwards = promote
    change = world.change(git=git)
    assert [one.name for one in change.tags] == ["m#prod#4", "m#prod#10"]
    assert (change.done, change.after) == (True, "v1.1.0")
    again = world.change(to=Version(1, 1, 0))
    assert again.tags == ()


def test_bytes_that_are_gone_are_not_gone_back_to(world: World) -> None:
    world.pipeline.lacks = frozenset({"bytes1"})
    with pytest.raises(PromotionError, match=r"The DVC remote lacks models/m\.skops"):
        world.change()
    assert "m#prod#4" not in world.remote.tags
    assert world.change(to=Version(1, 0, 0)).after == "v1.0.0"


def test_bytes_that_nobody_can_look_for_are_a_note_or_a_refusal(world: World) -> None:
    world.pipeline.remote = None
    assert "No DVC remote is set" in world.change(dry_run=True).notes[-1]
    strict = Config(promote=PromoteConfig(require_remote=True))
    with pytest.raises(PromotionError, match=r"promote\.require_remote"):
        world.change(config=strict)


def test_a_withdrawal_asks_for_no_bytes(world: World) -> None:
    world.pipeline.lacks = frozenset({"bytes0", "bytes1", "bytes2"})
    assert world.change("unassign").done
    assert world.change("deprecate").done
    assert world.change("deregister", to=Version(1, 0, 0), stage=None).done


def test_unsigned_versions_are_not_gone_back_to_where_signatures_are_required(
    world: World,
) -> None:
    config = Config(registry=RegistryConfig(require_signed=True))
    git = world.clone()
    with pytest.raises(PromotionError, match="this Git signs no tags"):
        world.change(git=git, config=config)
    git.signs_tags = True
    with pytest.raises(PromotionError, match=r"refuses m@v1\.1\.0 \(unsigned\)"):
        world.change(git=git, config=config)
    git.signers = {"m@v1.1.0": "anna@example.com"}
    assert world.change(git=git, config=config).done
    # A release brings nothing back: it says of what holds the stage that it holds it.
    git.signers = {}
    assert world.change("release-hold", git=git, config=config).done


STRICT = Config(registry=RegistryConfig(require_signed=True))


def test_a_version_from_before_signatures_is_gone_back_to_by_name_and_for_a_reason(
    world: World,
) -> None:
    git = world.clone()
    git.signs_tags = True
    with pytest.raises(PromotionError, match=r"refuses m@v1\.1\.0 \(unsigned\)") as caught:
        world.change(git=git, config=STRICT)
    hint = "`modelci rollback m --stage prod --to v1.1.0 --reason … --allow REASON` goes back"
    assert (caught.value.hint or "").startswith(hint)
    allowed: dict[str, Any] = {"to": Version(1, 1, 0), "allowed": "prod is down"}
    planned = world.change(git=git, config=STRICT, dry_run=True, **allowed)
    assert planned.allowed_rules == (Liftable.SIGNATURE,)
    assert "m#prod#4" not in world.remote.tags
    change = world.change(git=git, config=STRICT, **allowed)
    assert (change.after, change.allowed_rules) == ("v1.1.0", (Liftable.SIGNATURE,))
    said = trailers(world.remote.tags["m#prod#4"].message)
    assert said["Modelci-Allowed"] == "prod is down"
    assert said["Modelci-Allowed-By"] == "Ben"
    assert said["Modelci-Allowed-Rules"] == "signature"
    assert said["Modelci-Hold"] == "true"
    assert git.signers["m#prod#4"] == "anna@example.com"


def test_who_may_not_sign_goes_back_for_no_reason(world: World) -> None:
    git = world.clone()
    allowed: dict[str, Any] = {"to": Version(1, 1, 0), "allowed": "prod is down"}
    with pytest.raises(PromotionError, match="this Git signs no tags"):
        world.change(git=git, config=STRICT, **allowed)
    listed = {"modelci.yaml": b"registry: {allowed_signers: .s}", ".s": b"anna@example.com"}
    world.remote.commit(listed, seconds=900)
    git.signs_tags, git.signs_as = True, "eve"
    with pytest.raises(PromotionError, match=r"refuses m#prod#4 \(unknown"):
        world.change(git=git, config=STRICT, **allowed)
    git.signs_as, git.signers = "anna@example.com", {"m@v1.1.0": "eve"}
    with pytest.raises(PromotionError, match=r"refuses m@v1\.1\.0 \(unknown"):
        world.change(git=git, config=STRICT, **allowed)
    assert "m#prod#4" not in world.remote.tags


def test_missing_bytes_are_gone_back_to_for_a_reason_that_is_kept(world: World) -> None:
    world.pipeline.lacks = frozenset({"bytes1"})
    change = world.change(to=Version(1, 1, 0), allowed="they are on the servers")
    assert change.allowed_rules == (Liftable.STORED_BYTES,)
    assert "lacks models/m.skops" in change.notes[-1]
    assert "Modelci-Allowed-Rules: stored-bytes\n" in world.remote.tags["m#prod#4"].message


def test_a_reason_that_lifts_nothing_is_in_no_tag(world: World) -> None:
    change = world.change(to=Version(1, 1, 0), allowed="to be sure")
    assert (change.allowed, change.allowed_rules) == ("to be sure", ())
    assert "Modelci-Allowed" not in world.remote.tags["m#prod#4"].message


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"allowed": "prod is down"}, "for a version that is named"),
        ({"allowed": " ", "to": Version(1, 1, 0)}, "--allow needs a reason"),
        ({"artifact": "m!"}, "cannot be an artifact's name"),
        ({"stage": "-"}, "cannot be a stage's name"),
        ({"reason": " \n"}, "The reason is empty"),
    ],
)
def test_nonsense_is_refused_before_anybody_is_asked(
    world: World, fields: dict[str, Any], says: str
) -> None:
    world.remote.away = True
    git = FakeGit(world.folder)
    with pytest.raises(UsageError, match=says):
        world.change(git=git, **fields)


def test_a_remote_that_is_away_is_said(world: World) -> None:
    git = world.clone()
    world.remote.away = True
    with pytest.raises(ForgeError):
        world.change(git=git)


def test_without_a_remote_the_tags_are_this_clones(world: World) -> None:
    git = world.clone()
    git.tag_objects = dict(world.remote.tags)
    git.origin = None
    change = world.change(git=git)
    assert (change.remote, change.done) == (None, True)
    assert "m#prod#4" in git.tag_objects
