import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.golden import InputColumn, OutputColumn, ValueType
from modelci.serving.refusal import Kind, Refusal
from modelci.serving.schema import RequestSchema
from modelci.serving.tensors import Inference, TensorSchema, metadata, write

INPUTS = (
    InputColumn(name="amount", type=ValueType.NUMBER, nullable=False),
    InputColumn(name="years", type=ValueType.INTEGER),
    InputColumn(name="class", type=ValueType.STRING, values=("a", "b")),
    InputColumn(name="is_new", type=ValueType.BOOLEAN),
)
OUTPUTS = (
    OutputColumn(name="score"),
    OutputColumn(name="kinds", classes=("x", "y")),
    OutputColumn(name="label", type=ValueType.STRING),
)
SCHEMA = TensorSchema(RequestSchema(INPUTS, typed=True), OUTPUTS)


def tensor(name: str, datatype: str, data: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def request(**changes: dict[str, Any]) -> dict[str, Any]:
    inputs = {
        "amount": tensor("amount", "FP64", [1, 2.5]),
        "years": tensor("years", "INT32", [3, None]),
        "class": tensor("class", "BYTES", ["a", "b"]),
        "is_new": tensor("is_new", "BOOL", [True, False]),
    }
    return {"inputs": list({**inputs, **changes}.values())}


def read(content: object, *, header: bytes | None = None, max_rows: int = 100) -> Inference:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return SCHEMA.read(body, header=header, max_rows=max_rows)


def refuse(content: object, *, header: bytes | None = None, max_rows: int = 100) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(content, header=header, max_rows=max_rows)
    # The protocol's description knows no other status for what a client got wrong.
    assert caught.value.status == 400
    return caught.value


def problems(content: object) -> list[tuple[int | None, str | None, str]]:
    return [(one.row, one.column, one.message) for one in refuse(content).problems]


def test_tensors_become_columns() -> None:
    batch = read({**request(), "id": "42"}).batch
    assert batch.columns == {
        "amount": [1.0, 2.5],
        "years": [3, None],
        "class": ["a", "b"],
        "is_new": [True, False],
    }
    assert (batch.rows, batch.id) == (2, "42")


def test_a_column_may_be_a_matrix_of_one_column() -> None:
    nested = tensor("amount", "FP32", [[1], [2]], [2, 1])
    flat = tensor("years", "INT64", [1, 2], [2, 1])
    columns = read(request(amount=nested, years=flat)).batch.columns
    assert (columns["amount"], columns["years"]) == ([1.0, 2.0], [1, 2])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            tensor("amount", "FP64", [1, 2], [1, 2]),
            "must have the shape [1] or [1, 1]: every input is one column",
        ),
        (tensor("amount", "BYTES", ["1", "2"]), "must be of datatype FP64 or FP32 or FP16"),
        (tensor("amount", "FP128", [1, 2]), "must be of datatype FP64 or FP32 or FP16"),
        (tensor("amount", "FP64", [1, "2"]), "a string is no FP64"),
        (tensor("amount", "INT8", [1, 300]), "a number is no INT8"),
        (tensor("amount", "FP64", [1, None]), "must not be null"),
        (tensor("amount", "FP64", [1], [2]), "has 1 values for the shape [2]"),
        (
            tensor("amount", "FP64", [[1], [2]], [2]),
            "has nested values, which the shape [2] does not allow",
        ),
        (tensor("amount", "FP64", {"a": 1}, [2]), "data must be a list, not an object"),
    ],
)
def test_a_wrong_tensor_is_named(change: dict[str, Any], problem: str) -> None:
    found = problems(request(amount=change))
    assert ("amount", problem) in [(column, message) for _, column, message in found]


def test_names_are_held_to_the_model() -> None:
    content = request()
    twice = {"inputs": [*content["inputs"], content["inputs"][0]]}
    assert problems(twice) == [(None, "amount", "is given twice")]
    other = request(amount=tensor("amuont", "FP64", [1, 2]))
    assert problems(other) == [
        (None, "amount", "is missing"),
        (None, "amuont", "is unknown; did you mean 'amount'?"),
    ]


def test_an_output_that_there_is_not_is_named() -> None:
    assert problems({**request(), "outputs": [{"name": "scor"}]}) == [
        (None, "scor", "is no output of the model; it has 'score'")
    ]


@pytest.mark.parametrize(
    "content",
    [
        {"inputs": []},
        {"inputs": 3},
        {},
        [],
        {"inputs": [{"name": "amount"}]},
        request(amount={"name": "amount", "datatype": "FP64", "shape": [2]}),
        request(amount=tensor("amount", "FP64", [1, 2], [-2])),
        request(amount=tensor("amount", "FP64", [1, 2], [10**30])),
        request(amount=tensor("amount", "FP64", [1, 2], [2, 1, 1])),
        {**request(), "id": "x" * 129},
        b'{"inputs": [{"name": "amount", "shape": [1], "datatype": "FP64", "data": [1e999]}]}',
        b'{"inputs": ' + b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_request_is_refused(content: object) -> None:
    assert refuse(content).kind in {Kind.MALFORMED, Kind.INVALID}


def test_too_many_rows_are_refused() -> None:
    assert refuse(request(), max_rows=1).kind is Kind.TOO_MANY_ROWS


# Binary data.


def binary(*tensors: tuple[str, str, list[int], bytes]) -> tuple[bytes, bytes]:
    """Return a body whose tensors are bytes behind the JSON, and the header."""
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": shape,
            "parameters": {"binary_data_size": len(data)},
        }
        for name, datatype, shape, data in tensors
    ]
    text = json.dumps({"inputs": inputs}).encode()
    return b"".join([text, *(one[3] for one in tensors)]), str(len(text)).encode()


def texts(*values: str) -> bytes:
    return b"".join(struct.pack("<I", len(one.encode())) + one.encode() for one in values)


AMOUNT = ("amount", "FP32", [2], np.array([1, 2.5], "<f4").tobytes())
YEARS = ("years", "INT16", [2], np.array([-3, 4], "<i2").tobytes())
CLASS = ("class", "BYTES", [2], texts("a", "ü"))
IS_NEW = ("is_new", "BOOL", [2], b"\x01\x00")


def test_numbers_texts_and_booleans_may_be_binary() -> None:
    body, header = binary(AMOUNT, YEARS, CLASS, IS_NEW)
    batch = read(body, header=header).batch
    assert [list(column) for column in batch.columns.values()] == [
        [1.0, 2.5],
        [-3, 4],
        ["a", "ü"],
        [True, False],
    ]
    assert [(one.row, one.column) for one in batch.warnings] == [(1, "class")]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((*AMOUNT[:3], b"\0" * 7), "has 7 bytes; 2 of FP32 take 8"),
        ((*AMOUNT[:3], np.array([1, np.inf], "<f4").tobytes()), "must be a finite number"),
        ((*AMOUNT[:3], np.array([1, np.nan], "<f4").tobytes()), "must not be NaN"),
    ],
)
def test_wrong_binary_numbers_are_refused(
    change: tuple[str, str, list[int], bytes], said: str
) -> None:
    body, header = binary(change, YEARS, CLASS, IS_NEW)
    assert said in str(refuse(body, header=header))


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", texts("a"), texts("a", "b", "c"), texts("a", "b") + b"\0", b"ab"]
)
def test_wrong_binary_texts_are_refused(data: bytes) -> None:
    body, header = binary(AMOUNT, YEARS, (*CLASS[:3], data), IS_NEW)
    assert "class" in str(refuse(body, header=header))


@pytest.mark.parametrize("header", [b"x", b"-1", b"99999", b"9" * 30, b""])
def test_a_wrong_length_of_the_json_is_refused(header: bytes) -> None:
    body, _ = binary(AMOUNT, YEARS, CLASS, IS_NEW)
    assert "Inference-Header-Content-Length" in str(refuse(body, header=header))


def test_bytes_that_belong_to_nothing_are_refused() -> None:
    body, header = binary(AMOUNT, YEARS, CLASS, IS_NEW)
    assert "belong to no input" in str(refuse(body + b"x", header=header))
    assert "must have either" in str(refuse(body[:-1], header=header))


@given(st.binary(max_size=60), st.binary(max_size=3))
def test_any_bytes_are_answered_or_refused(body: bytes, header: bytes) -> None:
    with pytest.raises(Refusal):
        read(body, header=header or None)


# Answers.

ANSWERS = {
    "score": np.array([0.25, np.nan]),
    "kinds": np.array([[0.1, 0.9], [0.5, 0.5]], dtype=np.float32),
    "label": np.array(["a", "ü"], dtype=object),
}


def written(inference: Inference) -> tuple[Any, bytes]:
    body, length = write(inference, ANSWERS, model="m", version="v1", request_id="7")
    return json.loads(body[:length]), body[length:] if length else b""


def test_answers_are_tensors_with_null_for_nan() -> None:
    content, rest = written(read(request()))
    assert rest == b""
    assert content == {
        "model_name": "m",
        "model_version": "v1",
        "id": "7",
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [2], "data": [0.25, None]},
            {
                "name": "kinds",
                "datatype": "FP64",
                "shape": [2, 2],
                "data": pytest.approx([0.1, 0.9, 0.5, 0.5]),
            },
            {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["a", "ü"]},
        ],
    }


def test_answers_may_be_binary_all_or_one() -> None:
    wanted = {**request(), "parameters": {"binary_data_output": True}}
    content, rest = written(read(wanted))
    assert [one["parameters"]["binary_data_size"] for one in content["outputs"]] == [16, 32, 11]
    assert rest[:16] == np.array([0.25, np.nan]).tobytes()
    assert rest[48:] == texts("a", "ü")
    one = [{"name": "label", "parameters": {"binary_data": True}}, {"name": "score"}]
    content, rest = written(read({**request(), "outputs": one}))
    assert [(one["name"], "data" in one) for one in content["outputs"]] == [
        ("label", False),
        ("score", True),
    ]
    assert rest == texts("a", "ü")


def test_warnings_are_parameters_of_the_answer() -> None:
    content, _ = written(read(request(**{"class": tensor("class", "BYTES", ["a", "zz"])})))
    assert content["parameters"] == {
        "warnings": [{"row": 1, "column": "class", "message": "not seen in training"}]
    }


def test_metadata_name_datatypes_and_classes() -> None:
    assert metadata(INPUTS)[1] == {"name": "years", "datatype": "INT64", "shape": [-1]}
    assert metadata(OUTPUTS)[1] == {
        "name": "kinds",
        "datatype": "FP64",
        "shape": [-1, 2],
        "parameters": {"classes": ["x", "y"]},
    }
