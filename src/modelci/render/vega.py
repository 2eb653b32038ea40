"""Plots as Vega-Lite: DVC's own templates, filled with rows that are data and never markup.

What comes out is drawn by ``render.pictures``, or in a browser under a policy without
``unsafe-eval`` (see ``pictures.bundle``). It loads nothing: whatever in a project's own template
could fetch, link or reach out of its drawing is taken out, and the rest is Vega's own sandboxed
language. A template that cannot be used is replaced by DVC's default, and the plot says why.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from modelci.domain.plots import COUNT, Picture, PictureKind, Plot, Row, Side, name_files
from modelci.domain.report import Report
from modelci.render.escape import clean

if TYPE_CHECKING:
    from dvc_render.vega_templates import Template

Spec = dict[str, Any]

DEFAULT = "linear"
WIDTH, HEIGHT = 360, 260

SERIES = "series"
REV = "rev"

# Grey against blue (Okabe and Ito's) stay apart for every kind of colour blindness, and in print.
COLOURS = {
    False: {Side.BASE: "#8a8f98", Side.HEAD: "#0072b2"},
    True: {Side.BASE: "#9aa3ad", Side.HEAD: "#56b4e9"},
}
_INK = {False: "#24292f", True: "#d7dde4"}
_LINES = {False: "#d8dee4", True: "#39424d"}
DARK = {
    **{COLOURS[False][side]: COLOURS[True][side] for side in Side},
    _INK[False]: _INK[True],
    _LINES[False]: _LINES[True],
}
"""What each colour of a light plot is in a dark one; of a white background nothing is left."""

STYLE = """\
.modelci-plot svg{max-width:100%;height:auto}
.modelci-plot .vega-bindings label{display:inline-flex;gap:.5em;align-items:center;font-size:.8rem}
.modelci-tip{position:fixed;z-index:9;max-width:24rem;padding:.35rem .5rem;border-radius:4px;\
font:12px/1.4 system-ui,sans-serif;background:#24292f;color:#fff;pointer-events:none;\
overflow-wrap:anywhere}
.modelci-tip[hidden]{display:none}
.modelci-tip b{font-weight:600;margin-right:.5em}
"""
"""What a page with interactive plots adds to its own style sheet."""

_MAX_DEPTH = 60
_MAX_TITLE = 120
_MAX_NAME = 60
# A name that stands for itself in Vega's field paths.
_ODD = re.compile(r"[^\w %/()<>=+:-]")
_ANCHOR = "<DVC_METRIC_"
_DVC_NAMES = {"dvc_inferred_y_value": "value", "dvc_inferred_x_value": "x"}
# ``usermeta`` can turn off what vega-embed is told; the others load, link or leave the drawing.
_NEVER = frozenset({"$schema", "usermeta", "url", "href", "src", "baseURL", "loader", "element"})


class _UnusableError(Exception):
    """A template of the project's own cannot be drawn."""


def vega_lite(plot: Plot, *, dark: bool = False) -> Spec:
    """Return a Vega-Lite specification that holds its data and loads nothing."""
    names = _Names(plot)
    try:
        spec, remark = _fill(_template(plot), plot, names), None
        if plot.spec is None and plot.rows:
            _ADJUST[plot.template](spec)
            if COUNT in plot.rows[0]:
                _sum_counts(spec)
    except _UnusableError as error:
        spec, remark = _fill(_own_template(DEFAULT), plot, names), str(error)
        if plot.rows:
            _ADJUST[DEFAULT](spec)
    _colour(spec, plot.rows, dark=dark)
    _size(spec)
    spec["title"] = _title(plot, remark)
    spec["background"] = "transparent" if dark else "white"
    spec["config"] = theme(spec.get("config"), dark=dark)
    return spec


def captions(report: Report) -> Mapping[str, str]:
    """Return what ``pictures.draw`` would draw: titles by file name, in the report's order."""
    return {name: title for name, title, _ in listing(report)}


def listing(
    report: Report,
) -> Iterator[tuple[str, str, Plot | tuple[Picture, Side]]]:
    """Yield file name, title and source of every picture that may be stored on a forge.

    A project's own SVG files are left out: they can hold scripts.
    """
    sources: list[tuple[str, str, str, Plot | tuple[Picture, Side]]] = [
        (plot.title or plot.id, plot.title or plot.id, "svg", plot) for plot in report.plots
    ]
    for picture in report.pictures:
        stem = picture.path.rpartition("/")[2].rpartition(".")[0] or picture.path
        sources += [
            (f"{stem}-{side}", f"{picture.path} ({side})", picture.kind.value, (picture, side))
            for side in Side
            if picture.kind is not PictureKind.SVG and image_of(picture, side) is not None
        ]
    stems = name_files(label for label, *_ in sources)
    for stem, (_, title, ending, source) in zip(stems, sources, strict=True):
        yield f"{stem}.{ending}", title, source


def image_of(picture: Picture, side: Side) -> bytes | None:
    """Return one side's bytes."""
    return picture.base if side is Side.BASE else picture.head


class _Names:
    """The columns of a plot under names that need no escaping in Vega's field paths."""

    def __init__(self, plot: Plot) -> None:
        self.x = self._safe(plot.x)
        self.y = self._safe(plot.y)
        if self.y == self.x and plot.y != plot.x:
            self.y = f"{self.y} (y)"
        self._known = {plot.x: self.x, plot.y: self.y, SERIES: "field"}

    def row(self, row: Row) -> dict[str, Any]:
        return {self._known.get(key) or self._safe(key): value for key, value in row.items()}

    def _safe(self, name: str) -> str:
        safe = _ODD.sub("_", _DVC_NAMES.get(name, name))[:_MAX_NAME]
        return f"{safe}_" if safe in {"", "field", "filename"} else safe


def _template(plot: Plot) -> "Template":
    return _own_template(plot.template) if plot.spec is None else _custom_template(plot.spec)


def _own_template(name: str) -> "Template":
    from dvc_render.vega_templates import TEMPLATES  # noqa: PLC0415 - 60 ms, where plots are

    for template in TEMPLATES:
        if name == template.DEFAULT_NAME:
            return template(deepcopy(template.DEFAULT_CONTENT))
    raise _UnusableError("DVC has no template of that name")


def _custom_template(text: str) -> "Template":
    from dvc_render.vega_templates import Template  # noqa: PLC0415 - as above

    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _UnusableError("its template is no JSON") from error
    if not isinstance(content, dict):
        raise _UnusableError("its template is no Vega-Lite")
    schema = content.get("$schema")
    if isinstance(schema, str) and "/vega/" in schema:
        raise _UnusableError("its template is for Vega, not for Vega-Lite")
    template = Template(_purge(content), name="own")
    if not template.has_anchor("data"):
        raise _UnusableError("its template has no <DVC_METRIC_DATA>")
    return template


def _fill(template: "Template", plot: Plot, names: _Names) -> Spec:
    from dvc_render.vega import VegaRenderer  # noqa: PLC0415 - as above

    rows = [names.row(row) for row in plot.rows]
    series = dict.fromkeys(str(row["field"]) for row in rows if row.get("field") is not None)
    renderer = VegaRenderer(
        rows,
        "plot",
        template=template,
        x=names.x,
        y=names.y,
        x_label=_label(plot.x_label),
        y_label=_label(plot.y_label),
        title="",
        anchors_y_definitions=[{"filename": "", "field": name} for name in series],
    )
    if not rows:
        return {"data": {"values": []}, "mark": "point"}
    # Whether the columns are there is the reader's to say; here a missing one draws nothing.
    spec: Spec = _drop_unfilled(_purge(renderer.get_filled_template(strict=False)))
    return spec


def _label(text: str) -> str:
    return clean(text.replace(_ANCHOR, ""), _MAX_TITLE)


def _purge(value: Any, depth: int = 0) -> Any:  # noqa: ANN401 - any part of a JSON text
    """Return ``value`` without what loads, links or leaves the drawing.

    Rows (``values``) are data and stay as they are.
    """
    if depth > _MAX_DEPTH:
        raise _UnusableError("its template nests too deeply")
    if isinstance(value, list):
        return [_purge(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("mark") == "image" or value.get("type") == "image":
        raise _UnusableError("its template draws images from addresses")
    data = value.get("data")
    if isinstance(data, dict) and "url" in data:
        raise _UnusableError("its template loads data from an address")
    return {
        key: item if key == "values" else _purge(item, depth + 1)
        for key, item in value.items()
        if key not in _NEVER
    }


def _drop_unfilled(value: Any) -> Any:  # noqa: ANN401 - any part of a JSON text
    """Return ``value`` without the anchors that the plot had nothing for."""
    if isinstance(value, list):
        return [_drop_unfilled(item) for item in value if not _is_unfilled(item)]
    if not isinstance(value, dict):
        return value
    return {
        key: item if key == "values" else _drop_unfilled(item)
        for key, item in value.items()
        if not _is_unfilled(item)
    }


def _is_unfilled(item: object) -> bool:
    return item == {} or (isinstance(item, str) and item.startswith(_ANCHOR))


def _colour(spec: Spec, rows: Sequence[Row], *, dark: bool) -> None:
    """Give base and head the same colours in every plot."""
    sides = [side.value for side in Side if any(row.get(REV) == side.value for row in rows)]
    scale = {"domain": sides, "range": [COLOURS[dark][Side(side)] for side in sides]}
    for channel, encoding in _encodings(spec):
        if channel in {"color", "fill", "stroke"} and encoding.get("field") == REV:
            encoding["scale"] = scale
            encoding["type"] = "nominal"
            encoding["title"] = None
        elif channel in {"row", "column", "strokeDash", "shape"}:
            encoding.setdefault("title", None)


def _encodings(value: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every channel's definition, at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _encodings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key in {"encoding", "facet"} and isinstance(item, dict):
                yield from (pair for pair in item.items() if isinstance(pair[1], dict))
            elif key not in {"data", "datasets"}:
                yield from _encodings(item)


def _size(spec: Spec) -> None:
    """Replace DVC's 300 by 300 pixels: a plot stands beside others in a page and in a comment."""
    if "facet" in spec or "repeat" in spec or any("concat" in key.lower() for key in spec):
        return
    has_columns = any(channel in {"column", "row"} for channel, _ in _encodings(spec))
    for name, size in (("width", WIDTH // 2 if has_columns else WIDTH), ("height", HEIGHT)):
        if spec.get(name, 300) == 300:
            spec[name] = size


def _title(plot: Plot, remark: str | None) -> dict[str, Any]:
    lines = [
        f"{plot.cut:,} rows left out" if plot.cut else "",
        f"drawn as {DEFAULT}: {remark}" if remark else "",
    ]
    title: dict[str, Any] = {
        "text": clean(plot.title or plot.id, _MAX_TITLE),
        "anchor": "start",
    }
    if any(lines):
        title["subtitle"] = [line for line in lines if line]
    return title


def in_page(spec: Spec) -> Spec:
    """Return a specification for a page, whose own caption says the title."""
    title = {**spec.get("title", {}), "text": ""}
    return {**spec, "title": title, "background": "transparent"}


def theme(own: object = None, *, dark: bool = False) -> dict[str, Any]:
    """Return Vega's configuration: our inks over a template's ``own``."""
    ink, lines = _INK[dark], _LINES[dark]
    words = {"labelColor": ink, "titleColor": ink}
    return {
        **(own if isinstance(own, dict) else {}),
        "font": "system-ui, 'DejaVu Sans', Arial, sans-serif",
        "view": {"stroke": lines},
        "axis": {**words, "gridColor": lines, "domainColor": lines, "tickColor": lines},
        "header": words,
        "legend": words,
        "title": {"color": ink, "subtitleColor": ink},
        "range": {"heatmap": {"scheme": "blues"}, "ramp": {"scheme": "blues"}},
    }


def _plain_line(spec: Spec) -> None:
    """Draw the points as they are: DVC's linear is its smooth with the least smoothing.

    Loess goes wrong where x repeats, as it does in every ROC curve, and the picture needs no
    slider.
    """
    _no_params(spec)
    smoothed, _, last, rule = spec["layer"]
    del smoothed["transform"]
    _no_params(smoothed["layer"][0])
    spec["layer"] = [smoothed, last, rule]


def _smooth_line(spec: Spec) -> None:
    """Smooth by default: DVC's slider starts at nothing, and a picture has no slider."""
    spec["params"][0]["value"] = 0.2
    _no_params(spec["layer"][0]["layer"][0])


def _confusion(spec: Spec) -> None:
    """Write the numbers into the cells, where DVC wants a checkbox, or forgets the field."""
    _no_params(spec)
    cells, hover, _, words = spec["spec"]["layer"]
    del hover["selection"]
    hover["encoding"]["opacity"] = {"value": 0}
    colour = cells["encoding"]["color"]
    form = {"format": ".2f"} if colour["field"] == "percent_of_y" else {}
    words["encoding"]["text"] = {"field": colour["field"], "type": "quantitative", **form}
    for key in ("width", "height"):
        del cells[key]
        spec["spec"][key] = WIDTH // 2
    spec["spec"]["layer"] = [cells, words, hover]


def _sum_counts(spec: Spec) -> None:
    """Take rows for as many as they say, where DVC's template counts them."""
    for step in spec.get("spec", {}).get("transform", []):
        if "aggregate" in step:
            step["aggregate"] = [{"op": "sum", "field": COUNT, "as": "xy_count"}]


def _no_params(spec: Spec) -> None:
    """Drop zooming, which catches the wheel and the finger of who only wants to scroll past."""
    spec.pop("params", None)


def _jitter(spec: Spec) -> None:
    """Scatter by row number, not at random: a picture that did not change is the same bytes."""
    spec["transform"] = [
        {"window": [{"op": "row_number", "as": "row"}]},
        {"calculate": "(datum.row * 0.618034) % 1", "as": "randomX"},
        {"calculate": "(datum.row * 0.754878) % 1", "as": "randomY"},
    ]


_ADJUST: Mapping[str, Callable[[Spec], None]] = {
    "bar_horizontal": _no_params,
    "bar_horizontal_sorted": _no_params,
    "confusion": _confusion,
    "confusion_normalized": _confusion,
    "linear": _plain_line,
    "scatter": _no_params,
    "scatter_jitter": _jitter,
    "simple": _no_params,
    "smooth": _smooth_line,
}
