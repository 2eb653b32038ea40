from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from modelci.domain.modelsignatures import (
    BytesSignature,
    as_finding,
    hold_against,
    judge_claims,
    name_files,
    place,
)
from modelci.domain.provenance import CheckState, FileBytes
from modelci.domain.signatures import Standing

TAG = "credit@v1.2.0"
ONE, OTHER = "1" * 64, "2" * 64
FILES = {"credit.skops": ONE}
GOOD = BytesSignature(
    standing=Standing.GOOD, method="key", signers=("anna",), subject=TAG, files=FILES
)


def standing(
    *signatures: BytesSignature,
    tag: str = TAG,
    signers: Mapping[str, Sequence[str]] | None = None,
    files: Mapping[str, str] = FILES,
) -> Standing:
    judged = judge_claims(signatures, tag=tag, signers=signers or {})
    return hold_against(judged, files).standing


def test_a_signature_of_these_bytes_by_somebody_trusted_is_good() -> None:
    assert standing(GOOD) is Standing.GOOD
    assert standing(GOOD, signers={"credit": ("anna",)}) is Standing.GOOD
    assert standing(GOOD, signers={"fraud-*": ("ben",)}) is Standing.GOOD  # of others' artifacts


def test_nothing_signed_is_unsigned() -> None:
    assert standing() is Standing.UNSIGNED


@pytest.mark.parametrize("tag", ["credit@v1.2.1", "fraud@v1.2.0", "eu=credit@v1.2.0"])
def test_a_signature_copied_from_another_version_or_artifact_counts_nothing(tag: str) -> None:
    (judged,) = judge_claims([GOOD], tag=tag, signers={})
    assert (judged.standing, judged.reason) == (Standing.MISNAMED, f"it is of {TAG}")


def test_who_may_sign_depends_on_the_artifact() -> None:
    assert standing(GOOD, signers={"credit": ("ben",)}) is Standing.NOT_ALLOWED
    assert standing(GOOD, signers={"credit": ("ben",), "cr*": ("anna",)}) is Standing.GOOD
    both = replace(GOOD, signers=("anna", "ben"))
    assert standing(both, signers={"credit": ("ben",)}) is Standing.GOOD
    folder = replace(GOOD, subject="eu=credit@v1.2.0")
    signers = {"eu:credit": ("ben",)}
    assert standing(folder, tag="eu=credit@v1.2.0", signers=signers) is Standing.NOT_ALLOWED


@pytest.mark.parametrize(
    "files",
    [{"credit.skops": OTHER}, {**FILES, "more.bin": OTHER}, {}, {"other.skops": ONE}],
)
def test_of_other_bytes_it_is_bad(files: dict[str, str]) -> None:
    judged = judge_claims([GOOD], tag=TAG, signers={})
    found = hold_against(judged, files)
    assert found.standing is Standing.BAD
    assert "other bytes were signed" in (found.reason or "")


def test_one_good_signature_is_enough_whatever_else_lies_there() -> None:
    others = [
        replace(GOOD, standing=Standing.UNKNOWN),
        replace(GOOD, subject="fraud@v1.0.0"),
        replace(GOOD, files={"credit.skops": OTHER}),
        replace(GOOD, standing=Standing.BAD),
    ]
    assert standing(*others) is Standing.BAD
    assert standing(*others, GOOD) is Standing.GOOD


def test_what_is_not_good_keeps_its_standing_whatever_it_says() -> None:
    for wrong in (Standing.UNKNOWN, Standing.BAD):
        assert standing(replace(GOOD, standing=wrong)) is wrong


@pytest.mark.parametrize(
    ("found", "required", "state"),
    [
        (Standing.GOOD, True, CheckState.OK),
        (Standing.UNSIGNED, False, CheckState.UNCHECKED),
        (Standing.UNSIGNED, True, CheckState.FAILED),
        (Standing.NOT_ALLOWED, False, CheckState.UNCHECKED),
        (Standing.NOT_ALLOWED, True, CheckState.FAILED),
        (Standing.BAD, False, CheckState.FAILED),
    ],
)
def test_what_is_not_required_may_be_missing_but_not_contradict(
    found: Standing, required: bool, state: CheckState
) -> None:
    assert as_finding(replace(GOOD, standing=found), is_required=required).state is state


def file(path: str, digest: str | None = ONE, found: str | None = "m") -> FileBytes:
    return FileBytes(path=path, recorded="m", found=found, sha256=digest)


def test_files_are_named_from_the_folder_that_the_model_lies_in() -> None:
    assert name_files([file("models/credit.skops")], "models/credit.skops") == FILES
    assert name_files([file("credit.skops")], "credit.skops") == FILES
    folder = [file("models/bert/b/c.bin", OTHER), file("models/bert/a.json")]
    assert list(name_files(folder, "models/bert").items()) == [
        ("bert/a.json", ONE),
        ("bert/b/c.bin", OTHER),
    ]


@pytest.mark.parametrize("one", [file("m", None), file("m", found="x"), file("m", found=None)])
def test_bytes_that_are_not_known_to_be_right_are_not_named(one: FileBytes) -> None:
    with pytest.raises(ValueError, match=r"\bm\b"):
        name_files([one], "m")


def test_each_version_has_a_place_of_its_own() -> None:
    assert place(TAG) == "refs/modelci/signatures/credit@v1.2.0/"
