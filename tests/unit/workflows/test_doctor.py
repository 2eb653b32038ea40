from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.pipeline import FakePipeline
from tests.fakes.snapshots import FakeSnapshots, lock, metrics

from modelci.config.load import Loaded, load
from modelci.domain.checks import Check, Examination, Health
from modelci.domain.events import CIContext
from modelci.domain.promotion import PlannedTag
from modelci.errors import ConfigError, PipelineError
from modelci.ports import Git
from modelci.workflows.doctor import examine

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
        self, git: Callable[[], Git] | None = None, *, depth: int | None = None
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
        (b"gates: [{metric: auc, min: 0.9}]", PROBLEM, "0.8 must be"),
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
    from modelci.workflows.doctor import _check_workflow

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
    from modelci.workflows.doctor import _check_workflow

    job = {"permissions": permissions, "steps": [{"run": "modelci check --artifact modelci"}]}
    checks = list(_check_workflow("w.yml", {"on": "workflow_run", "jobs": {"a": job}}))
    said = [check.detail for check in checks if check.health is PROBLEM]
    assert [text.partition("permissions: ")[2].rstrip("`") for text in said] == lacks
