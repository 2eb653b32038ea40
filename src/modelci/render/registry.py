"""The registry as text: tables for people, and tab-separated lines for scripts.

A table is drawn here and not by Rich, which takes longer to load than the registry to read.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelci.documents.registry import ArtifactEntry, Registry, StageEntry, VersionEntry
    from modelci.domain.registry import ArtifactState, Holder

ABSENT = "—"
_DIM, BOLD, _YELLOW, _END = "\x1b[2m", "\x1b[1m", "\x1b[33m", "\x1b[0m"
_MOST_REMARKS = 20
RULES = {
    "newest": "Of a stage's versions the one assigned last holds it (registry.holder: newest).",
    "semver": "Of a stage's versions the greatest holds it (registry.holder: semver).",
}
EMPTY = "The registry is empty: `modelci promote` creates the first version.\n"


def render_overview(
    states: Sequence["ArtifactState"], *, holder: "Holder", colour: bool = False
) -> str:
    """Return each artifact's latest version, its number of versions, and who holds a stage.

    Of the states themselves: the document of thousands of versions takes as long as all the rest.
    """
    if not states:
        return EMPTY
    stages = sorted({stage for state in states for stage in state.stages})
    rows = [
        [
            f"{state.name} (deprecated)" if state.deprecated else state.name,
            f"v{state.latest.version}" if state.latest else ABSENT,
            *(state.stages[stage].label if stage in state.stages else ABSENT for stage in stages),
            f"{len(state.versions):,}",
        ]
        for state in states
    ]
    titles = ["Artifact", "Latest", *(f"#{stage}" for stage in stages), "Versions:"]
    parts = [table(titles, rows, colour=colour)]
    parts += [RULES[holder] + "\n"] if stages else []
    return "\n".join([*parts, *_remarks(states, colour=colour)])


def render_registry(registry: "Registry", *, width: int = 100, colour: bool = False) -> str:
    """Return what each artifact is, and every version of it."""
    del width  # a terminal folds what is too wide, a file does not want it folded
    parts = [
        part
        for artifact in registry.artifacts
        for part in (*_declared(artifact), _versions(artifact, colour=colour))
    ]
    parts += (
        [RULES[registry.holder] + "\n"] if any(one.stages for one in registry.artifacts) else []
    )
    return "\n".join([*parts, *_remarks(registry.artifacts, colour=colour)])


def _versions(artifact: "ArtifactEntry", *, colour: bool) -> str:
    rows = [
        [label, stages, when, clean(by), commit[:7]]
        for label, stages, when, by, commit in _lines(artifact)
    ]
    return table(["Version", "Stages", "Since", "By", "Commit"], rows, colour=colour)


def _lines(artifact: "ArtifactEntry") -> Iterator[tuple[str, str, str, str, str]]:
    """Yield the versions, then the commits that hold a stage and were never registered."""
    for one in artifact.versions:
        label = one.version if one.active else f"{one.version} (withdrawn)"
        yield label, _held(artifact, one) or ABSENT, one.registered, one.by, one.commit
    for stage, holder in artifact.stages.items():
        if holder.version is None:
            yield holder.commit[:7], stage, holder.since, holder.by, holder.commit


def _held(artifact: "ArtifactEntry", version: "VersionEntry", separator: str = ", ") -> str:
    return separator.join(
        stage
        for stage, holder in artifact.stages.items()
        if (holder.version, holder.commit) == (version.version, version.commit)
    )


def _declared(artifact: "ArtifactEntry") -> Iterator[str]:
    declared = artifact.declared
    gone = " (deprecated)" if artifact.deprecated else ""
    if declared is None:
        yield f"{artifact.name}{gone}\n"
        return
    kind = f" ({clean(declared.type)})" if declared.type else ""
    lines = [f"{artifact.name}{gone}: {clean(declared.path)}{kind}"]
    lines += [clean(declared.desc)] if declared.desc else []
    if declared.labels:
        lines.append(f"labels: {', '.join(map(clean, declared.labels))}")
    lines += [f"{clean(key)}: {clean(str(value))}" for key, value in declared.meta.items()]
    yield "\n".join(lines) + "\n"


def _remarks(
    artifacts: Iterable["ArtifactEntry | ArtifactState"], *, colour: bool
) -> Iterator[str]:
    said = [
        *(f"{one.ref} ({one.rule}): {one.message}" for art in artifacts for one in art.problems),
        *(f"{art.name}: {one.message}" for art in artifacts for one in art.warnings),
    ]
    lines = [f"{paint('!', _YELLOW, colour=colour)} {clean(text, 400)}" for text in said]
    if len(lines) > _MOST_REMARKS:
        rest = len(lines) - _MOST_REMARKS
        lines[_MOST_REMARKS:] = [f"… and {rest:,} more: see --json, or `modelci doctor`"]
    if lines:
        yield "\n".join(lines) + "\n"


def plain_registry(registry: "Registry") -> str:
    """Return a line for each version and each unregistered holder.

    Artifact, version, commit, stages (by comma), since, by, active or withdrawn, tag.
    """
    return plain_lines(row for artifact in registry.artifacts for row in _plain_versions(artifact))


def _plain_versions(artifact: "ArtifactEntry") -> Iterator[Sequence[str]]:
    name = artifact.name
    for one in artifact.versions:
        state = "active" if one.active else "withdrawn"
        stages = _held(artifact, one, ",")
        yield name, one.version, one.commit, stages, one.registered, one.by, state, one.tag
    for stage, held in artifact.stages.items():
        if held.version is None:
            yield name, "", held.commit, stage, held.since, held.by, "unregistered", held.tag


def plain_lines(rows: Iterable[Sequence[str]]) -> str:
    return "".join("\t".join(clean(cell, 1_000) for cell in row) + "\n" for row in rows)


def holder_label(holder: "StageEntry | None") -> str:
    return ABSENT if holder is None else holder.version or holder.commit[:7]


def clean(text: str, limit: int = 120) -> str:
    """Return text that commands nothing; what is plainly harmless is not looked at twice."""
    is_plain = text.isascii() and text.isprintable() and len(text) <= limit
    if is_plain and "::" not in text and "##[" not in text:
        return text
    from modelci.render.escape import terminal  # noqa: PLC0415 - its tables take time to make

    return terminal(text, limit)


def paint(text: str, style: str, *, colour: bool) -> str:
    return f"{style}{text}{_END}" if colour else text


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, colour: bool) -> str:
    """Return a table; a title that ends in a colon stands over a column of numbers."""
    body = list(rows)
    heads = [title.removesuffix(":") for title in titles]
    widths = [max(map(_cells, column)) for column in zip(heads, *body, strict=True)]
    right = [title.endswith(":") for title in titles]

    def line(cells: Sequence[str]) -> str:
        parts = (
            cell.rjust(width) if to_right else cell + " " * (width - _cells(cell))
            for cell, width, to_right in zip(cells, widths, right, strict=True)
        )
        return "   ".join(parts).rstrip()

    rule = "─" * (sum(widths) + 3 * (len(widths) - 1))
    top = (paint(text, _DIM, colour=colour) for text in (line(heads), rule))
    return "\n".join([*top, *map(line, body)]) + "\n"


def _cells(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return len(text) if text.isascii() else _wide(text)


def _wide(text: str) -> int:
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 - rarely needed

    return sum(0 if combining(one) else 2 if east_asian_width(one) in "WF" else 1 for one in text)
