"""The registry is read as GTO reads it: the same tags in a real repository, both answers."""

import os
import random
import subprocess
from pathlib import Path

import pytest
from gto import api

from modelci.adapters.git import GitRepository
from modelci.domain.registry import ArtifactState, fold_registry

# What GTO can read at all: one version a commit, no tag that makes it give up.
FIXED = [
    [("m@v0.0.1", 0, 10), ("m#prod#1", 0, 11), ("m@v0.0.2", 1, 12), ("m#prod#2", 1, 13)],
    # A rollback, then the newer version again unassigned.
    [
        *[("m@v1.0.0", 0, 10), ("m@v1.1.0", 1, 11), ("m#prod#1", 0, 12), ("m#prod#2", 1, 13)],
        *[("m#prod#3", 0, 14), ("m#prod!#4", 0, 15)],
    ],
    # Withdrawn, with and without a stage; latest falls back.
    [("m@v1.0.0", 0, 10), ("m@v1.1.0", 1, 11), ("m#prod#1", 1, 12), ("m@v1.1.0!#2", 1, 13)],
    # Semver orders versions, not time.
    [("m@v0.0.10", 0, 10), ("m@v0.0.9", 1, 11), ("m@v0.1.0-rc.1", 2, 12)],
    # Two artifacts, one in a folder; a commit that was never registered.
    [("a/b=m@v0.0.1", 0, 10), ("m@v0.0.1", 0, 10), ("m#dev", 1, 11), ("a/b=m#dev#7", 0, 12)],
    # The same second: a withdrawal and an unassignment win, else names decide.
    [("m@v1.0.0", 0, 10), ("m#prod!#1", 0, 10), ("m#prod#2", 0, 10), ("m#prod#3", 0, 10)],
    [("m@v1.0.0", 0, 10), ("m@v1.0.0!", 0, 10), ("m@v0.9.0", 1, 10), ("m#prod#3", 1, 10)],
    [("m@v1.0.0", 0, 10), ("m@v2.0.0", 1, 10), ("m#prod#2", 0, 10), ("m#prod#10", 1, 10)],
    [("m@v1.0.0", 0, 10), ("m@deprecated#2", 0, 11)],
    [("m@v1.0.0", 0, 10), ("m@deprecated#2", 0, 11), ("m@v1.0.1", 1, 12)],
]


def generated(seed: int) -> list[tuple[str, int, int]]:
    """Make up a history: each commit has one version, and stages come and go.

    No two versions get a stage in one and the same second: there GTO lets the older one hold it,
    and we the greater tag name.
    """
    pick = random.Random(seed)
    times = pick.sample(range(20, 40), 8)
    events = [(f"m@v0.{number}.0", number, 10 + 3 * number) for number in range(4)]
    for counter, seconds in enumerate(times, 1):
        stage, commit = pick.choice(["dev", "prod"]), pick.randrange(4)
        undo = pick.choice(["", "", "!"])
        events.append((f"m#{stage}{undo}#{counter}", commit, seconds))
    if pick.random() < 0.5:
        number = pick.randrange(4)
        events.append((f"m@v0.{number}.0!", number, 50))
    return events


def build(root: Path, events: list[tuple[str, int, int]]) -> GitRepository:
    def git(*arguments: str, seconds: int = 1) -> str:
        date = f"{1_700_000_000 + seconds} +0000"
        env = {**os.environ, "GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
        done = subprocess.run(
            ["git", *arguments], cwd=root, env=env, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    git("init", "--quiet")
    shas = []
    for number in range(max(commit for _, commit, _ in events) + 1):
        git("commit", "--quiet", "--allow-empty", "-m", f"c{number}", seconds=number)
        shas.append(git("rev-parse", "HEAD"))
    for name, commit, seconds in events:
        git("tag", "-a", "-m", "x", name, shas[commit], seconds=seconds)
    return GitRepository(root)


def ours(states: tuple[ArtifactState, ...]) -> dict[str, tuple[str | None, dict[str, str]]]:
    return {
        state.name: (
            f"v{state.latest.version}" if state.latest else None,
            {stage: one.label for stage, one in state.stages.items()},
        )
        for state in states
    }


def theirs(root: Path) -> dict[str, tuple[str | None, dict[str, str]]]:
    shown = api.show(str(root))
    found = {}
    for name, entry in shown.items():
        stages = {
            stage: label if label.startswith("v") else label[:7]
            for stage, label in entry["stage"].items()
            if label is not None
        }
        found[name] = (entry["version"], stages)
    return found


def short(found: dict[str, tuple[str | None, dict[str, str]]]) -> object:
    return {
        name: (version if (version or "v").startswith("v") else None, stages)
        for name, (version, stages) in found.items()
    }


@pytest.mark.parametrize("events", FIXED + [generated(seed) for seed in range(4)])
def test_latest_versions_and_stages_are_gtos(
    tmp_path: Path, events: list[tuple[str, int, int]]
) -> None:
    repository = build(tmp_path, events)
    states = fold_registry(repository.tags())
    active = tuple(state for state in states if not state.deprecated)
    assert ours(active) == short(theirs(tmp_path))


def test_every_event_that_gto_lists_is_one_of_ours(tmp_path: Path) -> None:
    events = generated(1)
    repository = build(tmp_path, events)
    listed = {row["ref"] for row in api.history(str(tmp_path)) if row["event"] != "commit"}
    assert listed == {str(tag.name) for tag in repository.tags()}
