"""Reports, plans, runs and promotions as text for a terminal."""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TypeVar

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from modelci.domain.allowance import sentence
from modelci.domain.changes import DataChange
from modelci.domain.checks import Examination, Health
from modelci.domain.gates import GateResult
from modelci.domain.history import History, MetricHistory
from modelci.domain.metrics import MetricDelta, MetricValue
from modelci.domain.pipeline import Plan, PlannedState, Run, StageRun
from modelci.domain.promotion import Promotion
from modelci.domain.report import Report, Revision
from modelci.domain.slices import FairnessResult, SliceResult
from modelci.domain.wording import counted
from modelci.render import quantities
from modelci.render.digest import (
    FROM_FORK,
    Digest,
    Tone,
    digest,
    outlook,
    revision_label,
    run_counts,
    short_sha,
)
from modelci.render.escape import log_lines, terminal
from modelci.render.rows import (
    GateRow,
    Mood,
    WaiverRow,
    data_row,
    evaluation_row,
    fairness_row,
    gate_row,
    history_row,
    line_counts,
    metric_row,
    relative_change,
    slice_row,
    stage_fields,
    stage_row,
    value_pair,
    waiver_edit,
)
from modelci.render.sparkline import sparkline
from modelci.render.tables import (
    MOODS,
    MOST_ROWS,
    TONES,
    Cell,
    draw,
    name_text,
    plain_text,
    remarks,
    section,
    table,
    verdict_line,
)

_HEALTH = {
    Health.OK: ("✓", "green"),
    Health.WARNING: ("!", "yellow"),
    Health.PROBLEM: ("✗", "bold red"),
}
_STATES = {
    PlannedState.RUN: "bold yellow",
    PlannedState.RESTORE: "cyan",
    PlannedState.UNCHANGED: "dim",
    PlannedState.FROZEN: "magenta",
    PlannedState.DEPENDS: "yellow",
}

_GATE_TITLES = {
    True: ["Outcome", "Gate", "Metric", "Base:", "Head:", "Reason"],
    False: ["Outcome", "Gate", "Metric", "Reason"],
}
T = TypeVar("T")


def render_report(report: Report, *, width: int = 100, colour: bool = False) -> str:
    """Return the verdict, then gates, changed metrics and the rest as tables."""
    view = digest(report)
    return draw(_report(report, view, wide=width >= 80), width=width, colour=colour)


def render_plan(plan: Plan, *, width: int = 100, colour: bool = False) -> str:
    """Return what a run would do with each stage, and why."""
    counts = {state: sum(stage.state is state for stage in plan.stages) for state in PlannedState}
    words = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    rows: Iterator[list[Cell]] = (
        [
            name_text(one.name),
            Text(one.state, _STATES[one.state]),
            plain_text("; ".join(one.reasons)),
        ]
        for one in plan.stages
    )
    parts: list[RenderableType] = [Text(f"{counted(len(plan.stages), 'stage')}: {words}")]
    if plan.stages:
        parts.append(table(["Stage", "State", "Reason"], rows))
    else:
        parts = [Text("There are no stages to run.")]
    return draw(parts, width=width, colour=colour)


def render_run(
    run: Run, *, width: int = 100, colour: bool = False, shown: Collection[str] = ()
) -> str:
    """Return what a run did, stage by stage, with the ends of failed stages' logs.

    Of the stages ``shown`` the reader has just seen the log: it is not repeated.
    """
    tone = Tone.GOOD if run.is_ok else Tone.BROKEN
    sign, style = TONES[tone]
    word = "Pipeline ran" if run.is_ok else "Pipeline failed" if run.failed else "Run failed"
    line = Text.assemble((f"{sign} {word}", style), f": {run_counts(run)}")
    line.append(f" in {quantities.duration(run.seconds)}.")
    parts: list[RenderableType] = [line]
    if run.error:
        parts.append(plain_text(run.error))
    if run.stages:
        parts.append(_stages(run))
    parts.extend(_logs([stage for stage in run.failed if stage.name not in shown]))
    if run.pushed is not None:
        parts.append(Text(f"{counted(run.pushed, 'object')} pushed to the DVC remote."))
    return draw(parts, width=width, colour=colour)


def render_promotion(promotion: Promotion, *, width: int = 100, colour: bool = False) -> str:
    """Return the tags that were (or would be) created, and the artifacts left alone."""
    return draw(_promotion(promotion), width=width, colour=colour)


def render_verdict(report: Report, *, width: int = 100, colour: bool = False) -> str:
    """Return the verdict and the gates behind it."""
    view = digest(report)
    wide = width >= 80
    cells = _gate_cells(view, wide=wide)
    gates = section("Gates", view.troubled + view.passed, _GATE_TITLES[wide], cells)
    return draw([verdict_line(view.headline), *gates], width=width, colour=colour)


def render_history(history: History, *, width: int = 100, colour: bool = False) -> str:
    """Return each metric's way as a sparkline; of one metric also every value."""
    titles = ["Metric", "History", "First:", "Last:", "Best:"]
    parts: list[RenderableType] = [Text(f"{terminal(history.of, 200)}:")]
    if not history.metrics:
        parts.append(Text("No metric of that name is there."))
    elif len(history.metrics) == 1:
        parts.extend(_single(history.metrics[0]))
    else:
        shows_files = len({one.key.path for one in history.metrics}) > 1
        rows = (_history_cells(one, shows_files=shows_files) for one in history.metrics)
        parts.append(table(titles, rows, most=None))
    parts.extend(remarks(history.notes))
    return draw(parts, width=width, colour=colour)


def _history_cells(history: MetricHistory, *, shows_files: bool) -> list[Cell]:
    row = history_row(history)
    name = name_text(f"{row.path}:{row.name}" if shows_files else row.name)
    return [name, row.spark, row.first, row.last, terminal(row.best)]


def _single(history: MetricHistory) -> Iterator[RenderableType]:
    row = history_row(history)
    best = Text(f"  best {terminal(row.best)}" if row.best else "")
    yield Text.assemble(name_text(f"{row.path}:{row.name}"), "  ", row.spark, best)
    values = [point.value for point in history.points]
    pairs = zip(history.points, [None, *values], strict=False)
    rows: Iterator[list[Cell]] = (
        [
            name_text(point.name),
            quantities.instant(point.seconds),
            quantities.number(point.value),
            *_step(history, before, point.value),
            plain_text(point.subject),
        ]
        for point, before in pairs
    )
    titles = ["Version or commit", "Date", "Value:", "Change:", "Trend", "Subject"]
    yield table(titles, rows, most=None)


def _step(
    history: MetricHistory, before: MetricValue | None, value: MetricValue | None
) -> tuple[Cell, Cell]:
    """Return how a value differs from the one before it."""
    delta = MetricDelta(key=history.key, base=before, head=value, direction=history.direction)
    row = metric_row(delta)
    sign, style = MOODS[row.mood]
    is_step = before is not None and value is not None and delta.is_changed
    return (row.change, Text(f"{sign} {row.trend}", style)) if is_step else ("", "")


def render_examination(examination: Examination, *, width: int = 100, colour: bool = False) -> str:
    """Return every check, and below each that is not well what mends it."""
    lines: list[RenderableType] = []
    for check in examination.checks:
        sign, style = _HEALTH[check.health]
        lines.append(
            Text(f"{sign} ", style)
            .append(name_text(check.name))
            .append(f": {plain_text(check.detail)}")
        )
        if check.fix:
            lines.append(Padding(Text("→ ", "dim").append(plain_text(check.fix)), (0, 0, 0, 4)))
    return draw([Group(*lines)], width=width, colour=colour)


def _report(report: Report, view: Digest, *, wide: bool) -> Iterator[RenderableType]:
    yield verdict_line(view.headline)
    if report.from_fork:
        yield from remarks([FROM_FORK])
    if report.on_merge:
        yield from remarks([outlook(report)])
    yield from section(
        "Gates", view.troubled + view.passed, _GATE_TITLES[wide], _gate_cells(view, wide=wide)
    )
    yield from remarks([*_edits(report), *report.notes])
    yield from _logs(view.failed)
    yield from _metrics(report, view, wide=wide)
    yield from _predictions(report, view, wide=wide)
    if report.run and report.run.stages:
        time = quantities.duration(report.run.seconds)
        yield Group(Text(f"Run: {run_counts(report.run)}, {time}", "bold"), _stages(report.run))
    yield from _differences(report)
    yield _provenance(report)


def _edits(report: Report) -> Iterator[str]:
    for one in report.gate_changes:
        yield f"The change edits its own gates; {one}"
    for setting in report.setting_changes:
        yield f"The change edits its own gates; {setting}"
    for kind, row in map(waiver_edit, report.waiver_changes):
        yield f"The change edits waivers; {kind}: {row.gate}, {_waiver(row)}"


def _waiver(row: WaiverRow) -> str:
    return f"waived until {row.until} by {row.author}: {row.reason}"


def _predictions(report: Report, view: Digest, *, wide: bool) -> Iterator[RenderableType]:
    """Return what predictions say of slices and groups, and why some say nothing."""
    titles = ["Trend", "Measure", "Slice", "Rows:", *(["Base:"] if wide else []), "Head:"]
    titles += ["Change:", "p:"] if wide else []
    yield from section("Slices", view.slices, titles, lambda one: _slice_cells(one, wide=wide))
    titles = ["Gap", "Column", "Base:", "Head:", "Rates by group"]
    yield from section("Gaps between groups", report.fairness, titles, _fairness_cells)
    lost = [evaluation_row(one) for one in report.evaluations if not one.comparable]
    yield from section(
        "Predictions that cannot be compared",
        lost,
        ["Predictions", "Rows:", "Ids on both sides:", "Why"],
        lambda row: [name_text(row.predictions), row.rows, row.overlap, plain_text(row.reason)],
    )


def _slice_cells(result: SliceResult, *, wide: bool) -> list[Cell]:
    row = slice_row(result)
    sign, style = MOODS[row.mood]
    return [
        Text(f"{sign} {row.trend}".strip(), style),
        name_text(row.measure),
        name_text(row.slice),
        row.rows,
        *([row.base] if wide else []),
        row.head,
        *([row.change, row.p] if wide else []),
    ]


def _fairness_cells(result: FairnessResult) -> list[Cell]:
    row = fairness_row(result)
    groups = "; ".join(f"{group.name} {group.rate} of {group.rows}" for group in row.groups)
    return [
        plain_text(f"{row.metric} ({row.rate})"),
        name_text(row.column),
        row.base_gap,
        row.gap,
        plain_text(groups),
    ]


def _metrics(report: Report, view: Digest, *, wide: bool) -> Iterator[RenderableType]:
    if report.base is None:
        titles = ["Metric", "Value:"]
        yield from section("Metrics", view.changed, titles, lambda one: _value_cells(one, view))
        return
    changed = view.changed
    if len(changed) > MOST_ROWS:
        changed = tuple(sorted(changed, key=relative_change, reverse=True))
    titles = ["Metric", "Base:", "Head:", *(["Change:"] if wide else []), "Trend"]
    titles += ["History"] if wide and view.trends else []
    name = f"Metrics ({len(view.unchanged):,} unchanged)" if view.unchanged else "Metrics"
    yield from section(name, changed, titles, lambda one: _metric_cells(one, view, wide=wide))


def _differences(report: Report) -> Iterator[RenderableType]:
    for name, changes in (("Parameters", report.params), ("Metrics that are text", report.texts)):
        yield from section(
            name,
            changes,
            ["Name", "Base", "Head"],
            lambda one: [name_text(str(one.key)), *(terminal(side) for side in value_pair(one))],
        )
    yield from section(
        "Pipeline stages",
        report.stages,
        ["Stage", "Change", "Fields"],
        lambda one: [name_text(one.name), one.kind, terminal(stage_fields(one))],
    )
    yield from section(
        "Data and models",
        report.data,
        ["Path", "Kind", "Change", "Size:", "Files:"],
        lambda one: [
            name_text(one.path),
            one.data,
            one.kind,
            data_row(one).size,
            data_row(one).files,
        ],
    )
    yield from section(
        "Files in Git",
        report.files,
        ["File", "Change", "Lines:"],
        lambda one: [name_text(one.path), one.kind, line_counts(one)],
    )


def _data_cells(change: DataChange) -> list[Cell]:
    row = data_row(change)
    return [name_text(row.path), row.what, row.kind, row.size, row.files]


def _gate_cells(view: Digest, *, wide: bool) -> Callable[[GateResult], list[Cell]]:
    def cells(result: GateResult) -> list[Cell]:
        row = gate_row(result)
        sign, style = MOODS[row.mood]
        return [
            Text(f"{sign} {row.outcome}", style),
            row.rule,
            _metric_name(row.path, row.metric, view),
            *([row.base, row.head] if wide else []),
            plain_text(_why(row)),
        ]

    return cells


def _why(row: GateRow) -> str:
    proof = f" [{row.proof}]" if row.proof else ""
    return f"{row.reason}{proof}{f'; {_waiver(row.waiver)}' if row.waiver else ''}"


def _metric_cells(delta: MetricDelta, view: Digest, *, wide: bool) -> list[Cell]:
    row, trend = metric_row(delta), view.trends.get(delta.key)
    style = MOODS[row.mood][1] if row.mood is not Mood.NEUTRAL else ""
    return [
        _metric_name(row.path, row.name, view),
        row.base,
        row.head,
        *([Text(f"{row.arrow} {row.change}".strip(), style)] if wide else []),
        Text(row.trend if wide else f"{row.arrow} {row.trend}".strip(), style),
        *([sparkline(trend) if trend else ""] if wide and view.trends else []),
    ]


def _value_cells(delta: MetricDelta, view: Digest) -> list[Cell]:
    return [_metric_name(delta.key.path, delta.key.name, view), quantities.number(delta.head)]


def _stages(run: Run) -> Table:
    def cells(stage: StageRun) -> list[Cell]:
        row = stage_row(stage)
        sign, style = MOODS[row.mood]
        status = Text(f"{sign} {row.status}", style)
        return [name_text(row.name), status, row.time, plain_text(row.reason)]

    return table(["Stage", "Status", "Time:", "Reason"], map(cells, run.stages))


def _logs(stages: Sequence[StageRun]) -> Iterator[RenderableType]:
    for stage in stages[:3]:
        if stage.log_tail.strip():
            title = Text("The end of the log of ", "bold").append(name_text(stage.name)).append(":")
            lines = (terminal(line, 400) for line in log_lines(stage.log_tail, lines=20))
            yield Group(title, Padding(Text("\n".join(lines), "dim"), (0, 2)))


def _promotion(promotion: Promotion) -> Iterator[RenderableType]:
    verb = "created" if promotion.done else "to create"
    where = f" on {terminal(promotion.remote)}" if promotion.remote else ""
    commit = terminal(short_sha(promotion.commit))
    if promotion.tags:
        style = "bold green" if promotion.done else "bold"
        count = counted(len(promotion.tags), "tag")
        title = Text.assemble((f"{count} {verb}", style), f"{where}, at {commit}:")
        rows = ([name_text(tag.name), plain_text(tag.subject)] for tag in promotion.tags)
        yield Group(title, table(["Tag", "What"], rows, most=None))
    else:
        yield Text(f"Nothing to promote at {commit}.")
    left = [f"{one.artifact}: {one.reason}" for one in promotion.unpromoted]
    yield from remarks(left, sign="·")
    if promotion.allowed and promotion.tags:
        yield from remarks([sentence(promotion.allowed, promotion.allowed_rules)])
    yield from remarks(promotion.notes)


def _provenance(report: Report) -> Text:
    base = f"base {_revision(report.base)}" if report.base else "no base"
    parts = [base, f"head {_revision(report.head)}", f"modelci {terminal(report.version, 40)}"]
    return Text(" · ".join([*parts, terminal(report.created, 40)]), "dim")


def _revision(revision: Revision) -> str:
    short = short_sha(revision.sha or "")
    sha = f"{terminal(short)} " if short and short != revision.name else ""
    chosen = f" ({terminal(revision.chosen)})" if revision.chosen else ""
    return f"{sha}{terminal(revision_label(revision))}{chosen}"


def _metric_name(path: str, name: str, view: Digest) -> Text:
    return name_text(f"{path}:{name}" if path and view.shows_files else name)
