"""ARCHITECTURE.md names the code, and each name leads somewhere."""

import ast
import re
from pathlib import Path

import modelci

SOURCE = Path(modelci.__file__).parent
PAGE = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
ROOMS = {path.stem for path in SOURCE.iterdir()}


def code(text: str) -> set[str]:
    return set(re.findall(r"`([^`\s]+)`", text))


def names_in(module: Path) -> set[str]:
    """Return what a module has at its top: reading it is quicker than to import it."""
    found = set()
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {one.id for one in targets if isinstance(one, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {one.asname or one.name for one in node.names}
    return found


def module(parts: list[str]) -> Path | None:
    path = SOURCE.joinpath(*parts)
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file if file.is_file() else None


def is_there(name: str) -> bool:
    """Whether there is `workflows/ci.run_ci`, or `domain.gates.Rule`, or a file of that name."""
    parts = re.split("[/.]", name)
    if module(parts) is not None or (SOURCE / name).is_file():
        return True
    around = module(parts[:-1])
    return around is not None and parts[-1] in names_in(around)


def test_what_is_named_in_a_room_is_there() -> None:
    inside = {one for one in code(PAGE) if re.fullmatch(r"\w+[/.][\w/.]*\w", one)}
    named = {
        one
        for one in inside
        if re.split("[/.]", one)[0] in ROOMS and not one.endswith((".py", ".toml"))
    }
    assert len(named) > 60
    assert [one for one in sorted(named) if not is_there(one)] == []


def test_a_name_that_leads_nowhere_is_noticed() -> None:
    assert is_there("workflows/ci.run_ci")
    assert not is_there("workflows/ci.run_it")
    assert not is_there("workflows/nothing.run_ci")


def test_a_file_or_folder_that_is_named_is_there() -> None:
    named = {one for one in code(PAGE) if re.fullmatch(r"[\w/]+(\.py|\.toml|/)", one)}
    known = [f"/src/modelci/{path.relative_to(SOURCE).as_posix()}" for path in SOURCE.rglob("*")]
    known.append("/src/modelci")
    assert len(named) > 40
    for one in sorted(named):  # counted from its room, or the folder that was named before it
        assert any(path.endswith(f"/{one.rstrip('/')}") for path in known), one


def test_a_pull_request_passes_through_every_kind_of_room() -> None:
    story = PAGE.split("## A pull request")[1].split("\n## ")[0]
    assert {re.split("[/.]", one)[0] for one in code(story)} >= {
        *("cli", "wiring", "adapters", "render", "workflows"),
        *("ports", "documents", "config", "analysis", "domain"),
    }
