"""A server held to two descriptions: its own, and the Open Inference Protocol's published one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)
from tests.fakes.serving import INPUTS, ROWS, FakePredictor, Running, running, served, tensors_of

from modelci.domain.golden import InputColumn, OutputColumn, ValueType
from modelci.serving.openapi import describe

Operation = APIOperation[Any, Any, Any, Any]
OFFICIAL = Path(__file__).parent / "openapi" / "open_inference.json"
NAMES = {"MODEL_NAME": "credit", "MODEL_VERSION": "v1.0.0"}
FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def published() -> dict[str, Any]:
    """Return the protocol's description with the names that there are here."""
    description: dict[str, Any] = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    for item in description["paths"].values():
        for parameter in item.get("parameters", []):
            parameter["schema"] = {"enum": [NAMES[parameter["name"]]]}
    return description


def operations(description: dict[str, Any]) -> list[Operation]:
    schema = schemathesis.openapi.from_dict(description)
    found = list(schema.get_all_operations())
    assert all(isinstance(one, Ok) for one in found)
    return [one.ok() for one in found if isinstance(one, Ok)]


def own() -> dict[str, Any]:
    """Return our description without `ids`: that there are as many as rows, no schema can say."""
    description: dict[str, Any] = describe(served())
    envelope, _ = description["components"]["schemas"]["RecordsRequest"]["oneOf"]
    del envelope["properties"]["ids"]
    return description


OURS = operations(own())
THEIRS = operations(published())


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running() as found:
        yield found


def label(operation: Operation) -> str:
    return operation.label


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(one, mode, id=f"{one.label} {mode.value}")
        for one in OURS
        for mode in GenerationMode
        # What has neither parameters nor a body cannot be asked wrongly.
        if one.method == "post" or mode is GenerationMode.POSITIVE
    ],
)
def test_the_server_keeps_its_own_description(
    server: Running, operation: Operation, mode: GenerationMode
) -> None:
    # That tensors are of one length, and each is there once, no schema can say.
    beyond: list[Any] = [positive_data_acceptance] if operation.path.endswith("infer") else []

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def hold(case: Case[Any]) -> None:
        case.call_and_validate(base_url=server.url, excluded_checks=beyond)

    hold()


@pytest.mark.parametrize("operation", THEIRS, ids=label)
def test_the_server_keeps_the_published_description(server: Running, operation: Operation) -> None:
    # It does not say what a model reads, nor which methods there are not.
    beyond: list[Any] = [positive_data_acceptance, negative_data_rejection, unsupported_method]

    @FEW
    @given(case=operation.as_strategy())
    def hold(case: Case[Any]) -> None:
        case.call_and_validate(base_url=server.url, excluded_checks=beyond)

    hold()


def test_an_answer_is_as_the_published_description_has_it(server: Running) -> None:
    """Requests that are made up are mostly refused: this one is not."""
    operation = next(one for one in THEIRS if one.path.endswith("infer"))
    body: Any = {"inputs": tensors_of(ROWS), "id": "1"}
    case = operation.Case(path_parameters=dict(NAMES), body=body)
    reply = case.call(base_url=server.url)
    assert reply.status_code == 200
    case.validate_response(reply, excluded_checks=[unsupported_method])


@pytest.mark.parametrize("typed", [True, False])
def test_our_description_is_openapi(typed: bool) -> None:
    predictor = FakePredictor(
        inputs=(
            *INPUTS,
            InputColumn(name="n", type=ValueType.INTEGER, min=0, max=9),
            InputColumn(name="b", type=ValueType.BOOLEAN, nullable=False),
        ),
        outputs=(OutputColumn(name="score"), OutputColumn(name="p", classes=("x", "y"))),
    )
    description: Any = describe(served(predictor, typed=typed))
    OpenAPIV31SpecValidator(description).validate()
    row = description["components"]["schemas"]["Row"]["properties"]
    assert list(row) == ["amount", "age", "purpose", "n", "b"]
