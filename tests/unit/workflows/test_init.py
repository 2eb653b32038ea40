import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.scanner import FakeScanner
from tests.fakes.snapshots import FakeSnapshots, metrics

from modelci import __version__
from modelci.config.load import load
from modelci.config.model import ForgeKind
from modelci.domain.artifacts import Artifact
from modelci.domain.gates import judge_all
from modelci.domain.metrics import Direction, MetricDelta, MetricKey
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError, UsageError
from modelci.workflows.init import Written, initialise
from modelci.workflows.proposal import propose_config

PATHS = (
    "modelci.yaml",
    ".github/workflows/model-pr.yml",
    ".github/workflows/model-comment.yml",
    ".github/workflows/model-merge.yml",
    ".github/workflows/model-deploy.yml",
    ".github/workflows/model-monitor.yml",
)


def snapshot(*names: str, path: str = "metrics.json", artifacts: tuple[str, ...] = ()) -> Snapshot:
    return Snapshot(
        metrics={MetricKey(path=path, name=name): 0.5 for name in names},
        artifacts=tuple(Artifact(name=name, path="m") for name in artifacts),
    )


def initialise_at(
    root: Path,
    *,
    branch: str = "main",
    force: bool = False,
    auc: float | None = 0.8,
    forge: ForgeKind = ForgeKind.GITHUB,
    call: str | None = None,
    install: str | None = None,
    scanner: FakeScanner | None = None,
    artifacts: tuple[Artifact, ...] = (),
) -> Written:
    remote = FakeRemote()
    measured = metrics() if auc is None else metrics(roc_auc=auc)
    remote.commit({"metrics.json": measured}, branch=branch)
    git = FakeGit(root, remote, branch=branch, depth=1)
    return initialise(
        git=git,
        reader=FakeSnapshots(artifacts=artifacts) if artifacts else FakeSnapshots(),
        default_branch=branch,
        force=force,
        forge=forge,
        call=call,
        install=install,
        scanner=(lambda: scanner) if scanner else None,
    )


def test_a_gate_is_proposed_for_each_metric_whose_direction_is_known() -> None:
    config = load(
        propose_config(snapshot("roc_auc", "log_loss", "rows"), has_remote=False).encode()
    ).config
    assert [str(gate) for gate in config.all_gates()] == [
        "log_loss max 0.505",
        "log_loss max_drop 1%",
        "roc_auc min 0.495",
        "roc_auc max_drop 1%",
    ]


def test_few_gates_are_proposed_and_the_same_name_once() -> None:
    found = {
        **{MetricKey(path=f"m/{number}.json", name="auc"): 0.5 for number in range(20)},
        **snapshot(*(f"part{number}.auc" for number in range(20))).metrics,
    }
    assert (
        len(load(propose_config(Snapshot(metrics=found), has_remote=False).encode()).config.gates)
        == 6
    )


def test_without_metrics_the_proposal_has_no_gates_and_is_valid() -> None:
    text = propose_config(Snapshot(), has_remote=False)
    assert load(text.encode()).config.gates == ()
    assert "none yet" in text


TEXT = st.text(st.characters(codec="utf-8"))


@given(TEXT.map(lambda name: f"{name}.auc"), TEXT)
def test_a_proposal_is_valid_and_means_its_metric_whatever_names_there_are(
    name: str, artifact: str
) -> None:
    text = propose_config(snapshot(name, artifacts=(artifact,)), has_remote=False)
    gates = load(text.encode()).config.all_gates()
    key = MetricKey(path="metrics.json", name=name)
    delta = MetricDelta(key=key, base=0.5, head=0.5, direction=Direction.HIGHER)
    assert [result.key for result in judge_all(gates, [delta])] == [key, key]


@pytest.mark.parametrize("name", ["no.auc", "null", "1.auc", "0x1.auc", "f1[macro].auc", "a:b.auc"])
def test_a_name_that_yaml_would_take_for_something_else_is_quoted(name: str) -> None:
    names = [
        gate.metric
        for gate in load(propose_config(snapshot(name), has_remote=False).encode()).config.gates
    ]
    assert names in ([name], [])


@pytest.mark.parametrize("branch", ["main", "trunk", "2024", "release/1.x", "on", "é"])
def test_the_files_are_written_for_the_default_branch(tmp_path: Path, branch: str) -> None:
    (tmp_path / ".dvc").mkdir()
    assert initialise_at(tmp_path, branch=branch) == Written(written=PATHS, kept=())
    assert "roc_auc" in (tmp_path / "modelci.yaml").read_text(encoding="utf-8")
    texts = [(tmp_path / path).read_text(encoding="utf-8") for path in PATHS[1:]]
    for text in texts:
        workflow = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - all is text
        named = [on["branches"] for on in workflow["on"].values() if "branches" in on]
        assert all(branches == [branch] for branches in named)
    merge = texts[PATHS.index(".github/workflows/model-merge.yml") - 1]
    assert f"branches: [{branch}]" in merge or f'branches: ["{branch}"]' in merge


def test_once_there_are_metrics_gates_are_proposed_for_a_file_without_any(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    first = initialise_at(tmp_path, auc=None)
    assert (first.gates, first.source) == ((), "`modelci run` makes")
    before = (tmp_path / "modelci.yaml").read_bytes()
    later = initialise_at(tmp_path)
    assert later.source is None
    assert (tmp_path / "modelci.yaml").read_bytes() == before
    pasted = before.decode().replace("gates: []", "\n".join(later.gates))
    gates = load(pasted.encode()).config.all_gates()
    assert {gate.metric for gate in gates} == {"roc_auc"}
    (tmp_path / "modelci.yaml").write_text(pasted, encoding="utf-8")
    again = initialise_at(tmp_path)
    assert (again.gates, again.source) == ((), None)


def test_what_is_there_is_left_unless_forced(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "modelci.yaml").write_text("mine", encoding="utf-8")
    assert initialise_at(tmp_path) == Written(written=PATHS[1:], kept=PATHS[:1])
    assert (tmp_path / "modelci.yaml").read_text(encoding="utf-8") == "mine"
    assert initialise_at(tmp_path) == Written(written=(), kept=PATHS)
    assert initialise_at(tmp_path, force=True) == Written(written=PATHS, kept=())
    assert (tmp_path / "modelci.yaml").read_text(encoding="utf-8") != "mine"


def test_a_feature_branch_is_not_taken_for_the_default_one(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    remote = FakeRemote()
    remote.commit({"metrics.json": metrics(roc_auc=0.8)}, branch="worse")
    git = FakeGit(tmp_path, remote, branch="worse", depth=1)
    git.refs.pop("refs/remotes/origin/HEAD", None)
    done = initialise(git=git, reader=FakeSnapshots(), default_branch=None, force=False)
    assert done.assumed == "main"
    assert "branches: [main]" in (tmp_path / PATHS[1]).read_text(encoding="utf-8")
    again = initialise(git=git, reader=FakeSnapshots(), default_branch=None, force=False)
    assert again.assumed is None


def test_outside_of_dvc_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no DVC repository") as raised:
        initialise_at(tmp_path)
    assert "dvc init" in (raised.value.hint or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("has_remote", [True, False])
def test_runs_use_the_dvc_remote_where_there_is_one(*, has_remote: bool) -> None:
    run = load(propose_config(Snapshot(), has_remote=has_remote).encode()).config.run
    assert (run.pull, run.push) == (has_remote, has_remote)


def test_gitlab_gets_its_pipeline_beside_one_that_is_there(tmp_path: Path) -> None:
    remote = FakeRemote()
    remote.commit({"metrics.json": metrics(roc_auc=0.8)})
    (tmp_path / ".dvc").mkdir()
    git = FakeGit(tmp_path, remote)

    def write() -> Written:
        return initialise(
            git=git,
            reader=FakeSnapshots(),
            default_branch="main",
            force=False,
            forge=ForgeKind.GITLAB,
        )

    assert write().written == ("modelci.yaml", ".gitlab-ci.yml")
    assert write().kept == ("modelci.yaml", ".gitlab-ci.yml")
    jobs = yaml.safe_load((tmp_path / ".gitlab-ci.yml").read_text())
    assert f"pip install 'modelci[gitlab]=={__version__}'" in jobs["comment"]["script"]
    (tmp_path / ".gitlab-ci.yml").write_text("theirs: {}\n")
    assert write().written == (".gitlab/modelci.yml",)
    assert (tmp_path / ".gitlab-ci.yml").read_text() == "theirs: {}\n"


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_workflows_of_a_few_lines_call_the_commit_that_is_named(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    done = initialise_at(tmp_path, branch="trunk", call=f"somebody/modelci@{COMMIT}")
    assert done.written == PATHS
    called = []
    for path in PATHS[1:]:
        text = (tmp_path / path).read_text(encoding="utf-8")
        assert "pip install" not in text
        called += [job["uses"] for job in yaml.safe_load(text)["jobs"].values()]
    names = ("pull-request", "comment", "merge", "deploy", "monitor")
    whose = "somebody/modelci/.github/workflows"
    assert called == [f"{whose}/{name}.yml@{COMMIT}" for name in names]
    assert "branches: [trunk]" in (tmp_path / PATHS[1]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("call", "forge", "says"),
    [
        ("somebody/modelci@v1", ForgeKind.GITHUB, "names no commit of modelci"),
        (f"somebody/modelci@{COMMIT[:-1]}", ForgeKind.GITHUB, "names no commit of modelci"),
        (f"somebody/other@{COMMIT}", ForgeKind.GITHUB, "names no commit of modelci"),
        (f"modelci@{COMMIT}", ForgeKind.GITHUB, "names no commit of modelci"),
        (f"a/modelci@{COMMIT}\n", ForgeKind.GITHUB, "names no commit of modelci"),
        (f"somebody/modelci@{COMMIT}", ForgeKind.GITEA, "Workflows of gitea call none"),
        (f"somebody/modelci@{COMMIT}", ForgeKind.GITLAB, "Workflows of gitlab call none"),
    ],
)
def test_what_cannot_be_called_is_refused_and_writes_nothing(
    tmp_path: Path, call: str, forge: ForgeKind, says: str
) -> None:
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(UsageError, match=says) as caught:
        initialise_at(tmp_path, call=call, forge=forge)
    assert caught.value.hint
    assert [one.name for one in tmp_path.iterdir()] == [".dvc"]


FROM_GIT = f"modelci @ git+https://git.example.org/ml/modelci@{COMMIT}"


@pytest.mark.parametrize("forge", [ForgeKind.GITHUB, ForgeKind.GITLAB])
def test_the_workflows_install_modelci_as_one_says_with_each_jobs_extra(
    tmp_path: Path, forge: ForgeKind
) -> None:
    (tmp_path / ".dvc").mkdir()
    plain = initialise_at(tmp_path, forge=forge)
    texts = [(tmp_path / path).read_text(encoding="utf-8") for path in plain.written]
    lines = sum(text.count("pip install") - text.count("-r requirements") for text in texts)

    done = initialise_at(tmp_path, forge=forge, install=FROM_GIT)

    assert done == Written(written=plain.written[1:], kept=("modelci.yaml",))
    written = [(tmp_path / path).read_text(encoding="utf-8") for path in done.written]
    source = FROM_GIT.removeprefix("modelci")
    found = re.findall(rf"pip install 'modelci(?:\[\w+\])?{re.escape(source)}'", "".join(written))
    assert len(found) == lines
    assert f"pip install 'modelci[monitor]{source}'" in found
    for text in written:
        yaml.safe_load(text)


def test_a_workflow_that_somebody_changed_is_kept_whatever_is_installed(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    initialise_at(tmp_path)
    own = tmp_path / PATHS[1]
    own.write_text(own.read_text(encoding="utf-8") + "# ours\n", encoding="utf-8")
    done = initialise_at(tmp_path, install="modelci[s3] == 9.9.9")
    assert done.kept == PATHS[:2]
    assert "'modelci[monitor,s3]==9.9.9'" in (tmp_path / PATHS[5]).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("install", "why"),
    [
        ("", "is no requirement"),
        ("git+https://h/o/modelci@abc", "is no requirement"),
        ("modelki==1.0", "does not name modelci"),
        ("modelci", "pins no version"),
        ("modelci>=1", "pins no version"),
        ("modelci==1.*", "pins no version"),
        ("modelci==1.0; python_version > '3'", "has a condition"),
        ("modelci @ git+https://h/o/modelci", "names no commit"),
        ("modelci @ git+https://h/o/modelci@main", "names no commit"),
        (f"modelci @ git+https://token@h/o/modelci@{COMMIT}", "credentials"),
        (f"modelci @ git+https://me:token@h/o/modelci@{COMMIT}", "credentials"),
        ("modelci @ https://h/m.whl'$(id)", "cannot hold"),
        ("modelci @ https://h/${{github.token}}/m.whl", "cannot hold"),
    ],
)
def test_what_cannot_be_installed_tomorrow_as_today_is_refused(
    tmp_path: Path, install: str, why: str
) -> None:
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(UsageError, match=why) as caught:
        initialise_at(tmp_path, install=install)
    assert caught.value.hint
    assert "token@" not in str(caught.value)
    assert not (tmp_path / "modelci.yaml").exists()


def test_what_is_called_is_installed_by_its_own_commit(tmp_path: Path) -> None:
    (tmp_path / ".dvc").mkdir()
    with pytest.raises(UsageError, match="exclude each other"):
        initialise_at(tmp_path, call=f"somebody/modelci@{COMMIT}", install=FROM_GIT)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (18608.3, "max: 18800  # 18,608 today"),
        (4005.4, "max: 4050  # 4,005 today"),
        (0.1234567, "max: 0.125  # 0.1235 today"),
        (1e300, "max: 1.01e+300  # 1e+300 today"),
    ],
)
def test_todays_value_is_written_as_a_report_writes_it(value: float, line: str) -> None:
    key = MetricKey(path="metrics.json", name="rmse")
    text = propose_config(Snapshot(metrics={key: value}), has_remote=False)
    assert f"    {line}\n" in text
    assert load(text.encode()).config.all_gates()


def models(*paths: str) -> tuple[Artifact, ...]:
    return tuple(Artifact(name=Path(one).stem, path=one, type="model") for one in paths)


@pytest.mark.parametrize("scanner", [None, FakeScanner(missing=True)])
def test_a_model_that_is_a_pickle_by_its_name_is_said_to_be_blocked(
    tmp_path: Path, scanner: FakeScanner | None
) -> None:
    (tmp_path / ".dvc").mkdir()
    found = models("a.pkl", "b.skops", "c.joblib")
    assert initialise_at(tmp_path, artifacts=found, scanner=scanner).pickles == ("a", "c")
    assert "# safety: {allow_pickle: [a, c]}\n" in (tmp_path / "modelci.yaml").read_text()


def test_bytes_that_are_here_say_what_is_a_pickle_and_settings_what_is_allowed(
    tmp_path: Path,
) -> None:
    (tmp_path / ".dvc").mkdir()
    found = models("a.model", "b.model")
    assert initialise_at(tmp_path, artifacts=found, scanner=FakeScanner()).pickles == ("a", "b")
    (tmp_path / "modelci.yaml").write_text("safety: {allow_pickle: [a]}\n")
    assert initialise_at(tmp_path, artifacts=found, scanner=FakeScanner()).pickles == ("b",)
    (tmp_path / "modelci.yaml").write_text("safety: [")
    assert initialise_at(tmp_path, artifacts=found, scanner=FakeScanner()).pickles == ("a", "b")
