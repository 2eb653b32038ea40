import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress
from tests.fakes.releasebytes import FakeBytes
from tests.fakes.snapshots import MODEL, FakeSnapshots, lock
from tests.fakes.target import WELL, FakeTarget

from modelci.config.model import (
    Config,
    DeployConfig,
    EnvironmentMode,
    ModelConfig,
    RegistryConfig,
    TargetConfig,
)
from modelci.documents import codec
from modelci.domain.deploying import Limits, Manner
from modelci.domain.deployment import (
    Deployment,
    DeployOutcome,
    Observation,
    Release,
    StepKind,
    StepState,
    Strategy,
    Trial,
)
from modelci.domain.golden import Environment, Golden, Health
from modelci.domain.modelfiles import Danger, FileFormat, FileScan, ScanFinding, Trust
from modelci.domain.orders import parse_wanted
from modelci.domain.promotion import PlannedTag
from modelci.domain.provenance import Provenance
from modelci.errors import (
    ConfigError,
    DeploymentError,
    ForgeError,
    ModelCIError,
    TargetBusyError,
    UsageError,
)
from modelci.ports import Progress
from modelci.workflows.deploy import deploy
from modelci.workflows.deploy_plan import Job, Request, Tools
from modelci.workflows.deploy_promoted import require_success

GOLDEN = "models/m.golden.json"
MADE_IN = Environment(
    python="3.11.4", packages={"scikit-learn": "1.5.2", "numpy": "2.0.0"}, needs=("scikit-learn",)
)
QUICK = Manner(limits=Limits(watch_seconds=4))
CANARY = replace(QUICK, strategy=Strategy.CANARY, shares=(0.05, 0.25))
SHADOW = replace(QUICK, strategy=Strategy.SHADOW)
FINE = Observation(seconds=4, requests=100, p50_ms=1, p99_ms=2)
BAD = Observation(seconds=4, requests=100, errors=40)
BUILDING = ["fetch", "verify", "scan", "environment", "stage", "check"]


def golden(model: str) -> bytes:
    document = Golden(
        model=MODEL,
        sha256=sha256(model.encode()).hexdigest(),
        flavour="sklearn",
        inputs=(),
        outputs=(),
        requests=(),
        responses=(),
        environment=MADE_IN,
    )
    return codec.encode(document).encode()


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds


class Environments:
    def __init__(self) -> None:
        self.built: list[tuple[Environment, Path]] = []

    def current(self) -> Environment:
        raise AssertionError

    def build(self, recorded: Environment, folder: Path, *, progress: Progress) -> Path:  # noqa: ARG002
        self.built.append((recorded, folder))
        return folder / "python"


@dataclass
class World:
    folder: Path
    remote: FakeRemote = field(default_factory=FakeRemote)
    source: FakeBytes = field(default_factory=FakeBytes)
    target: FakeTarget = field(default_factory=FakeTarget)
    progress: RecordedProgress = field(default_factory=RecordedProgress)
    clock: Clock = field(default_factory=Clock)
    config: Config = field(default_factory=Config)
    settings: TargetConfig = field(default_factory=lambda: TargetConfig(stages=("prod",)))
    dangers: dict[str, ScanFinding] = field(default_factory=dict)
    trusts: list[tuple[Trust, str | None]] = field(default_factory=list)
    announced: list[Deployment] = field(default_factory=list)
    tagged: int = 0

    def version(self, model: str, *, has_golden: bool = True, said: str = "") -> str:
        """Commit a model and register it; return the commit."""
        files = {"dvc.lock": lock(model)}
        if has_golden:
            files[GOLDEN] = golden(model)
        sha = self.remote.commit(files, seconds=1_700_000_000 + self.tagged)
        self.tag(f"m@v{self.tagged + 1}.0.0", sha, said or f"Modelci-Hash: md5:{model}")
        return sha

    def tag(self, name: str, commit: str, said: str = "") -> None:
        self.tagged += 1
        self.remote.tags[name] = PlannedTag(
            name=name,
            artifact="m",
            commit=commit,
            seconds=1_700_000_000 + 10 * self.tagged,
            subject="Subject",
            trailers=tuple(
                (line.partition(": ")[0], line.partition(": ")[2]) for line in said.splitlines()
            ),
        )

    def promote(self, model: str, **given: Any) -> str:
        """Register a model and assign prod to it; return the assignment."""
        sha = self.version(model, **given)
        name = f"m#prod#{self.tagged + 1}"
        self.tag(name, sha)
        return name

    def job(self, wanted: str = "m#prod", *, manner: Manner = QUICK, **given: Any) -> Job:
        allowed = given.pop("allowed", None)
        tools = {
            "git": FakeGit(self.folder, self.remote, depth=1),
            "reader": FakeSnapshots(),
            "source": self.source,
            "target": self.target,
            "scan": self.scan,
            "folder": self.folder / ".modelci",
            "progress": self.progress,
            "now": lambda: f"2026-01-01T00:{int(self.clock.seconds) % 60:02}:00Z",
            "clock": self.clock,
            "pause": self.clock.pause,
            "announce": self.announced.append,
            **given,
        }
        return Job(
            request=Request(wanted=parse_wanted(wanted), manner=manner, allowed=allowed, by="anna"),
            tools=Tools(**tools),
            config=self.config,
            settings=self.settings,
        )

    def deploy(self, wanted: str = "m#prod", *, dry_run: bool = False, **given: Any) -> Deployment:
        self.clock.seconds += 60
        return deploy(self.job(wanted, **given), dry_run=dry_run)

    def scan(self, path: Path, trust: Trust, flavour: str | None) -> tuple[FileScan, ...]:
        self.trusts.append((trust, flavour))
        data = path.read_bytes()
        finding = self.dangers.get(data.decode())
        found = FileScan(
            path=str(path),
            format=FileFormat.SKOPS,
            sha256=sha256(data).hexdigest(),
            bytes=len(data),
            findings=(finding,) if finding else (),
        )
        return (found,)

    @property
    def runs(self) -> str | None:
        """The version that runs."""
        running = self.target.state.running
        return running.version if running else None


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def taken(document: Deployment) -> list[str]:
    return [str(step.kind) for step in document.steps if step.state is StepState.DONE]


def refusal(world: World, *wanted: str, **given: Any) -> DeploymentError:
    """Deploy what is refused before anything is done."""
    before, calls = world.target.state, list(world.target.calls)
    with pytest.raises(DeploymentError) as raised:
        world.deploy(*wanted, **given)
    assert world.target.state == before
    assert world.target.calls == calls
    assert raised.value.hint
    return raised.value


# -- the way forward -------------------------------------------------------------------------------


def test_what_holds_the_stage_is_fetched_verified_checked_and_switched_to(world: World) -> None:
    tag = world.promote("one")
    done = world.deploy()
    assert done.outcome is DeployOutcome.DEPLOYED
    assert taken(done)[:3] == ["fetch", "verify", "scan"]
    assert (done.tag, done.version, done.stage, done.by) == (tag, "v1.0.0", "prod", "anna")
    running = done.after
    assert running == world.target.state.running
    assert running is not None
    assert (running.version, running.tag, running.settled) == ("v1.0.0", tag, True)
    assert running.assigned_seconds == world.remote.tags[tag].seconds
    assert done.before is None
    assert done.health == WELL
    assert world.source.asked == [MODEL]
    assert world.announced == [replace(done, **unfinished(world)), done]


def unfinished(world: World) -> dict[str, Any]:
    began = world.announced[0]
    return {
        "outcome": DeployOutcome.PLANNED,
        "steps": (),
        "findings": (),
        "health": None,
        "after": None,
        "seconds": None,
        "observations": began.observations,
    }


def test_a_release_is_a_folder_that_says_what_is_in_it(world: World) -> None:
    world.promote("one")
    done = world.deploy()
    assert done.release is not None
    files = world.target.files[done.release]
    assert set(files) == {"model/m.skops", "golden.json", "dvc.lock", "release.json"}
    assert files["model/m.skops"] == b"one"
    release = codec.decode(Release, files["release.json"], source="release.json")
    assert release == world.target.releases[done.release]
    assert release.model == "model/m.skops"
    assert (release.golden, release.flavour) == ("golden.json", "sklearn")
    assert release.environment == MADE_IN
    assert {one.path: one.sha256 for one in release.files} == {
        name: sha256(data).hexdigest() for name, data in files.items() if name != "release.json"
    }
    assert not any((world.folder / ".modelci").rglob("*.skops"))


def test_again_nothing_is_to_be_done(world: World) -> None:
    world.promote("one")
    first = world.deploy()
    calls = list(world.target.calls)
    again = world.deploy()
    assert again.outcome is DeployOutcome.UNCHANGED
    assert again.plan == ()
    assert again.after == first.after
    assert world.target.calls == calls


def test_a_dry_run_says_what_it_takes_and_does_nothing(world: World) -> None:
    world.promote("one")
    planned = world.deploy(dry_run=True)
    assert planned.outcome is DeployOutcome.PLANNED
    assert [str(one.kind) for one in planned.plan] == [*BUILDING, "switch", "watch", "prune"]
    assert world.target.calls == []
    assert world.source.asked == []
    assert world.announced == []
    assert planned.release == world.deploy().release


def test_an_older_version_runs_again_without_being_fetched(world: World) -> None:
    first = world.promote("one")
    world.deploy()
    world.promote("two")
    world.deploy()
    commit = world.remote.tags[first].commit
    world.tag("m#prod#9", commit, "Modelci-Reason: recall fell\nModelci-Hold: true")
    world.source.asked.clear()
    back = world.deploy()
    assert back.outcome is DeployOutcome.DEPLOYED
    assert world.source.asked == []
    assert (world.runs, back.tag) == ("v1.0.0", "m#prod#9")
    assert back.after is not None
    assert back.after.reason == "recall fell"


def test_a_hold_that_is_released_moves_nothing_but_is_remembered(world: World) -> None:
    world.promote("one")
    world.deploy()
    commit = next(iter(world.remote.tags.values())).commit
    world.tag("m#prod#9", commit, "Modelci-Hold: released")
    done = world.deploy("m#prod#2")
    assert taken(done) == ["switch"]
    assert done.after is not None
    assert (done.after.tag, done.after.settled) == ("m#prod#9", True)
    assert world.deploy().outcome is DeployOutcome.UNCHANGED


def test_a_version_is_deployed_where_it_is_named(world: World) -> None:
    world.version("one")
    world.version("two")
    assert world.deploy("m@latest").version == "v2.0.0"
    refused = refusal(world, "m@v1.0.0")
    assert "m@v1.0.0 is older than m@v2.0.0" in str(refused)
    assert world.deploy("m@v1.0.0", allowed="to compare").after is not None
    assert world.runs == "v1.0.0"


def test_the_models_own_trust_and_latency_budget_are_used(world: World) -> None:
    world.config = Config(
        models={"m": ModelConfig(flavour="other", max_latency_ms=20)},
        safety=replace(Config().safety, trusted_types=("x.Y",), allow_pickle=("m", "n")),
    )
    world.promote("one")
    done = world.deploy()
    assert world.trusts == [(Trust(types=("x.Y",), pickle=True), "other")]
    release = world.target.releases[done.release or ""]
    assert (release.flavour, release.trusted_types, release.allow_pickle) == (
        "other",
        ("x.Y",),
        True,
    )
    world.config = Config()
    assert world.deploy().release != done.release


# -- what is refused ------------------------------------------------------------------------------


def test_a_late_run_for_an_older_tag_is_refused(world: World) -> None:
    first = world.promote("one")
    world.deploy()
    world.promote("two")
    refused = refusal(world, first)
    assert "is superseded: v3.0.0 holds prod now" in str(refused)
    assert world.runs == "v1.0.0"
    assert world.deploy().version == "v3.0.0"


def test_a_mirror_that_lags_behind_never_brings_the_old_version_back(world: World) -> None:
    first = world.promote("one")
    mirror = FakeRemote(
        commits=world.remote.commits, branches=world.remote.branches, tags=dict(world.remote.tags)
    )
    world.promote("two")
    world.deploy()
    git = FakeGit(world.folder, mirror, depth=1)
    refused = refusal(world, first, git=git)
    assert "m#prod#2 is older than m#prod#4 (v3.0.0), which was deployed here" in str(refused)
    assert refused.exit_code == 7


def test_a_hold_refuses_what_is_assigned_past_it(world: World) -> None:
    first = world.promote("one")
    commit = world.remote.tags[first].commit
    world.tag("m#prod#3", commit, "Modelci-Reason: recall fell\nModelci-Hold: true")
    assert world.deploy().version == "v1.0.0"
    world.promote("two")
    assert "m#prod is held by m#prod#3" in str(refusal(world))
    done = world.deploy(allowed="hotfix 7")
    assert done.version == "v4.0.0"
    assert done.allowed == "hotfix 7"
    assert done.notes == ("Allowed although: m#prod is held by m#prod#3: recall fell.",)
    assert done.after is not None
    assert done.after.reason == "hotfix 7"


def test_what_was_withdrawn_is_refused_and_may_be_allowed(world: World) -> None:
    tag = world.promote("one")
    commit = world.remote.tags[tag].commit
    world.tag("m@v1.0.0!#3", commit)
    assert "m@v1.0.0 was deregistered" in str(refusal(world, "m@v1.0.0"))
    assert "m@v1.0.0 was deregistered" in str(refusal(world, tag))
    world.tag("m@deprecated#4", commit)
    assert "m is deprecated" in str(refusal(world, "m@v1.0.0"))
    assert world.deploy("m@v1.0.0", allowed="to look at it").version == "v1.0.0"


def test_a_reason_must_be_one(world: World) -> None:
    world.promote("one")
    with pytest.raises(UsageError, match="--allow needs a reason"):
        world.deploy(allowed=" ")


def test_without_golden_requests_it_is_refused_where_they_are_required(world: World) -> None:
    world.promote("one", has_golden=False)
    world.config = Config(deploy=DeployConfig(require_golden=True))
    refused = refusal(world)
    assert "has no golden requests" in str(refused)
    assert "`modelci golden models/m.skops DATA`" in (refused.hint or "")
    world.config = Config()
    done = world.deploy()
    assert done.outcome is DeployOutcome.DEPLOYED
    assert "no golden requests say where" in next(
        one.detail for one in done.steps if one.state is StepState.SKIPPED
    )


def test_golden_requests_that_are_named_must_be_there(world: World) -> None:
    world.promote("one")
    world.config = Config(models={"m": ModelConfig(golden="other.json")})
    with pytest.raises(ConfigError, match=r"has no other\.json, which `models` names"):
        world.deploy()


def test_a_model_that_no_lock_names_is_refused(world: World) -> None:
    sha = world.remote.commit({"dvc.lock": lock(None)})
    world.tag("m@v1.0.0", sha)
    assert "says which bytes models/m.skops has" in str(refusal(world, "m@v1.0.0"))


def test_only_signed_tags_and_versions_where_that_is_required(world: World) -> None:
    tag = world.promote("one")
    world.config = Config(registry=RegistryConfig(require_signed=True))
    git = FakeGit(world.folder, world.remote, depth=1)
    assert "refuses m#prod#2 (unsigned); m@v1.0.0 (unsigned)" in str(refusal(world, git=git))
    git.signers = {tag: "anna@example.com"}
    refused = refusal(world, git=git, allowed="nothing lifts that")
    assert "refuses m@v1.0.0 (unsigned)" in str(refused)
    git.signers["m@v1.0.0"] = "anna@example.com"
    assert world.deploy(git=git).outcome is DeployOutcome.DEPLOYED


def test_a_commit_without_version_cannot_be_signed_for(world: World) -> None:
    sha = world.remote.commit({"dvc.lock": lock("one")})
    world.tag("m#prod#1", sha)
    world.config = Config(registry=RegistryConfig(require_signed=True))
    git = FakeGit(world.folder, world.remote, depth=1)
    git.signers = {"m#prod#1": "anna@example.com"}
    assert "bears no version that could be signed" in str(refusal(world, git=git))


def test_a_remote_that_is_away_is_no_reason_to_believe_old_tags(world: World) -> None:
    world.promote("one")
    job = world.job()
    world.remote.away = True
    with pytest.raises(ForgeError):
        deploy(job)


# -- bytes, files, environments --------------------------------------------------------------------


def failed(document: Deployment, step: str) -> str:
    """Return why the step failed; nothing was switched."""
    assert document.outcome is DeployOutcome.FAILED
    last = document.steps[-1]
    assert (str(last.kind), last.state) == (step, StepState.FAILED)
    assert document.before == document.after
    assert document.reason == last.detail
    assert document.hint
    return document.reason


@pytest.mark.parametrize(
    ("bytes_", "step", "says"),
    [
        (b"evil", "verify", "models/m.skops: md5: they differ (other, not two)"),
        (None, "fetch", "models/m.skops: there are no bytes of md5 two"),
    ],
)
def test_other_bytes_than_were_tagged_are_refused_whatever_is_allowed(
    world: World, bytes_: bytes | None, step: str, says: str
) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.source.stored["two"] = bytes_
    assert says in failed(world.deploy(allowed="I want it"), step)
    assert world.runs == "v1.0.0"
    del world.source.stored["two"]
    assert world.deploy().outcome is DeployOutcome.DEPLOYED


def test_the_hash_that_the_version_was_tagged_with_counts(world: World) -> None:
    world.promote("one", said="Modelci-Hash: md5:another")
    assert "tag and dvc.lock: they differ (md5:one, not md5:another)" in failed(
        world.deploy(), "verify"
    )


def test_the_sha256_that_the_version_was_tagged_with_counts(world: World) -> None:
    right, wrong = sha256(b"one").hexdigest(), "0" * 64
    world.promote("one", said=f"Modelci-Sha256: {wrong}")
    assert "models/m.skops: sha256 of the tag: they differ" in failed(world.deploy(), "verify")
    world.promote("one", said=f"Modelci-Sha256: {right}")
    done = world.deploy()
    assert done.outcome is DeployOutcome.DEPLOYED
    assert {one.subject for one in done.findings} == {
        "tag and dvc.lock",
        "models/m.skops: md5",
        "models/m.golden.json: sha256",
        "models/m.skops: sha256 of the tag",
        "models/m.skops: sha256 of the golden requests",
    }


def test_golden_requests_of_another_model_are_refused(world: World) -> None:
    sha = world.remote.commit({"dvc.lock": lock("one"), GOLDEN: golden("two")})
    world.tag("m@v1.0.0", sha)
    assert "sha256 of the golden requests: they differ" in failed(
        world.deploy("m@v1.0.0"), "verify"
    )


def statement(commit: str, digest: str) -> Provenance:
    return Provenance(
        tag="m@v1.0.0",
        artifact="m",
        path=MODEL,
        commit=commit,
        builder="urn:test",
        subjects={MODEL: {"md5": "one", "sha256": digest}},
        locks={},
    )


def test_provenance_is_asked_for_where_it_is_required(world: World) -> None:
    tag = world.promote("one")
    world.config = Config(deploy=DeployConfig(require_provenance=True))
    assert "no forge is known" in str(refusal(world))
    commit = world.remote.tags[tag].commit

    def forged(name: str) -> Provenance:
        return statement(commit, "0" * 64)

    assert "provenance sha256: they differ" in failed(world.deploy(provenance=forged), "verify")

    def missing(name: str) -> Provenance:
        raise ForgeError(f"There is no release {name}.", hint="Publish it.")

    assert "There is no release m@v1.0.0" in failed(world.deploy(provenance=missing), "verify")


def test_a_file_that_could_run_code_is_refused_whatever_is_allowed(world: World) -> None:
    world.promote("one")
    world.dangers["one"] = ScanFinding(danger=Danger.FORBIDDEN_GLOBAL, name="os.system")
    done = world.deploy(allowed="I want it")
    assert "m.skops (skops) has forbidden-global os.system" in failed(done, "scan")
    assert world.target.calls == []


def test_another_environment_is_refused_before_anything_is_staged(world: World) -> None:
    world.promote("one")
    world.target.has = replace(MADE_IN, packages={"scikit-learn": "1.4.0"}, python="3.12.1")
    why = failed(world.deploy(), "environment")
    assert "Python 3.11.4 at training, 3.12.1 here" in why
    assert "scikit-learn 1.5.2 at training, 1.4.0 here" in why
    assert world.target.calls == []
    done = world.deploy(allowed="numbers agree")
    assert done.outcome is DeployOutcome.DEPLOYED
    assert any("scikit-learn 1.5.2" in note for note in done.notes)


def test_an_environment_that_changed_is_seen_also_on_the_way_back(world: World) -> None:
    first = world.promote("one")
    world.target.has = MADE_IN
    world.deploy()
    world.promote("two")
    world.deploy()
    world.tag("m#prod#9", world.remote.tags[first].commit)
    world.target.has = replace(MADE_IN, packages={"scikit-learn": "1.6.0"})
    assert "scikit-learn 1.5.2 at training, 1.6.0 here" in failed(world.deploy(), "environment")


def test_an_environment_is_built_from_what_was_recorded(world: World) -> None:
    world.promote("one")
    world.settings = replace(world.settings, environment=EnvironmentMode.BUILD, path="srv")
    assert "which cannot be done here" in failed(world.deploy(), "environment")
    environments = Environments()
    done = world.deploy(environments=environments)
    assert environments.built == [(MADE_IN, world.folder / "srv" / "environments")]
    assert world.target.pythons[done.release or ""] == world.folder / "srv/environments/python"


def test_a_remote_that_does_not_answer_fails_the_deployment(world: World) -> None:
    world.promote("one")
    world.source.away = True
    assert "does not answer" in failed(world.deploy(), "fetch")


# -- health and traffic ----------------------------------------------------------------------------

ILL = Health(ok=False, problems=("row 3: score is 0.2, not 0.7",))


def test_a_model_that_answers_otherwise_is_never_switched_to(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.health = [ILL]
    done = world.deploy()
    assert "row 3: score is 0.2, not 0.7" in failed(done, "check")
    assert done.health == ILL
    assert world.runs == "v1.0.0"
    assert world.target.calls[-1].startswith("check v3.0.0")


def test_what_turns_out_ill_after_the_switch_is_switched_back(world: World) -> None:
    world.promote("one")
    world.deploy()
    tag = world.promote("two")
    world.target.health = [WELL, ILL]
    done = world.deploy()
    assert done.outcome is DeployOutcome.SWITCHED_BACK
    assert "is not healthy: row 3" in (done.reason or "")
    assert world.runs == "v1.0.0"
    assert done.after is not None
    assert "switched back from v3.0.0: " in (done.after.reason or "")
    assert [one.version for one in world.target.state.history] == ["v1.0.0", "v3.0.0", "v1.0.0"]
    world.target.health = [WELL]
    assert world.deploy(tag).outcome is DeployOutcome.DEPLOYED


def test_errors_after_the_switch_switch_back(world: World) -> None:
    world.promote("one")
    world.target.traffic = [FINE]
    world.deploy()
    world.promote("two")
    world.target.traffic = [FINE, BAD]
    done = world.deploy()
    assert done.outcome is DeployOutcome.SWITCHED_BACK
    assert "40 of 100 requests failed" in (done.reason or "")
    assert done.observations == (BAD,)
    assert world.runs == "v1.0.0"


def test_the_first_of_all_has_nothing_to_go_back_to(world: World) -> None:
    world.promote("one")
    world.target.traffic = [BAD]
    done = world.deploy()
    assert done.outcome is DeployOutcome.FAILED
    assert done.notes == ("Nothing ran before v1.0.0: it is left as it is.",)
    assert world.runs == "v1.0.0"
    assert done.is_left
    with pytest.raises(DeploymentError, match=r"runs on \w+, where nothing ran before it, but has"):
        require_success(done)


def test_a_rollback_is_tried_out_by_nobody_unless_somebody_asks(world: World) -> None:
    first = world.promote("one")
    world.deploy()
    world.promote("two")
    world.deploy()
    said = "Modelci-Reason: recall fell\nModelci-Rollback-From: v2.0.0\nModelci-Hold: true"
    world.tag("m#prod#9", world.remote.tags[first].commit, said)
    asked = world.job(manner=CANARY)
    asked = replace(asked, request=replace(asked.request, is_manner_asked=True))
    plan = deploy(asked, dry_run=True).plan
    assert [step.share for step in plan if step.kind is StepKind.TRIAL] == list(CANARY.shares)

    done = world.deploy(manner=CANARY)

    assert (done.outcome, done.strategy) == (DeployOutcome.DEPLOYED, Strategy.ALL)
    assert "trial" not in taken(done)
    assert world.runs == "v1.0.0"


def test_a_canary_grows_and_takes_over(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.calls.clear()
    world.target.traffic = [FINE]
    done = world.deploy(manner=CANARY)
    new = done.release
    calls = [call for call in world.target.calls if call != "observe"]
    assert calls == [
        f"stage {new}",
        f"check {new}",
        f"try_out {new} 0.05",
        f"try_out {new} 0.25",
        f"switch {new}",
        f"switch {new}",
        "prune 3",
    ]
    assert world.target.state.trial is None
    assert len(done.observations) == 3
    assert done.strategy is Strategy.CANARY


def test_a_canary_that_fails_ends_and_changes_nothing(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.traffic = [FINE, BAD]
    done = world.deploy(manner=CANARY)
    assert "40 of 100 requests failed" in failed(done, "trial")
    assert world.target.calls[-1] == f"try_out {done.release} 0"
    assert world.target.state.trial is None
    assert world.runs == "v1.0.0"


def test_a_shadow_gets_copies_and_answers_nothing(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.traffic = [replace(FINE, compared=100, divergence=0.2)]
    strict = replace(SHADOW, limits=replace(SHADOW.limits, max_divergence=0.1))
    done = world.deploy(manner=strict)
    assert "differ by 0.2 on average" in failed(done, "trial")
    assert f"try_out {done.release} 0 shadow" in world.target.calls
    assert world.deploy(manner=SHADOW).outcome is DeployOutcome.DEPLOYED


def test_a_trial_that_nobody_sees_proves_nothing(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    assert "does not see its traffic" in failed(world.deploy(manner=CANARY), "trial")


def test_a_target_that_cannot_switch_is_told_to_run_what_ran(world: World) -> None:
    world.promote("one")
    world.deploy()
    old = world.target.state.running
    world.promote("two")
    planned = world.deploy(dry_run=True)
    world.target.fails = {f"switch {planned.release}"}
    done = world.deploy()
    assert done.outcome is DeployOutcome.SWITCHED_BACK
    assert old is not None
    assert world.target.calls[-1] == f"switch {old.release}"


def test_a_way_back_that_is_barred_is_said(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.fails = {"switch"}
    done = world.deploy()
    assert done.outcome is DeployOutcome.FAILED
    assert "v1.0.0 could not be switched back to: The fake target failed to switch." in done.notes


def test_old_releases_that_stay_are_no_failure(world: World) -> None:
    world.promote("one")
    world.target.fails = {"prune"}
    done = world.deploy()
    assert done.outcome is DeployOutcome.DEPLOYED
    assert "Old releases could not be removed" in done.notes[0]


# -- others, meanwhile -----------------------------------------------------------------------------


def test_what_is_superseded_while_it_is_tried_is_not_switched_to(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.traffic = [FINE]

    def overtake(call: str) -> None:
        if call == "try_out" and "m#prod#6" not in world.remote.tags:
            world.promote("three")

    world.target.before = overtake
    for wanted in ("m#prod#4", "m#prod"):
        world.remote.tags.pop("m#prod#6", None)
        done = world.deploy(wanted, manner=CANARY)
        assert "v3.0.0" in failed(done, "switch")
        assert world.target.state.trial is None
        assert world.runs == "v1.0.0"
        world.remote.tags.pop("m#prod#6", None)
        world.remote.tags.pop("m@v5.0.0", None)
        world.tagged = 4


def test_a_rollback_meanwhile_holds_the_switch_back(world: World) -> None:
    first = world.promote("one")
    world.deploy()
    world.promote("two")
    commit = world.remote.tags[first].commit

    def roll_back(call: str) -> None:
        if call == "check":
            world.tag("m#prod#9", commit, "Modelci-Reason: recall fell\nModelci-Hold: true")

    world.target.before = roll_back
    assert "has moved on meanwhile: m#prod#9 (v1.0.0)" in failed(world.deploy(), "switch")


def test_whoever_deploys_already_is_waited_for(world: World) -> None:
    world.promote("one")
    world.target.busy = 3
    assert world.deploy().outcome is DeployOutcome.DEPLOYED
    assert world.progress.notes[0] == "Waiting: Target prod is being deployed to by anna."


def test_the_wait_has_an_end_and_names_who_deploys(world: World) -> None:
    world.promote("one")
    world.config = Config(deploy=DeployConfig(wait_seconds=5))
    world.target.busy = 100
    began = world.clock.seconds
    with pytest.raises(TargetBusyError, match="by anna"):
        world.deploy()
    assert 60 + 5 <= world.clock.seconds - began < 60 + 7


def test_what_another_deployed_meanwhile_is_left_alone(world: World) -> None:
    world.promote("one")
    world.target.busy = 1
    waiting = world.job()

    def other_deploys(_seconds: float) -> None:
        waiting_target, world.target.busy = world.target.busy, 0
        assert waiting_target == 0
        assert world.deploy().outcome is DeployOutcome.DEPLOYED

    done = deploy(replace(waiting, tools=replace(waiting.tools, pause=other_deploys)))
    assert done.outcome is DeployOutcome.UNCHANGED


# -- killed anywhere -------------------------------------------------------------------------------


class KilledError(BaseException):
    """The process is gone: nothing of it runs any more."""


def kill_at(world: World, moment: int) -> Callable[[str], None]:
    """Die before the target's call of that number, and refuse all that comes after."""
    count = iter(range(10_000))

    def die(_call: str) -> None:
        if next(count) >= moment:
            raise KilledError

    return die


@pytest.mark.parametrize("manner", [QUICK, CANARY, SHADOW], ids=["all", "canary", "shadow"])
@pytest.mark.parametrize("moment", range(12))
def test_killed_before_any_call_and_run_again_it_comes_to_the_same(
    world: World, manner: Manner, moment: int
) -> None:
    world.promote("one")
    world.target.traffic = [FINE]
    world.deploy()
    tag = world.promote("two")
    world.target.before = kill_at(world, moment)
    try:
        world.deploy(manner=manner)
    except KilledError:
        world.target.is_locked = False
    world.target.before = lambda _: None
    world.deploy(manner=manner)
    running = world.target.state.running
    assert running is not None
    assert (running.tag, running.settled) == (tag, True)
    assert world.target.state.trial is None
    assert world.deploy(manner=manner).outcome is DeployOutcome.UNCHANGED
    assert [one.version for one in world.target.state.history] == ["v3.0.0", "v1.0.0"]


def test_interrupted_in_a_trial_the_trial_ends_and_what_runs_stays(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.traffic = [FINE]

    def interrupt() -> None:
        if world.target.state.trial is not None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.deploy(manner=CANARY, checkpoint=interrupt)
    assert world.target.state.trial is None
    assert world.runs == "v1.0.0"
    assert not world.target.is_locked
    last = world.announced[-1]
    assert (last.outcome, last.reason) == (DeployOutcome.FAILED, "it was interrupted")
    assert last.after == world.target.state.running


def test_interrupted_after_the_switch_it_is_watched_by_the_next_run(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.target.traffic = [FINE]

    def interrupt() -> None:
        if world.runs == "v3.0.0":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.deploy(checkpoint=interrupt)
    assert world.runs == "v3.0.0"
    world.target.traffic = [BAD]
    done = world.deploy()
    assert [str(one.kind) for one in done.plan] == ["watch", "prune"]
    assert done.outcome is DeployOutcome.SWITCHED_BACK
    assert world.runs == "v1.0.0"


def test_a_trial_that_a_killed_run_left_is_ended(world: World) -> None:
    world.promote("one")
    done = world.deploy()
    world.target.state = replace(
        world.target.state, trial=Trial(release=done.release or "", share=0.05)
    )
    again = world.deploy()
    assert taken(again) == ["trial"]
    assert world.target.state.trial is None


def test_a_release_that_cannot_be_read_any_more_is_staged_anew(world: World) -> None:
    world.promote("one")
    world.deploy()
    world.promote("two")
    world.deploy()
    world.tag("m#prod#9", world.remote.tags["m#prod#2"].commit)
    old = world.target.state.staged[-1]
    del world.target.releases[old]
    world.source.asked.clear()
    assert world.deploy().outcome is DeployOutcome.DEPLOYED
    assert world.source.asked == [MODEL]


def test_the_document_can_be_read_as_json(world: World) -> None:
    world.promote("one")
    text = json.loads(codec.encode(world.deploy()))
    assert text["schema"] == "modelci.deployment/1"
    assert text["outcome"] == "deployed"


def test_every_refusal_exits_with_seven() -> None:
    assert issubclass(TargetBusyError, DeploymentError)
    assert issubclass(DeploymentError, ModelCIError)
    assert TargetBusyError.exit_code == 7
