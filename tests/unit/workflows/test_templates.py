"""Only a folder of the repository holds templates, and only small texts are taken."""

import pytest
from tests.fakes.trees import MemoryTree

from modelci.errors import ConfigError
from modelci.workflows.templates import read_templates

FILES = {
    "ours/comment.md.j2": "a",
    "ours/parts/b.j2": "ä",
    "ours/notes.txt": "no template",
    "oursnot/comment.md.j2": "another folder",
    "comment.md.j2": "at the top",
}


@pytest.mark.parametrize("folder", ["ours", "ours/", "./ours", "other/../ours"])
def test_the_folders_templates_are_read_by_their_paths_below_it(folder: str) -> None:
    found = read_templates(MemoryTree(FILES), folder)
    assert found == {"comment.md.j2": "a", "parts/b.j2": "ä"}


def test_a_revision_without_the_folder_has_none() -> None:
    assert read_templates(MemoryTree({}), "ours") == {}


@pytest.mark.parametrize("folder", ["/etc", "../ours", "ours/../..", ".", ""])
def test_a_folder_outside_of_the_repository_is_refused(folder: str) -> None:
    with pytest.raises(ConfigError, match="no folder of the repository"):
        read_templates(MemoryTree(FILES), folder)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"ours/a.j2": b"x" * 300_000}, r"ours/a\.j2 is larger than 256 KiB"),
        ({"ours/a.j2": b"\xff"}, r"ours/a\.j2 is no UTF-8 text"),
        ({f"ours/{place}.j2": b"" for place in range(51)}, "more than 50 templates"),
    ],
)
def test_what_is_no_small_text_is_refused(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_templates(MemoryTree(files), "ours")
