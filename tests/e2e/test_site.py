"""The registry's site, built by the command from real tags, in a real browser."""

import json
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.e2e.browsing import BROWSER, Opener
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
    if BROWSER is None:
        pytest.skip("no Chromium: see `make browser`")
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
    if BROWSER is None:
        pytest.skip("no Chromium: see `make browser`")
    out = build(registry)
    for file in ("index.html", "models/credit.html"):
        page = visit.file(out / file, viewport={"width": 360, "height": 740}, color_scheme=scheme)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_documents_beside_the_pages_say_the_same(registry: World) -> None:
    out = build(registry)
    found = json.loads((out / "models" / "credit.json").read_text())
    assert "credit" in json.dumps(found)
    assert (out / "registry.json").stat().st_size > 0
