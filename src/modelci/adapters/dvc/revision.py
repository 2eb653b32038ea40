"""Loads all of DVC's own files of one revision, and says what they track."""

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from modelci.adapters.dvc.cache import DvcSettings
from modelci.adapters.dvc.contents import Parser
from modelci.adapters.dvc.files import Files, Layout
from modelci.adapters.dvc.lockfile import LockedPath, LockedStage, Source, read_lock, read_source
from modelci.adapters.dvc.paths import Ref, join, parents
from modelci.adapters.dvc.project import DEFAULT_PARAMS, OutKind, Project, Stage, read_project
from modelci.adapters.dvc.shape import located, measure
from modelci.adapters.dvc.templating import Budget, World, vars_files
from modelci.domain.changes import DataKind
from modelci.domain.pipeline import PipelineStage
from modelci.errors import ConfigError

_KINDS = {
    OutKind.OUTS: DataKind.DATA,
    OutKind.METRICS: DataKind.METRICS,
    OutKind.PLOTS: DataKind.PLOTS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Something a stage writes or a ``.dvc`` file tracks; not ``locked`` before the first run."""

    ref: Ref
    kind: DataKind
    in_git: bool
    locked: LockedPath | None
    type: str | None
    writer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """What DVC's files of one revision say; ``locks`` are by ``dvc.yaml`` and stage."""

    projects: tuple[Project, ...]
    sources: tuple[Source, ...]
    locks: Mapping[str, Mapping[str, LockedStage]]
    vars_files: frozenset[str] = field(default_factory=frozenset)

    def stages(self) -> Iterator[tuple[Stage, LockedStage | None]]:
        """Yield every stage with its entry in the lock."""
        for project in self.projects:
            locked = self.locks[project.file]
            for stage in project.stages:
                yield stage, locked.get(stage.key)

    def stage_values(self) -> Iterator[PipelineStage]:
        """Yield the stages as the domain knows them; also ``.dvc`` files that hold a command."""
        for stage, _ in self.stages():
            yield stage.as_value()
        for source in self.sources:
            if source.cmd is not None:
                yield PipelineStage(
                    name=source.file,
                    cmd=(source.cmd,),
                    deps=tuple(sorted(ref.path or ref.written for ref in source.deps)),
                    outs=tuple(sorted(out.ref.path or out.ref.written for out in source.outs)),
                    frozen=source.frozen,
                )

    def outputs(self) -> Iterator[Output]:
        """Yield what DVC tracks."""
        for stage, lock in self.stages():
            for out in stage.outs:
                yield Output(
                    ref=out.ref,
                    kind=_KINDS[out.kind],
                    in_git=not out.cached,
                    locked=lock.outs.get(out.ref.written) if lock else None,
                    type=out.type,
                    writer=f"`{stage.name}` wrote",
                )
        for source in self.sources:
            yield from _source_outputs(source)


def load_revision(
    files: Files,
    layout: Layout,
    parser: Parser,
    settings_of: Callable[[str], DvcSettings],
    *,
    with_locks: bool = True,
) -> Revision:
    """Load every ``dvc.yaml``, ``dvc.lock`` and ``.dvc`` file of ``layout``.

    Lock files are the largest of them; what is left out stands as never run.
    """
    files.prefetch(own_files(layout))
    shared = _Shared(files, parser)
    shared.prefetch(layout.projects)
    projects, sources, locks = [], [], {}
    outs: set[str] = set()
    both = (*layout.projects, *layout.sources)
    for path in sorted(both, key=lambda path: (path.count("/"), path)):
        data = files.get(path)
        # DVC does not look for its files inside of what a stage writes.
        if data is None or any(above in outs for above in parents(path)):
            continue
        if path.endswith(".dvc"):
            source = read_source(path, data)
            sources.append(source)
            outs.update(out.ref.path for out in source.outs if out.ref.path)
        else:
            project = shared.project(path, data, settings_of(path))
            projects.append(project)
            lock = f"{path.removesuffix('.yaml')}.lock"
            locks[path] = _load_lock(files, lock) if with_locks else {}
            refs = [out.ref.path for stage in project.stages for out in stage.outs]
            outs.update(ref for ref in refs if ref)
    return Revision(
        projects=tuple(projects),
        sources=tuple(sources),
        locks=locks,
        vars_files=frozenset(shared.loaded),
    )


def own_files(layout: Layout) -> set[str]:
    """Return what is read of every revision: DVC's files, and the usual variables beside them."""
    beside = (join(posixpath.dirname(path), DEFAULT_PARAMS) for path in layout.projects)
    return {*layout.projects, *layout.locks, *layout.sources, *beside}


class _Shared:
    """What the templates of all files share: parsed variables, and the bound on their growth."""

    def __init__(self, files: Files, parser: Parser) -> None:
        self._files = files
        self._parser = parser
        self._budget = Budget()
        self.loaded: set[str] = set()

    def prefetch(self, projects: Iterable[str]) -> None:
        """Read the variables of all projects in one go."""
        wanted: set[str] = set()
        for path in projects:
            with suppress(ConfigError):  # raised again when its turn comes
                content = self._parser.parse(path, self._files.get(path) or b"")
                wanted |= vars_files(content, posixpath.dirname(path))
        self._files.prefetch(wanted)

    def project(self, path: str, data: bytes, settings: DvcSettings) -> Project:
        content = self._parser.parse(path, data)
        with located(path, data):
            measure(content)
        world = World(load=self._load, dialect=lambda: settings.dialect, budget=self._budget)
        return read_project(path, data, content, world)

    def _load(self, path: str) -> Any:
        data = self._files.get(path)
        if data is None:
            raise KeyError(path)
        content = self._parser.parse(path, data)
        if path not in self.loaded:
            with located(path, data):
                measure(content)
        self.loaded.add(path)
        return content


def _load_lock(files: Files, path: str) -> dict[str, LockedStage]:
    data = files.get(path) if path in files.paths else None
    return {} if data is None else read_lock(path, data)


def _source_outputs(source: Source) -> Iterator[Output]:
    for out in source.outs:
        kind = DataKind.METRICS if out.is_metric else DataKind.DATA
        yield Output(
            ref=out.ref,
            kind=DataKind.PLOTS if out.is_plot else kind,
            in_git=out.in_git,
            locked=out.locked,
            type=out.type,
            writer=f"{source.file} tracks",
        )
