"""Which format a file has, by its bytes; folders; and flavours that others bring."""

import gzip
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.honest_models import fitted

from modelci.domain.modelfiles import Danger, FileFormat, ScanFinding, Trust, advice
from modelci.modelfiles.files import ModelFile, ModelFileError, read_model
from modelci.modelfiles.flavours import GROUP
from modelci.modelfiles.formats import detect
from modelci.modelfiles.load import load_model
from modelci.modelfiles.scan import scan_file, scan_path


def saved(save: Any, *arguments: Any) -> bytes:
    buffer = io.BytesIO()
    save(buffer, *arguments)
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param(skops.io.dumps([1]), FileFormat.SKOPS, id="skops"),
        *(
            pytest.param(pickle.dumps({"a": [1]}, protocol), FileFormat.PICKLE, id=f"p{protocol}")
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
        pytest.param(gzip.compress(pickle.dumps(1)), FileFormat.JOBLIB, id="gzip"),
        pytest.param(gzip.compress(b"a,b\n1,2\n"), FileFormat.UNKNOWN, id="a zipped table"),
        pytest.param(saved(np.save, np.zeros(2)), FileFormat.NUMPY, id="npy"),
        pytest.param(saved(np.savez, np.zeros(2)), FileFormat.NUMPY, id="npz"),
        pytest.param(b'{"a": [1, 2]}', FileFormat.JSON, id="json"),
        pytest.param(b"0.80\n", FileFormat.JSON, id="a number"),
        pytest.param(b"tree\nversion=v4\n", FileFormat.UNKNOWN, id="text"),
        pytest.param(b"", FileFormat.UNKNOWN, id="nothing"),
        pytest.param(b"\x00" * 64, FileFormat.UNKNOWN, id="zeros"),
        pytest.param(zipped(data=b"x"), FileFormat.UNKNOWN, id="another archive"),
        pytest.param(b"PK\x03\x04" + b"x" * 50, FileFormat.UNKNOWN, id="no archive"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + b"\x00" * 40, FileFormat.UNKNOWN, id="hdf"),
    ],
)
def test_a_format_is_known_by_its_bytes(data: bytes, kind: FileFormat) -> None:
    found = scan_file(ModelFile(Path("model.skops"), data), trust=Trust(pickle=True))
    assert found.format is kind
    assert found.is_safe is (kind is not FileFormat.UNKNOWN)
    assert found.bytes == len(data)


SKOPS = skops.io.dumps(["a model"] * 50)
LOCK = b"schema: '2.0'\nstages:\n  train:\n    cmd: python train.py\n"


@pytest.mark.parametrize(
    ("data", "danger", "detail"),
    [
        (b"", Danger.MALFORMED, "it is empty"),
        (SKOPS[: len(SKOPS) // 2], Danger.MALFORMED, "that is cut short or damaged"),
        (SKOPS[:40], Danger.MALFORMED, "that is cut short or damaged"),
        (zipped(data=b"x"), Danger.UNKNOWN_FORMAT, "neither skops's nor numpy's"),
        (LOCK, Danger.UNKNOWN_FORMAT, "text, and no format"),
        (b".venv/\n__pycache__/\n", Danger.UNKNOWN_FORMAT, "text, and no format"),
        (b"customer_id,age\n1,2\n", Danger.UNKNOWN_FORMAT, "text, and no format"),
        (b"(\nitem one\n(two)\n", Danger.UNKNOWN_FORMAT, "text, and no format"),
        (b"\xf3\x8b\x00\x17" * 30, Danger.UNKNOWN_FORMAT, "no format of models that is known"),
    ],
    # The bytes hold the time: as names of tests they would differ from worker to worker.
    ids=["empty", "half", "head", "zip", "lock", "ignore", "csv", "brackets", "noise"],
)
def test_what_is_no_model_is_told_apart(data: bytes, danger: Danger, detail: str) -> None:
    found = scan_file(ModelFile(Path("m"), data), trust=Trust(pickle=True))
    assert found.format is FileFormat.UNKNOWN
    (one,) = found.findings
    assert one.danger is danger
    assert detail in one.detail


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\n",
        b"c__main__\nx\n.",
        b"N0cos\nsystem\n(S'id'\ntR.",
        b"(((cos\nsystem\nS'id'\n\x85R.",
        b"(lp0\n0cposix\nsystem\n.",
    ],
)
def test_text_that_is_a_pickle_is_read_as_one(data: bytes) -> None:
    found = scan_file(ModelFile(Path("m"), data), trust=Trust(pickle=True))
    assert found.format is FileFormat.PICKLE
    assert not found.is_safe


STEPS = (
    *(bytes([one]) for one in b"(N012tlduaesRb.}])"),
    *(b"cos\nsystem\n", b"ios\nsystem\n", b"\x85", b"I1\n", b"S'a'\n", b"p0\n", b"g0\n", b"K\x01"),
)


@given(data=st.lists(st.sampled_from(STEPS), max_size=12).map(b"".join))
def test_what_pickle_would_load_is_never_taken_for_something_else(data: bytes) -> None:
    """Where the machine gets as far as a name, or to the end, so do we."""

    class Named(Exception):  # noqa: N818
        pass

    class Reader(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            raise Named(module, name)

        def persistent_load(self, _: Any) -> Any:
            raise Named

    expected = {FileFormat.PICKLE}
    try:
        Reader(io.BytesIO(data)).load()
        expected |= {FileFormat.JSON}  # a plain value, as either has it
    except Named:
        pass
    except Exception:  # noqa: BLE001 - it is no pickle, and may be whatever it looks like
        return
    assert detect(data) in expected


def test_every_file_of_a_folder_is_scanned(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "deep" / "b.pkl").write_bytes(pickle.dumps(1))
    found = scan_path(tmp_path, trust=Trust(), name="model")
    assert [(one.path, one.is_safe) for one in found] == [
        ("model/a.json", True),
        ("model/deep/b.pkl", False),
    ]


def test_an_empty_folder_and_a_large_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="holds no file"):
        scan_path(tmp_path, trust=Trust())
    (tmp_path / "large").write_bytes(b"x" * 11)
    with pytest.raises(ModelFileError, match="11 bytes, more than the 10"):
        read_model(tmp_path / "large", max_bytes=10)


def test_what_was_scanned_is_what_is_loaded(tmp_path: Path) -> None:
    """A file is read once: changing it behind the scan's back changes nothing."""
    path = tmp_path / "m.skops"
    skops.io.dump(fitted("logistic regression")[0], path)
    file = read_model(path)
    path.write_bytes(b"something else")
    assert scan_file(file, trust=Trust()).is_safe


@pytest.mark.parametrize("danger", Danger)
def test_every_danger_has_its_advice(danger: Danger) -> None:
    finding = [ScanFinding(danger=danger, name="x")]
    plain, flags = (advice(finding, has_flags=one) for one in (False, True))
    assert plain.endswith(".")
    assert "--" not in plain
    assert "{" not in plain + flags


def test_flags_are_advised_where_there_are_any() -> None:
    for danger, flag in (
        (Danger.UNTRUSTED_TYPE, "--trust NAME"),
        (Danger.PICKLE_NOT_ALLOWED, "--allow-pickle"),
    ):
        assert flag in advice([ScanFinding(danger=danger, name="x")], has_flags=True)


# Flavours.


FLAVOUR = """\
import numpy as np

from modelci.domain.golden import InputColumn, OutputColumn, ValueType
from modelci.domain.modelfiles import FileFormat

formats = (FileFormat.UNKNOWN,)


class Constant:
    flavour = "constant"
    inputs = (InputColumn(name="a", type=ValueType.NUMBER),)
    outputs = (OutputColumn(name="prediction"),)

    def __init__(self, number):
        self._number = number

    def predict(self, columns):
        return {"prediction": np.full(len(columns["a"]), self._number)}


def load(file, scan, trust, golden):
    assert scan.sha256 == file.sha256
    return Constant(float(file.data.removeprefix(b"constant ")))
"""


@pytest.fixture
def constant(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> str:
    """Install a package that brings a flavour, and would replace another."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "constant_flavour.py").write_text(FLAVOUR)
    about = folder / "constant_flavour-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: constant-flavour\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        f"[{GROUP}]\nconstant = constant_flavour\nsklearn = no.such.module\n"
    )
    monkeypatch.syspath_prepend(folder)
    return "constant"


def test_a_flavour_of_a_package_loads_what_it_vouches_for(constant: str, tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(b"constant 0.5")
    predictor = load_model(path, trust=Trust(), flavour=constant)
    assert predictor.predict({"a": [1, 2]})["prediction"].tolist() == [0.5, 0.5]
    assert scan_path(path, trust=Trust(), flavour=constant)[0].is_safe
    # Unless it is asked for by name, nobody can judge such a file.
    with pytest.raises(ModelFileError, match="unknown-format"):
        load_model(path, trust=Trust())


def test_no_package_replaces_a_built_in_flavour(constant: str, tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    skops.io.dump(fitted("logistic regression")[0], path)
    assert load_model(path, trust=Trust(), flavour="sklearn").flavour == "sklearn"


def test_a_flavour_excuses_no_pickle(constant: str, tmp_path: Path) -> None:
    path = tmp_path / "m.pkl"
    path.write_bytes(pickle.dumps(1))
    with pytest.raises(ModelFileError, match="pickle-not-allowed"):
        load_model(path, trust=Trust(), flavour=constant)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("nosuch", "no flavour 'nosuch'"),
        ("onnx", "flavour onnx loads no file of format json"),
        (None, "No flavour loads a file of format json"),
    ],
)
def test_a_file_that_no_flavour_loads_says_so(asked: str | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps({}))
    with pytest.raises(ModelFileError, match=why) as caught:
        load_model(path, trust=Trust(), flavour=asked)
    assert caught.value.hint
