"""Files that would do harm: refused by the scan and by loading, and none of them does any."""

import contextlib
import io
import json
import pickle
import zipfile
from pathlib import Path

import joblib
import lz4.frame
import pytest
import skops.io
from sklearn.tree import DecisionTreeClassifier
from tests.fakes import evil_models
from tests.fakes.honest_models import fitted

from modelci.domain.modelfiles import Danger, FileFormat, FileScan, Trust
from modelci.modelfiles import pickles
from modelci.modelfiles.allowed import Allowed
from modelci.modelfiles.files import ModelFile, ModelFileError
from modelci.modelfiles.load import load_model
from modelci.modelfiles.scan import MAX_UNPACKED, scan_file

TRUST = Trust(pickle=True)
NOWHERE = Path(__file__).parent / "nothing is written here"

CRAFTED = evil_models.crafted()
NAMES = {
    "pickles": sorted(evil_models.pickles(NOWHERE, files=False)),
    "files": sorted(evil_models.FROM_FILES),
    "skops": sorted(evil_models.skops_files(NOWHERE)),
}
# `pty` takes the test's terminal, `open` leaves a file open; the others wait for nobody, or want
# other arguments.
NOT_RUN = {"pty", "open", "subprocess.Popen", "attrgetter", "functools.reduce"}


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def scan(data: bytes, trust: Trust = TRUST, max_unpacked: int = MAX_UNPACKED) -> FileScan:
    return scan_file(ModelFile(Path("model"), data), trust=trust, max_unpacked=max_unpacked)


def is_refused(data: bytes, folder: Path) -> bool:
    """Whether both the scan and loading say no."""
    path = folder / "model"
    path.write_bytes(data)
    found = scan(data)
    with pytest.raises(ModelFileError, match="may not be loaded") as caught:
        load_model(path, trust=TRUST)
    assert caught.value.hint
    return not found.is_safe


@pytest.mark.parametrize("name", [*NAMES["pickles"], *NAMES["files"]])
def test_an_evil_pickle_is_refused_and_runs_nothing(
    name: str, canary: Path, tmp_path: Path
) -> None:
    data = evil_models.pickles(canary)[name]
    assert is_refused(data, tmp_path)
    # Without the scan, too: loading itself takes allowed names only.
    with pytest.raises(Exception, match=r"."):
        pickles.build(data, Allowed(()))
    assert not canary.exists()


@pytest.mark.parametrize("name", sorted({*NAMES["pickles"], *NAMES["files"]} - NOT_RUN))
def test_the_evil_pickles_are_no_paper_tigers(name: str, canary: Path) -> None:
    with contextlib.suppress(Exception):  # by then it has run
        joblib.load(io.BytesIO(evil_models.pickles(canary)[name]))
    assert canary.exists()


@pytest.mark.parametrize("compressor", evil_models.COMPRESSORS)
def test_an_evil_pickle_is_found_in_whatever_joblib_compresses(
    compressor: str, canary: Path, tmp_path: Path
) -> None:
    data = evil_models.COMPRESSORS[compressor](evil_models.pickles(canary)["os.system"])
    assert is_refused(data, tmp_path)
    assert [one.name for one in scan(data).findings] == ["os.system"]
    assert not canary.exists()


def test_lz4_is_looked_into_as_well(canary: Path, tmp_path: Path) -> None:
    data = lz4.frame.compress(evil_models.pickles(canary)["os.system"])
    assert is_refused(data, tmp_path)
    assert [one.name for one in scan(data).findings] == ["os.system"]


@pytest.mark.parametrize("name", CRAFTED)
def test_a_crafted_pickle_is_refused(name: str, tmp_path: Path) -> None:
    assert is_refused(CRAFTED[name], tmp_path)
    with pytest.raises(Exception, match=r".|^$"):
        pickles.build(CRAFTED[name], Allowed(()))


@pytest.mark.parametrize("dotted", evil_models.FORBIDDEN)
def test_a_forbidden_name_is_refused(dotted: str) -> None:
    module, _, name = dotted.rpartition(".")
    for stacked in (False, True):
        found = scan(evil_models.assemble([evil_models.Name(module, name, stacked=stacked)]))
        assert [one.danger for one in found.findings] == [Danger.FORBIDDEN_GLOBAL]


def test_no_dots_lead_out_of_an_allowed_name() -> None:
    inner = evil_models.Name("sklearn.base", "BaseEstimator.__init__.__globals__", stacked=True)
    assert not scan(evil_models.assemble(inner)).is_safe


@pytest.mark.parametrize("name", NAMES["skops"])
def test_an_evil_skops_file_is_refused(name: str, canary: Path, tmp_path: Path) -> None:
    data = evil_models.skops_files(canary)[name]
    assert scan(data).format is FileFormat.SKOPS
    assert is_refused(data, tmp_path)
    assert not canary.exists()


@pytest.mark.parametrize("inner", ["npy", "npz"])
def test_arrays_of_objects_are_pickles(inner: str, canary: Path, tmp_path: Path) -> None:
    pack = {"npy": evil_models.npy_with, "npz": evil_models.npz_with}[inner]
    data = pack(evil_models.pickles(canary)["os.system"])
    found = scan(data)
    assert (found.format, found.findings[0].name) == (FileFormat.NUMPY, "os.system")
    assert is_refused(data, tmp_path)
    harmless = pack(pickle.dumps([None]))
    assert scan(harmless).is_safe
    assert not scan(harmless, Trust()).is_safe


@pytest.mark.parametrize(
    ("name", "data"), [pytest.param(name, data, id=name) for name, data in evil_models.bombs(10**7)]
)
def test_a_bomb_is_put_out(name: str, data: bytes) -> None:
    assert len(data) < 10**6, name
    found = scan(data, max_unpacked=10**6)
    assert [one.danger for one in found.findings] == [Danger.TOO_LARGE]
    # With room for it, it is no bomb: what is refused is the size.
    again = scan(data, max_unpacked=10**9)
    assert Danger.TOO_LARGE not in {one.danger for one in again.findings}


def test_a_pickle_that_goes_on_and_on_is_given_up() -> None:
    data = b"\x80\x04N" + b"N0" * 1000 + b"."
    assert pickles.examine(data, Allowed(()), max_steps=2003).findings == ()
    (finding,) = pickles.examine(data, Allowed(()), max_steps=2002).findings
    assert finding.danger is Danger.TOO_LARGE


@pytest.mark.parametrize("form", ["pickle", "joblib", "skops"])
def test_a_file_that_was_cut_is_refused(form: str, tmp_path: Path) -> None:
    model, _ = fitted("random forest")
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    whole = {
        "pickle": pickle.dumps(model),
        "joblib": buffer.getvalue(),
        "skops": skops.io.dumps(model),
    }[form]
    assert scan(whole).is_safe
    for part in (0.0, 0.01, 0.5, 0.99):
        assert is_refused(whole[: int(len(whole) * part)], tmp_path), part


def test_a_skops_file_with_a_damaged_byte_is_refused(tmp_path: Path) -> None:
    data = bytearray(skops.io.dumps(fitted("random forest")[0]))
    data[len(data) // 3] ^= 1
    assert is_refused(bytes(data), tmp_path)


def test_pickles_are_refused_unless_they_are_allowed(tmp_path: Path) -> None:
    path = tmp_path / "model"
    joblib.dump(fitted("logistic regression")[0], path, compress=3)
    found = scan(path.read_bytes(), Trust())
    assert [one.danger for one in found.findings] == [Danger.PICKLE_NOT_ALLOWED]
    with pytest.raises(ModelFileError, match="pickle-not-allowed") as caught:
        load_model(path, trust=Trust())
    assert "safety.allow_pickle" in str(caught.value.hint)
    assert load_model(path, trust=TRUST).flavour == "sklearn"


# Trees that point outside of themselves: scikit-learn would read foreign memory.


def crooked_tree(form: str, **change: int) -> bytes:
    model = DecisionTreeClassifier(random_state=0)
    model.fit([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]], [0, 1, 0])
    state = model.tree_.__getstate__()
    for name, value in change.items():
        state["nodes"][name][0] = value
    model.tree_.__setstate__(state)
    return skops.io.dumps(model) if form == "skops" else pickle.dumps(model)


@pytest.mark.parametrize("form", ["skops", "pickle"])
@pytest.mark.parametrize("change", [{"left_child": 10**6}, {"right_child": 0}, {"feature": 9}])
def test_a_tree_that_points_outside_is_refused(
    form: str, change: dict[str, int], tmp_path: Path
) -> None:
    path = tmp_path / "model"
    path.write_bytes(crooked_tree(form))
    load_model(path, trust=TRUST)
    path.write_bytes(crooked_tree(form, **change))
    with pytest.raises(ModelFileError, match=r"may not be loaded: sklearn\.tree\._tree\.Tree"):
        load_model(path, trust=TRUST)


def test_a_file_is_what_loading_takes_it_for(canary: Path, tmp_path: Path) -> None:
    """A zip archive may have a pickle before it: zip readers look at the end, unpicklers not."""
    evil = evil_models.pickles(canary)["os.system"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("schema.json", json.dumps({}))
    for data in (evil + archive.getvalue(), evil + b"anything"):
        assert scan(data).format is FileFormat.PICKLE
        assert is_refused(data, tmp_path)
    assert not canary.exists()
