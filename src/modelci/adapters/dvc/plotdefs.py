"""Which plots DVC's files define, and from which files: what ``dvc plots`` would collect."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Any

from modelci.adapters.dvc.paths import locate, parents
from modelci.adapters.dvc.project import OutKind, Project
from modelci.adapters.dvc.revision import Revision

Expand = Callable[[str], list[str]]
Note = Callable[[str], None]

DATA_ENDINGS = frozenset({".csv", ".json", ".toml", ".tsv", ".yaml", ".yml"})
IMAGE_ENDINGS = frozenset({".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp"})

Axis = str | list[str] | Mapping[str, str | list[str]] | None
_TEXTS = ("template", "x_label", "y_label", "title")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A plot as one revision defines it. ``name`` is its path or its id in ``file``.

    An axis is a column, columns, or columns by file; ``texts`` are the other properties that DVC
    knows, and ``headless`` the files whose first row is no header.
    """

    file: str
    name: str
    x: Axis = None
    y: Axis = None
    texts: Mapping[str, str] = field(default_factory=dict)
    headless: frozenset[str] = frozenset()

    @property
    def is_image(self) -> bool:
        """Whether it is a picture of its own."""
        return ending(self.name) in IMAGE_ENDINGS and not isinstance(self.y, Mapping)

    @property
    def sources(self) -> tuple[str, ...]:
        """The files that it draws."""
        y = list(self.y) if isinstance(self.y, Mapping) else [self.name]
        x = list(self.x) if isinstance(self.x, Mapping) else []
        return tuple(dict.fromkeys([*y, *x]))

    @property
    def folder(self) -> str:
        """Where the defining file lies, from the top."""
        return dirname(self.file)


def ending(path: str) -> str:
    """Return a path's suffix in lower case."""
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def collect(revision: Revision, expand: Expand, note: Note) -> dict[str, Definition]:
    """Return the plots by id, which holds the file that defines it where two files share a name.

    First those of top-level ``plots:``, then stages' outputs.
    """
    headless = frozenset(_headless(revision))
    by_name: dict[str, dict[str, Definition]] = {}
    for project in revision.projects:
        for found in _top_level(project, expand, headless, note):
            by_name.setdefault(found.name, {})[found.file] = found
    drawn = {file for files in by_name.values() for one in files.values() for file in one.sources}
    for found, is_guessed in _outputs(revision, expand, headless):
        # A folder's file that a plot above draws by named columns needs no guess beside it.
        if not (is_guessed and found.name in drawn):
            by_name.setdefault(found.name, {}).setdefault("", found)
    return {
        f"{file}::{name}" if file and len(files) > 1 else name: found
        for name, files in by_name.items()
        for file, found in files.items()
    }


def _top_level(
    project: Project, expand: Expand, headless: frozenset[str], note: Note
) -> Iterator[Definition]:
    folder = dirname(project.file)
    entries = dict(project.drawn)
    named = {locate(folder, name).path for name in entries}
    for name, how in entries.items():
        texts = {key: how[key] for key in _TEXTS if isinstance(how.get(key), str)}
        x, y = (_axis(how.get(key), folder, note) for key in ("x", "y"))
        if isinstance(y, Mapping):
            yield Definition(file=project.file, name=name, x=x, y=y, texts=texts, headless=headless)
            continue
        path = locate(folder, name).path
        if path is None:
            note(f"{name} (`plots` of {project.file}) lies outside of the repository")
            continue
        for file in expand(path):
            # The entry that is nearest to a file says how to draw it.
            if next((above for above in (file, *parents(file)) if above in named), path) == path:
                yield Definition(
                    file=project.file, name=file, x=x, y=y, texts=texts, headless=headless
                )


def _axis(value: Any, folder: str, note: Note) -> Axis:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return [item for item in value if isinstance(item, str)]
    if not isinstance(value, dict):
        return None
    found: dict[str, str | list[str]] = {}
    for file, columns in value.items():
        path = locate(folder, file).path if isinstance(file, str) else None
        if path is None:
            note(f"{file} (`plots`) lies outside of the repository")
        elif isinstance(columns, str):
            found[path] = columns
        elif isinstance(columns, list):
            found[path] = [column for column in columns if isinstance(column, str)]
    return found


def _outputs(
    revision: Revision, expand: Expand, headless: frozenset[str]
) -> Iterator[tuple[Definition, bool]]:
    """Yield what stages write as plots, and whether nothing says how to draw it."""
    for path, flags in _plot_outputs(revision):
        texts = {key: flags[key] for key in _TEXTS if isinstance(flags.get(key), str)}
        x, y = (value if isinstance(value := flags.get(key), str) else None for key in ("x", "y"))
        for file in expand(path):
            is_guessed = file != path and not texts and x is None and y is None
            found = Definition(file="", name=file, x=x, y=y, texts=texts, headless=headless)
            yield found, is_guessed


def _headless(revision: Revision) -> Iterator[str]:
    for path, flags in _plot_outputs(revision):
        if flags.get("header") is False:
            yield path


def _plot_outputs(revision: Revision) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for stage, _ in revision.stages():
        for out in stage.outs:
            if out.kind is OutKind.PLOTS and out.ref.path is not None:
                yield out.ref.path, out.flags
    for source in revision.sources:
        for tracked in source.outs:
            if tracked.is_plot and tracked.ref.path is not None:
                yield tracked.ref.path, {}
