"""A report as GitHub-flavoured Markdown, for a comment or a job's summary."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from modelci.domain.changes import DataChange, FileChange, ValueChange
from modelci.domain.evidence import EvaluationResult
from modelci.domain.gates import GateResult
from modelci.domain.metrics import MetricDelta
from modelci.domain.pipeline import StageChange, StageRun
from modelci.domain.report import GateChange, Report, Revision, SettingChange
from modelci.domain.slices import FairnessResult, SliceResult
from modelci.domain.wording import counted
from modelci.render import mermaid, quantities
from modelci.render.blocks import Block, fit_parts
from modelci.render.digest import (
    FROM_FORK,
    Digest,
    digest,
    outlook,
    run_counts,
    short_sha,
)
from modelci.render.escape import (
    code,
    log_lines,
    picture_address,
    prose,
    unmark,
    web_address,
)
from modelci.render.mdtables import (
    GATE_SIGNS,
    Table,
    fold,
    join,
    missing_parts,
    notes_block,
    open_table,
    summary,
    verdict_text,
)
from modelci.render.quantities import ABSENT
from modelci.render.rows import (
    Mood,
    WaiverRow,
    data_row,
    evaluation_row,
    fairness_row,
    gate_row,
    line_counts,
    metric_row,
    proof_of,
    relative_change,
    slice_row,
    stage_fields,
    stage_row,
    value_pair,
    waiver_edit,
)
from modelci.render.sparkline import sparkline
from modelci.render.templating import COMMENT, Overrides, render_sections
from modelci.render.vega import captions

SUMMARY_BYTES = 1_000_000
"""GitHub takes 1 MiB of summary from a step; other lines may stand beside ours."""

_OPEN_ROWS = 30  # of a table that is not folded; the rest of a longer one is
_LOGS = 3  # of failed stages
_CHARTS = 3  # of gated metrics
_GROUPS = 4  # of the lowest rates, and of the highest

_TREND_SIGNS = {Mood.GOOD: "🟢", Mood.BAD: "🔴", Mood.WARNING: "🟡", Mood.NEUTRAL: "⚪"}
_STAGE_SIGNS = {Mood.GOOD: "✅", Mood.BAD: "❌", Mood.WARNING: "⏭️", Mood.NEUTRAL: "⚪"}

# Who gets room first; the verdict and its surroundings have rank 0.
_RANKS = (
    "verdict gates edits notes logs bad_slices metrics pictures run stages data params texts "
    "passed slices fairness evaluations charts unchanged files"
).split()

T = TypeVar("T")


def render_comment(
    report: Report,
    *,
    title: str,
    marker: str,
    max_bytes: int = 65_000,
    pictures: Mapping[str, str] | None = None,
    elsewhere: str | None = None,
    overrides: Overrides | None = None,
) -> str:
    """Return a comment's body: the marker line, a heading, the verdict, and what it rests on.

    ``pictures`` are addresses by the names of ``vega.captions``; ``elsewhere`` says where the
    pictures are that have none. At most ``max_bytes`` of UTF-8: whole rows are left out, least
    important first, and the text says how many. ValueError where not even the verdict fits;
    16 KiB hold any.
    """
    shown = _Pictures(addresses=pictures or {}, elsewhere=elsewhere)
    head = f"{marker}\n" if marker else ""
    room = max_bytes - len(head.encode())
    if overrides is None or not overrides.has(COMMENT):
        return head + join(_sections(report, title, room, shown))
    return head + render_sections(
        lambda left: _sections(report, title, left, shown),
        report=report,
        overrides=overrides,
        max_bytes=room,
    )


def render_summary(report: Report, *, title: str, max_bytes: int = SUMMARY_BYTES) -> str:
    """Return the same for the summary page of a job, where there is more room and no marker."""
    return join(_sections(report, title, max_bytes, _Pictures()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pictures:
    addresses: Mapping[str, str] = field(default_factory=dict)
    elsewhere: str | None = None


def _sections(
    report: Report, title: str, max_bytes: int, pictures: _Pictures
) -> list[tuple[str, str]]:
    """Return the sections' names and texts, in order; a name may come several times."""
    view = digest(report)
    fork = f"\n\n> [!IMPORTANT]\n> {FROM_FORK}" if report.from_fork else ""
    merge = f"\n\n{prose(outlook(report), 1_000)}" if report.on_merge else ""
    heading = f"## {prose(title, 200)}\n\n{verdict_text(view.headline)}{merge}{fork}"
    blocks = [
        Block(rank=0, section="headline", head=heading),
        *_attention(report, view),
        *_changes(report, view),
        *_parts_of_data(report, view),
        *_pictures(report, view, pictures),
        *_folded(report, view),
        Block(rank=0, section="footer", head=_provenance(report)),
    ]
    return fit_parts(blocks, max_bytes=max_bytes, missing=missing_parts)


def _attention(report: Report, view: Digest) -> Iterator[Block]:
    """What a reader has to act on."""
    yield from open_table(_gates("gates", view.troubled, view), "gates that do not hold")
    yield from _edits(report)
    yield from notes_block(report.notes, rank=_RANKS.index("notes"))
    for stage in view.failed[:_LOGS]:
        yield _log(stage)


def _changes(report: Report, view: Digest) -> Iterator[Block]:
    if report.base is None:
        yield from open_table(_values("metrics", view.changed, view), "metrics")
        return
    changed = list(view.changed)
    if len(changed) > _OPEN_ROWS:
        changed.sort(key=relative_change, reverse=True)
    yield from open_table(_metrics(changed, view), "changed metrics, the greatest changes first")


def _parts_of_data(report: Report, view: Digest) -> Iterator[Block]:
    """What the predictions say of slices and groups, and whether they could be compared."""
    bad = len(view.bad_slices)
    yield from open_table(_slices("bad_slices", view.bad_slices), "slices that got worse")
    yield from fold(_slices("slices", view.slices[bad:]), "Slices that hold: {:,}, worst first")
    yield from fold(_fairness(report), "Gaps between groups: {:,}")
    lost = sum(not one.comparable for one in report.evaluations)
    tail = f", {lost:,} not comparable" if lost else ""
    yield from fold(_evaluations(report), "Predictions compared: {:,}" + tail)


def _pictures(report: Report, view: Digest, pictures: _Pictures) -> Iterator[Block]:
    found = [
        (title, address)
        for name, title in captions(report).items()
        if (address := picture_address(pictures.addresses.get(name, "")))
    ]
    pairs = [found[place : place + 2] for place in range(0, len(found), 2)]
    table = Table(
        rank=_RANKS.index("pictures"),
        section="pictures",
        titles=["", ""],
        rows=pairs,
        cells=_picture_cells,
    )
    title = f"Pictures: {len(found):,}"
    yield from (replace(block, head=summary(title)) for block in fold(table, "{}"))
    if pictures.elsewhere:
        line = f"_{prose(pictures.elsewhere)}_"
        yield Block(rank=_RANKS.index("pictures"), section="pictures", head=line)
    yield from _charts(view)


def _picture_cells(pair: Sequence[tuple[str, str]]) -> list[str]:
    cells = [f"![{prose(title)}]({address})<br>{prose(title)}" for title, address in pair]
    return [*cells, *[""] * (2 - len(cells))]


def _charts(view: Digest) -> Iterator[Block]:
    """Draw how a few gated metrics went, folded, each in a block of its own."""
    keys = dict.fromkeys(one.key for one in view.troubled + view.passed if one.key)
    charts = [
        chart
        for key in keys
        if key in view.trends and (chart := mermaid.render_history(view.trends[key]))
    ][:_CHARTS]
    if charts:
        text = "\n\n".join(f"```mermaid\n{chart}```" for chart in charts)
        head = f"{summary('History of gated metrics')}\n\n{text}"
        rank = _RANKS.index("charts")
        yield Block(rank=rank, section="pictures", head=head, tail="</details>")


def _folded(report: Report, view: Digest) -> Iterator[Block]:
    """Everything else, each part behind its own summary line."""
    if report.run:
        time = quantities.duration(report.run.seconds)
        yield from fold(_stages(report), f"Run: {run_counts(report.run)}, {time}")
    yield from fold(_stage_changes(report), "Pipeline stages changed: {:,}")
    yield from fold(_data(report), "Data and models changed: {:,}")
    yield from fold(_values_changed("params", report.params), "Parameters changed: {:,}")
    yield from fold(_values_changed("texts", report.texts), "Metrics that are text, changed: {:,}")
    yield from fold(_gates("passed", view.passed, view), "Gates that hold: {:,}")
    yield from fold(_values("unchanged", view.unchanged, view), "Metrics unchanged: {:,}")
    yield from fold(_files(report), "Files changed in Git: {:,}")


def _gates(rank: str, results: Sequence[GateResult], view: Digest) -> Table[GateResult]:
    shows_proof = any(map(proof_of, results))

    def cells(result: GateResult) -> list[str]:
        row = gate_row(result)
        pattern = result.gate.metric
        named = {row.metric, str(result.key)}
        gate = code(row.rule) + ("" if pattern in named else f" on {code(pattern)}")
        return [
            f"{GATE_SIGNS[row.mood]} {row.outcome}{', waived' if row.waiver else ''}",
            gate,
            *([code(row.path) if row.path else ""] if view.shows_files else []),
            code(row.metric),
            row.base,
            row.head,
            row.change,
            *([row.proof] if shows_proof else []),
            row.limit,
            prose(row.reason) + (f"; {_waiver(row.waiver)}" if row.waiver else ""),
        ]

    titles = [
        *("Outcome", "Gate"),
        *(["File"] if view.shows_files else []),
        *("Metric", "Base:", "Head:", "Change:"),
        *(["Interval:"] if shows_proof else []),
        *("Limit:", "Reason"),
    ]
    return Table(
        rank=_RANKS.index(rank), section=_section(rank), titles=titles, rows=results, cells=cells
    )


def _section(rank: str) -> str:
    """Return the section of what is told apart by rank alone."""
    parts = {"passed": "gates", "unchanged": "metrics", "texts": "params", "bad_slices": "slices"}
    return parts.get(rank, rank)


def _waiver(row: WaiverRow) -> str:
    return f"**waived** until {row.until} by {prose(row.author, 80)} – {prose(row.reason)}"


def _metrics(deltas: Sequence[MetricDelta], view: Digest) -> Table[MetricDelta]:
    shows_history = any(delta.key in view.trends for delta in deltas)

    def cells(delta: MetricDelta) -> list[str]:
        row = metric_row(delta)
        trend = view.trends.get(delta.key)
        return [
            *([code(row.path)] if view.shows_files else []),
            code(row.name),
            row.base,
            row.head,
            f"{row.arrow} {row.change}".strip(),
            f"{_TREND_SIGNS[row.mood]} {row.trend}".strip(),
            *([code(sparkline(trend)) if trend else ""] if shows_history else []),
        ]

    file = ["File"] if view.shows_files else []
    titles = [*file, "Metric", "Base:", "Head:", "Change:", "Trend"]
    titles += ["History"] if shows_history else []
    return Table(
        rank=_RANKS.index("metrics"), section="metrics", titles=titles, rows=deltas, cells=cells
    )


def _slices(rank: str, slices: Sequence[SliceResult]) -> Table[SliceResult]:
    def cells(result: SliceResult) -> list[str]:
        row = slice_row(result)
        return [
            f"{_TREND_SIGNS[row.mood]} {row.trend}".strip(),
            code(row.measure),
            code(row.slice),
            row.rows,
            row.base,
            row.head,
            row.change,
            row.interval,
            row.p,
            prose(row.reason),
        ]

    titles = ["Trend", "Measure", "Slice", "Rows:", "Base:", "Head:", "Change:", "Interval:"]
    titles += ["p, adjusted:", "Reason"]
    return Table(rank=_RANKS.index(rank), section="slices", titles=titles, rows=slices, cells=cells)


def _fairness(report: Report) -> Table[FairnessResult]:
    def cells(result: FairnessResult) -> list[str]:
        row = fairness_row(result)
        groups = "; ".join(
            f"{code(group.name, 40)} {group.rate} of {group.rows}"
            for group in (*row.groups[:_GROUPS], *row.groups[_GROUPS:][-_GROUPS:])
        )
        more = len(row.groups) - 2 * _GROUPS
        rest = f" _and {more:,} more between_" if more > 0 else ""
        gap = f"{row.metric} ({prose(row.rate, 60)})"
        return [gap, code(row.column), row.base_gap, row.gap, row.interval, groups + rest]

    titles = ["Gap", "Column", "Base:", "Head:", "Interval:", "Rates by group"]
    return Table(
        rank=_RANKS.index("fairness"),
        section="slices",
        titles=titles,
        rows=report.fairness,
        cells=cells,
    )


def _evaluations(report: Report) -> Table[EvaluationResult]:
    def cells(result: EvaluationResult) -> list[str]:
        row = evaluation_row(result)
        state = f"{GATE_SIGNS[row.mood]} {row.state}"
        return [code(row.predictions), state, row.rows, row.overlap, prose(row.reason)]

    titles = ["Predictions", "State", "Rows:", "Ids on both sides:", "Why"]
    return Table(
        rank=_RANKS.index("evaluations"),
        section="slices",
        titles=titles,
        rows=report.evaluations,
        cells=cells,
    )


def _values(rank: str, deltas: Sequence[MetricDelta], view: Digest) -> Table[MetricDelta]:
    """Metrics of which there is but one value."""

    def cells(delta: MetricDelta) -> list[str]:
        file = [code(delta.key.path)] if view.shows_files else []
        return [*file, code(delta.key.name), quantities.number(delta.head)]

    file = ["File"] if view.shows_files else []
    titles = [*file, "Metric", "Value:"]
    return Table(
        rank=_RANKS.index(rank), section=_section(rank), titles=titles, rows=deltas, cells=cells
    )


def _stages(report: Report) -> Table[StageRun]:
    def cells(stage: StageRun) -> list[str]:
        row = stage_row(stage)
        status = f"{_STAGE_SIGNS[row.mood]} {row.status}"
        return [code(row.name), status, row.time, prose(row.reason)]

    stages = report.run.stages if report.run else ()
    return Table(
        rank=_RANKS.index("run"),
        section="stages",
        titles=["Stage", "Status", "Time:", "Reason"],
        rows=stages,
        cells=cells,
    )


def _stage_changes(report: Report) -> Table[StageChange]:
    def cells(change: StageChange) -> list[str]:
        return [code(change.name), str(change.kind), prose(stage_fields(change))]

    return Table(
        rank=_RANKS.index("stages"),
        section="stages",
        titles=["Stage", "Change", "Fields"],
        rows=report.stages,
        cells=cells,
    )


def _data(report: Report) -> Table[DataChange]:
    def cells(change: DataChange) -> list[str]:
        row = data_row(change)
        return [code(row.path), row.what, row.kind, row.size, row.files]

    titles = ["Path", "Kind", "Change", "Size:", "Files:"]
    return Table(
        rank=_RANKS.index("data"), section="data", titles=titles, rows=report.data, cells=cells
    )


def _values_changed(rank: str, changes: Sequence[ValueChange]) -> Table[ValueChange]:
    shows_files = len({change.key.path for change in changes}) > 1

    def cells(change: ValueChange) -> list[str]:
        file = [code(change.key.path)] if shows_files else []
        sides = [one if one == ABSENT else code(one) for one in value_pair(change)]
        return [*file, code(change.key.name), *sides]

    file = ["File"] if shows_files else []
    titles = [*file, "Name", "Base", "Head"]
    return Table(
        rank=_RANKS.index(rank), section="params", titles=titles, rows=changes, cells=cells
    )


def _files(report: Report) -> Table[FileChange]:
    def cells(change: FileChange) -> list[str]:
        return [code(change.path), str(change.kind), line_counts(change)]

    titles = ["File", "Change", "Lines:"]
    return Table(
        rank=_RANKS.index("files"), section="files", titles=titles, rows=report.files, cells=cells
    )


def _options(change: GateChange) -> tuple[str, ...]:
    """Return a gate's severity, and all else of it that is not usual."""
    return tuple(dict.fromkeys((str(change.gate.severity), *change.gate.options)))


def _setting(change: SettingChange) -> str:
    sides = ("not set" if one is None else code(one) for one in (change.base, change.head))
    return f"{code(change.key)} {' → '.join(sides)}"


def _edits(report: Report) -> Iterator[Block]:
    """Tell that the head edits what judges it."""
    gates = [
        f"{one.kind}: {code(str(one.gate))} ({', '.join(_options(one))})"
        for one in report.gate_changes
    ]
    gates += [f"changed: {_setting(one)}" for one in report.setting_changes]
    waivers = [
        f"{kind}: {code(row.gate)}, {_waiver(row)}"
        for kind, row in map(waiver_edit, report.waiver_changes)
    ]
    yield from _alert(
        gates,
        "gates",
        "**This change edits its own gates.** They were judged as the base has them",
    )
    yield from _alert(
        waivers, "waivers", "**This change edits waivers.** Those that the base has were applied"
    )


def _alert(lines: Sequence[str], what: str, start: str) -> Iterator[Block]:
    if lines:
        yield Block(
            rank=_RANKS.index("edits"),
            section="gates",
            opening=f"> [!WARNING]\n> {start}; the edits apply from the merge on:\n>",
            rows=enumerate(f"> - {line}" for line in lines),
            total=len(lines),
            more=lambda count: f"_… {counted(count, 'more edit')} of {what}_",
        )


def _log(stage: StageRun) -> Block:
    lines = [unmark(line) for line in log_lines(stage.log_tail)] if stage.log_tail.strip() else []
    ticks = "`" * (1 + max([2, *(len(run) for line in lines for run in re.findall("`+", line))]))
    ending = "" if stage.exit_code is None else f" with exit code {stage.exit_code}"
    time = "" if stage.seconds is None else f" after {quantities.duration(stage.seconds)}"
    tail = "; the end of its log:" if lines else "; it left no log."
    return Block(
        rank=_RANKS.index("logs"),
        section="notes",
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
