"""Promoted and deployed through each kind of DVC remote, by the commands that CI calls."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from tests.e2e.world import PIPELINE, SETTINGS, Checkout, World, add_dvc
from tests.integration.stores import KINDS, LACKING, QUIET, Store, serve

pytestmark = QUIET

FIT = """\
  fit:
    cmd: cp trained.skops credit.skops
    deps: [trained.skops]
    outs: [credit.skops]
"""
TARGETS = """\
deploy:
  strategy: {{watch_seconds: 0}}
  targets:
    here: {{path: {here}, stages: [staging]}}
    there: {{path: {there}}}
"""


@pytest.fixture(scope="module")
def model() -> bytes:
    fitted = LogisticRegression().fit(np.arange(20.0).reshape(-1, 1), np.arange(20) > 9)
    return bytes(skops.io.dumps(fitted))


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    reason = LACKING.get(request.param)
    if reason:
        pytest.skip(reason)
    folder = tmp_path / "server"
    folder.mkdir()
    with serve(request.param, folder) as server:
        yield server.below("models")


def test_what_is_promoted_runs_and_nothing_else(site: World, store: Store, model: bytes) -> None:
    digest = hashlib.sha256(model).hexdigest()
    here, there = site.root / "here", site.root / "there"
    laptop = replace(site.laptop, variables=store.variables)
    add_dvc(laptop)
    store.configure(laptop.folder)
    laptop.put(
        {
            "trained.skops": model,
            "dvc.yaml": PIPELINE.replace("artifacts:", f"{FIT}artifacts:").replace(
                "path: model.txt", "path: credit.skops"
            ),
            "modelci.yaml": SETTINGS + TARGETS.format(here=here, there=there),
        }
    )
    laptop.modelci("run", "--push")
    before = site.bare("rev-parse", "main")
    site.push({})

    runner = site.push_runner(before=before, variables=store.variables)
    store.give_secrets(runner.folder)
    runner.modelci("ci")
    form = "--format=%(contents:trailers:key=Modelci-Sha256,valueonly)"
    assert site.bare("for-each-ref", form, "refs/tags/credit@v0.0.1") == digest

    clone_for(store, site, "server").modelci("deploy", "credit#staging")
    running = here / "credit" / "current" / "model"
    assert {one.name: one.read_bytes() for one in running.iterdir()} == {"credit.skops": model}

    store.tamper(hashlib.md5(model, usedforsecurity=False).hexdigest(), model + b"evil")
    other = clone_for(store, site, "other")
    done = other.modelci("deploy", "credit#staging", "--to", "there", code=7)
    assert "These are not the bytes that were tagged" in done.err
    assert not (there / "credit" / "current").exists()
    assert (running / "credit.skops").read_bytes() == model


def clone_for(store: Store, site: World, name: str) -> Checkout:
    """Clone as a job does, which has credentials, no history and an empty cache."""
    clone = site.clone(name, "--depth=1", "--no-tags")
    store.give_secrets(clone.folder)
    return replace(clone, variables=store.variables)
