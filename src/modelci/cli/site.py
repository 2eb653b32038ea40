"""``modelci site``."""

from pathlib import Path

import click

from modelci.wiring import App


@click.group()
def command() -> None:
    """Make the registry a static site of plain files, with no server behind it.

    \b
    Examples:
      modelci site build --out public
    """  # noqa: D301


@command.command()
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write (default: .modelci/site).",
)
@click.option("--remote", is_flag=True, help="Read the remote's tags, not this clone's.")
@click.option("--title", default="Model registry", show_default=True, help="What the pages say.")
@click.option("--force", is_flag=True, help="Write into a folder that holds other files.")
@click.pass_obj
def build(app: App, folder: Path | None, remote: bool, title: str, force: bool) -> None:
    """Write every model, its versions, stages and history as pages and JSON.

    The pages need no network and no server: they work from a disk, and from any path of one, as
    GitHub Pages has it. The same tags always make the same bytes. Models are described by the
    `artifacts:` of the checkout's dvc.yaml.

    \b
    Examples:
      modelci site build
      modelci site build --remote --out public
    """  # noqa: D301
    from modelci.render.site import render_site
    from modelci.workflows.site import gather_site, write_site

    with app.progress.busy("Gathering models and versions"):
        site = gather_site(
            git=app.git,
            reader=app.snapshots,
            config=app.configuration.config,
            context=app.context,
            title=title,
            remote=remote,
        )
        files = render_site(site)
    target = folder or app.folder / "site"
    write_site(target, files, force=force)
    models = "1 model" if len(site.models) == 1 else f"{len(site.models):,} models"
    app.progress.note(f"{models}, {len(files):,} files")
    if not any(model.events for model in site.models) and not remote and app.git.remote():
        app.progress.warn("This clone has no registry tags; --remote reads the remote's.")
    click.echo(target / "index.html")
