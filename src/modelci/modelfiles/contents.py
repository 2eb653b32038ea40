"""Checks what native code of a loaded model uses as indices, without looking itself.

A type says nothing of its numbers. scikit-learn follows the child numbers of a tree's nodes, and
reads the columns that they name, unchecked: a crafted file reads foreign memory or ends the
process at the first prediction. So they are checked once, here.
"""

from collections.abc import Callable, Iterator
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from modelci.domain.modelfiles import Danger
from modelci.modelfiles.findings import RefusedError

_PLAIN = (str, bytes, bytearray, int, float, complex, type, FunctionType, ModuleType)


def check_contents(model: Any) -> None:
    """Raise RefusedError for a part of the model that points outside of itself."""
    for part in parts_of(model):
        check = _CHECKS.get(_name(part))
        try:
            if check is not None:
                check(part)
            elif hasattr(part, "check_format"):  # a sparse matrix
                part.check_format(full_check=True)
            else:
                _check_estimator(part)
        except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
            raise RefusedError(Danger.MALFORMED, _name(part), str(error)) from error


def _name(part: Any) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def parts_of(model: Any) -> Iterator[Any]:
    """Yield every object that the model holds, once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if part is None or isinstance(part, _PLAIN) or id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, np.ndarray):
            waiting += list(part.flat) if part.dtype.hasobject else []
        elif isinstance(part, dict):
            waiting += part.values()
        elif isinstance(part, (list, tuple, set, frozenset)):
            waiting += part
        else:
            yield part
            waiting += getattr(part, "__dict__", {}).values()


def _within(numbers: npt.NDArray[Any], low: Any, high: Any, what: str) -> None:
    if numbers.size and not bool(np.all((numbers >= low) & (numbers < high))):
        raise ValueError(f"{what} point outside")


def _check_tree(tree: Any) -> None:
    nodes = tree.__getstate__()["nodes"]
    inner = nodes["left_child"] != -1
    own = np.flatnonzero(inner)
    for side in ("left_child", "right_child"):
        # A child comes after its parent, so that following children comes to an end.
        _within(nodes[side][inner], own + 1, len(nodes), "its nodes")
    _within(nodes["feature"][inner], 0, tree.n_features, "its features")


def _check_predictor(predictor: Any) -> None:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    own = np.flatnonzero(inner)
    for side in ("left", "right"):
        _within(nodes[side][inner], own + 1, len(nodes), "its nodes")
    if not len(nodes):
        raise ValueError("it has no node")
    by_category = nodes[inner & (nodes["is_categorical"] != 0)]
    for bits in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
        _within(by_category["bitset_idx"], 0, len(bits), "its categories")


def _check_neighbours(tree: Any) -> None:
    data, indices, nodes, bounds, _, _, count = tree.__getstate__()[:7]
    _within(indices, 0, len(data), "its rows")
    _within(nodes["idx_end"], nodes["idx_start"], len(indices) + 1, "its nodes")
    _within(nodes["idx_start"], 0, len(indices) + 1, "its nodes")
    _within(np.flatnonzero(nodes["is_leaf"] == 0) * 2 + 2, 0, len(nodes), "its nodes")
    if not count == len(nodes) == bounds.shape[1] or len(indices) != len(data):
        raise ValueError("its arrays do not belong together")


_CHECKS: dict[str, Callable[[Any], None]] = {
    "sklearn.tree._tree.Tree": _check_tree,
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _check_predictor,
    "sklearn.neighbors._kd_tree.KDTree": _check_neighbours,
    "sklearn.neighbors._kd_tree.KDTree64": _check_neighbours,
    "sklearn.neighbors._ball_tree.BallTree": _check_neighbours,
    "sklearn.neighbors._ball_tree.BallTree64": _check_neighbours,
}


def _check_estimator(model: Any) -> None:
    """Hold an estimator against its own trees and support vectors."""
    held = getattr(model, "__dict__", {})
    reads = held.get("n_features_in_")
    if "tree_" in held and held["tree_"].n_features != reads:
        raise ValueError("its tree reads other features")
    for inner in np.asarray(held.get("estimators_", ()), dtype=object).flat:
        own = getattr(inner, "__dict__", {}).get("tree_")
        if reads is not None and own is not None and own.n_features > reads:
            raise ValueError("a tree of it reads other features")
    for inner in held.get("_predictors", ()):
        for predictor in inner:
            _check_features(model, predictor.nodes)
    if "support_vectors_" in held and held.get("_sparse") is False:
        _check_support(model)


def _check_features(booster: Any, nodes: npt.NDArray[Any]) -> None:
    inner = nodes[nodes["is_leaf"] == 0]
    _within(inner["feature_idx"], 0, booster.n_features_in_, "its features")
    by_category = inner["feature_idx"][inner["is_categorical"] != 0]
    declared = getattr(booster, "_is_categorical_remapped", booster.is_categorical_)
    if by_category.size and not bool(np.all(np.asarray(declared)[by_category])):
        raise ValueError("a feature is no category")


def _check_support(machine: Any) -> None:
    count = len(machine.support_)
    rows = [machine._dual_coef_.shape[1]]
    if machine.kernel != "precomputed":
        rows.append(len(machine.support_vectors_))
        if machine.support_vectors_.shape[1] != machine.n_features_in_:
            raise ValueError("its support vectors have other features")
    classes = len(getattr(machine, "classes_", ()))
    if classes:
        rows.append(int(machine._n_support.sum()))  # noqa: SLF001
    pairs = classes * (classes - 1) // 2 if classes else 1
    if any(one != count for one in rows) or len(machine._intercept_) != pairs:
        raise ValueError("its support vectors do not belong together")
    if len(machine._dual_coef_) != max(classes - 1, 1):
        raise ValueError("its coefficients do not belong together")
