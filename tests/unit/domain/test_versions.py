import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.versions import FIRST_VERSION, Part, Version

PARTS = st.from_regex(r"0|[1-9][0-9]{0,2}|[0-9]{0,2}[a-zA-Z-][0-9a-zA-Z-]{0,2}", fullmatch=True)
VERSIONS = st.builds(
    Version,
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 11),
    st.lists(PARTS, max_size=3).map(".".join),
    st.sampled_from(["", "b1"]),
)


@given(VERSIONS, VERSIONS)
def test_the_order_is_that_of_semver(one: Version, other: Version) -> None:
    order = semver.Version.parse(str(one)).compare(str(other))
    assert (one < other, one > other) == (order < 0, order > 0)
    assert (one <= other, one >= other) == (order <= 0, order >= 0)


@given(VERSIONS)
def test_a_version_is_read_back_as_it_was_written(version: Version) -> None:
    assert Version.parse(str(version)) == version


@given(st.text(alphabet="0123456789.-+abv", max_size=12))
def test_what_semver_refuses_is_no_version(text: str) -> None:
    assert (Version.parse(text) is not None) is semver.Version.is_valid(text)


@pytest.mark.parametrize(
    ("version", "part", "bumped"),
    [
        ("1.2.3", "patch", "1.2.4"),
        ("1.2.3", "minor", "1.3.0"),
        ("1.2.3", "major", "2.0.0"),
        ("1.2.3+build", "patch", "1.2.4"),
        ("1.2.3-rc.1", "patch", "1.2.3"),
        ("1.3.0-rc.1", "minor", "1.3.0"),
        ("1.3.1-rc.1", "minor", "1.4.0"),
        ("2.0.0-rc.1", "major", "2.0.0"),
        ("2.1.0-rc.1", "major", "3.0.0"),
        ("0.0.9", "patch", "0.0.10"),
    ],
)
def test_a_bump_leads_to_the_next_release(version: str, part: Part, bumped: str) -> None:
    start = Version.parse(version)
    assert start is not None
    assert str(start.bump(part)) == bumped


@given(VERSIONS, st.sampled_from(["major", "minor", "patch"]))
def test_a_bump_always_leads_upwards_to_a_release(version: Version, part: Part) -> None:
    bumped = version.bump(part)
    assert bumped > version
    assert not bumped.pre
    assert not bumped.build


def test_the_first_version_is_gtos() -> None:
    assert str(FIRST_VERSION) == "0.0.1"
