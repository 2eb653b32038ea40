"""A report's gates as JUnit XML, which CI systems show among the tests."""

import re
from xml.sax.saxutils import escape, quoteattr

from modelci.domain.gates import GateResult, Outcome
from modelci.domain.report import Report
from modelci.render.escape import clean
from modelci.render.rows import GateRow, gate_row, metric_of

_SUITE = "modelci"
_LIMIT = 400
# What no XML 1.0 document may hold, even written as a number.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """Return one test suite with a case for each gate, and one for the run if it failed.

    What blocks is a failure. What warns, cannot be decided or is waived is skipped: JUnit knows no
    outcome between. A run that failed is an error.
    """
    cases = [_case(result) for result in report.gates]
    errors = _errors(report)
    failures = sum(result.blocks for result in report.gates)
    skipped = sum(_is_skipped(result) for result in report.gates)
    counts = (
        f'tests="{len(cases) + len(errors)}" failures="{failures}" errors="{len(errors)}" '
        f'skipped="{skipped}"'
    )
    seconds = report.run.seconds if report.run else 0.0
    created = _attribute(report.created.removesuffix("Z"))
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="{_SUITE}" {counts} time="{seconds:.3f}">',
        f'  <testsuite name="{_SUITE}" {counts} time="{seconds:.3f}" timestamp={created}>',
        *errors,
        *cases,
        "  </testsuite>",
        "</testsuites>",
    ]
    return "\n".join(lines) + "\n"


def _case(result: GateResult) -> str:
    row = gate_row(result)
    name = _attribute(f"{metric_of(result)} {row.rule} {row.limit}")
    head = f'    <testcase classname="{_SUITE}.{row.subject}" name={name} time="0"'
    if result.outcome is Outcome.PASSED:
        return f"{head}/>"
    tag = "failure" if result.blocks else "skipped"
    kind = f" type={_attribute(row.outcome)}" if result.blocks else ""
    waived = f"; waived until {row.waiver.until}: {row.waiver.reason}" if row.waiver else ""
    message = _attribute(f"{row.outcome}: {row.reason}{waived}")
    body = escape(_safe(_details(row))) if result.blocks else ""
    return f"{head}>\n      <{tag}{kind} message={message}>{body}</{tag}>\n    </testcase>"


def _is_skipped(result: GateResult) -> bool:
    return result.outcome is not Outcome.PASSED and not result.blocks


def _details(row: GateRow) -> str:
    change = f"change {row.change}" if row.change else ""
    parts = (f"base {row.base}", f"head {row.head}", change, row.proof)
    return ", ".join(part for part in parts if part)


def _errors(report: Report) -> list[str]:
    if report.run is None or report.run.is_ok:
        return []
    failed = ", ".join(stage.name for stage in report.run.failed)
    message = report.run.error or f"failed: {failed}"
    head = f'    <testcase classname="{_SUITE}" name="pipeline" time="{report.run.seconds:.3f}">'
    return [f'{head}\n      <error type="run" message={_attribute(message)}/>\n    </testcase>']


def _attribute(text: str) -> str:
    return quoteattr(_safe(text))


def _safe(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", clean(text, _LIMIT))
