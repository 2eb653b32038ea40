from dataclasses import replace

from modelci.domain.allowance import Liftable
from modelci.domain.promotion import PlannedTag
from modelci.domain.rollback import RegistryChange
from modelci.domain.signatures import Standing, TagSignature, Verification
from modelci.render.changes import render_change
from modelci.render.signatures import render_verification

TAG = PlannedTag(
    name="m#prod#4", artifact="m", commit="b" * 40, seconds=1, subject="Roll prod of m back"
)
CHANGE = RegistryChange(
    action="rollback",
    artifact="m",
    reason="recall fell",
    by="Ben",
    stage="prod",
    before="v1.2.0",
    after="v1.1.0",
    tags=(TAG,),
    remote="origin",
    done=True,
    notes=("A note.",),
)
ESCAPE = "\x1b]0;owned\x07"


def test_a_change_says_what_moved_who_why_and_what_follows() -> None:
    assert render_change(CHANGE).splitlines() == [
        "Roll prod of m back.",
        "  m#prod#4 created on origin, at bbbbbbb",
        "  by Ben: recall fell",
        "  prod: v1.2.0 → v1.1.0",
        "! A note.",
    ]


def test_a_change_says_which_rules_were_lifted_and_why() -> None:
    allowed = replace(CHANGE, allowed="prod is down", allowed_rules=(Liftable.SIGNATURE,))
    assert "! Rules are lifted (signature): prod is down" in render_change(allowed).splitlines()
    assert "No rule had to be lifted" in render_change(replace(allowed, allowed_rules=()))


def test_without_a_tag_there_was_nothing_to_do() -> None:
    nothing = RegistryChange(action="rollback", artifact="m", reason="", by="", notes=("Is so.",))
    assert render_change(nothing) == "Nothing to do.\n! Is so.\n"


def test_a_stage_that_is_emptied_goes_to_nothing() -> None:
    emptied = RegistryChange(
        action="unassign", artifact="m", reason="x", by="y", stage="prod", before="v1", tags=(TAG,)
    )
    text = render_change(emptied)
    assert "  prod: v1 → nothing" in text
    assert "m#prod#4 to create, at bbbbbbb" in text


def test_nothing_from_a_tag_reaches_the_terminal_raw() -> None:
    hostile = RegistryChange(
        action="rollback", artifact="m", reason=ESCAPE, by=ESCAPE, tags=(TAG,), notes=(ESCAPE,)
    )
    assert "\x1b" not in render_change(hostile)
    signed = TagSignature(
        tag="m@v1.0.0", artifact="m", standing=Standing.BAD, signer=ESCAPE, reason=ESCAPE
    )
    assert "\x1b" not in render_verification(Verification(required=True, tags=(signed,)))


def test_a_verification_says_how_many_are_no_good_and_whether_that_counts() -> None:
    good = TagSignature(tag="m@v1.0.0", artifact="m", standing=Standing.GOOD, signer="anna@x")
    bad = TagSignature(tag="m@v1.1.0", artifact="m", standing=Standing.UNSIGNED)
    text = render_verification(
        Verification(required=True, tags=(good, bad), remote="origin", allowed_signers=".s of main")
    )
    assert "✓ good" in text
    assert "1 of 2 tags on origin not signed by anybody who may" in text
    assert "registry.require_signed fails it" in text
    assert "SSH keys as in .s of main." in text
    free = render_verification(Verification(required=False, tags=(bad,)))
    assert "signatures are not required" in free
    assert "every one is signed" in render_verification(Verification(required=True, tags=(good,)))
    assert "no registry tags" in render_verification(Verification(required=True, tags=()))
    assert "\x1b[" in render_verification(Verification(required=True, tags=(good,)), colour=True)
