import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.holds import Hold, find_holds, held, trailers, without_signature
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import Rule, TagRecord
from modelci.domain.tags import TagName

SIGNATURE = "-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n"


def tag(name: str, seconds: int, *lines: str, commit: str = "c1") -> TagRecord:
    parsed = TagName.parse(name)
    assert parsed is not None
    message = "\n".join(["Assign", "", *lines, ""])
    return TagRecord(parsed, f"refs/tags/{name}", commit, seconds, "Anna", message)


def hold(name: str, seconds: int, reason: str = "why") -> TagRecord:
    return tag(name, seconds, f"Modelci-Reason: {reason}", "Modelci-By: Ben", "Modelci-Hold: true")


def released(name: str, seconds: int) -> TagRecord:
    return tag(name, seconds, "Modelci-Hold: released")


def test_a_stage_is_held_until_a_later_tag_of_it_releases_it() -> None:
    tags = [tag("m#prod#1", 1), hold("m#prod#2", 2)]
    assert held(tags, "m", "prod") == Hold(
        artifact="m", stage="prod", commit="c1", tag="m#prod#2", seconds=2, reason="why", by="Ben"
    )
    assert held([*tags, released("m#prod#3", 3)], "m", "prod") is None


def test_a_release_before_the_hold_and_one_of_another_stage_or_artifact_do_nothing() -> None:
    tags = [hold("m#prod#2", 2)]
    others = [released("m#prod#1", 1), released("m#dev#3", 3), released("n#prod#3", 3)]
    assert held([*tags, *others], "m", "prod") is not None
    assert held([*tags, *others], "m", "dev") is None
    assert held([*tags, *others], "n", "prod") is None


def test_an_assignment_past_a_hold_is_no_release() -> None:
    tags = [hold("m#prod#2", 2), tag("m#prod#3", 3, commit="c2")]
    assert held(tags, "m", "prod") is not None


def test_an_unassignment_may_release_where_nothing_holds_the_stage() -> None:
    tags = [hold("m#prod#2", 2), tag("m#prod!#3", 3), released("m#prod!#4", 4)]
    assert held(tags[:2], "m", "prod") is not None
    assert held(tags, "m", "prod") is None


def test_tags_of_one_second_hold_and_release_by_their_counter() -> None:
    assert held([released("m#prod#10", 2), hold("m#prod#9", 2)], "m", "prod") is None
    found = held([hold("m#prod#10", 2), released("m#prod#9", 2)], "m", "prod")
    assert found is not None
    assert found.tag == "m#prod#10"


def test_a_tag_that_breaks_a_rule_holds_nothing() -> None:
    flawed = hold("m#prod#2", 2)._replace(flaw=Rule.RENAMED)
    assert find_holds([flawed]) == {}


def test_a_hold_is_only_in_the_trailers_never_in_the_text_above() -> None:
    parsed = TagName.parse("m#prod#2")
    assert parsed is not None
    message = "Assign\n\nModelci-Hold: true\n\nModelci-Version: 1\n"
    assert find_holds([TagRecord(parsed, "refs/tags/m#prod#2", "c1", 2, "", message)]) == {}


def test_the_sentence_says_who_and_why() -> None:
    found = held([hold("m#prod#2", 2)], "m", "prod")
    assert found is not None
    assert found.sentence == "m#prod is held by m#prod#2 (by Ben): why"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Subject: no trailer\n", {}),
        ("Subject\n\nA: 1\nB: 2\n", {"A": "1", "B": "2"}),
        ("Subject\n\nA: 1\n\nB: 2\n", {"B": "2"}),
        ("Subject\n\nA: 1\nA: 2\nnot one\n", {"A": "2"}),
        (f"Subject\n\nA: 1\n{SIGNATURE}", {"A": "1"}),
        ("", {}),
    ],
)
def test_trailers_are_the_last_paragraph(message: str, expected: dict[str, str]) -> None:
    assert trailers(message) == expected


def test_what_is_signed_ends_at_the_last_signature() -> None:
    text = f"said\n{SIGNATURE}more\n"
    assert without_signature(f"{text}{SIGNATURE}") == text
    assert without_signature("-----BEGIN SSH SIGNATURE----- x") == ""
    assert without_signature("a -----BEGIN SSH SIGNATURE-----") == "a -----BEGIN SSH SIGNATURE-----"


@given(reason=st.text())
def test_no_reason_can_write_a_trailer_of_its_own(reason: str) -> None:
    planned = PlannedTag(
        name="m#prod#2",
        artifact="m",
        commit="c1",
        seconds=2,
        subject="Assign",
        trailers=(("Modelci-Reason", reason), ("Modelci-Hold", "true")),
    )
    found = trailers(planned.message)
    assert found["Modelci-Hold"] == "true"
    assert set(found) == {"Modelci-Reason", "Modelci-Hold"}
