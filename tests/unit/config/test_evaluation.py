"""What ``modelci.yaml`` says of predictions, slices, budgets, data and waivers."""

from datetime import date

import jsonschema
import pytest
import yaml

from modelci.config.load import load
from modelci.config.model import BudgetConfig, SlicesConfig, parse_bytes
from modelci.documents.schemas import schemas
from modelci.domain.evaluation import FairnessMetric, Mode, SliceBy, Task
from modelci.domain.gates import Rule, WhenUnclear
from modelci.errors import ConfigError

FULL = b"""\
gates:
  - {metric: roc_auc, max_drop: 0.005, mode: noninferior, inconclusive: fail}
evaluation:
  predictions: predictions.parquet
  target: y
  score: {cat: p_cat, dog: p_dog}
  task: multiclass
  mode: superior
  alpha: 0.01
  retrain_sd: {accuracy: 0.002}
  rescore: {cmd: python score.py, files: [model.bin]}
slices:
  by:
    - channel
    - {column: age, bins: [30, 50]}
    - {query: "age < 30 and channel == 'web'", name: young}
  metrics: [accuracy]
  max_drop: 2%
fairness:
  - {column: sex, metric: equal_opportunity, max: 0.1, mode: point}
budget:
  - {path: model.bin, max_bytes: 5 MB, max_increase: 10%}
  - {metric: latency_ms, max: 20}
baseline: {metrics: [accuracy], min_gain: 0.05}
data:
  - path: data/test.csv
    id: id
    columns: {age: {type: integer, min: 18, max_missing: 0.1}}
    disjoint_from: [data/train.csv]
waivers:
  - {gate: roc_auc, reason: Labels were mended, author: Ada, expires: 2026-01-31}
"""


def test_everything_can_be_said() -> None:
    config = load(FULL).config
    (gate,) = config.all_gates()
    assert (gate.mode, gate.inconclusive) == (Mode.NONINFERIOR, WhenUnclear.FAIL)
    (evaluation,) = config.evaluation
    assert (evaluation.task, evaluation.mode, evaluation.id) == (
        Task.MULTICLASS,
        Mode.SUPERIOR,
        "id",
    )
    assert config.slices.by == (
        "channel",
        SliceBy(column="age", bins=(30.0, 50.0)),
        SliceBy(query="age < 30 and channel == 'web'", name="young"),
    )
    assert config.fairness[0].metric is FairnessMetric.EQUAL_OPPORTUNITY
    assert [str(one) for budget in config.budget for one in budget.gates()] == [
        "model.bin:bytes max 5000000",
        "model.bin:bytes max_increase 10%",
        "latency_ms max 20",
    ]
    assert str(config.slices.gate("accuracy")) == "accuracy on slices max_drop 2%"
    assert str(config.fairness[0].gate()) == "equal_opportunity of sex max 0.1"
    assert str(config.baseline.gate("accuracy")) == "accuracy against a dummy min_gain 0.05"
    assert str(config.data[0].gate("min rows")) == "data/test.csv: min rows max 0"
    assert config.waivers[0].expires == date(2026, 1, 31)


def test_a_gates_limits_share_what_else_it_says() -> None:
    gates = load(b"gates: [{metric: a, min: 1, max_drop: 1, mode: point}]").config.all_gates()
    assert [(gate.rule, gate.mode) for gate in gates] == [
        (Rule.MIN, None),
        (Rule.MAX_DROP, Mode.POINT),
    ]


E = "evaluation: {predictions: p.csv}\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("gates:\n  - {metric: a, min: 1, mode: evidence}", 2, "a mode is for limits that compare"),
        ("evaluation:\n  predictions: ''", 2, "evaluation: predictions must name a file"),
        ("evaluation:\n  - predictions: p\n  - {predictions: q, alpha: 0}", 3, "alpha must be"),
        ("evaluation:\n  - predictions: p\n    bins: 5\n    alpha: 0.5", 4, "alpha must be"),
        ("evaluation:\n  predictions: p\n  rescore:\n    files: [a]\n    cmd: ''", 5, "cmd must"),
        (E + "slices:\n  by: [a]\n  min_rows: 0", 4, "min_rows must be 1 or more"),
        ("evaluation: {predictions: p, alpha: 0.5}", 1, "alpha must be above 0 and below 0.5"),
        ("evaluation: {predictions: p, resamples: 99}", 1, "resamples must be 100 to 100000"),
        ("evaluation: {predictions: p, resamples: 1000000}", 1, "resamples must be"),
        ("evaluation: {predictions: p, bins: 1}", 1, "bins must be 2 to 1000"),
        ("evaluation: {predictions: p, seed: -1}", 1, "seed must be 0 or more"),
        ("evaluation: {predictions: p, threshold: 1.5}", 1, "threshold must be 0 to 1"),
        ("evaluation: {predictions: p, retrain_sd: {f1: -1}}", 1, "retrain_sd of f1"),
        ("evaluation: {predictions: p, retrain_sd: {f1: .inf}}", 1, "retrain_sd of f1"),
        ("evaluation: {predictions: p, task: multiclass}", 1, "a column for each class"),
        ("evaluation:\n  predictions: p\n  score: {0: a}", 3, "score: Expected `str`, got `int`"),
        ("evaluation: {predictions: p, task: regression, score: {a: b}}", 1, "is one column"),
        ("evaluation: {predictions: p, task: regression, cost: {}}", 1, "for task: binary"),
        ("evaluation: {predictions: p, rescore: {cmd: ' ', files: [m]}}", 1, "must be a command"),
        ("evaluation: {predictions: p, rescore: {cmd: a, files: []}}", 1, "rescore.files must"),
        ("slices: {by: [a]}", 1, "slices: it takes predictions; name them under `evaluation:`"),
        ("\nbaseline: {metrics: [a]}", 2, "baseline: it takes predictions"),
        ("fairness: [{column: a, metric: equal_opportunity, max: 0}]", 1, "it takes predictions"),
        (E + "slices:\n  by:\n    - {name: x}", 4, "either a column or a query"),
        (E + "slices: {by: [{column: a, query: a}]}", 2, "either a column or a query"),
        (E + "slices: {by: [{query: a > 1, bins: 3}]}", 2, "bins are for a column"),
        (E + "slices: {by: [{column: a, bins: 1}]}", 2, "must be 2 or more"),
        (E + "slices: {by: [{column: a, bins: [2, 1]}]}", 2, "the edges of bins must grow"),
        (E + "slices: {by: [{column: a, bins: []}]}", 2, "bins must hold finite edges"),
        (E + "slices: {by: [{column: a, bins: [.nan]}]}", 2, "bins must hold finite edges"),
        (E + "slices: {by: [a], max_drop: -1}", 2, "never negative"),
        (E + "slices: {by: [a], max_drop: x}", 2, "neither a number nor a share"),
        (E + "slices: {by: [a], min_rows: 0}", 2, "min_rows must be 1 or more"),
        (E + "slices: {by: [a], alpha: 1}", 2, "alpha must be"),
        (E + "fairness: [{column: a, metric: equal_opportunity, max: 2}]", 2, "max must be 0 to 1"),
        (
            E + "fairness: [{column: a, metric: equal_opportunity, max: 0, mode: superior}]",
            2,
            "compares two models",
        ),
        (E + "baseline: {metrics: [a], min_gain: -1}", 2, "min_gain must be 0 or more"),
        ("budget: [{max: 5}]", 1, "budget: it takes either a path or a metric"),
        ("budget: [{path: a, metric: b, max: 5}]", 1, "either a path or a metric"),
        ("budget:\n  - {path: a, max_bytes: 5}\n  - {path: b}", 3, "give max_bytes or max_incr"),
        ("budget: [{metric: a}]", 1, "it has no limit: give max or max_increase"),
        ("budget: [{path: a, max: 5}]", 1, "what a path's bytes may be is max_bytes"),
        ("budget: [{metric: a, max_bytes: 5}]", 1, "max_bytes is for a path"),
        ("budget: [{path: a, max_bytes: 5 apples}]", 1, "'5 apples' is no size such as 5 MB"),
        ("budget: [{metric: a, max: .inf}]", 1, "a finite number"),
        ("budget: [{metric: a, max_increase: -1%}]", 1, "never negative"),
        ("data: [{path: a}]", 1, "data: it checks nothing"),
        ("data: [{path: a, min_rows: -1}]", 1, "min_rows must be 0 or more"),
        ("data: [{path: a, min_rows: 2, max_rows: 1}]", 1, "min_rows is above max_rows"),
        ("data: [{path: a, min_rows: 1, disjoint_from: [b]}]", 1, "name the id"),
        ("data: [{path: a, columns: {x: {min: 2, max: 1}}}]", 1, "column x: min is above max"),
        ("data: [{path: a, columns: {x: {max_missing: 2}}}]", 1, "max_missing is a share"),
        ("waivers: [{gate: a, reason: '', author: b, expires: 2026-01-01}]", 1, "reason must not"),
        ("waivers:\n  - {gate: a, reason: b, author: c, expires: soon}", 2, "waivers[0].expires"),
        ("waivers: [{gate: a, reason: b, author: c}]", 1, "waivers[0]: `expires` is missing"),
    ],
)
def test_what_means_nothing_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text.encode())
    assert str(raised.value).startswith(f"modelci.yaml:{line}: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("evaluation: {predictions: p, task: rank}", "One of: binary, multiclass, regression."),
        ("evaluation: {predictions: p, mode: sure}", "One of: point, evidence, noninferior, super"),
        ("comment: {mode: sure}", "One of: update, new, hide-and-new."),
        (E + "fairness: [{column: a, metric: x, max: 0}]", "One of: demographic_parity, equal_opp"),
        (
            "waivers: [{gate: a, reason: b, author: c, expires: next week}]",
            "Write a date such as 2026-03-31.",
        ),
        ("evaluation: {predictins: p}", "Did you mean 'predictions'?"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_ones(text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text.encode())
    assert (raised.value.hint or "").startswith(hint)


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (5, 5.0),
        ("5", 5.0),
        ("5 B", 5.0),
        ("5 bytes", 5.0),
        ("5 MB", 5e6),
        ("5MiB", 5 * 2.0**20),
        ("1.5 kB", 1500.0),
        ("2 GiB", 2.0**31),
        (" 1 t ", 1e12),
    ],
)
def test_a_size_is_read_as_people_write_it(size: int | str, count: float) -> None:
    assert parse_bytes(size) == count


@pytest.mark.parametrize("size", ["", "MB", "-5 MB", "5 PB", "5 iB", "1e3", "5 M B"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_bytes(size)


def test_a_budget_is_judged_by_numbers_alone() -> None:
    gates = BudgetConfig(metric="latency_ms", max=5, max_increase="10%").gates()
    assert [gate.mode for gate in gates] == [None, Mode.POINT]
    assert SlicesConfig().gate("f1").threshold.value == 0.01


@pytest.mark.parametrize("text", ["auc", "[auc]"])
def test_one_metric_needs_no_list_and_several_are_one_wherever_they_are_named(text: str) -> None:
    said = f"evaluation: {{predictions: p, metrics: {text}}}\nslices: {{metrics: {text}}}\n"
    said += f"baseline: {{metrics: {text}}}\n"
    config = load(said.encode()).config
    assert config.slices.metrics == config.baseline.metrics == ("auc",)
    assert config.evaluation[0].metrics in {"auc", ("auc",)}
    validator = jsonschema.Draft202012Validator(schemas()["modelci.yaml"])
    validator.validate(yaml.safe_load(said))
    with pytest.raises(ConfigError, match="array"):
        load(b"slices: {metrics: 5}")
