"""Loads a model's file once its scan says that this runs no code which came with it."""

import io
import warnings
from pathlib import Path
from typing import Any

from modelci.domain.golden import Golden
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.estimators import SklearnPredictor
from modelci.modelfiles.files import ModelFileError, read_model
from modelci.modelfiles.predictor import Predictor

_TRUSTED = (
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


def load_model(
    path: Path, *, trust: Trust, flavour: str | None = None, golden: Golden | None = None
) -> Predictor:
    """Return what answers for the model at ``path``.

    ``flavour`` says how to load it where its format does not; ``golden`` knows its inputs' types.
    Raises ModelFileError for a file that is unsafe, broken, or made by another version.
    """
    del flavour
    file = read_model(path)
    return SklearnPredictor(_load_skops(file.data, trust, path), golden)


def _load_skops(data: bytes, trust: Trust, path: Path) -> Any:
    import skops.io  # noqa: PLC0415 - it imports all of scikit-learn
    from sklearn.exceptions import InconsistentVersionWarning  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return skops.io.load(io.BytesIO(data), trusted=[*_TRUSTED, *trust.types])
        except InconsistentVersionWarning as error:
            raise ModelFileError(
                f"{path} was trained with scikit-learn {error.original_sklearn_version}, and "
                f"{error.current_sklearn_version} is installed.",
                hint="Install the former, or train again.",
            ) from error
