"""The workflows that other repositories call: the same steps as the whole files, and few lines."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.steps import PROJECT, WorkflowRun, keep, zipped
from tests.e2e.world import BETTER, World
from tests.fakes.github_server import FakeGitHub

from modelci.workflows.workflow_checks import CALLED_NEEDS

CALLED = PROJECT / ".github" / "workflows"
TEMPLATES = PROJECT / "src" / "modelci" / "templates" / "init"
NAMES = {
    "model-pr.yml": "pull-request.yml",
    "model-comment.yml": "comment.yml",
    "model-merge.yml": "merge.yml",
    "model-deploy.yml": "deploy.yml",
    "model-monitor.yml": "monitor.yml",
}
PAIRS = [pytest.param(whole, called, id=whole) for whole, called in NAMES.items()]
LEVELS = ("none", "read", "write")


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("whole", "called"), PAIRS)
def test_a_called_workflow_does_what_the_whole_file_does(whole: str, called: str) -> None:
    ours = read(CALLED / called)["jobs"]
    theirs = read(TEMPLATES / "workflows" / whole)["jobs"]
    assert {name: essence(job) for name, job in ours.items()} == {
        name: essence(job) for name, job in theirs.items()
    }


def essence(job: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a job may and does, without how it installs and what it tells others."""
    kept = ("needs", "if", "permissions", "environment", "strategy", "concurrency")
    steps = [worked(step) for step in job.get("steps", []) if not installs(step)]
    found = {key: job[key] for key in kept if key in job}
    if "concurrency" in found:
        group = found["concurrency"]["group"].replace("modelci-merge-", "model-merge-")
        group = group.replace("${{ inputs.artifact }}-", "")
        found["concurrency"] = {**found["concurrency"], "group": group}
    return {**found, "steps": steps}


def installs(step: Mapping[str, Any]) -> bool:
    named = step.get("name", "") in {"Install", "Prepare", "Keep DVC's cache"}
    return named or step.get("uses", "").startswith(("$/setup", "actions/setup-python"))


def worked(step: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a step as it is where a call names neither an artifact nor a comment."""
    artifact = "monitor" if "monitor" in str(step) else "modelci"
    said = {key: one for key, one in step.items() if key != "id"}
    if "with" in said:
        filled = {"${{ inputs.artifact }}": artifact}
        said["with"] = {key: filled.get(str(one), one) for key, one in said["with"].items()}
    if "env" in said:
        hidden = ("ARTIFACT", "NAME")
        said["env"] = {key: one for key, one in said["env"].items() if key not in hidden}
    if "run" in said:
        said["run"] = re.sub(r" \$\{NAME:.*\}", "", said["run"].replace('"$ARTIFACT"', artifact))
    return said


@pytest.mark.parametrize(
    "path",
    [CALLED / "merge.yml", TEMPLATES / "workflows" / "model-merge.yml"],
    ids=lambda it: it.name,
)
def test_a_deployment_that_waits_for_somebody_holds_up_no_later_merge(path: Path) -> None:
    workflow = read(path)
    assert "concurrency" not in workflow  # it would hold until the last job has ended
    groups = {name: job.get("concurrency") for name, job in workflow["jobs"].items()}
    assert groups.pop("deploy") is None
    assert len({one["group"] for one in groups.values()}) == len(groups)
    assert {one["cancel-in-progress"] for one in groups.values()} == {False}


@pytest.mark.parametrize(("caller", "called"), PAIRS)
def test_a_caller_grants_what_the_called_jobs_need_and_no_more(caller: str, called: str) -> None:
    needed: dict[str, str] = {}
    for job in read(CALLED / called)["jobs"].values():
        for scope, level in job["permissions"].items():
            needed[scope] = max(level, needed.get(scope, "none"), key=LEVELS.index)
    assert sorted(f"{scope}: {level}" for scope, level in needed.items()) == sorted(
        CALLED_NEEDS[called.removesuffix(".yml")]
    )
    for folder in (CALLED, TEMPLATES / "calling" / "workflows"):
        workflow = read(folder / caller)
        assert workflow["permissions"] == {}
        (job,) = workflow["jobs"].values()
        assert job["permissions"] == needed


# Each with the jobs beside it that run the project's code; what comment.yml tells of has run in
# another workflow.
WRITERS = {
    ("comment.yml", "comment"): (),
    ("merge.yml", "promote"): ("run",),
    ("monitor.yml", "act"): ("watch",),
}
# A job that deploys loads the model, so that it takes the project's packages; its token can write
# what the forge shows of deployments and nothing else. merge.yml only calls that of deploy.yml.
DEPLOYERS = {("deploy.yml", "deploy"), ("merge.yml", "deploy")}


def test_no_other_job_writes() -> None:
    allowed = {
        (called, name): {one for one, level in job["permissions"].items() if level == "write"}
        for called in NAMES.values()
        for name, job in read(CALLED / called)["jobs"].items()
    }
    assert {one for one, scopes in allowed.items() if scopes} == WRITERS.keys() | DEPLOYERS
    assert [allowed[one] for one in DEPLOYERS] == [{"deployments"}, {"deployments"}]


@pytest.mark.parametrize(("called", "name"), WRITERS)
def test_a_job_that_writes_takes_nothing_that_code_of_the_project_could_leave(
    called: str, name: str
) -> None:
    jobs = read(CALLED / called)["jobs"]
    assert jobs[name]["cache-mode"] == "none"
    (setup,) = [step for step in jobs[name]["steps"] if step.get("uses") == "$/setup"]
    assert (setup["with"]["cache"], setup["with"]["requirements"]) == ("false", "")
    runners = {other: job["runs-on"] for other, job in jobs.items() if "runs-on" in job}
    assert runners.keys() == {name, *WRITERS[called, name]}
    assert list(runners.values()).count(runners[name]) == 1


@pytest.mark.parametrize("caller", NAMES)
def test_ours_are_called_as_others_call_theirs(caller: str) -> None:
    ours, theirs = (read(one / caller) for one in (CALLED, TEMPLATES / "calling" / "workflows"))
    whole = read(TEMPLATES / "workflows" / caller)
    whole[True].pop("workflow_call", None)  # model-merge calls it by the file
    assert ours[True] == theirs[True] == whole[True]
    (mine,), (other,) = ours["jobs"].values(), theirs["jobs"].values()
    assert other["uses"] == f"OWNER/modelci/.github/workflows/{NAMES[caller]}@{'0' * 40}"
    assert mine["uses"] == f"$/.github/workflows/{NAMES[caller]}"


def test_the_step_that_sets_up_is_the_action_s_own() -> None:
    action, setup = read(PROJECT / "action.yml"), read(PROJECT / "setup" / "action.yml")
    *steps, last = setup["runs"]["steps"]
    assert steps == action["runs"]["steps"][: len(steps)]
    assert "GITHUB_PATH" in last["run"]
    del action["inputs"]["command"]
    assert setup["inputs"] == action["inputs"]


@pytest.mark.parametrize("called", NAMES.values())
def test_the_page_about_workflows_names_all_that_goes_in_and_comes_out(called: str) -> None:
    page = (PROJECT / "docs" / "workflows.md").read_text(encoding="utf-8")
    declared = read(CALLED / called)[True]["workflow_call"]
    for kind in ("inputs", "secrets", "outputs"):
        for name in declared.get(kind, {}):
            assert f"`{name}`" in page, f"{called}: {kind}: {name}"


STRANGER = """\
name: model
on: pull_request
permissions: {}
jobs:
  judged:
    permissions: {contents: read}
    uses: somebody/modelci/.github/workflows/pull-request.yml@COMMIT
    with:
      runs-on: '["self-hosted", "gpu"]'
      artifact: credit
      prepare: |
        echo "GREETING=hello" >> "$GITHUB_ENV"
        modelci --version
    secrets:
      DVC_CONFIG: ${{ secrets.STORE }}
  told:
    needs: judged
    if: always() && needs.judged.outputs.verdict == 'passed'
    runs-on: ubuntu-24.04
    permissions: {}
    steps:
      - uses: actions/checkout@COMMIT
      - run: echo "The verdict is $VERDICT."
        env:
          VERDICT: ${{ needs.judged.outputs.verdict }}
"""
HERE = "['remote \"store\"']\n    url = %s\n"


def test_a_stranger_s_few_lines_run_judge_and_hand_over_a_pull_request(
    site: World, github: FakeGitHub
) -> None:
    laptop = site.laptop
    laptop.put({".dvc/config": "[core]\n    remote = store\n" + HERE % "ssh://127.0.0.1:1/nobody"})
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    site.propose(BETTER)
    run = WorkflowRun(
        site=site,
        event=site.pull_request_job(),
        api_url=github.api_url,
        secrets={"STORE": HERE % (site.root / "store")},
    )

    jobs = run.play(written(site, STRANGER))

    assert jobs["run"].result == "success", jobs["run"].log
    assert jobs["run"].log.startswith("modelci")
    assert jobs["told"].log == "The verdict is passed.\n"
    checkout = jobs["run"].checkout
    assert checkout is not None
    # The remote that only the secret names had the data of the stage that did not change.
    prepare, *_ = checkout.document("run")["stages"]
    assert (prepare["name"], prepare["status"]) == ("prepare", "restored")
    assert (checkout.folder / ".dvc/config.local").stat().st_mode & 0o77 == 0
    assert (site.root / "artifacts" / "credit" / "report.json").exists()
    assert [one.name for one in (site.root / "caches").iterdir()]
    assert github.requests == []


FOLLOWER = """\
name: model-comment
on: {workflow_run: {workflows: [model], types: [completed]}}
permissions: {}
jobs:
  credit:
    permissions: {actions: read, checks: write, contents: read, pull-requests: write}
    uses: somebody/modelci/.github/workflows/comment.yml@COMMIT
    with: {artifact: credit, name: credit}
  churn:
    permissions: {actions: read, checks: write, contents: read, pull-requests: write}
    uses: somebody/modelci/.github/workflows/comment.yml@COMMIT
    with: {artifact: churn, name: churn}
"""


def test_several_calls_have_a_comment_and_a_check_each(site: World, github: FakeGitHub) -> None:
    site.propose(BETTER)
    runner = site.pull_request_runner()
    runner.modelci("ci", "--no-write")
    for name in ("credit", "churn"):
        keep(site, zipped(runner.folder / ".modelci"), name=name)
    event = site.workflow_run_job("completed", conclusion="success")
    run = WorkflowRun(site=site, event=event, api_url=github.api_url)

    jobs = run.play(written(site, FOLLOWER))

    assert [jobs[name].result for name in ("credit", "churn")] == ["success", "success"]
    assert sorted(one["name"] for one in github.check_runs) == ["churn", "credit"]
    marks = [one["body"].splitlines()[0] for one in github.comments[7]]
    assert marks == [f"<!-- modelci:report {name} -->" for name in ("credit", "churn")]
    assert jobs["churn"].outputs["comment-url"].startswith("http")


def written(site: World, text: str) -> Path:
    file = site.root / "workflow.yml"
    file.write_text(text.replace("COMMIT", "0123456789abcdef" * 2 + "01234567"))
    return file
