"""Plots and pictures that DVC's files define, of two revisions side by side."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from modelci.domain.changes import Scalar

Row = Mapping[str, Scalar]
T = TypeVar("T")

MOST_POINTS = 1_000
"""How many rows of a series, and of a side, a plot keeps."""

COUNT = "row_count"
"""The column of a confusion plot that says how many rows one stands for."""

_LONGEST_NAME = 60
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


class Side(StrEnum):
    """Which revision a row or a picture is of; in a plot's rows it stands under ``rev``."""

    BASE = "base"
    HEAD = "head"


class PictureKind(StrEnum):
    """Formats that a browser shows."""

    PNG = "png"
    JPEG = "jpeg"
    GIF = "gif"
    WEBP = "webp"
    SVG = "svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Points to draw by a DVC template; ``id`` is DVC's own name for the plot.

    ``template`` names one of DVC's; ``spec`` is the text of a template of the project's own, which
    is as untrusted as its data. Rows hold the columns ``x`` and ``y``, and ``rev``; several
    columns or files in one plot are told apart by the column ``series``. ``cut`` counts the rows
    that were left out. A template that counts rows gets them counted: ``COUNT`` says how many.
    """

    id: str
    title: str
    template: str
    x: str
    y: str
    x_label: str
    y_label: str
    rows: tuple[Row, ...] = ()
    spec: str | None = None
    cut: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An image that a stage drew, as it lies in the repository or the DVC cache."""

    path: str
    kind: PictureKind
    base: bytes | None = None
    head: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """All plots of one revision or, merged, of two; ``notes`` say what was left out, and why."""

    plots: tuple[Plot, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = field(default=())


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", PictureKind.PNG),
    (b"\xff\xd8\xff", PictureKind.JPEG),
    (b"GIF87a", PictureKind.GIF),
    (b"GIF89a", PictureKind.GIF),
)
_SVG = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*|<!DOCTYPE\s+svg[^>]*>\s*)*<svg[\s>/]",
    re.DOTALL | re.IGNORECASE,
)


def picture_kind(data: bytes) -> PictureKind | None:
    """Return the format that an image's first bytes show, whatever its name says."""
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return PictureKind.WEBP
    return PictureKind.SVG if _SVG.match(data[:16_384]) else None


def thin_out(rows: Sequence[T], most: int = MOST_POINTS) -> list[T]:
    """Return at most ``most`` (2 or more) of ``rows``, evenly spaced; the first and last stay."""
    if len(rows) <= most:
        return list(rows)
    last = len(rows) - 1
    return [rows[place * last // (most - 1)] for place in range(most)]


def name_files(titles: Iterable[str]) -> Iterator[str]:
    """Yield a name for each title that is safe in a path and in an address, and unlike the others.

    It holds a-z, 0-9 and hyphens, and never depends on what comes after it.
    """
    used: set[str] = set()
    numbers: dict[str, int] = {}
    for title in titles:
        name = slug = _slug(title)
        while name in used:
            numbers[slug] = numbers.get(slug, 1) + 1
            name = f"{slug}-{numbers[slug]}"
        used.add(name)
        yield name


def _slug(title: str) -> str:
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return _NOT_IN_NAMES.sub("-", plain).strip("-")[:_LONGEST_NAME].rstrip("-") or "plot"
