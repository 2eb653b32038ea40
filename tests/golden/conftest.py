"""``pytest tests/golden --update-golden`` writes what is expected anew: look at the difference."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the expected files of tests/golden anew"
    )


@pytest.fixture
def updates_golden(pytestconfig: pytest.Config) -> bool:
    # From another folder this file is found too late for its option to be known.
    return bool(pytestconfig.getoption("update_golden", default=False))
