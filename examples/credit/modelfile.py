"""Models as files: skops, which loads without running code, in bytes that a rerun repeats."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING
from zipfile import BadZipFile, ZipFile, ZipInfo

import skops.io
import stage
from sklearn.exceptions import InconsistentVersionWarning

if TYPE_CHECKING:
    from pathlib import Path

    from sklearn.pipeline import Pipeline

# What the models of estimators.py hold beyond what skops trusts of itself. Whoever adds a line
# vouches that building this type from a file that an attacker wrote does no harm.
TRUSTED_TYPES = (
    "numpy.dtype",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)

SCHEMA = "schema.json"
# Quotes within a JSON string are escaped, so this matches keys only.
OBJECT_ID = re.compile(r'("__id__": |"file": ")(\d+)')


def save(model: Pipeline, path: Path) -> None:
    """Write a model; the same model gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(canonical(skops.io.dumps(model)))


def canonical(data: bytes) -> bytes:
    """Rewrite a skops archive without what changes from run to run.

    Those are memory addresses, which skops uses as ids and as file names, and the time.
    Nothing is compressed, because compressed bytes differ between builds of zlib.
    """
    numbers: dict[str, str] = {}

    def renumber(match: re.Match[str]) -> str:
        return match[1] + numbers.setdefault(match[2], str(len(numbers)))

    with ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = OBJECT_ID.sub(renumber, members.pop(SCHEMA).decode())
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            number, _, suffix = name.partition(".")
            archive.writestr(ZipInfo(f"{numbers[number]}.{suffix}"), content)
        archive.writestr(ZipInfo(SCHEMA), schema)
    return buffer.getvalue()


def load(path: Path) -> Pipeline:
    """Load a model that holds trusted types only and comes from this version of scikit-learn."""
    try:
        untrusted = set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED_TYPES)
    except FileNotFoundError as error:
        raise stage.BadInputError(f"{path} does not exist: run the stage `train` first") from error
    except (BadZipFile, KeyError, ValueError) as error:
        raise stage.BadInputError(f"{path} is no skops model: {stage.one_line(error)}") from error
    if untrusted:
        raise stage.BadInputError(
            f"{path} holds types that are not trusted: {', '.join(sorted(untrusted))}; do not "
            "load it, or, if the model is yours, add them to TRUSTED_TYPES in modelfile.py"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return skops.io.load(path, trusted=list(TRUSTED_TYPES))
        except InconsistentVersionWarning as error:
            raise stage.BadInputError(
                f"{path} was trained with scikit-learn {error.original_sklearn_version}, and "
                f"{error.current_sklearn_version} is installed: install the former, or train again"
            ) from error
