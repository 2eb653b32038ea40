"""Gates by evidence, with real Git, DVC and commands."""

import re
import sys
from typing import Any

import pytest
from tests.e2e.world import Checkout, World

PIPELINE = """\
stages:
  train:
    cmd: cp noise.txt model.txt
    deps: [noise.txt]
    outs: [model.txt]
  evaluate:
    cmd: python3 predict.py model.txt predictions.csv metrics.json
    deps: [model.txt, predict.py, testset.txt]
    outs: [predictions.csv]
    metrics:
      - metrics.json:
          cache: false
artifacts:
  credit: {path: model.txt, type: model}
"""
PREDICT = """\
import json, random, sys

model, predictions, metrics = sys.argv[1:]
noise = float(open(model).read())
first, rows = map(int, open("testset.txt").read().split())
right = 0
with open(predictions, "w") as file:
    print("id,y_true,score,channel", file=file)
    for row in range(first, first + rows):
        target = int(random.Random(row).random() < 0.4)
        luck = random.Random(f"{noise} {row}")
        answer = 1 - target if luck.random() < noise else target
        score = 0.5 + luck.uniform(0.01, 0.49) * (1 if answer else -1)
        right += answer == target
        print(row, target, score, "web" if row % 3 else "shop", sep=",", file=file)
with open(metrics, "w") as file:
    json.dump({"accuracy": right / rows}, file)
"""
SETTINGS = """\
gates:
  - {metric: accuracy, max_drop: 0.005}
evaluation:
  predictions: predictions.csv
  rescore:
    cmd: >-
      test -z "$GITHUB_TOKEN" &&
      python3 predict.py $MODELCI_BASE/model.txt $MODELCI_OUT /dev/null
    files: [model.txt]
run: {pull: true, push: true}
"""
FILES = {
    "dvc.yaml": PIPELINE,
    "modelci.yaml": SETTINGS,
    "noise.txt": "0.20\n",
    "predict.py": PREDICT,
    "testset.txt": "0 2000\n",
}
STRICT = SETTINGS.replace("0.005}", "0.005, inconclusive: fail, incomparable: fail}")
WORSE = {"noise.txt": "0.30\n"}
CHANCE = {"noise.txt": "0.21\n"}
MOVED = {"testset.txt": "500 2000\n"}


def start(site: World, **files: str) -> Checkout:
    """Turn the project into one with predictions, on the default branch, and switch to another."""
    laptop = site.laptop
    laptop.git("rm", "--quiet", "metrics.json", "dvc.lock")
    laptop.put({**FILES, **files})
    laptop.modelci("run", "--push")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    laptop.git("switch", "--quiet", "--create", "change")
    return laptop


def change(laptop: Checkout, files: dict[str, str]) -> dict[str, Any]:
    """Commit a change with its results and return the gate's result in the report."""
    laptop.put(files)
    laptop.modelci("run")
    laptop.commit()
    laptop.modelci("report")
    return gate_of(laptop)


def gate_of(checkout: Checkout) -> dict[str, Any]:
    (result,) = checkout.document("report")["gates"]
    assert isinstance(result, dict)
    return result


def test_a_worse_model_is_proven_worse(site: World) -> None:
    laptop = start(site)
    result = change(laptop, WORSE)
    assert (result["outcome"], result["mode"]) == ("failed", "evidence")
    assert result["evidence"]["rows"] == 2000
    assert result["evidence"]["method"] == "multinomial bootstrap"
    assert result["evidence"]["p_value"] < 0.001
    gate = laptop.modelci("gate", code=1)
    assert "p < 0.0001" in " ".join(gate.out.split())
    assert laptop.document("report")["evaluations"][0]["common"] == 2000


@pytest.mark.parametrize(("settings", "code"), [(SETTINGS, 0), (STRICT, 8)])
def test_what_may_be_chance_blocks_only_where_asked_and_exits_with_8(
    site: World, settings: str, code: int
) -> None:
    laptop = start(site, **{"modelci.yaml": settings})
    result = change(laptop, CHANCE)
    assert result["outcome"] == "inconclusive"
    laptop.modelci("gate", code=code)
    laptop.modelci("ci", code=code)


def test_predictions_come_from_the_cache_by_hash_or_are_pulled(site: World) -> None:
    laptop = start(site)
    change(laptop, WORSE)
    laptop.git("push", "--quiet", "origin", "change")
    laptop.modelci("run", "--push")
    fresh = site.clone("fresh", "--branch", "change")
    # Nothing of DVC's lies in a fresh clone: two numbers are compared, and it is said why.
    fresh.modelci("report", "origin/main", "HEAD")
    result = gate_of(fresh)
    assert (result["outcome"], result["evidence"]) == ("failed", None)
    assert "predictions.csv is not in the local DVC cache" in result["reason"]
    fresh.modelci("report", "origin/main", "HEAD", "--pull")
    assert gate_of(fresh)["evidence"]["rows"] == 2000
    assert not (fresh.folder / "predictions.csv").exists()


def test_other_test_rows_are_incomparable_until_the_base_is_scored_on_them(site: World) -> None:
    laptop = start(site)
    result = change(laptop, MOVED)
    assert result["outcome"] == "incomparable"
    assert "1,500 of 2,500 ids are in both" in result["reason"]
    laptop.modelci("gate")

    laptop.modelci("report", "--rescore")
    result = gate_of(laptop)
    assert (result["outcome"], result["mode"]) == ("passed", "evidence")
    assert result["evidence"]["difference"] == 0  # it is the same model
    (evaluation,) = laptop.document("report")["evaluations"]
    assert (evaluation["rescored"], evaluation["common"]) == (True, 1500)
    assert laptop.git("status", "--porcelain") == ""

    refused = laptop.modelci("report", "main", "HEAD", "--rescore", code=2)
    assert "it takes no HEAD" in refused.err


def test_a_job_scores_the_base_by_itself_and_shows_the_command_no_token(site: World) -> None:
    laptop = start(site)
    laptop.git("switch", "--quiet", "main")
    site.propose({**MOVED, **WORSE})
    runner = site.pull_request_runner(variables={"GITHUB_TOKEN": "very-secret"})
    runner.modelci("ci", "--no-write", code=1)
    result = gate_of(runner)
    assert (result["outcome"], result["mode"]) == ("failed", "evidence")
    assert runner.document("report")["evaluations"][0]["rescored"]


def test_a_command_that_cannot_score_is_told_and_decides_nothing(site: World) -> None:
    broken = STRICT.replace("python3 predict.py", "echo no such model && false")
    laptop = start(site, **{"modelci.yaml": broken})
    change(laptop, MOVED)
    laptop.modelci("report", "--rescore")
    result = gate_of(laptop)
    assert result["outcome"] == "incomparable"
    assert "could not be rescored" in result["reason"]
    assert "no such model" in result["reason"]
    laptop.modelci("gate", code=8)


def test_a_report_loads_pandas_only_for_predictions(site: World) -> None:
    def loaded(*arguments: str) -> set[str]:
        done = site.laptop.run(sys.executable, "-X", "importtime", "-m", "modelci", *arguments)
        assert done.code == 0, done.err
        names = set(re.findall(r"\| +([a-z]+)$", done.err, re.MULTILINE))
        return names & {"numpy", "pandas", "scipy"}

    assert loaded("report") == set()
    change(start(site), WORSE)
    assert loaded("report") == {"numpy", "pandas", "scipy"}
