"""The registry's tags by one ``git for-each-ref``, and nothing else that takes time to load.

``modelci registry`` answers in the time that importing GitPython takes. Hence this reader, which
``GitRepository`` uses too.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from sys import intern
from typing import TYPE_CHECKING, cast

from modelci.adapters.gitprocess import ask
from modelci.adapters.listing import FIELDS, Listing
from modelci.domain.registry import Rule, TagRecord
from modelci.domain.tags import Action, TagName
from modelci.errors import ConfigError

if TYPE_CHECKING:
    import subprocess
    from io import BufferedReader
    from os import PathLike

_CHUNK = 1 << 20
# Compiled when they are first needed, which is seldom.
_SIGNATURE = r"(?m)^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SSH SIGNATURE|SIGNED MESSAGE)-----$"
_TAGGER = rb"(?P<name>.*?) ?<(?P<email>[^>]*)> (?P<seconds>[0-9]+) [-+][0-9]{4}"


def read_records(listing: Listing) -> tuple[TagRecord, ...]:
    """Return what registry tags there are, by name of the ref; those with a flaw, too."""
    with listing.process as process:
        found = _judge_all(_rows(_out(process)), listing)
    # One object that Git cannot read makes it say nothing of all the others.
    return found if process.returncode == 0 else _judge_all(_one_by_one(listing), listing)


def _judge_all(rows: Iterator[Sequence[str]], listing: Listing) -> tuple[TagRecord, ...]:
    wanted = None if listing.artifacts is None else frozenset(listing.artifacts)
    cut = len(listing.under)
    records = (_judge(row, cut) for row in rows)
    return tuple(one for one in records if one and (wanted is None or one.name.artifact in wanted))


def _one_by_one(listing: Listing) -> Iterator[Sequence[str]]:
    """Yield the same rows from the raw objects: slower, and past any that is broken."""
    form = "--format=%(objectname) %(refname)"
    listed = _run(listing.folder, "for-each-ref", form, *listing.patterns)
    refs = [line.split(" ", 1) for line in listed.decode(errors="replace").splitlines()]
    found = _objects(listing.folder, [oid for oid, _ in refs])
    for (_, ref), (kind, data) in zip(refs, found, strict=True):
        *fields, message = _raw_row(ref, kind, data)
        yield (*fields, message if listing.messages else "")


class TagReader:
    """Reads tags, and the times of the commits that they tag, around ``folder``.

    ``begun`` is a listing of all tags, without their messages, that may serve the first question.
    """

    def __init__(self, folder: "str | PathLike[str]", begun: Listing | None = None) -> None:
        self._folder = folder
        self._begun = begun

    def tags(
        self, artifacts: Sequence[str] | None = None, *, messages: bool = True
    ) -> tuple[TagRecord, ...]:
        """Return this clone's registry tags."""
        if self._begun is not None and artifacts is None and not messages:
            begun, self._begun = self._begun, None
            return read_records(begun)
        return read_records(Listing(self._folder, artifacts, messages=messages))

    def commit_times(self, shas: Sequence[str]) -> Mapping[str, int]:
        """Return when those of the commits that are here were made, in Unix seconds."""
        return commit_times(self._folder, shas)


def commit_times(folder: "str | PathLike[str]", shas: Sequence[str]) -> Mapping[str, int]:
    """Return when those of the commits that are here were made, in Unix seconds."""
    found = zip(shas, _objects(folder, shas), strict=True) if shas else ()
    return {sha: when for sha, (kind, data) in found if kind == b"commit" and (when := _made(data))}


def _made(commit: bytes) -> int:
    """Return the committer's instant; 0 where the commit names none."""
    head = commit.partition(b"\n\n")[0]
    words = head.partition(b"\ncommitter ")[2].partition(b"\n")[0].rsplit(b" ", 2)
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0


def _judge(row: Sequence[str], cut: int) -> TagRecord | None:
    ref, kind, tag, target, commit, seconds, tagger, email, message = row
    known = ref[cut:]
    name = TagName.parse(known)
    if name is None:
        return None
    if kind != "tag":
        return TagRecord(name, ref, "", 0, flaw=Rule.LIGHTWEIGHT if kind else Rule.UNREADABLE)
    if message:
        message = re.split(_SIGNATURE, message, maxsplit=1)[0]
    flaw = None
    if tag != known:
        # Which name counts? GTO goes by the object's, DVC by the ref's: neither.
        flaw, message = Rule.RENAMED, tag
    elif target != "commit":
        flaw = Rule.NESTED if target == "tag" else Rule.NO_COMMIT
    elif not seconds:
        flaw = Rule.NO_TAGGER
    elif name.action is Action.CREATE:
        flaw = Rule.CREATED
    when = int(seconds) if seconds else 0
    return TagRecord(name, ref, commit, when, intern(tagger), message, intern(email[1:-1]), flaw)


def _rows(stream: "BufferedReader") -> Iterator[Sequence[str]]:
    """Yield the fields of each tag as Git says them, while it looks at the next."""
    tail = b""
    while chunk := stream.read1(_CHUNK):
        whole, mark, tail = (tail + chunk).rpartition(b"\0\n")
        if mark:
            yield from (row.split("\0") for row in whole.decode(errors="replace").split("\0\n"))


def _raw_row(ref: str, kind: bytes, data: bytes) -> Sequence[str]:
    if kind != b"tag":
        return (ref, "" if kind == b"missing" else kind.decode(), *[""] * (len(FIELDS) - 1))
    head, _, message = data.partition(b"\n\n")
    lines = dict(line.partition(b" ")[::2] for line in head.split(b"\n"))
    who = re.fullmatch(_TAGGER, lines.get(b"tagger", b""))
    fields = (
        *(lines.get(key, b"") for key in (b"tag", b"type", b"object")),
        *((who["seconds"], who["name"], b"<" + who["email"] + b">") if who else (b"", b"", b"")),
        message,
    )
    return (ref, "tag", *(field.decode(errors="replace") for field in fields))


def _objects(folder: "str | PathLike[str]", oids: Sequence[str]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the contents of each object; ``missing`` where Git cannot read it."""
    out = _run(folder, "cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in oids).encode())
    at = 0
    for _ in oids:
        end = out.index(b"\n", at)
        _, kind, *size = out[at:end].split(b" ")
        if not size:
            yield b"missing", b""
            at = end + 1
            continue
        start, at = end + 1, end + 2 + int(size[0])
        yield kind, out[start : at - 1]


def _run(folder: "str | PathLike[str]", *arguments: str, stdin: bytes = b"") -> bytes:
    answer = ask(folder, *arguments, stdin=stdin)
    if answer.code:
        reason = answer.err.strip().removeprefix("fatal: ")
        raise ConfigError(
            f"`git {arguments[0]}` failed: {reason}", hint="`git fsck` shows what is broken."
        )
    return answer.out


def _out(process: "subprocess.Popen[bytes]") -> "BufferedReader":
    return cast("BufferedReader", process.stdout)  # a pipe, which `start` asks for
