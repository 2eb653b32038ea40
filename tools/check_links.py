"""Find links in the Markdown files of this repository that lead nowhere.

Only files and headings of the repository are looked at (anchors as GitHub names them), so that
no check depends on the network. This is how a forge shows them; MkDocs checks its site by itself.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parent.parent
PARSER = MarkdownIt("gfm-like", {"linkify": False})
HTML_LINK = re.compile(r"""<\w+\b[^>]*?\b(?:href|src|srcset)=["']([^"'\s]+)""")
HTML_ANCHOR = re.compile(r"""<\w+\b[^>]*?\b(?:id|name)=["']([^"']+)["']""")
NOT_ANCHOR = re.compile(r"[^\w\- ]")


def main() -> int:
    broken = [f"{page.relative_to(ROOT)}: {why}" for page in pages() for why in problems(page)]
    print("\n".join(broken) or "All links in the docs resolve.")
    return int(bool(broken))


def pages() -> list[Path]:
    """All Markdown pages that people read; what tests expect or feed in is not one."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    names = (name for name in listing.split("\0") if name and not name.startswith("tests/"))
    return [ROOT / name for name in names if (ROOT / name).exists()]


def problems(page: Path) -> Iterator[str]:
    for link in links(page):
        scheme, host, path, _, fragment = urlsplit(link)
        if scheme or host:
            continue
        base = ROOT if path.startswith("/") else page.parent
        target = (base / unquote(path).lstrip("/")).resolve() if path else page
        if not target.is_relative_to(ROOT):
            yield f"{link} leaves the repository"
        elif not target.exists():
            yield f"{link} does not exist"
        elif fragment and target.suffix == ".md" and fragment not in anchors(target):
            yield f"{link} names no heading of that page"


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        if token.type.startswith("html"):
            yield from HTML_LINK.findall(token.content)
        yield from (str(token.attrs[name]) for name in ("href", "src") if name in token.attrs)


@cache
def anchors(page: Path) -> frozenset[str]:
    stream = tokens(page)
    found = {name for part in stream for name in HTML_ANCHOR.findall(part.content)}
    seen: Counter[str] = Counter()
    for before, heading in pairwise(stream):
        if before.type == "heading_open":
            name = slug("".join(part.content for part in heading.children or ()))
            found.add(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return frozenset(found)


def slug(heading: str) -> str:
    """Return the name that forges give a heading."""
    return NOT_ANCHOR.sub("", heading.strip().lower()).replace(" ", "-")


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    blocks = PARSER.parse(page.read_text(encoding="utf-8"))
    return tuple(part for block in blocks for part in (block, *(block.children or ())))


if __name__ == "__main__":
    sys.exit(main())
