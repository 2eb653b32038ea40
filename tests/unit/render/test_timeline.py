"""When stages ran, as a trace and as a page."""

import json
import re

import pytest

from modelci.domain.pipeline import Run, StageRun, StageStatus
from modelci.render.timeline import bars, render_timeline, render_trace


def stage(
    name: str,
    start: float | None = None,
    seconds: float | None = None,
    status: StageStatus = StageStatus.RAN,
) -> StageRun:
    return StageRun(name=name, status=status, start_seconds=start, seconds=seconds)


def run(*stages: StageRun, seconds: float = 4.0) -> Run:
    return Run(
        revision="a" * 40,
        dirty=False,
        started="2026-01-01T00:00:00Z",
        seconds=seconds,
        stages=stages,
        version="1",
    )


RUN = run(
    StageRun(
        name="train",
        status=StageStatus.RAN,
        reasons=("never run",),
        start_seconds=0.5,
        seconds=2.25,
        cpu_seconds=4.0,
        peak_bytes=10**9,
        attempts=1,
        exit_code=0,
    ),
    stage("data", 0.0, 0.5, StageStatus.RESTORED),
    stage("test", 0.25, 1.0, StageStatus.FAILED),
    stage("old", status=StageStatus.UNCHANGED),
    stage("never", status=StageStatus.NOT_RUN),
)


def test_a_stage_stands_in_the_first_lane_that_is_free() -> None:
    found = bars([stage("c", 2, 1), stage("a", 0, 2), stage("b", 1, 5), stage("d", 3, 1)])
    assert {bar.stage.name: bar.lane for bar in found} == {"a": 0, "b": 1, "c": 0, "d": 0}


def test_what_took_no_time_or_none_that_can_be_drawn_has_no_bar() -> None:
    assert bars([stage("a"), stage("b", 1.0), stage("c", float("nan"), 1.0)]) == ()
    assert bars([stage("a", -1.0, -2.0)])[0].end == 0


def test_a_trace_counts_in_microseconds() -> None:
    trace = json.loads(render_trace(RUN))
    shown = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    assert [(one["name"], one["tid"], one["ts"], one["dur"]) for one in shown] == [
        ("data", 1, 0, 500_000),
        ("test", 2, 250_000, 1_000_000),
        ("train", 1, 500_000, 2_250_000),
    ]
    assert [one.get("cname") for one in shown] == ["grey", "terrible", None]
    assert shown[2]["args"] == {
        "status": "ran",
        "reasons": ["never run"],
        "exit_code": 0,
        "cpu_seconds": 4.0,
        "peak_bytes": 10**9,
        "attempts": 1,
    }
    names = [event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"]
    assert names == ["modelci run", "lane 1", "lane 2"]
    assert trace["otherData"]["without_bar"] == {"old": "unchanged", "never": "not_run"}


def test_the_page_has_a_bar_for_each_stage_and_names_the_rest() -> None:
    page = render_timeline(RUN)
    assert re.findall(r'<g class="bar (\w+)">', page) == ["restored", "failed", "ran"]
    assert '<rect x="12.5000%" y="26" width="56.2500%" height="22" rx="3"/>' in page
    assert "↺ data</text>" in page
    assert "✘ test</text>" in page
    assert "train\nran in 2.2 s, from 0.5 s\nbecause never run\nCPU 4.0 s" in page
    assert "<code>old</code> unchanged" in page
    assert "<code>never</code> not run" in page


def test_the_page_needs_nothing_and_runs_nothing() -> None:
    evil = "</title></svg><script>alert(1)</script>\x1b\u202e"
    page = render_timeline(run(stage(evil, 0, 1), stage(evil + "2")))
    assert "<script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
    assert "default-src &#39;none&#39;" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert " style=" not in page
    assert "http" not in page.replace("http-equiv", "")


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 0.3, 7.0, 100.0, 86_400.0, float("inf")])
def test_any_length_has_some_marks(seconds: float) -> None:
    page = render_timeline(run(stage("a", 0, 0), seconds=seconds))
    assert 1 <= page.count('class="tick"') <= 11


def test_no_stages_are_a_page_too() -> None:
    assert "no stages" in render_timeline(run())
    assert json.loads(render_trace(run()))["otherData"]["without_bar"] == {}


def test_thousands_of_stages_stay_readable() -> None:
    page = render_timeline(run(*(stage(f"s{i}", i, 1) for i in range(5_010)), seconds=5_010))
    assert page.count('<g class="bar') == 5_000
    assert "10 shorter stages are left out" in page
