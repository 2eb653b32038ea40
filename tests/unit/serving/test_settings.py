from pathlib import Path

import msgspec
import pytest

from modelci.config.model import Config
from modelci.errors import ConfigError
from modelci.serving.settings import LogSettings, Settings, read_settings


def test_settings_are_read_and_written_as_json(tmp_path: Path) -> None:
    settings = Settings(max_rows=5, log=LogSettings(path="log", sample=0.5)).with_tokens("secret")
    file = tmp_path / "settings.json"
    file.write_bytes(msgspec.json.encode(settings))
    assert read_settings(file) == settings


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"max_row": 3}', "max_row"),
        ('{"max_rows": 0}', "max_rows"),
        ('{"log": {"path": "x", "format": "xml"}}', "format"),
        ("nonsense", "holds no settings"),
        ("\udcff", "holds no settings"),
    ],
)
def test_wrong_settings_are_told(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ConfigError, match=said):
        read_settings(file)


def test_settings_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_settings(tmp_path / "none.json")


def test_without_tokens_everyone_may_ask() -> None:
    assert Settings().lets_in(None)
    assert Settings().lets_in(b"Bearer whatever")


@pytest.mark.parametrize(
    ("header", "is_let_in"),
    [
        (b"Bearer one", True),
        (b"bearer two", True),
        (b"Bearer  one ", True),
        (b"Bearer three", False),
        (b"Basic one", False),
        (b"one", False),
        (b"Bearer", False),
        (b"Bearer \xff", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_token_is_asked_for(header: bytes | None, is_let_in: bool) -> None:
    assert Settings().with_tokens("one", "two").lets_in(header) is is_let_in


def test_tokens_are_read_from_a_file_and_kept_as_hashes(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("one\n\n  two  \n", encoding="utf-8")
    settings = Settings(token_file=str(file)).with_tokens("three")
    assert all(settings.lets_in(f"Bearer {one}".encode()) for one in ("one", "two", "three"))
    assert not settings.lets_in(b"Bearer ")
    # Workers get them in a message, and a crash may print them.
    assert "two" not in repr(settings)


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_a_file_without_tokens_lets_nobody_in_by_accident(tmp_path: Path, text: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no token"):
        Settings(token_file=str(file)).with_tokens()


def test_a_file_of_tokens_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Settings(token_file=str(tmp_path / "none")).with_tokens()


def test_the_defaults_are_those_of_the_configuration() -> None:
    ours, theirs = Settings(), Config().serve
    for name in ("max_rows", "timeout_seconds", "drain_seconds", "threads", "onnx"):
        assert getattr(ours, name) == getattr(theirs, name)
    log = LogSettings(path="log")
    assert (log.sample, log.format, log.keep) == (
        theirs.log.sample,
        theirs.log.format,
        theirs.log.keep,
    )
