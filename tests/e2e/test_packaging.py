"""What is built of this repository, and what a stranger has after installing it."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from packaging.metadata import Metadata
from tests.e2e.bare import make_bare
from tests.e2e.world import WORSE, World

from modelci import __version__

PROJECT = Path(__file__).parents[2]
WHEEL = f"modelci-{__version__}-py3-none-any.whl"
SDIST = f"modelci-{__version__}.tar.gz"

# Walks every command and subcommand in one process, as `modelci ... --help` of each would.
EVERY_HELP = """\
import click
from modelci.cli import main

def walk(command, path):
    with click.Context(command, info_name=path[-1]) as context:
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                walk(command.get_command(context, name), [*path, name])
    try:
        main([*path[1:], "--help"], prog_name="modelci")
    except SystemExit as end:
        assert not end.code, path

walk(main, ["modelci"])
"""


def build(source: Path, folder: Path, **variables: str) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--directory", str(folder)],
        cwd=source,
        env={**os.environ, **variables},
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(PROJECT, tmp_path_factory.mktemp("dist"), SOURCE_DATE_EPOCH="1700000000")


def test_who_builds_the_sdist_elsewhere_gets_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    subprocess.run(["tar", "-xzf", str(dist / SDIST), "-C", str(tmp_path)], check=True)
    source = tmp_path / SDIST.removesuffix(".tar.gz")
    (source / "src" / "modelci" / "__init__.py").touch()

    again = build(source, tmp_path / "again", SOURCE_DATE_EPOCH="1700000000")

    for name in (WHEEL, SDIST):
        assert (again / name).read_bytes() == (dist / name).read_bytes(), name


def test_the_wheel_holds_the_package_as_git_has_it_and_sound_metadata(dist: Path) -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "src/modelci"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    names = [name for name in listed.stdout.split("\0") if (PROJECT / name).is_file()]
    tracked = {name.removeprefix("src/") for name in names}
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("modelci/")}
        raw = wheel.read(f"modelci-{__version__}.dist-info/METADATA")
    assert packed == tracked
    assert "modelci/py.typed" in packed

    metadata = Metadata.from_email(raw, validate=True)  # raises for whatever is against the rules

    assert (metadata.name, str(metadata.version)) == ("modelci", __version__)
    assert metadata.metadata_version == "2.4"  # what indexes and installers of last year know
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (PROJECT / "README.md").read_text(encoding="utf-8")
    assert metadata.license_expression == "Apache-2.0"
    page = (PROJECT / "docs" / "installing.md").read_text(encoding="utf-8")
    table = page.partition("| extra |")[2].partition("\n\n")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    told = {name.strip(" `") for row in rows for name in row.split(",")}
    assert told == set(metadata.provides_extra or ())
    with tarfile.open(dist / SDIST) as archive:
        about = archive.extractfile(f"modelci-{__version__}/PKG-INFO")
        assert about is not None
        assert about.read() == raw


@pytest.mark.timeout(600)  # 100 distributions are linked, and their modules compiled
def test_the_core_alone_explains_every_command_and_judges_a_change(
    dist: Path, site: World, tmp_path: Path
) -> None:
    python = make_bare(tmp_path / "bare", dist / WHEEL)
    absent = "import importlib.util as u; print(*map(u.find_spec, ['pyarrow', 'skops', 'pytest']))"
    isolated = [str(python), "-I"]
    done = subprocess.run([*isolated, "-c", absent], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["None", "None", "None"]

    helped = subprocess.run([*isolated, "-c", EVERY_HELP], check=False, capture_output=True)
    assert helped.returncode == 0, helped.stderr.decode()
    told = helped.stdout.decode()
    assert told.count("Usage: modelci") == told.count("Show this message and exit.") > 30

    site.propose(WORSE)
    runner = site.pull_request_runner()
    judged = runner.run(*isolated, "-m", "modelci", "ci", "--no-write")
    assert judged.code == 1, judged.err
    assert runner.outputs["verdict"] == "blocked"
    shutil.rmtree(tmp_path / "bare")
