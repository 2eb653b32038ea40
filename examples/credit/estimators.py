"""The kinds of model that compete, each a whole pipeline from raw columns to a score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import columns
import stage
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

if TYPE_CHECKING:
    from collections.abc import Callable

NUMERIC = list(columns.NUMERIC)
CATEGORICAL = list(columns.CATEGORICAL)


def logreg(params: dict[str, Any]) -> Pipeline:
    """Return a logistic regression on scaled numbers and one-hot categories.

    Gaps get the median and a flag of their own, for a gap may itself tell something.
    """
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    categories = OneHotEncoder(handle_unknown="ignore")
    columns_of = ColumnTransformer([("n", numbers, NUMERIC), ("c", categories, CATEGORICAL)])
    return Pipeline([("prepare", columns_of), ("model", LogisticRegression(**params))])


def hgb(params: dict[str, Any]) -> Pipeline:
    """Return histogram gradient boosting, which takes gaps as they are and categories as codes.

    A category never seen in training is coded as a gap. The codes are not declared as
    ``categorical_features``: scikit-learn would then keep functions inside the fitted model, and
    trusting ``functools.partial`` is a poor price. Early stopping is off, since it would make
    ``max_iter`` a mere upper bound.
    """
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    columns_of = ColumnTransformer([("n", "passthrough", NUMERIC), ("c", codes, CATEGORICAL)])
    booster = HistGradientBoostingClassifier(early_stopping=False, random_state=0, **params)
    return Pipeline([("prepare", columns_of), ("model", booster)])


KINDS: dict[str, Callable[[dict[str, Any]], Pipeline]] = {"logreg": logreg, "hgb": hgb}


def build(kind: str, params: dict[str, Any]) -> Pipeline:
    """Return an unfitted pipeline of this kind; ``params`` go to its estimator."""
    if kind not in KINDS:
        raise stage.BadInputError(f"unknown kind of model {kind!r}: use one of {', '.join(KINDS)}")
    try:
        return KINDS[kind](params)
    except TypeError as error:
        raise stage.BadInputError(f"train.{kind}: {stage.one_line(error)}") from error
