"""What is wrong with a repository is said, with the way out."""

from pathlib import Path

import pytest
from tests.e2e.world import BETTER, FILES, PIPELINE, Checkout, Result, World, add_dvc, hint_of

COMMANDS = ["ci", "comment", "gate", "init", "plan", "promote", "registry", "report", "run"]
NEED_DVC = ["ci", "init", "plan", "run"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_git_repository(tmp_path: Path, command: str) -> None:
    done = Checkout(tmp_path, {}).modelci(command, code=3)
    assert says(done, "is not in a Git repository.", hint="`git init`")


@pytest.mark.parametrize("command", ["report", "ci"])
def test_git_is_not_installed(site: World, command: str, tmp_path: Path) -> None:
    modelci = site.laptop.run("sh", "-c", "command -v modelci").out.strip()
    done = site.laptop.run(modelci, command, PATH=str(tmp_path))
    assert done.code == 3
    assert says(done, "git is not installed.", hint="Install Git")


@pytest.mark.parametrize("command", NEED_DVC)
def test_no_dvc_repository(tmp_path: Path, command: str) -> None:
    plain = repository(tmp_path)
    plain.commit({"README.md": "no model\n"})
    done = plain.modelci(command, code=3)
    assert says(done, "no DVC repository", hint="`dvc init`")


def test_a_report_without_dvc_says_that_there_is_nothing_to_report(tmp_path: Path) -> None:
    plain = repository(tmp_path)
    plain.commit({"README.md": "no model\n"})
    assert "DVC tracks nothing here" in plain.modelci("report").out


def test_before_the_first_commit_a_report_has_no_base(tmp_path: Path) -> None:
    fresh = repository(tmp_path)
    fresh.put(FILES)
    add_dvc(fresh)
    fresh.modelci("run", "--no-pull", "--no-push")
    done = fresh.modelci("report")
    assert "No base to compare with" in done.out
    assert "no commit yet" in done.out
    assert says(fresh.modelci("promote", code=3), "There is no commit yet.", hint="`git commit`")


def test_a_shallow_clone_fetches_what_a_report_lacks(site: World) -> None:
    site.push({"README.md": "1\n"})
    branch = site.push(BETTER, branch="feature")
    clone = site.clone("shallow", "--depth", "1", "--branch", "feature")
    unknown = clone.modelci("report", code=2)
    assert says(unknown, "The default branch is not known", hint="set default_branch")
    clone.modelci("report", MODELCI_DEFAULT_BRANCH="main")
    report = clone.document("report")
    assert report["head"]["sha"] == branch
    assert report["base"]["sha"] == site.bare("rev-parse", "main")


def test_a_shallow_clone_that_cannot_fetch_says_what_to_set(site: World) -> None:
    site.push({"README.md": "1\n"})
    clone = site.clone("shallow", "--depth", "1")
    clone.git("remote", "set-url", "origin", "file:///nowhere/to/be/found.git")
    done = clone.modelci("report", code=4)
    assert says(done, "The base is not in this clone.", hint="fetch-depth: 0")
    assert "fatal" not in done.err


def test_a_shallow_clone_without_the_named_revision_says_what_to_set(site: World) -> None:
    site.push({"README.md": "1\n"})
    clone = site.clone("shallow", "--depth", "1")
    done = clone.modelci("report", "HEAD~1", code=2)
    assert says(done, "There is no revision 'HEAD~1' here.", hint="fetch-depth: 0")


def test_a_checkout_of_one_commit_without_tags_knows_the_versions_of_the_remote(
    site: World,
) -> None:
    first = site.bare("rev-parse", "main")
    for name in ("credit@v0.0.1", "credit#prod#1", "other@v1.0.0"):
        site.laptop.git("tag", "--annotate", "--message", name, name, first)
    site.laptop.git("push", "--quiet", "--tags", "origin")
    site.push({"README.md": "1\n"})
    site.push(BETTER, branch="feature")
    clone = site.clone("shallow", "--depth", "1", "--no-tags", "--branch", "feature")
    done = clone.modelci("report", "credit#prod")
    assert "This clone has no tags of credit: fetching those of origin" in done.err
    base = clone.document("report")["base"]
    assert (base["sha"], base["chosen"]) == (first, "v0.0.1 holds prod")
    assert "other" not in clone.git("for-each-ref", "--format=%(refname)")
    assert clone.git("tag", "--list") == ""
    assert clone.git("rev-list", "--count", "HEAD") == "1"
    # A tag that was fetched once is no reason to be content with it.
    clone.git("fetch", "--quiet", "--depth=1", "origin", "tag", "credit@v0.0.1")
    unknown = clone.modelci("report", "credit#prod", code=2)
    assert says(unknown, "Nothing of credit holds stage 'prod'", hint="--remote")
    clone.modelci("report", "credit#prod", "--remote")
    assert clone.document("report")["base"]["sha"] == first


def test_a_detached_head_is_compared_with_the_merge_base(site: World) -> None:
    base = site.bare("rev-parse", "main")
    site.push(BETTER, branch="feature")
    site.laptop.git("switch", "--quiet", "--detach", "feature")
    site.laptop.modelci("report")
    assert site.laptop.document("report")["base"]["sha"] == base


def test_an_unknown_revision_of_a_range(site: World) -> None:
    done = site.laptop.modelci("report", "HEAD..nope", code=2)
    assert "There is no revision 'nope' here" in done.err


@pytest.mark.parametrize("revision", ["nope", "--all", "HEAD^7", "v1.0.0:metrics.json", "m@v1"])
def test_an_unknown_revision(site: World, revision: str) -> None:
    done = site.laptop.modelci("report", "--", revision, code=2)
    assert f"{revision!r}" in done.err


def test_an_unknown_stage_names_those_there_are(site: World) -> None:
    assert says(site.laptop.modelci("run", "evalute", code=2), "'evalute'", hint="evaluate")
    assert says(site.laptop.modelci("plan", "x", code=2), "'x'", hint="prepare, train, evaluate")


def test_a_dirty_work_tree_is_reported_as_such_and_not_promoted(site: World) -> None:
    laptop = site.laptop
    laptop.put({"README.md": "not committed\n"})
    done = laptop.modelci("report")
    assert "with uncommitted changes" in done.out
    assert says(laptop.modelci("promote", code=6), "with changes", hint="Commit everything")


def test_a_lock_that_is_out_of_date_is_warned_of_and_not_promoted(site: World) -> None:
    laptop = site.laptop
    laptop.commit(BETTER)
    flat = " ".join(laptop.modelci("report").out.split())
    assert "dvc.lock is out of date for stage train" in flat
    assert "Run `modelci run` and commit dvc.lock." in flat
    refused = laptop.modelci("promote", code=6)
    assert says(refused, "dvc.lock is out of date for stage train", hint="`modelci run --push`")


@pytest.mark.parametrize("command", ["report", "run", "plan", "ci"])
def test_a_lock_in_merge_conflict(site: World, command: str) -> None:
    lock = site.laptop.read("dvc.lock")
    site.laptop.put({"dvc.lock": f"<<<<<<< HEAD\n{lock}=======\n{lock}>>>>>>> change\n"})
    done = site.laptop.modelci(command, code=3)
    assert says(done, "dvc.lock:1 holds a merge conflict.", hint="take either side")


def test_what_is_wrong_with_the_base_is_not_said_of_the_head(site: World) -> None:
    site.push({"dvc.yaml": "stages: [\n"})
    laptop = site.laptop
    laptop.git("checkout", "--quiet", "-b", "mended")
    laptop.commit({"dvc.yaml": PIPELINE})
    done = laptop.modelci("report", code=3)
    assert says(done, "The base (main", hint="`modelci report BASE`")
    assert "cannot be compared with: dvc.yaml:" in done.err
    laptop.modelci("report", "HEAD")


@pytest.mark.parametrize("command", ["report", "run", "plan", "init"])
@pytest.mark.parametrize(
    ("path", "text", "place"),
    [
        ("dvc.yaml", PIPELINE + "  bad: [\n", "dvc.yaml:23:1 cannot be read"),
        ("dvc.yaml", "stages: 3\n", "dvc.yaml:1"),
        ("dvc.lock", "schema: '2.0'\nstages:\n  train: [}\n", "dvc.lock:3:11 cannot be read"),
        ("params.yaml", "quality: 0.8\n  noise: [\n", "params.yaml:2:8 cannot be read"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    site: World, command: str, path: str, text: str, place: str
) -> None:
    site.laptop.put({path: text})
    assert place in site.laptop.modelci(command, code=3).err


def test_a_broken_file_of_a_named_revision_is_named_too(site: World) -> None:
    site.laptop.commit({"dvc.yaml": "stages: [\n"})
    site.laptop.commit({"dvc.yaml": PIPELINE})
    assert "dvc.yaml:2:1 cannot be read" in site.laptop.modelci("report", "HEAD^", code=3).err


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("gate: []\n", "modelci.yaml:1: unknown key 'gate'.", "Did you mean 'gates'?"),
        ("run: {pul: true}\n", "modelci.yaml:1: unknown key 'pul'.", "Did you mean 'pull'?"),
        ("gates: 3\n", "modelci.yaml:1: gates: ", "A list is wanted"),
        ("run: {pull: maybe}\n", "modelci.yaml:1: run.pull: ", "`true` or `false`"),
        ("gates:\n- metric: a\n  min: high\n", "modelci.yaml:3: gates[0].min: ", "plain number"),
        ("gates:\n- metric: a\n  severity: loud\n", "'loud'", "One of: block, warn."),
        ("metrics: {cost: down}\n", "'down'", "One of: higher, lower"),
        (
            "forge: {kind: bitbucket}\n",
            "'bitbucket'",
            "One of: auto, github, gitlab, gitea, local.",
        ),
        ("gates: [\n", "modelci.yaml:2:1 cannot be read", None),
        ("<<<<<<< HEAD\n", "modelci.yaml:1 holds a merge conflict.", "Resolve it"),
    ],
)
def test_a_wrong_setting_is_named_with_its_line(
    site: World, text: str, message: str, hint: str | None
) -> None:
    site.laptop.put({"modelci.yaml": text})
    for command in ("report", "run", "ci"):
        done = site.laptop.modelci(command, code=3)
        assert message in done.err
        assert hint is None or hint in hint_of(done)


def test_a_wrong_variable_is_named(site: World) -> None:
    done = site.laptop.modelci("run", code=3, MODELCI_RUN_PULL="maybe")
    assert says(done, "MODELCI_RUN_PULL: run.pull: ", hint="`true` or `false`")


def test_a_comment_s_size_that_holds_no_verdict_is_refused(site: World) -> None:
    site.laptop.put({"modelci.yaml": "report: {max_bytes: 10}\n"})
    done = site.laptop.modelci("report", "--format", "md", code=3)
    assert says(done, "report.max_bytes is too small.", hint="16384")


def test_artifacts_that_nobody_declares_are_not_promoted(site: World) -> None:
    laptop = site.laptop
    settings = laptop.read("modelci.yaml")
    laptop.commit({"modelci.yaml": settings.replace("assign:", "artifacts: [credti]\n  assign:")})
    laptop.modelci("report")
    assert says(laptop.modelci("promote", code=3), "'credti'", hint="Did you mean 'credit'?")
    laptop.commit({"modelci.yaml": settings, "dvc.yaml": PIPELINE.partition("artifacts:")[0]})
    laptop.modelci("report")
    assert says(laptop.modelci("promote", code=6), "is not on main", hint="Merge and push")
    laptop.git("push", "--quiet")
    assert "No dvc.yaml declares `artifacts:`" in laptop.modelci("promote").out


@pytest.mark.parametrize("command", ["gate", "comment", "promote"])
def test_a_missing_report_names_the_command_that_writes_it(site: World, command: str) -> None:
    done = site.clone("fresh").modelci(command, code=3)
    assert says(done, "report.json cannot be read", hint="`modelci report` writes it")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "modelci.report/1"}', "{" * 9999])
def test_a_report_that_is_none_is_refused(site: World, text: str) -> None:
    site.laptop.put({"report.json": text})
    for command in ("gate", "promote"):
        done = site.laptop.modelci(command, "--report", "report.json", code=3)
        assert "report.json is no modelci.report/1 document" in done.err


def test_a_report_of_another_version_is_refused(site: World) -> None:
    site.laptop.put({"report.json": '{"schema": "modelci.report/9"}'})
    done = site.laptop.modelci("gate", "--report", "report.json", code=3)
    assert says(done, "'modelci.report/9'", hint="same modelci version")


def test_where_nothing_can_be_written_that_is_said(site: World) -> None:
    laptop = site.laptop
    done = laptop.modelci("report", "--format", "md", "--out", "params.yaml/report.md", code=2)
    assert says(done, "params.yaml/report.md cannot be written", hint="--out")
    laptop.put({".modelci/.gitignore": "*\n"})
    (laptop.folder / ".modelci").rename(laptop.folder / "elsewhere")
    laptop.put({".modelci": "a file\n"})
    assert says(laptop.modelci("report", code=3), ".modelci cannot be written", hint="room")


def test_a_full_disk_is_no_bug_of_ours(site: World) -> None:
    done = site.laptop.run("sh", "-c", "modelci report > /dev/full")
    assert done.code == 3
    assert done.err == "Error: No space left on device.\n"


def repository(folder: Path) -> Checkout:
    made = Checkout(folder, {})
    made.git("init", "--quiet")
    return made


def says(done: Result, message: str, *, hint: str) -> bool:
    """Hold that the message is there, and the hint advises it; pytest shows the rest."""
    assert message in done.err.partition("Hint: ")[0]
    assert hint in hint_of(done)
    return True
