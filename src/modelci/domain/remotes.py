"""Where a project's data and models are kept."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRemote:
    """A DVC remote as it is configured; ``url`` is without credentials.

    With ``verifies`` DVC hashes what it pulls from there; else it takes the remote's word.
    """

    name: str
    url: str
    verifies: bool = False
    is_default: bool = False


def find_remote(remotes: Sequence[DataRemote], name: str | None) -> DataRemote | None:
    """Return the remote of that name, which DVC reads in small letters; None: the default one."""
    if name is None:
        return next((one for one in remotes if one.is_default), None)
    return next((one for one in remotes if one.name.lower() == name.lower()), None)


def are_one_place(remotes: Sequence[DataRemote], one: str | None, other: str | None) -> bool:
    """Whether two names (None: the default remote) mean the same place, or one within the other."""
    first, second = find_remote(remotes, one), find_remote(remotes, other)
    if first is None or second is None:
        return one == other
    ours, theirs = (f"{remote.url.rstrip('/')}/" for remote in (first, second))
    return ours.startswith(theirs) or theirs.startswith(ours)
