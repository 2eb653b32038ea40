"""Requests and answers of the Open Inference Protocol: one named tensor for each column.

A tensor has the shape ``[n]`` or ``[n, 1]``. Its data is in the JSON, or, by the extension
``binary_tensor_data`` that Triton and KServe know, behind it: little-endian numbers, a byte for
each boolean, and texts that each follow their length.
"""

import difflib
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from modelci.domain.golden import InputColumn, OutputColumn, ValueType
from modelci.serving.refusal import Problem, Refusal, invalid, malformed
from modelci.serving.schema import (
    MAX_ID,
    Batch,
    RequestSchema,
    check_rows,
    name_type,
    why_no_json,
)

Answers = Mapping[str, npt.NDArray[Any]]
"""What a model says of a batch: an array for each output, of its rows (and classes)."""

BYTES, BOOL = "BYTES", "BOOL"
_INTEGERS: dict[str, np.dtype[Any]] = {
    f"{sign}INT{bits}": np.dtype(f"<{'u' if sign else 'i'}{bits // 8}")
    for sign in ("", "U")
    for bits in (8, 16, 32, 64)
    if sign + str(bits) != "U64"  # which would be the only one that 64 bits with a sign do not hold
}
_FLOATS: dict[str, np.dtype[Any]] = {
    "FP64": np.dtype("<f8"),
    "FP32": np.dtype("<f4"),
    "FP16": np.dtype("<f2"),
}
_DTYPES = {**_FLOATS, **_INTEGERS}
_BOOL: np.dtype[Any] = np.dtype(np.bool_)

_ACCEPTED = {
    ValueType.NUMBER: (*_FLOATS, *_INTEGERS),
    ValueType.INTEGER: tuple(_INTEGERS),
    ValueType.STRING: (BYTES,),
    ValueType.BOOLEAN: (BOOL,),
}
_DATATYPE = {
    ValueType.NUMBER: "FP64",
    ValueType.INTEGER: "INT64",
    ValueType.STRING: BYTES,
    ValueType.BOOLEAN: BOOL,
}


class Parameters(msgspec.Struct, frozen=True):
    """Those that we know; others are let pass, as the protocol wants it."""

    binary_data_size: Annotated[int, msgspec.Meta(ge=0)] | None = None
    binary_data: bool | None = None
    binary_data_output: bool | None = None


class _Tensor(msgspec.Struct):
    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]]
    datatype: str
    data: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)
    parameters: Parameters | None = None

    @property
    def has_data(self) -> bool:
        return memoryview(self.data).nbytes > 0

    @property
    def binary_size(self) -> int | None:
        return self.parameters.binary_data_size if self.parameters else None


class _Wanted(msgspec.Struct):
    name: str
    parameters: Parameters | None = None


class _Inference(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: list[_Wanted] | None = None
    parameters: Parameters | None = None


_decoder = msgspec.json.Decoder(_Inference)


def _integers(datatype: str) -> Any:
    info = np.iinfo(_INTEGERS[datatype])
    return Annotated[int, msgspec.Meta(ge=int(info.min), le=int(info.max))]


_ELEMENTS: Mapping[str, Any] = {
    **dict.fromkeys(_FLOATS, float),
    **{name: _integers(name) for name in _INTEGERS},
    BYTES: str,
    BOOL: bool,
}
DATATYPES = tuple(_ELEMENTS)
"""What a tensor's elements may be."""


def _decoder_of(kind: Any) -> msgspec.json.Decoder[list[Any]]:
    return msgspec.json.Decoder(list[kind])


def _nested_decoder_of(kind: Any) -> msgspec.json.Decoder[list[list[Any]]]:
    return msgspec.json.Decoder(list[list[kind]])


_OPTIONAL = {name: kind | None for name, kind in _ELEMENTS.items()}
_FLAT = {name: _decoder_of(kind) for name, kind in _OPTIONAL.items()}
_NESTED = {name: _nested_decoder_of(kind) for name, kind in _OPTIONAL.items()}


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was understood; ``outputs`` are wanted, those in ``binary`` not as JSON."""

    batch: Batch
    outputs: tuple[OutputColumn, ...]
    binary: frozenset[str]


class TensorSchema:
    """A model's inputs and outputs as tensors."""

    def __init__(self, schema: RequestSchema, outputs: Sequence[OutputColumn]) -> None:
        self._schema = schema
        self._outputs = {one.name: one for one in outputs}

    def read(self, body: bytes, *, header: bytes | None, max_rows: int) -> Inference:
        """Return what a body asks for; ``header`` is Inference-Header-Content-Length.

        Raises Refusal, with 400 whatever is wrong, as the protocol has it.
        """
        text, binary = _split(body, header)
        try:
            sent = _decoder.decode(text)
        except msgspec.ValidationError as error:
            raise malformed(f"The request is not as the protocol wants it: {error}.") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise why_no_json(error) from error
        if sent.id is not None and len(sent.id) > MAX_ID:
            raise malformed(f"The id is longer than {MAX_ID} characters.")
        rows = self._check_inputs(sent.inputs, max_rows)
        columns, problems = self._read_columns(sent.inputs, binary)
        if problems:
            raise invalid(problems, status=400)
        batch = self._schema.batch(columns, rows, id_=sent.id)
        outputs = self._wanted(sent.outputs)
        return Inference(batch=batch, outputs=outputs, binary=_binary_outputs(sent, outputs))

    def _check_inputs(self, inputs: Sequence[_Tensor], max_rows: int) -> int:
        """Return the number of rows; refuse wrong names, datatypes and shapes."""
        given = {one.name: one for one in inputs}
        problems = [
            Problem(column=name, message=message)
            for name, message in self._schema.problems_of_names(given, what="input")
        ]
        if len(given) != len(inputs):
            twice = [name for name in given if sum(one.name == name for one in inputs) > 1]
            problems += [Problem(column=name, message="is given twice") for name in twice]
        rows = inputs[0].shape[0] if inputs and inputs[0].shape else 0
        for name, column in self._schema.inputs.items():
            if name in given:
                problems += self._check_tensor(given[name], column, rows)
        if problems:
            raise invalid(problems, status=400)
        check_rows(rows, max_rows, status=400)
        return rows

    def _check_tensor(self, tensor: _Tensor, column: InputColumn, rows: int) -> Iterator[Problem]:
        accepted = _ACCEPTED[column.type] if self._schema.typed else tuple(_ELEMENTS)
        if tensor.datatype not in accepted:
            message = f"must be of datatype {' or '.join(accepted[:3])}"
            yield Problem(column=column.name, message=message)
        if tensor.shape not in ([rows], [rows, 1]):
            message = f"must have the shape [{rows}] or [{rows}, 1]: every input is one column"
            yield Problem(column=column.name, message=message)

    def _read_columns(
        self, inputs: Sequence[_Tensor], binary: bytes
    ) -> tuple[dict[str, Any], list[Problem]]:
        columns: dict[str, Any] = {}
        problems: list[Problem] = []
        at = 0
        for tensor in inputs:
            size = tensor.binary_size
            if size is None:
                values = _from_json(tensor)
            else:
                values, at = _from_bytes(tensor, binary, at, size), at + size
            column = self._schema.inputs[tensor.name]
            columns[tensor.name] = values
            problems += self._problems(values, column)
        if at != len(binary):
            raise malformed(f"{len(binary) - at:,} bytes follow the JSON that belong to no input.")
        return columns, problems

    def _problems(self, values: Any, column: InputColumn) -> Iterator[Problem]:
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            yield from _problems_of_floats(values, column)
        elif self._schema.typed and not column.nullable and None in values:
            for row, value in enumerate(values):
                if value is None:
                    yield Problem(row=row, column=column.name, message="must not be null")

    def _wanted(self, wanted: Sequence[_Wanted] | None) -> tuple[OutputColumn, ...]:
        if not wanted:
            return tuple(self._outputs.values())
        problems = []
        for one in wanted:
            if one.name not in self._outputs:
                near = difflib.get_close_matches(one.name, self._outputs, n=1) or [*self._outputs]
                message = f"is no output of the model; it has {near[0]!r}"
                problems.append(Problem(column=one.name[:MAX_ID], message=message))
        if problems:
            raise invalid(problems, status=400)
        return tuple(self._outputs[name] for name in dict.fromkeys(one.name for one in wanted))


def _split(body: bytes, header: bytes | None) -> tuple[bytes, bytes]:
    if header is None:
        return body, b""
    if not header.isdigit() or len(header) > 18 or int(header) > len(body):
        raise malformed("Inference-Header-Content-Length must be the length of the body's JSON.")
    return body[: int(header)], body[int(header) :]


def _from_json(tensor: _Tensor) -> list[Any]:
    if not tensor.has_data:
        raise malformed(f"{tensor.name} has no data.")
    try:
        values: list[Any] = _FLAT[tensor.datatype].decode(tensor.data)
    except msgspec.ValidationError as error:
        values = _from_nested(tensor, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise why_no_json(error) from error
    if len(values) != tensor.shape[0]:
        message = f"has {len(values):,} values for the shape {tensor.shape}"
        raise invalid([Problem(column=tensor.name, message=message)], status=400)
    return values


def _from_nested(tensor: _Tensor, flat: msgspec.ValidationError) -> list[Any]:
    """Read ``[[1], [2]]``, which is the data of a shape ``[2, 1]`` as well."""
    try:
        rows = _NESTED[tensor.datatype].decode(tensor.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _first_problem(tensor, flat) from flat
    if len(tensor.shape) != 2 or any(len(row) != 1 for row in rows):
        message = f"has nested values, which the shape {tensor.shape} does not allow"
        raise invalid([Problem(column=tensor.name, message=message)], status=400)
    return [row[0] for row in rows]


def _first_problem(tensor: _Tensor, error: msgspec.ValidationError) -> Refusal:
    """Say which values are not of the tensor's datatype."""
    try:
        data = msgspec.json.decode(tensor.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        return why_no_json(broken)
    if not isinstance(data, list):
        message = f"data must be a list, not {name_type(data)}"
        return invalid([Problem(column=tensor.name, message=message)], status=400)
    kind = _ELEMENTS[tensor.datatype] | None
    problems = [
        Problem(
            row=row,
            column=tensor.name,
            message=f"{name_type(value)} is no {tensor.datatype}",
        )
        for row, value in enumerate(data)
        if not _fits(value, kind)
    ]
    return invalid(problems or [Problem(column=tensor.name, message=str(error))], status=400)


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _from_bytes(tensor: _Tensor, binary: bytes, at: int, size: int) -> Any:
    count, data = tensor.shape[0], memoryview(binary)[at : at + size]
    if tensor.has_data or len(data) != size:
        raise malformed(
            f"{tensor.name} must have either data, or binary_data_size bytes behind the JSON."
        )
    if tensor.datatype == BYTES:
        return list(_texts(tensor.name, data, count))
    dtype = _BOOL if tensor.datatype == BOOL else _DTYPES[tensor.datatype]
    if size != count * dtype.itemsize:
        wanted = count * dtype.itemsize
        message = f"has {size:,} bytes; {count:,} of {tensor.datatype} take {wanted:,}"
        raise invalid([Problem(column=tensor.name, message=message)], status=400)
    # Any byte but 0 is true: read as numbers first, for numpy trusts that there is only 0 and 1.
    if tensor.datatype == BOOL:
        return np.frombuffer(data, dtype=np.uint8) != 0
    values = np.frombuffer(data, dtype=dtype)
    return values.astype(np.float64 if tensor.datatype in _FLOATS else np.int64)


def _texts(name: str, data: memoryview, count: int) -> Iterator[str]:
    at = 0
    try:
        for _ in range(count):
            (length,) = struct.unpack_from("<I", data, at)
            (text,) = struct.unpack_from(f"{length}s", data, at + 4)
            at += 4 + length
            yield text.decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise malformed(f"{name} does not hold {count:,} texts in UTF-8.") from error
    if at != len(data):
        raise malformed(f"{name} holds {len(data) - at:,} bytes too many.")


def _problems_of_floats(
    values: npt.NDArray[np.floating[Any]], column: InputColumn
) -> Iterator[Problem]:
    """A NaN stands for a missing value; an infinite one is none that a model could have seen."""
    for row in np.flatnonzero(np.isinf(values)):
        yield Problem(row=int(row), column=column.name, message="must be a finite number")
    if not column.nullable:
        for row in np.flatnonzero(np.isnan(values)):
            yield Problem(row=int(row), column=column.name, message="must not be NaN")


def _binary_outputs(sent: _Inference, outputs: Sequence[OutputColumn]) -> frozenset[str]:
    usual = sent.parameters.binary_data_output if sent.parameters else None
    own = {
        one.name: one.parameters.binary_data
        for one in sent.outputs or ()
        if one.parameters and one.parameters.binary_data is not None
    }
    return frozenset(one.name for one in outputs if own.get(one.name, usual))


def metadata(columns: Sequence[InputColumn | OutputColumn]) -> list[dict[str, Any]]:
    """Return inputs or outputs as the protocol describes tensors."""
    found = []
    for one in columns:
        classes = one.classes if isinstance(one, OutputColumn) else ()
        shape = [-1, len(classes)] if classes else [-1]
        tensor = {"name": one.name, "datatype": _DATATYPE[one.type], "shape": shape}
        found.append({**tensor, "parameters": {"classes": list(classes)}} if classes else tensor)
    return found


def write(
    inference: Inference, answers: Answers, *, model: str, version: str, request_id: str
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the length of its JSON where bytes follow it."""
    outputs, tail = [], []
    for one in inference.outputs:
        array = answers[one.name]
        tensor = {"name": one.name, "datatype": _DATATYPE[one.type], "shape": list(array.shape)}
        if one.name in inference.binary:
            data = _to_bytes(array, one.type)
            tail.append(data)
            outputs.append({**tensor, "parameters": {"binary_data_size": len(data)}})
        else:
            outputs.append({**tensor, "data": array.ravel().tolist()})
    content: dict[str, Any] = {
        "model_name": model,
        "model_version": version,
        "id": request_id,
        "outputs": outputs,
    }
    if inference.batch.warnings:
        content["parameters"] = {"warnings": inference.batch.warnings}
    text = msgspec.json.encode(content)
    return (b"".join([text, *tail]), len(text)) if tail else (text, None)


def _to_bytes(array: npt.NDArray[Any], kind: ValueType) -> bytes:
    if kind is ValueType.STRING:
        texts = [str(one).encode() for one in array.ravel().tolist()]
        return b"".join(struct.pack("<I", len(one)) + one for one in texts)
    dtype = _BOOL if kind is ValueType.BOOLEAN else _DTYPES[_DATATYPE[kind]]
    return array.astype(dtype).tobytes()
