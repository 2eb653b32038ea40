"""``modelci ci`` on a pull request."""

from pathlib import Path

import pytest
from tests.e2e.world import BETTER, BROKEN, NOISY, WORSE, World, with_token
from tests.fakes.github_server import BOT, FakeGitHub


def test_a_good_one_passes_and_is_told_of_everywhere(site: World, github: FakeGitHub) -> None:
    head = site.propose(BETTER)
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci")

    (comment,) = github.comments[7]
    body = comment["body"]
    assert body.startswith("<!-- modelci:report model-pr/run -->\n")
    assert "✅ **Passed**: all 3 gates hold; 1 of 2 metrics changed." in body
    assert "| `roc_auc` | 0.8000 | 0.8500 | ▲ +0.0500 (+6.25 %) | 🟢 better |" in body
    assert "main as the test merge has it" in body
    assert f"for `{head[:7]}`" in body
    assert "[run](https://github.com/acme/credit/actions/runs/42)" in body
    state, _, page = body.partition("\n")[2].partition("\n")
    assert state == f'<!-- modelci-state: {{"run":42,"head":"{head}"}} -->'
    assert runner.summary.strip() == page.strip()
    (check,) = github.check_runs
    assert (check["name"], check["head_sha"]) == ("modelci", head)
    assert (check["status"], check["conclusion"]) == ("completed", "success")
    assert check["output"]["title"].startswith("Passed: all 3 gates hold")
    assert runner.outputs == {
        "verdict": "passed",
        "report": str(runner.folder / ".modelci" / "report.json"),
        "page": str(runner.folder / ".modelci" / "report.html"),
        "comment-url": comment["html_url"],
    }
    assert Path(runner.outputs["page"]).read_text(encoding="utf-8").startswith("<!doctype html>")
    assert done.out.startswith("✓ Passed: all 3 gates hold")
    assert "::error" not in done.err
    assert "::warning" not in done.err
    assert runner.document("report")["head_sha"] == head
    assert "On merge: Register credit v0.0.1; Assign staging to credit v0.0.1." in comment["body"]
    assert runner.document("run")["schema"] == "modelci.run/1"


def test_the_next_push_updates_the_same_comment(site: World, github: FakeGitHub) -> None:
    site.propose(WORSE)
    first = site.pull_request_runner(name="first", variables=with_token(github.api_url))
    first.modelci("ci", code=1)
    github.add_comment(7, "> <!-- modelci:report model-pr/run -->\nWhat is this?", author="ada")
    site.propose(BETTER)
    second = site.pull_request_runner(name="second", variables=with_token(github.api_url))
    github.requests.clear()

    second.modelci("ci")

    ours, theirs = github.comments[7]
    assert ours["user"]["login"] == BOT
    assert "**Passed**" in ours["body"]
    assert "What is this?" in theirs["body"]
    about_checks = [one for one in github.requests if "check-runs" in one.path]
    assert len(github.requests) - len(about_checks) <= 3


def test_a_worse_model_is_blocked(site: World, github: FakeGitHub) -> None:
    site.propose(WORSE)
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", code=1)

    (comment,) = github.comments[7]
    assert "**Blocked**" in comment["body"]
    assert runner.outputs["verdict"] == "blocked"
    (annotation,) = [line for line in done.err.splitlines() if line.startswith("::error")]
    assert "roc_auc: worse by 0.05" in annotation


def test_a_worse_metric_that_only_warns_does_not_block(site: World, github: FakeGitHub) -> None:
    site.propose(NOISY)
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci")

    (annotation,) = [line for line in done.err.splitlines() if line.startswith("::warning")]
    assert "brier: worse by 0.1" in annotation
    assert runner.outputs["verdict"] == "passed"
    assert "brier" in github.comments[7][0]["body"].partition("<details>")[0]


def test_a_failing_stage_is_a_failed_pipeline(site: World, github: FakeGitHub) -> None:
    site.propose(BROKEN)
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", code=5)

    (comment,) = github.comments[7]
    assert "**The pipeline failed**" in comment["body"]
    assert "no such column" in comment["body"]
    assert runner.outputs["verdict"] == "failed"
    annotation, *_ = [line for line in done.err.splitlines() if line.startswith("::error")]
    assert "title=Stage evaluate failed::The stage failed with exit code 3" in annotation
    assert "no such column" in annotation
    assert "Error: Failed: evaluate." in done.err
    statuses = {one["name"]: one["status"] for one in runner.document("run")["stages"]}
    assert statuses == {"prepare": "restored", "train": "restored", "evaluate": "failed"}


def test_the_head_itself_checked_out_is_compared_with_the_merge_base(
    site: World, github: FakeGitHub
) -> None:
    base = site.bare("rev-parse", "main")
    head = site.propose(BETTER)
    site.push({"README.md": "main goes on\n"})
    runner = site.pull_request_runner(ref="refs/pull/7/head", variables=with_token(github.api_url))

    runner.modelci("ci")

    report = runner.document("report")
    assert (report["base"]["sha"], report["head_sha"]) == (base, head)
    assert report["base"]["chosen"] == "merge base with main"
    assert [file["path"] for file in report["files"]] == ["params.yaml"]


def test_a_head_cannot_loosen_the_gates_that_judge_it(site: World, github: FakeGitHub) -> None:
    site.propose({**WORSE, "modelci.yaml": "run: {pull: true, push: true}\n"})
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", code=1)

    assert "edits its own gates" in github.comments[7][0]["body"]
    assert "edits its own gates" in done.err


@pytest.mark.parametrize(("change", "code"), [(BETTER, 0), (WORSE, 1), (BROKEN, 5)])
def test_without_a_token_the_verdict_stands(site: World, change: dict[str, str], code: int) -> None:
    site.propose(change)
    runner = site.pull_request_runner()

    done = runner.modelci("ci", code=code)

    assert "::warning::No comment was posted: " in done.err
    assert "GITHUB_TOKEN" in done.err
    assert runner.outputs["comment-url"] == ""
    assert "Model report" in runner.summary


@pytest.mark.parametrize(("change", "code"), [(BETTER, 0), (WORSE, 1)])
def test_a_forge_that_refuses_loses_the_comment_not_the_verdict(
    site: World, github: FakeGitHub, change: dict[str, str], code: int
) -> None:
    github.fail("POST", "/issues/7/comments", 403, "Resource not accessible by integration")
    site.propose(change)
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", code=code)

    assert "No comment was posted: GitHub refused" in done.err
    assert "pull-requests: write" in done.err


def test_a_check_that_is_refused_costs_nothing_else(site: World, github: FakeGitHub) -> None:
    head = site.propose(WORSE)
    for path in ("/check-runs", f"/statuses/{head}"):
        github.fail("POST", path, 403, "Resource not accessible by integration")
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", code=1)

    assert done.err.count("No check was set: ") == 1
    assert "checks: write" in done.err
    assert "**Blocked**" in github.comments[7][0]["body"]


def test_a_crash_ends_the_check(site: World, github: FakeGitHub) -> None:
    site.propose({"dvc.yaml": "stages: {train: {cmd: exit 1, deps: [nowhere]}}\n"})
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    runner.modelci("ci", code=5)

    (check,) = github.check_runs
    assert (check["status"], check["conclusion"]) == ("completed", "failure")


def test_a_fork_s_read_only_token_leaves_a_report_and_nothing_else(
    site: World, github: FakeGitHub
) -> None:
    github.fail("POST", "/issues/7/comments", 403, "Resource not accessible by integration")
    site.propose(BETTER)
    stored = everything_in(site.root / "store")
    runner = site.pull_request_runner(fork=True, variables=with_token(github.api_url))

    done = runner.modelci("ci")

    assert "fork" in done.err
    assert "**Passed**" in runner.summary
    assert everything_in(site.root / "store") == stored


def test_no_write_asks_nothing_of_the_forge(site: World, github: FakeGitHub) -> None:
    site.propose(BETTER)
    runner = site.pull_request_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", "--no-write")

    assert github.requests == []
    assert "No comment" not in done.err
    assert runner.outputs["verdict"] == "passed"


def test_a_stage_sees_neither_the_token_nor_the_runner_s_files(
    site: World, github: FakeGitHub
) -> None:
    site.propose({"evaluate.sh": "env\ncat .git/config\necho ::error::mine\n" + "exit 1\n"})
    runner = site.pull_request_runner(
        variables={**with_token(github.api_url), "ACTIONS_RUNTIME_TOKEN": "secret"}
    )

    done = runner.command("ci", code=5)

    (stage,) = [one for one in runner.document("run")["stages"] if one["status"] == "failed"]
    names = {line.partition("=")[0] for line in done.err.splitlines()}
    assert "GITHUB_SHA" in names
    assert not names & {
        *("GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH"),
        *("GITHUB_STATE", "GITHUB_STEP_SUMMARY"),
    }
    everywhere = [done.out, done.err, runner.summary, stage["log_tail"]]
    assert not any("ghs_" in text or "secret" in text for text in everywhere)
    inert, _, _ = done.err.partition("::error::mine")
    assert inert.count("::stop-commands::") == 1
    assert inert.rpartition("::stop-commands::")[2].count("::endgroup::") == 0


def everything_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
