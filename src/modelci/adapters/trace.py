"""What is done outside of this process, for ``--verbose``: a line for each thing, with its time.

While nobody listens it costs a comparison, and `logging` is not even loaded. No line holds a
secret: addresses lose who asks and what they are asked with, and every other value stays away.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

LOGGER = "modelci"
Hear = Callable[[str, str], None]
"""Takes a format and its one argument, as a logger's ``debug`` does."""

_LONGEST = 300
_USER = re.compile(r"(?<=://)[^/@\s]*@")
_QUERY = re.compile(r"(://[^\s?#]*)[?#][^\s]*")
_SETTING = re.compile(r"(?i)\b([\w.-]*(?:extraheader|token|password|secret|key)[\w.-]*)=\S+")
_HEADER = re.compile(r"(?i)\b(authorization|bearer|basic|private-token)[: ]+\S.*")

_heard_by: list[Hear] = []


def hear(listener: Hear) -> Callable[[], None]:
    """Tell a listener of all that is done from now on, until what is returned is called."""
    _heard_by.append(listener)
    return lambda: _heard_by.remove(listener)


def tell(words: Iterable[str], seconds: float | None = None, outcome: str = "") -> None:
    """Tell whoever listens of one thing that was done, in so many words."""
    if not _heard_by:
        return
    text = masked(" ".join(words))
    text = f"{text[:_LONGEST]}…" if len(text) > _LONGEST else text
    ends = [outcome] if outcome else []
    ends += [] if seconds is None else [f"{seconds:.3f} s"]
    for listener in _heard_by:
        listener("%s", f"{text} ({', '.join(ends)})" if ends else text)


@contextmanager
def told(*words: str) -> Iterator[None]:
    """Tell of what is done inside, when it ends; of what fails, that it did."""
    if not _heard_by:
        yield
        return
    began = time.monotonic()
    try:
        yield
    except BaseException as error:
        tell(words, time.monotonic() - began, type(error).__name__)
        raise
    tell(words, time.monotonic() - began)


def masked(text: str) -> str:
    """Return a line without what may be secret in it: users, queries, settings and headers."""
    text = _QUERY.sub(r"\1?…", _USER.sub("", text))
    text = _HEADER.sub(r"\1 …", _SETTING.sub(r"\1=…", text))
    return " ".join(text.split())
