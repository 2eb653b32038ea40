"""A comment says the verdict first, holds its shape whatever the names, and keeps to its size."""

import re
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.golden import samples
from tests.unit.render.test_escape import MARKDOWN, NASTY, assert_inert

from modelci.domain.gates import (
    GateResult,
    Outcome,
    Rule,
    Severity,
    Subject,
    Threshold,
    WhenMissing,
    WhenUnclear,
    judge_all,
)
from modelci.domain.metrics import NonFinite
from modelci.domain.pipeline import Run
from modelci.domain.report import Report
from modelci.render import digest
from modelci.render.markdown import render_comment, render_summary
from modelci.render.vega import captions

MARKER = "<!-- modelci:report -->"


def comment(report: Report, max_bytes: int = 65_000) -> str:
    return render_comment(report, title="Model report", marker=MARKER, max_bytes=max_bytes)


def verdict(report: Report) -> str:
    return digest.sentence(digest.digest(report).headline)


def judged(*outcomes: Outcome, severity: Severity = Severity.BLOCK) -> Report:
    gate = samples.gate("auc", Rule.MIN, 0.9, severity=severity)
    gates = tuple(GateResult(gate=gate, outcome=one, reason="because") for one in outcomes)
    return replace(samples.ungated(), metrics=(), gates=gates)


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (samples.good(), "Passed: all 6 gates hold; 4 of 8 metrics changed."),
        (judged(Outcome.PASSED), "Passed: the only gate holds; no metrics."),
        (
            judged(Outcome.PASSED, Outcome.FAILED),
            "Blocked: 1 of 2 gates failed (auc: because).",
        ),
        (
            judged(Outcome.FAILED, Outcome.MISSING),
            "Blocked: 1 of 2 gates failed and 1 found no metric (auc).",
        ),
        (judged(Outcome.MISSING), "Blocked: 1 of 1 gate found no metric (auc: because)."),
        (
            judged(Outcome.PASSED, Outcome.WARNED, severity=Severity.WARN),
            "Passed with warnings: 1 of 2 gates holds, 1 warns (auc: because); no metrics.",
        ),
        (
            judged(Outcome.INCONCLUSIVE, Outcome.INCOMPARABLE),
            (
                "Passed with warnings: 0 of 2 gates hold, 1 is inconclusive, "
                "1 cannot be judged (auc); no metrics."
            ),
        ),
        (samples.ungated(), "No gates are configured; 4 of 8 metrics changed."),
        (
            samples.first(),
            "No base to compare with: 3 of 6 gates hold, 3 cannot be judged; 8 metrics measured.",
        ),
        (samples.failed(), "The pipeline failed in stage train@hgb."),
        (
            replace(
                judged(Outcome.FAILED),
                run=Run(
                    revision=None, dirty=False, started="", seconds=0, stages=(), error="no cache."
                ),
            ),
            "The run failed: no cache; 1 of 1 gate blocked.",
        ),
    ],
)
def test_the_verdict_is_one_sentence(report: Report, sentence: str) -> None:
    assert verdict(report) == sentence


def test_the_marker_is_the_first_line_and_stands_once() -> None:
    for report in (samples.good(), samples.hostile(), samples.failed()):
        text = comment(report)
        assert text.split("\n", 1)[0] == MARKER
        assert text.count("<!--") == 1


def test_a_summary_has_no_marker() -> None:
    text = render_summary(samples.good(), title="Model report")
    assert text.startswith("## Model report\n\n✅ ")


def test_metrics_of_one_file_need_no_file_column() -> None:
    assert "| File | Metric |" not in comment(samples.good())
    assert "| File | Metric |" in comment(samples.blocked())


def test_colour_is_not_the_only_sign() -> None:
    text = comment(samples.good())
    assert "▼ −0.00034 (−0.66 %) | 🟢 better" in text


def test_a_log_cannot_leave_its_fence() -> None:
    report = samples.failed()
    assert report.run
    stage = replace(report.run.stages[1], log_tail="x\n````\n</details>\n```` \n~~~\n@octocat")
    text = comment(replace(report, run=replace(report.run, stages=(stage,))))
    fences = [token for token in MARKDOWN.parse(text) if token.type == "fence"]
    assert [fence.content for fence in fences] == ["x\n````\n</details>\n```` \n~~~\n@octocat\n"]


def test_gates_that_the_head_edits_are_shown_openly() -> None:
    text = comment(samples.blocked())
    assert "> [!WARNING]" in text
    assert "> - deleted: `hgb.roc_auc max_drop 0.005` (block)" in text


@given(st.lists(NASTY, min_size=1, max_size=4, unique=True), NASTY, NASTY)
def test_no_name_changes_the_shape(names: list[str], value: str, title: str) -> None:
    """A report with hostile names has the tokens that the same report has with plain names."""
    plain = [f"name_{place}" for place in range(len(names))]
    hostile = render_comment(shaped(names, value), title=title, marker=MARKER)
    assert structure(hostile) == structure(
        render_comment(shaped(plain, "value"), title="title", marker=MARKER)
    )
    for token in MARKDOWN.parse(hostile):
        for child in token.children or []:
            if child.type == "text":
                assert_inert(child.content)


def shaped(names: list[str], text: str) -> Report:
    metrics = tuple(samples.metric(name, 0.5, 0.25, path=f"{name}.json") for name in names)
    gates = [samples.gate(f"{name}?", Rule.MIN, 0.9) for name in names]
    lost = [samples.gate(name, Rule.MAX, 1, missing=WhenMissing.FAIL) for name in names]
    report = samples.hostile()
    assert report.run
    return replace(
        report,
        metrics=(*metrics, samples.metric("last", NonFinite.NAN, 1.0, path="last.json")),
        gates=tuple(
            GateResult(gate=gate, outcome=Outcome.FAILED, reason=text, key=metric.key, delta=metric)
            for gate, metric in zip(gates, metrics, strict=True)
        )
        + judge_all(lost, ()),
        gate_changes=(),
        waiver_changes=tuple(
            replace(change, waiver=replace(change.waiver, gate=name, reason=text, author=text))
            for change, name in zip(report.waiver_changes, names, strict=False)
        ),
        slices=tuple(
            replace(report.slices[0], measure=name, slice=name, by=name, reason=text)
            for name in names
        ),
        fairness=tuple(
            replace(report.fairness[0], column=name, rate=text, rates={name: 0.5}, rows={})
            for name in names
        ),
        evaluations=tuple(
            replace(report.evaluations[0], predictions=name, reason=text) for name in names
        ),
        history=(),
        plots=(),
        pictures=(),
        params=(),
        data=(),
        files=tuple(replace(report.files[0], path=name) for name in names),
        stages=tuple(replace(report.stages[0], name=name, fields=(text,)) for name in names),
        run=replace(
            report.run,
            stages=tuple(
                replace(report.run.stages[0], name=name, reasons=(text,), log_tail="log")
                for name in names
            ),
        ),
        notes=(f"note: {text}",),
        base=replace(report.head, name=names[0], chosen=f"by {text}"),
        head=replace(report.head, name=names[-1], chosen=f"by {text}"),
        head_sha=None,
        version="1",
        created="now",
    )


def structure(text: str) -> list[str]:
    """Return the kinds of tokens; whether a cell is blank or a name is code is no matter."""
    kept = []
    for token in MARKDOWN.parse(text):
        kept.append(token.type)
        kept += [
            f"{child.type} {child.content}"
            for child in token.children or []
            if child.type not in {"text", "text_special", "code_inline"}
        ]
    return kept


@pytest.mark.parametrize("max_bytes", [3_000, 8_192, 65_000, 262_144, 1_000_000])
@pytest.mark.parametrize(("metrics", "gates"), [(3_000, 0), (3_000, 10_000), (0, 10_000)])
def test_a_huge_report_fits_in_whole_rows(metrics: int, gates: int, max_bytes: int) -> None:
    report = samples.many(metrics, gates)
    text = comment(report, max_bytes)
    assert len(text.encode()) <= max_bytes
    assert text.count("<details>") == text.count("</details>")
    widths = {line.count(" | ") for line in text.split("\n") if line.startswith("| `metric_")}
    assert len(widths) <= 1
    assert ("_… " in text) == (max_bytes < 900_000 or gates > 0)


def test_rows_that_are_left_out_are_counted() -> None:
    text = comment(samples.many(3_000))
    shown = len(re.findall(r"^\| `group_", text, re.MULTILINE))
    (left_out,) = re.findall(r"_… ([\d,]+) more rows", text.split("Files changed in Git")[0])
    assert shown + int(left_out.replace(",", "")) == 3_000
    assert shown > 500


def test_failed_gates_go_last() -> None:
    text = comment(samples.many(3_000, 100), 20_000)
    assert len(re.findall(r"^\| ❌ failed", text, re.MULTILINE)) == 100


def test_the_greatest_changes_are_kept() -> None:
    metrics = [samples.metric(f"m{place}", 1.0, 1.0 + place / 1e4) for place in range(1, 3_001)]
    text = comment(replace(samples.ungated(), metrics=tuple(metrics)), 20_000)
    assert "`m3000`" in text
    assert "`m1`" not in text


def test_huge_reports_take_little_time() -> None:
    report = samples.many(3_000, 10_000)
    started = time.process_time()
    comment(report)
    assert time.process_time() - started < 1


def test_a_verdict_always_fits_into_16_kib() -> None:
    long = "@|`#1" * 5_000
    report = replace(
        shaped([long, f"{long}2", f"{long}3"], long),
        version=long,
        created=long,
        run_url=f"https://e.example/{'a' * 600}",
    )
    assert len(comment(report, 16_384).encode()) <= 16_384


def test_the_parser_of_these_tests_reads_tables_as_github_does() -> None:
    tokens = MarkdownIt().enable("table").parse("| a |\n| - |\n| `x\\|y` |")
    assert [token.content for token in tokens if token.type == "inline"] == ["a", "`x|y`"]


def test_pictures_stand_side_by_side_at_their_addresses() -> None:
    report = samples.proven()
    names = list(captions(report))
    pictures = {
        names[0]: "https://github.com/acme/credit/blob/0123/roc.svg?raw=true",
        names[1]: "/uploads/0123abcd/base.png",
        "no picture of this report": "https://forge.example/x.png",
    }
    text = render_comment(report, title="t", marker=MARKER, pictures=pictures)
    assert "<summary>Pictures: 2</summary>" in text
    (row,) = [line for line in text.split("\n") if "roc.svg" in line]
    assert row.count("![") == 2
    assert "](https://github.com/acme/credit/blob/0123/roc.svg?raw=true)<br>ROC of the" in row
    assert "](/uploads/0123abcd/base.png)<br>" in row
    assert "no picture" not in text


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "//evil.example/x.png",
        "https://evil.example/x.png)![x](https://evil.example/y.png",
        "/uploads/../../x.png",
        "/x y.png",
        "https://user@evil.example/x.png",
        "/" + "x" * 501,
        "",
    ],
)
def test_only_honest_addresses_become_pictures(address: str) -> None:
    report = samples.proven()
    pictures = dict.fromkeys(captions(report), address)
    text = render_comment(report, title="t", marker=MARKER, pictures=pictures)
    assert text == render_comment(report, title="t", marker=MARKER)
    assert "![" not in text


def test_where_the_pictures_are_is_said_where_they_cannot_be_shown() -> None:
    said = "The pictures are in report.html, an artifact of @the run."
    text = render_comment(samples.proven(), title="t", marker=MARKER, elsewhere=said)
    assert "_The pictures are in report.html, an artifact of @&#8203;the run._" in text


def test_a_forks_figures_are_marked_at_the_top() -> None:
    text = comment(samples.unclear())
    assert text.index("These figures come from a fork's own run") < text.index("| Outcome |")
    assert "fork" not in comment(samples.good())


def test_a_waived_gate_says_who_waived_it_why_and_until_when() -> None:
    (row,) = [line for line in comment(samples.proven()).split("\n") if "failed, waived" in line]
    assert "**waived** until 2025-12-01 by anna@&#8203;acme.example – the threshold" in row
    assert row.startswith("| ⚠️")
    changed = "> - added: `hgb.pr_auc`, **waived** until 2026-01-31 by ben – noise"
    assert changed in comment(samples.proven())


def test_chance_is_shown_as_an_interval_or_said_not_to_have_been_asked() -> None:
    text = comment(samples.proven())
    assert "| −0.0164 … −0.0078 (90 %) | 0.005 |" in text
    assert "| no evidence | 0.01 |" in text
    assert "Interval" not in comment(judged(Outcome.FAILED))


def test_an_undecided_gate_says_what_could_have_been_seen() -> None:
    assert "a worsening shows only from 0.025 on in hgb.pr_auc" in verdict(samples.unclear())
    alone = replace(samples.unclear(), gates=samples.unclear().gates[:1])
    assert "these rows show a worsening only from 0.025 on" in verdict(alone)
    gate = replace(alone.gates[0].gate, inconclusive=WhenUnclear.FAIL)
    blocked = replace(alone, gates=(replace(alone.gates[0], gate=gate),))
    assert verdict(blocked).startswith("Unclear: 1 of 1 gate is inconclusive (hgb.pr_auc: ")


@pytest.mark.parametrize(
    ("subject", "rule", "said"),
    [
        (Subject.METRIC, Rule.MAX_DROP, "show a worsening only from 0.025 on"),
        (Subject.METRIC, Rule.MAX_INCREASE, "show an increase only from 0.025 on"),
        (Subject.METRIC, Rule.MIN_GAIN, "show a worsening only from 0.015 on"),
        (Subject.FAIRNESS, Rule.MAX, "show a gap above the limit only from 0.025 on"),
        (Subject.BASELINE, Rule.MIN_GAIN, "show a gain over a dummy only from 0.025 on"),
        (Subject.SLICE, Rule.MAX_DROP, None),
    ],
)
def test_what_could_have_been_seen_has_its_true_name(
    subject: Subject, rule: Rule, said: str | None
) -> None:
    (result, *_) = samples.unclear().gates
    gate = replace(result.gate, rule=rule, threshold=Threshold(value=0.005))
    assert result.evidence is not None
    evidence = replace(result.evidence, detectable=0.02)
    one = replace(result, gate=gate, subject=subject, evidence=evidence, reason="maybe")
    text = verdict(replace(samples.unclear(), gates=(one,)))
    assert (said in text) if said else "these rows" not in text
    both = verdict(replace(samples.unclear(), gates=(one, replace(one, key=None))))
    assert ("a worsening shows only" in both) is ("worsening" in (said or ""))


def test_the_worst_slices_are_open_and_the_rest_is_folded() -> None:
    text = comment(samples.proven())
    shown, _, folded = text.partition("<summary>Slices that hold: 6, worst first</summary>")
    assert "`channel: broker` | 1,830" in shown
    assert "`channel: branch`" not in shown
    rows = re.findall(r"`(channel: \w+|age: [^`]*)` \|", folded.split("</details>")[0])
    assert rows[0] == "channel: partner"
    assert rows[-1] == "channel: branch"


def test_many_groups_keep_the_lowest_and_the_highest_rates() -> None:
    names = [f"group{place}" for place in range(20)]
    gap = replace(
        samples.FAIRNESS[0],
        rates={name: place / 100 for place, name in enumerate(names)},
        rows={},
        evidence=None,
    )
    text = comment(replace(samples.good(), fairness=(gap,)))
    (row,) = [line for line in text.split("\n") if "demographic parity" in line]
    assert re.findall(r"`(group\d+)`", row) == [*names[:4], *names[-4:]]
    assert "_and 12 more between_" in row
    assert "| 0.1900 |" in row


def test_gated_metrics_are_drawn_where_there_are_points_enough() -> None:
    text = comment(samples.proven())
    charts = [token for token in MARKDOWN.parse(text) if token.info == "mermaid"]
    assert len(charts) == 2  # model_bytes has two points
    assert "`▁▃▅·▆███`" in text
    many = tuple(samples.history(one, (1.0, 2.0, 3.0, 4.0, 5.0)) for one in samples.GOOD_METRICS)
    assert comment(replace(samples.good(), history=many)).count("```mermaid") == 3


def test_a_verdict_that_only_the_data_withholds_is_unclear() -> None:
    text = render_comment(samples.unclear(), title="T", marker="<!-- m -->", max_bytes=65_000)
    is_unclear = samples.unclear().verdict.unclear
    assert ("**Unclear**" in text) == is_unclear
    blocking = replace(
        samples.unclear(),
        gates=tuple(
            replace(one, gate=replace(one.gate, inconclusive=WhenUnclear.FAIL))
            for one in samples.unclear().gates
            if one.outcome is Outcome.INCONCLUSIVE
        ),
    )
    assert blocking.gates
    text = render_comment(blocking, title="T", marker="<!-- m -->", max_bytes=65_000)
    assert "**Unclear**: " in text
    assert "Blocked" not in text
