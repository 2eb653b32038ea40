"""Files that commands are told to write are whole, or as they were."""

import os
import threading
from pathlib import Path

import pytest

from modelci.cli.output import write_file
from modelci.errors import UsageError


def test_a_file_is_replaced_in_one_step_and_keeps_its_mode_and_its_links(tmp_path: Path) -> None:
    file, link = tmp_path / "report.md", tmp_path / "link.md"
    file.write_text("a longer text than the next one")
    file.chmod(0o640)
    link.symlink_to(file)
    write_file(link, "short", option="--out")
    assert file.read_text() == "short"
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link.md", "report.md"]


def test_a_folder_that_is_missing_is_made(tmp_path: Path) -> None:
    write_file(tmp_path / "a" / "b.html", b"x", option="--out")
    assert (tmp_path / "a" / "b.html").read_bytes() == b"x"


def test_what_is_no_file_is_written_to(tmp_path: Path) -> None:
    pipe, heard = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: heard.append(pipe.read_text()))
    reader.start()
    write_file(pipe, "through", option="--out")
    reader.join()
    assert heard == ["through"]


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot be written") as caught:
        write_file(tmp_path / "folder", "x", option="--out")
    assert caught.value.hint == "Name another place with --out."
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
