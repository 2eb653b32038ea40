"""``modelci serve``."""

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import setting
from modelci.errors import UsageError
from modelci.wiring import App

if TYPE_CHECKING:
    from modelci.serving.source import Source


@click.command()
@click.argument("model", required=False)
@click.option(
    "--host",
    help=f"Address to listen at (default: 127.0.0.1, this machine alone). {setting('serve.host')}",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help=f"Port to listen at (default: 8080). {setting('serve.port')}",
)
@click.option(
    "--uds",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Listen at a socket in the file system instead.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help=f"Processes that answer (default: 1). {setting('serve.workers')}",
)
@click.option(
    "--log",
    "log_folder",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Folder to log requests and answers in. {setting('serve.log.path')}",
)
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Let in only who has a token of this file (or of MODELCI_SERVE_TOKEN). "
    f"{setting('serve.token_file')}",
)
@click.option(
    "--admin",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Socket in the file system at which the model can be switched.",
)
@click.option(
    "--onnx/--no-onnx",
    default=None,
    help="Answer through ONNX Runtime where that is shown to answer the same. "
    f"{setting('serve.onnx')}",
)
@click.option("--pull", is_flag=True, help="Fetch the model from the DVC remote if it is not here.")
@click.option("--target", help="Keep up what was deployed to this target of kind server.")
@click.option(
    "--stop", is_flag=True, help="With --target: end all that runs there, and wait for it."
)
@click.pass_obj
def command(
    app: App,
    model: str | None,
    host: str | None,
    port: int | None,
    uds: Path | None,
    workers: int | None,
    log_folder: Path | None,
    token_file: Path | None,
    admin: Path | None,
    onnx: bool | None,
    pull: bool,
    target: str | None,
    stop: bool,
) -> None:
    """Answer requests with a model, over HTTP.

    MODEL is a model's file, an artifact's name (default: the only one), a version of it or what
    holds a stage, or a release's folder. What is not checked out comes from DVC's cache. Golden
    requests beside the model are replayed before it answers, and say what its columns hold.

    Rows are asked for at /predict, tensors by the Open Inference Protocol below /v2; /docs is a
    page about it, /metrics is for Prometheus. SIGHUP looks again for the model and switches to it,
    SIGTERM ends without losing a request.

    With --target NAME it runs the switch of that target and a process for each of its releases, as
    `modelci deploy` does, but stays: the command for systemd or a container. --stop ends them
    instead, having answered what was asked; the next deployment, or the command without it, starts
    them again.

    \b
    Examples:
      modelci serve
      modelci serve models/credit.skops --port 9000 --log requests
      modelci serve 'credit#prod' --pull --workers 2
      modelci serve --target prod
      modelci serve --target prod --stop
      curl localhost:8080/predict -d '[{"amount_eur": 5000, "term_months": 24, …}]'
    """  # noqa: D301
    from modelci.serving.launch import Address, launch

    if stop and target is None:
        raise UsageError(
            "--stop goes with --target.", hint="Ctrl-C or SIGTERM ends a server of a model."
        )
    if target is not None:
        _refuse_beside_target(click.get_current_context())
        if stop:
            _stop(app, target)
            return
        app.deploying.server_target(target).serve()
    app.set_flags(
        {
            "serve.host": host,
            "serve.port": port,
            "serve.workers": workers,
            "serve.onnx": onnx,
            "serve.log.path": None if log_folder is None else str(log_folder.absolute()),
            "serve.token_file": None if token_file is None else str(token_file.absolute()),
        }
    )
    config = app.config_anywhere.serve
    level = logging.ERROR if app.quiet else logging.INFO
    logging.basicConfig(level=level, format="%(message)s")
    launch(
        partial(_find, app, model, pull=pull),
        app.serving.settings,
        Address(host=config.host, port=config.port, uds=uds, admin=admin),
        workers=config.workers,
    )


def _stop(app: App, name: str) -> None:
    target = app.deploying.server_target(name)
    listen = app.configuration.config.deploy.targets[name].server.listen
    done = target.stop()
    said = f"stopped; nobody answers at {listen} any more" if done else "nothing was running"
    click.echo(f"{name}: {said}.")


def _refuse_beside_target(ctx: click.Context) -> None:
    given = click.core.ParameterSource.COMMANDLINE
    others = [
        parameter.opts[0]
        for parameter in ctx.command.params
        if parameter.name not in {"target", "stop"}
        and ctx.get_parameter_source(f"{parameter.name}") is given
    ]
    if others:
        raise UsageError(
            f"--target serves what was deployed there, and {', '.join(others)} something else.",
            hint="`serve` and `deploy.targets` in modelci.yaml say how a target serves.",
        )


def _find(app: App, name: str | None, *, pull: bool) -> "Source":
    """Return what the name means now."""
    from modelci.domain.modelfiles import Trust
    from modelci.serving.source import RELEASE_FILE, open_file, open_release

    if name is not None and (app.at(name) / RELEASE_FILE).is_file():
        return open_release(app.at(name))
    found = app.serving.servable(name, pull=pull)
    return open_file(
        found.model,
        artifact=found.artifact,
        version=found.version,
        golden=found.golden,
        flavour=found.flavour,
        trust=Trust(types=found.trusted_types, pickle=found.allow_pickle),
    )
