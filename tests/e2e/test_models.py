"""Model files: scanned, kept out of the base, and recorded for whoever serves them."""

import json
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from tests.e2e.world import PIPELINE, SETTINGS, Checkout, World

EVIL = b"cos\nsystem\n(S'touch owned'\ntR."
# The same project, with a further model that lies in Git.
DECLARED = f"{PIPELINE}  rules:\n    path: rules.bin\n    type: model\n"


@pytest.fixture
def laptop(site: World) -> Checkout:
    site.laptop.put({"dvc.yaml": DECLARED, "rules.bin": b'{"limit": 3}'})
    site.laptop.commit()
    site.laptop.git("push", "--quiet")
    return site.laptop


def table(folder: Path) -> Path:
    random = np.random.default_rng(1)
    frame = pd.DataFrame(random.normal(size=(60, 3)), columns=["a", "b", "c"])
    path = folder / "test.csv"
    frame.assign(target=(frame["a"] > 0).astype(int)).to_csv(path, index=False)
    return path


def model(data: Path) -> LogisticRegression:
    frame = pd.read_csv(data)
    return LogisticRegression().fit(frame[["a", "b", "c"]], frame["target"])


def test_a_pull_request_cannot_bring_an_unsafe_model(laptop: Checkout) -> None:
    assert laptop.modelci("report").out.startswith("✓ Passed: all 3 gates hold")
    laptop.git("switch", "--quiet", "--create", "evil")
    laptop.put({"rules.bin": EVIL, "modelci.yaml": f"{SETTINGS}safety: {{scan: false}}\n"})
    laptop.commit()

    report = laptop.modelci("report")
    laptop.modelci("gate", code=1)

    assert report.out.startswith("✗ Blocked: 1 of 4 gates failed (rules.bin: safe to load")
    assert "forbidden-global os.system" in report.out
    assert "safety.scan" in report.out
    for form in ("md", "html", "junit"):
        assert "safe to load" in laptop.modelci("report", "--format", form).out
    (failed,) = [one for one in laptop.document("report")["gates"] if one["outcome"] == "failed"]
    assert failed["subject"] == "safety"
    assert not (laptop.folder / "owned").exists()


def test_a_gate_refuses_the_report_on_a_model_in_git_that_is_another_now(
    laptop: Checkout,
) -> None:
    laptop.modelci("report")
    laptop.modelci("gate")
    laptop.put({"rules.bin": EVIL})
    assert "are others now" in laptop.modelci("gate", code=3).err


def test_a_model_that_is_not_here_is_named(laptop: Checkout) -> None:
    (laptop.folder / "model.txt").unlink()
    cache = laptop.folder / ".dvc" / "cache"
    cache.rename(laptop.folder.parent / "away")
    assert "The model credit was not scanned" in laptop.modelci("report").out


def test_scan_says_what_a_file_holds(laptop: Checkout, tmp_path: Path) -> None:
    data = table(tmp_path)
    good, pickled = tmp_path / "m.skops", tmp_path / "m.joblib"
    skops.io.dump(model(data), good)
    joblib.dump(model(data), pickled, compress=3)

    assert "safe to load" in laptop.modelci("scan", str(good)).out
    refused = laptop.modelci("scan", str(good), str(pickled), code=1)
    assert "1 of 2 files not safe to load." in refused.out
    assert "pickle-not-allowed" in refused.out
    assert "safe" in laptop.modelci("scan", str(pickled), "--allow-pickle").out
    document = json.loads(laptop.modelci("scan", str(pickled), "--json", code=1).out)
    assert document["schema"] == "modelci.scan/1"
    assert document["files"][0]["format"] == "joblib"
    assert "sklearn.linear_model._logistic.LogisticRegression" in document["files"][0]["types"]


def test_scan_works_outside_of_any_project(site: World, tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(EVIL)
    alone = Checkout(tmp_path, {})
    done = alone.modelci("scan", "m.pkl", code=1)
    assert "forbidden-global: os.system" in done.out
    assert "There is no file 'no.pkl'" in alone.modelci("scan", "no.pkl", code=2).err
    assert "No file is named" in alone.modelci("scan", code=2).err
    (tmp_path / "empty").mkdir()
    assert "holds no file" in alone.modelci("scan", "empty", code=3).err
    assert list((tmp_path / "empty").iterdir()) == []


def test_scan_knows_the_projects_settings(laptop: Checkout) -> None:
    data = table(laptop.folder)
    joblib.dump(model(data), laptop.folder / "rules.bin")
    laptop.modelci("scan", "rules.bin", code=1)
    laptop.put({"modelci.yaml": f"{SETTINGS}safety: {{allow_pickle: [rules]}}\n"})
    laptop.modelci("scan", "rules.bin")
    joblib.dump(model(data), laptop.folder / "other.bin")
    laptop.modelci("scan", "other.bin", code=1)


def test_scan_takes_an_artifacts_name_and_by_itself_all_models(laptop: Checkout) -> None:
    assert "1 file: safe to load" in laptop.modelci("scan", "rules").out
    laptop.put({"rules.bin": EVIL})
    document = json.loads(laptop.modelci("scan", "--json", code=1).out)
    assert [one["path"] for one in document["files"]] == ["model.txt", "rules.bin"]
    laptop.modelci("scan", "credit")

    done = laptop.modelci("scan", "rulse", code=2)
    assert "'rulse' is neither a file nor an artifact" in done.err
    assert "Did you mean 'rules'?" in done.err
    laptop.put({"dvc.yaml": PIPELINE.partition("artifacts:")[0]})
    assert "declares an artifact of type: model" in laptop.modelci("scan", code=2).err


def test_golden_requests_are_recorded_the_same_each_time(laptop: Checkout, tmp_path: Path) -> None:
    data = table(laptop.folder)
    skops.io.dump(model(data), laptop.folder / "m.skops")
    first = laptop.command(
        "golden", "m.skops", "test.csv", "--out", "models/m.golden.json", "--rows", "7"
    )
    assert first.out == ""
    assert "7 requests of 3 columns, answered with score by numpy" in first.err
    written = laptop.read("models/m.golden.json")
    laptop.modelci("golden", "m.skops", "test.csv", "--out", "again.json", "--rows", "7")
    assert laptop.read("again.json") == written
    golden = json.loads(written)
    assert [one["name"] for one in golden["inputs"]] == ["a", "b", "c"]
    assert golden["model"] == "m.skops"
    assert len(golden["requests"]) == len(golden["responses"]) == 7


def test_golden_says_what_is_wrong(laptop: Checkout) -> None:
    data = table(laptop.folder)
    skops.io.dump(model(data), laptop.folder / "m.skops")
    arguments = ("golden", "m.skops", "test.csv", "--out", "g.json")
    both = laptop.modelci(*arguments, "--columns", "a,b", "--exclude", "c", code=2)
    assert "exclude each other" in both.err
    pd.DataFrame({"a": [1.0]}).to_csv(data, index=False)
    lacking = laptop.modelci(*arguments, code=3)
    assert "Error: The data have no column b, c, which the model reads." in lacking.err
    (laptop.folder / "m.skops").write_bytes(EVIL)
    assert "may not be loaded" in laptop.modelci(*arguments, code=3).err
    assert not (laptop.folder / "g.json").exists()
    (laptop.folder / "m.txt").write_text("text")
    unknown = laptop.modelci("golden", "m.skops", "m.txt", "--out", "g.json", code=3)
    assert "no dataset that modelci reads" in unknown.err
