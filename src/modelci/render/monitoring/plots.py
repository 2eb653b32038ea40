"""Distributions over one another, and trends over windows, as Vega-Lite that loads nothing."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from modelci.domain.gates import Subject
from modelci.domain.monitoring import DriftStatistic, Monitoring, Performance
from modelci.domain.plots import Side
from modelci.domain.profile import ColumnKind
from modelci.domain.watching import effect_of
from modelci.render.escape import clean
from modelci.render.monitoring.distributions import Cell, Distribution
from modelci.render.monitoring.rows import DECISIONS, is_judged, trends
from modelci.render.vega import COLOURS, WIDTH, Spec, theme

REFERENCE, WINDOW = "reference", "window"

_HEIGHT = 200
_STEP = 11  # pixels of a bar of a category
_MOST_LINES = 8
_MOST_MEASURES = 4
_NAME_LIMIT = 40

_GREY, _BLUE = COLOURS[False][Side.BASE], COLOURS[False][Side.HEAD]
_SIDES: dict[str, Any] = {
    "field": "side",
    "type": "nominal",
    "title": None,
    "scale": {"domain": [REFERENCE, WINDOW], "range": [_GREY, _BLUE]},
    "legend": {"orient": "top"},
}
_SHARE: dict[str, Any] = {"format": "%", "tickCount": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A plot over the windows, and what its caption says."""

    title: str
    legend: str
    spec: Spec


# -- distributions -----------------------------------------------------------------------------


def distribution_spec(found: Distribution) -> Spec:
    """Return the window's distribution over the reference's."""
    return _whole(_numbers(found) if found.is_ordered else _categories(found))


def _whole(spec: Spec) -> Spec:
    return {"title": {"text": "", "anchor": "start"}, "width": WIDTH, **spec, "config": theme()}


def _numbers(found: Distribution) -> Spec:
    """Draw the reference as filled steps, and the window as a line of steps over it."""
    is_time = found.kind is ColumnKind.DATETIME
    axis: dict[str, Any] = {"title": None, "axis": {"tickCount": 6}}
    scale = {"type": "utc"} if is_time else {"zero": False, "nice": False}
    kind = {"type": "temporal" if is_time else "quantitative", "scale": scale}
    factor = 1_000.0 if is_time else 1.0  # Vega counts milliseconds
    cells = [_stretch(cell, factor) for cell in found.cells]
    top = max(max(cell.before, cell.now) for cell in found.cells) or 1.0
    y = {"field": "share", "type": "quantitative", "title": None, "axis": _SHARE}
    x = {"field": "low", **kind, **axis}
    foot = {"x2": {"field": "high"}, "y2": {"datum": 0}}
    filled = [{**cell, "side": REFERENCE, "share": cell[REFERENCE]} for cell in cells]
    return {
        "height": _HEIGHT,
        "layer": [
            {
                "data": {"values": filled},
                "mark": {"type": "rect", "opacity": 0.55},
                "encoding": {"x": x, "y": y, **foot, "color": _SIDES},
            },
            {
                "data": {"values": _line(cells)},
                "mark": {
                    "type": "area",
                    "interpolate": "step-after",
                    "line": {"strokeWidth": 2},
                    "fillOpacity": 0.12,
                },
                "encoding": {"x": x, "y": y, "color": _SIDES},
            },
            {
                "data": {"values": [{**cell, "share": top} for cell in cells]},
                "mark": {"type": "rect", "opacity": 0},
                "encoding": {"x": x, "y": y, **foot, "tooltip": _tooltip("range")},
            },
        ],
    }


def _stretch(cell: Cell, factor: float) -> dict[str, Any]:
    low, high = cell.low or 0.0, cell.high or 0.0
    if low == high:  # a point is given a width, to be seen
        low, high = low - 0.5, high + 0.5
    return {
        "low": low * factor,
        "high": high * factor,
        "range": cell.label,
        REFERENCE: cell.before,
        WINDOW: cell.now,
    }


def _line(cells: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the window's steps, with the end of the last."""
    points = [(cell["low"], cell[WINDOW]) for cell in cells]
    points.append((cells[-1]["high"], cells[-1][WINDOW]))
    return [{"low": low, "share": share, "side": WINDOW} for low, share in points]


def _tooltip(first: str) -> list[dict[str, Any]]:
    shares = ({"field": side, "type": "quantitative", "format": ".1%"} for side in _BOTH)
    return [{"field": first, "type": "nominal"}, *shares]


_BOTH = (REFERENCE, WINDOW)


def _categories(found: Distribution) -> Spec:
    """Draw two bars for each category, the reference's above the window's."""
    labels = list(_unlike(cell.label + (" (new)" if cell.is_new else "") for cell in found.cells))
    rows = [
        {"category": label, "side": side, "share": share} | {REFERENCE: one.before, WINDOW: one.now}
        for label, one in zip(labels, found.cells, strict=True)
        for side, share in ((REFERENCE, one.before), (WINDOW, one.now))
    ]
    return {
        "height": {"step": _STEP, "for": "offset"},
        "data": {"values": rows},
        "mark": {"type": "bar"},
        "encoding": {
            "y": {
                "field": "category",
                "type": "nominal",
                "sort": labels,
                "title": None,
                "axis": {"labelLimit": 140, "ticks": False, "domain": False},
            },
            "yOffset": {"field": "side", "type": "nominal", "sort": list(_BOTH)},
            "x": {"field": "share", "type": "quantitative", "title": None, "axis": _SHARE},
            "color": _SIDES,
            "tooltip": _tooltip("category"),
        },
    }


def _unlike(labels: Iterable[str]) -> Iterator[str]:
    """Yield labels of which no two are equal: cleaned names may be."""
    seen: dict[str, int] = {}
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        yield label if seen[label] == 1 else f"{label} [{seen[label]}]"


# -- trends ------------------------------------------------------------------------------------


def trend_plots(windows: Sequence[Monitoring], this: Monitoring) -> list[Trend]:
    """Return how measures, drift and decisions went; nothing of a single window."""
    if len(windows) < 2:
        return []
    names = [one.measure for one in this.performance][:_MOST_MEASURES]
    found = [_measure(windows, name) for name in names]
    return [one for one in (*found, _drift(windows), _decisions(windows)) if one]


def _names(windows: Sequence[Monitoring]) -> list[str]:
    return list(_unlike(clean(one.window, _NAME_LIMIT) for one in windows))


def _x(names: Sequence[str]) -> dict[str, Any]:
    return {
        "field": "window",
        "type": "ordinal",
        "sort": list(names),
        "scale": {"domain": list(names)},
        "title": None,
        "axis": {"labelAngle": -45, "labelOverlap": True, "labelLimit": 90},
    }


def _measure(windows: Sequence[Monitoring], name: str) -> Trend | None:
    """Draw a measure by labels with its intervals, as estimated, and the reference's band."""
    names = _names(windows)
    found = [next((p for p in one.performance if p.measure == name), None) for one in windows]
    rows = [
        {"window": at, "version": clean(window.watched.version or "", _NAME_LIMIT), **values}
        for at, window, one in zip(names, windows, found, strict=True)
        if one
        for values in _values(one)
    ]
    if not rows:
        return None
    band = next((one.reference for one in reversed(found) if one and one.reference), None)
    x, y = _x(names), _value("value")
    tip = [{"field": key, "type": kind} for key, kind in _MEASURED]
    layers: list[Spec] = _changes(windows, names)
    if band is not None and math.isfinite(band.high - band.low):
        layers += _band(band.low, band.value, band.high)
    for kind, dash, filled in (("estimated", [4, 3], False), ("by labels", [1, 0], True)):
        own = [row for row in rows if row["known"] == kind]
        data = {"values": own}
        mark = {"type": "line", "strokeDash": dash, "color": _BLUE}
        point = {"type": "point", "filled": filled, "color": _BLUE, "size": 40, "opacity": 1}
        bars = {"x": x, "y": _value("low"), "y2": {"field": "high"}}
        layers += [
            {"data": data, "mark": mark, "encoding": {"x": x, "y": y}},
            {"data": data, "mark": {"type": "rule", "color": _BLUE, "opacity": 0.5}}
            | {"encoding": bars},
            {"data": data, "mark": point, "encoding": {"x": x, "y": y, "tooltip": tip}},
        ]
    return Trend(
        title=name,
        legend="Dots: by labels; dashed and hollow: estimated; grey: the reference. "
        "Bars and band are intervals; dotted: another version from then on.",
        spec=_whole({"height": _HEIGHT, "layer": layers}),
    )


_MEASURED = (
    *(("window", "nominal"), ("version", "nominal"), ("known", "nominal")),
    *(("value", "quantitative"), ("low", "quantitative"), ("high", "quantitative")),
)


def _values(one: Performance) -> Iterator[dict[str, Any]]:
    for kind, known in (("by labels", one.realised), ("estimated", one.estimated)):
        if known is not None:
            bounds = {"value": known.value, "low": known.low, "high": known.high}
            if all(map(math.isfinite, bounds.values())):  # else it has no place in a plot
                yield {"known": kind, **bounds}


def _value(field: str, **scale: object) -> dict[str, Any]:
    return {
        "field": field,
        "type": "quantitative",
        "title": None,
        "scale": {"zero": False, **scale},
    }


def _band(low: float, value: float, high: float) -> list[Spec]:
    data = {"values": [{"low": low, "value": value, "high": high}]}
    return [
        {
            "data": data,
            "mark": {"type": "rect", "color": _GREY, "opacity": 0.25},
            "encoding": {"y": _value("low"), "y2": {"field": "high"}},
        },
        {
            "data": data,
            "mark": {"type": "rule", "color": _GREY, "strokeWidth": 1.5},
            "encoding": {"y": _value("value")},
        },
    ]


def _changes(windows: Sequence[Monitoring], names: Sequence[str]) -> list[Spec]:
    """Mark the windows from which on another version was watched."""
    pairs = zip(pairwise(windows), names[1:], strict=True)
    rows = [
        {"window": at, "version": clean(one.watched.version or "", _NAME_LIMIT)}
        for (before, one), at in pairs
        if one.watched.version != before.watched.version
    ]
    if not rows:
        return []
    x, words = _x(names), {"field": "version", "type": "nominal"}
    mark = {"type": "text", "baseline": "top", "align": "left", "dx": 3, "dy": 2, "fontSize": 9}
    return [
        {
            "data": {"values": rows},
            "mark": {"type": "rule", "strokeDash": [2, 2], "color": _GREY},
            "encoding": {"x": x},
        },
        {
            "data": {"values": rows},
            "mark": {**mark, "color": _GREY},
            "encoding": {"x": x, "y": {"value": 0}, "text": words},
        },
    ]


def _drift(windows: Sequence[Monitoring]) -> Trend | None:
    """Draw the effect of the columns that went furthest, and the limits that were set."""
    names = _names(windows)
    series = trends(windows, _furthest(windows))
    shown = dict(zip(series, _unlike(clean(name, _NAME_LIMIT) for name in series), strict=True))
    rows = [
        {"window": at, "column": shown[name], "psi": point.value}
        for name, history in series.items()
        for at, point in zip(names, history.points, strict=True)
        if isinstance(point.value, float) and math.isfinite(point.value)
    ]
    if not rows:
        return None
    y = _value("psi", type="sqrt", zero=True)
    limits = [{"psi": limit} for limit in _limits(windows)]
    return Trend(
        title="Drift (PSI)",
        legend=f"The {len(series)} that went furthest, on a scale of square roots; "
        "dashed: the limits that were passed.",
        spec=_whole(
            {
                "height": _HEIGHT,
                "layer": [
                    *_changes(windows, names),
                    {
                        "data": {"values": rows},
                        "mark": {"type": "line", "point": True, "tooltip": {"content": "data"}},
                        "encoding": {
                            "x": _x(names),
                            "y": y,
                            "color": {
                                "field": "column",
                                "type": "nominal",
                                "title": None,
                                "sort": list(shown.values()),
                                "legend": {"orient": "bottom", "columns": 2, "labelLimit": 150},
                            },
                        },
                    },
                    {
                        "data": {"values": limits},
                        "mark": {"type": "rule", "strokeDash": [4, 3], "color": _GREY},
                        "encoding": {"y": y},
                    },
                ],
            }
        ),
    )


def _furthest(windows: Sequence[Monitoring]) -> list[str]:
    """Return the columns (and the scores) with the greatest effects, without what is ignored."""
    reach: dict[str, float] = {}
    for window in windows:
        for one in (*window.columns, *([window.scores] if window.scores else [])):
            psi = effect_of(one, DriftStatistic.PSI)
            if psi is not None and math.isfinite(psi) and is_judged(one):
                reach[one.name] = max(reach.get(one.name, 0.0), psi)
    return sorted(reach, key=lambda name: -reach[name])[:_MOST_LINES]


def _limits(windows: Sequence[Monitoring]) -> list[float]:
    """Return the limits of PSI that some column passed."""
    return sorted(
        {
            gate.gate.threshold.value
            for window in windows
            for gate in window.gates
            if gate.subject is Subject.DRIFT and gate.gate.metric.startswith("psi of ")
        }
    )


def _decisions(windows: Sequence[Monitoring]) -> Trend | None:
    """Draw the share of rows at or above the threshold, and that of the reference."""
    names = _names(windows)
    rows = [
        {"window": at, "share": one.chosen_now}
        for at, one in zip(names, windows, strict=True)
        if one.chosen_now is not None
    ]
    if not rows:
        return None
    before = [one.chosen_before for one in windows if one.chosen_before is not None][-1:]
    y = {**_value("share", zero=True), "axis": _SHARE}
    return Trend(
        title=DECISIONS.capitalize(),
        legend="Share of rows at or above the threshold; grey: the reference.",
        spec=_whole(
            {
                "height": _HEIGHT,
                "layer": [
                    {
                        "data": {"values": [{"share": share} for share in before]},
                        "mark": {"type": "rule", "color": _GREY, "strokeWidth": 1.5},
                        "encoding": {"y": y},
                    },
                    {
                        "data": {"values": rows},
                        "mark": {
                            "type": "line",
                            "point": {"color": _BLUE},
                            "color": _BLUE,
                            "tooltip": {"content": "data"},
                        },
                        "encoding": {"x": _x(names), "y": y},
                    },
                ],
            }
        ),
    )
