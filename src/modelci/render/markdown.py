"""A report as GitHub-flavoured Markdown, for a comment or a job's summary."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from modelci.domain.changes import DataChange, FileChange, ValueChange
from modelci.domain.gates import GateResult
from modelci.domain.metrics import MetricDelta
from modelci.domain.pipeline import StageChange, StageRun
from modelci.domain.report import GateChange, Report, Revision
from modelci.render import quantities
from modelci.render.blocks import Block, fit
from modelci.render.digest import Digest, Headline, Role, Tone, digest, run_counts, short_sha
from modelci.render.escape import (
    clean,
    code,
    inline,
    log_lines,
    prose,
    table_row,
    unmark,
    web_address,
)
from modelci.render.quantities import ABSENT, counted
from modelci.render.rows import (
    Mood,
    data_row,
    gate_row,
    line_counts,
    metric_row,
    relative_change,
    stage_fields,
    stage_row,
    value_pair,
)

SUMMARY_BYTES = 1_000_000
"""GitHub takes 1 MiB of summary from a step; other lines may stand beside ours."""

_OPEN_ROWS = 30  # of a table that is not folded; the rest of a longer one is
_LOGS = 3  # of failed stages

_TONES = {
    Tone.GOOD: "✅",
    Tone.BAD: "❌",
    Tone.WARNING: "⚠️",
    Tone.INFO: "ℹ️",  # noqa: RUF001 - the emoji
    Tone.BROKEN: "💥",
}
_GATE_SIGNS = {Mood.GOOD: "✅", Mood.BAD: "❌", Mood.WARNING: "⚠️", Mood.NEUTRAL: "⚪"}
_TREND_SIGNS = {Mood.GOOD: "🟢", Mood.BAD: "🔴", Mood.WARNING: "🟡", Mood.NEUTRAL: "⚪"}
_STAGE_SIGNS = {Mood.GOOD: "✅", Mood.BAD: "❌", Mood.WARNING: "⏭️", Mood.NEUTRAL: "⚪"}

# Who gets room first; the verdict and its surroundings have rank 0.
_RANKS = (
    "verdict gates edits notes logs metrics run stages data params texts passed unchanged files"
).split()

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table(Generic[T]):
    """Rows of one kind. A title that ends in a colon stands over a column of numbers."""

    rank: str
    titles: Sequence[str]
    rows: Sequence[T]
    cells: Callable[[T], list[str]]


def render_comment(report: Report, *, title: str, marker: str, max_bytes: int = 65_000) -> str:
    """Return a comment's body: the marker line, a heading, the verdict, and what it rests on.

    At most ``max_bytes`` of UTF-8: whole rows are left out, least important first, and the text
    says how many. ValueError where not even the verdict fits; 16 KiB hold any.
    """
    return _render(report, title=title, marker=marker, max_bytes=max_bytes)


def render_summary(report: Report, *, title: str, max_bytes: int = SUMMARY_BYTES) -> str:
    """Return the same for the summary page of a job, where there is more room and no marker."""
    return _render(report, title=title, marker="", max_bytes=max_bytes)


def _render(report: Report, *, title: str, marker: str, max_bytes: int) -> str:
    view = digest(report)
    heading = f"## {prose(title, 200)}\n\n{_verdict(view.headline)}"
    blocks = [
        Block(rank=0, head=f"{marker}\n{heading}" if marker else heading),
        *_attention(report, view),
        *_changes(report, view),
        *_folded(report, view),
        Block(rank=0, head=_provenance(report)),
    ]
    return fit(blocks, max_bytes=max_bytes, missing=_missing_parts)


def _attention(report: Report, view: Digest) -> Iterator[Block]:
    """What a reader has to act on."""
    yield from _open(_gates("gates", view.troubled, view), "gates that do not hold")
    yield from _gate_edits(report.gate_changes)
    yield from _notes([note for note in report.notes if note.strip()])
    for stage in view.failed[:_LOGS]:
        yield _log(stage)


def _changes(report: Report, view: Digest) -> Iterator[Block]:
    if report.base is None:
        yield from _open(_values("metrics", view.changed, view), "metrics")
        return
    changed = list(view.changed)
    if len(changed) > _OPEN_ROWS:
        changed.sort(key=relative_change, reverse=True)
    yield from _open(_metrics(changed, view), "changed metrics, the greatest changes first")


def _folded(report: Report, view: Digest) -> Iterator[Block]:
    """Everything else, each part behind its own summary line."""
    if report.run:
        time = quantities.duration(report.run.seconds)
        yield from _fold(_stages(report), f"Run: {run_counts(report.run)}, {time}")
    yield from _fold(_stage_changes(report), "Pipeline stages changed: {:,}")
    yield from _fold(_data(report), "Data and models changed: {:,}")
    yield from _fold(_values_changed("params", report.params), "Parameters changed: {:,}")
    yield from _fold(_values_changed("texts", report.texts), "Metrics that are text, changed: {:,}")
    yield from _fold(_gates("passed", view.passed, view), "Gates that hold: {:,}")
    yield from _fold(_values("unchanged", view.unchanged, view), "Metrics unchanged: {:,}")
    yield from _fold(_files(report), "Files changed in Git: {:,}")


def _verdict(headline: Headline) -> str:
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


def _gates(rank: str, results: Sequence[GateResult], view: Digest) -> Table[GateResult]:
    def cells(result: GateResult) -> list[str]:
        row = gate_row(result)
        pattern = result.gate.metric
        named = {row.metric, str(result.key)}
        gate = code(row.rule) + ("" if pattern in named else f" on {code(pattern)}")
        return [
            f"{_GATE_SIGNS[row.mood]} {row.outcome}",
            gate,
            *([code(row.path) if row.path else ""] if view.shows_files else []),
            code(row.metric),
            row.base,
            row.head,
            row.change,
            row.limit,
            prose(row.reason),
        ]

    file = ["File"] if view.shows_files else []
    titles = ["Outcome", "Gate", *file, "Metric", "Base:", "Head:", "Change:", "Limit:", "Reason"]
    return Table(rank=rank, titles=titles, rows=results, cells=cells)


def _metrics(deltas: Sequence[MetricDelta], view: Digest) -> Table[MetricDelta]:
    def cells(delta: MetricDelta) -> list[str]:
        row = metric_row(delta)
        return [
            *([code(row.path)] if view.shows_files else []),
            code(row.name),
            row.base,
            row.head,
            f"{row.arrow} {row.change}".strip(),
            f"{_TREND_SIGNS[row.mood]} {row.trend}".strip(),
        ]

    file = ["File"] if view.shows_files else []
    titles = [*file, "Metric", "Base:", "Head:", "Change:", "Trend"]
    return Table(rank="metrics", titles=titles, rows=deltas, cells=cells)


def _values(rank: str, deltas: Sequence[MetricDelta], view: Digest) -> Table[MetricDelta]:
    """Metrics of which there is but one value."""

    def cells(delta: MetricDelta) -> list[str]:
        file = [code(delta.key.path)] if view.shows_files else []
        return [*file, code(delta.key.name), quantities.number(delta.head)]

    file = ["File"] if view.shows_files else []
    return Table(rank=rank, titles=[*file, "Metric", "Value:"], rows=deltas, cells=cells)


def _stages(report: Report) -> Table[StageRun]:
    def cells(stage: StageRun) -> list[str]:
        row = stage_row(stage)
        status = f"{_STAGE_SIGNS[row.mood]} {row.status}"
        return [code(row.name), status, row.time, prose(row.reason)]

    stages = report.run.stages if report.run else ()
    return Table(
        rank="run", titles=["Stage", "Status", "Time:", "Reason"], rows=stages, cells=cells
    )


def _stage_changes(report: Report) -> Table[StageChange]:
    def cells(change: StageChange) -> list[str]:
        return [code(change.name), str(change.kind), prose(stage_fields(change))]

    return Table(
        rank="stages", titles=["Stage", "Change", "Fields"], rows=report.stages, cells=cells
    )


def _data(report: Report) -> Table[DataChange]:
    def cells(change: DataChange) -> list[str]:
        row = data_row(change)
        return [code(row.path), row.what, row.kind, row.size, row.files]

    titles = ["Path", "Kind", "Change", "Size:", "Files:"]
    return Table(rank="data", titles=titles, rows=report.data, cells=cells)


def _values_changed(rank: str, changes: Sequence[ValueChange]) -> Table[ValueChange]:
    shows_files = len({change.key.path for change in changes}) > 1

    def cells(change: ValueChange) -> list[str]:
        file = [code(change.key.path)] if shows_files else []
        sides = [one if one == ABSENT else code(one) for one in value_pair(change)]
        return [*file, code(change.key.name), *sides]

    file = ["File"] if shows_files else []
    return Table(rank=rank, titles=[*file, "Name", "Base", "Head"], rows=changes, cells=cells)


def _files(report: Report) -> Table[FileChange]:
    def cells(change: FileChange) -> list[str]:
        return [code(change.path), str(change.kind), line_counts(change)]

    titles = ["File", "Change", "Lines:"]
    return Table(rank="files", titles=titles, rows=report.files, cells=cells)


def _open(table: Table[T], what: str) -> Iterator[Block]:
    """Show a table, and fold what of it would fill more than a screen."""
    head, rest = table.rows[:_OPEN_ROWS], table.rows[_OPEN_ROWS:]
    if head:
        yield _block(replace(table, rows=head))
    if rest:
        yield from _fold(replace(table, rows=rest), "{:,} more " + what)


def _fold(table: Table[T], summary: str) -> Iterator[Block]:
    if table.rows:
        title = summary.format(len(table.rows))
        head = f"<details>\n<summary>{title}</summary>"
        yield replace(_block(table), head=head, tail="</details>")


def _block(table: Table[T]) -> Block:
    rows = enumerate(table_row(table.cells(row)) for row in table.rows)
    titles = [title.removesuffix(":") for title in table.titles]
    ruler = ["---:" if title.endswith(":") else "---" for title in table.titles]
    return Block(
        rank=_RANKS.index(table.rank),
        opening=f"{table_row(titles)}\n{table_row(ruler)}",
        rows=rows,
        total=len(table.rows),
        more=_more_rows,
    )


def _gate_edits(changes: Sequence[GateChange]) -> Iterator[Block]:
    if changes:
        lines = (f"> - {one.kind}: {code(str(one.gate))} ({one.gate.severity})" for one in changes)
        yield Block(
            rank=_RANKS.index("edits"),
            opening="> [!WARNING]\n> **This change edits its own gates.** They were judged as the "
            "base has them; the edits apply from the merge on:\n>",
            rows=enumerate(lines),
            total=len(changes),
            more=lambda count: f"_… {counted(count, 'more edit')} of gates_",
        )


def _notes(notes: Sequence[str]) -> Iterator[Block]:
    if notes:
        yield Block(
            rank=_RANKS.index("notes"),
            opening="> [!NOTE]",
            rows=enumerate(f"> - {prose(note)}" for note in notes),
            total=len(notes),
            more=lambda count: f"_… {counted(count, 'more note')}_",
        )


def _log(stage: StageRun) -> Block:
    lines = [unmark(line) for line in log_lines(stage.log_tail)] if stage.log_tail.strip() else []
    ticks = "`" * (1 + max([2, *(len(run) for line in lines for run in re.findall("`+", line))]))
    ending = "" if stage.exit_code is None else f" with exit code {stage.exit_code}"
    time = "" if stage.seconds is None else f" after {quantities.duration(stage.seconds)}"
    tail = "; the end of its log:" if lines else "; it left no log."
    return Block(
        rank=_RANKS.index("logs"),
        head=f"Stage {code(stage.name)} failed{ending}{time}{tail}",
        opening=f"{ticks}text",
        rows=((place, lines[place]) for place in reversed(range(len(lines)))),
        total=len(lines),
        closing=ticks,
        more=lambda count: f"_… {counted(count, 'earlier line')} left out_",
    )


def _provenance(report: Report) -> str:
    address = web_address(report.run_url)
    parts = [
        f"Base {_revision(report.base)}" if report.base else "No base",
        _head(report),
        *([f"[run]({address})"] if address else []),
        f"modelci {prose(report.version, 40)}",
        prose(report.created, 40),
    ]
    return f"<sub>{' · '.join(parts)}</sub>"


def _head(report: Report) -> str:
    head = f"Head {_revision(report.head)}"
    if report.head_sha and report.head_sha != report.head.sha:
        return f"{head}, for {code(short_sha(report.head_sha))}"
    return head


def _revision(revision: Revision) -> str:
    short = short_sha(revision.sha or "")
    sha = f"{code(short)} " if short and short != revision.name else ""
    dirty = " with uncommitted changes" if revision.dirty else ""
    chosen = f" ({prose(revision.chosen, 200)})" if revision.chosen else ""
    return f"{sha}{code(revision.name)}{dirty}{chosen}"


def _more_rows(count: int) -> str:
    return f"_… {counted(count, 'more row')}: see the HTML page or the report's JSON_"


def _missing_parts(count: int) -> str:
    return f"_… {counted(count, 'more part')}: see the HTML page or the report's JSON_"
