from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.pipeline import FakePipeline
from tests.fakes.progress import RecordedProgress
from tests.fakes.scanner import FakeScanner
from tests.fakes.snapshots import FakeSnapshots, lock, metrics
from tests.fakes.tables import FakeTables

from modelci.config.load import Loaded, load
from modelci.domain.artifacts import Artifact
from modelci.domain.checks import Check, Examination, Health
from modelci.domain.events import CIContext
from modelci.domain.promotion import PlannedTag
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError, PipelineError
from modelci.ports import FileTree, Git
from modelci.workflows.deploy_checks import Surroundings
from modelci.workflows.doctor import examine
from modelci.workflows.workflow_checks import CALLED_NEEDS

OK, WARNING, PROBLEM = Health.OK, Health.WARNING, Health.PROBLEM
GATES = b"gates:\n  - {metric: auc, min: 0.5}\nrun: {push: true}\n"
WORKFLOW = b"""\
on: pull_request
permissions: {}
jobs:
  comment:
    permissions: {pull-requests: write}
    steps: [{run: modelci comment}]
"""


@dataclass
class World:
    """A healthy project; each test breaks one thing."""

    root: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    pipeline: FakePipeline = field(default_factory=FakePipeline)
    reader: FakeSnapshots = field(default_factory=FakeSnapshots)

    def __post_init__(self) -> None:
        (self.root / ".dvc").mkdir()
        self.commit()

    def commit(self, **changed: bytes | None) -> None:
        files: dict[str, bytes | None] = {
            "dvc.lock": lock(),
            "metrics.json": metrics(auc=0.8),
            "modelci.yaml": GATES,
            ".github/workflows/pr.yml": WORKFLOW,
            **changed,
        }
        self.remote.commit({name: data for name, data in files.items() if data is not None})

    def examine(
        self,
        git: Callable[[], Git] | None = None,
        *,
        depth: int | None = None,
        around: Surroundings | None = None,
        scanner: FakeScanner | None = None,
    ) -> Examination:
        made = FakeGit(self.root, self.remote, depth=depth)

        def configuration() -> Loaded:
            return load(made.files.get("modelci.yaml"))

        return examine(
            git=git or (lambda: made),
            reader=lambda: self.reader,
            pipeline=lambda: self.pipeline,
            configuration=configuration,
            context=CIContext(),
            tables=FakeTables,
            progress=RecordedProgress(),
            around=lambda: around or Surroundings(),
            scanner=(lambda: scanner) if scanner else None,
        )

    def check(self, name: str, git: Callable[[], Git] | None = None) -> Check:
        (found,) = (one for one in self.examine(git).checks if one.name == name)
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_healthy_project_has_nothing_to_fix(world: World) -> None:
    examination = world.examine()
    assert examination.is_ok
    assert {one.health for one in examination.checks} == {OK}
    names = "default branch, dvc, dvc remote, pipeline, artifacts, gates, tags"
    assert [one.name for one in examination.checks][:-1] == names.split(", ")


def test_everything_that_is_not_well_names_its_fix(world: World) -> None:
    (world.root / ".dvc").rmdir()
    world.commit(**{"modelci.yaml": b"x: 1", ".github/workflows/pr.yml": b"modelci run: ["})
    examination = world.examine()
    assert not examination.is_ok
    assert all(
        one.fix or "cannot be read" in one.detail
        for one in examination.checks
        if one.health is PROBLEM
    )
    assert [one.name for one in examination.checks if one.health is PROBLEM] == [
        "modelci.yaml",
        "dvc",
        "workflows",
    ]


def test_without_a_repository_that_is_all_there_is_to_say(world: World) -> None:
    def none() -> Git:
        raise ConfigError("git is not installed.", hint="Install Git 2.30+.")

    (only,) = world.examine(none).checks
    assert (only.name, only.health, only.fix) == ("git", PROBLEM, "Install Git 2.30+.")


def test_before_the_first_commit_the_fix_is_to_make_one(world: World) -> None:
    check = world.check("git", lambda: FakeGit(world.root))
    assert check.health is PROBLEM
    assert "git commit" in (check.fix or "")


def test_a_shallow_clone_is_fine(world: World) -> None:
    world.commit()
    world.commit(x=b"1")
    (history,) = [one for one in world.examine(depth=1).checks if one.name == "history"]
    assert history.health is OK


@pytest.mark.parametrize(
    ("remote", "error", "health", "detail"),
    [
        ("storage", None, OK, "storage"),
        (None, None, WARNING, "none: CI can neither restore data nor keep models"),
        ("storage", PipelineError("No answer.", hint="Check the URL."), PROBLEM, "No answer."),
    ],
)
def test_the_dvc_remote_is_asked(
    world: World, remote: str | None, error: PipelineError | None, health: Health, detail: str
) -> None:
    world.pipeline.remote, world.pipeline.push_error = remote, error
    found = [one for one in world.examine().checks if one.name in {"dvc remote", "dvc"}][-1]
    assert (found.health, found.detail) == (health, detail)
    assert bool(found.fix) is (health is not OK)


def test_a_remote_that_merges_do_not_push_to_is_a_warning(world: World) -> None:
    world.commit(**{"modelci.yaml": b"gates: [{metric: auc, min: 0.5}]"})
    check = world.check("run.push")
    assert check.health is WARNING
    assert "push: true" in (check.fix or "")


def test_a_lock_that_is_out_of_date_names_the_stage(world: World) -> None:
    world.commit(**{"dvc.lock": lock(stale=True)})
    check = world.check("dvc.lock")
    assert check.health is WARNING
    assert check.detail == "out of date for train: train.py changed"


@pytest.mark.parametrize(
    ("config", "health", "detail"),
    [
        (b"", WARNING, "none: no pull request is ever blocked"),
        (b"gates: [{metric: aucc, min: 1}]", PROBLEM, "no metric of that name exists"),
        (b"gates: [{metric: aucc, min: 1, missing: warn}]", WARNING, "no metric of that name"),
        (b"gates: [{metric: auc, min: 0.9}]", WARNING, "0.8 must be"),
        (b"gates: [{metric: auc, min: 0.9, severity: warn}]", WARNING, "0.8 must be"),
        (b"metrics: {auc: unknown}\ngates: [{metric: auc, max_drop: 0}]", PROBLEM, "not known"),
    ],
)
def test_gates_that_could_not_hold_today_are_named(
    world: World, config: bytes, health: Health, detail: str
) -> None:
    world.commit(**{"modelci.yaml": config})
    check = world.check("gates")
    assert check.health is health
    assert detail in check.detail


def test_a_model_that_does_not_hold_its_gate_is_no_reason_to_loosen_it(world: World) -> None:
    world.commit(**{"modelci.yaml": b"gates: [{metric: auc, min: 0.9}]"})
    check = world.check("gates")
    assert "the model that is here does not hold it" in check.detail
    assert "A pull request would be blocked" in (check.fix or "")
    assert "only if that is meant" in (check.fix or "")


def test_a_gate_on_no_metric_asks_which_is_meant(world: World) -> None:
    world.commit(**{"modelci.yaml": b"gates: [{metric: aucc, min: 0.1}]"})
    assert (world.check("gates").fix or "").startswith("Did you mean 'auc'? ")


def test_a_gate_on_a_metric_like_no_other_is_to_be_mended(world: World) -> None:
    world.commit(**{"modelci.yaml": b"gates: [{metric: latency, max: 3}]"})
    assert world.check("gates").fix == "Mend it in modelci.yaml."


def test_gates_that_compare_two_numbers_are_told_of_evaluation(world: World) -> None:
    world.commit(**{"modelci.yaml": b"gates: [{metric: auc, max_drop: 0.01}]"})
    check = world.check("evaluation")
    assert check.health is OK
    assert "cannot tell a change from chance" in check.detail


def models_of(world: World, scanner: FakeScanner) -> list[Check]:
    return [one for one in world.examine(scanner=scanner).checks if one.name == "models"]


def test_a_model_that_every_report_would_block_is_a_problem(world: World) -> None:
    (found,) = models_of(world, FakeScanner())
    assert found.health is PROBLEM
    assert found.detail.startswith("every report blocks m: ")
    assert "is a pickle; forbidden-global mine.Encoder" in found.detail
    assert "vouch for them: safety.trusted_types" in (found.fix or "")


def test_a_model_that_may_be_loaded_is_well_and_one_elsewhere_is_a_warning(world: World) -> None:
    text = b"safety: {allow_pickle: [m], trusted_types: [mine.Encoder]}\n"
    world.commit(**{"modelci.yaml": GATES + text})
    (found,) = models_of(world, FakeScanner())
    assert (found.health, found.detail) == (OK, "safe to load: m")
    (missing,) = models_of(world, FakeScanner(missing=True))
    assert (missing.health, missing.fix) == (WARNING, "Pull it.")
    world.commit(**{"modelci.yaml": GATES + b"safety: {scan: false}\n"})
    assert models_of(world, FakeScanner()) == []


@pytest.mark.parametrize(
    ("text", "key", "fix"),
    [
        ("safety: {allow_pickle: [%s]}", "safety.allow_pickle", "Did you mean 'ml:houses'?"),
        ("models: {%s: {flavour: sklearn}}", "models", "Did you mean 'ml:houses'?"),
        ("registry: {signers: {%s: [ada]}}", "registry.signers", "Did you mean 'ml:houses'?"),
    ],
)
@pytest.mark.parametrize("name", ["houses", "ml:house"])
def test_a_setting_for_an_artifact_that_is_none_asks_which_is_meant(
    world: World, text: str, key: str, fix: str, name: str
) -> None:
    world.reader.artifacts = (Artifact(name="ml:houses", path="ml/m.skops", type="model"),)
    world.commit(**{"modelci.yaml": GATES + (text % f"'{name}'").encode()})
    check = world.check(key)
    assert (check.health, check.fix) == (WARNING, fix)
    world.commit(**{"modelci.yaml": GATES + (text % "'ml:houses'").encode()})
    assert key not in [one.name for one in world.examine().checks]


def test_signers_of_a_glob_that_some_artifact_matches_are_well(world: World) -> None:
    world.commit(**{"modelci.yaml": GATES + b"registry: {signers: {'*': [ada], 'x*': [ada]}}"})
    check = world.check("registry.signers")
    assert check.detail.startswith("'x*' is no artifact")


@pytest.mark.parametrize("config", [b"promote: {artifacts: [zzz]}", b"promote: {assign: [a b]}"])
def test_a_promotion_that_would_be_refused_is_a_problem(world: World, config: bytes) -> None:
    world.commit(**{"modelci.yaml": config})
    assert world.check("artifacts").health is PROBLEM


def test_a_project_that_declares_no_artifact_can_promote_nothing(world: World) -> None:
    world.reader.artifacts = ()
    assert world.check("artifacts").health is WARNING


def test_tags_that_only_the_remote_has_are_counted(world: World) -> None:
    sha = world.remote.branches["main"]
    world.remote.tags["m@v0.0.1"] = PlannedTag(
        name="m@v0.0.1", artifact="m", commit=sha, seconds=1, subject="x"
    )
    check = world.check("tags")
    assert check.health is WARNING
    assert "git fetch --tags" in (check.fix or "")


@pytest.mark.parametrize(("here", "there"), [(True, False), (False, True), (True, True)])
def test_a_bad_tag_is_named_once_wherever_it_is(world: World, *, here: bool, there: bool) -> None:
    sha, name = world.remote.branches["main"], "m#prod#1"
    bad = {
        one: PlannedTag(name=one, artifact="m", commit=sha, seconds=1, subject="x")
        for one in ("m@v0.0.1", "m@v0.0.2", name)
    }
    made = FakeGit(world.root, world.remote)
    if here:
        made.tag_objects.update(bad)
    if there:
        world.remote.tags.update(bad)
    check = world.check(f"tag {name}", git=lambda: made)
    assert check.health is PROBLEM
    assert check.fix is not None
    assert check.fix.startswith(
        f"`git tag -d '{name}'; git push origin --delete 'refs/tags/{name}'`"
    )


@pytest.mark.parametrize(
    ("workflow", "health"),
    [
        (WORKFLOW, OK),
        (WORKFLOW.replace(b"pull-requests: write", b"pull-requests: read"), PROBLEM),
        (WORKFLOW.replace(b"{pull-requests: write}", b"write-all"), OK),
        (WORKFLOW.replace(b"    permissions: {pull-requests: write}\n", b""), PROBLEM),
        (WORKFLOW.replace(b"permissions: {}\n", b"").replace(b"pull-requests", b"issues"), PROBLEM),
        (WORKFLOW.replace(b"modelci comment", b"modelci promote"), PROBLEM),
        (b"# modelci comment\n", PROBLEM),
        (b"jobs: [modelci comment]\n", PROBLEM),
        (b"jobs: {a: 1, b: {steps: 7}, c: {steps: [modelci ]}, d: {steps: [{run: 1}]}}\n", OK),
    ],
)
def test_a_workflow_lacks_the_very_permission_that_is_named(
    world: World, workflow: bytes, health: Health
) -> None:
    world.commit(**{".github/workflows/pr.yml": workflow})
    check = world.check(".github/workflows/pr.yml")
    assert check.health is health
    if health is PROBLEM and b"steps" in workflow:
        assert ": write`" in check.detail


def test_pictures_in_comments_need_a_branch_to_be_written(world: World) -> None:
    world.commit(**{"modelci.yaml": GATES + b"comment: {pictures: true}\n"})
    check = world.check(".github/workflows/pr.yml")
    assert check.health is PROBLEM
    assert "`permissions: contents: write`" in check.detail
    granted = WORKFLOW.replace(b"{pull-requests: write}", b"write-all")
    world.commit(**{".github/workflows/pr.yml": granted})
    assert world.check(".github/workflows/pr.yml").health is OK


def test_a_job_that_starts_the_deployment_needs_to_write_actions(world: World) -> None:
    promotes = WORKFLOW.replace(b"modelci comment", b"modelci promote")
    granted = promotes.replace(b"{pull-requests: write}", b"{contents: write}")
    world.commit(
        **{
            "modelci.yaml": GATES + b"promote: {dispatch: deploy.yml}\n",
            ".github/workflows/pr.yml": granted,
        }
    )
    check = world.check(".github/workflows/pr.yml")
    assert check.health is PROBLEM
    assert check.detail.endswith("without `permissions: actions: write`")
    world.commit(
        **{".github/workflows/pr.yml": promotes.replace(b"{pull-requests: write}", b"write-all")}
    )
    assert world.check(".github/workflows/pr.yml").health is OK


WATCHED = (
    GATES
    + b"""\
monitor:
  - model: credit
    current: x.csv
    retrain: {cmd: ./next.sh}
    triggers:
      - {when: drift, action: retrain-pr}
      - {when: drift, action: issue}
"""
)
WATCHING = b"""\
on: {schedule: [{cron: "23 5 * * *"}]}
jobs:
  act:
    permissions: {contents: write, pull-requests: write, issues: write}
    steps: [{run: modelci monitor --no-write}, {run: modelci act}]
"""


@pytest.mark.parametrize("needed", ["contents", "pull-requests", "issues"])
@pytest.mark.parametrize("run", ["modelci act", "modelci monitor"])
def test_a_job_that_acts_on_windows_needs_what_its_triggers_ask_for(
    world: World, needed: str, run: str
) -> None:
    workflow = WATCHING.replace(b"modelci act", run.encode())
    world.commit(**{"modelci.yaml": WATCHED, ".github/workflows/monitor.yml": workflow})
    assert world.check(".github/workflows/monitor.yml").health is OK
    lacking = workflow.replace(f"{needed}: write".encode(), b"actions: write")
    world.commit(**{"modelci.yaml": WATCHED, ".github/workflows/monitor.yml": lacking})
    check = world.check(".github/workflows/monitor.yml")
    assert check.health is PROBLEM
    assert f"calls `{run}` without `permissions: {needed}: write`" in check.detail


def test_a_watched_model_without_an_issue_needs_no_issues(world: World) -> None:
    config = WATCHED.replace(b"      - {when: drift, action: issue}\n", b"")
    lacking = WATCHING.replace(b", issues: write", b"")
    world.commit(**{"modelci.yaml": config, ".github/workflows/monitor.yml": lacking})
    assert world.check(".github/workflows/monitor.yml").health is OK


def test_a_model_that_nothing_watches_by_itself_is_pointed_out(world: World) -> None:
    world.commit(**{"modelci.yaml": WATCHED})
    assert "no workflow calls `modelci monitor`" in [
        one.detail for one in world.examine().checks if one.name == "monitor"
    ]
    idle = WATCHING.replace(b'{schedule: [{cron: "23 5 * * *"}]}', b"workflow_dispatch")
    world.commit(**{"modelci.yaml": WATCHED, ".github/workflows/monitor.yml": idle})
    found = [one for one in world.examine().checks if "monitor.yml" in one.name]
    assert [(one.health, one.detail) for one in found if one.health is WARNING] == [
        (WARNING, "it watches only when somebody starts it")
    ]


def test_without_a_workflow_nothing_calls_us(world: World) -> None:
    world.commit(**{".github/workflows/pr.yml": None})
    assert world.check("workflows").health is WARNING


@pytest.mark.parametrize(
    ("event", "run", "lacks"),
    [
        ("pull_request", "modelci ci", "pull-requests: write"),
        ("pull_request", "modelci ci --no-write", None),
        ("push", "modelci ci", "contents: write"),
        ("push", "modelci promote --dry-run", None),
        ("schedule", "modelci promote", "contents: write"),
        ("workflow_run", "modelci check --start", "checks: write"),
    ],
)
def test_a_job_that_writes_needs_the_permission_for_it(
    event: str, run: str, lacks: str | None
) -> None:
    from modelci.workflows.workflow_checks import _check_workflow

    workflow = {"on": {event: None}, "jobs": {"a": {"steps": [{"run": run}]}}}
    (check,) = _check_workflow("w.yml", workflow)
    assert (lacks is None) == (check.health is Health.OK)
    assert lacks is None or lacks in check.detail


@pytest.mark.parametrize(
    ("permissions", "lacks"),
    [
        ({"checks": "write", "actions": "read"}, []),
        ({"checks": "write", "actions": "write"}, []),
        ({"checks": "write"}, ["actions: read"]),
        ({"checks": "read", "actions": ["read"]}, ["checks: write", "actions: read"]),
        ("read-all", ["checks: write"]),
        ("write-all", []),
        (["checks"], ["checks: write", "actions: read"]),
    ],
)
def test_a_job_that_reads_an_artifact_needs_to_read_runs(
    permissions: object, lacks: list[str]
) -> None:
    from modelci.workflows.workflow_checks import _check_workflow

    job = {"permissions": permissions, "steps": [{"run": "modelci check --artifact modelci"}]}
    checks = list(_check_workflow("w.yml", {"on": "workflow_run", "jobs": {"a": job}}))
    said = [check.detail for check in checks if check.health is PROBLEM]
    assert [text.partition("permissions: ")[2].rstrip("`") for text in said] == lacks


ROWS = b"id,y_true,score,group\n" + b"".join(
    f"{n},{n % 2},{0.3 + 0.4 * (n % 2)},{'ab'[n // 2 % 2]}\n".encode() for n in range(400)
)
EVALUATION = b"""\
gates: [{metric: auc, min: 0.5, max_drop: 0.01}]
evaluation: {predictions: p.csv}
run: {push: true}
"""


def evaluated(world: World, more: bytes = b"", **files: bytes | None) -> list[Check]:
    """Return what doctor says of the evaluation, where the model is perfect on 400 rows."""
    world.commit(
        **{
            "modelci.yaml": EVALUATION + more,
            "p.csv": ROWS,
            "metrics.json": metrics(auc=1.0),
            **files,
        }
    )
    names = {"evaluation", "slices.by", "slices.metrics", "retrain_sd of p.csv"}
    return [
        one for one in world.examine().checks if one.name in names or one.name.endswith(" gate")
    ]


def test_an_evaluation_that_works_is_told_in_a_line(world: World) -> None:
    (check,) = evaluated(
        world,
        b"slices: {by: [group, {query: score > 0.5}]}\n"
        b"fairness: [{column: group, metric: demographic_parity, max: 0.2}]\n"
        b"data: [{path: p.csv, id: id, min_rows: 10}]\n",
    )
    assert (check.name, check.health) == ("evaluation", OK)
    assert check.detail.startswith("400 rows of predictions, 2 ways to slice")


@pytest.mark.parametrize(
    ("more", "name", "detail"),
    [
        (b"slices: {by: [grup]}", "slices.by", "did you mean 'group'?"),
        (b"slices: {by: [{query: 'score >'}]}", "slices.by", "cannot be read"),
        (b"slices: {by: [group], metrics: [latency]}", "slices.metrics", "nothing of latency"),
        (
            b"fairness: [{column: grup, metric: demographic_parity, max: 0.2}]",
            "fairness gate",
            "no column 'grup'",
        ),
        (b"baseline: {metrics: [latency]}", "baseline gate", "latency"),
        (b"data: [{path: none.csv, min_rows: 1}]", "data gate", "none.csv"),
        (b"data: [{path: p.csv, min_rows: 500}]", "data gate", "400"),
    ],
)
def test_what_would_block_any_change_is_named_with_a_fix(
    world: World, more: bytes, name: str, detail: str
) -> None:
    found = evaluated(world, more)
    assert [(one.name, one.health) for one in found] == [(name, PROBLEM)]
    assert detail in found[0].detail
    assert found[0].fix


def test_each_slice_that_is_wrong_is_named(world: World) -> None:
    found = evaluated(world, b"slices: {by: [one, group, two]}")
    assert [one.detail.partition(",")[0] for one in found] == ["one", "two"]


def test_predictions_that_cannot_be_read_are_one_problem(world: World) -> None:
    (check,) = evaluated(
        world,
        b"fairness: [{column: group, metric: demographic_parity, max: 0.2}]\n"
        b"baseline: {metrics: [roc_auc]}",
        **{"p.csv": b"id,score,group\n1,0.5,a\n"},
    )
    assert check.health is PROBLEM
    assert "y_true" in check.detail
    (check,) = evaluated(world, **{"p.csv": ROWS + b"0,1,0.5,a\n"})
    assert "id" in check.detail


def test_what_lacks_a_column_says_which_key_names_it_all_at_once(world: World) -> None:
    rows = b"id,actual,predicted\n" + b"".join(b"%d,%d.5,%d\n" % (n, n, n) for n in range(300))
    (check,) = evaluated(world, **{"p.csv": rows})
    assert check.fix == (
        "Under `evaluation:` in modelci.yaml say `target: actual`, if that is it; "
        "say `score: predicted`, if that is it; "
        "`actual` holds 300 different numbers: is it `task: regression`?"
    )


def test_predictions_that_are_behind_other_metrics_are_a_warning(world: World) -> None:
    (check,) = evaluated(world, **{"metrics.json": metrics(auc=0.7)})
    assert check.health is WARNING
    assert "metrics.json of the head says 0.7" in check.detail


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        (".gitea/workflows/a.yml", b"x: modelci ci\n", ".gitea/workflows/a.yml"),
        (".forgejo/workflows/a.yaml", b"x: modelci ci\n", ".forgejo/workflows/a.yaml"),
        (".gitlab-ci.yml", b"x: !reference [modelci ci]\n", ".gitlab-ci.yml"),
    ],
)
def test_other_forges_have_workflows_too(world: World, path: str, text: bytes, name: str) -> None:
    world.commit(**{".github/workflows/pr.yml": None, path: text})
    assert world.check(name).health is OK
    assert "workflows" not in {one.name for one in world.examine().checks}


@pytest.mark.parametrize(
    "include",
    [
        b"include: ci/model.yml\n",
        b"include: {local: /ci/model.yml}\n",
        b"include:\n  - local: 'ci/*.yml'\n",
        b"include:\n  - ci/model.yml\n",
    ],
)
def test_gitlabs_own_file_is_followed_to_what_it_includes(world: World, include: bytes) -> None:
    model = {"ci/model.yml": b"x: [modelci ci]\n", ".github/workflows/pr.yml": None}
    world.commit(**{**model, ".gitlab-ci.yml": include})
    assert world.check("ci/model.yml").health is OK
    world.commit(**{**model, ".gitlab-ci.yml": b"x: [make]\n"})
    assert world.check("workflows").health is WARNING


def test_a_workflow_that_comments_beside_the_one_that_does_is_named(world: World) -> None:
    later = WORKFLOW.replace(b"on: pull_request", b"on: {workflow_run: {workflows: [pr]}}")
    world.commit(**{".github/workflows/model-comment.yml": later})
    found = [one for one in world.examine().checks if one.health is WARNING]
    assert [one.name for one in found] == [".github/workflows/pr.yml"]
    assert "model-comment.yml comments once more" in found[0].detail
    alone = WORKFLOW.replace(b"modelci comment", b"modelci ci --no-write")
    world.commit(
        **{".github/workflows/model-comment.yml": later, ".github/workflows/pr.yml": alone}
    )
    assert {one.health for one in world.examine().checks} == {OK}


def test_jobs_that_install_what_is_not_there_are_named(world: World) -> None:
    text = b"# pip install 'modelci[gitlab]==0.1.0'\n# [ -f requirements.txt ]\n" + WORKFLOW
    world.commit(**{".github/workflows/pr.yml": text})
    assert "git+https://" in (world.check("installation").fix or "")
    warned = [one.detail for one in world.examine().checks if one.health is WARNING]
    assert any("requirements.txt, which is not there" in one for one in warned)
    own = text.replace(b"'modelci[gitlab]==0.1.0'", b"'modelci @ git+https://h/o/modelci@abc'")
    world.commit(**{".github/workflows/pr.yml": own, "requirements.txt": b"numpy\n"})
    assert {one.health for one in world.examine().checks} == {OK}


@pytest.mark.parametrize(
    "line", [b"# [ -f requirements.txt ]\n", b"#\n    requirements: requirements.txt\n"]
)
def test_requirements_that_no_job_finds_are_one_warning(world: World, line: bytes) -> None:
    files = {f".github/workflows/{name}.yml": WORKFLOW + line for name in ("pr", "a", "b")}
    world.commit(**{**files, "requirements.txt": None})
    (told,) = [one for one in world.examine().checks if "requirements.txt" in one.detail]
    assert (told.name, told.health) == ("requirements.txt", WARNING)
    assert all(path in told.detail for path in files)


@pytest.mark.parametrize(
    ("origin", "store", "warned"),
    [
        ("https://github.com/o/r.git", "../store", True),
        ("git@gitlab.com:o/r.git", "/mnt/store", True),
        ("git@gitlab.com:o/r.git", "s3://bucket/store", False),
        ("/srv/r.git", "/mnt/store", False),
    ],
)
def test_a_dvc_remote_that_no_job_reaches_is_warned_of(
    world: World, origin: str, store: str, *, warned: bool
) -> None:
    settings = f"[core]\n    remote = storage\n['remote \"storage\"']\n    url = {store}\n"
    world.commit(**{".dvc/config": settings.encode()})

    class Elsewhere(FakeGit):
        def remote_url(self) -> str:
            return origin

    made = Elsewhere(world.root, world.remote)
    found = [one for one in world.examine(lambda: made).checks if one.name == "dvc remote"]
    assert [one.health for one in found] == ([OK, WARNING] if warned else [OK])


def test_a_dvc_yaml_that_holds_only_metrics_is_one(world: World) -> None:
    class OnlyMetrics(FakeSnapshots):
        def read(self, tree: FileTree, *, pull: bool = False) -> Snapshot:
            return Snapshot(metrics=super().read(tree, pull=pull).metrics)

    world.reader = OnlyMetrics()
    world.commit(**{"dvc.lock": None, "dvc.yaml": b"metrics: [metrics.json]\n"})
    check = world.check("pipeline")
    assert (check.health, check.detail) == (OK, "0 stages, 1 metric, 0 tracked files")
    world.commit(**{"dvc.lock": None})
    assert world.check("pipeline").detail == "no dvc.yaml and no .dvc file"


# -- deploying -------------------------------------------------------------------------------------

TARGETS = (
    GATES
    + b"""
promote: {stages: [qa, prod]}
deploy:
  targets:
    prod: {kind: directory, path: /srv/models, stages: [%s]}
"""
)


def of_deploy(
    world: World,
    config: bytes,
    around: Surroundings | None = None,
    *,
    golden: str | None = "models/m.golden.json",
) -> list[Check]:
    world.commit(**{"modelci.yaml": config}, **({golden: b"{}"} if golden else {}))
    found = world.examine(around=around or Surroundings()).checks
    names = ("target ", "deploy.", "golden requests", "promote.sign")
    return [one for one in found if one.name.startswith(names)]


def test_a_target_that_is_well_is_named(world: World) -> None:
    (one,) = of_deploy(world, TARGETS % b"prod")
    assert (one.name, one.health) == ("target prod", OK)
    assert one.detail == "directory, takes prod"


def test_a_stage_that_nobody_assigns_names_the_nearest(world: World) -> None:
    (one,) = of_deploy(world, TARGETS % b"prdo")
    assert (one.name, one.health) == ("target prod", WARNING)
    assert "'prdo'" in one.detail
    assert one.fix == "Did you mean 'prod'? There are prod, qa."


def test_a_stage_that_a_tag_has_assigned_is_known(world: World) -> None:
    commit = next(iter(world.remote.commits))
    world.remote.tags["m#lab#1"] = PlannedTag(
        name="m#lab#1", artifact="m", commit=commit, seconds=1, subject="x"
    )
    (one,) = of_deploy(world, TARGETS % b"lab")
    assert one.health is OK


def test_what_a_target_says_of_itself_is_shown(world: World) -> None:
    told = Check(name="target prod", health=PROBLEM, detail="a file", fix="remove it")
    around = Surroundings(look=lambda name: [told] if name == "prod" else [])
    assert of_deploy(world, TARGETS % b"prod", around) == [told]


def test_two_targets_cannot_share_folder_address_or_stage(world: World) -> None:
    text = (
        GATES
        + b"""
deploy:
  targets:
    a: {kind: server, path: srv, stages: [prod]}
    b: {kind: server, path: srv, stages: [prod]}
"""
    )
    shared = [one for one in of_deploy(world, text) if one.name == "deploy.targets"]
    assert [(one.health, one.detail) for one in shared] == [
        (PROBLEM, "a and b have the same path, srv"),
        (PROBLEM, "a and b have the same server.listen, 127.0.0.1:8080"),
        (WARNING, "a and b take stage 'prod': a tag of it does not tell where to"),
    ]


def test_an_artifact_without_golden_requests_is_named(world: World) -> None:
    (_, one) = of_deploy(world, TARGETS % b"prod", golden=None)
    assert (one.name, one.health) == ("golden requests of m", WARNING)
    assert "`modelci golden models/m.skops DATA --out models/m.golden.json`" in (one.fix or "")
    required = (TARGETS % b"prod") + b"  require_golden: true\n"
    assert of_deploy(world, required, golden=None)[1].health is PROBLEM
    elsewhere = (TARGETS % b"prod") + b"models: {m: {golden: gold.json}}\n"
    assert "no gold.json" in of_deploy(world, elsewhere)[1].detail
    assert len(of_deploy(world, elsewhere, golden="gold.json")) == 1


def test_secrets_that_are_wanted_and_not_set_are_named(world: World) -> None:
    text = TARGETS.replace(b"qa, prod]", b"qa, prod], sign_models: true") % b"prod"
    text += b"  require_provenance: true\n"
    around = Surroundings(forge_token="GITLAB_TOKEN", has_signing_key=False)
    provenance, signing = of_deploy(world, text, around)[1:]
    assert provenance.detail.startswith("GITLAB_TOKEN is not set here")
    assert signing.detail.startswith("MODELCI_SIGNING_KEY_PEM is not set here")
    assert len(of_deploy(world, text, Surroundings())) == 1


CALLING = b"""\
on: %s
permissions: {}
jobs:
  model:
    permissions: {%s}
    uses: somebody/modelci/.github/workflows/%s.yml@0123456789abcdef0123456789abcdef01234567
"""


@pytest.mark.parametrize("name", CALLED_NEEDS)
def test_a_call_grants_all_that_the_called_jobs_need(world: World, name: str) -> None:
    path = ".github/workflows/pr.yml"
    *others, last = CALLED_NEEDS[name]
    granted = ", ".join((*others, last)).encode()
    world.commit(**{path: CALLING % (b"push", granted, name.encode())})
    assert world.check(path).health is OK

    lacking = ", ".join((*others, "id-token: write")).encode()
    world.commit(**{path: CALLING % (b"push", lacking, name.encode())})
    check = world.check(path)
    assert check.health is PROBLEM
    assert check.detail == f"job model calls {name}.yml without `permissions: {last}`"


def test_a_call_that_comments_beside_a_job_that_does_is_named(world: World) -> None:
    granted = ", ".join(CALLED_NEEDS["comment"]).encode()
    later = CALLING % (b"{workflow_run: {workflows: [pr]}}", granted, b"comment")
    world.commit(**{".github/workflows/model-comment.yml": later})
    found = [one for one in world.examine().checks if "comments once more" in one.detail]
    assert [one.name for one in found] == [".github/workflows/pr.yml"]


@pytest.mark.parametrize(
    ("name", "setting", "config"),
    [
        ("comment", "comment.pictures", b"comment: {pictures: true}\n"),
        ("merge", "promote.dispatch", b"promote: {dispatch: deploy.yml}\n"),
    ],
)
def test_what_no_called_job_may_do_is_said(
    world: World, name: str, setting: str, config: bytes
) -> None:
    path = ".github/workflows/pr.yml"
    granted = ", ".join(CALLED_NEEDS[name]).encode()
    world.commit(
        **{path: CALLING % (b"push", granted, name.encode()), "modelci.yaml": GATES + config}
    )
    warned = [one for one in world.examine().checks if one.name == path and one.health is WARNING]
    assert [one.detail.partition(" is set")[0] for one in warned] == [setting]


def test_a_call_that_watches_is_told_when_nothing_starts_it(world: World) -> None:
    granted = ", ".join(CALLED_NEEDS["monitor"]).encode()
    path = ".github/workflows/pr.yml"
    idle = CALLING % (b"workflow_dispatch", granted, b"monitor")
    world.commit(**{path: idle, "modelci.yaml": WATCHED})
    assert "it watches only when somebody starts it" in [
        one.detail for one in world.examine().checks if one.name == path
    ]
