"""``make test`` runs again what failed: by pytest itself, over tests of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
FLAKY = """\
from pathlib import Path
import pytest
@pytest.fixture
def there():
    yield
    seen = Path(__file__).with_name("seen")
    is_first, _ = not seen.exists(), seen.touch()
    assert not is_first
def test_flaky(there): pass
def test_well(): pass
"""


@pytest.mark.parametrize(
    ("more", "arguments", "code", "said"),
    [
        ("", ("-n", "2"), 0, "flaky: test_it.py::test_flaky passed only alone"),
        ("def test_bad(): assert 0\n", ("-n", "0"), 1, "failed twice: test_it.py::test_bad"),
        ("", ("-n", "0", "-x"), 1, "stopping after 1 failures"),
    ],
)
def test_what_fails_is_run_again_alone(
    tmp_path: Path, more: str, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "test_it.py").write_text(FLAKY + more)
    (tmp_path / "tools").symlink_to(TOP / "tools")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}
    done = subprocess.run(
        [sys.executable, "-m", "tools.run_tests", *arguments],
        cwd=tmp_path,
        env={**os.environ, **alone},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout
