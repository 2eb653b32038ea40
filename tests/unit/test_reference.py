"""docs/reference names every command, key, document, exit code and variable that there is."""

import ast
import re
import signal
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import click
import jsonschema
import pytest

from modelci.adapters import ci
from modelci.cli import main
from modelci.cli.interrupts import ENDING
from modelci.config.keys import meanings
from modelci.config.load import variables
from modelci.config.model import Config
from modelci.documents.codec import SCHEMAS
from modelci.documents.schemas import schemas

PROJECT = Path(__file__).parents[2]
SOURCE = PROJECT / "src" / "modelci"


@cache
def page(name: str) -> str:
    return (PROJECT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")


def sections(kind: type, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield where each class of the configuration stands (``monitor[].drift``)."""
    yield path, kind
    hints = get_type_hints(kind)
    for field in fields(kind):
        for below, inner in held(hints[field.name], f"{path}.{field.name}".lstrip(".")):
            yield from sections(inner, below)


def held(hint: Any, path: str) -> Iterator[tuple[str, type]]:
    if is_dataclass(hint) and isinstance(hint, type):
        yield path, hint
    elif get_origin(hint) is tuple:
        yield from held(get_args(hint)[0], f"{path}[]")
    else:
        # What a mapping holds has names; of the parts of a union one is a class.
        is_mapping = isinstance(get_origin(hint), type) and hasattr(get_origin(hint), "keys")
        for one in get_args(hint):
            yield from held(one, f"{path}.NAME" if is_mapping else path)


WRITTEN = schemas()
SECTIONS = tuple(sections(Config))
CLASSES = {kind.__name__: kind for _, kind in SECTIONS}
KEYS = [(name, field.name) for name, kind in CLASSES.items() for field in fields(kind)]


def part(kind: str) -> str:
    """Return what the page says of a class, at whichever of its places."""
    paths = [path for path, one in SECTIONS if one.__name__ == kind]
    text = page("configuration")
    if paths == [""]:
        return text.partition("\n## ")[0]
    (found,) = re.findall(
        rf"\n##+ `(?:{'|'.join(map(re.escape, paths))})`\n(.*?)(?=\n##|\Z)", text, re.DOTALL
    )
    return str(found)


@pytest.mark.parametrize(("kind", "key"), KEYS)
def test_every_key_has_a_meaning_on_the_page_and_in_an_editor(kind: str, key: str) -> None:
    meaning = meanings()[kind][key]
    (row,) = re.findall(rf"^\| `{key}` \|.*$", part(kind), re.MULTILINE)
    assert row.endswith(f" | {meaning} |")
    schema = WRITTEN["modelci.yaml"]
    keys = (schema if kind == "Config" else schema["$defs"][kind])["properties"]
    shown = keys[key]["description"]
    assert shown
    assert "](" not in shown


def test_nothing_has_a_meaning_that_is_no_key() -> None:
    assert {(kind, key) for kind, keys in meanings().items() for key in keys} == set(KEYS)


def test_the_described_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(WRITTEN["modelci.yaml"])


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            if not child.hidden:
                yield from commands(child, f"{path} {name}")


COMMANDS = dict(commands(main, "modelci"))


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_is_on_the_page(path: str) -> None:
    _, _, text = page("commands").partition(f"\n## {path}\n")
    assert text
    help_text = text.partition("\n## ")[0]
    assert f"Usage: {path} " in help_text
    for one in COMMANDS[path].params:
        if isinstance(one, click.Option) and not one.hidden:
            assert max(one.opts, key=len) in help_text


@pytest.mark.parametrize("name", SCHEMAS.values())
def test_every_document_is_on_the_page_with_its_fields(name: str) -> None:
    _, _, text = page("documents").partition(f"\n## `{name}`\n")
    told = text.partition("\n## ")[0]
    file = f"{name.replace('/', '-')}.json"
    assert f"(../schemas/{file})" in told
    assert (PROJECT / "docs" / "schemas" / file).is_file()
    named = re.findall(r"^\| `(\w+)` \|", told, re.MULTILINE)
    assert named == list(WRITTEN[file.removesuffix(".json")]["properties"])


def test_who_is_said_to_write_documents_does() -> None:
    named = re.findall(r"`(modelci [a-z -]*)`", page("documents"))
    assert len(named) > len(SCHEMAS)
    for text in named:
        path, *asked = text.split(" --")
        options = [option for one in COMMANDS[path].params for option in one.opts]
        assert {f"--{one}" for one in asked} <= set(options)


def exit_codes() -> Iterator[object]:
    """Yield every exit code that stands in the code: of errors, of verdicts, of ``ctx.exit``."""
    for file in (SOURCE / "errors.py", *(SOURCE / "cli").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case (
                    ast.AnnAssign(target=ast.Name(id=name), value=ast.Constant(value=code))
                    | ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=code))
                ) if "exit_code" in name.lower():
                    yield code
                case ast.Call(func=ast.Attribute(attr="exit"), args=[ast.Constant(value=code)]):
                    yield code


def test_every_exit_code_is_on_the_page() -> None:
    codes = set(exit_codes())
    told = {int(code) for code in re.findall(r"^\| `(\d+)` \|", page("exit-codes"), re.MULTILINE)}
    signals = {128 + one for one in (signal.SIGINT, signal.SIGPIPE, *ENDING)}
    assert codes | signals | {0} == told
    assert len(codes) > 8


def test_every_variable_is_on_the_page() -> None:
    text = page("environment")
    named = set(variables().values())
    for file in SOURCE.rglob("*.py"):
        named.update(re.findall(r"MODELCI_[A-Z]+(?:_[A-Z]+)*", file.read_text(encoding="utf-8")))
    assert {name for name in named if f"`{name}`" not in text} == {"MODELCI_DEPLOY"}
    assert "`MODELCI_DEPLOY_…`" in text


class Asked(dict[str, str]):
    """An environment without a variable, which remembers who asked for which."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


def test_every_variable_that_decides_on_colours_is_on_the_page() -> None:
    asked = Asked()
    assert ci.wants_colour(asked, is_terminal=True)
    assert not ci.wants_no_colour(asked)
    assert len(asked.names) > 3
    text = page("environment").partition("\n## Terminal\n")[2].partition("\n## ")[0]
    assert {name for name in asked.names if f"| `{name}` |" not in text} == set()
