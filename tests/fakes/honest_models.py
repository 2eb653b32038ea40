"""Models as honest people fit them, a family each, and the rows that they were fitted on."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

_RANDOM = np.random.default_rng(3)
COUNT = 80
NUMBERS = _RANDOM.normal(size=(COUNT, 4))
BINARY = (NUMBERS[:, 0] + NUMBERS[:, 1] > 0).astype(int)
CLASSES = np.array(["low", "mid", "high"])[np.digitize(NUMBERS[:, 0], [-0.5, 0.5])]
TARGET = NUMBERS @ np.array([1.0, -2.0, 0.5, 0.0])
TABLE = pd.DataFrame(
    {
        "amount": np.where(np.arange(COUNT) % 9, NUMBERS[:, 0] * 100, np.nan),
        "term": np.arange(COUNT) % 7 * 12,
        "owner": BINARY == 1,
        "region": np.array(["north", "south", "east"])[np.arange(COUNT) % 3],
        "channel": [None if row % 11 == 0 else ("web", "shop")[row % 2] for row in range(COUNT)],
    }
)
TEXTS = ["a good day", "a bad night", "the day is long", "night and day"] * (COUNT // 4)


def _on_table(model: BaseEstimator, encoder: BaseEstimator) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = ColumnTransformer(
        [("n", numbers, ["amount", "term"]), ("c", encoder, ["region", "channel"])],
        remainder="passthrough",
    )
    return make_pipeline(columns, model)


def _both() -> list[tuple[str, Any]]:
    return [("line", LogisticRegression()), ("tree", DecisionTreeClassifier(max_depth=3))]


_HGB: dict[str, Any] = {"max_iter": 5, "early_stopping": False, "random_state": 0}
FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "logistic regression": lambda: (LogisticRegression().fit(NUMBERS, BINARY), NUMBERS),
    "three classes": lambda: (LogisticRegression().fit(NUMBERS, CLASSES), NUMBERS),
    "SGD": lambda: (SGDClassifier(loss="log_loss", random_state=0).fit(NUMBERS, BINARY), NUMBERS),
    "linear SVM": lambda: (LinearSVC(random_state=0).fit(NUMBERS, CLASSES), NUMBERS),
    "SVC": lambda: (SVC().fit(NUMBERS, CLASSES), NUMBERS),
    "kNN, kd_tree": lambda: (
        KNeighborsClassifier(algorithm="kd_tree").fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "kNN, ball_tree": lambda: (
        KNeighborsClassifier(algorithm="ball_tree").fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "decision tree": lambda: (DecisionTreeClassifier(random_state=0).fit(NUMBERS, BINARY), NUMBERS),
    "random forest": lambda: (
        RandomForestClassifier(5, random_state=0).fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "forest of numbers": lambda: (
        RandomForestRegressor(5, random_state=0).fit(NUMBERS, TARGET),
        NUMBERS,
    ),
    "extra trees": lambda: (ExtraTreesClassifier(5, random_state=0).fit(NUMBERS, CLASSES), NUMBERS),
    "gradient boosting": lambda: (
        GradientBoostingClassifier(n_estimators=5, random_state=0).fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "histogram boosting": lambda: (
        HistGradientBoostingClassifier(**_HGB).fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "histogram boosting of numbers": lambda: (
        HistGradientBoostingRegressor(**_HGB).fit(NUMBERS, TARGET),
        NUMBERS,
    ),
    "histogram boosting of categories": lambda: (
        HistGradientBoostingClassifier(categorical_features="from_dtype", **_HGB).fit(
            categorical(), BINARY
        ),
        categorical(),
    ),
    "naive Bayes": lambda: (GaussianNB().fit(NUMBERS, BINARY), NUMBERS),
    "neural network": lambda: (
        MLPClassifier((8,), solver="lbfgs", max_iter=400, random_state=0).fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "k-means": lambda: (KMeans(3, n_init=1, random_state=0).fit(NUMBERS), NUMBERS),
    "isolation forest": lambda: (
        IsolationForest(n_estimators=5, random_state=0).fit(NUMBERS),
        NUMBERS,
    ),
    "Gaussian process": lambda: (
        GaussianProcessClassifier(1.0 * RBF() + WhiteKernel(), optimizer=None).fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "calibrated": lambda: (
        CalibratedClassifierCV(LinearSVC(random_state=0), cv=2).fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "voting": lambda: (VotingClassifier(_both(), voting="soft").fit(NUMBERS, BINARY), NUMBERS),
    "stacking": lambda: (StackingClassifier(_both(), cv=2).fit(NUMBERS, BINARY), NUMBERS),
    "search": lambda: (
        GridSearchCV(LogisticRegression(), {"C": [0.5, 1.0]}, cv=2).fit(NUMBERS, BINARY),
        NUMBERS,
    ),
    "transformed target": lambda: (
        TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1).fit(
            NUMBERS, np.abs(TARGET)
        ),
        NUMBERS,
    ),
    "a table, one-hot": lambda: (
        _on_table(LogisticRegression(), OneHotEncoder(handle_unknown="ignore")).fit(TABLE, BINARY),
        TABLE,
    ),
    "a table, boosted": lambda: (
        _on_table(
            HistGradientBoostingClassifier(**_HGB),
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
        ).fit(TABLE, CLASSES),
        TABLE,
    ),
    "texts": lambda: (
        make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, BINARY),
        TEXTS,
    ),
}


def categorical() -> pd.DataFrame:
    """Return a table whose texts are categories of pandas'."""
    return TABLE[["amount", "region"]].astype({"region": "category"})


@cache
def fitted(family: str) -> tuple[Any, Any]:
    """Return a model of that family, and rows to ask it of."""
    return FAMILIES[family]()
