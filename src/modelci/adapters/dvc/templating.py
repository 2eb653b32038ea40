"""Fills in ``${…}`` as DVC does: https://dvc.org/doc/user-guide/project-structure/dvcyaml-files.

A ``Context`` holds the values; ``generate_stages`` turns one entry of ``stages:`` into the
stages that it means, ``foreach`` and ``matrix`` included.
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from modelci.adapters.dvc.paths import locate
from modelci.adapters.dvc.shape import ShapeError, Where, kind_of, mapping, sequence, text

_EXPRESSION = re.compile(r"(?<!\\)\$\{(.*?)\}")
_SYNTAX = re.compile(r"[^.\[\]]+(?:\s*\.[^.\[\]]+|\s*\[[^.\[\]]+\s*\])*\s*")
_TOPMOST = "params.yaml"
_COST_OF_A_STAGE = 1_000

LoadVars = Callable[[str], Any]
"""Reads a file of variables by its path; raises KeyError where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a mapping becomes options of a command: DVC's settings ``parsing.bool`` and ``.list``."""

    bools: str = "store_true"
    lists: str = "nargs"


class Budget:
    """How much all templates together may grow to; a few aliases and loops can ask for more."""

    def __init__(self, left: int = 100_000_000) -> None:
        self._left = left

    def spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise ShapeError((), "grows without bounds when its templates are filled in")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What filling in needs beside the values."""

    load: LoadVars
    dialect: Callable[[], Dialect] = Dialect
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, slots=True)
class _Given:
    """A value that came out of the context: DVC spells its booleans as Python does in names."""

    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The values that ``${…}`` may name. ``loaded`` are files, with the keys taken (None: all)."""

    world: World
    values: Mapping[str, Any] = field(default_factory=dict)
    loaded: Mapping[str, tuple[str, ...] | None] = field(default_factory=dict)
    reserved: frozenset[str] = frozenset()

    @classmethod
    def of_file(cls, world: World, folder: str, variables: Any) -> "Context":
        """Return the context of a ``dvc.yaml``: its folder's ``params.yaml``, then ``vars:``."""
        empty = cls(world=world)
        try:
            context = empty._take_file(_TOPMOST, folder, ("vars",))
        except _NoSuchFileError:
            context = empty
        return context.with_vars(variables, folder, ("vars",))

    def with_vars(self, variables: Any, folder: str, where: Where) -> "Context":
        """Return this context and what a ``vars:`` list adds; nothing may be redefined."""
        context = self
        for index, item in enumerate(sequence(variables, where)):
            here = (*where, index)
            _refuse_expressions(item, here)
            if isinstance(item, str):
                context = context._take_file(item, folder, here)
            elif isinstance(item, dict):
                context = context._merge(item, here)  # noqa: SLF001
            else:
                raise ShapeError(here, f"must be a file or a mapping, not {kind_of(item)}")
        return context

    def with_items(self, **items: Any) -> "Context":
        """Return this context with what a loop sets, which then cannot be redefined."""
        return replace(self, values={**self.values, **items}, reserved=frozenset(items))

    def select(self, expression: str, where: Where) -> Any:
        """Return the value that ``a.b[0]`` names."""
        found: Any = self.values
        for step in expression.replace("[", ".").replace("]", "").split("."):
            found = _step(found, step.strip(), expression, where)
        return _plain(found) if isinstance(found, dict | list | tuple) else found

    def resolve(self, value: Any, where: Where, key: str | None = None) -> Any:
        """Return ``value`` with every ``${…}`` filled in, in keys too.

        ``key`` is the field of a stage: in ``cmd`` a mapping may be filled in, as options; in
        other fields only plain values; without a key anything.
        """
        match value:
            case str():
                return self.resolve_text(value, where, key)
            case dict():
                self.world.budget.spend(len(value))
                return {
                    self.resolve(name, where, key): self.resolve(child, (*where, name), key)
                    for name, child in value.items()
                }
            case list():
                self.world.budget.spend(len(value))
                return [
                    self.resolve(child, (*where, index), key) for index, child in enumerate(value)
                ]
            case _:
                return value

    def resolve_text(self, value: str, where: Where, key: str | None = None) -> Any:
        """Fill in a text; one that is a single ``${…}`` keeps the value's type."""
        if "${" not in value:
            self.world.budget.spend(len(value))
            return value
        exact = _exact(value)
        if exact is None:
            return self._fill(value, where, key)
        found = self.select(exact, where)
        _check_kind(found, key, where)
        return found

    def _fill(self, value: str, where: Where, key: str | None) -> str:
        def fill(match: re.Match[str]) -> str:
            found = self.select(match[1], where)
            _check_kind(found, key, where)
            spelt = self._spell(found, where)
            self.world.budget.spend(len(spelt))
            return spelt

        return _EXPRESSION.sub(fill, value).replace(r"\${", "${")

    def _spell(self, value: Any, where: Where) -> str:
        if not isinstance(value, dict):
            return spell(value)
        return " ".join(_options(value, self.world.dialect(), where))

    def _take_file(self, item: str, folder: str, where: Where) -> "Context":
        name, _, selection = item.partition(":")
        keys = tuple(filter(None, selection.split(","))) or None
        path = locate(folder, name).path
        if path is None:
            raise ShapeError(where, f"names {name!r}, which is not in this repository")
        if path in self.loaded:
            if keys is None and self.loaded[path] is None:
                return self
            self._refuse_twice(path, keys, where)
        try:
            content = self.world.load(path)
        except KeyError:
            raise _NoSuchFileError(where, f"names {path}, which does not exist") from None
        taken = self._merge(_choose(content, keys, path, where), where)
        before = self.loaded.get(path) or ()
        return replace(taken, loaded={**self.loaded, path: (*before, *keys) if keys else None})

    def _refuse_twice(self, path: str, keys: tuple[str, ...] | None, where: Where) -> None:
        before = self.loaded[path]
        if before is None or keys is None or set(before) & set(keys):
            raise ShapeError(where, f"takes values from {path}, which are loaded already")

    def _merge(self, values: Mapping[Any, Any], where: Where) -> "Context":
        for name in self.reserved & values.keys():
            raise ShapeError(where, f"sets `{name}`, which the loop sets")
        return replace(self, values=_merged(self.values, values, (), where))


class _NoSuchFileError(ShapeError):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Generated:
    """A stage as written for one item of its loop: its name, fields, folder and origin."""

    name: str
    fields: dict[str, Any]
    folder: str
    where: Where


def generate_stages(
    context: Context, name: str, definition: Any, folder: str
) -> Iterator[Generated]:
    """Yield the stages that the entry ``stages.NAME`` of a file in ``folder`` means."""
    where: Where = ("stages", name)
    fields = mapping(definition, where)
    if "matrix" in fields:
        template = {key: value for key, value in fields.items() if key != "matrix"}
        loop = _matrix_items(context, fields["matrix"], (*where, "matrix"))
        for key, item in loop.items():
            inner = context.with_items(key=key, item=item)
            yield _resolve_stage(inner, f"{name}@{key}", template, folder, where)
    elif "foreach" in fields:
        template = mapping(fields.get("do"), (*where, "do"))
        items, is_mapping = _foreach_items(context, fields["foreach"], (*where, "foreach"))
        for key, item in items.items():
            inner = context.with_items(item=item, **({"key": key} if is_mapping else {}))
            yield _resolve_stage(inner, f"{name}@{key}", template, folder, (*where, "do"))
    else:
        yield _resolve_stage(context, name, fields, folder, where)


def check_syntax(value: Any, where: Where) -> None:
    """Refuse ``${…}`` that cannot be read, wherever it stands in ``value``."""
    match value:
        case str():
            for match in _EXPRESSION.finditer(value) if "${" in value else ():
                if not _SYNTAX.fullmatch(match[1]):
                    raise ShapeError(where, f"holds {match[0]!r}, which cannot be read")
        case dict():
            for key, child in value.items():
                check_syntax(key, where)
                check_syntax(child, (*where, str(key)))
        case list():
            for index, child in enumerate(value):
                check_syntax(child, (*where, index))


def spell(value: Any) -> str:
    """Return a value as DVC writes it into a text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _resolve_stage(
    context: Context, name: str, template: Mapping[str, Any], folder: str, where: Where
) -> Generated:
    context.world.budget.spend(_COST_OF_A_STAGE)
    check_syntax(template, where)
    wdir = template.get("wdir")
    if wdir:
        wdir = spell(context.resolve_text(text(wdir, (*where, "wdir")), (*where, "wdir"), "wdir"))
        folder = posixpath.join(folder, wdir)
    if template.get("vars"):
        context = context.with_vars(template["vars"], folder, (*where, "vars"))
    fields = {
        key: context.resolve(value, (*where, key), key)
        for key, value in template.items()
        if key != "vars"
    }
    return Generated(name=name, fields=fields, folder=folder, where=where)


def _foreach_items(context: Context, data: Any, where: Where) -> tuple[dict[str, Any], bool]:
    items = _loop_values(context, data, where)
    if isinstance(items, dict):
        return {spell(key): _value(item) for key, item in items.items()}, True
    if any(isinstance(_value(item), dict | list) for item in items):
        return {str(index): _value(item) for index, item in enumerate(items)}, False
    return {_name(item): _value(item) for item in items}, False


def _matrix_items(context: Context, data: Any, where: Where) -> dict[str, dict[str, Any]]:
    check_syntax(data, where)
    axes = {
        axis: list(_loop_values(context, values, (*where, axis)))
        for axis, values in mapping(data, where).items()
    }
    items = {}
    for combination in product(*(enumerate(values) for values in axes.values())):
        context.world.budget.spend(_COST_OF_A_STAGE)
        chosen = dict(zip(axes, combination, strict=True))
        key = "-".join(
            f"{axis}{index}" if isinstance(_value(item), dict | list) else _name(item)
            for axis, (index, item) in chosen.items()
        )
        items[key] = {axis: _value(item) for axis, (_, item) in chosen.items()}
    return items


def _loop_values(context: Context, data: Any, where: Where) -> dict[Any, Any] | list[Any]:
    """Return what a loop runs over; what ``${…}`` gave is wrapped in _Given."""
    check_syntax(data, where)
    match data:
        case str():
            found = context.resolve_text(data, where)
            if isinstance(found, list):
                return [_Given(item) for item in found]
        case dict():
            found = {
                context.resolve(key, where): context.resolve(value, (*where, str(key)))
                for key, value in data.items()
            }
        case list():
            found = [
                _Given(context.resolve_text(item, (*where, index)))
                if isinstance(item, str) and _exact(item) is not None
                else context.resolve(item, (*where, index))
                for index, item in enumerate(data)
            ]
        case _:
            found = data
    if not isinstance(found, dict | list):
        raise ShapeError(where, f"must be a list or a mapping, not {kind_of(found)}")
    return found


def _exact(value: str) -> str | None:
    """Return the expression of a text that is nothing but one ``${…}``."""
    found = _EXPRESSION.fullmatch(value)
    return found[1] if found and "}" not in found[1] else None


def _value(item: Any) -> Any:
    return item.value if isinstance(item, _Given) else item


def _name(item: Any) -> str:
    return str(item.value) if isinstance(item, _Given) else spell(item)


def _step(found: Any, step: str, expression: str, where: Where) -> Any:
    try:
        if isinstance(found, Mapping):
            return found[step]
        if isinstance(found, list | tuple):
            return found[int(step)]
    except (LookupError, ValueError):
        pass
    raise ShapeError(where, f"names ${{{expression}}}, which is not set")


def _plain(value: Any) -> Any:
    # DVC's context knows no other keys than text.
    if isinstance(value, Mapping):
        return {key: _plain(child) for key, child in value.items() if isinstance(key, str)}
    if isinstance(value, list | tuple):
        return [_plain(child) for child in value]
    return value


def _check_kind(value: Any, key: str | None, where: Where) -> None:
    if key is None or not isinstance(value, dict | list):
        return
    if not (isinstance(value, dict) and key == "cmd"):
        raise ShapeError(where, f"takes {kind_of(value)} where only a plain value can stand")


def _options(values: Mapping[str, Any], dialect: Dialect, where: Where) -> Iterator[str]:
    for name, value in _flat(values, "", where):
        match value:
            case True:
                yield f"--{name}"
            case False:
                if dialect.bools == "boolean_optional":
                    yield f"--no-{name}"
            case str():
                yield f"--{name} {shlex.quote(value)}"
            case list():
                yield from _list_option(name, value, dialect, where)
            case _:
                yield f"--{name} {value}"


def _list_option(name: str, values: Sequence[Any], dialect: Dialect, where: Where) -> Iterator[str]:
    if any(isinstance(value, dict | list) for value in values):
        raise ShapeError(where, f"takes a list of lists or mappings for the option `{name}`")
    words = [shlex.quote(value) if isinstance(value, str) else str(value) for value in values]
    if dialect.lists == "append":
        yield from (f"--{name} {word}" for word in words)
    elif words:
        yield f"--{name} {' '.join(words)}"


def _flat(values: Mapping[str, Any], prefix: str, where: Where) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.", where)
        else:
            yield f"{prefix}{key}", value


def _choose(content: Any, keys: tuple[str, ...] | None, path: str, where: Where) -> dict[Any, Any]:
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ShapeError(where, f"takes values from {path}, which holds {kind_of(content)}")
    for key in keys or ():
        if key not in content:
            raise ShapeError(where, f"takes {key!r} from {path}, which does not have it")
    return {key: content[key] for key in keys} if keys else content


def _merged(
    one: Mapping[str, Any], other: Mapping[Any, Any], path: tuple[str, ...], where: Where
) -> dict[str, Any]:
    result = dict(one)
    for key, value in other.items():
        if not isinstance(key, str):
            continue
        if isinstance(result.get(key), dict) and isinstance(value, dict):
            result[key] = _merged(result[key], value, (*path, key), where)
        elif key in result:
            name = ".".join((*path, key))
            raise ShapeError(where, f"sets `{name}`, which is set already")
        else:
            result[key] = value
    return result


def _refuse_expressions(value: Any, where: Where) -> None:
    if any(_EXPRESSION.search(found) for found in _texts(value)):
        raise ShapeError(where, "holds ${…}, which `vars` cannot")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from _texts(key)
            yield from _texts(child)
    elif isinstance(value, list):
        for child in value:
            yield from _texts(child)


def vars_files(data: Any, folder: str) -> set[str]:
    """Return the files that the ``vars:`` lists of a ``dvc.yaml`` name, as far as can be seen.

    Only to read them in one go: what is missed here is read when it is needed.
    """
    found: set[str] = set()
    stages = data.get("stages") if isinstance(data, dict) else None
    entries = [data, *(stages.values() if isinstance(stages, dict) else ())]
    for entry in entries:
        template = entry.get("do", entry) if isinstance(entry, dict) else None
        variables = template.get("vars") if isinstance(template, dict) else None
        if not isinstance(template, dict) or not isinstance(variables, list):
            continue
        wdir = template.get("wdir")
        base = posixpath.join(folder, wdir) if isinstance(wdir, str) else folder
        for item in variables:
            path = locate(base, item.partition(":")[0]).path if isinstance(item, str) else None
            if path is not None:
                found.add(path)
    return found
