"""Every command's --help is a manual: what it does, each option, and examples that hold."""

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tests.unit.cli.tree import TREE, title

from modelci.cli import _GROUPS, main
from modelci.cli.options import setting
from modelci.config.load import leaves
from modelci.config.model import Config

_END_OF_COMMAND = {"|", "&&", ";", ">", ">>", "||"}
_COMMANDS = [pytest.param(*one, id=title(one[0])) for one in TREE]
_VARIABLES = ("GITHUB_REF", "RUNNER_TEMP")


def examples(command: click.Command) -> list[str]:
    """Return the lines of the last paragraph of a command's help, which is to be its examples."""
    text = inspect.cleandoc(command.help or "")
    _, found, lines = text.partition("\b\nExamples:\n")
    assert found, "no examples"
    return [line.strip() for line in lines.splitlines()]


def calls(line: str) -> Iterator[list[str]]:
    """Yield the words of each call of modelci in a line of shell, without the command itself."""
    for inner in re.findall(r"\$\((.*?)\)", line):
        yield from calls(inner)
    for name in _VARIABLES:
        line = line.replace(f"${name}", name.lower())
    line = re.sub(r"\s#\s.*", "", line)  # a comment stands alone: within a word it is a stage
    lexer = shlex.shlex(re.sub(r'"\$\(.*?\)"', "''", line), posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words: list[str] = []
    for word in (*lexer, ";"):
        if word not in _END_OF_COMMAND:
            words.append(word)
            continue
        while words and re.fullmatch(r"MODELCI_\w+=.*", words[0]):
            words = words[1:]
        if words[:1] == ["modelci"]:
            yield words[1:]
        words = []


def lay_out(words: list[str]) -> None:
    """Put what an example speaks of where it looks for it: files have an ending, folders none."""
    for word in words:
        place = Path(word)
        if "://" in word or not (place.suffix or "/" in word):
            continue
        (place.parent if place.suffix else place).mkdir(parents=True, exist_ok=True)
        if place.suffix:
            place.touch()


def parse(words: list[str]) -> click.Context:
    """Parse a call as the command line does, down to the last command, and run nothing."""
    context = main.make_context("modelci", list(words))
    while isinstance(context.command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
    return context


@pytest.mark.parametrize(("path", "command", "context"), _COMMANDS)
def test_every_example_is_a_call_of_that_command_that_parses(
    path: tuple[str, ...],
    command: click.Command,
    context: click.Context,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = [words for line in examples(command) for words in calls(line)]
    assert any(words[: len(path)] == list(path) for words in found), "none of this command"
    for words in found:
        lay_out(words)
        parse(words)


@pytest.mark.parametrize(("path", "command", "context"), _COMMANDS)
def test_every_option_says_what_it_is_for_and_what_holds_without_it(
    path: tuple[str, ...], command: click.Command, context: click.Context
) -> None:
    for option in command.params:
        if not isinstance(option, click.Option):
            continue
        assert option.help, option.opts
        assert option.help.rstrip("]")[-1] in ".…" or "[env var:" in option.help, option.help
        default = option.get_default(context)
        if default and isinstance(default, str | int | float) and path and not option.required:
            assert option.show_default or "default" in option.help, (option.opts, default)


@pytest.mark.parametrize(("path", "command", "context"), _COMMANDS)
def test_the_variables_that_help_names_are_the_ones_that_are_read(
    path: tuple[str, ...], command: click.Command, context: click.Context
) -> None:
    known = {setting(key) for key, _ in leaves(Config())}
    assert (
        set(re.findall(r"\[env var: \w+\]", " ".join(command.get_help(context).split()))) <= known
    )


def test_every_command_stands_under_one_heading_with_its_line() -> None:
    told = CliRunner().invoke(main, ["--help"], prog_name="modelci", terminal_width=200).stdout
    listed = [name for group in _GROUPS.values() for name in group]
    assert sorted(listed) == main.list_commands(click.Context(main))
    places = [told.index(f"\n{heading}:\n") for heading in _GROUPS]
    assert places == sorted(places)
    for name in listed:
        assert len(re.findall(rf"^  {name} +[A-Z]", told, re.MULTILINE)) == 1, name


@pytest.mark.parametrize("action", ["rollback", "release-hold"])
def test_a_stage_is_named_in_one_place(action: str) -> None:
    def refused(*words: str) -> str:
        done = CliRunner().invoke(main, [action, *words, "--reason", "x"], prog_name="modelci")
        assert done.exit_code == 2
        return " ".join(done.stderr.split())

    assert "Write 'credit#STAGE', or --stage STAGE" in refused("credit")
    assert "name two stages" in refused("credit#prod", "--stage", "dev")
    assert "not of the form credit#prod" in refused("credit#")


def test_an_example_that_does_not_parse_is_found() -> None:
    (words,) = calls("MODELCI_RUN_PULL=1 modelci run --pul x | cat")
    with pytest.raises(click.NoSuchOption):
        parse(words)
