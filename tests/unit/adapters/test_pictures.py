"""How pictures are named, and when a month of them is over."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.adapters.forge.pictures import is_month_over, month_of, name_pictures
from modelci.errors import ForgeError

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"/>'


def seconds(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\nrest", "png"),
        (b"\xff\xd8\xff\xe0rest", "jpg"),
        (b"GIF89arest", "gif"),
        (b"RIFF\0\0\0\0WEBPrest", "webp"),
        (SVG, "svg"),
        (b"\xef\xbb\xbf" + SVG, "svg"),
        (
            b"<?xml version='1.0'?>\n<!-- by a tool -->\n<!DOCTYPE svg PUBLIC 'x' 'y'>\n" + SVG,
            "svg",
        ),
    ],
)
def test_a_picture_is_known_by_its_bytes_whatever_its_name(data: bytes, kind: str) -> None:
    (file,) = name_pictures({"../x.exe": data}).values()
    stem, _, extension = file.partition(".")
    assert extension == kind
    assert len(stem) == 32
    assert stem.isalnum()


@given(data=st.binary())
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ForgeError, match="no picture"):
        name_pictures({"x": b"?" + data})


def test_a_very_long_beginning_is_looked_at_once() -> None:
    with pytest.raises(ForgeError):
        name_pictures({"x": b"<!--" + b" " * 5_000_000})


@pytest.mark.parametrize(
    ("month", "today", "keep_days", "over"),
    [
        ("2026-10", "2026-11-01", 0, True),
        ("2026-11", "2026-11-30", 0, False),
        ("2026-10", "2026-11-30", 30, False),
        ("2026-10", "2026-12-01", 30, True),
        ("2025-12", "2026-01-31", 30, True),
        ("2025-12", "2026-01-30", 30, False),
        ("2024-02", "2024-03-02", 1, True),
        ("2024-02", "2024-03-01", 1, False),
        ("2027-01", "2026-11-23", 0, False),
        ("2026-13", "2036-01-01", 0, False),
        ("0000-01", "2036-01-01", 0, False),
        ("9999-12", "2036-01-01", 0, False),
        ("by-hand", "2036-01-01", 0, False),
        ("2026-1", "2036-01-01", 0, False),
    ],
)
def test_a_month_is_over_when_its_last_day_is_old_enough(
    month: str, today: str, keep_days: int, *, over: bool
) -> None:
    assert is_month_over(month, now=seconds(today), keep_days=keep_days) is over


def test_the_month_is_that_of_greenwich() -> None:
    assert month_of(seconds("2026-11-30T23:59:59")) == "2026-11"
    assert month_of(seconds("2026-12-01")) == "2026-12"
