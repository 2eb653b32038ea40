"""What a release's Python environment is made of: training's versions, and what serving takes."""

import json
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256

from modelci.domain.golden import Environment
from modelci.errors import DeploymentError

SERVING: Mapping[str, str] = {
    "httptools": ">=0.6",
    "msgspec": ">=0.19",
    "numpy": ">=1.26",
    "packaging": ">=23",
    "starlette": ">=0.41",
    "uvicorn": ">=0.32",
    "uvloop": ">=0.21",
}
"""The packages that ``modelci.serving`` imports, each with the versions that modelci works with."""

OLDEST_PYTHON = (3, 11)

# modelci comes as a copy of the one that builds; pip is no part of what a model answers.
_LEFT_OUT = frozenset({"modelci", "pip"})
_HEX = 16
_NAME = re.compile(r"[a-z0-9]++(?:-[a-z0-9]++)*+")
_VERSION = re.compile(r"[a-zA-Z0-9]++(?:[.!+_-][a-zA-Z0-9]++)*+")


def normalize(name: str) -> str:
    """Return a package's name as all spellings of it are one: lower case, with hyphens."""
    return re.sub(r"[-_.]+", "-", name).lower()


def minor_version(python: str) -> tuple[int, int]:
    """Return ``(3, 11)`` of ``3.11.7``; ValueError for what is no version of Python."""
    found = re.match(r"(\d+)\.(\d+)(?:\.|$)", python)
    if found is None:
        raise ValueError(f"{python!r} is no version of Python")
    return int(found[1]), int(found[2])


def list_requirements(recorded: Environment, preferred: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is installed, a requirement each: all that was recorded, at those versions.

    What serving takes besides has its ``preferred`` version, or any that modelci works with.
    Raises DeploymentError for what an installer would take for an address or an option.
    """
    pinned = _pins(recorded.packages)
    for name, version in pinned.items():
        if not (_NAME.fullmatch(name) and _VERSION.fullmatch(version)):
            raise DeploymentError(
                f"The golden requests record {name!r} {version!r}, which is no package's name and "
                "version.",
                hint="Record them anew with `modelci golden`, and see who has written these.",
            )
    exact = [f"{name}=={version}" for name, version in pinned.items()]
    return tuple(sorted([*exact, *_for_serving(pinned, _pins(preferred))]))


def _pins(packages: Mapping[str, str]) -> dict[str, str]:
    found = {normalize(name): version for name, version in packages.items()}
    return {name: version for name, version in found.items() if name not in _LEFT_OUT}


def _for_serving(pinned: Mapping[str, str], preferred: Mapping[str, str]) -> Iterator[str]:
    for name, bound in SERVING.items():
        if name not in pinned:
            yield f"{name}=={preferred[name]}" if name in preferred else f"{name}{bound}"


def make_key(python: str, requirements: tuple[str, ...], *, platform: str, code: str) -> str:
    """Return the name of an environment: the same versions have the same, others another.

    ``code`` is the digest of the modelci that is copied into it.
    """
    minor = ".".join(map(str, minor_version(python)))
    parts = [minor, platform, code, *requirements]
    return f"py{minor}-{sha256(json.dumps(parts).encode()).hexdigest()[:_HEX]}"


def find_deviations(recorded: Environment, found: Environment) -> tuple[str, ...]:
    """Return where an environment that was built has other versions than those recorded."""
    has = _pins(found.packages)
    wrong = [
        f"{name} {has.get(name, 'is missing')}, not {version}"
        for name, version in _pins(recorded.packages).items()
        if has.get(name) != version
    ]
    if minor_version(recorded.python) != minor_version(found.python):
        wrong.append(f"Python {found.python}, not {recorded.python}")
    return tuple(wrong)
