"""What ``monitor:`` takes, and what it refuses, with the line."""

from typing import Any

import pytest
import yaml

from modelci.config.load import load
from modelci.config.model import Config, MonitorConfig
from modelci.domain.monitoring import ActionKind, DriftStatistic, TriggerKind
from modelci.domain.triggers import Trigger
from modelci.errors import ConfigError

FULL = """\
monitor:
  model: credit
  stage: prod
  current: data/scored/{window}.parquet
  window: "%Y-%m"
  labels: {path: "data/outcomes/{window}.parquet", join: application_id, delay: 30d}
  min_rows: 300
  drift: {warn: 0.02, fail: 0.10, statistic: psi, alpha: 0.01, correction: holm}
  columns: {purpose: {fail: 0.25}, income: {statistic: ks}, application_month: ignore}
  performance: {roc_auc: {max_drop: 3%}, brier: {max: 0.2}, estimate: cbpe}
  max_age_days: 90
  skew: {rows: 500, tolerance: 0.001, max_share: 0.01}
  triggers:
    - {when: performance, action: retrain-pr}
    - {when: drift, columns: ">=2", consecutive: 2, action: retrain-pr}
    - {when: drift, action: issue}
    - {when: age, days: 90, action: retrain-pr}
  cooldown: 7d
  history: git
  retrain: {cmd: python add.py, add: [data/applications.parquet]}
"""


def config(text: str = FULL) -> Config:
    return load(text.encode()).config


def changed(**changes: Any) -> str:
    """Return the settings with some of them changed, or (None) left out."""
    data = yaml.safe_load(FULL)
    data["monitor"] |= changes
    data["monitor"] = {key: one for key, one in data["monitor"].items() if one is not None}
    return yaml.safe_dump(data)


def test_all_that_is_said_is_read() -> None:
    (monitor,) = config().monitor
    assert monitor.drift.statistic is DriftStatistic.PSI
    assert monitor.columns["application_month"] == "ignore"
    assert monitor.triggers[1] == Trigger(
        when=TriggerKind.DRIFT, action=ActionKind.RETRAIN_PR, columns=">=2", consecutive=2
    )
    assert monitor.retrain.add == ("data/applications.parquet",)


def test_a_model_and_its_data_are_enough() -> None:
    (monitor,) = config("monitor: {model: credit, current: scored.csv}").monitor
    assert monitor == MonitorConfig(model="credit", current="scored.csv")


def test_several_models_are_a_list() -> None:
    text = "monitor:\n  - {model: a, current: x}\n  - {model: a, stage: dev, current: x}\n"
    assert [one.stage for one in config(text).monitor] == [None, "dev"]
    with pytest.raises(ConfigError, match="monitor: a is watched twice"):
        config(text.replace(", stage: dev", ""))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": " "}, "model must not be empty"),
        ({"current": ""}, "current must not be empty"),
        ({"history": ""}, "history must not be empty"),
        ({"stage": "a b"}, "stage 'a b' cannot be one's name"),
        ({"window": "%m"}, "window: '%m' does not name one period each"),
        ({"window": "latest"}, "window: 'latest' names no periods"),
        ({"cooldown": "soon"}, "cooldown: 'soon' is no duration such as 30d"),
        ({"labels": {"path": "x", "join": "id", "delay": "30"}}, "labels.delay: '30' is no"),
        ({"min_rows": 0}, "min_rows must be 1 or more"),
        ({"max_age_days": 0}, "max_age_days must be above 0"),
        ({"drift": {"warn": 0.3, "fail": 0.2}}, "drift.warn must be above 0 and up to drift.fail"),
        ({"drift": {"alpha": 0.5}}, "drift.alpha must be above 0 and below 0.5"),
        ({"drift": {"statistic": "chi"}}, "Invalid enum value 'chi'"),
        ({"columns": {"a": "ignored"}}, "columns.a is 'ignored': write `ignore`"),
        ({"columns": {"a": {"warn": 2, "fail": 1}}}, "columns.a: warn is above fail"),
        ({"columns": {"a": {"fail": 0}}}, "columns.a: warn and fail must be above 0"),
        ({"performance": {"estimate": "dle"}}, "performance.estimate is 'dle': it may be cbpe"),
        ({"performance": {"roc_auc": "0.8"}}, "performance.roc_auc is '0.8': give max_drop"),
        ({"performance": {"roc_auc": {}}}, "performance.roc_auc limits nothing"),
        ({"performance": {"auc": {"max_drop": "3"}}}, "'3' is neither a number nor a share"),
        (
            {"performance": {"auc": {"max_drop": -1}}},
            "performance.auc.max_drop is -1.0: a drop's limit is never negative",
        ),
        ({"performance": {"auc": {"max_drop": "-1%"}}}, "max_drop is -1%: a drop's limit"),
        ({"current": "{windw}.csv"}, "current has {windw}, which stands for nothing"),
        ({"current": "{}.csv"}, "current has {}, which stands for nothing"),
        (
            {"labels": {"path": "{windw}.csv", "join": "id"}},
            "labels.path has {windw}, which stands for nothing: the window's name is {window}",
        ),
        ({"labels": None, "performance": {"auc": {"min": 0.7}}}, "performance cannot be known"),
        ({"skew": {"rows": -1}}, "skew.rows must be 0 to 100000"),
        ({"skew": {"tolerance": -1}}, "skew.tolerance must be 0 or more"),
        ({"skew": {"max_share": 2}}, "skew.max_share must be 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(changed(**changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ({"when": "drift", "columns": "<2"}, "columns is '<2': write how many"),
        ({"when": "schema", "columns": 2}, "when schema: columns is of drift alone"),
        ({"when": "drift", "consecutive": 0}, "consecutive must be 1 or more"),
        ({"when": "drift", "days": 3}, "days is of age alone"),
        ({"when": "age", "days": 0}, "days must be above 0"),
        ({"when": "old"}, "Invalid enum value 'old'"),
        ({"when": "drift", "action": "tell"}, "Invalid enum value 'tell'"),
    ],
)
def test_a_trigger_that_makes_no_sense_is_refused(trigger: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(changed(triggers=[{"action": "issue", **trigger}]))
    assert said in str(caught.value)


def test_a_trigger_needs_what_it_goes_off_by() -> None:
    age = changed(triggers=[{"when": "age", "action": "issue"}], max_age_days=None)
    with pytest.raises(ConfigError, match="when age: give its days, or max_age_days"):
        config(age)
    fell = changed(triggers=[{"when": "performance", "action": "issue"}], performance={})
    with pytest.raises(ConfigError, match="when performance: `performance` limits nothing"):
        config(fell)


def test_an_error_names_the_line_and_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"modelci.yaml:14: .*Invalid enum value") as caught:
        config(FULL.replace("when: performance", "when: perfomance"))
    assert caught.value.hint == "One of: performance, drift, schema, age, skew."


@pytest.mark.parametrize(
    ("retrain", "wrong"),
    [
        ({"branch": "retrain"}, "{model} is part of it"),
        ({"branch": "main"}, "{model} is part of it"),
        ({"branch": "-x/{model}"}, "no branch can be called"),
        ({"branch": "a b/{model}"}, "no branch can be called"),
        ({"branch": "a..b/{model}"}, "no branch can be called"),
        ({"branch": "{model}.lock"}, "no branch can be called"),
        ({"add": ["/data/x.csv"]}, "counted from the top"),
        ({"add": ["../x.csv"]}, "counted from the top"),
        ({"add": [""]}, "counted from the top"),
    ],
)
def test_what_a_retraining_may_not_be_is_refused(retrain: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigError, match="retrain") as caught:
        config(changed(retrain=retrain))
    assert wrong in str(caught.value)


def test_parameters_of_a_retraining_are_read() -> None:
    params = {"train.until": "{window}", "configs/train.yaml:depth": 4, "train.fast": True}
    (monitor,) = config(changed(retrain={"params": params, "labels": ["ml"]})).monitor
    assert monitor.retrain.params == params
    assert monitor.retrain.labels == ("ml",)
    assert monitor.retrain.branch == "modelci/retrain-{model}"
