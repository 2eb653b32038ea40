"""Mermaid charts, for Markdown that draws ``mermaid`` blocks: a plan's graph, a metric's way."""

import math

from modelci.domain.history import MetricHistory
from modelci.domain.pipeline import Plan, PlannedStage, PlannedState
from modelci.render.escape import clean

_CLASSES = {
    PlannedState.RUN: "fill:#fff3d6,stroke:#b7791f,color:#3d2a05,stroke-width:2px",
    PlannedState.RESTORE: "fill:#e3f0ff,stroke:#2b6cb0,color:#0b2a4a",
    PlannedState.UNCHANGED: "fill:#f1f3f5,stroke:#868e96,color:#343a40",
    PlannedState.FROZEN: "fill:#e9e4f7,stroke:#6b4fbb,color:#2a1c52,stroke-dasharray:2 2",
    PlannedState.DEPENDS: "fill:#fff,stroke:#b7791f,color:#3d2a05,stroke-dasharray:5 3",
}
_PLAIN = frozenset(" -_./@:,+=")
_MOST_EDGES = 500


def render_plan(plan: Plan) -> str:
    """Return the flowchart's text, without a fence.

    Renderers draw 500 edges by default; of a larger plan the rest is left out with a comment.
    """
    ids = {stage.name: f"s{place}" for place, stage in enumerate(plan.stages)}
    edges = [
        f"  {ids[before]} --> {ids[stage.name]}"
        for stage in plan.stages
        for before in stage.after
        if before in ids
    ]
    lines = ["flowchart LR", *(_node(ids[stage.name], stage) for stage in plan.stages)]
    lines += edges[:_MOST_EDGES]
    if len(edges) > _MOST_EDGES:
        lines.append(f"  %% {len(edges) - _MOST_EDGES} more edges are left out")
    used = {stage.state for stage in plan.stages}
    lines += [f"  classDef {state} {style}" for state, style in _CLASSES.items() if state in used]
    return "\n".join(lines) + "\n"


def render_history(history: MetricHistory) -> str | None:
    """Return a line chart's text; None for fewer than five numbers, or ones it cannot write."""
    points = [
        (point.name, point.value)
        for point in history.points
        if isinstance(point.value, float) and math.isfinite(point.value)
    ]
    if len(points) < _FEWEST_POINTS:
        return None
    values = [value for _, value in points]
    low, high = min(values), max(values)
    room = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    if max(abs(low), abs(high)) > _GREATEST or room < _FINEST:
        return None
    names = ", ".join(f'"{_plain(name, 12)}"' for name, _ in points)
    lines = [
        "xychart-beta",
        f'  title "{_plain(history.key.name, 60)}"',
        f"  x-axis [{names}]",
        f"  y-axis {_decimal(low - room)} --> {_decimal(high + room)}",
        f"  line [{', '.join(map(_decimal, values))}]",
    ]
    return "\n".join(lines) + "\n"


_FEWEST_POINTS = 5
_GREATEST, _FINEST = 1e12, 1e-9  # the chart's grammar has no exponents


def _decimal(value: float) -> str:
    text = f"{value:.10f}".rstrip("0")
    return f"{text}0" if text.endswith(".") else text


def _plain(text: str, limit: int) -> str:
    """Keep what a quoted text of a chart may hold: its grammar has no escapes."""
    kept = (one if one.isalnum() or one in _PLAIN else "_" for one in clean(text, limit))
    return "".join(kept).strip() or "_"


def _node(identifier: str, stage: PlannedStage) -> str:
    return f'  {identifier}["{_label(stage.name)}<br/>{stage.state}"]:::{stage.state}'


def _label(name: str) -> str:
    """Spell everything that Mermaid, Markdown or HTML might read as a code of a character."""
    return "".join(
        character if character.isalnum() or character in _PLAIN else f"#{ord(character)};"
        for character in clean(name)
    )
