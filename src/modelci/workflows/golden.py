"""``modelci golden``: what a served model is held to, recorded where it was made."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from modelci.domain.golden import Golden
from modelci.domain.modelfiles import Trust
from modelci.modelfiles.record import RecordOptions, record_golden

if TYPE_CHECKING:
    from pandas import DataFrame


def make_golden(
    model: Path,
    data: Path,
    *,
    read: Callable[[Path], "DataFrame"],
    trust: Trust,
    options: RecordOptions,
) -> Golden:
    """Return the golden requests of a model, with rows of ``data`` that ``read`` returns.

    The same files and environment give the same. Raises MissingDataError for data, ModelFileError
    for a model, and the latter where they do not belong together.
    """
    return record_golden(model, read(data), trust=trust, options=options)
