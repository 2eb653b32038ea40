"""Counts the rows of a dataset on a Dask cluster: each worker some pieces, all added up here."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from modelci import __version__
from modelci.adapters.scanning import DatasetScanner
from modelci.errors import PipelineError
from modelci.ports import Counted, MissingDataError, Piece, RowScanner


class ClusterCounter:
    """Keeps the promise of ``ports.RowCounter``; ``client`` is Dask's.

    Workers read the data themselves: they see the same folders, or the same URLs.
    """

    def __init__(self, client: Any, scanner: RowScanner) -> None:
        self._client = client
        self._scanner = scanner

    def count(self, location: str, empty: Counted) -> Counted:
        """Return what ``empty`` becomes by all rows of the dataset.

        Raises PipelineError where the workers cannot do it.
        """
        waiting = [
            self._client.submit(count_piece, piece, empty, __version__, pure=False)
            for piece in self._scanner.pieces(location)
        ]
        while waiting:
            empty.merge(self._result(waiting.pop(0), location))
        return empty

    def _result(self, future: Any, location: str) -> Any:
        try:
            return future.result()
        except MissingDataError as error:
            raise MissingDataError(
                f"A worker could not read {location}: {error}",
                hint="Workers read the data themselves: have them see the same files or URLs.",
            ) from error
        except Exception as error:  # what Dask could not send or load, or lost
            raise PipelineError(
                f"The workers could not count {location}: {type(error).__name__}: {error}.",
                hint="Install the same version of 'modelci[dask,monitor]' on the workers.",
            ) from error


def count_piece(piece: Piece, empty: Counted, version: str) -> Counted:
    """Count a piece's rows in this worker's process."""
    if version != __version__:
        raise RuntimeError(f"this worker has modelci {__version__}, and the driver {version}")
    counted = deepcopy(empty)  # a worker that is a thread was given the driver's own
    for batch in DatasetScanner(Path("/")).read(piece):
        counted.add(batch)
    return counted
