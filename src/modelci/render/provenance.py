"""What was found of a version, as tables for a terminal."""

from collections.abc import Iterator
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from modelci.domain.provenance import (
    CheckState,
    Finding,
    MetricComparison,
    OutputComparison,
    OutputState,
    Reproduction,
    VersionCheck,
)
from modelci.domain.wording import counted
from modelci.render.console import console
from modelci.render.escape import PROSE_LIMIT, terminal
from modelci.render.quantities import ABSENT

_SIGNS = {
    CheckState.OK: ("✓", "green"),
    CheckState.FAILED: ("✗", "bold red"),
    CheckState.UNCHECKED: ("?", "yellow"),
}
_DIGEST = 16  # characters of a hash that a person compares


def render_version_check(found: VersionCheck, *, width: int = 100, colour: bool = False) -> str:
    """Return every finding, what could not be checked among them, and a sentence on all."""
    out = StringIO()
    page = console(out, width=width, colour=colour)
    page.print(Text(f"{terminal(found.tag)} · {found.commit[:7]} · {terminal(found.path)}"))
    table = Table("Checked", "", "Said", "Found", "Why", box=SIMPLE_HEAD, pad_edge=False)
    for one in found.findings:
        table.add_row(*_cells(one))
    page.print(table)
    if found.reproduction is not None:
        page.print(_reproduced(found.reproduction))
    for line in _summary(found):
        page.print(Text(line))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _cells(one: Finding) -> Iterator[Text]:
    sign, style = _SIGNS[one.state]
    yield Text(terminal(one.subject), overflow="fold")
    yield Text(f"{sign} {one.state}", style)
    yield Text(_short(one.expected))
    yield Text(_short(one.found))
    yield Text(terminal(one.detail, PROSE_LIMIT))


def _reproduced(again: Reproduction) -> Table:
    table = Table("Made again", "", "Said", "Found", box=SIMPLE_HEAD, pad_edge=False)
    for output in again.outputs:
        table.add_row(*_output(output))
    for metric in again.metrics:
        table.add_row(*_metric(metric))
    return table


def _output(one: OutputComparison) -> Iterator[Text]:
    style = {OutputState.SAME: "green", OutputState.MISSING: "bold red"}.get(one.state, "yellow")
    yield Text(terminal(one.path), overflow="fold")
    yield Text(str(one.state), style)
    yield Text(_short(one.expected))
    yield Text(_short(one.found))


def _metric(one: MetricComparison) -> Iterator[Text]:
    same = one.expected == one.found
    word = "same" if same else "agrees" if one.ok else "differs"
    yield Text(terminal(str(one.key)), overflow="fold")
    yield Text(word, "green" if one.ok else "bold red")
    yield Text(_value(one.expected))
    yield Text(_value(one.found))


def _summary(found: VersionCheck) -> Iterator[str]:
    count = {state: sum(one.state is state for one in found.findings) for state in CheckState}
    failed, unchecked = count[CheckState.FAILED], count[CheckState.UNCHECKED]
    name = terminal(found.tag)
    if failed:
        checks = counted(len(found.findings), "check")
        yield f"{name} is not what was said of it: {failed:,} of {checks} failed."
    else:
        yield f"{name}: {counted(count[CheckState.OK], 'check')} agree."
    if unchecked:
        yield f"Not checked: {unchecked:,} (see above why)."
    if found.reproduction is not None:
        yield _said_again(found.reproduction)


def _said_again(again: Reproduction) -> str:
    same = sum(one.state is OutputState.SAME for one in again.outputs)
    outputs = f"{same:,} of {counted(len(again.outputs), 'output')} the same, byte for byte"
    agreeing = sum(one.ok for one in again.metrics)
    metrics = (
        f"{agreeing:,} of {counted(len(again.metrics), 'metric')} within {again.tolerance}"
        if again.metrics
        else "there are no metrics"
    )
    return f"{'Reproduced' if again.ok else 'Not reproduced'}: {outputs}; {metrics}."


def _short(text: str | None) -> str:
    if text is None:
        return ABSENT
    kind, colon, value = text.rpartition(":")
    return terminal(f"{kind}{colon}{value[:_DIGEST]}")


def _value(value: object) -> str:
    return ABSENT if value is None else terminal(str(value))
