"""The code blocks of our pages, and what each of them is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "reference"
PLAYED = frozenset({"bash", "console", "python", "sh"})
CHECKED = frozenset({"ini", "jinja", "json", "toml", "yaml"})
READ = frozenset({"diff", "mermaid", "text"})
SHELL = frozenset({"bash", "console", "sh"})
_MARK = re.compile(r"\s*<!--\s*not run:(?P<reason>.*?)-->\s*", re.DOTALL)
# `# dvc.yaml, stages:`: the file that the block is a piece of, and where in it.
_HEADING = re.compile(r"# (?P<file>[\w./-]*\.[\w/]+)(?:, (?P<place>[\w.-]+):)?(?:,? .*)?")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block: ``line`` is its fence's; ``reason`` says why it is not run, where it is not."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None

    @property
    def name(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_played(self) -> bool:
        return self.language in PLAYED and self.reason is None

    @property
    def file(self) -> str | None:
        found = _HEADING.fullmatch(self.text.partition("\n")[0])
        return found["file"] if found else None

    @property
    def place(self) -> tuple[str, ...]:
        """The keys that lead to the piece of a file; none: it is the file."""
        found = _HEADING.fullmatch(self.text.partition("\n")[0])
        return tuple(found["place"].split(".")) if found and found["place"] else ()

    def problems(self) -> Iterator[str]:
        """Say what keeps this from being a block of which anybody knows whether it is true."""
        if self.language not in PLAYED | CHECKED | READ and self.reason is None:
            yield f"of {self.language!r} nobody knows how to run it: see CONTRIBUTING.md"
        if self.reason is not None and len(self.reason.split()) < 3:
            yield "the reason why it is not run is none"
        if self.reason is not None and self.language in READ:
            yield f"{self.language} is never run; it needs no reason"
        if self.language in READ and re.search(r"^\s*(\$ |modelci )", self.text, re.MULTILINE):
            yield "it holds commands, so it is `console`"
        if self.language == "console" and not re.search(r"^\$ ", self.text, re.MULTILINE):
            yield "no line of it begins with `$ `"


def pages() -> list[Path]:
    """All pages that people wrote."""
    docs = (path for path in (ROOT / "docs").rglob("*.md") if GENERATED not in path.parents)
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(docs)]


def blocks() -> list[Block]:
    return [block for page in pages() for block in blocks_of(page)]


@cache
def blocks_of(page: Path) -> tuple[Block, ...]:
    name = page.relative_to(ROOT).as_posix()
    return tuple(read(name, page.read_text(encoding="utf-8")))


def read(page: str, text: str) -> Iterator[Block]:
    """Yield the blocks of a page's text; a mark that no block follows is one that says nothing."""
    start = Token("", "", 0)
    for before, token in pairwise(chain([start], MarkdownIt().parse(text), [start])):
        mark = _MARK.fullmatch(before.content) if before.type == "html_block" else None
        if token.type in {"fence", "code_block"}:
            yield Block(
                page=page,
                line=(token.map or [0])[0] + 1,
                language=(token.info.split() or ["(none)"])[0],
                text=token.content,
                reason=" ".join(mark["reason"].split()) if mark else None,
            )
        elif mark:
            yield Block(page=page, line=(before.map or [0])[0] + 1, language="(no block)", text="")


def inline_code(page: Path) -> Iterator[str]:
    """Yield what stands between backticks in a page's sentences and tables."""
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(page.read_text(encoding="utf-8")):
        yield from (part.content for part in token.children or () if part.type == "code_inline")
