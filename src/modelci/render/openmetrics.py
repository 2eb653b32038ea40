"""The head's metrics as OpenMetrics text, for the widget of GitLab's merge requests.

GitLab reads a line up to its first ``#``, splits it as a shell would, and takes the first two
words: what could be a quote, a backslash, a blank or a comment there is spelt as ``_``.
"""

import re
from collections.abc import Iterator

from modelci.domain.metrics import MetricDelta, MetricKey, NonFinite
from modelci.domain.report import Report

PREFIX = "modelci_"
_END = "# EOF"
_SPELLINGS = {NonFinite.NAN: "NaN", NonFinite.INFINITY: "+Inf", NonFinite.MINUS_INFINITY: "-Inf"}


def render_metrics(report: Report) -> str:
    """Return a gauge for each metric of the head, labelled with its file, in the order of names.

    Metrics whose names differ only in characters that OpenMetrics forbids are numbered.
    """
    families: dict[str, list[MetricDelta]] = {}
    for delta in report.metrics:
        if delta.head is not None:
            families.setdefault(_family(delta.key.name), []).append(delta)
    lines = [line for name in sorted(families) for line in _lines(name, families[name])]
    return "\n".join([*lines, _END, ""])


def _lines(family: str, deltas: list[MetricDelta]) -> Iterator[str]:
    yield f"# TYPE {family} gauge"
    seen: dict[str, int] = {}
    for delta in deltas:
        labels = _labels(delta.key)
        seen[labels] = seen.get(labels, 0) + 1
        unique = labels if seen[labels] == 1 else f'{labels},duplicate="{seen[labels]}"'
        yield f"{family}{{{unique}}} {_value(delta)}"


def _labels(key: MetricKey) -> str:
    return f'file="{_plain(key.path)}"'


def _family(name: str) -> str:
    """Return a name of ``[a-z0-9_]`` with our prefix, so that none begins with a digit."""
    return PREFIX + re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_./@+=-]", "_", text)


def _value(delta: MetricDelta) -> str:
    head = delta.head
    return _SPELLINGS[head] if isinstance(head, NonFinite) else repr(head)
