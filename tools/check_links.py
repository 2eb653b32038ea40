"""Find links in the Markdown files of this repository that lead nowhere.

Only what lies in the repository is looked at: other files, and headings (as GitHub names
their anchors). Addresses elsewhere are left alone, so that no check depends on the network.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parent.parent
PARSER = MarkdownIt("gfm-like", {"linkify": False})
HTML_LINK = re.compile(r"""<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)=["']([^"'\s]+)""")
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
    paths = (ROOT / name for name in listing.split("\0") if name and not name.startswith("tests/"))
    return [path for path in paths if path.exists()]


def problems(page: Path) -> Iterator[str]:
    for link in links(page):
        address = urlsplit(link)
        if address.scheme or address.netloc:
            continue
        base = ROOT if address.path.startswith("/") else page.parent
        target = (base / unquote(address.path).lstrip("/")) if address.path else page
        if not target.resolve().is_relative_to(ROOT.resolve()):
            yield f"{link} leaves the repository"
        elif not target.exists():
            yield f"{link} does not exist"
        elif address.fragment and target.suffix == ".md" and address.fragment not in anchors(target):
            yield f"{link} names no heading of that page"


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        if token.type in {"html_block", "html_inline"}:
            yield from HTML_LINK.findall(token.content)
        elif token.type in {"link_open", "image"}:
            yield str(token.attrs["href" if token.type == "link_open" else "src"])


@cache
def anchors(page: Path) -> frozenset[str]:
    found: set[str] = set()
    seen: Counter[str] = Counter()
    stream = tokens(page)
    for before, token in zip([None, *stream], stream, strict=False):
        if before is not None and before.type == "heading_open":
            text = "".join(part.content for part in token.children or () if part.type in TEXT)
            slug = NOT_ANCHOR.sub("", text.strip().lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
        found.update(HTML_ANCHOR.findall(token.content) if "html" in token.type else ())
    return frozenset(found)


@cache
def tokens(page: Path) -> tuple[Token, ...]:
    blocks = PARSER.parse(page.read_text(encoding="utf-8"))
    return tuple(part for block in blocks for part in (block, *(block.children or ())))


TEXT = {"text", "code_inline"}

if __name__ == "__main__":
    sys.exit(main())
