"""What the registry's site shows: every model with its events, its numbers and its addresses."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from modelci.domain.artifacts import Artifact
from modelci.domain.history import MetricHistory
from modelci.domain.holds import without_signature
from modelci.domain.metrics import MetricKey, MetricValue, metric_value
from modelci.domain.registry import ArtifactState, Event, Holder

_TRAILER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*): *(.*)")
_MOST_TEXT = 64 * 1024  # characters of a message, half from each end: trailers stand last
_MOST_TRAILERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """Where people look at the repository: ``root`` is ``https://host/owner/name``.

    ``kind`` is github, gitlab or gitea; with ``releases`` every version has a release.
    """

    kind: str
    root: str
    releases: bool = False

    def commit(self, sha: str) -> str:
        """Return a commit's address."""
        return f"{self.root}/{self._dash}commit/{quote(sha, safe='')}"

    def tag(self, name: str, *, registers: bool) -> str:
        """Return the address of a tag, or of the release that it ``registers``."""
        # GitHub and Gitea show a tag that is no release at the same address.
        page = "releases/tag" if self.kind != "gitlab" else "tags"
        if self.kind == "gitlab" and registers and self.releases:
            page = "releases"
        return f"{self.root}/{self._dash}{page}/{quote(name, safe='/')}"

    @property
    def _dash(self) -> str:
        return "-/" if self.kind == "gitlab" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An artifact: ``events`` the newest first, ``artifact`` as ``dvc.yaml`` declares it now.

    ``metrics`` go over its active versions, the oldest first.
    """

    state: ArtifactState
    events: tuple[Event, ...] = ()
    artifact: Artifact | None = None
    metrics: tuple[MetricHistory, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The whole registry, by name; nothing in it depends on when it is built.

    ``holder`` says which of a stage's versions holds it.
    """

    title: str
    models: tuple[Model, ...] = ()
    web: Web | None = None
    holder: Holder = Holder.NEWEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A tag's message, taken apart; a trailer may stand several times."""

    subject: str
    body: str = ""
    trailers: tuple[tuple[str, str], ...] = ()

    def first(self, key: str) -> str:
        """Return a trailer's first value, or nothing."""
        return next((value for name, value in self.trailers if name == key), "")


def read_message(text: str) -> Message:
    """Take a message apart: a subject, a body, and trailers if all the last paragraph is some."""
    if len(text) > _MOST_TEXT:
        text = f"{text[: _MOST_TEXT // 2]}…{text[-_MOST_TEXT // 2 :]}"
    lines = without_signature(text).replace("\r\n", "\n").strip().split("\n")
    cut = max((at for at, line in enumerate(lines) if not line.strip()), default=len(lines))
    trailers = tuple(_trailers(lines[cut + 1 :]))
    if trailers:
        lines = lines[:cut]
    body = "\n".join(lines[1:]).strip("\n")
    return Message(subject=lines[0].strip(), body=body, trailers=trailers)


def _trailers(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for line in lines:
        if found and line[:1] in {" ", "\t"}:  # a long value goes on
            key, value = found.pop()
            found.append((key, f"{value} {line.strip()}"))
            continue
        match = _TRAILER.fullmatch(line.rstrip())
        if match is None:
            return
        found.append((match[1], match[2].strip()))
    yield from found[:_MOST_TRAILERS]


def metric_values(message: Message) -> Mapping[MetricKey, MetricValue]:
    """Return the metrics that a promotion wrote into its tag (``Modelci-Metric: path:name=1``)."""
    found: dict[MetricKey, MetricValue] = {}
    for key, text in message.trailers:
        name, equals, number = text.rpartition("=")
        path, colon, metric = name.partition(":")
        if key != "Modelci-Metric" or not equals or not colon:
            continue
        try:
            found[MetricKey(path=path, name=metric)] = metric_value(float(number))
        except ValueError:
            continue
    return found
