"""``modelci profile``: what a deployed model's data will be compared with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.e2e.world import Checkout

ROWS = 800


@pytest.fixture
def laptop(tmp_path: Path) -> Checkout:
    """A folder with data; no repository is needed."""
    random = np.random.default_rng(5)
    folder = tmp_path / "project"
    folder.mkdir()
    income = random.lognormal(8, 1, ROWS)
    score = 1 / (1 + income / income.mean())
    table = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "income": income,
            "purpose": random.choice(["car", "home"], ROWS),
            "default": (random.random(ROWS) < score).astype(int),
        }
    )
    table.to_parquet(folder / "train.parquet", index=False)
    table.assign(score=score, y_true=table["default"])[["id", "score", "y_true"]].to_csv(
        folder / "predictions.csv", index=False
    )
    return Checkout(folder=folder, variables={})


def document(laptop: Checkout, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(laptop.read(name))
    return found


def test_a_profile_is_recorded_the_same_each_time(laptop: Checkout) -> None:
    arguments = ("profile", "train.parquet", "--id", "id", "--exclude", "default")
    answers = ("--predictions", "predictions.csv", "--threshold", "0.6")
    first = laptop.command(*arguments, *answers, "--out", "models/m.profile.json")
    assert first.out == ""
    assert "800 rows of 3 columns (1 identifier, 1 number, 1 category), 800 answers" in first.err
    assert "On labelled rows: roc_auc 0." in first.err
    laptop.command(*arguments, *answers, "--out", "again.json")
    assert laptop.read("again.json") == laptop.read("models/m.profile.json")

    profile = document(laptop, "models/m.profile.json")
    assert profile["schema"] == "modelci.profile/1"
    assert [one["name"] for one in profile["columns"]] == ["id", "income", "purpose"]
    assert sum(profile["columns"][1]["number"]["counts"]) == ROWS
    assert profile["threshold"] == 0.6
    scores = pd.read_csv(laptop.folder / "predictions.csv")
    assert profile["chosen"] == (scores["score"] >= 0.6).mean()
    assert profile["target_rate"] == scores["y_true"].mean()
    auc = profile["realised"]["roc_auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert profile["calibration"]["rows"] == ROWS
    assert set(profile["hashes"]) == {"train.parquet", "predictions.csv"}


def test_scores_without_outcomes_and_numbers_are_answers_too(laptop: Checkout) -> None:
    frame = pd.read_csv(laptop.folder / "predictions.csv")
    frame[["score"]].to_json(laptop.folder / "scores.jsonl", orient="records", lines=True)
    laptop.modelci(
        "profile", "train.parquet", "--predictions", "scores.jsonl", "--out", "plain.json"
    )
    plain = document(laptop, "plain.json")
    assert (plain["calibration"], plain["realised"], plain["target_rate"]) == (None, {}, None)
    assert plain["chosen"] is not None
    arguments = ("--score", "score", "--target", "id", "--task", "regression")
    laptop.modelci(
        *("profile", "train.parquet", "--predictions", "predictions.csv", *arguments),
        *("--out", "number.json"),
    )
    number = document(laptop, "number.json")
    assert {"rmse", "mae"} <= set(number["realised"])
    assert (number["calibration"], number["chosen"]) == (None, None)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["none.csv"], "none.csv does not exist", "may you read it"),
        (["train.parquet", "--id", "ids"], "no column 'ids'", "It has id, income"),
        (["train.parquet", "--predictions", "p.csv"], "p.csv does not exist", "may you read it"),
        (
            ["train.parquet", "--predictions", "predictions.csv", "--score", "scores"],
            "has no column 'scores'",
            "Did you mean 'score'?",
        ),
        (
            ["train.parquet", "--predictions", "predictions.csv", "--target", "label"],
            "has no column 'label'",
            "It has id, score, y_true",
        ),
        (
            ["train.parquet", "--predictions", "predictions.csv", "--target", "id"],
            "cannot be used: column 'id' holds 800 classes",
            "--task",
        ),
        (
            ["train.parquet", "--predictions", "predictions.csv", "--score", "id"],
            "which is no probability",
            "--score",
        ),
        (["empty.csv"], "empty.csv has no rows to profile", "trained on"),
        (["readme.md"], "is no dataset", "Datasets end in"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    laptop: Checkout, arguments: list[str], said: str, hint: str
) -> None:
    laptop.put({"empty.csv": "a,b\n", "readme.md": "a,b\n"})
    done = laptop.modelci("profile", *arguments, "--out", "p.json", code=3)
    assert said in done.err
    assert hint in done.err
    assert not (laptop.folder / "p.json").exists()
