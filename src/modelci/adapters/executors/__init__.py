"""Where stages can run other than here, by the name that ``executor.kind`` has."""

from collections.abc import Mapping
from typing import Protocol

from modelci.config.model import ExecutorConfig
from modelci.ports import Progress, StageExecutor


class Connect(Protocol):
    """Makes an executor from its settings; raises ConfigError or PipelineError."""

    def __call__(self, settings: ExecutorConfig, *, progress: Progress) -> StageExecutor: ...


def _dask(settings: ExecutorConfig, *, progress: Progress) -> StageExecutor:
    from modelci.adapters.executors.dask import connect  # noqa: PLC0415 - an optional package

    return connect(settings, progress=progress)


EXECUTORS: Mapping[str, Connect] = {"dask": _dask}
