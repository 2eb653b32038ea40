"""Reads a ``dvc.yaml``: its stages with all templates filled in, and its other sections."""

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from modelci.adapters.dvc.paths import Ref, locate
from modelci.adapters.dvc.shape import (
    ShapeError,
    Where,
    located,
    mapping,
    optional_text,
    sequence,
    text,
)
from modelci.adapters.dvc.templating import (
    Context,
    Generated,
    World,
    check_syntax,
    generate_stages,
    spell,
)
from modelci.domain.artifacts import Artifact
from modelci.domain.pipeline import PipelineStage

PROJECT_FILE = "dvc.yaml"
DEFAULT_PARAMS = "params.yaml"


class OutKind(StrEnum):
    """The field of a stage that declares an output."""

    OUTS = "outs"
    METRICS = "metrics"
    PLOTS = "plots"


@dataclass(frozen=True, slots=True, kw_only=True)
class Out:
    """An output that a stage declares; one that is not ``cached`` is meant to lie in Git.

    ``flags`` are all that it declares; those of a plot say how to draw it.
    """

    ref: Ref
    kind: OutKind
    cached: bool = True
    type: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamsFile:
    """A file of parameters that a stage depends on: these of its keys, or (none named) all."""

    ref: Ref
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A stage as ``dvc.yaml`` declares it. ``key`` is its name there, ``name`` DVC's address."""

    name: str
    key: str
    file: str
    cmd: str | list[Any]
    deps: tuple[Ref, ...] = ()
    params: tuple[ParamsFile, ...] = ()
    outs: tuple[Out, ...] = ()
    frozen: bool = False
    always_changed: bool = False

    def as_value(self) -> PipelineStage:
        """Return the stage as the domain knows it, in an order that editing does not change."""
        commands = self.cmd if isinstance(self.cmd, list) else [self.cmd]
        return PipelineStage(
            name=self.name,
            cmd=tuple(spell(command) for command in commands),
            deps=tuple(sorted(_shown(dep) for dep in self.deps)),
            params=tuple(sorted(_param_names(self.params))),
            outs=tuple(sorted(_shown(out.ref) for out in self.outs)),
            frozen=self.frozen,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A ``dvc.yaml`` with its templates filled in.

    ``drawn`` are the entries of its top-level ``plots``: an id or a path, and how to draw it.
    """

    file: str
    stages: tuple[Stage, ...] = ()
    metrics: tuple[Ref, ...] = ()
    params: tuple[Ref, ...] = ()
    plots: tuple[Ref, ...] = ()
    drawn: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    artifacts: tuple[tuple[Artifact, Ref], ...] = ()


def read_project(path: str, data: bytes, content: Any, world: World) -> Project:
    """Resolve the parsed ``content`` of a ``dvc.yaml``, or raise ConfigError with line and key."""
    folder = posixpath.dirname(path)
    with located(path, data):
        sections = mapping(content, ())
        context = Context.of_file(world, folder, sections.get("vars"))
        drawn = tuple(_drawn(context, sections.get("plots")))
        return Project(
            file=path,
            stages=tuple(_stages(context, sections.get("stages"), path)),
            metrics=tuple(_refs(context, sections, "metrics", folder)),
            params=tuple(_refs(context, sections, "params", folder)),
            plots=tuple(ref for entry in drawn for ref in _drawn_files(entry, folder)),
            drawn=drawn,
            artifacts=tuple(_artifacts(context, sections.get("artifacts"), folder)),
        )


def _stages(context: Context, section: Any, path: str) -> Iterator[Stage]:
    for name, definition in mapping(section, ("stages",)).items():
        for generated in generate_stages(context, name, definition, posixpath.dirname(path)):
            yield _stage(generated, path)


def _stage(generated: Generated, path: str) -> Stage:
    fields, where, folder = generated.fields, generated.where, generated.folder
    address = generated.name if path == PROJECT_FILE else f"{path}:{generated.name}"
    deps = sequence(fields.get("deps"), (*where, "deps"))
    return Stage(
        name=address,
        key=generated.name,
        file=path,
        cmd=_command(fields.get("cmd"), (*where, "cmd")),
        deps=tuple(
            locate(folder, text(dep, (*where, "deps", index))) for index, dep in enumerate(deps)
        ),
        params=tuple(_params(fields.get("params"), folder, (*where, "params"))),
        outs=tuple(
            out
            for kind in OutKind
            for out in _outs(fields.get(kind.value), kind, folder, (*where, kind.value))
        ),
        frozen=fields.get("frozen") is True,
        always_changed=fields.get("always_changed") is True,
    )


def _command(value: Any, where: Where) -> str | list[Any]:
    if isinstance(value, list) and value:
        for index, command in enumerate(value):
            if isinstance(command, dict | list) or command is None:
                raise ShapeError((*where, index), "must be text")
        return value
    if value is None:
        raise ShapeError(where, "is missing: a stage needs a command")
    return text(value, where)


def _params(value: Any, folder: str, where: Where) -> Iterator[ParamsFile]:
    """Merge the entries of ``params:`` by file, as DVC does: all of a file takes in its keys."""
    chosen: dict[str, list[str]] = {}
    whole = set()
    for index, item in enumerate(sequence(value, where)):
        here = (*where, index)
        if not isinstance(item, dict):
            chosen.setdefault(DEFAULT_PARAMS, []).append(text(item, here))
            continue
        for file, keys in mapping(item, here).items():
            names = [text(key, (*here, file)) for key in sequence(keys, (*here, file))]
            chosen.setdefault(file, []).extend(names)
            if not names:
                whole.add(file)
    for file, names in chosen.items():
        keys = () if file in whole else tuple(dict.fromkeys(names))
        yield ParamsFile(ref=locate(folder, file), keys=keys)


def _outs(value: Any, kind: OutKind, folder: str, where: Where) -> Iterator[Out]:
    declared: dict[str, dict[str, Any]] = {}
    for index, item in enumerate(sequence(value, where)):
        here = (*where, index)
        if not isinstance(item, dict):
            declared.setdefault(text(item, here), {})
            continue
        for path, flags in mapping(item, here).items():
            declared.setdefault(path, {}).update(_flags(flags, (*here, path)))
    for path, flags in declared.items():
        yield Out(
            ref=locate(folder, path),
            kind=kind,
            cached=bool(flags.get("cache", True)),
            type=optional_text(flags.get("type"), (*where, path, "type")),
            flags=flags,
        )


def _flags(value: Any, where: Where) -> dict[str, Any]:
    # One plot file may be drawn several ways; how it is kept, the first of them says.
    return mapping(value[0] if isinstance(value, list) and value else value, where)


def _refs(context: Context, sections: Mapping[str, Any], name: str, folder: str) -> Iterator[Ref]:
    for index, item in enumerate(sequence(sections.get(name), (name,))):
        where = (name, index)
        yield locate(folder, text(_resolved(context, item, where), where))


def _drawn(context: Context, section: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the entries of top-level ``plots:``, which may be a list or one mapping."""
    items = [section] if isinstance(section, dict) else sequence(section, ("plots",))
    for index, item in enumerate(items):
        found = _resolved(context, item, ("plots", index))
        for name, how in found.items() if isinstance(found, dict) else [(found, None)]:
            if isinstance(name, str) and name:
                yield name, how if isinstance(how, dict) else {}


def _drawn_files(entry: tuple[str, Mapping[str, Any]], folder: str) -> Iterator[Ref]:
    """Yield the files that an entry draws: its name may be one, and its ``x`` and ``y``."""
    name, how = entry
    axes = [axis for axis in (how.get("x"), how.get("y")) if isinstance(axis, dict)]
    for file in (name, *(file for axis in axes for file in axis)):
        if isinstance(file, str) and file:
            yield locate(folder, file)


def _artifacts(context: Context, section: Any, folder: str) -> Iterator[tuple[Artifact, Ref]]:
    for written, value in mapping(section, ("artifacts",)).items():
        where = ("artifacts", written)
        name = text(_resolved(context, written, where), where)
        fields = mapping(_resolved(context, value, where), where)
        ref = locate(folder, text(fields.get("path"), (*where, "path")))
        labels = sequence(fields.get("labels"), (*where, "labels"))
        meta = fields.get("meta")
        artifact = Artifact(
            name=f"{folder}:{name}" if folder else name,
            path=_shown(ref),
            type=optional_text(fields.get("type"), (*where, "type")),
            desc=optional_text(fields.get("desc"), (*where, "desc")),
            labels=tuple(text(label, (*where, "labels")) for label in labels),
            meta=mapping(meta, (*where, "meta")) if isinstance(meta, dict) else {},
        )
        yield artifact, ref


def _resolved(context: Context, value: Any, where: Where) -> Any:
    check_syntax(value, where)
    return context.resolve(value, where)


def _param_names(files: tuple[ParamsFile, ...]) -> Iterator[str]:
    for file in files:
        path = _shown(file.ref)
        yield from (f"{path}:{key}" for key in file.keys) if file.keys else (path,)


def _shown(ref: Ref) -> str:
    return ref.path or ref.written
