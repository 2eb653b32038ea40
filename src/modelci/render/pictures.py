"""Draws plots without a browser, and hands a page what it needs to draw them itself.

Both rest on vl-convert (``pip install 'modelci[plots]'``), which carries Vega. It runs in a process
of its own, without our environment: what it draws is the pull request's, and only a process can be
given a time and be killed.

In a browser vl-convert's bundle (Vega 6, Vega-Lite 6, vega-embed 7; 0.9 MB) works under
``default-src 'none'; script-src 'sha256-…'; style-src 'sha256-…'; img-src data:``: it holds Vega's
expression interpreter, which vega-embed uses with ``ast: true`` in place of ``eval``. Its default
styles and tooltips would inject a style sheet, and markup: ``bundle`` brings our own.
"""

import base64
import json
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from modelci.domain.plots import Picture, Plot, Side, picture_kind
from modelci.domain.report import Report
from modelci.errors import ConfigError
from modelci.render.vega import DARK, Spec, image_of, listing, vega_lite

SECONDS = 20.0
"""How long one plot may take to draw."""

_TEMPLATES = files("modelci.render") / "templates"
_WORKER = Path(__file__).with_name("draw_worker.py")
_MAX_REPLY = 16 * 1024 * 1024


class _Job(NamedTuple):
    """What the worker is asked for, and how many seconds it may take."""

    asked: Mapping[str, Any]
    seconds: float


def to_svg(spec: Spec, *, seconds: float = SECONDS) -> bytes:
    """Return the drawing; ConfigError where vl-convert is missing, or cannot draw it in time."""
    return _one({"kind": "svg", "spec": spec}, seconds)


def draw(
    report: Report,
    *,
    only: Collection[str] | None = None,
    seconds: Callable[[str], float] = lambda _: SECONDS,
) -> Mapping[str, bytes]:
    """Return the report's pictures by file name, as ``vega.captions`` names them.

    ``seconds`` says how long the plot of a file name may take.

    Plots are drawn as SVG; images are what their first bytes say, or are left out. So is a plot
    that cannot be drawn. Raises ConfigError where vl-convert is missing and there are plots.
    """
    wanted = [entry for entry in listing(report) if only is None or entry[0] in only]
    plots = [(name, source) for name, _, source in wanted if isinstance(source, Plot)]
    jobs = [_Job({"kind": "svg", "spec": vega_lite(plot)}, seconds(name)) for name, plot in plots]
    drawn = dict(zip((name for name, _ in plots), _draw_all(jobs), strict=True))
    found: dict[str, bytes] = {}
    for name, _, source in wanted:
        data = drawn[name] if isinstance(source, Plot) else _honest(*source)
        if isinstance(data, bytes):
            found[name] = data
    return found


@cache
def bundle() -> str:
    """Return a script that defines ``modelciPlot(element, spec, {dark: false})``.

    It draws a specification into an element, with tooltips, and returns a promise of something to
    ``finalize()`` (None where it could not be drawn: the element then says so). A page gives the
    script a hash in its policy and adds ``vega.STYLE`` to its own style sheet.
    """
    snippet = (_TEMPLATES / "plots.js").read_text(encoding="utf-8")
    snippet = snippet.replace("/* DARK */ {}", json.dumps(DARK))
    script = _one({"kind": "bundle", "snippet": snippet}, SECONDS).decode()
    # In an HTML page nothing else ends a script, or hides its end.
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def bundle_if_any(plots: Sequence[object]) -> str:
    """Return ``bundle()``; nothing where there is nothing to draw, or vl-convert is missing."""
    if not plots:
        return ""
    try:
        return bundle()
    except ConfigError:
        return ""


def _honest(picture: Picture, side: Side) -> bytes | None:
    """Return an image that is what it is called, or None: a report may come from anyone."""
    data = image_of(picture, side)
    return data if data is not None and picture_kind(data) is picture.kind else None


def _one(job: Mapping[str, Any], seconds: float) -> bytes:
    (found,) = _draw_all([_Job(job, seconds)])
    if isinstance(found, str):
        raise ConfigError(f"A plot cannot be drawn: {found}.")
    return found


def _draw_all(jobs: Sequence[_Job]) -> list[bytes | str]:
    """Return a drawing, or why there is none, for each job; who kills the process loses only it."""
    if jobs and find_spec("vl_convert") is None:
        raise ConfigError(
            "Plots are drawn with vl-convert, which is not installed.",
            hint="Run `pip install 'modelci[plots]'`, or set `plots: false` under `report:`.",
        )
    found: list[bytes | str] = []
    while len(found) < len(jobs):
        with _Process() as process:
            found.extend(process.answers(jobs[len(found) :]))
    return found


class _Process:
    """The worker; it sees neither our environment nor a module from the current folder."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def answers(self, jobs: Sequence[_Job]) -> Iterator[bytes | str]:
        """Yield an answer per job, up to and including the first that is not to be had."""
        for asked, seconds in jobs:
            line = self._ask(json.dumps(asked).encode() + b"\n", seconds)
            if line is None:
                yield f"it took more than {seconds:g} seconds, or more than there is"
                return
            reply = json.loads(line)
            yield base64.b64decode(reply["data"]) if "data" in reply else _reason(reply["error"])

    def _ask(self, line: bytes, seconds: float) -> bytes | None:
        """Return the answer to one line, or None where the process ends or is too slow."""
        sink, source = self._process.stdin, self._process.stdout
        assert sink is not None  # noqa: S101 - both are pipes
        assert source is not None  # noqa: S101 - likewise
        try:
            sink.write(line)
            sink.flush()
        except BrokenPipeError:
            return None
        deadline, found = time.monotonic() + seconds, bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(source, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0 and len(found) < _MAX_REPLY:
                if selector.select(left):
                    piece = source.read1(65_536)  # type: ignore[attr-defined]
                    found += piece
                    if not piece:
                        return None
                    if found.endswith(b"\n"):
                        return bytes(found)
        return None


def _reason(error: str) -> str:
    return error.strip().partition("\n")[0].rstrip(".") or "Vega gave no reason"
