"""Takes over the report of another workflow's run, for the pull request that the event names.

A run of ``pull_request`` has run anyone's code, so its document is a claim: the event decides
which commit, which run and which pull request it is about, and the document only has the figures.
"""

from dataclasses import replace

from modelci.documents import codec
from modelci.domain.events import Cause, CIContext
from modelci.domain.report import Report
from modelci.errors import ConfigError, UsageError
from modelci.ports import Forge, PullRequest

ARTIFACT = "modelci"
FILE = "report.json"
MAX_BYTES = 16 * 1024 * 1024
MAX_PICTURES = 200
"""Of each kind; 16 MiB can name more than anybody draws, or waits for to be named apart."""
_UNJUDGED = frozenset({"cancelled", "skipped", "stale", "neutral", "action_required"})


class NothingToPostError(Exception):
    """There is no pull request to write to, or nothing to say: no failure, but the end."""


def find_cause(context: CIContext) -> Cause:
    """Return the run that caused this job; UsageError where none did."""
    if context.cause is None:
        raise UsageError(
            "Which run's artifact? No workflow_run event names one.",
            hint="--artifact is for a workflow on `workflow_run`; elsewhere --report names a file.",
        )
    return context.cause


def is_judged(cause: Cause) -> bool:
    """Whether the run came to an end of its own, so that it should have left a report."""
    return cause.conclusion not in _UNJUDGED


def receive(forge: Forge, context: CIContext, name: str, path: str) -> tuple[Report, PullRequest]:
    """Return the report and where it belongs; NothingToPostError where that is nowhere."""
    cause = find_cause(context)
    if not is_judged(cause):
        ended = str(cause.conclusion).replace("_", " ")
        raise NothingToPostError(f"Run {cause.run_id} ended as {ended}.")
    pull = find_pull_request(forge, cause)
    if pull is None:
        raise NothingToPostError(
            f"No open pull request has the head {cause.head_sha[:7]} that run {cause.run_id} "
            "was for."
        )
    return take_report(forge, context, name, path), pull


def take_report(forge: Forge, context: CIContext, name: str, path: str) -> Report:
    """Return the report in the artifact ``name`` of the run that caused this job.

    ConfigError where it is no report, or one of another commit than the event's; ForgeError where
    it is not to be had. No error repeats what the document says: a log is read by the runner too.
    """
    cause = find_cause(context)
    data = forge.read_artifact(cause.run_id, name, path, max_bytes=MAX_BYTES)
    try:
        report = codec.decode(Report, data, source=path)
    except ConfigError as error:
        raise ConfigError(
            f"What run {cause.run_id} left as its report is none that this version reads.",
            hint="Use the same modelci version in both workflows.",
        ) from error
    if report.head_sha != cause.head_sha:
        raise ConfigError(
            f"The report that run {cause.run_id} left is not of {cause.head_sha[:7]}, the commit "
            "that the run was for.",
            hint="Report on the pull request's own checkout, in the run that uploads the report.",
        )
    return replace(
        report,
        plots=report.plots[:MAX_PICTURES],
        pictures=report.pictures[:MAX_PICTURES],
        run_url=cause.run_url,
        from_fork=cause.head_repository != context.repository,
    )


def find_pull_request(forge: Forge, cause: Cause) -> PullRequest | None:
    """Return the open pull request that the run was for; None where its head is another now.

    A fork that was deleted since has no owner to ask for.
    """
    if not cause.event_name.startswith("pull_request") or not cause.head_owner:
        return None
    return forge.find_pull_request(
        owner=cause.head_owner, branch=cause.head_branch, sha=cause.head_sha
    )
