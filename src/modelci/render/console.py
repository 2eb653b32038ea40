"""Rich, held to what we say of the terminal: the environment has no say in it."""

from typing import TextIO

from rich.console import Console


def console(out: TextIO, *, width: int, colour: bool) -> Console:
    """Return a console that prints to ``out``, and reads no markup out of foreign text."""
    return Console(
        file=out,
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        no_color=not colour,
        markup=False,
        highlight=False,
        emoji=False,
        legacy_windows=False,
        _environ={},
    )
