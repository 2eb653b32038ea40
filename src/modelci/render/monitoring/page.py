"""A watched window as one HTML page that needs nothing but itself: no network, no other file."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from modelci.domain.monitoring import (
    ColumnDrift,
    DriftStatistic,
    Estimate,
    Monitoring,
    Performance,
)
from modelci.domain.profile import Realised
from modelci.domain.watching import effect_of
from modelci.render import page, pictures, vega
from modelci.render.digest import urgency
from modelci.render.escape import clean, web_address
from modelci.render.html import Listing, listing
from modelci.render.monitoring.distributions import Distribution, distribution, shape
from modelci.render.monitoring.plots import Trend, distribution_spec, trend_plots
from modelci.render.monitoring.rows import (
    ColumnRow,
    Seen,
    action_rows,
    column_rows,
    course,
    facts,
    performance_rows,
    window_rows,
)
from modelci.render.monitoring.view import ESTIMATE, explanation, headline
from modelci.render.quantities import share
from modelci.render.rows import Mood, gate_row

_MOST_PLOTS = 60
_MOST_COLUMNS = 2_000
_MOST_WINDOWS = 200
_MANY = 20  # columns: of so many only those that drifted are shown at first
_ROOM = 0.06


def render_page(monitoring: Monitoring, history: Sequence[Monitoring] = (), *, title: str) -> str:
    """Return the page; distributions are overlaid, and trends drawn over the windows.

    The reader's browser draws them, from a script that the page brings along; without vl-convert,
    which has it, the page says what to install, and shows each column's shape all the same.
    """
    windows = course(monitoring, history)
    seen = column_rows(monitoring)
    trends = trend_plots(windows, monitoring)
    drawn = list(islice(_drawn(seen), _MOST_PLOTS))
    specs = [*(one.spec for one in trends), *(distribution_spec(one) for _, one in drawn)]
    script, bundle = page.asset("report.js"), pictures.bundle_if_any(specs)
    sheets = "".join(map(page.asset, ("base.css", "report.css", "monitoring.css")))
    style = sheets + (vega.STYLE if bundle else "")
    context = (
        _context(monitoring, windows, seen)
        | _plots(trends, drawn)
        | {
            "title": clean(title, 200),
            "policy": page.policy(style=style, scripts=(script, bundle) if bundle else (script,)),
            "style": page.trusted(style),
            "script": page.trusted(script),
            "draws": bool(bundle),
            "bundle": page.trusted(bundle),
            "specs": page.script_data([vega.in_page(spec) for spec in specs]) if bundle else "",
        }
    )
    environment = page.environment()
    environment.filters |= page.FILTERS
    return environment.get_template("monitoring.html.j2").render(**context)


def _drawn(seen: Sequence[Seen]) -> Iterator[tuple[ColumnRow, Distribution]]:
    for drift, row in seen:
        found = distribution(drift)
        if found is not None:
            yield row, found


def _context(
    monitoring: Monitoring, windows: Sequence[Monitoring], seen: Sequence[Seen]
) -> dict[str, Any]:
    verdict = headline(monitoring)
    measures = {one.measure: one for one in monitoring.performance}
    columns = Listing([_column(*pair) for pair in seen[:_MOST_COLUMNS]], len(seen))
    drifted = sum(row.mood in _BAD for _, row in seen)
    return {
        "tone": verdict.tone,
        "verdict": verdict.phrases,
        "meaning": explanation(monitoring),
        "facts": facts(monitoring),
        "notes": [note for note in monitoring.notes if note.strip()],
        "gates": listing(sorted(monitoring.gates, key=urgency), gate_row),
        "measures": [
            (row, intervals(measures[row.measure])) for row in performance_rows(monitoring)
        ],
        "estimate": ESTIMATE if any(one.estimated for one in measures.values()) else "",
        "method": next((one.estimated.method for one in measures.values() if one.estimated), ""),
        "columns": columns,
        "drifted": drifted,
        "only_drifted": drifted > 0 and len(seen) > _MANY,
        "windows": list(reversed(window_rows(windows, monitoring)[-_MOST_WINDOWS:])),
        "window_count": len(windows),
        "measure_names": [one.measure for one in monitoring.performance],
        "actions": action_rows(monitoring.actions),
        "contents": _contents(monitoring, windows),
        "provenance": [
            ("Commit", monitoring.watched.commit or "", ""),
            ("modelci", "", monitoring.version),
            ("Created", "", monitoring.created),
        ],
        "run_url": web_address(monitoring.run_url),
    }


_BAD = frozenset({Mood.BAD, Mood.WARNING})


def _contents(monitoring: Monitoring, windows: Sequence[Monitoring]) -> list[tuple[str, str]]:
    parts = (
        ("gates", "Gates", monitoring.gates),
        ("performance", "Performance", monitoring.performance),
        ("actions", "Actions", monitoring.actions),
        ("trends", "Trends", windows[1:]),
        ("columns", "Columns", monitoring.columns),
        ("distributions", "Distributions", monitoring.columns),
        ("windows", "Windows", windows[1:]),
    )
    return [(name, label) for name, label, content in parts if content]


def _plots(
    trends: Sequence[Trend], drawn: Sequence[tuple[ColumnRow, Distribution]]
) -> dict[str, Any]:
    """Return what stands under each plot, in the order of their specifications."""
    return {
        "trends": trends,
        "distributions": [
            {
                "row": row,
                "beyond": [share(one.beyond_before), share(one.beyond_now)]
                if max(one.beyond_before, one.beyond_now) >= _TO_TELL
                else [],
            }
            for row, one in drawn
        ],
    }


_TO_TELL = 0.005  # of the rows beyond what is drawn


def _column(drift: ColumnDrift, row: ColumnRow) -> dict[str, Any]:
    """Return a column's row with its shape, and what the page sorts and filters by."""
    found = distribution(drift)
    return asdict(row) | {
        "shape": shape(found, clean(row.name)) if found else None,
        "is_bad": row.mood in _BAD,
        "sort": {
            "psi": _sort_value(effect_of(drift, DriftStatistic.PSI)),
            "ks": _sort_value(drift.ks),
            "wasserstein": _sort_value(drift.wasserstein),
            "jensen": _sort_value(effect_of(drift, DriftStatistic.JENSEN_SHANNON)),
            "cramers": _sort_value(effect_of(drift, DriftStatistic.CRAMERS_V)),
            "p": _sort_value(drift.p_value),
            "missing": _sort_value(drift.missing_now - drift.missing_before),
        },
    }


def _sort_value(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else repr(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An interval about a point, in per cent of the width."""

    kind: str
    low: float
    high: float
    point: float


def intervals(one: Performance) -> list[Interval]:
    """Return a measure's values on one scale: reference, by labels, estimated."""
    values = {
        "reference": one.reference,
        "estimated": one.estimated,
        "realised": one.realised,
    }
    known = {kind: value for kind, value in values.items() if value is not None}
    ends = [end for value in known.values() for end in (value.low, value.value, value.high)]
    if not ends or not all(map(math.isfinite, ends)):
        return []
    low, high = min(ends), max(ends)
    width = (high - low) or 1.0
    return [_interval(kind, value, low, width) for kind, value in known.items()]


def _interval(kind: str, value: Realised | Estimate, low: float, width: float) -> Interval:
    def place(number: float) -> float:
        return round(100 * (_ROOM + (1 - 2 * _ROOM) * (number - low) / width), 2)

    return Interval(
        kind=kind, low=place(value.low), high=place(value.high), point=place(value.value)
    )
