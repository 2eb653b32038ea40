"""Which rows of a dataset are a window's, and what is kept of them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modelci.analysis.reading import RowRules, WindowRows, of_ids

MARCH: dict[str, Any] = {
    "window": "2026-03",
    "start": datetime(2026, 3, 1, tzinfo=UTC),
    "end": datetime(2026, 4, 1, tzinfo=UTC),
}
TIMES = [
    datetime(2026, 2, 28, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 3, 1, tzinfo=UTC),
    datetime(2026, 3, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 4, 1, tzinfo=UTC),
]


def read(batches: list[pa.RecordBatch], **rules: Any) -> tuple[WindowRows, list[dict[str, Any]]]:
    rows = WindowRows(RowRules(**MARCH, **rules))
    found = [row for batch in rows.pass_on(batches) for row in batch.to_pylist()]
    return rows, found


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(columns)


@pytest.mark.parametrize(
    "times",
    [
        pa.array(TIMES, pa.timestamp("us", "UTC")),
        pa.array(TIMES, pa.timestamp("ns", "Europe/Berlin")),
        pa.array([one.replace(tzinfo=None) for one in TIMES], pa.timestamp("us")),
        pa.array([one.isoformat() for one in TIMES]),
        pa.array([one.isoformat().replace("+00:00", "Z") for one in TIMES]).dictionary_encode(),
        pa.array([one.replace(tzinfo=None).isoformat(" ") for one in TIMES]),
        pa.array(
            [one.astimezone(timezone(timedelta(hours=5))).isoformat() for one in TIMES],
            pa.large_string(),
        ),
        pa.array(["2026-02", "2026-03", "2026-03", "2026-04"]),
    ],
)
def test_a_windows_rows_are_those_from_its_start_to_before_its_end(times: pa.Array) -> None:
    rows, found = read([batch(n=[0, 1, 2, 3], at=times)], time="at")
    assert [one["n"] for one in found] == [1, 2]
    assert rows.outside == 2


def test_dates_are_times_and_gaps_are_outside() -> None:
    days = pa.array(["2026-03-31", None, "2026-04-01"]).cast(pa.date32())
    assert [one["n"] for one in read([batch(n=[0, 1, 2], at=days)], time="at")[1]] == [0]
    assert read([batch(n=[0], at=pa.array([None]))], time="at")[1] == []


@pytest.mark.parametrize(("name", "said"), [("n", "holds int64 and no times"), ("x", "no column")])
def test_a_column_that_holds_no_times_is_an_error(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read([batch(n=[1])], time=name)


def log(*answered: tuple[str, str]) -> pa.RecordBatch:
    return batch(
        id=[str(number) for number in range(len(answered))],
        time=["2026-03-02T00:00:00Z"] * len(answered),
        artifact=[artifact for artifact, _ in answered],
        version=[version for _, version in answered],
    )


def test_of_a_request_log_only_the_watched_version_counts() -> None:
    answered = [("credit", "v1"), ("credit", "v2"), ("other", "v1"), ("credit", "v2")]
    rows, found = read([log(*answered), log(*answered)], artifact="credit", version="v2")
    assert [one["id"] for one in found] == ["1", "3"] * 2
    assert (rows.is_log, rows.others) == (True, {"v1": 2})


def test_what_is_no_request_log_is_taken_whole() -> None:
    rows, found = read([batch(version=["v1", "v2"])], artifact="credit", version="v2")
    assert (len(found), rows.is_log, rows.others) == (2, False, {})


def test_scores_and_ids_are_kept_in_order() -> None:
    batches = [
        batch(key=["a", "b"], score=[0.1, None]),
        batch(key=["c"], score=["0.3"]),
        batch(key=["d"]),
        batch(score=[True]),
    ]
    rows, _ = read(batches, score="score", join="key")
    np.testing.assert_array_equal(rows.scores, [0.1, np.nan, 0.3, np.nan, 1.0])
    assert rows.ids.tolist()[:4] == ["a", "b", "c", "d"]
    assert rows.ids.isna().tolist() == [False] * 4 + [True]


def test_of_very_many_rows_some_are_kept_with_their_own_ids() -> None:
    batches = [
        batch(
            key=pa.array(range(start, start + 1_000)), score=np.arange(start, start + 1_000) / 1e4
        )
        for start in range(0, 10_000, 1_000)
    ]
    rows, found = read(batches, score="score", join="key", most=300)
    assert len(found) == rows.rows == 10_000
    assert not rows.has_all
    assert len(rows.ids) == len(rows.scores) == 300
    np.testing.assert_allclose(rows.ids / 1e4, rows.scores)
    assert rows.ids.is_monotonic_increasing
    assert abs(rows.scores.mean() - 0.5) < 0.1
    whole, _ = read(batches, score="score", join="key")
    assert whole.has_all
    assert whole.ids.tolist() == list(range(10_000))


def test_outcomes_are_picked_by_ids_of_any_type() -> None:
    outcomes = [batch(key=["1", "2"], y=[0, 1]), batch(key=["3", None], y=[1, 0])]
    picked = of_ids(outcomes, "key", pd.Series([2, 3, 7]))
    assert [row for one in picked for row in one.to_pylist()] == [
        {"key": "2", "y": 1},
        {"key": "3", "y": 1},
    ]


def test_nothing_is_kept_of_no_rows() -> None:
    rows, found = read([], score="score", join="key", sample=5)
    assert (found, rows.sample, len(rows.scores), len(rows.ids)) == ([], (), 0, 0)


def test_a_sample_is_of_all_batches_and_the_same_each_time() -> None:
    batches = [batch(n=list(range(start, start + 1_000))) for start in range(0, 10_000, 1_000)]
    one, other = ([row["n"] for row in read(batches, sample=200)[0].sample] for _ in range(2))
    assert one == other
    assert len(set(one)) == 200
    # 20 of each thousand are expected; fewer than 5 of one come about once in 10,000 times.
    assert min(np.bincount(np.array(one) // 1_000, minlength=10)) >= 5
    assert len(read(batches[:1], sample=2_000)[0].sample) == 1_000
