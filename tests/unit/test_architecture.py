"""What import-linter cannot say of the code."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import modelci
from modelci import errors
from modelci.adapters import ci

SOURCE = Path(modelci.__file__).parent
HEAVY = "git dvc pandas numpy scipy sklearn jinja2 httpx requests msgspec rich yaml".split()


def families() -> list[type[errors.ModelCIError]]:
    return errors.ModelCIError.__subclasses__()


def test_every_family_of_errors_has_an_exit_code_of_its_own() -> None:
    codes = [family.exit_code for family in families()]
    codes.append(errors.UNCLEAR_EXIT_CODE)
    assert len(set(codes)) == len(codes)
    # 0 is success, 1 a verdict; 70 and 130 are our bugs and interruptions; shells take the rest.
    assert all(1 < code < 64 for code in codes)
    assert errors.ModelCIError.exit_code == 70


def test_the_exit_codes_are_the_documented_ones() -> None:
    assert {family.__name__: family.exit_code for family in families()} == {
        "UsageError": 2,
        "ConfigError": 3,
        "ForgeError": 4,
        "PipelineError": 5,
        "PromotionError": 6,
        "DeploymentError": 7,
    }
    assert (errors.BLOCKED_EXIT_CODE, errors.UNCLEAR_EXIT_CODE) == (1, 8)


def modules() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def reads_environment(tree: ast.AST) -> bool:
    names = {"environ", "environb", "getenv", "getenvb"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in names)
        or (isinstance(node, ast.ImportFrom) and {one.name for one in node.names} & names)
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_environment_is_read_in_adapters_ci_alone(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert reads_environment(tree) is (path == Path(ci.__file__))


@pytest.mark.parametrize("text", ["import os\nos.environ['X']", "from os import getenv"])
def test_reading_the_environment_is_recognised(text: str) -> None:
    assert reads_environment(ast.parse(text))


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_starting_up_loads_nothing_heavy(argument: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "modelci", argument],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert "modelci" in done.stdout
    loaded = {
        line.rsplit("|", 1)[1].strip().split(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "click" in loaded
    assert loaded & set(HEAVY) == set()
