"""Whether what ``monitor:`` asks for can be had: the version, its profile, where windows are kept.

It loads pandas: ``modelci doctor`` comes here only where the configuration watches something.
"""

from collections.abc import Iterator
from importlib.util import find_spec

from modelci.analysis.measures import measures_for
from modelci.config.model import Config, MonitorConfig
from modelci.domain.checks import Check, ok, problem, warning
from modelci.domain.monitoring import ActionKind
from modelci.domain.orders import Order, Wanted, resolve_order
from modelci.domain.snapshot import Snapshot
from modelci.domain.tags import Query
from modelci.domain.wording import counted
from modelci.errors import ModelCIError
from modelci.ports import FileTree, Git, SnapshotReader
from modelci.workflows.watched import name_of, profile_path


def check_monitors(
    config: Config, snapshot: Snapshot, tree: FileTree, *, git: Git, reader: SnapshotReader
) -> Iterator[Check]:
    """Yield what would keep each model from being watched; else that it can be."""
    if find_spec("pyarrow") is None:
        yield problem("monitor", "it reads data with pyarrow, which is not installed", _INSTALL)
    for settings in config.monitor:
        found = [
            *_check_files(settings, snapshot, tree),
            *_check_measures(settings, config),
            *_check_version(settings, config, git, reader),
            *_check_retraining(settings),
        ]
        yield from found or [_ok(settings)]
    if git.remote() is None and any(one.history == "git" for one in config.monitor):
        yield warning(
            "monitor.history",
            "without a Git remote past windows are remembered in this clone alone",
            "`git remote add origin URL`, or `history: FOLDER`.",
        )


_INSTALL = "Run `pip install 'modelci[monitor]'`, here and in the job that watches."


def _name(settings: MonitorConfig) -> str:
    return f"monitor {name_of(settings)}"


def _check_retraining(settings: MonitorConfig) -> Iterator[Check]:
    ours = settings.retrain
    asked = any(one.action is ActionKind.RETRAIN_PR for one in settings.triggers)
    if asked and not (ours.cmd or ours.add or ours.params):
        yield problem(
            _name(settings),
            "a trigger asks for a pull request that retrains, and nothing says what it changes",
            "`retrain: {cmd: python scripts/next_window.py, add: [data/train.csv]}`; see "
            "docs/monitoring.md.",
        )


def _check_files(settings: MonitorConfig, snapshot: Snapshot, tree: FileTree) -> Iterator[Check]:
    """Check that the pipeline makes the model, and its profile with it."""
    model = next((one for one in snapshot.artifacts if one.name == settings.model), None)
    if model is None:
        known = ", ".join(one.name for one in snapshot.artifacts) or "none"
        yield problem(
            _name(settings),
            f"dvc.yaml declares no artifact {settings.model!r} (it declares: {known})",
            "Mend `monitor.model`, or declare it under `artifacts:` in dvc.yaml.",
        )
        return
    path = profile_path(settings, model.path)
    if not _has(snapshot, tree, path):
        yield problem(
            _name(settings),
            f"nothing writes its reference profile, {path}",
            f"Let a stage of dvc.yaml do it: `modelci profile DATA --out {path}`.",
        )


def _has(snapshot: Snapshot, tree: FileTree, path: str) -> bool:
    outs = {out for stage in snapshot.stages for out in stage.outs}
    return path in snapshot.tracked or path in outs or tree.blob_id(path) is not None


def _check_measures(settings: MonitorConfig, config: Config) -> Iterator[Check]:
    tasks = {one.task for one in config.evaluation} if len(config.evaluation) == 1 else set()
    for task in tasks:
        known = measures_for(task)
        for name in settings.performance:
            if name != "estimate" and name not in known:
                yield problem(
                    _name(settings),
                    f"{name} is no measure of {task} predictions",
                    f"Under `monitor.performance` name some of {', '.join(known)}.",
                )


def _check_version(
    settings: MonitorConfig, config: Config, git: Git, reader: SnapshotReader
) -> Iterator[Check]:
    """Check that a version holds the stage, and that its commit has a profile."""
    try:
        order = _find(settings, config, git)
    except ModelCIError as error:
        stage = f" --assign {settings.stage}" if settings.stage else ""
        yield warning(
            _name(settings), f"nothing to watch yet: {error}", f"`modelci promote{stage}`."
        )
        return
    if not git.has(order.commit):
        return  # which is fetched to be watched; a doctor fetches no history
    tree = git.tree(order.commit)
    snapshot = reader.read(tree)
    model = next((one for one in snapshot.artifacts if one.name == settings.model), None)
    if model is None or not _has(snapshot, tree, profile_path(settings, model.path)):
        yield warning(
            _name(settings),
            f"{order.label}, which is to be watched, has no reference profile",
            "Promote a version whose pipeline writes one (`modelci profile`).",
        )


def _find(settings: MonitorConfig, config: Config, git: Git) -> Order:
    tags = git.tags([settings.model]) or git.tags([settings.model], remote=git.remote())
    query = Query(
        settings.model, stage=settings.stage, version=None if settings.stage else "latest"
    )
    wanted = Wanted(artifact=settings.model, query=query)
    return resolve_order(wanted, tags, holder=config.registry.holder)[0]


def _ok(settings: MonitorConfig) -> Check:
    told = f"{settings.current}, {counted(len(settings.triggers), 'trigger')}"
    return ok(_name(settings), told)
