"""numpy's own files: ``.npy`` and ``.npz``, and whether pickles lie in them."""

import ast
import io
import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib.format import descr_to_dtype

from modelci.domain.modelfiles import Danger
from modelci.modelfiles import pickles
from modelci.modelfiles.archives import read_members
from modelci.modelfiles.findings import Examined, RefusedError
from modelci.modelfiles.formats import ARRAY

_MAX_HEADER = 10_000  # as numpy's: a larger literal may crash the parser


@dataclass(frozen=True, slots=True)
class Header:
    """What a ``.npy`` file says of itself; its data begin at byte ``start``."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int


def read_header(data: bytes, name: str) -> Header:
    """Read and check a header: the file must hold as many bytes as it says.

    Raises RefusedError.
    """
    try:
        header, start = _literal(data)
        dtype = descr_to_dtype(header["descr"])
        shape = tuple(int(one) for one in header["shape"])
    except (ValueError, TypeError, KeyError, SyntaxError, RecursionError, MemoryError) as error:
        raise RefusedError(Danger.MALFORMED, name, f"no array of numpy's: {error}") from error
    size = math.prod((*shape, dtype.itemsize))
    if min(shape, default=0) < 0 or (not dtype.hasobject and size != len(data) - start):
        raise RefusedError(
            Danger.MALFORMED, name, f"{size:,} bytes of an array, {len(data) - start:,} are there"
        )
    return Header(dtype=dtype, shape=shape, start=start)


def _literal(data: bytes) -> tuple[dict[str, Any], int]:
    if not data.startswith(ARRAY):
        raise ValueError("it does not begin as one")
    width = 2 if data[6] == 1 else 4
    start = 8 + width + int.from_bytes(data[8 : 8 + width], "little")
    text = data[8 + width : start]
    if len(text) > _MAX_HEADER or start > len(data):
        raise ValueError("its header has a wrong length")
    header = ast.literal_eval(text.decode("utf-8" if data[6] >= 3 else "latin1").strip())
    if not isinstance(header, dict):
        raise TypeError("its header is none")
    return header, start


def examine_array(
    data: bytes, allowed: Container[str], found: Examined, *, name: str = "array"
) -> bool:
    """Examine a ``.npy`` file; returns whether a pickle lies in it."""
    header = read_header(data, name)
    if not header.dtype.hasobject:
        return False
    found.take(pickles.examine(data, allowed, start=header.start))
    return True


def examine_arrays(
    data: bytes, allowed: Container[str], found: Examined, *, max_bytes: int
) -> bool:
    """Examine a ``.npz`` file; returns whether pickles lie in it."""
    with ZipFile(io.BytesIO(data)) as archive:
        members = read_members(archive, max_bytes=max_bytes)
    has_pickles = False
    for name, member in members.items():
        has_pickles |= examine_array(member, allowed, found, name=name)
    return has_pickles
