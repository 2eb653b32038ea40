"""What an interrupted command says that it leaves."""

import pytest
from tests.unit.cli.tree import PATHS

from modelci.cli.interrupts import HARMLESS, LEFT, farewell

_COMMANDS = sorted({path[0] for path in PATHS if path})


def test_of_every_command_it_is_said_what_it_leaves() -> None:
    assert sorted([*LEFT, *HARMLESS]) == _COMMANDS


@pytest.mark.parametrize("command", ["report", "golden", "profile", "site", "serve", "a new one"])
def test_who_writes_does_not_claim_that_nothing_was_changed(command: str) -> None:
    assert farewell(command) == "Interrupted. What was written stays; run it again."


def test_who_only_reads_says_that_nothing_was_changed() -> None:
    assert farewell("plan") == "Interrupted. Nothing was changed; run it again."


def test_a_retraining_tells_of_the_data_that_it_may_have_pushed() -> None:
    assert "data may be in the DVC remote" in farewell("retrain")
