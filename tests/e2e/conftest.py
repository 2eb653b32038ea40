"""The product as users and CI meet it: real processes, real Git and DVC, GitHub on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.world import World
from tests.fakes.github_server import FakeGitHub, serve


@pytest.fixture(scope="session")
def template(world: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.create(tmp_path_factory.mktemp("template") / "world")


@pytest.fixture
def site(template: World, tmp_path: Path) -> World:
    """A project of this test's own."""
    return template.copy(tmp_path / "world")


@pytest.fixture
def github(site: World) -> Iterator[FakeGitHub]:
    """GitHub, which knows of the pull request as soon as it is proposed."""
    with serve(FakeGitHub()) as server:
        site.github = server
        yield server
