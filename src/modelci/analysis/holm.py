"""Several tests judged together."""

import numpy as np
from numpy.typing import NDArray


def adjust(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Holm's adjusted p-values, in the order given.

    Rejecting where the adjusted value is below alpha errs in any of the tests with probability
    alpha at most, however they depend on each other. S. Holm, "A simple sequentially rejective
    multiple test procedure", Scandinavian Journal of Statistics 6 (1979) 65-70.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted
