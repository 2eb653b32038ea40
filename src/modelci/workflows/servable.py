"""Finds the model that `modelci serve` is asked for: a file, an artifact, or a version of one."""

import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from modelci.config.model import Config, ModelConfig
from modelci.domain.artifacts import Artifact
from modelci.domain.provenance import find_tracked
from modelci.domain.registry import fold_registry
from modelci.domain.snapshot import Snapshot
from modelci.domain.tags import Query
from modelci.errors import UsageError
from modelci.ports import FileTree, Git, MissingDataError, SnapshotReader
from modelci.workflows.provenance import find_artifact
from modelci.workflows.revisions import Names, named

Bring = Callable[[FileTree, str], Path]
"""Takes a path from the top of the repository and returns where the file lies on this machine.

Raises MissingDataError where neither the checkout, Git, DVC's cache nor its remote has it.
"""

_GOLDEN = ".golden.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Servable:
    """A model's file on this machine, and what its project says of it."""

    artifact: str
    model: Path
    golden: Path | None
    version: str | None = None
    flavour: str | None = None
    trusted_types: tuple[str, ...] = ()
    allow_pickle: bool = False


def take_file(model: Path) -> Servable:
    """Return a file that no project says anything of, with the golden requests beside it."""
    golden = model.with_suffix(_GOLDEN)
    return Servable(
        artifact=_name(model.name), model=model, golden=golden if golden.is_file() else None
    )


def find_servable(
    name: str | None,
    *,
    here: str,
    git: Git,
    reader: SnapshotReader,
    bring: Bring,
    config: Config,
) -> Servable:
    """Return what a name means: ``NAME``, ``NAME@v1.2.0``, ``NAME#stage``, or a path.

    None means the one artifact that dvc.yaml declares. Paths are given from the folder ``here``.
    Raises UsageError for what means nothing, MissingDataError for files that are not to be had.
    """
    query = Query.parse(name) if name else None
    if name and query and (query.version or query.stage):
        return _find_version(name, query, git=git, reader=reader, bring=bring, config=config)
    tree = git.work_tree()
    snapshot = reader.read(tree)
    chosen = _choose(name, here, snapshot.artifacts)
    if name is not None and _is_bare(name):
        _require_known(chosen, snapshot, tree)
    return _bring(chosen, tree, bring=bring, config=config)


def _name(file: str) -> str:
    return file.split(".", 1)[0] or "model"


def _choose(name: str | None, here: str, artifacts: tuple[Artifact, ...]) -> Artifact:
    known = ", ".join(one.name for one in artifacts) or "none"
    if name is None:
        if len(artifacts) == 1:
            return artifacts[0]
        raise UsageError(
            "Which model? dvc.yaml does not declare just one artifact.",
            hint=f"Name one of: {known}. Or give a model's file.",
        )
    path = posixpath.normpath(posixpath.join(here, name))
    named_so = [one for one in artifacts if one.name == name]
    lying_there = [one for one in artifacts if one.path == path]
    plain = Artifact(name=_name(posixpath.basename(path)), path=path)
    return (*named_so, *lying_there, plain)[0]


def _is_bare(name: str) -> bool:
    """Whether it looks like an artifact's name and no file's."""
    return "/" not in name and "." not in name


def _require_known(chosen: Artifact, snapshot: Snapshot, tree: FileTree) -> None:
    known = [one.name for one in snapshot.artifacts]
    is_file = chosen.path in tree.paths() or find_tracked(snapshot, chosen.path) is not None
    if chosen.name in known or is_file:
        return
    near = get_close_matches(chosen.name, known, n=1)
    meant = f"Did you mean {near[0]!r}? " if near else ""
    raise UsageError(
        f"dvc.yaml declares no artifact {chosen.name!r}, and there is no such file.",
        hint=f"{meant}There are: {', '.join(known) or 'none'}.",
    )


def _find_version(
    name: str,
    query: Query,
    *,
    git: Git,
    reader: SnapshotReader,
    bring: Bring,
    config: Config,
) -> Servable:
    holder = config.registry.holder
    names = Names(holder=holder, asking_remote="`git fetch --tags` brings the remote's.")
    commit = named(git, name, names).sha or ""
    states = fold_registry(git.tags([query.artifact]), holder=holder)
    version = states[0].version_at(commit) if states else None
    tree = git.tree(commit)
    artifact = find_artifact(reader.read(tree), query.artifact)
    label = f"v{version.version}" if version else commit[:7]
    return _bring(artifact, tree, bring=bring, config=config, version=label)


def _bring(
    artifact: Artifact, tree: FileTree, *, bring: Bring, config: Config, version: str | None = None
) -> Servable:
    settings = config.models.get(artifact.name, ModelConfig())
    return Servable(
        artifact=artifact.name,
        model=bring(tree, artifact.path),
        golden=_bring_golden(artifact, settings, tree, bring),
        version=version,
        flavour=settings.flavour,
        trusted_types=config.safety.trusted_types,
        allow_pickle=artifact.name in config.safety.allow_pickle,
    )


def _bring_golden(
    artifact: Artifact, settings: ModelConfig, tree: FileTree, bring: Bring
) -> Path | None:
    """Return the golden requests: those that are configured must be there, others may."""
    if settings.golden is not None:
        return bring(tree, settings.golden)
    try:
        return bring(tree, str(PurePosixPath(artifact.path).with_suffix(_GOLDEN)))
    except MissingDataError:
        return None
