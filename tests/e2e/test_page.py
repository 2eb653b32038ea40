"""The page in a real browser: it draws, obeys its own policy, asks for nothing, and can be used."""

import pytest
from playwright.sync_api import Page, expect
from tests.e2e.browsing import BROWSER, Opener
from tests.golden import samples

from modelci.render import timeline

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium: see `make browser`")


def draw_all(page: Page, count: int) -> None:
    for holder in page.locator(".plot").all():
        holder.scroll_into_view_if_needed()
    expect(page.locator(".plot svg")).to_have_count(count)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("case", samples.CASES)
def test_every_page_is_quiet(case: str, scheme: str, visit: Opener) -> None:
    page = visit.report(samples.CASES[case](), color_scheme=scheme)
    assert page.locator("h1").inner_text() == "Credit model"
    assert page.locator(".verdict strong").first.is_visible()


def test_metrics_are_filtered_and_sorted(visit: Opener) -> None:
    page = visit.report(samples.good())
    rows = page.locator("#metric-table tbody tr:visible")
    everything = page.locator("#metric-table tbody tr")
    assert rows.count() < everything.count()  # only what changed, at first
    page.get_by_label("changed only").press("Space")
    assert rows.count() == everything.count()
    page.get_by_label("Filter").fill("auc")
    names = rows.locator("th code").all_inner_texts()
    assert names
    assert all("auc" in name for name in names)
    page.get_by_label("Filter").fill("")
    page.get_by_role("button", name="Head").click()
    values = [float(row.get_attribute("data-head") or "nan") for row in rows.all()]
    assert values == sorted(values, reverse=True)


def test_the_keyboard_reaches_and_turns_everything(visit: Opener) -> None:
    page = visit.report(samples.good())
    button = page.get_by_role("button", name="Metric")
    button.focus()
    page.keyboard.press("Enter")
    header = page.locator("#metric-table thead th").first
    assert header.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert header.get_attribute("aria-sort") == "descending"


@pytest.mark.parametrize("case", ["proven", "hostile", "blocked"])
def test_a_phone_needs_no_sideways_scrolling(case: str, visit: Opener) -> None:
    page = visit.report(samples.CASES[case](), viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_whiskers_show_the_interval_and_the_limit(visit: Opener) -> None:
    page = visit.report(samples.proven())
    judged = [
        one for one in samples.proven().gates if one.evidence and one.gate.rule.is_relative_to_base
    ]
    whiskers = page.locator(".whisker")
    assert whiskers.count() == len(judged) > 0
    first = whiskers.first
    assert "interval" in (first.get_attribute("aria-label") or "")
    bar, dot = (first.locator(name).bounding_box() for name in ("rect", "circle"))
    assert bar
    assert dot
    centre = dot["x"] + dot["width"] / 2
    assert bar["x"] <= centre <= bar["x"] + bar["width"]


def test_slices_are_a_heat_table(visit: Opener) -> None:
    page = visit.report(samples.proven())
    cells = page.locator(".heat td.bad-1, .heat td.bad-2, .heat td.bad-3")
    assert cells.count() > 0
    tint = cells.first.evaluate("cell => getComputedStyle(cell).backgroundColor")
    assert tint not in {"rgba(0, 0, 0, 0)", "transparent"}


def test_plots_are_drawn_and_tell_their_points(visit: Opener) -> None:
    page = visit.report(samples.proven())
    draw_all(page, len(samples.proven().plots))
    plot = page.locator(".plot svg").first
    box = plot.bounding_box()
    assert box
    for step in range(1, 20):
        page.mouse.move(box["x"] + box["width"] * step / 20, box["y"] + box["height"] / 2)
    assert page.locator(".modelci-tip").count() == 1
    assert plot.locator("path").count() > 3
    page.emulate_media(color_scheme="dark")
    draw_all(page, len(samples.proven().plots))


def test_it_prints(visit: Opener) -> None:
    page = visit.report(samples.proven())
    page.emulate_media(media="print")
    assert not page.locator("nav").first.is_visible()
    assert len(page.pdf(format="A4")) > 10_000


def test_a_timeline_is_quiet_too(visit: Opener) -> None:
    run = samples.good().run
    assert run
    page = visit.text(timeline.render_timeline(run))
    assert page.locator("h1").is_visible()


def test_a_phone_shows_whole_tables_of_slices_and_groups(visit: Opener) -> None:
    """Nothing of the samples' few columns is behind an edge; what is would be shaded there."""
    page = visit.report(samples.proven(), viewport={"width": 375, "height": 740})
    tables = page.locator(".groups .table, .table:has(.heat)")
    assert tables.count() > 1
    for table in tables.all():
        wide, seen = table.evaluate("one => [one.scrollWidth, one.clientWidth]")
        assert wide <= seen
    shade = page.locator(".table").first.evaluate(
        "one => getComputedStyle(one).backgroundAttachment"
    )
    assert shade == "local, local, scroll, scroll"


def test_a_name_may_end_its_line_at_its_joints(visit: Opener) -> None:
    page = visit.report(samples.proven(), viewport={"width": 375, "height": 740})
    name = page.locator("#metric-table th code:has(wbr)").first
    # What is copied or searched has nothing in it that the name has not.
    assert "\u200b" not in name.inner_text()
    assert name.inner_text().replace("\n", "") in {one.key.name for one in samples.proven().metrics}
