from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from modelci.domain.deployment import (
    Deployment,
    DeployOutcome,
    DeployStep,
    Observation,
    Running,
    StepKind,
    StepRecord,
    StepState,
)
from modelci.domain.provenance import CheckState, Finding
from modelci.render.deployments import headline, render_deployment, render_summary

OLD = Running(
    release="v1.0.0-a",
    artifact="m",
    version="v1.0.0",
    tag="m#prod#1",
    commit="a" * 40,
    assigned_seconds=1,
    since="2026-01-01T00:00:00Z",
)
NEW = replace(OLD, release="v2.0.0-b", version="v2.0.0", tag="m#prod#2", commit="b" * 40)
DONE = Deployment(
    target="prod",
    kind="directory",
    artifact="m",
    tag="m#prod#2",
    version="v2.0.0",
    stage="prod",
    commit="b" * 40,
    outcome=DeployOutcome.DEPLOYED,
    release="v2.0.0-b",
    steps=(
        StepRecord(kind=StepKind.FETCH, state=StepState.DONE, detail="m.skops", seconds=1.25),
        StepRecord(kind=StepKind.ENVIRONMENT, state=StepState.SKIPPED, detail="not told"),
    ),
    before=OLD,
    after=NEW,
)


@pytest.mark.parametrize(
    ("outcome", "after", "wanted"),
    [
        (DeployOutcome.DEPLOYED, NEW, "m v2.0.0 (m#prod#2) runs on prod."),
        (DeployOutcome.UNCHANGED, NEW, "m v2.0.0 (m#prod#2) runs on prod already."),
        (
            DeployOutcome.PLANNED,
            OLD,
            "m v2.0.0 (m#prod#2) would be deployed to prod, where v1.0.0 runs.",
        ),
        (
            DeployOutcome.FAILED,
            None,
            "m v2.0.0 (m#prod#2) was not deployed to prod, where nothing runs.",
        ),
        (
            DeployOutcome.SWITCHED_BACK,
            OLD,
            "m v2.0.0 (m#prod#2) was switched back on prod: v1.0.0 runs.",
        ),
    ],
)
def test_a_sentence_says_what_it_came_to(
    outcome: DeployOutcome, after: Running | None, wanted: str
) -> None:
    assert headline(replace(DONE, outcome=outcome, after=after)) == wanted


def test_a_commit_without_version_is_called_by_its_commit() -> None:
    assert headline(replace(DONE, version=None)).startswith("m bbbbbbb (m#prod#2)")


def test_each_step_has_a_line() -> None:
    shown = replace(
        DONE,
        findings=(
            Finding(subject="provenance", state=CheckState.UNCHECKED, detail="none was given"),
            Finding(subject="m.skops: md5", state=CheckState.OK),
        ),
        allowed="hotfix",
        notes=("Allowed although: it is held.",),
    )
    assert render_deployment(shown) == (
        "m v2.0.0 (m#prod#2) runs on prod.\n"
        "  ✓ fetch          1.2 s  m.skops\n"
        "  · environment    0.0 s  not told\n"
        "  unchecked: provenance: none was given\n"
        "! Allowed: hotfix\n"
        "! Allowed although: it is held.\n"
        "Release v2.0.0-b, commit bbbbbbb.\n"
    )


def test_a_plan_says_what_is_missing() -> None:
    plan = (
        DeployStep(kind=StepKind.TRIAL, share=0.0),
        DeployStep(kind=StepKind.CHECK),
        DeployStep(kind=StepKind.TRIAL, share=0.05, seconds=10),
        DeployStep(kind=StepKind.TRIAL, seconds=10),
        DeployStep(kind=StepKind.SWITCH),
        DeployStep(kind=StepKind.WATCH, seconds=60),
    )
    planned = replace(DONE, outcome=DeployOutcome.PLANNED, plan=plan, steps=(), after=OLD)
    lines = render_deployment(planned).splitlines()
    assert lines[1:-1] == [
        "  trial: end the one that an earlier run left",
        "  check",
        "  trial: 5% of the requests, for 10 s or more",
        "  trial: copies of requests, for 10 s or more",
        "  switch",
        "  watch: 60 s",
    ]
    assert "1. watch: 60 s" in render_summary(planned)


def test_colours_are_for_terminals() -> None:
    assert "\x1b" not in render_deployment(DONE)
    assert "\x1b[32m✓" in render_deployment(DONE, colour=True)


def test_a_summary_is_a_page_of_markdown() -> None:
    seen = Observation(seconds=10, requests=1200, errors=3)
    text = render_summary(replace(DONE, run_url="https://ci.example/runs/7", observations=(seen,)))
    assert text.startswith("### ✅ m v2.0.0")
    assert "| fetch | ✅ | 1.2 s | m.skops |" in text
    assert "| environment | ⏭️ | 0.0 s | not told |" in text
    assert "before: v1.0.0" in text
    assert "1,200 requests seen, 3 failed ([run](https://ci.example/runs/7))." in text
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert "<table>" in html


def test_a_failure_says_why_and_what_to_do() -> None:
    failed = replace(
        DONE, outcome=DeployOutcome.FAILED, after=OLD, reason="@everyone: |row 3|", hint="Look <b>."
    )
    text = render_summary(failed)
    assert text.startswith("### ❌ ")
    assert "**Why**: " in text
    assert "**Next**: " in text
    assert "@everyone" not in text
    assert "<b>" not in text


EVIL = "x | y`\n::error::<img src=x>@team [a](javascript:b) \x1b[2J"


def test_foreign_text_formats_and_commands_nothing() -> None:
    step = replace(DONE.steps[0], detail=EVIL)
    evil = replace(DONE, steps=(step,), notes=(EVIL,), allowed=EVIL, run_url="javascript:alert(1)")
    for text in (render_deployment(evil), render_summary(evil)):
        assert "\x1b" not in text
        assert "\n::error" not in text
    html = MarkdownIt("gfm-like", {"linkify": False}).render(render_summary(evil))
    assert "<img" not in html
    assert "<a " not in html
    assert "@team" not in html
