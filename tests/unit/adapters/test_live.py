"""The live table: what stands in it, what stands above it, and what cannot disturb it."""

import io
import threading
from collections.abc import Iterator, Mapping

import pytest
from rich.cells import cell_len

from modelci.adapters.live import LiveProgress, neutral
from modelci.domain.pipeline import StageRun, StageStatus


class Stage:
    """A live table on a stream, and a clock that stands still."""

    def __init__(self, last: Mapping[str, float]) -> None:
        self.time = 0.0
        self.stream = io.StringIO()
        self.progress = LiveProgress(
            self.stream, last=lambda: last, now=lambda: self.time, patience=500.0
        )
        self.progress._last = last  # as the drawing thread would, in its own time

    def lines(self, width: int = 100, height: int = 24) -> list[str]:
        return self.progress.picture(width, height).plain.split("\n")


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage({"train": 65.0, "test": 10.0})
    yield made
    made.progress.close()


def ended(name: str, status: StageStatus = StageStatus.RAN) -> StageRun:
    return StageRun(name=name, status=status)


def test_a_row_for_each_running_stage_and_a_sum(stage: Stage) -> None:
    stage.progress.stage_ended(ended("data", StageStatus.UNCHANGED), 1, 4)
    stage.progress.stage_started("train", ("never run",), 1, 4)
    stage.progress.stage_started("fit", (), 1, 4)
    stage.progress.stage_output("train", "epoch 1\nepoch 2\nepo")
    stage.time = 5.0
    assert stage.lines() == [
        "▸ train 0:05 of 1:05  epo",
        "▸ fit   0:05          ",
        "0:05 · about 1:00 left · 0 done · 2 running · 1 waiting · 1 cached",
    ]


def test_what_has_ended_stands_above(stage: Stage) -> None:
    stage.progress.stage_started("train", (), 0, 2)
    stage.progress.warn("no [bold]remote[/bold]")
    stage.progress.stage_ended(ended("train"), 1, 2)
    stage.progress.stage_ended(ended("test", StageStatus.FAILED), 2, 2)
    shown = stage.stream.getvalue()
    assert "Warning: no [bold]remote[/bold]" in shown
    assert "[1/2] train ✔ ran" in shown
    assert "[2/2] test ✘ failed" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1
    assert shown.endswith("\x1b[2K")  # the table is wiped away


def test_without_a_running_stage_there_are_plain_lines(stage: Stage) -> None:
    stage.progress.note("Fetching")
    stage.progress.stage_ended(ended("data", StageStatus.UNCHANGED), 1, 1)
    assert stage.stream.getvalue() == "Fetching\n[1/1] data · unchanged\n"


def test_hundreds_of_stages_take_few_rows(stage: Stage) -> None:
    for number in range(300):
        stage.progress.stage_started(f"s{number}", (), 0, 500)
    assert len(stage.lines()) == 21
    assert stage.lines(height=10)[-2] == "  and 295 more"
    assert len(stage.lines(height=10)) == 7


@pytest.mark.parametrize("width", [1, 2, 10, 20, 40, 80])
def test_no_row_is_wider_than_the_terminal(stage: Stage, width: int) -> None:
    stage.progress.stage_started("模型" * 40, (), 0, 2)
    stage.progress.stage_output("模型" * 40, "長い" * 90)
    assert all(cell_len(line) <= width for line in stage.lines(width, 3))


@pytest.mark.parametrize(
    "evil",
    ["\x1b[2J", "\x1b]0;title\x07", "\x9b2J", "\x07", "\u202e", "a\x1b", "[red]x[/]", "\x00"],
)
def test_names_and_outputs_command_nothing(stage: Stage, evil: str) -> None:
    name = f"train{evil}"
    stage.progress.stage_started(name, (), 0, 2)
    stage.progress.stage_output(name, f"{evil}text")
    text = "".join(stage.lines())
    assert text.isprintable()
    assert "ext" in text
    assert neutral("[red]x[/]") == "[red]x[/]"
    stage.progress.stage_ended(ended(name), 2, 2)
    shown = stage.stream.getvalue()
    assert evil == "[red]x[/]" or evil not in shown


def test_a_progress_bar_shows_its_last_state(stage: Stage) -> None:
    stage.progress.stage_started("train", (), 0, 1)
    for percent in range(100):
        stage.progress.stage_output("train", f"\r{percent} %" + " " * 5000)
    stage.progress.stage_output("train", "\rdone\n\n")
    assert stage.lines()[0].endswith("done")


def test_threads_may_talk_at_once(stage: Stage) -> None:
    def talk(number: int) -> None:
        for turn in range(50):
            name = f"s{number}-{turn}"
            stage.progress.stage_started(name, (), 1, 1000)
            stage.progress.stage_output(name, "x\n")
            stage.progress.stage_ended(ended(name), 2, 1000)

    threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stage.progress.close()
    assert stage.stream.getvalue().count("✔ ran") == 400


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        if "\x1b" in text:
            raise OSError(5, "the terminal has gone")
        return super().write(text)


def test_a_terminal_that_fails_does_not_stop_the_run() -> None:
    stream = Broken()
    progress = LiveProgress(stream)
    progress.stage_started("a", (), 0, 2)
    thread = progress._drawing
    assert thread is not None
    thread.join(100)
    progress.stage_ended(ended("a"), 1, 2)
    progress.stage_started("b", (), 1, 2)
    progress.stage_output("b", "hello\n")
    progress.stage_ended(ended("b"), 2, 2)
    progress.close()
    assert stream.getvalue().endswith("[1/2] a ✔ ran\n[2/2] b: running\nhello\n[2/2] b ✔ ran\n")


def test_what_lasts_has_a_row_with_how_far_it_is_and_when_it_ends(stage: Stage) -> None:
    with (
        stage.progress.busy("Fetching\x1b[2J", 2_000_000, "bytes") as fetched,
        stage.progress.busy("Watching", 600.0, "s"),
        stage.progress.busy("Asking") as asked,
    ):
        stage.time = 499.0
        assert stage.lines() == [""]  # most of what is done takes less
        stage.time = 540.0
        fetched(500_000)
        asked(12, 48)
        assert stage.lines() == [
            "▸ Fetching 9:00 of 36:00 25 % of 2.00 MB",
            "▸ Watching 9:00 of 10:00 ",
            "▸ Asking   9:00 of 36:00 12 of 48",
        ]
    assert stage.progress._drawing is None
    assert stage.stream.getvalue() == ""


def test_what_is_short_draws_nothing_and_holds_nothing_back(stage: Stage) -> None:
    with stage.progress.busy("Asking"):
        stage.progress.note("hello")
    stage.progress.note("again")
    assert stage.stream.getvalue() == "hello\nagain\n"


def test_a_stage_and_what_it_fetches_stand_in_one_table(stage: Stage) -> None:
    with stage.progress.busy("Fetching", 10, "files") as fetched:
        stage.time = 500.0
        stage.progress.stage_started("train", (), 0, 1)
        fetched(5)
        stage.time = 502.0
        assert [" ".join(line.split()) for line in stage.lines()] == [
            "▸ train 0:02 of 1:05",
            "▸ Fetching 8:22 of 16:44 5 of 10 files",
            "8:22 · about 1:03 left · 0 done · 1 running",
        ]
        stage.progress.stage_ended(ended("train"), 1, 1)
        assert stage.progress._drawing is not None
    assert stage.progress._drawing is None
    assert "[1/1] train ✔ ran" in stage.stream.getvalue()


class Late:
    """A lock that another thread has first, which takes the table away meanwhile."""

    def __init__(self, progress: LiveProgress) -> None:
        self._progress = progress
        self._mutex = progress._mutex

    def __enter__(self) -> None:
        self._progress._mutex = self._mutex
        self._progress.close()
        self._mutex.acquire()

    def __exit__(self, *_: object) -> None:
        self._mutex.release()


def test_a_line_is_said_though_the_table_goes_at_that_moment(stage: Stage) -> None:
    stage.progress.stage_started("train", (), 0, 1)
    stage.progress._mutex = Late(stage.progress)  # type: ignore[assignment]
    stage.progress.note("hello")
    assert "hello\n" in stage.stream.getvalue()


class Stuck(io.StringIO):
    """A terminal that takes lines, but no table until it is freed."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def write(self, text: str) -> int:
        if "\x1b" in text:
            self.freed.wait()
        return super().write(text)


def test_what_another_thread_has_yet_to_say_is_said_at_the_end() -> None:
    stream = Stuck()
    progress = LiveProgress(stream)
    progress.stage_started("train", (), 0, 1)
    last = threading.Thread(target=progress.stage_ended, args=(ended("train"), 1, 1))
    last.start()
    while progress._drawing is not None:  # then it waits for the table to go
        threading.Event().wait(0.001)
    progress.close()
    assert stream.getvalue() == "[1/1] train ✔ ran\n"
    stream.freed.set()
    last.join()
    assert stream.getvalue().count("✔ ran") == 1


def test_two_that_look_alike_are_not_the_same(stage: Stage) -> None:
    first, second = stage.progress.busy("Fetching"), stage.progress.busy("Fetching")
    with first as fetched:
        with second:
            pass
        fetched(5, 10)
        stage.time = 540.0
        assert stage.lines() == ["▸ Fetching 9:00 of 18:00 5 of 10"]
    assert stage.progress._drawing is None


def test_an_error_inside_takes_the_row_away(stage: Stage) -> None:
    with pytest.raises(OSError, match="gone"), stage.progress.busy("Fetching"):
        raise OSError("gone")
    assert stage.progress._drawing is None


def test_many_threads_may_be_busy_at_once(stage: Stage) -> None:
    def work() -> None:
        for number in range(50):
            with stage.progress.busy("Fetching", 50, "files") as fetched:
                fetched(number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stage.progress._drawing is None
    assert stage.lines() == [""]
