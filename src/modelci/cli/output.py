"""Presents documents: text for a terminal, or the JSON document itself."""

import errno
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import terminal_size
from modelci.documents import codec
from modelci.domain.checks import Examination
from modelci.domain.deployment import Deployment
from modelci.domain.history import History
from modelci.domain.modelfiles import Scan
from modelci.domain.modelsignatures import ModelSigning
from modelci.domain.orders import wanted_by
from modelci.domain.pipeline import Plan, Run
from modelci.domain.promotion import Promotion
from modelci.domain.provenance import VersionCheck
from modelci.domain.report import Report
from modelci.domain.rollback import RegistryChange
from modelci.domain.signatures import Verification
from modelci.domain.tags import is_assignment
from modelci.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_IRREPLACEABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.EXDEV}


def print_document(document: "codec.Document", *, as_json: bool) -> None:
    """Print a document on stdout."""
    if as_json:
        print_json(document)
    else:
        click.echo(to_text(document), nl=False)


def print_json(document: "codec.Document") -> None:
    """Print the document itself, in UTF-8 wherever it goes."""
    for piece in codec.pieces(document):
        click.echo(piece, nl=False)


def publish_promotion(promotion: Promotion, *, targets: "Mapping[str, Sequence[str]]") -> None:
    """Tell the runner which tags there are now: a line of the job's summary, and outputs.

    ``assignments`` are those whose stage one of the ``targets`` takes, as JSON: a matrix of jobs
    can deploy them. What stands from a run that was cut short is among them.
    """
    from modelci.adapters.ci import write_outputs, write_summary

    names = [tag.name for tag in promotion.tags]
    if names:
        write_summary(f"**Promoted**: {', '.join(f'`{name}`' for name in names)}\n")
    stages = {stage for taken in targets.values() for stage in taken}
    assigned = filter(is_assignment, (*names, *promotion.standing))
    assignments = [name for name in assigned if wanted_by(name, stages)]
    versions = [name for name in names if not is_assignment(name)]
    write_outputs(
        {
            "versions": "\n".join(versions),
            "tags": "\n".join(names),
            "assignments": json.dumps(assignments),
        }
    )


def publish_change(change: RegistryChange) -> None:
    """Tell the runner which tag there is now, and what it says."""
    from modelci.adapters.ci import write_outputs, write_summary
    from modelci.render.escape import code, prose

    for tag in change.tags:
        write_summary(f"{prose(tag.subject)}: {code(tag.name)}, because {code(change.reason)}\n")
    write_outputs({"tags": "\n".join(tag.name for tag in change.tags)})


def publish_deployment(deployment: Deployment, *, document: Path | None) -> None:
    """Tell the runner what a deployment came to, or would take: a page of the summary, outputs."""
    from modelci.adapters.ci import write_outputs, write_summary
    from modelci.render.deployments import render_summary

    write_summary(render_summary(deployment))
    write_outputs(
        {
            "outcome": str(deployment.outcome),
            "target": deployment.target,
            "artifact": deployment.artifact,
            "stage": deployment.stage or "",
            "deployed": deployment.after.label if deployment.after else "",
            "deployment": str(document or ""),
        }
    )


def write_file(
    path: Path,
    content: str | bytes,
    *,
    option: str,
    swap: "Callable[[Path, Path], object]" = os.replace,
) -> None:
    """Write a file that the user named by ``option``, and make its folder.

    ``swap`` puts what is written whole in the file's place.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data, swap)
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror}.",
            hint=f"Name another place with {option}.",
        ) from error


def _replace(path: Path, data: bytes, swap: "Callable[[Path, Path], object]") -> None:
    """Write a file whole or not at all; what a link leads to, and a pipe or device as it is.

    Where nothing can take its place, as in a folder that is not ours or of a file that is mounted,
    it is written where it stands.
    """
    place = path.resolve()
    if place.exists() and not place.is_file():
        place.write_bytes(data)
        return
    part = place.with_name(f".modelci-{secrets.token_hex(4)}.part")
    try:
        part.write_bytes(data)
        if place.exists():
            part.chmod(place.stat().st_mode)
        swap(part, place)
    except OSError as error:
        if error.errno not in _IRREPLACEABLE:
            raise
        place.write_bytes(data)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def to_text(document: "codec.Document") -> str:
    """Return a document as text, as wide and as colourful as stdout takes it."""
    from modelci.render import changes, deployments, provenance, scans, signatures, terminal

    renderers: dict[type, Callable[..., str]] = {
        Report: terminal.render_report,
        Run: terminal.render_run,
        Plan: terminal.render_plan,
        Promotion: terminal.render_promotion,
        RegistryChange: changes.render_change,
        Verification: signatures.render_verification,
        ModelSigning: signatures.render_model_signing,
        VersionCheck: provenance.render_version_check,
        Scan: scans.render_scan,
        Examination: terminal.render_examination,
        History: terminal.render_history,
        Deployment: deployments.render_deployment,
    }
    return renderers[type(document)](document, **terminal_size())
