"""History is read from first parents or versions, the oldest first; gaps stay gaps."""

from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.snapshots import METRICS, FakeSnapshots, metrics

from modelci.config.model import Config, ReportConfig
from modelci.domain.history import History
from modelci.domain.metrics import Direction, MetricKey
from modelci.domain.promotion import PlannedTag
from modelci.errors import UsageError
from modelci.workflows.history import commit_history, gather_history, version_history

ROOT = Path("/repository")
AUC = MetricKey(path=METRICS, name="roc_auc")


@pytest.fixture
def remote() -> FakeRemote:
    return FakeRemote()


def grow(remote: FakeRemote, *values: float | None, branch: str = "main") -> list[str]:
    return [
        remote.commit(
            {METRICS: metrics(**({} if value is None else {"roc_auc": value}))}, branch=branch
        )
        for value in values
    ]


def release(git: FakeGit, commit: str, *names: str, seconds: int = 0) -> None:
    for name in names:
        tag = PlannedTag(
            name=name,
            artifact=name.partition("@")[0],
            commit=commit,
            seconds=seconds,
            subject=f"Register {name}",
            trailers=(("Lock", "abc"),),
        )
        git.tag_objects[name] = tag


def values(history: History) -> list[object]:
    (one,) = history.metrics
    return [point.value for point in one.points]


def test_the_last_commits_come_the_oldest_first_and_a_gap_is_none(remote: FakeRemote) -> None:
    shas = grow(remote, 0.1, 0.2, None, 0.4)
    git = FakeGit(ROOT, remote)
    found = commit_history(git, FakeSnapshots(), Config(), "roc_auc", last=3)
    assert found.of == "The last 3 commits of main"
    (one,) = found.metrics
    assert [point.sha for point in one.points] == shas[1:]
    assert [point.value for point in one.points] == [0.2, None, 0.4]
    assert [point.name for point in one.points] == [sha[:7] for sha in shas[1:]]
    assert (one.key, one.direction, found.notes) == (AUC, Direction.HIGHER, ())


def test_what_came_by_a_merge_is_not_a_step_of_the_branch(remote: FakeRemote) -> None:
    (start,) = grow(remote, 0.1)
    side = remote.commit({METRICS: metrics(roc_auc=0.9)}, branch="side", parents=[start])
    remote.commit({METRICS: metrics(roc_auc=0.3)}, branch="main", parents=[start, side])
    git = FakeGit(ROOT, remote)
    assert values(commit_history(git, FakeSnapshots(), Config(), "roc_auc", last=9)) == [0.1, 0.3]


def test_a_glob_means_several_metrics_in_order(remote: FakeRemote) -> None:
    remote.commit({METRICS: metrics(**{"b.f1": 1, "a.f1": 2, "ks": 3})})
    found = commit_history(FakeGit(ROOT, remote), FakeSnapshots(), Config(), "*.f1", last=5)
    assert [one.key.name for one in found.metrics] == ["a.f1", "b.f1"]


def test_a_metric_that_no_commit_has_is_an_error_that_names_near_ones(remote: FakeRemote) -> None:
    grow(remote, 0.1)
    with pytest.raises(UsageError, match="no metric 'roc_acu'") as caught:
        commit_history(FakeGit(ROOT, remote), FakeSnapshots(), Config(), "roc_acu", last=5)
    assert caught.value.hint == "There are, say, roc_auc."


def test_a_commit_that_cannot_be_read_is_a_gap_and_a_note(remote: FakeRemote) -> None:
    grow(remote, 0.1)
    bad = [remote.commit({METRICS: b"{" * count}) for count in range(1, 6)]
    grow(remote, 0.2)
    found = commit_history(FakeGit(ROOT, remote), FakeSnapshots(), Config(), "roc_auc", last=9)
    assert values(found) == [0.1, None, None, None, None, None, 0.2]
    assert len(found.notes) == 4
    assert found.notes[0] == f"{bad[0][:7]} was left out: {METRICS} cannot be read."
    assert found.notes[-1] == "2 more were left out"


def test_a_shallow_clone_says_what_it_lacks(remote: FakeRemote) -> None:
    grow(remote, 0.1, 0.2, 0.3)
    git = FakeGit(ROOT, remote, depth=2)
    found = commit_history(git, FakeSnapshots(), Config(), "roc_auc", last=5)
    assert values(found) == [0.2, 0.3]
    (note,) = found.notes
    assert note.startswith("This clone is shallow and has only 2 of 5 commits")
    assert commit_history(git, FakeSnapshots(), Config(), "roc_auc", last=2).notes == ()


def test_versions_come_in_the_order_of_their_numbers_without_withdrawn_ones(
    remote: FakeRemote,
) -> None:
    first, second, third = grow(remote, 0.1, 0.2, 0.3)
    git = FakeGit(ROOT, remote)
    release(git, first, "m@v1.0.0", seconds=3)
    release(git, second, "m@v1.10.0", seconds=1)
    release(git, third, "m@v1.9.0", seconds=2)
    found = version_history(git, FakeSnapshots(), Config(), "roc_auc", last=9)
    (one,) = found.metrics
    assert [(point.name, point.value) for point in one.points] == [
        ("v1.0.0", 0.1),
        ("v1.9.0", 0.3),
        ("v1.10.0", 0.2),
    ]
    assert one.points[0].subject == "Register m@v1.0.0"
    release(git, third, "m@v1.9.0!", seconds=9)
    last = version_history(git, FakeSnapshots(), Config(), "roc_auc", last=1, artifact="m")
    assert values(last) == [0.2]
    assert values(version_history(git, FakeSnapshots(), Config(), "roc_auc", last=9)) == [0.1, 0.2]


def test_of_several_artifacts_one_has_to_be_named(remote: FakeRemote) -> None:
    (sha,) = grow(remote, 0.1)
    git = FakeGit(ROOT, remote)
    with pytest.raises(UsageError, match="speaks of any artifact"):
        version_history(git, FakeSnapshots(), Config(), "roc_auc", last=9)
    release(git, sha, "a@v1.0.0", "b@v1.0.0")
    with pytest.raises(UsageError, match="2 artifacts") as caught:
        version_history(git, FakeSnapshots(), Config(), "roc_auc", last=9)
    assert caught.value.hint == "Name one: --versions NAME, of a, b."
    with pytest.raises(UsageError, match="speaks of an artifact 'c'"):
        version_history(git, FakeSnapshots(), Config(), "roc_auc", last=9, artifact="c")


def test_a_report_looks_back_from_its_base(remote: FakeRemote) -> None:
    shas = grow(remote, 0.1, 0.2, 0.3, 0.4)
    git = FakeGit(ROOT, remote)
    other = MetricKey(path=METRICS, name="nowhere")
    config = Config(report=ReportConfig(history=3))
    (one,) = gather_history(git, FakeSnapshots(), config, [AUC, AUC, other], until=shas[2])
    assert [point.value for point in one.points] == [0.1, 0.2, 0.3]
    assert gather_history(git, FakeSnapshots(), config, [], until=shas[2]) == ()
    for few in (0, 1):
        config = Config(report=ReportConfig(history=few))
        assert gather_history(git, FakeSnapshots(), config, [AUC], until=shas[2]) == ()


def test_where_history_is_cut_a_report_shows_none(remote: FakeRemote) -> None:
    grow(remote, 0.1, 0.2, 0.3)
    git = FakeGit(ROOT, remote, depth=1)
    head = git.head()
    assert head is not None
    assert gather_history(git, FakeSnapshots(), Config(), [AUC], until=head.sha) == ()
