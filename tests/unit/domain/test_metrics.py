import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.metrics import (
    Direction,
    DirectionResolver,
    MetricDelta,
    MetricKey,
    NonFinite,
    diff_metrics,
    known_direction,
    matches,
    metric_value,
)

HIGHER, LOWER, UNKNOWN = Direction.HIGHER, Direction.LOWER, Direction.UNKNOWN


def key(name: str, path: str = "metrics.json") -> MetricKey:
    return MetricKey(path=path, name=name)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("roc_auc", HIGHER),
        ("accuracy", HIGHER),
        ("ROC-AUC", HIGHER),
        ("F1 Score", HIGHER),
        ("f1_macro", HIGHER),
        ("f1-score", HIGHER),
        ("macro avg.f1-score", HIGHER),
        ("val_accuracy", HIGHER),
        ("test.roc_auc", HIGHER),
        ("cv_test_f1_weighted", UNKNOWN),
        ("test_f1_weighted", HIGHER),
        ("ks", HIGHER),
        *((f"test.roc_auc_{kind}", HIGHER) for kind in ("ovr", "ovo")),
        *((f"roc_auc_{kind}_weighted", HIGHER) for kind in ("ovr", "ovo")),
        ("log_loss", LOWER),
        ("loss", LOWER),
        ("train_loss", LOWER),
        ("val_loss", LOWER),
        ("brier", LOWER),
        ("mean_squared_error", LOWER),
        ("rmse", LOWER),
        ("latency_ms", LOWER),
        ("neg_log_loss", HIGHER),
        ("neg_mean_squared_error", HIGHER),
        ("test_neg_log_loss", HIGHER),
        ("validation.neg_brier_score", HIGHER),
        ("neg_accuracy", UNKNOWN),
        ("my_score", UNKNOWN),
        ("rows", UNKNOWN),
        ("loss_of_life", UNKNOWN),
        ("roc_auc.mean", UNKNOWN),
        ("", UNKNOWN),
    ],
)
def test_the_fields_own_names_say_what_is_better(name: str, direction: Direction) -> None:
    assert known_direction(name) is direction


@pytest.mark.parametrize(
    ("pattern", "name", "meant"),
    [
        ("roc_auc", "roc_auc", True),
        ("roc_auc", "test.roc_auc", True),
        ("test.roc_auc", "test.roc_auc", True),
        ("test.roc_auc", "roc_auc", False),
        ("test.roc_auc", "old.test.roc_auc", False),
        ("roc_auc", "roc_auc_train", False),
        ("roc_*", "test.roc_auc", True),
        ("test.*", "test.a.b", True),
        ("test.*", "train.a", False),
        ("*", "anything.at.all", True),
        ("f[12]", "f1", True),
        ("ROC_AUC", "roc_auc", False),
        ("metrics.json:roc_auc", "roc_auc", True),
        ("metrics.json:roc_auc", "test.roc_auc", True),
        ("*.json:roc_auc", "roc_auc", True),
        ("other.json:roc_auc", "roc_auc", False),
        ("metrics.json:test.*", "test.f1", True),
        ("f1[macro]", "f1[macro]", True),
        ("metrics.json:f1[macro]", "f1[macro]", True),
        ("score:weighted", "score:weighted", True),
        ("metrics.json:score:weighted", "score:weighted", True),
    ],
)
def test_a_pattern_means_a_last_part_a_whole_name_or_a_glob_of_a_file(
    pattern: str, name: str, *, meant: bool
) -> None:
    assert matches(pattern, key(name)) is meant


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_metric_can_be_meant_by_its_own_name(path: str, name: str) -> None:
    one = MetricKey(path=path, name=name)
    assert matches(name, one)
    assert matches(str(one), one)


def test_a_file_in_a_pattern_keeps_out_the_same_name_elsewhere() -> None:
    found = [
        path for path in ("a/hgb.json", "b/hgb.json") if matches("a/*.json:f1", key("f1", path))
    ]
    assert found == ["a/hgb.json"]


def test_the_configuration_overrules_what_names_imply_in_the_order_written() -> None:
    resolve = DirectionResolver({"special.loss": HIGHER, "lo*": LOWER, "*": HIGHER})
    assert resolve(key("special.loss")) is HIGHER
    assert resolve(key("loss")) is LOWER
    assert resolve(key("brier")) is HIGHER
    assert DirectionResolver({})(key("brier")) is LOWER


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (math.nan, NonFinite.NAN),
        (math.inf, NonFinite.INFINITY),
        (-math.inf, NonFinite.MINUS_INFINITY),
    ],
)
def test_a_number_that_json_cannot_hold_is_spelt_out(
    number: float, value: float | NonFinite
) -> None:
    found = metric_value(number)
    assert found == value
    assert type(found) is type(value)


def test_metrics_are_paired_by_file_and_name_and_absence_is_not_zero() -> None:
    deltas = diff_metrics(
        {key("b"): 1.0, key("a"): 0.0, key("a", "z.json"): 1.0}, {key("b"): 2.0, key("c"): 0.0}
    )
    assert [(str(one.key), one.base, one.head) for one in deltas] == [
        ("metrics.json:a", 0.0, None),
        ("metrics.json:b", 1.0, 2.0),
        ("metrics.json:c", None, 0.0),
        ("z.json:a", 1.0, None),
    ]
    assert [one.change for one in deltas] == [None, 1.0, None, None]
    assert all(one.is_changed for one in deltas)


@pytest.mark.parametrize(("direction", "gain"), [(HIGHER, -0.25), (LOWER, 0.25), (UNKNOWN, None)])
def test_a_gain_is_counted_in_the_metrics_good_direction(
    direction: Direction, gain: float | None
) -> None:
    delta = MetricDelta(key=key("x"), base=0.5, head=0.25, direction=direction)
    assert delta.gain == gain


def test_two_nans_are_no_change_and_have_no_difference() -> None:
    delta = MetricDelta(key=key("x"), base=NonFinite.NAN, head=NonFinite.NAN, direction=HIGHER)
    assert not delta.is_changed
    assert delta.change is None
    assert delta.gain is None
