"""The documentation's site: every link leads somewhere, and no page asks anybody for anything."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from playwright.sync_api import expect
from tests.e2e.browsing import BROWSER, Opener
from tools.site_hooks import LEAVING

PROJECT = Path(__file__).parents[2]
LOADS = {"src", "srcset", "data", "poster", "action"}
LEADING = {"canonical", "next", "prev"}  # of <link>: what a browser does not load


@dataclass
class PageReader(HTMLParser):
    """What a page links to, what it loads, and the places in it that can be linked to."""

    text: str
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.anchors.update(found[name] for name in ("id", "name") if name in found)
        self.loads += [value for name, value in found.items() if name in LOADS]
        if "href" in found:
            is_loaded = tag == "link" and found.get("rel") not in LEADING
            (self.loads if is_loaded else self.links).append(found["href"])


@dataclass
class Site:
    """The built site."""

    root: Path

    @cached_property
    def pages(self) -> dict[Path, PageReader]:
        files = sorted(self.root.rglob("*.html"))
        return {file: PageReader(file.read_text(encoding="utf-8")) for file in files}

    def broken(self) -> Iterator[str]:
        for file, page in self.pages.items():
            for link in (*page.links, *page.loads):
                scheme, host, path, _, anchor = urlsplit(link)
                if scheme or host:
                    continue
                base = self.root if path.startswith("/") else file.parent
                target = (base / unquote(path).lstrip("/")).resolve() if path else file
                target = target / "index.html" if target.is_dir() else target
                read = self.pages.get(target)
                if not target.is_file() or (anchor and read and anchor not in read.anchors):
                    yield f"{file.relative_to(self.root)}: {link}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(root)]
    quiet = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=PROJECT, env=quiet, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Site(root)


def test_every_link_leads_to_a_file_and_a_place_in_it(site: Site) -> None:
    assert list(site.broken()) == []
    assert len(site.pages) > 50


def test_no_page_loads_anything_from_elsewhere(site: Site) -> None:
    assert {
        one for page in site.pages.values() for one in page.loads if urlsplit(one).netloc
    } == set()
    for file in site.root.rglob("*.css"):
        text = file.read_text(encoding="utf-8")
        found = re.findall(r"""(?:@import|url\()\s*["']?([^"')\s]*)""", text)
        assert [one for one in found if urlsplit(one).netloc] == []


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: see `make browser`")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_a_folder_without_a_network(site: Site, visit: Opener, scheme: str) -> None:
    phone = {"width": 360, "height": 740}
    for name in ("index", "reference/configuration"):
        page = visit.file(site.root / f"{name}.html", viewport=phone, color_scheme=scheme)
        assert page.locator("h1").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: see `make browser`")
def test_a_wide_table_fits_a_desk_and_keeps_its_first_column_on_a_phone(
    site: Site, visit: Opener
) -> None:
    page = visit.file(site.root / "comparison.html", viewport={"width": 1280, "height": 800})
    frame = page.locator(".md-typeset__scrollwrap").first
    assert frame.evaluate("one => one.scrollWidth - one.clientWidth") == 0
    page.set_viewport_size({"width": 360, "height": 740})
    assert frame.evaluate("one => { one.scrollLeft = 200; return one.scrollLeft; }") == 200
    cell = frame.locator("td").first.bounding_box()
    assert cell is not None
    assert cell["x"] >= 0


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: see `make browser`")
def test_it_is_searched_without_a_network(site: Site, visit: Opener) -> None:
    page = visit.file(site.root / "reference" / "exit-codes.html")
    query = page.get_by_role("textbox", name="Search")
    query.click()  # by which the index is loaded, in a worker
    expect(page.locator(".md-search-result__meta")).to_have_text(
        "Type to start searching", timeout=30_000
    )
    query.press_sequentially("canary")
    page.locator(".md-search-result__link").first.click()
    expect(page.locator("article")).to_contain_text("canary", timeout=30_000)


def test_a_link_is_led_from_the_page_it_stands_on_whichever_was_read_last() -> None:
    LEAVING.page = "elsewhere/deep/page.md"
    assert LEAVING.lead("../CONTRIBUTING.md#a", "index.md") == "project/CONTRIBUTING.md#a"
    assert LEAVING.lead("../gates.md", "explanation/tags.md") == "../gates.md"
    assert LEAVING.lead("../../LICENSE", "how-to/s3.md") == "../project/LICENSE.md"
    assert LEAVING.lead("https://h/x", "index.md") == "https://h/x"


@pytest.mark.skipif(BROWSER is None, reason="no Chromium: see `make browser`")
def test_the_copy_button_takes_commands_alone(site: Site, visit: Opener) -> None:
    page = visit.file(site.root / "how-to" / "monorepo.html")
    session = page.locator(".highlight", has_text="cat > fraud/dvc.yaml")
    session.hover()
    session.get_by_role("button", name="Copy to clipboard").click()
    page.evaluate("document.body.prepend(document.createElement('textarea'))")
    pasted = page.locator("body > textarea").first
    pasted.press("Control+V")
    lines = pasted.input_value().splitlines()
    assert lines[:3] == ["mkdir fraud", "cat > fraud/dvc.yaml <<'EOF'", "stages:"]
    assert lines[-1].startswith("modelci run fraud/dvc.yaml")
    assert lines.count("EOF") == 2
