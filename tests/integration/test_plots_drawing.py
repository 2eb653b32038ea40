"""Drawing asks nobody for anything: neither vl-convert's process nor a browser under our policy."""

import base64
import contextlib
import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright
from tests.unit.render.test_vega import OWN, TEMPLATES, plot, rows

from modelci.domain.plots import COUNT, Plot
from modelci.errors import ConfigError
from modelci.render.pictures import bundle, to_svg
from modelci.render.vega import STYLE, vega_lite

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Asked(ThreadingHTTPServer):
    """A server that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.paths: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Asked)
        self.server.paths.append(self.path)
        body = b'[{"a": 1}]'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Asked]:
    with Asked() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def loading(url: str) -> list[dict[str, Any]]:
    points: dict[str, Any] = {"x": {"field": "a", "type": "quantitative"}}
    return [
        {"data": {"url": url}, "mark": "point", "encoding": points},
        {
            "data": {"values": [{"a": 1}]},
            "transform": [{"lookup": "a", "from": {"data": {"url": url}, "key": "a"}}],
            "mark": "point",
            "encoding": points,
        },
        {
            "data": {"values": [{"a": 1, "i": url}]},
            "mark": {"type": "image", "width": 9, "height": 9},
            "encoding": points | {"url": {"field": "i"}},
        },
    ]


@pytest.mark.parametrize("place", range(3))
def test_the_drawing_process_fetches_nothing(server: Asked, place: int) -> None:
    """Also of a specification that nobody has cleaned."""
    with contextlib.suppress(ConfigError):
        to_svg(loading(f"{server.url}/data.json")[place], seconds=10)
    assert server.paths == []


@pytest.mark.parametrize("place", range(3))
def test_the_drawing_process_reads_no_file(tmp_path: Path, place: int) -> None:
    pytest.importorskip("vl_convert")
    secret = tmp_path / "secret.json"
    secret.write_text('[{"a": 918273645}]')
    for address in (secret.as_uri(), str(secret)):
        try:
            drawn = to_svg(loading(address)[place], seconds=10)
        except ConfigError:
            continue
        assert b"918,273" not in drawn
        assert b"918273" not in drawn


def hashed(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


START = """\
const specs = JSON.parse(document.getElementById("specs").textContent);
window.drawn = Promise.all(specs.map((spec, place) => {
  const element = document.createElement("div");
  element.id = `p${place}`;
  document.body.append(element);
  return modelciPlot(element, spec, { dark: place % 2 === 1 });
}));
"""


def page_of(plots: list[Plot]) -> str:
    specs = json.dumps([vega_lite(one) for one in plots]).replace("<", "\\u003c")
    policy = (
        f"default-src 'none'; script-src {hashed(bundle())} {hashed(START)}; "
        f"style-src {hashed(STYLE)}; img-src data:"
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Plots</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"><style>{STYLE}</style>'
        f'</head><body><script type="application/json" id="specs">{specs}</script>'
        f"<script>{bundle()}</script><script>{START}</script></body></html>"
    )


class Watched:
    """A page with everything that it said and asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))

    def show(self, path: Path, plots: list[Plot]) -> list[bool]:
        """Open a page with the plots, and return which of them were drawn."""
        path.write_text(page_of(plots), encoding="utf-8")
        self.page.goto(path.as_uri())
        found: list[bool] = self.page.evaluate(
            "window.drawn.then((all) => all.map((one) => one !== null))"
        )
        return found


@pytest.fixture
def watched() -> Iterator[Watched]:
    pytest.importorskip("vl_convert")
    if BROWSER is None:
        pytest.skip("no Chromium: see `make browser`")
    with sync_playwright() as playwright:
        # Root may not use Chromium's sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield Watched(browser.new_page(viewport={"width": 900, "height": 700}))
        browser.close()


def test_all_templates_draw_in_a_browser_that_allows_nothing(
    watched: Watched, tmp_path: Path
) -> None:
    plots = [
        plot(template, rows=rows("base", "head", series=series))
        for template in TEMPLATES
        for series in ((None,), ("tp", "fp"))
    ]
    path = tmp_path / "page.html"
    assert watched.show(path, plots) == [True] * len(plots)
    assert watched.page.locator("svg").count() == len(plots)
    marks = watched.page.evaluate(
        "[...document.querySelectorAll('.modelci-plot')].map("
        "(one) => one.querySelectorAll('[role=graphics-symbol], .mark-line path').length)"
    )
    assert min(marks) > 0
    assert watched.said == []
    assert watched.requests == [path.as_uri()]


def test_hovering_shows_values_as_text(watched: Watched, tmp_path: Path) -> None:
    """Rows are the pull request's: markup in them is shown, and an ``image`` is not loaded."""
    hostile = "<img src=x onerror=alert(1)>"
    points = tuple(
        {"rev": "head", "step": step, "image": hostile if step else "http://evil.example/x.png"}
        for step in range(3)
    )
    named = plot("scatter", y="step", rows=points)
    own = json.dumps(
        {
            "data": {"values": "<DVC_METRIC_DATA>"},
            "mark": {"type": "bar", "tooltip": {"content": "data"}},
            "encoding": {"y": {"field": "image", "type": "nominal"}, "x": {"field": "step"}},
        }
    )
    path = tmp_path / "page.html"
    assert watched.show(path, [plot("own", y="step", spec=own, rows=points), named]) == [True, True]
    watched.page.locator("#p0 .mark-rect path").nth(2).hover()
    tip = watched.page.locator(".modelci-tip")
    tip.wait_for(state="visible")
    assert hostile in tip.inner_text()
    assert tip.locator("img").count() == 0
    watched.page.mouse.move(1, 690)
    tip.wait_for(state="hidden")
    watched.page.locator("#p1 .mark-symbol path").first.hover(force=True)
    tip.wait_for(state="visible")
    assert "head" in tip.inner_text()
    assert watched.said == []
    assert watched.requests == [path.as_uri()]


def test_a_line_shows_both_sides_where_the_mouse_is(watched: Watched, tmp_path: Path) -> None:
    assert watched.show(tmp_path / "page.html", [plot()]) == [True]
    box = watched.page.locator("#p0 svg").bounding_box()
    assert box is not None
    for offset in range(60, 260, 20):
        watched.page.mouse.move(box["x"] + offset, box["y"] + 120)
    tip = watched.page.locator(".modelci-tip")
    tip.wait_for(state="visible")
    words = tip.inner_text()
    assert "base" in words
    assert "head" in words
    assert "step" in words
    assert watched.said == []


def test_what_cannot_be_drawn_says_so(watched: Watched, tmp_path: Path) -> None:
    broken = json.dumps({"data": {"values": "<DVC_METRIC_DATA>"}, "mark": {"type": "none such"}})
    loaded = json.dumps(OWN | {"params": []})
    plots = [plot("own", spec=broken), plot("own", spec=loaded), plot()]
    path = tmp_path / "page.html"
    assert watched.show(path, plots) == [False, True, True]
    assert watched.page.locator("#p0").inner_text() == "This plot cannot be drawn."
    assert watched.said == []
    assert watched.requests == [path.as_uri()]


def test_dark_plots_have_other_colours(watched: Watched, tmp_path: Path) -> None:
    assert watched.show(tmp_path / "page.html", [plot(), plot()]) == [True, True]
    light, dark = (watched.page.locator(f"#p{place}").inner_html() for place in range(2))
    assert "#0072b2" in light
    assert "#56b4e9" not in light
    assert "#56b4e9" in dark
    assert "#0072b2" not in dark


@pytest.mark.parametrize("template", ["confusion", "confusion_normalized"])
def test_a_dark_confusion_matrix_keeps_its_numbers(
    watched: Watched, tmp_path: Path, template: str
) -> None:
    """A cell's number is black or white, as its colour wants: on a dark page too."""
    cells = ({"rev": "head", "step": x, "a.b[c]": y, COUNT: n} for x, y, n in CELLS)
    matrix = plot(template, rows=tuple(cells))
    assert watched.show(tmp_path / "page.html", [matrix, matrix]) == [True, True]
    light, dark = (
        watched.page.locator(f"#p{place} .role-mark.mark-text text").evaluate_all(
            "all => all.map(one => [one.textContent, one.getAttribute('fill')])"
        )
        for place in range(2)
    )
    assert {fill for _, fill in light} == {"white", "black"}
    assert light == dark


CELLS = (("no", "no", 90), ("no", "yes", 5), ("yes", "no", 7), ("yes", "yes", 80))
