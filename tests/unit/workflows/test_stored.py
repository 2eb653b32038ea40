"""Whether the bytes are kept is asked before anything is tagged."""

import pytest
from tests.fakes.pipeline import FakePipeline

from modelci.domain.changes import DataKind, TrackedFile
from modelci.errors import PipelineError, PromotionError
from modelci.workflows.stored import require_bytes

FILES = [
    TrackedFile(path=f"m{number}", kind=DataKind.MODEL, hash=f"h{number}") for number in range(5)
]


def check(
    pipeline: FakePipeline | None, *, is_required: bool = False, allowed: str | None = None
) -> tuple[str, ...]:
    return require_bytes(
        FILES,
        (lambda: pipeline) if pipeline else None,
        is_required=is_required,
        allowed=allowed,
    )


def test_bytes_that_are_there_need_no_word() -> None:
    assert check(FakePipeline()) == check(None) == ()


def test_missing_bytes_are_named_by_hash_with_what_pushes_them() -> None:
    lacking = FakePipeline(lacks=frozenset(f"h{number}" for number in range(5)))
    with pytest.raises(PromotionError) as raised:
        check(lacking)
    assert "lacks m0 (md5 h0), m1 (md5 h1), m2 (md5 h2) and 2 more" in str(raised.value)
    assert "`dvc push m0`" in (raised.value.hint or "")
    assert "is it mounted?" in (raised.value.hint or "")
    with pytest.raises(PromotionError) as raised:
        check(FakePipeline(lacks=frozenset({"h1"})))
    assert "mounted" not in (raised.value.hint or "")
    (note,) = check(lacking, allowed="the remote moves house")
    assert "lacks m0" in note


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
    (note,) = check(pipeline)
    assert why in note
    with pytest.raises(PromotionError, match=why) as raised:
        check(pipeline, is_required=True)
    assert "promote.require_remote" in (raised.value.hint or "")
    assert check(pipeline, is_required=True, allowed="x") == (note,)


def test_nothing_is_asked_for_what_git_holds() -> None:
    def fail() -> FakePipeline:
        raise AssertionError

    file = TrackedFile(path="m", kind=DataKind.MODEL, hash="h", in_git=True)
    assert require_bytes([file], fail, is_required=True, allowed=None) == ()
