"""The page needs nothing but itself, and nothing in a report becomes markup."""

import hashlib
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from tests.golden import samples

from modelci.domain.plots import Plot
from modelci.domain.report import Report
from modelci.render import html

VOID = {"meta", "link", "input", "rect", "img", "wbr"}


class Page(HTMLParser):
    """Collects what a browser would act on, and checks that tags close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def page(report: Report) -> Page:
    return Page(html.render_page(report, title="Model report"))


@pytest.mark.parametrize("case", samples.CASES)
def test_the_page_is_well_formed_and_asks_for_nothing(case: str) -> None:
    report = samples.CASES[case]()
    found = page(report)
    assert found.count("style") == 1
    assert found.count("script") == (3 if report.plots else 1)
    for tag, attributes in found.tags:
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        if tag != "a":
            assert attributes.get("href", "data:,") == "data:,"
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_policy_allows_just_the_pages_own_style_and_script() -> None:
    text = html.render_page(samples.good(), title="Model report")
    policy = next(
        attributes["content"]
        for tag, attributes in Page(text).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        content = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert content
        digest = b64encode(hashlib.sha256(content[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_names_are_shown_and_never_markup() -> None:
    found = page(samples.hostile())
    text = "".join(found.texts)
    assert "<script>alert(1)</script><img src=x onerror=alert(1)>" in text
    assert "right\\u202eto" in text
    assert "\x1b" not in text
    # javascript: is no address
    assert all((one["href"] or "").startswith("#") for tag, one in found.tags if tag == "a")


def test_no_plot_can_end_its_element() -> None:
    plot = Plot(
        id="p",
        title="</script><script>alert(1)</script>",
        template="linear",
        x="x",
        y="y",
        x_label="</script>",
        y_label="<!--",
        rows=({"x": 1, "y": 2, "rev": "head", "z": "</script><script>alert(2)</script>"},),
    )
    found = page(replace(samples.good(), plots=(plot,)))
    assert found.count("script") == 3


def test_the_run_is_linked() -> None:
    links = [attributes["href"] for tag, attributes in page(samples.good()).tags if tag == "a"]
    assert [link for link in links if link and not link.startswith("#")] == [samples.RUN_URL]


def test_all_metrics_are_there_to_filter_and_sort() -> None:
    found = page(samples.good())
    rows = [
        attributes for tag, attributes in found.tags if tag == "tr" and "data-base" in attributes
    ]
    assert len(rows) == 8
    assert sum("data-changed" in row for row in rows) == 4
    assert rows[0]["data-base"] == "0.05127"


def test_a_huge_report_is_cut_and_says_so() -> None:
    text = html.render_page(samples.many(6_000, 2_500), title="Model report")
    assert text.count('<tr role="row" data-changed') == 5_000
    assert "… 1,000 more rows of 6,000" in text
    assert "… 500 more rows of 2,500" in text


def test_a_first_report_shows_values_without_changes() -> None:
    text = html.render_page(samples.first(), title="Model report")
    assert "changed only" not in text
    assert ">Value<" in text


def test_edited_settings_are_shown_with_both_sides_also_without_an_edited_gate() -> None:
    text = html.render_page(replace(samples.blocked(), gate_changes=()), title="Model report")
    assert "This change edits its own gates." in text
    assert "changed <code>slices.max_drop</code>: 0.01 → 0.9" in text
    assert "changed <code>budget[model.pkl]</code>: path: model.pkl → not set" in text
