"""Golden requests: chosen, recorded, and replayed."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import skops.io
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from tests.fakes.honest_models import (
    BINARY,
    CLASSES,
    NUMBERS,
    TABLE,
    TEXTS,
    categorical,
    fitted,
)

from modelci.documents import codec
from modelci.domain.golden import (
    Environment,
    Golden,
    Health,
    InputColumn,
    OutputColumn,
    ValueType,
)
from modelci.domain.modelfiles import Trust
from modelci.errors import ConfigError, UsageError
from modelci.modelfiles.environment import (
    closure,
    describe_environment,
    distributions_of,
    installed,
)
from modelci.modelfiles.files import ModelFileError
from modelci.modelfiles.load import load_model
from modelci.modelfiles.predictor import Columns, Predictor
from modelci.modelfiles.record import RecordOptions, record_golden
from modelci.modelfiles.replay import Stopwatch, check_health

TRUST = Trust()


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    def save(model: Any) -> Path:
        path = tmp_path / "model.skops"
        skops.io.dump(model, path)
        return path

    return save


def record(path: Path, data: pd.DataFrame, **options: Any) -> Golden:
    return record_golden(path, data, trust=TRUST, options=RecordOptions(**options))


def table() -> pd.DataFrame:
    """Return the table with what is no input, too."""
    return TABLE.assign(target=BINARY, id=np.arange(len(TABLE)))


def test_what_is_recorded_is_read_back_and_replays(saved: Callable[[Any], Path]) -> None:
    path = saved(fitted("a table, one-hot")[0])
    golden = record(path, table(), rows=12)
    again = codec.decode(Golden, codec.encode(golden).encode(), source="x")
    assert again == golden

    assert len(golden.requests) == len(golden.responses) == 12
    assert [one.name for one in golden.inputs] == list(TABLE.columns)
    assert golden.outputs == (OutputColumn(name="score"),)
    health = check_health(lambda: load_model(path, trust=TRUST, golden=again), again)
    assert (health.ok, health.problems, health.rows) == (True, (), 12)
    assert health.worst == pytest.approx(0.0, abs=1e-12)
    assert health.p50_ms is not None
    assert health.p99_ms is not None
    assert 0 < health.p50_ms <= health.p99_ms
    assert health.environment == golden.environment


def test_recording_again_gives_the_same(saved: Callable[[Any], Path]) -> None:
    path = saved(fitted("a table, boosted")[0])
    assert codec.encode(record(path, table())) == codec.encode(record(path, table()))


def test_the_inputs_are_described_from_the_data(saved: Callable[[Any], Path]) -> None:
    golden = record(saved(fitted("a table, one-hot")[0]), table())
    found = {one.name: one for one in golden.inputs}
    assert found["term"] == InputColumn(
        name="term", type=ValueType.INTEGER, dtype="int64", min=0.0, max=72.0
    )
    assert found["owner"].type is ValueType.BOOLEAN
    assert found["region"].values == ("east", "north", "south")
    assert found["amount"].min == pytest.approx(np.nanmin(TABLE["amount"]))
    assert (found["channel"].type, found["channel"].nullable) == (ValueType.STRING, True)


def test_a_column_may_have_gaps_where_the_model_takes_them(saved: Callable[[Any], Path]) -> None:
    frame = pd.DataFrame(NUMBERS, columns=list("abcd"))
    strict = record(saved(LogisticRegression().fit(frame, BINARY)), frame)
    assert {one.nullable for one in strict.inputs} == {False}
    filled = make_pipeline(SimpleImputer(), LogisticRegression()).fit(frame, BINARY)
    assert {one.nullable for one in record(saved(filled), frame).inputs} == {True}


def test_the_rows_show_gaps_and_categories_and_both_ends_of_the_scores(
    saved: Callable[[Any], Path],
) -> None:
    path = saved(fitted("a table, one-hot")[0])
    golden = record(path, table(), rows=10)
    for name in ("region", "channel"):
        shown = {row[name] for row in golden.requests}
        held = {None if pd.isna(one) else one for one in TABLE[name]}
        assert shown == held, name
    assert None in {row["amount"] for row in golden.requests}
    scores = fitted("a table, one-hot")[0].predict_proba(TABLE)[:, 1]
    recorded = [float(str(row["score"])) for row in golden.responses]
    assert min(recorded) == pytest.approx(scores.min())
    assert max(recorded) == pytest.approx(scores.max())
    assert len({tuple(row.values()) for row in golden.requests}) == 10


def test_few_rows_are_all_recorded(saved: Callable[[Any], Path]) -> None:
    golden = record(saved(fitted("a table, one-hot")[0]), table().iloc[:3])
    assert len(golden.requests) == 3


@pytest.mark.parametrize(
    ("family", "data", "options"),
    [
        ("logistic regression", pd.DataFrame(NUMBERS, columns=list("abcd")), {}),
        (
            "three classes",
            pd.DataFrame(NUMBERS, columns=list("abcd")).assign(y=CLASSES),
            {"exclude": ("y",)},
        ),
        (
            "forest of numbers",
            pd.DataFrame(NUMBERS, columns=list("abcd")).assign(y=CLASSES),
            {"columns": tuple("abcd")},
        ),
        ("SVC", pd.DataFrame(NUMBERS, columns=list("abcd")), {}),
        ("k-means", pd.DataFrame(NUMBERS, columns=list("abcd")), {}),
        ("histogram boosting of categories", categorical(), {}),
        ("texts", pd.DataFrame({"text": TEXTS, "y": BINARY}), {"columns": ("text",)}),
    ],
)
def test_models_of_every_kind_are_recorded(
    family: str, data: pd.DataFrame, options: dict[str, Any], saved: Callable[[Any], Path]
) -> None:
    path = saved(fitted(family)[0])
    golden = codec.decode(Golden, codec.encode(record(path, data, **options)).encode(), source="x")
    health = check_health(lambda: load_model(path, trust=TRUST, golden=golden), golden)
    assert health.problems == ()


def test_a_pickle_is_recorded_where_it_may_be_loaded(tmp_path: Path) -> None:
    path, frame = tmp_path / "model.joblib", pd.DataFrame(NUMBERS, columns=list("abcd"))
    joblib.dump(fitted("logistic regression")[0], path, compress=3)
    with pytest.raises(ModelFileError, match="pickle-not-allowed") as caught:
        record(path, frame)
    assert "--allow-pickle" in (caught.value.hint or "")
    with pytest.raises(ModelFileError, match="pickle-not-allowed") as caught:
        load_model(path, trust=TRUST)
    assert "--" not in (caught.value.hint or "")
    golden = record_golden(path, frame, trust=Trust(pickle=True), options=RecordOptions())
    assert "skops" not in golden.environment.needs


@pytest.mark.parametrize(
    ("data", "options", "why"),
    [
        (table().drop(columns=["region", "term"]), {}, "no column term, region"),
        (table().iloc[:0], {}, "no rows"),
        (table().assign(region=pd.Timestamp("2025-01-01")), {}, "Column region holds datetime64"),
        (
            table().assign(channel=pd.Series([object()] * len(TABLE))),
            {},
            "Column channel holds object",
        ),
        (table().assign(region=pd.Categorical(np.arange(len(TABLE)))), {}, "no texts"),
        (table().assign(amount="much"), {}, "cannot score the data"),
    ],
)
def test_data_that_do_not_belong_to_the_model_are_refused(
    data: pd.DataFrame, options: dict[str, Any], why: str, saved: Callable[[Any], Path]
) -> None:
    path = saved(fitted("a table, one-hot")[0])
    with pytest.raises(ModelFileError, match=why) as caught:
        record(path, data, **options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "hint"), [("chanel", "Did you mean 'channel'?"), ("q", "They have ")]
)
def test_a_column_that_is_to_be_left_out_must_be_there(
    name: str, hint: str, saved: Callable[[Any], Path]
) -> None:
    path = saved(fitted("a table, one-hot")[0])
    with pytest.raises(UsageError, match=f"the data have no column '{name}'") as caught:
        record(path, table(), exclude=(name,))
    assert hint in (caught.value.hint or "")


def test_columns_that_are_not_named_are_counted(saved: Callable[[Any], Path]) -> None:
    frame = pd.DataFrame(NUMBERS, columns=list("abcd")).assign(target=BINARY)
    with pytest.raises(ModelFileError, match=r"reads 4 columns .* have 5: a, b, c, d") as caught:
        record(saved(fitted("logistic regression")[0]), frame)
    assert "--exclude" in str(caught.value.hint)


# Replaying.


class Said:
    """A model that says what it is told to."""

    flavour = "said"
    inputs = (InputColumn(name="a", type=ValueType.NUMBER),)
    outputs = (OutputColumn(name="score"),)

    def __init__(self, say: Callable[[list[float]], list[float]]) -> None:
        self._say = say

    def predict(self, columns: Columns) -> Mapping[str, npt.NDArray[Any]]:
        return {"score": np.array(self._say([float(str(one)) for one in columns["a"]]))}


GOLDEN = Golden(
    model="m",
    sha256="",
    flavour="said",
    inputs=Said.inputs,
    outputs=Said.outputs,
    requests=tuple({"a": float(one)} for one in range(4)),
    responses=tuple({"score": float(one)} for one in range(4)),
    environment=describe_environment(["numpy"]),
    tolerance=1e-6,
)


def said(say: Callable[[list[float]], list[float]]) -> Predictor:
    return Said(say)


def test_answers_within_the_tolerance_are_healthy() -> None:
    health = check_health(lambda: said(lambda rows: [one + 9e-7 for one in rows]), GOLDEN)
    assert health.ok
    assert health.worst == pytest.approx(9e-7)


@pytest.mark.parametrize(
    ("say", "problem"),
    [
        (lambda rows: [one + 2e-6 for one in rows], r"row 1: score is 2e-06, not 0\.0"),
        (lambda rows: [float("nan")] * len(rows), "row 1: score is nan"),
        (lambda rows: rows[:1], "1 answers to 4"),
        (
            lambda rows: [one + (len(rows) == 1) for one in rows],
            r"asked alone, row 1: score is 1\.0, not 0\.0",
        ),
        (lambda rows: [1 / 0 for _ in rows], "it fails on a golden request: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_with_the_answers_is_said(
    say: Callable[[list[float]], list[float]], problem: str
) -> None:
    health = check_health(lambda: said(say), GOLDEN)
    assert not health.ok
    assert any(re.match(problem, one) for one in health.problems), health.problems


def test_a_slow_model_is_not_healthy() -> None:
    def slowly(rows: list[float]) -> list[float]:
        time.sleep(0.02)
        return rows

    # It really takes its time, and on this clock a hundredfold: so a round has few requests.
    watch = Stopwatch(now=lambda: 100 * time.perf_counter(), rest=lambda _: None)
    assert check_health(lambda: said(slowly), GOLDEN, max_latency_ms=1e7, watch=watch).ok
    health = check_health(lambda: said(slowly), GOLDEN, max_latency_ms=5, watch=watch)
    assert not health.ok
    assert "allowed 5" in health.problems[0]


class Machine:
    """A clock on which each row takes ``row_seconds``; whoever rests lets a neighbour finish."""

    def __init__(self, *, busy_rounds: int, slow: float = 0.05, quick: float = 0.001) -> None:
        self.seconds, self.busy, self.rests = 0.0, busy_rounds, list[float]()
        self._slow, self._quick = slow, quick
        self.watch = Stopwatch(now=lambda: self.seconds, rest=self.rest)

    def rest(self, seconds: float) -> None:
        self.rests.append(seconds)
        self.busy -= 1

    def answer(self, rows: list[float]) -> list[float]:
        self.seconds += self._slow if self.busy > 0 else self._quick
        return rows

    def check(self, most: float | None) -> Health:
        return check_health(
            lambda: said(self.answer), GOLDEN, max_latency_ms=most, watch=self.watch
        )


def test_a_busy_neighbour_does_not_make_a_model_too_slow() -> None:
    machine = Machine(busy_rounds=3)
    health = machine.check(most=5)
    assert health.ok, health.problems
    assert health.p99_ms == pytest.approx(1)
    assert len(machine.rests) == 3


def test_a_model_that_is_too_slow_is_so_in_each_of_a_few_rounds() -> None:
    machine = Machine(busy_rounds=99)
    health = machine.check(most=5)
    assert health.problems == (
        "a row takes 50 ms (99th percentile, the best of 5 rounds), allowed 5",
    )
    assert len(machine.rests) == 4
    assert machine.seconds < 5 * 2.5  # two seconds a round, and the answers themselves


def test_without_a_budget_one_round_is_enough() -> None:
    machine = Machine(busy_rounds=99)
    assert machine.check(most=None).p99_ms == pytest.approx(50)
    assert machine.rests == []


def test_an_environment_that_differs_is_named() -> None:
    packages = {**GOLDEN.environment.packages, "numpy": "1.0.0", "no-such-package": "3.0"}
    environment = replace(
        GOLDEN.environment, python="3.1.0", packages=packages, needs=("no-such-package", "numpy")
    )
    health = check_health(lambda: said(list), replace(GOLDEN, environment=environment))
    python, lacking, other = health.problems
    assert python.startswith("Python 3.1.0 at training, 3.")
    assert lacking == "no-such-package 3.0 at training, not installed here"
    assert other == f"numpy 1.0.0 at training, {np.__version__} here"


def test_a_model_that_does_not_load_is_a_problem_and_no_error() -> None:
    def load() -> Predictor:
        raise ConfigError("It is broken.", hint="Mend it.")

    health = check_health(load, GOLDEN)
    assert (health.ok, health.problems) == (False, ("It is broken. Mend it.",))


def test_without_golden_requests_a_model_is_only_loaded() -> None:
    health = check_health(lambda: said(lambda rows: [1 / 0 for _ in rows]), None)
    assert (health.ok, health.rows, health.p50_ms) == (True, 0, None)


# The environment.


def test_the_closure_holds_what_the_needed_packages_need() -> None:
    found = closure(["scikit-learn"])
    assert {"scikit-learn", "numpy", "scipy", "joblib", "threadpoolctl"} <= found.keys()
    assert found["numpy"] == np.__version__
    assert "pytest" not in found  # an extra's
    assert list(found) == sorted(found)


def test_modules_are_found_in_their_distributions() -> None:
    assert distributions_of(["sklearn.svm.SVC", "numpy.dtype", "builtins.dict"]) == (
        "numpy",
        "scikit-learn",
    )


def test_only_what_was_recorded_is_looked_for() -> None:
    like = Environment(python="3", packages={"numpy": "1", "nowhere": "2"}, needs=("numpy",))
    found = installed(like)
    assert (dict(found.packages), found.needs) == ({"numpy": np.__version__}, ("numpy",))
