"""Collects what honest models hold, as the allow-lists of src/modelci/modelfiles/allowed.json.

    python tools/collect_allowed.py            # adds what this environment's models need
    python tools/collect_allowed.py --check    # says what is missing, and changes nothing

It fits every estimator of the scikit-learn that is installed, and some more with other parameters,
writes them as pickles of each protocol, by joblib and by skops, and reads off which names that
takes. Run it in several environments to serve models of several versions: the list only grows.
What could do harm whoever names it is never added; models that hold such things stay refused.
"""

import argparse
import contextlib
import inspect
import io
import json
import pickle
import sys
import warnings
import zipfile
from collections.abc import Container, Iterator, Mapping
from importlib.metadata import version
from itertools import islice
from typing import Any

import joblib
import numpy as np
import pandas as pd
import scipy.sparse
import skops.io
from sklearn import compose, datasets, pipeline
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier, SGDRegressor
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC
from sklearn.utils import all_estimators
from skops.io import _sklearn as skops_sklearn
from skops.io import _trusted_types as trusted

from modelci.modelfiles.allowed import FILE, may_be_listed
from modelci.modelfiles.pickles import examine

PACKAGES = ("scikit-learn", "numpy", "scipy", "joblib", "skops")


class Anything(Container[str]):
    """Allows every name: models of our own are read here."""

    def __contains__(self, name: object) -> bool:
        """Whether it is allowed; it is."""
        return True


def main() -> int:
    """Collect, and write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    known = json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}
    found = collect()
    merged = merge(known, found)
    if arguments.check:
        for line in sorted(flat(merged) - flat(known)):
            print("missing:", line)
        return int(flat(merged) != flat(known))
    FILE.write_text(json.dumps(merged, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{len(flat(known))} entries before, {len(flat(merged))} now")
    return 0


def collect(fits: int = 4) -> dict[str, Any]:
    """Return the names that this environment's models need, by format.

    Each estimator is fitted to at most ``fits`` of the kinds of data that it takes.
    """
    pickled: set[str] = set()
    by_loader: dict[str, set[str]] = {key: set(value) for key, value in skops_defaults().items()}
    for model in models(fits):
        for data in pickles(model):
            pickled |= set(examine(data, Anything()).names)
        for loader, name in skops_nodes(model):
            by_loader.setdefault(loader, set()).add(name)
    return {
        "collected_with": [" ".join(f"{one} {version(one)}" for one in PACKAGES)],
        "pickle": sorted(name for name in pickled if may_be_listed(name)),
        "skops": {
            loader: kept
            for loader, names in by_loader.items()
            if (kept := sorted(name for name in names if may_be_listed(name)))
        },
    }


def merge(known: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return both together."""
    loaders = {*known.get("skops", {}), *found["skops"]}
    return {
        "collected_with": sorted({*known.get("collected_with", ()), *found["collected_with"]}),
        "pickle": sorted({*known.get("pickle", ()), *found["pickle"]}),
        "skops": {
            loader: sorted(
                {*known.get("skops", {}).get(loader, ()), *found["skops"].get(loader, ())}
            )
            for loader in loaders
        },
    }


def flat(lists: Mapping[str, Any]) -> set[str]:
    """Return the entries as lines."""
    lines = {f"pickle {name}" for name in lists.get("pickle", ())}
    for loader, names in lists.get("skops", {}).items():
        lines |= {f"{loader} {name}" for name in names}
    return lines


def skops_defaults() -> dict[str, list[str]]:
    """Return what skops trusts of itself, by the loader that may make it."""
    losses = [f"{one.__module__}.{one.__name__}" for one in skops_sklearn.ALLOWED_LOSSES]
    dtypes = list(trusted.NUMPY_DTYPE_TYPE_NAMES)
    return {
        "DictNode": ["builtins.dict", "collections.OrderedDict"],
        "DefaultDictNode": ["collections.defaultdict"],
        "ListNode": ["builtins.list"],
        "SetNode": ["builtins.set"],
        "TupleNode": ["builtins.tuple"],
        "BytesNode": ["builtins.bytes"],
        "BytearrayNode": ["builtins.bytearray"],
        "SliceNode": ["builtins.slice"],
        "TypeNode": [*trusted.PRIMITIVE_TYPE_NAMES, *trusted.CONTAINER_TYPE_NAMES, *dtypes],
        "FunctionNode": [*trusted.SCIPY_UFUNC_TYPE_NAMES, *trusted.NUMPY_UFUNC_TYPE_NAMES],
        "ObjectNode": [
            *trusted.SKLEARN_ESTIMATOR_TYPE_NAMES,
            *getattr(trusted, "SKLEARN_INTERNAL_TYPE_NAMES", ()),
        ],
        "NdArrayNode": ["numpy.ndarray", *dtypes],
        "MaskedArrayNode": ["numpy.ma.MaskedArray", "numpy.ma.core.MaskedArray"],
        "RandomStateNode": ["numpy.random.mtrand.RandomState"],
        "RandomGeneratorNode": [
            "numpy.random._generator.Generator",
            *trusted.NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES,
        ],
        "LossNode": losses,
    }


def pickles(model: Any) -> Iterator[bytes]:
    """Yield the model in each protocol, and as joblib writes it."""
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):
            yield pickle.dumps(model, protocol=protocol)
    with contextlib.suppress(TypeError, pickle.PicklingError, AttributeError):
        buffer = io.BytesIO()
        joblib.dump(model, buffer)
        yield buffer.getvalue()


def skops_nodes(model: Any) -> Iterator[tuple[str, str]]:
    """Yield the loader and the type of each node that skops writes of a model."""
    try:
        data = skops.io.dumps(model)
    except Exception:  # noqa: BLE001 - what skops cannot write, nobody will read
        return
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        waiting = [json.loads(archive.read("schema.json"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        if not isinstance(node, dict):
            continue
        waiting += node.values()
        loader = node.get("__loader__")
        if loader in {"JsonNode", "CachedNode", None}:
            continue
        name = f"{node['__module__']}.{node['__class__']}"
        if loader not in {"PartialNode", "MethodNode", "OperatorFuncNode"}:
            yield loader, name


def models(fits: int) -> Iterator[BaseEstimator]:
    """Yield every estimator that can be fitted here, and then those with other parameters."""
    with warnings.catch_warnings(), joblib.parallel_config(n_jobs=1):
        warnings.simplefilter("ignore")
        for _, kind in all_estimators():
            model = make(kind)
            if model is not None:
                yield from islice(fitted(model), fits)
        for model in variants():
            yield from islice(fitted(model), fits)
        yield from on_frames()


def make(kind: type) -> BaseEstimator | None:
    """Return an estimator with the parameters that it cannot do without."""
    inner = Ridge() if kind.__name__.endswith("Regressor") else LogisticRegression()
    more: dict[str, Any] = {
        "estimator": inner,
        "estimators": [("one", inner)],
        "base_estimator": inner,
        "param_grid": {"C": [0.5, 1.0]},
        "param_distributions": {"C": [0.5, 1.0]},
        "transformers": [("scale", StandardScaler(), [0, 1])],
        "transformer_list": [("scale", StandardScaler())],
        "steps": [("scale", StandardScaler()), ("model", LogisticRegression())],
        "dictionary": np.eye(4),
        "n_nonzero_coefs": 2,
    }
    parameters = inspect.signature(kind).parameters
    required = [
        name
        for name, one in parameters.items()
        if one.default is inspect.Parameter.empty
        and one.kind not in {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    ]
    given = {name: value for name, value in more.items() if name in required}
    if "max_iter" in parameters and parameters["max_iter"].default not in {None, -1}:
        given["max_iter"] = 20
    if "n_estimators" in parameters:
        given["n_estimators"] = 3
    try:
        return kind(**given)
    except TypeError:
        return None


RANDOM = np.random.default_rng(0)
X = np.abs(RANDOM.normal(size=(60, 4)))
BINARY = (X[:, 0] > X[:, 1]).astype(int)
CLASSES = np.array(["a", "b", "c"])[np.arange(60) % 3]
NUMBERS = X @ np.array([1.0, 2.0, 0.5, 0.1]) + 1.0
TEXTS = ["a good day", "a bad night", "the day is long"] * 20


def data() -> Iterator[tuple[Any, Any]]:
    """Yield data of the kinds that estimators take."""
    yield X, BINARY
    yield X, CLASSES
    yield X, NUMBERS
    yield X, np.column_stack([NUMBERS, NUMBERS * 2])
    yield X, np.column_stack([BINARY, 1 - BINARY])
    yield scipy.sparse.csr_matrix(X), BINARY
    yield X[:, :1], NUMBERS
    yield X[:, 0], NUMBERS
    yield X.astype(np.float32), CLASSES
    yield TEXTS, BINARY
    yield [{"a": 1.0, "b": "x"}] * 60, BINARY
    yield BINARY, None
    yield X, None


def fitted(model: BaseEstimator) -> Iterator[BaseEstimator]:
    """Yield the model as it is fitted to each kind of data that it takes."""
    for rows, target in data():
        try:
            yield clone(model).fit(rows, target)
        except Exception:  # noqa: BLE001, S112 - it takes other data
            continue


def variants() -> Iterator[BaseEstimator]:  # noqa: PLR0912 - a list
    """Yield estimators whose parameters bring other types into the model."""
    for loss in (
        "hinge log_loss modified_huber squared_hinge perceptron squared_error huber "
        "epsilon_insensitive squared_epsilon_insensitive"
    ).split():
        yield SGDClassifier(loss=loss, max_iter=20)
    for loss in "squared_error huber epsilon_insensitive squared_epsilon_insensitive".split():
        yield SGDRegressor(loss=loss, max_iter=20)
    for loss in "squared_error absolute_error gamma poisson quantile".split():
        quantile = 0.5 if loss == "quantile" else None
        yield HistGradientBoostingRegressor(loss=loss, quantile=quantile, max_iter=3)
    yield HistGradientBoostingClassifier(max_iter=3, early_stopping=True)
    yield HistGradientBoostingClassifier(max_iter=3, categorical_features=[0])
    for loss in "squared_error absolute_error huber quantile".split():
        yield GradientBoostingRegressor(loss=loss, n_estimators=3)
    for loss in "log_loss exponential".split():
        yield GradientBoostingClassifier(loss=loss, n_estimators=3)
        yield GradientBoostingClassifier(loss=loss, n_estimators=3, init="zero")
    for algorithm in "ball_tree kd_tree brute".split():
        for metric in "minkowski euclidean manhattan chebyshev".split():
            yield KNeighborsClassifier(algorithm=algorithm, metric=metric)
    for metric in "canberra braycurtis haversine hamming jaccard seuclidean mahalanobis".split():
        more: dict[str, Any] = {"seuclidean": {"V": np.ones(4)}, "mahalanobis": {"VI": np.eye(4)}}
        yield KNeighborsClassifier(
            algorithm="ball_tree", metric=metric, metric_params=more.get(metric)
        )
    for kernel in "linear poly rbf sigmoid".split():
        yield SVC(kernel=kernel)
        yield SVC(kernel=kernel, probability=True)
    for kernel in (
        kernels.RBF() + kernels.WhiteKernel(),
        kernels.ConstantKernel() * kernels.Matern(),
        kernels.RationalQuadratic() + kernels.ExpSineSquared(),
        kernels.DotProduct() ** 2,
        kernels.CompoundKernel([kernels.RBF()]),
        kernels.PairwiseKernel(),
    ):
        yield GaussianProcessRegressor(kernel=kernel)
        yield GaussianProcessClassifier(kernel=kernel)
    for solver in "lbfgs sgd adam".split():
        yield MLPClassifier(solver=solver, max_iter=20, early_stopping=solver != "lbfgs")
    for seed in (np.random.RandomState(0), np.random.default_rng(0), 0):
        yield MLPClassifier(max_iter=20, random_state=seed)
        yield SGDClassifier(random_state=seed)
    for name in "log log1p exp expm1 sqrt cbrt abs square reciprocal sin cos tanh sign".split():
        yield FunctionTransformer(getattr(np, name))
    yield FunctionTransformer()
    yield compose.TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1)
    yield compose.TransformedTargetRegressor(Ridge(), transformer=StandardScaler())
    yield pipeline.make_pipeline(SimpleImputer(add_indicator=True), StandardScaler(), Ridge())
    yield pipeline.make_union(StandardScaler(), SimpleImputer())
    yield pipeline.make_pipeline(TfidfVectorizer(), LogisticRegression())
    yield pipeline.make_pipeline(TfidfVectorizer(dtype=np.float32, max_features=3), SGDClassifier())
    yield GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=StratifiedKFold(2))
    yield GridSearchCV(Ridge(), {"alpha": [0.1, 1.0]}, cv=2, scoring="neg_mean_squared_error")
    both = [("one", LogisticRegression()), ("two", GradientBoostingClassifier(n_estimators=2))]
    yield VotingClassifier(both, voting="soft")
    yield StackingClassifier(both, cv=2)
    yield OneHotEncoder(dtype=np.float32)
    yield OrdinalEncoder(dtype=np.int64)


def on_frames() -> Iterator[BaseEstimator]:
    """Yield pipelines fitted to a table with gaps, text and categories."""
    frame = pd.DataFrame(
        {
            "number": np.where(np.arange(60) % 7, X[:, 0], np.nan),
            "count": np.arange(60),
            "flag": BINARY == 1,
            "text": CLASSES,
            "gaps": [name if number % 5 else None for number, name in enumerate(CLASSES)],
            "kind": pd.Categorical(CLASSES),
        }
    )
    numbers, texts = ["number", "count"], ["text", "gaps", "kind"]
    imputed = pipeline.make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    encoders = [
        OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan),
    ]
    for encoder in encoders:
        for rest in ("drop", "passthrough"):
            columns = compose.ColumnTransformer(
                [("n", imputed, numbers), ("c", encoder, texts)], remainder=rest
            )
            for model in (LogisticRegression(), HistGradientBoostingClassifier(max_iter=3)):
                with contextlib.suppress(ValueError):
                    yield pipeline.make_pipeline(columns, model).fit(frame, BINARY)
    selected = compose.make_column_transformer(
        (imputed, compose.make_column_selector(dtype_include="number")),
        (encoders[0], compose.make_column_selector(dtype_exclude="number")),
    ).set_output(transform="default")
    yield pipeline.make_pipeline(selected, LogisticRegression()).fit(frame, BINARY)
    partly = SelfTrainingClassifier(LogisticRegression())
    yield partly.fit(X, np.where(np.arange(60) % 3, BINARY, -1))
    boosted = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype")
    yield boosted.fit(frame[["number", "kind"]], BINARY)
    bunch = datasets.load_iris()
    yield LogisticRegression(max_iter=20).fit(bunch.data, bunch.target)


if __name__ == "__main__":
    sys.exit(main())
