"""``modelci monitor``."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelci.cli.options import format_of, refuse_both, terminal_size
from modelci.cli.talking import note, raise_all
from modelci.errors import BLOCKED_EXIT_CODE, UNCLEAR_EXIT_CODE
from modelci.wiring import App

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelci.workflows.monitor import Seen

_FILES = {
    "terminal": "monitor.txt",
    "md": "monitor.md",
    "json": "monitor.json",
    "html": "monitor.html",
    "openmetrics": "metrics.txt",
}

_ENDINGS = {".md": "md", ".html": "html", ".htm": "html", ".json": "json"}


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL|MODEL#STAGE]…")
@click.option("--window", metavar="NAME", help="Which window (default: the last that has ended).")
@click.option(
    "--current",
    metavar="PLACE",
    help="Where the window's data are, in place of monitor.current: a file, a folder or a URL.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(_FILES)),
    multiple=True,
    help="How to show it (default: what the ending of --out says, .md, .html or .json, else "
    "terminal); several at once with --out.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="File to write, or with several formats or models the folder for monitor.md, …",
)
@click.option("--json", "as_json", is_flag=True, help="--format json; of several models a list.")
@click.option("--plain", is_flag=True, help="Print a tab-separated line for each gate.")
@click.option(
    "--remote", is_flag=True, help="Look up the version in the remote's tags, not this clone's."
)
@click.option("--no-history", is_flag=True, help="Neither read nor remember windows.")
@click.option("--no-act", is_flag=True, help="Decide what the triggers ask for, and leave it.")
@click.option(
    "--no-write",
    is_flag=True,
    help="Leave remembering and acting to `modelci act`, in a job that may write.",
)
@click.pass_obj
def command(
    app: App,
    models: tuple[str, ...],
    window: str | None,
    current: str | None,
    formats: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    plain: bool,
    remote: bool,
    no_history: bool,
    no_act: bool,
    no_write: bool,
) -> None:
    """Hold what a deployed model sees and says now against what it was trained on.

    MODEL is a model that `monitor:` of modelci.yaml watches; by default all of them are. The
    reference is the profile of the version that holds the stage, at its own commit. What is judged
    is the drift of its columns, its scores and decisions, the schema, performance where outcomes
    are known (else by estimate), the version's age, and whether logged answers are the model's
    own. Without --window, earlier windows are judged too, once their outcomes are complete.

    What was found is remembered at refs/modelci/monitor/ of the Git remote (`monitor.history`), and
    what the triggers ask for is done: a pull request that retrains, an issue. All of it can be run
    again. Exit code 1 says that something failed, 8 that the data cannot decide what must be
    decided. The document is also written to .modelci/monitor.json.

    What is written is of each model's newest window: monitor.md, of several models
    monitor-MODEL-STAGE.md. In a folder, earlier windows that were judged again have files with
    their names (monitor-2026-03.md); the terminal shows all.

    \b
    Examples:
      modelci monitor
      modelci monitor credit --window 2026-03 --no-act
      modelci monitor credit#prod --current scored.parquet --no-history
      modelci monitor --format html --format openmetrics --out build/
    """  # noqa: D301
    from modelci.errors import ModelCIError
    from modelci.workflows.monitor import watch
    from modelci.workflows.watched import choose_monitors

    refuse_both({"--plain": plain, "--json": plain and as_json})
    refuse_both({"--plain": plain, "--format": bool(formats)})
    formats = (*formats, "json") if as_json else formats
    formats = formats or (() if plain else format_of(out, _ENDINGS))
    if len(set(formats)) > 1 and out is None:
        raise click.UsageError("Several formats need --out DIR.")
    chosen = choose_monitors(app.configuration.config, models)
    _check_room(formats, out, several=len(chosen) > 1)
    if current is not None and len(chosen) > 1:
        raise click.UsageError("--current is the data of one: name the MODEL#STAGE.")
    if current is not None and "://" not in current:
        current = str(app.at(current))
    tools = app.watching.monitoring(
        remote=remote, history=not no_history, act=not no_act, write=not no_write
    )
    seen: list[Seen] = []
    errors: list[ModelCIError] = []
    for settings in chosen:  # one that cannot be watched keeps no other back
        try:
            for one in watch(settings, tools, window=window, current=current):
                seen.append(one)  # noqa: PERF402 - those before one that fails count
        except ModelCIError as failure:
            errors.append(failure)
    errors += [one.failure for one in seen if one.failure is not None]
    _keep(app, seen)
    shown = dict.fromkeys(formats or (("plain",) if plain else ("terminal",)))
    if out is None:
        _print(seen, *shown, several=len(chosen) > 1)
    else:
        _write(seen, tuple(shown), out, several=len(chosen) > 1)
    raise_all(errors)
    click.get_current_context().exit(_exit_code(seen))


def _exit_code(seen: "Sequence[Seen]") -> int:
    """Return what the verdicts come to: a failed gate counts for more than an undecided one."""
    verdicts = [one.document.verdict for one in seen]
    if any(one.blocked and not one.unclear for one in verdicts):
        return BLOCKED_EXIT_CODE
    return UNCLEAR_EXIT_CODE if any(one.blocked for one in verdicts) else 0


def _keep(app: App, seen: "Sequence[Seen]") -> None:
    """Write the documents where other commands find them, and tell the runner."""
    from modelci.adapters.ci import write_outputs, write_summary
    from modelci.documents import codec
    from modelci.render.monitoring.markdown import render_summary
    from modelci.workflows.retrain import is_due

    folder = app.folder / "monitor"
    kept = {folder / f"{_name(one)}{_slug(one.document.window)}.json": one for one in seen}
    # What an earlier run found of the same models is not for `modelci act` any more.
    for one in seen:
        for old in folder.glob(f"{_name(one)}*.json"):
            if old not in kept:
                old.unlink()
    for path, one in kept.items():
        codec.write(one.document, path)
        write_summary(render_summary(one.document, one.history, title=_title(one)))
    if seen:
        codec.write(seen[-1].document, app.folder / "monitor.json")
        write_outputs(
            {
                "ok": str(all(one.document.is_ok for one in seen)).lower(),
                "window": seen[-1].document.window,
                "monitor": str(app.folder / "monitor.json"),
                "retrain": str(any(is_due(one.document.actions) for one in seen)).lower(),
            }
        )


def _name(one: "Seen") -> str:
    """Return what the names of a model's documents begin with; no other model's do."""
    watched = one.document.watched
    return f"{_slug(watched.artifact)}@{_slug(watched.stage or '')}@"


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _title(one: "Seen") -> str:
    watched = one.document.watched
    return f"{watched.artifact}{f' in {watched.stage}' if watched.stage else ''}"


def _check_room(formats: "Sequence[str]", out: Path | None, *, several: bool) -> None:
    """Refuse a file, or stdout, for several models where it holds but one."""
    if not several:
        return
    alone = {"html", "openmetrics"} & set(formats)
    if out is None and alone:
        raise click.UsageError(f"Of several models --format {min(alone)} needs --out DIR.")
    if out is not None and len(set(formats)) < 2 and not out.is_dir() and out.suffix:
        raise click.UsageError(
            f"{out} is one file for several models: --out DIR, or name the MODEL#STAGE."
        )


def _newest(seen: "Sequence[Seen]") -> "list[Seen]":
    """Return the newest window of each model; those before it were judged again."""
    return list({_name(one): one for one in seen}.values())


def _print(seen: "Sequence[Seen]", name: str, *, several: bool) -> None:
    """Print the newest windows; people are shown the earlier ones too."""
    texts = [_render(one, name) for one in (seen if name == "terminal" else _newest(seen))]
    if name == "json" and several:
        click.echo("[{}]".format(",\n".join(one.rstrip("\n") for one in texts)))
        return
    click.echo(("\n" if name in {"terminal", "md"} else "").join(texts), nl=False)


def _write(seen: "Sequence[Seen]", formats: "Sequence[str]", out: Path, *, several: bool) -> None:
    """Write the newest windows, and into a folder the earlier ones beside them."""
    from modelci.cli.output import write_file

    is_folder = several or len(formats) > 1 or out.is_dir()
    newest = _newest(seen)
    for one in seen if is_folder else newest:
        is_newest = any(one is other for other in newest)
        for name in formats:
            path = out
            if is_folder:
                path = out / _file(one, name, several=several, is_newest=is_newest)
            write_file(path, _render(one, name), option="--out")
            note(f"Wrote {path}")


def _file(one: "Seen", name: str, *, several: bool, is_newest: bool) -> str:
    """Return what a window's file is called: the same in every run for the newest."""
    file = Path(_FILES.get(name, "monitor.tsv"))
    watched = one.document.watched
    model = (watched.artifact, watched.stage or "latest") if several else ()
    window = () if is_newest else (one.document.window,)
    return _slug("-".join((file.stem, *model, *window))) + file.suffix


def _render(one: "Seen", name: str) -> str:
    document, history = one.document, one.history
    match name:
        case "json":
            from modelci.documents import codec

            return codec.encode(document)
        case "md":
            from modelci.render.monitoring.markdown import render_summary

            return render_summary(document, history, title=_title(one))
        case "html":
            from modelci.render.monitoring.page import render_page

            return render_page(document, history, title=_title(one))
        case "openmetrics":
            from modelci.render.monitoring.openmetrics import render_metrics

            return render_metrics(document, history)
        case "plain":
            from modelci.render.monitoring.terminal import plain_monitoring

            return plain_monitoring(document, history)
        case _:
            from modelci.render.monitoring.terminal import render_monitoring

            return render_monitoring(document, history, **terminal_size())
