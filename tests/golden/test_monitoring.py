"""Each folder of ``monitoring`` holds a watched window and what people are shown of it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.golden import windows
from tests.golden.test_reports import check

from modelci.documents import codec
from modelci.domain.monitoring import Monitoring
from modelci.render.monitoring import markdown, openmetrics, terminal

FOLDER = Path(__file__).parent / "monitoring"
MARKER = "<!-- modelci:monitor credit -->"
BRANCH = ("dvc.lock", "data/applications.parquet.dvc", "params.yaml")


def comment(one: Monitoring) -> str:
    return markdown.render_comment(one, windows.before(one), title="credit in prod", marker=MARKER)


def pull_request(one: Monitoring) -> str:
    return markdown.render_pull_request(
        one, windows.before(one), changed=BRANCH, stages=("prepare", "train"), marker=MARKER
    )


def issue(one: Monitoring) -> str:
    return markdown.render_issue(one, windows.before(one), marker=MARKER)


def on_terminal(one: Monitoring) -> str:
    return terminal.render_monitoring(one, windows.before(one), width=120)


def plain(one: Monitoring) -> str:
    return terminal.plain_monitoring(one, windows.before(one))


def metrics(one: Monitoring) -> str:
    return openmetrics.render_metrics(one, windows.before(one))


RENDERERS: dict[str, Callable[[Monitoring], str]] = {
    "comment.md": comment,
    "pull_request.md": pull_request,
    "issue.md": issue,
    "terminal.txt": on_terminal,
    "plain.tsv": plain,
    "metrics.txt": metrics,
}


@pytest.mark.parametrize("case", windows.CASES)
def test_the_document_is_the_sample(case: str, updates_golden: bool) -> None:
    path = FOLDER / case / "monitor.json"
    text = codec.encode(windows.CASES[case]())
    if updates_golden:
        check(path, text, updates_golden)
    assert rounded(text) == rounded(path.read_text(encoding="utf-8"))


def rounded(text: str) -> str:
    """Return the text with ten digits of each number: the last ones are numpy's own, by version."""
    return re.sub(r"\d+\.\d{9,}(e[-+]\d+)?", lambda found: f"{float(found[0]):.10g}", text)


@pytest.mark.parametrize("file", RENDERERS)
@pytest.mark.parametrize("case", windows.CASES)
def test_a_window_reads_as_expected(case: str, file: str, updates_golden: bool) -> None:
    one = codec.read(Monitoring, FOLDER / case / "monitor.json")
    check(FOLDER / case / file, RENDERERS[file](one), updates_golden)


def test_every_folder_is_a_case() -> None:
    assert {path.name for path in FOLDER.iterdir()} == windows.CASES.keys()
