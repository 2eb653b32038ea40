"""``init`` and ``doctor`` on DVC repositories of shapes that strangers have."""

from pathlib import Path

import pytest
import yaml
from tests.e2e.world import Checkout, add_dvc

from modelci.config.load import load

STAGE = """\
stages:
  train:
    cmd: sh train.sh
    deps: [train.sh]
    outs: [model.txt]
    metrics: [{%s: {cache: false}}]
"""
DVC_FILE = "outs:\n- md5: d3b07384d113edec49eaa6238ad5ff00\n  size: 4\n  path: %s\n"


def repository(folder: Path, files: dict[str, str], *, branch: str = "main") -> Checkout:
    """Make a committed DVC repository of ``files`` without a remote."""
    made = Checkout(folder, {"COLUMNS": "300"})
    made.folder.mkdir(exist_ok=True)
    made.git("init", "--quiet", "--initial-branch", branch)
    made.put({".gitignore": ".modelci\n", **files})
    made.git("add", "--all")
    made.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "Start")
    return made


def project(folder: Path, files: dict[str, str], *, branch: str = "main") -> Checkout:
    add_dvc(Checkout(folder, {}))
    return repository(folder, files, branch=branch)


def gates(checkout: Checkout) -> set[str]:
    return {str(one) for one in load(checkout.read("modelci.yaml").encode()).config.all_gates()}


def test_several_pipelines_with_metrics_of_every_form_on_master(tmp_path: Path) -> None:
    made = project(
        tmp_path,
        {
            "a/dvc.yaml": STAGE % "m.yaml",
            "a/m.yaml": "test: {acc: 0.9}\n",
            "b/dvc.yaml": STAGE % "m.toml",
            "b/m.toml": "rmse = 12.5\nodd_one = 3\n",
            "a/train.sh": "",
            "b/train.sh": "",
        },
        branch="master",
    )
    done = made.modelci("init")
    assert gates(made) == {
        "test.acc min 0.891",
        "test.acc max_drop 1%",
        "rmse max 12.7",
        "rmse max_drop 1%",
    }
    assert "#   odd_one: higher  # or lower\n" in made.read("modelci.yaml")
    merge = yaml.safe_load(made.read(".github/workflows/model-merge.yml"))
    assert merge[True]["push"]["branches"] == ["master"]
    proposed = done.out.partition("artifacts:")
    declared = yaml.safe_load(proposed[1] + proposed[2])["artifacts"]
    assert declared["model"] == {"path": "a/model.txt"}
    assert declared["b-model-txt"]["path"] == "b/model.txt"
    out = made.modelci("doctor").out
    assert "✓ default branch: master" in out
    assert "✓ gates: 4 gates, all hold for what is here" in out
    assert 'model: {path: "a/model.txt"}' in out
    made.put({"dvc.yaml": proposed[1] + proposed[2]})
    assert "✓ artifacts: model, b-model-txt" in made.modelci("doctor").out


def test_data_alone_without_a_pipeline(tmp_path: Path) -> None:
    made = project(tmp_path, {"data/rows.csv.dvc": DVC_FILE % "rows.csv"})
    assert "a stage with `metrics:` in dvc.yaml makes some" in made.modelci("init").err
    out = made.modelci("doctor").out
    assert "✓ pipeline: 0 stages, 0 metrics, 1 tracked file" in out
    assert "a stage with `metrics:` in dvc.yaml makes metrics; then `modelci init`" in out
    assert "requirements.txt" not in out  # nothing of the project's runs in these jobs


@pytest.mark.parametrize(
    ("path", "content", "form"),
    [
        ("m.csv", "auc,acc\n0.9,0.8\n", "a table (CSV)"),
        ("m.tsv", "auc\tacc\n0.9\t0.8\n", "a table (TSV)"),
        ("m.txt", "The AUC is 0.9\n", "text"),
    ],
)
def test_metrics_that_are_no_names_and_numbers(
    tmp_path: Path, path: str, content: str, form: str
) -> None:
    made = project(tmp_path, {"dvc.yaml": f"metrics: [{path}]\n", path: content})
    why = f"{path} is {form}, and metrics that can be compared are names and numbers in JSON, YAML"
    said = made.modelci("init").err
    assert why in said
    assert "a metrics file in JSON or YAML gives some; then another `modelci init`" in said
    shown = made.modelci("report").out
    assert why in shown
    assert "there is no dvc.yaml" not in shown


def test_metrics_that_are_in_dvc_and_were_not_pulled(tmp_path: Path) -> None:
    lock = "schema: '2.0'\nstages:\n  t:\n    cmd: 'true'\n    outs:\n    - path: m.json\n"
    lock += "      md5: d3b07384d113edec49eaa6238ad5ff00\n      size: 4\n"
    stages = "stages:\n  t:\n    cmd: 'true'\n    metrics: [m.json]\n"
    made = project(tmp_path, {"dvc.yaml": stages, "dvc.lock": lock})
    said = made.modelci("init").err
    assert "`dvc pull` brings some" in said
    assert "m.json is not in the local DVC cache" in said
    out = made.modelci("doctor").out
    assert "`dvc pull` brings what the DVC remote has" in out
    assert "`dvc pull` brings metrics; then `modelci init`" in out


def test_a_registry_of_models_without_anything_to_run(tmp_path: Path) -> None:
    made = project(tmp_path, {"dvc.yaml": "artifacts: {m: {path: m.txt}}\n", "m.txt": "1\n"})
    made.modelci("init")
    out = made.modelci("doctor").out
    assert "! pipeline: no stage and no tracked file: `modelci run` refuses" in out
    assert "✓ artifacts: m\n" in out
    assert "requirements.txt" not in out
    made.git("add", "--all")
    made.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "Init")

    refused = made.modelci("run", code=3)
    assert refused.err.startswith("Error: There are no DVC stages here.\nHint: ")
    assert "`modelci report`, `promote`, `registry` and `ci` do without" in refused.err
    assert "there is no dvc.yaml" not in made.modelci("report").out
    assert "no .dvc file: run the pipeline, or `dvc add` it" in made.modelci("promote").out
    made.git("rm", "--quiet", "--cached", "m.txt")
    made.put({"m.txt.dvc": DVC_FILE % "m.txt", ".gitignore": ".modelci\n/m.txt\n"})
    made.git("add", "--all")
    made.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "Add")
    made.modelci("report")
    assert "m@v0.0.1" in made.modelci("promote", "--dry-run").out
    assert made.modelci("registry").code == 0
    made.git("reset", "--quiet", "--hard", "HEAD^")
    done = made.modelci("ci", "--no-write")
    assert "There are no DVC stages here. Nothing is run." in done.err
    assert made.document("run")["stages"] == []


def test_dvc_in_a_folder_of_a_monorepo_is_led_to_the_top(tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    add_dvc(Checkout(tmp_path / "ml", {}))
    files = {"ml/dvc.yaml": STAGE % "m.json", "ml/m.json": '{"acc": 0.9}', "ml/train.sh": ""}
    made = repository(tmp_path, files)
    said = made.modelci("init", code=3).err
    assert "ml/ below it is" in said
    assert "`git mv ml/.dvc .dvc`" in said
    assert "the DVC project is in ml/, not at the top" in made.modelci("doctor", code=3).out

    made.git("mv", "ml/.dvc", ".dvc")
    made.modelci("init")
    assert "acc min 0.891" in gates(made)
    assert "✓ gates: 2 gates" in made.modelci("doctor").out


def test_a_project_inside_of_another_is_named_with_its_way_out(tmp_path: Path) -> None:
    (tmp_path / "ml").mkdir()
    add_dvc(Checkout(tmp_path / "ml", {}))
    made = project(tmp_path, {"ml/dvc.yaml": STAGE % "m.json", "ml/m.json": '{"acc": 0.9}'})
    assert "ml was left out" in made.modelci("init").err
    out = made.modelci("doctor").out
    assert "! dvc: ml was left out" in out
    assert "`git rm -r` its own .dvc/" in out
    made.git("rm", "-r", "--quiet", "ml/.dvc")
    made.put({"ml/train.sh": ""})
    assert "acc" in made.modelci("init").out


def test_a_lock_of_dvc_1_is_recognised(tmp_path: Path) -> None:
    stages = "stages:\n  t:\n    cmd: echo 1 > o.txt\n    outs: [o.txt]\n"
    made = project(tmp_path, {"dvc.yaml": stages, "dvc.lock": "t:\n  cmd: echo 1 > o.txt\n"})
    made.modelci("init")
    out = made.modelci("doctor", code=3).out
    assert "This is the form of DVC 1" in out
    (made.folder / "dvc.lock").unlink()
    made.modelci("run", "--no-pull", "--no-push")
    made.modelci("doctor")


@pytest.mark.parametrize("address", ["git@gitlab.com:me/p.git", "https://gitlab.com/me/p.git"])
def test_a_gitlab_remote_gets_gitlabs_pipeline_beside_theirs(tmp_path: Path, address: str) -> None:
    made = project(tmp_path, {".gitlab-ci.yml": "test: {script: [make]}\n"}, branch="master")
    made.git("remote", "add", "origin", address)
    done = made.modelci("init")
    assert done.out.splitlines()[:2] == ["Wrote modelci.yaml", "Wrote .gitlab/modelci.yml"]
    assert "include: {local: .gitlab/modelci.yml}" in done.err


def test_packages_listed_below_the_top_are_installed_from_there(tmp_path: Path) -> None:
    made = project(tmp_path, {"src/requirements.txt": "numpy\n"})
    made.modelci("init")
    assert "pip install -r src/requirements.txt" in made.read(".github/workflows/model-pr.yml")
    assert "requirements.txt, which is not there" not in made.modelci("doctor").out
