"""Annotations keep to GitHub's limits, and a line is one command whatever a log says."""

import re
from dataclasses import replace

from hypothesis import given
from tests.golden import samples
from tests.unit.render.test_escape import NASTY

from modelci.domain.report import Report
from modelci.render import annotations

LINE = re.compile(r"::(error|warning) title=[^:,\r\n]*::[^\r\n]+")


def failed_with(log: str, name: str = "train") -> Report:
    report = samples.failed()
    assert report.run
    stage = replace(report.run.stages[1], name=name, log_tail=log)
    return replace(report, run=replace(report.run, stages=(stage,)), notes=(log,))


def test_nothing_to_say_is_no_line() -> None:
    assert annotations.render(samples.good()) == []


def test_errors_block_and_warnings_do_not() -> None:
    kinds = [line.split(" ")[0] for line in annotations.render(samples.blocked())]
    assert kinds == ["::error"] * 3 + ["::warning"] * 4


@given(NASTY, NASTY)
def test_every_line_is_one_command(log: str, name: str) -> None:
    for line in annotations.render(failed_with(log, name)):
        assert LINE.fullmatch(line)


def test_a_log_is_data() -> None:
    (line,) = annotations.render(failed_with("50%\n::error::forged\r\n::add-mask::x"))[:1]
    assert "50%25%0A::error::forged%0A::add-mask::x" in line


def test_at_most_ten_of_a_type_and_the_last_counts_the_rest() -> None:
    lines = annotations.render(samples.many(0, 10_000))
    assert len(lines) == 10
    assert "9,991 more errors" in lines[-1]


def test_ten_are_all_shown() -> None:
    lines = annotations.render(samples.many(0, 10))
    assert len(lines) == 10
    assert "more" not in lines[-1]


def test_messages_keep_to_their_limit_and_split_no_escape() -> None:
    log = "\n".join(["%" * 390] * 20)
    (line,) = annotations.render(failed_with(log))[:1]
    message = line.split("::", 2)[2]
    assert 4_000 < len(message) <= 4_096
    assert re.fullmatch(r"(?:[^%]|%25|%0A)*…", message)
