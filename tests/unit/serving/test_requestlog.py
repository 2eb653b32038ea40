import json
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.fakes.serving import FakePredictor, named, served

from modelci.domain.golden import InputColumn, OutputColumn, ValueType
from modelci.errors import ConfigError
from modelci.serving.logfiles import LogFiles
from modelci.serving.metrics import DROPPED, LOGGED, Metrics
from modelci.serving.requestlog import MAX_WAITING_ROWS, LogShape, RequestLog
from modelci.serving.schema import Batch
from modelci.serving.settings import LogSettings

NUMBERS = {"id": ValueType.STRING, "x": ValueType.NUMBER}
NOON = 1_767_268_800.25  # 2026-01-01T12:00:00.25Z


def settings(folder: Path, **changes: Any) -> LogSettings:
    return LogSettings(path=str(folder), **changes)


def lines(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def line(number: int) -> bytes:
    return (
        json.dumps({"id": str(number), "x": number, "time": "2026-01-01T00:00:00.5Z"}).encode()
        + b"\n"
    )


# Files.


def test_lines_are_appended_to_a_file_that_only_we_may_read(tmp_path: Path) -> None:
    files = LogFiles(settings(tmp_path / "a" / "log"))
    files.write(line(1), NUMBERS)
    files.write(line(2), NUMBERS)
    (file,) = (tmp_path / "a" / "log").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one["x"] for one in lines(file.parent)] == [1, 2]
    files.close()


def test_a_full_file_is_closed_and_the_oldest_go(tmp_path: Path) -> None:
    files = LogFiles(settings(tmp_path, max_bytes=2 * len(line(1)), keep=2))
    for number in range(9):
        files.write(line(number), NUMBERS)
    # Two closed ones, and the one that is being written.
    assert [one["x"] for one in lines(tmp_path)] == [4, 5, 6, 7, 8]
    files.close()
    assert [one["x"] for one in lines(tmp_path)] == [6, 7, 8]


def test_other_columns_begin_another_file(tmp_path: Path) -> None:
    files = LogFiles(settings(tmp_path))
    files.write(line(1), NUMBERS)
    files.write(b'{"id":"1","y":1}\n', {"id": ValueType.STRING, "y": ValueType.NUMBER})
    files.close()
    assert len(list(tmp_path.iterdir())) == 2


def test_as_parquet_a_closed_file_has_the_models_types(tmp_path: Path) -> None:
    files = LogFiles(settings(tmp_path, format="parquet"))
    columns = {**NUMBERS, "n": ValueType.INTEGER, "s": ValueType.STRING, "b": ValueType.BOOLEAN}
    moment = "2026-01-01T12:00:00.250000Z"
    row = {"id": "1", "time": moment, "x": 1, "n": None, "s": None, "b": None}
    files.write(json.dumps(row).encode() + b"\n", columns)
    files.close()
    (file,) = tmp_path.iterdir()
    table = pq.read_table(file)
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "string",
        "x": "double",
        "n": "int64",
        "s": "string",
        "b": "bool",
        "time": "timestamp[us, tz=UTC]",
    }
    assert table["time"][0].as_py().isoformat() == "2026-01-01T12:00:00.250000+00:00"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


WRITER = """
import json, sys, time
from tests.unit.serving.test_requestlog import LogFiles, NUMBERS, line, settings
from pathlib import Path
files = LogFiles(settings(Path(sys.argv[1]), format=sys.argv[2]))
files.write(line(1) + line(2), NUMBERS)
files.write(b'{"id": "3", "x"', NUMBERS)
print("written", flush=True)
time.sleep(60)
"""


@pytest.fixture
def killed(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Path, Any]]:
    """Give the folder of a log whose writer is still there, and what kills it."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path), request.param],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"written\n"

    def kill() -> None:
        writer.kill()
        writer.wait()

    yield tmp_path, kill
    kill()
    writer.stdout.close()


@pytest.mark.parametrize("killed", ["jsonl"], indirect=True)
def test_what_a_killed_process_left_is_mended_and_a_living_ones_is_not(
    killed: tuple[Path, Any],
) -> None:
    folder, kill = killed
    (file,) = folder.iterdir()
    torn = file.read_bytes()
    assert torn.endswith(b'{"id": "3", "x"')
    LogFiles(settings(folder, keep=1)).close()
    assert file.read_bytes() == torn
    kill()
    LogFiles(settings(folder)).close()
    assert [one["x"] for one in lines(folder)] == [1, 2]


@pytest.mark.parametrize("killed", ["parquet"], indirect=True)
def test_what_a_killed_process_left_becomes_parquet(killed: tuple[Path, Any]) -> None:
    folder, kill = killed
    kill()
    (file,) = folder.iterdir()
    file.with_suffix(".part").write_bytes(b"half a file")
    LogFiles(settings(folder, format="parquet")).close()
    (file,) = folder.iterdir()
    assert pq.read_table(file)["x"].to_pylist() == [1, 2]


def test_an_empty_file_that_was_left_goes(tmp_path: Path) -> None:
    (tmp_path / "requests-1.jsonl").touch()
    (tmp_path / "requests-2.jsonl").write_bytes(b'{"torn": ')
    (tmp_path / "notes.txt").touch()
    LogFiles(settings(tmp_path)).close()
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]


def test_lines_that_fit_no_table_stay_lines(tmp_path: Path) -> None:
    left = tmp_path / "requests-1.jsonl"
    left.write_bytes(b'{"x": 1}\n{"x": {"y": 2}}\n')
    LogFiles(settings(tmp_path, format="parquet")).close()
    assert [one.name for one in tmp_path.iterdir()] == [left.name]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="The request log cannot be kept in"):
        LogFiles(settings(tmp_path / "file" / "log"))


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.unit.serving.test_requestlog import LogFiles, NUMBERS, line, settings
files = LogFiles(settings(Path(sys.argv[1])))
size = len(line(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, size * 10))
files.write(line(1), NUMBERS)
try:
    files.write(line(2), NUMBERS)
except OSError:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size * 10, size * 10))
    files.write(line(3), NUMBERS)
    files.close()
    print("went on")
"""


def test_a_disk_that_is_full_leaves_whole_lines(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "went on\n"
    assert [one["x"] for one in lines(tmp_path)] == [1, 3]


# The log itself.


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def batch(*amounts: float, **changes: Any) -> Batch:
    columns: dict[str, Any] = {
        "amount": list(amounts),
        "age": np.array([np.nan] * len(amounts)),
        "purpose": ["car"] * len(amounts),
    }
    return Batch(columns=columns, rows=len(amounts), **changes)


def answers(*scores: float) -> dict[str, Any]:
    return {"score": np.array(scores)}


def test_a_request_becomes_a_row_for_each_of_its_rows(tmp_path: Path, metrics: Metrics) -> None:
    log = RequestLog(settings(tmp_path), metrics, clock=lambda: NOON)
    shape = LogShape.of(served())
    log.add("a", shape, batch(1.5), answers(0.5))
    log.add("b", shape, batch(2, 3), answers(0.25, np.nan))
    log.add("c", shape, batch(4, 5, ids=("x", "y")), answers(0, 1))
    log.close()
    found = lines(tmp_path)
    assert found[0] == {
        "id": "a",
        "time": "2026-01-01T12:00:00.250000Z",
        "artifact": "credit",
        "version": "v1.0.0",
        "amount": 1.5,
        "age": None,
        "purpose": "car",
        "score": 0.5,
    }
    assert [one["id"] for one in found] == ["a", "b/0", "b/1", "x", "y"]
    assert [one["score"] for one in found] == [0.5, 0.25, None, 0, 1]
    assert metrics.total(LOGGED) == 5
    assert metrics.total(DROPPED) == 0


def test_a_switched_model_has_its_own_version(tmp_path: Path, metrics: Metrics) -> None:
    log = RequestLog(settings(tmp_path), metrics)
    log.add("a", LogShape.of(served()), batch(1), answers(1))
    log.add("b", LogShape.of(named(served(), "v2.0.0")), batch(1), answers(1))
    log.close()
    assert [one["version"] for one in lines(tmp_path)] == ["v1.0.0", "v2.0.0"]
    assert len(list(tmp_path.iterdir())) == 1  # the columns are the same


def test_columns_are_named_apart(tmp_path: Path, metrics: Metrics) -> None:
    predictor = FakePredictor(
        inputs=(
            InputColumn(name="id", type=ValueType.INTEGER),
            InputColumn(name="score", type=ValueType.NUMBER),
        ),
        outputs=(OutputColumn(name="score"), OutputColumn(name="p", classes=("no", "yes"))),
    )
    shape = LogShape.of(served(predictor))
    log = RequestLog(settings(tmp_path, format="parquet"), metrics)
    log.add(
        "r",
        shape,
        Batch(columns={"id": [7], "score": [0.1]}, rows=1),
        {"p": np.array([[0.25, 0.75]]), "score": np.array([0.9])},
    )
    log.close()
    (file,) = tmp_path.iterdir()
    (row,) = pq.read_table(file).to_pylist()
    del row["time"]
    assert row == {
        "id": "r",
        "artifact": "credit",
        "version": "v1.0.0",
        "input.id": 7,
        "input.score": 0.1,
        "score": 0.9,
        "p.no": 0.25,
        "p.yes": 0.75,
    }


def test_a_share_of_the_requests_is_logged(tmp_path: Path, metrics: Metrics) -> None:
    chances = iter([0.1, 0.5, 0.49, 0.9])
    log = RequestLog(settings(tmp_path, sample=0.5), metrics, chance=lambda: next(chances))
    for name in "abcd":
        log.add(name, LogShape.of(served()), batch(1), answers(1))
    log.close()
    assert [one["id"] for one in lines(tmp_path)] == ["a", "c"]


def test_what_finds_no_room_is_counted_and_not_waited_for(tmp_path: Path, metrics: Metrics) -> None:
    log = RequestLog(settings(tmp_path), metrics)
    rows = MAX_WAITING_ROWS - 1
    many, shape = (batch(*[1.0] * rows), answers(*[1.0] * rows)), LogShape.of(served())
    for name in "ab":
        log.add(name, shape, *many)
    log.add("c", shape, batch(1), answers(1))
    log.close()
    found = [one["id"] for one in lines(tmp_path)]
    assert (len(found), found[0], found[-1]) == (rows + 1, "a/0", "c")
    assert metrics.total(DROPPED) == rows


def test_a_request_that_is_larger_than_all_room_is_logged_by_itself(
    tmp_path: Path, metrics: Metrics
) -> None:
    log = RequestLog(settings(tmp_path), metrics)
    rows = MAX_WAITING_ROWS + 1
    log.add("a", LogShape.of(served()), batch(*[1.0] * rows), answers(*[1.0] * rows))
    log.close()
    assert metrics.total(LOGGED) == rows


def test_a_log_that_cannot_be_written_is_counted_and_told_once(
    tmp_path: Path, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "log"
    log = RequestLog(settings(folder), metrics)
    folder.rmdir()
    log.add("a", LogShape.of(served()), batch(1, 2), answers(1, 2))
    log.add("b", LogShape.of(served()), batch(1), answers(1))
    log.close()
    assert metrics.total(DROPPED) == 3
    assert metrics.total(LOGGED) == 0
    assert caplog.messages == ["The request log cannot be written: No such file or directory."]


def test_it_is_written_while_it_goes_on(tmp_path: Path, metrics: Metrics) -> None:
    log = RequestLog(settings(tmp_path), metrics)
    log.add("a", LogShape.of(served()), batch(1), answers(1))
    deadline = time.monotonic() + 100
    while not lines(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(lines(tmp_path)) == 1
    log.close()
