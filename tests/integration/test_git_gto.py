"""The registry is read as GTO and DVC read it: the same tags in real repositories, all answers."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import dvc.api
import pytest
from dvc.exceptions import ArtifactNotFoundError
from gto import api
from gto.constants import VersionSort
from gto.exceptions import GTOException
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from modelci.adapters.git import GitRepository
from modelci.documents.registry_views import event_entry
from modelci.domain.registry import (
    ArtifactState,
    Doubt,
    Holder,
    Rule,
    fold_registry,
    list_events,
)
from modelci.domain.tags import TagName

START = 1_700_000_000
COMMITS = 4
DVC_YAML = "artifacts:\n  m:\n    path: model.bin\n    type: model\n"


class Happening(NamedTuple):
    """A tag, the number of the commit that it is on, and its second."""

    tag: str
    commit: int
    second: int


def build(root: Path, events: Sequence[Happening]) -> list[str]:
    """Make commits and tags by one ``git fast-import``; return the commits."""
    root.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(COMMITS):
        lines += [
            *("commit refs/heads/main", f"mark :{number + 1}"),
            *(f"committer A <a@b> {START + number} +0000", "data 1", "c"),
            *("M 100644 inline dvc.yaml", f"data {len(DVC_YAML)}", DVC_YAML),
            *("M 100644 inline .dvc/config", "data 0", ""),
            *("M 100644 inline d/dvc.yaml", f"data {len(DVC_YAML)}", DVC_YAML),
        ]
    for event in events:
        lines += [
            *(f"tag {event.tag}", f"from :{event.commit + 1}"),
            *(f"tagger Ann <ann@example.com> {START + event.second} +0000", "data 5", "Why?", ""),
        ]
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "fast-import", "--quiet", stdin="\n".join(lines) + "\n")
    git(root, "reset", "--quiet", "--hard")
    return git(root, "rev-list", "--reverse", "main").split()


def git(root: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, input=stdin, capture_output=True, check=True, text=True
    )
    return done.stdout


def version_of(label: str) -> str:
    return label if label.startswith("v") else label[:7]


def theirs(root: Path, sort: VersionSort) -> dict[str, object]:
    shown = api.show(str(root), deprecated=True, sort=sort)
    return {
        name: (
            entry["version"],
            entry["active"],
            {stage: version_of(one) for stage, one in entry["stage"].items() if one},
        )
        for name, entry in shown.items()
    }


def ours(states: Sequence[ArtifactState]) -> dict[str, object]:
    return {
        state.name: (
            f"v{state.latest.version}" if state.latest else None,
            not state.deprecated,
            {stage: one.label for stage, one in state.stages.items()},
        )
        for state in states
    }


def their_history(root: Path) -> list[tuple[Any, ...]]:
    return sorted(
        (
            *(int(row["timestamp"].timestamp()), row["artifact"], row["event"]),
            *(row["version"] or "", row["stage"] or "", row["commit"]),
            *(row["author"], row["author_email"], row["message"], row["ref"]),
        )
        for row in api.history(str(root))
    )


def our_history(repository: GitRepository) -> Iterator[tuple[Any, ...]]:
    for event in list_events(repository.tags()):
        one = event_entry(event)
        # GTO names a version that was never registered by its commit.
        version = one.version or ("" if one.event == "deprecation" else one.commit)
        yield (
            *(int(datetime.fromisoformat(one.at).timestamp()), one.artifact, one.event),
            *(version, one.stage or "", one.commit, one.by, one.email, one.message, one.tag),
        )


ARTIFACTS = st.sampled_from(["m", "d=m"])
VERSIONS = st.sampled_from(["v0.0.1", "v0.9.0", "v0.10.0", "v1.0.0-rc.1", "v1.0.0", "v1.0.0+b"])
STAGES = st.sampled_from(["dev", "eu/prod"])
KINDS = st.one_of(
    st.builds("{}@{}".format, ARTIFACTS, VERSIONS),
    st.builds("{}#{}".format, ARTIFACTS, STAGES),
    st.builds("{}#{}".format, ARTIFACTS, STAGES),
    st.builds("{}#{}!".format, ARTIFACTS, STAGES),
    st.builds("{}@{}!".format, ARTIFACTS, VERSIONS),
    st.builds("{}@deprecated".format, ARTIFACTS),
)
PLACES = st.tuples(st.integers(0, COMMITS - 1), st.integers(10, 16))


@st.composite
def histories(draw: st.DrawFn) -> list[Happening]:
    """Draw tags as people may make them; few seconds, so that many share one."""
    made = draw(st.lists(st.tuples(KINDS, PLACES), min_size=1, max_size=14))
    registered = [
        Happening(f"m@v0.{number}.0", number, 10 + draw(st.integers(0, 2)))
        for number in range(draw(st.integers(0, COMMITS - 1)))
    ]
    others = [Happening(f"{kind}#{number}", *place) for number, (kind, place) in enumerate(made, 1)]
    return [*registered, *others]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories())
def test_state_and_history_are_gtos(tmp_path: Path, events: list[Happening]) -> None:
    with TemporaryDirectory(dir=tmp_path) as folder:
        root = Path(folder)
        build(root, events)
        repository = GitRepository(root)
        states = fold_registry(repository.tags())
        try:
            expected = theirs(root, VersionSort.Timestamp)
        except GTOException as error:
            note(f"GTO gives up: {error}")
            assert any(one.rule is Rule.TWO_VERSIONS for s in states for one in s.problems)
            return
        assert not any(state.problems for state in states)
        assert ours(states) == expected
        by_semver = fold_registry(repository.tags(messages=False), holder=Holder.SEMVER)
        assert ours(by_semver) == theirs(root, VersionSort.SemVer)
        found = list(our_history(repository))
        assert sorted(found) == their_history(root)
        assert [row[0] for row in found] == sorted((row[0] for row in found), reverse=True)
        for name in ("m", "d:m"):
            assert fold_registry(repository.tags([name])) == tuple(
                state for state in states if state.name == name
            )
            check_dvc(root, name, next((one for one in states if one.name == name), None))


def check_dvc(root: Path, name: str, state: ArtifactState | None) -> None:
    """DVC's resolver answers as we do, or we warn that it does not."""
    stages = () if state is None else ("dev", "eu/prod")
    for stage in (None, *stages):
        holder = state.stages.get(stage) if state and stage else None
        latest = state.latest if state and stage is None else None
        found = holder or latest
        here = found.commit if found else None
        there = dvc_commit(root, name, stage)
        warned = state is not None and any(
            one.doubt is Doubt.DVC and one.stage == stage for one in state.warnings
        )
        assert there == here or warned, (name, stage, there, here)


def dvc_commit(root: Path, name: str, stage: str | None) -> str | None:
    """Return what ``dvc.api.artifacts_show`` finds the commit by, which is most of its work."""
    from dvc.repo.artifacts import Artifacts
    from dvc.scm import Git

    class Repo:
        scm = Git(str(root))

    try:
        return str(Artifacts(Repo()).get_rev(name, stage=stage))
    except (ArtifactNotFoundError, IndexError):  # no tag at all; or none of a version
        return None


def test_dvc_follows_registrations_assignments_and_rollbacks(tmp_path: Path) -> None:
    events = [
        *(Happening("m@v1.0.0", 0, 10), Happening("m@v1.1.0", 1, 11)),
        *(Happening("m#prod#1", 0, 12), Happening("m#prod#2", 1, 13), Happening("m#prod#3", 0, 14)),
        *(Happening("d=m@v0.1.0", 2, 15), Happening("d=m#prod#2", 2, 16)),
    ]
    shas = build(tmp_path, events)
    states = {one.name: one for one in fold_registry(GitRepository(tmp_path).tags())}
    for name, path in (("m", "model.bin"), ("d:m", "d/model.bin")):
        held = dvc.api.artifacts_show(name, stage="prod", repo=str(tmp_path))
        assert held == {"rev": states[name].stages["prod"].commit, "path": path}
        assert not states[name].warnings
    assert dvc.api.artifacts_show("m", repo=str(tmp_path))["rev"] == shas[1]
    git(tmp_path, *("tag", "-a", "-m", "x", "m#prod!#4", shas[0]))
    (state,) = fold_registry(GitRepository(tmp_path).tags(["m"]))
    assert state.stages["prod"].commit == shas[1]
    assert dvc.api.artifacts_show("m", stage="prod", repo=str(tmp_path))["rev"] == shas[0]
    (warning,) = state.warnings
    assert (warning.doubt, warning.stage) == (Doubt.DVC, "prod")


def test_the_command_lines_say_the_same(tmp_path: Path) -> None:
    events = [
        *(Happening("m@v1.0.0", 0, 10), Happening("m@v1.1.0", 1, 11), Happening("m#qa", 2, 12)),
        *(Happening("d=m@v0.1.0", 2, 15), Happening("m#prod#2", 1, 16)),
    ]
    build(tmp_path, events)
    shown = run(tmp_path, "gto", "show", "--json")
    mine = run(tmp_path, "modelci", "registry", "--json")
    assert {one["name"]: one["latest"] for one in mine["artifacts"]} == {
        name: entry["version"] for name, entry in shown.items()
    }
    assert {
        (one["name"], stage, held["version"] or held["commit"])
        for one in mine["artifacts"]
        for stage, held in one["stages"].items()
    } == {
        (name, stage, label)
        for name, entry in shown.items()
        for stage, label in entry["stage"].items()
        if label
    }
    events_there = run(tmp_path, "gto", "history", "--json")
    events_here = run(tmp_path, "modelci", "registry", "history", "--json")["events"]
    assert [one["tag"] for one in events_here] == [row["ref"] for row in events_there]


def run(root: Path, tool: str, *arguments: str) -> Any:
    command = [str(Path(sys.executable).with_name(tool)), *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["m@created", "m@created#3"])
def test_gto_gives_up_where_we_name_the_tag(tmp_path: Path, name: str) -> None:
    build(tmp_path, [Happening("m@v1.0.0", 0, 10), Happening(name, 0, 11)])
    with pytest.raises(Exception):  # noqa: B017, PT011 - a KeyError, or whatever it is next
        api.show(str(tmp_path))
    (state,) = fold_registry(GitRepository(tmp_path).tags())
    assert state.latest is not None
    assert [(one.ref, one.rule) for one in state.problems] == [(name, Rule.CREATED)]
    assert TagName.parse(name) is not None
