"""NVIDIA's client of the Open Inference Protocol, which knows nothing of us, and a server."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tritonclient.http as triton
from tests.fakes.serving import ROWS, Running, running, score, write_release
from tritonclient.utils import InferenceServerException

from modelci.serving.model import load
from modelci.serving.settings import Settings
from modelci.serving.source import open_release

if TYPE_CHECKING:
    import numpy.typing as npt


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("release")
    write_release(folder / "one")
    with running(load(open_release(folder / "one"))) as found:
        yield found


@pytest.fixture
def client(server: Running) -> Iterator[triton.InferenceServerClient]:
    found = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
    yield found
    found.close()


def inputs(*, binary: bool, column: bool = False) -> list[triton.InferInput]:
    ages = [np.nan if row["age"] is None else row["age"] for row in ROWS]
    arrays: list[tuple[str, npt.NDArray[np.generic], str]] = [
        ("amount", np.array([row["amount"] for row in ROWS], dtype=np.float64), "FP64"),
        ("age", np.array(ages, dtype=np.float32), "FP32"),
        ("purpose", np.array([row["purpose"] for row in ROWS], dtype=np.object_), "BYTES"),
    ]
    found = []
    for name, array, datatype in arrays:
        shaped = array.reshape(-1, 1) if column else array
        one = triton.InferInput(name, list(shaped.shape), datatype)
        if not binary and name == "age":  # in JSON a gap is null, which this client does not write
            shaped = np.where(np.isnan(shaped), 40, shaped).astype(np.float32)
        one.set_data_from_numpy(shaped, binary_data=binary)
        found.append(one)
    return found


def test_it_finds_the_server_live_and_the_model_ready(client: triton.InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("credit")
    assert client.is_model_ready("credit", "v1.0.0")
    assert not client.is_model_ready("credit", "v9")
    assert not client.is_model_ready("other")


def test_it_reads_what_server_and_model_say_of_themselves(
    client: triton.InferenceServerClient,
) -> None:
    assert client.get_server_metadata()["name"] == "modelci"
    model = client.get_model_metadata("credit", "v1.0.0")
    assert [one["name"] for one in model["inputs"]] == ["amount", "age", "purpose"]
    assert model["outputs"] == [{"name": "score", "datatype": "FP64", "shape": [-1]}]


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("binary_in", [False, True])
def test_it_gets_the_models_answers(
    client: triton.InferenceServerClient, binary_in: bool, binary_out: bool, column: bool
) -> None:
    result = client.infer(
        "credit",
        inputs(binary=binary_in, column=column),
        request_id="77",
        outputs=[triton.InferRequestedOutput("score", binary_data=binary_out)],
    )
    expected = [score(row, 1.0) for row in ROWS]
    assert result.as_numpy("score") == pytest.approx(expected, rel=1e-5)
    assert result.get_response()["id"] == "77"
    assert result.get_response()["model_version"] == "v1.0.0"


def test_without_naming_outputs_it_gets_all(client: triton.InferenceServerClient) -> None:
    result = client.infer("credit", inputs(binary=True), model_version="v1.0.0")
    assert result.as_numpy("score").shape == (3,)


def test_it_reads_our_errors(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="age: is missing"):
        client.infer("credit", inputs(binary=True)[:1])
    with pytest.raises(InferenceServerException, match="There is nothing here"):
        client.infer("other", inputs(binary=True))


def test_it_may_have_to_show_a_token() -> None:
    settings = Settings(drain_seconds=0).with_tokens("secret")
    with running(settings=settings) as server:
        client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
        with pytest.raises(InferenceServerException, match="bearer token"):
            client.get_server_metadata()
        headers = {"Authorization": "Bearer secret"}
        assert client.get_server_metadata(headers=headers)["name"] == "modelci"
        client.close()


def test_a_file_of_the_release_is_what_answers(tmp_path: Path) -> None:
    write_release(tmp_path / "two", version="v2.0.0", slope=2)
    with running(load(open_release(tmp_path / "two"))) as server:
        client = triton.InferenceServerClient(f"127.0.0.1:{server.port}")
        result = client.infer("credit", inputs(binary=True))
        assert result.as_numpy("score") == pytest.approx([score(r, 2) for r in ROWS], rel=1e-5)
        client.close()
