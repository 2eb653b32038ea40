"""Which job believes past runs, by who can write where they are kept."""

from typing import Any

import pytest

from modelci.config.load import load
from modelci.config.model import Config, RunCache
from modelci.domain.checks import Check, Health
from modelci.domain.events import CIContext, EventKind
from modelci.domain.remotes import DataRemote
from modelci.workflows.trust import Settled, check_remotes, settle_run

MERGE = CIContext(event=EventKind.PUSH, event_name="push", branch="main")
STORE = DataRemote(name="store", url="s3://models/store", verifies=True, is_default=True)
PR = DataRemote(name="pr", url="s3://models/pr", verifies=True)
REMOTES = (STORE, PR)
BOTH = "pull: true, push: true"
OFF, ON = RunCache.OFF, RunCache.ON


def config(run: str) -> Config:
    return load(f"run: {{{run}}}\n".encode()).config


def settle(run: str, **given: Any) -> Settled:
    values = {"releases": True, "remotes": lambda: REMOTES, **given}
    return settle_run(config(run), MERGE, **values)


@pytest.mark.parametrize(
    ("run", "believed"),
    [
        (BOTH, OFF),
        (f"{BOTH}, run_cache: read", OFF),
        (f"{BOTH}, remote: pr", OFF),
        (f"{BOTH}, events: {{push: {{remote: pr}}}}", ON),
        (f"{BOTH}, events: {{pull_request: {{remote: pr}}}}", ON),
        (f"{BOTH}, events: {{pull_request: {{remote: store}}}}", OFF),
        (f"{BOTH}, events: {{pull_request: {{remote: Store}}}}", OFF),
        (f"{BOTH}, events: {{pull_request: {{push: false}}}}", ON),
        (f"{BOTH}, events: {{pull_request: {{remote: pr}}, fork: {{remote: store}}}}", OFF),
        (f"{BOTH}, events: {{push: {{run_cache: on}}}}", ON),
        (f"{BOTH}, events: {{push: {{run_cache: read}}}}", RunCache.READ),
        ("pull: true", ON),
        ("push: true", ON),
        ("pull: true, events: {pull_request: {push: true}}", OFF),
    ],
)
def test_a_release_believes_what_no_pull_request_can_write(run: str, believed: RunCache) -> None:
    found = settle(run)
    assert found.run.run_cache is believed
    assert (found.doubt is not None) is (believed is OFF)


@pytest.mark.parametrize("url", ["s3://models/store", "s3://models/store/", "s3://models"])
def test_two_names_of_one_place_are_one_place(url: str) -> None:
    same = DataRemote(name="pr", url=url)
    found = settle(
        f"{BOTH}, events: {{pull_request: {{remote: pr}}}}", remotes=lambda: (STORE, same)
    )
    assert found.run.run_cache is OFF
    assert found.doubt == (
        "Past runs are not restored: jobs of pull requests push to the default DVC remote (pr is "
        "the same place), and could have made them up."
    )


def test_a_place_whose_name_begins_alike_is_another() -> None:
    other = DataRemote(name="pr", url="s3://models/store-of-pull-requests")
    found = settle(
        f"{BOTH}, events: {{pull_request: {{remote: pr}}}}", remotes=lambda: (STORE, other)
    )
    assert found.doubt is None


def test_remotes_that_nobody_knows_are_told_apart_by_name() -> None:
    for run, believed in (
        (f"{BOTH}, remote: gone", OFF),
        (f"{BOTH}, remote: gone, events: {{pull_request: {{remote: lost}}}}", ON),
    ):
        assert settle(run, remotes=tuple).run.run_cache is believed


def test_a_flag_or_a_variable_decides() -> None:
    assert settle(BOTH, fixed={"run_cache"}).run.run_cache is ON


def test_other_jobs_believe_as_they_did() -> None:
    assert settle(BOTH, releases=False) == Settled(run=config(BOTH).run)


def test_a_job_that_lets_a_cluster_work_pulls_too() -> None:
    spread = load(b"run: {push: true}\nexecutor: {kind: dask}\n").config
    found = settle_run(spread, MERGE, releases=True, remotes=lambda: REMOTES)
    assert found.run.run_cache is OFF


# -- what doctor says ----------------------------------------------------------------------------


def checks(run: str, *remotes: DataRemote) -> list[Check]:
    return list(check_remotes(config(run), remotes))


def test_a_remote_that_is_taken_at_its_word_is_named_with_what_changes_that() -> None:
    trusting = DataRemote(name="my store", url="s3://models", is_default=True)
    unused = DataRemote(name="old", url="s3://old")
    (found,) = checks("pull: true", trusting, unused, PR)
    assert found.health is Health.WARNING
    assert found.name == "dvc remote my store"
    assert "`dvc remote modify 'my store' verify true`" in (found.fix or "")


def test_the_remotes_of_all_events_are_looked_at() -> None:
    pr = DataRemote(name="pr", url="s3://pr")
    (found,) = checks(f"{BOTH}, events: {{pull_request: {{remote: pr}}}}", STORE, pr)
    assert found.name == "dvc remote pr"


def test_a_run_cache_that_is_shared_is_named_with_both_ways_out() -> None:
    (found,) = checks(BOTH, *REMOTES)
    assert found.name == "run cache"
    assert found.detail.startswith("On merge: Past runs are not restored")
    assert "run: {events: {pull_request: {remote: pr}}}" in (found.fix or "")
    assert "run: {events: {push: {run_cache: on}}}" in (found.fix or "")


def test_where_all_is_well_nothing_is_said() -> None:
    assert checks(f"{BOTH}, events: {{pull_request: {{remote: pr}}}}", *REMOTES) == []
    assert checks("", *REMOTES) == []
    assert checks(BOTH) != []  # whatever the remote is, it is one
