"""A flowchart holds its shape whatever the stages are called."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.golden import samples
from tests.unit.render.test_escape import NASTY

from modelci.domain.metrics import NonFinite
from modelci.domain.pipeline import Plan, PlannedStage, PlannedState
from modelci.render.mermaid import render_history, render_plan

NUMBER = r"-?\d+\.\d+"
CHART = re.compile(
    r'xychart-beta\n  title "[^"`<>\[\]{}|\\&#\n]+"\n  x-axis \[("[^"`<>\[\]{}|\\&#\n]+",? ?)+\]\n'
    rf"  y-axis {NUMBER} --> {NUMBER}\n  line \[({NUMBER},? ?)+\]\n"
)


def test_states_are_classes_and_order_is_arrows() -> None:
    plan = Plan(
        stages=(
            PlannedStage(name="prepare", state=PlannedState.UNCHANGED),
            PlannedStage(
                name="train@hgb", state=PlannedState.RUN, after=("prepare", "not in the plan")
            ),
        )
    )
    lines = render_plan(plan).splitlines()
    assert lines[:4] == [
        "flowchart LR",
        '  s0["prepare<br/>unchanged"]:::unchanged',
        '  s1["train@hgb<br/>run"]:::run',
        "  s0 --> s1",
    ]
    assert [line.split()[:2] for line in lines[4:]] == [
        ["classDef", "run"],
        ["classDef", "unchanged"],
    ]


@given(st.lists(NASTY, min_size=1, max_size=5, unique=True))
def test_no_name_is_read_as_anything_but_a_label(names: list[str]) -> None:
    stages = tuple(PlannedStage(name=name, state=PlannedState.RUN) for name in names)
    lines = render_plan(Plan(stages=stages)).split("\n")
    assert len(lines) == len(names) + 3
    for line in lines[1 : len(names) + 1]:
        assert re.fullmatch(r'  s\d+\["[^"`<>\[\]{}|\\&]*<br/>run"\]:::run', line)


def test_more_edges_than_are_drawn_are_left_out_and_counted() -> None:
    names = [f"stage{place}" for place in range(40)]
    stages = tuple(
        PlannedStage(name=name, state=PlannedState.RUN, after=tuple(names[:place]))
        for place, name in enumerate(names)
    )
    text = render_plan(Plan(stages=stages))
    assert text.count("-->") == 500
    assert "%% 280 more edges are left out" in text


def test_a_metrics_way_is_a_line_of_plain_decimals() -> None:
    history = samples.history(samples.ROC_AUC, (0.5, None, 1e-7, 0.75, NonFinite.NAN, 1.0, 0.25))
    assert render_history(history) == (
        "xychart-beta\n"
        '  title "hgb.roc_auc"\n'
        '  x-axis ["0000001", "0000003", "0000004", "0000006", "0000007"]\n'
        "  y-axis -0.09999989 --> 1.09999999\n"
        "  line [0.5, 0.0000001, 0.75, 1.0, 0.25]\n"
    )


@pytest.mark.parametrize(
    "values",
    [
        (),
        (1.0, 2.0, 3.0, 4.0, None),
        (1.0, 2.0, 3.0, 4.0, 1e13),
        (1e-12, 2e-12, 3e-12, 4e-12, 5e-12),
    ],
)
def test_what_the_chart_cannot_say_is_not_drawn(values: tuple[float | None, ...]) -> None:
    assert render_history(samples.history(samples.ROC_AUC, values)) is None


@given(NASTY, st.lists(st.floats(-1e12, 1e12), min_size=5, max_size=8))
def test_no_name_or_number_changes_a_charts_shape(name: str, values: list[float]) -> None:
    delta = samples.metric(name, 0.0, 0.0)
    chart = render_history(samples.history(delta, tuple(values), name=name))
    if chart is not None:
        assert CHART.fullmatch(chart)
