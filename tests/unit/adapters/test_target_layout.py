"""A target's folder: whole or not at all, whatever is cut short."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.fakes.releasefolders import make_release, running

from modelci.adapters.targets.layout import Layout
from modelci.domain.deployment import Release, TargetState, Trial
from modelci.errors import DeploymentError, TargetBusyError


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout("prod", tmp_path / "target")


def stage(layout: Layout, tmp_path: Path, content: str) -> Release:
    release = make_release(tmp_path / content, content)
    layout.stage(release, tmp_path / content, python=None)
    return release


def test_nothing_is_known_of_a_target_that_is_new(layout: Layout) -> None:
    assert layout.artifacts() == ()
    assert layout.read("credit") == TargetState()
    assert not layout.folder.exists()


def test_a_staged_release_is_there_with_its_document(layout: Layout, tmp_path: Path) -> None:
    release = stage(layout, tmp_path, "a")
    assert layout.read("credit").staged == (release.id,)
    assert layout.release(release.id) == release
    assert (layout.path(release.id) / "model/credit.skops").read_text() == "a"


def test_other_bytes_than_the_release_names_are_not_staged(layout: Layout, tmp_path: Path) -> None:
    release = make_release(tmp_path / "a", "a")
    (tmp_path / "a/model/credit.skops").write_text("b")
    with pytest.raises(DeploymentError, match=r"model/credit\.skops .* has other bytes"):
        layout.stage(release, tmp_path / "a", python=None)
    assert layout.read("credit").staged == ()
    assert list(layout.releases.iterdir()) == []


def test_staging_again_mends_a_release_that_was_damaged(layout: Layout, tmp_path: Path) -> None:
    release = stage(layout, tmp_path, "a")
    model = layout.path(release.id) / "model/credit.skops"
    model.write_text("x")
    layout.stage(release, tmp_path / "a", python=None)
    assert model.read_text() == "a"


def test_what_a_killed_staging_left_is_no_release(layout: Layout, tmp_path: Path) -> None:
    release = make_release(tmp_path / "a", "a")
    part = layout.releases / f".{release.id}.part"
    part.mkdir(parents=True)
    (part / "release.json").write_text("half")
    assert layout.read("credit").staged == ()
    layout.stage(release, tmp_path / "a", python=None)
    assert layout.read("credit").staged == (release.id,)
    assert not part.exists()


def test_a_release_remembers_its_interpreter(layout: Layout, tmp_path: Path) -> None:
    release = make_release(tmp_path / "a", "a")
    layout.stage(release, tmp_path / "a", python=Path("/opt/x/bin/python"))
    assert layout.python(release.id) == Path("/opt/x/bin/python")
    layout.stage(release, tmp_path / "a", python=None)
    assert layout.python(release.id) is None


def test_what_ran_before_is_the_previous_one(layout: Layout) -> None:
    for number, name in enumerate(["a", "b", "a"], start=1):
        layout.switch(running(name, tag=f"credit#prod#{number}"))
    state = layout.read("credit")
    assert (state.running and state.running.release) == "a"
    assert (state.previous and state.previous.release) == "b"
    assert [(one.release, one.tag[-1]) for one in state.history] == [
        ("a", "3"),
        ("b", "2"),
        ("a", "1"),
    ]
    assert layout.artifacts() == ("credit",)


def test_the_same_release_under_a_new_tag_keeps_the_previous_one(layout: Layout) -> None:
    for name, tag in (("a", "1"), ("b", "2"), ("b", "3")):
        layout.switch(running(name, tag=tag))
    state = layout.read("credit")
    assert (state.running and state.running.tag) == "3"
    assert (state.previous and state.previous.release) == "a"


def test_switching_again_changes_nothing(layout: Layout) -> None:
    layout.switch(running("a"))
    before = layout.read("credit")
    layout.switch(running("a", since="2027-01-01T00:00:00+00:00"))
    assert layout.read("credit") == before


def test_a_switch_that_settles_stays_one_switch(layout: Layout) -> None:
    layout.switch(running("a"))
    layout.switch(running("b", tag="2"))
    layout.switch(running("b", tag="2", settled=True))
    state = layout.read("credit")
    assert state.running is not None
    assert state.running.settled
    assert (state.previous and state.previous.release) == "a"
    assert [(one.release, one.settled) for one in state.history] == [("b", True), ("a", False)]


def test_a_release_is_whole_while_every_byte_is_as_it_was_staged(
    layout: Layout, tmp_path: Path
) -> None:
    release = stage(layout, tmp_path, "a")
    assert layout.is_whole(release)
    (layout.path(release.id) / "model/credit.skops").write_text("b")
    assert not layout.is_whole(release)


def test_a_switch_ends_a_trial(layout: Layout) -> None:
    layout.switch(running("a"))
    layout.set_trial("credit", Trial(release="b", share=0.05))
    assert layout.read("credit").trial == Trial(release="b", share=0.05)
    layout.switch(running("b", tag="2"))
    assert layout.read("credit").trial is None
    layout.set_trial("credit", Trial(release="c", shadow=True))
    layout.switch(running("b", tag="2"))
    assert layout.read("credit").trial is None


def test_a_switch_that_missed_its_line_of_history_gets_it(layout: Layout) -> None:
    layout.switch(running("a"))
    history = layout.folder / "history.jsonl"
    kept = history.read_bytes()
    layout.switch(running("b", tag="2"))
    history.write_bytes(kept + b'{"release": "b", "arti')  # cut short
    assert [one.release for one in layout.read("credit").history] == ["b", "a"]
    layout.switch(running("b", tag="2"))
    layout.switch(running("c", tag="3"))
    assert [one.release for one in layout.read("credit").history] == ["c", "b", "a"]


def test_pruning_spares_the_newest_and_what_may_be_asked(layout: Layout, tmp_path: Path) -> None:
    releases = [stage(layout, tmp_path, name) for name in "abcde"]
    a, b, c, d, e = (release.id for release in releases)
    layout.switch(running(a))
    layout.switch(running(b, tag="2"))
    layout.set_trial("credit", Trial(release=c, share=0.1))
    assert layout.prune("credit", keep=1) == (d,)
    assert layout.read("credit").staged == (e, c, b, a)
    assert layout.prune("credit", keep=1) == ()
    layout.set_trial("credit", None)
    assert layout.prune("credit", keep=0) == (e, c)


def test_pruning_leaves_other_artifacts_alone(layout: Layout, tmp_path: Path) -> None:
    other = make_release(tmp_path / "o", "o", artifact="churn")
    layout.stage(other, tmp_path / "o", python=None)
    mine = stage(layout, tmp_path, "a")
    assert layout.prune("credit", keep=0) == (mine.id,)
    assert layout.read("churn").staged == (other.id,)


def test_pruning_finishes_what_was_cut_short(layout: Layout, tmp_path: Path) -> None:
    release = stage(layout, tmp_path, "a")
    layout.path(release.id).rename(layout.releases / f".{release.id}.gone")
    assert layout.prune("credit", keep=3) == ()
    assert list(layout.releases.iterdir()) == []


def test_a_release_that_is_not_there_is_an_error_with_a_way_out(layout: Layout) -> None:
    with pytest.raises(DeploymentError, match="Release v9-x is not on prod") as caught:
        layout.release("v9-x")
    assert caught.value.hint == "Deploy it again."


@pytest.mark.parametrize("text", ['{"schema": "mod', '{"artifacts": 3}', "\xff"])
def test_a_damaged_state_is_an_error_not_an_empty_target(layout: Layout, text: str) -> None:
    layout.folder.mkdir()
    (layout.folder / "state.json").write_text(text, encoding="latin-1")
    with pytest.raises(DeploymentError, match="damaged"):
        layout.read("credit")


def test_a_state_of_another_schema_is_refused(layout: Layout) -> None:
    layout.folder.mkdir()
    (layout.folder / "state.json").write_text('{"schema": "modelci.target/2"}')
    with pytest.raises(DeploymentError, match=r"is a 'modelci\.target/2', not a"):
        layout.read_state()


HOLDER = """
import sys, pathlib
from modelci.adapters.targets.layout import Layout
with Layout("prod", pathlib.Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_the_lock_names_who_holds_it_and_dies_with_them(layout: Layout) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(layout.folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(TargetBusyError, match=rf"process {holder.pid}\) since 2") as caught,
            layout.lock(),
        ):
            pass
        assert caught.value.hint is not None
        holder.kill()
    with layout.lock():
        pass
    with layout.lock():
        pass


def test_a_file_in_the_way_of_a_targets_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "srv").write_text("x")
    for path in (tmp_path / "srv", tmp_path / "srv/models"):
        with pytest.raises(DeploymentError) as raised, Layout("prod", path).lock():
            pass
        assert raised.value.hint == (
            f"{tmp_path / 'srv'} is a file: move it away, or set deploy.targets.prod.path to "
            "another folder."
        )
