"""The page that a server has about itself, in a real browser."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tests.e2e.browsing import BROWSER
from tests.fakes.serving import FakePredictor, Running, running, served, write_release

from modelci.domain.golden import InputColumn, OutputColumn, ValueType
from modelci.serving.model import load
from modelci.serving.settings import Settings
from modelci.serving.source import open_release

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium (make browser)")

HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Visitor:
    """Opens pages, with an ear for what they complain of and what they ask others for."""

    context: BrowserContext
    troubles: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def open(self, server: Running) -> Page:
        page = self.context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", lambda said: self.troubles.append(said.text))
        page.on("dialog", lambda dialog: self.troubles.append(dialog.message))
        page.on(
            "request",
            lambda one: None if one.url.startswith(server.url) else self.foreign.append(one.url),
        )
        page.goto(f"{server.url}/docs")
        return page


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    found = Visitor(browser.new_context())
    yield found
    found.context.close()
    assert found.foreign == []


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("release")
    write_release(folder / "one")
    with running(load(open_release(folder / "one"))) as found:
        yield found


def test_it_says_what_the_model_reads_and_answers(visitor: Visitor, server: Running) -> None:
    page = visitor.open(server)
    expect(page.get_by_role("heading", level=1)).to_have_text("credit v1.0.0")
    expect(page).to_have_title("credit v1.0.0")
    expect(page.locator("#inputs tr")).to_have_count(3)
    expect(page.locator("#inputs tr").nth(0)).to_have_text("amountnumberno0 to 1000")
    expect(page.locator("#inputs tr").nth(2)).to_have_text("purposestringnocar, home")
    expect(page.locator("#outputs tr")).to_have_text(["scorenumber"])
    expect(page.locator("#paths")).to_contain_text("/v2/models/credit/infer")
    expect(page.locator("#untyped")).to_be_hidden()
    assert visitor.troubles == []


def test_the_model_can_be_tried(visitor: Visitor, server: Running) -> None:
    page = visitor.open(server)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#outcome")).to_contain_text("200 in")
    expect(page.locator("#answer")).to_contain_text('"predictions"')
    page.locator("#where").select_option("/v2/models/credit/infer")
    expect(page.locator("#body")).to_contain_text("")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer")).to_contain_text('"model_name": "credit"')
    expect(page.locator("#curl")).to_contain_text(f"curl {server.url}/v2/models/credit/infer")
    assert visitor.troubles == []


def test_what_is_wrong_is_shown(visitor: Visitor, server: Running) -> None:
    page = visitor.open(server)
    page.locator("#body").fill('[{"amount": "much"}]')
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#outcome")).to_contain_text("422 in")
    expect(page.locator("#answer")).to_contain_text("must be a number, not a string")
    page.locator("#body").fill("nonsense")
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#outcome")).to_contain_text("400 in")


def test_a_token_is_asked_for_and_stays_on_the_page(visitor: Visitor) -> None:
    with running(settings=Settings(drain_seconds=0).with_tokens("secret")) as guarded:
        page = visitor.open(guarded)
        field = page.get_by_label("This server wants a token")
        field.fill("wrong")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#about")).to_have_text("The server does not know this token.")
        field.fill("secret")
        page.get_by_role("button", name="Go on").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("credit v1.0.0")
        page.get_by_role("button", name="Ask").click()
        expect(page.locator("#outcome")).to_contain_text("in")
        expect(page.locator("#curl")).to_contain_text("Bearer $TOKEN")
        assert "secret" not in page.content()
        assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]


def test_names_are_text_and_never_markup(visitor: Visitor) -> None:
    predictor = FakePredictor(
        inputs=(InputColumn(name=HOSTILE, type=ValueType.STRING, values=(HOSTILE,)),),
        outputs=(OutputColumn(name=HOSTILE, classes=(HOSTILE, "b")),),
    )
    model = served(predictor)
    model = replace(model, source=replace(model.source, artifact=HOSTILE, version=HOSTILE))
    with running(model) as hostile:
        page = visitor.open(hostile)
        expect(page.locator("#inputs tr")).to_contain_text([HOSTILE])
        expect(page.locator("#outputs tr")).to_contain_text([HOSTILE])
        assert page.locator("img").count() == 0
    assert visitor.troubles == []


@pytest.mark.parametrize("width", [320, 1280])
def test_it_fits_a_phone_and_a_desk(
    visitor: Visitor, server: Running, width: int, tmp_path: Path
) -> None:
    page = visitor.open(server)
    page.set_viewport_size({"width": width, "height": 700})
    expect(page.locator("#inputs tr")).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.screenshot(path=tmp_path / "page.png", full_page=True)
