"""Why DVC holds that a stage has changed, in words for people."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dvc.dependency import ParamsDependency

FORCED = "forced"
NEVER_RUN = "never run"
_MOST = 20
_MOST_PATHS = 3
_LONGEST_VALUE = 40


def reasons_to_run(
    stage: Any, upstream: Iterable[Any], *, expected: Mapping[str, Any] | None = None
) -> tuple[str, ...]:
    """Return every reason why ``stage`` is out of date; none if it is not.

    ``expected`` holds hashes, by path, of dependencies that will have been restored by then.
    """
    if is_never_run(stage):
        return (NEVER_RUN,)
    causes = (
        *definition_reasons(stage),
        *dep_reasons(stage, upstream, expected=expected or {}),
    )
    # That a fresh clone lacks outputs is no news where there is a cause to make them anew.
    found = causes or out_reasons(stage)
    if len(found) <= _MOST:
        return found
    return (*found[: _MOST - 1], f"and {len(found) - _MOST + 1} more")


def is_never_run(stage: Any) -> bool:
    """Whether the lock file knows nothing of the stage."""
    items = [*stage.deps, *stage.outs]
    return bool(stage.cmd and items) and not any(item.hash_info for item in items)


def definition_reasons(stage: Any) -> tuple[str, ...]:
    """Return the reasons that lie in the stage's own definition."""
    found = []
    if stage.is_callback or stage.always_changed:
        found.append("always changed")
    if stage.changed_stage():
        found.append("command changed" if stage.cmd else f"{stage.relpath} changed")
    return tuple(found)


def dep_reasons(
    stage: Any, upstream: Iterable[Any], *, expected: Mapping[str, Any], leave: Iterable[Any] = ()
) -> tuple[str, ...]:
    """Return the reasons that lie in dependencies and parameters, except those to ``leave``."""
    if stage.frozen:
        return ()
    makers = list(upstream)
    left = set(map(id, leave))
    texts: list[str] = []
    remade: dict[str, list[str]] = {}
    for dep in stage.deps:
        if id(dep) in left:
            continue
        if isinstance(dep, ParamsDependency):
            texts.extend(_param_texts(dep))
        elif state := _dep_state(dep, expected):
            maker = next(makers_of(dep, makers), None) if state == "changed" else None
            if maker:
                remade.setdefault(maker[0].addressing, []).append(path_of(maker[1]))
            else:
                texts.append(f"dependency {path_of(dep)} {state}")
    upstreams = (f"upstream {name} changed {_listed(paths)}" for name, paths in remade.items())
    return (*texts, *upstreams)


def out_reasons(stage: Any) -> tuple[str, ...]:
    """Return the reasons that lie in outputs."""
    words = {"deleted": "missing", "modified": "changed", "not in cache": "not in the cache"}
    paths: dict[str, list[str]] = {}
    for out in stage.outs:
        for state in out.status().values():
            paths.setdefault(words.get(state, state), []).append(path_of(out))
    return tuple(
        f"{'output' if len(names) == 1 else 'outputs'} {_listed(names)} {state}"
        for state, names in paths.items()
    )


def path_of(item: Any) -> str:
    """Return a dependency's or output's path from the top of the DVC repository."""
    if item.is_in_repo:
        return str(item.repo.fs.relpath(item.fs_path, item.repo.root_dir).replace("\\", "/"))
    return str(item)


def makers_of(dep: Any, stages: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield those of ``stages`` that write (a part of) the dependency, with the output."""
    for stage in stages:
        for out in stage.outs:
            if out.fs.isin_or_eq(dep.fs_path, out.fs_path) or out.fs.isin(out.fs_path, dep.fs_path):
                yield stage, out


def _dep_state(dep: Any, expected: Mapping[str, Any]) -> str | None:
    if dep.fs_path in expected:
        state = "modified" if expected[dep.fs_path] != dep.hash_info else None
    else:
        state = next(iter(dep.status().values()), None)
    if state == "modified" and not dep.hash_info:
        state = "new"
    words = {"deleted": "missing", "modified": "changed", "new": "is new"}
    return words.get(state, state) if state else None


def _listed(paths: list[str]) -> str:
    names = list(dict.fromkeys(paths))
    rest = len(names) - _MOST_PATHS
    return ", ".join(names[:_MOST_PATHS]) + (f" and {rest} more" if rest > 0 else "")


def _param_texts(dep: Any) -> Iterator[str]:
    path = path_of(dep)
    status = dep.status().get(str(dep))
    if not status:
        return
    if isinstance(status, str):
        yield f"{path} missing" if status == "deleted" else f"{path} is new"
        return
    before = dep.hash_info.value or {}
    now = dep.read_params()
    for name, state in status.items():
        if state == "deleted":
            yield f"{path}: {name} is gone"
        elif state == "new":
            yield f"{path}: {name} is new ({_short(now[name])})"
        else:
            for key, old, new in _leaves(name, before[name], now[name]):
                yield f"{path}: {key} changed ({old} → {new})"


def _leaves(name: str, old: object, new: object) -> Iterator[tuple[str, str, str]]:
    """Yield what differs between two values; a stage may depend on a whole group of parameters."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield name, _short(old), _short(new)
        return
    for key in [*new, *(key for key in old if key not in new)]:
        if key not in old:
            yield f"{name}.{key}", "none", _short(new[key])
        elif key not in new:
            yield f"{name}.{key}", _short(old[key]), "none"
        elif old[key] != new[key]:
            yield from _leaves(f"{name}.{key}", old[key], new[key])


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
