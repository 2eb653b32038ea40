"""``modelci init``, ``doctor`` and ``config``: from a DVC repository to a working set-up."""

import json

import pytest
from tests.e2e.world import FILES, PIPELINE, Checkout, World, add_dvc

WRITTEN = [
    "modelci.yaml",
    *(f".github/workflows/model-{name}.yml" for name in ("pr", "comment", "merge")),
]


@pytest.fixture
def fresh(site: World) -> Checkout:
    """A DVC repository that knows nothing of us yet."""
    site.laptop.git("rm", "--quiet", "modelci.yaml")
    site.laptop.git("commit", "--quiet", "--message", "Without modelci")
    site.laptop.git("push", "--quiet")
    return site.laptop


def test_init_proposes_what_the_project_needs(fresh: Checkout) -> None:
    done = fresh.modelci("init")

    assert done.out == "".join(f"Wrote {path}\n" for path in WRITTEN)
    assert "modelci doctor" in done.err
    settings = fresh.read("modelci.yaml")
    assert "- metric: roc_auc  # higher is better" in settings
    assert "- metric: brier  # lower is better" in settings
    assert "(here: credit)" in settings
    assert "✗" not in fresh.modelci("doctor").out
    fresh.commit()
    assert "✓ Passed: all 2 gates hold" in fresh.modelci("report").out


def test_init_run_again_keeps_what_is_there_until_forced(fresh: Checkout) -> None:
    fresh.modelci("init")
    fresh.put({"modelci.yaml": "gates: []\n"})

    again = fresh.modelci("init")
    assert again.out == ""
    assert again.err.count("(--force overwrites)") == 4
    assert fresh.read("modelci.yaml") == "gates: []\n"

    forced = fresh.modelci("init", "--force")
    assert forced.out.count("Wrote") == 4
    assert "roc_auc" in fresh.read("modelci.yaml")


def test_init_names_the_branch_that_pull_requests_go_to(fresh: Checkout) -> None:
    fresh.git("remote", "remove", "origin")
    fresh.git("branch", "--move", "main", "master")
    fresh.modelci("init")
    for path in (WRITTEN[1], WRITTEN[3]):
        assert "branches: [master]" in fresh.read(path)


def test_init_before_the_first_commit(site: World) -> None:
    new = Checkout(site.root / "new", {})
    new.put(FILES)
    (new.folder / "modelci.yaml").unlink()
    new.git("init", "--quiet")
    add_dvc(new)
    assert new.modelci("init").out.count("Wrote") == 4


def test_a_healthy_project_has_nothing_to_mend(site: World) -> None:
    site.laptop.modelci("init")
    site.laptop.commit()
    out = site.laptop.modelci("doctor", COLUMNS="300").out
    assert {line[0] for line in out.splitlines()} == {"✓"}
    report = json.loads(site.laptop.modelci("doctor", "--json").out)
    assert report["schema"] == "modelci.examination/1"


@pytest.mark.parametrize(
    ("files", "code", "problem", "fix"),
    [
        ({"modelci.yaml": "gate: []\n"}, 3, "✗ modelci.yaml: ", "Did you mean 'gates'?"),
        ({"modelci.yaml": ""}, 0, "! gates: none", "`modelci init`"),
        (
            {"modelci.yaml": "gates: [{metric: auc, min: 1}]\n"},
            3,
            "✗ gates: auc min 1: no metric",
            "Mend",
        ),
        (
            {"params.yaml": "quality: 1\nnoise: 0\n"},
            0,
            "! dvc.lock: out of date for",
            "modelci run",
        ),
        ({"dvc.lock": "<<<<<<< HEAD\n"}, 3, "✗ pipeline: dvc.lock:1 holds a merge", "either side"),
        ({"metrics.json": "{"}, 3, "! metrics: metrics.json:1:2 cannot be read", "file named"),
        ({"dvc.yaml": PIPELINE.partition("artifacts")[0]}, 0, "! artifacts: none", "`artifacts:"),
        ({".dvc/config": "[core]\nremote = nope\n"}, 3, "✗ dvc: ", ".dvc/config"),
        ({".dvc/config": ""}, 0, "! dvc remote: none", "`dvc remote add -d NAME URL`"),
    ],
)
def test_doctor_names_the_fix(
    site: World, files: dict[str, str], code: int, problem: str, fix: str
) -> None:
    site.laptop.put(files)
    assert advises(site.laptop, problem, fix, code=code)


def test_doctor_names_the_permission_that_a_job_lacks(site: World) -> None:
    laptop = site.laptop
    laptop.modelci("init")
    path = ".github/workflows/model-comment.yml"
    laptop.put({path: laptop.read(path).replace("      pull-requests: write\n", "")})
    assert advises(laptop, f"✗ {path}: job comment calls", "Add that line to the job.", code=3)
    laptop.put({path: "# modelci ci\non: [\n"})
    assert advises(laptop, f"✗ workflows: {path}:3:1 cannot be read", "", code=3)


def test_doctor_looks_at_git_first(site: World) -> None:
    laptop = site.laptop
    laptop.git("remote", "set-url", "origin", "file:///nowhere.git")
    assert advises(laptop, "✗ tags: Git could not fetch", "`git remote -v`", code=3)
    laptop.git("remote", "remove", "origin")
    assert advises(laptop, "! git remote: none", "`git remote add`")
    (laptop.folder / ".dvc").rename(laptop.folder / "elsewhere")
    assert advises(laptop, "✗ dvc: this is no DVC repository", "`dvc init`", code=3)
    laptop.git("update-ref", "-d", "HEAD")
    assert advises(laptop, "✗ git: there is no commit yet", "`git commit`", code=3)
    nowhere = Checkout(site.root, {})
    assert advises(nowhere, "is not in a Git repository", "`git init`", code=3)


def test_config_says_where_each_value_is_from(site: World) -> None:
    out = site.laptop.modelci("config", "show", MODELCI_REPORT_TITLE="Ours").out
    assert "run.pull = true  # modelci.yaml:8\n" in out
    assert 'report.title = "Ours"  # MODELCI_REPORT_TITLE\n' in out
    assert "default_branch = null  # default\n" in out
    assert '{"metric":"brier","max_drop":"1%","severity":"warn"}' in out


def advises(checkout: Checkout, problem: str, fix: str, *, code: int = 0) -> bool:
    """Hold that doctor finds the problem, and says the fix right after it."""
    out = " ".join(checkout.modelci("doctor", code=code).out.split())
    _, found, after = out.partition(problem)
    assert found, out
    assert fix in after
    return True
