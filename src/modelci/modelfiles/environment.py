"""The environment that a model was made in: what it needs, and all that this needs."""

import platform
import re
from collections.abc import Iterable
from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    packages_distributions,
)

from modelci.domain.golden import Environment


def describe_environment(needs: Iterable[str]) -> Environment:
    """Return this process's environment, as far as these distributions reach.

    ``packages`` are they and, in turn, all that they require here.
    """
    needed = sorted(set(map(normalize, needs)))
    return Environment(
        python=platform.python_version(), packages=closure(needed), needs=tuple(needed)
    )


def installed(like: Environment) -> Environment:
    """Return this process's environment: the versions of the packages that another one had."""
    found = {name: _version(name) for name in like.packages}
    return Environment(
        python=platform.python_version(),
        packages={name: version for name, version in found.items() if version is not None},
        needs=like.needs,
    )


def distributions_of(types: Iterable[str]) -> tuple[str, ...]:
    """Return the distributions that bring the modules of dotted names."""
    modules = {name.partition(".")[0] for name in types}
    known = packages_distributions()
    return tuple(sorted({name for module in modules for name in known.get(module, ())}))


def normalize(name: str) -> str:
    """Return a distribution's name as indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def closure(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of the distributions and of what they require, by normalized name."""
    found: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        name = normalize(waiting.pop())
        version = _version(name)
        if name in found or version is None:
            continue
        found[name] = version
        waiting += _requirements(name)
    return dict(sorted(found.items()))


def _version(name: str) -> str | None:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None


def _requirements(name: str) -> list[str]:
    """Return what a distribution requires on this machine, its extras left out."""
    # Where a model is served, this is never asked, and `packaging` may not be there.
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    found = []
    for line in distribution(name).requires or ():
        try:
            wanted = Requirement(line)
        except InvalidRequirement:
            continue
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
            found.append(wanted.name)
    return found
