"""The command as a process: its streams, its signals, its place."""

import json
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.e2e.world import TRAIN, Checkout, World


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_a_stage_it_leaves_nothing_running(site: World, number: int) -> None:
    laptop = site.laptop
    laptop.put({"train.sh": "echo begun\nsleep 600 & echo $! > child\nsleep 600\n"})
    with subprocess.Popen(
        ["modelci", "run"],
        cwd=laptop.folder,
        env=laptop.environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert any(line == "begun\n" for line in process.stderr)
        child = read_soon(laptop.folder / "child")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)

    assert process.returncode == 128 + number
    left = "Stages that ended are in dvc.lock; `modelci run` goes on from there."
    *_, last, way_back = err.splitlines()
    assert last == f"Interrupted. {left}"
    assert way_back.endswith("get it back by `dvc checkout train`.")
    assert not is_running(int(child))
    laptop.put({"train.sh": TRAIN})
    again = laptop.command("run")
    assert "✓ Pipeline ran" in again.out


def test_a_reader_that_has_enough_is_no_error(site: World) -> None:
    numbers = {f"m{i}": i for i in range(20_000)}
    site.laptop.put({"metrics.json": json.dumps(numbers)})
    pipe = "modelci report --format json | true; echo ${PIPESTATUS[0]}"
    done = site.laptop.run("bash", "-c", pipe)
    assert done.err == ""
    assert done.out == "141\n"


def test_stdout_is_the_result_and_stderr_the_talk(site: World) -> None:
    document = json.loads(site.laptop.command("run", "--force", "--json").out)
    assert [stage["status"] for stage in document["stages"]] == ["ran", "ran", "ran"]
    quiet = site.laptop.command("--quiet", "run", "--json")
    assert json.loads(quiet.out)["schema"] == "modelci.run/1"
    assert quiet.err == ""


def test_neither_flag_changes_a_document(site: World) -> None:
    for words in (("plan",), ("registry", "show"), ("history", "*")):
        plain, quiet, verbose = (
            site.laptop.modelci(*words, "--json", *flag) for flag in ((), ("-q",), ("-v",))
        )
        assert plain.out == quiet.out == verbose.out
        assert quiet.err == ""
        assert "git " in verbose.err


def test_quiet_leaves_results_and_errors(site: World) -> None:
    laptop = site.laptop
    assert laptop.modelci("report", "--format", "md", "--out", "r.md").err == "Wrote r.md\n"
    assert laptop.modelci("report", "--quiet", "--format", "md", "--out", "r.md").err == ""
    assert laptop.modelci("init", "--force", "-q").out.startswith("Wrote modelci.yaml\n")
    refused = laptop.modelci("-q", "deploy", "credit#prod", code=2)
    assert refused.err.startswith("Error: ")


def test_verbose_says_what_is_asked_and_how_long_it_took(site: World) -> None:
    said = site.laptop.modelci("-v", "run", "--force", "--push").err
    assert re.search(r"^git rev-parse --show-toplevel \(\d+\.\d{3} s\)$", said, re.MULTILINE)
    assert re.search(r"^dvc push to .*store.* \(\d+\.\d{3} s\)$", said, re.MULTILINE)


def test_it_works_from_a_folder_below_and_from_elsewhere(site: World) -> None:
    below = site.laptop.folder / "notebooks"
    below.mkdir()
    assert Checkout(below, {}).command("plan").out.startswith("3 stages: 3 unchanged")
    done = Checkout(site.root, {}).command("-C", "laptop", "report")
    assert "2 metrics measured" in done.out


def test_in_a_folder_that_is_gone_it_says_so(site: World) -> None:
    done = site.laptop.run("bash", "-c", "mkdir gone && cd gone && rmdir ../gone && modelci report")
    assert done.code == 2
    assert done.err == "Error: The current folder has been removed.\nHint: `cd` to another.\n"


def test_a_wrong_command_names_the_right_one(site: World) -> None:
    done = site.laptop.run("modelci", "reprot")
    assert done.code == 2
    assert "Did you mean 'report'?" in done.err


def read_soon(path: Path) -> str:
    for _ in range(3000):
        if path.exists() and (text := path.read_text(encoding="utf-8").strip()):
            return text
        time.sleep(0.02)
    raise AssertionError(path)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] != "Z"
