import sys

import pytest
from tests.fakes.progress import RecordedProgress

from modelci.adapters.executors import EXECUTORS
from modelci.config.model import ExecutorConfig, ExecutorKind
from modelci.errors import ConfigError


def test_every_kind_but_local_has_an_executor() -> None:
    assert set(EXECUTORS) == set(ExecutorKind) - {ExecutorKind.LOCAL}


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "modelci.adapters.executors.dask", raising=False)
    with pytest.raises(ConfigError) as caught:
        EXECUTORS["dask"](ExecutorConfig(), progress=RecordedProgress())
    assert caught.value.hint == "pip install 'modelci[dask]', here and on the workers."
