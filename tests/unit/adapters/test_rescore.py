import json
from pathlib import Path

import pytest
from tests.fakes.progress import RecordedProgress
from tests.fakes.trees import MemoryTree

from modelci.adapters.dvc.locate import Locator
from modelci.adapters.rescore import CommandRescorer
from modelci.domain.evaluation import Rescore
from modelci.errors import PipelineError
from modelci.ports import MissingDataError, Table

BASE = MemoryTree({"models/m.txt": "0.25", "weights.txt": "7"})


def rescore(root: Path, cmd: str, *files: str, like: str = "out/p.csv") -> Table:
    rescorer = CommandRescorer(
        root,
        environment={"PATH": "/usr/bin:/bin", "SEEN": "yes"},
        locator=Locator(root, config_folders=()),
    )
    return rescorer.rescore(
        Rescore(cmd=cmd, files=files), BASE, like=like, pull=False, progress=RecordedProgress()
    )


def test_the_command_has_the_bases_files_and_writes_like_the_head(tmp_path: Path) -> None:
    cmd = (
        'printf "id,score\\n1,%s\\n" "$(cat $MODELCI_BASE/models/m.txt)" > $MODELCI_OUT; '
        "printenv > seen.txt; ls $MODELCI_BASE >> seen.txt; pwd >> seen.txt"
    )
    table = rescore(tmp_path, cmd, "models/m.txt", "weights.txt")
    assert table.frame.to_dict("records") == [{"id": 1, "score": 0.25}]
    assert table.hash is None
    seen = (tmp_path / "seen.txt").read_text().splitlines()
    assert seen[-3:] == ["models", "weights.txt", str(tmp_path)]
    assert "SEEN=yes" in seen
    (out,) = [Path(line[12:]) for line in seen if line.startswith("MODELCI_OUT=")]
    assert out.name == "p.csv"
    assert not out.parent.exists()


def test_the_format_is_the_heads(tmp_path: Path) -> None:
    row = json.dumps({"id": "a", "score": 1})
    table = rescore(tmp_path, f"echo '{row}' > $MODELCI_OUT", like="p.jsonl")
    assert list(table.frame["id"]) == ["a"]


@pytest.mark.parametrize(
    ("cmd", "message", "hint"),
    [
        ("echo one; echo no model >&2; exit 3", "ended with 3", "It said last: no model"),
        ("exit 1", "ended with 1", "It said nothing."),
        ("true", "wrote no predictions", "write a file like out/p.csv to the path in $MODELCI_OUT"),
        ("mkdir $MODELCI_OUT", "wrote no predictions", "$MODELCI_OUT"),
    ],
)
def test_a_command_that_fails_says_how(tmp_path: Path, cmd: str, message: str, hint: str) -> None:
    with pytest.raises(PipelineError, match=message) as raised:
        rescore(tmp_path, cmd)
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize("path", ["gone.txt", "../etc/passwd", "models"])
def test_files_that_the_base_has_not_stop_it_before_the_command(tmp_path: Path, path: str) -> None:
    with pytest.raises(MissingDataError):
        rescore(tmp_path, "touch ran", path)
    assert not (tmp_path / "ran").exists()


def test_what_it_writes_must_be_readable(tmp_path: Path) -> None:
    with pytest.raises(MissingDataError, match=r"p\.parquet cannot be read"):
        rescore(tmp_path, "echo no parquet > $MODELCI_OUT", like="p.parquet")
