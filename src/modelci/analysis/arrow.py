"""Columns of Arrow's batches as numpy arrays and counts, by what kind of values they hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelci.errors import ConfigError

try:
    import pyarrow as pa
    import pyarrow.compute as pc
except ImportError as error:
    raise ConfigError(
        "Profiles and monitoring read data with pyarrow, which is not installed.",
        hint="Run `pip install 'modelci[monitor]'`.",
    ) from error

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Family(StrEnum):
    """What a column's Arrow type can hold; ``nested`` is lists, structs and what is unknown."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"
    TEXT = "text"
    NESTED = "nested"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Finite numbers (n,), and how many others there were."""

    finite: Floats
    missing: int
    infinite: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Different values with their counts; ``counts`` is None where they are more than wanted."""

    counts: Mapping[str, int] | None
    distinct: int
    missing: int


def family_of(type_: pa.DataType) -> Family:
    """Return what a column of an Arrow type holds."""
    if pa.types.is_dictionary(type_):
        return family_of(type_.value_type)
    return next((family for is_of, family in _FAMILIES if is_of(type_)), Family.NESTED)


def name_of(type_: pa.DataType) -> str:
    """Return Arrow's name of a type; of texts, however they are kept, ``string``."""
    if pa.types.is_dictionary(type_):
        return name_of(type_.value_type)
    if family_of(type_) is Family.TEXT:
        return "binary" if "binary" in str(type_) else "string"
    return str(type_)


def numbers(array: pa.Array) -> Numbers:
    """Return the numbers of an array; times of day and durations are seconds."""
    array = _plain(array)
    if pa.types.is_time(array.type) or pa.types.is_duration(array.type):
        return _sorted_out(_whole(array), array.null_count, _unit(array.type))
    values = _viewed(array.drop_null().cast(pa.float64(), safe=False))
    return _sorted_out(values, array.null_count, 1.0)


def times(array: pa.Array) -> Numbers:
    """Return seconds since 1970 in UTC; a time without a zone is taken as UTC."""
    array = _plain(array)
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    return _sorted_out(_whole(array), array.null_count, _unit(array.type))


def booleans(array: pa.Array) -> tuple[int, int, int]:
    """Return how many are false, true and missing."""
    array = _plain(array)
    true = pc.sum(array).as_py() or 0
    return len(array) - array.null_count - true, true, array.null_count


def texts(array: pa.Array, *, most: int) -> Texts:
    """Return an array's values as texts with their counts, if at most ``most`` are different."""
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    codes = _viewed(encoded.indices.drop_null())
    missing = len(array) - len(codes)
    counts = np.bincount(codes, minlength=len(encoded.dictionary))
    seen = np.flatnonzero(counts)
    if len(seen) > most:
        return Texts(counts=None, distinct=len(seen), missing=missing)
    found: dict[str, int] = {}
    values = encoded.dictionary.take(_integers(seen)).to_pylist()
    for value, count in zip(values, counts[seen].tolist(), strict=True):
        if value is None or value != value:  # noqa: PLR0124 - NaN
            missing += count
        else:
            text = as_text(value)
            found[text] = found.get(text, 0) + count
    return Texts(counts=found, distinct=len(found), missing=missing)


def as_text(value: object) -> str:
    """Return a value as text: 7.0 is 7, for a text file has no types."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def parse_numbers(values: list[str]) -> Floats:
    """Return the numbers that texts are (n,); NaN for those that are none."""
    return np.fromiter(map(_number, values), np.float64, len(values))


def parse_times(values: list[str]) -> Floats:
    """Return the seconds since 1970, in UTC, that ISO 8601 texts are (n,), else NaN."""
    return np.fromiter(map(_seconds, values), np.float64, len(values))


def hashes(array: pa.Array) -> NDArray[np.uint64]:
    """Return a hash of each value that is not missing, equal for a number and its text."""
    array = _plain(array).drop_null()
    kind = family_of(array.type)
    if kind is Family.NESTED:
        array = pa.array([str(one) for one in array.to_pylist()], pa.string())
    elif kind is Family.DATETIME:
        array = _counted(array).cast(pa.string())
    elif kind is not Family.TEXT:
        array = array.cast(pa.string())
    import pandas as pd  # noqa: PLC0415 - it takes a second, which not every window needs

    values = array.to_numpy(zero_copy_only=False)
    return np.asarray(pd.util.hash_array(values, categorize=False))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return np.nan


def _seconds(text: str) -> float:
    import pandas as pd  # noqa: PLC0415 - as above

    try:
        time = pd.Timestamp(text)
        return float((time.tz_localize("UTC") if time.tz is None else time).timestamp())
    except (ValueError, OverflowError):
        return np.nan


def plain_of(array: pa.Array) -> pa.Array:
    """Return an array as one of the types that all of Arrow's functions know."""
    if isinstance(array, pa.ExtensionArray):  # such as UUIDs
        array = array.storage
    if pa.types.is_run_end_encoded(array.type):
        array = pc.run_end_decode(array)
    for is_view, type_ in _VIEWS:
        if is_view(array.type):
            array = array.cast(type_)
    return array


def _plain(array: pa.Array) -> pa.Array:
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _whole(array: pa.Array) -> Floats:
    """Return the integers behind times that are not null, as floats."""
    return np.asarray(_viewed(_counted(array.drop_null())), dtype=np.float64)


def _counted(array: pa.Array) -> pa.Array:
    """Return times as the integers that they are kept as."""
    return array.view(pa.int32() if array.type.bit_width == 32 else pa.int64())


def _unit(type_: pa.DataType) -> float:
    return {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[type_.unit]


def _viewed(array: pa.Array) -> NDArray[Any]:
    """Return numbers without gaps as they lie in memory; ``to_numpy`` would load pandas."""
    found: NDArray[Any] = np.from_dlpack(array)
    return found


def _integers(values: Ints) -> pa.Array:
    """Return integers as an array; ``pa.array`` would load pandas, which takes a second."""
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _sorted_out(values: Floats, missing: int, unit: float) -> Numbers:
    if unit != 1.0:
        values = values / unit
    with np.errstate(invalid="ignore", over="ignore"):
        is_clean = np.isfinite(values.sum())
    if is_clean:  # one pass instead of three, where nothing is to be sorted out
        return Numbers(finite=values, missing=missing, infinite=0)
    gaps = int(np.count_nonzero(np.isnan(values)))
    finite = values[np.isfinite(values)]
    return Numbers(finite=finite, missing=missing + gaps, infinite=len(values) - gaps - len(finite))


_FAMILIES = (
    (pa.types.is_null, Family.EMPTY),
    (pa.types.is_boolean, Family.BOOLEAN),
    (pa.types.is_integer, Family.NUMBER),
    (pa.types.is_floating, Family.NUMBER),
    (pa.types.is_decimal, Family.NUMBER),
    (pa.types.is_time, Family.NUMBER),
    (pa.types.is_duration, Family.NUMBER),
    (pa.types.is_timestamp, Family.DATETIME),
    (pa.types.is_date, Family.DATETIME),
    (pa.types.is_string, Family.TEXT),
    (pa.types.is_large_string, Family.TEXT),
    (pa.types.is_binary, Family.TEXT),
    (pa.types.is_large_binary, Family.TEXT),
    (pa.types.is_fixed_size_binary, Family.TEXT),
)
_VIEWS = (
    (pa.types.is_string_view, pa.large_string()),
    (pa.types.is_binary_view, pa.large_binary()),
)
