"""A watched window as text for a terminal, and as lines for scripts."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from modelci.domain.gates import GateResult
from modelci.domain.history import MetricHistory
from modelci.domain.monitoring import Monitoring
from modelci.render.digest import urgency
from modelci.render.escape import PROSE_LIMIT, terminal, web_address
from modelci.render.monitoring.distributions import text_shapes
from modelci.render.monitoring.rows import (
    ActionRow,
    ColumnRow,
    PerformanceRow,
    Seen,
    WindowRow,
    action_rows,
    column_rows,
    course,
    effect_bars,
    facts,
    performance_rows,
    trends,
    window_rows,
)
from modelci.render.monitoring.view import ESTIMATE, explanation, headline
from modelci.render.quantities import ABSENT
from modelci.render.registry import plain_lines
from modelci.render.rows import gate_row, reason_of
from modelci.render.tables import (
    MOODS,
    Cell,
    draw,
    name_text,
    plain_text,
    remarks,
    section,
    verdict_line,
)

_WIDE, _WIDEST = 100, 120
_MOST_WINDOWS = 12
_MOST_MEASURES = 2
_MOST_CATEGORIES = 5


def render_monitoring(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    width: int = 100,
    colour: bool = False,
) -> str:
    """Return the verdict, then gates, performance, columns and trends as tables."""
    parts = _parts(monitoring, course(monitoring, history), width)
    return draw(parts, width=width, colour=colour)


def _parts(
    monitoring: Monitoring, windows: Sequence[Monitoring], width: int
) -> Iterator[RenderableType]:
    yield verdict_line(headline(monitoring))
    meaning = explanation(monitoring)
    yield from remarks([meaning] if meaning else [], sign="→")
    yield Group(*_facts(monitoring))
    titles = ["Outcome", "Gate", "Of", "Reason"]
    yield from section("Gates", sorted(monitoring.gates, key=urgency), titles, _gate_cells)
    yield from remarks([note for note in monitoring.notes if note.strip()])
    yield from _performance(monitoring, wide=width >= _WIDEST)
    yield from _columns(monitoring, windows, width)
    yield from _windows(monitoring, windows, wide=width >= _WIDE)
    yield from _actions(action_rows(monitoring.actions))
    run = web_address(monitoring.run_url) or ""
    parts = (monitoring.created, f"modelci {monitoring.version}", run)
    yield Text(" · ".join(terminal(part, 200) for part in parts if part), "dim")


def _facts(monitoring: Monitoring) -> Iterator[Text]:
    for label, name, words in facts(monitoring):
        said = f"{', ' if name and words else ''}{terminal(words, PROSE_LIMIT)}"
        yield Text.assemble((f"{label:<10}", "dim"), name_text(name) if name else "", said)


def _gate_cells(result: GateResult) -> list[Cell]:
    row = gate_row(result)
    sign, style = MOODS[row.mood]
    return [
        Text(f"{sign} {row.outcome}", style),
        row.subject,
        name_text(row.metric),
        plain_text(reason_of(result)),
    ]


def _performance(monitoring: Monitoring, *, wide: bool) -> Iterator[RenderableType]:
    rows = performance_rows(monitoring)
    titles = ["Outcome", "Measure", "Reference:", "By labels:", "Change:", "Estimated:"]
    yield from section("Performance", rows, titles, _performance_cells(wide=wide))
    if any(one.estimated for one in monitoring.performance):
        yield Text(ESTIMATE, "dim")


def _performance_cells(*, wide: bool) -> Callable[[PerformanceRow], list[Cell]]:
    def cells(row: PerformanceRow) -> list[Cell]:
        sign, style = MOODS[row.mood]
        measured = (row.reference, row.realised, row.estimated)
        reference, realised, estimated = measured if wide else map(_without_interval, measured)
        name = name_text(row.measure)
        return [
            Text(f"{sign} {row.state}", style),
            name,
            reference,
            realised,
            row.change,
            estimated,
        ]

    return cells


def _without_interval(measured: str) -> str:
    return measured.partition(" (")[0]


def _columns(
    monitoring: Monitoring, windows: Sequence[Monitoring], width: int
) -> Iterator[RenderableType]:
    rows = column_rows(monitoring)
    names = [row.name for _, row in rows]
    wide, widest = width >= _WIDE, width >= _WIDEST
    courses = trends(windows, names) if len(windows) > 1 and widest else {}
    titles = ["Outcome", "Column", "PSI:", *(["KS:"] if widest else []), "p:", "Missing:"]
    titles += [*(["Reference → now"] if wide else []), *(["PSI before"] if courses else [])]
    cells = _column_cells(courses, wide=wide, widest=widest)
    yield from section(f"Columns ({len(monitoring.columns):,})", rows, titles, cells)
    yield from _categories([row for _, row in rows])


def _column_cells(
    courses: Mapping[str, MetricHistory], *, wide: bool, widest: bool
) -> Callable[[Seen], list[Cell]]:
    def cells(seen: Seen) -> list[Cell]:
        drift, row = seen
        sign, style = MOODS[row.mood]
        shapes = Text(" ".join(text_shapes(drift) or ()), no_wrap=True)
        return [
            Text(f"{sign} {row.state}".rstrip(), style),
            name_text(row.name),
            row.psi,
            *([row.ks] if widest else []),
            row.p,
            row.missing,
            *([shapes] if wide else []),
            *([effect_bars(courses[row.name], most=_MOST_WINDOWS)] if courses else []),
        ]

    return cells


def _categories(rows: Sequence[ColumnRow]) -> Iterator[RenderableType]:
    """Yield a line for each column that has new or lost categories."""
    found = [(row, kind, getattr(row, kind)) for row in rows for kind in ("new", "lost")]
    yield from remarks(
        [f"{kind} in {row.name}: {_listed(values)}" for row, kind, values in found if values],
        sign="·",
    )


def _listed(values: Sequence[tuple[str, str]]) -> str:
    shown = ", ".join(f"{name} ({share})" for name, share in values[:_MOST_CATEGORIES])
    more = len(values) - _MOST_CATEGORIES
    return f"{shown} and {more:,} more" if more > 0 else shown


def _windows(
    monitoring: Monitoring, windows: Sequence[Monitoring], *, wide: bool
) -> Iterator[RenderableType]:
    if len(windows) < 2:
        return
    names = [f"{one.measure}:" for one in monitoring.performance[:_MOST_MEASURES]]
    titles = ["Window", "Verdict", *(["Version", "Rows:", "Outcomes:"] if wide else [])]
    titles += [*names, "Found"]
    rows = window_rows(windows, monitoring)[-_MOST_WINDOWS:]
    cells = _window_cells(wide=wide)
    yield from section(f"Windows ({len(windows):,})", rows, titles, cells)


def _window_cells(*, wide: bool) -> Callable[[WindowRow], list[Cell]]:
    def cells(row: WindowRow) -> list[Cell]:
        sign, style = MOODS[row.mood]
        name = name_text(row.window)
        counts: list[Cell] = [plain_text(row.version), row.rows, row.labelled]
        return [
            name.append(" ◂") if row.is_this else name,
            Text(f"{sign} {row.state}", style),
            *(counts if wide else []),
            *row.measures[:_MOST_MEASURES],
            plain_text(row.found),
        ]

    return cells


def _actions(rows: Sequence[ActionRow]) -> Iterator[RenderableType]:
    lines: list[RenderableType] = []
    for row in rows:
        sign, style = MOODS[row.mood]
        line = Text.assemble((f"{sign} {row.what}: ", style), plain_text(row.state))
        lines.append(line.append(f" {row.url}" if row.url else ""))
        lines.append(Padding(Text("because ", "dim").append(plain_text(row.reason)), (0, 0, 0, 2)))
    if lines:
        yield Group(Text("Actions", "bold"), *lines)


def plain_monitoring(monitoring: Monitoring, history: Sequence[Monitoring] = ()) -> str:
    """Return a line for each gate, what does not hold first.

    Model, stage, window, subject, outcome, what was judged, rule, limit, the value (where it is one
    number), how the same gate came out in the window before (if it did), and why.
    """
    before = _outcomes_before(course(monitoring, history), monitoring)
    return plain_lines(
        [
            monitoring.watched.artifact,
            monitoring.watched.stage or "",
            monitoring.window,
            row.subject,
            row.outcome,
            row.metric,
            row.rule,
            row.limit,
            row.head if row.head != ABSENT else "",
            before.get((row.subject, row.metric, row.rule), ""),
            row.reason,
        ]
        for row in map(gate_row, sorted(monitoring.gates, key=urgency))
    )


def _outcomes_before(
    windows: Sequence[Monitoring], this: Monitoring
) -> Mapping[tuple[str, str, str], str]:
    place = next(place for place, one in enumerate(windows) if one is this)
    if not place:
        return {}
    rows = map(gate_row, windows[place - 1].gates)
    return {(row.subject, row.metric, row.rule): row.outcome for row in rows}
