"""A test that passes only alone is told of, and refuses nothing; whatever else fails, fails."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from tools.run_tests import MOST, Failures, main

PROJECT = Path(__file__).parents[2]
QUICK = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # those that are installed take seconds to import
PASSES_THE_SECOND_TIME = """\
from pathlib import Path

def test_it(request):
    said = [request.config.getoption(name) for name in ("timeout", "randomly_seed", "keyword")]
    ran = Path("ran")
    before = ran.read_text() if ran.exists() else ""
    ran.write_text(f"{before}{said}\\n")
    assert before

def test_another():
    pass
"""


def play(
    code: int,
    failed: Sequence[str],
    *,
    is_cut: bool = False,
    alone: Mapping[str, int] | None = None,
) -> tuple[int, list[str]]:
    """Return the exit code, and what was run again; ``alone`` says how that ends."""
    asked: list[str] = []

    def again(test: str, _: Sequence[str]) -> int:
        asked.append(test)
        return (alone or {}).get(test, 0)

    failures = Failures(tests=dict.fromkeys(failed), is_cut=is_cut)
    return main(["-q"], run=lambda _: (code, failures), again=again), asked


def test_what_passes_alone_is_said_to_be_flaky(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(1, ["a.py::x", "b.py::y[1]"]) == (0, ["a.py::x", "b.py::y[1]"])
    said = capsys.readouterr().out
    assert "flaky: a.py::x passed only alone" in said
    assert "flaky: b.py::y[1] passed only alone" in said


def test_one_that_fails_twice_fails_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(1, ["x", "y"], alone={"x": 1}) == (1, ["x", "y"])
    said = capsys.readouterr().out
    assert "failed twice: x" in said
    assert "flaky: y passed only alone" in said


@pytest.mark.parametrize("code", [0, 2, 3, 4, 5])
def test_only_failed_tests_are_a_reason_to_run_again(code: int) -> None:
    assert play(code, ["x"] if code else []) == (code, [])


def test_a_test_that_cannot_be_found_again_has_not_passed() -> None:
    assert play(1, ["x"], alone={"x": 4}) == (1, ["x"])


def test_many_failures_are_no_accident() -> None:
    assert play(1, [f"t{number}" for number in range(MOST + 1)]) == (1, [])
    assert play(1, [f"t{number}" for number in range(MOST)])[0] == 0


def test_a_run_that_was_cut_short_is_not_mended_by_what_it_has_run() -> None:
    """As by ``-x``, or where a file cannot be collected."""
    assert play(1, ["x"], is_cut=True) == (1, [])
    assert play(1, []) == (1, [])


def test_the_second_run_is_told_what_the_first_was(tmp_path: Path) -> None:
    (tmp_path / "test_once.py").write_text(PASSES_THE_SECOND_TIME)
    plugins = ["-p", "xdist.plugin", "-p", "pytest_timeout", "-p", "pytest_randomly"]
    options = ["--timeout=77", "-n", "0", "-k", "test_it or test_another"]

    done = subprocess.run(
        [sys.executable, "-m", "tools.run_tests", *plugins, *options, "test_once.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_ADDOPTS": "", "PYTHONPATH": str(PROJECT), **QUICK},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "flaky: test_once.py::test_it passed only alone" in done.stdout
    assert done.stdout.rstrip().count("1 failed, 1 passed") == 1
    first, second = (tmp_path / "ran").read_text().splitlines()
    assert first == second
    assert first.startswith("[77.0, ")
