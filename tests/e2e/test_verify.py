"""``modelci verify``: a version against its tag, provenance and bytes, and a run made again."""

import json
from contextlib import chdir
from pathlib import Path

import pytest
from dvc.repo import Repo
from tests.e2e.world import Checkout, World

VERSION = "credit@v0.0.1"
UNSTEADY = {
    "train.sh": "date +1%N > model.txt\n",  # JSON knows no leading zero
    "evaluate.sh": 'printf \'{"roc_auc": 0.8%s}\\n\' "$(date +%N)" > metrics.json\n',
}


def promoted(site: World) -> Checkout:
    """Promote what the laptop holds, with its bytes in the DVC remote."""
    laptop = site.laptop
    laptop.modelci("run", "--push")
    laptop.modelci("report")
    laptop.modelci("promote")
    assert VERSION in laptop.tags()
    return laptop


def objects(folder: Path, hash_: str) -> Path:
    (found,) = folder.rglob(hash_[2:])
    return found


def model_hash(checkout: Checkout) -> str:
    lock = checkout.read("dvc.lock")
    return lock.split("path: model.txt\n      hash: md5\n      md5: ")[-1].split("\n")[0]


def tamper(file: Path) -> None:
    file.chmod(0o644)
    file.write_bytes(b"0.99\n")  # as long as it was


def findings(checkout: Checkout, *options: str, code: int = 0) -> dict[str, str]:
    done = checkout.modelci("verify", VERSION, "--json", *options, code=code)
    document = json.loads(done.out)
    assert document["schema"] == "modelci.version-check/1"
    assert document["ok"] is (code == 0)
    return {one["subject"]: one["state"] for one in document["findings"]}


def test_a_version_agrees_with_its_tag_and_its_bytes(site: World) -> None:
    laptop = promoted(site)
    done = laptop.modelci("verify", VERSION)
    assert "credit@v0.0.1: 4 checks agree." in done.out
    assert "Not checked: 1" in done.out
    assert findings(laptop) == {
        "tag": "ok",
        "tag and dvc.lock": "ok",
        "tag and sha256": "ok",
        "provenance": "unchecked",
        "model.txt: md5": "ok",
    }
    for name in ("credit@latest", "credit#staging", "credit@v0"):
        assert "4 checks agree" in laptop.modelci("verify", name).out


def test_a_tampered_cache_is_caught(site: World) -> None:
    laptop = promoted(site)
    tamper(objects(laptop.folder / ".dvc" / "cache", model_hash(laptop)))
    assert findings(laptop, code=1)["model.txt: md5"] == "failed"
    done = laptop.modelci("verify", VERSION, code=1)
    assert "credit@v0.0.1 is not what was said of it: 2 of 5 checks failed." in done.out
    # The remote has the honest bytes.
    assert findings(laptop, "--pull")["model.txt: md5"] == "ok"


def test_a_tampered_object_of_the_remote_is_caught(site: World) -> None:
    laptop = promoted(site)
    tamper(objects(site.root / "store", model_hash(laptop)))
    assert findings(laptop)["model.txt: md5"] == "ok"
    assert findings(laptop, "--pull", code=1)["model.txt: md5"] == "failed"
    # Nothing of it came into the cache.
    assert findings(laptop)["model.txt: md5"] == "ok"


def test_bytes_that_are_not_here_are_not_checked_and_on_the_remote_they_must_be(
    site: World,
) -> None:
    laptop = promoted(site)
    clone = site.clone("reader")
    assert findings(clone)["model.txt: md5"] == "unchecked"
    assert findings(clone, "--pull")["model.txt: md5"] == "ok"
    objects(site.root / "store", model_hash(laptop)).unlink()
    assert findings(clone, "--pull", code=1)["model.txt: md5"] == "failed"


def test_a_tag_object_under_another_name_is_no_version(site: World) -> None:
    laptop = promoted(site)
    laptop.git("update-ref", "refs/tags/credit@v9.9.9", f"refs/tags/{VERSION}")
    laptop.git("tag", "--delete", VERSION)
    for name in (VERSION, "credit@v9.9.9"):
        assert f"There is no version {name}." in laptop.modelci("verify", name, code=2).err


def test_what_does_not_exist_is_said_to_be_so(site: World) -> None:
    laptop = promoted(site)
    assert (
        "There is no version credit@v9.0.0."
        in laptop.modelci("verify", "credit@v9.0.0", code=2).err
    )
    assert "names no version" in laptop.modelci("verify", "credit", code=2).err
    done = laptop.modelci("verify", VERSION, "--tolerance", "much", code=2)
    assert "no tolerance such as" in done.err


def test_a_version_is_reproduced_without_any_cache(site: World) -> None:
    laptop = promoted(site)
    done = laptop.modelci("verify", VERSION, "--reproduce")
    assert (
        "Reproduced: 3 of 3 outputs the same, byte for byte; 2 of 2 metrics within 0." in done.out
    )
    assert laptop.git("status", "--porcelain") == ""


def test_stages_that_are_run_again_see_no_token(site: World) -> None:
    laptop = site.laptop
    laptop.commit({"train.sh": 'echo "${GITHUB_TOKEN:-0.80}" > model.txt\n'})
    laptop.git("push", "--quiet")
    laptop = promoted(commit_results(site))
    done = laptop.modelci("verify", VERSION, "--reproduce", GITHUB_TOKEN="0.70")
    assert "Reproduced: 3 of 3" in done.out


def commit_results(site: World) -> World:
    site.laptop.modelci("run", "--push")
    site.laptop.commit()
    site.laptop.git("push", "--quiet")
    return site


def test_what_differs_is_held_to_the_tolerance(site: World) -> None:
    site.laptop.commit(UNSTEADY)
    site.laptop.git("push", "--quiet")
    laptop = promoted(commit_results(site))

    done = laptop.modelci("verify", VERSION, "--reproduce", code=1)
    assert "Not reproduced: 1 of 3 outputs the same" in done.out
    assert "0 of 1 metric within 0." in done.out

    done = laptop.modelci("verify", VERSION, "--reproduce", "--tolerance", "20%", "--json")
    again = json.loads(done.out)["reproduction"]
    assert again["ok"] is True
    assert {one["path"]: one["state"] for one in again["outputs"]} == {
        "data.csv": "same",
        "metrics.json": "differs",
        "model.txt": "differs",
    }


def test_a_stage_that_fails_when_run_again_is_a_failed_pipeline(site: World) -> None:
    laptop = site.laptop
    # It works as long as what an earlier run left beside it is there.
    ignored = laptop.read(".gitignore")
    laptop.put({".gitignore": f"{ignored}left.txt\n", "left.txt": "0.81\n"})
    laptop.commit({"train.sh": "cat left.txt > model.txt\n"})
    laptop.git("push", "--quiet")
    laptop = promoted(commit_results(site))
    done = laptop.modelci("verify", VERSION, "--reproduce", code=5)
    assert "The run made again failed in train." in done.err


@pytest.fixture
def with_source(site: World) -> World:
    """The rows are DVC's, in the remote and not in Git."""
    laptop = site.laptop
    laptop.git("rm", "--quiet", "--cached", "rows.csv")
    laptop.put({"raw/a/1.csv": "7\n", "raw/2.csv": "8\n"})
    with chdir(laptop.folder), Repo() as repo:
        repo.add(["rows.csv", "raw"])
    laptop.put({"prepare.sh": "cat rows.csv raw/a/1.csv raw/2.csv | sort > data.csv\n"})
    text = laptop.read("dvc.yaml").replace("sort rows.csv > data.csv", "sh prepare.sh")
    laptop.commit({"dvc.yaml": text.replace("deps: [rows.csv]", "deps: [rows.csv, raw]")})
    return commit_results(site)


def test_source_data_are_pulled_and_held_to_their_hash(with_source: World) -> None:
    laptop = promoted(with_source)
    clone = with_source.clone("reader")
    done = clone.modelci("verify", VERSION, "--pull", "--reproduce")
    assert "Reproduced: 3 of 3 outputs the same" in done.out

    hash_ = clone.read("rows.csv.dvc").split("md5: ")[1].split("\n")[0]
    tamper(objects(with_source.root / "store", hash_))
    done = clone.modelci("verify", VERSION, "--reproduce", code=5)
    assert "rows.csv" in done.err
    del laptop
