from dataclasses import dataclass, field, replace

import pytest
from tests.fakes.progress import RecordedProgress

from modelci.domain.deployment import Deployment, DeployOutcome, Running
from modelci.domain.orders import Wanted, parse_wanted
from modelci.errors import DeploymentError
from modelci.workflows.deploy_promoted import deploy_tags, require_success

TARGETS = {"prod": ["prod"], "eu": ["eu/prod"], "lab": []}
DONE = Deployment(
    target="prod",
    kind="directory",
    artifact="m",
    tag="m#prod#1",
    version="v1.0.0",
    stage="prod",
    commit="c" * 40,
    outcome=DeployOutcome.DEPLOYED,
)


@dataclass
class Targets:
    refuses: set[str] = field(default_factory=set)
    fails: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def deploy(self, wanted: Wanted, name: str) -> Deployment:
        self.asked.append((str(wanted), name))
        if str(wanted) in self.refuses:
            raise DeploymentError(f"{wanted} is held.", hint="Release the hold.")
        is_ill = str(wanted) in self.fails
        outcome = DeployOutcome.FAILED if is_ill else DeployOutcome.DEPLOYED
        return replace(DONE, tag=str(wanted), outcome=outcome, reason="it is ill", hint="Look.")


def run(targets: Targets, *tags: str, named: str | None = None) -> RecordedProgress:
    progress = RecordedProgress()
    deploy_tags(tags, TARGETS, named=named, deploy=targets.deploy, progress=progress)
    return progress


def test_each_assignment_goes_to_the_target_that_takes_its_stage() -> None:
    targets = Targets()
    run(targets, "m@v1.0.0", "m#prod#1", "m#dev#2", "n#eu/prod#1", "m@deprecated#3")
    assert targets.asked == [("m#prod#1", "prod"), ("n#eu/prod#1", "eu")]


def test_a_target_that_is_named_takes_its_own_stages_alone() -> None:
    targets = Targets()
    run(targets, "m#prod#1", "n#eu/prod#1", named="eu")
    assert targets.asked == [("n#eu/prod#1", "eu")]


def test_what_takes_a_stage_away_deploys_what_holds_it_then() -> None:
    targets = Targets()
    run(targets, "m#prod!#2", "m@v1.0.0!#3", "m#dev!#4")
    assert targets.asked == [("m#prod", "prod"), ("m#eu/prod", "eu")]


def test_a_refusal_keeps_no_other_back_and_says_what_to_run() -> None:
    targets = Targets(refuses={"m#prod#1"})
    with pytest.raises(
        DeploymentError, match=r"Tagged, but not deployed: m#prod#1: .* is held"
    ) as (raised):
        run(targets, "m#prod#1", "n#eu/prod#1")
    assert targets.asked[-1] == ("n#eu/prod#1", "eu")
    assert raised.value.hint == "Release the hold. Then `modelci deploy 'm#prod#1' --to prod`."


def test_a_deployment_that_failed_fails_the_run_after_all_were_tried() -> None:
    targets = Targets(fails={"m#prod#1"})
    with pytest.raises(DeploymentError, match="m#prod#1 was not deployed to prod") as raised:
        run(targets, "m#prod#1", "n#eu/prod#1")
    assert len(targets.asked) == 2
    assert raised.value.hint == "Look."


@pytest.mark.parametrize(
    "outcome", [DeployOutcome.DEPLOYED, DeployOutcome.UNCHANGED, DeployOutcome.PLANNED]
)
def test_success_is_no_error(outcome: DeployOutcome) -> None:
    require_success(replace(DONE, outcome=outcome))


def test_a_failure_says_what_runs_now() -> None:
    old = Running(
        release="r",
        artifact="m",
        version="v0.9.0",
        tag="m#prod#0",
        commit="c" * 40,
        assigned_seconds=1,
        since="2026-01-01T00:00:00Z",
    )
    back = replace(DONE, outcome=DeployOutcome.SWITCHED_BACK, reason="40 errors", after=old)
    with pytest.raises(DeploymentError, match=r"where v0\.9\.0 runs: 40 errors") as raised:
        require_success(back)
    assert raised.value.exit_code == 7
    with pytest.raises(DeploymentError, match="where nothing runs"):
        require_success(replace(back, after=None, outcome=DeployOutcome.FAILED))


def test_what_names_nothing_is_nobodys() -> None:
    targets = Targets()
    run(targets, "v1.0.0", "release")
    assert targets.asked == []
    assert parse_wanted("m#prod#1").stage == "prod"
