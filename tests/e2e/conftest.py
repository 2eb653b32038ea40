"""The product as users and CI meet it: real processes, real Git and DVC, GitHub on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright
from tests.e2e.browsing import BROWSER, Opener
from tests.e2e.world import World
from tests.fakes.github_server import FakeGitHub, serve
from tests.fakes.sharing import once


@pytest.fixture(scope="session")
def template(untouched_by_the_machine: None, tmp_path_factory: pytest.TempPathFactory) -> World:
    made = once(tmp_path_factory, "template", lambda folder: World.create(folder / "world"))
    return World(made / "world")


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if BROWSER is None:
        pytest.skip("no Chromium: see `make browser`")
    expect.set_options(timeout=60_000)  # milliseconds
    with sync_playwright() as playwright:
        # Root may not use Chromium's sandbox; the pages are our own.
        found = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens pages; what they complain of, or ask for, fails the test at its end."""
    opener = Opener(browser, tmp_path)
    yield opener
    for one in opener.visits:
        one.context.close()
        assert one.troubles == []
        assert one.requests == []
