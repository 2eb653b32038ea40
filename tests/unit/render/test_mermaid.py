"""A flowchart holds its shape whatever the stages are called."""

import re

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.render.test_escape import NASTY

from modelci.domain.pipeline import Plan, PlannedStage, PlannedState
from modelci.render.mermaid import render_plan


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
