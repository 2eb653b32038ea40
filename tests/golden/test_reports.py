"""Each folder of ``cases`` holds a report and what people are shown of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.golden.samples import CASES

from modelci.documents import codec
from modelci.domain.report import Report
from modelci.render import annotations, markdown, terminal

FOLDER = Path(__file__).parent / "cases"
MARKER = "<!-- modelci:report -->"


def comment(report: Report) -> str:
    return markdown.render_comment(report, title="Model report", marker=MARKER)


def on_terminal(report: Report) -> str:
    return terminal.render_report(report, width=100, colour=False)


def commands(report: Report) -> str:
    return "".join(f"{line}\n" for line in annotations.render(report))


RENDERERS: dict[str, Callable[[Report], str]] = {
    "comment.md": comment,
    "terminal.txt": on_terminal,
    "annotations.txt": commands,
}


@pytest.mark.parametrize("case", CASES)
def test_the_document_is_the_sample(case: str, updates_golden: bool) -> None:
    text = codec.encode(CASES[case]())
    check(FOLDER / case / "report.json", text, updates_golden)


@pytest.mark.parametrize("file", RENDERERS)
@pytest.mark.parametrize("case", CASES)
def test_a_document_reads_as_expected(case: str, file: str, updates_golden: bool) -> None:
    report = codec.read(Report, FOLDER / case / "report.json")
    check(FOLDER / case / file, RENDERERS[file](report), updates_golden)


def test_every_folder_is_a_case() -> None:
    assert {path.name for path in FOLDER.iterdir()} == CASES.keys()


def check(path: Path, text: str, updates: bool) -> None:
    if updates:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
