"""Honest models pass the scan, load, and answer as before."""

import io
import pickle
import random
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from tests.fakes.honest_models import FAMILIES, fitted
from tools import collect_allowed

from modelci.domain.modelfiles import FileFormat, Trust
from modelci.modelfiles import pickles
from modelci.modelfiles.allowed import (
    Allowed,
    may_be_listed,
    pickle_names,
    reason_for,
    skops_types,
)
from modelci.modelfiles.estimators import SklearnPredictor
from modelci.modelfiles.findings import RefusedError
from modelci.modelfiles.load import load_model
from modelci.modelfiles.scan import scan_path

FORMS = {
    "skops": FileFormat.SKOPS,
    "pickle": FileFormat.PICKLE,
    "pickle of protocol 0": FileFormat.PICKLE,
    "joblib": FileFormat.JOBLIB,
    "joblib, compressed": FileFormat.JOBLIB,
}


def save(model: object, form: str, path: Path) -> None:
    match form:
        case "skops":
            skops.io.dump(model, path)
        case "pickle":
            path.write_bytes(pickle.dumps(model))
        case "pickle of protocol 0":
            path.write_bytes(pickle.dumps(model, protocol=0))
        case "joblib":
            joblib.dump(model, path)
        case _:
            joblib.dump(model, path, compress=("xz", 1))


@pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", FORMS)
def test_an_honest_model_passes_and_answers_as_before(
    form: str, family: str, tmp_path: Path
) -> None:
    model, rows = fitted(family)
    path = tmp_path / "model"
    save(model, form, path)
    trust = Trust(pickle=form != "skops")

    (found,) = scan_path(path, trust=trust)
    assert (found.findings, found.format) == ((), FORMS[form])
    assert found.made_with["scikit-learn"]

    loaded = load_model(path, trust=trust)
    assert isinstance(loaded, SklearnPredictor)
    assert np.array_equal(loaded.estimator.predict(rows), model.predict(rows))
    if hasattr(model, "predict_proba"):
        assert np.array_equal(loaded.estimator.predict_proba(rows), model.predict_proba(rows))


@pytest.mark.timeout(400)
def test_what_models_of_this_scikit_learn_need_is_on_the_lists() -> None:
    """Else `tools/collect_allowed.py` is to be run, and what it adds to be looked at."""
    found = collect_allowed.collect(fits=1)
    assert set(found["pickle"]) <= pickle_names()
    for loader, names in found["skops"].items():
        assert set(names) <= skops_types()[loader], loader


@pytest.mark.skipif(np.__version__ < "2", reason="skops trusts names of NumPy 2 that 1 lacks")
def test_each_type_beyond_those_that_skops_trusts_has_a_reason() -> None:
    usual = collect_allowed.skops_defaults()
    beyond = {
        name
        for loader, names in skops_types().items()
        for name in names
        if name not in usual.get(loader, ())
    }
    assert {name for name in beyond if reason_for(name) is None} == set()
    assert "sklearn.tree._tree.Tree" in beyond


def test_nothing_that_acts_is_on_the_lists() -> None:
    assert {name for name in pickle_names() if not may_be_listed(name)} == set()
    for name in ("os.system", "builtins.getattr", "numpy.load", "scipy.stats._x.norm_gen"):
        assert not may_be_listed(name)


def test_what_the_project_vouches_for_is_allowed_as_well() -> None:
    assert "mine.Encoder" in Allowed(["mine.Encoder"])
    assert "mine.Encoder" not in Allowed([])


@pytest.mark.parametrize("form", ["pickle", "pickle of protocol 0", "joblib"])
def test_the_scan_and_loading_agree_on_broken_files(form: str, tmp_path: Path) -> None:
    """Whatever a byte is changed to, what is refused by one of them is refused by the other."""
    chance = random.Random(form)
    path = tmp_path / "model"
    save(fitted("a table, one-hot")[0], form, path)
    whole = path.read_bytes()
    refused = 0
    for _ in range(100):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 3])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        found = pickles.examine(bytes(data), Allowed(()))
        try:
            pickles.build(bytes(data), Allowed(()))
        except RefusedError:
            assert found.findings
        except Exception:  # noqa: BLE001, S110 - a wrong number, say: no scan sees that
            pass
        else:
            assert found.findings == ()
        refused += bool(found.findings)
    assert 10 < refused < 90


def test_arrays_of_every_kind_come_back(tmp_path: Path) -> None:
    held: dict[str, Any] = {
        "order": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3)),
        "scalar": np.array(1.5),
        "big-endian": np.arange(3, dtype=">i4"),
        "texts": np.array(["a", "ß"]),
        "bytes": np.array([b"a", b"bc"]),
        "times": np.array(["2025-01-01"], dtype="M8[D]"),
        "objects": np.array(["a", None, 1.5], dtype=object),
        "structured": np.array([(1, 2.5)], dtype=[("a", "i8"), ("b", "f4")]),
        "aligned": np.array([(1, 2.5)], dtype=np.dtype([("a", "i1"), ("b", "f8")], align=True)),
        "nested": np.array([((1, 2),)], dtype=[("a", [("b", "i4"), ("c", "i4")])]),
        "sub-array": np.array([([1, 2],)], dtype=[("a", "i4", (2,))]),
        "booleans": np.array([True, False]),
        "number": np.float32(0.1),
        "raw": b"\x00\xff" * 5,
        "set": {1, 2},
        "range": range(3),
    }
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        plain = pickle.dumps(held, protocol=protocol)
        buffer = io.BytesIO()
        joblib.dump(held, buffer, protocol=protocol)
        for data in (plain, buffer.getvalue()):
            assert pickles.examine(data, Allowed(())).findings == ()
            found = pickles.build(data, Allowed(()))
            assert found.keys() == held.keys()
            for name, value in held.items():
                assert np.array_equal(found[name], value), (name, protocol)
                if isinstance(value, np.ndarray):
                    # numpy and joblib turn to the machine's order of bytes, or do not.
                    native = value.dtype.newbyteorder("=")
                    assert found[name].dtype.newbyteorder("=") == native, (name, protocol)
                    assert found[name].flags.writeable
