"""What a terminal shows is plain, aligned, and never drives it."""

import re
from dataclasses import replace

import pytest
from rich.cells import cell_len
from tests.golden import samples

from modelci.domain.allowance import Liftable
from modelci.domain.artifacts import Artifact
from modelci.domain.history import History
from modelci.domain.metrics import MetricKey
from modelci.domain.pipeline import Plan, PlannedStage, PlannedState, Run
from modelci.domain.promotion import Candidate, Promotion, Unpromoted, plan_promotion
from modelci.render import terminal

PLAN = Plan(
    stages=(
        PlannedStage(name="prepare", state=PlannedState.UNCHANGED),
        PlannedStage(
            name="train@hgb",
            state=PlannedState.RUN,
            reasons=("params.yaml: hgb.max_depth changed",),
            after=("prepare",),
        ),
        PlannedStage(name="\x1b]0;evil\x07", state=PlannedState.DEPENDS, after=("train@hgb",)),
    )
)
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def squeezed(text: str) -> str:
    """Return a table without its padding: Rich's versions differ by a column's width."""
    return re.sub(r"([ ─])\1+", r"\1", text)


def test_the_verdict_comes_first() -> None:
    assert terminal.render_report(samples.good()).startswith(
        "✓ Passed: all 6 gates hold; 4 of 8 metrics changed.\n"
    )


def test_a_plan_says_what_runs_and_why() -> None:
    assert squeezed(terminal.render_plan(PLAN)) == squeezed(
        "3 stages: 1 run, 1 unchanged, 1 depends\n"
        "\n"
        "Stage             State       Reason\n"
        "────────────────────────────────────────────────────────────────\n"
        "prepare           unchanged\n"
        "train@hgb         run         params.yaml: hgb.max_depth changed\n"
        "\\x1b]0;evil\\x07   depends\n"
    )
    assert terminal.render_plan(Plan(stages=())) == "There are no stages to run.\n"


def test_a_run_shows_the_end_of_a_failed_stages_log() -> None:
    run = samples.failed().run
    assert run
    text = terminal.render_run(run)
    assert text.startswith("✗ Pipeline failed: 1 unchanged, 1 failed, 1 not run in 3.6 s.\n")
    assert "ValueError: max_depth must be > 0" in text
    assert "::" not in text


def test_a_run_that_ended_early_says_why() -> None:
    run = Run(
        revision=None, dirty=False, started="", seconds=1, stages=(), error="no cache", pushed=2
    )
    text = terminal.render_run(run)
    assert "no cache" in text
    assert "2 objects pushed" in text


def test_a_promotion_lists_its_tags_and_what_it_leaves() -> None:
    promotion = plan_promotion(
        [
            Candidate(
                artifact=Artifact(name="hgb", path="models/hgb.skops"),
                hash="md5:1",
                assign=("prod",),
            ),
            Candidate(artifact=Artifact(name="logreg", path="models/logreg"), hash=None),
        ],
        {},
        commit="a" * 40,
        committed_seconds=1,
    )
    text = terminal.render_promotion(promotion)
    assert text.startswith("2 tags to create, at aaaaaaa:\n")
    assert "hgb@v0.0.1" in text
    assert "hgb#prod#1" in text
    assert "· logreg: models/logreg is in no dvc.lock and no .dvc file: run the" in text
    nothing = Promotion(
        commit="a" * 40, unpromoted=(Unpromoted(artifact="hgb", reason="unchanged"),)
    )
    assert terminal.render_promotion(nothing) == (
        "Nothing to promote at aaaaaaa.\n\n· hgb: unchanged\n"
    )
    reasoned = replace(promotion, allowed="Hotfix #1", allowed_rules=tuple(Liftable)[:2])
    assert "! Rules are lifted (gates, newest-base): Hotfix #1" in terminal.render_promotion(
        reasoned
    )
    needless = terminal.render_promotion(replace(reasoned, allowed_rules=()))
    assert "! No rule had to be lifted" in needless


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
@pytest.mark.parametrize("case", samples.CASES)
def test_no_line_is_wider_than_the_terminal(case: str, width: int) -> None:
    text = terminal.render_report(samples.CASES[case](), width=width)
    assert max(map(cell_len, text.split("\n"))) <= width


@pytest.mark.parametrize("colour", [False, True])
def test_names_drive_neither_the_terminal_nor_a_runner(colour: bool) -> None:
    report = samples.hostile()
    assert report.run
    for text in (
        terminal.render_report(report, colour=colour),
        terminal.render_run(report.run, colour=colour),
        terminal.render_plan(PLAN, colour=colour),
    ):
        assert ("\x1b[" in text) == colour
        plain = ANSI.sub("", text)
        assert "\x1b" not in plain
        assert "\x07" not in plain
        assert "\u202e" not in plain
        assert "::" not in plain
        assert "##[" not in plain


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    before = terminal.render_report(samples.good())
    for name, value in (("FORCE_COLOR", "1"), ("COLUMNS", "20"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.render_report(samples.good()) == before


def test_a_huge_report_is_cut_and_says_so() -> None:
    text = terminal.render_report(samples.many(3_000, 10_000))
    assert text.count("\n") < 1_000
    assert "… 9,900 more rows" in text


def test_one_metrics_history_shows_every_step() -> None:
    history = History(of="The last 8 commits of main", metrics=samples.HISTORY[:1])
    text = terminal.render_history(history)
    assert "metrics.json:hgb.roc_auc  ▁▃▅·▆███  best 0.7812 (0000008)" in text
    (step,) = [line for line in text.split("\n") if line.startswith("0000002")]
    assert step.split() == "0000002 2025-10-22 0.7520 +0.0110 (+1.48 %) ✓ better Change 2".split()
    (gap,) = [line for line in text.split("\n") if line.startswith("0000004")]
    assert gap.split() == "0000004 2025-10-24 — Change 4".split()


def test_several_metrics_are_a_line_each() -> None:
    history = History(of="x", metrics=samples.HISTORY, notes=("a note",))
    text = terminal.render_history(history)
    assert "hgb.f1 ▁▃▆▆██" in squeezed(text)
    assert text.endswith("! a note\n")


def test_a_history_of_hostile_names_never_drives_the_terminal() -> None:
    for count in (1, None):
        history = History(of="\x1b[31m", metrics=samples.hostile().history[:count])
        text = terminal.render_history(history)
        assert "\N{ESCAPE}" not in text
        assert "::" not in text  # GitHub reads commands in a job's output
        assert text.replace("\n", "").replace("\N{ZERO WIDTH SPACE}", "").isprintable()


def test_a_forks_figures_and_waivers_are_told() -> None:
    text = " ".join(terminal.render_report(samples.unclear(), width=1000).split())
    assert "! These figures come from a fork's own run; nobody here has checked them." in text
    assert "waived until 2025-12-01 by anna@acme.example: the threshold" in text


def test_a_name_ends_its_lines_where_a_reader_would_end_them() -> None:
    names = ("models/credit_scoring.skops:bytes", "predictions.csv:age: below minimum of all")
    keys = [MetricKey(path="", name=name) for name in names]
    gates = (replace(one, key=key) for one, key in zip(samples.good().gates, keys, strict=False))
    text = terminal.render_report(replace(samples.good(), gates=tuple(gates)), width=80)
    words = {word for line in text.splitlines() for word in line.split()}
    assert "\x1f" not in text
    assert {"models/credit_scoring.", "skops:bytes", "predictions.csv:age:", "minimum"} <= words


def test_what_a_change_edits_begins_a_sentence() -> None:
    assert "! The change edits its own gates; " in terminal.render_report(samples.blocked())
