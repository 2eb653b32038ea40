"""The GitHub Action: the ``run:`` steps of ``action.yml``, run as GitHub would."""

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.e2e.steps import Machine, Steps, github_context
from tests.e2e.world import BETTER, WORSE, Checkout, Job, World
from tests.fakes.github_server import TOKEN, FakeGitHub

from modelci import __version__

PROJECT = Path(__file__).parents[2]
ACTION = PROJECT / "action.yml"


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What came of the action; ``restored`` and ``kept`` are the keys of caches."""

    result: str
    log: str
    outputs: Mapping[str, str]
    restored: tuple[str, ...]
    kept: tuple[str, ...]


Act = Callable[..., Acted]
Begin = Callable[[Checkout, Mapping[str, str]], Steps]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``python`` of setup-python: one that has pip, which .venv's has not."""
    folder = tmp_path_factory.mktemp("python")
    base = Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info)
    (folder / "python").write_text(f'#!/bin/sh\nexec "{base}" "$@"\n')
    (folder / "python").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands for the package index: wheels that lend what this environment has."""
    folder = tmp_path_factory.mktemp("wheels")
    ours = sysconfig.get_path("purelib")
    add_wheel(folder, "borrowed-99", {"borrowed.pth": ours})
    add_wheel(folder, "hatchling-99", {"hatchling.pth": ours})
    add_wheel(folder, "extra-1", {"extra.py": "WHERE = __file__\n"})
    script = "[console_scripts]\nmodelci = modelci.__main__:main\n"
    info = f"modelci-{__version__}"
    published = {"modelci.pth": f"{PROJECT / 'src'}\n{ours}"}
    add_wheel(folder, info, {**published, f"{info}.dist-info/entry_points.txt": script})
    return folder


def add_wheel(folder: Path, called: str, files: Mapping[str, str]) -> None:
    name, _, version = called.partition("-")
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: s3\n"
    about = {
        "METADATA": metadata,
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    every = {**files, **{f"{called}.dist-info/{one}": text for one, text in about.items()}}
    with zipfile.ZipFile(folder / f"{called}-py3-none-any.whl", "w") as wheel:
        for path, text in every.items():
            wheel.writestr(path, text)
        wheel.writestr(f"{called}.dist-info/RECORD", "".join(f"{path},,\n" for path in every))


def read_action() -> Any:
    return yaml.safe_load(ACTION.read_text(encoding="utf-8"))


@pytest.fixture
def job(tmp_path: Path, python: Path, wheels: Path) -> Begin:
    """Begin a job in a checkout, with the caches of the jobs before it."""
    caches = tmp_path / "caches"
    caches.mkdir()
    # pip builds and installs modelci as ever, but asks no index for what that needs.
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_DEPS": "1"}
    offline |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_COMPILE": "1"}

    def begin(checkout: Checkout, variables: Mapping[str, str]) -> Steps:
        event = json.loads(Path(checkout.variables["GITHUB_EVENT_PATH"]).read_text())
        return Steps(
            machine=Machine(caches=caches, python=python, variables={**offline, **variables}),
            checkout=lambda _: checkout,
            site=None,
            contexts={"github": github_context(Job(event=event, variables=checkout.variables))},
            where=checkout,
        )

    return begin


@pytest.fixture
def act(job: Begin) -> Act:
    """Use the action in a checkout."""

    def use(checkout: Checkout, *, env: dict[str, str] | None = None, **inputs: str) -> Acted:
        begun = job(checkout, env or {})
        outputs = begun.act(PROJECT, inputs)
        return Acted(
            result=begun.result,
            log=begun.log,
            outputs=outputs,
            restored=tuple(begun.restored),
            kept=tuple(begun.kept),
        )

    return use


@pytest.mark.timeout(300)  # builds modelci as a stranger's job does
def test_a_blocked_pull_request_is_told_of_and_its_next_run_installs_and_trains_nothing(
    site: World, github: FakeGitHub, act: Act, wheels: Path
) -> None:
    digest = hashlib.sha256((wheels / "borrowed-99-py3-none-any.whl").read_bytes()).hexdigest()
    site.propose({**WORSE, "requirements.txt": f"borrowed==99 --hash=sha256:{digest}\n"})
    writing = {"GITHUB_TOKEN": TOKEN, "GITHUB_API_URL": github.api_url}

    first = act(site.pull_request_runner(name="first"), env=writing, command="ci")

    assert first.result == "failure", first.log
    assert first.outputs["verdict"] == "blocked", first.log
    assert first.outputs["comment-url"].startswith("http")
    assert first.outputs["modelci-version"] == __version__
    assert first.restored == ()
    environment, data = first.kept
    assert environment.startswith("modelci-python-Linux-X64-3.12.0-")
    assert data.startswith("modelci-dvc-refs+pull+7+merge-")

    checkout = site.pull_request_runner(name="second", variables={"GITHUB_RUN_ATTEMPT": "2"})
    (checkout.folder / ".dvc" / "config").write_text("")  # no DVC remote to restore from
    no_index = {"PIP_FIND_LINKS": "/nowhere"}  # so that whoever installs fails
    second = act(checkout, env=no_index, command="run --no-pull --no-push")

    assert second.result == "success", second.log
    assert second.restored == (environment, data)
    assert {stage["status"] for stage in checkout.document("run")["stages"]} == {"restored"}


@pytest.mark.parametrize(
    ("line", "keep"),
    [
        ("borrowed==99 --hash=sha256:00 # as in libs/pins.txt", "true"),
        ("    # via -r base.txt", "true"),
        ("-r base.txt", "false"),
        ("-cpins.txt", "false"),
        ("--constraint=pins.txt", "false"),
        ("  --editable ./lib", "false"),
        (".[train]", "false"),
        ("libs/credit", "false"),
        ("credit @ git+https://forge.example/credit@main", "false"),
    ],
)
def test_an_environment_is_kept_only_where_one_file_says_all_that_is_in_it(
    tmp_path: Path, line: str, keep: str
) -> None:
    (tmp_path / "named.txt").write_text(f"click\n{line}\n")
    (step,) = (one for one in read_action()["runs"]["steps"] if one.get("id") == "plan")
    output = tmp_path / "output"
    told = {"GITHUB_OUTPUT": str(output), "GITHUB_ACTION_PATH": str(PROJECT)}
    told |= {"RUNNER_TEMP": str(tmp_path), "ACTION_REQUIREMENTS": "named.txt"}
    told |= {"ACTION_VERSION": "1.0", "ACTION_EXTRAS": "", "ACTION_CACHE": "true"}

    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", step["run"]],
        cwd=tmp_path,
        env={**os.environ, **told},
        check=True,
    )

    assert f"keep={keep}" in output.read_text().splitlines()


def test_an_environment_of_several_files_is_made_anew(site: World, act: Act) -> None:
    checkout = site.push_runner()
    (checkout.folder / "base.txt").write_text("extra==1\n")
    (checkout.folder / "named.txt").write_text("-r base.txt\n")

    done = act(checkout, requirements="named.txt", version=__version__, command="history roc_auc")

    assert done.result == "success", done.log
    assert (done.restored, done.kept) == ((), ())


def test_a_merge_says_which_versions_it_registered(site: World, act: Act) -> None:
    site.push(BETTER)
    published = {"version": __version__, "extras": "s3", "cache": "false"}

    done = act(site.push_runner(), command="'ci'", **published)

    assert done.result == "success", done.log
    assert done.outputs["versions"] == "credit@v0.0.1"
    assert done.outputs["tags"].splitlines() == ["credit@v0.0.1", "credit#staging#1"]
    assert site.bare("tag", "--list").split() == ["credit#staging#1", "credit@v0.0.1"]
    assert (done.restored, done.kept) == ((), ())


@pytest.mark.timeout(300)  # builds modelci as a stranger's job does
def test_where_the_project_has_no_packages_those_of_modelci_are_the_tested_ones(
    site: World, act: Act
) -> None:
    checkout = site.push_runner()

    done = act(checkout, requirements="", cache="false")  # nothing is there but modelci

    assert "No module named 'click'" in done.log
    pins = Path(checkout.variables["RUNNER_TEMP"], "modelci-pins.txt").read_text().splitlines()
    assert {str(Requirement(pin).specifier)[:2] for pin in pins} == {"=="}
    named = {canonicalize_name(Requirement(pin).name) for pin in pins}
    assert named >= {canonicalize_name(Requirement(one).name) for one in requires("modelci") or ()}


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        ({"version": "0.1.0; id"}, "The input 'version' is no version."),
        ({"version": "0.1.0\n::set-env name=A::B"}, "The input 'version' is no version."),
        ({"version": "--pre"}, "The input 'version' is no version."),
        ({"extras": "s3]==0 @ evil["}, "The input 'extras' is no list of extras."),
        ({"extras": "s3,"}, "The input 'extras' is no list of extras."),
        ({"requirements": "../nothing"}, "The input 'requirements' names no file"),
        ({"cache": "yes"}, "The input 'cache' is neither true nor false."),
    ],
)
def test_an_input_that_makes_no_sense_installs_nothing(
    site: World, act: Act, inputs: dict[str, str], complaint: str
) -> None:
    done = act(site.push_runner(), **inputs)

    assert done.result == "failure"
    (line,) = done.log.splitlines()
    assert line.startswith(f"::error title=modelci::{complaint}")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("ci '--no-write", "::error title=modelci::The input command cannot be read: No closing"),
        ("history 'roc auc; id' $(id)", "Got unexpected extra argument ($(id))"),
    ],
)
def test_a_command_is_words_that_no_shell_reads(
    site: World, act: Act, command: str, said: str
) -> None:
    done = act(site.push_runner(), command=command, version=__version__, cache="false")

    assert done.result == "failure"
    assert said in done.log
    assert "uid=" not in done.log


def test_what_is_set_up_serves_the_steps_that_follow(site: World, job: Begin) -> None:
    checkout = site.push_runner()
    begun = job(checkout, {})
    given = {"version": __version__, "cache": "false", "dvc-config": "[core]\nautostage = true"}

    begun.play(
        [
            {"id": "setup", "uses": "$/setup", "with": given},
            {"id": "own", "run": 'echo "at=$(command -v modelci)" >> "$GITHUB_OUTPUT"'},
            {"run": "pip install --quiet --disable-pip-version-check extra"},
            {
                "id": "extra",
                "run": "python -c 'import extra; print(\"at=\" + extra.WHERE)' >> $GITHUB_OUTPUT",
            },
            {"id": "said", "run": 'echo "$VIRTUAL_ENV"; modelci --version'},
        ]
    )

    assert begun.result == "success", begun.log
    assert begun.outputs["setup"]["modelci-version"] == __version__
    environment = Path(begun.outputs["own"]["at"]).parents[1]
    assert environment.parent == Path(checkout.variables["RUNNER_TEMP"])
    assert begun.log.splitlines()[-2:] == [str(environment), f"modelci, version {__version__}"]
    assert Path(begun.outputs["extra"]["at"]).is_relative_to(environment)
    local = checkout.folder / ".dvc" / "config.local"
    assert local.read_text() == "[core]\nautostage = true\n"
    assert local.stat().st_mode & 0o77 == 0


def test_the_page_about_the_action_names_all_that_goes_in_and_comes_out() -> None:
    page = (PROJECT / "docs" / "action.md").read_text(encoding="utf-8")
    action = read_action()
    named = re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)
    assert sorted(named) == sorted([*action["inputs"], *action["outputs"]])
