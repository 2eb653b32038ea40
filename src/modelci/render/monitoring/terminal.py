"""A watched window as text for a terminal, and as lines for scripts."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from modelci.domain.gates import GateResult
from modelci.domain.history import MetricHistory
from modelci.domain.monitoring import ColumnDrift, Monitoring
from modelci.render import quantities
from modelci.render.digest import urgency
from modelci.render.escape import PROSE_LIMIT, terminal
from modelci.render.monitoring.rows import (
    ActionRow,
    ColumnRow,
    PerformanceRow,
    WindowRow,
    action_rows,
    column_rows,
    course,
    facts,
    performance_rows,
    score_row,
    trends,
    window_rows,
)
from modelci.render.monitoring.view import explanation, headline
from modelci.render.registry import plain_lines
from modelci.render.rows import gate_row, reason_of
from modelci.render.sparkline import sparkline
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

_MOST_WINDOWS = 12
_MOST_QUIET = 20  # columns of which nothing is to be said

ESTIMATE = (
    "≈ is an estimate from the scores alone: it cannot see that outcomes follow otherwise now."
)


def render_monitoring(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    width: int = 100,
    colour: bool = False,
) -> str:
    """Return the verdict, then gates, performance, columns and trends as tables."""
    parts = _parts(monitoring, course(monitoring, history), wide=width >= 100)
    return draw(parts, width=width, colour=colour)


def _parts(
    monitoring: Monitoring, windows: Sequence[Monitoring], *, wide: bool
) -> Iterator[RenderableType]:
    yield verdict_line(headline(monitoring))
    meaning = explanation(monitoring)
    yield from remarks([meaning] if meaning else [], sign="→")
    yield Group(*_facts(monitoring))
    titles = ["Outcome", "Gate", "Of", "Reason"]
    yield from section("Gates", sorted(monitoring.gates, key=urgency), titles, _gate_cells)
    yield from remarks(monitoring.notes)
    yield from _performance(monitoring)
    yield from _columns(monitoring, windows, wide=wide)
    yield from _windows(monitoring, windows)
    titles = ["State", "Action", "Because"]
    yield from section("Actions", action_rows(monitoring.actions), titles, _action_cells)
    parts = (monitoring.created, f"modelci {monitoring.version}", monitoring.run_url or "")
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


def _performance(monitoring: Monitoring) -> Iterator[RenderableType]:
    rows = performance_rows(monitoring)
    titles = ["Outcome", "Measure", "Reference:", "By labels:", "Change:", "Estimated:"]
    yield from section("Performance", rows, titles, _performance_cells)
    if any(one.estimated for one in monitoring.performance):
        yield Text(ESTIMATE, "dim")


def _performance_cells(row: PerformanceRow) -> list[Cell]:
    sign, style = MOODS[row.mood]
    guess = f"≈ {row.estimated}" if row.method else row.estimated
    return [
        Text(f"{sign} {row.state}", style),
        name_text(row.measure),
        row.reference,
        row.realised,
        row.change,
        guess,
    ]


def _columns(
    monitoring: Monitoring, windows: Sequence[Monitoring], *, wide: bool
) -> Iterator[RenderableType]:
    scores = score_row(monitoring)
    rows = [*([scores] if scores else []), *(row for _, row in column_rows(monitoring))]
    names = [row.name for row in rows]
    courses = trends(windows, names) if len(windows) > 1 and wide else {}
    titles = ["Outcome", "Column", "PSI:", "KS:", "p:", "Missing:"]
    titles += [*(["Reference → now"] if wide else []), *(["PSI before"] if courses else [])]
    cells = _column_cells(courses, wide=wide)
    yield from section(f"Columns ({len(monitoring.columns):,})", rows, titles, cells)
    yield from _categories(rows)


def _column_cells(
    courses: Mapping[str, MetricHistory], *, wide: bool
) -> Callable[[ColumnRow], list[Cell]]:
    def cells(row: ColumnRow) -> list[Cell]:
        sign, style = MOODS[row.mood]
        shapes = Text(f"{row.before} {row.now}", no_wrap=True) if row.now else ""
        return [
            Text(f"{sign} {row.state}".rstrip(), style),
            name_text(row.name),
            row.psi,
            row.ks,
            row.p,
            row.missing,
            *([shapes] if wide else []),
            *([sparkline(courses[row.name], most=12)] if courses else []),
        ]

    return cells


def _categories(rows: Sequence[ColumnRow]) -> Iterator[RenderableType]:
    """Yield a line for each column that has new or lost categories."""
    found = [(row, kind, getattr(row, kind)) for row in rows for kind in ("new", "lost")]
    yield from remarks(
        [
            f"{kind} in {row.name}: {', '.join(f'{name} ({share})' for name, share in values[:5])}"
            for row, kind, values in found
            if values
        ],
        sign="·",
    )
