"""A watched window in a terminal, and as lines for scripts."""

import pytest
from rich.cells import cell_len
from tests.golden import windows
from tests.unit.render.test_monitoring_markdown import many

from modelci.render.monitoring.terminal import plain_monitoring, render_monitoring

COLUMNS = 11  # of a plain line


@pytest.mark.parametrize("width", [60, 80, 100, 160])
@pytest.mark.parametrize("case", windows.CASES)
def test_no_line_is_wider_than_the_terminal(case: str, width: int) -> None:
    one = windows.CASES[case]()
    text = render_monitoring(one, windows.before(one), width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "\x1b" not in text


@pytest.mark.parametrize("case", windows.CASES)
def test_nothing_commands_a_runner(case: str) -> None:
    one = windows.CASES[case]()
    for text in (render_monitoring(one, windows.before(one)), plain_monitoring(one)):
        assert "::error::" not in text
        assert "\u202e" not in text


def test_colour_is_what_was_asked_for() -> None:
    assert "\x1b[" in render_monitoring(windows.drifted(), colour=True)


def test_a_narrow_terminal_leaves_out_what_is_not_needed() -> None:
    one = windows.drifted()
    wide = render_monitoring(one, windows.before(one), width=120)
    narrow = render_monitoring(one, windows.before(one), width=70)
    assert "Reference → now" in wide
    assert "Reference → now" not in narrow
    assert "psi of" in narrow
    assert "income_eur" in narrow


def test_of_thousands_of_columns_a_hundred_are_shown() -> None:
    text = render_monitoring(many(3_000), width=100)
    assert text.count("feature_") < 250  # gates and columns
    assert "2,901 more rows: see the HTML page or --json" in text


def test_a_plain_line_is_a_gate_with_what_it_was_before() -> None:
    one = windows.drifted()
    lines = [line.split("\t") for line in plain_monitoring(one, windows.before(one)).splitlines()]
    assert len(lines) == len(one.gates)
    assert {len(line) for line in lines} == {COLUMNS}
    assert lines[0][:8] == [
        *("credit", "prod", "2026-05", "drift", "failed", "psi of income_eur", "max", "0.25")
    ]
    assert lines[0][9] == "warned"  # in the window before
    assert lines[1][9] == ""


def test_a_plain_line_stays_a_line_whatever_the_names() -> None:
    one = windows.hostile()
    lines = plain_monitoring(one).splitlines()
    assert len(lines) == len(one.gates)
    assert {len(line.split("\t")) for line in lines} == {COLUMNS}
