"""What people call stages from where they stand."""

from collections.abc import Sequence
from pathlib import Path

_FILE = "dvc.yaml"


def from_the_top(targets: Sequence[str], *, root: Path, here: Path) -> tuple[str, ...]:
    """Return targets named from the folder ``here`` as DVC names them from the top, ``root``.

    In ``sub/`` the stage ``train`` of its own dvc.yaml is ``sub/dvc.yaml:train``; files are named
    by their path from the top. What is neither is left as it is.
    """
    prefix = here.relative_to(root).as_posix() if here.is_relative_to(root) else "."
    if prefix == ".":
        return tuple(targets)
    return tuple(_from_the_top(target, prefix, here) for target in targets)


def _from_the_top(target: str, prefix: str, here: Path) -> str:
    file, colon, _ = target.rpartition(":")
    if (colon and (here / file).is_file()) or (here / target).exists():
        return f"{prefix}/{target}"
    if not colon and "/" not in target and (here / _FILE).is_file():
        return f"{prefix}/{_FILE}:{target}"
    return target
