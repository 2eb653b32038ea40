"""``modelci ci``: the one command for a workflow; the event decides what it does."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from modelci.config.model import Config
from modelci.documents import codec
from modelci.domain.events import CIContext, Job, choose_job
from modelci.domain.pipeline import Run
from modelci.domain.promotion import Promotion
from modelci.domain.remotes import DataRemote
from modelci.domain.report import Report
from modelci.errors import ModelCIError
from modelci.ports import (
    Forge,
    Git,
    ModelScanner,
    Pipeline,
    Plots,
    Progress,
    Rescorer,
    SnapshotReader,
    StageExecutor,
    StoredBytes,
    Tables,
)
from modelci.workflows import promote
from modelci.workflows.check import Describe, KeptCheck, Subject, find_subject
from modelci.workflows.comment import Desk, Draw, Posting, Render, find_pull_request, post
from modelci.workflows.report import make_report
from modelci.workflows.results import commit_results
from modelci.workflows.run import run_options, run_pipeline
from modelci.workflows.trust import settle_run

Release = Callable[[Promotion, Report], object]
"""Does what follows the tags, where that is wanted: workflows started, releases published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a CI job came to; ``refused`` is why a promotion, or its release, did not happen."""

    job: Job
    run: Run
    report: Report
    comment: Posting | None = None
    promotion: Promotion | None = None
    refused: ModelCIError | None = None


def run_ci(
    *,
    git: Git,
    pipeline: Pipeline,
    reader: SnapshotReader,
    config: Config,
    context: CIContext,
    forge: Callable[[], Forge],
    records: Callable[[], Forge | None],
    render: Render,
    draw: Draw,
    describe: Describe,
    progress: Progress,
    now: Callable[[], str],
    version: str,
    folder: Path,
    write: bool,
    fixed: Container[str] = (),
    executor: StageExecutor | None = None,
    stored: Callable[[], StoredBytes] | None = None,
    remotes: Callable[[], Sequence[DataRemote]] = tuple,
    tables: Callable[[], Tables] | None = None,
    rescorer: Callable[[], Rescorer] | None = None,
    plots: Callable[[], Plots] | None = None,
    scanner: Callable[[], ModelScanner] | None = None,
    labels: promote.Labels | None = None,
    sign: promote.SignPlanned = promote.sign_nothing,
    release: Release | None = None,
) -> Done:
    """Run, report, and then comment (pull request) or promote (default branch).

    ``fixed`` names settings of ``run`` that no event changes, since a variable gives them.
    ``remotes`` are DVC's: what pull requests push to is not believed on a merge (``trust``).
    ``folder`` receives ``run.json``, ``report.json`` and, on a merge, ``promotion.json``.
    Without ``write`` nothing leaves this machine but data for the DVC remote: another job, which
    runs no user code, comments or promotes from the documents.
    """
    default = git.default_branch(config.default_branch)
    known = config.default_branch or context.default_branch or (default[0] if default else None)
    job = choose_job(context, known)
    settled = settle_run(config, context, releases=job is Job.MERGE, fixed=fixed, remotes=remotes)
    if settled.doubt is not None:
        progress.warn(f"{settled.doubt} `modelci doctor` says what to do.")
    forge = cache(forge)
    subject = _checked(context, job, config) if write else None
    with KeptCheck(subject, forge=forge, describe=describe, progress=progress) as check:
        run = run_pipeline(
            git=git,
            pipeline=pipeline,
            progress=progress,
            now=now,
            version=version,
            options=replace(run_options(settled.run), keep_going=True),
            executor=executor,
            is_needed=False,
        )
        codec.write(run, folder / "run.json")
        if job is Job.MERGE and run.is_ok and config.promote.commit_results:
            _record_results(git, reader, folder)
        report = make_report(
            git=git,
            reader=reader,
            config=config,
            context=context,
            progress=progress,
            now=now,
            version=version,
            run=run,
            pull=settled.run.pull,
            tables=tables,
            rescorer=rescorer if run.is_ok else None,
            plots=plots,
            scanner=scanner,
        )
        if job is Job.PULL_REQUEST and report.is_ok:
            report = _with_outlook(report, git, reader, config, progress, labels=context.labels)
        codec.write(report, folder / "report.json")
        check.conclude(report)
    done = Done(job=job, run=run, report=report)
    if not write:
        return done
    if job is Job.PULL_REQUEST:
        return _comment(
            done,
            number=context.pull_request,
            desk=lambda: Desk(
                forge=forge(),
                settings=config.comment,
                context=context,
                render=render,
                draw=draw,
                progress=progress,
            ),
            progress=progress,
        )
    if job is Job.MERGE:
        return _promote(
            done,
            git=git,
            pipeline=pipeline,
            stored=stored,
            reader=reader,
            config=config,
            context=context,
            records=records,
            labels=labels,
            sign=sign,
            release=release,
            progress=progress,
            folder=folder,
        )
    return done


def _with_outlook(
    report: Report,
    git: Git,
    reader: SnapshotReader,
    config: Config,
    progress: Progress,
    *,
    labels: tuple[str, ...],
) -> Report:
    """Add what the merge would promote; whatever is wrong with that is the merge's to say."""
    try:
        outlook = promote.foresee(
            git=git,
            reader=reader,
            settings=config.promote,
            registry=config.registry,
            labels=labels,
            progress=progress,
        )
    except ModelCIError as error:
        progress.warn(f"What a merge would promote is not known: {error}")
        return report
    return replace(report, on_merge=outlook)


def _record_results(git: Git, reader: SnapshotReader, folder: Path) -> None:
    """Commit what the run wrote, and keep that commit for a promotion in another job."""
    before = git.resolve("HEAD")
    sha = commit_results(git, reader.read(git.work_tree()))
    if sha is not None:
        git.bundle(folder / "results.bundle", sha=sha, since=before.sha)


def _checked(context: CIContext, job: Job, config: Config) -> Subject | None:
    """Return what gets a check: a pull request's head, unless its token cannot write anyway."""
    if job is not Job.PULL_REQUEST or context.from_fork or not config.comment.check:
        return None
    return find_subject(context, config.comment.check) if context.head_sha else None


def _comment(
    done: Done, *, number: int | None, desk: Callable[[], Desk], progress: Progress
) -> Done:
    """Post the report; a forge that refuses costs the comment, never the verdict."""
    if number is None:
        return done
    try:
        ready = desk()
        posted = post(done.report, find_pull_request(ready.forge, ready.context, number), ready)
    except ModelCIError as error:
        progress.warn(f"No comment was posted: {error} {error.hint or ''}".strip())
        return done
    if posted.reason:
        progress.note(f"Comment: {posted.action}. {posted.reason}")
    return replace(done, comment=posted)


def _promote(
    done: Done,
    *,
    git: Git,
    pipeline: Pipeline,
    stored: Callable[[], StoredBytes] | None,
    reader: SnapshotReader,
    config: Config,
    context: CIContext,
    records: Callable[[], Forge | None],
    labels: promote.Labels | None,
    sign: promote.SignPlanned,
    release: Release | None,
    progress: Progress,
    folder: Path,
) -> Done:
    if not done.report.is_ok:
        progress.warn("Not promoted: the verdict says no.")
        return done
    try:
        promotion = promote.promote(
            git=git,
            reader=reader,
            settings=config.promote,
            registry=config.registry,
            report=done.report,
            progress=progress,
            pipeline=lambda: pipeline,
            stored=stored,
            branch=context.branch,
            default_branch=context.branch,
            on_github=context.provider == "github",
            forge=records(),
            labels=labels,
            sign=sign,
        )
    except ModelCIError as error:
        return replace(done, refused=error)
    codec.write(promotion, folder / "promotion.json")
    done = replace(done, promotion=promotion)
    try:
        if release is not None:
            release(promotion, done.report)
    except ModelCIError as error:
        return replace(done, refused=error)
    return done
