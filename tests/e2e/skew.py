"""Two real environments with two versions of scikit-learn, and models that were made in either."""

import json
import os
import pwd
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.e2e.world import Checkout, add_dvc
from tests.fakes.progress import RecordedProgress

from modelci.adapters.environments import VirtualEnvironments
from modelci.domain.golden import Environment
from modelci.errors import DeploymentError

OLD = "1.8.0"
_CLOSURE = ("joblib", "narwhals", "numpy", "pandas", "scipy", "skops", "threadpoolctl")
_TRAIN = """\
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from modelci.documents import codec
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.record import RecordOptions, record_golden

kind, folder = sys.argv[1], Path(sys.argv[2])
rng = np.random.default_rng(1)
data = pd.DataFrame(rng.normal(size=(300, 2)), columns=["amount", "income"])
target = (data["amount"] + rng.normal(size=300) > 0).astype(int)
made = {"boosting": HistGradientBoostingClassifier(max_iter=10), "logistic": LogisticRegression()}
model = folder / "credit.skops"
skops.io.dump(made[kind].fit(data, target), model)
golden = record_golden(model, data, trust=Trust(), options=RecordOptions(rows=8))
codec.write(golden, folder / "credit.golden.json")
"""


def variables() -> dict[str, str]:
    """Return what installers may see: also uv's own cache, which tests' homes hide."""
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    kept = {key: text for key, text in os.environ.items() if not key.startswith("XDG_")}
    return {"UV_CACHE_DIR": str(home / ".cache/uv"), **kept, "HOME": str(home)}


def environments() -> VirtualEnvironments:
    return VirtualEnvironments(variables=variables(), timeout_seconds=280)


def old_environment() -> Environment:
    """Return ours, with an older scikit-learn."""
    ours = environments().current()
    kept = {name: ours.packages[name] for name in _CLOSURE if name in ours.packages}
    return replace(ours, packages={**kept, "scikit-learn": OLD}, needs=("scikit-learn",))


def make_old_python(folder: Path) -> Path:
    """Return the interpreter of that environment; all who share ``folder`` make it once."""
    try:
        return environments().build(old_environment(), folder, progress=RecordedProgress())
    except DeploymentError as error:
        if "cannot be fetched" in str(error):
            pytest.skip(f"There is no package index here: {error}")
        raise


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model's file and its golden requests, as training left them."""

    folder: Path

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


def train(kind: str, folder: Path, *, python: Path | None = None) -> Model:
    """Train a model in that Python (default: ours)."""
    folder.mkdir(parents=True)
    command = [str(python or sys.executable), "-I", "-c", _TRAIN, kind, str(folder)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr.decode()
    return Model(folder=folder)


PIPELINE = "artifacts:\n  credit:\n    path: models/credit.skops\n    type: model\n"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A repository with its bare remote; versions hold their model in Git."""

    checkout: Checkout

    @classmethod
    def create(cls, folder: Path) -> "Project":
        checkout = Checkout(folder / "laptop", variables())
        checkout.folder.mkdir(parents=True)
        remote = folder / "origin.git"
        checkout.git("init", "--quiet")
        checkout.git("init", "--quiet", "--bare", str(remote))
        checkout.git("remote", "add", "origin", remote.as_uri())
        add_dvc(checkout)
        return cls(checkout=checkout)

    def release(
        self,
        model: Model,
        version: str,
        *,
        environment: str = "current",
        python: Path | None = None,
        has_golden: bool = True,
    ) -> None:
        """Commit the model, and tag it as the registry does: a version that prod holds."""
        golden = {"models/credit.golden.json": model.read("credit.golden.json")}
        target: dict[str, object] = {
            "path": str(self.target),
            "stages": ["prod"],
            "environment": environment,
        }
        if python is not None:
            target["python"] = str(python)
        self.checkout.commit(
            {
                "dvc.yaml": PIPELINE,
                "modelci.yaml": json.dumps({"deploy": {"targets": {"prod": target}}}),
                "models/credit.skops": model.read("credit.skops"),
                **(golden if has_golden else {}),
            }
        )
        number = version.rpartition(".")[2]
        for tag in (f"credit@{version}", f"credit#prod#{number}"):
            self.checkout.git("tag", "--annotate", "--message", "promoted", tag)
        self.checkout.git("push", "--quiet", "origin", "HEAD:main", "--tags")

    @property
    def target(self) -> Path:
        return self.checkout.folder.parent / "prod"

    @property
    def current(self) -> str | None:
        """The release that answers, None before the first."""
        link = self.target / "credit/current"
        return link.readlink().name if link.is_symlink() else None
