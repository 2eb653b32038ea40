"""Tables, verdicts and remarks as a terminal shows them."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from itertools import islice
from typing import TypeVar

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from modelci.domain.wording import counted
from modelci.render.console import console
from modelci.render.digest import Headline, Role, Tone
from modelci.render.escape import PROSE_LIMIT, terminal
from modelci.render.rows import Mood

MOST_ROWS = 100  # of a table; a terminal is no place to read more

TONES = {
    Tone.GOOD: ("✓", "bold green"),
    Tone.BAD: ("✗", "bold red"),
    Tone.WARNING: ("!", "bold yellow"),
    Tone.INFO: ("i", "bold blue"),
    Tone.BROKEN: ("✗", "bold red"),
}
MOODS = {
    Mood.GOOD: ("✓", "green"),
    Mood.BAD: ("✗", "red"),
    Mood.WARNING: ("!", "yellow"),
    Mood.NEUTRAL: ("·", "dim"),
}
_SHORT = frozenset("Change Date Gate History Kind Outcome State Status Trend Verdict".split())
"""Titles of columns that hold our own short words: they are not broken."""

Cell = Text | str
T = TypeVar("T")


def section(
    name: str, rows: Sequence[T], titles: Sequence[str], cells: Callable[[T], Sequence[Cell]]
) -> Iterator[RenderableType]:
    """Yield a titled table of the first 100 rows; nothing where there is none."""
    if not rows:
        return
    parts: list[RenderableType] = [Text(name, "bold"), table(titles, map(cells, rows))]
    if len(rows) > MOST_ROWS:
        rest = counted(len(rows) - MOST_ROWS, "more row")
        parts.append(Text(f"… {rest}: see the HTML page or --json", "dim"))
    yield Group(*parts)


def table(
    titles: Sequence[str], rows: Iterable[Sequence[Cell]], *, most: int | None = MOST_ROWS
) -> Table:
    """Return a table; a title that ends in a colon stands over a column of numbers."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for title in titles:
        numbers = title.endswith(":")
        made.add_column(
            Text(title.removesuffix(":")),
            justify="right" if numbers else "left",
            no_wrap=numbers or title in _SHORT,
            overflow="fold",
        )
    for cells in islice(rows, most):
        shown = [Text(cell) if isinstance(cell, str) else cell for cell in cells]
        made.add_row(*shown)
        for column, cell in zip(made.columns, shown, strict=True):
            if cell.style == _NAME and not column.no_wrap:
                least = min(_LEAST_NAME, cell.cell_len)
                column.min_width = max(least, column.min_width or 0)
    return made


def verdict_line(headline: Headline) -> Text:
    """Return the verdict in a line."""
    sign, style = TONES[headline.tone]
    line = Text(f"{sign} ", style)
    for role, text in headline.phrases:
        styles = {Role.STRONG: style, Role.NAME: "cyan", Role.PLAIN: ""}
        line.append(terminal(text, PROSE_LIMIT), styles[role])
    return line


def remarks(texts: Sequence[str], sign: str = "!") -> Iterator[RenderableType]:
    """Yield what is to be minded, a line each."""
    if texts:
        yield Group(*(Text(f"{sign} ", "yellow").append(plain_text(text)) for text in texts))


def name_text(text: str) -> Text:
    """Return a foreign name, which may end its line at its joints."""
    shown = terminal(text) if text.strip() else '""'
    return Text(_JOINT.sub(rf"\g<0>{_BREAK}", shown), _NAME)


_NAME = "cyan"
_LEAST_NAME = 24
_JOINT = re.compile(r"[/:._](?=\S)")
_BREAK = "\x1f"
"""Where a name may end its line. Rich takes it for a space without a width; it is not printed.

No foreign text holds it: it is a control character, and those are spelt out.
"""


def plain_text(text: str) -> Text:
    """Return a sentence that holds foreign text."""
    return Text(terminal(text, PROSE_LIMIT))


def draw(parts: Iterable[RenderableType], *, width: int, colour: bool) -> str:
    """Draw the parts one below the other; the environment has no say in it."""
    out = StringIO()
    page = console(out, width=width, colour=colour)
    for place, part in enumerate(parts):
        if place:
            page.print()
        page.print(part)
    lines = (line.rstrip() for line in out.getvalue().replace(_BREAK, "").split("\n"))
    return "\n".join(lines)
