"""Ctrl-C and SIGTERM: whatever a command was at, it leaves a clean state and says how to go on."""

import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.e2e.deployed import FILES, live, promote, settings
from tests.e2e.stopping import BLOCK, Place, assert_left_in_order, stopped
from tests.e2e.world import TRAIN, World

_NOTHING = "Nothing was changed; run it again."
_STAYS = "What was written stays; run it again."


def nothing(site: World) -> None:
    """Take the project as it is."""


def blocking_stage(site: World) -> None:
    site.laptop.put({"train.sh": BLOCK + TRAIN})


def reported(site: World) -> None:
    site.laptop.modelci("run", "--push")
    site.laptop.modelci("report")


def reproducible(site: World) -> None:
    site.laptop.commit({"train.sh": BLOCK + TRAIN})
    site.laptop.modelci("run", "--push")
    site.laptop.commit()
    site.laptop.git("push", "--quiet", "origin", "main")
    site.laptop.modelci("report")
    site.laptop.modelci("promote")


def deployable(site: World) -> None:
    script = FILES["deploy.sh"].replace("set -e\n", f"set -e\n{BLOCK}")
    site.laptop.put({**FILES, "deploy.sh": script, "modelci.yaml": settings()})
    (site.root / "ill").write_text("nothing")
    promote(site)


def is_trained(site: World) -> bool:
    return (site.laptop.folder / "model.txt").exists()


def is_reported(site: World) -> bool:
    return bool(site.laptop.document("report")["schema"] == "modelci.report/1")


def is_promoted(site: World) -> bool:
    return "credit@v0.0.1" in site.bare("tag", "--list").split()


def is_live(site: World) -> bool:
    return live(site) is not None


def is_there(site: World) -> bool:
    return site.laptop.folder.exists()


@dataclass(frozen=True, kw_only=True)
class Case:
    """A command, where it is stopped, and what holds once it is run again."""

    words: str
    left: str
    git: str | None = None
    prepare: Callable[[World], None] = nothing
    done: Callable[[World], bool] = is_there


CASES = {
    "run": Case(
        words="run",
        prepare=blocking_stage,
        left="Stages that ended are in dvc.lock; `modelci run` goes on from there.",
        done=is_trained,
    ),
    "report": Case(words="report", git="ls-files", left=_STAYS, done=is_reported),
    "doctor": Case(words="doctor", git="ls-files", left=_NOTHING),
    "init": Case(
        words="init --force",
        git="ls-files",
        left="What was written stays, `git status` shows it; run again, it writes the rest.",
    ),
    "promote": Case(
        words="promote",
        git="push",
        prepare=reported,
        left="Tags are pushed all or none: `modelci registry history --remote` shows them; "
        "run it again.",
        done=is_promoted,
    ),
    "verify": Case(words="verify credit@v0.0.1 --reproduce", prepare=reproducible, left=_NOTHING),
    "deploy": Case(
        words="deploy credit#prod",
        prepare=deployable,
        left="`modelci deployments` shows what runs; run again, it goes on where it was.",
        done=is_live,
    ),
}
SIGNALS = {
    "run": (signal.SIGINT, signal.SIGTERM),
    "promote": (signal.SIGINT, signal.SIGTERM),
    "deploy": (signal.SIGTERM,),
    "verify": (signal.SIGHUP,),
}


@pytest.mark.parametrize(
    ("case", "number"),
    [
        pytest.param(case, number, id=f"{name}-{number.name}")
        for name, case in CASES.items()
        for number in SIGNALS.get(name, (signal.SIGINT,))
    ],
)
def test_told_to_stop_it_leaves_a_clean_state_and_can_be_run_again(
    case: Case, number: signal.Signals, site: World, tmp_path: Path
) -> None:
    case.prepare(site)
    laptop, place = site.laptop, Place(folder=tmp_path / "stopped")
    before = (laptop.tags(), site.bare("for-each-ref"), laptop.git("status", "--porcelain"))
    ended = stopped(
        case.words.split(),
        place,
        number,
        folder=laptop.folder,
        base=laptop.environment({}),
        block_git_at=case.git,
    )
    assert ended.code == 128 + number, ended
    *_, last = [line for line in ended.err.splitlines() if not line.startswith("DVC had removed ")]
    assert last == f"Interrupted. {case.left}"
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert_left_in_order(place, laptop.folder)
    after = (laptop.tags(), site.bare("for-each-ref"), laptop.git("status", "--porcelain"))
    assert after == before

    laptop.modelci(*case.words.split())
    assert case.done(site)


def test_what_dvc_removed_before_an_interrupted_stage_is_told_with_the_way_back(
    site: World, tmp_path: Path
) -> None:
    laptop = site.laptop
    write = "echo model > both.bin; echo {} > both.json\n"
    outs = "[both.bin, both.json: {cache: false}]"
    stages = f"stages:\n  both: {{cmd: sh both.sh, deps: [both.sh], outs: {outs}}}\n"
    laptop.put({"dvc.yaml": stages, "both.sh": write})
    laptop.modelci("run")
    laptop.commit()
    laptop.put({"both.sh": BLOCK + write})

    base, place = laptop.environment({}), Place(folder=tmp_path / "stopped")
    ended = stopped(["run"], place, signal.SIGINT, folder=laptop.folder, base=base)

    assert "[1/1] both – interrupted in" in ended.err
    assert ended.err.splitlines()[-1] == (
        "DVC had removed both.bin, both.json before both ran; get it back by "
        "`dvc checkout both` and `git checkout -- both.json`."
    )
    assert not (laptop.folder / "both.bin").exists()
    for command in re.findall("`(.*?)`", ended.err.splitlines()[-1]):
        subprocess.run(command.split(), cwd=laptop.folder, env=base, check=True, timeout=120)
    assert (laptop.read("both.bin"), laptop.read("both.json")) == ("model\n", "{}\n")


def test_a_log_that_was_just_read_is_not_repeated(site: World) -> None:
    laptop = site.laptop
    laptop.put({"evaluate.sh": "echo no such column >&2; exit 3\n"})
    one_log = subprocess.run(
        ["modelci", "run"],
        cwd=laptop.folder,
        env=laptop.environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=200,
    )
    assert one_log.returncode == 5
    assert one_log.stdout.count("no such column") == 1
    assert "Hint: The log is above." in one_log.stdout
    elsewhere = laptop.modelci("run", code=5)
    assert "no such column" in elsewhere.out
    assert "run.json" in elsewhere.err
