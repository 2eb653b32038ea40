"""A report as one HTML page that needs nothing but itself: no network, no other file."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any, Generic, TypeVar

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from modelci.domain.metrics import MetricDelta, MetricValue
from modelci.domain.pipeline import Run, StageRun
from modelci.domain.report import Report, Revision
from modelci.render import quantities
from modelci.render.digest import digest, revision_label, run_counts, short_sha
from modelci.render.escape import PROSE_LIMIT, clean, log_lines, web_address
from modelci.render.rows import (
    data_row,
    gate_row,
    line_counts,
    metric_row,
    relative_change,
    stage_fields,
    stage_row,
    value_pair,
)

_MOST_METRICS = 5_000
_MOST_ROWS = 2_000
_NAME_LIMIT = 300
_TEMPLATES = files("modelci.render") / "templates"

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


def render_page(report: Report, *, title: str) -> str:
    """Return the page. Of more than 5,000 metrics it shows those that changed most."""
    style, script = _asset("report.css"), _asset("report.js")
    environment = Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"name": _name, "prose": _prose}
    template = environment.from_string(_asset("report.html.j2"))
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    return template.render(
        title=clean(title, 200),
        policy=policy,
        style=Markup(style),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        **_context(report),
    )


def _context(report: Report) -> dict[str, Any]:
    view = digest(report)
    return {
        "tone": view.headline.tone,
        "verdict": view.headline.phrases,
        "has_base": report.base is not None,
        "shows_files": view.shows_files,
        "gates": _listing(view.troubled + view.passed, gate_row),
        "gate_changes": report.gate_changes[:_MOST_ROWS],
        "notes": [note for note in report.notes[:_MOST_ROWS] if note.strip()],
        "metrics": _metrics(report.metrics),
        "changed": len(view.changed),
        "texts": _listing(report.texts, lambda one: (one.key, one.kind, value_pair(one))),
        "params": _listing(report.params, lambda one: (one.key, one.kind, value_pair(one))),
        "data": _listing(report.data, data_row),
        "stages": _listing(report.stages, lambda one: (one.name, one.kind, stage_fields(one))),
        "files": _listing(report.files, lambda one: (one.path, one.kind, line_counts(one))),
        "run": _run(report.run) if report.run else None,
        "logs": [(one.name, "\n".join(log_lines(one.log_tail))) for one in view.failed[:20]],
        "provenance": list(_provenance(report)),
        "run_url": web_address(report.run_url),
    }


def _metrics(deltas: Sequence[MetricDelta]) -> Listing[dict[str, Any]]:
    shown = deltas
    if len(deltas) > _MOST_METRICS:
        places = sorted(range(len(deltas)), key=lambda place: -relative_change(deltas[place]))
        shown = [deltas[place] for place in sorted(places[:_MOST_METRICS])]
    return Listing([_metric(delta) for delta in shown], len(deltas))


def _metric(delta: MetricDelta) -> dict[str, Any]:
    """Return a metric's row with what the page sorts and filters by."""
    gain = delta.gain
    return asdict(metric_row(delta)) | {
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
        "stages": _listing(run.stages, row),
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


def _listing(items: Sequence[T], row: Callable[[T], Any]) -> Listing[Any]:
    return Listing([row(item) for item in items[:_MOST_ROWS]], len(items))


def _name(text: str) -> str:
    return clean(text, _NAME_LIMIT) if text.strip() else '""'


def _prose(text: str) -> str:
    return clean(text, PROSE_LIMIT)


def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
