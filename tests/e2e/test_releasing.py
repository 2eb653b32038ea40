"""A release of modelci itself: the workflow's steps, the bill of materials, the runner's image."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.e2e.releasing import PROJECT, ReleaseRun, commit, copy_project, git
from tools.release_notes import notes
from tools.sbom import read_lock

from modelci import __version__

TAG = f"v{__version__}"
WHEEL = f"modelci-{__version__}-py3-none-any.whl"
SDIST = f"modelci-{__version__}.tar.gz"
BILL = f"modelci-{__version__}.cdx.json"
DOCKERFILE = PROJECT / "containers" / "runner" / "Dockerfile"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project with a word on what is new, tagged on main; another tag is not on main."""
    folder = tmp_path_factory.mktemp("origin")
    copy_project(folder)
    told = f"# Changelog\n\n## Unreleased\n\n## {__version__} - 2026-12-01\n\nAll that there is.\n"
    (folder / "CHANGELOG.md").write_text(told, "utf-8")
    commit(folder)
    git(folder, "tag", TAG)
    git(folder, "switch", "--quiet", "--create", "aside")
    (folder / "aside.txt").touch()
    commit(folder)
    git(folder, "tag", "v9.9.9")
    git(folder, "switch", "--quiet", "main")
    return folder


@pytest.fixture(scope="module")
def built(origin: Path, tmp_path_factory: pytest.TempPathFactory) -> ReleaseRun:
    run = ReleaseRun(origin=origin, root=tmp_path_factory.mktemp("run"), tag=TAG)
    assert run.play("build"), run.log
    return run


@pytest.fixture(scope="module")
def bill(built: ReleaseRun) -> Any:
    return json.loads((built.artifacts / "about" / BILL).read_text("utf-8"))


def test_what_was_built_twice_is_attested_published_and_told_of(
    built: ReleaseRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    (tmp_path / "gh").write_text(f'#!/bin/sh\nprintf \'%s\\n\' "$GH_TOKEN" "$@" > {said}\n')
    (tmp_path / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert all(map(built.play, ("rebuild", "attest", "publish", "release"))), built.log

    assert built.published == [WHEEL, SDIST]
    assert built.attested == [WHEEL, SDIST, WHEEL]
    assert said.read_text("utf-8").splitlines() == [
        *("token", "release", "create", TAG, "--repo", "owner/modelci", "--verify-tag"),
        *("--title", f"modelci {__version__}", "--notes-file", "about/notes.md"),
        *(f"dist/{WHEEL}", f"dist/{SDIST}", f"about/{BILL}"),
    ]
    assert (built.artifacts / "about" / "notes.md").read_text("utf-8") == "All that there is.\n"


def test_a_build_that_differs_ends_the_release(
    built: ReleaseRun, origin: Path, tmp_path: Path
) -> None:
    run = ReleaseRun(origin=origin, root=tmp_path, tag=TAG)
    (run.artifacts / "dist").mkdir(parents=True)
    for name in (WHEEL, SDIST):
        data = (built.artifacts / "dist" / name).read_bytes()
        (run.artifacts / "dist" / name).write_bytes(data + b"\0" * (name == WHEEL))
    assert not run.play("rebuild")
    assert f"::error::Two builds of {TAG} differ" in run.log


def test_a_tag_beside_main_releases_nothing(origin: Path, tmp_path: Path) -> None:
    run = ReleaseRun(origin=origin, root=tmp_path, tag="v9.9.9")
    assert not run.play("build")
    assert "::error::v9.9.9 is not on main" in run.log
    assert not run.artifacts.exists()


@pytest.mark.parametrize(
    ("tag", "changelog", "problem"),
    [
        ("v1.2.4", "## 1.2.3 - 2026-12-01\nNew\n", "v1.2.4 is not v1.2.3"),
        ("1.2.3", "## 1.2.3 - 2026-12-01\nNew\n", "1.2.3 is not v1.2.3"),
        ("v1.2.3", "## Unreleased\nNew\n", "no section '## 1.2.3"),
        ("v1.2.3", "## 1.2.3\nNew\n", "no section '## 1.2.3"),
        ("v1.2.3", "## 1x2.3 - 2026-12-01\nNew\n", "no section '## 1.2.3"),
        (
            "v1.2.3",
            "## 1.2.3 - 2026-12-01\n\n## 1.2.2 - 2026-11-01\nOld\n",
            "says nothing of 1.2.3",
        ),
        ("v1.2.3", "## 1.2.3 - 2026-12-01\nA\n## 1.2.3 - 2026-12-02\nB\n", "2 sections"),
    ],
)
def test_a_release_without_a_word_of_what_is_new_is_refused(
    tag: str, changelog: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        notes(tag, changelog=changelog, version="1.2.3")


def test_the_bill_names_what_the_core_requires_with_the_hashes_of_the_lock(bill: Any) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(_thinned(bill))) is None
    lock = list(read_lock((PROJECT / "requirements" / "core.txt").read_text("utf-8")))
    named = {(one["name"], one["version"]): _hashes(one) for one in bill["components"]}
    assert named == {(one.name, one.version): set(one.hashes) for one in lock}
    assert all(named.values())
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    required = {canonicalize_name(Requirement(one).name) for one in project["dependencies"]}
    assert required <= {name for name, _ in named}


def test_the_bill_is_of_the_wheel_that_was_built_and_says_what_needs_what(
    bill: Any, built: ReleaseRun
) -> None:
    ours = bill["metadata"]["component"]
    wheel = (built.artifacts / "dist" / WHEEL).read_bytes()
    assert (ours["name"], ours["version"]) == ("modelci", __version__)
    assert _hashes(ours) == {hashlib.sha256(wheel).hexdigest()}
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    reached: set[str] = set()
    waiting = [ours["bom-ref"]]
    while waiting:
        one = waiting.pop()
        if one not in reached:
            reached.add(one)
            waiting += needs[one]
    # What is for other machines, is needed by nothing here.
    beyond = [one for one in bill["components"] if one["bom-ref"] not in reached]
    assert all(one["properties"][0]["name"] == "modelci:marker" for one in beyond)
    assert not re.search(r"https?://(?!cyclonedx\.org/)", json.dumps(bill))


def _thinned(bill: Any) -> Any:
    """Leave two files of each component: the validator compares each with each, for a minute."""
    key = "externalReferences"
    thin = [{**one, key: one[key][:2]} for one in bill["components"]]
    return {**bill, "components": thin}


def _hashes(component: Any) -> set[str]:
    files = [one["hashes"] for one in component["externalReferences"]]
    assert {one["alg"] for (one,) in files} == {"SHA-256"}
    return {one["content"] for (one,) in files}


def test_a_lock_that_lacks_hashes_makes_no_bill() -> None:
    text = f"a==1 \\\n    --hash=sha256:{'0' * 64}\n    # via b\nb==2 ; sys_platform == 'linux'\n"
    with pytest.raises(ValueError, match="No version with hashes: b==2"):
        list(read_lock(text))


def test_the_locks_agree() -> None:
    core, dev = (
        {(one.name, one.version): one.hashes for one in read_lock(_lock(name))}
        for name in ("core", "dev")
    )
    assert core.items() <= dev.items()


def _lock(name: str) -> str:
    return (PROJECT / "requirements" / f"{name}.txt").read_text("utf-8")


# -- the image for runners ------------------------------------------------------------------------


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions, each on one line."""
    lines = DOCKERFILE.read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    joined = re.sub(r"\\\n\s*", "", text)
    return [(line.split()[0], line.partition(" ")[2]) for line in joined.splitlines() if line]


def test_the_image_has_one_pinned_base_and_runs_as_nobody_in_particular() -> None:
    found = instructions()
    assert [text for kind, text in found if kind == "FROM"] == ["${BASE} AS build", "${BASE}"]
    (base,) = (text for kind, text in found if text.startswith("BASE="))
    assert re.fullmatch(r"BASE=python:3\.1[1-3]-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert [text for kind, text in found if kind == "USER"] == ["1001"]
    assert found.index(("USER", "1001")) > max(
        at for at, (kind, _) in enumerate(found) if kind in {"RUN", "COPY"}
    )


def test_the_image_installs_the_wheel_and_what_the_locks_name_by_hash(
    built: ReleaseRun, tmp_path: Path
) -> None:
    (tmp_path / "requirements").mkdir()
    prefix = tmp_path / "opt"
    (prefix / "bin").mkdir(parents=True)
    wheel = (built.artifacts / "dist" / WHEEL).read_bytes()
    (tmp_path / WHEEL).write_bytes(wheel)
    for name in ("uv", "modelci", "python3"):
        (prefix / "bin" / name).write_text(f'#!/bin/sh\necho {name} "$@" >> {tmp_path}/said\n')
        (prefix / "bin" / name).chmod(0o755)
    runs = [text for kind, text in instructions() if kind == "RUN"][:2]
    for text in runs:
        subprocess.run(
            ["bash", "-o", "pipefail", "-c", text.replace("/opt/modelci", str(prefix))],
            cwd=tmp_path,
            env={"PATH": f"{prefix}/bin:{os.environ['PATH']}", "EXTRAS": "s3,parquet"},
            check=True,
        )

    (tmp_path / "modelci-0.0.1-py3-none-any.whl").touch()
    more = subprocess.run(
        ["bash", "-c", runs[1]], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert more.returncode == 1
    assert "dist/ holds 2 wheels in place of one" in more.stderr

    digest = hashlib.sha256(wheel).hexdigest()
    assert (tmp_path / "chosen.txt").read_text("utf-8") == (
        f"modelci[s3,parquet] @ file://{tmp_path}/{WHEEL} --hash=sha256:{digest}\n"
    )
    made, pip, uv, told = map(shlex.split, (tmp_path / "said").read_text("utf-8").splitlines())
    assert made == ["python3", "-m", "venv", "--without-pip", str(prefix)]
    for command, file in ((pip, "requirements/uv.txt"), (uv, "chosen.txt")):
        assert "--require-hashes" in command
        assert command[command.index("--requirement") + 1] == file
    assert uv[uv.index("--constraint") + 1] == "requirements/dev.txt"
    assert told == ["modelci", "--version"]
    # Whatever extra is chosen, the lock has it: uv would ask for a hash that nobody wrote down.
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [one for listed in project["optional-dependencies"].values() for one in listed]
    wanted = {
        canonicalize_name(Requirement(one).name) for one in [*project["dependencies"], *extras]
    }
    assert wanted - {"modelci"} <= {one.name for one in read_lock(_lock("dev"))}


def test_the_context_of_the_image_holds_what_it_copies_and_no_more() -> None:
    ignored = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text("utf-8").split()
    copied = [
        word
        for kind, text in instructions()
        if kind == "COPY" and not text.startswith("--from")
        for word in text.split()[:-1]
    ]
    assert ignored == ["*", *(f"!{word}" for word in copied)]


def test_the_tool_is_called_as_the_makefile_calls_it() -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tools" / "release_notes.py"), "v0.0.0"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("::error title=release::v0.0.0 is not v")
