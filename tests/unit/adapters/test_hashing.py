"""Hashing a large file: the hashes, and how far it is meanwhile."""

import hashlib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelci.adapters import trace
from modelci.adapters.dvc.hashing import LEGACY, MD5, Hashes, hash_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelci.ports import Advance

_MIB = 1 << 20
_DATA = b"\0\r\n" * (2 * _MIB)


@pytest.mark.parametrize("name", [MD5, LEGACY])
def test_who_watches_sees_how_far_the_hash_of_a_large_file_is(name: str, tmp_path: Path) -> None:
    seen: list[float] = []

    @contextmanager
    def watch(text: str, total: float | None, unit: str) -> "Iterator[Advance]":
        assert (text, total, unit) == ("hash model.bin", len(_DATA), "bytes")
        yield lambda done, _=None, /: seen.append(done)

    file = tmp_path / "model.bin"
    file.write_bytes(_DATA)
    stop = trace.watch(watch)
    found = hash_file(file, name)
    stop()
    md5 = hashlib.md5(_DATA, usedforsecurity=False).hexdigest()
    assert found == Hashes(md5, hashlib.sha256(_DATA).hexdigest(), len(_DATA))
    assert seen == [number * _MIB for number in range(1, 7)]


def test_of_an_unknown_algorithm_there_is_sha256_alone(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(_DATA)
    assert hash_file(file, "blake3") == Hashes(None, hashlib.sha256(_DATA).hexdigest(), len(_DATA))
