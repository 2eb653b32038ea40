"""The version that is watched: what holds a stage, its reference profile, and its model's file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from modelci.config.model import Config, ModelConfig, MonitorConfig
from modelci.documents import codec
from modelci.domain.golden import Golden
from modelci.domain.monitoring import Watched
from modelci.domain.orders import Order, Wanted, resolve_order
from modelci.domain.profile import Profile
from modelci.domain.registry import TagRecord
from modelci.domain.staleness import DAY
from modelci.domain.tags import Query
from modelci.domain.wording import meant
from modelci.errors import ForgeError, ModelCIError, UsageError
from modelci.ports import FileTree, Git, MissingDataError, SnapshotReader
from modelci.workflows.provenance import find_artifact

Bring = Callable[[FileTree, str], Path]
"""Takes a path from the top of the repository and returns where its bytes lie on this machine.

They are brought by hash, from Git, DVC's cache or its remote; MissingDataError where none has them.
"""

PROFILE, GOLDEN = ".profile.json", ".golden.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the version and its files are looked up; ``remote``: by the remote's tags."""

    git: Git
    reader: SnapshotReader
    bring: Bring
    remote: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What a window is held against; ``model`` is the path of the version's file in ``tree``."""

    watched: Watched
    profile: Profile
    tree: FileTree
    model: str
    notes: tuple[str, ...] = ()


def name_of(settings: MonitorConfig) -> str:
    """Return what is watched as people write it: ``credit#prod``, or ``credit@latest``."""
    return f"{settings.model}#{settings.stage}" if settings.stage else f"{settings.model}@latest"


def choose_monitors(config: Config, names: Sequence[str]) -> tuple[MonitorConfig, ...]:
    """Return the configured monitors that are meant, by model or ``MODEL#STAGE``; () means all."""
    if not config.monitor:
        raise UsageError(
            "Nothing is watched: modelci.yaml has no `monitor`.",
            hint="monitor: {model: credit, stage: prod, current: 'data/scored/{window}.parquet'}; "
            "docs/monitoring.md says the rest.",
        )
    known = ", ".join(map(name_of, config.monitor))
    for name in names:
        if not any(name in {one.model, name_of(one)} for one in config.monitor):
            near = meant(
                name, [*map(name_of, config.monitor), *(one.model for one in config.monitor)]
            )
            raise UsageError(
                f"{name!r} is not watched.", hint=f"{near}modelci.yaml watches {known}."
            )
    return tuple(
        one for one in config.monitor if not names or {one.model, name_of(one)} & set(names)
    )


def find_reference(
    settings: MonitorConfig, config: Config, sources: Sources, *, now: datetime
) -> Reference:
    """Return the version that holds the stage (without one: the latest), and its profile.

    Works in a clone without tags and history: the version's commit is fetched. Raises UsageError
    where there is no such version, and MissingDataError where it has no profile.
    """
    tags = _read_tags(settings.model, sources)
    query = Query(settings.model, stage=settings.stage)
    query = query if settings.stage else query._replace(version="latest")
    order, objections = resolve_order(
        Wanted(artifact=settings.model, query=query), tags, holder=config.registry.holder
    )
    _bring_commit(order, sources.git)
    tree = sources.git.tree(order.commit)
    model = find_artifact(sources.reader.read(tree), settings.model).path
    return Reference(
        watched=_describe(order, settings, tags, now),
        profile=_read_profile(settings, order, tree, model, sources.bring),
        tree=tree,
        model=model,
        notes=tuple(one.message for one in objections),
    )


def profile_path(settings: MonitorConfig, model: str) -> str:
    """Return where the profile of the model at ``model`` is: as configured, else beside it."""
    return settings.profile or str(PurePosixPath(model).with_suffix(PROFILE))


def read_golden(reference: Reference, config: Config, bring: Bring) -> Golden | None:
    """Return the version's golden requests, which know its inputs' types; None: it has none."""
    settings = config.models.get(reference.watched.artifact, ModelConfig())
    path = settings.golden or str(PurePosixPath(reference.model).with_suffix(GOLDEN))
    try:
        return codec.read(Golden, bring(reference.tree, path))
    except MissingDataError:
        return None


def _read_tags(model: str, sources: Sources) -> Sequence[TagRecord]:
    """Return the tags of this clone, or the remote's: where asked, and where this one has none."""
    git = sources.git
    tags = () if sources.remote else git.tags([model])
    remote = git.remote()
    if sources.remote and remote is None:
        raise UsageError(
            "--remote looks up the remote's tags, and this clone has no Git remote.",
            hint="`git remote add NAME URL` adds one; without --remote this clone's tags count.",
        )
    return git.tags([model], remote=remote) if not tags and remote else tags


def _bring_commit(order: Order, git: Git) -> None:
    if git.has(order.commit):
        return
    try:
        git.fetch([order.commit], depth=1 if git.is_shallow() else None)
    except ModelCIError as error:
        raise ForgeError(
            f"The commit {order.commit[:7]} of {order.tag} cannot be had: {error}",
            hint=error.hint or f"git fetch origin tag '{order.tag}'",
        ) from error


def _describe(
    order: Order, settings: MonitorConfig, tags: Sequence[TagRecord], now: datetime
) -> Watched:
    made = next((one.seconds for one in tags if one.tag == order.registration), None)
    return Watched(
        artifact=order.artifact,
        stage=settings.stage,
        version=order.version,
        tag=order.tag,
        commit=order.commit,
        age_days=None if made is None else (now.timestamp() - made) / DAY,
    )


def _read_profile(
    settings: MonitorConfig, order: Order, tree: FileTree, model: str, bring: Bring
) -> Profile:
    path = profile_path(settings, model)
    try:
        return codec.read(Profile, bring(tree, path))
    except MissingDataError as error:
        raise MissingDataError(
            f"{order.artifact} {order.label} has no reference profile: {error}",
            hint=f"Let a stage of the pipeline write it (`modelci profile DATA --out {path}`), and "
            "promote a version that has it; or say where it is: `monitor: {profile: …}`. "
            f"{error.hint or ''}".strip(),
        ) from error
