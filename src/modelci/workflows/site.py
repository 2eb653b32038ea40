"""``modelci site build``: gather what the registry's site shows, and write its files."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from modelci.config.model import Config
from modelci.domain.events import CIContext
from modelci.domain.history import HistoryPoint, MetricHistory
from modelci.domain.metrics import DirectionResolver, MetricKey, MetricValue, matches
from modelci.domain.registry import (
    ArtifactState,
    Event,
    RegisteredVersion,
    fold_registry,
    list_events,
)
from modelci.domain.site import Model, Site, Web, metric_values, read_message
from modelci.errors import ConfigError, UsageError
from modelci.ports import Git, SnapshotReader
from modelci.workflows.forge import ForgeChoice, choose_forge

MANIFEST = ".modelci-site.json"
"""Names the files that a build wrote, so that the next one removes no others."""

_SCHEMA = "modelci.site/1"
_OURS = re.compile(r"(?:models/[A-Za-z0-9_-][A-Za-z0-9._-]*\.|index\.|registry\.)(?:html|json)")
_MOST_MANIFEST = 64 * 1024 * 1024
_MOST_VERSIONS = 100  # in a sparkline
_MOST_READ = 30  # versions whose metrics are read from their commits
_MOST_METRICS = 20

Metrics = Mapping[MetricKey, MetricValue]


# -- gathering ---------------------------------------------------------------------------------


def gather_site(
    *,
    git: Git,
    reader: SnapshotReader,
    config: Config,
    context: CIContext,
    title: str,
    remote: bool = False,
) -> Site:
    """Return every model that tags speak of (with ``remote`` the remote's) or dvc.yaml declares.

    A version's metrics come from its tag. Where the newest versions' tags name none, as GTO's
    do not, they are read from their commits, of those that are in this clone.
    """
    tags = git.tags(remote=_remote(git) if remote else None)
    states = {state.name: state for state in fold_registry(tags, holder=config.registry.holder)}
    declared = {one.name: one for one in reader.read(git.work_tree()).artifacts}
    events = _by_artifact(list_events(tags))
    measuring = Measuring(git=git, reader=reader, config=config)
    models = (
        Model(
            state=state,
            events=tuple(events.get(state.name, ())),
            artifact=declared.get(state.name),
            metrics=_histories(state, measuring),
        )
        for name in sorted({**states, **declared})
        for state in [states.get(name, ArtifactState(name=name))]
    )
    return Site(
        title=title,
        models=tuple(models),
        web=find_web(git, config, context),
        holder=config.registry.holder,
    )


def _by_artifact(events: Sequence[Event]) -> Mapping[str, list[Event]]:
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event.tag.name.artifact].append(event)
    return found


def _remote(git: Git) -> str:
    remote = git.remote()
    if remote is None:
        raise UsageError(
            "This repository has no remote to read tags from.",
            hint="Leave --remote out, or `git remote add origin URL`.",
        )
    return remote


@dataclass(frozen=True, slots=True, kw_only=True)
class Measuring:
    """What it takes to find metrics."""

    git: Git
    reader: SnapshotReader
    config: Config


def find_web(git: Git, config: Config, context: CIContext) -> Web | None:
    """Return where people look at the repository, or None where nothing tells."""
    try:
        choice = choose_forge(config.forge, context, git.remote_url())
    except ConfigError:
        return None
    if choice.kind == "local" or not choice.repository:
        return None
    is_here = choice.kind == context.provider and choice.repository == context.repository
    server = (context.server_url if is_here else None) or _server(choice)
    return Web(
        kind=choice.kind,
        root=f"{server.rstrip('/')}/{choice.repository}",
        releases=config.promote.releases,
    )


def _server(choice: ForgeChoice) -> str:
    """Return where people look at what an API is of: without ``/api/v3``, or ``api.``."""
    root = re.sub(r"/api/v\d+/?$", "", choice.api_url)
    return re.sub(r"^(https?://)api\.", r"\1", root) if root == choice.api_url else root


# -- metrics over versions ---------------------------------------------------------------------


def _histories(state: ArtifactState, measuring: Measuring) -> tuple[MetricHistory, ...]:
    active = [one for one in state.versions if one.active][:_MOST_VERSIONS]
    found: dict[str, Metrics] = {
        one.tag: metric_values(read_message(one.message)) for one in active
    }
    known = list(dict.fromkeys(key for metrics in found.values() for key in metrics))
    found |= _read_metrics([one for one in active[:_MOST_READ] if not found[one.tag]], measuring)
    keys = (known or _telling(found, state.name, measuring.config))[:_MOST_METRICS]
    direction = DirectionResolver(measuring.config.metrics)
    return tuple(
        MetricHistory(
            key=key,
            direction=direction(key),
            points=tuple(_point(one, found[one.tag].get(key)) for one in reversed(active)),
        )
        for key in keys
    )


def _point(one: RegisteredVersion, value: MetricValue | None) -> HistoryPoint:
    return HistoryPoint(sha=one.commit, name=f"v{one.version}", seconds=one.seconds, value=value)


def _read_metrics(
    versions: Sequence[RegisteredVersion], measuring: Measuring
) -> Iterator[tuple[str, Metrics]]:
    """Yield the metrics of versions whose commits are here, by tag."""
    here = [one for one in versions if measuring.git.has(one.commit)]
    if not here:
        return
    trees = (measuring.git.tree(one.commit) for one in here)
    for one, metrics in zip(here, measuring.reader.metrics(trees), strict=True):
        if not isinstance(metrics, ConfigError):
            yield one.tag, metrics


def _telling(found: Mapping[str, Metrics], name: str, config: Config) -> list[MetricKey]:
    """Return the metrics to show of all that commits hold: gated ones, else all.

    Of an artifact in a folder only that folder's.
    """
    folder, colon, _ = name.partition(":")
    every = dict.fromkeys(key for metrics in found.values() for key in metrics)
    own = sorted(key for key in every if not colon or key.path.startswith(f"{folder}/"))
    patterns = dict.fromkeys(gate.metric for gate in config.all_gates())
    gated = [key for pattern in patterns for key in own if matches(pattern, key)]
    return list(dict.fromkeys(gated)) or own


# -- writing -----------------------------------------------------------------------------------


def write_site(folder: Path, files: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write a site's files into a folder, and remove those of the build before.

    Files of others are left alone. A folder that no build of ours wrote must be empty (but for
    ``.git``), unless ``force``: then files of the same names are replaced. Whoever reads the
    folder meanwhile sees each file whole; a build cut short is simply run again.
    """
    try:
        _write(folder, files, force=force)
    except OSError as error:
        raise UsageError(
            f"{error.filename2 or error.filename or folder} cannot be written: {error.strerror}.",
            hint="Name another folder with --out.",
        ) from error


def _write(folder: Path, files: Mapping[str, bytes], *, force: bool) -> None:
    former = _former(folder)
    _require_ours(folder, former, files, force=force)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as room:
        new = Path(room) / "site"
        for path, data in {**files, MANIFEST: _manifest(files)}.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(data)
        if not folder.exists():
            new.rename(folder)
            return
        # Should we be stopped on the way, the next build still knows all that is ours.
        both = Path(room) / MANIFEST
        both.write_bytes(_manifest([*files, *(former or ())]))
        both.replace(folder / MANIFEST)
        # The index comes last but for the manifest: what it links to is there by then.
        for path in sorted(files, key=lambda path: "/" not in path):
            (folder / path).parent.mkdir(exist_ok=True)
            (new / path).replace(folder / path)
        for path in (former or frozenset()) - files.keys():
            (folder / path).unlink(missing_ok=True)
        (new / MANIFEST).replace(folder / MANIFEST)


def _former(folder: Path) -> frozenset[str] | None:
    """Return the files that the build before wrote, or None where there was none."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            text = file.read(_MOST_MANIFEST)
    except FileNotFoundError:
        return None
    try:
        found = json.loads(text)
        names = found["files"] if found["schema"] == _SCHEMA else None
        if not isinstance(names, list):
            raise TypeError  # noqa: TRY301 - one message for whatever is wrong
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(
            f"{folder / MANIFEST} is not what `modelci site build` writes.",
            hint="Remove the folder, or name another with --out.",
        ) from error
    # Whoever wrote it, nothing beyond the files that a site has is ever removed.
    return frozenset(one for one in names if isinstance(one, str) and _is_ours(one))


def _is_ours(path: str) -> bool:
    return path == ".nojekyll" or _OURS.fullmatch(path) is not None


def _require_ours(
    folder: Path, former: frozenset[str] | None, files: Mapping[str, bytes], *, force: bool
) -> None:
    for path in (folder / "models", folder / MANIFEST):
        if path.is_symlink():
            raise UsageError(
                f"{path} is a symbolic link, which no build makes.",
                hint="Remove it, or name another folder with --out.",
            )
    if force or not folder.exists():
        return
    if former is None:
        others = [path for path in folder.iterdir() if path.name != ".git"]
    else:
        others = [folder / path for path in files if path not in former]
    taken = next((path for path in sorted(others) if path.exists()), None)
    if taken is not None:
        raise UsageError(
            f"{taken} is there already, and no build of ours wrote it.",
            hint="Name another folder with --out; --force replaces files of the same names.",
        )


def _manifest(paths: Sequence[str] | Mapping[str, bytes]) -> bytes:
    text = json.dumps({"schema": _SCHEMA, "files": sorted(set(paths))}, indent=2)
    return f"{text}\n".encode()
