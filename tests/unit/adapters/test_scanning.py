"""Datasets of any size, read in batches: what is in the files, whatever their form and place."""

import bz2
import gzip
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from modelci.adapters.scanning import DatasetScanner, Sizes
from modelci.ports import MissingDataError

FRAME = pd.DataFrame(
    {
        "id": np.arange(50),
        "x": [None if place % 7 == 0 else place / 3 for place in range(50)],
        "k": [None if place % 5 == 0 else f'a "{place % 3}",\nb' for place in range(50)],
        "flag": [place % 2 == 0 for place in range(50)],
    }
)


def json_lines(frame: pd.DataFrame) -> str:
    return str(frame.to_json(orient="records", lines=True))


def zstd(data: bytes) -> bytes:
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def write(path: Path, frame: pd.DataFrame = FRAME) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    name = path.name
    if ".parquet" in name or name.endswith(".pq"):
        frame.to_parquet(path, index=False)
        return path
    if ".csv" in name or ".tsv" in name:
        text = frame.to_csv(index=False, sep="\t" if ".tsv" in name else ",")
    else:
        text = json_lines(frame)
    packs: dict[str, Callable[[bytes], bytes]] = {
        "gz": gzip.compress,
        "bz2": bz2.compress,
        "zst": zstd,
    }
    path.write_bytes(packs.get(name.rsplit(".")[-1], bytes)(text.encode()))
    return path


def table(batches: Iterator[Any]) -> pd.DataFrame:
    frames = [batch.to_pandas() for batch in batches]
    found: pd.DataFrame = pd.concat([one for one in frames if len(one)] or frames)
    return found.reset_index(drop=True)


@pytest.fixture
def scanner(tmp_path: Path) -> DatasetScanner:
    return DatasetScanner(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("a.csv", "a.tsv", "a.parquet", "a.pq", "a.jsonl", "a.ndjson"),
        *("a.csv.gz", "a.jsonl.gz", "a.csv.zst", "a.jsonl.zst", "a.csv.bz2", "A.CSV"),
    ],
)
def test_every_form_holds_the_same_rows(name: str, scanner: DatasetScanner, tmp_path: Path) -> None:
    if name == "A.CSV":
        (tmp_path / name).write_text(FRAME.to_csv(index=False))
    else:
        write(tmp_path / name)
    found = table(scanner.scan(name))
    pd.testing.assert_frame_equal(
        found.astype(object).where(found.notna(), None),
        FRAME.astype(object).where(FRAME.notna(), None),
    )
    some = table(scanner.scan(name, columns=["k", "id"]))
    assert set(some.columns) == {"id", "k"}
    assert some["id"].tolist() == list(range(50))


def test_a_folder_is_its_datasets_in_order(scanner: DatasetScanner, tmp_path: Path) -> None:
    write(tmp_path / "in/2025-02.parquet", FRAME[20:30])
    write(tmp_path / "in/2025-01.csv", FRAME[:20])
    write(tmp_path / "in/march/part-0.jsonl.gz", FRAME[30:])
    for name in ("in/_SUCCESS", "in/.hidden.csv", "in/_delta_log/0.json", "in/README.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("id\n99")
    assert table(scanner.scan("in"))["id"].tolist() == list(range(50))
    assert table(scanner.scan("in/*.*"))["id"].tolist() == list(range(30))
    assert table(scanner.scan(str(tmp_path / "in")))["id"].tolist() == list(range(50))


def test_urls_are_read_where_they_are(scanner: DatasetScanner, tmp_path: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a.parquet", "b.csv"):
        memory.pipe(f"/bucket/{name}", write(tmp_path / name).read_bytes())
    try:
        assert len(table(scanner.scan("memory://bucket"))) == 100
        assert len(table(scanner.scan("memory://bucket/b.csv"))) == 50
        assert set(scanner.hashes("memory://bucket")) == {
            "memory:///bucket/a.parquet",
            "memory:///bucket/b.csv",
        }
    finally:
        memory.rm("/bucket", recursive=True)
    with pytest.raises(MissingDataError, match="cannot be read"):
        scanner.pieces("nosuchprotocol://bucket/a.csv")


def test_pieces_are_what_a_scan_reads(tmp_path: Path) -> None:
    scanner = DatasetScanner(tmp_path, sizes=Sizes(piece_rows=25))
    (tmp_path / "in").mkdir()
    pq.write_table(pa.Table.from_pandas(FRAME), tmp_path / "in/a.parquet", row_group_size=10)
    write(tmp_path / "in/b.csv")
    pieces = scanner.pieces("in")
    assert [(piece.start, piece.stop) for piece in pieces] == [(0, 3), (3, 5), (None, None)]
    parts = [[batch for batch in scanner.read(piece) if batch.num_rows] for piece in pieces]
    whole = [batch for batch in scanner.scan("in") if batch.num_rows]
    assert [batch for part in parts for batch in part] == whole
    assert [sum(batch.num_rows for batch in part) for part in parts] == [30, 20, 50]


def test_wide_files_come_in_low_batches(scanner: DatasetScanner, tmp_path: Path) -> None:
    columns = {f"c{place}": np.zeros(3000) for place in range(4000)}
    pq.write_table(pa.table(columns), tmp_path / "wide.parquet")
    sizes = [batch.num_rows * batch.num_columns for batch in scanner.scan("wide.parquet")]
    assert sum(sizes) == 3000 * 4000
    assert max(sizes) <= 1 << 23


def test_hashes_are_those_of_dvc(scanner: DatasetScanner, tmp_path: Path) -> None:
    path = write(tmp_path / "in/a.csv")
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    assert scanner.hashes("in") == {"in/a.csv": digest}
    assert scanner.hashes(str(path)) == {"in/a.csv": digest}


def test_what_the_first_rows_of_a_csv_did_not_show(tmp_path: Path) -> None:
    scanner = DatasetScanner(tmp_path, sizes=Sizes(csv_bytes=4096))
    rows = [f'{place},{place},2025-01-01,"a, {place}"' for place in range(3000)]
    rows[1500] = '1500,n.a.,soon,"a\n1500"'
    rows[2900] = '2900,0.5,2025-01-01,"a"'
    (tmp_path / "a.csv").write_text("\n".join(["id,x,day,k", *rows]))
    batches = list(scanner.scan("a.csv"))
    found = table(iter(batches))
    assert found["id"].tolist() == list(range(3000))
    assert found["x"].astype(str)[1500] == "n.a."
    assert found["k"][1500] == "a\n1500"
    types = {str(batch.schema.field("x").type) for batch in batches}
    assert types == {"int64", "string", "double"}


def test_json_lines_may_change_their_minds(tmp_path: Path) -> None:
    scanner = DatasetScanner(tmp_path, sizes=Sizes(json_bytes=64))
    rows: list[dict[str, Any]] = [
        {"id": 1, "x": 1},
        {"id": 2, "x": "two"},
        {"id": 3, "x": None, "late": True},
        {"id": 4, "x": [1, 2], "late": "yes"},
        {"id": 5},
        {"id": 6, "x": False},
        {"id": 7, "x": 10**30},
    ]
    (tmp_path / "a.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    found = table(scanner.scan("a.jsonl"))
    assert found["id"].tolist() == [1, 2, 3, 4, 5, 6, 7]
    late = table(scanner.scan("a.jsonl", columns=["late"]))["late"]
    assert late.notna().sum() == 2


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.csv.gz"])
def test_files_without_rows_are_no_error(
    name: str, scanner: DatasetScanner, tmp_path: Path
) -> None:
    write(tmp_path / name, FRAME[:0])
    batches = list(scanner.scan(name))
    assert sum(batch.num_rows for batch in batches) == 0
    if "jsonl" not in name:
        assert batches[0].schema.names == list(FRAME.columns)


def test_files_without_bytes_are_no_error_where_that_can_be(
    scanner: DatasetScanner, tmp_path: Path
) -> None:
    for name in ("a.csv", "a.jsonl"):
        (tmp_path / name).write_bytes(b"")
        assert list(scanner.scan(name)) == []


def test_a_column_that_is_not_there_is_named_with_its_neighbour(
    scanner: DatasetScanner, tmp_path: Path
) -> None:
    for name in ("a.csv", "a.parquet", "a.jsonl"):
        write(tmp_path / name)
        with pytest.raises(MissingDataError, match="has no column 'flags'") as caught:
            list(scanner.scan(name, columns=["id", "flags"]))
        assert str(caught.value.hint).startswith("Did you mean 'flag'? It has id, x, k, flag.")


def broken(path: Path) -> None:
    path.write_bytes(b"PAR1 or so")


def ragged(path: Path) -> None:
    path.write_text("a,b\n1,2\n1,2,3\n")


def torn(path: Path) -> None:
    path.write_text('{"a": 1}\n{"a": ')


def plain_list(path: Path) -> None:
    path.write_text("[1, 2]\n3\n")


def not_zipped(path: Path) -> None:
    path.write_text("a,b\n1,2\n")


def latin(path: Path) -> None:
    path.write_bytes("a,b\nä,ö\n".encode("latin-1"))


def nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.parquet", broken),
        ("b.parquet", nothing),
        ("a.csv", ragged),
        ("a.jsonl", torn),
        ("b.jsonl", plain_list),
        ("a.csv.gz", not_zipped),
        ("a.csv.zst", not_zipped),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_do(
    name: str, make: Callable[[Path], None], scanner: DatasetScanner, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(MissingDataError, match=r"cannot be read: .*\.") as caught:
        list(scanner.scan(name))
    assert "Is it whole" in str(caught.value.hint)


def test_text_of_another_encoding_is_taken_for_bytes(
    scanner: DatasetScanner, tmp_path: Path
) -> None:
    latin(tmp_path / "a.csv")
    assert [str(one) for one in next(scanner.scan("a.csv")).schema.types] == ["binary", "binary"]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.parquet.gz", "a.gz"])
def test_other_files_are_no_datasets(name: str, scanner: DatasetScanner, tmp_path: Path) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(MissingDataError, match="is no dataset that modelci reads"):
        list(scanner.scan(name))


def test_what_is_not_there_is_said(scanner: DatasetScanner, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for location, said in (
        ("none.csv", "none.csv does not exist"),
        ("in/*.csv", r"in/\*.csv does not exist"),
        ("empty", "empty holds no dataset"),
    ):
        with pytest.raises(MissingDataError, match=said):
            list(scanner.scan(location))


class Refusing(MemoryFileSystem):  # type: ignore[misc]
    protocol = "refusing"

    def info(self, *_: Any, **__: Any) -> dict[str, Any]:
        raise RuntimeError("no credentials, says the cloud")


def test_what_a_filesystem_raises_is_said_with_what_to_do(scanner: DatasetScanner) -> None:
    fsspec.register_implementation("refusing", Refusing, clobber=True)
    with pytest.raises(MissingDataError, match="no credentials, says the cloud") as caught:
        list(scanner.scan("refusing://bucket/a.csv"))
    assert "credentials" in str(caught.value.hint)
