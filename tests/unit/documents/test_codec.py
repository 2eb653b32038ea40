import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelci.documents import codec
from modelci.documents.codec import SCHEMAS
from modelci.documents.registry import registry_document
from modelci.documents.registry_views import (
    SideEntry,
    diff_document,
    history_document,
    ref_document,
    stages_document,
)
from modelci.documents.schemas import kinds, schemas
from modelci.domain.changes import DataChange, FileChange, ValueChange, ValueKey
from modelci.domain.checks import Check, Examination, Health
from modelci.domain.deployment import (
    Deployed,
    Deployment,
    Deployments,
    DeployOutcome,
    DeployStep,
    Observation,
    Release,
    ReleaseFile,
    Running,
    StepKind,
    StepRecord,
    StepState,
    TargetState,
)
from modelci.domain.gates import Gate, GateResult, Outcome, Rule, Threshold
from modelci.domain.golden import (
    Environment,
    Golden,
    InputColumn,
    OutputColumn,
    ValueType,
)
from modelci.domain.golden import (
    Health as ModelHealth,
)
from modelci.domain.history import History, HistoryPoint, MetricHistory
from modelci.domain.metrics import Direction, MetricDelta, MetricKey, NonFinite
from modelci.domain.modelfiles import Danger, FileFormat, FileScan, Scan, ScanFinding
from modelci.domain.modelsignatures import ModelSigning
from modelci.domain.monitoring import (
    Action,
    ActionKind,
    ColumnDrift,
    Monitoring,
    TriggerKind,
    Watched,
)
from modelci.domain.pipeline import (
    ChangeKind,
    Plan,
    PlannedStage,
    PlannedState,
    Run,
    StageRun,
    StageStatus,
)
from modelci.domain.profile import (
    Calibration,
    ColumnKind,
    ColumnProfile,
    NumberProfile,
    Profile,
    Realised,
)
from modelci.domain.promotion import PlannedTag, Promotion, Unpromoted
from modelci.domain.provenance import CheckState, Finding, VersionCheck, conclude
from modelci.domain.registry import Holder, TagRecord, fold_registry, list_events
from modelci.domain.report import GateChange, Report, Revision
from modelci.domain.retraining import Retraining
from modelci.domain.rollback import RegistryChange
from modelci.domain.signatures import Standing, TagSignature, Verification
from modelci.domain.tags import TagName
from modelci.errors import ConfigError

TEXT = st.text(max_size=6)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = FLOATS | st.sampled_from(NonFinite)
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | FLOATS | TEXT


def small(values: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=2).map(tuple)


METRIC_KEYS = st.builds(MetricKey, path=TEXT, name=TEXT)
DELTAS = st.builds(MetricDelta, key=METRIC_KEYS, base=st.none() | VALUES, head=st.none() | VALUES)
GATES = st.builds(Gate, threshold=st.builds(Threshold, value=FLOATS))
RUNS = st.builds(
    Run,
    seconds=FLOATS,
    stages=small(st.builds(StageRun, seconds=st.none() | FLOATS)),
)
REPORTS = st.builds(
    Report,
    metrics=small(DELTAS),
    texts=small(st.builds(ValueChange, base=LEAVES, head=LEAVES)),
    params=small(st.builds(ValueChange, base=LEAVES, head=LEAVES)),
    data=small(st.from_type(DataChange)),
    gates=small(st.builds(GateResult, gate=GATES, key=st.none() | METRIC_KEYS, delta=DELTAS)),
    gate_changes=small(st.builds(GateChange, gate=GATES)),
    run=st.none() | RUNS,
    locks=st.none() | st.dictionaries(TEXT, TEXT, max_size=2),
)
PROMOTIONS = st.builds(
    Promotion,
    tags=small(st.builds(PlannedTag, seconds=st.integers(0, 2**40))),
    unpromoted=small(st.from_type(Unpromoted)),
)

REPORT = Report(
    base=Revision(sha="b" * 40, name="main", chosen="given"),
    head=Revision(sha="a" * 40, name="HEAD", chosen="HEAD"),
    head_sha="a" * 40,
    created="2025-01-01T00:00:00Z",
    version="1.0",
    metrics=(
        MetricDelta(
            key=MetricKey(path="m.json", name="auc"),
            base=0.1 + 0.2,
            head=NonFinite.NAN,
            direction=Direction.HIGHER,
        ),
    ),
    params=(
        ValueChange(key=ValueKey(path="p", name="a"), kind=ChangeKind.ADDED, base=None, head=True),
        ValueChange(key=ValueKey(path="p", name="b"), kind=ChangeKind.CHANGED, base=1, head=1.5),
    ),
    files=(FileChange(path="x|y\n`z`", kind=ChangeKind.ADDED),),
    gates=(
        GateResult(
            gate=Gate(metric="auc", rule=Rule.MIN, threshold=Threshold(value=0.5)),
            outcome=Outcome.FAILED,
            reason="the head's value is NaN",
            key=MetricKey(path="m.json", name="auc"),
        ),
    ),
    run=Run(
        revision=None,
        dirty=True,
        started="2025-01-01T00:00:00Z",
        seconds=1.25,
        stages=(StageRun(name="train", status=StageStatus.FAILED, exit_code=3, log_tail="é\n"),),
    ),
    locks={"dvc.lock": "c" * 40},
)
PROMOTION = Promotion(
    commit="a" * 40,
    tags=(PlannedTag(name="m@v0.0.1", artifact="m", commit="a" * 40, seconds=7, subject="R"),),
    unpromoted=(Unpromoted(artifact="n", reason="unchanged"),),
    done=True,
)


SIDE = SideEntry(
    asked="m#prod",
    artifact="m",
    version=None,
    commit="a" * 40,
    tag="m#prod#1",
    at="2026-01-01T00:00:00Z",
    by="Ann",
    metrics={"auc": 0.5, "kind": "x"},
)


def records() -> list[TagRecord]:
    found = []
    for seconds, name in enumerate(["m@v1.0.0", "m@v1.1.0-rc.1", "m#prod#1", "m@v1.0.0!"]):
        parsed = TagName.parse(name)
        assert parsed is not None
        found.append(TagRecord(name=parsed, ref=name, commit="a" * 40, seconds=seconds))
    return found


ENVIRONMENT = Environment(
    python="3.11.7", packages={"scikit-learn": "1.9.1"}, needs=("scikit-learn",)
)
RUNNING = Running(
    release="v1.0.0-0123456789ab",
    artifact="m",
    version="v1.0.0",
    tag="m#prod#1",
    commit="a" * 40,
    assigned_seconds=7,
    since="2026-01-01T00:00:00Z",
)
HEALTH = ModelHealth(ok=False, problems=("row 1: score is 0.1, not 0.2",), rows=1, worst=0.1)
DEPLOYING: "list[codec.Document]" = [
    Golden(
        model="m.skops",
        sha256="c" * 64,
        flavour="sklearn",
        inputs=(InputColumn(name="age", type=ValueType.NUMBER, min=18.0),),
        outputs=(OutputColumn(name="score"),),
        requests=({"age": None},),
        responses=({"score": 0.2},),
        environment=ENVIRONMENT,
    ),
    HEALTH,
    Scan(
        files=(
            FileScan(
                path="m.pkl",
                format=FileFormat.PICKLE,
                sha256="c" * 64,
                bytes=3,
                findings=(ScanFinding(danger=Danger.FORBIDDEN_GLOBAL, name="os.system"),),
            ),
        )
    ),
    Release(
        id="v1.0.0-0123456789ab",
        artifact="m",
        version="v1.0.0",
        commit="a" * 40,
        model="model/m.skops",
        files=(ReleaseFile(path="model/m.skops", sha256="c" * 64, bytes=3),),
        environment=ENVIRONMENT,
    ),
    Deployment(
        target="prod",
        kind="directory",
        artifact="m",
        tag="m#prod#1",
        version="v1.0.0",
        stage="prod",
        commit="a" * 40,
        outcome=DeployOutcome.SWITCHED_BACK,
        plan=(DeployStep(kind=StepKind.TRIAL, share=0.05, seconds=10.0),),
        steps=(StepRecord(kind=StepKind.CHECK, state=StepState.FAILED, detail="no"),),
        health=HEALTH,
        observations=(Observation(seconds=10.0, requests=3, errors=1),),
        before=RUNNING,
    ),
    Deployments(
        deployed=(
            Deployed(
                target="prod",
                kind="directory",
                artifact="m",
                state=TargetState(running=RUNNING, history=(RUNNING,)),
            ),
        )
    ),
]


MONTHLY = ColumnProfile(
    name="amount",
    kind=ColumnKind.NUMBER,
    dtype="double",
    rows=4,
    number=NumberProfile(edges=(0.0, 1.0), counts=(4,), min=0.0, max=1.0, mean=0.5, std=0.5),
)
WATCHING: "list[codec.Document]" = [
    Profile(
        rows=4,
        columns=(MONTHLY,),
        scores=MONTHLY,
        calibration=Calibration(scores=(0.1, 0.9), rates=(0.0, 1.0), rows=4),
        realised={"roc_auc": Realised(value=0.8, low=0.7, high=0.9, rows=4)},
        hashes={"data/train.csv": "5" * 32},
    ),
    Monitoring(
        watched=Watched(artifact="credit", stage="prod", version="v1.0.0", tag=None, commit=None),
        window="2026-03",
        current="scored/2026-03.parquet",
        created="2026-04-01T00:00:00Z",
        version="1.0.0",
        rows=4,
        columns=(ColumnDrift(name="amount", reference=MONTHLY, current=MONTHLY, psi=0.3),),
        gates=REPORT.gates,
        actions=(
            Action(kind=ActionKind.ISSUE, trigger=TriggerKind.DRIFT, reason="x", done="created"),
        ),
    ),
    Retraining(
        model="credit",
        window="2026-03",
        branch="modelci/retrain-credit",
        base="main",
        base_sha="a" * 40,
        commit="b" * 40,
        changed=("params.yaml",),
    ),
]

DOCUMENTS: "list[codec.Document]" = [
    *DEPLOYING,
    *WATCHING,
    REPORT,
    PROMOTION,
    *([REPORT.run] if REPORT.run else []),
    Plan(stages=(PlannedStage(name="train", state=PlannedState.RUN, after=("prepare",)),)),
    registry_document(fold_registry(records())),
    history_document(list_events(records())),
    stages_document(fold_registry(records()), allowed=("dev",), holder=Holder.SEMVER),
    ref_document(list_events(records())[0], fold_registry(records())[0], standing=True),
    diff_document(SIDE, SIDE),
    RegistryChange(
        action="rollback", artifact="m", reason="bad", by="Ben", stage="prod", tags=PROMOTION.tags
    ),
    Verification(
        required=True,
        tags=(TagSignature(tag="m@v1.0.0", artifact="m", standing=Standing.UNSIGNED),),
    ),
    ModelSigning(
        tag="credit@v1.2.0",
        artifact="credit",
        commit="c" * 40,
        files={"credit.skops": "5" * 64},
        ref="refs/modelci/signatures/credit@v1.2.0/4b825dc",
        method="key",
        made=True,
        signers=("release",),
        remote="origin",
    ),
    VersionCheck(
        tag="m@v1.0.0",
        artifact="m",
        commit="c" * 40,
        path="model",
        findings=(Finding(subject="tag", state=CheckState.OK, found="c" * 40),),
        ok=True,
        reproduction=conclude((), (), Threshold(value=0.01)),
    ),
    Examination(checks=(Check(name="git", health=Health.OK, detail="main"),)),
    History(
        of="The last 2 commits of main",
        metrics=(
            MetricHistory(
                key=MetricKey(path="metrics.json", name="auc"),
                direction=Direction.HIGHER,
                points=(
                    HistoryPoint(sha="a" * 40, name="aaaaaaa", seconds=1, value=NonFinite.NAN),
                    HistoryPoint(sha="b" * 40, name="v1.0.0", seconds=2, value=None),
                ),
            ),
        ),
        notes=("a note",),
    ),
]


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.one_of(REPORTS, RUNS, PROMOTIONS))
def test_a_document_is_read_back_as_it_was(document: Report | Run | Promotion) -> None:
    data = codec.encode(document).encode()
    kind: type[Any] = type(document)
    assert codec.decode(kind, data, source="x.json") == document


@pytest.mark.parametrize("document", WATCHING, ids=lambda one: type(one).__name__)
def test_what_passes_between_the_jobs_that_watch_and_act_is_read_back(document: Any) -> None:
    data = codec.encode(document).encode()
    assert codec.decode(type(document), data, source="x.json") == document


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: type(one).__name__)
def test_a_document_fits_its_own_schema(document: "codec.Document") -> None:
    name = kinds()[type(document)]
    schema = schemas()[name.replace("/", "-")]
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    value = json.loads(codec.encode(document))
    validator.validate(value)
    assert value["schema"] == name
    assert not validator.is_valid({**value, "schema": "modelci.other/1"})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: type(one).__name__)
def test_a_document_is_indented_as_one_text(document: "codec.Document") -> None:
    text = codec.encode(document).encode()
    assert msgspec.json.format(text, indent=2) + b"\n" == text


@pytest.mark.parametrize("events", [0, 1, 999, 1_000, 1_001, 2_500])
def test_a_long_document_comes_in_pieces_of_the_same_text(events: int) -> None:
    name = TagName.parse("m@v1.0.0")
    assert name is not None
    tags = [TagRecord(name, f"m@v1.0.{i}", "a" * 40, i, message="a\nb") for i in range(events)]
    pieces = list(codec.pieces(history_document(list_events(tags))))
    text = b"".join(pieces)
    assert [one["at"] for one in json.loads(text)["events"]] == [
        f"1970-01-01T00:{i // 60:02}:{i % 60:02}Z" for i in reversed(range(events))
    ]
    assert msgspec.json.format(text, indent=2) + b"\n" == text
    assert max(map(len, pieces)) < 400_000


def test_every_document_has_a_schema() -> None:
    assert {type(document) for document in DOCUMENTS} == set(kinds())
    assert len(schemas()) == len(SCHEMAS) + 1


def test_a_document_names_its_schema_first_and_the_verdict_before_the_details() -> None:
    value = json.loads(codec.encode(REPORT))
    assert list(value)[:5] == ["schema", "ok", "verdict", "base", "head"]
    assert value["schema"] == "modelci.report/1"
    assert value["ok"] is False
    assert value["verdict"]["failed"] == 1


def test_a_verification_says_whether_it_is_ok() -> None:
    (document,) = (one for one in DOCUMENTS if isinstance(one, Verification))
    value = json.loads(codec.encode(document))
    assert list(value)[:3] == ["schema", "ok", "required"]
    assert value["ok"] is False


def test_numbers_are_unrounded_nulls_explicit_and_nan_spelt_out() -> None:
    value = json.loads(codec.encode(REPORT), parse_constant=pytest.fail)
    (metric,) = value["metrics"]
    assert metric["base"] == 0.30000000000000004
    assert metric["head"] == "NaN"
    assert value["run_url"] is None
    assert value["params"][0]["base"] is None
    assert value["params"][0]["head"] is True


def test_the_same_document_is_the_same_text_and_ends_in_a_newline() -> None:
    text = codec.encode(REPORT)
    assert text == codec.encode(codec.decode(Report, text.encode(), source="x"))
    assert text.endswith("}\n")
    assert "\n  " in text


def test_text_that_is_not_ascii_stays_readable() -> None:
    assert "é" in codec.encode(REPORT)


def changed(**fields: object) -> bytes:
    return json.dumps({**json.loads(codec.encode(REPORT)), **fields}).encode()


def test_fields_of_a_later_version_are_ignored() -> None:
    data = changed(added_later={"x": [1]}, ok="whatever")
    assert codec.decode(Report, data, source="x") == REPORT


def test_a_documents_word_on_its_own_verdict_does_not_count() -> None:
    verdict = {"blocked": False, "passed": 1, "failed": 0}
    report = codec.decode(Report, changed(ok=True, verdict=verdict), source="x")
    assert not report.is_ok
    assert report.verdict.blocked


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "r.json is no modelci.report/1 document"),
        (b"null", "r.json is no modelci.report/1 document"),
        (b"[]", "r.json is no modelci.report/1 document"),
        (b"{}", "r.json is a '(no schema)', not a 'modelci.report/1'"),
        (b'{"schema": 7}', "r.json is no modelci.report/1 document"),
        (changed(schema="modelci.report/2"), "r.json is a 'modelci.report/2', not a"),
        (changed(schema="modelci.run/1"), "r.json is a 'modelci.run/1', not a"),
        (b'{"schema": "modelci.report/1"}', "missing required field"),
        (changed(metrics=[{"key": {"path": "a", "name": "b"}, "base": "x"}]), "`$.metrics[0]"),
        (changed(metrics=7), "$.metrics"),
        (changed(created=None), "$.created"),
        (b'{"schema": "modelci.report/1", "x": NaN}', "r.json is no modelci.report/1 document"),
        (b'{"schema": "\xff"}', "r.json is no modelci.report/1 document"),
        (changed()[:-9], "r.json is no modelci.report/1 document"),
        (b'{"x":' * 100_000, "r.json is no modelci.report/1 document"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "r.json is no modelci.report/1"),
        (b"\xef\xbb\xbf{}", "r.json is no modelci.report/1 document"),
    ],
)
def test_a_document_that_is_none_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        codec.decode(Report, data, source="r.json")
    assert message in str(raised.value)
    assert str(raised.value).startswith("r.json is ")


def test_a_document_too_large_to_trust_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than 64 MiB"):
        codec.decode(Report, b" " * (codec.MAX_BYTES + 1), source="x")
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(codec.MAX_BYTES * 8)  # a sparse file
    with pytest.raises(ConfigError, match="larger than 64 MiB"):
        codec.read(Report, path)


def test_a_file_that_is_not_there_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as raised:
        codec.read(Report, tmp_path / "report.json")
    assert "modelci report" in (raised.value.hint or "")
    with pytest.raises(ConfigError, match="Is a directory"):
        codec.read(Run, tmp_path)


def test_writing_replaces_the_file_whole_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "made" / "report.json"
    codec.write(PROMOTION, path)
    codec.write(REPORT, path)
    assert codec.read(Report, path) == REPORT
    assert [one.name for one in path.parent.iterdir()] == ["report.json"]


def test_a_reader_never_sees_half_a_document(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    codec.write(REPORT, path)
    with path.open("rb") as opened:
        codec.write(PROMOTION, path)
        assert codec.decode(Report, opened.read(), source="old") == REPORT


def test_the_registry_document_speaks_of_versions_as_people_write_them() -> None:
    value = json.loads(codec.encode(registry_document(fold_registry(records()))))
    (artifact,) = value["artifacts"]
    assert artifact["latest"] == "v1.1.0-rc.1"
    assert [one["version"] for one in artifact["versions"]] == ["v1.1.0-rc.1", "v1.0.0"]
    assert artifact["versions"][1]["registered"] == "1970-01-01T00:00:00Z"
    assert artifact["versions"][1]["active"] is False
    assert artifact["stages"]["prod"]["version"] == "v1.1.0-rc.1"
