"""Pages in a real browser, offline, with an ear for what they complain of and what they ask for."""

import shutil
from pathlib import Path

from playwright.sync_api import Browser, ConsoleMessage, Page, Request

from modelci.domain.report import Report
from modelci.render import html

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Visit:
    """A page that was opened, with what went wrong and what it asked for."""

    def __init__(self, browser: Browser, path: Path, **options: object) -> None:
        self.context = browser.new_context(offline=True, **options)  # type: ignore[arg-type]
        self.page = self.context.new_page()
        self.troubles: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", self._asked)
        self.page.goto(path.as_uri())
        self.page.wait_for_load_state("load")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.troubles.append(message.text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.requests.append(request.url)


class Opener:
    """Opens pages; what they complain of fails the test at its end."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self._folder = folder
        self.visits: list[Visit] = []

    def report(self, report: Report, **options: object) -> Page:
        return self.text(html.render_page(report, title="Credit model"), **options)

    def text(self, text: str, **options: object) -> Page:
        path = self._folder / f"page-{len(self.visits)}.html"
        path.write_text(text, encoding="utf-8")
        return self.file(path, **options)

    def file(self, path: Path, **options: object) -> Page:
        self.visits.append(Visit(self._browser, path, **options))
        return self.visits[-1].page
