"""Annotations keep to GitHub's limits, and a line is one command whatever a log says."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from tests.golden import samples
from tests.unit.render.test_escape import NASTY

from modelci.domain.changes import ValueKey
from modelci.domain.report import Report
from modelci.render import annotations

NOTICE = re.compile(r"::notice (file=[^:,\r\n]+,line=3,)?title=Parameter changed::[^\r\n]+")
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
    assert kinds == ["::error"] * 3 + ["::warning"] * 6


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


PARAMS = b"""\
seed: 1
hgb:
  # comment
  max_depth: 8
  l2: 0.001
"""


def test_a_changed_parameter_is_noted_on_its_very_line() -> None:
    lines = annotations.locate(samples.good(), {"params.yaml": PARAMS})
    assert annotations.render(samples.good(), lines=lines) == [
        "::notice file=params.yaml,line=4,title=Parameter changed::hgb.max_depth: 6 → 8",
        "::notice file=params.yaml,line=5,title=Parameter changed::hgb.l2: — → 0.001",
    ]


@pytest.mark.parametrize(
    ("path", "data", "line"),
    [
        ("params.json", b'{\n "hgb": {\n  "max_depth": 8\n }\n}', 3),
        ("params.json", b'{\n\t"hgb": {\n\t\t"max_depth": 8\n\t}\n}', 3),
        ("params.yaml", b"other: 1\nhgb: {}\n", 2),  # the parameter is gone
        ("params.yaml", b"other: 1\n", None),
        ("params.yaml", b"hgb: [\n", None),
        ("params.yaml", b"[" * 100_000, None),
        ("params.toml", b"[hgb]\nmax_depth = 8\n", None),
        ("params.py", b"hgb = 1\n", None),
    ],
)
def test_the_line_is_found_in_yaml_and_json(path: str, data: bytes, line: int | None) -> None:
    key = ValueKey(path=path, name="hgb.max_depth")
    report = replace(samples.good(), params=(replace(samples.PARAMS[0], key=key),))
    assert annotations.locate(report, {path: data}) == ({} if line is None else {key: line})
    assert annotations.locate(report, {}) == {}


def test_no_more_parameters_are_noted_than_github_shows() -> None:
    keys = [ValueKey(path="params.yaml", name=f"p{place}") for place in range(30)]
    report = replace(
        samples.good(), params=tuple(replace(samples.PARAMS[0], key=key) for key in keys)
    )
    data = "".join(f"{key.name}: 8\n" for key in keys).encode()
    lines = annotations.locate(report, {"params.yaml": data})
    assert list(lines.values()) == list(range(1, 11))
    assert len(annotations.render(report, lines=lines)) == 10


@given(NASTY, NASTY)
def test_no_parameters_name_is_a_command(path: str, name: str) -> None:
    key = ValueKey(path=path, name=name)
    report = replace(samples.ungated(), params=(replace(samples.PARAMS[0], key=key),))
    for line in annotations.render(report, lines={key: 3}):
        assert NOTICE.fullmatch(line)


def test_waivers_are_told_where_they_apply_and_where_they_change() -> None:
    text = "\n".join(annotations.render(samples.proven()))
    assert "waivers; added: hgb.pr_auc, waived until 2026-01-31 by ben: noise" in text
    assert "p = 0.013; waived until 2025-12-01 by anna@acme.example" in text
