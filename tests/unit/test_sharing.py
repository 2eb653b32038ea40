"""What is made once for all workers is made by the next one where the first has failed."""

from pathlib import Path

import pytest
from tests.fakes.sharing import once


def test_what_could_not_be_made_is_made_by_who_comes_next(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "half").touch()
        if len(made) == 1:
            raise ValueError("no network")

    with pytest.raises(ValueError, match="no network"):
        once(tmp_path_factory, "mended", make)
    folder = once(tmp_path_factory, "mended", make)
    assert once(tmp_path_factory, "mended", make) == folder
    assert made == [folder, folder]
