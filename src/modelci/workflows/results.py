"""What a merge's run writes into Git's files: committed in one job, taken over by the next."""

from collections.abc import Sequence
from pathlib import Path

from modelci.domain.snapshot import Snapshot
from modelci.errors import PromotionError
from modelci.ports import Commit, Git, SnapshotReader
from modelci.workflows.revisions import RESULTS_SUBJECT


def commit_results(git: Git, snapshot: Snapshot) -> str | None:
    """Commit what a run wrote into Git's files, if that differs; return the commit's sha."""
    head = git.resolve("HEAD")
    changed = [file.path for file in git.changed_files(head.sha, None)]
    written = result_paths(changed, snapshot)
    if not written:
        return None
    return git.commit_paths(written, RESULTS_SUBJECT)


def results_commit(git: Git, reader: SnapshotReader, base: Commit, results: Path) -> Commit:
    """Take the run job's commit, if all it changes is what a pipeline may write."""
    commit = git.resolve(git.unbundle(results))
    if commit.sha != base.sha and commit.parents != (base.sha,):
        raise PromotionError(
            f"{results} was made on top of {''.join(commit.parents)[:7] or 'nothing'}, "
            f"not of {base.sha[:7]}.",
            hint="Run the pipeline on the commit that is promoted.",
        )
    snapshot = reader.read(git.tree(commit.sha))
    changed = [file.path for file in git.changed_files(base.sha, commit.sha)]
    foreign = sorted(set(changed) - set(result_paths(changed, snapshot)))
    if foreign:
        raise PromotionError(
            f"{results} changes {', '.join(foreign[:3])}, which no stage writes; it is refused."
        )
    return commit


def result_paths(paths: Sequence[str], snapshot: Snapshot) -> tuple[str, ...]:
    """Return those ``paths`` that a run writes into Git: lock files, metrics, plots, ignores."""
    written = [path for path, file in snapshot.tracked.items() if file.in_git]
    ignores = {f"{path.rpartition('/')[0]}/.gitignore".lstrip("/") for path in snapshot.tracked}
    return tuple(
        path
        for path in paths
        if path in snapshot.locks
        or path in ignores
        or any(path == out or path.startswith(f"{out}/") for out in written)
    )
