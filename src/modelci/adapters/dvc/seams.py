"""Every place where we reach behind DVC's public names; tests/contract/test_dvc_seams.py guards it.

One of them is *replaced*: ``dvc.stage.run.cmd_run``, which runs a stage's commands. ``run_stage``
looks it up in its module for each stage and wraps it in ``unlocked_repo``, which lets go of the
repository's lock (and drops what ``Repo`` has cached) while the command runs. The others are only
called. All decisions (has it changed? is it in the run cache?) and all writing stay DVC's own.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dvc.repo
import dvc.repo.reproduce
import dvc.stage.cache
import dvc.stage.run
from dvc.dependency import ParamsDependency
from dvc.env import DVC_ROOT, DVC_STAGE
from dvc.stage.exceptions import StageCmdFailedError
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils import fix_env

RunCommands = Callable[[Any], None]
"""Runs all commands of a DVC stage; raises ``command_failed(...)`` if one fails."""


@contextmanager
def commands_run_by(run: RunCommands) -> Iterator[None]:
    """Inside, DVC hands each stage whose commands are to run to ``run``; for the whole process."""
    original = dvc.stage.run.cmd_run

    def cmd_run(stage: Any, dry: bool = False, run_env: object = None) -> None:  # noqa: ARG001, FBT001, FBT002
        # Dry runs and `run_env` belong to `dvc repro --dry` and `dvc exp`, which we never start.
        run(stage)

    dvc.stage.run.cmd_run = cmd_run
    try:
        yield
    finally:
        dvc.stage.run.cmd_run = original


def command_failed(command: str, exit_code: int) -> Exception:
    """Return what DVC itself raises when a stage's command fails."""
    error: Exception = StageCmdFailedError(command, exit_code)
    return error


def shell_commands(stage: Any, shell: str | None) -> list[tuple[str, list[str]]]:
    """Return the stage's commands, each as written and as an argument list for ``shell``.

    DVC runs each line of a multi-line ``cmd``, and each item of a list, in a shell of its own that
    reads no start-up files.
    """
    return [
        (command, dvc.stage.run._make_cmd(shell or "/bin/sh", command))  # noqa: SLF001
        for command in dvc.stage.run._enforce_cmd_list(stage.cmd)  # noqa: SLF001
    ]


def stage_environment(stage: Any, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the stage's commands see: ``environment`` as DVC would hand it on."""
    fixed: dict[str, str] = fix_env(dict(environment))  # undoes what pyenv's shims did to PATH
    return {DVC_ROOT: stage.repo.root_dir, **fixed, DVC_STAGE: stage.addressing}


@contextmanager
def reproducing(repo: Any) -> Iterator[None]:
    """Hold the repository as ``Repo.reproduce`` does: locked, and with Git told at the end.

    That is, on success: new outputs stay in .gitignore, and ``core.autostage`` stages files. On an
    ``Exception`` DVC takes this run's lines out of .gitignore again and stages nothing.
    """
    with dvc.repo.lock_repo(repo), repo.scm_context():
        yield


@contextmanager
def locked(repo: Any) -> Iterator[None]:
    """Hold the repository's lock; inside, DVC's ``@locked`` methods do not take it again."""
    with dvc.repo.lock_repo(repo):
        yield


def collect(repo: Any, targets: list[str]) -> tuple[list[Any], Any]:
    """Return the stages that ``dvc repro TARGETS`` would visit, in its order, and their graph.

    An edge of the graph leads from a stage to one whose output it reads; frozen stages have none.
    No targets mean all pipelines (``dvc repro --all-pipelines``).
    """
    stages = dvc.repo.reproduce.collect_stages(repo, targets) if targets else []
    graph = dvc.repo.reproduce.get_active_graph(repo.index.graph)
    return dvc.repo.reproduce.plan_repro(graph, stages), graph


def recorded_run(stage: Any) -> Any | None:
    """Return the past run that DVC would restore instead of running ``stage``, as a stage.

    This is ``StageCache.restore`` up to where it writes, but for dependencies as they are now:
    ``dry=True`` would go by what the lock file says of them. The run cache's entry must be here,
    and all outputs in the cache. Changes ``stage`` (its dependencies' hashes), as ``restore`` does.
    """
    cache = stage.repo.stage_cache
    is_locked = not stage.changed_stage() and all(item.hash_info for item in stage.outs)
    for dep in stage.deps:
        hash_info = dep.get_hash()
        is_locked = is_locked and dep.hash_info == hash_info
        if dep.hash_info != hash_info:
            dep.hash_info = hash_info
            if not isinstance(dep, ParamsDependency):
                dep.meta = dep.get_meta()
    if not dvc.stage.cache._can_hash(stage):  # noqa: SLF001
        return None
    entry = to_single_stage_lockfile(stage) if is_locked else cache._load(stage)  # noqa: SLF001
    if not entry:
        return None
    found = cache._create_stage(entry, wdir=stage.wdir)  # noqa: SLF001
    return found if found.outs_cached() else None
