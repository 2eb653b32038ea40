"""OpenMetrics text of a window, read back by Prometheus's own parser."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from tests.golden import windows

from modelci.domain.monitoring import Monitoring
from modelci.render.monitoring.openmetrics import render_metrics


def read(one: Monitoring, history: tuple[Monitoring, ...] = ()) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    text = render_metrics(one, history)
    for family in text_string_to_metric_families(text):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)
    return found


def value(samples: list[Sample], **labels: str) -> float:
    (found,) = [one for one in samples if labels.items() <= one.labels.items()]
    return float(found.value)


@pytest.mark.parametrize("case", windows.CASES)
def test_prometheus_reads_every_window(case: str) -> None:
    one = windows.CASES[case]()
    found = read(one, windows.before(one))
    assert value(found["modelci_monitor_rows"]) == one.rows
    assert value(found["modelci_monitor_ok"]) == one.is_ok
    for samples in found.values():
        assert all(one.labels["artifact"] for one in samples)


def test_what_was_measured_is_there_unrounded() -> None:
    one = windows.concept()
    found = read(one)
    income = one.columns[1]
    drift = found["modelci_monitor_drift"]
    assert value(drift, column="income_eur", statistic="psi") == income.psi
    assert value(drift, column="income_eur", statistic="wasserstein") == income.wasserstein
    auc = one.performance[0]
    assert auc.realised
    measured = found["modelci_monitor_performance"]
    lower = found["modelci_monitor_performance_low"]
    assert value(measured, measure="roc_auc", of="realised") == auc.realised.value
    assert value(lower, measure="roc_auc", of="realised") == auc.realised.low
    assert value(found["modelci_monitor_decision_ratio"], of="window") == one.chosen_now
    (about,) = found["modelci_monitor_info"]
    assert about.labels["version"] == "v1.4.0"
    assert about.labels["window"] == "2026-06"


def test_what_is_not_known_is_left_out_and_never_nothing() -> None:
    found = read(windows.drifted())
    kinds = {one.labels["of"] for one in found["modelci_monitor_performance"]}
    assert kinds == {"reference", "estimated"}
    statistics = {
        one.labels["statistic"]
        for one in found["modelci_monitor_drift"]
        if one.labels["column"] == "channel"
    }
    assert statistics == {"psi", "jensen_shannon", "cramers_v"}
    assert "modelci_monitor_decision_ratio" not in read(windows.unwatched())
    assert "modelci_monitor_version_age_seconds" not in read(windows.unwatched())


def test_an_alert_can_ask_which_columns_drifted() -> None:
    samples = read(windows.drifted())["modelci_monitor_drifted"]
    drifted = {one.labels["column"] for one in samples if one.value == 1.0}
    assert drifted == {"income_eur", "channel", "score"}


def test_the_windows_are_counted_each_once() -> None:
    one = windows.drifted()
    found = read(one, (*windows.before(one), one))
    assert value(found["modelci_monitor_windows"]) == 7
    assert value(found["modelci_monitor_failed_windows"]) == 1


def test_keys_in_an_address_do_not_reach_a_monitoring_system() -> None:
    assert "secret" not in render_metrics(windows.hostile())


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_name_is_read_back_as_it_is(name: str, artifact: str) -> None:
    one = windows.renamed(windows.quiet(), {"age": name}, artifact=artifact)
    samples = read(one)["modelci_monitor_missing_ratio"]
    names = {sample.labels["column"] for sample in samples}
    assert name.encode("utf-8", "replace").decode() in names
    assert {sample.labels["artifact"] for sample in samples} == {artifact}


def test_no_number_is_spelt_as_prometheus_reads_it() -> None:
    found = read(windows.hostile())
    assert value(found["modelci_monitor_drift"], column="huge", statistic="psi") == math.inf
    assert math.isnan(value(found["modelci_monitor_drift_p_value"], column="huge"))
