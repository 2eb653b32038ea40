"""Every code block of the docs is true: it was run, or read by what reads such files."""

import os
from pathlib import Path

import pytest
from tests.docs import calls, fragments
from tests.docs.blocks import CHECKED, ROOT, SHELL, blocks_of, inline_code, pages
from tests.docs.scenes import SCENES
from tests.docs.shell import Shell, typed
from tests.e2e.world import World
from tools import site_markdown

TUTORIAL = ROOT / "docs/tutorial.md"  # is played from an empty folder, see test_tutorial
PAGES = pages()
PLAYED = [
    page for page in PAGES if page != TUTORIAL and any(one.is_played for one in blocks_of(page))
]


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    wrong = [f"{block.name}: {why}" for block in blocks_of(page) for why in block.problems()]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_pieces_of_files_are_read_by_what_reads_those_files(page: Path) -> None:
    for block in blocks_of(page):
        if block.language in CHECKED and block.reason is None:
            fragments.check(block)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_commands_are_those_that_there_are(page: Path) -> None:
    """Also those that are not run, and those in sentences (as far as these are whole)."""
    shells = [block for block in blocks_of(page) if block.language in SHELL]
    scripts = [(block.name, one.command) for block in shells for one in typed(block)]
    wrong = [f"{name}: {why}" for name, script in scripts for why in calls.problems(script)]
    wrong += [why for code in inline_code(page) for why in calls.unknown(code)]
    assert wrong == []


def test_the_site_copies_what_is_typed() -> None:
    sessions = [one for page in PAGES for one in blocks_of(page) if one.language == "console"]
    for block in sessions:
        commands = [one.command for one in typed(block)]
        assert site_markdown.typed(block.text) == "\n".join(commands), block.name
    assert len(sessions) > 50


@pytest.mark.parametrize("page", PLAYED, ids=named)
def test_what_a_page_says_happens(page: Path, site: World, tmp_path: Path) -> None:
    shell = Shell(folder=site.laptop.folder, files=tmp_path, variables=dict(os.environ))
    try:
        if prepare := SCENES.get(named(page)):
            prepare(site, shell)
        for block in blocks_of(page):
            if block.is_played:
                shell.play(block)
    finally:
        shell.close()
