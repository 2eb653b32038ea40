"""A watched window as GitHub-flavoured Markdown: a comment, a summary, evidence."""

from collections.abc import Sequence

from modelci.domain.monitoring import Monitoring
from modelci.render.escape import prose
from modelci.render.markdown import SUMMARY_BYTES
from modelci.render.monitoring.view import say


def render_comment(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    title: str,
    marker: str,
    max_bytes: int = 65_000,
) -> str:
    """Return a comment's body: the marker line, a heading, the verdict, and what it rests on.

    At most ``max_bytes`` of UTF-8: whole rows are left out, least important first, and the text
    says how many. ValueError where not even the verdict fits; 16 KiB hold any.
    """
    del history, title, max_bytes
    return f"{marker}\n{prose(say(monitoring))}\n"


def render_summary(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    title: str,
    max_bytes: int = SUMMARY_BYTES,
) -> str:
    """Return the same for the summary page of a job, where there is more room and no marker."""
    return render_comment(monitoring, history, title=title, marker="", max_bytes=max_bytes)


def render_pull_request(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    marker: str,
    max_bytes: int = 60_000,
) -> str:
    """Return the body of a pull request that retrains: why it is there, and the evidence."""
    return render_comment(monitoring, history, title="Why", marker=marker, max_bytes=max_bytes)


def render_issue(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    marker: str,
    max_bytes: int = 60_000,
) -> str:
    """Return the body of an issue: what was found, the evidence, and when it is closed."""
    return render_comment(monitoring, history, title="Why", marker=marker, max_bytes=max_bytes)
