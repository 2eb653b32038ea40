"""Files that commands are told to write are whole, or as they were."""

import errno
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


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV]
)
def test_a_file_that_nothing_can_replace_is_written_where_it_stands(
    number: int, tmp_path: Path
) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(number, os.strerror(number))

    file = tmp_path / "mounted.md"
    file.write_text("a longer text than the next one")
    before = file.stat().st_ino
    write_file(file, "short", option="--out", swap=refuse)
    assert file.read_text() == "short"
    assert file.stat().st_ino == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_disk_that_is_full_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file = tmp_path / "report.md"
    file.write_text("before")
    with pytest.raises(UsageError, match="No space left"):
        write_file(file, "after", option="--out", swap=refuse)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_two_that_write_one_file_each_have_a_part_of_their_own(tmp_path: Path) -> None:
    file, parts = tmp_path / "report.md", []

    def swap(part: Path, place: Path) -> None:
        parts.append(part)
        if len(parts) == 1:  # another process writes the same file meanwhile
            write_file(file, "theirs", option="--out", swap=swap)
            assert part.read_text() == "ours"
        part.replace(place)

    write_file(file, "ours", option="--out", swap=swap)
    assert file.read_text() == "ours"
    assert len(set(parts)) == 2


def test_a_name_may_be_as_long_as_names_are(tmp_path: Path) -> None:
    write_file(tmp_path / ("a" * 255), "x", option="--out")
    assert (tmp_path / ("a" * 255)).read_text() == "x"


def test_a_place_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot be written") as caught:
        write_file(tmp_path / "folder", "x", option="--out")
    assert caught.value.hint == "Name another place with --out."
    assert [one.name for one in tmp_path.iterdir()] == ["folder"]
