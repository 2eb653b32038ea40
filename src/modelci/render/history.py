"""How metrics went, as a Vega-Lite chart."""

from typing import Any

from modelci.domain.history import History
from modelci.render.escape import clean

_MOST_SERIES = 20
_WIDTH, _HEIGHT = 640, 300


def history_spec(history: History) -> dict[str, Any]:
    """Return a line for each of the first 20 metrics, over commits or versions in their order.

    It holds its data and loads nothing.
    """
    shown = history.metrics[:_MOST_SERIES]
    shows_files = len({one.key.path for one in shown}) > 1
    names = [point.name for point in shown[0].points] if shown else []
    labels = {f"{place:05}": clean(name, 40) for place, name in enumerate(names)}
    rows = [
        {
            "at": at,
            "name": labels[at],
            "value": point.value if isinstance(point.value, float) else None,
            "metric": clean(str(one.key) if shows_files else one.key.name),
        }
        for one in shown
        for at, point in zip(labels, one.points, strict=True)
    ]
    return {
        "title": {"text": clean(history.of, 120), "anchor": "start"},
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": rows},
        "transform": [{"filter": "isValid(datum.value)"}],
        "mark": {"type": "line", "point": True},
        "encoding": {
            "x": _commits(list(labels.values()), list(labels)),
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": clean(shown[0].key.name) if len(shown) == 1 else None,
                "scale": {"zero": False},
            },
            **({"color": _COLOUR} if len(shown) > 1 else {}),
        },
    }


_COLOUR = {"field": "metric", "type": "nominal", "title": None}


def _commits(names: list[str], places: list[str]) -> dict[str, Any]:
    """Return the axis of commits: by place, since two may have one name."""
    shown = names if len(set(names)) == len(names) else places
    return {
        "field": "name" if shown is names else "at",
        "type": "ordinal",
        "sort": shown,
        "scale": {"domain": shown},
        "title": None,
        "axis": {"labelAngle": -45},
    }
