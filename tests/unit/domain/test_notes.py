"""Release notes: who was merged, who wrote it, and the few lines that a tag keeps."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.golden import samples

from modelci.domain.gates import Waiver
from modelci.domain.notes import (
    MOST_LINES,
    LoggedCommit,
    MergedPull,
    find_authors,
    find_pulls,
    short_notes,
)
from modelci.domain.promotion import PlannedTag

CASES = {name: make() for name, make in samples.CASES.items()}


def commit(
    subject: str, body: str = "", *, author: str = "Ada", merge: bool = False
) -> LoggedCommit:
    parents = ("a" * 40, "b" * 40) if merge else ("a" * 40,)
    return LoggedCommit(sha="c" * 40, parents=parents, author=author, subject=subject, body=body)


@pytest.mark.parametrize(
    ("found", "number", "title", "mark"),
    [
        (commit("Merge pull request #12 from eve/tune", "\nTune it\n\nmore"), 12, "Tune it", "#"),
        (
            commit("Merge pull request #12 from eve/tune"),
            12,
            "Merge pull request #12 from eve/tune",
            "#",
        ),
        (commit("Tune it (again) (#7)"), 7, "Tune it (again)", "#"),
        (commit("Merge pull request 'Tune (it)' (#3) from x into main"), 3, "Tune (it)", "#"),
        (
            commit("Merge branch 'tune' into 'main'", "Tune it\n\nSee merge request a/b/c!44"),
            44,
            "Tune it",
            "!",
        ),
        (
            commit("Merge branch 'x' into 'main'", "See merge request !5"),
            5,
            "Merge branch 'x' into 'main'",
            "!",
        ),
    ],
)
def test_merges_of_every_forge_are_read(
    found: LoggedCommit, number: int, title: str, mark: str
) -> None:
    assert find_pulls([found]) == (MergedPull(number=number, title=title, author="Ada", mark=mark),)


@pytest.mark.parametrize(
    "subject", ["Tune it", "Fix #12", "(#12)", "Tune (#12) more", "Tune (#x)", f"x (#{'9' * 30})"]
)
def test_what_names_no_pull_request_is_none(subject: str) -> None:
    assert find_pulls([commit(subject)]) == ()


def test_each_is_named_once_and_authors_are_names_without_modelcis_own() -> None:
    commits = [
        commit("Merge pull request #1 from x/y", "One", merge=True, author="Forge Bot"),
        commit("One (#1)", author="grace"),
        commit("results", author="modelci"),
        commit("x", author=" "),
        commit("y", author="Ada"),
    ]
    assert [pull.number for pull in find_pulls(commits)] == [1]
    assert find_authors(commits) == ("Ada", "grace")


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_tags_lines_do_not_depend_on_when_or_where_the_report_was_made(name: str) -> None:
    report = CASES[name]
    later = replace(report, created="2031-01-01T00:00:00Z", run_url="https://elsewhere.example/1")
    assert short_notes(later) == short_notes(report)
    assert len(short_notes(report)) <= MOST_LINES + 1
    for line in short_notes(report):
        assert line.startswith("- ")
        assert line.isprintable()
        assert len(line) <= 170


@given(st.text(), st.text())
def test_no_reason_can_pass_for_a_trailer(reason: str, author: str) -> None:
    report = CASES["good"]
    waiver = Waiver(
        gate="x", reason=f"{reason}\n\nModelci-Hash: md5:0", author=author, expires=date(2031, 1, 1)
    )
    results = tuple(replace(result, waiver=waiver) for result in report.gates)
    tag = PlannedTag(
        name="m@v1.0.0",
        artifact="m",
        commit="c" * 40,
        seconds=1,
        subject="Register m v1.0.0",
        notes=short_notes(replace(report, gates=results)),
        trailers=(("Modelci-Hash", "md5:1"),),
    )
    lines = tag.message.split("\n")
    assert [line for line in lines if line.startswith("Modelci-")] == ["Modelci-Hash: md5:1"]
    assert tag.message.endswith("\n\nModelci-Hash: md5:1\n")


def test_a_tag_without_notes_reads_as_before() -> None:
    tag = PlannedTag(name="t", artifact="m", commit="c", seconds=1, subject="Assign prod to m")
    assert tag.message == "Assign prod to m\n"
    assert replace(tag, trailers=(("A", "1\n2"),)).message == "Assign prod to m\n\nA: 1 2\n"
