"""The applications: made from a seed, or brought by the user; checked, and split by id."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import add_months
import columns
import generate
import numpy as np
import pandas as pd
import prepare
import pyarrow as pa
import pytest
import stage

SCRIPTS = Path(generate.__file__).parent
KNOBS = generate.Knobs(
    seed=10,
    rows=4_000,
    first_row=0,
    first_month="2025-01",
    months=12,
    default_rate=0.06,
    missing_share=0.05,
    population_shift=0.0,
    new_channel_share=0.0,
    concept_drift=0.0,
)
UNTOUCHED = [name for name in columns.FEATURES if name not in generate.MAY_BE_MISSING]


def applications(**knobs: float | str) -> pd.DataFrame:
    frame = generate.generate(dataclasses.replace(KNOBS, **knobs)).to_pandas()  # type: ignore[arg-type]
    assert isinstance(frame, pd.DataFrame)
    return frame


@pytest.fixture(scope="module")
def usual() -> pd.DataFrame:
    return applications()


def test_the_committed_parameters_are_valid(params: Path) -> None:
    assert generate.read_knobs(params).rows == 20_000


def test_the_same_seed_makes_the_same_applications(usual: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(applications(), usual)
    assert not applications(seed=11).equals(usual)


def test_the_columns_are_those_of_the_schema(usual: pd.DataFrame) -> None:
    assert tuple(usual.columns) == columns.COLUMNS
    assert len(columns.FEATURES) == 14
    assert all(pd.api.types.is_numeric_dtype(usual[name]) for name in columns.NUMERIC)
    assert usual[columns.ID].is_unique
    assert sorted(usual[columns.MONTH].unique()) == [f"2025-{month:02}" for month in range(1, 13)]


def test_about_six_percent_default() -> None:
    assert applications(rows=20_000)[columns.TARGET].mean() == pytest.approx(0.06, abs=0.005)


def test_features_correlate(usual: pd.DataFrame) -> None:
    correlation = usual[["utilisation", "delinquencies_2y", "debt_to_income"]].corr()
    assert (correlation.to_numpy() > 0.1).all()


def test_more_rows_only_append(usual: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(applications(rows=5_000).head(len(usual)), usual)


def test_a_later_window_continues_the_stream(usual: pd.DataFrame) -> None:
    window = applications(first_row=3_000, rows=1_000)
    pd.testing.assert_frame_equal(window, usual.tail(1_000).reset_index(drop=True))
    assert set(applications(first_month="2026-02", months=1)[columns.MONTH]) == {"2026-02"}


@pytest.mark.parametrize("share", [0.0, 0.05, 0.3])
def test_missing_share_holds_in_the_columns_that_may_have_gaps(share: float) -> None:
    frame = applications(missing_share=share)
    gaps = frame.isna().mean()
    assert gaps[list(generate.MAY_BE_MISSING)].to_numpy() == pytest.approx(share, abs=0.02)
    assert gaps.drop(list(generate.MAY_BE_MISSING)).sum() == 0.0


def test_missing_share_moves_nothing_else(usual: pd.DataFrame) -> None:
    frame = applications(missing_share=0.3)
    same = [*UNTOUCHED, columns.TARGET]
    pd.testing.assert_frame_equal(frame[same], usual[same])


def test_population_shift_makes_applicants_riskier(usual: pd.DataFrame) -> None:
    shifted = applications(population_shift=0.5)
    assert shifted.income_eur.mean() < 0.9 * usual.income_eur.mean()
    assert shifted.utilisation.mean() > 1.2 * usual.utilisation.mean()
    assert shifted[columns.TARGET].mean() > 1.3 * usual[columns.TARGET].mean()


def test_a_new_channel_takes_its_share_and_changes_nobody(usual: pd.DataFrame) -> None:
    assert generate.NEW_CHANNEL not in set(usual.channel)
    frame = applications(new_channel_share=0.2)
    assert (frame.channel == generate.NEW_CHANNEL).mean() == pytest.approx(0.2, abs=0.02)
    pd.testing.assert_frame_equal(frame.drop(columns="channel"), usual.drop(columns="channel"))


def test_concept_drift_changes_labels_only(usual: pd.DataFrame) -> None:
    drifted = applications(concept_drift=1.0)
    features = list(columns.FEATURES)
    pd.testing.assert_frame_equal(drifted[features], usual[features])
    assert drifted[columns.TARGET].mean() == pytest.approx(usual[columns.TARGET].mean(), abs=0.015)
    mortgaged = usual.housing == "mortgage"
    assert usual[columns.TARGET][mortgaged].mean() < usual[columns.TARGET].mean()
    assert drifted[columns.TARGET][mortgaged].mean() > 1.3 * drifted[columns.TARGET].mean()


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("rows", 0),
        ("rows", "2e4"),
        ("rows", True),
        ("default_rate", 1.5),
        ("default_rate", float("nan")),
        ("concept_drift", -1),
        ("first_month", "May"),
    ],
)
def test_a_knob_out_of_range_is_refused_by_name(knob: str, value: object) -> None:
    with pytest.raises(stage.BadInputError, match=f"generate.{knob} is"):
        dataclasses.replace(KNOBS, **{knob: value})  # type: ignore[arg-type]


def test_an_unknown_knob_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("generate: {rowz: 5}", encoding="utf-8")
    with pytest.raises(stage.BadInputError, match="rowz"):
        generate.read_knobs(path)


def split_ids(frame: pd.DataFrame, path: Path) -> tuple[set[str], set[str]]:
    frame.to_parquet(path)
    train, test = prepare.prepare(path, 0.3)
    return set(train[columns.ID].to_pylist()), set(test[columns.ID].to_pylist())


def test_no_row_changes_sides_when_rows_are_added(usual: pd.DataFrame, tmp_path: Path) -> None:
    train, test = split_ids(usual, tmp_path / "small.parquet")
    more_train, more_test = split_ids(applications(rows=6_000), tmp_path / "large.parquet")
    assert train < more_train
    assert test < more_test
    assert len(test) / len(usual) == pytest.approx(0.3, abs=0.03)
    assert not more_train & more_test


def test_the_old_test_set_stays_and_the_newest_month_is_held_out(usual: pd.DataFrame) -> None:
    later = applications(first_row=4_000, rows=3_000, first_month="2026-06", months=1)
    tests = [
        prepare.split(prepare.cast(pa.Table.from_pandas(frame, preserve_index=False)), 0.3)[1]
        for frame in (usual, pd.concat([usual, later]))
    ]
    old, fresh = prepare.hold_out(tests[0], "2025-12")
    assert old.equals(tests[0])
    assert set(fresh[columns.MONTH].to_pylist()) == {"2025-12"}
    still, newest = prepare.hold_out(tests[1], "2025-12")
    assert still.equals(old)
    assert set(newest[columns.MONTH].to_pylist()) == {"2026-06"}
    with pytest.raises(stage.BadInputError, match=r"up to prepare\.test_until \(0\)"):
        prepare.hold_out(tests[0], "2024-12")


def month(folder: Path, name: str, frame: pd.DataFrame, *, is_known: bool = True) -> Path:
    for kind in ("scored", "outcomes"):
        (folder / kind).mkdir(exist_ok=True)
    scored = frame.drop(columns=columns.TARGET).assign(score=0.1)
    scored.to_parquet(folder / f"scored/{name}.parquet")
    if is_known:
        truth = frame[[columns.ID, columns.TARGET]].sample(frac=1, random_state=0)
        truth.to_parquet(folder / f"outcomes/{name}.parquet")
    return folder / f"scored/{name}.parquet"


def test_months_with_outcomes_are_added_once(usual: pd.DataFrame, tmp_path: Path) -> None:
    rows = {"rows": 100, "months": 1}
    january = applications(first_row=4_000, first_month="2026-01", **rows)
    february = applications(first_row=4_100, first_month="2026-02", **rows)
    march = applications(first_row=4_200, first_month="2026-03", **rows)
    month(tmp_path, "2026-01", january)
    month(tmp_path, "2026-02", february, is_known=False)
    current = month(tmp_path, "2026-03", march)
    month(tmp_path, "2026-04", march.assign(application_id="later"))
    usual.to_parquet(tmp_path / "so_far.parquet")
    so_far = prepare.cast(prepare.read_table(tmp_path / "so_far.parquet"))
    added = add_months.added_to(so_far, current)
    wanted = pd.concat([january, march])
    assert added[columns.ID].to_pylist() == wanted[columns.ID].tolist()
    assert added[columns.TARGET].to_pylist() == wanted[columns.TARGET].tolist()
    assert add_months.added_to(pa.concat_tables([so_far, added]), current).num_rows == 0


@pytest.mark.parametrize("value", [None, "2025", "'2025-1'", "12", "December"])
def test_a_month_is_written_as_a_month(value: str | None, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"prepare: {{test_until: {value or 'null'}}}", encoding="utf-8")
    with pytest.raises(stage.BadInputError, match="write it like '2025-12'"):
        stage.month(stage.read_params(path, "prepare"), "test_until")


def test_a_users_csv_gives_the_same_rows_as_parquet(usual: pd.DataFrame, tmp_path: Path) -> None:
    usual.assign(comment="extra columns are dropped").to_csv(tmp_path / "own.csv", index=False)
    usual.to_parquet(tmp_path / "own.parquet")
    from_csv = prepare.prepare(tmp_path / "own.csv", 0.3)
    from_parquet = prepare.prepare(tmp_path / "own.parquet", 0.3)
    assert [part.equals(other) for part, other in zip(from_csv, from_parquet, strict=True)] == [
        True,
        True,
    ]
    assert from_csv[0].schema == prepare.schema()


def test_ids_that_are_numbers_become_text(usual: pd.DataFrame, tmp_path: Path) -> None:
    usual.assign(application_id=np.arange(len(usual))).to_csv(tmp_path / "own.csv", index=False)
    train, _ = prepare.prepare(tmp_path / "own.csv", 0.3)
    assert set(map(type, train[columns.ID].to_pylist())) == {str}


def test_a_boolean_target_is_taken(usual: pd.DataFrame, tmp_path: Path) -> None:
    usual.astype({columns.TARGET: bool}).to_parquet(tmp_path / "own.parquet")
    train, _ = prepare.prepare(tmp_path / "own.parquet", 0.3)
    assert set(train[columns.TARGET].to_pylist()) == {0, 1}


BAD_FRAMES: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "no target": (lambda f: f.drop(columns="default"), "no target column 'default'"),
    "missing columns": (
        lambda f: f.drop(columns=["purpose", "age_years"]),
        "missing columns: age_years, purpose",
    ),
    "one class": (lambda f: f.assign(default=0), "holds only [0]: both classes"),
    "other labels": (lambda f: f.assign(default=f.default + 1), "holds [1, 2]"),
    "empty target": (lambda f: f.assign(default=None), "holds [None]"),
    "no rows": (lambda f: f.head(0), "holds only []"),
    "repeated ids": (lambda f: pd.concat([f, f.head(1)]), "must be set and unique"),
    "text in numbers": (
        lambda f: f.assign(income_eur="a lot"),
        "column 'income_eur' does not hold double",
    ),
    "one class in a part": (
        lambda f: f.sort_values("default").tail(3).assign(default=[0, 1, 1]),
        "one class only",
    ),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_bad_table_is_refused_with_what_to_do(
    case: str, usual: pd.DataFrame, tmp_path: Path
) -> None:
    spoil, message = BAD_FRAMES[case]
    spoil(usual).to_parquet(tmp_path / "own.parquet")
    with pytest.raises(stage.BadInputError) as caught:
        prepare.prepare(tmp_path / "own.parquet", 0.3)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.xlsx", b"", "unknown format '.xlsx'"),
        ("own", b"", "unknown format ''"),
        ("own.csv", None, "does not exist; set data.source"),
        ("own.csv", b"", "cannot read"),
        ("own.csv", b'a,b\n1,2,3\n"', "cannot read"),
        ("own.parquet", b"PAR1 not really", "cannot read"),
    ],
)
def test_a_bad_file_is_refused_with_what_to_do(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(stage.BadInputError) as caught:
        prepare.read_table(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_input_ends_a_script_with_one_line_and_no_traceback(
    tmp_path: Path, params: Path
) -> None:
    (tmp_path / "own.csv").write_text("application_id,default\n1,0\n2,1\n", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            SCRIPTS / "prepare.py",
            tmp_path / "own.csv",
            tmp_path / "train.parquet",
            tmp_path / "test.parquet",
            tmp_path / "fresh.parquet",
            "--params",
            params,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: missing columns: application_month, amount_eur")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("value", ["0", "1", "-0.5", "many", ".nan", "null"])
def test_a_share_that_is_no_fraction_is_refused(value: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"prepare: {{test_share: {value}}}", encoding="utf-8")
    with pytest.raises(stage.BadInputError, match="between 0 and 1"):
        stage.fraction(stage.read_params(path, "prepare"), "test_share")


@pytest.mark.parametrize("content", [None, "a: [", "other: {}", "generate: 5", "- 1"])
def test_unusable_parameters_are_refused(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(stage.BadInputError, match=r"params\.yaml"):
        stage.read_params(path, "generate")
