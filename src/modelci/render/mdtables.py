"""Tables, folds and verdicts in Markdown, as blocks that a budget of bytes can cut."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from modelci.domain.wording import counted
from modelci.render.blocks import Block
from modelci.render.digest import Headline, Role, Tone
from modelci.render.escape import clean, code, inline, prose, table_row
from modelci.render.rows import Mood

_OPEN_ROWS = 30  # of a table that is not folded; the rest of a longer one is

_TONES = {
    Tone.GOOD: "✅",
    Tone.BAD: "❌",
    Tone.WARNING: "⚠️",
    Tone.INFO: "ℹ️",  # noqa: RUF001 - the emoji
    Tone.BROKEN: "💥",
}
GATE_SIGNS = {Mood.GOOD: "✅", Mood.BAD: "❌", Mood.WARNING: "⚠️", Mood.NEUTRAL: "⚪"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[T]):
    """Rows of one kind. A title that ends in a colon stands over a column of numbers."""

    rank: int
    section: str
    titles: Sequence[str]
    rows: Sequence[T]
    cells: Callable[[T], list[str]]


def join(parts: Sequence[tuple[str, str]]) -> str:
    """Return the texts of sections, parted by blank lines."""
    return "\n\n".join(text for _, text in parts) + "\n"


def verdict_text(headline: Headline) -> str:
    """Return the verdict in a line."""
    phrases = (_phrase(role, text) for role, text in headline.phrases)
    return f"{_TONES[headline.tone]} {''.join(phrases)}"


def _phrase(role: Role, text: str) -> str:
    match role:
        case Role.NAME:
            return code(text)
        case Role.STRONG:
            return f"**{text}**"
        case Role.PLAIN:
            return inline(clean(text, 400))


def open_table(table: Table[T], what: str) -> Iterator[Block]:
    """Show a table, and fold what of it would fill more than a screen."""
    head, rest = table.rows[:_OPEN_ROWS], table.rows[_OPEN_ROWS:]
    if head:
        yield block(replace(table, rows=head))
    if rest:
        yield from fold(replace(table, rows=rest), "{:,} more " + what)


def fold(table: Table[T], title: str) -> Iterator[Block]:
    """Hide a table behind its ``title``, which may hold its number of rows: ``{:,}``."""
    if table.rows:
        head = summary(title.format(len(table.rows)))
        yield replace(block(table), head=head, tail="</details>")


def summary(title: str) -> str:
    """Return what opens a fold; ``</details>`` closes it."""
    return f"<details>\n<summary>{title}</summary>"


def block(table: Table[T]) -> Block:
    """Return a table whose rows may be cut."""
    rows = enumerate(table_row(table.cells(row)) for row in table.rows)
    titles = [title.removesuffix(":") for title in table.titles]
    ruler = ["---:" if title.endswith(":") else "---" for title in table.titles]
    return Block(
        rank=table.rank,
        section=table.section,
        opening=f"{table_row(titles)}\n{table_row(ruler)}",
        rows=rows,
        total=len(table.rows),
        more=_more_rows,
    )


def notes_block(notes: Sequence[str], *, rank: int, section: str = "notes") -> Iterator[Block]:
    """Yield what is to be minded, a line each; blank ones say nothing."""
    notes = [note for note in notes if note.strip()]
    if notes:
        yield Block(
            rank=rank,
            section=section,
            opening="> [!NOTE]",
            rows=enumerate(f"> - {prose(note)}" for note in notes),
            total=len(notes),
            more=lambda count: f"_… {counted(count, 'more note')}_",
        )


def _more_rows(count: int) -> str:
    return f"_… {counted(count, 'more row')}: see the HTML page or the report's JSON_"


def missing_parts(count: int) -> str:
    """Return what stands for blocks that were left out."""
    return f"_… {counted(count, 'more part')}: see the HTML page or the report's JSON_"
