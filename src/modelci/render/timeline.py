"""When a run's stages ran: for a trace viewer, or as a page that needs nothing but itself.

Each stage stands in a lane, the first that is free when it starts: there are as many lanes as
stages ran at a time. A stage that was neither run nor restored took no time and has no bar.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelci.domain.pipeline import Run, StageRun, StageStatus
from modelci.render import page, quantities
from modelci.render.digest import run_counts, short_sha
from modelci.render.escape import clean

_MICRO = 1_000_000
_MOST_BARS = 5_000
_MOST_NAMES = 500
_LANE = 30  # pixels
_BAR = 22
_RULER = 22
_COLOURS = {StageStatus.RESTORED: "grey", StageStatus.FAILED: "terrible"}  # the viewer's names


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stage from ``start`` to ``end``, in seconds from the start of the run."""

    stage: StageRun
    start: float
    end: float
    lane: int


def bars(stages: Sequence[StageRun]) -> tuple[Bar, ...]:
    """Put each stage that took time into the first lane that is free, by start."""
    spans = sorted(_spans(stages), key=lambda span: span[:2])
    ends: list[float] = []
    found: list[Bar] = []
    for start, end, stage in spans:
        lane = next((at for at, busy in enumerate(ends) if busy <= start), len(ends))
        ends[lane : lane + 1] = [end]
        found.append(Bar(stage=stage, start=start, end=end, lane=lane))
    return tuple(found)


def _spans(stages: Sequence[StageRun]) -> Iterator[tuple[float, float, StageRun]]:
    for stage in stages:
        start, seconds = stage.start_seconds, stage.seconds
        if start is None or seconds is None or not math.isfinite(start + seconds):
            continue
        yield max(0.0, start), max(0.0, start) + max(0.0, seconds), stage


def render_trace(run: Run) -> str:
    """Return Chrome's trace event format; ``ts`` and ``dur`` are microseconds."""
    shown = bars(run.stages)
    lanes = 1 + max((bar.lane for bar in shown), default=-1)
    events: list[dict[str, object]] = [
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "modelci run"}}
    ]
    events += [
        {"ph": "M", "pid": 1, "tid": lane, "name": "thread_name", "args": {"name": f"lane {lane}"}}
        for lane in range(1, lanes + 1)
    ]
    events += [_event(bar) for bar in shown]
    placed = {bar.stage.name for bar in shown}
    document = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "started": run.started,
            "revision": run.revision,
            "seconds": run.seconds,
            "version": run.version,
            "without_bar": {
                stage.name: stage.status.value for stage in run.stages if stage.name not in placed
            },
        },
    }
    return json.dumps(document, indent=1) + "\n"


def _event(bar: Bar) -> dict[str, object]:
    stage = bar.stage
    details = {
        "status": stage.status.value,
        "reasons": list(stage.reasons),
        "exit_code": stage.exit_code,
        "cpu_seconds": stage.cpu_seconds,
        "peak_bytes": stage.peak_bytes,
        "attempts": stage.attempts,
    }
    start, end = round(bar.start * _MICRO), round(bar.end * _MICRO)
    event: dict[str, object] = {
        "ph": "X",
        "pid": 1,
        "tid": bar.lane + 1,
        "name": stage.name,
        "cat": stage.status.value,
        "ts": start,
        "dur": end - start,
        "args": {name: value for name, value in details.items() if value is not None},
    }
    if stage.status in _COLOURS:
        event["cname"] = _COLOURS[stage.status]
    return event


def render_timeline(run: Run) -> str:
    """Return the page; of more than 5,000 bars it shows those of the longest stages."""
    names = {bar.stage.name for bar in bars(run.stages)}
    rest = [stage for stage in run.stages if stage.name not in names]
    style = page.asset("timeline.css") + page.asset("chart.css")
    return (
        page.environment()
        .get_template("timeline.html.j2")
        .render(
            policy=page.policy(style=style),
            style=page.trusted(style),
            counts=run_counts(run),
            time=quantities.duration(run.seconds),
            started=clean(run.started),
            revision=short_sha(run.revision) if run.revision else "",
            error=clean(run.error, 400) if run.error else "",
            rest=[(clean(stage.name), _word(stage.status)) for stage in rest[:_MOST_NAMES]],
            rest_total=len(rest),
            chart=chart(run),
        )
    )


def chart(run: Run) -> dict[str, object]:
    """Return what ``chart.html.j2`` draws; no lanes where no stage took time."""
    placed = bars(run.stages)
    lanes = 1 + max((bar.lane for bar in placed), default=-1)
    length = _length(run, placed)
    longest = sorted(placed, key=lambda bar: bar.start - bar.end)[:_MOST_BARS]
    return {
        "lanes": lanes,
        "height": _RULER + _LANE * lanes,
        "ruler": _RULER,
        "ticks": [(_share(at, length), _seconds(at)) for at in _ticks(length)],
        "bars": [_drawn(bar, length) for bar in sorted(longest, key=lambda bar: bar.start)],
        "hidden": len(placed) - len(longest),
    }


def _length(run: Run, placed: Sequence[Bar]) -> float:
    whole = run.seconds if math.isfinite(run.seconds) else 0.0
    return max([whole, *(bar.end for bar in placed), 1e-3])


def _drawn(bar: Bar, length: float) -> dict[str, object]:
    stage, took = bar.stage, quantities.duration(bar.end - bar.start)
    facts = [
        clean(stage.name),
        f"{_word(stage.status)} in {took}, from {_seconds(bar.start)}",
        *(f"because {clean(reason)}" for reason in stage.reasons[:5]),
    ]
    if stage.cpu_seconds is not None:
        facts.append(f"CPU {quantities.duration(stage.cpu_seconds)}")
    if stage.peak_bytes is not None:
        facts.append(f"peak memory {quantities.size(stage.peak_bytes)}")
    if stage.exit_code:
        facts.append(f"exit code {stage.exit_code}")
    marks = {StageStatus.RESTORED: "\u21ba ", StageStatus.FAILED: "\u2718 "}
    return {
        "kind": stage.status.value,
        "x": _share(bar.start, length),
        "width": _share(bar.end - bar.start, length),
        "y": _RULER + _LANE * bar.lane + (_LANE - _BAR) // 2,
        "height": _BAR,
        "label": marks.get(stage.status, "") + clean(stage.name, 60),
        "title": "\n".join(facts),
    }


def _ticks(length: float) -> list[float]:
    """Return round times, at most eleven."""
    power = 10.0 ** math.floor(math.log10(length / 10))
    step = next(power * factor for factor in (1, 2, 5, 10) if length / (power * factor) <= 10)
    return [step * number for number in range(int(length / step) + 1)]


def _share(seconds: float, length: float) -> str:
    return f"{100 * seconds / length:.4f}%"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.4g} s" if seconds < 1000 else f"{seconds:,.0f} s"


def _word(status: StageStatus) -> str:
    return status.value.replace("_", " ")
