"""The registry as a static site: an index, a page for each model, and their JSON documents.

Every file needs nothing but itself: pages work from a disk, and below any path of a server.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any

from modelci import __version__
from modelci.documents import codec
from modelci.documents.registry import registry_document
from modelci.domain.allowance import ALLOWED, ALLOWED_RULES
from modelci.domain.history import HistoryPoint, MetricHistory
from modelci.domain.holds import BY, HOLD, REASON, find_holds
from modelci.domain.metrics import MetricDelta, MetricKey, MetricValue
from modelci.domain.registry import Assignment, Event, RegisteredVersion
from modelci.domain.site import Message, Model, Site, Web, metric_values, read_message
from modelci.domain.tags import Action
from modelci.domain.versions import Version
from modelci.render import page, quantities
from modelci.render.charts import Spark, spark
from modelci.render.escape import PROSE_LIMIT, clean, web_address
from modelci.render.quantities import ABSENT
from modelci.render.rows import Mood, metric_row

_MOST_VERSIONS = 1_000  # on a page; the JSON has them all
_MOST_EVENTS = 2_000
_MOST_TOLD = 50  # of one stage; the log below has them all
_MOST_COLUMNS = 3
_RECENT = 15
_NOTE_LINES = 30
_NAME_LIMIT = 200
_LABELS = 30
_DOUBTS = 20

_PLAIN = re.compile(r"[a-z0-9][a-z0-9_-]{0,79}")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])")  # no files' names on Windows
# What we and GTO write of ourselves says nothing that the row does not.
_OWN_SUBJECT = re.compile(
    r"(?:De)?register(?:ing)?(?: artifact)? \S+(?: version)? \S+"
    r"|(?:Un)?assign(?:ing)?(?: stage)? \S+ (?:to|from)(?: artifact)? \S+(?: version)? \S+"
    r"|Deprecat(?:e|ing)(?: artifact)? \S+|Release the hold on \S+ of \S+"
    r"|Roll \S+ of \S+ back to \S+ from \S+",
    re.IGNORECASE,
)
_QUIET = frozenset(
    {REASON, BY, HOLD, "Modelci-Metric", "Modelci-Hash", "Modelci-Path", "Modelci-Previous"}
    | {"Modelci-Version", "Modelci-Run", "Modelci-Report", "Modelci-Sha256", ALLOWED, ALLOWED_RULES}
)
_LINKS = (("Modelci-Run", "run"), ("Modelci-Report", "report"))


def render_site(site: Site) -> Mapping[str, bytes]:
    """Return the site's files by path; the same site always gives the same bytes."""
    environment = page.environment()
    environment.filters |= {"name": _name, "prose": _prose, "count": "{:,}".format}
    views = [_ModelView(model, site.web).context() for model in site.models]
    style = page.asset("base.css") + page.asset("site.css")
    script = page.asset("site.js")
    shared = {
        "site_title": clean(site.title, _NAME_LIMIT),
        "policy": page.policy(style=style, scripts=(script,)),
        "style": page.trusted(style),
        "script": page.trusted(script),
        "repository": web_address(site.web.root if site.web else None),
        "program": f"modelci {__version__}",
    }

    def text(template: str, context: Mapping[str, Any]) -> bytes:
        return environment.get_template(template).render({**shared, **context}).encode()

    files = {
        "index.html": text("site_index.html.j2", _index(views)),
        "registry.json": _document(site),
        ".nojekyll": b"",
    }
    for model, view in zip(site.models, views, strict=True):
        files[f"models/{view['slug']}.html"] = text("site_model.html.j2", view)
        files[f"models/{view['slug']}.json"] = _document(site, model)
    return files


def slug(name: str) -> str:
    """Return a file's name for a model, without its ending: stable, safe, of its own.

    A plain name is its own; any other gets part of its hash, behind a dot, which no plain one has.
    Case alone tells no files apart on some machines.
    """
    if _PLAIN.fullmatch(name) and not _DEVICES.fullmatch(name):
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{re.sub('[^a-z0-9_]+', '-', name.lower()).strip('-')[:60] or 'model'}.{digest[:16]}"


def _document(site: Site, model: Model | None = None) -> bytes:
    """Return the whole registry's document, or that of one model with what declares it."""
    states = [one.state for one in ([model] if model else site.models)]
    declared = model.artifact if model else None
    return codec.encode(registry_document(states, holder=site.holder, declared=declared)).encode()


# -- the index ---------------------------------------------------------------------------------


def _index(views: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    recent = sorted(
        (event for view in views for event in view["events"][:_RECENT]),
        key=lambda event: (-event.seconds, event.tag),
    )
    return {
        "title": None,
        "models": views,
        "recent": recent[:_RECENT],
        "newest": next((event.when for event in recent), ""),
        "data": page.script_data([[row.label for row in view["versions"]] for view in views]),
    }


# -- a model -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A time of day in UTC: ``day`` and ``clock`` for people, ``iso`` for machines."""

    day: str
    clock: str
    iso: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a tag's message says: why, what ``rules`` were overridden for, where it ran."""

    why: str = ""
    allowed: str = ""
    rules: str = ""
    links: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """Something that happened; ``anchor`` is its version's place on the page, if there is one."""

    model: str
    slug: str
    seconds: int
    when: Instant
    by: str
    mood: Mood
    verb: str
    stage: str = ""
    label: str = ""
    anchor: str = ""
    commit: str = ""
    tag: str
    href: str | None
    said: Said
    hold: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """A version; ``stages`` are those that it holds, ``values`` its first metrics."""

    label: str
    when: Instant
    by: str
    commit: str
    commit_href: str | None
    href: str | None
    hash: str
    hash_name: str
    active: bool
    is_latest: bool
    stages: tuple[str, ...]
    values: tuple[str, ...]
    said: Said


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """A stage: what holds it, if anything does, and the last of what ``happened`` to it."""

    name: str
    label: str = ""
    anchor: str = ""
    when: Instant | None = None
    by: str = ""
    said: Said = Said()
    held: str = ""
    history: tuple[EventRow, ...] = ()
    happened: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricLine:
    """A metric over the versions; ``change`` is that of the newest against the one before."""

    path: str
    name: str
    value: str
    at: str
    change: str
    trend: str
    mood: Mood
    spark: Spark | None


class _ModelView:
    """Lays out one model."""

    def __init__(self, model: Model, web: Web | None) -> None:
        self._model = model
        self._web = web
        self._slug = slug(model.state.name)
        self._shown = frozenset(one.version for one in model.state.versions[:_MOST_VERSIONS])

    def context(self) -> dict[str, Any]:
        """Return what the templates show."""
        model, state = self._model, self._model.state
        artifact, latest = model.artifact, model.state.latest
        events = list(self._events())
        versions = [self._version(one) for one in state.versions[:_MOST_VERSIONS]]
        return {
            "title": clean(state.name, _NAME_LIMIT),
            "slug": self._slug,
            "name": state.name,
            "type": artifact.type if artifact else None,
            "desc": artifact.desc if artifact else None,
            "path": artifact.path if artifact else None,
            "labels": artifact.labels[:_LABELS] if artifact else (),
            "declared": artifact is not None,
            "deprecated": state.deprecated,
            "broken": bool(state.problems),
            "doubts": [
                *(one.message for one in state.problems),
                *(one.message for one in state.warnings),
            ][:_DOUBTS],
            "latest": _label(latest.version) if latest else "",
            "latest_when": _instant(latest.seconds) if latest else None,
            "stages": list(self._stages(events)),
            "metrics": [_metric_line(one) for one in model.metrics],
            "columns": [one.key for one in model.metrics[:_MOST_COLUMNS]],
            "versions": versions,
            "version_count": len(state.versions),
            "events": events[:_MOST_EVENTS],
            "event_count": len(model.events),
            "newest": events[0].when if events else None,
        }

    def _events(self) -> Iterator[EventRow]:
        """Yield what happened, the newest first; where a stage went back is told apart."""
        went_back = _rollbacks(self._model.events)
        for event in self._model.events:
            yield self._event(event, back=event.tag.ref in went_back)

    def _event(self, event: Event, *, back: bool) -> EventRow:
        tag, message = event.tag, read_message(event.tag.message)
        verb, mood = ("rolled back", Mood.WARNING) if back else _VERBS[tag.name.action]
        return EventRow(
            model=self._model.state.name,
            slug=self._slug,
            seconds=tag.seconds,
            when=_instant(tag.seconds),
            by=_who(tag.tagger, message),
            mood=mood,
            verb=verb,
            stage=tag.name.stage or "",
            label=self._named(event.version, tag.commit, tag.name.action),
            anchor=self._anchor(event.version),
            tag=tag.tag,
            href=self._tag_address(tag.tag, tag.name.action),
            said=_said(message),
            hold=message.first(HOLD),
        )

    @staticmethod
    def _named(version: Version | None, commit: str, action: Action) -> str:
        if version is not None:
            return _label(version)
        return "" if action in {Action.DEPRECATE, Action.CREATE} else commit[:7]

    def _anchor(self, version: Version | None) -> str:
        return _label(version) if version is not None and version in self._shown else ""

    def _version(self, one: RegisteredVersion) -> VersionRow:
        state, message = self._model.state, read_message(one.message)
        found = metric_values(message) or self._measured(one)
        holds = (name for name, held in state.stages.items() if held.commit == one.commit)
        hashed = message.first("Modelci-Hash")
        return VersionRow(
            label=_label(one.version),
            when=_instant(one.seconds),
            by=_who(one.tagger, message),
            commit=one.commit[:7],
            commit_href=self._address("commit", one.commit),
            href=self._tag_address(one.tag, Action.REGISTER),
            hash=hashed,
            hash_name=_short_hash(hashed),
            active=one.active,
            is_latest=state.latest is one,
            stages=tuple(holds) if one.active else (),
            values=tuple(
                quantities.number(found.get(history.key))
                for history in self._model.metrics[:_MOST_COLUMNS]
            ),
            said=_said(message),
        )

    def _measured(self, one: RegisteredVersion) -> Mapping[MetricKey, MetricValue | None]:
        """Return the metrics that were read from the version's commit."""
        name = _label(one.version)
        return {
            history.key: point.value
            for history in self._model.metrics[:_MOST_COLUMNS]
            for point in history.points
            if point.name == name and point.sha == one.commit
        }

    def _stages(self, events: Sequence[EventRow]) -> Iterator[StageRow]:
        state = self._model.state
        holds = find_holds(event.tag for event in self._model.events)
        told: dict[str, list[EventRow]] = {name: [] for name in state.stages}
        for event in events:
            if event.stage:
                told.setdefault(event.stage, []).append(event)
        for name, history in sorted(told.items()):
            row = StageRow(name=name, history=tuple(history[:_MOST_TOLD]), happened=len(history))
            holder, hold = state.stages.get(name), holds.get((state.name, name))
            held = (hold.reason or "no reason given") if hold else ""
            yield replace(self._holding(row, holder) if holder else row, held=held)

    def _holding(self, row: StageRow, holder: Assignment) -> StageRow:
        message = read_message(holder.message)
        return replace(
            row,
            label=holder.label,
            anchor=self._anchor(holder.version),
            when=_instant(holder.seconds),
            by=_who(holder.tagger, message),
            said=_said(message),
        )

    def _address(self, kind: str, name: str) -> str | None:
        return web_address(getattr(self._web, kind)(name)) if self._web else None

    def _tag_address(self, name: str, action: Action) -> str | None:
        if self._web is None:
            return None
        return web_address(self._web.tag(name, registers=action is Action.REGISTER))


_VERBS = {
    Action.REGISTER: ("registered", Mood.GOOD),
    Action.DEREGISTER: ("withdrawn", Mood.BAD),
    Action.ASSIGN: ("assigned", Mood.GOOD),
    Action.UNASSIGN: ("unassigned", Mood.WARNING),
    Action.DEPRECATE: ("deprecated", Mood.BAD),
    Action.CREATE: ("created", Mood.NEUTRAL),
}


def _rollbacks(events: Sequence[Event]) -> frozenset[str]:
    """Return the refs of assignments of a version less than the one that was assigned before."""
    last: dict[str, Version] = {}
    found = set()
    for event in reversed(events):
        stage, version = event.tag.name.stage, event.version
        if stage is None or version is None or event.tag.name.action is not Action.ASSIGN:
            continue
        if stage in last and version < last[stage]:
            found.add(event.tag.ref)
        last[stage] = version
    return frozenset(found)


def _said(message: Message) -> Said:
    why = message.first(REASON)
    if not why and not _OWN_SUBJECT.fullmatch(message.subject):
        why = message.subject
    links = ((word, web_address(message.first(key))) for key, word in _LINKS)
    return Said(
        why=why,
        allowed=message.first(ALLOWED),
        rules=message.first(ALLOWED_RULES) or "rules",
        links=tuple((word, address) for word, address in links if address),
        facts=tuple(
            (key.removeprefix("Modelci-").replace("-", " ").lower(), value)
            for key, value in message.trailers
            if key not in _QUIET
        )[:10],
        notes=tuple(clean(line, PROSE_LIMIT) for line in _lines(message.body)),
    )


def _lines(body: str) -> list[str]:
    lines = body.split("\n")
    more = len(lines) - _NOTE_LINES
    return [*lines[:_NOTE_LINES], f"… {more:,} more lines"] if more > 0 else lines if body else []


def _who(tagger: str, message: Message) -> str:
    """Return who made a tag, and for whom where it says so: anyone may write that."""
    behind = message.first(BY)
    return (
        tagger
        if not behind or behind.startswith(tagger or "\0")
        else f"{behind}, tagged by {tagger}"
    )


def _short_hash(text: str) -> str:
    name, colon, digest = text.rpartition(":")
    return f"{name}{colon}{digest[:8]}" if text else ""


def _label(version: Version) -> str:
    return f"v{version}"


def _instant(seconds: int) -> Instant:
    try:
        at = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return Instant(day=ABSENT, clock="", iso="")
    return Instant(
        day=at.date().isoformat(), clock=f"{at:%H:%M} UTC", iso=f"{at:%Y-%m-%dT%H:%M:%SZ}"
    )


def _metric_line(history: MetricHistory) -> MetricLine:
    known = [point for point in history.points if point.value is not None]
    values: list[MetricValue | None] = [point.value for point in known[-2:]]
    head, base = (values[-1] if values else None), (values[0] if len(values) > 1 else None)
    row = metric_row(
        MetricDelta(key=history.key, base=base, head=head, direction=history.direction)
    )
    line = spark(history)
    return MetricLine(
        path=history.key.path,
        name=history.key.name,
        value=quantities.number(head),
        at=known[-1].name if known else "",
        change=row.change,
        trend=row.trend if base is not None else "",
        mood=row.mood if base is not None else Mood.NEUTRAL,
        spark=replace(line, title=_course(history.points)) if line else None,
    )


def _course(points: Sequence[HistoryPoint]) -> str:
    known = [point for point in points if isinstance(point.value, float)]
    numbers = sorted(point.value for point in known if isinstance(point.value, float))
    ends = " to ".join(map(quantities.number, (numbers[0], numbers[-1])))
    return f"{len(known):,} versions, {known[0].name} to {known[-1].name}: {ends}"


_prose = partial(clean, limit=PROSE_LIMIT)


def _name(text: str) -> str:
    return clean(text, _NAME_LIMIT) if text.strip() else '""'
