import json

import yaml

from modelci.domain.waves import Shard, Share
from modelci.render.matrix import render_github, render_gitlab

WAVES = (
    (
        Share(wave=1, shard=Shard(number=1, of=2), stages=("a", "b"), seconds=3.0),
        Share(wave=1, shard=Shard(number=2, of=2), stages=("c",), seconds=2.0),
    ),
    (Share(wave=2, shard=Shard(number=1, of=1), stages=("join",), seconds=1.0),),
)


def test_github_gets_a_matrix_on_one_line() -> None:
    text = render_github(WAVES, wave=1)
    assert "\n" not in text
    assert json.loads(text) == {
        "include": [
            {"wave": 1, "shard": "1/2", "stages": "a b"},
            {"wave": 1, "shard": "2/2", "stages": "c"},
        ]
    }


def test_all_waves_are_a_list() -> None:
    assert [len(wave["include"]) for wave in json.loads(render_github(WAVES, wave=None))] == [2, 1]


def test_a_wave_that_is_not_there_has_no_jobs() -> None:
    assert json.loads(render_github(WAVES, wave=3)) == {"include": []}


def test_gitlab_gets_a_child_pipeline() -> None:
    pipeline = yaml.safe_load(render_gitlab(WAVES, wave=None))
    assert pipeline["stages"] == ["wave-1", "wave-2", "collect"]
    assert pipeline["wave 1: 2 of 2"]["script"] == ["modelci run --shard 2/2 --wave 1"]
    assert pipeline["wave 2: 1 of 1"]["stage"] == "wave-2"
    assert pipeline["collect"]["script"] == ["modelci run --collect"]
    assert all(pipeline[name]["extends"] == ".modelci" for name in list(pipeline)[1:])


def test_nothing_to_run_is_only_collected() -> None:
    assert yaml.safe_load(render_gitlab((), wave=None))["stages"] == ["collect"]
