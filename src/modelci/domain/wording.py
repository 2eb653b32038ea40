"""Words around numbers, for messages of every room."""


def counted(count: int, noun: str) -> str:
    """Return ``1 gate``, ``2,940 gates``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
