"""``modelci comment``: put the report on its pull request, in one comment that stays."""

import re

from modelci.domain.events import CIContext
from modelci.domain.report import Report
from modelci.errors import UsageError
from modelci.ports import Forge, PostedComment


def marker(context: CIContext, identity: str | None = None) -> str:
    """Return the line that tells our comment from others': one per workflow and job."""
    parts = [identity] if identity else [context.workflow or "local", context.job or "report"]
    plain = "/".join(re.sub(r"[^A-Za-z0-9_.]+", "-", part).strip("-") for part in parts)
    return f"<!-- modelci:report {plain} -->"


def find_number(context: CIContext, given: int | None) -> int:
    """Return the pull request's number: as given or from the event, never from a document."""
    number = given if given is not None else context.pull_request
    if number is None:
        raise UsageError(
            "Which pull request? No event of a CI system names one.",
            hint="Give its number with --pr.",
        )
    return number


def post(
    report: Report, body: str, *, number: int, marker: str, context: CIContext, forge: Forge
) -> PostedComment | None:
    """Write the comment, or update it; an equal one is left alone."""
    head = context.head_sha if context.pull_request == number else None
    if head is not None and report.head_sha != head:
        raise UsageError(
            f"The report is of {(report.head_sha or 'no commit')[:7]}, "
            f"the pull request's head is {head[:7]}.",
            hint="Report on the pull request's own checkout.",
        )
    return forge.upsert_comment(number, body, marker=marker)
