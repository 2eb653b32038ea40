"""Reference profiles and windows: each column, however odd, has an outcome and never an error."""

import pickle
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from modelci.analysis.profile import build, count, merge
from modelci.analysis.sketch import MOST_COUNTED, Ids, Sketch
from modelci.analysis.window import WindowSketch
from modelci.domain.profile import (
    MOST_CATEGORIES,
    ColumnKind,
    ColumnProfile,
    NumberProfile,
    Profile,
)

RANDOM = np.random.default_rng(3)


def batches(columns: Any, rows: int = 1000) -> list[pa.RecordBatch]:
    if isinstance(columns, pd.DataFrame):
        return list(pa.Table.from_pandas(columns, preserve_index=False).to_batches(rows))
    return list(pa.table(columns).to_batches(rows))


def column(values: Any, type_: Any = None) -> ColumnProfile:
    (found,) = build(batches({"x": pa.array(values, type_)})).columns
    return found


def window(reference: Any, current: Any) -> ColumnProfile:
    (found,) = count(batches({"x": pa.array(current)}), build(batches({"x": reference}))).columns
    return found


def numbers(one: ColumnProfile) -> NumberProfile:
    assert one.number is not None
    return one.number


def categories(one: ColumnProfile) -> dict[str, int]:
    assert one.category is not None
    return dict(zip(one.category.values, one.category.counts, strict=True))


UNIT = "us" if pd.__version__ >= "3" else "ns"


def frame(rows: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"row-{place}" for place in range(rows)],
            "income": np.where(RANDOM.random(rows) < 0.1, np.nan, RANDOM.lognormal(8, 1, rows)),
            "term": RANDOM.integers(1, 40, rows),
            "purpose": RANDOM.choice(np.array(["car", "home", None]), rows),
            "since": pd.date_range("2024-01-01", periods=rows, freq="h", tz="Europe/Berlin"),
            "is_new": RANDOM.random(rows) < 0.3,
            "score": RANDOM.random(rows),
        }
    )


def test_each_kind_of_column_is_profiled_as_what_it_is() -> None:
    table = frame(3000)
    profile = build(batches(table), id="id", score="score", threshold=0.4)

    assert profile.rows == 3000
    assert {one.name: (one.kind, one.dtype) for one in profile.columns} == {
        "id": (ColumnKind.IDENTIFIER, "string"),
        "income": (ColumnKind.NUMBER, "double"),
        "term": (ColumnKind.NUMBER, "int64"),
        "purpose": (ColumnKind.CATEGORY, "string"),
        "since": (ColumnKind.DATETIME, f"timestamp[{UNIT}, tz=Europe/Berlin]"),
        "is_new": (ColumnKind.BOOLEAN, "bool"),
    }
    income = profile.column("income")
    assert income is not None
    assert income.missing == table["income"].isna().sum()
    assert numbers(income).mean == pytest.approx(table["income"].mean())
    assert numbers(income).std == pytest.approx(table["income"].std(ddof=0))
    since = profile.column("since")
    assert since is not None
    assert numbers(since).min == datetime(2023, 12, 31, 23, tzinfo=UTC).timestamp()
    purpose = profile.column("purpose")
    assert purpose is not None
    assert categories(purpose) == table["purpose"].value_counts().to_dict()
    assert profile.scores is not None
    assert sum(numbers(profile.scores).counts) == 3000
    assert profile.chosen == (table["score"] >= 0.4).mean()
    assert profile.duplicates == 0


def test_data_against_its_own_profile_is_its_profile() -> None:
    table = frame(5000)
    reference = build(batches(table), score="score", threshold=0.5)
    current = count(batches(table), reference)
    for ours, theirs in zip(current.columns, reference.columns, strict=True):
        if ours.kind is not ColumnKind.IDENTIFIER:
            assert ours == theirs
    assert (current.scores, current.chosen) == (reference.scores, reference.chosen)


def test_windows_add_up_whatever_their_parts() -> None:
    table = frame(4000)
    reference = build(batches(frame(2000)), id="id", score="score", threshold=0.5)
    whole = count(batches(table), reference)
    parts = [count(batches(part), reference) for part in (table[:7], table[7:1500], table[1500:])]
    for first, second, third in (parts, parts[::-1]):
        merged = merge(merge(first, second), third)
        assert (merged.rows, merged.chosen) == (whole.rows, whole.chosen)
        for ours, theirs in zip(merged.columns, whole.columns, strict=True):
            assert (ours.missing, ours.mistyped, ours.dtype) == (theirs.missing, 0, theirs.dtype)
            if theirs.number is not None:
                assert numbers(ours).counts == theirs.number.counts
                assert numbers(ours).mean == pytest.approx(theirs.number.mean)
                assert numbers(ours).std == pytest.approx(theirs.number.std)
            elif theirs.category is not None:
                assert categories(ours) == categories(theirs)


def test_profiles_over_other_edges_do_not_add_up() -> None:
    one, other = build(batches({"x": [1.0, 2.0]})), build(batches({"x": [1.0, 9.0]}))
    with pytest.raises(ValueError, match="x was counted between other edges"):
        merge(one, other)
    text = build(batches({"x": ["a"]}))
    with pytest.raises(ValueError, match="x is number in one profile and category in the other"):
        merge(one, text)


@pytest.mark.parametrize("kind", ["reference", "window"])
def test_sketches_of_parts_in_any_order_are_the_sketch_of_all(kind: str) -> None:
    parts = batches(frame(6000), rows=500)
    reference = build(parts[:3], id="id", score="score", threshold=0.5)

    def empty() -> Any:
        if kind == "window":
            return WindowSketch(reference=reference, ignore=frozenset({"term"}))
        return Sketch(id="id", score="score", threshold=0.5)

    def sketch(rows: Sequence[pa.RecordBatch]) -> Any:
        found = empty()
        for batch in rows:
            found.add(batch)
        return pickle.loads(pickle.dumps(found))  # noqa: S301 - as another process sends it

    whole = sketch(parts).profile()
    forth, back = sketch(parts[:5]), sketch(parts[11:])
    for found, rest in ((forth, (parts[5:9], parts[9:])), (back, (parts[4:11], parts[:4]))):
        for part in rest:
            found.merge(sketch(part))
        assert found.profile() == whole


# -- odd data ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "type_", "kind", "missing"),
    [
        ([np.nan, np.nan], pa.float64(), ColumnKind.EMPTY, 2),
        ([None, None], pa.null(), ColumnKind.EMPTY, 2),
        ([None, None], pa.string(), ColumnKind.EMPTY, 2),
        ([], pa.float64(), ColumnKind.EMPTY, 0),
        ([7.0], pa.float64(), ColumnKind.NUMBER, 0),
        ([7] * 5, pa.uint8(), ColumnKind.NUMBER, 0),
        ([2**63, None], pa.uint64(), ColumnKind.NUMBER, 1),
        ([1.5, None, np.nan], pa.float32(), ColumnKind.NUMBER, 2),
        ([np.float16(1.5), None], pa.float16(), ColumnKind.NUMBER, 1),
        ([Decimal("1.25"), None], pa.decimal128(38, 10), ColumnKind.NUMBER, 1),
        ([time(12), None], pa.time64("us"), ColumnKind.NUMBER, 1),
        ([time(12), None], pa.time32("s"), ColumnKind.NUMBER, 1),
        ([timedelta(hours=1), None], pa.duration("ms"), ColumnKind.NUMBER, 1),
        ([date(1900, 1, 1), None], pa.date32(), ColumnKind.DATETIME, 1),
        ([date(1900, 1, 1), None], pa.date64(), ColumnKind.DATETIME, 1),
        ([datetime(2025, 1, 1), None], pa.timestamp("ns"), ColumnKind.DATETIME, 1),  # noqa: DTZ001
        ([b"a", None], pa.binary(), ColumnKind.CATEGORY, 1),
        ([b"\xff\xfe", None], pa.binary(2), ColumnKind.CATEGORY, 1),
        (["a", None], pa.large_string(), ColumnKind.CATEGORY, 1),
        (["a", None], pa.string_view(), ColumnKind.CATEGORY, 1),
        ([1.0, 1.0, None], pa.run_end_encoded(pa.int32(), pa.float64()), ColumnKind.NUMBER, 1),
        (["a", None, "a"], pa.dictionary(pa.int8(), pa.string()), ColumnKind.CATEGORY, 1),
        ([3, None], pa.dictionary(pa.int8(), pa.int64()), ColumnKind.NUMBER, 1),
        ([True, None], pa.bool_(), ColumnKind.BOOLEAN, 1),
        ([[1.0], None], pa.list_(pa.float64()), ColumnKind.IDENTIFIER, 1),
        ([{"a": 1}, None], pa.struct({"a": pa.int64()}), ColumnKind.IDENTIFIER, 1),
        ([b"0123456789abcdef", None], pa.uuid(), ColumnKind.CATEGORY, 1),
    ],
    ids=lambda value: str(value) if isinstance(value, pa.DataType) else None,
)
def test_every_type_has_an_outcome(
    values: list[Any], type_: Any, kind: ColumnKind, missing: int
) -> None:
    data = batches({"x": pa.array(values, type_)}) or [pa.record_batch({"x": pa.array([], type_)})]
    reference = build(data, id="x")
    assert reference.rows == len(values)
    reference = build(data)
    (one,) = reference.columns
    assert (one.kind, one.missing, one.mistyped) == (kind, missing, 0)
    if one.number is not None:
        assert sum(one.number.counts) == len(values) - missing
    (again,) = count(data, reference).columns
    assert (again.missing, again.mistyped, again.number) == (missing, 0, one.number)
    for other in (["text"], [1.0], [True], [datetime(2025, 1, 1)], [[1]], [None]):  # noqa: DTZ001
        (odd,) = count(batches({"x": pa.array(other)}), reference).columns
        assert odd.rows == 1
        assert odd.missing == (other == [None])


def test_infinite_numbers_are_neither_missing_nor_counted_with_the_others() -> None:
    one = column([1.0, np.inf, -np.inf, 3.0, None, np.nan])
    assert (one.missing, numbers(one).infinite, numbers(one).counts) == (2, 2, (1, 1))
    only = column([np.inf])
    assert (only.kind, numbers(only).counts, numbers(only).infinite) == (ColumnKind.NUMBER, (), 1)
    assert numbers(window([np.inf], [1.0, np.inf])).above == 1


def test_numbers_beyond_the_reference_are_counted_on_their_side() -> None:
    found = numbers(window([1.0, 2.0, 3.0], [0.0, 1.0, 3.0, 3.5, 4.0]))
    assert (found.below, sum(found.counts), found.above) == (1, 2, 2)
    assert (found.min, found.max) == (0.0, 4.0)


def test_a_constant_column_shows_what_is_not_constant_any_more() -> None:
    found = numbers(window([5.0] * 10, [4.0, 5.0, 5.0, 6.0]))
    assert (found.below, found.counts, found.above) == (1, (2,), 1)


def test_new_categories_are_counted_by_name_and_lost_ones_with_nothing() -> None:
    found = window(["a", "a", "b"], ["a", "c", "c", None])
    assert categories(found) == {"a": 1, "b": 0, "c": 2}
    assert found.category is not None
    assert (found.category.other, found.category.distinct) == (0, 2)


def test_of_many_categories_the_first_are_named() -> None:
    values = [f"v{place:03}" for place in range(300) for _ in range(300 - place)]
    one = column(values)
    assert one.category is not None
    assert one.category.values == tuple(f"v{place:03}" for place in range(MOST_CATEGORIES))
    assert one.category.distinct == 300
    assert sum(one.category.counts) + one.category.other == len(values)


def test_a_column_of_ever_new_texts_is_an_identifier_and_takes_no_memory() -> None:
    names = [f"customer-{place}" for place in range(3 * MOST_COUNTED)]
    data = batches({"x": names}, rows=20_000)
    sketch = Sketch()
    for batch in data:
        sketch.add(batch)
    assert sketch.columns["x"].texts.counts is None
    (one,) = sketch.profile().columns
    assert (one.kind, one.category, one.rows) == (ColumnKind.IDENTIFIER, None, len(names))
    (again,) = count(data, sketch.profile()).columns
    assert (again.missing, again.category) == (0, None)
    assert column([f"u{place}" for place in range(500)]).kind is ColumnKind.IDENTIFIER


def test_duplicate_ids_are_counted_across_batches() -> None:
    reference = build(batches({"id": [1, 2, 3]}), id="id")
    for ids in ([1, 2, 2, 5, 5, 5], ["a", "b", "b", "c", "c", "c"], [1.5, 2, 2, None, None, 2, 2]):
        assert count(batches({"id": ids}, rows=2), reference).duplicates == 3
    assert build(batches({"id": [1, 2, 3]}), id="id").duplicates == 0


def test_of_very_many_ids_a_sample_says_how_many_are_duplicates() -> None:
    rows, most = 500_000, 100_000
    hashes = RANDOM.permutation(np.repeat(RANDOM.integers(0, 2**64, rows // 2, np.uint64), 2))
    whole, parts = Ids(most), [Ids(most) for _ in range(3)]
    for batch in np.array_split(hashes, 30):
        whole.add(batch)
    for part, batch in zip(parts, np.array_split(hashes, 3), strict=True):
        part.add(batch)
    parts[0].merge(parts[2])
    parts[0].merge(parts[1])
    assert whole.kept <= most
    assert whole.duplicates() == pytest.approx(rows / 2, rel=0.03)
    assert parts[0].duplicates() == whole.duplicates()


def test_one_bad_cell_does_not_make_numbers_text() -> None:
    mixed = [{"x": [1.0, 2.0, 3.0]}, {"x": ["4", "n.a.", "5.5"]}]
    (one,) = build([one for part in mixed for one in batches(part)]).columns
    assert (one.kind, one.mistyped, one.dtype) == (ColumnKind.NUMBER, 1, "double|string")
    assert (sum(numbers(one).counts), numbers(one).max) == (5, 5.5)
    found = window([1.0, 2.0, 3.0], ["1", "2.5", "n.a.", None])
    assert (found.mistyped, found.missing, sum(numbers(found).counts)) == (1, 1, 2)


def test_what_is_of_another_type_is_read_where_it_can_be() -> None:
    assert categories(window(["7", "8"], [7.0, 7.0, 9.0])) == {"7": 2, "8": 0, "9": 1}
    assert categories(window([True, False], [1, 0, 1])) == {"false": 1, "true": 2}
    found = window([True, False], ["True", "maybe", "false"])
    assert (categories(found), found.mistyped) == ({"false": 1, "true": 1}, 1)
    assert sum(numbers(window([0.0, 1.0], [True, False, True])).counts) == 3
    day = datetime(2025, 1, 1, tzinfo=UTC)
    found = window([day, day + timedelta(days=9)], ["2025-01-03", "2025-01-04T12:00+02:00", "soon"])
    assert (sum(numbers(found).counts), found.mistyped) == (2, 1)
    assert window([day], [1.0, 2.0]).mistyped == 2


def test_a_time_is_the_same_in_every_zone() -> None:
    times = pd.date_range("2025-03-29 20:00", periods=12, freq="h", tz="UTC")
    for zone in ("Europe/Berlin", "America/New_York"):
        found = window(pa.array(times), pa.array(times.tz_convert(zone)))
        assert numbers(found) == numbers(column(pa.array(times)))


def test_renamed_columns_are_missing_and_added() -> None:
    reference = build(batches({"age": [1.0, 2.0], "k": ["a", "b"]}))
    current = count(batches({"age_years": [1.0, 2.0, 3.0], "k": ["a", "b", "b"]}), reference)
    old, kept, new = current.columns
    assert (old.name, old.dtype, old.missing, old.rows) == ("age", "", 3, 3)
    assert numbers(old).edges == numbers(reference.columns[0]).edges
    assert (kept.name, kept.missing) == ("k", 0)
    assert (new.name, new.kind, sum(numbers(new).counts)) == ("age_years", ColumnKind.NUMBER, 3)


def test_files_with_other_columns_miss_what_they_lack() -> None:
    data = [*batches({"a": [1.0, 2.0]}), *batches({"b": ["x"]})]
    a, b = build(data).columns
    assert (a.rows, a.missing, b.rows, b.missing) == (3, 1, 3, 2)


def test_columns_that_share_a_name_are_told_apart() -> None:
    table = pa.table([[1.0], [2.0], ["x"]], names=["a", "a", "b"])
    profile = build(table.to_batches())
    assert [one.name for one in profile.columns] == ["a", "a.1", "b"]


def test_no_rows_are_an_answer() -> None:
    assert build([]) == Profile(rows=0, columns=())
    reference = build(batches(frame(50)), id="id", score="score", threshold=0.5)
    empty = count([], reference)
    assert (empty.rows, empty.chosen, empty.duplicates) == (0, None, 0)
    assert all((one.rows, one.missing) == (0, 0) for one in empty.columns)
    assert numbers(empty.columns[1]).mean is None


def test_ignored_columns_are_not_looked_at() -> None:
    data = batches({"a": [1.0], "b": [2.0]})
    assert [one.name for one in build(data, ignore=["a"]).columns] == ["b"]
    assert [one.name for one in count(data, build(data), ignore={"b"}).columns] == ["a"]


def test_the_score_may_have_another_name_in_the_window() -> None:
    reference = build(batches({"score": [0.1, 0.9]}), score="score", threshold=0.5)
    current = count(batches({"p_default": [0.7, 0.8, 0.2]}), reference, score="p_default")
    assert current.columns == ()
    assert current.scores is not None
    assert current.chosen == pytest.approx(2 / 3)


def test_five_thousand_columns_are_as_good_as_five() -> None:
    values = RANDOM.normal(size=(300, 5000))
    data = batches({f"c{place}": values[:, place] for place in range(5000)}, rows=150)
    reference = build(data)
    assert len(reference.columns) == 5000
    last = count(data, reference).column("c4999")
    assert last == reference.column("c4999")
