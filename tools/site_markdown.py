"""Markdown as forges show it, for the documentation's site."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.lexers.special import TextLexer
from pygments.util import ClassNotFound
from tools.check_links import slug

_PROMPT = "$ "
_HERE = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")


def render(text: str, lead: Callable[[str], str]) -> str:
    """Return a page as HTML; ``lead`` says where one of its links leads."""
    tokens = PARSER.parse(text)
    name_headings(tokens)
    for token in (part for block in tokens for part in (block, *(block.children or ()))):
        for name in ("href", "src"):
            if name in token.attrs:
                token.attrSet(name, lead(str(token.attrs[name])))
    return str(PARSER.renderer.render(tokens, PARSER.options, {}))


def name_headings(tokens: Sequence[Token]) -> None:
    """Give headings the names that forges give them, and a link to themselves.

    A second heading of a name is told apart as MkDocs' table of contents does it.
    """
    seen: Counter[str] = Counter()
    for before, heading in pairwise(tokens):
        if before.type == "heading_open" and heading.children is not None:
            name = slug("".join(part.content for part in heading.children))
            anchor = f"{name}_{seen[name]}" if seen[name] else name
            seen[name] += 1
            before.attrSet("id", anchor)
            link = f'<a class="headerlink" href="#{anchor}" title="Permanent link">¶</a>'
            heading.children.append(Token("html_inline", "", 0, content=link))


def show_code(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: object, env: object
) -> str:
    """Return a block of code in the colours of its language.

    Of a session the button copies what is typed: the theme takes it from ``data-copy``.
    """
    del renderer, options, env
    language, text = tokens[index].info.partition(" ")[0] or "text", tokens[index].content
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = TextLexer()
    shown = highlight(text, lexer, HtmlFormatter(nowrap=True))
    copied = f' data-copy="{escape(typed(text))}"' if language == "console" else ""
    return f'<div class="highlight"{copied}><pre><code>{shown}</code></pre></div>\n'


def typed(session: str) -> str:
    """Return what a reader types of a session: no prompts, no output, here-documents whole."""
    lines = iter(session.splitlines())
    return "\n".join(part for line in lines for part in _command(line, lines))


def _command(line: str, rest: Iterator[str]) -> Iterator[str]:
    """Yield the lines of the command that one begins, taking those from the rest that it needs."""
    if not line.startswith(_PROMPT):
        return
    line = line.removeprefix(_PROMPT)
    yield line
    here = _HERE.search(line)
    while line.endswith("\\"):
        line = next(rest).removeprefix("> ")
        yield line
    while here and line != here[2]:
        line = next(rest)
        yield line


PARSER = MarkdownIt("gfm-like", {"linkify": False})
PARSER.add_render_rule("fence", show_code)
