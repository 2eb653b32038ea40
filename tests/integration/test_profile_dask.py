"""Profiles that several processes count together: the same, byte for byte, as one counts alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.e2e.world import Checkout
from tests.integration.daskcluster import Cluster

from modelci.adapters.counting import LocalCounter
from modelci.adapters.executors.counting import ClusterCounter, count_piece
from modelci.adapters.executors.dask import connected
from modelci.adapters.scanning import DatasetScanner, Sizes
from modelci.analysis.sketch import Sketch
from modelci.analysis.window import WindowSketch
from modelci.config.model import ExecutorConfig
from modelci.errors import PipelineError
from modelci.ports import MissingDataError, Piece

ROWS = 60_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("dask")) as cluster:
        cluster.grow("one", "two", "three")
        yield cluster


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    random = np.random.default_rng(11)
    table = pd.DataFrame(
        {
            "id": random.integers(0, 50_000, ROWS),
            "income": np.where(random.random(ROWS) < 0.1, np.nan, random.lognormal(8, 2, ROWS)),
            "ratio": random.standard_cauchy(ROWS),
            "purpose": random.choice([f"p{place}" for place in range(300)], ROWS),
            "customer": [f"c{place}" for place in range(ROWS)],
            "since": pd.date_range("2024-01-01", periods=ROWS, freq="min", tz="UTC"),
            "score": random.random(ROWS),
        }
    )
    arrow = pa.Table.from_pandas(table[:40_000], preserve_index=False)
    pq.write_table(arrow, folder / "a.parquet", row_group_size=3_000)
    table[40_000:50_000].drop(columns="ratio").to_csv(folder / "b.csv", index=False)
    table[50_000:].to_json(folder / "c.jsonl", orient="records", lines=True, date_format="iso")
    return folder


@pytest.mark.timeout(600)
def test_several_processes_count_what_one_counts(cluster: Cluster, data: Path) -> None:
    scanner = DatasetScanner(data, sizes=Sizes(piece_rows=5_000))
    alone = LocalCounter(scanner)

    def sketch() -> Sketch:
        return Sketch(id="id", score="score", threshold=0.5)

    reference = alone.count(".", sketch()).profile()
    assert len(scanner.pieces(".")) == 9
    assert reference.rows == ROWS
    assert reference.duplicates > 0
    with connected(ExecutorConfig(address=cluster.address)) as client:
        together = ClusterCounter(client, scanner)
        assert together.count(".", sketch()).profile() == reference
        window = WindowSketch(reference=reference)
        assert together.count("a.parquet", window).profile() == (
            alone.count("a.parquet", WindowSketch(reference=reference)).profile()
        )
        workers = client.run(lambda dask_worker: dask_worker.state.executed_count)
        assert sum(workers.values()) >= 9 + 7  # a piece may be counted twice, and taken once
        assert sum(map(bool, workers.values())) >= 2


@pytest.mark.timeout(600)
def test_the_command_writes_the_same_file(cluster: Cluster, data: Path, tmp_path: Path) -> None:
    laptop = Checkout(folder=data, variables={})
    arguments = ("profile", "a.parquet", "--id", "id", "--exclude", "score", "--out")
    laptop.modelci(*arguments, str(tmp_path / "alone.json"))
    elsewhere = ("--executor", "dask", "--address", cluster.address)
    laptop.modelci(*arguments, str(tmp_path / "together.json"), *elsewhere)
    assert (tmp_path / "together.json").read_bytes() == (tmp_path / "alone.json").read_bytes()
    assert json.loads((tmp_path / "alone.json").read_text())["rows"] == 40_000


def test_what_a_worker_cannot_read_is_said(cluster: Cluster, data: Path, tmp_path: Path) -> None:
    class Blind(DatasetScanner):
        def pieces(self, location: str) -> tuple[Piece, ...]:
            found = super().pieces(location)
            (tmp_path / "gone.csv").unlink()
            return found

    (tmp_path / "gone.csv").write_text("a\n1\n")
    with connected(ExecutorConfig(address=cluster.address)) as client:
        with pytest.raises(MissingDataError, match="A worker could not read gone") as caught:
            ClusterCounter(client, Blind(tmp_path)).count("gone.csv", Sketch())
        assert "see the same files" in str(caught.value.hint)


def test_no_scheduler_and_another_version_are_said(data: Path) -> None:
    nobody = ExecutorConfig(address="tcp://127.0.0.1:9", wait_seconds=1)
    with pytest.raises(PipelineError, match="No Dask workers could be had"), connected(nobody):
        pass
    (piece,) = DatasetScanner(data).pieces("b.csv")
    with pytest.raises(RuntimeError, match=r"this worker has modelci .* the driver 0\.0"):
        count_piece(piece, Sketch(), "0.0")
