"""An environment that holds modelci's wheel and what its core requires, and nothing of any extra.

What is required is linked from this environment, so that no index is asked.
"""

import subprocess
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

UV = Path(sys.executable).with_name("uv")


def make_bare(folder: Path, wheel: Path) -> Path:
    """Make the environment and return its ``python``."""
    quiet = [str(UV), "--quiet", "--no-config", "--offline"]
    python = folder / "bin" / "python"
    subprocess.run([*quiet, "venv", "--python", sys.executable, str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    lend(required("modelci"), site)
    install = ["pip", "install", "--no-index", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run([*quiet, *install], check=True)
    return python


def required(name: str) -> set[str]:
    """Return the names of all that a distribution requires, without its extras."""
    found: set[tuple[str, str]] = set()
    waiting = [(name, "")]
    while waiting:
        one, extra = waiting.pop()
        if (one, extra) not in found:
            found.add((one, extra))
            waiting += _wanted(distribution(one), extra)
    return {one for one, _ in found} - {name}


def _wanted(dist: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    for requirement in map(Requirement, dist.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            name = canonicalize_name(requirement.name)
            yield name, ""
            yield from ((name, one) for one in requirement.extras)


def lend(names: set[str], site: Path) -> None:
    """Link what distributions installed: a folder as a whole if no other's files are in it."""
    ours = Path(sysconfig.get_path("purelib"))
    owners: dict[str, set[bool]] = defaultdict(set)
    files: set[Path] = set()
    for dist in distributions(path=[str(ours)]):
        is_lent = canonicalize_name(dist.name) in names
        for file in dist.files or ():
            if file.parts[0] != "..":
                owners[file.parts[0]].add(is_lent)
                files |= {Path(file)} if is_lent else set()
    for path in {Path(one.parts[0]) if False not in owners[one.parts[0]] else one for one in files}:
        if path.name != "__pycache__" and (ours / path).exists():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).symlink_to(ours / path)
