"""docs/ml-test-score.md has the paper's 28 tests, and its sums are right."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "ml-test-score.md").read_text(encoding="utf-8")
SECTIONS = ("Data", "Model", "Infra", "Monitor")
ROW = re.compile(r"(?m)^\| (\w+) (\d) \| ([^|]+) \| (\w+) \|[^\n]* \| ([\d.]+) \|")
ROWS = [
    (section, int(number), who, float(points))
    for section, number, _, who, points in ROW.findall(PAGE)
]


def total(section: str) -> float:
    return sum(points for name, *_, points in ROWS if name == section)


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_has_seven_tests_that_are_scored_as_the_paper_says(section: str) -> None:
    assert [number for name, number, *_ in ROWS if name == section] == [1, 2, 3, 4, 5, 6, 7]
    assert {points for name, *_, points in ROWS if name == section} <= {0, 0.5, 1}


def test_the_score_is_the_least_of_the_sums() -> None:
    sums = [total(section) for section in SECTIONS]
    assert [
        float(found) for found in re.findall(r"\*\*sum\*\* \| \| \| \*\*([\d.]+)", PAGE)
    ] == sums
    listed = ", ".join(f"{one:g}" for one in sums)
    assert f"min({listed}) = **{min(sums):g}**" in PAGE


def test_what_modelci_does_is_counted() -> None:
    counts = [
        sum(who == one for _, _, who, _ in ROWS) for one in ("automates", "templates", "leaves")
    ]
    assert "automates {}, templates {} and leaves {}".format(*counts) in " ".join(PAGE.split())
    alone = [
        sum(who == "automates" for name, _, who, _ in ROWS if name == section)
        for section in SECTIONS
    ]
    assert f"{' + '.join(map(str, alone))} points" in " ".join(PAGE.split())
