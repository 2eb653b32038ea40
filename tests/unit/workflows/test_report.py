from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock, metrics

from modelci.config.load import load
from modelci.domain.events import CIContext, EventKind
from modelci.domain.gates import Outcome
from modelci.domain.pipeline import ChangeKind, Run, StageRun, StageStatus
from modelci.domain.report import Report
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError, UsageError
from modelci.ports import FileTree
from modelci.workflows.report import make_report

ROOT = Path("/repository")
STRICT = b"gates:\n  - {metric: auc, max_drop: 0.01}\n"
LOOSE = b"gates:\n  - {metric: auc, max_drop: 0.5}\n"


@dataclass(kw_only=True)
class Given(FakeSnapshots):
    """Reads what it was given of the head, and of the base: a snapshot, or why there is none."""

    head: Snapshot
    base: Snapshot | ConfigError

    def read(self, tree: FileTree, *, pull: bool = False) -> Snapshot:
        del pull
        one = self.base if tree.read(["at"]) == {"at": b"base"} else self.head
        if isinstance(one, ConfigError):
            raise one
        return one


def files(auc: float, config: bytes | None = STRICT, **more: bytes) -> dict[str, bytes]:
    found = {"dvc.lock": lock("one"), "metrics.json": metrics(auc=auc), **more}
    return found | ({"modelci.yaml": config} if config is not None else {})


def change(base: dict[str, bytes], head: dict[str, bytes]) -> FakeGit:
    """Return a clone at the head of a branch that changes ``base`` into ``head``."""
    remote = FakeRemote()
    start = remote.commit(base)
    remote.commit(head, branch="side", parents=[start])
    return FakeGit(ROOT, remote, at=remote.branches["side"], branch="side")


def report_on(
    git: FakeGit,
    *,
    base: str | None = None,
    head: str | None = None,
    context: CIContext | None = None,
    reader: FakeSnapshots | None = None,
    pull: bool = False,
    run: Run | None = None,
) -> Report:
    return make_report(
        git=git,
        reader=reader or FakeSnapshots(),
        config=load(git.files.get("modelci.yaml")).config,
        context=context or CIContext(),
        progress=RecordedProgress(),
        now=lambda: "2025-01-01T00:00:00Z",
        version="1.0",
        base=base,
        head=head,
        pull=pull,
        run=run,
    )


def test_a_change_is_judged_by_the_bases_gates_and_its_edit_of_them_is_shown() -> None:
    report = report_on(change(files(0.8), files(0.7, LOOSE)))
    (result,) = report.gates
    assert result.outcome is Outcome.FAILED
    assert str(result.gate) == "auc max_drop 0.01"
    assert not report.is_ok
    assert [(str(one.kind), str(one.gate)) for one in report.gate_changes] == [
        ("deleted", "auc max_drop 0.01"),
        ("added", "auc max_drop 0.5"),
    ]
    assert [one.path for one in report.files] == ["modelci.yaml"]


def test_a_head_that_deletes_the_gates_is_judged_by_them() -> None:
    report = report_on(change(files(0.8), files(0.7, None)))
    assert not report.is_ok
    assert [one.kind for one in report.gate_changes] == [ChangeKind.DELETED]


def test_a_head_cannot_turn_a_metrics_direction_round() -> None:
    gates = b"gates:\n  - {metric: my_score, max_drop: 0.01}\nmetrics: {my_score: %s}\n"
    base = {"metrics.json": metrics(my_score=0.8), "modelci.yaml": gates % b"higher"}
    head = {"metrics.json": metrics(my_score=0.1), "modelci.yaml": gates % b"lower"}
    assert not report_on(change(base, head)).is_ok


def test_uncommitted_gates_do_not_judge_either() -> None:
    git = change(files(0.8), files(0.7))
    git.files["modelci.yaml"] = LOOSE
    report = report_on(git)
    assert not report.is_ok
    assert report.head.dirty
    assert len(report.gate_changes) == 2


def test_a_base_without_gates_takes_the_heads_and_says_so() -> None:
    report = report_on(change(files(0.8, None), files(0.7)))
    assert not report.is_ok
    assert report.notes == ("The base has no modelci.yaml: the gates are the head's own.",)
    assert report.gate_changes == ()


def test_a_base_whose_configuration_is_broken_takes_the_heads_and_says_where() -> None:
    report = report_on(change(files(0.8, b"gatess: []\n"), files(0.8)))
    assert report.is_ok
    assert "modelci.yaml of the base:1: unknown key 'gatess'" in report.notes[0]


def test_a_head_whose_configuration_is_broken_is_an_error() -> None:
    git = change(files(0.8), files(0.8))
    head = git.origin.commit(files(0.8, b"x: 1\n"), branch="side") if git.origin else ""
    git.fetch([head])
    with pytest.raises(ConfigError, match=r"modelci.yaml of the head:1: unknown key 'x'"):
        report_on(git, head=head)


@pytest.mark.parametrize(
    ("hint", "said"),
    [("Correct dvc.yaml.", "Correct dvc.yaml. Or name"), (None, "Mend it there. Or name another")],
)
def test_a_base_that_cannot_be_read_says_what_to_do_about_it(hint: str | None, said: str) -> None:
    reader = Given(head=Snapshot(), base=ConfigError("dvc.yaml is broken.", hint=hint))
    git = change({"at": b"base"}, {"at": b"head"})
    with pytest.raises(ConfigError, match=r"cannot be compared with: dvc.yaml is broken") as raised:
        report_on(git, reader=reader)
    assert said in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("path", "notes", "why"),
    [
        ("dvc.yaml", (), "it names nothing to report on."),
        ("sub/dvc.yaml", ("m is empty",), "what there is of metrics cannot be read."),
        ("README.md", (), "there is no dvc.yaml and no .dvc file to report on."),
    ],
)
def test_where_dvc_tracks_nothing_the_report_says_why(
    path: str, notes: tuple[str, ...], why: str
) -> None:
    nothing = Snapshot(notes=notes)
    git = change({"at": b"base"}, {path: b""})
    report = report_on(git, reader=Given(head=nothing, base=nothing))
    assert f"DVC tracks nothing here: {why}" in report.notes


def test_without_a_base_nothing_is_compared_and_bounds_still_hold() -> None:
    remote = FakeRemote()
    gates = b"gates:\n  - {metric: auc, min: 0.9, max_drop: 0.1}\n"
    remote.commit(files(0.8, gates))
    report = report_on(FakeGit(ROOT, remote))
    assert report.base is None
    assert [one.outcome for one in report.gates] == [Outcome.FAILED, Outcome.INCOMPARABLE]
    assert "There is no base" in report.notes[0]
    assert report.files == ()


def test_everything_that_differs_is_in_the_report() -> None:
    base = files(0.8, **{"params.json": metrics(depth=3), "train.py": b"1"})
    head = files(0.81, **{"params.json": metrics(depth=4), "train.py": b"2"})
    head["dvc.lock"] = lock("two")
    report = report_on(change(base, head))
    (metric,) = report.metrics
    assert (metric.base, metric.head) == (0.8, 0.81)
    assert [(str(one.key), one.base, one.head) for one in report.params] == [
        ("params.json:depth", 3, 4)
    ]
    assert [(one.path, one.kind) for one in report.data] == [("models/m.skops", ChangeKind.CHANGED)]
    # Metrics and lock files are shown as what they hold, not as files.
    assert [one.path for one in report.files] == ["params.json", "train.py"]
    assert report.locks
    assert report.notes == ()


def test_numbers_that_may_be_of_other_code_are_noted() -> None:
    head = files(0.8)
    head["dvc.lock"] = lock("two", stale=True)
    (note,) = report_on(change(files(0.8), head)).notes
    assert "dvc.lock is out of date for stage train (train.py changed)" in note


def test_two_named_revisions_are_compared_without_a_checkout() -> None:
    git = change(files(0.8), files(0.9))
    git.files["metrics.json"] = metrics(auc=0.1)
    report = report_on(git, base="origin/main", head="HEAD")
    assert report.metrics[0].head == 0.9
    assert not report.head.dirty
    with pytest.raises(UsageError):
        report_on(git, base="nowhere")


def test_a_pull_requests_report_is_of_the_head_that_people_see() -> None:
    remote = FakeRemote()
    start = remote.commit(files(0.8))
    head = remote.commit(files(0.81), branch="side", parents=[start])
    merge = remote.commit(files(0.81), branch="pull", parents=[start, head])
    context = CIContext(
        event=EventKind.PULL_REQUEST, sha=merge, head_sha=head, base_ref="main", run_url="u"
    )
    git = FakeGit(ROOT, remote, at=merge, branch=None, depth=1)
    report = report_on(git, context=context)
    assert (report.head.sha, report.head_sha, report.run_url) == (merge, head, "u")
    assert report_on(git, context=context, head=merge, base=start).head_sha == merge


def test_only_a_report_that_was_asked_to_pulls() -> None:
    for pull in (False, True):
        reader = FakeSnapshots()
        report_on(change(files(0.8), files(0.8)), reader=reader, pull=pull)
        # The head's state is what one who pulls nothing finds again.
        assert reader.pulls == ([True, True, False] if pull else [False, False])


def test_the_state_of_a_report_is_that_of_its_head() -> None:
    same = report_on(change(files(0.8), files(0.7))).state
    assert same is not None
    assert report_on(change(files(0.9), files(0.7))).state == same
    assert report_on(change(files(0.8), files(0.75))).state != same


def test_a_failed_run_is_never_ok() -> None:
    stages = (StageRun(name="train", status=StageStatus.FAILED, exit_code=1),)
    run = Run(revision=None, dirty=False, started="", seconds=1, stages=stages)
    report = report_on(change(files(0.8), files(0.8)), run=run)
    assert not report.verdict.blocked
    assert not report.is_ok


JUDGING = b"""\
gates: [{metric: auc, max_drop: 0.01}]
metrics: {my_score: higher}
evaluation: {predictions: p.csv, alpha: 0.05}
slices: {by: [region, age], max_drop: 0.01}
fairness: [{column: sex, metric: demographic_parity, max: 0.1}]
budget: [{path: m.pkl, max_bytes: 5 MB}]
baseline: {metrics: [auc]}
data: [{path: d.csv, columns: {age: {min: 0}}}]
"""
LOOSENED = b"""\
gates: [{metric: auc, max_drop: 0.01, missing: ignore}]
metrics: {my_score: lower}
evaluation: {predictions: p.csv, alpha: 0.0001, retrain_sd: {auc: 9}}
slices: {by: [region], max_drop: 0.9}
fairness: [{column: sex, metric: demographic_parity, max: 0.9}]
"""


def test_every_edit_of_what_judges_is_shown() -> None:
    report = report_on(change(files(0.8, JUDGING), files(0.8, LOOSENED)))
    assert [str(one) for one in report.setting_changes] == [
        "metrics.my_score: higher → lower",
        "evaluation[p.csv].alpha: 0.05 → 0.0001",
        "evaluation[p.csv].retrain_sd.auc: not set → 9",
        "slices.by[age]: age → not set",
        "slices.max_drop: 0.01 → 0.9",
        "fairness[demographic_parity of sex].max: 0.1 → 0.9",
        "budget[m.pkl]: path: m.pkl, max_bytes: 5 MB → not set",
        "baseline.metrics[auc]: auc → not set",
        "data[d.csv]: path: d.csv, columns: age: min: 0 → not set",
    ]
    assert [str(one) for one in report.gate_changes] == [
        "deleted: auc max_drop 0.01",
        "added: auc max_drop 0.01, missing: ignore",
    ]


def test_what_judges_is_unchanged_where_nothing_of_it_is_edited() -> None:
    report = report_on(change(files(0.8, JUDGING), files(0.7, JUDGING)))
    assert report.setting_changes == ()


def test_a_second_entry_of_a_name_and_another_order_are_edits_too() -> None:
    base = b"budget: [{path: m, max_bytes: 5}]\nevaluation: {predictions: p}\nslices: {by: [a, b]}"
    head = (
        b"budget: [{path: m, max_bytes: 5}, {path: m, max_increase: 1}]\n"
        b"evaluation: {predictions: p}\nslices: {by: [b, a]}"
    )
    report = report_on(change(files(0.8, base), files(0.8, head)))
    assert [str(one) for one in report.setting_changes] == [
        "slices.by: [a, b] → [b, a]",
        "budget[m#2]: not set → path: m, max_increase: 1",
    ]


@pytest.mark.parametrize("pushed", [True, False])
def test_what_is_merged_is_judged_by_its_own_gates_without_a_version_too(pushed: bool) -> None:
    remote = FakeRemote()
    start = remote.commit(files(0.8))
    head = remote.commit(files(0.7, LOOSE), parents=[start])
    push = CIContext(
        event=EventKind.PUSH, sha=head, before=start, branch="main", default_branch="main"
    )
    git = FakeGit(ROOT, remote, at=head, branch="main")
    report = report_on(git, context=push if pushed else None)
    (result,) = report.gates
    assert str(result.gate) == "auc max_drop 0.5"
    assert report.is_ok
    assert (report.gate_changes, report.setting_changes) == ((), ())


def test_an_uncommitted_change_on_the_default_branch_is_not_merged() -> None:
    remote = FakeRemote()
    git = FakeGit(ROOT, remote, at=remote.commit(files(0.8)), branch="main")
    git.files.update(files(0.7, LOOSE))
    assert not report_on(git).is_ok
