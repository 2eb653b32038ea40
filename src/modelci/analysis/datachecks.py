"""What must hold for a dataset: its rows, its columns, its ids."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelci.domain.evaluation import ColumnRule, ColumnType

_Mask = NDArray[np.bool_]
_AGAIN = "in an earlier row already"
_MAX_EXAMPLES = 3
_MAX_TEXT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check of a dataset: ``count`` rows (or columns) of ``rows`` break it, 0 where it holds.

    ``reason`` says how, with three examples at most.
    """

    name: str
    count: int
    rows: int
    reason: str


def check_table(
    frame: pd.DataFrame,
    *,
    id: str | None,  # noqa: A002 - as in modelci.yaml
    columns: Mapping[str, ColumnRule],
    min_rows: int | None = None,
    max_rows: int | None = None,
    only_these_columns: bool = False,
    others: Mapping[str, "pd.Series[Any]"] | None = None,
) -> tuple[Finding, ...]:
    """Make every check asked for; each is a finding, whether it holds or not.

    ``others`` are the ids of further files, by path, that may not be in this one. A column that is
    missing is one finding, and its rules are not looked at.
    """
    checks = _Checks(frame)
    return (
        *checks.size(min_rows, max_rows),
        *checks.known({*columns, *([id] if id else [])} if only_these_columns else None),
        *(finding for name, rule in columns.items() for finding in checks.column(name, rule)),
        *checks.ids(id, others or {}),
    )


class _Checks:
    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame
        self._rows = len(frame)
        self._columns = [str(column) for column in frame.columns]

    def size(self, least: int | None, most: int | None) -> Iterator[Finding]:
        said = f"{self._rows:,} rows"
        if least is not None:
            yield self._one("min rows", self._rows < least, f"{said}, at least {least:,} wanted")
        if most is not None:
            yield self._one("max rows", self._rows > most, f"{said}, at most {most:,} allowed")

    def known(self, names: set[str] | None) -> Iterator[Finding]:
        if names is not None:
            others = [column for column in self._columns if column not in names]
            reason = f"columns beyond those named: {_examples(others)}" if others else "none"
            yield Finding(name="other columns", count=len(others), rows=self._rows, reason=reason)

    def column(self, name: str, rule: ColumnRule) -> Iterator[Finding]:
        column = self._get(name)
        if column is None:
            yield self._missing(name)
            return
        values = column[~column.isna()]
        if rule.type is not None:
            wrong = ~_is_of(values, rule.type)
            yield self._breaking(f"{name}: type", values, wrong, f"no {rule.type}")
        if rule.min is not None or rule.max is not None:
            yield from self._range(name, values, rule)
        if rule.values is not None:
            wrong = ~_is_one_of(values, rule.values)
            yield self._breaking(f"{name}: values", values, wrong, "not among those allowed")
        if rule.max_missing is not None:
            yield self._gaps(name, self._rows - len(values), rule.max_missing)
        if rule.unique:
            yield self._breaking(f"{name}: unique", values, _repeated(values), _AGAIN)

    def ids(self, name: str | None, others: Mapping[str, "pd.Series[Any]"]) -> Iterator[Finding]:
        if name is None:
            return
        column = self._get(name)
        if column is None:
            yield self._missing(name)
            return
        gaps = int(column.isna().sum())
        yield self._count(f"{name}: missing ids", gaps, "rows without an id" if gaps else "none")
        values = column[~column.isna()]
        yield self._breaking(f"duplicate {name}", values, _repeated(values), _AGAIN)
        for path, theirs in others.items():
            shared = np.asarray(_keys(values).isin(set(_keys(theirs[~theirs.isna()]))))
            yield self._breaking(f"ids also in {path}", values, shared, "in both")

    def _range(self, name: str, values: "pd.Series[Any]", rule: ColumnRule) -> Iterator[Finding]:
        numbers = _numbers(values)
        unread = np.isnan(numbers)
        if unread.any():
            yield self._breaking(f"{name}: numbers", values, unread, "no number to bound")
        if rule.min is not None:
            low = numbers < rule.min
            yield self._breaking(f"{name}: below min", values, low, f"below {rule.min:g}")
        if rule.max is not None:
            high = numbers > rule.max
            yield self._breaking(f"{name}: above max", values, high, f"above {rule.max:g}")

    def _gaps(self, name: str, gaps: int, share: float) -> Finding:
        found = gaps / self._rows if self._rows else 0.0
        reason = f"{gaps:,} of {self._rows:,} values missing ({found:.2%}), {share:.2%} allowed"
        return self._count(f"{name}: missing", gaps if found > share else 0, reason)

    def _get(self, name: str) -> "pd.Series[Any] | None":
        if self._columns.count(name) != 1:
            return None
        return self._frame.iloc[:, self._columns.index(name)]

    def _missing(self, name: str) -> Finding:
        found = self._columns.count(name)
        said = f"there are {found} columns of that name" if found else "there is no such column"
        return Finding(name=f"{name}: column", count=1, rows=self._rows, reason=said)

    def _breaking(self, name: str, values: "pd.Series[Any]", wrong: _Mask, how: str) -> Finding:
        count = int(wrong.sum())
        what = f"{count:,} {'value' if count == 1 else 'values'}"
        reason = f"{what} {how}: {_examples(values[wrong].head(20))}" if count else "none"
        return self._count(name, count, reason)

    def _one(self, name: str, is_broken: bool, reason: str) -> Finding:  # noqa: FBT001
        return self._count(name, int(is_broken), reason)

    def _count(self, name: str, count: int, reason: str) -> Finding:
        return Finding(name=name, count=count, rows=self._rows, reason=reason)


def _is_of(values: "pd.Series[Any]", type_: ColumnType) -> _Mask:
    """Return which values are of a type, whatever the column's own type is called."""
    settled = _settled(values, type_)
    if settled is not None:
        return np.full(len(values), settled)
    if type_ is ColumnType.INTEGER and pd.api.types.is_float_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64)
        return np.asarray(np.isfinite(numbers) & (numbers == np.floor(numbers)))
    return np.fromiter((_CHECKS[type_](value) for value in values), bool, len(values))


def _settled(values: "pd.Series[Any]", type_: ColumnType) -> bool | None:
    """Say at once where the column's own type decides; None where each value is looked at."""
    types = pd.api.types
    if types.is_bool_dtype(values.dtype):
        return type_ is ColumnType.BOOLEAN
    if types.is_integer_dtype(values.dtype):
        return type_ in {ColumnType.NUMBER, ColumnType.INTEGER}
    if types.is_float_dtype(values.dtype):
        return None if type_ is ColumnType.INTEGER else type_ is ColumnType.NUMBER
    if types.is_datetime64_any_dtype(values.dtype):
        return type_ is ColumnType.DATETIME
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)


def _is_date(value: object) -> bool:
    if not isinstance(value, str):
        return hasattr(value, "year") and hasattr(value, "month")
    try:
        return not pd.isna(pd.Timestamp(value))
    except (ValueError, OverflowError):
        return False


_CHECKS = {
    ColumnType.NUMBER: _is_number,
    ColumnType.INTEGER: lambda value: _is_number(value) and float(value).is_integer(),
    ColumnType.STRING: lambda value: isinstance(value, str),
    ColumnType.BOOLEAN: lambda value: isinstance(value, bool | np.bool_),
    ColumnType.DATETIME: _is_date,
}


def _is_one_of(values: "pd.Series[Any]", allowed: tuple[Any, ...]) -> _Mask:
    return np.asarray(_keys(values).isin([_key(value) for value in allowed]))


def _repeated(values: "pd.Series[Any]") -> _Mask:
    return np.asarray(_keys(values).duplicated())


def _keys(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return texts, equal where two files mean the same: a text file has no types, 7.0 is 7."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return values.astype(str)
    return values.astype(object).map(_key).astype(object)


def _key(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _numbers(values: "pd.Series[Any]") -> NDArray[np.float64]:
    if pd.api.types.is_bool_dtype(values.dtype):
        return np.full(len(values), np.nan)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64)
    return np.fromiter(
        (float(value) if _is_number(value) else np.nan for value in values),
        np.float64,
        len(values),
    )


def _examples(values: "list[str] | pd.Series[Any]") -> str:
    shown = dict.fromkeys(_short(value) for value in values)
    return ", ".join(list(shown)[:_MAX_EXAMPLES]) + (", …" if len(shown) > _MAX_EXAMPLES else "")


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT - 1]}…"
