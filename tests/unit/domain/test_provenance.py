"""What is found of a version: agreement, contradiction, and what could not be looked at."""

import re
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from modelci.domain.changes import DataKind, TrackedFile, ValueKey
from modelci.domain.gates import Threshold
from modelci.domain.metrics import MetricKey
from modelci.domain.pipeline import PipelineStage
from modelci.domain.provenance import (
    CheckState,
    FileBytes,
    Finding,
    OutputState,
    Provenance,
    check_digest,
    check_files,
    check_lock,
    check_provenance,
    compare_metrics,
    compare_outputs,
    conclude,
    digest_files,
    digests_of,
    find_tracked,
    nothing_fails,
    split_tracked,
)
from modelci.domain.snapshot import Snapshot

DOCS = Path(__file__).parents[3] / "docs"
TAG, COMMIT = "m@v1.0.0", "c" * 40
MODEL = TrackedFile(path="model", kind=DataKind.MODEL, hash="a" * 32)
ROWS = TrackedFile(path="rows", kind=DataKind.DATA, hash=f"{'b' * 32}.dir")
METRICS = TrackedFile(path="metrics.json", kind=DataKind.METRICS, hash="d" * 32)
AUC = MetricKey(path="metrics.json", name="auc")
SNAPSHOT = Snapshot(
    stages=(PipelineStage(name="train", cmd=("x",), outs=("model", "metrics.json")),),
    tracked={one.path: one for one in (MODEL, ROWS, METRICS)},
    params={ValueKey(path="params.yaml", name="lr"): 0.1},
    locks={"dvc.lock": "e" * 40},
    metrics={AUC: 0.8},
)
SAID = Provenance(
    tag=TAG,
    artifact="m",
    path="model",
    commit=COMMIT,
    builder="urn:x",
    subjects={"model": {"md5": "a" * 32, "sha256": "9" * 64}},
    locks={"dvc.lock": "e" * 40},
    inputs={"rows": {"dvc_md5_dir": "b" * 32}},
    params={"params.yaml:lr": 0.1},
)
FILE = FileBytes(path="model", recorded="a" * 32, found="a" * 32, sha256="9" * 64, size=5)


def states(findings: object) -> dict[str, str]:
    assert isinstance(findings, tuple | list)
    return {one.subject: str(one.state) for one in findings}


def test_what_agrees_is_ok() -> None:
    findings = [
        check_lock(SNAPSHOT, "model", f"md5:{'a' * 32}"),
        *check_provenance(SAID, SNAPSHOT, tag=TAG, commit=COMMIT),
        *check_files([FILE], SAID),
    ]
    assert set(states(findings).values()) == {"ok"}
    assert len(findings) == 9
    assert nothing_fails(findings)


@pytest.mark.parametrize(
    ("said", "subject"),
    [
        (replace(SAID, tag="m@v2.0.0"), "provenance: tag"),
        (replace(SAID, commit="f" * 40), "provenance: commit"),
        (replace(SAID, locks={"dvc.lock": "f" * 40}), "provenance: lock file dvc.lock"),
        (replace(SAID, locks={}), "provenance: lock file dvc.lock"),
        (
            replace(SAID, inputs={"rows": {"dvc_md5_dir": "c" * 32}}),
            "provenance: input rows dvc_md5_dir",
        ),
        (replace(SAID, inputs={}), "provenance: input rows dvc_md5_dir"),
        (replace(SAID, params={"params.yaml:lr": "0.1"}), "provenance: parameter params.yaml:lr"),
    ],
)
def test_what_contradicts_is_named(said: Provenance, subject: str) -> None:
    findings = check_provenance(said, SNAPSHOT, tag=TAG, commit=COMMIT)
    assert [one.subject for one in findings if one.state is CheckState.FAILED] == [subject]
    assert not nothing_fails(findings)


@pytest.mark.parametrize(
    ("file", "said", "failed"),
    [
        (replace(FILE, found="0" * 32), None, ["model: md5"]),
        (replace(FILE, sha256="0" * 64), SAID, ["model: provenance sha256"]),
        (replace(FILE, recorded="0" * 32, found="0" * 32), SAID, ["model: provenance md5"]),
        (FILE, replace(SAID, subjects={}), ["model: provenance"]),
        (
            FILE,
            replace(SAID, subjects={**SAID.subjects, "other": {"md5": "a"}}),
            ["other: provenance"],
        ),
    ],
)
def test_bytes_that_are_not_what_was_said_fail(
    file: FileBytes, said: Provenance | None, failed: list[str]
) -> None:
    findings = list(check_files([file], said))
    assert [one.subject for one in findings if one.state is CheckState.FAILED] == failed


def test_what_cannot_be_looked_at_is_named_and_fails_nothing() -> None:
    absent = replace(FILE, found=None, sha256=None)
    weak = replace(SAID, subjects={"model": {"md5": "a" * 32, "blake9": "1"}})
    for said, unchecked in (
        (SAID, {"model: md5", "model: provenance sha256"}),
        (weak, {"model: md5", "model: provenance blake9", "model: provenance sha256"}),
    ):
        findings = list(check_files([absent], said))
        assert {one.subject for one in findings if one.state is CheckState.UNCHECKED} == unchecked
        assert all(one.detail for one in findings if one.state is CheckState.UNCHECKED)
        assert nothing_fails(findings)
    assert check_lock(SNAPSHOT, "model", None) == Finding(
        subject="tag and dvc.lock",
        state=CheckState.UNCHECKED,
        detail="the tag's message says no hash",
    )


def test_a_file_lies_in_the_folder_that_is_tracked() -> None:
    assert find_tracked(SNAPSHOT, "rows/a/b.csv") == ROWS
    assert find_tracked(SNAPSHOT, "rowsx") is None
    assert split_tracked(SNAPSHOT, MODEL) == ((ROWS,), (METRICS,))


def test_digests_bear_in_totos_names_or_ours() -> None:
    assert digests_of("ab", "md5") == {"md5": "ab"}
    assert digests_of("ab.dir", "md5") == {"dvc_md5_dir": "ab"}
    assert digests_of("ab", "md5-dos2unix") == {"dvc_md5_dos2unix": "ab"}
    assert digests_of("ab.dir", "md5-dos2unix") == {"dvc_md5_dos2unix_dir": "ab"}
    assert digests_of(None, "md5") == {}


@pytest.mark.parametrize(
    ("found", "tolerance", "ok"),
    [
        (0.8, Threshold(value=0.0), True),
        (0.81, Threshold(value=0.0), False),
        (0.81, Threshold(value=0.011), True),
        (0.81, Threshold(value=0.02, relative=True), True),
        (0.81, Threshold(value=0.01, relative=True), False),
        (None, Threshold(value=1.0), False),
    ],
)
def test_metrics_agree_within_the_tolerance(
    found: float | None, tolerance: Threshold, *, ok: bool
) -> None:
    again = {} if found is None else {AUC: found}
    (one,) = compare_metrics({AUC: 0.8}, again, tolerance)
    assert one.ok is ok


def test_a_version_is_reproduced_by_its_metrics_or_else_by_its_bytes() -> None:
    other = replace(SNAPSHOT, tracked={**SNAPSHOT.tracked, "model": replace(MODEL, hash="0" * 32)})
    less = replace(SNAPSHOT, tracked={"rows": ROWS, "metrics.json": METRICS})
    exact = Threshold(value=0.0)
    metrics = compare_metrics(SNAPSHOT.metrics, SNAPSHOT.metrics, exact)
    found = {
        name: compare_outputs(SNAPSHOT, again)
        for name, again in {"same": SNAPSHOT, "other": other, "less": less}.items()
    }
    assert [one.state for one in found["other"]] == [OutputState.SAME, OutputState.DIFFERS]
    assert [one.state for one in found["less"]] == [OutputState.SAME, OutputState.MISSING]
    assert conclude(found["same"], metrics, exact).ok
    assert conclude(found["other"], metrics, exact).ok
    assert not conclude(found["less"], metrics, exact).ok
    assert conclude(found["same"], (), exact).ok
    assert not conclude(found["other"], (), exact).ok


# -- sha256, as tags keep it -----------------------------------------------------------------------


def hashed(path: str, data: bytes | None) -> FileBytes:
    digest = None if data is None else sha256(data).hexdigest()
    return FileBytes(path=path, recorded="md5", found=digest and "md5", sha256=digest)


def test_a_files_digest_is_its_own() -> None:
    assert digest_files("m", [hashed("m", b"x")]) == sha256(b"x").hexdigest()


def test_a_folders_digest_is_what_the_documented_command_prints(tmp_path: Path) -> None:
    names = {
        "a": b"1",
        "b/c": b"2",
        "B": b"",
        "é": b"3",
        "a b": b"4",
        "new\nline": b"5",
        "back\\slash": b"6",
        "a.b": b"7",
        "a/b": b"8",
    }
    del names["a"]  # it cannot be a file and a folder
    for name, data in names.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    documented = (DOCS / "promotion.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^(find \. .*sha256sum)$", documented, re.MULTILINE)
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    files = [hashed(f"models/m/{name}", data) for name, data in names.items()]
    assert digest_files("models/m", files) == f"tree:{done.stdout.decode().split()[0]}"
    assert digest_files("models/m", files[::-1]) == digest_files("models/m", files)


def test_a_folder_of_one_file_is_no_file() -> None:
    found = digest_files("m", [hashed("m/a", b"x")])
    assert found is not None
    assert found.startswith("tree:")
    assert found != digest_files("m", [hashed("m/b", b"x")])


def test_without_all_bytes_there_is_no_digest() -> None:
    assert digest_files("m", []) is None
    assert digest_files("m", [hashed("m", None)]) is None
    assert digest_files("m", [hashed("m/a", b"x"), hashed("m/b", None)]) is None


@pytest.mark.parametrize(
    ("said", "data", "state"),
    [
        (sha256(b"x").hexdigest(), b"x", CheckState.OK),
        (sha256(b"y").hexdigest(), b"x", CheckState.FAILED),
        (sha256(b"x").hexdigest(), None, CheckState.UNCHECKED),
        (None, b"x", CheckState.UNCHECKED),
    ],
)
def test_the_tags_digest_is_held_against_the_bytes(
    said: str | None, data: bytes | None, state: CheckState
) -> None:
    assert check_digest("m", [hashed("m", data)], said).state is state


@pytest.mark.parametrize(
    ("file", "refusal"),
    [
        (FileBytes(path="m", recorded="a", found="a"), None),
        (FileBytes(path="m", recorded=None), "m: dvc.lock names no such file"),
        (FileBytes(path="m", recorded="a"), "m: there are no bytes of md5 a"),
        (
            FileBytes(path="m", recorded="a", source="store: s3://x"),
            "m: there are no bytes of md5 a at store: s3://x",
        ),
        (
            FileBytes(path="m", recorded="a", found="b", source="store: s3://x"),
            "m: the bytes at store: s3://x are not those that dvc.lock names: md5 b, not a",
        ),
    ],
)
def test_bytes_say_why_they_are_not_to_be_used(file: FileBytes, refusal: str | None) -> None:
    assert file.refusal == refusal
    assert file.is_right is (refusal is None)
