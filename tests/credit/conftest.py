"""The stage scripts import each other as DVC runs them: from their own folder."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples" / "credit"))


@pytest.fixture(scope="session")
def params() -> Path:
    return ROOT / "params.yaml"
