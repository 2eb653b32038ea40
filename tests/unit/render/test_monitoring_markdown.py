"""A watched window as Markdown: within its budget, and nothing in it is more than a name."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from tests.golden import windows

from modelci.domain.monitoring import Monitoring
from modelci.render.monitoring.markdown import (
    render_comment,
    render_issue,
    render_pull_request,
    render_summary,
)

MARKER = "<!-- modelci:monitor credit -->"
OURS = {"details", "summary", "sub", "br"}


def many(columns: int) -> Monitoring:
    """Return a window in which thousands of columns have drifted."""
    one = windows.drifted()
    income = one.columns[1]
    names = [f"feature_{place:05}" for place in range(columns)]
    first = one.gates[0]
    return replace(
        one,
        columns=tuple(replace(income, name=name) for name in names),
        gates=tuple(
            replace(first, gate=replace(first.gate, metric=f"psi of {name}")) for name in names
        ),
    )


def tags(text: str) -> set[str]:
    """Return the elements that a reader of CommonMark takes for markup."""
    found = set()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        for part in (token, *(token.children or ())):
            if part.type in {"html_block", "html_inline"}:
                found |= {name.lower() for name in re.findall(r"</?([a-zA-Z]\w*)", part.content)}
    return found


@pytest.mark.parametrize("max_bytes", [16 * 1024, 65_000])
@pytest.mark.parametrize("columns", [10, 3_000])
def test_a_comment_keeps_to_its_budget_and_says_what_is_missing(
    columns: int, max_bytes: int
) -> None:
    one = many(columns)
    text = render_comment(
        one, windows.before(one), title="credit", marker=MARKER, max_bytes=max_bytes
    )
    assert len(text.encode()) <= max_bytes
    assert text.startswith(f"{MARKER}\n## credit\n")
    assert "**Drift found**" in text
    assert ("more row" in text) == (columns > 10)


def test_the_worst_stays_where_room_is_scarce() -> None:
    one = windows.drifted()
    full = render_comment(one, windows.year(), title="credit", marker="")
    small = render_comment(one, windows.year(), title="credit", marker="", max_bytes=2_000)
    assert len(small.encode()) <= 2_000 < len(full.encode())
    assert "`psi of income_eur`" in small
    assert "mermaid" not in small


@pytest.mark.parametrize("case", windows.CASES)
def test_only_our_own_elements_are_markup(case: str) -> None:
    one = windows.CASES[case]()
    history = windows.before(one)
    for text in (
        render_comment(one, history, title=windows.EVIL[0], marker=""),
        render_pull_request(one, history, changed=windows.EVIL, stages=windows.EVIL),
        render_issue(one, history),
    ):
        assert tags(text) <= OURS
        assert "@everyone" not in re.sub(r"(`+).*?\1", "", text)


def test_no_name_forges_a_marker() -> None:
    one = windows.hostile()
    text = render_comment(one, title="credit", marker=MARKER)
    assert text.count("<!-- ") == 1


def test_a_summary_is_a_comment_without_a_marker() -> None:
    one = windows.concept()
    assert render_summary(one, windows.year(), title="credit") == render_comment(
        one, windows.year(), title="credit", marker="", max_bytes=1_000_000
    )


def test_a_pull_request_says_why_it_is_there_and_what_it_is_made_of() -> None:
    one = windows.drifted()
    files = ("dvc.lock", "data/a.dvc")
    text = render_pull_request(
        one, windows.before(one), changed=files, stages=("train",), marker=MARKER
    )
    assert text.startswith(f"{MARKER}\nThis retrains `credit` with the data of `2026-05`, because:")
    assert "- drift: psi of channel, psi of income\\_eur; in 2 windows in a row" in text
    assert "Its commit changes 2 files, and ran the pipeline: `train`." in text
    assert "| `data/a.dvc` |" in text
    assert "new: `partner` 29 %" in text


def test_a_retraining_that_nothing_set_off_was_asked_for_by_a_person() -> None:
    text = render_pull_request(windows.quiet())
    assert "because a person asked for it." in text


def test_an_issue_says_when_it_is_closed() -> None:
    assert "closed once its gates hold again" in render_issue(windows.drifted())


def test_performance_is_drawn_where_there_are_windows_enough() -> None:
    one = windows.concept()
    assert "xychart-beta" in render_comment(one, windows.before(one), title="t", marker="")
    assert "xychart-beta" not in render_comment(one, windows.before(one)[:2], title="t", marker="")
    assert "Windows" not in render_comment(one, title="t", marker="")
