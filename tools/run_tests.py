"""Run the tests; where few of them fail, run each once more, alone, and say which passed only then.

``python -m tools.run_tests ARGUMENTS`` takes pytest's arguments. Who passes alone depends on the
speed of the machine or on a neighbour: a fault of the test, to be mended, and none of the change
that is tested. (CPython's own runner does the same.)
"""

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

MOST = 5
"""When more tests fail, it is no accident."""


@dataclass
class Failures:
    """A plugin that keeps what failed; ``is_cut`` where not all was run that was asked for.

    ``options`` are those of the run, without what it was to run: what fails by them is to be run
    again by them, and in the same state of ``random``.
    """

    tests: dict[str, None] = field(default_factory=dict)
    is_cut: bool = False
    options: tuple[str, ...] = ()

    @pytest.hookimpl(trylast=True)  # once pytest-randomly has chosen its seed
    def pytest_configure(self, config: pytest.Config) -> None:
        named = config.option.file_or_dir
        given = map(str, config.invocation_params.args)
        seed = getattr(config.option, "randomly_seed", None)
        self.options = tuple(one for one in given if one not in named)
        self.options += () if seed is None else (f"--randomly-seed={seed}",)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.tests[report.nodeid] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.is_cut |= report.failed

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        self.is_cut |= bool(session.shouldfail or session.shouldstop)


def run_all(arguments: Sequence[str]) -> tuple[int, Failures]:
    """Return pytest's exit code and what failed."""
    failures = Failures()
    return int(pytest.main(list(arguments), plugins=[failures])), failures


def run_alone(test: str, options: Sequence[str]) -> int:
    """Return pytest's exit code for one test in a process of its own, with no workers."""
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", *options, "-n", "0", test]
    return subprocess.run(command, check=False).returncode


def main(
    arguments: Sequence[str],
    *,
    run: Callable[[Sequence[str]], tuple[int, Failures]] = run_all,
    again: Callable[[str, Sequence[str]], int] = run_alone,
) -> int:
    """Return 0 where each test has passed, if need be in its second run; else pytest's code.

    Only where pytest says that tests failed (code 1), and has run them all, there is a second run.
    """
    code, failures = run(arguments)
    tests = tuple(failures.tests)
    if code != pytest.ExitCode.TESTS_FAILED or failures.is_cut or not 0 < len(tests) <= MOST:
        return code
    print(f"\n{len(tests)} failed: each is run once more, alone.", flush=True)
    flaky = [one for one in tests if again(one, failures.options) == 0]
    print()
    for one in tests:
        print(f"flaky: {one} passed only alone" if one in flaky else f"failed twice: {one}")
    return 0 if len(flaky) == len(tests) else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
