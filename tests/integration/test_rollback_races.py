"""Rollbacks against each other and against promotions, on a real remote: never both, never half."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.fakes.progress import RecordedProgress
from tests.integration.promoting import ARTIFACT, Site

from modelci.adapters.git import GitRepository
from modelci.config.model import Config
from modelci.domain.holds import Hold, held
from modelci.domain.promotion import PlannedTag, Promotion, Rules
from modelci.domain.rollback import RegistryChange, Wish
from modelci.domain.versions import Version
from modelci.errors import ModelCIError, PromotionError
from modelci.ports import NO_BLOBS, Blobs
from modelci.workflows.rollback import change_registry

ROUNDS = 5


class LinedUp(GitRepository):
    """Pushes the first time only when the other is about to push as well."""

    def __init__(self, root: Path, line: threading.Barrier) -> None:
        super().__init__(root)
        self._line: threading.Barrier | None = line

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.wait(timeout=100)
        super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)


def change(
    site: Site, repository: GitRepository, action: str = "rollback", to: Version | None = None
) -> RegistryChange:
    return change_registry(
        action,
        Wish(artifact="m", stage="prod", to=to, reason="bad", by="Ben", seconds=1),
        git=repository,
        reader=site.reader,
        pipeline=None,
        config=Config(),
        progress=RecordedProgress(),
        pause=lambda _: None,
    )


def together(*acts: Callable[[], object]) -> list[object]:
    def outcome(act: Callable[[], object]) -> object:
        try:
            return act()
        except ModelCIError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(outcome, acts))


def on_hold(site: Site) -> Hold | None:
    return held(GitRepository(site.work).tags(["m"], remote="origin"), "m", "prod")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    assert ARTIFACT.name == "m"
    site = Site(folder=tmp_path)
    for model in ("one", "two"):
        site.merge(model)
        site.promote(site.clone())
    return site


def test_two_rollbacks_at_once_are_one(site: Site) -> None:
    for number in range(ROUNDS):
        site.merge(f"round {number}")
        site.promote(site.clone(), rules=Rules(allowed="another round"))
        before, line = len(site.tags), threading.Barrier(2)
        ada, ben = (LinedUp(site.clone(name=name).root, line) for name in ("Ada", "Ben"))
        changes = together(partial(change, site, ada), partial(change, site, ben))
        assert all(isinstance(one, RegistryChange) and one.done for one in changes), changes
        assert len(site.tags) == before + 1
        assert site.state.stages["prod"].label == "v0.0.2"
        assert on_hold(site) is not None


def test_a_rollback_and_a_promotion_at_once_have_one_winner(site: Site) -> None:
    for number in range(ROUNDS):
        commit = site.merge(f"round {number}")
        line = threading.Barrier(2)
        promoting, rolling = (LinedUp(site.clone(name=name).root, line) for name in ("Ada", "Ben"))
        was = site.state.stages["prod"].label
        promotion, rollback = together(
            partial(site.promote, promoting), partial(change, site, rolling)
        )
        holder = site.state.stages["prod"]
        if isinstance(rollback, RegistryChange):
            assert holder.label == rollback.after != was
            assert on_hold(site) is not None
            # The version may be there; the stage was left alone.
            if isinstance(promotion, Promotion):
                assert [tag.name for tag in promotion.tags if "#" in tag.name] == []
            change(site, site.clone(), "release-hold")
            site.promote(site.clone())
        else:
            assert isinstance(rollback, PromotionError)
            assert "came first" in str(rollback)
            assert isinstance(promotion, Promotion)
            assert promotion.done
            assert holder.commit == commit
            assert on_hold(site) is None
        assert site.state.stages["prod"].commit == commit


def test_a_hold_keeps_promotions_off_until_it_is_released(site: Site) -> None:
    assert change(site, site.clone()).after == "v0.0.1"
    site.merge("three")
    promotion = site.promote(site.clone())
    assert [tag.name for tag in promotion.tags] == ["m@v0.0.3"]
    assert site.state.stages["prod"].label == "v0.0.1"
    with pytest.raises(PromotionError, match=r"m#prod is held by m#prod#3 \(by Ben\): bad"):
        site.assign(site.clone(), "m@v0.0.3", "prod")
    again = site.promote(site.clone())
    assert (again.done, again.tags) == (True, ())
    assert "modelci release-hold" in again.unpromoted[0].reason
    change(site, site.clone(), "release-hold")
    promotion = site.promote(site.clone())
    assert [tag.name for tag in promotion.tags] == ["m#prod#5"]
    assert site.state.stages["prod"].label == "v0.0.3"


def test_a_reason_lifts_a_hold_once(site: Site) -> None:
    change(site, site.clone())
    site.merge("three")
    site.promote(site.clone(), rules=Rules(allowed="hotfix"))
    assert site.state.stages["prod"].label == "v0.0.3"
    site.merge("four")
    site.promote(site.clone())
    assert site.state.stages["prod"].label == "v0.0.3"
