"""What native code would follow out of a model: checked, since a type says nothing of it."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from tests.fakes.honest_models import BINARY, FAMILIES, NUMBERS, fitted

from modelci.modelfiles.contents import check_contents
from modelci.modelfiles.findings import RefusedError


@pytest.mark.parametrize("family", FAMILIES)
def test_honest_models_point_nowhere_else(family: str) -> None:
    check_contents(fitted(family)[0])


def boosted() -> Any:
    kinds = np.arange(len(NUMBERS)) % 4
    model = HistGradientBoostingClassifier(
        max_iter=2, categorical_features=[0], early_stopping=False, min_samples_leaf=2
    )
    return model.fit(
        np.column_stack([kinds, NUMBERS]), np.where(np.arange(len(NUMBERS)) % 3, kinds % 2, BINARY)
    )


def nodes_of(model: Any) -> Any:
    return model._predictors[0][0].nodes


def first(model: Any, *, categorical: bool) -> int:
    nodes = nodes_of(model)
    wanted = (nodes["is_leaf"] == 0) & ((nodes["is_categorical"] != 0) == categorical)
    return int(np.flatnonzero(wanted)[0])


BOOSTED = boosted()


@pytest.mark.parametrize(
    ("field", "value", "categorical"),
    [
        ("left", 10**6, False),
        ("right", 0, False),
        ("feature_idx", 99, False),
        ("bitset_idx", 77, True),
    ],
)
def test_a_boosted_tree_is_followed_within_itself(
    field: str, value: int, categorical: bool
) -> None:
    check_contents(BOOSTED)
    model = deepcopy(BOOSTED)
    nodes_of(model)[field][first(model, categorical=categorical)] = value
    with pytest.raises(RefusedError):
        check_contents(model)


def test_a_feature_must_be_a_category_to_be_looked_up_as_one() -> None:
    model = deepcopy(BOOSTED)
    nodes_of(model)["is_categorical"][first(model, categorical=False)] = 1
    with pytest.raises(RefusedError, match="no category"):
        check_contents(model)


def changed_tree(place: int, change: Callable[[Any], Any]) -> Callable[[], Any]:
    def make() -> Any:
        model = deepcopy(fitted("kNN, kd_tree")[0])
        state = list(model._tree.__getstate__())
        state[place] = change(
            state[place].copy() if hasattr(state[place], "copy") else state[place]
        )
        model._tree.__setstate__(tuple(state))
        return model

    return make


def past_the_end(indices: Any) -> Any:
    indices[0] = 10**6
    return indices


def inner_leaf(nodes: Any) -> Any:
    nodes["is_leaf"][-1] = 0
    return nodes


def long_node(nodes: Any) -> Any:
    nodes["idx_end"][-1] = 10**6
    return nodes


@pytest.mark.parametrize(
    "make",
    [
        changed_tree(1, past_the_end),
        changed_tree(2, inner_leaf),
        changed_tree(2, long_node),
        changed_tree(6, lambda count: count + 10),
    ],
)
def test_a_tree_of_neighbours_is_followed_within_itself(make: Callable[[], Any]) -> None:
    with pytest.raises(RefusedError, match="KDTree"):
        check_contents(make())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_n_support", np.array([1000, 0, 0], dtype=np.int32)),
        ("support_vectors_", np.zeros((2, 4))),
        ("_dual_coef_", np.zeros((7, 3))),
        ("_intercept_", np.zeros(1)),
    ],
)
def test_support_vectors_belong_together(name: str, value: object) -> None:
    model = deepcopy(fitted("SVC")[0])
    setattr(model, name, value)
    with pytest.raises(RefusedError, match="SVC"):
        check_contents(model)


def test_a_forest_reads_no_more_than_it_says() -> None:
    model = deepcopy(fitted("random forest")[0])
    model.n_features_in_ = 2
    with pytest.raises(RefusedError, match="RandomForestClassifier"):
        check_contents(model)


def test_a_sparse_matrix_points_into_itself() -> None:
    from scipy.sparse import csr_matrix

    matrix = csr_matrix(np.eye(3))
    check_contents({"matrix": matrix})
    matrix.indices[0] = 99
    with pytest.raises(RefusedError, match="csr_matrix"):
        check_contents({"matrix": matrix})


def test_a_model_that_holds_itself_is_walked_once() -> None:
    model: dict[str, Any] = {}
    model["self"] = [model, (model,)]
    check_contents(model)
