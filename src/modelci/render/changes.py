"""A change to the registry in a terminal: what moves, the tag that says so, and what follows."""

from collections.abc import Iterator

from modelci.domain.allowance import sentence
from modelci.domain.rollback import RegistryChange
from modelci.render.escape import PROSE_LIMIT, terminal


def render_change(change: RegistryChange, *, width: int = 100, colour: bool = False) -> str:
    """Return the change as a few lines."""
    del width, colour  # nothing here is wide, and nothing is judged
    return "".join(f"{line}\n" for line in _lines(change))


def _lines(change: RegistryChange) -> Iterator[str]:
    if not change.tags:
        yield "Nothing to do."
    verb = "created" if change.done else "to create"
    where = f" on {terminal(change.remote)}" if change.remote else ""
    for tag in change.tags:
        yield f"{terminal(tag.subject)}."
        yield f"  {terminal(tag.name)} {verb}{where}, at {terminal(tag.commit[:7])}"
        yield f"  by {terminal(change.by)}: {terminal(change.reason, PROSE_LIMIT)}"
    if change.stage and change.tags:
        before, after = (one or "nothing" for one in (change.before, change.after))
        yield f"  {terminal(change.stage)}: {terminal(before)} → {terminal(after)}"
    if change.allowed and change.tags:
        said = sentence(change.allowed, change.allowed_rules)
        yield f"! {terminal(said, PROSE_LIMIT)}"
    for note in change.notes:
        yield f"! {terminal(note, PROSE_LIMIT)}"
