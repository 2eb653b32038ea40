from typing import TYPE_CHECKING

import numpy as np
import pytest

from modelci.modelfiles.predictor import side_by_side

if TYPE_CHECKING:
    from modelci.modelfiles.predictor import Columns


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_become_a_matrix_with_nan_for_gaps(dtype: type) -> None:
    columns: Columns = {"a": [1, None], "b": np.array([0.5, 2.5]), "c": [True, 3]}
    found = side_by_side(columns, ["b", "a"], dtype)
    assert found is not None
    assert found.shape == (2, 2)
    assert found.dtype == np.dtype(dtype)
    assert found.flags.c_contiguous
    assert found.tolist()[0] == [0.5, 1.0]
    assert np.isnan(found[1, 1])


@pytest.mark.parametrize("column", [["car", "home"], [1.0], [[1], [2]]])
def test_what_is_no_column_of_numbers_is_left_to_who_can_say_which(column: list[object]) -> None:
    columns = {"a": [1.0, 2.0], "b": column}
    assert side_by_side(columns, ["a", "b"], np.float64) is None  # type: ignore[arg-type]
