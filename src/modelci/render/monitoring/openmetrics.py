"""A watched window as OpenMetrics text, for Prometheus (a text file collector, or a gateway).

All are gauges, which the parsers of both read; they would refuse the file for an info metric.
Every sample has the labels ``artifact`` and ``stage``, which a query joins by; which version it is
says ``modelci_monitor_info``. What is not known is left out, and never 0.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelci.domain.gates import Outcome, Subject
from modelci.domain.monitoring import ColumnDrift, DriftStatistic, Monitoring, TriggerKind
from modelci.domain.watching import effect_of
from modelci.render.monitoring.rows import column_of, course, place

Labels = Mapping[str, str]

_MOST_COLUMNS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """Samples of one name; a name ends in its unit, where it has one."""

    name: str
    help: str
    samples: Iterable[tuple[Labels, float | None]]
    unit: str = ""


def render_metrics(monitoring: Monitoring, history: Sequence[Monitoring] = ()) -> str:
    """Return gauges of the window, and how many windows there are and have failed.

    Names that a hostile column bears are escaped as the format says; of more than 5,000 columns
    the rest is left out.
    """
    watched = monitoring.watched
    common = {"artifact": watched.artifact, "stage": watched.stage or ""}
    lines: list[str] = []
    for family in (*_window(monitoring), *_found(monitoring), *_past(monitoring, history)):
        lines.extend(_lines(family, common))
    return "\n".join([*lines, "# EOF", ""])


def _window(one: Monitoring) -> Iterator[_Family]:
    watched = one.watched
    about = {
        "version": watched.version or "",
        "commit": watched.commit or "",
        "window": one.window,
        "current": place(one.current),
    }
    age = None if watched.age_days is None else watched.age_days * 86_400.0
    made = "When the window was judged, in Unix time."
    yield _Family(
        name="modelci_monitor_info",
        help="The version and the window that the other samples speak of.",
        samples=[(about, 1.0)],
    )
    yield _gauge("rows", "Rows of the window.", one.rows)
    yield _gauge("labelled_rows", "Rows whose outcome is known.", one.labelled)
    yield _gauge("created_timestamp_seconds", made, _seconds(one.created), unit="seconds")
    yield _gauge("version_age_seconds", "Age of the version.", age, unit="seconds")
    yield _gauge("ok", "1 where nothing was found that fails, else 0.", float(one.is_ok))
    counts = [({"outcome": str(kind)}, getattr(one.verdict, kind)) for kind in Outcome]
    yield _family("gates", "Gates by their outcome.", counts)


def _found(one: Monitoring) -> Iterator[_Family]:
    columns = [*one.columns[:_MOST_COLUMNS], *([one.scores] if one.scores else [])]
    effects = [
        ({"column": column.name, "statistic": str(one)}, effect_of(column, one))
        for column in columns
        for one in DriftStatistic
    ]
    about = "How far a column is from the reference, without what chance alone gives."
    yield _family("drift", about, effects)
    p_values = [(_column(column), column.p_value) for column in columns]
    yield _family("drift_p_value", "Adjusted p-value that a column is as it was.", p_values)
    failing = {column_of(gate) for gate in one.gates if _is_drift(gate.subject) and gate.blocks}
    drifted = [(_column(column), float(column.name in failing)) for column in columns]
    yield _family("drifted", "1 where a gate on a column's drift or schema fails.", drifted)
    missing = [(_column(column), column.missing_now) for column in columns if column.current]
    yield _family("missing_ratio", "Share of rows without a value.", missing, unit="ratio")
    chosen = [({"of": "reference"}, one.chosen_before), ({"of": "window"}, one.chosen_now)]
    about = "Share of rows at or above the threshold."
    yield _family("decision_ratio", about, chosen, unit="ratio")
    for bound, about in _BOUNDS.items():
        name = "performance" if bound == "value" else f"performance_{bound}"
        yield _family(name, about, _measures(one, bound))
    if one.skew is not None:
        yield _gauge("skew_asked_rows", "Logged rows that were asked again.", one.skew.rows)
        about = "Rows whose logged answer is another than the tagged model's."
        yield _gauge("skew_rows", about, one.skew.differing)


def _is_drift(subject: Subject) -> bool:
    return subject in {Subject.DRIFT, Subject.SCHEMA}


def _column(column: ColumnDrift) -> Labels:
    return {"column": column.name}


_BOUNDS = {
    "value": "Measures: of the reference, realised by labels, and estimated without them.",
    "low": "The lower bound of a measure's interval.",
    "high": "The upper bound of a measure's interval.",
}


def _measures(one: Monitoring, bound: str) -> Iterator[tuple[Labels, float | None]]:
    for found in one.performance:
        for kind in ("reference", "realised", "estimated"):
            labels = {"measure": found.measure, "of": kind}
            yield labels, getattr(getattr(found, kind), bound, None)


def _past(one: Monitoring, history: Sequence[Monitoring]) -> Iterator[_Family]:
    windows = course(one, history)
    failed = sum(not window.is_ok for window in windows)
    yield _gauge("windows", "Windows in the history, this one included.", len(windows))
    yield _gauge("failed_windows", "Windows of those in which a gate failed.", failed)
    rows = [({"trigger": str(kind)}, one.consecutive.get(kind)) for kind in TriggerKind]
    yield _family("consecutive_windows", "Windows in a row in which a trigger fired.", rows)


def _gauge(name: str, about: str, value: float | None, *, unit: str = "") -> _Family:
    return _family(name, about, [({}, value)], unit=unit)


def _family(
    name: str, about: str, samples: Iterable[tuple[Labels, float | None]], *, unit: str = ""
) -> _Family:
    return _Family(name=f"modelci_monitor_{name}", help=about, samples=samples, unit=unit)


def _seconds(created: str) -> float | None:
    try:
        return datetime.fromisoformat(created).timestamp()
    except ValueError:
        return None


def _lines(family: _Family, common: Labels) -> Iterator[str]:
    """Yield a family's lines; nothing where no value is known."""
    known = {
        _labels({**common, **labels}): value
        for labels, value in family.samples
        if value is not None
    }
    if not known:
        return
    yield f"# TYPE {family.name} gauge"
    if family.unit:
        yield f"# UNIT {family.name} {family.unit}"
    yield f"# HELP {family.name} {family.help}"
    for labels, value in known.items():
        yield f"{family.name}{{{labels}}} {_number(value)}"


def _labels(labels: Labels) -> str:
    return ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items())


def _escape(value: str) -> str:
    r"""Escape as the format says: ``\\``, ``\n`` and ``\"``; lone surrogates are no UTF-8."""
    plain = value.encode("utf-8", "replace").decode()
    return plain.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value)
