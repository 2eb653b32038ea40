"""A text keeps to its budget by whole rows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.render.blocks import Block, fit


def rows(rank: int, count: int, width: int = 20) -> Block:
    lines = [(place, f"{rank}-{place} ".ljust(width, "é")) for place in range(count)]
    return Block(
        rank=rank,
        head=f"head {rank}",
        opening=f"open {rank}",
        rows=lines,
        total=count,
        closing=f"close {rank}",
        more=lambda missing: f"{rank}: {missing} more",
        tail=f"tail {rank}",
    )


def missing(count: int) -> str:
    return f"{count} parts are missing"


HEAD = Block(rank=0, head="verdict")


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 30), st.integers(5, 90)), max_size=8),
    st.integers(20, 4000),
)
def test_no_text_is_longer_than_its_budget(
    parts: list[tuple[int, int, int]], max_bytes: int
) -> None:
    blocks = [HEAD, *(rows(rank, count, width) for rank, count, width in parts)]
    try:
        text = fit(blocks, max_bytes=max_bytes, missing=missing)
    except ValueError:
        assert max_bytes < 60
        return
    assert len(text.encode()) <= max_bytes
    assert text.startswith("verdict\n")
    whole = {line for block in blocks for _, line in block.rows}
    assert {line for line in text.split("\n") if line[1:2] == "-"} <= whole


def test_what_fits_is_shown_whole() -> None:
    text = fit([HEAD, rows(1, 2, width=0)], max_bytes=1000, missing=missing)
    assert text == "verdict\n\nhead 1\n\nopen 1\n1-0 \n1-1 \nclose 1\n\ntail 1\n"


def test_the_least_important_rows_go_first() -> None:
    text = fit([HEAD, rows(2, 50), rows(1, 50)], max_bytes=2500, missing=missing)
    assert "1: " not in text
    assert "1-49" in text
    assert "2: " in text


def test_rows_come_by_importance_and_stand_by_place() -> None:
    lines = [(2, "most"), (0, "second"), (1, "third".ljust(500))]
    block = Block(rank=1, rows=lines, total=3, more="{} more".format)
    assert fit([block], max_bytes=100, missing=missing) == "second\nmost\n\n1 more\n"


def test_whole_parts_go_when_not_even_their_heads_fit() -> None:
    text = fit([HEAD, *(rows(rank, 9) for rank in range(1, 9))], max_bytes=200, missing=missing)
    assert text.endswith("5 parts are missing\n")


def test_a_verdict_without_room_is_an_error() -> None:
    with pytest.raises(ValueError, match="longer than 5 bytes"):
        fit([HEAD], max_bytes=5, missing=missing)
