"""Makes rows to draw of what plot files hold, by the rules of DVC's own converter.

See ``dvc/render/converter/vega.py`` of DVC 3: rows are found in nested lists, columns that nobody
names are guessed, and several columns or files are told apart in one plot.
"""

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import commonpath
from typing import Any

from modelci.adapters.dvc.numbers import scalar
from modelci.adapters.dvc.plotdefs import Axis, Definition, ending
from modelci.adapters.dvc.shape import located, measure
from modelci.domain.changes import Scalar
from modelci.domain.plots import COUNT, MOST_POINTS, thin_out
from modelci.errors import ConfigError
from modelci.formats import parse

INDEX = "step"
MANY_X, MANY_Y = "dvc_inferred_x_value", "dvc_inferred_y_value"
COUNTED = frozenset({"confusion", "confusion_normalized"})
"""Templates that count rows: theirs are counted here and never cut."""

_MOST_SERIES = 20
_MOST_ROWS = 10_000
_MOST_CELLS = 10_000
_MAX_TEXT = 200
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3})?|-?\.[0-9]+")

Points = list[dict[str, Any]]
Load = Callable[[str], Points | None]
"""Returns a file's rows, or None where it is not to be had."""


class PlotError(Exception):
    """A plot cannot be drawn from its files as its definition says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One revision's rows of a plot, and the columns that hold them; ``cut`` were left out."""

    x: str
    y: str
    x_label: str
    y_label: str
    rows: tuple[dict[str, Scalar], ...]
    cut: int


def parse_points(path: str, data: bytes, *, has_header: bool = True) -> Points:
    """Return the rows that a file holds; ConfigError or PlotError where it cannot be read."""
    if ending(path) in {".csv", ".tsv"}:
        return _parse_table(path, data, has_header=has_header)
    content = parse(path, data)
    with located(path, data):
        measure(content)
    return _find_points(content)


def infer(definition: Definition, load: Load) -> Definition:
    """Return the definition with its columns by file; what is not named is guessed.

    Without ``y`` it is the file's last column, and without ``x`` the number of the row.
    """
    y = definition.y
    if y is None:
        points = load(definition.name)
        columns = list(points[0]) if points else []
        y = columns[-1] if columns else []
    if not isinstance(y, Mapping):
        y = {definition.name: y}
    x = definition.x
    if isinstance(x, str):
        x = {file: [x] * len(_listed(columns)) for file, columns in y.items()}
    return replace(definition, x=x if isinstance(x, Mapping) else None, y=y)


def draw(definition: Definition, load: Load, *, template: str, is_own: bool) -> Drawn:
    """Return the rows of a plot whose columns ``infer`` has found.

    ``is_own`` keeps all columns, which a template of the project's own may name.
    """
    ys, xs = _pairs(definition.y), _pairs(definition.x)
    if len(xs) > 1 and len(xs) != len(ys):
        raise PlotError(f"it has {len(xs)} columns for x and {len(ys)} for y")
    names = _names(xs, ys)
    series = _series(ys)
    if len(ys) > _MOST_SERIES:
        raise PlotError(
            f"it has {len(ys)} columns for y, of which {_MOST_SERIES} can be told apart"
        )
    most = max(2, min(MOST_POINTS, _MOST_ROWS // max(1, len(ys))))
    rows: list[dict[str, Scalar]] = []
    cut = 0
    for place, (file, column) in enumerate(ys):
        points = _column(load(file) or [], file, column, names[1])
        if xs:
            x_file, x_column = xs[place] if len(xs) > 1 else xs[0]
            values = [
                point.get(x_column) for point in _checked(load(x_file) or [], x_file, x_column)
            ]
            if len(values) != len(points):
                raise PlotError(f"{x_file} and {file} differ in length")
        else:
            values = list(range(len(points)))
        joined = [{**point, names[0]: value} for point, value in zip(points, values, strict=True)]
        if not is_own:
            joined = [{name: point.get(name) for name in names} for point in joined]
        if template in COUNTED and not is_own:
            kept = _count(joined, names)
        else:
            kept = thin_out(joined, most)
            cut += len(joined) - len(kept)
        extra = {} if series is None else {"series": series[place]}
        rows.extend({key: _value(value) for key, value in (row | extra).items()} for row in kept)
    x_label, y_label = _labels(definition, xs, ys)
    return Drawn(
        x=names[0], y=names[1], x_label=x_label, y_label=y_label, rows=tuple(rows), cut=cut
    )


def _parse_table(path: str, data: bytes, *, has_header: bool) -> Points:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8.") from error
    delimiter = "\t" if ending(path) == ".tsv" else ","
    try:
        table = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
    except csv.Error as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from error
    if not table:
        return []
    header, body = (table[0], table[1:]) if has_header else (_numbers(table[0]), table)
    if any(len(row) > len(header) for row in body):
        raise PlotError(f"{path} has rows longer than its header")
    if any(len(row) < len(header) for row in body):
        gap: list[str | None] = [None] * len(header)
        return [dict(zip(header, [*row, *gap], strict=False)) for row in body]
    return [dict(zip(header, row, strict=True)) for row in body]


def _numbers(row: Sequence[str]) -> list[str]:
    return [str(place) for place in range(len(row))]


def _find_points(content: Any) -> Points:
    """Return all lists of rows in ``content``, side by side."""
    found: Points = []
    for rows in _lists(content):
        if rows and all(isinstance(row, dict) for row in rows):
            columns = set(rows[0])
            if columns and columns.issuperset(key for row in rows for key in row):
                found.extend({} for _ in range(len(rows) - len(found)))
                for place, row in enumerate(rows):
                    found[place].update((str(key), value) for key, value in row.items())
    return found


def _lists(content: Any) -> Iterator[list[Any]]:
    if isinstance(content, list):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            if isinstance(value, dict | list):
                yield from _lists(value)


def _listed(columns: str | list[str]) -> list[str]:
    return [columns] if isinstance(columns, str) else columns


def _pairs(axis: Axis) -> list[tuple[str, str]]:
    """Return the columns of an axis with their files."""
    if not isinstance(axis, Mapping):
        return []
    return [(file, column) for file, columns in axis.items() for column in _listed(columns)]


def _names(xs: Sequence[tuple[str, str]], ys: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return what the columns are called once all series have the same."""
    x_columns = list(dict.fromkeys(column for _, column in xs))
    y_columns = list(dict.fromkeys(column for _, column in ys))
    x = MANY_X if len(x_columns) > 1 else next(iter(x_columns), INDEX)
    y = MANY_Y if len(y_columns) > 1 else next(iter(y_columns), "")
    return x, y


def _series(ys: Sequence[tuple[str, str]]) -> list[str] | None:
    """Return what tells each column from the others: its file, its name, or both."""
    if len(ys) < 2:
        return None
    files = list(dict.fromkeys(file for file, _ in ys))
    shared = len(commonpath(files)) if len(files) > 1 else 0
    columns = {column for _, column in ys}
    return [
        "::".join(
            part
            for part, is_telling in (
                (file[shared:].strip("/"), len(files) > 1),
                (column, len(columns) > 1),
            )
            if is_telling
        )
        for file, column in ys
    ]


def _column(points: Points, file: str, column: str, name: str) -> Points:
    checked = _checked(points, file, column)
    if name == column:
        return checked
    return [{**point, name: point.get(column)} for point in checked]


def _checked(points: Points, file: str, column: str) -> Points:
    if points and column not in points[0]:
        known = ", ".join(str(name)[:60] for name in list(points[0])[:10])
        raise PlotError(f"{file} has no column {column!r} (it has {known})")
    return points


def _count(points: Points, names: tuple[str, str]) -> Points:
    counts = Counter((str(point[names[0]]), str(point[names[1]])) for point in points)
    if len(counts) > _MOST_CELLS:
        raise PlotError(f"it has {len(counts):,} cells")
    return [{names[0]: x, names[1]: y, COUNT: number} for (x, y), number in sorted(counts.items())]


def _labels(
    definition: Definition, xs: Sequence[tuple[str, str]], ys: Sequence[tuple[str, str]]
) -> tuple[str, str]:
    x_columns = {column for _, column in xs}
    y_columns = {column for _, column in ys}
    x = next(iter(x_columns)) if len(x_columns) == 1 else ("x" if xs else INDEX)
    y = next(iter(y_columns)) if len(y_columns) == 1 else "y"
    return definition.texts.get("x_label", x), definition.texts.get("y_label", y)


def _value(value: Any) -> Scalar:
    """Return a value as rows hold it: a CSV's numbers as numbers, and nothing for NaN."""
    if isinstance(value, str):
        if len(value) < 40 and _NUMBER.fullmatch(value):
            number = float(value)
            is_whole = value.lstrip("-").isdigit()
            return int(value) if is_whole else (number if math.isfinite(number) else None)
        return None if value.lower() in {"nan", "inf", "-inf"} else scalar(value[:_MAX_TEXT])
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    found = scalar(value)
    return found[:_MAX_TEXT] if isinstance(found, str) else found
