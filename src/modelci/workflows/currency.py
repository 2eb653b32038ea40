"""Whether a report is of what is here: its verdict must not speak for other files."""

from collections.abc import Iterable
from hashlib import sha256

from modelci.config.load import FILE, load
from modelci.config.model import Config
from modelci.domain.report import Report, Revision
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError
from modelci.ports import FileTree, Git, SnapshotReader


def require_current(report: Report, *, git: Git, reader: SnapshotReader) -> None:
    """Raise ConfigError unless the report is of this commit and the files that are here."""
    head = git.head()
    sha = head.sha if head else None
    if report.head.sha != sha:
        raise _old(report.head, f"checked out is {_short(sha)}")
    tree = git.work_tree()
    if report.state != fingerprint(reader.read(tree), tree):
        raise _old(report.head, "metrics, parameters, data or settings are others now")


def fingerprint(snapshot: Snapshot, tree: FileTree) -> str:
    """Return a SHA-256 of what a report is made from: one of other numbers or files differs.

    Files that no stage, metric or setting names do not count: a report may be written among them.
    """
    parts = (
        _sorted(snapshot.metrics.items()),
        _sorted(snapshot.texts.items()),
        _sorted(snapshot.params.items()),
        _sorted(snapshot.tracked.items()),
        _sorted(snapshot.locks.items()),
        _sorted(snapshot.stale.items()),
        sorted(map(repr, snapshot.artifacts)),
        [(path, tree.blob_id(path)) for path in _judged(snapshot, tree)],
    )
    return sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _judged(snapshot: Snapshot, tree: FileTree) -> list[str]:
    """Return the files in Git that are judged, or say how: of others dvc.lock has the hash."""
    paths = {FILE, *(one.path for one in snapshot.artifacts)}
    try:
        config = load(tree.read([FILE]).get(FILE)).config
    except ConfigError:  # a report is made by the base's, or refused
        config = Config()
    paths.update(one.predictions for one in config.evaluation)
    paths.update(path for one in config.data for path in (one.path, *one.disjoint_from))
    in_dvc = {path for path, one in snapshot.tracked.items() if not one.in_git}
    return sorted((paths & set(tree.paths())) - in_dvc)


def _sorted(values: Iterable[tuple[object, object]]) -> list[tuple[str, str]]:
    return sorted((repr(key), repr(value)) for key, value in values)


def _old(head: Revision, why: str) -> ConfigError:
    changed = " with changes" if head.dirty else ""
    return ConfigError(
        f"The last report is of {_short(head.sha)}{changed}, and {why}.",
        hint="Run `modelci report`, then `modelci gate`. The verdict of a report that is meant to "
        "be of something else: `modelci gate --report .modelci/report.json`.",
    )


def _short(sha: str | None) -> str:
    return sha[:7] if sha else "no commit"
