"""The registry's tags by one ``git for-each-ref``, and nothing else that takes time to load.

``modelci registry`` answers in the time that importing GitPython takes. Hence this reader, which
``GitRepository`` uses too.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from sys import intern
from typing import IO, TYPE_CHECKING

from modelci.adapters.gitprocess import ask, start
from modelci.domain.registry import Rule, TagRecord
from modelci.domain.tags import Action, TagName
from modelci.errors import ConfigError

if TYPE_CHECKING:
    import subprocess
    from os import PathLike

LOCAL = "refs/tags/"
_FIELDS = (
    "refname",
    "objecttype",
    "tag",
    "type",  # of what the tag itself names; ``*objecttype`` peels further since Git 2.45
    "object",
    "taggerdate:unix",
    "taggername",
    "taggeremail",
)
_CHUNK = 1 << 20
# Compiled when they are first needed, which is seldom.
_SIGNATURE = r"(?m)^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SSH SIGNATURE|SIGNED MESSAGE)-----$"
_TAGGER = rb"(?P<name>.*?) ?<(?P<email>[^>]*)> (?P<seconds>[0-9]+) [-+][0-9]{4}"


class Listing:
    """A ``git for-each-ref`` that has been started; ``records`` waits for it.

    Only the artifacts asked for are looked at, whatever else there is: Git seeks what it has packed
    by the name's beginning. Messages take as much memory as all the rest, so they are optional.
    """

    def __init__(
        self,
        folder: "str | PathLike[str]",
        artifacts: Sequence[str] | None = None,
        *,
        under: str = LOCAL,
        messages: bool = True,
    ) -> None:
        self._folder = folder
        self._under = under
        self._wanted = None if artifacts is None else frozenset(artifacts)
        self._patterns = _patterns(under, artifacts)
        names = (*_FIELDS, *(("contents",) if messages else ()))
        self._size = len(names)
        form = "%00".join(f"%({name})" for name in names) + "%00"
        self._process = start(folder, "for-each-ref", f"--format={form}", *self._patterns)

    def records(self) -> tuple[TagRecord, ...]:
        """Return what registry tags there are, by name of the ref; those with a flaw, too."""
        with self._process as process:
            found = tuple(self._judge(_rows(_out(process), self._size)))
        # One object that Git cannot read makes it say nothing of all the others.
        return found if process.returncode == 0 else tuple(self._judge(self._one_by_one()))

    def _judge(self, rows: Iterator[Sequence[str]]) -> Iterator[TagRecord]:
        wanted, cut = self._wanted, len(self._under)
        for row in rows:
            record = _judge(row, cut)
            if record is not None and (wanted is None or record.name.artifact in wanted):
                yield record

    def _one_by_one(self) -> Iterator[Sequence[str]]:
        """Yield the same rows from the raw objects: slower, and past any that is broken."""
        listed = _run(
            self._folder, "for-each-ref", "--format=%(objectname) %(refname)", *self._patterns
        )
        refs = [line.split(" ", 1) for line in listed.decode(errors="replace").splitlines()]
        found = _objects(self._folder, [oid for oid, _ in refs])
        for (_, ref), (kind, data) in zip(refs, found, strict=True):
            yield _raw_row(ref, kind, data)[: self._size]


class TagReader:
    """Reads tags, and the times of the commits that they tag, around ``folder``."""

    def __init__(self, folder: "str | PathLike[str]") -> None:
        self._folder = folder
        self._begun: Listing | None = None

    def begin(self) -> None:
        """Let Git list all tags, without their messages, while Python still loads."""
        self._begun = Listing(self._folder, messages=False)

    def tags(
        self, artifacts: Sequence[str] | None = None, *, messages: bool = True
    ) -> tuple[TagRecord, ...]:
        """Return this clone's registry tags."""
        if self._begun is not None and artifacts is None and not messages:
            begun, self._begun = self._begun, None
            return begun.records()
        return Listing(self._folder, artifacts, messages=messages).records()

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


def _patterns(under: str, artifacts: Sequence[str] | None) -> list[str]:
    if artifacts is None:
        return [under]
    names = [name.replace(":", "=", 1) for name in artifacts]
    # A star stops at a slash, and a stage's name may hold some: eu/prod.
    globs = [f"{under}{name}{glob}" for name in names for glob in ("@*", "#*", "#*/**")]
    return globs or [f"{under}@"]  # no pattern would mean every ref


def _judge(row: Sequence[str], cut: int) -> TagRecord | None:
    ref, kind, tag, target, commit, seconds, tagger, email, *rest = row
    ref = ref.lstrip("\n")
    name = TagName.parse(ref[cut:])
    if name is None:
        return None
    if kind != "tag":
        return TagRecord(name, ref, "", 0, flaw=Rule.LIGHTWEIGHT if kind else Rule.UNREADABLE)
    # Which name counts where they differ? GTO goes by the object's, DVC by the ref's: neither.
    renamed = tag != ref[cut:]
    sound = target == "commit" and seconds and name.action is not Action.CREATE
    message = re.split(_SIGNATURE, rest[0], maxsplit=1)[0] if rest else ""
    return TagRecord(
        name,
        ref,
        commit,
        int(seconds or 0),
        intern(tagger),
        tag if renamed else message,
        intern(email[1:-1]),
        Rule.RENAMED if renamed else None if sound else _flaw(target, seconds),
    )


def _flaw(target: str, seconds: str) -> Rule:
    if target != "commit":
        return Rule.NESTED if target == "tag" else Rule.NO_COMMIT
    return Rule.CREATED if seconds else Rule.NO_TAGGER


def _rows(stream: IO[bytes], size: int) -> Iterator[Sequence[str]]:
    fields: list[str] = []
    tail = b""
    while chunk := stream.read(_CHUNK):
        whole, mark, tail = (tail + chunk).rpartition(b"\0")
        if not mark:
            continue
        fields += whole.decode(errors="replace").split("\0")
        count = len(fields) // size * size
        yield from zip(*[iter(fields[:count])] * size, strict=True)
        del fields[:count]


def _raw_row(ref: str, kind: bytes, data: bytes) -> Sequence[str]:
    if kind != b"tag":
        return (ref, "" if kind == b"missing" else kind.decode(), *[""] * len(_FIELDS))[:9]
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


def _out(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert process.stdout is not None  # noqa: S101 - asked for above
    return process.stdout
