"""Models are scanned by the base's settings, and an unsafe one blocks."""

from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress
from tests.fakes.scanner import FakeScanner
from tests.fakes.snapshots import MODEL, FakeSnapshots, lock, metrics
from tests.fakes.trees import FolderTree

from modelci.config.load import load
from modelci.domain.artifacts import Artifact
from modelci.domain.events import CIContext
from modelci.domain.gates import Outcome, Subject
from modelci.domain.modelfiles import Trust
from modelci.domain.report import Report
from modelci.domain.snapshot import Snapshot
from modelci.render.rows import gate_row
from modelci.workflows.report import make_report
from modelci.workflows.safety import artifacts_by_file, judge_models, scan_files, trust_in

SETTINGS = b"safety: {allow_pickle: [%s], trusted_types: [%s], scan: %s}\n"


def settings(*, pickle: str = "", types: str = "", scan: bool = True) -> bytes:
    return SETTINGS % (pickle.encode(), types.encode(), str(scan).lower().encode())


def report_on(base: bytes, head: bytes, scanner: FakeScanner, *, pull: bool = False) -> Report:
    remote = FakeRemote()
    files = {"dvc.lock": lock("one"), "metrics.json": metrics(auc=0.8)}
    start = remote.commit({**files, "modelci.yaml": base})
    remote.commit({**files, "modelci.yaml": head}, branch="side", parents=[start])
    git = FakeGit(Path("/repository"), remote, at=remote.branches["side"], branch="side")
    return make_report(
        git=git,
        reader=FakeSnapshots(),
        config=load(head).config,
        context=CIContext(),
        progress=RecordedProgress(),
        now=lambda: "2025-01-01T00:00:00Z",
        version="1.0",
        pull=pull,
        scanner=lambda: scanner,
    )


def test_an_unsafe_model_blocks_and_says_what_it_holds() -> None:
    report = report_on(settings(), settings(), FakeScanner())
    (result,) = report.gates
    assert (result.outcome, result.subject, result.blocks) == (Outcome.FAILED, Subject.SAFETY, True)
    assert result.gate.metric == f"{MODEL}: safe to load"
    assert result.reason == (
        "is a pickle: save it with skops, or allow it on the base branch by "
        "`safety.allow_pickle: [m]`; forbidden-global mine.Encoder: see `modelci scan`"
    )
    assert not report.is_ok
    assert gate_row(result).metric == f"{MODEL}: safe to load"


def test_of_a_safe_model_there_is_nothing_to_say() -> None:
    allowed = settings(pickle="m", types="mine.Encoder")
    report = report_on(allowed, allowed, FakeScanner())
    assert (report.gates, report.notes) == ((), ())


def test_a_waiver_may_mean_the_gate_whether_it_fails_or_not() -> None:
    waiver = (
        b"waivers: [{gate: '%s: safe to load', reason: ours, author: Ada, expires: 2025-02-01}]\n"
        % MODEL.encode()
    )
    allowed = settings(pickle="m", types="mine.Encoder")
    assert report_on(allowed + waiver, allowed + waiver, FakeScanner()).notes == ()
    waived = report_on(settings() + waiver, settings() + waiver, FakeScanner())
    assert waived.is_ok
    assert waived.gates[0].waiver is not None


def test_a_change_does_not_allow_its_own_pickle() -> None:
    report = report_on(settings(), settings(pickle="m", types="mine.Encoder"), FakeScanner())
    assert not report.is_ok
    assert "the head's modelci.yaml would allow it" in report.gates[0].reason
    assert {one.key.partition("[")[0] for one in report.setting_changes} == {
        "safety.trusted_types",
        "safety.allow_pickle",
    }


def test_what_neither_side_allows_is_not_said_to_be_allowed_by_the_head() -> None:
    report = report_on(settings(), settings(pickle="m"), FakeScanner())
    assert "would allow" not in report.gates[0].reason


def test_a_change_does_not_take_the_gate_off() -> None:
    untouched = report_on(settings(), settings(scan=False), FakeScanner())
    assert not untouched.is_ok
    assert "that counts once it is merged" in untouched.gates[0].reason
    scanner = FakeScanner()
    assert report_on(settings(scan=False), settings(), scanner).gates == ()
    assert scanner.asked == []


def test_a_model_that_is_not_here_is_a_note() -> None:
    scanner = FakeScanner(missing=True)
    report = report_on(settings(), settings(), scanner, pull=True)
    assert report.gates == ()
    assert report.notes[-1] == (
        f"The model m was not scanned: {MODEL} is not in the local DVC cache. Pull it."
    )
    assert [pull for *_, pull in scanner.asked] == [True]


def judge(text: str, *artifacts: Artifact, scanner: FakeScanner) -> list[str]:
    tree = FolderTree(Path("/nowhere"))
    found = judge_models(
        Snapshot(artifacts=artifacts), tree, load(text.encode()).config, lambda: scanner, pull=False
    )
    return [f"{one.gate.metric}: {one.outcome}" for one in found.gates]


def test_only_models_are_scanned() -> None:
    scanner = FakeScanner()
    kinds = {"m": "model", "n": "Model", "d": "dataset", "x": None}
    artifacts = [Artifact(name=name, path=name, type=kind) for name, kind in kinds.items()]
    assert judge("", *artifacts, scanner=scanner) == [
        "m: safe to load: failed",
        "n: safe to load: failed",
    ]


def test_each_model_has_its_own_settings() -> None:
    scanner = FakeScanner()
    text = "safety: {allow_pickle: [a]}\nmodels: {b: {flavour: lightgbm}}\n"
    artifacts = [Artifact(name=name, path=name, type="model") for name in "ab"]
    judge(text, *artifacts, scanner=scanner)
    assert [(path, trust.pickle, flavour) for path, trust, flavour, _ in scanner.asked] == [
        ("a", True, None),
        ("b", False, "lightgbm"),
    ]


def test_one_unsafe_file_of_a_folder_is_enough() -> None:
    files = tuple(f"/{number}" for number in range(4))
    scanner = FakeScanner(files=files)
    tree = FolderTree(Path("/nowhere"))
    found = judge_models(
        Snapshot(artifacts=(Artifact(name="m", path="m", type="model"),)),
        tree,
        load(b"safety: {allow_pickle: [m]}\n").config,
        lambda: scanner,
        pull=False,
    )
    (result,) = found.gates
    assert result.reason.endswith(" and 1 more: see `modelci scan`")
    assert "pickle" not in result.reason


def test_trust_is_by_artifact(tmp_path: Path) -> None:
    safety = load(settings(pickle="m", types="a.B")).config.safety
    assert trust_in("m", safety) == Trust(types=("a.B",), pickle=True)
    assert trust_in(None, safety) == Trust(types=("a.B",), pickle=False)
    snapshot = Snapshot(artifacts=(Artifact(name="m", path="models/m.pkl"),))
    assert artifacts_by_file(tmp_path, snapshot) == {(tmp_path / "models/m.pkl").resolve(): "m"}


@pytest.mark.parametrize("folder", [False, True])
def test_files_on_disk_are_scanned_each_with_its_own_trust(folder: bool, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "m.json").write_text("{}")
    paths = [tmp_path / name if folder else tmp_path / name / "m.json" for name in ("a", "b")]
    asked: list[Path] = []

    def trust_of(path: Path) -> Trust:
        asked.append(path)
        return Trust()

    found = scan_files(paths, trust_of=trust_of)
    assert found.is_safe
    assert [one.path for one in found.files] == [
        (tmp_path / name / "m.json").as_posix() for name in ("a", "b")
    ]
    assert asked == paths
