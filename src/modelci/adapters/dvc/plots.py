"""Reads the plots and pictures of two revisions from Git and DVC's cache, without DVC."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelci.adapters.dvc.contents import Contents, Fetch, Parser
from modelci.adapters.dvc.files import Files, Layout, find_layout
from modelci.adapters.dvc.paths import join, locate, parents
from modelci.adapters.dvc.plotdata import Drawn, PlotError, Points, draw, infer, parse_points
from modelci.adapters.dvc.plotdefs import DATA_ENDINGS, IMAGE_ENDINGS, Definition, collect, ending
from modelci.adapters.dvc.revision import load_revision
from modelci.adapters.dvc.snapshot import Notes, ProjectSettings, track
from modelci.domain.plots import Gallery, Picture, Plot, Row, Side, picture_kind
from modelci.domain.snapshot import NOT_CACHED
from modelci.errors import ConfigError, ModelCIError
from modelci.ports import FileTree

MOST_PLOTS = 50
MAX_IMAGE = 2 * 1024 * 1024
MAX_IMAGES = 20 * 1024 * 1024
MOST_CELLS = 500_000
MAX_DATA = 32 * 1024 * 1024

DVC_TEMPLATES = frozenset(
    """bar_horizontal bar_horizontal_sorted confusion confusion_normalized linear scatter
    scatter_jitter simple smooth""".split()
)
_DEFAULT = "linear"
_MAX_TEMPLATE = 256 * 1024
_MOST_NOTES = 20


class DvcPlotsReader:
    """The ``Plots`` over DVC's own files; the arguments are ``DvcSnapshotReader``'s."""

    def __init__(
        self,
        root: Path,
        *,
        fetch: Fetch | None = None,
        config_folders: Sequence[Path] | None = None,
    ) -> None:
        self._root = root
        self._fetch = fetch
        self._config_folders = config_folders

    def read(self, base: FileTree | None, head: FileTree, *, pull: bool = False) -> Gallery:
        """Return the plots and pictures; what cannot be had or drawn becomes a note.

        Where the two define a plot differently, it is drawn as the head says. A broken ``dvc.yaml``
        raises ConfigError with file, line and key.
        """
        notes = Notes()
        parsed: dict[tuple[str, bool, bytes], Points | Exception] = {}
        trees = {Side.HEAD: head} | ({} if base is None else {Side.BASE: base})
        sides = {
            side: _Revision(self._open(tree), _Talk(notes, side), parsed)
            for side, tree in trees.items()
        }
        for one in sides.values():
            one.gather(self._fetch if pull else None)
        merged = _Merged(sides, notes)
        plots, pictures = tuple(merged.plots()), tuple(merged.pictures())
        return Gallery(plots=plots, pictures=pictures, notes=tuple(_shorten(notes)))

    def _open(self, tree: FileTree) -> "_Opened":
        files = Files(tree)
        layout = find_layout(files)
        settings = ProjectSettings(self._root, layout, self._config_folders)
        revision = load_revision(files, layout, Parser(), settings.of)
        tracked, _ = track(revision, Notes())
        contents = Contents(files, tracked, settings.cache_of, layout.ignored)
        notes = Notes()
        definitions = collect(revision, contents.expand, notes.add)
        return _Opened(files, layout, contents, definitions, tuple(notes))


@dataclass(frozen=True, slots=True)
class _Opened:
    """One revision's files, and the plots that it defines by id."""

    files: Files
    layout: Layout
    contents: Contents
    definitions: Mapping[str, Definition]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Talk:
    """Takes notes of one side."""

    notes: Notes
    side: Side

    def add(self, text: str) -> None:
        self.notes.add(f"Plots, {self.side}: {text}")


class _Revision:
    """The data behind one revision's plots."""

    def __init__(
        self,
        opened: _Opened,
        notes: _Talk,
        parsed: dict[tuple[str, bool, bytes], Points | Exception],
    ) -> None:
        self._files = opened.files
        self._layout = opened.layout
        self._contents = opened.contents
        self._notes = notes
        self._parsed = parsed
        self.definitions = dict(opened.definitions)
        for note in opened.notes:
            notes.add(note)

    def gather(self, fetch: Fetch | None) -> None:
        """Read all files in one go, and with ``fetch`` what the cache lacks."""
        self._files.prefetch(self._sources())
        if fetch is None:
            return
        try:
            self._contents.pull(self._spread, fetch)
        except ModelCIError as error:
            self._notes.add(f"the DVC remote gave nothing: {error}")
        self._spread()

    def _spread(self) -> list[str]:
        """Replace folders that can be listed by the files in them; return all sources."""
        found: dict[str, Definition] = {}
        for name, one in self.definitions.items():
            files = [] if isinstance(one.y, Mapping) else self._contents.expand(one.name)
            for file in files or [one.name]:
                found[name if file == one.name else file] = replace(one, name=file)
        self.definitions = found
        return self._sources()

    def _sources(self) -> list[str]:
        """Return the files of as many plots as are ever drawn."""
        return [
            path
            for one in list(self.definitions.values())[: 4 * MOST_PLOTS]
            for path in one.sources
            if ending(path) in DATA_ENDINGS | IMAGE_ENDINGS
        ]

    def bytes_of(self, path: str) -> bytes | None:
        """Return a file's bytes, or None with a note."""
        data = self._contents.get(path)
        if data is None:
            self._notes.add(self._why_missing(path))
        return data

    def load(self, definition: Definition, path: str) -> Points | None:
        """Return a file's rows; None with a note where it is missing, PlotError if broken."""
        data = self.bytes_of(path)
        if data is None:
            return None
        if ending(path) not in DATA_ENDINGS:
            raise PlotError(f"{path} is neither JSON, YAML, TOML, CSV nor TSV")
        if len(data) > MAX_DATA:
            raise PlotError(f"{path} is larger than {MAX_DATA >> 20} MB")
        has_header = path not in definition.headless
        key = (path, has_header, data)
        if key not in self._parsed:
            try:
                self._parsed[key] = parse_points(path, data, has_header=has_header)
            except (ConfigError, PlotError) as error:
                self._parsed[key] = error
        found = self._parsed[key]
        if isinstance(found, Exception):
            raise PlotError(str(found).rstrip(".")) from found
        if not found:
            raise PlotError(f"{path} holds no rows")
        return found

    def template(self, definition: Definition) -> str | None:
        """Return the text of a template of the project's own, if it has one of that name."""
        name = definition.texts.get("template", _DEFAULT)
        top = join(self._layout.root_of(definition.file or definition.name), ".dvc")
        for candidate in _template_files(name, top, definition.folder):
            if candidate in self._files.paths:
                data = self._files.get(candidate)
                if data is not None and len(data) <= _MAX_TEMPLATE:
                    return data.decode(errors="replace")
                self._notes.add(f"{candidate} is too large for a template")
        return None

    def note(self, text: str) -> None:
        """Say what was left out of this side."""
        self._notes.add(text)

    def _why_missing(self, path: str) -> str:
        above = (name for name in (path, *parents(path)) if name in self._contents.lacking)
        lacking = next(above, None)
        if lacking is None:
            return f"{path} does not exist: it is neither in Git nor tracked by DVC"
        return f"{path} is {NOT_CACHED}: run `dvc fetch {shlex.quote(lacking)}`, or pass --pull"


def _template_files(name: str, dvc_folder: str, folder: str) -> Iterator[str]:
    """Yield where DVC looks for a template: in ``.dvc/plots``, then as a path."""
    if locate("", name).path == name:
        yield f"{dvc_folder}/plots/{name}"
        yield f"{dvc_folder}/plots/{name.removesuffix('.json')}.json"
        yield name
        yield join(folder, name)


class _Merged:
    """Both revisions' plots in one, in the head's order."""

    def __init__(self, sides: Mapping[Side, _Revision], notes: Notes) -> None:
        self._sides = sides
        self._notes = notes
        self._ids = list(dict.fromkeys(name for one in sides.values() for name in one.definitions))

    def plots(self) -> Iterator[Plot]:
        """Yield what is drawn from data."""
        names = [name for name in self._ids if not self._first(name).is_image]
        self._say_dropped(names[MOST_PLOTS:], "plots")
        left = MOST_CELLS
        for name in names[:MOST_PLOTS]:
            plot = self._plot(name)
            if plot is None:
                continue
            cells = sum(len(row) for row in plot.rows)
            if cells > left:
                self._notes.add(f"{name} was left out: all plots hold too many points")
                continue
            left -= cells
            yield plot

    def pictures(self) -> Iterator[Picture]:
        """Yield what is drawn already."""
        names = [name for name in self._ids if self._first(name).is_image]
        self._say_dropped(names[MOST_PLOTS:], "images")
        left = MAX_IMAGES
        for name in names[:MOST_PLOTS]:
            images = {side: self._image(side, name) for side in self._having(name)}
            kept = {side: data for side, data in images.items() if data is not None}
            size = sum(len(data) for data in kept.values())
            if size > left:
                self._notes.add(f"{name} was left out: all images are more than 20 MB")
            elif kept:
                left -= size
                yield from _pictures(self._first(name).name, kept)

    def _plot(self, name: str) -> Plot | None:
        definition = self._first(name)
        template = definition.texts.get("template", _DEFAULT)
        spec = self._spec(name, definition)
        if spec is None and template not in DVC_TEMPLATES:
            self._notes.add(f"Plot {name}: there is no template {template!r}: drawn as {_DEFAULT}")
            template = _DEFAULT
        drawn = dict(self._drawn(name, definition, template, is_own=spec is not None))
        if not drawn:
            return None
        first = next(iter(drawn.values()))
        return Plot(
            id=name,
            title=definition.texts.get("title", name),
            template=template,
            x=first.x,
            y=first.y,
            x_label=first.x_label,
            y_label=first.y_label,
            rows=tuple(_rows(drawn)),
            spec=spec,
            cut=sum(one.cut for one in drawn.values()),
        )

    def _drawn(
        self, name: str, definition: Definition, template: str, *, is_own: bool
    ) -> Iterator[tuple[Side, Drawn]]:
        """Yield each side's rows; a column that was guessed for the head holds for both."""
        known: Definition | None = None
        for side in self._having(name):
            revision = self._sides[side]
            load = _loader(revision, definition)
            try:
                known = known or infer(definition, load)
                drawn = draw(known, load, template=template, is_own=is_own)
            except PlotError as error:
                revision.note(f"{name} was left out: {error}")
                continue
            if drawn.rows:
                yield side, drawn
            else:
                known = None

    def _image(self, side: Side, name: str) -> bytes | None:
        revision = self._sides[side]
        path = revision.definitions[name].name
        data = revision.bytes_of(path)
        if data is None:
            return None
        if len(data) > MAX_IMAGE:
            revision.note(f"{path} was left out: it is larger than {MAX_IMAGE >> 20} MB")
            return None
        if picture_kind(data) is None:
            revision.note(f"{path} was left out: it is no PNG, JPEG, GIF, WebP or SVG image")
            return None
        return data

    def _spec(self, name: str, definition: Definition) -> str | None:
        found = (self._sides[side].template(definition) for side in self._having(name))
        return next((text for text in found if text is not None), None)

    def _first(self, name: str) -> Definition:
        return self._sides[self._having(name)[0]].definitions[name]

    def _having(self, name: str) -> list[Side]:
        """Return the sides that define a plot, the head first."""
        return [side for side, one in self._sides.items() if name in one.definitions]

    def _say_dropped(self, names: Sequence[str], what: str) -> None:
        if names:
            self._notes.add(f"{len(names):,} {what} were left out: at most {MOST_PLOTS} are shown")


def _loader(revision: _Revision, definition: Definition) -> Callable[[str], Points | None]:
    return lambda path: revision.load(definition, path)


def _rows(drawn: Mapping[Side, Drawn]) -> Iterator[Row]:
    for side in Side:
        if side in drawn:
            yield from ({**row, "rev": side.value} for row in drawn[side].rows)


def _pictures(path: str, images: Mapping[Side, bytes]) -> Iterator[Picture]:
    """Yield one picture, or two where the sides differ in format."""
    kinds = {side: picture_kind(data) for side, data in images.items()}
    for kind in dict.fromkeys(kinds.values()):
        if kind is not None:
            of_kind = {side: data for side, data in images.items() if kinds[side] is kind}
            yield Picture(
                path=path, kind=kind, base=of_kind.get(Side.BASE), head=of_kind.get(Side.HEAD)
            )


def _shorten(notes: Iterable[str]) -> Iterator[str]:
    all_of_them = list(notes)
    yield from all_of_them[:_MOST_NOTES]
    if len(all_of_them) > _MOST_NOTES:
        yield f"{len(all_of_them) - _MOST_NOTES:,} further files of plots were left out"
