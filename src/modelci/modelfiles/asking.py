"""``python -m modelci.modelfiles.asking``: asks a model in a process that has nothing else.

A question comes on stdin and an answer goes to stdout, as JSON. What the model makes of it is an
answer too: only a bug ends the process otherwise.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from modelci.domain.golden import Answer, Golden, OutputColumn
from modelci.domain.modelfiles import Trust
from modelci.errors import ModelCIError
from modelci.modelfiles.answers import answer
from modelci.modelfiles.files import ModelFileError
from modelci.modelfiles.load import load_model
from modelci.modelfiles.predictor import Predictor

if TYPE_CHECKING:
    from modelci.domain.golden import Row

INPUT = "input."
"""What the request log puts before an input that has the name of another column."""


class Question(msgspec.Struct, kw_only=True):
    """``rows`` may have more columns than the model reads."""

    model: str
    rows: list[dict[str, Any]]
    golden: Golden | None = None
    flavour: str | None = None
    types: tuple[str, ...] = ()
    pickle: bool = False


class Said(msgspec.Struct, kw_only=True):
    """A number or text for each row, by output; or why there is none."""

    answers: list[dict[str, Any]] = []
    problem: str | None = None


def ask(question: Question) -> Said:
    """Load the model and ask it."""
    trust = Trust(types=question.types, pickle=question.pickle)
    try:
        predictor = load_model(
            Path(question.model), trust=trust, flavour=question.flavour, golden=question.golden
        )
        return Said(answers=_answer(predictor, question.rows))
    except ModelCIError as error:
        return Said(problem=f"{error} {error.hint or ''}".strip())
    except Exception as error:  # noqa: BLE001 - whatever a model makes of a row
        said = " ".join(str(error).split())[:300]
        return Said(problem=f"The model fails on logged rows: {type(error).__name__}: {said}.")


def _answer(predictor: Predictor, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    known = {one for row in rows for one in row}
    places = {one.name: _logged(one.name, known) for one in predictor.inputs}
    lacking = [name for name, place in places.items() if place is None]
    if lacking:
        raise ModelFileError(f"The data have no column {', '.join(lacking)}, which the model reads")
    asked: list[Row] = [
        {name: row.get(place or name) for name, place in places.items()} for row in rows
    ]
    return [dict(_flatten(one, predictor.outputs)) for one in answer(predictor, asked)]


def _logged(name: str, known: set[str]) -> str | None:
    renamed = f"{INPUT}{name}"
    return renamed if renamed in known else name if name in known else None


def _flatten(answers: Answer, outputs: Sequence[OutputColumn]) -> Iterator[tuple[str, Any]]:
    """Yield a value for each column of the request log: one for each class, where there are any."""
    classes = {one.name: one.classes for one in outputs}
    for name, value in answers.items():
        if isinstance(value, tuple):
            yield from (
                (f"{name}.{label}", one) for label, one in zip(classes[name], value, strict=True)
            )
        else:
            yield name, value


def main() -> None:
    """Answer one question."""
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    sys.stdout.buffer.write(msgspec.json.encode(ask(question)))


if __name__ == "__main__":
    main()
