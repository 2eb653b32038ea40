"""Write what the code says about itself, the reference and the JSON schemas: `make docs`.

``--check`` writes nothing, shows what is out of date, and exits with 1 when anything is.
"""

import difflib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from tools import reference_pages

from modelci.cli import main as root
from modelci.documents.schemas import schemas

DOCS = Path(__file__).parent.parent / "docs"
REFERENCE = DOCS / "reference"
DECISIONS = DOCS / "adr"
SCHEMAS = DOCS / "schemas"
WIDTH = 88


def main() -> int:
    wanted = pages() | schema_files()
    present = {path for path in (*wanted, *SCHEMAS.glob("*.json")) if path.exists()}
    stale = {
        path: wanted.get(path)
        for path in sorted(wanted.keys() | present)
        if path not in present or path.read_text(encoding="utf-8") != wanted.get(path)
    }
    checking = "--check" in sys.argv[1:]
    for path, text in stale.items():
        if checking:
            print(diff(path, text), end="")
        else:
            put(path, text)
    if checking and stale:
        print("The generated docs are out of date: run `make docs`.", file=sys.stderr)
    return int(checking and bool(stale))


def pages() -> dict[Path, str]:
    return {
        REFERENCE / "commands.md": commands(),
        REFERENCE / "configuration.md": reference_pages.configuration(),
        REFERENCE / "documents.md": reference_pages.documents(),
        REFERENCE / "exit-codes.md": reference_pages.exit_codes(),
        REFERENCE / "environment.md": reference_pages.environment(),
        DECISIONS / "README.md": reference_pages.decisions(DECISIONS),
    }


def commands() -> str:
    lines = [
        "# Commands",
        "",
        "<!-- Generated from the commands' --help by `make docs`. Do not edit. -->",
    ]
    for path, help_text in help_texts(root, click.Context(root, info_name="modelci")):
        lines += ["", f"## {path}", "", "```text", *help_text.splitlines(), "```"]
    return "\n".join(lines) + "\n"


def help_texts(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    context.terminal_width = context.max_content_width = WIDTH
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from help_texts(child, click.Context(child, context, info_name=name))


def schema_files() -> dict[Path, str]:
    return {
        SCHEMAS / f"{name}.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in schemas().items()
    }


def diff(path: Path, text: str | None) -> str:
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    name = str(path.relative_to(DOCS.parent))
    return "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True),
            (text or "").splitlines(keepends=True),
            fromfile=name,
            tofile=f"{name} (generated)",
        )
    )


def put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
