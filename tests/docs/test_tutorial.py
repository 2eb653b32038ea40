"""The tutorial, from an empty folder to its end, as its reader types it."""

import os
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT, Block, blocks_of
from tests.docs.shell import Shell

TUTORIAL = ROOT / "docs/tutorial.md"


def save(block: Block, shell: Shell) -> None:
    """Begin the file that a block names, or add to its end."""
    assert block.file, f"{block.name}: it names no file"
    with (shell.folder / block.file).open("a", encoding="utf-8") as file:
        file.write(shell.at_its_port(block.text))


@pytest.mark.timeout(300)
def test_the_tutorial_goes_as_it_says(tmp_path: Path) -> None:
    files, folder = tmp_path / "files", tmp_path / "empty"
    files.mkdir()
    folder.mkdir()
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    shell = Shell(folder=folder, files=files, variables=variables)
    try:
        for block in blocks_of(TUTORIAL):
            if block.language == "yaml":
                save(block, shell)
            elif block.is_played:
                shell.play(block)
    finally:
        shell.close()
