"""A project's own templates for the comment and the page, in Jinja's sandbox.

They extend ours and fill named blocks. They read plain values; whatever of those they print is
escaped, since the values come from the pull request even where the template does not.
"""

import re
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from typing import TYPE_CHECKING, Any

import msgspec

from modelci.domain.report import Report
from modelci.errors import ConfigError
from modelci.render.escape import code, prose

if TYPE_CHECKING:
    from jinja2 import Environment

COMMENT, PAGE = "comment.md.j2", "page.html.j2"
"""What a folder of templates may override; other files there can be included."""

SECTIONS = (
    *("headline", "gates", "notes", "metrics", "slices", "pictures"),
    *("stages", "data", "params", "files", "footer"),
)
"""The blocks of a comment, in the order of ours."""

_OURS = "modelci/"
_OUR_FILES = {
    f"{_OURS}{COMMENT}": COMMENT,
    f"{_OURS}{PAGE}": "report.html.j2",
    "chart.html.j2": "chart.html.j2",  # which our page includes
    "macros.html.j2": "macros.html.j2",  # and imports
}
_MAX_OUTPUT = 8 * 1024 * 1024
_ATTEMPTS = 4
_UNSAFE_FILTERS = ("tojson", "urlize", "xmlattr")  # what they return counts as escaped
_LEFT_OUT = ("plots", "pictures")  # of the report's values: thousands of points, and bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """The texts of a folder of templates, by their paths below it."""

    folder: str
    files: Mapping[str, str]

    def has(self, name: str) -> bool:
        """Whether the project overrides ``comment.md.j2`` or ``page.html.j2``."""
        return name in self.files


class Foreign(str):
    """A text of the report: itself to compare with, escaped for Markdown wherever it is printed."""

    __slots__ = ()

    def __html__(self) -> str:
        """Return Markdown, also for a table's cell; Jinja asks for it by this name."""
        return _markdown(self)


def environment(overrides: Overrides, *, markdown: bool = False) -> "Environment":
    """Return an environment that knows ``overrides`` and ours (``modelci/page.html.j2``).

    There is no other file that its templates can reach, and no attribute that leads to code.
    """
    from jinja2 import FunctionLoader, StrictUndefined  # noqa: PLC0415 - 30 ms, where it is used
    from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

    found = ImmutableSandboxedEnvironment(
        loader=FunctionLoader(lambda name: _source(overrides, name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize if markdown else None,
    )
    if markdown:
        for name in _UNSAFE_FILTERS:
            del found.filters[name]
        found.filters["code"] = _code
    return found


def render(
    made: "Environment", name: str, overrides: Overrides, context: Mapping[str, object]
) -> str:
    """Render one of the project's templates, or raise ConfigError with its file and line."""
    try:
        pieces = made.get_template(name).generate(**context)
        return "".join(_bounded(pieces))
    except Exception as error:
        raise _explained(error, name, overrides) from error


def _bounded(pieces: Iterator[str]) -> Iterator[str]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > _MAX_OUTPUT:
            raise OverflowError(f"it prints more than {_MAX_OUTPUT:,} characters")
        yield piece


def render_sections(
    sections: Callable[[int], Sequence[tuple[str, str]]],
    *,
    report: Report,
    overrides: Overrides,
    max_bytes: int,
) -> str:
    """Render the project's comment around our ``sections``, which are made for a size in bytes.

    Where the template adds so much that the whole is too long, ours get less room. ValueError
    where that does not help.
    """
    made = environment(overrides, markdown=True)
    values = {name: _foreign(value) for name, value in report_values(report).items()}
    room = max_bytes
    for _ in range(_ATTEMPTS):
        context = {"report": values, **_by_section(sections(room))}
        text = _tidy(render(made, COMMENT, overrides, context))
        excess = len(text.encode()) - max_bytes
        if excess <= 0:
            return text
        room -= excess
    raise ValueError(f"{overrides.folder}/{COMMENT} adds too much to a comment.")


def report_values(report: Report) -> dict[str, Any]:
    """Return the report as its JSON document has it, without plots and pictures."""
    found: dict[str, Any] = msgspec.to_builtins(
        {
            field: getattr(report, field)
            for field in report.__dataclass_fields__
            if field not in _LEFT_OUT
        }
    )
    return found | {"ok": report.is_ok, "verdict": msgspec.to_builtins(report.verdict)}


def _foreign(value: object) -> object:
    match value:
        case str():
            return Foreign(value)
        case dict():
            return {Foreign(key): _foreign(one) for key, one in value.items()}
        case list() | tuple():
            return [_foreign(one) for one in value]
        case _:
            return value


def _by_section(parts: Sequence[tuple[str, str]]) -> dict[str, object]:
    from markupsafe import Markup  # noqa: PLC0415 - it comes with Jinja

    found: dict[str, list[str]] = {name: [] for name in SECTIONS}
    for name, text in parts:
        found[name].append(text)
    joined = {name: "\n\n".join(texts) for name, texts in found.items()}
    return {name: Markup(text) for name, text in joined.items()}  # noqa: S704 - ours, escaped


def _tidy(text: str) -> str:
    return re.sub(r"\n(?:[ \t]*\n){2,}", "\n\n", text).strip("\n") + "\n"


def _finalize(value: object) -> object:
    """Escape all that Jinja would print and that is not marked as Markdown."""
    from markupsafe import Markup  # noqa: PLC0415 - it comes with Jinja

    if value is None:
        return ""
    if hasattr(value, "__html__"):
        return value
    return Markup(_markdown(str(value)))  # noqa: S704 - escaped just here


def _markdown(text: str) -> str:
    return prose(text).replace("|", r"\|")


def _code(value: object) -> object:
    from markupsafe import Markup  # noqa: PLC0415 - it comes with Jinja

    return Markup(code(str(value)).replace("|", r"\|"))  # noqa: S704 - a code span


def _source(overrides: Overrides, name: str) -> tuple[str, str, None] | None:
    if name in _OUR_FILES:
        text = package_files("modelci.render").joinpath("templates", _OUR_FILES[name])
        return text.read_text(encoding="utf-8"), name, None
    if name not in overrides.files:
        return None
    return overrides.files[name], f"{overrides.folder}/{name}", None


def _explained(error: Exception, name: str, overrides: Overrides) -> ConfigError:
    """Name the place in the template: where it cannot be read, or what ran when it failed."""
    line = getattr(error, "lineno", None)
    if line is not None:
        return _broken(overrides, getattr(error, "name", None) or name, line, str(error))
    ours = {f"{overrides.folder}/{file}": file for file in overrides.files}
    frames = [one for one in traceback.extract_tb(error.__traceback__) if one.filename in ours]
    if not frames:
        return _broken(overrides, name, None, str(error) or type(error).__name__)
    last = frames[-1]
    return _broken(overrides, ours[last.filename], last.lineno, str(error) or type(error).__name__)


def _broken(overrides: Overrides, name: str, line: int | None, problem: str) -> ConfigError:
    place = f":{line}" if line else ""
    return ConfigError(
        f"{overrides.folder}/{name}{place} cannot be rendered: {problem.rstrip('.')}.",
        hint="docs/reports.md tells which blocks and values a template has.",
    )
