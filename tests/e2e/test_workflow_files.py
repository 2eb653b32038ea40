"""The workflows themselves: their ``run:`` steps, run as GitHub would."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.e2e.deployed import FILES, live, promote, settings, tag_job
from tests.e2e.steps import Ended, WorkflowRun
from tests.e2e.world import BETTER, WORSE, Job, World
from tests.fakes.github_server import FakeGitHub

PROJECT = Path(__file__).parents[2]
# Ours call the reusable ones; those that `modelci init` writes are whole, with the same steps
# (test_reusable.py): between them they see every event.
OURS = PROJECT / ".github" / "workflows"
WHOLE = PROJECT / "src" / "modelci" / "templates" / "init" / "workflows"


def play(
    site: World,
    github: FakeGitHub,
    event: Job,
    path: Path,
    inputs: Mapping[str, str] | None = None,
) -> Mapping[str, Ended]:
    run = WorkflowRun(site=site, event=event, api_url=github.api_url, inputs=inputs or {})
    return run.play(path)


def follow(
    site: World,
    github: FakeGitHub,
    action: str,
    *,
    folder: Path = OURS,
    fork: bool = False,
    conclusion: str | None = None,
    run_id: int = 42,
    sha: str | None = None,
) -> Ended:
    """Play model-comment.yml for the beginning or the end of a run of model-pr."""
    event = site.workflow_run_job(action, fork=fork, conclusion=conclusion, run_id=run_id, sha=sha)
    return play(site, github, event, folder / "model-comment.yml")["comment"]


def checks(github: FakeGitHub) -> list[tuple[str, str, str | None]]:
    return [(one["name"], one["status"], one["conclusion"]) for one in github.check_runs]


@pytest.mark.parametrize(
    ("folder", "fork"),
    [pytest.param(WHOLE, False, id="whole"), pytest.param(OURS, True, id="fork")],
)
def test_a_pull_request_is_run_without_a_write_token_and_told_of_by_another_workflow(
    site: World, github: FakeGitHub, folder: Path, *, fork: bool
) -> None:
    head = site.propose(WORSE)
    event = site.pull_request_job(fork=fork)

    started = follow(site, github, "requested", folder=folder, fork=fork)
    assert started.result == "success", started.log
    assert checks(github) == [("modelci", "in_progress", None)]
    github.requests.clear()

    run = play(site, github, event, folder / "model-pr.yml")["run"]
    assert run.result == "failure", run.log
    assert github.requests == []

    ended = follow(site, github, "completed", folder=folder, fork=fork, conclusion="failure")
    assert ended.result == "success", ended.log
    assert checks(github) == [("modelci", "completed", "failure")]
    assert github.check_runs[0]["head_sha"] == head
    (comment,) = github.comments[7]
    assert comment["body"].startswith("<!-- modelci:report model-pr/comment -->")
    assert "**Blocked**" in comment["body"]
    assert "https://github.com/acme/credit/actions/runs/42" in comment["body"]
    assert ("nobody here has checked them" in comment["body"]) is fork
    title = github.check_runs[0]["output"]["title"]
    assert title.startswith("A fork's own figures: Blocked" if fork else "Blocked")


def test_an_older_run_that_ends_last_changes_nothing(site: World, github: FakeGitHub) -> None:
    site.propose(WORSE)
    for run_id in (41, 42):
        play(site, github, site.pull_request_job(run_id=run_id), OURS / "model-pr.yml")
    follow(site, github, "completed", run_id=42, conclusion="failure")
    (before,) = (one["body"] for one in github.comments[7])

    late = follow(site, github, "completed", run_id=41, conclusion="failure")

    assert late.result == "success", late.log
    assert "Outdated, so nothing was posted. A newer run has written there." in late.log
    assert [one["body"] for one in github.comments[7]] == [before]


def test_a_head_that_moved_on_hears_no_more_of_the_old_one(site: World, github: FakeGitHub) -> None:
    old = site.propose(WORSE)
    play(site, github, site.pull_request_job(), OURS / "model-pr.yml")
    site.propose(BETTER)

    late = follow(site, github, "completed", sha=old, conclusion="failure")

    assert late.result == "success", late.log
    assert f"No comment was posted. No open pull request has the head {old[:7]}" in late.log
    assert github.comments == {}
    assert [one["head_sha"] for one in github.check_runs] == [old]


def test_a_crash_without_a_report_is_a_failed_check(site: World, github: FakeGitHub) -> None:
    site.propose({"modelci.yaml": "gate: []\n"})
    follow(site, github, "requested")
    run = play(site, github, site.pull_request_job(), OURS / "model-pr.yml")["run"]
    assert run.result == "failure"

    ended = follow(site, github, "completed", conclusion="failure")

    assert checks(github) == [("modelci", "completed", "failure")]
    assert github.check_runs[0]["output"]["title"] == "The pipeline crashed: no report"
    assert ended.result == "failure"
    assert github.comments == {}


def test_a_cancelled_run_is_no_failure(site: World, github: FakeGitHub) -> None:
    site.propose(BETTER)
    follow(site, github, "requested")

    ended = follow(site, github, "completed", conclusion="cancelled")

    assert ended.result == "success", ended.log
    assert "Run 42 ended as cancelled." in ended.log
    assert checks(github) == [("modelci", "completed", "neutral")]


def test_a_check_that_may_not_be_set_costs_no_comment(site: World, github: FakeGitHub) -> None:
    site.propose(BETTER)
    play(site, github, site.pull_request_job(), OURS / "model-pr.yml")
    head = site.bare("rev-parse", "refs/pull/7/head")
    for path in ("/check-runs", f"/statuses/{head}"):
        github.fail("POST", path, 403, "Resource not accessible by integration")

    ended = follow(site, github, "completed", conclusion="success")

    assert ended.result == "failure"
    assert "checks: write" in ended.log
    assert "**Passed**" in github.comments[7][0]["body"]


def test_a_comment_that_may_not_be_posted_costs_no_check(site: World, github: FakeGitHub) -> None:
    site.propose(BETTER)
    play(site, github, site.pull_request_job(), OURS / "model-pr.yml")
    github.fail("POST", "/issues/7/comments", 403, "Resource not accessible by integration")

    ended = follow(site, github, "completed", conclusion="success")

    assert ended.result == "failure"
    assert "pull-requests: write" in ended.log
    assert checks(github) == [("modelci", "completed", "success")]


def test_a_run_that_no_pull_request_started_is_not_followed(
    site: World, github: FakeGitHub
) -> None:
    site.propose(BETTER)
    event = site.workflow_run_job("completed", event="workflow_dispatch", conclusion="success")
    ended = play(site, github, event, OURS / "model-comment.yml")["comment"]
    assert ended.result == "skipped"


def test_a_merge_queue_is_told_of_a_model_that_got_worse(site: World, github: FakeGitHub) -> None:
    event = queue_job(site, site.propose(WORSE))

    run = play(site, github, event, OURS / "model-pr.yml")["run"]

    assert run.result == "failure", run.log
    assert run.outputs["verdict"] == "blocked"
    assert run.checkout is not None
    assert run.checkout.document("report")["base"]["sha"] == site.bare("rev-parse", "main")
    follower = site.workflow_run_job("completed", event="merge_group", conclusion=run.result)
    jobs = play(site, github, follower, OURS / "model-comment.yml")
    assert jobs["comment"].result == "skipped"
    assert github.requests == []


def queue_job(site: World, head: str) -> Job:
    """Say what GitHub tells the jobs of a pull request that waits in the merge queue."""
    branch = f"gh-readonly-queue/main/pr-7-{head}"
    site.bare("update-ref", f"refs/heads/{branch}", "refs/pull/7/merge")
    sha = site.bare("rev-parse", branch)
    base = site.bare("rev-parse", "main")
    group = {"head_sha": sha, "head_ref": f"refs/heads/{branch}", "base_sha": base}
    job = site.push_job(branch=branch)
    repository = job.event["repository"]
    return Job(
        event={"action": "checks_requested", "merge_group": group, "repository": repository},
        variables={
            **job.variables,
            "GITHUB_EVENT_NAME": "merge_group",
            "GITHUB_WORKFLOW": "model-pr",
        },
    )


def test_a_merge_is_run_in_one_job_and_promoted_in_another(site: World, github: FakeGitHub) -> None:
    before = site.bare("rev-parse", "main")
    pushed = site.push(BETTER)
    event = site.push_job(before=before)

    jobs = play(site, github, event, WHOLE / "model-merge.yml")

    assert jobs["run"].result == "success", jobs["run"].log
    assert jobs["promote"].result == "success", jobs["promote"].log
    assert site.bare("tag", "--list").split() == ["credit#staging#1", "credit@v0.0.1"]
    assert site.bare("rev-parse", "main^") == pushed
    assert "created on origin" in jobs["promote"].log


def test_a_merge_that_is_blocked_never_reaches_the_job_that_tags(
    site: World, github: FakeGitHub
) -> None:
    before = site.bare("rev-parse", "main")
    site.push(WORSE)

    jobs = play(site, github, site.push_job(before=before), OURS / "model-merge.yml")

    assert [jobs["run"].result, jobs["promote"].result] == ["failure", "skipped"]
    assert site.bare("tag", "--list") == ""


@pytest.fixture
def deploying(site: World) -> World:
    """Let the project deploy what holds prod."""
    site.laptop.put({**FILES, "modelci.yaml": settings()})
    site.laptop.modelci("run", "--push")
    site.laptop.commit()
    site.laptop.git("push", "--quiet", "origin", "main")
    (site.root / "ill").write_text("no quality")
    return site


def test_a_merge_deploys_what_it_promotes_in_the_same_run(
    deploying: World, github: FakeGitHub
) -> None:
    before = deploying.bare("rev-parse", "main")
    deploying.push(BETTER)

    jobs = play(deploying, github, deploying.push_job(before=before), OURS / "model-merge.yml")

    assert json.loads(jobs["promote"].outputs["assignments"]) == ["credit#prod#1"]
    assert jobs["deploy"].result == "success", jobs["deploy"].log
    assert live(deploying) == "[0.85]"


@pytest.mark.parametrize("event_name", ["push", "workflow_dispatch", "repository_dispatch"])
def test_a_tag_is_planned_in_one_job_and_deployed_in_another(
    deploying: World, github: FakeGitHub, event_name: str
) -> None:
    tag = promote(deploying, "0.82")
    github.tags[tag] = deploying.bare("rev-parse", f"refs/tags/{tag}^{{commit}}")
    keep_cache_of_main(deploying)
    events = {
        "push": tag_job(deploying, tag),
        "workflow_dispatch": dispatch(deploying, event_name, inputs={"tag": tag}),
        "repository_dispatch": dispatch(deploying, event_name, client_payload={"tag": tag}),
    }
    event = events[event_name]
    path = (WHOLE if event_name == "workflow_dispatch" else OURS) / "model-deploy.yml"

    jobs = play(deploying, github, event, path, event.event.get("inputs"))

    assert jobs["plan"].outputs == {"outcome": "planned", "artifact": "credit", "stage": "prod"}
    assert jobs["deploy"].result == "success", jobs["deploy"].log
    assert live(deploying) == "[0.82]"
    (posted,) = github.deployments
    assert (posted["ref"], posted["environment"]) == (tag, "live")
    if event_name != "push":
        return

    again = play(deploying, github, event, path)

    assert again["plan"].outputs["outcome"] == "unchanged"
    assert again["deploy"].result == "skipped"


def keep_cache_of_main(site: World) -> None:
    """Let a job of main have kept DVC's cache: our own files take it for a remote."""
    place = site.root / "caches" / "modelci-dvc-refs+heads+main-1"
    shutil.copytree(site.laptop.folder / ".dvc" / "cache", place)


def dispatch(site: World, name: str, **said: dict[str, str]) -> Job:
    """Say what GitHub tells the jobs of a dispatch of the default branch."""
    job = site.push_job()
    variables = {**job.variables, "GITHUB_EVENT_NAME": name, "GITHUB_WORKFLOW": "model-deploy"}
    return Job(event={**said, "repository": job.event["repository"]}, variables=variables)


def test_a_late_run_of_an_older_tag_deploys_nothing(deploying: World, github: FakeGitHub) -> None:
    late = tag_job(deploying, promote(deploying, "0.82"))
    promote(deploying, "0.90")

    jobs = play(deploying, github, late, OURS / "model-deploy.yml")

    assert [jobs["plan"].result, jobs["deploy"].result] == ["failure", "skipped"]
    assert "superseded" in jobs["plan"].log
    assert live(deploying) is None


WATCHED = {
    "dvc.yaml": """\
stages:
  train:
    cmd: sh train.sh
    deps: [train.csv, train.sh]
    params: [quality]
    outs: [model.txt, model.profile.json]
artifacts:
  credit: {path: model.txt, type: model}
""",
    "train.sh": """\
sed -n 's/quality: //p' params.yaml > model.txt
modelci profile train.csv --id id --out model.profile.json
""",
    "next.sh": """\
[ -z "$GITHUB_TOKEN" ]
mkdir -p months && cp "$MODELCI_CURRENT" "months/$MODELCI_WINDOW.csv"
""",
}
MONITOR = """\
promote: {assign: [prod]}
run: {pull: true, push: true}
monitor:
  - model: credit
    stage: prod
    current: %s/{window}.csv
    skew: {rows: 0}
    triggers:
      - {when: drift, action: retrain-pr}
      - {when: drift, action: issue}
    retrain: {cmd: sh next.sh, add: ["months/{window}.csv"]}
"""


def rows(shift: int) -> str:
    lines = (f"{number},{(number * 37) % 101 + shift}" for number in range(600))
    return "\n".join(["id,amount", *lines]) + "\n"


@pytest.fixture
def watched(site: World) -> World:
    """Let a model hold prod, see two months of data, and one of them shifted."""
    data = site.root / "production"
    data.mkdir()
    (data / "2026-02.csv").write_text(rows(0))
    (data / "2026-03.csv").write_text(rows(80))
    site.laptop.put({**WATCHED, "train.csv": rows(0), "modelci.yaml": MONITOR % data})
    promote(site)
    return site


def watch_job(site: World, event_name: str = "schedule") -> Job:
    return Job(
        event={"repository": {"full_name": "acme/credit", "default_branch": "main"}},
        variables={
            "GITHUB_EVENT_NAME": event_name,
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_REF_NAME": "main",
            "GITHUB_REF_TYPE": "branch",
            "GITHUB_SHA": site.bare("rev-parse", "main"),
            "GITHUB_WORKFLOW": "model-monitor",
        },
    )


def follow_branches(site: World, github: FakeGitHub) -> None:
    """Let GitHub know what is pushed."""

    def look(server: FakeGitHub, request: object) -> None:
        del request
        listed = site.bare("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads")
        server.branches = dict(line.split(" ") for line in listed.splitlines())

    github.before = look


@pytest.mark.timeout(600)
@pytest.mark.parametrize("event_name", ["schedule", "workflow_dispatch"])
def test_a_month_that_drifts_comes_back_as_a_pull_request(
    watched: World, github: FakeGitHub, event_name: str
) -> None:
    follow_branches(watched, github)
    path = (OURS if event_name == "schedule" else WHOLE) / "model-monitor.yml"

    event = watch_job(watched, event_name)
    jobs = play(watched, github, event, path, {"window": "2026-03"})

    assert jobs["watch"].result == "failure", jobs["watch"].log  # a finding, told as one
    assert jobs["act"].result == "success", jobs["act"].log
    (pull,) = [one for one in github.pulls.values() if one["head"]["ref"].startswith("modelci/")]
    tip = watched.bare("rev-parse", "modelci/retrain-credit")
    assert pull["head"]["sha"] == tip
    assert "psi of amount" in pull["body"]
    changed = watched.bare("diff", "--name-only", "main", tip).split()
    assert changed == ["months/.gitignore", "months/2026-03.csv.dvc"]
    (issue,) = github.issues.values()
    assert "2026-03" in issue["body"]
    history = watched.bare("ls-tree", "--name-only", "refs/modelci/monitor/credit#prod")
    assert history.split() == ["2026-03.json"]


def test_a_month_without_drift_is_remembered_and_asks_for_nothing(
    watched: World, github: FakeGitHub
) -> None:
    follow_branches(watched, github)
    event = watch_job(watched)

    jobs = play(watched, github, event, OURS / "model-monitor.yml", {"window": "2026-02"})

    assert jobs["watch"].result == "success", jobs["watch"].log
    assert jobs["act"].result == "success", jobs["act"].log
    assert "nothing is asked for" in jobs["act"].log
    history = watched.bare("ls-tree", "--name-only", "refs/modelci/monitor/credit#prod")
    assert history.split() == ["2026-02.json"]


def test_a_job_that_cannot_watch_leaves_nothing_to_act_on(
    watched: World, github: FakeGitHub
) -> None:
    jobs = play(
        watched, github, watch_job(watched), OURS / "model-monitor.yml", {"window": "2025-01"}
    )

    assert [jobs["watch"].result, jobs["act"].result] == ["failure", "skipped"]
    assert github.requests == []
