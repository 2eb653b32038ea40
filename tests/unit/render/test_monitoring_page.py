"""The page of a window needs nothing but itself, and nothing in a window becomes markup."""

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.golden import windows
from tests.unit.render.test_html import Page
from tests.unit.render.test_monitoring_markdown import many

from modelci.domain.monitoring import Monitoring
from modelci.render.monitoring.page import intervals, render_page
from modelci.render.monitoring.plots import trend_plots


def page(one: Monitoring, history: tuple[Monitoring, ...] = ()) -> Page:
    return Page(render_page(one, history, title="Credit model"))


def specs(text: str) -> list[dict[str, object]]:
    found = re.search(r'<script type="application/json" id="specs">(.*?)</script>', text, re.DOTALL)
    assert found
    read: list[dict[str, object]] = json.loads(found[1])
    return read


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


@pytest.mark.parametrize("case", windows.CASES)
def test_the_page_is_well_formed_and_asks_for_nothing(case: str) -> None:
    one = windows.CASES[case]()
    found = page(one, windows.before(one))
    assert found.count("style") == 1
    for tag, attributes in found.tags:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        address = attributes.get("href") or "#"
        assert tag == "link" or address.startswith(("#", "https://github.com/acme/credit/"))
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {(attributes.get("href") or "")[1:] for tag, attributes in found.tags if tag == "a"}
    assert {one for one in targets if re.fullmatch(r"\w+", one)} <= set(ids)


def test_the_policy_lets_nothing_else_in() -> None:
    text = render_page(windows.drifted(), title="Credit model")
    policy = next(
        attributes["content"] or ""
        for tag, attributes in Page(text).tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_names_are_shown_and_never_markup() -> None:
    found = page(windows.hostile())
    text = "".join(found.texts)
    assert windows.EVIL[0] in text
    assert "right\\u202eto" in text
    assert "\x1b" not in text
    assert "secret" not in text
    assert found.count("script") == 3  # the plots' data, what draws them, our own: no other


def test_every_plot_holds_its_data_and_loads_nothing() -> None:
    one = windows.drifted()
    text = render_page(one, windows.before(one), title="Credit model")
    found = specs(text)
    assert len(found) == 4 + 10  # two measures, drift and decisions; scores and nine columns
    assert not {"url", "href", "src", "loader"} & set(keys(found))
    assert Page(text).count("figure") == len(found)


def test_a_plots_shares_are_the_windows_own() -> None:
    one = windows.drifted()
    channel = specs(render_page(one, title="Credit model"))[1]
    data = channel["data"]
    assert isinstance(data, dict)
    shares = {(row["category"], row["side"]): round(row["share"], 4) for row in data["values"]}
    assert shares["online", "reference"] == 0.52
    assert shares["online", "window"] == 0.38
    assert shares["partner (new)", "reference"] == 0
    assert shares["partner (new)", "window"] == 0.29


def test_the_same_window_is_the_same_page() -> None:
    one = windows.drifted()
    first = render_page(one, windows.before(one), title="Credit model")
    code = (
        "import sys; from tests.golden import windows as w; "
        "from modelci.render.monitoring.page import render_page as r; "
        "one = w.drifted(); sys.stdout.write(r(one, w.before(one), title='Credit model'))"
    )
    again = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout  # another process hashes names otherwise
    assert again == first


def test_without_what_draws_the_shapes_are_there_and_a_line_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['vl_convert'] = None; from tests.golden import windows as w; "
        "from modelci.render.monitoring.page import render_page as r; "
        "one = w.drifted(); sys.stdout.write(r(one, w.before(one), title='Credit model'))"
    )
    text = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    ).stdout
    found = Page(text)
    assert "modelci[plots]" in text
    assert found.count("script") == 1
    assert found.count("figure") == 0
    assert sum(one.get("class") == "now" for _, one in found.tags) >= 10
    assert len(text) < 100_000


def test_thousands_of_columns_are_cut_and_the_page_says_so() -> None:
    text = render_page(many(5_000), title="Credit model")
    assert text.count(" data-place=") == 2_000
    assert "more rows of 5,001: see" in text
    assert len(specs(text)) == 60
    assert len(text) < 8_000_000


def test_of_many_columns_those_to_look_at_are_shown_at_first() -> None:
    checked = re.compile(r'id="changed-only" checked')
    assert checked.search(render_page(many(50), title="t"))
    assert not checked.search(render_page(windows.drifted(), title="t"))


def test_the_newest_window_comes_first_and_this_one_is_marked() -> None:
    one = windows.warned()
    found = page(one, windows.year())
    rows = [attributes for tag, attributes in found.tags if "aria-current" in attributes]
    assert len(rows) == 1
    text = "".join(found.texts)
    assert text.index("2026-07") < text.rindex("2026-04") < text.rindex("2025-11")


def test_one_window_has_no_trend() -> None:
    one = windows.quiet()
    assert trend_plots([one], one) == []
    assert "Trends" not in "".join(page(one).texts)


def test_what_is_not_judged_is_in_no_trend() -> None:
    trends = {one.title: one for one in trend_plots(windows.year(), windows.concept())}
    drift = trends["Drift (PSI)"]
    assert "applied_on" not in json.dumps(drift.spec)
    assert "channel" in json.dumps(drift.spec)


def test_what_is_no_number_spoils_no_plot() -> None:
    one = windows.concept()
    endless = replace(one.columns[1], psi=math.inf)
    first = one.performance[0]
    assert first.realised
    assert first.reference
    wild = replace(
        first,
        realised=replace(first.realised, high=math.inf),
        reference=replace(first.reference, low=-math.inf),
    )
    odd = replace(one, columns=(endless, *one.columns[2:]), performance=(wild,))
    text = render_page(odd, windows.before(one), title="Credit model")
    numbers = re.search(r'id="specs">(.*?)</script>', text, re.DOTALL)
    assert numbers
    assert "Infinity" not in numbers[1]
    assert len(specs(text)) == 3 + 10


def test_trends_mark_where_another_version_came() -> None:
    trend = trend_plots(windows.year(), windows.concept())[0]
    marks = [
        layer["data"]["values"] for layer in trend.spec["layer"] if layer["mark"]["type"] == "text"
    ]
    assert marks == [[{"window": "2026-01", "version": "v1.4.0"}]]


def test_intervals_share_a_scale() -> None:
    measure = windows.concept().performance[0]
    found = {one.kind: one for one in intervals(measure)}
    assert found["realised"].high < found["reference"].low
    assert all(0 <= one.low <= one.point <= one.high <= 100 for one in found.values())
    infinite = replace(measure.reference, high=float("inf")) if measure.reference else None
    assert intervals(replace(measure, reference=infinite)) == []
