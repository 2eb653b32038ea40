"""Release notes and the model card as Markdown: short enough, and nothing in them does anything."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.golden import samples

from modelci.domain.changes import DataKind, TrackedFile, ValueChange, ValueKey
from modelci.domain.notes import MergedPull, ModelCard, ReleaseNotes, Since
from modelci.domain.pipeline import ChangeKind
from modelci.domain.report import Report
from modelci.render.notes import MAX_CARD_BYTES, render_card, render_notes

CASES = {name: make() for name, make in samples.CASES.items()}

EVIL = "@everyone <img src=x onerror=1> [x](javascript:1) | `a` <!-- b -->\n# h\n/merge \u202e"
ADDRESSES = {"https://example.org/card", samples.RUN_URL}


def notes(report: Report, **more: object) -> ReleaseNotes:
    made = ReleaseNotes(
        tag="models=credit@v1.2.0",
        artifact="models:credit",
        version="v1.2.0",
        commit="c" * 40,
        since=Since(tag="models=credit@v1.1.0", commit="b" * 40, stage="prod"),
        metrics=report.metrics,
        gates=report.gates,
        params=report.params,
        data=report.data,
        evaluations=report.evaluations,
        model=TrackedFile(path="model.pkl", kind=DataKind.MODEL, hash="a" * 32, bytes=1234),
    )
    return replace(made, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_report_has_notes_and_a_card(name: str) -> None:
    made = notes(CASES[name])
    text = render_notes(made, max_bytes=60_000)
    assert text.startswith("Changes since `models=credit@v1.1.0`, which held `prod`.")
    assert len(text.encode()) <= 60_000
    assert render_card(made).startswith("# `models:credit` `v1.2.0`")


def test_gates_come_with_intervals_and_waivers() -> None:
    text = render_notes(notes(CASES["proven"]), max_bytes=60_000)
    assert "### Gates" in text
    assert " rows)" in text
    waived = [result for result in CASES["proven"].gates if result.waiver]
    assert text.count("<br>Waived by ") == len(waived)


def test_the_first_version_compares_with_nothing() -> None:
    text = render_notes(notes(CASES["good"], since=None), max_bytes=60_000)
    assert text.startswith("The first version")


@pytest.mark.parametrize(
    "more",
    [
        {"pulls": (MergedPull(number=1, title=EVIL, author=EVIL),)},
        {"authors": (EVIL,)},
        {"notes": (EVIL,)},
        {"run_url": "javascript:alert(1)"},
        {"since": Since(tag=EVIL, commit="b" * 40, stage=EVIL)},
        {"artifact": EVIL, "version": EVIL, "tag": EVIL, "commit": EVIL},
        {"model": TrackedFile(path=EVIL, kind=DataKind.MODEL, hash=EVIL)},
        {
            "params": (
                ValueChange(
                    key=ValueKey(path=EVIL, name=EVIL), kind=ChangeKind.CHANGED, base=EVIL, head="1"
                ),
            )
        },
        {
            "card": ModelCard(
                description=EVIL,
                intended_use=EVIL,
                limitations=(EVIL,),
                owners=(EVIL,),
                license=EVIL,
                links=(EVIL, "https://example.org/card", "javascript:alert(1)"),
            )
        },
    ],
)
def test_nothing_in_the_notes_does_anything(more: dict[str, object]) -> None:
    made = notes(CASES["good"], **more)
    for text in (render_notes(made, max_bytes=60_000), render_card(made)):
        check_harmless(text)


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_report_brings_markup_into_the_notes(name: str) -> None:
    check_harmless(render_notes(notes(CASES[name]), max_bytes=60_000))


def check_harmless(text: str) -> None:
    """Read the Markdown as forges do, and look for what formats, links, notifies or hides."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inner = [child for token in tokens for child in token.children or ()]
    for token in [*tokens, *inner]:
        if token.type in {"html_inline", "html_block"}:
            assert token.content == "<br>"
        if token.type == "link_open":
            assert token.attrs["href"] in ADDRESSES
        if token.type == "text":
            assert not re.search(r"@(?=\w)", token.content)
        assert token.type not in {"image", "hr", "em_open", "fence", "code_block"}
    headings = [token for token in tokens if token.type == "heading_open"]
    assert len(headings) == len(re.findall(r"^#", text, re.MULTILINE))
    assert not any(line.startswith("/") for line in text.splitlines())
    assert "\u202e" not in text


@given(st.integers(16_384, 40_000), st.integers(0, 3000))
def test_notes_keep_to_their_bytes_and_say_what_is_missing(most: int, count: int) -> None:
    pulls = tuple(MergedPull(number=n, title="é" * 50, author="Ada") for n in range(count))
    text = render_notes(notes(CASES["good"], pulls=pulls), max_bytes=most)
    assert len(text.encode()) <= most
    shown = text.count("éé\n") + text.count("é (Ada)")
    assert shown >= min(count, 100)
    assert shown == count or " more" in text


def test_a_long_card_is_cut_by_whole_parts() -> None:
    card = ModelCard(description="\n\n".join(["word " * 700] * 30), limitations=("x",) * 5)
    text = render_card(notes(CASES["good"], card=card))
    assert len(text.encode()) <= MAX_CARD_BYTES
    assert "left out" in text
