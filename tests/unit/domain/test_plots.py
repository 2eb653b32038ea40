"""What is pure about plots: thinning rows out, naming files, telling images apart."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.plots import PictureKind, name_files, picture_kind, thin_out


@given(st.integers(0, 500), st.integers(2, 60))
def test_thinning_keeps_the_ends_the_order_and_an_even_step(rows: int, most: int) -> None:
    kept = thin_out(range(rows), most)
    assert len(kept) == min(rows, most)
    assert kept == sorted(set(kept))
    assert not rows or (kept[0], kept[-1]) == (0, rows - 1)
    steps = [after - before for before, after in pairwise(kept)]
    assert not steps or max(steps) - min(steps) <= 1


@given(st.lists(st.text(max_size=80)))
def test_names_are_safe_and_unlike(titles: list[str]) -> None:
    names = list(name_files(titles))
    assert len(set(names)) == len(names) == len(titles)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)


def test_names_say_what_they_name() -> None:
    titles = ["ROC", "roc!", "Précision & rappel", "plots/roc.csv", "…", "roc-2"]
    assert list(name_files(titles)) == [
        *("roc", "roc-2", "precision-rappel", "plots-roc-csv", "plot", "roc-2-2"),
    ]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n....", PictureKind.PNG),
        (b"\xff\xd8\xff\xe0", PictureKind.JPEG),
        (b"GIF89a", PictureKind.GIF),
        (b"GIF87a", PictureKind.GIF),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", PictureKind.WEBP),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", PictureKind.SVG),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- by hand -->\n<svg>', PictureKind.SVG),
        (b'<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "y"><svg >', PictureKind.SVG),
        (b"<!DOCTYPE html><html><svg></svg></html>", None),
        (b"<html>", None),
        (b"<svgx>", None),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"", None),
    ],
)
def test_an_image_is_what_its_first_bytes_say(data: bytes, kind: PictureKind | None) -> None:
    assert picture_kind(data) is kind
