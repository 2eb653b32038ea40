"""What models may hold: names collected from honest models, and what is vouched for by hand.

``allowed.json`` is written by ``tools/collect_allowed.py``. For skops it holds what skops trusts of
itself, and what it does not trust but models of scikit-learn need: REASONS says of each of those
why it may stand there. Whoever changes either list vouches that building such a thing from bytes
that an attacker wrote does no harm.
"""

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("allowed.json")

_CHECKED = "What native code uses it as an index for is checked after loading (contents.py)."
_VALUES = "It holds numbers and plain parameters."
_PARTS = "A part of a fitted estimator: it holds numbers and other estimators."
_SCORER = "It is called while fitting, and calls a metric that is allowed itself."
_FUNCTION = "A function of arrays, without effects."

REASONS: Mapping[str, str] = {
    "numpy.dtype": "It is read from the header of an empty array, never from a pickle.",
    "numpy.matrix": "An array.",
    "numpy.bool_": "A type of numbers.",
    "numpy.core._multiarray_umath.": _FUNCTION,
    "sklearn.tree._tree.Tree": _CHECKED,
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor": _CHECKED,
    "sklearn.neighbors._kd_tree.KDTree": _CHECKED,
    "sklearn.neighbors._ball_tree.BallTree": _CHECKED,
    "scipy.sparse.": _CHECKED,
    "scipy.interpolate._bsplines.BSpline": _VALUES,
    "scipy.interpolate._bsplines._BSpline": _VALUES,  # as scipy 1.18 calls it
    "sklearn.metrics._dist_metrics.": _VALUES,
    "sklearn.gaussian_process.kernels.": _VALUES,
    "sklearn._loss.": _VALUES,
    "_loss.": _VALUES,  # what scikit-learn called its compiled losses up to 1.8
    "sklearn.linear_model._sgd_fast.": _VALUES,
    "sklearn.neural_network._stochastic_optimizers.": _VALUES,
    "sklearn.model_selection._split.": _VALUES,
    "sklearn.compose._column_transformer._RemainderColsList": "A list.",
    "sklearn.compose._column_transformer.make_column_selector": _VALUES,
    "sklearn.utils._bunch.Bunch": "A dict.",
    "sklearn.utils._metadata_requests.": _VALUES,
    "sklearn.metrics._scorer.": _SCORER,
    "sklearn.model_selection._classification_threshold._CurveScorer": _SCORER,
    "sklearn.calibration.": _PARTS,
    "sklearn.cluster._bisect_k_means._BisectingTree": _PARTS,
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace": _PARTS,
    "sklearn.impute._iterative.": _PARTS,
    "sklearn.model_selection._search_successive_halving.": _PARTS,
    "sklearn.multiclass._ConstantPredictor": _PARTS,
    "numpy.mean": _FUNCTION,
    "scipy.special._ufuncs.": _FUNCTION,  # where scipy had all of them before 1.15
    "scipy._lib.array_api_compat.numpy._aliases.asarray": _FUNCTION,
    "sklearn.utils.validation.check_array": _FUNCTION,
    "sklearn.cluster._kmeans._kmeans_single_": _FUNCTION,
    "sklearn.feature_selection._univariate_selection.": _FUNCTION,
    "sklearn.metrics._classification.": _FUNCTION,
    "sklearn.metrics._regression.": _FUNCTION,
    "functools.partial": "A later call of a function that is allowed itself.",
}
"""Why what skops does not trust of itself is trusted here; a name, or how names begin."""

_PLAIN = frozenset(
    f"builtins.{name}"
    for name in "bool bytearray bytes complex dict float frozenset int list object range set slice "
    "str tuple".split()
)
_KNOWN = (
    "sklearn.",
    "_loss.",  # scikit-learn's, see below
    "numpy.",
    "scipy.",
    "collections.",
    "joblib.numpy_pickle.NumpyArrayWrapper",
)
_ALSO = frozenset(
    {
        "_codecs.encode",  # how protocols 0 to 2 write bytes; its arguments are checked
        "copyreg._reconstructor",  # how protocols 0 and 1 make objects
        "functools.partial",
    }
)
_NEVER = (
    "numpy.ctypeslib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.frompyfunc",
    "numpy.fromfile",
    "numpy.genfromtxt",
    "numpy.lib.",
    "numpy.load",
    "numpy.memmap",
    "numpy.save",
    "numpy.testing",
    "numpy.vectorize",
    "scipy.io",
    "scipy.stats",  # its distributions execute text from their state
    "sklearn.datasets",
    "sklearn.externals",
    "sklearn.utils._testing",
)


_COMPILED = "sklearn._loss._loss."
_COMPILED_UNTIL_1_8 = "_loss."
"""What scikit-learn calls its module of losses, and what it called it up to 1.8."""


def may_be_listed(name: str) -> bool:
    """Whether an honest model's need of a name is reason enough to allow it to every model."""
    if name in _PLAIN or name in _ALSO:
        return True
    return name.startswith(_KNOWN) and not name.startswith(_NEVER)


def reason_for(name: str) -> str | None:
    """Return why a type is trusted that skops does not trust of itself."""
    found = (reason for start, reason in REASONS.items() if name.startswith(start))
    return REASONS.get(name) or next(found, None)


@cache
def _lists() -> Mapping[str, object]:
    found: Mapping[str, object] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


@cache
def pickle_names() -> frozenset[str]:
    """Return what pickles may name: module and name, joined by a dot."""
    listed = _lists()["pickle"]
    assert isinstance(listed, list)  # noqa: S101 - it is our own file
    # What skops takes for functions and types of arrays does no harm in a pickle either.
    arrays = skops_types()["FunctionNode"] | skops_types()["TypeNode"]
    return frozenset(filter(may_be_listed, arrays)) | _with_former_names(listed) | _PLAIN | _ALSO


@cache
def skops_types() -> Mapping[str, frozenset[str]]:
    """Return the types that each of skops' loaders may make."""
    listed = _lists()["skops"]
    assert isinstance(listed, dict)  # noqa: S101 - it is our own file
    return {loader: _with_former_names(names) for loader, names in listed.items()}


def _with_former_names(names: Sequence[str]) -> frozenset[str]:
    """Add what older versions call the same types: an environment may have one of those."""
    former = (
        _COMPILED_UNTIL_1_8 + name.removeprefix(_COMPILED)
        for name in names
        if name.startswith(_COMPILED)
    )
    return frozenset((*names, *former))


class Allowed(Container[str]):
    """What pickles may name: the list, and what the project vouches for."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._trusted = frozenset(trusted)

    def __contains__(self, name: object) -> bool:
        """Whether a dotted name is allowed."""
        return name in self._trusted or name in pickle_names()
