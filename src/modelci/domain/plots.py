"""Plots and pictures that DVC's files define, of two revisions side by side."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from modelci.domain.changes import Scalar

Row = Mapping[str, Scalar]


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
    that were left out.
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
