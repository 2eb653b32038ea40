"""From a tag to a folder that others read: real Git, a real DVC remote, and real files."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.deploying import MADE_IN, Site, Spied, hash_of
from tests.integration.promoting import git

from modelci.config.model import Config, DeployConfig
from modelci.domain.deployment import DeployOutcome, StepState
from modelci.domain.provenance import CheckState
from modelci.errors import DeploymentError, TargetBusyError, UsageError
from modelci.workflows.deploy import deploy

HOLD = {"Modelci-Reason": "recall fell", "Modelci-Hold": "true"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.create(tmp_path)


def test_a_tag_reaches_the_folder_from_a_clone_without_tags(site: Site) -> None:
    tag = site.promote("one")
    repository = site.clone()
    assert git(repository.root, "tag") == ""
    done = site.deploy(tag, repository=repository)
    assert done.outcome is DeployOutcome.DEPLOYED
    assert site.runs == "one"
    assert done.health is not None
    assert done.health.rows == 20
    assert {str(one.state) for one in done.findings} == {"ok"}
    assert len(done.findings) == 5
    release = site.folder / "srv/credit/releases" / (done.release or "")
    assert sorted(path.name for path in release.iterdir()) == [
        "dvc.lock",
        "golden.json",
        "model",
        "release.json",
    ]
    assert json.loads((release / "release.json").read_text())["schema"] == "modelci.release/1"
    assert not (repository.root / ".dvc/cache").exists()
    assert not list((repository.root / ".modelci").rglob("*.skops"))
    assert git(repository.root, "status", "--porcelain") in {"", "?? .modelci/"}
    assert git(repository.root, "tag") == ""


def test_again_from_another_clone_nothing_is_done(site: Site) -> None:
    tag = site.promote("one")
    first = site.deploy(tag)
    shutil.rmtree(site.folder / "store")
    again = site.deploy(tag)
    assert again.outcome is DeployOutcome.UNCHANGED
    assert (again.release, again.after) == (first.release, first.after)
    assert site.probe.checks == 2


def test_an_old_commit_is_deployed_from_a_clone_that_has_not_got_it(site: Site) -> None:
    site.promote("one")
    site.promote("two")
    repository = site.clone()
    done = site.deploy("credit@v1.0.0", repository=repository)
    assert done.outcome is DeployOutcome.DEPLOYED
    assert site.runs == "one"
    assert repository.is_shallow()


def test_local_tags_that_are_stale_or_forged_count_for_nothing(site: Site) -> None:
    first = site.promote("one")
    site.promote("two")
    repository = site.clone()
    commit = git(site.work, "rev-parse", f"{first}^{{commit}}")
    git(repository.root, "fetch", "--quiet", "origin", commit)
    git(repository.root, "tag", "-a", "-m", "x", "credit#prod#99", commit)
    assert site.deploy(repository=repository).version == "v3.0.0"
    with pytest.raises(UsageError, match="There is no tag 'credit#prod#99'"):
        site.deploy("credit#prod#99", repository=repository)


def test_a_rollback_runs_the_older_version_without_fetching_it(site: Site) -> None:
    first = site.promote("one")
    site.deploy()
    site.promote("two")
    site.deploy()
    shutil.rmtree(site.folder / "store")
    commit = git(site.work, "rev-parse", f"{first}^{{commit}}")
    back = site.tag("credit#prod#5", commit, HOLD)
    done = site.deploy(back)
    assert done.outcome is DeployOutcome.DEPLOYED
    assert [str(one.kind) for one in done.plan] == [
        "environment",
        "check",
        "switch",
        "watch",
        "prune",
    ]
    assert site.runs == "one"
    assert site.state.running is not None
    assert site.state.running.reason == "recall fell"
    # What is promoted past the hold stays out.
    site.tag("credit#prod#6", git(site.work, "rev-parse", "credit@v3.0.0^{commit}"))
    with pytest.raises(DeploymentError, match="credit#prod is held by credit#prod#5"):
        site.deploy()
    assert site.runs == "one"


def test_a_superseded_tag_is_refused(site: Site) -> None:
    first = site.promote("one")
    site.promote("two")
    site.deploy()
    with pytest.raises(DeploymentError, match=r"is superseded: v3\.0\.0 holds prod now"):
        site.deploy(first)
    assert site.runs == "two"


def test_a_late_run_that_read_a_stale_mirror_is_refused(site: Site) -> None:
    first = site.promote("one")
    mirror = site.folder / "mirror.git"
    git(site.folder, "clone", "--quiet", "--mirror", site.bare.as_uri(), str(mirror))
    site.promote("two")
    site.deploy()
    repository = site.clone()
    git(repository.root, "remote", "set-url", "origin", mirror.as_uri())
    with pytest.raises(DeploymentError, match=r"is older than credit#prod#4 \(v3\.0\.0\)"):
        site.deploy(first, repository=repository)
    assert site.runs == "two"


# -- bytes -----------------------------------------------------------------------------------------


def test_bytes_that_were_changed_in_the_remote_are_refused(site: Site) -> None:
    site.promote("one")
    site.deploy()
    site.promote("two")
    site.stored("two").write_text("evil")
    done = site.deploy(allowed="nothing lifts that")
    assert done.outcome is DeployOutcome.FAILED
    assert "These are not the bytes that were tagged: models/credit.skops: md5" in (
        done.reason or ""
    )
    assert (done.reason or "").count(hash_of(b"evil")) == 1
    assert (done.reason or "").endswith(
        "; nor do these agree: sha256 of the tag, sha256 of the golden requests."
    )
    failed = [one for one in done.findings if one.state is CheckState.FAILED]
    assert len(failed) == 3  # the document has them in full
    assert all(one.found and one.expected for one in failed)
    assert site.runs == "one"
    site.stored("two").write_text("two")
    assert site.deploy().outcome is DeployOutcome.DEPLOYED


def test_bytes_that_are_gone_are_refused(site: Site) -> None:
    site.promote("one")
    site.stored("one").unlink()
    done = site.deploy()
    assert done.outcome is DeployOutcome.FAILED
    assert "models/credit.skops: there are no bytes of md5" in (done.reason or "")
    assert "dvc push" in (done.hint or "")
    assert site.runs is None


def test_a_remote_that_is_not_there_is_a_failure_that_says_so(site: Site) -> None:
    site.promote("one")
    (site.folder / "store").rename(site.folder / "moved")
    done = site.deploy()
    assert done.outcome is DeployOutcome.FAILED
    assert [one.state for one in done.steps] == [StepState.FAILED]
    assert "DVC remote" in (done.reason or "")
    assert done.hint


def test_bytes_that_are_changed_on_the_target_are_refused_on_the_way_back(site: Site) -> None:
    first = site.promote("one")
    old = site.deploy().release or ""
    site.promote("two")
    site.deploy()
    (site.folder / "srv/credit/releases" / old / "model/credit.skops").write_text("evil")
    site.tag("credit#prod#5", git(site.work, "rev-parse", f"{first}^{{commit}}"), HOLD)
    done = site.deploy()
    assert done.outcome is DeployOutcome.FAILED
    assert "has other bytes than were staged" in (done.reason or "")
    assert site.runs == "two"


def test_a_release_that_somebody_removed_is_brought_back(site: Site) -> None:
    site.promote("one")
    done = site.deploy()
    shutil.rmtree(site.folder / "srv/credit/releases" / (done.release or ""))
    assert site.runs is None
    assert site.deploy().outcome is DeployOutcome.DEPLOYED
    assert site.runs == "one"
    assert site.deploy().outcome is DeployOutcome.UNCHANGED


# -- environments and health -----------------------------------------------------------------------


def test_a_skewed_environment_is_refused_before_the_switch(site: Site) -> None:
    site.promote("one")
    site.probe.has = replace(MADE_IN, packages={"scikit-learn": "1.9.1"})
    done = site.deploy()
    assert done.outcome is DeployOutcome.FAILED
    assert "scikit-learn 1.5.2 at training, 1.9.1 here" in (done.reason or "")
    assert site.runs is None
    assert site.state.staged == ()


def test_a_release_that_answers_otherwise_is_not_switched_to(site: Site) -> None:
    site.promote("one")
    site.deploy()
    site.promote("two")
    site.probe.ill = {"two"}
    done = site.deploy()
    assert done.outcome is DeployOutcome.FAILED
    assert "row 1: score of two is 0.1, not 0.9" in (done.reason or "")
    assert site.runs == "one"


def test_a_release_that_turns_ill_is_switched_back(site: Site) -> None:
    site.promote("one")
    site.deploy()
    tag = site.promote("two")
    site.probe.dies_at = site.probe.checks + 2
    done = site.deploy()
    assert done.outcome is DeployOutcome.SWITCHED_BACK
    assert site.runs == "one"
    assert site.state.running is not None
    assert "switched back from v3.0.0" in (site.state.running.reason or "")
    assert site.deploy(tag).outcome is DeployOutcome.DEPLOYED
    assert site.runs == "two"


# -- two at once, and killed -----------------------------------------------------------------------


def test_two_at_once_come_to_one_deployment(site: Site) -> None:
    site.promote("one")
    with ThreadPoolExecutor(2) as pool:
        jobs = [site.job(), site.job()]
        done = list(pool.map(deploy, jobs))
    outcomes = sorted(str(one.outcome) for one in done)
    assert outcomes == ["deployed", "unchanged"]
    assert len(site.state.history) == 1


def test_whoever_may_not_wait_hears_who_deploys(site: Site) -> None:
    site.promote("one")
    site.config = Config(deploy=DeployConfig(wait_seconds=0))
    entered, go_on = threading.Event(), threading.Event()
    slow = site.job()
    assert isinstance(slow.tools.target, Spied)

    def wait(call: str) -> None:
        if call == "check":
            entered.set()
            assert go_on.wait(100)

    slow.tools.target.before = wait
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(deploy, slow)
        assert entered.wait(100)
        with pytest.raises(TargetBusyError, match=f"process {os.getpid()}"):
            site.deploy()
        go_on.set()
        assert running.result().outcome is DeployOutcome.DEPLOYED


def test_a_newer_tag_that_comes_while_an_older_is_checked_wins(site: Site) -> None:
    site.promote("one")
    site.deploy()
    older = site.promote("two")
    job = site.job(older)
    assert isinstance(job.tools.target, Spied)
    job.tools.target.before = once("check", lambda: site.promote("three"))
    done = deploy(job)
    assert done.outcome is DeployOutcome.FAILED
    assert "superseded" in (done.reason or "")
    assert site.runs == "one"
    assert site.deploy().outcome is DeployOutcome.DEPLOYED
    assert site.runs == "three"


def once(call: str, act: Callable[[], object]) -> Callable[[str], None]:
    left = [act]

    def before(name: str) -> None:
        if name == call and left:
            left.pop()()

    return before


RUNNER = """
import os, pathlib, sys
from dataclasses import replace
sys.path.insert(0, os.getcwd())
from tests.integration.deploying import Site
from modelci.adapters.git import GitRepository
from modelci.workflows.deploy import deploy

folder, clone, moment = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
calls = iter(range(1000))

def die(call):
    if next(calls) == moment:
        os.kill(os.getpid(), 9)

class Source:
    def fetch(self, *given):
        die("fetch")
        return job.tools.source.fetch(*given)

job = Site(folder=folder).job(repository=GitRepository(clone))
job.tools.target.before = die
print(deploy(replace(job, tools=replace(job.tools, source=Source()))).outcome, flush=True)
"""


def run(site: Site, clone: Path, moment: int) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", RUNNER, str(site.folder), str(clone), str(moment)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


@pytest.mark.parametrize("moment", range(9))
def test_killed_between_any_two_steps_and_run_again_it_converges(site: Site, moment: int) -> None:
    """Fetch twice, environment, stage, check, switch, and again check and switch, prune."""
    site.promote("one")
    site.deploy()
    tag = site.promote("two")
    clone = site.clone().root
    killed = run(site, clone, moment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert site.runs in {"one", "two"}
    again = run(site, clone, 1000)
    assert again.stdout in {"deployed\n", "unchanged\n"}, again.stderr
    state = site.state
    assert state.running is not None
    assert (state.running.tag, state.running.settled) == (tag, True)
    assert [one.version for one in state.history] == ["v3.0.0", "v1.0.0"]
    assert site.runs == "two"
    assert run(site, clone, 1000).stdout == "unchanged\n"
    left = [path.name for path in (site.folder / "srv/credit/releases").iterdir()]
    assert len(left) == 2
    assert not list((clone / ".modelci").rglob("*.skops"))
