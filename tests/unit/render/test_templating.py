"""A project's templates can rearrange our text and read plain values; they can do nothing else."""

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from tests.golden import samples
from tests.unit.render.test_escape import MARKDOWN, assert_inert

from modelci.domain.changes import ValueChange, ValueKey
from modelci.domain.pipeline import ChangeKind
from modelci.domain.report import Report
from modelci.errors import ConfigError
from modelci.render.html import render_page
from modelci.render.markdown import render_comment
from modelci.render.templating import COMMENT, PAGE, SECTIONS, Overrides

MARKER = "<!-- modelci:report -->"
EXTENDS = '{% extends "modelci/comment.md.j2" %}\n'


def comment(
    text: str,
    report: Report | None = None,
    *,
    max_bytes: int = 65_000,
    others: Mapping[str, str] | None = None,
) -> str:
    return render_comment(
        report or samples.proven(),
        title="Model report",
        marker=MARKER,
        max_bytes=max_bytes,
        overrides=Overrides(folder="ours", files={COMMENT: text, **(others or {})}),
    )


def plain(report: Report) -> str:
    return render_comment(report, title="Model report", marker=MARKER)


def test_a_template_that_only_extends_ours_says_the_same_lines() -> None:
    for report in (samples.proven(), samples.failed(), samples.first()):
        ours, theirs = plain(report), comment(EXTENDS, report)
        assert sorted(filter(None, theirs.split("\n"))) == sorted(filter(None, ours.split("\n")))
        assert theirs.startswith(f"{MARKER}\n## Model report\n")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_block_can_be_dropped(name: str) -> None:
    text = comment(f"{EXTENDS}{{% block {name} %}}{{% endblock %}}")
    assert len(text) < len(comment(EXTENDS)) or name == "notes"
    assert "\n\n\n" not in text


def test_a_block_can_be_wrapped_and_moved() -> None:
    text = comment(
        EXTENDS + "{% block footer %}{{ files }}\nReviewed by **us**.\n{{ super() }}"
        "{% endblock %}{% block files %}{% endblock %}"
    )
    start = text.index("Files changed in Git")
    assert start < text.index("Reviewed by **us**.") < text.index("<sub>Base")
    assert text.count("<details>") == text.count("</details>")


def test_without_our_template_nothing_of_ours_is_there() -> None:
    text = comment("Model {{ report.head.name|code }}: {{ 'ok' if report.ok else 'not ok' }}\n")
    assert text == f"{MARKER}\nModel `feature/deeper-trees`: not ok\n"


def test_what_a_template_prints_of_the_report_is_escaped_however_it_is_joined() -> None:
    text = comment(
        "{% for one in report.metrics %}{{ one.key.name }} {{ 'a' ~ one.key.name }} "
        "{{ one.key.name|upper }} {{ one.key.name[1:] }} {{ '%s'|format(one.key.name) }} "
        "{{ [one.key.name, 'x']|join(', ') }} {{ one.key.name|replace('a', 'b') }} "
        "{{ one.key.name|e }} {{ one.key.name|code }} {{ one.key.name|safe }} "
        "{{ headline ~ one.key.name }}\n{% endfor %}",
        samples.hostile(),
    )
    page = MARKDOWN.render(text.removeprefix(MARKER))
    assert "<a" not in page
    assert "<script" not in page
    assert "<!--" not in text.removeprefix(MARKER)
    outside_code = re.sub(r"<(code|pre)>.*?</\1>", "", page, flags=re.DOTALL)
    assert_inert(unescape(re.sub("<[^>]+>", "", outside_code)))


def test_a_value_can_be_compared_with_a_name() -> None:
    text = comment(
        "{% for one in report.metrics if one.key.name == 'hgb.roc_auc' %}"
        "{{ one.key.name }} {{ one.base }} {{ one.head is none }}{% endfor %}"
    )
    assert text == f"{MARKER}\nhgb.roc\\_auc 0.7812 False\n"


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ report.__class__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ cycler.__init__.__globals__ }}",
        "{% set _ = report.update({'ok': true}) %}{{ _ }}",
        "{% set _ = report.notes.append('x') %}{{ _ }}",
        "{{ ''|attr('__class__') }}",
    ],
)
def test_the_sandbox_lets_nothing_out(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^ours/comment\.md\.j2(:1)? cannot be rendered"):
        comment(text)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("line\n{% block %}", "comment.md.j2:2", "expected"),
        ("a\nb\n{{ nothing }}", "comment.md.j2:3", "'nothing' is undefined"),
        ("a\n{{ report.nothing.there }}", "comment.md.j2:2", "nothing"),
        ('a\n{% include "other.j2" %}', "comment.md.j2:2", "other.j2"),
        ('a\n{% include "/etc/passwd" %}', "comment.md.j2:2", "passwd"),
        ("{{ report|tojson }}", "comment.md.j2:1", "tojson"),
        ("\n{% for a in range(99999) %}{{ 'x' * 999 }}{% endfor %}", "", "more than 8,388,608"),
        ("{{ range(999999999) }}", "comment.md.j2:1", "Range too big"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(text: str, place: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        comment(text)
    assert str(caught.value).startswith(f"ours/{place}")
    assert problem in str(caught.value)
    assert "docs/reports.md" in (caught.value.hint or "")


PARTS = {"parts/a.j2": "part of {{ report.version }}"}


def test_templates_may_include_each_other() -> None:
    text = comment('{% include "parts/a.j2" %}!', others=PARTS)
    assert text == f"{MARKER}\npart of 0.1.0!\n"


def test_what_a_template_adds_takes_room_from_our_rows() -> None:
    report = samples.many()
    own = "{% block footer %}" + "own words " * 500 + "{% endblock %}"
    text = comment(EXTENDS + own, report, max_bytes=20_000)
    assert len(text.encode()) <= 20_000
    assert "own words own words" in text
    assert "more rows" in text
    with pytest.raises(ValueError, match=r"adds too much|longer than"):
        comment(EXTENDS + own.replace("own words ", "own words " * 20), report, max_bytes=20_000)


def test_the_page_has_blocks_too() -> None:
    overrides = Overrides(
        folder="ours",
        files={
            PAGE: '{% extends "modelci/page.html.j2" %}{% block extra %}<p>Ours: '
            "{{ report.head.name }} {{ '<b>' }}</p>{% endblock %}"
        },
    )
    page = render_page(samples.proven(), title="Model report", overrides=overrides)
    assert "<p>Ours: feature/deeper-trees &lt;b&gt;</p>" in page
    assert "Content-Security-Policy" in page
    only_comment = Overrides(folder="ours", files={COMMENT: ""})
    same = render_page(samples.good(), title="Model report", overrides=only_comment)
    assert same == render_page(samples.good(), title="Model report")


def test_the_example_of_the_documentation_reads_the_value_that_it_names() -> None:
    text = (Path(__file__).parents[3] / "docs" / "reports.md").read_text(encoding="utf-8")
    example = text.partition("```jinja\n")[2].partition("```")[0]
    seed = ValueChange(
        key=ValueKey(path="params.yaml", name="train.seed"), base=7, head=8, kind=ChangeKind.CHANGED
    )
    other = ValueChange(
        key=ValueKey(path="params.yaml", name="another"), base=1, head=2, kind=ChangeKind.CHANGED
    )
    shown = comment(example, replace(samples.good(), params=(other, seed)))
    assert "Owner: credit team.\nThe seed was 7 and is 8.\n" in shown
    assert "The seed" not in comment(example, replace(samples.good(), params=(other,)))
