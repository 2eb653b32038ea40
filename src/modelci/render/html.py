"""A report as one HTML page that needs nothing but itself: no network, no other file."""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from modelci.domain.gates import GateResult
from modelci.domain.history import MetricHistory
from modelci.domain.metrics import MetricDelta, MetricKey, MetricValue
from modelci.domain.pipeline import Run, StageRun
from modelci.domain.plots import Picture, PictureKind, picture_kind
from modelci.domain.report import Report, Revision
from modelci.render import page, pictures, quantities, templating, vega
from modelci.render.charts import spark, whisker
from modelci.render.digest import (
    FROM_FORK,
    digest,
    outlook,
    revision_label,
    run_counts,
    short_sha,
)
from modelci.render.escape import clean, log_lines, web_address
from modelci.render.rows import (
    Heat,
    SliceRow,
    data_row,
    evaluation_row,
    fairness_row,
    gate_row,
    heat,
    line_counts,
    metric_row,
    relative_change,
    stage_fields,
    stage_row,
    value_pair,
    waiver_edit,
)
from modelci.render.templating import PAGE, Overrides
from modelci.render.timeline import chart

_MOST_METRICS = 5_000
_MOST_ROWS = 2_000
_MOST_SLICES = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """The rows of a table that are shown, and how many there are."""

    rows: list[T]
    total: int

    @property
    def hidden(self) -> int:
        """How many rows the page leaves out."""
        return self.total - len(self.rows)


def render_page(report: Report, *, title: str, overrides: Overrides | None = None) -> str:
    """Return the page. Of more than 5,000 metrics it shows those that changed most.

    Plots are drawn by the reader's browser, from a script that the page brings along; without
    vl-convert, which has it, the page says what to install.
    """
    script, bundle = page.asset("report.js"), pictures.bundle_if_any(report.plots)
    sheets = "".join(map(page.asset, ("base.css", "report.css", "chart.css")))
    style = sheets + (vega.STYLE if bundle else "")
    own = overrides is not None and overrides.has(PAGE)
    environment = templating.environment(overrides) if overrides and own else page.environment()
    context = _context(report)
    environment.filters |= page.FILTERS | {
        "percent": _percent,
        "heat": _heater(context["heat"]),
    }
    context |= {
        "title": clean(title, 200),
        "policy": page.policy(style=style, scripts=(script, bundle) if bundle else (script,)),
        "style": page.trusted(style),
        "script": page.trusted(script),
        "draws": bool(bundle),
        "bundle": page.trusted(bundle),
        "specs": page.script_data(_specs(report)) if bundle else "",
    }
    if overrides and own:
        context["report"] = templating.report_values(report)
        return templating.render(environment, PAGE, overrides, context)
    return environment.get_template("report.html.j2").render(**context)


def _specs(report: Report) -> list[vega.Spec]:
    return [vega.in_page(vega.vega_lite(plot)) for plot in report.plots]


def _context(report: Report) -> dict[str, Any]:
    view = digest(report)
    return {
        "tone": view.headline.tone,
        "verdict": view.headline.phrases,
        "has_base": report.base is not None,
        "shows_files": view.shows_files,
        "from_fork": FROM_FORK if report.from_fork else "",
        "outlook": outlook(report),
        "gates": listing(view.troubled + view.passed, lambda one: (gate_row(one), whisker(one))),
        "level": _level(report.gates),
        "waiver_changes": [waiver_edit(one) for one in report.waiver_changes[:_MOST_ROWS]],
        "heat": heat(view.slices),
        "bad_slices": len(view.bad_slices),
        "most_slices": _MOST_SLICES,
        "fairness": listing(report.fairness, fairness_row),
        "evaluations": listing(report.evaluations, evaluation_row),
        "plots": report.plots,
        "pictures": [_picture(one) for one in report.pictures],
        "has_history": bool(view.trends),
        "contents": _contents(report),
        "gate_changes": report.gate_changes[:_MOST_ROWS],
        "setting_changes": report.setting_changes[:_MOST_ROWS],
        "notes": [note for note in report.notes[:_MOST_ROWS] if note.strip()],
        "metrics": _metrics(report.metrics, view.trends),
        "changed": len(view.changed),
        "texts": listing(report.texts, lambda one: (one.key, one.kind, value_pair(one))),
        "params": listing(report.params, lambda one: (one.key, one.kind, value_pair(one))),
        "data": listing(report.data, data_row),
        "stages": listing(report.stages, lambda one: (one.name, one.kind, stage_fields(one))),
        "files": listing(report.files, lambda one: (one.path, one.kind, line_counts(one))),
        "run": _run(report.run) if report.run else None,
        "logs": [(one.name, "\n".join(log_lines(one.log_tail))) for one in view.failed[:20]],
        "provenance": list(_provenance(report)),
        "run_url": web_address(report.run_url),
    }


_SECTIONS = {
    "gates": ("gates", "Gates"),
    "slices": ("slices", "Slices"),
    "fairness": ("fairness", "Fairness"),
    "metrics": ("metrics", "Metrics"),
    "plots": ("plots", "Plots"),
    "pictures": ("plots", "Plots"),
    "texts": ("texts", "Texts"),
    "params": ("params", "Parameters"),
    "data": ("data", "Data and models"),
    "run": ("run", "Run"),
    "stages": ("stages", "Stages"),
    "files": ("files", "Files"),
    "evaluations": ("predictions", "Predictions"),
}
"""By the report's fields, in the page's order: a section's id and what the contents call it."""


def _contents(report: Report) -> list[tuple[str, str]]:
    shown = (place for name, place in _SECTIONS.items() if getattr(report, name))
    return list(dict.fromkeys(shown))


def _level(results: Sequence[GateResult]) -> str:
    """Return the level of the gates' intervals, if there are any."""
    return next((quantities.level(one.evidence.alpha) for one in results if one.evidence), "")


def _picture(picture: Picture) -> dict[str, Any]:
    sides = {"base": picture.base, "head": picture.head}
    return {
        "path": picture.path,
        "sides": [(side, _address(data) if data else "") for side, data in sides.items()],
    }


def _address(data: bytes) -> str:
    """Return a picture as an address that holds it; in an img no script of an SVG runs."""
    kind = picture_kind(data)
    mime = "svg+xml" if kind is PictureKind.SVG else kind
    return f"data:image/{mime};base64,{b64encode(data).decode()}" if mime else ""


def _heater(table: Heat) -> Callable[[SliceRow], str]:
    """Return what gives a cell its colour: its gain, among those of its measure."""
    reach: dict[str, float] = {}
    for cell in (cell for row in table.rows for cell in row.cells if cell and cell.gain):
        reach[cell.measure] = max(reach.get(cell.measure, 0.0), abs(cell.gain or 0.0))

    def colour(cell: SliceRow) -> str:
        if not cell.gain:
            return ""
        depth = min(3, 1 + int(3 * abs(cell.gain) / reach[cell.measure]))
        return f"{'good' if cell.gain > 0 else 'bad'}-{depth}"

    return colour


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.1f}"


def _metrics(
    deltas: Sequence[MetricDelta], trends: Mapping[MetricKey, MetricHistory]
) -> Listing[dict[str, Any]]:
    shown = deltas
    if len(deltas) > _MOST_METRICS:
        places = sorted(range(len(deltas)), key=lambda place: -relative_change(deltas[place]))
        shown = [deltas[place] for place in sorted(places[:_MOST_METRICS])]
    return Listing([_metric(delta, trends.get(delta.key)) for delta in shown], len(deltas))


def _metric(delta: MetricDelta, trend: MetricHistory | None) -> dict[str, Any]:
    """Return a metric's row with what the page sorts and filters by."""
    gain = delta.gain
    return asdict(metric_row(delta)) | {
        "spark": spark(trend) if trend else None,
        "is_changed": delta.is_changed,
        "base_sort": _sort_value(delta.base),
        "head_sort": _sort_value(delta.head),
        "change_sort": repr(relative_change(delta)) if delta.is_changed else "-1",
        "trend_sort": 0 if gain is None else (1 if gain > 0 else -1 if gain < 0 else 0),
    }


def _sort_value(value: MetricValue | None) -> str:
    return repr(value) if isinstance(value, float) else ""


def _run(run: Run) -> dict[str, Any]:
    longest = max((stage.seconds or 0.0 for stage in run.stages), default=0.0)

    def row(stage: StageRun) -> dict[str, Any]:
        share = (stage.seconds or 0.0) / longest if longest > 0 else 0.0
        return asdict(stage_row(stage)) | {"percent": round(100 * max(0.0, share), 1)}

    return {
        "counts": run_counts(run),
        "time": quantities.duration(run.seconds),
        "stages": listing(run.stages, row),
        "chart": chart(run),
    }


def _provenance(report: Report) -> Sequence[tuple[str, str, str]]:
    """Return what the report was made from: a label, a commit or nothing, and words."""
    base = ("Base", *_revision(report.base)) if report.base else ("Base", "", "none")
    lines = [base, ("Head", *_revision(report.head))]
    if report.head_sha and report.head_sha != report.head.sha:
        lines.append(("For commit", short_sha(report.head_sha), ""))
    return [*lines, ("modelci", "", report.version), ("Created", "", report.created)]


def _revision(revision: Revision) -> tuple[str, str]:
    sha = short_sha(revision.sha) if revision.sha else ""
    chosen = f" ({revision.chosen})" if revision.chosen else ""
    return sha, f"{revision_label(revision)}{chosen}"


def listing(items: Sequence[T], row: Callable[[T], Any]) -> Listing[Any]:
    """Return the rows of the first 2,000 items."""
    return Listing([row(item) for item in items[:_MOST_ROWS]], len(items))
