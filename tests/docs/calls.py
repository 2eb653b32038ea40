"""The ``modelci`` calls in shell text, held to the commands that there are."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
import pytest

from modelci.cli import main

_TOKEN = re.compile(
    r"""
    (?P<blank>(?:[ \t]|\\\n)+)
  | (?P<comment>\#[^\n]*)
  | (?P<redirection>\d*(?:<<<|<<-?|<>|>>|<|>)(?:&(?:\d|-))?)
  | (?P<cut>\n|\|\|?|&&?|;;?|[()`])
  | (?P<word>(?:[^\s'"\\|&;<>()`]|'[^']*'|"(?:\\.|[^"\\])*"|\\.)+)
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"\w+=.*", re.DOTALL)
_PREFIXES = frozenset("! command do else env exec if nohup sudo then time until while".split())
_EXPANDED = re.compile(r"'[^']*'|([$*?~\[{])")
_SCRIPTS = frozenset("after_script before_script cmd command run script".split())


@dataclass(frozen=True)
class Command:
    """A simple command of a shell: its words as they were written."""

    words: Sequence[str]

    @property
    def modelci(self) -> list[str] | None:
        """The arguments, where it calls modelci."""
        words = [_unquoted(word) for word in self.words]
        while words and (words[0] in _PREFIXES or _ASSIGNMENT.fullmatch(words[0])):
            del words[0]
        if words[1:3] == ["-m", "modelci"]:
            return words[3:]
        return words[1:] if words and words[0].rpartition("/")[2] == "modelci" else None

    @property
    def is_plain(self) -> bool:
        """Nothing of it is for a shell to expand or to set."""
        first = self.words[0]
        expanded = (found[1] for word in self.words for found in _EXPANDED.finditer(word))
        return first == "modelci" and not any(expanded)


def _unquoted(word: str) -> str:
    return "".join(shlex.split(word))


def commands(script: str) -> Iterator[Command]:
    """Yield the simple commands of a script, without redirections and comments."""
    words: list[str] = []
    is_target = False
    for token in _TOKEN.finditer(script):
        if token.lastgroup == "cut":
            yield from [Command(words)] if words else []
            words = []
        elif token.lastgroup == "redirection":
            is_target = not re.search(r"&[\d-]$", token[0])
        elif token.lastgroup == "word":
            words += [] if is_target else [token[0]]
            is_target = False
    yield from [Command(words)] if words else []


def plain_call(script: str) -> list[str] | None:
    """Return modelci's arguments, where the script is that one call and needs no shell."""
    kinds = {token.lastgroup for token in _TOKEN.finditer(script.strip())}
    found = list(commands(script))
    if len(found) == 1 and not kinds & {"cut", "redirection"} and found[0].is_plain:
        return found[0].modelci
    return None


def scripts(value: Any) -> Iterator[str]:
    """Yield what a YAML file lets a shell run: of stages, steps and jobs."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if key in _SCRIPTS and isinstance(part, str):
                yield part
            elif key in _SCRIPTS and isinstance(part, list):
                yield from (line for line in part if isinstance(line, str))
            yield from scripts(part)
    elif isinstance(value, list):
        for part in value:
            yield from scripts(part)


def problems(script: str) -> Iterator[str]:
    """Say which calls of modelci its command line would refuse, and why."""
    for command in commands(script):
        arguments = command.modelci
        why = None if arguments is None else refusal(arguments)
        if why:
            yield f"modelci {shlex.join(arguments or ())}: {why}"


def refusal(arguments: Sequence[str]) -> str | None:
    """Say why modelci's command line refuses these arguments; None: it does not."""
    try:
        _parse(main, list(arguments), None)
    except click.exceptions.Exit:
        return None
    except click.UsageError as error:
        return error.format_message()
    return None


def _parse(command: click.Command, arguments: list[str], parent: click.Context | None) -> None:
    """Parse as click does, but run nothing."""
    context = click.Context(command, info_name=command.name if parent else "modelci", parent=parent)
    with context.scope(cleanup=False), pytest.MonkeyPatch.context() as patch:
        for parameter in command.get_params(context):
            if isinstance(parameter.type, click.Path | click.File) or "$" in "".join(arguments):
                # Files need not exist here, and what a shell fills in can be anything.
                patch.setattr(parameter, "type", click.UNPROCESSED)
        command.parse_args(context, arguments)
        if isinstance(command, click.Group):
            rest = [*context._protected_args, *context.args]
            _, child, rest = command.resolve_command(context, rest)
            assert child is not None
            _parse(child, rest, context)


def unknown(code: str) -> Iterator[str]:
    """Say which command or option a sentence names that there is not."""
    words = code.split()
    if words[:1] != ["modelci"] or len(words) == 1 or not re.fullmatch(r"[a-z][\w-]*", words[1]):
        return
    context = click.Context(main, info_name="modelci")
    command = main.get_command(context, words[1])
    if command is None:
        yield f"{code}: there is no modelci {words[1]}"
        return
    options = set(_options(command, words[2:]))
    for option in re.findall(r"(?<!\S)--[a-z][\w-]*", code):
        if option not in options | {"--help"}:
            yield f"{code}: modelci {words[1]} has no {option}"


def _options(command: click.Command, words: Sequence[str]) -> Iterator[str]:
    """Yield a command's options; a group's are those of its subcommand, or of them all."""
    for parameter in command.params:
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        context = click.Context(command)
        names = set(words) & set(command.list_commands(context)) or command.list_commands(context)
        for name in names:
            child = command.get_command(context, name)
            yield from _options(child, words[1:]) if child else ()
