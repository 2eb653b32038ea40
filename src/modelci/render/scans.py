"""What was found in model files, as a table for a terminal."""

from collections.abc import Iterator
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from modelci.domain.modelfiles import FileScan, Scan, ScanFinding, advice
from modelci.domain.wording import counted
from modelci.render import quantities
from modelci.render.console import console
from modelci.render.escape import PROSE_LIMIT, terminal

_MOST_SHOWN = 20


def render_scan(found: Scan, *, width: int = 100, colour: bool = False) -> str:
    """Return each file with its format and whether it is safe, and all that is refused."""
    out = StringIO()
    page = console(out, width=width, colour=colour)
    table = Table("File", "Format", "Size", "Names", "", box=SIMPLE_HEAD, pad_edge=False)
    for one in found.files:
        table.add_row(*_cells(one))
    page.print(table)
    for one in found.files:
        for line in _findings(one):
            page.print(line)
    page.print(Text(_summary(found)))
    findings = [finding for one in found.files for finding in one.findings]
    if findings:
        page.print(Text(advice(findings, has_flags=True)))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _cells(one: FileScan) -> Iterator[Text]:
    yield Text(terminal(one.path), overflow="fold")
    yield Text(str(one.format))
    yield Text(quantities.size(one.bytes), justify="right")
    yield Text(f"{len(one.types):,}", justify="right")
    yield Text("✓ safe", "green") if one.is_safe else Text("✗ unsafe", "bold red")


def _findings(one: FileScan) -> Iterator[Text]:
    for finding in one.findings[:_MOST_SHOWN]:
        yield Text(f"✗ {terminal(one.path)}: {_said(finding)}", "red")
    rest = len(one.findings) - _MOST_SHOWN
    if rest > 0:
        yield Text(f"  and {rest:,} more; --json has them all")


def _said(one: ScanFinding) -> str:
    detail = f" ({terminal(one.detail, PROSE_LIMIT)})" if one.detail else ""
    return f"{one.danger}: {terminal(one.name)}{detail}"


def _summary(found: Scan) -> str:
    unsafe = sum(not one.is_safe for one in found.files)
    total = counted(len(found.files), "file")
    if not unsafe:
        return f"{total}: safe to load."
    return f"{unsafe:,} of {total} not safe to load."
