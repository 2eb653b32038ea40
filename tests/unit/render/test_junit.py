"""Gates as test cases: XML that any reader takes, whatever the names."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from tests.golden import samples

from modelci.domain.gates import Outcome, Rule
from modelci.domain.report import Report
from modelci.render.junit import render_junit


def suite(report: Report) -> ET.Element:
    root = ET.fromstring(render_junit(report).encode())  # noqa: S314 - our own text
    assert root.tag == "testsuites"
    (found,) = root
    return found


@pytest.mark.parametrize("case", samples.CASES)
def test_the_counts_are_those_of_the_cases(case: str) -> None:
    report = samples.CASES[case]()
    found = suite(report)
    run_failed = report.run is not None and not report.run.is_ok
    assert (
        len(found.findall("testcase"))
        == int(found.get("tests", ""))
        == (len(report.gates) + run_failed)
    )
    assert len(found.findall("*/failure")) == int(found.get("failures", ""))
    assert len(found.findall("*/skipped")) == int(found.get("skipped", ""))
    assert len(found.findall("*/error")) == int(found.get("errors", "")) == run_failed
    assert (found.find(".//failure") is not None) == report.verdict.blocked


def test_what_blocks_fails_and_what_is_waived_or_undecided_is_skipped() -> None:
    cases = {one.get("name"): one for one in suite(samples.proven())}
    failure = cases["hgb.roc_auc max_drop 0.005"].find("failure")
    assert failure is not None
    assert failure.get("type") == "failed"
    assert failure.get("message") == "failed: worse by 0.0121, allowed drop 0.005, p = 0.004"
    assert failure.text == (
        "base 0.7812, head 0.7691, change −0.0121 (−1.55 %), −0.0164 … −0.0078 (90 %)"
    )
    skipped = {
        name: one.find("skipped").get("message", "")  # type: ignore[union-attr]
        for name, one in cases.items()
        if one.find("skipped") is not None
    }
    assert "waived until 2025-12-01: the threshold" in skipped["hgb.f1 max_drop 0.02"]
    assert skipped["hgb.pr_auc max_drop 0.005"].startswith("inconclusive: ")
    assert skipped["logreg.roc_auc max_drop 0.005"].startswith("incomparable: ")
    assert skipped["data/test.parquet max 0"] == "warned: 3 ids stand twice"
    assert list(cases["model_bytes max 5,000,000"]) == []
    assert cases["model_bytes max 5,000,000"].get("classname") == "modelci.budget"


def test_a_run_that_failed_is_an_error() -> None:
    found = suite(samples.failed())
    (case,) = found
    error = case.find("error")
    assert error is not None
    assert error.get("message") == "failed: train@hgb"
    assert found.get("time") == "3.600"


def test_characters_that_xml_cannot_hold_are_spelt_out() -> None:
    gate = samples.judged(
        samples.gate("a\x00b\ud800]]>", Rule.MAX, 1),
        Outcome.FAILED,
        "\ufffe \x1b[31m <&> \"'\n",
    )
    text = render_junit(replace(samples.ungated(), gates=(gate,)))
    (case,) = suite(replace(samples.ungated(), gates=(gate,)))
    assert case.get("name") == r"a\x00b\ud800]]> max 1"
    assert case[0].get("message") == "failed: \\ufffe \\x1b[31m <&> \"'\\n"
    assert text.replace("\n", "").isprintable()
