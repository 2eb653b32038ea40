"""Who signed which tag, or a version's bytes, for a terminal."""

from collections.abc import Iterator
from io import StringIO

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from modelci.domain.modelsignatures import ModelSigning
from modelci.domain.signatures import TagSignature, Verification
from modelci.domain.wording import counted
from modelci.render.console import console
from modelci.render.escape import PROSE_LIMIT, terminal


def render_verification(found: Verification, *, width: int = 100, colour: bool = False) -> str:
    """Return each tag with its signer and what the signature is worth, and a sentence on all."""
    out = StringIO()
    page = console(out, width=width, colour=colour)
    if found.tags:
        table = Table("Tag", "Signature", "Signer", "Why", box=SIMPLE_HEAD, pad_edge=False)
        for one in found.tags:
            table.add_row(*_cells(one))
        page.print(table)
    for line in _summary(found):
        page.print(Text(line))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _cells(one: TagSignature) -> Iterator[Text]:
    style = "green" if one.ok else "bold red"
    yield Text(terminal(one.tag), overflow="fold")
    yield Text(f"{'✓' if one.ok else '✗'} {one.standing}", style)
    yield Text(terminal(one.signer or one.key or "–"), overflow="fold")
    yield Text(terminal(one.reason or "", PROSE_LIMIT))


def _summary(found: Verification) -> Iterator[str]:
    where = f" on {terminal(found.remote)}" if found.remote else ""
    bad = sum(not one.ok for one in found.tags)
    total = counted(len(found.tags), "tag")
    if not found.tags:
        yield f"There are no registry tags{where}."
    elif not bad:
        yield f"{total}{where}: every one is signed by somebody who may."
    else:
        required = (
            "registry.require_signed fails it" if found.required else "signatures are not required"
        )
        yield f"{bad:,} of {total}{where} not signed by anybody who may; {required}."
    if found.allowed_signers:
        yield f"SSH keys as in {terminal(found.allowed_signers, PROSE_LIMIT)}."
    yield from (f"! {terminal(note, PROSE_LIMIT)}" for note in found.notes)


def render_model_signing(found: ModelSigning, *, width: int = 100, colour: bool = False) -> str:
    """Return which files of a version are signed now, by whom, and where the signature lies."""
    out = StringIO()
    page = console(out, width=width, colour=colour)
    table = Table("File", "sha256", box=SIMPLE_HEAD, pad_edge=False)
    for path, digest in found.files.items():
        table.add_row(Text(terminal(path), overflow="fold"), Text(f"{digest[:16]}…"))
    page.print(table)
    for line in _sentences(found):
        page.print(Text(line))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _sentences(found: ModelSigning) -> Iterator[str]:
    who = f" as {', '.join(map(terminal, found.signers))}" if found.signers else ""
    tag = f"{terminal(found.tag)} ({found.commit[:7]})"
    if found.made:
        yield f"Signed {tag} by {found.method}{who}."
    else:
        yield f"{tag} was signed already{who}: nothing was changed."
    where = f"on {terminal(found.remote)}" if found.remote else "in this clone alone"
    yield f"Kept at {terminal(found.ref)} {where}."
    yield from (f"! {terminal(note, PROSE_LIMIT)}" for note in found.notes)
