"""The registry's site, built by the command from real tags, in a real browser."""

import json
import subprocess
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import Route, expect
from tests.e2e.browsing import Opener
from tests.e2e.world import World

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def tag(site: World, name: str, message: str, at: str = "HEAD") -> None:
    root = site.laptop.folder
    command = ["git", "tag", "--annotate", "--cleanup=verbatim", "--message", message, name, at]
    subprocess.run(command, cwd=root, check=True)


@pytest.fixture
def registry(site: World) -> World:
    """A registry of two models, one of them with a message that means harm."""
    first = "Register credit v0.0.1\n\nModelci-Metric: metrics.json:roc_auc=0.8\n"
    second = "Register credit v0.0.2\n\nModelci-Metric: metrics.json:roc_auc=0.9\n"
    tag(site, "credit@v0.0.1", first, "HEAD")
    site.laptop.put({"note.txt": "more"})
    site.laptop.commit()
    tag(site, "credit@v0.0.2", second)
    tag(site, "credit#prod#3", f"Assign prod\n\nModelci-Reason: {HOSTILE}\nModelci-By: ada\n")
    tag(site, "other/model@v1.0.0", "Register other/model v1.0.0\n")
    return site


def build(site: World, *options: str) -> Path:
    out = site.laptop.folder.parent / "public"
    site.laptop.modelci("site", "build", "--out", str(out), *options)
    return out


def test_the_same_tags_make_the_same_bytes_and_old_pages_go(registry: World) -> None:
    out = build(registry)
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert {path.name for path in files} >= {"index.html", "registry.json", ".nojekyll"}
    build(registry)
    assert {path: path.read_bytes() for path in files} == files
    subprocess.run(
        ["git", "tag", "--delete", "other/model@v1.0.0"], cwd=registry.laptop.folder, check=True
    )
    build(registry)
    gone = [path.name for path in files if not path.exists()]
    assert sorted(Path(name).suffix for name in gone) == [".html", ".json"]


def test_a_folder_that_is_not_ours_is_left_alone(registry: World) -> None:
    out = registry.laptop.folder.parent / "public"
    out.mkdir()
    (out / "index.html").write_text("theirs")
    done = registry.laptop.modelci("site", "build", "--out", str(out), code=2)
    assert "no build of ours wrote it" in done.err
    assert (out / "index.html").read_text() == "theirs"


def test_models_are_found_by_keyboard_and_lead_to_their_pages(
    registry: World, visit: Opener
) -> None:
    page = visit.file(build(registry) / "index.html")
    page.keyboard.press("/")
    page.keyboard.type("prod")
    rows = page.locator("main table").first.locator("tbody tr:visible")
    expect(rows).to_have_count(1)
    assert "credit" in rows.first.inner_text()
    page.keyboard.press("Enter")
    page.wait_for_url("**/models/credit.html")
    text = page.locator("body").inner_text()
    assert "v0.0.2" in text
    assert HOSTILE in text
    assert page.locator("svg polyline").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(registry: World, visit: Opener, scheme: str) -> None:
    out = build(registry)
    for file in ("index.html", "models/credit.html"):
        page = visit.file(out / file, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_documents_beside_the_pages_say_the_same(registry: World) -> None:
    out = build(registry)
    found = json.loads((out / "models" / "credit.json").read_text())
    assert "credit" in json.dumps(found)
    assert (out / "registry.json").stat().st_size > 0


def test_a_version_is_found_and_linked_to(registry: World, visit: Opener) -> None:
    page = visit.file(build(registry) / "index.html")
    search = page.get_by_label("Search")
    search.fill("credit v0.0.1")
    expect(page.locator("#models tbody tr:visible")).to_have_count(1)
    expect(page.locator("#models .hits a:visible")).to_have_text(["v0.0.1"])
    search.press("Escape")
    expect(page.locator("#models tbody tr:visible")).to_have_count(2)
    search.fill("no such model")
    expect(page.locator("#models tbody tr:visible")).to_have_count(0)
    expect(page.locator("output")).to_have_text("0 of 2")
    search.fill("v0.0.1")
    search.press("Enter")
    page.wait_for_url("**/models/credit.html#v0.0.1")
    expect(page.locator("tr:target th")).to_contain_text("v0.0.1")


def test_every_link_of_the_site_leads_to_a_file_and_a_place_in_it(
    registry: World, visit: Opener
) -> None:
    out = build(registry)
    seen = 0
    for file in sorted(out.rglob("*.html")):
        page = visit.file(file)
        for href in page.eval_on_selector_all("a", "all => all.map((one) => one.href)"):
            path, _, anchor = href.removeprefix("file://").partition("#")
            target = Path(unquote(path))
            assert target.is_relative_to(out)
            assert f'id="{anchor}"' in target.read_text() if anchor else target.is_file()
            seen += 1
    assert seen > 10


def test_a_long_history_is_filtered_and_fits_a_phone(site: World, visit: Opener) -> None:
    long = "eu-" + "very-" * 30 + "long"
    for number in range(12):
        tag(site, f"{long}@v1.{number}.0-rc.{'9' * 60}", f"Try {'again' * 40} {number}")
    tag(site, f"{long}#{'stage' * 12}#1", HOSTILE)
    out = build(site, "--title", HOSTILE)
    (file,) = out.glob("models/eu-*.html")
    page = visit.file(file, viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_label("Filter versions").fill("v1.7.0")
    expect(page.locator("#versions tbody tr:visible")).to_have_count(1)
    # Whoever follows a link to a version that the filter hides sees it.
    page.get_by_label("Filter the log").fill("v1.3.0")
    page.locator("#log a:visible").first.click()
    expect(page.locator("tr:target")).to_be_visible()
    page.goto((out / "index.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.title() == HOSTILE


def test_it_works_from_below_a_servers_path(registry: World, visit: Opener) -> None:
    out = build(registry)
    page = visit.file(out / "index.html")
    page.context.set_offline(offline=False)
    page.context.route("**/*", partial(_serve, out))
    page.goto("https://acme.example/sub/path/")
    page.locator("#models a.model").first.click()
    page.wait_for_url("https://acme.example/sub/path/models/*.html")
    page.locator("header nav a").click()
    page.wait_for_url("https://acme.example/sub/path/index.html")
    (visited,) = visit.visits
    assert all(one.startswith("https://acme.example/sub/path/") for one in visited.requests)
    visited.requests.clear()


def _serve(out: Path, route: Route) -> None:
    """Answer as a server would that has the site below ``/sub/path/``."""
    path = route.request.url.removeprefix("https://acme.example/sub/path/") or "index.html"
    route.fulfill(path=out / path, content_type="text/html")


def test_it_prints(registry: World, visit: Opener) -> None:
    page = visit.file(build(registry) / "models" / "credit.html")
    page.emulate_media(media="print")
    assert not page.locator("nav").first.is_visible()
    assert len(page.pdf(format="A4")) > 10_000
