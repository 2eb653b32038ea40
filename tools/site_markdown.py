"""Markdown as forges show it, for the documentation's site."""

from collections import Counter
from collections.abc import Callable, Sequence
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
    """Return a block of code in the colours of its language."""
    del renderer, options, env
    try:
        lexer = get_lexer_by_name(tokens[index].info.partition(" ")[0] or "text")
    except ClassNotFound:
        lexer = TextLexer()
    shown = highlight(tokens[index].content, lexer, HtmlFormatter(nowrap=True))
    return f'<div class="highlight"><pre><code>{shown}</code></pre></div>\n'


PARSER = MarkdownIt("gfm-like", {"linkify": False})
PARSER.add_render_rule("fence", show_code)
