"""``modelci comment``: put the report on its pull request, in one comment that stays."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from modelci.config.model import CommentConfig
from modelci.domain.events import CIContext
from modelci.domain.report import Report
from modelci.errors import ModelCIError, UsageError
from modelci.ports import Forge, Progress, PullRequest, Writer

Draw = Callable[[Report], Mapping[str, bytes]]
"""Draws a report's plots: images by the name that the comment calls them by."""

_ELSEWHERE = "The plots are on the page report.html in the run's artifact."


class Render(Protocol):
    """Turns a report into the comment's body, ``marker`` line included.

    ``pictures`` are addresses by name; ``elsewhere`` is a sentence on where else to look.
    """

    def __call__(
        self,
        report: Report,
        marker: str,
        *,
        pictures: Mapping[str, str],
        elsewhere: str | None,
    ) -> str:
        """Return the Markdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """What came of it: created, updated, unchanged, outdated or none; ``reason`` says why.

    Outdated: the pull request has a newer head, or a newer run's comment stands there.
    """

    action: str
    url: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What it takes to write a comment."""

    forge: Forge
    settings: CommentConfig
    context: CIContext
    render: Render
    draw: Draw
    progress: Progress
    identity: str | None = None


def marker(context: CIContext, identity: str | None = None) -> str:
    """Return the line that tells our comment from others': one per workflow and job.

    A job that another workflow caused speaks for that one.
    """
    workflow = context.cause.workflow if context.cause else context.workflow
    parts = [identity] if identity else [workflow or "local", context.job or "report"]
    plain = "/".join(re.sub(r"[^A-Za-z0-9_.]+", "-", part).strip("-") for part in parts)
    return f"<!-- modelci:report {plain} -->"


def writer(report: Report, context: CIContext) -> Writer:
    """Return who speaks: this run, or the one that caused it and made the report."""
    cause = context.cause
    if cause is not None:
        return Writer(run_id=cause.run_id, attempt=cause.attempt, head_sha=report.head_sha)
    known = context.run_id or ""
    return Writer(
        run_id=int(known) if known.isascii() and known.isdecimal() else None,
        attempt=context.attempt or 1,
        head_sha=report.head_sha,
    )


def find_number(context: CIContext, given: int | None) -> int:
    """Return the pull request's number: as given or from the event, never from a document."""
    number = given if given is not None else context.pull_request
    if number is None:
        raise UsageError(
            "Which pull request? No event of a CI system names one.",
            hint="Give its number with --pr, or --artifact in a workflow on `workflow_run`.",
        )
    return number


def find_pull_request(forge: Forge, context: CIContext, number: int) -> PullRequest:
    """Return the pull request as it is now; where the forge does not tell, as the event has it."""
    try:
        return forge.pull_request(number)
    except UsageError:
        if number != context.pull_request or context.head_sha is None:
            raise
        return PullRequest(
            number=number,
            head_sha=context.head_sha,
            head_branch="",
            head_repository=None,
            base_branch=context.base_ref or "",
        )


def has_changes(report: Report) -> bool:
    """Whether there is anything to tell: a difference, or a verdict that is no plain pass."""
    changed = (report.texts, report.params, report.stages, report.data)
    edited = report.gate_changes or report.setting_changes
    return (
        report.base is None
        or not report.is_ok
        or report.verdict.passed < len(report.gates)
        or any(changed)
        or bool(edited)
        or any(delta.is_changed for delta in report.metrics)
    )


def post(report: Report, pull: PullRequest, desk: Desk) -> Posting:
    """Write the comment, or update it; one that is equal, or newer, is left alone."""
    if report.head_sha != pull.head_sha:
        return Posting(
            action="outdated",
            reason=f"The report is of {report.head_sha[:7] if report.head_sha else 'no commit'}, "
            f"the head of pull request {pull.number} is {pull.head_sha[:7]} now.",
        )
    mark = marker(desk.context, desk.identity)
    create = not desk.settings.on_change_only or has_changes(report)
    # What may not be posted at all is not worth storing pictures for.
    pictures, elsewhere = _store_pictures(report, desk) if create else ({}, None)
    posted = desk.forge.upsert_comment(
        pull.number,
        desk.render(report, mark, pictures=pictures, elsewhere=elsewhere),
        marker=mark,
        writer=writer(report, desk.context),
        mode=desk.settings.mode,
        create=create,
    )
    if posted is None:
        return Posting(action="none", reason="Nothing changed.")
    newer = "A newer run has written there." if posted.action == "outdated" else ""
    return Posting(action=posted.action, url=posted.url, reason=newer)


def _store_pictures(report: Report, desk: Desk) -> tuple[Mapping[str, str], str | None]:
    """Return the pictures' addresses by name, or where else they are."""
    if not report.plots and not report.pictures:
        return {}, None
    # Pictures of a fork are anyone's: our repository neither draws nor serves them.
    if not desk.settings.pictures or report.from_fork:
        return {}, _ELSEWHERE
    try:
        drawn = desk.draw(report)
        if drawn:
            return desk.forge.store_pictures(drawn, keep_days=desk.settings.keep_days), None
    except ModelCIError as error:
        desk.progress.warn(f"No pictures in the comment: {error} {error.hint or ''}".strip())
    return {}, _ELSEWHERE
