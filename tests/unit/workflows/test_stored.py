"""Whether the bytes are kept is asked before anything is tagged."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest
from tests.fakes.pipeline import FakePipeline
from tests.fakes.storedbytes import FakeStored, right
from tests.fakes.trees import MemoryTree

from modelci.domain.allowance import Liftable
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.holds import trailers
from modelci.domain.promotion import PlannedTag, Promotion
from modelci.domain.provenance import FileBytes
from modelci.domain.snapshot import Snapshot
from modelci.errors import PipelineError, PromotionError
from modelci.workflows.stored import Seal, Search, look_for_bytes

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


# -- what the bytes hash to ----------------------------------------------------------------------

HASH = "h0"
RIGHT = right("m0", HASH)
WRONG = replace(RIGHT, found="other", source="store: s3://models")
AWAY = PipelineError("The remote denies access.", hint="Set the key.")
PLANNED = Promotion(
    commit="c",
    tags=tuple(
        PlannedTag(
            name=name,
            artifact="m",
            commit="c",
            seconds=1,
            subject="x",
            trailers=(
                ("Modelci-Path", "m0"),
                ("Modelci-Hash", f"md5:{HASH}"),
                ("Modelci-Verdict", "passed"),
            ),
        )
        for name in ("m@v1.0.0", "m#prod#1")
    ),
)


def seal(stored: FakeStored | None) -> Seal:
    snapshot = Snapshot(tracked={"m0": FILES["a0"]})
    return Seal(MemoryTree({}), snapshot, (lambda: stored) if stored is not None else None)


def test_the_tags_keep_the_sha256_beside_dvcs_hash() -> None:
    stored = FakeStored(cached=(RIGHT,))
    sealed = seal(stored).put(PLANNED)
    for tag in sealed.tags:
        keys = [key for key, _ in tag.trailers]
        assert keys == ["Modelci-Path", "Modelci-Hash", "Modelci-Sha256", "Modelci-Verdict"]
        assert dict(tag.trailers)["Modelci-Sha256"] == sha256(b"model").hexdigest()
        assert trailers(tag.message)["Modelci-Sha256"] == sha256(b"model").hexdigest()
    assert stored.asked == ["cache"]
    assert sealed.notes == ()


def test_the_bytes_are_read_once_however_often_is_planned() -> None:
    stored = FakeStored(kept=(RIGHT,))
    sealing = seal(stored)
    assert sealing.put(PLANNED) == sealing.put(PLANNED)
    assert stored.asked == ["cache", "remote"]


@pytest.mark.parametrize("cached", [(), (WRONG,)])
def test_the_remote_is_asked_where_the_cache_has_not_the_right_bytes(
    cached: tuple[FileBytes, ...],
) -> None:
    sealed = seal(FakeStored(cached=cached, kept=(RIGHT,))).put(PLANNED)
    assert dict(sealed.tags[0].trailers)["Modelci-Sha256"] == RIGHT.sha256


@pytest.mark.parametrize(
    "stored",
    [
        FakeStored(cached=(WRONG,), kept=AWAY),
        FakeStored(cached=(WRONG,)),
        FakeStored(kept=(WRONG,)),
    ],
)
def test_bytes_that_are_not_those_of_the_lock_are_refused_whatever_is_allowed(
    stored: FakeStored,
) -> None:
    with pytest.raises(PromotionError, match="md5 other, not h0") as raised:
        seal(stored).put(replace(PLANNED, allowed="The wolf is coming."))
    assert "at store: s3://models" in str(raised.value)
    assert "Nothing lifts this" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("stored", "why"),
    [(FakeStored(kept=AWAY), " (The remote denies access)"), (FakeStored(), "")],
)
def test_where_nobody_has_the_bytes_the_tag_goes_without_and_a_note_says_so(
    stored: FakeStored, why: str
) -> None:
    sealed = seal(stored).put(PLANNED)
    assert sealed.tags == PLANNED.tags
    (note,) = sealed.notes
    assert note.startswith("The bytes of m0 are neither in the cache nor to be had from the DVC")
    assert note.endswith(f"remote{why}: its tag has no sha256.")


def test_nothing_is_read_where_nothing_is_to_be_tagged() -> None:
    stored = FakeStored(cached=(RIGHT,))
    nothing = replace(PLANNED, tags=())
    assert seal(stored).put(nothing) == nothing
    assert stored.asked == []
    assert seal(None).put(PLANNED) == PLANNED
