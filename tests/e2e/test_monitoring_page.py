"""A window's page in a real browser: it draws, obeys its own policy, asks for nothing."""

import pytest
from playwright.sync_api import Page, expect
from tests.e2e.browsing import BROWSER, Opener
from tests.golden import windows

from modelci.domain.monitoring import Monitoring
from modelci.render.monitoring.page import render_page

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium: see `make browser`")


def text(one: Monitoring) -> str:
    return render_page(one, windows.before(one), title="Credit model")


def draw_all(page: Page) -> int:
    """Scroll past every plot, wait until all are drawn, and return how many there are."""
    holders = page.locator(".plot")
    for holder in holders.all():
        holder.scroll_into_view_if_needed()
    expect(page.locator(".plot svg")).to_have_count(holders.count())
    return holders.count()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("case", windows.CASES)
def test_every_page_is_quiet_and_draws_all_plots(case: str, scheme: str, visit: Opener) -> None:
    page = visit.text(text(windows.CASES[case]()), color_scheme=scheme)
    assert page.locator("h1").inner_text() == "Credit model"
    assert page.locator(".verdict strong").first.is_visible()
    draw_all(page)
    assert page.get_by_text("This plot cannot be drawn.").count() == 0


@pytest.mark.parametrize("case", ["drifted", "concept", "hostile"])
def test_a_phone_needs_no_sideways_scrolling(case: str, visit: Opener) -> None:
    page = visit.text(text(windows.CASES[case]()), viewport={"width": 360, "height": 740})
    draw_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_both_distributions_are_drawn_over_one_another(visit: Opener) -> None:
    page = visit.text(text(windows.drifted()))
    draw_all(page)
    figure = page.locator("figure", has_text="income_eur").filter(has_text="missing").first
    plot = figure.locator("svg").first
    steps, line = plot.locator(".mark-rect").first, plot.locator(".mark-area").first
    over, under = line.bounding_box(), steps.bounding_box()
    assert over
    assert under
    assert over["x"] < under["x"] + under["width"]
    assert plot.get_by_text("reference").count() == 1
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    for step in range(4, 16):
        page.mouse.move(box["x"] + box["width"] * step / 20, box["y"] + box["height"] / 2)
    told = page.locator(".modelci-tip").inner_text()
    assert "reference" in told
    assert "window" in told
    assert "%" in told


def test_dark_colours_take_the_place_of_light_ones(visit: Opener) -> None:
    page = visit.text(text(windows.drifted()))
    draw_all(page)
    light = page.locator(".plot svg").first.inner_html()
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".plot svg").first.locator("[stroke='#56b4e9']").first).to_be_attached()
    assert "#56b4e9" not in light


def test_columns_are_filtered_and_sorted(visit: Opener) -> None:
    page = visit.text(text(windows.drifted()))
    rows = page.locator("#metric-table tbody tr:visible")
    assert rows.count() == 11
    only_those = page.get_by_label("only those to look at")
    only_those.press("Space")  # a click misses what a plot that is drawn meanwhile has moved
    expect(only_those).to_be_checked()
    assert rows.count() == 6
    only_those.press("Space")
    expect(only_those).not_to_be_checked()
    assert page.locator("#metric-table thead button").count() == 9  # a shape has no order
    page.get_by_role("button", name="PSI").press("Enter")
    shown = [row.get_attribute("data-psi") or "" for row in rows.all()]
    known = [float(value) for value in shown if value]
    assert known == sorted(known, reverse=True)
    assert shown[-1] == ""  # what was not compared comes last
    page.get_by_label("Filter").fill("income")
    assert rows.count() == 1


def test_a_shape_stands_beside_each_column_that_has_one(visit: Opener) -> None:
    page = visit.text(text(windows.drifted()))
    shapes = page.locator("td.shape svg")
    assert shapes.count() == 10
    assert "of the window" in (shapes.first.get_attribute("aria-label") or "")
    box = shapes.first.bounding_box()
    assert box
    assert box["width"] > 60


def test_it_prints(visit: Opener) -> None:
    page = visit.text(text(windows.concept()))
    draw_all(page)
    page.emulate_media(media="print")
    assert not page.locator("nav").first.is_visible()
    assert len(page.pdf(format="A4")) > 10_000
