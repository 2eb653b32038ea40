"""A watched window as GitHub-flavoured Markdown: a comment, a summary, evidence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from modelci.domain.gates import GateResult, Outcome
from modelci.domain.history import MetricHistory
from modelci.domain.monitoring import ActionKind, Monitoring
from modelci.domain.wording import counted
from modelci.render import mermaid
from modelci.render.blocks import Block, fit_parts
from modelci.render.digest import urgency
from modelci.render.escape import code, prose, web_address
from modelci.render.markdown import SUMMARY_BYTES
from modelci.render.mdtables import (
    GATE_SIGNS,
    Table,
    fold,
    join,
    missing_parts,
    notes_block,
    open_table,
    summary,
    verdict_text,
)
from modelci.render.monitoring.distributions import text_shapes
from modelci.render.monitoring.rows import (
    ActionRow,
    ColumnRow,
    PerformanceRow,
    Seen,
    WindowRow,
    action_rows,
    column_rows,
    course,
    effect_bars,
    facts,
    measure_trends,
    performance_rows,
    trends,
    window_rows,
)
from modelci.render.monitoring.view import ESTIMATE, explanation, headline
from modelci.render.rows import Mood, gate_row

_BODY_BYTES = 60_000
"""GitHub takes 65,536 characters of a pull request's or an issue's text."""

# Who gets room first; the verdict and its surroundings have rank 0.
_RANKS = (
    "verdict gates performance columns actions notes windows charts quiet passed files"
).split()
_REPORT_DECIDES = (
    "Whether the new model is better is for the report of this pull request to say; "
    "what follows is why it was asked for."
)
_MOST_CATEGORIES = 5
_MOST_WINDOWS = 24
_MOST_CHARTS = 2
_MOST_BARS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """A window among the others, with what its tables share."""

    monitoring: Monitoring
    windows: Sequence[Monitoring]
    columns: Sequence[Seen]
    trends: Mapping[str, MetricHistory]


def render_comment(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    title: str,
    marker: str,
    max_bytes: int = 65_000,
) -> str:
    """Return a comment's body: the marker line, a heading, the verdict, and what it rests on.

    At most ``max_bytes`` of UTF-8: whole rows are left out, least important first, and the text
    says how many. ValueError where not even the verdict fits; 16 KiB hold any.
    """
    head = f"## {prose(title, 200)}\n\n{verdict_text(headline(monitoring))}"
    return _render(monitoring, history, [head], marker=marker, max_bytes=max_bytes)


def render_summary(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    title: str,
    max_bytes: int = SUMMARY_BYTES,
) -> str:
    """Return the same for the summary page of a job, where there is more room and no marker."""
    return render_comment(monitoring, history, title=title, marker="", max_bytes=max_bytes)


def render_pull_request(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    changed: Sequence[str] = (),
    stages: Sequence[str] = (),
    marker: str = "",
    max_bytes: int = _BODY_BYTES,
) -> str:
    """Return the body of a pull request that retrains: why it is there, and the evidence.

    ``changed`` are the files that its commit changes, ``stages`` those of the pipeline that ran.
    """
    name, window = code(monitoring.watched.artifact), code(monitoring.window)
    heads = [
        f"This retrains {name} with the data of {window}, because{_because(monitoring)}",
        _made_of(changed, stages),
        _REPORT_DECIDES,
        f"### What was found\n\n{verdict_text(headline(monitoring))}",
    ]
    files = Table(
        rank=_RANKS.index("files"),
        section="files",
        titles=["File"],
        rows=changed,
        cells=lambda path: [code(path)],
    )
    more = fold(files, "Files that the commit changes: {:,}")
    return _render(
        _beside(monitoring, ActionKind.RETRAIN_PR),
        history,
        [one for one in heads if one],
        marker=marker,
        max_bytes=max_bytes,
        more=more,
    )


def render_issue(
    monitoring: Monitoring,
    history: Sequence[Monitoring] = (),
    *,
    marker: str = "",
    max_bytes: int = _BODY_BYTES,
) -> str:
    """Return the body of an issue: what was found, the evidence, and when it is closed."""
    heads = [
        verdict_text(headline(monitoring)),
        "This issue is brought up to date by every window, and closed once its gates hold again.",
    ]
    told = _beside(monitoring, ActionKind.ISSUE)
    return _render(told, history, heads, marker=marker, max_bytes=max_bytes)


def _beside(monitoring: Monitoring, kind: ActionKind) -> Monitoring:
    """Return a window with what else was done about it: the text is of the action itself."""
    others = tuple(
        one for one in monitoring.actions if one.kind is not kind and (one.url or one.held_back)
    )
    return replace(monitoring, actions=others)


def _because(monitoring: Monitoring) -> str:
    reasons = [one.reason for one in monitoring.actions if one.kind is ActionKind.RETRAIN_PR]
    if not reasons:
        return " a person asked for it."
    return ":\n\n" + "\n".join(f"- {prose(reason)}" for reason in dict.fromkeys(reasons))


def _made_of(changed: Sequence[str], stages: Sequence[str]) -> str:
    if not changed and not stages:
        return ""
    names = ", ".join(code(stage) for stage in stages[:10])
    more = f" and {len(stages) - 10:,} more" if len(stages) > 10 else ""
    ran = f", and ran the pipeline: {names}{more}" if stages else "; the pipeline has yet to run"
    return f"Its commit changes {counted(len(changed), 'file')}{ran}."


def _render(
    monitoring: Monitoring,
    history: Sequence[Monitoring],
    heads: Sequence[str],
    *,
    marker: str,
    max_bytes: int,
    more: Iterable[Block] = (),
) -> str:
    first = f"{marker}\n" if marker else ""
    view = _view(monitoring, history)
    blocks = [
        Block(rank=0, section="headline", head="\n\n".join([*heads, *_meaning(monitoring)])),
        Block(rank=0, section="facts", head=_facts(monitoring)),
        *_evidence(view),
        *more,
        Block(rank=0, section="footer", head=_provenance(monitoring)),
    ]
    room = max_bytes - len(first.encode())
    return first + join(fit_parts(blocks, max_bytes=room, missing=missing_parts))


def _view(monitoring: Monitoring, history: Sequence[Monitoring]) -> _View:
    windows = course(monitoring, history)
    rows = column_rows(monitoring)
    known = trends(windows, [row.name for _, row in rows]) if len(windows) > 1 else {}
    return _View(monitoring=monitoring, windows=windows, columns=rows, trends=known)


def _meaning(monitoring: Monitoring) -> Iterator[str]:
    meaning = explanation(monitoring)
    if meaning:
        yield f"> [!IMPORTANT]\n> {prose(meaning, 500)}"


def _facts(monitoring: Monitoring) -> str:
    lines = []
    for label, name, words in facts(monitoring):
        parts = (code(name) if name else "", prose(words))
        lines.append(f"- {label}: {', '.join(part for part in parts if part)}")
    return "\n".join(lines)


def _evidence(view: _View) -> Iterator[Block]:
    monitoring = view.monitoring
    results = sorted(monitoring.gates, key=urgency)
    bad = [one for one in results if one.outcome is not Outcome.PASSED]
    good = [one for one in results if one.outcome is Outcome.PASSED]
    yield from open_table(_gates("gates", bad), "gates that do not hold")
    yield from notes_block(monitoring.notes, rank=_RANKS.index("notes"))
    yield from _performance(monitoring)
    moved = [seen for seen in view.columns if seen[1].mood in {Mood.BAD, Mood.WARNING}]
    quiet = [seen for seen in view.columns if seen[1].mood not in {Mood.BAD, Mood.WARNING}]
    yield from open_table(_columns("columns", moved, view), "columns that drifted")
    yield from _actions(monitoring)
    yield from _windows(view)
    yield from fold(_columns("quiet", quiet, view), "Columns as they were: {:,}")
    yield from fold(_gates("passed", good), "Gates that hold: {:,}")


def _gates(rank: str, results: Sequence[GateResult]) -> Table[GateResult]:
    def cells(result: GateResult) -> list[str]:
        row = gate_row(result)
        sign = GATE_SIGNS[row.mood]
        return [f"{sign} {row.outcome}", row.subject, code(row.metric), prose(row.reason)]

    titles = ["Outcome", "Gate", "Of", "Reason"]
    return Table(rank=_RANKS.index(rank), section="gates", titles=titles, rows=results, cells=cells)


def _performance(monitoring: Monitoring) -> Iterator[Block]:
    def cells(row: PerformanceRow) -> list[str]:
        state = f"{GATE_SIGNS[row.mood]} {row.state}"
        measured = (row.reference, row.realised, row.change, row.estimated)
        return [state, code(row.measure), *measured, prose(row.why)]

    titles = ["Outcome", "Measure", "Reference:", "By labels:", "Change:", "Estimated:", "Why"]
    rank = _RANKS.index("performance")
    rows = performance_rows(monitoring)
    table = Table(rank=rank, section="performance", titles=titles, rows=rows, cells=cells)
    yield from open_table(table, "measures")
    if any(one.estimated for one in monitoring.performance):
        yield Block(rank=rank, section="performance", head=f"<sub>{ESTIMATE}</sub>")


def _columns(rank: str, rows: Sequence[Seen], view: _View) -> Table[Seen]:
    def cells(seen: Seen) -> list[str]:
        drift, row = seen
        trend = view.trends.get(row.name)
        shapes = text_shapes(drift)
        return [
            f"{GATE_SIGNS[row.mood]} {row.state}".strip(),
            code(row.name),
            row.psi,
            row.ks,
            row.cramers_v,
            row.p,
            row.missing,
            *(map(code, shapes) if shapes else ("", "")),
            *([code(effect_bars(trend, most=_MOST_BARS)) if trend else ""] if view.trends else []),
            _categories(row),
        ]

    titles = ["Outcome", "Column", "PSI:", "KS:", "Cramér’s V:", "p, adjusted:", "Missing:"]
    titles += ["Reference", "Now", *(["PSI before"] if view.trends else []), "Categories"]
    return Table(rank=_RANKS.index(rank), section="columns", titles=titles, rows=rows, cells=cells)


def _categories(row: ColumnRow) -> str:
    """Return what is new and what is gone, each with its share of the rows."""
    parts = []
    for word, values in (("new", row.new), ("lost", row.lost)):
        shown = ", ".join(f"{code(name, 40)} {share}" for name, share in values[:_MOST_CATEGORIES])
        more = len(values) - _MOST_CATEGORIES
        if shown:
            parts.append(f"{word}: {shown}{f' and {more:,} more' if more > 0 else ''}")
    return "; ".join(parts)


def _actions(monitoring: Monitoring) -> Iterator[Block]:
    rows = action_rows(monitoring.actions)
    if rows:
        yield Block(
            rank=_RANKS.index("actions"),
            section="actions",
            opening="**Actions**\n",
            rows=enumerate(map(_action, rows)),
            total=len(rows),
            more=lambda count: f"_… {counted(count, 'more action')}_",
        )


def _action(row: ActionRow) -> str:
    what = f"[{row.what}]({row.url})" if row.url else row.what
    return f"- {GATE_SIGNS[row.mood]} {what}: {prose(row.state)} – {prose(row.reason)}"


def _windows(view: _View) -> Iterator[Block]:
    """Show how the windows went, folded, and charts of what is judged."""
    if len(view.windows) < 2:
        return
    names = [one.measure for one in view.monitoring.performance]
    titles = ["Window", "Verdict", "Version", "Rows:", "Outcomes:", *(f"{code(n)}:" for n in names)]
    rows = window_rows(view.windows, view.monitoring)[-_MOST_WINDOWS:]
    table = Table(
        rank=_RANKS.index("windows"),
        section="windows",
        titles=[*titles, "Found", "Actions"],
        rows=rows,
        cells=_window,
    )
    yield from fold(table, f"Windows: {len(view.windows):,}")
    charts = map(mermaid.render_history, measure_trends(view.windows, names))
    drawn = [chart for chart in charts if chart][:_MOST_CHARTS]
    if drawn:
        text = "\n\n".join(f"```mermaid\n{chart}```" for chart in drawn)
        head = f"{summary('Performance over the windows')}\n\n{text}"
        rank = _RANKS.index("charts")
        yield Block(rank=rank, section="windows", head=head, tail="</details>")


def _window(row: WindowRow) -> list[str]:
    name = code(row.window)
    did = (f"[{what}]({url})" if url else what for what, url in row.actions)
    return [
        f"**{name}**" if row.is_this else name,
        f"{GATE_SIGNS[row.mood]} {row.state}",
        code(row.version) if row.version else "",
        row.rows,
        row.labelled,
        *row.measures,
        prose(row.found),
        ", ".join(did),
    ]


def _provenance(monitoring: Monitoring) -> str:
    address = web_address(monitoring.run_url)
    commit = (monitoring.watched.commit or "")[:7]
    parts = [
        *([f"Version at {code(commit)}"] if commit else []),
        *([f"[run]({address})"] if address else []),
        f"modelci {prose(monitoring.version, 40)}",
        prose(monitoring.created, 40),
    ]
    return f"<sub>{' · '.join(parts)}</sub>"
