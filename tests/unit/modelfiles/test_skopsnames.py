"""skops is told names that we know, and imports no more of scikit-learn than a model needs."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from modelci.modelfiles.allowed import reason_for

PROGRAM = """\
import json, sys
from pathlib import Path
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.load import load_model
from modelci.modelfiles.skopsnames import NAMES, import_skops
{before}
model = load_model(Path(sys.argv[1]), trust=Trust())
loaded = sorted(sys.modules)
import skops.io._general as told
import skops.io._numpy as told_too
told = {{**vars(told_too), **vars(told)}}
print(json.dumps({{
    "predicted": model.estimator.predict([[-1.0], [1.0]]).tolist(),
    "modules": loaded,
    "names": {{name: list(found) for name, found in told.items() if name.endswith("_TYPE_NAMES")}},
}}))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.skops"
    fitted = LogisticRegression().fit(np.array([[-1.0], [1.0]]), [0, 1])
    skops.io.dump(fitted, path)
    return path


def run(model: Path, before: str = "") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before), str(model)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_only_what_the_model_needs_is_imported(model: Path) -> None:
    found = run(model)
    assert found["predicted"] == [0, 1]
    modules = found["modules"]
    assert isinstance(modules, list)
    # None of which a linear model needs; skops by itself imports all of them.
    for name in ("sklearn.gaussian_process", "sklearn.neural_network", "sklearn.ensemble._forest"):
        assert name not in modules
    assert "skops.io._trusted_types" not in modules


@pytest.mark.skipif(np.__version__ < "2", reason="NumPy 1 calls some of its types otherwise")
def test_skops_is_told_no_name_that_it_would_not_trust_by_itself(model: Path) -> None:
    ours, own = run(model)["names"], run(model, before="import skops.io")["names"]
    assert isinstance(ours, dict)
    assert isinstance(own, dict)
    assert ours.keys() == own.keys()
    trusted = {name for names in own.values() for name in names}
    for kind, names in ours.items():
        assert set(names) <= trusted, kind
        lacking = set(own[kind]) - {name for names in ours.values() for name in names}
        assert {name for name in lacking if name.startswith("numpy.")} == set()
    assert len(ours["SKLEARN_ESTIMATOR_TYPE_NAMES"]) > 150
    assert not any(reason_for(name) for name in ours["SKLEARN_ESTIMATOR_TYPE_NAMES"])


def test_a_skops_that_wants_other_names_is_imported_as_it_is(model: Path) -> None:
    found = run(model, before="import_skops({'OTHER_NAMES': ['builtins.int']})")
    assert found["predicted"] == [0, 1]
    assert "skops.io._trusted_types" in str(found["modules"])
