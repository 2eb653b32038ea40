"""Foreign text is shown as what it is, and does nothing."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.golden.samples import EVIL

from modelci.render import escape
from modelci.render.escape import log_text

SURROGATES = st.characters(categories=["Cs"])
NASTY = st.text(
    st.one_of(
        st.sampled_from("|`\\<>&@#*_[](){}!~$:-+=./w1a \n\r\t\x1b\u202e\u200b\u2028'\""),
        st.characters(),
        SURROGATES,
    ),
    max_size=80,
) | st.sampled_from(EVIL)
ALIVE = re.compile(
    r"@\w|#\d|GH-\d|://|www\.|:(?:[a-z+-][\w+-]*|100|1234):", re.IGNORECASE | re.ASCII
)
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def inline_tokens(text: str) -> list[Token]:
    return [
        child
        for token in MARKDOWN.parse(text)
        if token.type == "inline"
        for child in token.children or []
    ]


@given(NASTY)
def test_clean_text_is_one_visible_line(text: str) -> None:
    for character in escape.clean(text, 1000):
        category = unicodedata.category(character)
        assert category not in {"Cc", "Cs", "Zl", "Zp"}
        assert unicodedata.bidirectional(character) not in {
            "LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI",
        }  # fmt: skip


@given(st.text(max_size=3000), st.integers(12, 200))
def test_clean_text_keeps_to_its_limit(text: str, limit: int) -> None:
    assert len(escape.clean(text, limit)) <= limit


@given(NASTY)
def test_a_code_span_holds_just_the_name(text: str) -> None:
    content = escape.clean(text)
    found = inline_tokens(f"a {escape.code(text)} b")
    if not content.strip(" "):
        assert [token.type for token in found] == ["text"]
        return
    assert [token.type for token in found] == ["text", "code_inline", "text"]
    assert found[1].content.replace("\u200b", "") == content


@given(st.lists(NASTY, min_size=1, max_size=6), NASTY)
def test_no_name_breaks_a_table(names: list[str], reason: str) -> None:
    rows = [escape.table_row([escape.code(name), escape.prose(reason), "1"]) for name in names]
    table = "\n".join(["| a | b | c |", "| --- | --- | --- |", *rows])
    tokens = MARKDOWN.parse(f"before\n\n{table}\n\nafter")
    assert sum(token.type == "tr_open" for token in tokens) == len(names) + 1
    assert sum(token.type in {"td_open", "th_open"} for token in tokens) == 3 * (len(names) + 1)
    assert [token.content for token in tokens if token.type == "inline"][-1] == "after"


@given(NASTY)
def test_prose_reads_as_it_is_and_does_nothing(text: str) -> None:
    for before in ("", "- ", "> - ", "## "):
        tokens = MARKDOWN.parse(f"{before}x\n\n{before}{escape.prose(text)}\n\nafter")
        blocks = {token.type for token in tokens}
        assert not blocks & {"fence", "code_block", "html_block", "hr", "ordered_list_open"}
        assert sum(token.type == "heading_open" for token in tokens) == 2 * (before == "## ")
    found = inline_tokens(f"x {escape.prose(text)}")
    assert {token.type for token in found} <= {"text", "text_special"}
    shown = "".join(token.content for token in found)
    wanted = f"x {escape.clean(text, 400).strip(' ')}"
    assert shown.replace("\u200b", "").rstrip() == wanted.rstrip()
    assert_inert(shown)


def assert_inert(shown: str) -> None:
    """GitHub looks for these in what is shown, after Markdown is read."""
    import re

    assert not re.search(
        r"@\w|#\d|GH-\d|://|www\.|:(?:[a-z+-][\w+-]*|100|1234):", shown, re.IGNORECASE
    )


@pytest.mark.parametrize("text", ["10. x", "- x", "+ x", "# x", "> x", "---", "-", "===", "1)"])
def test_no_sentence_starts_a_block(text: str) -> None:
    tokens = MARKDOWN.parse(escape.prose(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]


def test_numbers_at_the_start_stay_plain() -> None:
    assert escape.prose("0.78 must be ≥ 0.8") == "0.78 must be ≥ 0.8"
    assert escape.prose("-0.01, allowed +0.02") == "-0.01, allowed +0.02"


@pytest.mark.parametrize(
    "text", ["<!-- modelci:report -->", "a <!-- modelci:report -->", "<!--<!-- x"]
)
def test_no_text_forges_the_marker(text: str) -> None:
    assert "<!--" not in escape.code(text)
    assert "<!--" not in escape.prose(text)


@given(NASTY)
def test_a_terminal_is_not_commanded(text: str) -> None:
    shown = escape.terminal(text, 1000)
    assert "\x1b" not in shown
    assert "::" not in shown
    assert "##[" not in shown


def test_a_log_keeps_its_last_lines_and_last_states() -> None:
    log = "gone\n\x1b[31mred\x1b[0m\n 10%\r 50%\r100%\n\x1b]0;title\x07\tend\n\n"
    assert escape.log_lines(log, lines=3) == ("red", "100%", "    end")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://github.com/a/b/actions/runs/1", "https://github.com/a/b/actions/runs/1"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("javascript:alert(1)", None),
        ("https://e.example/) [x](y", None),
        ("https://user@e.example/", None),
        ("https://e.example/a\nb", None),
        (None, None),
    ],
)
def test_only_plain_web_addresses_are_linked(text: str | None, address: str | None) -> None:
    assert escape.web_address(text) == address


@pytest.mark.parametrize("evil", ["::error::x", "  ::set-env name=A::b", "##[error]x", "\x1b[2Jx"])
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\u2028", ""])
def test_an_error_of_foreign_words_commands_neither_runner_nor_terminal(
    evil: str, end: str
) -> None:
    found = log_text(f"Error: {end}{evil}{end}{evil}")
    assert not any(line.lstrip().startswith("::") for line in found.splitlines())
    assert "##[" not in found
    assert "\x1b" not in found
    assert "\r" not in found


def test_an_error_s_own_lines_and_colons_stay() -> None:
    text = "Error: a::b is at [::1]:80.\n  second line"
    assert log_text(text) == text
