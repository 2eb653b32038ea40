"""Plots become Vega-Lite that holds its data, loads nothing and shows it in our colours."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.plots import COUNT, Picture, PictureKind, Plot, Row
from modelci.domain.report import Report, Revision
from modelci.render.vega import DARK, captions, listing, vega_lite

TEMPLATES = (
    *("linear", "simple", "smooth", "scatter", "scatter_jitter"),
    *("bar_horizontal", "bar_horizontal_sorted", "confusion", "confusion_normalized"),
)
GREY, BLUE = "#8a8f98", "#0072b2"
PNG = b"\x89PNG\r\n\x1a\n"


def rows(*sides: str, series: tuple[str | None, ...] = (None,)) -> tuple[Row, ...]:
    return tuple(
        {"rev": side, "step": step, "a.b[c]": step / 10, **({"series": name} if name else {})}
        for side in sides
        for name in series
        for step in range(4)
    )


def plot(template: str = "linear", **changes: Any) -> Plot:
    values: dict[str, Any] = {
        "id": "p",
        "title": "Loss",
        "template": template,
        "x": "step",
        "y": "a.b[c]",
        "x_label": "Step",
        "y_label": "Loss, a.b[c]",
        "rows": rows("base", "head"),
    }
    return Plot(**(values | changes))


def walk(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            if key != "values":
                yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def scales_of_rev(spec: Mapping[str, Any]) -> list[object]:
    return [
        item["scale"]
        for key, item in walk(spec)
        if key == "color" and isinstance(item, dict) and item.get("field") == "rev"
    ]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("series", [(None,), ("tp", "fp")])
def test_every_template_is_filled(template: str, series: tuple[str | None, ...]) -> None:
    spec = vega_lite(plot(template, rows=rows("base", "head", series=series)))
    text = json.dumps(spec)
    assert "<DVC_METRIC" not in text
    assert "$schema" not in spec
    assert spec["title"]["text"] == "Loss"
    assert len(spec["data"]["values"]) == 8 * len(series)
    assert ("field" in spec["data"]["values"][0]) == (len(series) > 1)
    assert "Step" in text
    for scale in scales_of_rev(spec):
        assert scale == {"domain": ["base", "head"], "range": [GREY, BLUE]}
    assert bool(scales_of_rev(spec)) == ("confusion" not in template)


def test_one_side_keeps_its_colour() -> None:
    (scale, *_) = scales_of_rev(vega_lite(plot(rows=rows("head"))))
    assert scale == {"domain": ["head"], "range": [BLUE]}


def test_columns_get_names_that_need_no_escaping() -> None:
    spec = vega_lite(plot())
    assert set(spec["data"]["values"][0]) == {"rev", "step", "a_b_c_"}
    assert "Loss, a.b[c]" in json.dumps(spec)


@pytest.mark.parametrize("name", ["field", "filename", "", "x" * 500, "rev"])
def test_a_column_may_have_any_name(name: str) -> None:
    points: tuple[Row, ...] = ({"rev": "head", "step": 1, name: 2.0, "series": "a"},)
    spec = vega_lite(plot("simple", y=name, rows=points))
    shown = spec["encoding"]["y"]["field"]
    assert spec["data"]["values"][0][shown] == 2.0


def test_linear_draws_the_points_themselves() -> None:
    spec = vega_lite(plot("linear"))
    assert "loess" not in json.dumps(spec)
    assert not [key for key, _ in walk(spec) if key == "bind"]
    smooth = vega_lite(plot("smooth"))
    assert "loess" in json.dumps(smooth)


def test_jitter_is_the_same_every_time() -> None:
    assert "random()" not in json.dumps(vega_lite(plot("scatter_jitter")))


@pytest.mark.parametrize("template", ["confusion", "confusion_normalized"])
def test_counted_rows_count_as_many(template: str) -> None:
    points: tuple[Row, ...] = ({"rev": "head", "step": 1, "a.b[c]": 2, COUNT: 40},)
    steps = vega_lite(plot(template, rows=points))["spec"]["transform"]
    assert steps[0]["aggregate"] == [{"op": "sum", "field": COUNT, "as": "xy_count"}]
    alone = vega_lite(plot(template))["spec"]["transform"]
    assert alone[0]["aggregate"] == [{"op": "count", "as": "xy_count"}]


def test_rows_left_out_are_told() -> None:
    assert vega_lite(plot(cut=1234))["title"]["subtitle"] == ["1,234 rows left out"]
    assert "subtitle" not in vega_lite(plot())["title"]


def test_a_plot_without_rows_is_still_one() -> None:
    assert vega_lite(plot(rows=()))["data"] == {"values": []}


def test_dark_is_the_light_one_in_other_colours() -> None:
    def darken(value: object, key: str = "") -> object:
        if key == "values":
            return value
        if isinstance(value, dict):
            return {name: darken(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [darken(item) for item in value]
        if (key, value) == ("background", "white"):
            return "transparent"
        return DARK.get(value, value) if isinstance(value, str) else value

    for template in ("linear", "scatter", "bar_horizontal", "confusion", "confusion_normalized"):
        assert darken(vega_lite(plot(template))) == vega_lite(plot(template), dark=True)


OWN: dict[str, Any] = {
    "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
    "data": {"values": "<DVC_METRIC_DATA>"},
    "title": "<DVC_METRIC_TITLE>",
    "mark": {"type": "area", "href": "https://evil.example"},
    "encoding": {
        "x": {"field": "<DVC_METRIC_X>", "type": "quantitative", "title": "<DVC_METRIC_X_LABEL>"},
        "y": {"field": "<DVC_METRIC_Y>", "type": "quantitative"},
        "color": {"field": "rev", "type": "nominal"},
        "href": {"field": "link"},
        "url": {"field": "link"},
        "opacity": {"condition": {"test": "datum.step > 1", "value": 1}, "value": 0.2},
    },
    "usermeta": {"embedOptions": {"actions": True}},
    "params": [{"name": "p", "bind": {"input": "range", "element": "#filter"}}],
}


LOOKUP = {"lookup": "step", "from": {"data": {"url": "https://evil.example"}, "key": "k"}}


def test_a_template_of_the_projects_own_is_filled() -> None:
    extra = tuple({**row, "link": "javascript:1"} for row in rows("base", "head"))
    spec = vega_lite(plot("own", spec=json.dumps(OWN), rows=extra))
    assert spec["mark"] == {"type": "area"}
    assert spec["encoding"]["x"] == {"field": "step", "type": "quantitative", "title": "Step"}
    assert spec["encoding"]["opacity"] == OWN["encoding"]["opacity"]
    assert len(spec["data"]["values"]) == 8
    assert spec["data"]["values"][0]["link"] == "javascript:1"
    assert scales_of_rev(spec)


def test_a_template_of_the_projects_own_loads_and_links_nothing() -> None:
    spec = vega_lite(plot("own", spec=json.dumps(OWN)))
    keys = {key for key, _ in walk(spec)}
    assert not keys & {"url", "href", "usermeta", "$schema", "element"}
    assert "evil" not in json.dumps(spec)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "no Vega-Lite"),
        ("{}", "no <DVC_METRIC_DATA>"),
        (json.dumps(OWN | {"mark": "image"}), "images from addresses"),
        (json.dumps(OWN | {"transform": [LOOKUP]}), "loads data from an address"),
        (json.dumps({"layer": [OWN | {"data": {"url": "file:///x"}}]}), "loads data"),
        (json.dumps(OWN | {"mark": {"type": "image"}}), "images from addresses"),
        (json.dumps(OWN | {"$schema": "https://vega.github.io/schema/vega/v5.json"}), "for Vega"),
        (json.dumps(OWN | {"deep": json.loads("[" * 200 + "]" * 200)}), "nests too deeply"),
    ],
)
def test_a_template_that_cannot_be_used_is_told_of(text: str, why: str) -> None:
    spec = vega_lite(plot("own", spec=text))
    (said,) = spec["title"]["subtitle"]
    assert said.startswith("drawn as linear: ")
    assert why in said
    assert scales_of_rev(spec)


def test_an_unknown_template_is_told_of() -> None:
    assert "no template" in vega_lite(plot("nonsense"))["title"]["subtitle"][0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["url", "href", "data", "mark", "type", "encoding", "color", "field", "layer"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=6), json_values, max_size=4))
def test_no_template_makes_it_fail_or_load(content: dict[str, Any]) -> None:
    own = content | {"data": {"values": "<DVC_METRIC_DATA>", "url": "https://evil.example"}}
    spec = vega_lite(plot("own", spec=json.dumps(own)))
    assert not {key for key, _ in walk(spec)} & {"url", "href", "usermeta"}


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=40))
def test_labels_and_values_are_data(title: str, label: str, value: str) -> None:
    points: tuple[Row, ...] = ({"rev": "head", "step": value, "a.b[c]": "<DVC_METRIC_DATA>"},)
    spec = vega_lite(plot("simple", title=title, x_label=label, rows=points))
    assert spec["data"]["values"] == [{"rev": "head", "step": value, "a_b_c_": "<DVC_METRIC_DATA>"}]
    assert len(spec["title"]["text"]) <= 120
    assert isinstance(spec["encoding"]["x"].get("title", ""), str)


def make_report(**values: Any) -> Report:
    return Report(
        base=None,
        head=Revision(sha=None, name="work tree", chosen="", dirty=True),
        head_sha=None,
        created="2026-01-01T00:00:00Z",
        version="0",
        **values,
    )


def test_captions_name_what_may_be_stored_on_a_forge() -> None:
    report = make_report(
        plots=(plot(title="ROC"), plot(title="ROC"), plot(title="")),
        pictures=(
            Picture(path="plots/confusion.png", kind=PictureKind.PNG, base=PNG, head=PNG),
            Picture(path="plots/new.png", kind=PictureKind.PNG, head=PNG),
            Picture(path="plots/own.svg", kind=PictureKind.SVG, head=b"<svg/>"),
        ),
    )
    assert captions(report) == {
        "roc.svg": "ROC",
        "roc-2.svg": "ROC",
        "p.svg": "p",
        "confusion-base.png": "plots/confusion.png (base)",
        "confusion-head.png": "plots/confusion.png (head)",
        "new-head.png": "plots/new.png (head)",
    }
    assert [name for name, _, _ in listing(report)] == list(captions(report))
