"""A deployed model, watched month by month by the command itself, with a real model behind it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from tests.e2e.browsing import Opener
from tests.e2e.world import Checkout, World
from tests.fakes.sharing import once

TRAIN = """\
import json
import numpy as np, pandas as pd, skops.io
from sklearn.linear_model import LogisticRegression

random = np.random.default_rng(0)
x = random.normal(size=(3000, 2))
y = (random.random(3000) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(int)
frame = pd.DataFrame({"id": range(3000), "a": x[:, 0], "b": x[:, 1], "y": y})
model = LogisticRegression().fit(frame[["a", "b"]][:2000], y[:2000])
skops.io.dump(model, "model.skops")
frame[:2000].to_csv("train.csv", index=False)
test = frame[2000:]
scored = test.assign(score=model.predict_proba(test[["a", "b"]])[:, 1])
scored.to_csv("predictions.csv", index=False)
json.dump({"accuracy": model.score(test[["a", "b"]], test["y"])}, open("metrics.json", "w"))
"""
PIPELINE = """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    outs: [model.skops, train.csv, predictions.csv]
    metrics:
      - metrics.json:
          cache: false
  profile:
    cmd: >-
      modelci profile train.csv --id id --exclude y --predictions predictions.csv --target y
      --out model.profile.json
    deps: [train.csv, predictions.csv]
    outs: [model.profile.json]
artifacts:
  credit:
    path: model.skops
    type: model
"""
# What is not about skew asks no model again, which is a process with scikit-learn each time.
SETTINGS = """\
gates:
  - {metric: accuracy, min: 0.6}
run: {pull: true, push: true}
promote: {assign: [prod]}
evaluation: {predictions: predictions.csv, target: y}
forge: {kind: local, path: ../forge}
monitor:
  model: credit
  stage: prod
  current: ../production/{window}.csv
  id: id
  labels: {path: "../outcomes/{window}.csv", join: id}
  performance: {roc_auc: {max_drop: 0.05}, estimate: cbpe}
  skew: {rows: 0}
  triggers:
    - {when: performance, action: issue}
    - {when: drift, action: issue}
"""
WITH_SKEW = SETTINGS.replace("  skew: {rows: 0}\n", "")


@pytest.fixture(scope="module")
def trained(template: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A model that was trained, profiled and promoted, and months of data that it scored."""
    made = once(tmp_path_factory, "watched", lambda folder: watched(template, folder / "world"))
    return World(made / "world")


def watched(template: World, folder: Path) -> None:
    site = template.copy(folder)
    laptop = site.laptop
    laptop.put({"train.py": TRAIN, "dvc.yaml": PIPELINE, "modelci.yaml": SETTINGS})
    laptop.command("run", "--push")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    laptop.modelci("report")
    laptop.modelci("promote")
    model = skops.io.load(laptop.folder / "model.skops")
    for name in ("production", "outcomes"):
        (site.root / name).mkdir()
    for month, (shift, meaning) in enumerate([(0.0, 1), (1.5, 1), (0.0, -1), (0.0, 1)], 1):
        random = np.random.default_rng(month)
        frame = pd.DataFrame(random.normal(size=(1200, 2)), columns=["a", "b"]) + shift
        chance = 1 / (1 + np.exp(-2 * meaning * frame["a"]))
        frame.insert(0, "id", [f"{month}-{row}" for row in range(1200)])
        scored = frame.assign(score=model.predict_proba(frame[["a", "b"]])[:, 1])
        outcome = (random.random(1200) < chance).astype(int)
        name = f"2026-0{month}.csv"
        scored.to_csv(site.root / "production" / name, index=False)
        frame[["id"]].assign(y=outcome).to_csv(site.root / "outcomes" / name, index=False)


@pytest.fixture
def site(trained: World, tmp_path: Path) -> World:
    return trained.copy(tmp_path / "world")


def runner(site: World, name: str = "runner") -> Checkout:
    """A job of a schedule, as GitHub runs it: a shallow clone without tags and data."""
    return site.push_runner(name=name)


def test_months_are_watched_and_remembered(site: World) -> None:
    job = runner(site)
    job.commit({"modelci.yaml": WITH_SKEW})
    well = job.command("monitor", "--window", "2026-01")
    assert well.out.startswith("✓ Well in credit v0.0.1 (prod), window 2026-01")
    assert "asked of the tagged model again: all the same" in well.out
    assert job.outputs["ok"] == "true"
    assert "2026-01" in job.summary

    drift = job.modelci("monitor", "--window", "2026-02", "--plain", code=1)
    assert "\tdrift\tfailed\t" in drift.out
    assert "\tperformance\tpassed\t" in drift.out

    fell = job.modelci("monitor", "--window", "2026-03", "--json", code=1)
    document = json.loads(fell.out)
    assert document == job.document("monitor")
    (measure,) = [one for one in document["performance"] if one["measure"] == "roc_auc"]
    assert measure["realised"]["value"] < 0.3
    assert measure["estimated"]["value"] > 0.7
    assert document["skew"] == {"rows": 200, "differing": 0, "worst": 0.0}
    ref = "refs/modelci/monitor/credit#prod"
    assert site.bare("ls-tree", "--name-only", ref).split() == [
        "2026-01.json",
        "2026-02.json",
        "2026-03.json",
    ]
    assert job.git("status", "--porcelain") == ""


def test_what_must_be_decided_and_cannot_ends_with_a_code_of_its_own(site: World) -> None:
    job = runner(site)
    job.put({"modelci.yaml": f"{SETTINGS}  min_rows: 5000\n"})
    assert "Well, with warnings" in job.modelci("monitor", "--window", "2026-01").out
    job.put({"modelci.yaml": f"{SETTINGS}  min_rows: 5000\n  inconclusive: fail\n"})
    unclear = job.modelci("monitor", "--window", "2026-01", code=8)
    assert "Unclear in credit v0.0.1 (prod), window 2026-01" in unclear.out


def test_one_issue_tells_of_it_and_is_closed_when_all_is_well(site: World) -> None:
    job = runner(site)
    assert "Issue created" in job.modelci("monitor", "--window", "2026-02", code=1).err
    assert "Issue updated" in job.modelci("monitor", "--window", "2026-03", code=1).err
    older = job.modelci("monitor", "--window", "2026-02", code=1)
    assert "the newer window 2026-03 is remembered" in older.out
    assert "Issue closed" not in job.modelci("monitor", "--window", "2026-01").err
    assert "Issue closed" in job.modelci("monitor", "--window", "2026-04").err
    assert len(list((site.root / "forge/issues").glob("*.md"))) == 1


def test_another_job_takes_the_same_action_again(site: World) -> None:
    runner(site, "one").modelci("monitor", "--window", "2026-02", code=1)
    again = runner(site, "two").modelci("monitor", "--window", "2026-02", code=1)
    assert "Issue unchanged" in again.err
    assert len(site.bare("log", "--format=%h", "refs/modelci/monitor/credit#prod").split()) == 1


def test_nothing_is_done_where_that_is_asked_for(site: World) -> None:
    job = runner(site)
    arguments = ("monitor", "--window", "2026-02", "--no-act", "--no-history", "--json")
    (action,) = json.loads(job.modelci(*arguments, code=1).out)["actions"]
    assert (action["kind"], action["done"], action["held_back"]) == ("issue", None, None)
    assert not (site.root / "forge" / "issues").exists()
    assert site.bare("for-each-ref", "refs/modelci") == ""


def test_answers_of_another_model_are_found(site: World) -> None:
    path = site.root / "production" / "2026-01.csv"
    frame = pd.read_csv(path)
    frame.assign(score=(frame["score"] * 0.99).round(6)).to_csv(path, index=False)
    job = runner(site)
    job.put({"modelci.yaml": WITH_SKEW})
    said = job.modelci("monitor", "--window", "2026-01", "--plain", code=1)
    assert "\tskew\tfailed\t" in said.out
    assert "200 of 200 logged answers differ" in said.out


def test_every_format_is_written(site: World, tmp_path: Path, visit: Opener) -> None:
    job = runner(site)
    job.modelci("monitor", "--window", "2026-01", "--no-act")
    out = tmp_path / "out"
    names = ("terminal", "md", "json", "html", "openmetrics")
    formats = [part for name in names for part in ("--format", name)]
    job.modelci("monitor", "--window", "2026-02", "--no-act", "--out", str(out), *formats, code=1)
    assert sorted(path.name for path in out.iterdir()) == [
        "metrics.txt",
        "monitor.html",
        "monitor.json",
        "monitor.md",
        "monitor.txt",
    ]
    assert (out / "metrics.txt").read_text().endswith("# EOF\n")
    page = visit.file(out / "monitor.html")
    assert "2026-02" in page.content()
    assert "2026-01" in page.content(), "what is remembered makes the trends"


def test_what_cannot_be_watched_is_said_with_the_next_step(site: World) -> None:
    job = runner(site)
    lacking = job.modelci("monitor", "--window", "2026-05", code=3)
    assert "There are no data of credit#prod for 2026-05" in lacking.err
    assert "--window names another window" in lacking.err
    assert "%Y-%m names" in job.modelci("monitor", "--window", "May", code=2).err
    assert "modelci.yaml watches credit#prod" in job.modelci("monitor", "other", code=2).err
    both = job.modelci("monitor", "--format", "md", "--format", "html", code=2)
    assert "Several formats need --out DIR" in both.err
    both = job.modelci("monitor", "--json", "--plain", code=2)
    assert "--plain and --json exclude each other" in both.err
    job.git("remote", "remove", "origin")
    assert "has no Git remote" in job.modelci("monitor", "--remote", code=2).err
    job.put({"modelci.yaml": "gates: []\n"})
    assert "Nothing is watched" in job.modelci("monitor", code=2).err


def test_the_folder_that_is_acted_on_has_the_last_runs_windows(site: World) -> None:
    job = runner(site)
    for window, code in (("2026-01", 0), ("2026-02", 1)):
        job.modelci("monitor", "--window", window, "--no-write", code=code)
    files = [path.name for path in (job.folder / ".modelci/monitor").glob("*.json")]
    assert files == ["credit@prod@2026-02.json"]
    assert "credit 2026-02: issue created" in job.modelci("act").out


def test_what_is_written_is_of_the_newest_window_however_many_were_judged(
    site: World, tmp_path: Path
) -> None:
    job = runner(site)
    outcomes = site.root / "outcomes"
    outcomes.rename(site.root / "later")
    job.modelci("monitor", "--window", "2026-01", "--no-act")
    (site.root / "later").rename(outcomes)
    # The last window that has ended has the data of the second.
    last = f"{pd.Timestamp.now('UTC').tz_localize(None).to_period('M') - 1}"
    for folder in ("production", "outcomes"):
        path = site.root / folder / "2026-02.csv"
        path.rename(path.with_name(f"{last}.csv"))
    common = ("monitor", "--no-act", "--no-write")
    document = json.loads(job.modelci(*common, "--json", code=1).out)
    assert document["window"] == last
    shown = job.modelci(*common, code=1).out
    assert "window 2026-01" in shown
    assert f"window {last}" in shown
    page = tmp_path / "page.html"
    job.modelci(*common, "--out", str(page), code=1)
    assert page.read_text().count("<!doctype") == 1
    out = tmp_path / "out"
    out.mkdir()
    job.modelci(*common, "--format", "json", "--out", str(out), code=1)
    assert sorted(path.name for path in out.iterdir()) == ["monitor-2026-01.json", "monitor.json"]
    assert json.loads((out / "monitor.json").read_text())["window"] == last


def test_several_models_have_a_file_each_and_one_list(site: World, tmp_path: Path) -> None:
    job = runner(site)
    _, _, monitor = SETTINGS.partition("monitor:\n")
    both = "".join(
        f"  - {text[2:]}" if text.startswith("  model") else f"  {text}"
        for text in (monitor + monitor.replace("  stage: prod\n", "")).splitlines(keepends=True)
    )
    both = both.replace("    id: id\n", "    id: id\n    history: hist\n")
    job.put({"modelci.yaml": SETTINGS.partition("monitor:")[0] + "monitor:\n" + both})
    common = ("monitor", "--window", "2026-01", "--no-act")
    listed = json.loads(job.modelci(*common, "--json").out)
    assert [one["watched"]["stage"] for one in listed] == ["prod", None]
    names = [str(path.relative_to(job.folder)) for path in job.folder.glob("hist/*/*.json")]
    assert sorted(names) == ["hist/credit#prod/2026-01.json", "hist/credit@latest/2026-01.json"]

    one_file = job.modelci(*common, "--format", "md", "--out", "one.md", code=2)
    assert "one.md is one file for several models" in one_file.err
    assert "needs --out DIR" in job.modelci(*common, "--format", "html", code=2).err
    job.modelci(*common, "--format", "md", "--out", "pages")
    assert sorted(path.name for path in (job.folder / "pages").iterdir()) == [
        "monitor-credit-latest.md",
        "monitor-credit-prod.md",
    ]
