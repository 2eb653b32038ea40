"""``modelci init``, ``doctor`` and ``config``: from a DVC repository to a working set-up."""

import json
import shutil

import pytest
from tests.e2e.world import FILES, PIPELINE, SETTINGS, Checkout, World, add_dvc

WRITTEN = [
    "modelci.yaml",
    *(
        f".github/workflows/model-{name}.yml"
        for name in ("pr", "comment", "merge", "deploy", "monitor")
    ),
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
    assert "✓ Passed: all 4 gates hold" in fresh.modelci("report").out


def test_init_run_again_keeps_what_is_there_until_forced(fresh: Checkout) -> None:
    fresh.modelci("init")
    fresh.put({"modelci.yaml": "gates: []\n"})

    again = fresh.modelci("init")
    assert "modelci.yaml has no gates" in again.err
    assert again.out.startswith("gates:\n  - metric: brier")
    assert again.err.count("(--force overwrites)") == 6
    assert fresh.read("modelci.yaml") == "gates: []\n"

    forced = fresh.modelci("init", "--force")
    assert forced.out.count("Wrote") == 6
    assert "roc_auc" in fresh.read("modelci.yaml")


def test_init_names_the_branch_that_pull_requests_go_to(fresh: Checkout) -> None:
    fresh.git("remote", "remove", "origin")
    fresh.git("branch", "--move", "main", "master")
    said = fresh.modelci("init").err
    assert "no Git remote tells the forge: `--forge gitlab`" in said
    for path in (WRITTEN[1], WRITTEN[3]):
        assert "branches: [master]" in fresh.read(path)


def test_init_before_the_first_commit(site: World) -> None:
    new = Checkout(site.root / "new", {})
    new.put(FILES)
    (new.folder / "modelci.yaml").unlink()
    new.git("init", "--quiet")
    add_dvc(new)
    assert new.modelci("init").out.count("Wrote") == 6


def test_a_healthy_project_has_nothing_to_mend(site: World) -> None:
    site.laptop.modelci("init")
    config = site.laptop.read(".dvc/config") + "    verify = true\n"
    pulls = "['remote \"pr\"']\n    url = ../../pr\n    verify = true\n"
    events = "push: true, events: {pull_request: {remote: pr}}"
    settings = SETTINGS.replace("push: true", events)
    site.laptop.commit({".dvc/config": config + pulls, "modelci.yaml": settings})
    out = site.laptop.modelci("doctor", COLUMNS="300").out
    # What no project of its own can mend: the name is not published. This one has no packages.
    told = [line for line in out.splitlines() if line[0] == "!"]
    assert [line.partition(":")[0] for line in told] == [
        "! installation",
        "! requirements.txt",
    ]
    assert {line[0] for line in out.splitlines()} == {"✓", "!", " "}
    report = json.loads(site.laptop.modelci("doctor", "--json").out)
    assert report["schema"] == "modelci.examination/1"


def test_a_remote_for_everyone_that_is_believed_is_pointed_out(site: World) -> None:
    out = site.laptop.modelci("doctor", COLUMNS="300").out
    assert "! dvc remote store: DVC takes its word for what it sends" in out
    assert "`dvc remote modify store verify true`" in out
    assert "! run cache: On merge: Past runs are not restored" in out


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
    laptop.put({path: laptop.read(path).replace("pull-requests: write", "pull-requests: read")})
    assert advises(laptop, f"✗ {path}: job comment calls", "Add that line to the job.", code=3)
    laptop.put({path: "# modelci ci\non: [\n"})
    assert advises(laptop, f"✗ workflows: {path}:3:1 cannot be read", "", code=3)


EVALUATED = """\
gates: [{metric: roc_auc, max_drop: 0.01}]
evaluation: {predictions: p.csv, retrain_sd: {aucc: 0.1}}
slices: {by: [nosuchcol, {query: "age <"}, {query: "__import__(1)"}], metrics: [auc, latency]}
report: {templates: nosuch}
run: {pull: true, push: true}
"""


def test_doctor_tries_the_evaluation_and_the_templates(site: World) -> None:
    rows = "".join(f"{n},{n % 2},{0.2 + 0.6 * (n % 2)},{n}\n" for n in range(200))
    site.laptop.put({"modelci.yaml": EVALUATED, "p.csv": "id,y_true,score,age\n" + rows})
    for problem, fix in (
        ("✗ retrain_sd of p.csv: aucc is no measure", "Name one of roc_auc"),
        ("✗ slices.by: nosuchcol, of p.csv: there is no column", "slices: {by:"),
        ("✗ slices.by: age <, of p.csv: the query cannot be read", "slices: {by:"),
        ("✗ slices.by: __import__(1), of p.csv: a call is not allowed", "slices: {by:"),
        ("✗ slices.metrics: predictions say nothing of latency", "roc_auc"),
        ("✗ report.templates: nosuch holds no templates", "docs/reports.md"),
    ):
        assert advises(site.laptop, problem, fix, code=3)
    mine = {"modelci.yaml": EVALUATED.replace("nosuch}", "mine}")}
    site.laptop.put({**mine, "mine/comment.md.j2": "{{ nothing_such }}\n"})
    assert advises(site.laptop, "✗ report.templates: mine/comment.md.j2:1", "docs/", code=3)
    site.laptop.put({"mine/comment.md.j2": "{{ gates }}\n"})
    assert advises(site.laptop, "✓ report.templates: mine renders", "", code=3)


def test_doctor_only_warns_of_predictions_that_are_not_here(site: World) -> None:
    laptop = site.laptop
    rows = "".join(f"{n},{n % 2},{0.2 + 0.6 * (n % 2)}\n" for n in range(200))
    laptop.put({"p.csv": "id,y_true,score\n" + rows})
    assert laptop.run("dvc", "add", "--quiet", "p.csv").code == 0
    settings = SETTINGS + "evaluation: {predictions: p.csv}\nslices: {by: [y_true]}\n"
    laptop.put({"modelci.yaml": settings})
    (laptop.folder / "p.csv").unlink()
    shutil.rmtree(laptop.folder / ".dvc" / "cache")
    assert advises(laptop, "! evaluation: p.csv: predictions of the head: p.csv is", "`dvc pull`")


def test_doctor_knows_gitlabs_pipeline(site: World) -> None:
    laptop = site.laptop
    laptop.modelci("init", "--forge", "gitlab")
    assert advises(laptop, "✓ .gitlab-ci.yml: calls modelci", "")
    (laptop.folder / ".gitlab-ci.yml").unlink()
    laptop.put({".gitlab-ci.yml": "theirs: {script: [make]}\n"})
    laptop.modelci("init", "--forge", "gitlab")
    assert advises(laptop, "✗ .gitlab/modelci.yml: .gitlab-ci.yml does not include it", "i", code=3)
    laptop.put({".gitlab-ci.yml": "include: {local: .gitlab/modelci.yml}\n"})
    assert advises(laptop, "✓ .gitlab/modelci.yml: calls modelci", "")


def test_init_says_what_has_to_be_installed_by_hand(fresh: Checkout) -> None:
    said = fresh.modelci("init").err
    assert "finds nothing before modelci is published" in said
    assert "git+https://HOST/OWNER/modelci@COMMIT" in said
    assert "default branch" not in said
    assert "--forge" not in fresh.modelci("init", "--force", "--forge", "github").err


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
