"""``modelci check``: the verdict as a check beside the commit, from before the run to its end."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from modelci.domain.events import Cause, CIContext
from modelci.domain.report import Report
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError, ModelCIError, UsageError
from modelci.ports import Check, CheckStatus, Forge, Progress
from modelci.workflows.handover import is_judged

Describe = Callable[[Report], tuple[str, str]]
"""Returns a report's verdict in a sentence, and a page of Markdown about it."""

_MAX_TITLE = 140  # characters, as a commit status has them
_NO_VERDICT = "There is no verdict: see the run's log."


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Which check is meant: its stable ``name``, the commit, and where to read more."""

    name: str
    sha: str
    url: str | None = None


def find_subject(context: CIContext, name: str, given: str | None = None) -> Subject:
    """Return what this job's check is about: as given or from the event, never from a document."""
    cause = context.cause
    sha = given or (cause.head_sha if cause else context.head_sha)
    if sha is None:
        raise UsageError(
            "Which commit is the check for? No event of a CI system names one.",
            hint="Give it with --sha.",
        )
    return Subject(name=name, sha=sha, url=cause.run_url if cause else context.run_url)


def started(subject: Subject) -> Check:
    """Return the check of a run that begins."""
    return Check(
        name=subject.name,
        sha=subject.sha,
        status=CheckStatus.IN_PROGRESS,
        title="The pipeline runs",
        summary="The verdict follows.",
        url=subject.url,
    )


def concluded(subject: Subject, report: Report, describe: Describe) -> Check:
    """Return the check of a run that left a report of this commit; else UsageError.

    A pass that some gate could not decide, or that only a fork claims, is neutral, no success.
    """
    if report.head_sha != subject.sha:
        raise UsageError(
            f"The report is of {report.head_sha[:7] if report.head_sha else 'no commit'}, "
            f"the check is for {subject.sha[:7]}.",
            hint="Report on the pull request's own checkout.",
        )
    title, summary = describe(report)
    if report.from_fork:
        title = f"A fork's own figures: {title}"
    return Check(
        name=subject.name,
        sha=subject.sha,
        status=_status(report),
        title=title if len(title) <= _MAX_TITLE else f"{title[: _MAX_TITLE - 1]}…",
        summary=summary,
        url=subject.url,
    )


def ended(
    subject: Subject,
    read: Callable[[], Report],
    *,
    cause: Cause | None,
    describe: Describe,
    progress: Progress,
) -> Check:
    """Return the check of a run that has ended and whose report ``read`` returns.

    Where none can be read it has failed, unless it was cancelled or the like. Raises what
    ``concluded`` raises, and ForgeDeniedError where the token may not read.
    """
    if cause is not None and not is_judged(cause):
        return _cancelled(subject, cause)
    try:
        report = read()
    except ForgeDeniedError:
        raise
    except (ConfigError, ForgeError) as error:
        progress.warn(str(error))
        return crashed(subject)
    return concluded(subject, report, describe)


def crashed(subject: Subject) -> Check:
    """Return the check of a run that left no report."""
    return Check(
        name=subject.name,
        sha=subject.sha,
        status=CheckStatus.FAILURE,
        title="The pipeline crashed: no report",
        summary=_NO_VERDICT,
        url=subject.url,
    )


def _cancelled(subject: Subject, cause: Cause) -> Check:
    """Return the check of a run that nobody let come to its end."""
    return Check(
        name=subject.name,
        sha=subject.sha,
        status=CheckStatus.NEUTRAL,
        title=f"The run ended as {str(cause.conclusion).replace('_', ' ')}",
        summary=_NO_VERDICT,
        url=subject.url,
    )


def _status(report: Report) -> CheckStatus:
    if not report.is_ok:
        return CheckStatus.FAILURE
    undecided = report.verdict.inconclusive + report.verdict.incomparable
    if undecided or report.from_fork:
        return CheckStatus.NEUTRAL
    return CheckStatus.SUCCESS


class KeptCheck:
    """Keeps the check of a run, as a context: in progress, then the verdict, or failed.

    A forge that refuses costs the check, and nothing else.
    """

    def __init__(
        self,
        subject: Subject | None,
        *,
        forge: Callable[[], Forge],
        describe: Describe,
        progress: Progress,
    ) -> None:
        """Without a ``subject`` there is no check to keep."""
        self._subject = subject
        self._forge = forge
        self._describe = describe
        self._progress = progress

    def __enter__(self) -> Self:
        self._set(started)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._set(crashed)

    def conclude(self, report: Report) -> None:
        """Give the verdict."""
        if self._subject is None:
            return
        try:
            check = concluded(self._subject, report, self._describe)
        except UsageError as error:
            self._progress.warn(str(error))
            check = crashed(self._subject)
        self._set(lambda _: check)

    def _set(self, make: Callable[[Subject], Check]) -> None:
        if self._subject is None:
            return
        try:
            self._forge().set_check(make(self._subject))
        except ForgeDeniedError as error:
            self._subject = None  # the next one would be refused as well
            self._warn(error)
        except ModelCIError as error:
            self._warn(error)

    def _warn(self, error: ModelCIError) -> None:
        self._progress.warn(f"No check was set: {error} {error.hint or ''}".strip())
