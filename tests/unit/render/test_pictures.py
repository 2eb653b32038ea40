"""Plots are drawn in a process that sees nothing of ours and has only so much time."""

import json
import re
import time
from typing import Any

import pytest
from tests.unit.render.test_vega import PNG, make_report, plot, rows

from modelci.domain.plots import Picture, PictureKind
from modelci.errors import ConfigError
from modelci.render.pictures import bundle, draw, to_svg
from modelci.render.vega import captions, vega_lite

pytest.importorskip("vl_convert")

ENDLESS: dict[str, Any] = {
    "data": {"sequence": {"start": 0, "stop": 2_000_000_000}},
    "mark": "point",
    "encoding": {"x": {"field": "data", "type": "quantitative"}},
}


def test_a_plot_becomes_an_svg_and_the_same_one_again() -> None:
    spec = vega_lite(plot())
    svg = to_svg(spec, seconds=300).decode()
    assert svg.startswith("<svg")
    assert "Loss, a.b[c]" in svg
    assert "#0072b2" in svg
    assert "<script" not in svg
    assert to_svg(spec, seconds=300).decode() == svg


def test_words_are_escaped() -> None:
    svg = to_svg(vega_lite(plot(title="<script>alert(1)</script>&")), seconds=300).decode()
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


def test_a_specification_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be drawn"):
        to_svg({"mark": "nonsense", "encoding": 3})


def test_a_plot_has_only_so_much_time() -> None:
    start = time.monotonic()
    with pytest.raises(ConfigError, match="more than 2 seconds"):
        to_svg(ENDLESS, seconds=2)
    assert time.monotonic() - start < 60


def test_a_report_is_drawn() -> None:
    report = make_report(
        plots=(
            plot(title="ROC"),
            plot("confusion", title="Confusion"),
            plot(
                "own",
                title="Endless",
                spec=json.dumps({**ENDLESS, "layer": [{"data": {"values": "<DVC_METRIC_DATA>"}}]}),
            ),
            plot("scatter", title="Last", rows=rows("head", series=("a", "b"))),
        ),
        pictures=(
            Picture(path="a.png", kind=PictureKind.PNG, base=PNG, head=b"<html>"),
            Picture(path="b.svg", kind=PictureKind.SVG, head=b"<svg/>"),
        ),
    )
    drawn = draw(report, seconds=lambda name: 1 if name == "endless.svg" else 300)
    # What takes for ever, is no image, or may hold scripts is left out; the rest is there.
    assert list(drawn) == ["roc.svg", "confusion.svg", "last.svg", "a-base.png"]
    assert set(drawn) <= set(captions(report))
    assert drawn["a-base.png"] == PNG
    assert list(draw(report, only={"last.svg"}, seconds=lambda _: 300)) == ["last.svg"]


def test_nothing_to_draw_needs_nothing() -> None:
    assert draw(make_report()) == {}


def test_the_bundle_is_one_script_that_may_stand_in_a_page() -> None:
    script = bundle()
    assert "modelciPlot" in script
    assert not re.search(r"</script|<!--", script, re.IGNORECASE)
    assert "/* DARK */ {}" not in script
    assert "#56b4e9" in script
    assert len(script) < 1_200_000
