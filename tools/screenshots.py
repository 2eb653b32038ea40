"""Take the documentation's pictures of what `make demo` left behind: `make screenshots`.

They are of the product itself: pages that it wrote, a server that it started, what it said in a
terminal. Each page is a WebP of one size, the terminal an SVG. Nothing in ``demo/`` is changed.
"""

import base64
import fcntl
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.request import urlopen

from playwright.sync_api import Page, expect, sync_playwright
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "demo"
PICTURES = ROOT / "docs" / "pictures"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT, SHARPNESS = 1200, 760, 1.5
QUALITY, MOST_BYTES = 82, 100_000
COLUMNS, LINES = 104, 21
COMPARED = "credit@v0.0.1..credit@v0.0.2"


def main() -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("There is no Chromium: `make browser` installs it.")
    if not (DEMO / "runner-retrained" / ".modelci" / "promotion.json").exists():
        sys.exit("demo/ has nothing to take pictures of: run `make demo`.")
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        clone = Path(folder) / "credit"
        subprocess.run(["git", "clone", "--quiet", DEMO / "remote.git", clone], check=True)
        picture_terminal(clone)
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        context = chromium.new_context(
            viewport={"width": WIDTH, "height": HEIGHT},
            device_scale_factor=SHARPNESS,
            color_scheme="light",
            reduced_motion="reduce",
        )
        picture_pages(context.new_page(), clone)
        chromium.close()
    for picture in sorted(PICTURES.iterdir()):
        size = picture.stat().st_size
        print(f"{picture.relative_to(ROOT)}: {size:,} bytes")
        if size > MOST_BYTES:
            sys.exit(f"{picture.name} is larger than {MOST_BYTES:,} bytes: show less.")


def picture_terminal(clone: Path) -> None:
    """Show how two versions are compared, as a terminal has it."""
    told = in_terminal(["modelci", "report", COMPARED, "--pull"], clone)
    shown = [f"$ modelci report {COMPARED}", *told.splitlines()[:LINES]]
    console = Console(record=True, width=COLUMNS, file=StringIO(), _environ={})
    console.print(Text.from_ansi("\n".join(shown)), soft_wrap=True)
    svg = console.export_svg(title="modelci", unique_id="terminal")
    # Rich has the font fetched from a third party: the reader's own will do.
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = svg.replace("Fira Code,", "ui-monospace, SFMono-Regular, Menlo, Consolas,")
    (PICTURES / "terminal.svg").write_text(
        re.sub(r"[ \t]+\n", "\n", svg), encoding="utf-8", newline="\n"
    )


def picture_pages(page: Page, clone: Path) -> None:
    """Show the pages: of a pull request, a window, the registry, a server."""
    page.goto((DEMO / "runner-pull-1" / ".modelci" / "report.html").as_uri())
    take(page, "report")
    page.goto((DEMO / "watched" / "2026-04" / "monitor.html").as_uri())
    take(page, "monitoring", below="Columns")
    site = clone.parent / "site"
    run("modelci", "site", "build", "--out", str(site), folder=clone)
    page.goto((site / "models" / "credit.html").as_uri())
    take(page, "registry")
    with serving(clone) as address:
        page.goto(f"{address}/docs")
        for _ in range(5):  # the first answers of a server are slow
            page.get_by_role("button", name="Ask").click()
            expect(page.locator("#outcome")).to_contain_text("200 in")
        take(page, "serving")


def take(page: Page, name: str, *, below: str | None = None) -> None:
    """Keep what is seen of a page from its top or from a heading on, once its plots are drawn."""
    page.wait_for_load_state("networkidle")
    page.evaluate("document.fonts.ready")
    for plot in page.locator(".plot").all():
        plot.scroll_into_view_if_needed()
        expect(plot.locator("svg").first).to_be_visible()
    heading = page.get_by_role("heading", name=below).first if below else page.locator("body")
    heading.evaluate("one => window.scrollBy(0, one.getBoundingClientRect().top - 24)")
    session = page.context.new_cdp_session(page)
    shot = session.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    (PICTURES / f"{name}.webp").write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def serving(clone: Path) -> Iterator[str]:
    """Serve the newest version at an address, for as long as it takes."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    command = ["modelci", "serve", "credit@latest", "--pull", "--port", str(port)]
    server = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/v2/health/ready", server)
        yield address
    finally:
        server.terminate()
        server.wait(timeout=60)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if server.poll() is not None:
            sys.exit(f"modelci serve ended with {server.returncode}.")
        try:
            with urlopen(url, timeout=5):  # noqa: S310 - a server of ours
                return
        except (URLError, TimeoutError):
            time.sleep(0.1)
    sys.exit("modelci serve does not answer.")


def in_terminal(command: list[str], folder: Path) -> str:
    """Return what a command says to a terminal, colours and all."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=theirs, stderr=subprocess.DEVNULL
    )
    os.close(theirs)
    told = b"".join(chunks(ours))
    os.close(ours)
    if process.wait() not in {0, 1}:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}.")
    return told.decode().replace("\r\n", "\n")


def chunks(terminal: int) -> Iterator[bytes]:
    """Yield what is written to a terminal until the other end is closed."""
    while True:
        try:
            chunk = os.read(terminal, 65_536)
        except OSError:  # how Linux tells the end
            return
        if not chunk:
            return
        yield chunk


def run(*command: str, folder: Path) -> None:
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
