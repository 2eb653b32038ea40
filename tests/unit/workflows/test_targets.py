from pathlib import Path

import pytest

from modelci.workflows.targets import from_the_top


@pytest.mark.parametrize(
    ("here", "target", "meant"),
    [
        ("", "train", "train"),
        ("", "sub/dvc.yaml:train", "sub/dvc.yaml:train"),
        ("sub", "train", "sub/dvc.yaml:train"),
        ("sub", "train@hgb", "sub/dvc.yaml:train@hgb"),
        ("sub", "dvc.yaml", "sub/dvc.yaml"),
        ("sub", "dvc.yaml:train", "sub/dvc.yaml:train"),
        ("sub", "data.csv.dvc", "sub/data.csv.dvc"),
        ("sub", "sub/dvc.yaml:train", "sub/dvc.yaml:train"),
        ("other", "train", "train"),
    ],
)
def test_a_target_is_named_from_where_one_stands(
    tmp_path: Path, here: str, target: str, meant: str
) -> None:
    for folder in ("sub", "other"):
        (tmp_path / folder).mkdir()
    for file in ("dvc.yaml", "data.csv.dvc"):
        (tmp_path / "sub" / file).touch()
    assert from_the_top([target], root=tmp_path, here=tmp_path / here) == (meant,)
