"""The threat model names a test for each threat, and each of them is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
THREATS = dict(re.findall(r"(?ms)^### (.+?)$(.*?)(?=^##|\Z)", PAGE))
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize("threat", THREATS)
def test_each_threat_says_what_stops_it_and_what_is_left(threat: str) -> None:
    assert re.findall(r"(?m)^- \*\*(\w+)", THREATS[threat]) == ["Could", "Stopped", "Tests", "Left"]
    assert NAMED.search(THREATS[threat])


@pytest.mark.parametrize(("file", "name"), sorted(set(NAMED.findall(PAGE))))
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
