import pytest

from modelci.config.load import load
from modelci.config.model import LogFormat
from modelci.errors import ConfigError


def test_a_server_is_configured() -> None:
    text = b"serve: {workers: 3, max_body: 1 MB, onnx: true, log: {path: log, format: parquet}}"
    serve = load(text).config.serve
    assert (serve.workers, serve.max_body, serve.onnx) == (3, "1 MB", True)
    assert serve.log.format is LogFormat.PARQUET


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port: 70000", "port must be 0 to 65535"),
        ("workers: 0", "workers must be 1 or more"),
        ("max_rows: 0", "max_rows must be 1 or more"),
        ("threads: -1", "threads must be 1 or more"),
        ("timeout_seconds: 0", "timeout_seconds must be above 0"),
        ("timeout_seconds: .inf", "timeout_seconds must be above 0"),
        ("drain_seconds: -1", "drain_seconds must be 0 or more"),
        ("max_body: lots", "max_body must be a size such as 10 MB"),
        ("max_body: 0", "max_body must be a size such as 10 MB"),
        ("log: {max_bytes: 0 MB}", "log.max_bytes must be a size such as 64 MB"),
        ("log: {sample: 2}", "log.sample must be 0 to 1"),
        ("log: {keep: 0}", "log.keep must be 1 or more"),
        ("log: {format: xml}", "Invalid enum value 'xml'"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        load(f"# a comment\nserve:\n  {text}\n".encode())
    assert "modelci.yaml:3" in str(caught.value)
