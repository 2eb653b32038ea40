"""The worlds that pages are played in: a project as its readers have it, and what a page adds."""

import json
import pickle
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs.shell import Shell
from tests.e2e.world import EVALUATE, World
from tests.fakes.evil_models import listing, skops_file, text
from tests.fakes.serving import write_release

_PIPELINE = """\
stages:
  train:
    cmd: sh train.sh
    deps: [data/train.csv, made, train.sh]
    params: [quality]
    outs: [models/credit.golden.json, models/credit.onnx]
  evaluate:
    cmd: sh evaluate.sh
    deps: [data/test.csv, evaluate.sh, models/credit.onnx]
    params: [noise, quality]
    metrics:
      - metrics.json: {cache: false}
  profile:
    cmd: modelci profile data/train.csv --id id --out models/credit.profile.json
    deps: [data/train.csv]
    outs: [models/credit.profile.json]
artifacts:
  credit:
    path: models/credit.onnx
    type: model
"""
_TRAIN = """\
quality=$(sed -n 's/quality: //p' params.yaml)
mkdir -p models
cp made/$quality/model/credit.onnx models/
cp made/$quality/golden.json models/credit.golden.json
"""
_SETTINGS = """\
gates:
  - {metric: roc_auc, min: 0.70, max_drop: 0.005}
run: {pull: true, push: true}
forge: {kind: local, path: ../forge}
promote: {assign: [staging], releases: true}
deploy:
  strategy: {watch_seconds: 0}
  targets:
    prod: {kind: directory, path: ../srv/prod, stages: [prod]}
    lab: {kind: directory, path: ../srv/lab}
monitor: {model: credit, stage: prod, current: "scored/{window}.csv", id: id}
"""
_ROWS = "id,amount,age,purpose\n" + "".join(f"{n},{n},{20 + n % 60},car\n" for n in range(1, 400))
_QUALITIES: Mapping[str, float] = {"0.80": 1.0, "0.85": 2.0, "0.90": 3.0}


def create(root: Path) -> World:
    """Make credit v1.2.0, which holds prod, v1.3.0, which holds staging, and pull request 7."""
    world = World.create(root)
    laptop = world.laptop
    laptop.git("tag", "-a", "-m", "Register", "credit@v1.1.0")
    laptop.git("tag", "-a", "-m", "Assign", "credit#prod#6")
    laptop.git("push", "--quiet", "--tags", "origin")
    for quality, slope in _QUALITIES.items():
        write_release(laptop.folder / "made" / quality, slope=slope)
    laptop.put(
        {
            "data/test.csv": _ROWS,
            "data/train.csv": _ROWS,
            "dvc.yaml": _PIPELINE,
            "evaluate.sh": EVALUATE.replace("cat model.txt", "sed -n 's/quality: //p' params.yaml"),
            "modelci.yaml": _SETTINGS,
            "train.sh": _TRAIN,
        }
    )
    for quality, stage in (("0.80", "prod"), ("0.85", "staging")):
        laptop.put({"params.yaml": f"quality: {quality}\nnoise: 0.100\n"})
        laptop.modelci("run")
        laptop.commit()
        laptop.git("push", "--quiet", "origin", "main")
        laptop.modelci("report")
        laptop.modelci("promote", "--bump", "minor", "--assign", stage)
    head = world.propose({"params.yaml": "quality: 0.90\nnoise: 0.100\n"})
    pull = {"head_sha": head, "head_branch": "change", "base_branch": "main"}
    (root / "forge/pulls").mkdir(parents=True)
    (root / "forge/pulls/7.json").write_text(json.dumps(pull))
    return world


def _readme(site: World, shell: Shell) -> None:
    (site.root / "your-dvc-repository").symlink_to(shell.folder)
    shell.folder = site.root


def _monitoring(site: World, shell: Shell) -> None:
    site.laptop.put({f"scored/2026-0{month}.csv": _ROWS for month in (1, 2, 3)})


def _installing(site: World, shell: Shell) -> None:
    (Path(shell.variables["HOME"]) / ".config/fish").mkdir(parents=True)


def _provenance(site: World, shell: Shell) -> None:
    statement = site.root / "forge/releases/credit@v1.2.0/provenance.json"
    shutil.copy(statement, shell.folder)


def _registry(site: World, shell: Shell) -> None:
    shell.variables["GITHUB_REF"] = "refs/tags/credit#prod#7"


def _reports(site: World, shell: Shell) -> None:
    site.laptop.git("branch", "develop")


def _safety(site: World, shell: Shell) -> None:
    models = {
        "models/credit.skops": skops_file(listing(text("coefficients"))),
        "downloaded.joblib": pickle.dumps(Path()),
    }
    site.laptop.put(models)
    shutil.copytree(shell.folder / "made/0.80/model", shell.folder / "model")


def _signing(site: World, shell: Shell) -> None:
    key = Path(shell.variables["HOME"]) / ".ssh/id_ed25519"
    key.parent.mkdir()
    make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(make, check=True)
    (shell.folder / "keys").mkdir()
    site.laptop.git("tag", "-a", "-m", "Register", "credit@v1.2.2", "credit@v1.1.0^{commit}")
    site.laptop.git("push", "--quiet", "--tags", "origin")


SCENES: Mapping[str, Callable[[World, Shell], None]] = {
    "README.md": _readme,
    "docs/installing.md": _installing,
    "docs/monitoring.md": _monitoring,
    "docs/provenance.md": _provenance,
    "docs/registry.md": _registry,
    "docs/reports.md": _reports,
    "docs/safety.md": _safety,
    "docs/signing.md": _signing,
}
"""What a page's world and its shell have besides, by the page."""
