"""``modelci report``: what a change does to the model, judged by the base's gates."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import accumulate

from modelci.config.edits import judging_edits
from modelci.config.load import FILE, load
from modelci.config.model import Config
from modelci.domain.changes import FileChange, diff_tracked, diff_values
from modelci.domain.events import CIContext
from modelci.domain.gates import judge_all, on_the_same_rows
from modelci.domain.metrics import MetricDelta, diff_metrics
from modelci.domain.pipeline import Run, diff_stages
from modelci.domain.plots import Gallery
from modelci.domain.report import Report, Revision, diff_gates
from modelci.domain.snapshot import Snapshot
from modelci.domain.waivers import diff_waivers, notes_on, waive
from modelci.errors import ConfigError
from modelci.ports import (
    FileTree,
    Git,
    ModelScanner,
    Plots,
    Progress,
    Rescorer,
    SnapshotReader,
    Tables,
)
from modelci.workflows.budgets import judge_budgets, measure_sizes
from modelci.workflows.currency import fingerprint
from modelci.workflows.findings import Findings, Sides
from modelci.workflows.history import gather_history
from modelci.workflows.revisions import Names, choose_base, name_head, promoted_artifacts

_MOST_STALE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Everything that a report is made from."""

    base: Revision | None
    head: Revision
    files: tuple[FileChange, ...]
    judging: Config
    proposed: Config
    notes: Sequence[str]
    sides: Sides

    @property
    def metrics(self) -> tuple[MetricDelta, ...]:
        """Return both sides' metrics; which is better is said by the judging configuration."""
        return diff_metrics(
            self.sides.before.metrics, self.sides.after.metrics, self.judging.metrics
        )


def make_report(
    *,
    git: Git,
    reader: SnapshotReader,
    config: Config,
    context: CIContext,
    progress: Progress,
    now: Callable[[], str],
    version: str,
    base: str | None = None,
    head: str | None = None,
    pull: bool = False,
    remote_tags: bool = False,
    run: Run | None = None,
    tables: Callable[[], Tables] | None = None,
    rescorer: Callable[[], Rescorer] | None = None,
    plots: Callable[[], Plots] | None = None,
    scanner: Callable[[], ModelScanner] | None = None,
) -> Report:
    """Compare two revisions (default: the merge base and the work tree) and judge the change.

    ``config`` is the checkout's own; gates are read anew from both revisions. ``remote_tags`` has
    versions looked up in the remote's tags, not this clone's. Without ``tables`` nothing is judged
    by predictions or data. With a ``rescorer``, which runs the project's code, the base's model may
    be scored anew on the head's test set. Without ``plots``, or where the configuration wants none,
    the report holds no pictures. With a ``scanner`` the head's models are scanned.
    """
    names = Names(holder=config.registry.holder, remote=remote_tags, progress=progress)
    gathered = _gather(
        git, reader, config, context, progress, base=base, head=head, names=names, pull=pull
    )
    report = build_report(
        gathered,
        _find(
            gathered,
            tables=tables,
            rescorer=rescorer,
            scanner=scanner,
            pull=pull,
            progress=progress,
        ),
        head_sha=_shown_sha(gathered.head, context, given=head is not None),
        created=now(),
        version=version,
        run=run,
        run_url=context.run_url,
    )
    report = replace(report, state=_state(gathered, reader, pulled=pull))
    if plots is not None and config.report.plots:
        report = _with_plots(
            report, plots().read(gathered.sides.base, gathered.sides.head, pull=pull)
        )
    if report.base is None or report.base.sha is None:
        return report
    gated = (result.key for result in report.gates if result.key is not None)
    changed = (delta.key for delta in report.metrics if delta.is_changed)
    history = gather_history(git, reader, config, (*gated, *changed), until=report.base.sha)
    return replace(report, history=history)


def _state(gathered: Gathered, reader: SnapshotReader, *, pulled: bool) -> str:
    """Return the head's fingerprint, as one who pulls nothing finds it again."""
    tree = gathered.sides.head
    return fingerprint(reader.read(tree) if pulled else gathered.sides.after, tree)


def _with_plots(report: Report, gallery: Gallery) -> Report:
    return replace(
        report,
        plots=gallery.plots,
        pictures=gallery.pictures,
        notes=(*report.notes, *gallery.notes),
    )


def build_report(
    gathered: Gathered,
    findings: Findings,
    *,
    head_sha: str | None,
    created: str,
    version: str,
    run: Run | None,
    run_url: str | None,
) -> Report:
    """Decide: values in, the report out."""
    before, after, judging = gathered.sides.before, gathered.sides.after, gathered.judging
    metrics = on_the_same_rows(gathered.metrics, findings.grounds)
    judged = (*judge_all(judging.all_gates(), metrics, findings.grounds), *findings.gates)
    today = date.fromisoformat(created[:10])
    names = {result.gate.metric for result in judged} | findings.names
    names |= {gate.metric for gate in judging.all_gates()}
    return Report(
        base=gathered.base,
        head=gathered.head,
        head_sha=head_sha,
        created=created,
        version=version,
        metrics=metrics,
        texts=diff_values(before.texts, after.texts),
        params=diff_values(before.params, after.params),
        stages=diff_stages(before.stages, after.stages),
        data=diff_tracked(before.tracked, after.tracked),
        files=_code(gathered),
        gates=waive(judged, judging.waivers, today),
        gate_changes=diff_gates(judging.all_gates(), gathered.proposed.all_gates()),
        setting_changes=judging_edits(judging, gathered.proposed),
        waiver_changes=diff_waivers(judging.waivers, gathered.proposed.waivers),
        evaluations=findings.evaluations,
        slices=findings.slices,
        fairness=findings.fairness,
        run=run,
        locks=after.locks,
        notes=(
            *gathered.notes,
            *findings.notes,
            *notes_on(judging.waivers, names, today),
            *_stale(after, run),
            *after.notes,
            *_base_notes(before, after),
        ),
        run_url=run_url,
    )


def _gather(
    git: Git,
    reader: SnapshotReader,
    config: Config,
    context: CIContext,
    progress: Progress,
    *,
    base: str | None,
    head: str | None,
    names: Names,
    pull: bool,
) -> Gathered:
    ours = name_head(git, head, names)
    head_tree = git.work_tree() if head is None or ours.sha is None else git.tree(ours.sha)
    proposed = _config_at(head_tree, "the head")
    after = reader.read(head_tree, pull=pull)
    theirs = choose_base(
        git,
        ours,
        context,
        base=base,
        default_branch=config.default_branch,
        artifacts=promoted_artifacts(after, proposed.promote),
        progress=progress,
        names=names,
    )
    base_tree = git.tree(theirs.sha) if theirs and theirs.sha else None
    # What is merged has been reviewed, gates and all: only a proposal is judged by other gates
    # than its own. Else gates that are mended on main would wait for a version to take effect.
    is_merged = theirs is not None and theirs.merged
    judging, notes = (proposed, ()) if is_merged else _judging_config(base_tree, proposed)
    # Some gates are of some pull requests alone, such as those that retrain.
    branch = context.head_branch or git.branch()
    return Gathered(
        base=theirs,
        head=ours,
        files=_changed(git, theirs, ours, worktree=head is None),
        judging=judging.of_branch(branch),
        proposed=proposed.of_branch(branch),
        notes=(*notes, *_untracked(after, head_tree)),
        sides=Sides(
            base=base_tree,
            head=head_tree,
            before=_read_base(reader, base_tree, theirs, pull=pull),
            after=after,
        ),
    )


def _read_base(
    reader: SnapshotReader, tree: FileTree | None, base: Revision | None, *, pull: bool
) -> Snapshot:
    if tree is None or base is None:
        return Snapshot()
    try:
        return reader.read(tree, pull=pull)
    except ConfigError as error:
        raise ConfigError(
            f"The base ({base.name}) cannot be compared with: {error}",
            hint=f"{error.hint or 'Mend it there.'} Or name another base: `modelci report BASE`.",
        ) from error


def _find(
    gathered: Gathered,
    *,
    tables: Callable[[], Tables] | None,
    rescorer: Callable[[], Rescorer] | None,
    scanner: Callable[[], ModelScanner] | None,
    pull: bool,
    progress: Progress,
) -> Findings:
    """Judge by what the judging configuration names beyond metrics files."""
    judging = gathered.judging
    found = Findings()
    if tables is not None and (judging.evaluation or judging.data):
        from modelci.workflows.evidence import find_evidence  # noqa: PLC0415 - it loads pandas

        found = find_evidence(
            gathered.sides,
            judging,
            gathered.metrics,
            tables=tables(),
            rescorer=rescorer() if rescorer else None,
            pull=pull,
            progress=progress,
        )
    sides = gathered.sides
    budgets = judge_budgets(
        judging.budget,
        gathered.metrics,
        measure_sizes(judging.budget, sides.before, sides.base),
        measure_sizes(judging.budget, sides.after, sides.head),
    )
    scanned = _scan(gathered, scanner, pull=pull)
    return replace(
        found,
        gates=(*found.gates, *budgets, *scanned.gates),
        notes=(*found.notes, *scanned.notes),
        names=found.names | scanned.names,
    )


def _scan(
    gathered: Gathered, scanner: Callable[[], ModelScanner] | None, *, pull: bool
) -> Findings:
    """Judge the head's models by whether loading them is safe."""
    if scanner is None or not gathered.sides.after.artifacts:
        return Findings()
    from modelci.workflows.safety import judge_models  # noqa: PLC0415 - few reports need it

    return judge_models(
        gathered.sides.after,
        gathered.sides.head,
        gathered.judging,
        scanner,
        pull=pull,
        proposed=gathered.proposed,
    )


def _untracked(after: Snapshot, tree: FileTree) -> tuple[str, ...]:
    if after.stages or after.tracked or after.metrics or after.params or after.artifacts:
        return ()
    if any(f"/{path}".endswith(("/dvc.yaml", ".dvc")) for path in tree.paths()):
        why = (
            "what there is of metrics cannot be read"
            if after.notes
            else "it names nothing to report on"
        )
        return (f"DVC tracks nothing here: {why}.",)
    return ("DVC tracks nothing here: there is no dvc.yaml and no .dvc file to report on.",)


def _base_notes(before: Snapshot, after: Snapshot) -> tuple[str, ...]:
    """Return what could not be read of the base, unless the head has the same trouble."""
    return tuple(f"In the base: {note}" for note in before.notes if note not in after.notes)


def _judging_config(base: FileTree | None, proposed: Config) -> tuple[Config, Sequence[str]]:
    """Return the base's configuration: a head must not loosen the gates that judge it."""
    if base is None:
        return proposed, ("There is no base: nothing is compared, the gates are the head's own.",)
    if FILE not in base.read([FILE]):
        return proposed, (f"The base has no {FILE}: the gates are the head's own.",)
    try:
        return _config_at(base, "the base"), ()
    except ConfigError as error:
        return proposed, (f"The base's {FILE} cannot be used, the head's own is: {error}",)


def _config_at(tree: FileTree, side: str) -> Config:
    return load(tree.read([FILE]).get(FILE), source=f"{FILE} of {side}").config


def _changed(
    git: Git, base: Revision | None, head: Revision, *, worktree: bool
) -> tuple[FileChange, ...]:
    if base is None or base.sha is None:
        return ()
    return git.changed_files(base.sha, None if worktree else head.sha)


def _code(gathered: Gathered) -> tuple[FileChange, ...]:
    """Leave out what the report shows better elsewhere: metrics, plots and lock files."""
    tracked = {
        path for side in (gathered.sides.before, gathered.sides.after) for path in side.tracked
    }
    locks = gathered.sides.before.locks.keys() | gathered.sides.after.locks.keys()
    return tuple(
        file
        for file in gathered.files
        if file.path not in locks and tracked.isdisjoint(_with_parents(file.path))
    )


def _with_parents(path: str) -> Iterable[str]:
    return accumulate(path.split("/"), "{}/{}".format)


def _stale(after: Snapshot, run: Run | None) -> tuple[str, ...]:
    if run is not None and not run.is_ok:
        return ()  # of course it is; the failed stage is what is to be mended
    if not after.stale:
        return ()
    stages = [f"{name} ({'; '.join(reasons)})" for name, reasons in sorted(after.stale.items())]
    shown = ", ".join(stages[:_MOST_STALE])
    rest = f" and {len(stages) - _MOST_STALE:,} more" if len(stages) > _MOST_STALE else ""
    note = (
        f"dvc.lock is out of date for stage {shown}{rest}: the numbers may be of other code or "
        "data. Run `modelci run` and commit dvc.lock."
    )
    return (note,)


def _shown_sha(head: Revision, context: CIContext, *, given: bool) -> str | None:
    """Return the commit people see: a pull request's own head, not the forge's test merge."""
    if not given and context.sha is not None and head.sha == context.sha:
        return context.head_sha
    return head.sha
