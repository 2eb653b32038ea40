"""OpenMetrics text, read back as GitLab's own parser reads it: comments cut, split as a shell."""

import re
import shlex

from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.metrics import MetricDelta, MetricKey, MetricValue, NonFinite, metric_value
from modelci.domain.report import Report, Revision
from modelci.render.openmetrics import render_metrics

SAMPLE = re.compile(r'modelci_[A-Za-z0-9_]*\{file="[^"\\\n]*"(,duplicate="\d+")?\} \S+')


def delta(
    name: str, head: MetricValue | None, *, path: str = "metrics.json", base: float | None = 0.5
) -> MetricDelta:
    return MetricDelta(key=MetricKey(path=path, name=name), base=base, head=head)


def make_report(*metrics: MetricDelta) -> Report:
    head = Revision(sha="a" * 40, name="HEAD", chosen="given")
    return Report(
        base=None,
        head=head,
        head_sha="a" * 40,
        created="2026-11-23T19:00:00Z",
        version="1",
        metrics=metrics,
    )


def as_gitlab_reads(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        words = shlex.split(re.sub(r"#.*$", "", line))
        if len(words) > 1:
            found[words[0]] = words[1]
    return found


def test_each_metric_of_the_head_is_a_gauge_with_its_file() -> None:
    text = render_metrics(
        make_report(
            delta("roc_auc", 0.8125, path="metrics/hgb.json"),
            delta("roc_auc", 0.75, path="metrics/lr.json"),
            delta("test.f1 macro", 1e-7),
        )
    )
    assert text.splitlines() == [
        "# TYPE modelci_roc_auc gauge",
        'modelci_roc_auc{file="metrics/hgb.json"} 0.8125',
        'modelci_roc_auc{file="metrics/lr.json"} 0.75',
        "# TYPE modelci_test_f1_macro gauge",
        'modelci_test_f1_macro{file="metrics.json"} 1e-07',
        "# EOF",
    ]
    assert text.endswith("# EOF\n")


def test_what_the_head_lacks_is_left_out_and_what_is_no_number_is_spelt() -> None:
    text = render_metrics(
        make_report(
            delta("gone", None),
            delta("nan", NonFinite.NAN),
            delta("up", NonFinite.INFINITY),
            delta("down", NonFinite.MINUS_INFINITY),
        )
    )
    assert "gone" not in text
    assert as_gitlab_reads(text) == {
        "modelci_nan{file=metrics.json}": "NaN",
        "modelci_up{file=metrics.json}": "+Inf",
        "modelci_down{file=metrics.json}": "-Inf",
    }


def test_names_that_become_one_are_told_apart() -> None:
    text = render_metrics(make_report(delta("f1[a]", 0.1), delta("f1 a", 0.2), delta("f1#a", 0.3)))
    assert text.count("# TYPE") == 1
    assert sorted(as_gitlab_reads(text).values()) == ["0.1", "0.2", "0.3"]


def test_no_metrics_are_an_empty_text() -> None:
    assert render_metrics(make_report()) == "# EOF\n"


@given(
    st.lists(
        st.tuples(st.text(max_size=20), st.text(max_size=20), st.floats()),
        max_size=8,
        unique_by=lambda one: one[:2],
    )
)
def test_whatever_the_names_gitlab_reads_every_value(
    metrics: list[tuple[str, str, float]],
) -> None:
    deltas = [delta(name, metric_value(value), path=path) for path, name, value in metrics]
    text = render_metrics(make_report(*deltas))
    lines = text.removesuffix("\n").split("\n")
    samples = [line for line in lines if not line.startswith("# ")]
    assert all(SAMPLE.fullmatch(line) for line in samples)
    assert len(as_gitlab_reads(text)) == len(metrics) == len(samples)
