"""Release notes and the model card as Markdown, for a forge's release.

Titles, names and values come from commits and files of pull requests: all of it is escaped.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from modelci.domain.changes import DataChange, TrackedFile
from modelci.domain.gates import GateResult
from modelci.domain.metrics import MetricDelta
from modelci.domain.notes import MergedPull, ModelCard, ReleaseNotes
from modelci.domain.wording import counted
from modelci.render import quantities
from modelci.render.blocks import Block, fit
from modelci.render.escape import code, prose, table_row, web_address
from modelci.render.rows import gate_row, metric_row, relative_change, value_pair

T = TypeVar("T")

MAX_CARD_BYTES = 65_000

_CARD_LIMIT = 4000  # characters of one text of the card
_SIGNS = {"passed": "✅", "failed": "❌", "missing": "❌"}


def render_notes(notes: ReleaseNotes, *, max_bytes: int) -> str:
    """Return the notes, at most ``max_bytes`` of UTF-8: whole rows and parts go, the last first.

    ValueError where not even the heading fits.
    """
    blocks = [
        Block(rank=0, head=_head(notes)),
        *_metrics(notes),
        *_gates(notes),
        *_model(notes),
        *_params(notes),
        *_people(notes),
        *_card_blocks(notes.card),
    ]
    return fit(blocks, max_bytes=max_bytes, missing=_missing)


def render_card(notes: ReleaseNotes) -> str:
    """Return the model card of a version, a file beside its release."""
    version = f"# {code(notes.artifact)} {code(notes.version)}"
    commit = f"Commit {code(notes.commit, 40)}, tag {code(notes.tag)}."
    blocks = [
        Block(rank=0, head=f"{version}\n\n{commit}"),
        *_card_blocks(notes.card),
        *_metrics(notes),
        *_gates(notes),
        *_model(notes),
    ]
    return fit(blocks, max_bytes=MAX_CARD_BYTES, missing=_missing)


def _missing(count: int) -> str:
    return f"{counted(count, 'part')} left out: the report has all of it."


def _head(notes: ReleaseNotes) -> str:
    lines = []
    since = notes.since
    if since is None:
        lines.append("The first version: there is none to compare with.")
    else:
        held = f", which held {code(since.stage)}" if since.stage else ""
        lines.append(f"Changes since {code(since.tag)}{held}.")
    address = web_address(notes.run_url)
    if address:
        lines.append(f"Judged in [this run]({address}).")
    lines += [prose(note) for note in notes.notes]
    return "\n\n".join(lines)


def _metrics(notes: ReleaseNotes) -> Iterator[Block]:
    judged = {result.key for result in notes.gates if result.key}
    changed = [delta for delta in notes.metrics if delta.is_changed]
    first = sorted(changed, key=lambda delta: (delta.key not in judged, -relative_change(delta)))
    rows = first or [delta for delta in notes.metrics if delta.key in judged]
    title = "Metrics" if changed or notes.since is None else "Metrics (none changed)"
    yield from _table(1, title, ("Metric", "Before", "Now", "Change"), rows, _metric)


def _metric(delta: MetricDelta) -> list[str]:
    row = metric_row(delta)
    change = f"{row.arrow} {prose(row.change)} {row.trend}".strip()
    return [f"{code(row.path)} {code(row.name)}", prose(row.base), prose(row.head), change]


def _gates(notes: ReleaseNotes) -> Iterator[Block]:
    heads = ("Gate", "", "Before", "Now", "Interval", "Why")
    rows = sorted(notes.gates, key=lambda result: result.outcome == "passed")
    yield from _table(2, "Gates", heads, rows, _gate)
    for one in notes.evaluations:
        if one.head_rows is not None:
            text = f"{code(one.predictions)}: {counted(one.head_rows, 'row')} to test on."
            yield Block(rank=6, head=text)


def _gate(result: GateResult) -> list[str]:
    row = gate_row(result)
    interval = f"{row.interval} ({row.level}, {row.rows} rows)" if row.interval else row.proof
    reason = prose(row.reason)
    if row.waiver is not None:
        until = f"until {row.waiver.until}"
        reason += f"<br>Waived by {prose(row.waiver.author)} {until}: {prose(row.waiver.reason)}"
    sign = _SIGNS.get(row.outcome, "⚠️")
    name = f"{code(row.metric)} {row.rule} {prose(row.limit)}"
    cells = [name, f"{sign} {row.outcome}", prose(row.base), prose(row.head)]
    return [*cells, prose(interval), reason]


def _model(notes: ReleaseNotes) -> Iterator[Block]:
    model = notes.model
    if model is not None:
        size = quantities.size(model.bytes)
        head = f"### Model\n\n{code(model.path)}: {code(f'{model.hash_name}:{model.hash}')}, {size}"
        yield Block(rank=1, head=head)
    heads = ("Data and models", "", "Before", "Now")
    rows = [(change.path, str(change.kind), *data_sides(change)) for change in notes.data]
    yield from _table(
        3,
        "Data and models",
        heads,
        rows,
        lambda row: [code(row[0]), row[1], prose(row[2]), prose(row[3])],
    )


def data_sides(change: DataChange) -> tuple[str, str]:
    """Return a path's hash, size and number of files before and now."""
    return _side(change.base), _side(change.head)


def _side(file: TrackedFile | None) -> str:
    if file is None:
        return quantities.ABSENT
    parts = [(file.hash or "")[:8], quantities.size(file.bytes)]
    if file.files is not None:
        parts.append(counted(file.files, "file"))
    return " ".join(part for part in parts if part)


def _params(notes: ReleaseNotes) -> Iterator[Block]:
    rows = [(str(change.key), *value_pair(change)) for change in notes.params]
    yield from _table(
        4,
        "Parameters",
        ("Parameter", "Before", "Now"),
        rows,
        lambda row: [code(row[0]), code(row[1]), code(row[2])],
    )


def _people(notes: ReleaseNotes) -> Iterator[Block]:
    yield from _list(5, "Merged", notes.pulls, _pull)
    if notes.authors:
        names = [prose(name, 80) for name in notes.authors[:50]]
        more = len(notes.authors) - len(names)
        behind = f" and {more:,} more" if more else ""
        yield Block(rank=5, head=f"### Authors\n\n{', '.join(names)}{behind}")


def _pull(pull: MergedPull) -> str:
    # A merge request's number is a reference only to itself: no title can make another one.
    return f"{pull.mark}{pull.number}: {prose(pull.title)} ({prose(pull.author, 80)})"


def _card_blocks(card: ModelCard) -> Iterator[Block]:
    texts = {"About": card.description, "Intended use": card.intended_use, "License": card.license}
    for title, text in texts.items():
        if text:
            yield Block(rank=3, head=f"### {title}\n\n{_paragraphs(text)}")
    yield from _list(3, "Limitations", card.limitations, lambda text: prose(text, _CARD_LIMIT))
    yield from _list(3, "Owners", card.owners, prose)
    yield from _list(3, "Links", card.links, _link)


def _paragraphs(text: str) -> str:
    parts = [prose(part, _CARD_LIMIT) for part in text.split("\n\n") if part.strip()]
    return "\n\n".join(parts)


def _link(text: str) -> str:
    address = web_address(text)
    return f"<{address}>" if address else prose(text)


def _list(rank: int, title: str, rows: Sequence[T], line: Callable[[T], str]) -> Iterator[Block]:
    if rows:
        yield Block(
            rank=rank,
            head=f"### {title}",
            rows=((place, f"- {line(row)}") for place, row in enumerate(rows)),
            total=len(rows),
        )


def _table(
    rank: int, title: str, heads: Sequence[str], rows: Sequence[T], cells: Callable[[T], list[str]]
) -> Iterator[Block]:
    if rows:
        opening = f"{table_row(list(heads))}\n{table_row(['---'] * len(heads))}"
        yield Block(
            rank=rank,
            head=f"### {title}",
            opening=opening,
            rows=((place, table_row(cells(row))) for place, row in enumerate(rows)),
            total=len(rows),
        )
