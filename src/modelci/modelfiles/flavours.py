"""Flavours: what loads a file that may be loaded, and answers for it.

``sklearn`` and ``onnx`` are built in. Another is a package's entry point in the group
``modelci.flavours``: its name is the flavour's, its object keeps the Protocol ``Flavour``.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Protocol

from modelci.domain.golden import Golden
from modelci.domain.modelfiles import FileFormat, FileScan, Trust
from modelci.modelfiles.files import ModelFile, ModelFileError

if TYPE_CHECKING:
    from modelci.modelfiles.predictor import Predictor

GROUP = "modelci.flavours"


class Flavour(Protocol):
    """Loads files of some formats; a module with these two names will do.

    A flavour with ``FileFormat.UNKNOWN`` among its formats is given files that we cannot judge,
    where it is asked for by name: whoever installs it vouches that its loading runs no code from
    the file.
    """

    @property
    def formats(self) -> tuple[FileFormat, ...]:
        """Which formats it loads."""

    def load(
        self, file: ModelFile, scan: FileScan, trust: Trust, golden: Golden | None
    ) -> "Predictor":
        """Return what answers, from the file's bytes; ``golden`` knows the types of its inputs.

        Raises ModelFileError for a file that is broken, or made by another version.
        """


_BUILT_IN: Mapping[str, str] = {
    "sklearn": "modelci.modelfiles.estimators",
    "onnx": "modelci.modelfiles.onnx",
}


def find_flavour(kind: FileFormat, asked: str | None) -> Flavour:
    """Return the flavour that is asked for, or else the one that loads such a format.

    Raises ModelFileError where there is none.
    """
    loaders = _loaders()
    if asked is not None and asked not in loaders:
        raise ModelFileError(
            f"There is no flavour {asked!r}.",
            hint=f"Known are {', '.join(sorted(loaders))}; packages may bring more ({GROUP}).",
        )
    names = loaders if asked is None else (asked,)
    for name in names:
        found = loaders[name]()
        if kind in found.formats and (asked is not None or kind is not FileFormat.UNKNOWN):
            return found
    raise ModelFileError(
        f"The flavour {asked} loads no file of format {kind}."
        if asked
        else f"No flavour loads a file of format {kind}.",
        hint="Save the model with skops or as ONNX, or name the flavour that loads it.",
    )


def vouches(asked: str | None) -> bool:
    """Whether a flavour is installed that takes files which we cannot judge."""
    loader = None if asked is None or asked in _BUILT_IN else _loaders().get(asked)
    return loader is not None and FileFormat.UNKNOWN in loader().formats


def _loaders() -> dict[str, Callable[[], Flavour]]:
    """Return what imports each flavour; no package replaces a built-in one."""
    brought = {one.name: one.load for one in entry_points(group=GROUP)}
    built_in = {name: _importer(module) for name, module in _BUILT_IN.items()}
    return built_in | {name: load for name, load in brought.items() if name not in built_in}


def _importer(module: str) -> Callable[[], Flavour]:
    def load() -> Flavour:
        flavour: Flavour = import_module(module)
        return flavour

    return load
