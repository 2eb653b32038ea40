"""Asks a model in a process of its own, which sees no credentials and none of the project."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from modelci.domain.golden import Golden
from modelci.domain.modelfiles import Trust
from modelci.errors import ConfigError
from modelci.modelfiles.asking import Question, Said
from modelci.modelfiles.files import ModelFileError

_MODULE = "modelci.modelfiles.asking"


class ProcessAsker:
    """The ``Asker`` that starts Python in isolated mode; ``environment`` is all that it sees."""

    def __init__(self, environment: Mapping[str, str], *, timeout_seconds: float = 300.0) -> None:
        self._environment = environment
        self._timeout = timeout_seconds

    def ask(
        self,
        model: Path,
        rows: Sequence[Mapping[str, object]],
        *,
        golden: Golden | None,
        trust: Trust,
        flavour: str | None,
    ) -> tuple[Mapping[str, object], ...]:
        """Return what the model answers to each row, by output."""
        question = Question(
            model=str(model.absolute()),
            rows=[dict(row) for row in rows],
            golden=golden,
            flavour=flavour,
            types=tuple(trust.types),
            pickle=trust.pickle,
        )
        said = self._run(msgspec.json.encode(question))
        if said.problem is not None:
            raise ModelFileError(said.problem)
        return tuple(said.answers)

    def _run(self, question: bytes) -> Said:
        # Isolated (-I): no variable, no file of the current folder decides what is imported.
        command = [sys.executable, "-I", "-m", _MODULE]
        try:
            done = subprocess.run(
                command,
                input=question,
                capture_output=True,
                check=False,
                env=dict(self._environment),
                timeout=self._timeout,
            )
            return msgspec.json.decode(done.stdout, type=Said)
        except subprocess.TimeoutExpired as error:
            raise ModelFileError(
                f"The model did not answer within {self._timeout:g} s.",
                hint="`monitor.skew.rows` says how many rows it is asked.",
            ) from error
        except msgspec.DecodeError as error:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise ModelFileError(
                f"The process that asks the model ended with {done.returncode}: "
                f"{last[0][:300] if last else 'it said nothing'}"
            ) from error
        except OSError as error:
            raise ConfigError(f"{sys.executable} cannot be run: {error.strerror}.") from error
