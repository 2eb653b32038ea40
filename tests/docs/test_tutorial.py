"""The tutorial, from an empty folder to its end, as its reader types it."""

import os
import socket
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from tests.docs.blocks import ROOT, Block, blocks_of
from tests.docs.shell import Shell

TUTORIAL = ROOT / "docs/tutorial.md"
PORT = "8765"  # may be taken here


def free_port() -> str:
    """Return a port that nobody listens at, and that is given to nobody who asks for any."""
    for port in count(20000 + os.getpid() % 10000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return str(port)
    raise AssertionError


def save(block: Block, folder: Path) -> None:
    """Begin the file that a block names, or add to its end."""
    assert block.file, f"{block.name}: it names no file"
    with (folder / block.file).open("a", encoding="utf-8") as file:
        file.write(block.text)


@pytest.mark.timeout(300)
def test_the_tutorial_goes_as_it_says(tmp_path: Path) -> None:
    files, folder = tmp_path / "files", tmp_path / "empty"
    files.mkdir()
    folder.mkdir()
    shell = Shell(folder=folder, files=files, variables=dict(os.environ))
    port = free_port()
    try:
        for shown in blocks_of(TUTORIAL):
            block = replace(shown, text=shown.text.replace(PORT, port))
            if block.language == "yaml":
                save(block, shell.folder)
            elif block.is_played:
                shell.play(block)
    finally:
        shell.close()
