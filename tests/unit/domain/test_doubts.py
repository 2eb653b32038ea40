import pytest

from modelci.domain.doubts import Restrictions, deciding_commits, doubt_clocks, doubt_names
from modelci.domain.registry import ArtifactState, TagRecord, fold_registry
from modelci.domain.tags import TagName

DAY = 86_400


def state(*events: tuple[str, str, int]) -> ArtifactState:
    tags = []
    for name, commit, seconds in events:
        parsed = TagName.parse(name)
        assert parsed is not None
        ref = f"refs/tags/{name}"
        tags.append(TagRecord(name=parsed, ref=ref, commit=commit * 40, seconds=seconds))
    (found,) = fold_registry(tags)
    return found


STATE = state(("m@v1.0.0", "a", 10 * DAY), ("m@v2.0.0", "b", 11 * DAY), ("m#prod#1", "a", 12 * DAY))


def test_the_commits_that_decide_are_those_held_and_the_latest() -> None:
    assert deciding_commits((STATE, STATE)) == ("a" * 40, "b" * 40)


@pytest.mark.parametrize(
    ("now", "times", "doubts"),
    [
        (13 * DAY, {}, []),
        (12 * DAY - 300, {}, []),
        (12 * DAY - 301, {}, [("future", "m#prod#1")]),
        (10 * DAY, {}, [("future", "m#prod#1"), ("future", "m@v2.0.0")]),
        (13 * DAY, {"b" * 40: 12 * DAY}, []),
        (13 * DAY, {"b" * 40: 12 * DAY + 1}, [("clock-skew", "m@v2.0.0")]),
        # What does not decide may be as old as it likes.
        (13 * DAY, {"a" * 40: 12 * DAY}, []),
    ],
)
def test_clocks_that_are_off_by_more_than_they_may(
    now: int, times: dict[str, int], doubts: list[tuple[str, str]]
) -> None:
    found = doubt_clocks(STATE, now=now, commit_times=times)
    assert [(one.doubt.value, one.message.split(" ")[0]) for one in found] == doubts


@pytest.mark.parametrize(
    ("restrictions", "type_", "doubts"),
    [
        (Restrictions(), "model", []),
        (Restrictions(stages=("prod",), types=("model",)), "model", []),
        (Restrictions(stages=()), None, ["unknown-stage"]),
        (Restrictions(types=("dataset",)), "model", ["unknown-type"]),
        (Restrictions(types=("dataset",)), None, []),
    ],
)
def test_what_gto_allows(restrictions: Restrictions, type_: str | None, doubts: list[str]) -> None:
    assert [one.doubt for one in doubt_names(STATE, restrictions, type_=type_)] == doubts
