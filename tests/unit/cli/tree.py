"""The tree of commands, as click has it: for promises that every command keeps."""

from collections.abc import Iterator

import click

from modelci.cli import main


def walk(
    command: click.Command = main, context: click.Context | None = None
) -> Iterator[tuple[tuple[str, ...], click.Command, click.Context]]:
    """Yield each command with its path below ``modelci`` and a context of its own."""
    context = context or click.Context(main, info_name="modelci")
    yield tuple(context.command_path.split()[1:]), command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from walk(child, click.Context(child, parent=context, info_name=name))


TREE = tuple(walk())
PATHS = tuple(path for path, _, _ in TREE)
LEAVES = tuple(path for path, command, _ in TREE if not isinstance(command, click.Group))


def title(path: tuple[str, ...]) -> str:
    """Return what a test of that command is called."""
    return "-".join(path) or "modelci"
