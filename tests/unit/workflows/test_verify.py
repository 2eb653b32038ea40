"""What ``modelci verify`` says of versions that nobody should use any more."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock

from modelci.domain.changes import TrackedFile
from modelci.domain.promotion import PlannedTag
from modelci.domain.provenance import CheckState, FileBytes, VersionCheck
from modelci.ports import FileTree
from modelci.render.provenance import render_version_check
from modelci.workflows.verify import verify_version


class Honest:
    """Has all bytes, as they were recorded."""

    def read(
        self, tree: FileTree, file: TrackedFile, path: str, *, pull: bool
    ) -> tuple[FileBytes, ...]:
        del tree, pull
        same = file.hash
        return (FileBytes(path=path, recorded=same, hash_name="md5", found=same, sha256=same),)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One version of m, and whatever else is tagged."""

    folder: Path
    remote: FakeRemote
    commit: str

    def tag(self, name: str, seconds: int) -> None:
        self.remote.tags[name] = PlannedTag(
            name=name, artifact="m", commit=self.commit, seconds=seconds, subject="x"
        )

    def verify(self) -> VersionCheck:
        return verify_version(
            "m@v1.0.0",
            git=FakeGit(self.folder, self.remote),
            reader=FakeSnapshots(),
            stored=Honest(),
            progress=RecordedProgress(),
            remote=True,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    remote = FakeRemote()
    found = World(
        folder=tmp_path, remote=remote, commit=remote.commit({"dvc.lock": lock()}, seconds=1)
    )
    found.tag("m@v1.0.0", 2)
    return found


def warnings(found: VersionCheck) -> list[str]:
    return [one.detail for one in found.findings if one.subject == "registry"]


def test_a_version_in_use_has_no_warning(world: World) -> None:
    found = world.verify()
    assert found.ok
    assert warnings(found) == []


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("m@v1.0.0!#1", "warning: m@v1.0.0 was withdrawn (deregistered), do not use it"),
        ("m@deprecated#1", "warning: m is deprecated, do not use it"),
    ],
)
def test_what_nobody_should_use_is_a_warning_and_no_failure(
    world: World, tag: str, said: str
) -> None:
    world.tag(tag, 3)
    found = world.verify()
    assert found.ok
    assert warnings(found) == [said]
    assert {one.state for one in found.findings} == {CheckState.OK, CheckState.UNCHECKED}
    assert said in " ".join(render_version_check(found, width=200).split())
