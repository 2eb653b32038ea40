"""Imports skops without all of scikit-learn.

To know the names of what it trusts of itself, skops imports every estimator that there is, with all
that those import, and goes through all loaded modules for each function of scipy's. That takes
longer than all else that a server does until it answers. The names are in our own list, which was
made of skops's (``allowed``; a test holds them against each other), so its module of names is made
of that. Nothing more is trusted so, and what a file may hold the scan has decided before. A skops
that wants other names is imported as it is, and takes its time.
"""

import importlib
import sys
import threading
from collections.abc import Collection, Mapping
from types import ModuleType

from modelci.modelfiles.allowed import reason_for, skops_types

NAMES = "skops.io._trusted_types"
_SKOPS = "skops.io"
_lock = threading.Lock()


def import_skops(names: Mapping[str, Collection[str]] | None = None) -> ModuleType:
    """Return ``skops.io``; ModuleNotFoundError where it is not installed.

    ``names`` are what skops is told, by its own names for the lists (default: by our list).
    """
    with _lock:
        if _SKOPS in sys.modules:
            return sys.modules[_SKOPS]
        stand_in = ModuleType(NAMES)
        for name, found in (_listed_names() if names is None else names).items():
            setattr(stand_in, name, sorted(found))
        sys.modules[NAMES] = stand_in
        try:
            return importlib.import_module(_SKOPS)
        except ImportError:
            for name in [
                one for one in sys.modules if one == _SKOPS or one.startswith("skops.io.")
            ]:
                del sys.modules[name]
            return importlib.import_module(_SKOPS)
        finally:
            if sys.modules.get(NAMES) is stand_in:
                del sys.modules[NAMES]  # whoever asks for it later gets skops's own


def _listed_names() -> Mapping[str, Collection[str]]:
    dtypes = {one for one in _usual("NdArrayNode") if one != "numpy.ndarray"}
    functions = _usual("FunctionNode")
    generators = {one for one in _usual("RandomGeneratorNode") if "._generator." not in one}
    return {
        "PRIMITIVE_TYPE_NAMES": {f"builtins.{one.__name__}" for one in (int, float, str, bool)},
        "CONTAINER_TYPE_NAMES": {f"builtins.{one.__name__}" for one in (list, set, map, tuple)},
        "NUMPY_DTYPE_TYPE_NAMES": dtypes,
        "NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES": generators,
        "NUMPY_UFUNC_TYPE_NAMES": {one for one in functions if one.startswith("numpy.")},
        "SCIPY_UFUNC_TYPE_NAMES": {one for one in functions if not one.startswith("numpy.")},
        "SKLEARN_ESTIMATOR_TYPE_NAMES": _usual("ObjectNode"),
        "SKLEARN_INTERNAL_TYPE_NAMES": set[str](),
    }


def _usual(loader: str) -> set[str]:
    """Return what skops lets that loader make without being asked to."""
    return {name for name in skops_types()[loader] if reason_for(name) is None}
