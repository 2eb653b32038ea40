"""``modelci verify``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import refuse_both
from modelci.wiring import App

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelci.domain.gates import Threshold
    from modelci.domain.provenance import Provenance

_NAME = "provenance.json"


@click.command()
@click.argument("name")
@click.option(
    "--provenance",
    "provenance_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Hold the version against this statement (a release's provenance.json).",
)
@click.option(
    "--remote", is_flag=True, help="Take the Git remote's tag, and the release's provenance."
)
@click.option(
    "--pull", is_flag=True, help="Hash what the DVC remote has now, whatever the cache holds."
)
@click.option(
    "--reproduce", is_flag=True, help="Also run the pipeline again, in a clean clone, and compare."
)
@click.option(
    "--tolerance",
    default="0",
    show_default=True,
    help="With --reproduce: what metrics may differ by, absolute or in percent (0.001, 1%).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the version-check document.")
@click.pass_context
def command(
    ctx: click.Context,
    name: str,
    provenance_file: Path | None,
    remote: bool,
    pull: bool,
    reproduce: bool,
    tolerance: str,
    as_json: bool,
) -> None:
    """Check that a version's bytes and origin are what was said of them.

    The tag, the commit's dvc.lock and the provenance must agree, and every byte of the model is
    read and hashed, by md5 and sha256: DVC itself trusts most remotes. So must the signature of
    the bytes, where signing.trusted names whose count. It works offline; with --remote and --pull
    the forge and both remotes are asked. The exit code is 1 where anything contradicts; what could
    not be checked is named.

    --reproduce runs every stage of that commit in a clone without any cached result, from the
    source data alone. It is code of that commit: it sees no token.

    \b
    Examples:
      modelci verify credit@v1.2.0
      modelci verify credit@latest --remote --pull
      modelci verify 'credit#prod' --provenance provenance.json --json
      modelci verify credit@v1.2.0 --reproduce --tolerance 0.001
    """  # noqa: D301
    from modelci.cli.output import print_document
    from modelci.errors import BLOCKED_EXIT_CODE
    from modelci.workflows.verify import verify_version

    app: App = ctx.obj
    refuse_both({"--provenance": provenance_file is not None, "--remote": remote})
    limit = _parse(tolerance)
    found = verify_version(
        name,
        git=app.git,
        reader=app.snapshots,
        stored=app.stored_bytes,
        progress=app.progress,
        provenance=_reader(app, provenance_file, remote=remote),
        signature=app.signing.about_signature(remote=remote),
        remote=remote,
        pull=pull,
        reproducer=app.reproducer if reproduce else None,
        tolerance=limit,
    )
    print_document(found, as_json=as_json)
    if not found.ok:
        ctx.exit(BLOCKED_EXIT_CODE)


def _parse(text: str) -> "Threshold":
    from modelci.domain.gates import parse_limit

    try:
        found = parse_limit(text if "%" in text else float(text))
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no tolerance such as 0.001 or 1%.") from error
    if not 0 <= found.value < float("inf"):
        raise click.BadParameter("a tolerance is 0 or more.")
    return found


def _reader(app: App, file: Path | None, *, remote: bool) -> "Callable[[str], Provenance] | None":
    from modelci.documents.provenance import MAX_BYTES, decode_provenance

    if file is not None:
        return lambda _: decode_provenance(_read(file), source=str(file))
    if not remote or not app.has_forge():  # without one there are no releases
        return None
    return lambda tag: decode_provenance(
        app.forge().read_release_asset(tag, _NAME, max_bytes=MAX_BYTES),
        source=f"{_NAME} of the release {tag}",
    )


def _read(file: Path) -> bytes:
    from modelci.documents.provenance import MAX_BYTES

    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)
