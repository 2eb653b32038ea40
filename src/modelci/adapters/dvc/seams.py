"""Every place where we reach behind DVC's public names; tests/contract/test_dvc_seams.py guards it.

*Replaced* while a run lasts (``run_by``), since DVC looks each of them up when it is called:

- ``dvc.stage.run.cmd_run`` runs a stage's commands, and ``dvc.stage.run.unlocked_repo`` lets go of
  the repository's lock around it, and drops what ``Repo`` has cached;
- ``dvc.rwlock.rwlock`` writes which paths are in use to a file, some twenty times for each stage;
- ``parse_yaml``, where ``strictyaml`` and ``serialize`` look it up;
- ``_dump`` prints YAML;
- ``links`` of the repository's state is a database, opened and closed for every output;
- ``dvc.repo.graph.check_acyclic`` walks the graph from every edge;
- ``call`` of fsspec's callback that draws bars, of which DVC's are (only where a terminal watches);
- ``ignore`` and ``is_tracked`` of the repository's Git object.

The others are only called. All decisions (has it changed? is it in the run cache?) and all saving
stay DVC's own; of its writing, ``dvc.lock`` alone is ours (``lockwriter``).
"""

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

import dvc.repo
import dvc.repo.graph
import dvc.repo.reproduce
import dvc.rwlock
import dvc.stage.cache
import dvc.stage.run
import dvc.utils.serialize._yaml
import dvc.utils.strictyaml
import networkx as nx  # type: ignore[import-untyped]
from dvc.dependency import ParamsDependency
from dvc.env import DVC_ROOT, DVC_STAGE
from dvc.fs import localfs
from dvc.stage import PipelineStage
from dvc.stage.exceptions import StageCmdFailedError
from dvc.stage.serialize import to_lockfile, to_single_stage_lockfile
from dvc.utils import fix_env, relpath
from fsspec.callbacks import TqdmCallback
from scmrepo.git import GitWildMatchPattern  # type: ignore[attr-defined]

RunCommands = Callable[[Any], None]
"""Runs all commands of a DVC stage; raises ``command_failed(...)`` if one fails."""


class GitMethods(Protocol):
    """What stands in for methods of DVC's Git object."""

    def is_tracked(self, path: str) -> bool:
        """Whether Git's index holds the file, or something below the folder."""

    def ignore(self, path: str) -> str | None:
        """List the path in its .gitignore; return that file if it was not ignored yet."""


@contextmanager
def commands_run_by(run: RunCommands) -> Iterator[None]:
    """Inside, DVC hands each stage whose commands are to run to ``run``; for the whole process.

    The repository stays locked meanwhile, and what ``Repo`` has cached is kept, apart from what a
    command may well change (``commands_ended``).
    """

    def cmd_run(stage: Any, dry: bool = False, run_env: object = None) -> None:  # noqa: ARG001, FBT001, FBT002
        # Dry runs and `run_env` belong to `dvc repro --dry` and `dvc exp`, which we never start.
        run(stage)

    with (
        _replaced(dvc.stage.run, "cmd_run", cmd_run),
        _replaced(dvc.stage.run, "unlocked_repo", lambda function: function),
    ):
        yield


def commands_ended(repo: Any) -> None:
    """Forget which files DVC ignores: a command may have written a .dvcignore."""
    repo.__dict__.pop("dvcignore", None)


@contextmanager
def yaml_parsed_by(make: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, DVC reads YAML by what ``make`` returns for its own ``parse_yaml``."""
    parse = make(dvc.utils.serialize._yaml.parse_yaml)  # noqa: SLF001
    with (
        _replaced(dvc.utils.serialize._yaml, "parse_yaml", parse),  # noqa: SLF001
        _replaced(dvc.utils.strictyaml, "parse_yaml", parse),
    ):
        yield


@contextmanager
def yaml_printed_by(make: Callable[[Any], Any]) -> Iterator[None]:
    """Inside, DVC prints YAML by what ``make`` returns for its own ``_dump``."""
    yaml = dvc.utils.serialize._yaml  # noqa: SLF001
    with _replaced(yaml, "_dump", make(yaml._dump)):  # noqa: SLF001
        yield


class _KeptOpen:
    """A database whose ``with`` does not close it."""

    def __init__(self, links: Any) -> None:
        self._links = links

    def __enter__(self) -> Any:
        return self._links

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        self._links.close()


@contextmanager
def links_kept_open(state: Any) -> Iterator[None]:
    """Inside, a thread opens the database of links once; ``state.close()`` closes it."""
    with ExitStack() as stack:
        if hasattr(state, "links"):  # else DVC keeps none
            stack.enter_context(_replaced(state, "links", _KeptOpen(state.links)))
        yield


@contextmanager
def graph_checked_once() -> Iterator[None]:
    """Inside, DVC looks for circles in a time that grows with the edges, not with their square."""
    find = dvc.repo.graph.check_acyclic

    def check_acyclic(graph: Any) -> None:
        if not nx.is_directed_acyclic_graph(graph):
            find(graph)  # and says which stages they are

    with _replaced(dvc.repo.graph, "check_acyclic", check_acyclic):
        yield


@contextmanager
def paths_claimed_by(rwlock: Any) -> Iterator[None]:
    """Inside, DVC claims the paths that a stage reads and writes by ``rwlock``."""
    with _replaced(dvc.rwlock, "rwlock", rwlock):
        yield


@contextmanager
def git_asked_by(scm: Any, methods: GitMethods) -> Iterator[None]:
    """Inside, these methods of the repository's Git object are ``methods``'."""
    with ExitStack() as stack:
        if hasattr(scm, "backends"):  # else there is no Git
            stack.enter_context(_replaced(scm, "is_tracked", methods.is_tracked))
            stack.enter_context(_replaced(scm, "ignore", methods.ignore))
        yield


@contextmanager
def bars_drawn_by(bar: type) -> Iterator[None]:
    """Inside, the bars of DVC's transfers and checkouts are ``bar``s; for the whole process."""

    def call(self: Any, *_: object, **__: object) -> None:
        # Not its class of bars: modules that are loaded meanwhile derive their own from that.
        if self.tqdm is None:
            self.tqdm = bar(total=self.size, **self._tqdm_kwargs)
        self.tqdm.total = self.size
        self.tqdm.update(self.value - self.tqdm.n)

    with _replaced(TqdmCallback, "call", call):
        yield


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Iterator[None]:
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)


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


def collect(repo: Any, target: str) -> list[Any]:
    """Return the stages that a target names; for all of a dvc.yaml, those of the index."""
    path = repo.fs.abspath(target)
    if os.path.basename(path) == "dvc.yaml" and repo.fs.exists(path):  # noqa: PTH119
        found = [stage for stage in repo.index.stages if stage.path == path]
        if found:
            return found
    return list(repo.stage.collect(target))


def order(repo: Any, stages: Sequence[Any], *, downstream: bool = False) -> tuple[list[Any], Any]:
    """Return the stages that ``dvc repro`` would visit, in its order, and their graph.

    An edge of the graph leads from a stage to one whose output it reads; frozen stages have none.
    No stages mean all pipelines (``dvc repro --all-pipelines``). This is ``plan_repro`` without its
    walk from each stage, which goes through what others have reached again and again.
    """
    graph = dvc.repo.reproduce.get_active_graph(repo.index.graph)
    return in_order(graph, stages, downstream=downstream), graph


def in_order(graph: Any, sources: Sequence[Any], *, downstream: bool) -> list[Any]:
    """Return what ``dvc.repo.reproduce.plan_repro`` returns."""
    wanted = graph
    if sources:
        wanted = graph.subgraph(_reached(graph, sources, downstream=downstream))
    return list(nx.dfs_postorder_nodes(wanted))


def _reached(graph: Any, sources: Sequence[Any], *, downstream: bool) -> list[Any]:
    neighbours = graph.predecessors if downstream else graph.successors
    found: dict[Any, None] = {}
    seen = set()
    for source in sources:
        if source in seen:
            continue
        seen.add(source)
        path = [(source, iter(neighbours(source)))]
        while path:
            node, following = path[-1]
            step = next((one for one in following if one not in seen), None)
            if step is None:
                found[node] = None
                path.pop()
            else:
                seen.add(step)
                path.append((step, iter(neighbours(step))))
    return list(found)


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


# -- dvc.lock ----------------------------------------------------------------------------------


def is_pipeline_stage(stage: Any) -> bool:
    """Whether the stage is described in a dvc.yaml, and its results in the dvc.lock beside it."""
    return isinstance(stage, PipelineStage)


def lock_path(stage: Any) -> str:
    """Return the path of the stage's dvc.lock."""
    return f"{os.path.splitext(stage.path)[0]}.lock"  # noqa: PTH122


def lock_entry(stage: Any) -> dict[str, Any]:
    """Return what DVC writes to dvc.lock for the stage, by its name."""
    entry: dict[str, Any] = to_lockfile(stage)
    return entry


def track(repo: Any, path: str) -> None:
    """Tell DVC of a file that is new to Git, to be staged where ``core.autostage`` is set."""
    repo.scm_context.track_file(relpath(path))


def print_yaml(content: Any) -> str:
    """Return the text that DVC writes for values."""
    stream = io.StringIO()
    dvc.utils.serialize._yaml._dump(content, stream)  # noqa: SLF001
    return stream.getvalue()


def parse_for_update(text: str, path: str) -> Any:
    """Return values that keep comments, as DVC reads a file that it is about to change."""
    return dvc.utils.serialize._yaml.parse_yaml_for_update(text, path)  # noqa: SLF001


# -- locks -------------------------------------------------------------------------------------


def check_claims(
    tmp_dir: str, cmd: str, read: list[str], write: list[str], *, hardlink: bool
) -> None:
    """Raise DVC's LockError if another process writes what we read, or uses what we write."""
    path = os.path.join(tmp_dir, dvc.rwlock.RWLOCK_FILE)  # noqa: PTH118
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            text = file.read()
    except FileNotFoundError:
        return
    try:
        is_others = _names_others(json.loads(text))
    except ValueError:
        # Whoever writes it has the repository locked, as we have: it was killed while it wrote.
        os.unlink(path)  # noqa: PTH108
        return
    if is_others:
        with _RWLOCK(tmp_dir, localfs, cmd, read, write, hardlink):
            pass


def _names_others(claims: Any) -> bool:
    try:
        known = list(claims.get("write", {}).values())
        known += [one for some in claims.get("read", {}).values() for one in some]
        return any(one["pid"] != os.getpid() for one in known)
    except (TypeError, AttributeError, KeyError):
        return True  # DVC shall say what is wrong with it


@contextmanager
def claimed(repo: Any, read: list[str], write: list[str]) -> Iterator[None]:
    """Claim paths in DVC's file, for other processes to see. Raises DVC's LockError."""
    hardlink = repo.config["core"].get("hardlink_lock", False)
    with _RWLOCK(repo.tmp_dir, localfs, " ".join(sys.argv), read, write, hardlink):
        yield


_RWLOCK = dvc.rwlock.rwlock


# -- Git ---------------------------------------------------------------------------------------


def gitignore_entry(scm: Any, path: str) -> tuple[str, str]:
    """Return the line for a path, unescaped, and the .gitignore it belongs to."""
    found: tuple[str, str] = scm._get_gitignore(path)  # noqa: SLF001
    return found


def escape_pattern(entry: str) -> str:
    """Return the pattern that means just this path."""
    return str(GitWildMatchPattern.escape(entry))


def forget_ignored(scm: Any) -> None:
    """Let Git's object read every .gitignore again."""
    scm._reset()  # noqa: SLF001


def git_index_path(scm: Any) -> str:
    """Return the path of Git's index."""
    return str(scm.dulwich.repo.index_path())


def tracked_paths(scm: Any) -> Iterable[str]:
    """Return every path in Git's index."""
    return [os.fsdecode(path) for path in scm.dulwich.repo.open_index()]
