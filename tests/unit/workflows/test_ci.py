from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.pipeline import FakePipeline
from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock, metrics

from modelci.config.model import CommentConfig, Config, PromoteConfig, RunConfig
from modelci.documents import codec
from modelci.domain.events import CIContext, EventKind, Job
from modelci.domain.pipeline import Run, RunOptions, StageRun, StageStatus
from modelci.domain.promotion import PlannedTag, Promotion
from modelci.domain.report import Report
from modelci.errors import ForgeDeniedError, PipelineError, PromotionError
from modelci.ports import CheckStatus, Forge, PullRequest
from modelci.workflows.ci import Done, Release, run_ci
from modelci.workflows.run import run_pipeline

GATES = b"gates:\n  - {metric: auc, max_drop: 0.01}\n"
FAILED = (StageRun(name="train", status=StageStatus.FAILED, exit_code=1),)


def files(auc: float = 0.8, model: str = "one") -> dict[str, bytes]:
    return {
        "dvc.lock": lock(model),
        "metrics.json": metrics(auc=auc),
        "modelci.yaml": GATES,
    }


def show(report: Report, marker: str, **_: object) -> str:
    return f"{marker}\nok: {report.is_ok}"


@dataclass
class World:
    folder: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    pipeline: FakePipeline = field(default_factory=FakePipeline)
    forge: FakeForge = field(default_factory=FakeForge)
    progress: RecordedProgress = field(default_factory=RecordedProgress)
    config: Config = field(default_factory=Config)

    def pull_request(self, auc: float, model: str = "one") -> tuple[FakeGit, CIContext]:
        base = self.remote.commit(files())
        head = self.remote.commit(files(auc, model), branch="side", parents=[base])
        merge = self.remote.commit(files(auc, model), branch="pull", parents=[base, head])
        git = FakeGit(self.folder, self.remote, at=merge, branch=None, depth=1)
        self.forge.pulls[7] = PullRequest(
            number=7,
            head_sha=head,
            head_branch="side",
            head_repository="acme/credit",
            base_branch="main",
        )
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
        release: Release | None = None,
    ) -> Done:
        return run_ci(
            git=git,
            pipeline=self.pipeline,
            reader=FakeSnapshots(),
            config=self.config,
            context=context,
            forge=forge or (lambda: self.forge),
            records=lambda: self.forge if self.config.promote.releases else None,
            render=show,
            draw=lambda _: {},
            describe=lambda report: (f"ok: {report.is_ok}", ""),
            progress=self.progress,
            now=lambda: "2025-01-01T00:00:00Z",
            version="1.0",
            folder=self.folder,
            write=write,
            release=release,
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


@pytest.mark.parametrize(
    ("labels", "version"),
    [
        ((), "v1.0.1"),
        (("bug", "modelci:minor"), "v1.1.0"),
        (("modelci:patch", "ModelCI:Major"), "v2.0.0"),
        (("modelci:huge", "modelci:"), "v1.0.1"),
    ],
)
def test_what_a_merge_would_promote_is_what_the_labels_ask_for(
    world: World, labels: tuple[str, ...], version: str
) -> None:
    git, context = world.pull_request(0.81, "two")
    world.remote.tags["m@v1.0.0"] = PlannedTag(
        name="m@v1.0.0",
        artifact="m",
        commit=world.remote.branches["main"],
        seconds=1,
        subject="Register m v1.0.0",
    )
    # Without a word to the forge: a job that runs user code has no token.
    done = world.run(git, replace(context, labels=labels), forge=refuse, write=False)
    assert done.report.on_merge == (f"Register m {version}",)
    assert world.progress.warnings == []


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
    no_check, no_comment = world.progress.warnings
    assert "No check was set: GitHub refused." in no_check
    assert "No comment was posted: GitHub refused." in no_comment
    assert "pull-requests: write" in no_comment


@pytest.mark.parametrize(("auc", "status"), [(0.81, "success"), (0.7, "failure")])
def test_a_check_is_open_while_the_pipeline_runs(world: World, auc: float, status: str) -> None:
    git, context = world.pull_request(auc)
    seen: list[CheckStatus] = []
    world.pipeline.writes = lambda: seen.extend(one.status for one in world.forge.checks)
    world.run(git, context)
    assert seen == [CheckStatus.IN_PROGRESS]
    assert [one.status for one in world.forge.checks] == ["in_progress", status]
    assert {(one.name, one.sha) for one in world.forge.checks} == {("modelci", context.head_sha)}


def test_a_run_that_crashes_leaves_a_failed_check(world: World) -> None:
    def crash() -> None:
        raise OSError("the disk is full")

    world.pipeline.writes = crash
    with pytest.raises(OSError, match="disk"):
        world.run(*world.pull_request(0.81))
    assert world.forge.checks[-1].title == "The pipeline crashed: no report"
    assert world.forge.comments == []


@pytest.mark.parametrize("denied", ["set_check", "upsert_comment"])
def test_either_of_check_and_comment_does_without_the_other(world: World, denied: str) -> None:
    world.forge.denied = {denied}
    done = world.run(*world.pull_request(0.81))
    assert done.report.is_ok
    assert (len(world.forge.checks), len(world.forge.comments)) == (
        (0, 1) if denied == "set_check" else (2, 0)
    )


def test_no_check_where_none_is_wanted_or_the_token_is_a_fork_s(world: World) -> None:
    git, context = world.pull_request(0.81)
    world.run(git, replace(context, from_fork=True))
    world.config = Config(comment=CommentConfig(check=""))
    world.run(git, context)
    assert world.forge.checks == []
    assert len(world.forge.comments) == 1


def test_a_head_that_moved_on_gets_no_comment(world: World) -> None:
    git, context = world.pull_request(0.81)
    world.forge.pulls[7] = replace(world.forge.pulls[7], head_sha="e" * 40)
    done = world.run(git, context)
    assert done.comment is not None
    assert (done.comment.action, done.comment.url) == ("outdated", None)
    assert world.forge.comments == []
    assert "eeeeeee now" in world.progress.notes[-1]


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
    world.config = Config(promote=PromoteConfig(assign=("prod",)))
    released: list[object] = []
    done = world.run(*world.merge(), release=lambda *both: released.append(both))
    assert done.job is Job.MERGE
    assert list(world.remote.tags) == ["m@v0.0.1", "m#prod#1"]
    assert codec.read(Promotion, world.folder / "promotion.json") == done.promotion
    assert released == [(done.promotion, done.report)]
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
