"""The target ``server`` with its own switch: releases answer, are switched, and come back."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelci.adapters.targets.switching.switches import find_haproxy
from modelci.errors import DeploymentError
from tests.integration.serving import Load, World, running, served, wait_for


@pytest.fixture(params=["builtin", "haproxy"])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    if request.param == "haproxy" and find_haproxy() is None:
        pytest.skip("there is no HAProxy here and `make haproxy` could not install it")
    with served(World.make(tmp_path, switch=request.param)) as made:
        yield made


def test_the_first_release_answers(world: World) -> None:
    release = world.deploy("a", offset=1.0)
    answer = world.ask(0.5)
    assert answer["model_version"] == release.id
    assert answer["outputs"][0]["data"] == [1.5]
    state = world.target.read("credit")
    assert (state.running and state.running.release) == release.id
    assert world.target.artifacts() == ("credit",)


def test_a_switch_goes_to_the_new_release_and_keeps_the_old_one_warm(world: World) -> None:
    first = world.deploy("a")
    pid = world.pid_of(first)
    second = world.deploy("b")
    assert world.answering() == second.id
    assert world.pid_of(first) == pid
    world.target.switch(running(first, reason="back"))
    assert world.answering() == first.id
    assert world.pid_of(first) == pid
