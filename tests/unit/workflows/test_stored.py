"""Whether the bytes are kept is asked before anything is tagged."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.fakes.pipeline import FakePipeline

from modelci.domain.allowance import Liftable
from modelci.domain.changes import DataKind, TrackedFile
from modelci.errors import PipelineError
from modelci.workflows.stored import Search, look_for_bytes

FILES = {
    f"a{number}": TrackedFile(path=f"m{number}", kind=DataKind.MODEL, hash=f"h{number}")
    for number in range(5)
}


def search(pipeline: FakePipeline | None, *, is_required: bool = False) -> Search:
    return look_for_bytes(FILES, (lambda: pipeline) if pipeline else None, is_required=is_required)


def lacking(*hashes: str) -> Search:
    return search(FakePipeline(lacks=frozenset(hashes)))


def test_bytes_that_are_there_need_no_word() -> None:
    assert search(FakePipeline()) == search(None) == Search()


def test_missing_bytes_are_named_by_hash_with_what_pushes_them() -> None:
    found = lacking(*(f"h{number}" for number in range(5)))
    first = found.objections[0]
    assert "lacks m0 (md5 h0), m1 (md5 h1), m2 (md5 h2) and 2 more" in first.message
    assert "`dvc push m0`" in (first.hint or "")
    assert "is it mounted?" in (first.hint or "")
    (note,) = found.notes
    assert "lacks m0" in note


def test_each_artifact_whose_bytes_are_missing_is_objected_to_and_no_other() -> None:
    found = lacking("h1", "h3")
    assert [(one.artifact, one.rule) for one in found.objections] == [
        ("a1", Liftable.STORED_BYTES),
        ("a3", Liftable.STORED_BYTES),
    ]
    assert found.objections[0].message == found.objections[1].message
    assert "`dvc push m1`" in (found.objections[0].hint or "")
    assert "mounted" not in (found.objections[0].hint or "")


def test_a_file_missing_from_a_folder_is_missing_of_its_artifact() -> None:
    class Holed(FakePipeline):
        def missing(self, files: Sequence[TrackedFile]) -> tuple[TrackedFile, ...]:
            (folder,) = (one for one in files if one.path == "m2")
            return (replace(folder, path="m2/part", hash="x"),)

    found = search(Holed())
    assert [one.artifact for one in found.objections] == ["a2"]
    assert "lacks m2/part (md5 x)" in found.objections[0].message


@pytest.mark.parametrize(
    ("pipeline", "why"),
    [
        (FakePipeline(remote=None), "No DVC remote is set"),
        (FakePipeline(push_error=PipelineError("no credentials.")), "could not be asked"),
    ],
)
def test_what_cannot_be_looked_for_is_a_note_unless_it_is_required(
    pipeline: FakePipeline, why: str
) -> None:
    found = search(pipeline)
    (note,) = found.notes
    assert why in note
    assert found.objections == ()
    strict = search(pipeline, is_required=True)
    assert strict.notes == (note,)
    assert [one.artifact for one in strict.objections] == list(FILES)
    assert why in strict.objections[0].message
    assert "promote.require_remote" in (strict.objections[0].hint or "")


def test_nothing_is_asked_for_what_git_holds() -> None:
    def fail() -> FakePipeline:
        raise AssertionError

    file = TrackedFile(path="m", kind=DataKind.MODEL, hash="h", in_git=True)
    assert look_for_bytes({"m": file}, fail, is_required=True) == Search()
