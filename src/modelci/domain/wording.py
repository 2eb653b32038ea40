"""Words around numbers and names, for messages of every room."""

from collections.abc import Iterable, Sequence


def counted(count: int, noun: str) -> str:
    """Return ``1 gate``, ``2,940 gates``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Return a size in bytes with a decimal unit: ``999 B``, ``1.20 GB``, ``45.1 MB``."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= factor:
            scaled = count / factor
            return f"{scaled:,.{2 if scaled < 10 else 1 if scaled < 100 else 0}f} {unit}"
    return f"{count:,.0f} B"


def meant(name: str, known: Iterable[str]) -> str:
    """Return ``Did you mean 'credit'? `` where a name that is known is near, else nothing."""
    from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes waits for it

    near = get_close_matches(name, sorted(set(known)), n=1)
    return f"Did you mean {near[0]!r}? " if near else ""


def listed(names: Sequence[str]) -> str:
    """Return the first three, and a mark where there are more."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
