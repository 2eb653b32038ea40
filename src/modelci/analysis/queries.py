"""Row selections as pandas' ``query`` writes them, without any means to run code.

The expression is parsed, never compiled or evaluated by Python: what the walk over its syntax tree
does not know is refused. Comparisons (chained too), ``and``, ``or``, ``not``, ``&``, ``|``, ``~``,
``in``, ``not in``, ``+ - * /``, numbers, texts, True, False, None, column names, and parentheses
are known. As in pandas, ``&`` and ``|`` bind as loosely as ``and`` and ``or``.
"""

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAX_LENGTH = 1000
MAX_DEPTH = 30

_Array = NDArray[Any]
_YES: _Array = np.ones((), dtype=bool)
_NO: _Array = np.zeros((), dtype=bool)
_ALLOWED = (
    "a query holds comparisons, and, or, not, in, + - * /, numbers, texts, True, False, None, "
    "column names (odd ones in `backticks`) and parentheses"
)
_NO_LIST = "what follows `in` must be a list, such as [1, 2]"
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|`(?P<name>[^`\n]+)`|(?P<sign>[&|\n\r])"""
)
_SIGNS = {"&": " and ", "|": " or ", "\n": " ", "\r": " "}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def select(frame: pd.DataFrame, query: str) -> NDArray[np.bool_]:
    """Return for each row whether the query means it.

    A missing value equals None and differs from all else; it is neither greater nor less.
    ValueError says what is wrong with the query and what is allowed.
    """
    if len(query) > MAX_LENGTH:
        raise ValueError(f"the query is longer than {MAX_LENGTH} characters")
    names: dict[str, str] = {}
    tree = _parse(_plain(query, names))
    if _depth(tree) > MAX_DEPTH:
        raise ValueError(f"the query is nested more than {MAX_DEPTH} levels deep")
    walk = _Walk(frame, names)
    with np.errstate(all="ignore"):
        found = walk.visit(tree)
    if found.kind is not _Kind.BOOLEAN:
        raise ValueError(f"the query gives {found.kind}, no yes or no for each row")
    if found.values.ndim == 0:
        raise ValueError("the query names no column")
    return _truth(found)


class _Kind(StrEnum):
    NUMBER = "numbers"
    TEXT = "text"
    BOOLEAN = "booleans"
    DATE = "dates"
    NOTHING = "None"


@dataclass(frozen=True, slots=True)
class _Operand:
    """Values (one for each row, or one for all) of one kind, and which of them are missing."""

    kind: _Kind
    values: _Array
    missing: _Array


def _plain(query: str, names: dict[str, str]) -> str:
    """Return the query in Python's grammar; ``names`` learns what stands for backticked names."""
    prefix = "_c"
    while prefix in query:
        prefix += "c"

    def replace(found: re.Match[str]) -> str:
        if found["text"]:
            return found["text"]
        if found["sign"]:
            return _SIGNS[found["sign"]]
        stand_in = f"{prefix}{len(names)}"
        names[stand_in] = found["name"]
        return f" {stand_in} "

    return _TOKEN.sub(replace, query).strip()


def _parse(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in texts
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else "it is nested too deeply"
        raise ValueError(f"the query cannot be read ({said}): {_ALLOWED}") from None


def _depth(tree: ast.AST) -> int:
    level: list[ast.AST] = [tree]
    depth = 0
    while level:
        depth += 1
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    return depth


class _Walk:
    """Evaluates a syntax tree over a table's columns."""

    def __init__(self, frame: pd.DataFrame, names: Mapping[str, str]) -> None:
        self._frame = frame
        self._names = names
        self._columns = [str(column) for column in frame.columns]
        self._known: dict[str, _Operand] = {}

    def visit(self, node: ast.expr) -> _Operand:  # noqa: PLR0911 - the whole grammar, at a glance
        match node:
            case ast.Name(id=name):
                return self._column(self._names.get(name, name))
            case ast.Constant(value=value):
                return _literal(value)
            case ast.BoolOp(op=op, values=parts):
                both = np.logical_and if isinstance(op, ast.And) else np.logical_or
                return _boolean(reduce(both, [_truth(self.visit(part)) for part in parts]))
            case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=part):
                return _boolean(~_truth(self.visit(part)))
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=part):
                found = _number(self.visit(part))
                sign = -1.0 if isinstance(op, ast.USub) else 1.0
                return _Operand(_Kind.NUMBER, found.values * sign, found.missing)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                one, two = _number(self.visit(left)), _number(self.visit(right))
                values = np.asarray(_ARITHMETIC[type(op)](one.values, two.values))
                return _Operand(_Kind.NUMBER, values, np.isnan(values))
            case ast.Compare(left=left, ops=ops, comparators=others):
                return self._compare(left, ops, others)
        raise ValueError(f"{_describe(node)} is not allowed: {_ALLOWED}")

    def _compare(self, left: ast.expr, ops: list[ast.cmpop], others: list[ast.expr]) -> _Operand:
        found = _YES
        one = self.visit(left)
        for op, other in zip(ops, others, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                if len(ops) > 1:
                    raise ValueError("`in` cannot be chained: use parentheses")
                truth = self._is_in(one, other)
                return _boolean(~truth if isinstance(op, ast.NotIn) else truth)
            if type(op) not in _COMPARE:
                raise ValueError(f"`is` is not allowed, use ==: {_ALLOWED}")
            two = self.visit(other)
            found = np.logical_and(found, _compare(type(op), one, two))
            one = two
        return _boolean(found)

    def _is_in(self, one: _Operand, other: ast.expr) -> _Array:
        if not isinstance(other, ast.List | ast.Tuple | ast.Set):
            raise ValueError(_NO_LIST)  # noqa: TRY004 - of the query
        found = np.zeros(one.values.shape, dtype=bool)
        for node in other.elts:
            member = self.visit(node)
            if member.values.ndim:
                raise ValueError("a list may hold only numbers, texts, True, False and None")
            found |= _compare(ast.Eq, one, member)
        return found

    def _column(self, name: str) -> _Operand:
        if name not in self._known:
            if self._columns.count(name) != 1:
                raise ValueError(unknown_column(name, self._columns))
            self._known[name] = _read(name, self._frame.iloc[:, self._columns.index(name)])
        return self._known[name]


def unknown_column(name: str, columns: list[str]) -> str:
    """Say that a table has no such column (or has it twice), and which come near."""
    if name in columns:
        return f"there are two columns {name!r}"
    near = get_close_matches(name, columns, n=1)
    if near:
        return f"there is no column {name!r}: did you mean {near[0]!r}?"
    return f"there is no column {name!r}: there are {', '.join(columns[:10])}"


def _read(name: str, column: "pd.Series[Any]") -> _Operand:
    missing = column.isna().to_numpy(dtype=bool)
    kind = _kind(column)
    if kind is _Kind.NUMBER:
        return _Operand(kind, _numbers(column, any_missing=bool(missing.any())), missing)
    if kind is _Kind.BOOLEAN:
        values = np.zeros(len(column), dtype=bool)
        values[~missing] = column[~missing].to_numpy(dtype=bool)
        return _Operand(kind, values, missing)
    if kind is _Kind.DATE:
        utc = pd.to_datetime(column, utc=True)
        return _Operand(kind, utc.dt.tz_localize(None).to_numpy("datetime64[ns]"), missing)
    if kind is _Kind.TEXT:
        values = column.astype(object).to_numpy(dtype=object, copy=True)
        values[missing] = ""
        return _Operand(kind, values, missing)
    raise ValueError(f"column {name!r} holds neither numbers, texts, booleans nor dates")


def _kind(column: "pd.Series[Any]") -> _Kind | None:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if pd.api.types.is_bool_dtype(column.dtype):
        return _Kind.BOOLEAN
    if pd.api.types.is_numeric_dtype(column.dtype):
        return None if pd.api.types.is_complex_dtype(column.dtype) else _Kind.NUMBER
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _Kind.DATE
    return {
        "string": _Kind.TEXT,
        "empty": _Kind.TEXT,
        "boolean": _Kind.BOOLEAN,
        "integer": _Kind.NUMBER,
        "floating": _Kind.NUMBER,
        "mixed-integer-float": _Kind.NUMBER,
    }.get(pd.api.types.infer_dtype(column, skipna=True))


def _numbers(column: "pd.Series[Any]", *, any_missing: bool) -> _Array:
    # Whole numbers stay what they are: ids above 2**53 are no floats.
    if pd.api.types.is_integer_dtype(column.dtype) and not any_missing:
        return column.to_numpy()
    return column.astype(object).to_numpy(dtype=np.float64, na_value=np.nan)


def _literal(value: object) -> _Operand:
    present = _NO
    if value is None:
        return _Operand(_Kind.NOTHING, np.asarray(np.nan), _YES)
    if isinstance(value, bool):
        return _Operand(_Kind.BOOLEAN, np.asarray(value), present)
    if isinstance(value, str):
        return _Operand(_Kind.TEXT, np.asarray(value, dtype=object), present)
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63):
        return _Operand(_Kind.NUMBER, np.asarray(value), present)
    raise ValueError(f"{type(value).__name__} values are not allowed: {_ALLOWED}")


def _boolean(values: _Array) -> _Operand:
    values = np.asarray(values, dtype=bool)
    return _Operand(_Kind.BOOLEAN, values, np.zeros(values.shape, dtype=bool))


def _truth(operand: _Operand) -> NDArray[np.bool_]:
    if operand.kind is not _Kind.BOOLEAN:
        raise ValueError(f"and, or, not join comparisons and booleans, here are {operand.kind}")
    return np.asarray(operand.values & ~operand.missing, dtype=bool)


def _number(operand: _Operand) -> _Operand:
    if operand.kind is not _Kind.NUMBER:
        raise ValueError(f"+ - * / work on numbers, here are {operand.kind}")
    return _Operand(_Kind.NUMBER, operand.values.astype(np.float64), operand.missing)


def _compare(op: type[ast.cmpop], one: _Operand, two: _Operand) -> _Array:
    if _Kind.NOTHING in {one.kind, two.kind}:
        if op not in {ast.Eq, ast.NotEq}:
            raise ValueError("None can only be asked for with == or !=")
        both = one.missing & two.missing
        return np.asarray(both if op is ast.Eq else ~both)
    one, two = _alike(one, two), _alike(two, one)
    if one.kind is not two.kind:
        raise ValueError(f"{one.kind} cannot be compared with {two.kind}")
    missing = one.missing | two.missing
    found = np.asarray(_COMPARE[op](one.values, two.values), dtype=bool)
    return np.asarray(found | missing if op is ast.NotEq else found & ~missing)


def _alike(operand: _Operand, other: _Operand) -> _Operand:
    """Read a text beside dates as a date, and booleans beside numbers as 0 and 1."""
    if operand.kind is _Kind.TEXT and other.kind is _Kind.DATE and operand.values.ndim == 0:
        try:
            date = pd.to_datetime(operand.values.item(), utc=True).tz_localize(None)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{operand.values.item()!r} is no date: {error}") from None
        return _Operand(_Kind.DATE, np.asarray(date.to_datetime64()), operand.missing)
    if operand.kind is _Kind.BOOLEAN and other.kind is _Kind.NUMBER:
        return _Operand(_Kind.NUMBER, operand.values.astype(np.int64), operand.missing)
    return operand


def _describe(node: ast.expr) -> str:
    names: Mapping[type[ast.expr], str] = {
        ast.Call: "a call",
        ast.Attribute: "attribute access",
        ast.Subscript: "a subscript",
        ast.JoinedStr: "an f-string",
        ast.Lambda: "a lambda",
        ast.NamedExpr: "an assignment",
        ast.BinOp: "this operator",
        ast.List: "a list that does not follow `in`",
        ast.Tuple: "a tuple that does not follow `in`",
    }
    return names.get(type(node), type(node).__name__)
