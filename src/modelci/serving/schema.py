"""Requests of JSON records, decoded straight into columns and held to a model's inputs.

An honest request is read once, by a decoder made for the model's columns. Only one that it refuses
is read again, slowly, to tell all that is wrong with it.
"""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec

from modelci.domain.golden import InputColumn, ValueType
from modelci.modelfiles.predictor import Columns
from modelci.serving.refusal import MAX_PROBLEMS, Kind, Problem, Refusal, invalid, malformed

MAX_ID = 128
"""The longest id of a request, or of a row, in characters."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A request's rows: each input's values, all of one length.

    ``ids`` are the client's own names of the rows. ``warnings`` tell of values that training has
    never seen: the model answers them as its encoder does.
    """

    columns: Columns
    rows: int
    id: str | None = None
    ids: tuple[str, ...] | None = None
    warnings: tuple[Problem, ...] = ()


_NULLABLE: Mapping[ValueType, Any] = {
    ValueType.NUMBER: float | None,
    ValueType.INTEGER: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None,
    ValueType.STRING: str | None,
    ValueType.BOOLEAN: bool | None,
}
_PRESENT: Mapping[ValueType, Any] = {
    ValueType.NUMBER: float,
    ValueType.INTEGER: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    ValueType.STRING: str,
    ValueType.BOOLEAN: bool,
}
_UNTYPED: Any = float | int | str | bool | None

_WANTED = {
    ValueType.NUMBER: "a number",
    ValueType.INTEGER: "a whole number",
    ValueType.STRING: "a string",
    ValueType.BOOLEAN: "true or false",
}


class RequestSchema:
    """A model's inputs. Unless ``typed``, nobody knows their types: any plain value passes."""

    def __init__(self, inputs: Sequence[InputColumn], *, typed: bool) -> None:
        self.inputs = {one.name: one for one in inputs}
        self.typed = typed
        fields = [(f"f{number}", self._type(one)) for number, one in enumerate(inputs)]
        row: Any = msgspec.defstruct(
            "Row",
            fields,
            # A column may have any name, a field of Python may not.
            rename={field: one.name for (field, _), one in zip(fields, inputs, strict=True)},
            forbid_unknown_fields=True,
            gc=False,
        )
        envelope = msgspec.defstruct(
            "Records",
            [
                ("records", list[row]),
                ("id", Id | None, None),
                ("ids", list[Id] | None, None),
            ],
            forbid_unknown_fields=True,
        )
        self._bare = msgspec.json.Decoder(list[row])
        self._envelope = msgspec.json.Decoder(envelope)
        self._categories = {
            one.name: frozenset((*one.values, None))
            for one in inputs
            if one.values is not None and one.type is ValueType.STRING
        }

    def _type(self, column: InputColumn) -> Any:
        if not self.typed:
            return _UNTYPED
        return (_NULLABLE if column.nullable else _PRESENT)[column.type]

    def read(self, body: bytes, *, max_rows: int) -> Batch:
        """Return the rows of a body: a list of objects, or one as ``records`` of an object.

        Raises Refusal: 400 for what is no such JSON, 422 for rows that the schema does not allow.
        """
        try:
            if body[:1] == b"[" or body.lstrip()[:1] == b"[":
                rows, id_, ids = self._bare.decode(body), None, None
            else:
                sent: Any = self._envelope.decode(body)
                rows, id_, ids = sent.records, sent.id, sent.ids
        except msgspec.ValidationError:
            return self._read_slowly(body, max_rows=max_rows)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(_why_no_json(error)) from error
        _check_count(len(rows), ids, max_rows)
        values = zip(*map(msgspec.structs.astuple, rows), strict=True)
        columns = {name: list(column) for name, column in zip(self.inputs, values, strict=True)}
        return self.batch(columns, len(rows), id_=id_, ids=ids)

    def batch(
        self,
        columns: Columns,
        rows: int,
        *,
        id_: str | None = None,
        ids: Sequence[str] | None = None,
    ) -> Batch:
        """Return columns that have been checked as a batch, with what is odd about them."""
        return Batch(
            columns=columns,
            rows=rows,
            id=id_,
            ids=None if ids is None else tuple(ids),
            warnings=tuple(self._unseen(columns)) if self._categories else (),
        )

    def _unseen(self, columns: Columns) -> Iterator[Problem]:
        left = MAX_PROBLEMS
        for name, known in self._categories.items():
            if known.issuperset(columns[name]):
                continue
            for row, value in enumerate(columns[name]):
                if value not in known and left:
                    left -= 1
                    yield Problem(row=row, column=name, message="not seen in training")

    def _read_slowly(self, body: bytes, *, max_rows: int) -> Batch:
        try:
            sent = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(_why_no_json(error)) from error
        records, id_, ids = _open_envelope(sent)
        _check_count(len(records), ids, max_rows)
        problems: list[Problem] = []
        columns: dict[str, list[Any]] = {name: [] for name in self.inputs}
        for number, record in enumerate(records):
            problems += self._read_record(number, record, columns)
        if problems:
            raise invalid(problems)
        return self.batch(columns, len(records), id_=id_, ids=ids)

    def _read_record(
        self, number: int, record: Any, columns: Mapping[str, list[Any]]
    ) -> Iterator[Problem]:
        if not isinstance(record, dict):
            yield Problem(row=number, message=f"must be an object, not {name_type(record)}")
            return
        for unfit, message in self.problems_of_names(record, what="column"):
            yield Problem(row=number, column=unfit, message=message)
        for name, column in self.inputs.items():
            if name not in record:
                continue
            value = _whole(record[name]) if column.type is ValueType.INTEGER else record[name]
            problem = self._problem_of(value, column)
            if problem is not None:
                yield Problem(row=number, column=name, message=problem)
            columns[name].append(value)

    def problems_of_names(
        self, given: Mapping[str, object], *, what: str
    ) -> Iterator[tuple[str, str]]:
        """Yield each column that is missing, and each that the model does not know."""
        for name, column in self.inputs.items():
            if name not in given:
                null = "; send null where there is no value" if column.nullable else ""
                yield name, f"is missing{null}"
        for name in given:
            if name not in self.inputs:
                near = difflib.get_close_matches(name, self.inputs, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"the model reads no such {what}"
                yield name[:MAX_ID], f"is unknown; {hint}"

    def _problem_of(self, value: Any, column: InputColumn) -> str | None:
        """Return what is wrong with a value, None where nothing is."""
        if isinstance(value, (dict, list)):
            return f"must be a plain value, not {name_type(value)}"
        if not self.typed:
            return None
        if value is None:
            return None if column.nullable else "must not be null"
        return _problem_of(value, column.type)


def _problem_of(value: Any, kind: ValueType) -> str | None:
    if not _is_of(value, kind):
        return f"must be {_WANTED[kind]}, not {name_type(value)}"
    if kind is ValueType.INTEGER and not -(2**63) <= value < 2**63:
        return "must fit in 64 bits"
    if kind is ValueType.NUMBER and not _is_finite(value):
        return "must be a finite number"
    return None


def _open_envelope(sent: Any) -> tuple[list[Any], str | None, list[str] | None]:
    """Return records, id and ids of what is JSON, or say how it should look."""
    if isinstance(sent, list):
        return sent, None, None
    if not isinstance(sent, dict) or not isinstance(sent.get("records"), list):
        raise malformed(
            'The body must be a list of objects, or {"records": [...]}: one object for each row.'
        )
    unknown = sorted(sent.keys() - {"records", "id", "ids"})
    if unknown:
        raise malformed(f"{unknown[0][:MAX_ID]!r} is unknown beside records, id and ids.")
    id_, ids = sent.get("id"), sent.get("ids")
    named = [*([] if id_ is None else [id_]), *(ids if isinstance(ids, list) else [])]
    bad_list = ids is not None and not isinstance(ids, list)
    if bad_list or not all(isinstance(one, str) and 0 < len(one) <= MAX_ID for one in named):
        raise malformed(f"id, and each of ids, must be a string of 1 to {MAX_ID} characters.")
    return sent["records"], id_, ids


def _check_count(rows: int, ids: Sequence[str] | None, max_rows: int) -> None:
    check_rows(rows, max_rows)
    if ids is not None and len(ids) != rows:
        raise malformed(f"ids must name every row: there are {len(ids):,} for {rows:,} rows.")


def check_rows(rows: int, max_rows: int, *, status: int = 422) -> None:
    """Refuse no rows, and more than are allowed."""
    if rows == 0:
        raise Refusal(status, Kind.INVALID, "There are no rows.")
    if rows > max_rows:
        raise Refusal(
            status,
            Kind.TOO_MANY_ROWS,
            f"There are {rows:,} rows; a request may have {max_rows:,}. Send several.",
        )


def _why_no_json(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "The body is nested too deeply."
    if isinstance(error, UnicodeDecodeError):
        return "The body is not in UTF-8."
    return f"{str(error).rstrip('.')}."


def why_no_json(error: Exception) -> Refusal:
    """Return the refusal of a body that is no JSON."""
    return malformed(_why_no_json(error))


def name_type(value: object) -> str:
    """Return what JSON calls a value's type; never the value."""
    return next(name for kind, name in _TYPE_NAMES if isinstance(value, kind))


_TYPE_NAMES: tuple[tuple[type, str], ...] = (
    (type(None), "null"),
    (bool, "true or false"),
    (int, "a number"),
    (float, "a number with a fraction"),
    (str, "a string"),
    (list, "a list"),
    (dict, "an object"),
)


def _whole(value: Any) -> Any:
    """Return 2 for 2.0: what writes JSON from a table with gaps knows only such numbers."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _is_of(value: Any, kind: ValueType) -> bool:
    if kind is ValueType.BOOLEAN:
        return isinstance(value, bool)
    if kind is ValueType.STRING:
        return isinstance(value, str)
    wanted: tuple[type, ...] = (int,) if kind is ValueType.INTEGER else (int, float)
    return isinstance(value, wanted) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no double can be
        return False
