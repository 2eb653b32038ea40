"""What the log of a job shows; in Actions what user code prints must stay text."""

import io
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.adapters.progress import ActionsProgress, SilentProgress, TextProgress
from modelci.domain.pipeline import StageRun, StageStatus

OK = StageRun(name="train", status=StageStatus.RAN, seconds=1.5, exit_code=0)
FAILED = StageRun(name="train", status=StageStatus.FAILED, seconds=0.5, exit_code=3)


@dataclass
class Runner:
    """Reads a log as the runner of GitHub Actions does."""

    commands: list[str] = field(default_factory=list)
    depth: int = 0
    _token: str | None = None

    def read(self, log: str) -> "Runner":
        for line in log.splitlines():
            self._read(line)
        return self

    def _read(self, line: str) -> None:
        found = re.match(r"\s*::([^ :]+)( [^:]*)?::(.*)", line) or re.search(
            r"##\[([^\]]*)\]", line
        )
        if found is None:
            return
        name = found[1]
        if self._token is not None:
            self._token = None if name == self._token else self._token
        elif name == "stop-commands":
            self._token = found[3]
        else:
            self.depth += {"group": 1, "endgroup": -1}.get(name, 0)
            self.commands.append(name)


def play(*outputs: str, run: StageRun = OK, reasons: tuple[str, ...] = ("params changed",)) -> str:
    stream = io.StringIO()
    progress = ActionsProgress(stream)
    progress.stage_started(run.name, reasons, 0, 2)
    for output in outputs or ("epoch 1\n",):
        progress.stage_output(run.name, output)
    progress.stage_ended(run, 1, 2)
    return stream.getvalue()


EVIL = [
    "::error::x\n",
    "::set-output name=verdict::passed\n",
    "##[add-path]/evil\n",
    "::add-mask::a\n",
    "::endgroup::\n",
    "::stop-commands::mine\n::mine::\n::error::x\n",
    "   ::warning file=a::b\n",
    "no newline at the end ::x::",
    "::group::deeper",
]


@pytest.mark.parametrize("output", EVIL)
@pytest.mark.parametrize("run", [OK, FAILED])
def test_what_user_code_prints_commands_nothing(output: str, run: StageRun) -> None:
    runner = Runner().read(play(output, run=run))
    assert runner.commands == ["group", "endgroup"]
    assert runner.depth == 0


@given(st.lists(st.sampled_from([*EVIL, "\n", ":", "::", "text\n", "\r"]), max_size=6))
def test_groups_are_balanced_whatever_is_printed(outputs: list[str]) -> None:
    runner = Runner().read(play(*outputs))
    assert (runner.commands, runner.depth) == (["group", "endgroup"], 0)


def test_no_two_stages_share_a_token() -> None:
    logs = [play(), play()]
    tokens = {re.findall("::stop-commands::(.*)", log)[0] for log in logs}
    assert len(tokens) == 2
    assert all(len(token) >= 32 for token in tokens)


@pytest.mark.parametrize("name", ["a\n::error::x", "a\r::error::x", "##[error]x", "::error::x"])
def test_a_name_or_reason_cannot_command_either(name: str) -> None:
    stage = StageRun(name=name, status=StageStatus.RAN)
    stream = io.StringIO()
    progress = ActionsProgress(stream)
    progress.note(f"Fetching {name}")
    progress.note(name)
    progress.stage_ended(StageRun(name=name, status=StageStatus.UNCHANGED), 0, 1)
    log = stream.getvalue() + play(run=stage, reasons=(name,))
    runner = Runner().read(log)
    assert (runner.commands, runner.depth) == (["group", "endgroup"], 0)


def test_a_warning_is_an_annotation_on_one_line_also_while_a_stage_talks() -> None:
    stream = io.StringIO()
    progress = ActionsProgress(stream)
    progress.warn("50%\nof it")
    progress.stage_started("train", (), 0, 1)
    progress.stage_output("train", "::error::x\n")
    progress.warn("inside")
    progress.stage_output("train", "::error::x\n")
    progress.stage_ended(OK, 1, 1)
    assert "::warning::50%25%0Aof it\n" in stream.getvalue()
    runner = Runner().read(stream.getvalue())
    assert runner.commands == ["warning", "group", "warning", "endgroup"]


def test_a_group_says_which_stage_why_and_what_came_of_it() -> None:
    log = play("epoch 1\n", run=FAILED, reasons=("code changed", "params changed"))
    lines = log.splitlines()
    assert lines[0] == "::group::[1/2] train: code changed; params changed"
    assert lines[-1] == "[1/2] train ✘ failed in 0.5 s (exit code 3)"
    assert "epoch 1" in lines


def test_a_stage_that_never_ran_opens_no_group() -> None:
    stream = io.StringIO()
    ActionsProgress(stream).stage_ended(StageRun(name="a", status=StageStatus.RESTORED), 1, 3)
    assert stream.getvalue() == "[1/3] a ↺ restored\n"


def test_a_restored_stage_says_nothing_and_opens_no_group() -> None:
    stream = io.StringIO()
    progress = ActionsProgress(stream)
    progress.stage_started("a", ("output a.csv not in the cache",), 0, 3)
    progress.stage_ended(StageRun(name="a", status=StageStatus.RESTORED), 1, 3)
    assert stream.getvalue() == "[1/3] a ↺ restored\n"


def test_in_a_terminal_there_are_plain_lines() -> None:
    stream = io.StringIO()
    progress = TextProgress(stream)
    progress.note("Fetching 50 commits")
    progress.warn("no remote")
    progress.stage_started("train", (), 0, 1)
    progress.stage_output("train", "epoch 1\n")
    progress.stage_ended(OK, 1, 1)
    assert stream.getvalue().splitlines() == [
        "Fetching 50 commits",
        "Warning: no remote",
        "[1/1] train: running",
        "epoch 1",
        "[1/1] train ✔ ran in 1.5 s",
    ]


def test_silence_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    progress = SilentProgress()
    progress.note("x")
    progress.warn("x")
    progress.stage_started("x", (), 0, 1)
    progress.stage_output("x", "x")
    progress.stage_ended(OK, 1, 1)
    assert capfd.readouterr() == ("", "")


def two_at_once(kind: type[TextProgress]) -> str:
    stream = io.StringIO()
    progress = kind(stream)
    progress.stage_started("a", ("never run",), 0, 2)
    progress.stage_output("a", "one\nhalf of ")
    progress.stage_started("b", ("never run",), 0, 2)
    progress.stage_output("b", "::error::b\n")
    progress.stage_output("a", "a line\n")
    progress.stage_ended(StageRun(name="b", status=StageStatus.RAN), 1, 2)
    progress.stage_output("a", "last")
    progress.stage_ended(StageRun(name="a", status=StageStatus.RAN), 2, 2)
    return stream.getvalue()


def test_lines_of_several_stages_bear_their_names() -> None:
    assert two_at_once(TextProgress).splitlines() == [
        "[1/2] a: never run",
        "one",
        "half of ",
        "[1/2] b: never run",
        "b | ::error::b",
        "a | a line",
        "[1/2] b ✔ ran",
        "last",
        "[2/2] a ✔ ran",
    ]


def test_groups_of_several_stages_stand_one_after_the_other() -> None:
    log = two_at_once(ActionsProgress)
    runner = Runner().read(log)
    assert runner.depth == 0
    assert runner.commands.count("group") == runner.commands.count("endgroup") == 2
    assert "error" not in runner.commands
    first, second = log.split("::group::")[1:]
    assert "one\nhalf of a line\nlast" in first
    assert "::error::b" in second
    assert log.rstrip().endswith("[1/2] b ✔ ran")


def test_much_that_is_kept_is_cut_at_the_front() -> None:
    stream = io.StringIO()
    progress = ActionsProgress(stream)
    for name in ("a", "b"):
        progress.stage_started(name, (), 0, 2)
    for number in range(3000):
        progress.stage_output("a", f"{number:1024}\n")
    progress.stage_ended(StageRun(name="a", status=StageStatus.RAN), 1, 2)
    assert len(stream.getvalue()) < 1.1 * 1024**2
    assert "(The start is in the stage's log.)" in stream.getvalue()
    assert "2999" in stream.getvalue()


@pytest.mark.parametrize("kind", [TextProgress, ActionsProgress])
def test_a_name_neither_colours_nor_moves_what_is_there(kind: type[TextProgress]) -> None:
    stream = io.StringIO()
    progress = kind(stream)
    progress.note("data/\x1b[2J\x1b]0;owned\x07\x9b31m.csv")
    progress.warn("\x1b[A")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", stream.getvalue())
    assert r"data/\x1b[2J" in stream.getvalue()
