"""Completion as bash has it: click's script, sourced by a real shell that calls the command."""

import os
import subprocess
import sys
from pathlib import Path

SESSION = """\
eval "$(_MODELCI_COMPLETE=bash_source modelci)"
complete -p modelci
COMP_WORDS=(modelci pro) COMP_CWORD=1
_modelci_completion modelci
printf '%s\\n' "${COMPREPLY[@]}"
"""


def test_bash_completes_commands(tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", SESSION],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        check=True,
        capture_output=True,
        text=True,
        timeout=280,
    )
    registered, *names = done.stdout.splitlines()
    assert registered.endswith("-F _modelci_completion modelci")
    assert names == ["profile", "promote"]
