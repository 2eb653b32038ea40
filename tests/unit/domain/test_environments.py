import tomllib
from pathlib import Path

import pytest

from modelci.domain.environments import (
    OLDEST_PYTHON,
    SERVING,
    find_deviations,
    list_requirements,
    make_key,
    minor_version,
)
from modelci.domain.golden import Environment
from modelci.errors import DeploymentError

RECORDED = Environment(
    python="3.11.7",
    packages={"scikit-learn": "1.8.0", "NumPy": "2.4.6", "modelci": "0.1", "pip": "24.0"},
    needs=("scikit-learn",),
)
OURS = {"numpy": "2.9", "starlette": "1.10.0", "scikit-learn": "1.9.1"}
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"


def test_what_was_recorded_is_pinned_and_serving_takes_our_own_versions() -> None:
    found = list_requirements(RECORDED, OURS)
    assert {"numpy==2.4.6", "scikit-learn==1.8.0", "starlette==1.10.0"} <= set(found)
    assert f"uvicorn{SERVING['uvicorn']}" in found  # which we lack
    names = [one.partition("=")[0].partition(">")[0] for one in found]
    assert sorted(names) == sorted({*SERVING, "scikit-learn"})  # no pip, no modelci, nothing twice


def test_without_preference_serving_takes_any_version_that_modelci_works_with() -> None:
    found = list_requirements(RECORDED, {})
    assert f"starlette{SERVING['starlette']}" in found
    assert "numpy==2.4.6" in found


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("--index-url=ftp://evil.example/", "1"),
        ("evil @ https://evil.example/evil.whl #", "1"),
        ("-e .", "1"),
        ("-r /etc/passwd #", "1"),
        ("numpy\n--index-url ftp://evil.example/\nevil", "1"),
        ("numpy", "1.0\n--extra-index-url ftp://evil.example/"),
        ("numpy", "1.0 --config-settings=x"),
        ("numpy", "*"),
        ("numpy", "=file:///evil.whl"),
        ("numpy[evil]", "1"),
        ("", "1"),
        ("numpy", ""),
    ],
)
def test_what_was_recorded_steers_no_installer(name: str, version: str) -> None:
    with pytest.raises(DeploymentError, match="no package's name and version"):
        list_requirements(Environment(python="3.11.7", packages={name: version}), {})


@pytest.mark.parametrize("version", ["2.1.0+cu118", "1!2.0", "0.1.dev3+g12ab.d20250101", "2024.2"])
def test_versions_as_packages_have_them_are_installed(version: str) -> None:
    recorded = Environment(python="3.11.7", packages={"My.Own_Package": version})
    assert f"my-own-package=={version}" in list_requirements(recorded, {})


def test_the_versions_that_serving_takes_are_those_of_pyproject() -> None:
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    listed = project["dependencies"] + project["optional-dependencies"]["serve"]
    assert {f"{name}{bound}" for name, bound in SERVING.items()} <= {
        one.partition(";")[0] for one in listed
    }
    oldest = ".".join(map(str, OLDEST_PYTHON))
    assert project["requires-python"] == f">={oldest}"


def key(python: str = "3.11.7", *requirements: str, code: str = "c") -> str:
    return make_key(python, requirements or ("a==1",), platform="linux-x86_64", code=code)


def test_an_environment_is_named_by_all_that_decides_what_it_answers() -> None:
    assert key() == key("3.11.9")  # a patch of Python is the same Python
    assert key().startswith("py3.11-")
    assert len({key(), key("3.12.0"), key("3.11.7", "a==2"), key(code="d")}) == 4


@pytest.mark.parametrize("text", ["", "3", "three.eleven", "3.x"])
def test_what_is_no_version_of_python_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no version of Python"):
        minor_version(text)


def test_what_was_built_otherwise_than_recorded_is_named() -> None:
    built = Environment(
        python="3.12.1", packages={"Scikit_Learn": "1.9.1", "starlette": "1.10.0", "pip": "25"}
    )
    assert find_deviations(RECORDED, built) == (
        "scikit-learn 1.9.1, not 1.8.0",
        "numpy is missing, not 2.4.6",
        "Python 3.12.1, not 3.11.7",
    )
    same = Environment(python="3.11.9", packages={"scikit-learn": "1.8.0", "numpy": "2.4.6"})
    assert find_deviations(RECORDED, same) == ()
