import pytest

from modelci.domain.signatures import Signature, Standing, TagSignature, Verification, judge

ANNA, KEY = "anna@example.com", "SHA256:abc"


def good(ref: str = "refs/tags/m@v1.0.0", tag: str | None = None) -> Signature:
    return Signature(
        ref=ref,
        tag=tag or ref.partition("/tags/")[2],
        kind="ssh",
        standing=Standing.GOOD,
        signer=ANNA,
        key=KEY,
    )


def standing(signature: Signature, signers: dict[str, tuple[str, ...]]) -> Standing:
    (one,) = judge([signature], signers)
    return one.standing


@pytest.mark.parametrize(
    ("signers", "expected"),
    [
        ({}, Standing.GOOD),
        ({"m": (ANNA,)}, Standing.GOOD),
        ({"m": (KEY,)}, Standing.GOOD),
        ({"other": ("ben@example.com",)}, Standing.GOOD),
        ({"m": ("ben@example.com",)}, Standing.NOT_ALLOWED),
        ({"m": ()}, Standing.NOT_ALLOWED),
        ({"*": ("ben@example.com",)}, Standing.NOT_ALLOWED),
        ({"*": ("ben@example.com",), "m": (ANNA,)}, Standing.GOOD),
        ({"m": ("ANNA@example.com",)}, Standing.NOT_ALLOWED),
    ],
)
def test_who_may_sign_which_artifact(
    signers: dict[str, tuple[str, ...]], expected: Standing
) -> None:
    assert standing(good(), signers) is expected


def test_a_folders_artifact_is_named_as_commands_name_it() -> None:
    (one,) = judge([good("refs/tags/models=m@v1.0.0")], {"models:*": (KEY,), "m": ()})
    assert (one.artifact, one.standing) == ("models:m", Standing.GOOD)


def test_a_good_signature_under_another_name_is_misnamed_on_a_remote_too() -> None:
    copied = good("refs/modelci/tags/m#prod#9", tag="m#prod#1")
    (one,) = judge([copied], {"m": (ANNA,)})
    assert (one.tag, one.standing, one.reason) == (
        "m#prod#9",
        Standing.MISNAMED,
        "the object says m#prod#1",
    )


def test_what_is_wrong_stays_wrong_whoever_may_sign() -> None:
    bad = Signature(ref="refs/tags/m#prod#1", tag="m#prod#1", standing=Standing.BAD, signer=ANNA)
    assert standing(bad, {"m": (ANNA,)}) is Standing.BAD
    assert standing(Signature(ref="refs/tags/m#prod#1", tag=None), {}) is Standing.UNSIGNED


@pytest.mark.parametrize(
    ("required", "standings", "ok"),
    [
        (True, ["good"], True),
        (True, ["good", "unsigned"], False),
        (False, ["unsigned"], True),
        (True, [], True),
    ],
)
def test_a_verification_is_ok_where_all_are_good_or_none_has_to_be(
    required: bool, standings: list[str], ok: bool
) -> None:
    tags = tuple(TagSignature(tag="t", artifact="m", standing=Standing(one)) for one in standings)
    assert Verification(required=required, tags=tags).ok is ok
