"""A window that drifts comes back as a pull request: by the commands, over real Git and DVC."""

import json
import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.stopping import BLOCK, Place, assert_left_in_order, stopped
from tests.e2e.world import Checkout
from tests.integration.promoting import git
from tests.integration.watching import Site, applications, profile_of

from modelci.domain.profile import Profile

BRANCH = "modelci/retrain-credit"
TOKEN = "ghs_this-must-reach-nobody"
CONFIG = """\
forge: {{kind: local, path: {forge}}}
evaluation:
  - {{predictions: predictions.parquet, target: defaulted, threshold: 0.5}}
monitor:
  - model: credit
    stage: prod
    current: scored/{{window}}.parquet
    id: key
    skew: {{rows: 0}}
    triggers:
      - {{when: drift, action: retrain-pr}}
      - {{when: drift, action: issue}}
    retrain:
      cmd: sh next.sh
      add: ["data/{{window}}.parquet"]
      params: {{train.until: "{{window}}"}}
"""
NEXT = """\
set -e
env > "{seen}"
test -z "$(cat .git/config | grep -i extraheader || true)"
mkdir -p data
cp "$MODELCI_CURRENT" "data/$MODELCI_WINDOW.parquet"
"""


@dataclass(kw_only=True)
class Shop:
    """A site that retrains: ``forge`` is a folder, ``seen`` what the project's command saw."""

    site: Site

    @property
    def forge(self) -> Path:
        return self.site.folder / "forge"

    @property
    def seen(self) -> Path:
        return self.site.folder / "environment-of-cmd"

    def runner(self) -> Path:
        return self.site.clone().root

    def run(self, folder: Path, *arguments: str, code: int = 0, **env: str) -> str:
        """Run modelci as a job of Actions does, with a token in the environment."""
        tokens = {"GITHUB_TOKEN": TOKEN, "MODELCI_TOKEN": TOKEN}
        done = Checkout(folder, tokens).modelci(*arguments, code=code, **env)
        return done.out + done.err

    def pulls(self) -> dict[int, dict[str, object]]:
        paths = sorted((self.forge / "pulls").glob("*.json"))
        return {int(path.stem): json.loads(path.read_text()) for path in paths}

    def tip(self) -> str:
        return git(self.site.bare, "rev-parse", f"refs/heads/{BRANCH}")


@pytest.fixture(scope="module")
def profile() -> Profile:
    return profile_of(applications(4_000, seed=99))


@pytest.fixture
def shop(tmp_path: Path, profile: Profile) -> Shop:
    site = Site(folder=tmp_path)
    shop = Shop(site=site)
    (site.work / "modelci.yaml").write_text(CONFIG.format(forge=shop.forge))
    (site.work / "next.sh").write_text(NEXT.format(seen=shop.seen))
    (site.work / "params.yaml").write_text("train:\n  until: 2026-02  # the last window\n")
    (site.work / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    site.promote(profile)
    site.score("2026-03", applications(seed=3, shift=1.0))
    return shop


@pytest.mark.timeout(600)
def test_one_job_watches_retrains_and_can_be_run_again(shop: Shop) -> None:
    site = shop.site
    main = git(site.bare, "rev-parse", "refs/heads/main")
    watch = ("monitor", "--window", "2026-03", "--remote")
    shop.run(shop.runner(), *watch, code=1)
    tip = shop.tip()
    assert git(site.bare, "rev-parse", f"{tip}^") == main
    changed = git(site.bare, "diff", "--name-only", main, tip).splitlines()
    assert changed == ["data/.gitignore", "data/2026-03.parquet.dvc", "params.yaml"]
    assert "until: 2026-03  # the last window" in git(site.bare, "show", f"{tip}:params.yaml")
    pointer = git(site.bare, "show", f"{tip}:data/2026-03.parquet.dvc")
    md5 = pointer.split("md5: ")[1][:32]
    stored = site.folder / "store" / "files" / "md5" / md5[:2] / md5[2:]
    assert stored.read_bytes() == (site.data / "scored/2026-03.parquet").read_bytes()
    assert TOKEN not in shop.seen.read_text()
    (pull,) = shop.pulls().values()
    assert (pull["head_branch"], pull["base_branch"]) == (BRANCH, "main")
    assert pull["head_sha"] == tip
    text = (shop.forge / "pulls" / "1.md").read_text()
    assert "psi of x" in text
    assert "data/2026-03.parquet.dvc" in text
    assert json.loads((shop.forge / "issues" / "2.json").read_text())["title"]
    shop.seen.unlink()

    shop.run(shop.runner(), *watch, code=1)
    assert shop.tip() == tip
    assert not shop.seen.exists()
    assert list(shop.pulls()) == [1]

    # People have said yes to it; the data are in main now.
    git(site.bare, "update-ref", "refs/heads/main", tip)
    shop.run(shop.runner(), *watch, code=1)
    assert not shop.seen.exists()


@pytest.mark.timeout(600)
def test_the_job_that_runs_the_projects_code_writes_nothing(shop: Shop) -> None:
    site = shop.site
    watching = shop.runner()
    shop.run(watching, "monitor", "--window", "2026-03", "--remote", "--no-write", code=1)
    said = shop.run(watching, "retrain")
    assert f"for {BRANCH} changes 3 files" in said
    assert TOKEN not in shop.seen.read_text()
    shop.seen.unlink()
    refs = git(site.bare, "for-each-ref", "--format=%(refname)")
    assert "retrain" not in refs
    assert "monitor" not in refs
    assert not shop.forge.exists()

    left = site.folder / "artifact"
    shutil.copytree(watching / ".modelci" / "monitor", left)
    writing = shop.runner()
    (writing / "next.sh").write_text("exit 9\n")
    said = shop.run(writing, "act", "--from", str(left))
    assert "retrain-pr created" in said
    assert "issue created" in said
    assert not shop.seen.exists()
    assert list(shop.pulls()) == [1]
    assert site.remembered() == [site.remembered()[0]]
    tip = shop.tip()

    assert "retrain-pr unchanged" in shop.run(writing, "act", "--from", str(left))
    assert shop.tip() == tip

    # A second run of the watching job finds the branch, and runs nothing.
    again = shop.runner()
    shop.run(again, "monitor", "--window", "2026-03", "--remote", "--no-write", code=1)
    assert "is there already" in shop.run(again, "retrain")
    assert not shop.seen.exists()
    said = shop.run(shop.runner(), "act", "--from", f"{again}/.modelci/monitor")
    assert "retrain-pr created" not in said
    assert (list(shop.pulls()), shop.tip()) == ([1], tip)


@pytest.mark.timeout(600)
def test_jobs_that_are_stopped_push_nothing_and_can_be_run_again(shop: Shop) -> None:
    site, place = shop.site, Place(folder=shop.site.folder / "stopped")
    (site.work / "next.sh").write_text(BLOCK + NEXT.format(seen=shop.seen))
    git(site.work, "commit", "--quiet", "-am", "A command that can be stopped")
    git(site.work, "push", "--quiet", "origin", "HEAD:main")
    folder = shop.runner()
    watch = ("monitor", "--window", "2026-03", "--remote")
    refs = git(site.bare, "for-each-ref")
    for words, number, at, left in (
        ([*watch, "--no-act"], signal.SIGINT, "push", "A window that was judged may be remembered"),
        ([*watch, "--no-write"], None, None, ""),
        (["retrain"], signal.SIGTERM, None, "No branch was pushed, data may be in the DVC remote"),
        (["retrain"], None, None, ""),
        (["act"], signal.SIGTERM, "push", "What was pushed or proposed stays; run again"),
    ):
        if number is None:
            shop.run(folder, *words, code=1 if "monitor" in words else 0)
            continue
        ended = stopped(words, place, number, folder=folder, base=os.environ, block_git_at=at)
        assert ended.code == 128 + number, ended
        assert f"Interrupted. {left}" in ended.err.splitlines()[-1]
        assert "Traceback" not in ended.err
        assert_left_in_order(place, folder)
        assert git(site.bare, "for-each-ref") == refs
    assert "retrain-pr created" in shop.run(folder, "act")
    assert list(shop.pulls()) == [1]


@pytest.mark.timeout(600)
def test_what_the_other_job_left_is_not_taken_on_trust(shop: Shop) -> None:
    watching = shop.runner()
    shop.run(watching, "monitor", "--window", "2026-03", "--remote", "--no-write", code=1)
    shop.run(watching, "retrain")
    path = watching / ".modelci/monitor/retraining/credit.json"
    honest = json.loads(path.read_text())
    bundle = path.with_suffix(".bundle")
    # The project's code has put a workflow onto the commit, and says nothing of it.
    clone = shop.site.folder / "evil"
    git(shop.site.folder, "clone", "--quiet", shop.site.bare.as_uri(), str(clone))
    (clone / ".github/workflows").mkdir(parents=True)
    (clone / ".github/workflows/x.yml").write_text("on: push\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "evil")
    evil = git(clone, "rev-parse", "HEAD")
    git(clone, "update-ref", "refs/modelci/results", evil)
    git(clone, "bundle", "create", str(bundle), "refs/modelci/results", "^HEAD^")
    path.write_text(json.dumps({**honest, "commit": evil}))
    said = shop.run(shop.runner(), "act", "--from", f"{watching}/.modelci/monitor", code=5)
    assert "says what CI runs" in said
    path.write_text(json.dumps({**honest, "commit": evil, "branch": "main"}))
    said = shop.run(shop.runner(), "act", "--from", f"{watching}/.modelci/monitor", code=3)
    assert "not what the window asks for" in said
    path.write_text(json.dumps(honest))
    said = shop.run(shop.runner(), "act", "--from", f"{watching}/.modelci/monitor", code=3)
    assert f"holds {evil[:7]}, and not" in said
    assert not shop.pulls()
    # What was found is remembered all the same.
    assert len(shop.site.remembered()) == 1


@pytest.mark.timeout(600)
def test_a_command_that_fails_keeps_the_issue_from_nothing(shop: Shop) -> None:
    (shop.site.work / "next.sh").write_text("echo no rows; exit 3\n")
    git(shop.site.work, "commit", "--quiet", "--all", "-m", "broken")
    git(shop.site.work, "push", "--quiet", "origin", "HEAD:main")
    watching = shop.runner()
    shop.run(watching, "monitor", "--window", "2026-03", "--remote", "--no-write", code=1)
    assert "It said last: no rows" in shop.run(watching, "retrain", code=5)
    said = shop.run(shop.runner(), "act", "--from", f"{watching}/.modelci/monitor")
    assert "retrain-pr held back, nothing was prepared" in said
    assert "issue created" in said


@pytest.mark.timeout(600)
def test_a_command_that_fails_in_the_only_job_leaves_the_issue_opened(shop: Shop) -> None:
    (shop.site.work / "next.sh").write_text("echo no rows; exit 3\n")
    git(shop.site.work, "commit", "--quiet", "--all", "-m", "broken")
    git(shop.site.work, "push", "--quiet", "origin", "HEAD:main")
    folder = shop.runner()
    said = shop.run(folder, "monitor", "--window", "2026-03", "--remote", code=5)
    assert "Issue created" in said
    document = json.loads((folder / ".modelci/monitor.json").read_text())
    failed = {one["kind"]: one["failed"] for one in document["actions"]}
    assert failed["issue"] is None
    assert "failed: " + failed["retrain-pr"] in said


@pytest.mark.timeout(600)
def test_the_issue_is_closed_by_a_quiet_window(shop: Shop) -> None:
    site = shop.site
    shop.run(shop.runner(), "monitor", "--window", "2026-03", "--remote", code=1)
    site.score("2026-04", applications(seed=4))
    shop.run(shop.runner(), "monitor", "--window", "2026-04", "--remote")
    issue = json.loads((shop.forge / "issues" / "2.json").read_text())
    assert issue["is_open"] is False
    said = (shop.forge / "comments" / "issues-2-closed.md").read_text()
    assert said == "2026-04 is well again.\n"


def test_without_a_watched_window_there_is_nothing_to_act_on(shop: Shop) -> None:
    folder = shop.runner()
    for command in ("act", "retrain"):
        said = shop.run(folder, command, code=3)
        assert "has no watched window" in said
        assert "Run `modelci monitor --no-write` first" in said
    assert "'nosuch' is not watched" in shop.run(folder, "retrain", "nosuch", code=2)
