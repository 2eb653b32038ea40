"""What is done outside of this process, for ``--verbose`` and for who watches on a terminal.

The one is a line for each thing, with its time; the other sees it while it lasts. While nobody
listens it costs a comparison, and `logging` is not even loaded. No line holds a secret: addresses
lose who asks and what they are asked with, and every other value stays away.
"""

import re
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelci.ports import Advance

LOGGER = "modelci"
Hear = Callable[[str, str], None]
"""Takes a format and its one argument, as a logger's ``debug`` does."""

Watch = Callable[[str, float | None, str], AbstractContextManager["Advance"]]
"""Shows something while it lasts, as ``ports.Progress.busy`` does."""

_LONGEST = 300
# A password may hold a slash or an @ itself; an @ in a path alone, as of a tag, names nobody.
_USER = re.compile(r"(?<=://)(?=[^/\s]*@|[^/\s:]*:(?!\d*/))\S*@")
_QUERY = re.compile(r"(://[^\s?#]*)[?#][^\s]*")
_OPTION = re.compile(r"(?<!\S)((?:-p|--[\w-]*(?i:token|creds|password|secret))[ =])\S+")
_HEADER = re.compile(
    r"(?i)\b([\w.]*extraheader=|(?:authorization|bearer|basic|private-token|token)[: ]+)(?!…)\S.*"
)
_SETTING = re.compile(r"(?i)\b([\w.-]*(?:token|password|secret|key)[\w.-]*=)\S+")

_heard_by: list[Hear] = []
_watched_by: list[Watch] = []


def hear(listener: Hear) -> Callable[[], None]:
    """Tell a listener of all that is done from now on, until what is returned is called."""
    _heard_by.append(listener)
    return lambda: _heard_by.remove(listener)


def watch(watcher: Watch) -> Callable[[], None]:
    """Let a watcher show what is done from now on, until what is returned is called."""
    _watched_by.append(watcher)
    return lambda: _watched_by.remove(watcher)


def is_watched() -> bool:
    """Whether anybody sees what is shown."""
    return bool(_watched_by)


def shown(
    text: str, total: float | None = None, unit: str = ""
) -> "AbstractContextManager[Advance]":
    """Show what is done inside to whoever watches: the last that came, for there is one screen."""
    return _watched_by[-1](masked(text), total, unit) if _watched_by else nullcontext(unheard)


def unheard(_done: float, _total: float | None = None, /) -> None:
    """Nobody watches."""


def tell(words: Iterable[str], seconds: float | None = None, outcome: str = "") -> None:
    """Tell whoever listens of one thing that was done, in so many words."""
    if not _heard_by:
        return
    text = masked(" ".join(words))
    ends = [outcome] if outcome else []
    ends += [] if seconds is None else [f"{seconds:.3f} s"]
    for listener in _heard_by:
        listener("%s", f"{text} ({', '.join(ends)})" if ends else text)


@contextmanager
def told(*words: str, total: float | None = None, unit: str = "") -> "Iterator[Advance]":
    """Tell of what is done inside, when it ends; of what fails, that it did. Meanwhile show it."""
    if not _heard_by and not _watched_by:
        yield unheard
        return
    began = time.monotonic()
    try:
        with shown(" ".join(words), total, unit) as advance:
            yield advance
    except BaseException as error:
        tell(words, time.monotonic() - began, type(error).__name__)
        raise
    tell(words, time.monotonic() - began)


def masked(text: str) -> str:
    """Return a line of bounded length without what may be secret in it.

    That are users and queries of addresses, and what options, headers and settings say. It is cut
    last: a secret that is cut in two would not be known for one.
    """
    text = _QUERY.sub(r"\1?…", _USER.sub("", " ".join(text.split())))
    for secret in (_OPTION, _HEADER, _SETTING):
        text = secret.sub(r"\1…", text)
    return f"{text[:_LONGEST]}…" if len(text) > _LONGEST else text
