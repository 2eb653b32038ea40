from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.pipeline import FakePipeline
from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock, metrics

from modelci.config.model import Config, PromoteConfig, RunConfig
from modelci.documents import codec
from modelci.domain.events import CIContext, EventKind, Job
from modelci.domain.pipeline import Run, RunOptions, StageRun, StageStatus
from modelci.domain.promotion import Promotion
from modelci.domain.report import Report
from modelci.errors import ForgeDeniedError, ForgeError, PipelineError, PromotionError, UsageError
from modelci.ports import Forge
from modelci.workflows import comment
from modelci.workflows.ci import Done, run_ci
from modelci.workflows.run import run_pipeline

GATES = b"gates:\n  - {metric: auc, max_drop: 0.01}\n"
FAILED = (StageRun(name="train", status=StageStatus.FAILED, exit_code=1),)


def files(auc: float = 0.8, model: str = "one") -> dict[str, bytes]:
    return {
        "dvc.lock": lock(model),
        "metrics.json": metrics(auc=auc),
        "modelci.yaml": GATES,
    }


@dataclass
class World:
    folder: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    pipeline: FakePipeline = field(default_factory=FakePipeline)
    forge: FakeForge = field(default_factory=FakeForge)
    progress: RecordedProgress = field(default_factory=RecordedProgress)
    config: Config = field(default_factory=Config)

    def pull_request(self, auc: float) -> tuple[FakeGit, CIContext]:
        base = self.remote.commit(files())
        head = self.remote.commit(files(auc), branch="side", parents=[base])
        merge = self.remote.commit(files(auc), branch="pull", parents=[base, head])
        git = FakeGit(self.folder, self.remote, at=merge, branch=None, depth=1)
        return git, CIContext(
            provider="github",
            event=EventKind.PULL_REQUEST,
            sha=merge,
            head_sha=head,
            base_ref="main",
            pull_request=7,
            default_branch="main",
            workflow="Model PR",
            job="report",
        )

    def merge(self, auc: float = 0.81, branch: str = "main") -> tuple[FakeGit, CIContext]:
        before = self.remote.commit(files(), branch=branch)
        sha = self.remote.commit(files(auc, "two"), branch=branch, seconds=1_700_000_100)
        git = FakeGit(self.folder, self.remote, depth=1, branch=branch)
        return git, CIContext(
            event=EventKind.PUSH, sha=sha, before=before, branch=branch, default_branch="main"
        )

    def run(
        self,
        git: FakeGit,
        context: CIContext,
        *,
        write: bool = True,
        forge: Callable[[], Forge] | None = None,
    ) -> Done:
        return run_ci(
            git=git,
            pipeline=self.pipeline,
            reader=FakeSnapshots(),
            config=self.config,
            context=context,
            forge=forge or (lambda: self.forge),
            records=lambda: self.forge if self.config.promote.releases else None,
            render=lambda report, mark: f"{mark}\nok: {report.is_ok}",
            progress=self.progress,
            now=lambda: "2025-01-01T00:00:00Z",
            version="1.0",
            folder=self.folder,
            write=write,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def refuse() -> Forge:
    raise ForgeDeniedError("GitHub refused.", hint="Give `pull-requests: write`.")


@pytest.mark.parametrize(("auc", "ok"), [(0.81, True), (0.7, False)])
def test_a_pull_request_is_run_judged_and_commented_on(
    world: World, auc: float, *, ok: bool
) -> None:
    done = world.run(*world.pull_request(auc))
    assert done.job is Job.PULL_REQUEST
    assert done.report.is_ok is ok
    assert done.promotion is None
    (posted,) = world.forge.comments
    assert posted.number == 7
    assert posted.body.endswith(f"ok: {ok}")
    assert codec.read(Report, world.folder / "report.json") == done.report
    assert codec.read(Run, world.folder / "run.json") == done.run
    assert done.report.run == done.run
    assert world.remote.tags == {}


def test_a_second_run_updates_the_same_comment(world: World) -> None:
    pull = world.pull_request(0.81)
    for action in ("created", "unchanged"):
        done = world.run(*pull)
        assert done.comment is not None
        assert done.comment.action == action
    assert len(world.forge.comments) == 1


def test_a_forge_that_refuses_loses_the_comment_never_the_verdict(world: World) -> None:
    done = world.run(*world.pull_request(0.7), forge=refuse)
    assert done.comment is None
    assert not done.report.is_ok
    (warning,) = world.progress.warnings
    assert "No comment was posted: GitHub refused." in warning
    assert "pull-requests: write" in warning


@pytest.mark.parametrize("play", [World.pull_request, World.merge])
def test_without_write_nothing_leaves_the_machine(
    world: World, play: Callable[[World, float], tuple[FakeGit, CIContext]]
) -> None:
    done = world.run(*play(world, 0.81), write=False, forge=refuse)
    assert done.report.is_ok
    assert world.forge.comments == []
    assert world.remote.tags == {}
    assert [done.comment, done.promotion, done.refused] == [None] * 3
    assert (world.folder / "report.json").is_file()


def test_a_merge_that_passes_is_promoted(world: World) -> None:
    world.config = Config(promote=PromoteConfig(assign=("prod",), releases=True))
    done = world.run(*world.merge())
    assert done.job is Job.MERGE
    assert list(world.remote.tags) == ["m@v0.0.1", "m#prod#1"]
    assert codec.read(Promotion, world.folder / "promotion.json") == done.promotion
    assert list(world.forge.releases) == ["m@v0.0.1"]
    assert world.forge.comments == []


def test_a_merge_whose_gates_fail_is_not_promoted_and_says_so(world: World) -> None:
    done = world.run(*world.merge(0.5))
    assert not done.report.is_ok
    assert done.promotion is None
    assert world.remote.tags == {}
    assert world.progress.warnings == ["Not promoted: the verdict says no."]
    assert not (world.folder / "promotion.json").exists()


def test_a_promotion_that_is_refused_keeps_the_report(world: World) -> None:
    merge = world.merge()
    world.remote.refuses = "protected"
    done = world.run(*merge)
    assert isinstance(done.refused, PromotionError)
    assert done.report.is_ok
    assert (world.folder / "report.json").is_file()


def test_what_the_merges_own_run_wrote_is_committed_and_tagged(world: World) -> None:
    git, context = world.merge()
    world.pipeline.writes = lambda: git.files.update({"dvc.lock": lock("three")})
    done = world.run(git, context)
    assert done.promotion is not None
    made = world.remote.branches["main"]
    assert made != context.sha
    assert world.remote.commits[made].commit.parents == (context.sha,)
    assert world.remote.tags["m@v0.0.1"].commit == made == done.report.head.sha
    assert done.report.base is not None
    assert done.report.base.sha == context.before
    assert (world.folder / "results.bundle").is_file()


def test_results_stay_out_of_git_where_the_configuration_says_so(world: World) -> None:
    git, context = world.merge()
    world.config = Config(promote=PromoteConfig(commit_results=False))
    world.pipeline.writes = lambda: git.files.update({"dvc.lock": lock("three")})
    done = world.run(git, context)
    assert isinstance(done.refused, PromotionError)
    assert world.remote.branches["main"] == context.sha
    assert world.remote.tags == {}


@pytest.mark.parametrize("play", [World.pull_request, World.merge])
def test_a_failed_run_is_reported_and_nothing_is_promoted(
    world: World, play: Callable[[World, float], tuple[FakeGit, CIContext]]
) -> None:
    world.pipeline.stages = FAILED
    git, context = play(world, 0.81)
    world.pipeline.writes = lambda: git.files.update({"dvc.lock": lock("half")})
    done = world.run(git, context)
    assert not done.run.is_ok
    assert not done.report.is_ok
    assert world.remote.tags == {}
    assert (context.pull_request is not None) == (len(world.forge.comments) == 1)
    assert not (world.folder / "results.bundle").exists()


@pytest.mark.parametrize(
    ("configured", "branch", "job"),
    [
        (None, "main", Job.MERGE),
        (None, "side", Job.CHECK),
        ("side", "side", Job.MERGE),
        ("side", "main", Job.CHECK),
    ],
)
def test_the_configured_default_branch_decides_what_is_a_merge(
    world: World, configured: str | None, branch: str, job: Job
) -> None:
    world.config = Config(default_branch=configured)
    git, context = world.merge(branch=branch)
    done = world.run(git, context)
    assert done.job is job
    assert bool(world.remote.tags) is (job is Job.MERGE)


def test_a_forks_run_pushes_no_data(world: World) -> None:
    world.config = Config(run=RunConfig(pull=True, push=True))
    git, context = world.pull_request(0.81)
    assert world.run(git, context).run.pushed == 3
    fork = CIContext(
        event=EventKind.PULL_REQUEST,
        sha=context.sha,
        head_sha=context.head_sha,
        pull_request=7,
        from_fork=True,
    )
    assert world.run(git, fork).run.pushed is None
    assert world.pipeline.pushes == 1
    assert world.pipeline.asked[0] == {
        "targets": (),
        "pull": True,
        "force": False,
        "keep_going": True,
    }


def test_data_that_cannot_be_pushed_fails_the_run_and_loses_no_result(world: World) -> None:
    world.config = Config(run=RunConfig(push=True))
    world.pipeline.push_error = PipelineError("The remote is full.", hint="Make room.")
    done = world.run(*world.pull_request(0.81))
    assert done.run.error == "The remote is full. Make room."
    assert not done.report.is_ok
    assert len(done.report.metrics) == 1


def test_a_run_names_its_revision_and_whether_it_was_changed(world: World) -> None:
    git, context = world.merge()
    for dirty in (False, True):
        run = run_pipeline(
            git=git,
            pipeline=world.pipeline,
            progress=world.progress,
            now=lambda: "2025-01-01T00:00:00Z",
            version="1.0",
            targets=["train"],
            options=RunOptions(force=True),
        )
        assert (run.revision, run.dirty, run.started) == (
            context.sha,
            dirty,
            "2025-01-01T00:00:00Z",
        )
        git.files["new"] = b"x"
    assert world.pipeline.asked[-1]["targets"] == ("train",)
    assert world.pipeline.pushes == 0


# -- comments --------------------------------------------------------------------------------


def test_the_pull_request_is_the_events_or_given_never_the_documents() -> None:
    assert comment.find_number(CIContext(pull_request=7), None) == 7
    assert comment.find_number(CIContext(pull_request=7), 9) == 9
    with pytest.raises(UsageError, match="Which pull request") as raised:
        comment.find_number(CIContext(), None)
    assert "--pr" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("number", "head_sha", "posted"),
    [(7, "a" * 40, True), (7, "b" * 40, False), (7, None, True), (9, "b" * 40, True)],
)
def test_a_report_of_another_head_is_not_posted(
    world: World, number: int, head_sha: str | None, *, posted: bool
) -> None:
    done = world.run(*world.pull_request(0.81), write=False)
    report = codec.decode(
        Report,
        codec.encode(done.report).replace(str(done.report.head_sha), "a" * 40).encode(),
        source="x",
    )
    context = CIContext(pull_request=7, head_sha=head_sha)

    def post() -> object:
        return comment.post(
            report, "body", number=number, marker="<!-- m -->", context=context, forge=world.forge
        )

    if posted:
        assert post()
    else:
        with pytest.raises(UsageError, match="The report is of aaaaaaa"):
            post()
    assert len(world.forge.comments) == posted


@pytest.mark.parametrize(
    ("context", "identity", "marker"),
    [
        (CIContext(), None, "<!-- modelci:report local/report -->"),
        (CIContext(workflow="Model PR", job="a_b"), None, "<!-- modelci:report Model-PR/a_b -->"),
        (CIContext(workflow="x--> evil", job="j"), None, "<!-- modelci:report x-evil/j -->"),
        (CIContext(workflow="x"), "my id", "<!-- modelci:report my-id -->"),
    ],
)
def test_each_workflow_and_job_keeps_a_comment_of_its_own(
    context: CIContext, identity: str | None, marker: str
) -> None:
    assert comment.marker(context, identity) == marker


def test_a_forge_error_when_posting_by_hand_is_not_swallowed(world: World) -> None:
    done = world.run(*world.pull_request(0.81), write=False)
    with pytest.raises(ForgeError):
        comment.post(done.report, "x", number=7, marker="m", context=CIContext(), forge=refuse())
