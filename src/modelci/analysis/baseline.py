"""Whether a model beats one that looks at no feature."""

from dataclasses import replace

import numpy as np

from modelci.analysis.measures import measures_for
from modelci.analysis.paired import Comparer
from modelci.analysis.predictions import Pair, Sample
from modelci.domain.evaluation import Evaluation, Task
from modelci.domain.evidence import Evidence

_MEANINGLESS = frozenset({"ece"})
"""A constant prior is perfectly calibrated: nothing could beat it."""


def against_dummy(
    measure: str, sample: Sample, evaluation: Evaluation, *, min_gain: float = 0.0
) -> Evidence | None:
    """Compare the head with a dummy on the same rows; ``difference`` is head minus dummy.

    The dummy answers like scikit-learn's ``DummyClassifier(strategy="prior")`` or
    ``DummyRegressor(strategy="mean")``, but knows the targets of the test set itself, which makes
    it no weaker than one that was trained. ``p_value`` is that of "better by at most
    ``min_gain``": small proves that the head beats the dummy. What luck in training does to the
    measure (``retrain_sd``) is not counted: it is this model that is judged.

    None where the measure makes no sense for a dummy, or where these rows cannot say it.
    ValueError where the task has no such measure.
    """
    if measure not in measures_for(evaluation.task):
        raise ValueError(f"{measure} is no measure of {evaluation.task} predictions")
    if measure in _MEANINGLESS:
        return None
    plain = replace(evaluation, retrain_sd={})
    dummy = _dummy(sample, evaluation.task)
    found = Comparer(Pair(base=dummy, head=sample, evaluation=plain)).compare(measure)
    if found is None:
        return None
    return replace(found.evidence(p_value=found.p_superior(min_gain)), base=None)


def _dummy(sample: Sample, task: Task) -> Sample:
    rows = len(sample)
    if task is Task.REGRESSION:
        mean = np.full(rows, sample.target.mean(), dtype=np.float64)
        return replace(sample, score=mean, label=mean)
    counts = np.bincount(sample.target, minlength=len(sample.classes))
    label = np.full(rows, counts.argmax(), dtype=sample.label.dtype)
    shares = counts / rows
    if task is Task.BINARY:
        return replace(sample, score=np.full(rows, shares[1]), label=label)
    return replace(sample, score=np.tile(shares, (rows, 1)), label=label)
