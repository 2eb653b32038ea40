import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.golden import InputColumn, ValueType
from modelci.serving.refusal import MAX_PROBLEMS, Kind, Problem, Refusal
from modelci.serving.schema import Batch, RequestSchema

INPUTS = (
    InputColumn(name="amount", type=ValueType.NUMBER, nullable=False),
    InputColumn(name="years at work", type=ValueType.INTEGER),
    InputColumn(name="class", type=ValueType.STRING, values=("a", "b")),
    InputColumn(name="is_new", type=ValueType.BOOLEAN),
)
SCHEMA = RequestSchema(INPUTS, typed=True)
ROW = {"amount": 1.5, "years at work": 3, "class": "a", "is_new": True}


def read(content: object, schema: RequestSchema = SCHEMA, *, max_rows: int = 1000) -> Batch:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return schema.read(body, max_rows=max_rows)


def refuse(content: object, schema: RequestSchema = SCHEMA, *, max_rows: int = 1000) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(content, schema, max_rows=max_rows)
    return caught.value


@pytest.mark.parametrize(
    "content", [[ROW], {"records": [ROW]}, b" \n" + json.dumps([ROW]).encode()]
)
def test_records_become_columns(content: object) -> None:
    batch = read(content)
    assert batch.columns == {
        "amount": [1.5],
        "years at work": [3],
        "class": ["a"],
        "is_new": [True],
    }
    assert (batch.rows, batch.id, batch.ids, batch.warnings) == (1, None, None, ())


def test_ids_come_along() -> None:
    batch = read({"records": [ROW, ROW], "id": "r1", "ids": ["x", "y"]})
    assert (batch.id, batch.ids) == ("r1", ("x", "y"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": "1"}, "must be a number, not a string"),
        ({"amount": True}, "must be a number, not true or false"),
        ({"amount": None}, "must not be null"),
        ({"amount": [1]}, "must be a plain value, not a list"),
        ({"amount": {}}, "must be a plain value, not an object"),
        ({"amount": 10**400}, "must be a finite number"),
        ({"years at work": 2.5}, "must be a whole number, not a number with a fraction"),
        ({"years at work": "2"}, "must be a whole number, not a string"),
        ({"years at work": 2**63}, "must fit in 64 bits"),
        ({"class": 1}, "must be a string, not a number"),
        ({"is_new": 1}, "must be true or false, not a number"),
    ],
)
def test_a_wrong_value_is_named_by_row_and_column(change: dict[str, Any], message: str) -> None:
    refusal = refuse([ROW, {**ROW, **change}])
    assert (refusal.status, refusal.kind) == (422, Kind.INVALID)
    (column,) = change
    assert refusal.problems == (Problem(row=1, column=column, message=message),)
    assert str(refusal) == f"1 problem: row 1, {column}: {message}"


def test_all_problems_are_told_at_once() -> None:
    refusal = refuse(
        [{"amuont": 1, "years at work": None, "class": "a", "is_new": 3}, "no", {**ROW, "zip": 1}]
    )
    assert [(one.row, one.column, one.message) for one in refusal.problems] == [
        (0, "amount", "is missing"),
        (0, "amuont", "is unknown; did you mean 'amount'?"),
        (0, "is_new", "must be true or false, not a number"),
        (1, None, "must be an object, not a string"),
        (2, "zip", "is unknown; the model reads no such column"),
    ]


def test_a_missing_column_that_may_be_null_says_so() -> None:
    refusal = refuse([{"amount": 1, "class": "a", "is_new": True}])
    assert refusal.problems[0].message == "is missing; send null where there is no value"


def test_a_mistake_in_every_row_is_not_listed_for_ever() -> None:
    refusal = refuse([{**ROW, "amount": "x"}] * 500)
    assert len(refusal.problems) == MAX_PROBLEMS
    assert str(refusal).startswith(f"500 problems, of which {MAX_PROBLEMS} are listed: row 0,")


def test_no_message_repeats_a_value() -> None:
    refusal = refuse([{**ROW, "amount": "0176 1234567", "class": {"iban": "DE02"}}])
    said = refusal.body("id").decode()
    assert "0176" not in said
    assert "DE02" not in said


def test_a_category_that_training_has_not_seen_is_a_warning() -> None:
    batch = read([{**ROW, "class": "z"}, ROW, {**ROW, "class": None}])
    assert batch.warnings == (Problem(row=0, column="class", message="not seen in training"),)


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert read([{**ROW, "years at work": 3.0}]).columns["years at work"] == [3]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Input data was truncated."),
        (b"[{", "Input data was truncated."),
        (b'[{"amount": NaN}]', "JSON is malformed: invalid character (byte 12)."),
        (b'[{"amount": Infinity}]', "JSON is malformed: invalid character (byte 12)."),
        (b"\xff\xfe[", "JSON is malformed: invalid character (byte 0)."),
        (b"[" * 100_000, "The body is nested too deeply."),
        (b'{"records":' + b"[" * 100_000, "The body is nested too deeply."),
        (b"{}", 'The body must be a list of objects, or {"records": [...]}'),
        (b'"text"', "The body must be a list of objects"),
        (b'{"records": 3}', "The body must be a list of objects"),
        (b'{"records": [], "x": 1}', "'x' is unknown beside records, id and ids."),
        (b'{"records": [], "id": 3}', "id, and each of ids, must be a string"),
        (b'{"records": [], "ids": "abc"}', "id, and each of ids, must be a string"),
        (b'{"records": [], "id": ""}', "id, and each of ids, must be a string"),
    ],
)
def test_what_is_no_request_is_malformed(body: bytes, said: str) -> None:
    refusal = refuse(body)
    assert (refusal.status, refusal.kind) == (400, Kind.MALFORMED)
    assert said in str(refusal)


def test_text_that_is_not_utf_8_is_malformed() -> None:
    body = json.dumps([{**ROW, "class": "?"}]).encode().replace(b"?", b"\xff")
    assert str(refuse(body)) == "The body is not in UTF-8."


def test_an_id_too_few_is_malformed() -> None:
    refusal = refuse({"records": [ROW, ROW], "ids": ["a"]})
    assert str(refusal) == "ids must name every row: there are 1 for 2 rows."


def test_no_rows_and_too_many_are_refused() -> None:
    assert (refuse([]).status, str(refuse([]))) == (422, "There are no rows.")
    refusal = refuse([ROW] * 3, max_rows=2)
    assert (refusal.status, refusal.kind) == (422, Kind.TOO_MANY_ROWS)
    # Also where the rows are wrong as well: they are not looked at.
    assert refuse([{}] * 3, max_rows=2).kind is Kind.TOO_MANY_ROWS


def test_where_no_types_are_known_every_plain_value_passes() -> None:
    schema = RequestSchema(INPUTS, typed=False)
    row = {"amount": "7", "years at work": 1.5, "class": None, "is_new": 0}
    assert read([row], schema).columns["amount"] == ["7"]
    assert refuse([{**row, "class": []}], schema).problems[0].column == "class"
    assert refuse([{"amount": 1}], schema).status == 422


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
values = plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(max_size=3), plain)
rows = st.dictionaries(st.sampled_from([*ROW, "other"]), values) | values


@given(st.lists(rows, max_size=4) | st.dictionaries(st.sampled_from(["records", "id"]), rows))
def test_any_json_is_answered_or_refused(content: object) -> None:
    try:
        batch = read(content)
    except Refusal as refusal:
        _check_refusal(refusal)
    else:
        assert all(len(column) == batch.rows for column in batch.columns.values())


@given(st.binary(max_size=40))
def test_any_bytes_are_answered_or_refused(body: bytes) -> None:
    try:
        read(body)
    except Refusal as refusal:
        _check_refusal(refusal)


def _check_refusal(refusal: Refusal) -> None:
    assert refusal.status in {400, 422}
    assert json.loads(refusal.body("id"))["error"]


fitting = st.fixed_dictionaries(
    {
        "amount": st.floats(allow_nan=False, allow_infinity=False),
        "years at work": st.none() | st.integers(-(2**63), 2**63 - 1),
        "class": st.none() | st.text(max_size=4),
        "is_new": st.none() | st.booleans(),
    }
)


@given(st.lists(fitting, min_size=1, max_size=4))
def test_what_fits_is_read_as_it_stands(records: list[dict[str, Any]]) -> None:
    batch = read(records)
    assert batch.columns == {name: [row[name] for row in records] for name in ROW}
