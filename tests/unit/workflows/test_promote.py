from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.pipeline import FakePipeline
from tests.fakes.progress import RecordedProgress
from tests.fakes.snapshots import FakeSnapshots, lock, metrics

from modelci.config.model import PromoteConfig
from modelci.domain.allowance import Liftable
from modelci.domain.artifacts import Artifact
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.gates import Gate, Rule, Threshold, judge_all
from modelci.domain.metrics import diff_metrics
from modelci.domain.pipeline import Run, StageRun, StageStatus
from modelci.domain.promotion import PlannedTag, Promotion, Rules
from modelci.domain.registry import fold_registry, newest_version
from modelci.domain.report import Report, Revision
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError, ForgeError, PromotionError, UsageError
from modelci.ports import NO_BLOBS, Blobs, Pipeline
from modelci.workflows.promote import Labels, _hash, promote
from modelci.workflows.results import commit_results
from modelci.workflows.revisions import RESULTS_SUBJECT

GATES = (Gate(metric="auc", rule=Rule.MIN, threshold=Threshold(value=0.5)),)


def files(model: str | None = "one", *, stale: bool = False, auc: float = 0.8) -> dict[str, bytes]:
    return {
        "dvc.yaml": b"stages",
        "dvc.lock": lock(model, stale=stale),
        "metrics.json": metrics(auc=auc),
    }


@dataclass
class World:
    """A remote with one commit, a clone of it, and everyone that a promotion talks to."""

    folder: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    reader: FakeSnapshots = field(default_factory=FakeSnapshots)
    progress: RecordedProgress = field(default_factory=RecordedProgress)

    def merge(self, model: str | None = "one", *, stale: bool = False, seconds: int = 1000) -> str:
        return self.remote.commit(files(model, stale=stale), seconds=seconds)

    def merged(
        self, model: str | None = "one", *, stale: bool = False, seconds: int = 1000
    ) -> FakeGit:
        """Return a clone in which the model was just merged."""
        self.merge(model, stale=stale, seconds=seconds)
        return self.clone()

    def clone(self, depth: int | None = None) -> FakeGit:
        return FakeGit(self.folder, self.remote, depth=depth)

    def report(self, git: FakeGit, **fields: object) -> Report:
        head = git.resolve("HEAD")
        snapshot = self.reader.read(git.tree(head.sha))
        deltas = diff_metrics({}, snapshot.metrics)
        states = fold_registry(git.tags(remote=git.remote()))
        last = newest_version(
            states, besides={head.sha, *head.parents[: head.subject == RESULTS_SUBJECT]}
        )
        values: dict[str, object] = {
            "base": last and Revision(sha=last.commit, name=last.tag, chosen="", tag=last.tag),
            "head": Revision(sha=head.sha, name="main", chosen="HEAD"),
            "head_sha": head.sha,
            "created": "2025-01-01T00:00:00Z",
            "version": "1.0",
            "metrics": deltas,
            "gates": judge_all(GATES, deltas),
            "locks": dict(snapshot.locks),
            "run_url": "https://ci.example/runs/1",
        }
        return Report(**{**values, **fields})  # type: ignore[arg-type]

    def promote(
        self,
        git: FakeGit,
        report: Report | Literal["its own"] | None = "its own",
        *,
        settings: PromoteConfig | None = None,
        results: Path | None = None,
        forge: FakeForge | None = None,
        any_branch: bool = False,
        dry_run: bool = False,
        rules: Rules | None = None,
        only: tuple[str, ...] = (),
        allowed_by: str | None = None,
        pipeline: Callable[[], Pipeline] | None = None,
        on_github: bool = False,
        labels: Labels | None = None,
    ) -> Promotion:
        return promote(
            git=git,
            reader=self.reader,
            settings=settings or PromoteConfig(assign=("prod",)),
            report=self.report(git) if isinstance(report, str) else report,
            progress=self.progress,
            results=results,
            branch="main",
            forge=forge,
            any_branch=any_branch,
            dry_run=dry_run,
            rules=rules or Rules(),
            only=only,
            allowed_by=allowed_by,
            pipeline=pipeline,
            on_github=on_github,
            labels=labels,
            pause=lambda _: None,
        )

    @property
    def tags(self) -> list[str]:
        return list(self.remote.tags)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_judged_merge_becomes_a_version_and_a_stage(world: World) -> None:
    sha = world.merge()
    git = world.clone(depth=1)
    promotion = world.promote(git)
    assert promotion.done
    assert promotion.remote == "origin"
    assert world.tags == ["m@v0.0.1", "m#prod#1"]
    made = world.remote.tags["m@v0.0.1"]
    assert (made.commit, made.seconds) == (sha, 1000)
    assert dict(made.trailers) == {
        "Modelci-Path": "models/m.skops",
        "Modelci-Hash": "md5:one",
        "Modelci-Metric": "metrics.json:auc=0.8",
        "Modelci-Run": "https://ci.example/runs/1",
        "Modelci-Version": "1.0",
        "Modelci-Verdict": "passed",
    }
    assert world.progress.notes == ["m@v0.0.1 → origin", "m#prod#1 → origin"]


def test_a_dry_run_says_what_and_does_nothing(world: World) -> None:
    git = world.merged()
    promotion = world.promote(git, dry_run=True)
    assert [one.name for one in promotion.tags] == ["m@v0.0.1", "m#prod#1"]
    assert not promotion.done
    assert world.tags == []


def test_running_it_again_finds_nothing_to_do(world: World) -> None:
    world.merge()
    for _ in range(2):
        git = world.clone(depth=1)
        promotion = world.promote(git)
    assert promotion.tags == ()
    assert promotion.done
    assert len(world.tags) == 2


def test_without_a_remote_the_tags_stay_here(world: World) -> None:
    git = world.merged()
    git.origin = None
    promotion = world.promote(git)
    assert promotion.remote is None
    assert list(git.tag_objects) == ["m@v0.0.1", "m#prod#1"]
    assert world.tags == []
    assert "this clone" in world.progress.notes[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head": Revision(sha="f" * 40, name="x", chosen="")}, "The report is of fffffff, not of"),
        ({"head": Revision(sha=None, name="x", chosen="")}, "The report is of nothing, not of"),
        ({"locks": {"dvc.lock": "f" * 40}}, "The report is of another dvc.lock"),
        ({"locks": None}, "The report is of another dvc.lock"),
        ({"gates": judge_all(GATES, ())}, r"gates block it \(auc\)"),
        (
            {
                "run": Run(
                    revision=None,
                    dirty=False,
                    started="",
                    seconds=1,
                    stages=(StageRun(name="train", status=StageStatus.FAILED),),
                )
            },
            "Not promoted: the pipeline failed",
        ),
    ],
)
def test_what_was_not_tested_and_passed_is_not_tagged(
    world: World, fields: Mapping[str, object], message: str
) -> None:
    git = world.merged()
    with pytest.raises(PromotionError, match=message):
        world.promote(git, world.report(git, **fields))
    assert world.tags == []


def test_a_report_of_uncommitted_changes_promotes_nothing(world: World) -> None:
    sha = world.merge()
    git = world.clone()
    dirty = Revision(sha=sha, name="main", chosen="", dirty=True)
    with pytest.raises(PromotionError, match=f"is of {sha[:7]} with changes, not of {sha[:7]}"):
        world.promote(git, world.report(git, head=dirty))


def test_without_a_report_there_is_no_verdict(world: World) -> None:
    world.merge()
    with pytest.raises(PromotionError, match="no verdict") as raised:
        world.promote(world.clone(), None)
    assert "modelci report" in (raised.value.hint or "")


def test_a_lock_that_is_out_of_date_is_not_tagged(world: World) -> None:
    git = world.merged(stale=True)
    with pytest.raises(PromotionError, match=r"out of date for stage train: train.py changed"):
        world.promote(git)


def test_a_remote_that_refuses_leaves_nothing_tagged(world: World) -> None:
    git = world.merged()
    world.remote.refuses = "protected"
    with pytest.raises(PromotionError, match="protected"):
        world.promote(git)
    assert world.tags == list(git.tag_objects) == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (PromoteConfig(artifacts=("nothing",)), "names 'nothing', which no dvc.yaml declares"),
        (PromoteConfig(assign=("pr od",)), "'pr od' cannot be a stage's name"),
    ],
)
def test_settings_that_name_nothing_are_configuration_errors(
    world: World, settings: PromoteConfig, message: str
) -> None:
    git = world.merged()
    with pytest.raises(ConfigError, match=message):
        world.promote(git, settings=settings)


def test_a_stage_that_is_not_listed_is_refused_before_anything_is_tagged(world: World) -> None:
    git = world.merged()
    settings = PromoteConfig(assign=("Prod",), stages=("dev", "prod"))
    with pytest.raises(UsageError, match="none of the stages") as caught:
        world.promote(git, settings=settings)
    assert "Did you mean prod? There are dev, prod" in (caught.value.hint or "")
    assert world.tags == []


def test_an_artifact_that_no_tag_can_carry_is_a_configuration_error(world: World) -> None:
    world.reader.artifacts = (Artifact(name="m m", path="models/m.skops"),)
    git = world.merged()
    with pytest.raises(ConfigError, match="cannot be named by a tag"):
        world.promote(git)


def test_only_the_artifacts_configured_are_promoted(world: World) -> None:
    world.reader.artifacts = tuple(Artifact(name=name, path="models/m.skops") for name in "ab")
    git = world.merged()
    world.promote(git, settings=PromoteConfig(artifacts=("b",)))
    assert world.tags == ["b@v0.0.1"]


# -- what came before ------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "made"), [("one", []), ("two", ["m@v0.0.2", "m#prod#2"])])
def test_only_bytes_that_changed_since_the_last_version_are_one(
    world: World, model: str, made: list[str]
) -> None:
    git = world.merged("one")
    world.promote(git)
    world.merge(model, seconds=2000)
    world.remote.commit({**files(model), "README": b"x"}, seconds=3000)
    git = world.clone(depth=1)
    promotion = world.promote(git)
    assert [one.name for one in promotion.tags] == made


@pytest.mark.parametrize(("model", "made"), [("one", []), ("two", ["m@v1.2.4", "m#prod#8"])])
def test_a_version_that_gto_made_is_compared_by_its_commits_own_lock(
    world: World, model: str, made: list[str]
) -> None:
    old = world.merge("one")
    for name in ("m@v1.2.3", "m#prod#7"):
        world.remote.tags[name] = PlannedTag(
            name=name, artifact="m", commit=old, seconds=5000, subject="Registering artifact m"
        )
    world.merge(model, seconds=2000)
    world.remote.commit({**files(model), "README": b"x"}, seconds=3000)
    git = world.clone(depth=1)
    promotion = world.promote(git)
    assert [one.name for one in promotion.tags] == made
    assert {one.seconds for one in promotion.tags} <= {5001}


def test_the_previous_version_is_named(world: World) -> None:
    for model, seconds in (("one", 1), ("two", 2)):
        git = world.merged(model, seconds=seconds)
        world.promote(git)
    assert ("Modelci-Previous", "m@v0.0.1") in world.remote.tags["m@v0.0.2"].trailers


# -- results of the run job ------------------------------------------------------------------


def run_job(world: World, changed: Mapping[str, bytes]) -> tuple[Path, Report]:
    """Play the job that runs user code: it leaves a bundle and a report."""
    git = world.clone(depth=1)
    base = git.resolve("HEAD").sha
    git.files.update(changed)
    sha = git.commit_paths(list(changed), RESULTS_SUBJECT)
    path = world.folder / "results.bundle"
    git.bundle(path, sha=sha, since=base)
    return path, world.report(git)


def test_results_of_a_run_become_the_branchs_commit_with_the_tags(world: World) -> None:
    world.merge()
    path, report = run_job(world, {"dvc.lock": lock("two"), "metrics.json": metrics(auc=0.9)})
    promotion = world.promote(world.clone(depth=1), report, results=path)
    assert world.remote.branches["main"] == promotion.commit == report.head.sha
    assert world.remote.tags["m@v0.0.1"].commit == promotion.commit
    again = world.promote(world.clone(), report)
    assert again.tags == ()


def test_results_may_change_nothing_but_what_stages_write(world: World) -> None:
    world.merge()
    changed = {"dvc.lock": lock("two"), ".github/workflows/x.yml": b"evil", "train.py": b"evil"}
    path, report = run_job(world, changed)
    with pytest.raises(PromotionError, match=r"changes .github/workflows/x.yml, train.py, which"):
        world.promote(world.clone(depth=1), report, results=path)
    assert world.tags == []


@pytest.mark.parametrize("name", ["models/.gitignore", ".gitignore"])
def test_results_may_ignore_what_they_track(world: World, name: str) -> None:
    world.merge()
    path, report = run_job(world, {"dvc.lock": lock("two"), name: b"/m.skops"})
    assert world.promote(world.clone(depth=1), report, results=path).done


def test_results_of_another_commit_are_refused(world: World) -> None:
    world.merge()
    path, report = run_job(world, {"dvc.lock": lock("two")})
    world.merge("three", seconds=2000)
    with pytest.raises(PromotionError, match="was made on top of"):
        world.promote(world.clone(), report, results=path)


def test_results_without_a_parent_are_refused(world: World) -> None:
    base = world.merge()
    git = world.clone()
    orphan = world.remote.commit(files("two"), branch="orphan", parents=[], subject=RESULTS_SUBJECT)
    git.fetch([orphan])
    path = world.folder / "results.bundle"
    git.bundle(path, sha=orphan, since=base)
    with pytest.raises(PromotionError, match="on top of nothing"):
        world.promote(world.clone(), world.report(git), results=path)


def test_a_branch_that_moved_on_meanwhile_gets_neither_commit_nor_tags(world: World) -> None:
    world.merge()
    path, report = run_job(world, {"dvc.lock": lock("two")})
    git = world.clone()
    newer = world.merge("three", seconds=2000)
    with pytest.raises(PromotionError):
        world.promote(git, report, results=path)
    assert world.tags == []
    assert world.remote.branches["main"] == newer


def test_a_run_that_wrote_nothing_new_makes_no_commit(world: World) -> None:
    sha = world.merge()
    git = world.clone()
    git.files["train.py"] = b"untracked"
    assert commit_results(git, world.reader.read(git.work_tree())) is None
    git.files["dvc.lock"] = lock("two")
    made = commit_results(git, world.reader.read(git.work_tree()))
    assert made is not None
    assert [one.path for one in git.changed_files(sha, made)] == ["dvc.lock"]


def test_a_verdict_that_passes_over_the_newest_version_is_none(world: World) -> None:
    git = world.merged()
    world.promote(git)
    worse = world.merge("worse")  # blocked, let us say
    world.remote.commit({**files("worse"), "README": b"x"})
    git = world.clone()
    unaware = world.report(git, base=Revision(sha=worse, name="HEAD^", chosen="the parent"))
    with pytest.raises(PromotionError, match=r"not with m@v0\.0\.1, what was promoted last"):
        world.promote(git, unaware)
    assert world.tags == ["m@v0.0.1", "m#prod#1"]
    lifting = world.promote(git, unaware, rules=Rules(allowed="it is known"), dry_run=True)
    assert lifting.allowed_rules == (Liftable.NEWEST_BASE,)
    assert world.promote(git).tags[0].name == "m@v0.0.2"


def test_only_what_is_merged_is_promoted(world: World) -> None:
    git = world.merged()
    git.files["dvc.lock"] = lock("two")
    git.commit_paths(["dvc.lock"], "on a branch that nobody merged")
    with pytest.raises(PromotionError, match="is not on main"):
        world.promote(git)
    assert world.tags == []
    assert world.promote(git, any_branch=True).done


# -- the forge -------------------------------------------------------------------------------


def test_the_forge_hears_of_every_tag(world: World) -> None:
    sha = world.merge()
    git = world.clone()
    forge = FakeForge()
    world.promote(git, forge=forge)
    assert {name: commit for name, (commit, _) in forge.tags.items()} == {
        "m@v0.0.1": sha,
        "m#prod#1": sha,
    }
    assert "Modelci-Hash: md5:one" in forge.tags["m@v0.0.1"][1]


class Refusing(FakeForge):
    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        del tag, commit, message
        raise ForgeError("no")


def test_a_forge_that_refuses_does_not_undo_a_promotion(world: World) -> None:
    git = world.merged()
    promotion = world.promote(git, forge=Refusing())
    assert promotion.done
    assert promotion.notes[0] == "m@v0.0.1 is tagged, but the forge was not told: no"


def test_an_artifact_in_a_tracked_folder_has_the_folders_hash() -> None:
    folder = TrackedFile(path="models", kind=DataKind.DATA, hash="abc.dir")
    snapshot = Snapshot(tracked={"models": folder})
    assert _hash(snapshot, "models/eu/m.skops") == "md5:abc.dir"
    assert _hash(snapshot, "other/m.skops") is None


# -- rules and what lifts them ---------------------------------------------------------------


def test_a_gate_that_blocks_is_lifted_by_a_reason_that_stays_in_the_tags(world: World) -> None:
    git = world.merged()
    blocked = world.report(git, gates=judge_all(GATES, ()))
    rules = Rules(allowed="the metric's file is late")
    promotion = world.promote(git, blocked, rules=rules, allowed_by="ada")
    for tag in promotion.tags:
        said = dict(tag.trailers)
        assert said["Modelci-Verdict"] == "blocked"
        assert said["Modelci-Allowed"] == "the metric's file is late"
        assert said["Modelci-Allowed-By"] == "ada"
        assert said["Modelci-Allowed-Rules"] == "gates"
    assert promotion.allowed == "the metric's file is late"
    assert promotion.allowed_rules == (Liftable.GATES,)


def lifted(promotion: Promotion) -> dict[str, str | None]:
    """Return what each tag says that was lifted for it."""
    return {tag.name: dict(tag.trailers).get("Modelci-Allowed-Rules") for tag in promotion.tags}


def test_a_reason_that_lifts_nothing_makes_the_tags_that_none_would_make(world: World) -> None:
    git = world.merged()
    plain = world.promote(git, dry_run=True)
    found = world.promote(git, rules=Rules(allowed="to be sure"), dry_run=True)
    assert found.tags == plain.tags
    assert (found.allowed, found.allowed_rules) == ("to be sure", ())


def test_the_tags_say_which_rules_were_lifted_and_no_others(world: World) -> None:
    git = world.merged("one")
    settings = PromoteConfig(assign=("dev", "prod"), stages=("dev", "staging", "prod"))
    rules = Rules(allowed="hotfix")
    found = world.promote(git, settings=settings, rules=rules, dry_run=True)
    assert set(lifted(found).values()) == {"stage-order"}
    blocked = world.report(git, gates=judge_all(GATES, ()))
    found = world.promote(git, blocked, settings=settings, rules=rules, dry_run=True)
    assert set(lifted(found).values()) == {"gates, stage-order"}
    assert found.allowed_rules == (Liftable.GATES, Liftable.STAGE_ORDER)
    lacking = FakePipeline(lacks=frozenset({"one"}))
    found = world.promote(
        git,
        world.report(git),
        settings=PromoteConfig(assign=("dev",)),
        rules=rules,
        pipeline=lambda: lacking,
    )
    assert lifted(found) == {"m@v0.0.1": "stored-bytes", "m#dev#1": "stored-bytes"}
    assert "The DVC remote lacks models/m.skops (md5 one)." in found.notes
    assert world.remote.tags["m#dev#1"].message.endswith("Modelci-Allowed-Rules: stored-bytes\n")


def test_an_artifact_says_what_was_lifted_for_it_and_not_for_another(world: World) -> None:
    world.reader.artifacts = tuple(Artifact(name=name, path="models/m.skops") for name in "ab")
    git = world.merged("one")
    world.promote(git)
    held = world.remote.tags["a#prod#1"]
    world.remote.tags["a#prod#2"] = replace(
        held, name="a#prod#2", seconds=2000, trailers=(("Modelci-Hold", "true"),)
    )
    git = world.merged("two", seconds=3000)
    found = world.promote(git, rules=Rules(allowed="fixed"))
    assert lifted(found) == {
        "a@v0.0.2": "hold",
        "a#prod#3": "hold",
        "b@v0.0.2": None,
        "b#prod#2": None,
    }
    assert found.allowed_rules == (Liftable.HOLD,)


@pytest.mark.parametrize(
    "fields",
    [
        {"head": Revision(sha="f" * 40, name="x", chosen="")},
        {"locks": {"dvc.lock": "f" * 40}},
        {
            "run": Run(
                revision=None,
                dirty=False,
                started="",
                seconds=1,
                stages=(StageRun(name="train", status=StageStatus.FAILED),),
            )
        },
    ],
)
def test_no_reason_lets_anything_be_tagged_that_was_not_tested(
    world: World, fields: Mapping[str, object]
) -> None:
    git = world.merged()
    with pytest.raises(PromotionError):
        world.promote(git, world.report(git, **fields), rules=Rules(allowed="please"))
    assert world.tags == []


def test_an_empty_reason_is_none(world: World) -> None:
    git = world.merged()
    with pytest.raises(UsageError, match="--allow needs a reason"):
        world.promote(git, rules=Rules(allowed=""))


def withdraw(world: World, version: str) -> None:
    made = world.remote.tags[version]
    world.remote.tags[f"{version}!"] = replace(made, name=f"{version}!", seconds=made.seconds + 1)


def test_withdrawn_bytes_come_back_only_for_a_reason(world: World) -> None:
    git = world.merged("bad")
    world.promote(git)
    withdraw(world, "m@v0.0.1")
    world.remote.commit({**files("bad"), "README": b"unrelated"}, seconds=5000)
    git = world.clone()
    left = world.promote(git)
    assert left.tags == ()
    assert "these bytes were withdrawn as m@v0.0.1" in left.unpromoted[0].reason
    done = world.promote(git, rules=Rules(allowed="it was the data"))
    assert lifted(done) == {"m@v0.0.2": "withdrawn", "m#prod#2": "withdrawn"}


def test_a_hold_keeps_a_merge_out_of_the_stage(world: World) -> None:
    git = world.merged("one")
    world.promote(git)
    held = world.remote.tags["m#prod#1"]
    world.remote.tags["m#prod#2"] = replace(
        held, name="m#prod#2", seconds=2000, trailers=(("Modelci-Hold", "true"),)
    )
    git = world.merged("two", seconds=3000)
    found = world.promote(git)
    assert [one.name for one in found.tags] == ["m@v0.0.2"]
    assert any(note.startswith("m#prod is held by m#prod#2") for note in found.notes)
    again = world.promote(git)
    assert "m#prod is held by m#prod#2" in again.unpromoted[0].reason


def test_a_stage_given_to_another_version_is_not_taken_back_by_the_same_job(world: World) -> None:
    for model, seconds in (("one", 1000), ("two", 2000)):
        git = world.merged(model, seconds=seconds)
        report = world.report(git)
        world.promote(git, report)
    first = world.remote.tags["m#prod#1"]
    world.remote.tags["m#prod#3"] = replace(first, name="m#prod#3", seconds=9000)
    again = world.promote(git, report)
    assert again.tags == ()
    assert "v0.0.2 had prod before, v0.0.1 holds it now" in again.unpromoted[0].reason


@pytest.mark.parametrize(
    ("body", "made", "note"),
    [
        ("Modelci-Bump: minor", "m@v0.1.0", None),
        ("Modelci-Bump: MAJOR", "m@v1.0.0", None),
        ("Modelci-Bump: huge", "m@v0.0.2", "Modelci-Bump: huge means nothing"),
        ("", "m@v0.0.2", None),
    ],
)
@pytest.mark.parametrize("depth", [None, 1])
def test_commits_ask_for_a_bump(
    world: World, depth: int | None, body: str, made: str, note: str | None
) -> None:
    world.remote.commit(files("zero"), seconds=1, body="Modelci-Bump: major")
    git = world.clone()
    world.promote(git)
    world.remote.commit(files("one"), seconds=2, body=body)
    world.remote.commit(files("two"), seconds=3)
    git = world.clone(depth)
    promotion = world.promote(git)
    assert promotion.tags[0].name == made
    assert [one for one in promotion.notes if "Bump" in one] == (
        [f"{note}: major, minor or patch do."] if note else []
    )


def test_a_flag_decides_the_bump(world: World) -> None:
    git = world.merged("one")
    world.promote(git)
    world.remote.commit(files("two"), seconds=2000, body="Modelci-Bump: major")
    git = world.clone()
    promotion = world.promote(git, rules=Rules(bump="minor"))
    assert promotion.tags[0].name == "m@v0.1.0"


@pytest.mark.parametrize(
    ("labels", "body", "made"),
    [
        (("modelci:minor", "bug"), "", "m@v0.1.0"),
        (("modelci:patch", "Modelci:MAJOR"), "", "m@v1.0.0"),
        (("modelci:minor",), "Modelci-Bump: major", "m@v1.0.0"),
        (("modelci:minor",), "Modelci-Bump: patch", "m@v0.1.0"),
        (("major", "modelci:huge", "xmodelci:major"), "", "m@v0.0.2"),
        ((), "", "m@v0.0.2"),
    ],
)
def test_labels_of_the_merge_ask_for_a_bump(
    world: World, labels: tuple[str, ...], body: str, made: str
) -> None:
    git = world.merged("one")
    world.promote(git)
    forge = FakeForge()
    forge.labels[world.remote.commit(files("two"), seconds=2000, body=body)] = labels
    git = world.clone(depth=1)
    promotion = world.promote(git, labels=forge.labels_of)
    assert promotion.tags[0].name == made
    assert not any("Labels" in one or "Bump" in one for one in promotion.notes)


def test_a_commit_of_results_has_the_labels_of_its_parent(world: World) -> None:
    git = world.merged("zero")
    world.promote(git)
    merged = world.merge("one", seconds=2000)
    path, report = run_job(world, {"dvc.lock": lock("two")})
    asked: list[str] = []

    def labels(sha: str) -> tuple[str, ...]:
        asked.append(sha)
        return ("modelci:minor",)

    git = Flaky(world.folder, world.remote)
    git.failures = 1  # planned twice, asked once
    promotion = world.promote(git, report, results=path, labels=labels)
    assert asked == [merged]
    assert promotion.commit != merged
    assert promotion.tags[0].name == "m@v0.1.0"


def test_a_flag_a_first_version_and_no_version_ask_for_no_labels(world: World) -> None:
    def labels(sha: str) -> tuple[str, ...]:
        raise AssertionError(sha)

    git = world.merged("one")
    assert world.promote(git, labels=labels).tags[0].name == "m@v0.0.1"
    assert world.promote(git, labels=labels).tags == ()
    world.remote.commit({**files("one"), "README": b"1"}, seconds=2000)
    git = world.clone()
    assert world.promote(git, labels=labels).tags == ()
    git = world.merged("two", seconds=3000)
    rules = Rules(bump="minor")
    promotion = world.promote(git, rules=rules, labels=labels)
    assert promotion.tags[0].name == "m@v0.1.0"


def test_a_forge_that_does_not_tell_the_labels_costs_a_note(world: World) -> None:
    git = world.merged("one")
    world.promote(git)
    world.remote.commit(files("two"), seconds=2000, body="Modelci-Bump: minor")
    git = world.clone()
    denied = FakeForge(denied={"labels_of"})
    promotion = world.promote(git, labels=denied.labels_of)
    assert promotion.done
    assert promotion.tags[0].name == "m@v0.1.0"
    (note,) = [one for one in promotion.notes if "Labels" in one]
    assert "refused labels_of. Write `fake: write`" in note


def test_bytes_that_the_remote_lacks_are_not_promoted(world: World) -> None:
    git = world.merged()
    lacking = FakePipeline(lacks=frozenset({"one"}))
    with pytest.raises(PromotionError, match=r"lacks models/m\.skops \(md5 one\)"):
        world.promote(git, pipeline=lambda: lacking)
    assert world.tags == []
    assert world.promote(git, pipeline=FakePipeline).done


@pytest.mark.parametrize(
    ("settings", "notes"),
    [
        (PromoteConfig(), 1),
        (PromoteConfig(starts_workflows=True), 0),
        (PromoteConfig(dispatch="deploy.yml"), 0),
    ],
)
def test_on_github_it_is_said_that_a_jobs_token_starts_nothing(
    world: World, settings: PromoteConfig, notes: int
) -> None:
    git = world.merged()
    promotion = world.promote(git, settings=settings, on_github=True)
    assert len([one for one in promotion.notes if "GITHUB_TOKEN" in one]) == notes


def test_run_again_it_says_what_it_starts_again(world: World) -> None:
    settings = PromoteConfig(assign=("dev", "prod"), dispatch="deploy.yml")
    git = world.merged()
    first = world.promote(git, settings=settings)
    assert (first.standing, first.notes) == ((), ())
    for dry_run in (True, False):
        again = world.promote(git, settings=settings, dry_run=dry_run)
        assert (again.tags, again.standing) == ((), ("m#dev#1", "m#prod#2"))
        assert again.notes == (
            "m#dev#1 was there before: deploy.yml starts for it again, in case it never did.",
            "m#prod#2 was there before: deploy.yml starts for it again, in case it never did.",
        )
    silent = world.promote(git, settings=PromoteConfig(assign=("prod",)))
    assert (silent.standing, silent.notes) == (("m#prod#2",), ())


class Unheard(FakeGit):
    """Its first push arrives, and the answer is lost."""

    lost = False

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)
        if not self.lost:
            self.lost = True
            raise ForgeError("The line is dead.")


def test_tags_whose_push_was_not_answered_are_started_once(world: World) -> None:
    world.reader.artifacts = tuple(Artifact(name=name, path="models/m.skops") for name in "ab")
    world.merge()
    git = Unheard(world.folder, world.remote)
    done = world.promote(git)
    assert [tag.name for tag in done.tags] == ["a@v0.0.1", "a#prod#1", "b@v0.0.1", "b#prod#1"]
    assert done.standing == ()


def test_more_tags_than_github_hears_of_are_still_one_push_and_said(world: World) -> None:
    git = world.merged()
    settings = PromoteConfig(assign=("a", "b", "c"))
    promotion = world.promote(git, settings=settings, on_github=True)
    assert len(promotion.tags) == 4
    assert any("more than 3 tags: that of m" in one for one in promotion.notes)


def test_a_remote_of_another_name_is_a_usage_error(world: World) -> None:
    git = world.merged()
    with pytest.raises(UsageError, match="no remote 'upstream'"):
        world.promote(git, settings=PromoteConfig(remote="upstream"))


class Overtaken(FakeGit):
    """Somebody pushes a tag of the same name before the first push."""

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        assert self.origin is not None
        if tags and tags[0].name not in self.origin.tags:
            first = tags[0]
            self.origin.tags[first.name] = replace(first, commit=self.rival, seconds=self.seconds)
        super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)

    rival = ""
    seconds = 0


@pytest.mark.parametrize(
    ("seconds", "when"), [(7, "1970-01-01 00:00:07 UTC"), (10**15, "second 1000000000000000")]
)
def test_the_winner_of_a_race_is_named(world: World, seconds: int, when: str) -> None:
    rival = world.merge("theirs", seconds=500)
    world.merge("ours", seconds=1000)
    git = Overtaken(world.folder, world.remote)
    git.rival, git.seconds = rival, seconds
    with pytest.raises(PromotionError) as raised:
        world.promote(git)
    assert f"m@v0.0.1 by Test Author ({when}, on " in str(raised.value)
    assert raised.value.exit_code == 6
    assert world.tags == ["m@v0.0.1"]


class Flaky(FakeGit):
    """Its first ``failures`` pushes do not reach the remote."""

    failures = 0

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise ForgeError("The line is dead.")
        super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)


@pytest.mark.parametrize("tagged", [True, False])
def test_a_push_that_did_not_arrive_is_made_again_with_the_branch(
    world: World, *, tagged: bool
) -> None:
    world.merge()
    path, report = run_job(world, {"dvc.lock": lock("two")})
    git = Flaky(world.folder, world.remote)
    git.failures = 2
    settings = PromoteConfig(assign=("prod",), artifacts=None if tagged else ())
    promotion = world.promote(git, report, results=path, settings=settings)
    assert world.remote.branches["main"] == promotion.commit
    assert len(world.tags) == (2 if tagged else 0)


class Revoked(FakeGit):
    """Its first push is lost, and meanwhile Anna's key is taken off the list."""

    push_lost = False

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        if not self.push_lost:
            self.push_lost = True
            assert self.origin is not None
            self.origin.commit({**SIGNED, ".s": b"ben@example.com"}, seconds=2000)
            raise ForgeError("The line is dead.")
        super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)


SIGNED = {
    **files(),
    "modelci.yaml": b"registry: {require_signed: true, allowed_signers: .s}",
    ".s": b"anna@example.com",
}


def test_who_may_sign_no_longer_pushes_nothing_when_the_push_is_made_again(world: World) -> None:
    world.remote.commit(SIGNED, seconds=1000)
    git = Revoked(world.folder, world.remote)
    git.signs_tags = True
    with pytest.raises(PromotionError, match=r"refuses m@v0\.0\.1 \(unknown"):
        world.promote(git)
    assert git.push_lost
    assert world.tags == []


def test_a_later_artifact_that_is_refused_says_which_was_tagged(world: World) -> None:
    world.reader.artifacts = tuple(Artifact(name=name, path="models/m.skops") for name in "ab")
    world.merge()
    lacking = FakePipeline()

    class Halfway(FakeGit):
        def push(
            self,
            tags: Sequence[PlannedTag],
            *,
            remote: str | None,
            commit_to: tuple[str, str] | None = None,
            blobs: Blobs = NO_BLOBS,
        ) -> None:
            if tags[0].artifact == "b":
                lacking.lacks = frozenset({"one"})
                raise ForgeError("The line is dead.")
            super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)

    git = Halfway(world.folder, world.remote)
    with pytest.raises(
        PromotionError, match=r"lacks .* But a@v0\.0\.1, a#prod#1 had been tagged\."
    ):
        world.promote(git, pipeline=lambda: lacking)
    assert world.tags == ["a@v0.0.1", "a#prod#1"]


def test_a_remote_that_stays_away_is_a_forge_error(world: World) -> None:
    world.merge()
    git = Flaky(world.folder, world.remote)
    git.failures = 3
    with pytest.raises(ForgeError, match="The line is dead"):
        world.promote(git)
    assert world.tags == []


def test_one_of_several_is_promoted_by_the_same_verdict_as_all(world: World) -> None:
    world.reader.artifacts = tuple(Artifact(name=name, path="models/m.skops") for name in "ab")
    git = world.merged("one")
    world.promote(git, only=("a",))
    assert world.tags == ["a@v0.0.1", "a#prod#1"]
    git = world.merged("two", seconds=2000)
    world.promote(git, only=("b",))
    assert world.tags[2:] == ["b@v0.0.1", "b#prod#1"]
    with pytest.raises(UsageError, match="No artifact 'c' is promoted here") as raised:
        world.promote(git, only=("c",))
    assert "There are a, b" in (raised.value.hint or "")
