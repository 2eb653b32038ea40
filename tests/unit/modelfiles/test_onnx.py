"""ONNX: scanned without a library, answering for a model where it answers the same."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression, Ridge
from tests.fakes.honest_models import BINARY, CLASSES, NUMBERS, TARGET, fitted

from modelci.domain.modelfiles import Danger, FileFormat, FileScan, Trust
from modelci.modelfiles.files import ModelFile, ModelFileError
from modelci.modelfiles.load import load_model
from modelci.modelfiles.onnx import OnnxPredictor
from modelci.modelfiles.record import RecordOptions, record_golden
from modelci.modelfiles.replay import check_health
from modelci.modelfiles.scan import scan_file

FRAME = pd.DataFrame(NUMBERS, columns=list("abcd"))


def converted(model: Any, *, zipmap: bool = False) -> bytes:
    options = {"zipmap": zipmap} if hasattr(model, "classes_") else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = to_onnx(model, initial_types=[("rows", FloatTensorType([None, 4]))], options=options)
    data: bytes = made.SerializeToString()
    return data


def made_of(*nodes: onnx.NodeProto, **more: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])],
        **more,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def scan(data: bytes, *types: str) -> FileScan:
    return scan_file(ModelFile(Path("m.onnx"), data), trust=Trust(types=types))


def test_an_honest_model_is_safe_and_names_its_operators() -> None:
    found = scan(converted(fitted("logistic regression")[0]))
    assert (found.format, found.findings) == (FileFormat.ONNX, ())
    assert "ai.onnx.ml.LinearClassifier" in found.types


def test_an_operator_of_a_foreign_domain_takes_trust() -> None:
    model = made_of(helper.make_node("Evil", ["x"], ["y"], domain="com.example"))
    data = model.SerializeToString()
    (finding,) = scan(data).findings
    assert (finding.danger, finding.name) == (Danger.UNTRUSTED_TYPE, "com.example.Evil")
    assert scan(data, "com.example.Evil").is_safe
    assert scan(data, "com.example").is_safe


def test_an_operator_that_the_model_puts_together_itself_is_its_own() -> None:
    model = made_of(helper.make_node("Twice", ["x"], ["y"], domain="mine"))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    function = helper.make_function(
        "mine", "Twice", ["a"], ["b"], body, [helper.make_opsetid("", 18)]
    )
    model.functions.append(function)
    assert scan(model.SerializeToString()).is_safe
    body.append(helper.make_node("Evil", ["b"], ["c"], domain="com.example"))
    model.functions[0].node.append(body[-1])
    assert [one.name for one in scan(model.SerializeToString()).findings] == ["com.example.Evil"]


def outside(location: str) -> onnx.TensorProto:
    tensor = TensorProto(
        name="w", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value=location)
    return tensor


@pytest.mark.parametrize("location", ["weights.bin", "../../etc/passwd", "/etc/passwd"])
def test_numbers_in_another_file_are_refused(location: str, tmp_path: Path) -> None:
    inner = helper.make_node("Constant", [], ["w"], value=outside(location))
    deep = helper.make_graph([inner], "deep", [], [])
    add = helper.make_node("Add", ["x", "w"], ["y"])
    nodes = {
        "an initializer": made_of(add, initializer=[outside(location)]),
        "a constant": made_of(inner, add),
        "within a branch": made_of(
            helper.make_node("If", ["x"], ["y"], then_branch=deep, else_branch=deep)
        ),
    }
    for where, model in nodes.items():
        data = model.SerializeToString()
        assert {one.danger for one in scan(data).findings} == {Danger.EXTERNAL_DATA}, where
        (tmp_path / "m").write_bytes(data)
        with pytest.raises(ModelFileError, match="external-data"):
            load_model(tmp_path / "m", trust=Trust())


def test_a_tensor_without_its_numbers_is_refused() -> None:
    tensor = outside("x")
    del tensor.external_data[:]
    model = made_of(helper.make_node("Add", ["x", "w"], ["y"]), initializer=[tensor])
    assert not scan(model.SerializeToString()).is_safe


def test_a_file_that_was_cut_is_no_model() -> None:
    whole = converted(fitted("logistic regression")[0])
    for size in (0, 1, len(whole) // 2, len(whole) - 1):
        found = scan(whole[:size])
        assert not found.is_safe


def test_a_broken_model_is_refused_on_loading(tmp_path: Path) -> None:
    model = made_of(helper.make_node("NoSuchOperator", ["x"], ["y"]))
    model.ir_version = 10  # an older runtime knows that too
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"cannot be loaded: .*NoSuchOperator"):
        load_model(tmp_path / "m.onnx", trust=Trust())


# Answering.


def rows(numbers: np.ndarray[Any, Any] = NUMBERS) -> dict[str, list[Any]]:
    return {f"x{place}": column.tolist() for place, column in enumerate(numbers.T)}


@pytest.mark.parametrize(
    ("model", "output"),
    [
        (LogisticRegression().fit(NUMBERS, BINARY), "score"),
        (LogisticRegression().fit(NUMBERS, CLASSES), "probabilities"),
        (Ridge().fit(NUMBERS, TARGET), "prediction"),
    ],
)
def test_a_model_answers_as_its_original(model: Any, output: str) -> None:
    predictor = OnnxPredictor(converted(model))
    assert [one.name for one in predictor.inputs] == ["x0", "x1", "x2", "x3"]
    found = predictor.predict(rows())[output]
    expected = model.predict(NUMBERS)
    if output == "score":
        expected = model.predict_proba(NUMBERS)[:, 1]
    if output == "probabilities":
        expected = model.predict_proba(NUMBERS)
        assert predictor.outputs[0].classes == ("0", "1", "2")
    assert np.allclose(found, expected, atol=1e-5)


def test_a_model_that_answers_with_dictionaries_says_what_to_do(tmp_path: Path) -> None:
    data = converted(LogisticRegression().fit(NUMBERS, BINARY), zipmap=True)
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(ModelFileError, match="dictionaries") as caught:
        load_model(tmp_path / "m.onnx", trust=Trust())
    assert "zipmap" in str(caught.value.hint)


def test_wrong_columns_are_errors_of_the_value() -> None:
    predictor = OnnxPredictor(converted(Ridge().fit(NUMBERS, TARGET)))
    with pytest.raises(ValueError, match="no column x3"):
        predictor.predict(rows(NUMBERS[:, :3]))
    with pytest.raises(ValueError, match="column x0"):
        predictor.predict({**rows(), "x0": ["much"] * len(NUMBERS)})


def test_an_onnx_file_is_recorded_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(converted(LogisticRegression().fit(NUMBERS, CLASSES)))
    golden = record_golden(path, FRAME, trust=Trust(), options=RecordOptions())
    assert golden.flavour == "onnx"
    assert [one.name for one in golden.inputs] == list("abcd")
    assert "onnxruntime" in golden.environment.packages
    health = check_health(lambda: load_model(path, trust=Trust(), golden=golden), golden)
    assert health.problems == ()
    fewer = replace(golden, inputs=golden.inputs[:3])
    with pytest.raises(ModelFileError, match="reads 4 columns, its golden requests have 3"):
        load_model(path, trust=Trust(), golden=fewer)
