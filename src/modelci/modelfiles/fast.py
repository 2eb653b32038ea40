"""Serves a model faster where that changes no answer.

A faster form differs until it is shown not to: floats of half the width, categories as other texts.
So it is compared with the original on the golden requests and on made-up rows, with gaps and with
texts that training never saw. Where anything differs, the original answers.
"""

from collections.abc import Callable, Sequence

from modelci.domain.golden import Answer, Golden, Row, ValueType, compare_answers
from modelci.modelfiles.answers import answer, sample_rows
from modelci.modelfiles.direct import DirectPredictor
from modelci.modelfiles.estimators import SklearnPredictor
from modelci.modelfiles.predictor import Predictor

_SAMPLE = 500
_UNSEEN = "a text that training never saw"


def speed_up(predictor: Predictor, golden: Golden) -> tuple[Predictor, str]:
    """Return what answers fastest and the same, and why it is that.

    A scikit-learn model is tried as ONNX (where ``modelci[onnx]`` is installed), then without
    pandas. Within the golden tolerance its numbers must be the original's, and what the original
    refuses it must refuse.
    """
    if not isinstance(predictor, SklearnPredictor):
        return predictor, f"it is a model of the flavour {predictor.flavour}"
    said = []
    for name, make in _FORMS.items():
        try:
            fast = make(predictor, golden)
            problem, rows = _difference(predictor, fast, golden)
        except Exception as error:  # noqa: BLE001 - the original is always there
            said.append(f"not {name}: {' '.join(str(error).split())[:200]}")
            continue
        if problem is None:
            return fast, f"{name} it answers the same on {rows:,} rows"
        said.append(f"not {name}, where it answers otherwise: {problem}")
    return predictor, "; ".join(said)


def _as_onnx(predictor: SklearnPredictor, golden: Golden) -> Predictor:
    from modelci.modelfiles.onnx import OnnxPredictor, convert  # noqa: PLC0415 - an extra

    return OnnxPredictor(convert(predictor), golden)


def _without_pandas(predictor: SklearnPredictor, golden: Golden) -> Predictor:
    del golden
    return DirectPredictor(predictor)


_FORMS: dict[str, Callable[[SklearnPredictor, Golden], Predictor]] = {
    "as ONNX": _as_onnx,
    "without pandas": _without_pandas,
}


def _difference(original: Predictor, fast: Predictor, golden: Golden) -> tuple[str | None, int]:
    """Return what differs, or None, and on how many rows that was looked for."""
    rows = [*golden.requests, *sample_rows(golden.inputs, golden.requests, _SAMPLE)]
    _, problems = compare_answers(
        answer(original, rows), answer(fast, rows), tolerance=golden.tolerance
    )
    for row in _unseen(golden):
        expected, found = _answer_or_refuse(original, row), _answer_or_refuse(fast, row)
        if (expected is None) != (found is None):
            problems = (*problems, "one of them refuses a text that training never saw")
        elif expected is not None and found is not None:
            problems += compare_answers(expected, found, tolerance=golden.tolerance)[1]
        rows.append(row)
    return (problems[0] if problems else None), len(rows)


def _unseen(golden: Golden) -> Sequence[Row]:
    texts = [one.name for one in golden.inputs if one.type is ValueType.STRING]
    return [{**golden.requests[0], name: _UNSEEN} for name in texts] if golden.requests else []


def _answer_or_refuse(predictor: Predictor, row: Row) -> Sequence[Answer] | None:
    try:
        return answer(predictor, [row])
    except ValueError:
        return None
