"""The rules of comments that stay, without any forge."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.sticky import (
    NOBODY,
    RETIRED,
    StickyComment,
    has_marker,
    mark,
    normalize,
    post,
    read_writer,
    retire,
    supersedes,
)
from modelci.config.model import CommentMode
from modelci.errors import ForgeDeniedError, ForgeError
from modelci.ports import Writer

MARKER = "<!-- modelci:report credit -->"
SHA = "0123456789abcdef0123456789abcdef01234567"

writers = st.builds(
    Writer,
    run_id=st.none() | st.integers(0, 2**63 - 1),
    attempt=st.integers(1, 2**31 - 1),
    head_sha=st.none() | st.from_regex(r"[0-9a-f]{40}", fullmatch=True),
)


bodies = st.text() | st.lists(
    st.sampled_from([MARKER, "text", "\r", "\n", "\r\n", " ", '<!-- modelci-state: {"run":9} -->'])
).map("".join)


@given(body=bodies, writer=writers)
@example(body=f"{MARKER}\r\r", writer=Writer(run_id=0))
@example(body=f"{MARKER} ", writer=Writer(run_id=0))
@example(body='<!-- modelci-state: {"run":9} --> ', writer=NOBODY)
@example(body=f'{MARKER}\t\n<!-- modelci-state: {{"run":9}} -->\x85', writer=NOBODY)
def test_who_wrote_is_read_back_whatever_the_report_says(body: str, writer: Writer) -> None:
    marked = mark(body, MARKER, writer)
    assert has_marker(marked, MARKER)
    is_known = writer.run_id is not None or writer.head_sha is not None
    assert read_writer(marked, MARKER) == (writer if is_known else NOBODY)
    assert mark(marked, MARKER, writer) == marked


@given(body=st.text(alphabet=st.characters(codec="utf-8")))
def test_the_users_own_lines_are_never_rewritten(body: str) -> None:
    assert mark(body, MARKER, Writer(run_id=1)).split("\n", 2)[2] == body


def test_the_state_is_the_line_below_the_marker_and_compact() -> None:
    body = mark("text", MARKER, Writer(run_id=7, attempt=2, head_sha=SHA))
    assert body == (
        f'{MARKER}\n<!-- modelci-state: {{"run":7,"attempt":2,"head":"{SHA}"}} -->\ntext'
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "text",
        "<!-- modelci-state: -->",
        "<!-- modelci-state: {} ",
        "<!-- modelci-state: {]} -->",
        '<!-- modelci-state: {"run":"9"} -->',
        '<!-- modelci-state: {"run":-1} -->',
        '<!-- modelci-state: {"run":1.5} -->',
        '<!-- modelci-state: {"run":true} -->',
        '<!-- modelci-state: {"run":99999999999999999999999} -->',
        '<!-- modelci-state: {"run":9,"attempt":0} -->',
        '<!-- modelci-state: {"run":9,"more":1} -->',
        '<!-- modelci-state: {"run":9,"head":"a b"} -->',
        '<!-- modelci-state: {"run":9,"head":"abc\\n"} -->',
        '<!-- modelci-state: {"run":9} --> and more',
        ' <!-- modelci-state: {"run":9} -->',
        '> <!-- modelci-state: {"run":9} -->',
        '<!-- modelci-state: {"run":9, "head":"' + "a" * 400 + '"} -->',
    ],
)
def test_garbage_in_the_state_is_an_unknown_writer(line: str) -> None:
    assert read_writer(f"{MARKER}\n{line}\ntext", MARKER) == NOBODY


def test_a_state_elsewhere_than_below_the_marker_is_text() -> None:
    state = '<!-- modelci-state: {"run":9} -->'
    assert read_writer(f"{state}\n{MARKER}\ntext\n{state}", MARKER) == NOBODY
    assert read_writer(state, MARKER) == NOBODY
    assert read_writer(f"{MARKER}\r\n{state}\r\n", MARKER) == Writer(run_id=9)


def test_a_report_cannot_say_who_wrote_it() -> None:
    evil = '<!-- modelci-state: {"run":999999} -->'
    assert read_writer(mark(f"{MARKER}\n{evil}\ntext", MARKER), MARKER) == NOBODY
    assert read_writer(mark(f"{evil}\r\ntext", MARKER, Writer(run_id=5)), MARKER).run_id == 5


@pytest.mark.parametrize(
    "writer", [Writer(run_id=-1), Writer(run_id=1, head_sha="--> x"), Writer(run_id=1, attempt=0)]
)
def test_a_writer_that_no_forge_has_is_refused(writer: Writer) -> None:
    with pytest.raises(ValueError, match="no run"):
        mark("text", MARKER, writer)


@pytest.mark.parametrize(
    ("known", "writer", "is_newer"),
    [
        ((8, 1), (7, 1), True),
        ((8, 1), (7, 9), True),
        ((7, 2), (7, 1), True),
        ((7, 1), (7, 1), False),
        ((7, 1), (7, 2), False),
        ((7, 9), (8, 1), False),
        ((9, 1), (10, 1), False),
        ((None, 1), (7, 1), False),
        ((7, 1), (None, 1), False),
    ],
)
def test_runs_are_ordered_by_number_and_attempt(
    known: tuple[int | None, int], writer: tuple[int | None, int], *, is_newer: bool
) -> None:
    one, other = (Writer(run_id=run, attempt=attempt) for run, attempt in (known, writer))
    assert supersedes(one, other) is is_newer


def test_a_retired_comment_is_never_found_again() -> None:
    body = mark("```\ntext", MARKER, Writer(run_id=1))
    for collapse in (False, True):
        text = retire(body, MARKER, collapse=collapse)
        assert not has_marker(text, MARKER)
        assert "modelci-state" not in text
        assert text.startswith(f"{RETIRED}\n")
        assert ("<details>" in text) is collapse


@dataclass(kw_only=True)
class Shelf:
    """A store in memory that can lose the answer to what it did, and refuse to tidy up."""

    texts: dict[int, str] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    refuses: bool = False
    log: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=lambda: iter(range(1, 99)))

    def check(self, body: str) -> None:
        if len(body) > 1_000:
            raise ForgeError("too long")

    def list_ours(self, marker: str) -> list[StickyComment]:
        self.log.append("list")
        return [
            StickyComment(key=key, url=f"u{key}", body=text)
            for key, text in self.texts.items()
            if has_marker(text, marker)
        ]

    def create(self, body: str) -> str:
        self.log.append("create")
        fate = self.lost.pop() if self.lost else "answered"
        key = next(self.ids)
        if fate != "never arrived":
            self.texts[key] = body
        if fate != "answered":
            raise LookAgainError(fate)
        return f"u{key}"

    def update(self, comment: StickyComment, body: str) -> str:
        self.log.append(f"update {comment.key}")
        self.texts[int(comment.key)] = body
        return comment.url

    def delete(self, comment: StickyComment) -> None:
        self.log.append(f"delete {comment.key}")
        self._tidy()
        del self.texts[int(comment.key)]

    def hide(self, comment: StickyComment, *, marker: str) -> None:
        self.log.append(f"hide {comment.key}")
        self._tidy()
        self.texts[int(comment.key)] = retire(comment.body, marker, collapse=True)

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        self.log.append(f"wait {tries}")
        if tries == 2:
            raise error

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def _tidy(self) -> None:
        if self.refuses:
            raise ForgeDeniedError("not yours")


def write(
    shelf: Shelf,
    text: str,
    *,
    run: int | None = None,
    attempt: int = 1,
    mode: CommentMode = CommentMode.UPDATE,
    create: bool = True,
) -> str | None:
    writer = Writer(run_id=run, attempt=attempt)
    posted = post(shelf, text, marker=MARKER, writer=writer, mode=mode, create=create)
    return posted.action if posted else None


def test_an_older_run_leaves_a_newer_ones_report_alone() -> None:
    shelf = Shelf()
    assert write(shelf, "new", run=8) == "created"
    assert write(shelf, "old", run=7) == "outdated"
    assert write(shelf, "old, again", run=7, attempt=3) == "outdated"
    assert write(shelf, "again", run=8, attempt=2) == "updated"
    assert write(shelf, "late", run=8, attempt=1) == "outdated"
    assert shelf.texts[1].endswith("\nagain")


def test_an_equal_report_of_a_newer_run_is_signed_by_it() -> None:
    """Else a run between the two could still overwrite it."""
    shelf = Shelf()
    write(shelf, "same", run=5)
    assert write(shelf, "same", run=7) == "updated"
    assert write(shelf, "other", run=6) == "outdated"
    assert write(shelf, "same", run=7) == "unchanged"


def test_a_newer_report_among_duplicates_is_seen() -> None:
    shelf = Shelf(
        texts={1: mark("a", MARKER, Writer(run_id=3)), 2: mark("b", MARKER, Writer(run_id=9))}
    )
    assert write(shelf, "c", run=5) == "outdated"
    assert len(shelf.texts) == 2


def test_duplicates_are_deleted_and_the_oldest_kept() -> None:
    shelf = Shelf(texts={key: mark("old", MARKER) for key in (11, 12, 13)})
    assert write(shelf, "new", run=5) == "updated"
    assert list(shelf.texts) == [11]
    assert shelf.log == ["list", "update 11", "delete 12", "delete 13"]


@pytest.mark.parametrize("mode", [CommentMode.UPDATE, CommentMode.HIDE_AND_NEW])
def test_what_cannot_be_tidied_up_does_not_lose_the_report(mode: CommentMode) -> None:
    shelf = Shelf(texts={key: mark("old", MARKER) for key in (11, 12)}, refuses=True)
    assert write(shelf, "new", run=5, mode=mode) in {"updated", "created"}
    assert "not yours" in shelf.warnings[0]
    assert any(text.endswith("\nnew") for text in shelf.texts.values())


def test_mode_new_leaves_the_older_ones() -> None:
    shelf = Shelf()
    for run in (8, 7):
        assert write(shelf, f"run {run}", run=run, mode=CommentMode.NEW) == "created"
    assert [normalize(text).split("\n")[-1] for text in shelf.texts.values()] == ["run 8", "run 7"]


def test_mode_hide_and_new_writes_first_and_hides_each_once() -> None:
    shelf = Shelf()
    for run in (1, 2, 3):
        assert write(shelf, f"run {run}", run=run, mode=CommentMode.HIDE_AND_NEW) == "created"
    assert shelf.log == [
        "list",
        "create",
        *["list", "create", "hide 1"],
        "list",
        "create",
        "hide 2",
    ]
    assert [has_marker(text, MARKER) for text in shelf.texts.values()] == [False, False, True]
    assert write(shelf, "run 2", run=2, mode=CommentMode.HIDE_AND_NEW) == "outdated"


@pytest.mark.parametrize("mode", list(CommentMode))
def test_without_create_only_an_existing_one_is_updated(mode: CommentMode) -> None:
    shelf = Shelf()
    assert write(shelf, "one", mode=mode, create=False) is None
    assert not shelf.texts
    write(shelf, "one", mode=mode)
    assert write(shelf, "two", mode=mode, create=False) == "updated"
    assert list(shelf.texts.values()) == [f"{MARKER}\ntwo"]


def test_without_create_the_newest_of_several_kept_is_updated() -> None:
    shelf = Shelf(texts={key: mark("old", MARKER) for key in (11, 12)})
    assert write(shelf, "new", mode=CommentMode.NEW, create=False) == "updated"
    assert list(shelf.texts) == [11, 12]
    assert shelf.texts[12].endswith("new")


@pytest.mark.parametrize("mode", list(CommentMode))
@pytest.mark.parametrize("fate", ["arrived", "never arrived"])
def test_after_a_lost_answer_the_comment_is_looked_for_first(mode: CommentMode, fate: str) -> None:
    shelf = Shelf(lost=[fate])
    assert write(shelf, "one", mode=mode) == "created"
    again = ["create"] if fate == "never arrived" else []
    assert shelf.log == ["list", "create", "wait 0", "list", *again]
    assert list(shelf.texts.values()) == [f"{MARKER}\none"]


def test_after_a_lost_answer_an_equal_older_comment_is_no_proof() -> None:
    shelf = Shelf(texts={11: mark("one", MARKER)}, lost=["never arrived"])
    assert write(shelf, "one", mode=CommentMode.NEW) == "created"
    assert len(shelf.texts) == 2


def test_looking_again_ends_with_the_time_for_it() -> None:
    shelf = Shelf(lost=["never arrived"] * 9)
    with pytest.raises(LookAgainError):
        write(shelf, "one")
    assert shelf.log.count("create") == 3


def test_what_the_forge_would_not_take_is_not_even_listed_for() -> None:
    shelf = Shelf()
    with pytest.raises(ForgeError, match="too long"):
        write(shelf, "x" * 1_000)
    assert not shelf.log
