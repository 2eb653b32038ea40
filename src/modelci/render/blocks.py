"""Fits a text into a budget of bytes by leaving out whole rows, least important first."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A part of a text: a head, and ``total`` rows between an opening and a closing line.

    ``rows`` yields (place, line), the most important first; the lines that fit are shown in the
    order of their places, and ``more`` says how many are missing. Blocks of a lower ``rank`` get
    room first; one of rank 0 is never left out. ``section`` is where a template may place it.
    """

    rank: int
    section: str = ""
    head: str = ""
    opening: str = ""
    rows: Iterable[tuple[int, str]] = ()
    total: int = 0
    closing: str = ""
    more: Callable[[int], str] = "{:,} more".format
    tail: str = ""

    @property
    def frame_bytes(self) -> int:
        """The room that the block takes without any row."""
        more = self.more(self.total) if self.total else ""
        return sum(
            _bytes(part) for part in (self.head, self.opening, self.closing, more, self.tail)
        )


def fit(blocks: Sequence[Block], *, max_bytes: int, missing: Callable[[int], str]) -> str:
    """Return the blocks' text, at most ``max_bytes`` long in UTF-8.

    Where not even all frames fit, whole blocks go, and ``missing`` says how many. ValueError
    when the blocks of rank 0 alone are too long.
    """
    parts = fit_parts(blocks, max_bytes=max_bytes, missing=missing)
    return "\n\n".join(text for _, text in parts) + "\n"


def fit_parts(
    blocks: Sequence[Block], *, max_bytes: int, missing: Callable[[int], str]
) -> list[tuple[str, str]]:
    """Return the blocks' sections and texts, which parted by blank lines are short enough."""
    kept, left = _drop_blocks(blocks, max_bytes, reserve=_bytes(missing(len(blocks))))
    texts: dict[int, str] = {}
    for block in sorted(kept, key=lambda block: block.rank):
        texts[id(block)], left = _fill(block, left)
    lost = len(blocks) - len(kept)
    parts = [(block.section, texts[id(block)]) for block in kept]
    return [*parts, *([("footer", missing(lost))] if lost else [])]


def _drop_blocks(blocks: Sequence[Block], max_bytes: int, reserve: int) -> tuple[list[Block], int]:
    kept = list(blocks)
    left = max_bytes - sum(block.frame_bytes for block in kept)
    if left < 0:
        left -= reserve
    while left < 0:
        worst = max(kept, key=lambda block: block.rank)
        if worst.rank == 0:
            raise ValueError(f"The verdict alone is longer than {max_bytes:,} bytes.")
        kept.remove(worst)
        left += worst.frame_bytes
    return kept, left


def _fill(block: Block, left: int) -> tuple[str, int]:
    """Return the block's text with as many rows as there is room for, and the room left."""
    taken: list[tuple[int, str]] = []
    for place, line in block.rows:
        cost = _bytes(line) - 1
        if cost > left:
            break
        left -= cost
        taken.append((place, line))
    lines = [line for _, line in sorted(taken)]
    if lines:
        lines = [line for line in (block.opening, *lines, block.closing) if line]
    rest = block.total - len(taken)
    parts = (block.head, "\n".join(lines), block.more(rest) if rest else "", block.tail)
    return "\n\n".join(part for part in parts if part), left


def _bytes(part: str) -> int:
    """Return the room that a part takes together with the blank line that parts it."""
    return len(part.encode()) + 2 if part else 0
