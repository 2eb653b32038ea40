"""--quiet and --verbose, on every command and on both sides of its name."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.unit.cli.tree import PATHS, title

from modelci.adapters import trace
from modelci.cli import main
from modelci.ports import Advance

_PATHS = [pytest.param(path, id=title(path)) for path in PATHS]


@pytest.mark.parametrize("path", _PATHS)
def test_every_command_takes_both_flags_wherever_they_stand(path: tuple[str, ...]) -> None:
    for at in range(len(path) + 1):
        words = ["-q", *path[:at], "--verbose", *path[at:]]
        refused = CliRunner().invoke(main, words if at < len(path) else [*path, "--quiet", "-v"])
        assert refused.exit_code == 2, words
        assert "--quiet and --verbose exclude each other." in refused.stderr, words


@pytest.mark.parametrize("path", _PATHS)
def test_every_help_names_them_once(path: tuple[str, ...]) -> None:
    for _ in range(2):
        shown = CliRunner().invoke(main, [*path, "--help"]).stdout
        assert shown.count("-q, --quiet") == shown.count("-v, --verbose") == 1


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What a listener is told meanwhile."""
    lines: list[str] = []
    stop = trace.hear(lambda form, text: lines.append(form % text))
    yield lines
    stop()


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("git fetch https://me:s3cret@host/a.git main", "git fetch https://host/a.git main"),
        ("git fetch https://s3cret@host/a.git", "git fetch https://host/a.git"),
        ("GET https://api/a/b?token=s3cret&x=1", "GET https://api/a/b?…"),
        ("GET https://api/a#s3cret", "GET https://api/a?…"),
        ("git -c http.extraHeader=Basic:s3cret fetch", "git -c http.extraHeader=…"),
        ("git -c http.extraheader=AUTHORIZATION: token s3cret", "git -c http.extraheader=…"),
        ("git -c http.extraheader=X-Mine: s3cret", "git -c http.extraheader=…"),
        ("git fetch https://u:s3@cr/et@host/a.git", "git fetch https://host/a.git"),
        ("git fetch https://u:s3/cr@host/a.git", "git fetch https://host/a.git"),
        ("GET https://api:443/tags/a@v1", "GET https://api:443/tags/a@v1"),
        ("skopeo inspect docker://host/a@sha256:1", "skopeo inspect docker://host/a@sha256:1"),
        ("tool --token s3cret ls", "tool --token … ls"),
        ("tool --token=s3cret ls", "tool --token=… ls"),
        ("skopeo copy --creds u:s3cret a", "skopeo copy --creds … a"),
        ("skopeo copy --src-creds u:s3cret a", "skopeo copy --src-creds … a"),
        ("skopeo login --password s3cret host", "skopeo login --password … host"),
        ("skopeo login -u me -p s3cret host", "skopeo login -u me -p … host"),
        ("curl -H JOB-TOKEN: s3cret", "curl -H JOB-TOKEN: …"),
        ("git -c a.token=s3cret fetch", "git -c a.token=… fetch"),
        ("curl -H Authorization: Bearer s3cret", "curl -H Authorization: …"),
        ("dvc pull from s3://bucket/models", "dvc pull from s3://bucket/models"),
        ("git log\n--all", "git log --all"),
    ],
)
def test_what_is_told_keeps_secrets(heard: list[str], said: str, told: str) -> None:
    trace.tell(said.split(" "))
    assert heard == [told]


@pytest.mark.parametrize("start", [280, 286, 290, 299])
def test_a_secret_that_a_long_line_is_cut_in_keeps_secret(heard: list[str], start: int) -> None:
    shown: list[str] = []

    def watch(text: str, total: float | None, unit: str) -> AbstractContextManager[Advance]:
        shown.append(f"{text}{total or ''}{unit}")
        return nullcontext(trace.unheard)

    stop = trace.watch(watch)
    with trace.told("x" * start, "https://me:s3cret@host/" + "y" * 300):
        pass
    stop()
    assert [line.rpartition(" (")[0] for line in heard] == shown
    assert "s3" not in shown[0]
    assert len(shown[0]) == 301


def test_what_fails_is_told_too_with_how_long_it_took(heard: list[str]) -> None:
    with pytest.raises(OSError, match="gone"), trace.told("git", "push"):
        raise OSError("gone")
    (line,) = heard
    assert line.startswith("git push (OSError, 0.")


def test_however_often_it_is_asked_for_each_line_is_said_once(tmp_path: Path) -> None:
    def said(*words: str) -> list[str]:
        lines = CliRunner().invoke(main, ["-C", str(tmp_path), *words]).stderr.splitlines()
        return [line.rpartition(" (")[0] for line in lines if line.startswith("git ")]

    assert said("-v", "config", "-v", "show", "-v") == said("config", "show", "-v") != []


def test_nobody_is_told_after_the_command() -> None:
    CliRunner().invoke(main, ["-v", "config", "schema"])
    logger = logging.getLogger(trace.LOGGER)
    assert not logger.handlers
    assert logger.propagate
    with trace.told("git", "push"):  # neither fails nor speaks
        pass
