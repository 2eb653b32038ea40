"""Pages of the docs, read and played."""

from pathlib import Path

import pytest
from tests.docs import scenes
from tests.e2e.world import World


@pytest.fixture(scope="session")
def world(untouched_by_the_machine: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    return scenes.create(tmp_path_factory.mktemp("docs") / "world")


@pytest.fixture
def site(world: World, tmp_path: Path) -> World:
    """The world of one page."""
    return world.copy(tmp_path / "world")
