"""Reads what DVC's files say of a revision without running, or even importing, DVC."""

import posixpath
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from modelci.adapters.dvc.cache import Cache, DvcSettings
from modelci.adapters.dvc.contents import Contents, Fetch, Parser, SharedParser
from modelci.adapters.dvc.files import Files, Layout, find_layout, submodules
from modelci.adapters.dvc.numbers import Allowance, TooLargeError, read_metrics, read_params
from modelci.adapters.dvc.paths import Ref, join, parents
from modelci.adapters.dvc.project import DEFAULT_PARAMS
from modelci.adapters.dvc.revision import Output, Revision, load_revision, own_files
from modelci.adapters.dvc.stale import Staleness, read_filters
from modelci.domain.artifacts import Artifact
from modelci.domain.changes import DataKind, TrackedFile
from modelci.domain.snapshot import NOT_CACHED, NOT_COMPARED, Snapshot
from modelci.errors import ConfigError, ModelCIError
from modelci.ports import FileTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelci.domain.changes import Scalar, ValueKey
    from modelci.domain.metrics import MetricKey, MetricValue

_MODEL_ENDINGS = frozenset(
    """.bin .bst .cbm .ckpt .gguf .h5 .hdf5 .joblib .keras .mlmodel .model .nemo .onnx .pb .pickle
    .pkl .pmml .pt .pth .safetensors .skops .tflite .ubj""".split()
)
_MODEL_FOLDERS = frozenset({"model", "models"})


class DvcSnapshotReader:
    """The ``SnapshotReader`` over DVC's own files.

    ``root`` is the top of the work tree: DVC's settings and local cache are found from there.
    ``fetch`` is used only for ``read(…, pull=True)``. ``config_folders`` are those of the
    system's and the user's DVC settings; by default the operating system's usual ones.
    """

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

    def read(self, tree: FileTree, *, pull: bool = False) -> Snapshot:
        """Return the snapshot of ``tree``; what cannot be had becomes a note.

        A ``dvc.yaml``, ``dvc.lock``, ``.dvc`` or variables file that is broken, or not of DVC's
        shape, raises ConfigError with file, line and key.
        """
        files = Files(tree)
        layout = find_layout(files)
        parser = Parser()
        notes = Notes()
        settings = ProjectSettings(self._root, layout, self._config_folders)
        revision = load_revision(files, layout, parser, settings.of)
        tracked, wrote = track(revision, notes)
        contents = Contents(files, tracked, settings.cache_of, layout.ignored)
        values = _Values(files, contents, parser, notes)
        staleness = Staleness(
            files=files,
            contents=contents,
            parser=parser,
            ignored=layout.ignored,
            tracked=tracked,
            wrote=wrote,
            submodules=submodules(_get_existing(files, ".gitmodules")),
            filters=read_filters(_get_existing(files, ".gitattributes")),
            note=notes.add,
        )
        metrics = _metrics_files(revision, notes)
        params = _params_files(revision, files, notes)
        pairs = list(revision.stages())
        values.gather([*metrics, *params], staleness.wanted(pairs))
        if pull and self._fetch:
            values.pull(self._fetch)
        values.take_metrics(metrics)
        values.take_params(params)
        reasons = {stage.name: staleness.reasons(stage, lock) for stage, lock in pairs}
        notes.add_skipped(layout)
        return Snapshot(
            stages=tuple(revision.stage_values()),
            metrics=values.metrics,
            texts=values.texts,
            params=values.params,
            tracked=tracked,
            artifacts=tuple(_artifacts(revision, notes)),
            stale={name: found for name, found in reasons.items() if found},
            notes=tuple(notes),
            locks={path: files.blob_id(path) or "" for path in layout.locks},
        )

    def metrics(
        self, trees: Iterable[FileTree]
    ) -> "Iterator[Mapping[MetricKey, MetricValue] | ConfigError]":
        """Yield each tree's metrics; a file that several trees share is parsed once."""
        shared = SharedParser()
        recent = _Recent()
        paths: list[str] = []
        for tree in trees:
            try:
                paths, metrics = self._metrics_of(tree, shared, recent, likely=paths)
                yield metrics
            except ConfigError as error:
                yield error

    def _metrics_of(
        self, tree: FileTree, parser: Parser, recent: "_Recent", *, likely: Iterable[str]
    ) -> "tuple[list[str], Mapping[MetricKey, MetricValue]]":
        """Return the metrics and their files; what is ``likely`` one is read with DVC's own."""
        files = Files(tree)
        layout = find_layout(files)
        files.prefetch(own_files(layout) | files.paths.intersection(likely))
        notes = Notes()
        settings = ProjectSettings(self._root, layout, self._config_folders)
        revision = recent.find(files, layout)
        if revision is None:
            revision = load_revision(files, layout, parser, settings.of, with_locks=False)
            recent.keep(files, layout, revision)
        paths = _metrics_files(revision, notes)
        if not files.paths.issuperset(paths):  # DVC's cache has some, or folders hold them
            revision = load_revision(files, layout, parser, settings.of)
        tracked, _ = track(revision, notes)
        contents = Contents(files, tracked, settings.cache_of, layout.ignored)
        values = _Values(files, contents, parser, notes)
        values.gather(paths, ())
        values.take_metrics(paths)
        return paths, values.metrics


class _Recent:
    """The revision loaded last, without locks: most commits change none of DVC's own files."""

    def __init__(self) -> None:
        self._ids: Mapping[str, str | None] = {}
        self._revision: Revision | None = None

    def find(self, files: Files, layout: Layout) -> Revision | None:
        """Return it where ``files`` has the same of all that it was made of."""
        known = self._revision
        return known if known and self._ids == _ids(files, layout, known) else None

    def keep(self, files: Files, layout: Layout, revision: Revision) -> None:
        self._ids = _ids(files, layout, revision)
        self._revision = revision


def _ids(files: Files, layout: Layout, revision: Revision) -> "Mapping[str, str | None]":
    made_of = own_files(layout).difference(layout.locks) | revision.vars_files
    return {path: files.blob_id(path) for path in made_of}


class Notes(dict[str, None]):
    """Things left out, and why: each once, in the order met."""

    def add(self, text: str) -> None:
        self[text] = None

    def add_skipped(self, layout: Layout) -> None:
        for path in layout.skipped:
            self.add(f"{path} was left out: it is, or belongs to, another DVC project or none")

    def add_outside(self, ref: Ref, of: str) -> None:
        if not ref.is_url:
            self.add(f"{ref.written} ({of}) lies outside of the repository: it was not read")


@dataclass(slots=True)
class ProjectSettings:
    """DVC's settings and cache, by the DVC project that a path lies in."""

    root: Path
    layout: Layout
    folders: Sequence[Path] | None
    _known: dict[str, DvcSettings] = field(default_factory=dict)

    def of(self, path: str) -> DvcSettings:
        project = self.layout.root_of(path)
        if project not in self._known:
            self._known[project] = DvcSettings(self.root / project, self.folders)
        return self._known[project]

    def cache_of(self, path: str) -> Cache:
        return Cache(self.of(path))


class _Values:
    """Metrics and parameters while they are read."""

    def __init__(self, files: Files, contents: Contents, parser: Parser, notes: Notes) -> None:
        self._files = files
        self._contents = contents
        self._parser = parser
        self._notes = notes
        self._allowance = Allowance()
        self._wanted: list[str] = []
        self.metrics: dict[MetricKey, MetricValue] = {}
        self.texts: dict[ValueKey, Scalar] = {}
        self.params: dict[ValueKey, Scalar] = {}

    def gather(self, paths: Iterable[str], others: Iterable[str]) -> None:
        """Read in one go what all ``paths`` mean, and ``others``."""
        self._wanted = list(paths)
        self._files.prefetch({*self._expand(self._wanted), *others})

    def pull(self, fetch: Fetch) -> None:
        """Fetch what the cache lacks; a remote that fails leaves things as they were."""
        try:
            self._contents.pull(lambda: self._expand(self._wanted), fetch)
        except ModelCIError as error:
            self._notes.add(f"The DVC remote gave nothing: {error}")

    def take_metrics(self, paths: Iterable[str]) -> None:
        """Read metrics files; one that is broken leaves the others alone."""
        for path, content in self._parsed(paths, of=NOT_COMPARED):
            if isinstance(content, str):  # YAML takes any text for one value without a name
                self._notes.add(f"{path} is {_form(path)}, {NOT_COMPARED}")
                continue
            with self._bounded(path) as allowance:
                found = read_metrics(path, content, allowance)
                self.metrics |= found.numbers
                self.texts |= found.texts
                if found.twice:
                    names = ", ".join(found.twice[:3])
                    self._notes.add(f"{path} has metrics of one name, the first counts: {names}")

    def take_params(self, paths: Iterable[str]) -> None:
        """Read parameters files."""
        for path, content in self._parsed(paths):
            with self._bounded(path) as allowance:
                self.params |= read_params(path, content, allowance)

    @contextmanager
    def _bounded(self, path: str) -> Iterator[Allowance]:
        """Note a file that holds too much; what it would have used is left to the others."""
        before = self._allowance.left
        try:
            yield self._allowance
        except TooLargeError as error:
            self._allowance.left = before
            self._notes.add(f"{path} was left out: it holds {error}")

    def _parsed(self, paths: Iterable[str], *, of: str = "") -> Iterator[tuple[str, Any]]:
        for path in self._expand(paths):
            data = self._contents.get(path)
            if data is None:
                self._notes.add(self._why_missing(path))
            elif not data.strip():
                self._notes.add(f"{path} is empty")
            else:
                try:
                    yield path, self._parser.parse(path, data)
                except ConfigError as error:
                    table = of and _form(path) != _TEXT
                    self._notes.add(f"{path} is {_form(path)}, {of}" if table else str(error))

    def _why_missing(self, path: str) -> str:
        lacking = next(
            (name for name in (path, *parents(path)) if name in self._contents.lacking), None
        )
        if lacking is None:
            return f"{path} does not exist: it is neither in Git nor tracked by DVC"
        return f"{path} is {NOT_CACHED}: run `dvc fetch {shlex.quote(lacking)}`, or pass --pull"

    def _expand(self, paths: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(file for path in paths for file in self._contents.expand(path)))


_TEXT = "text"


def _form(path: str) -> str:
    ending = PurePosixPath(path).suffix.lower()
    return {".csv": "a table (CSV)", ".tsv": "a table (TSV)"}.get(ending, _TEXT)


def track(revision: Revision, notes: Notes) -> tuple[dict[str, TrackedFile], dict[str, str]]:
    """Return what DVC tracks by path, and who wrote each (for messages)."""
    kinds = _Kinds(revision)
    tracked, wrote = {}, {}
    for output in revision.outputs():
        path = output.ref.written if output.ref.is_url else output.ref.path
        if path is None:
            notes.add_outside(output.ref, f"which {output.writer}")
        elif output.locked is not None:
            wrote[path] = output.writer
            tracked[path] = TrackedFile(
                path=path,
                kind=kinds.of(path, output),
                hash=output.locked.hash,
                bytes=output.locked.bytes,
                files=output.locked.files,
                hash_name=output.locked.hash_name,
                in_git=output.in_git,
            )
    return dict(sorted(tracked.items())), wrote


class _Kinds:
    """Tells models, metrics and plots from other data: as declared, else by name."""

    def __init__(self, revision: Revision) -> None:
        projects = revision.projects
        self._metrics = {ref.path for project in projects for ref in project.metrics}
        self._plots = {ref.path for project in projects for ref in project.plots}
        self._models = {
            ref.path
            for project in projects
            for artifact, ref in project.artifacts
            if artifact.type == "model"
        }
        self._above_models = {
            above for path in self._models if path is not None for above in parents(path)
        }

    def of(self, path: str, output: Output) -> DataKind:
        if output.kind is not DataKind.DATA:
            return output.kind
        around = (path, *parents(path))
        for declared, kind in (
            (self._metrics, DataKind.METRICS),
            (self._plots, DataKind.PLOTS),
            (self._models, DataKind.MODEL),
        ):
            if any(name in declared for name in around):
                return kind
        is_model = output.type == "model" or path in self._above_models or _is_model_name(path)
        return DataKind.MODEL if is_model else DataKind.DATA


def _is_model_name(path: str) -> bool:
    parts = path.split("/")
    return PurePosixPath(path).suffix.lower() in _MODEL_ENDINGS or any(
        part.lower() in _MODEL_FOLDERS for part in parts
    )


def _metrics_files(revision: Revision, notes: Notes) -> list[str]:
    refs = [
        (output.ref, f"which {output.writer}")
        for output in revision.outputs()
        if output.kind is DataKind.METRICS
    ]
    refs += [
        (ref, f"`metrics` of {project.file}")
        for project in revision.projects
        for ref in project.metrics
    ]
    return _paths(refs, notes)


def _params_files(revision: Revision, files: Files, notes: Notes) -> list[str]:
    beside = [join(posixpath.dirname(one.file), DEFAULT_PARAMS) for one in revision.projects]
    refs = [
        (file.ref, f"`params` of `{stage.name}`")
        for stage, _ in revision.stages()
        for file in stage.params
    ]
    refs += [
        (ref, f"`params` of {project.file}")
        for project in revision.projects
        for ref in project.params
    ]
    found = [path for path in beside if path in files.paths]
    return list(dict.fromkeys([*found, *_paths(refs, notes), *sorted(revision.vars_files)]))


def _paths(refs: Iterable[tuple[Ref, str]], notes: Notes) -> list[str]:
    found: dict[str, None] = {}
    for ref, of in refs:
        if ref.path is None:
            notes.add_outside(ref, of)
        else:
            found[ref.path] = None
    return list(found)


def _artifacts(revision: Revision, notes: Notes) -> Iterator[Artifact]:
    for project in revision.projects:
        for artifact, ref in project.artifacts:
            if ref.path is None:
                notes.add_outside(ref, f"artifact {artifact.name}")
            yield artifact


def _get_existing(files: Files, path: str) -> bytes | None:
    return files.get(path) if path in files.paths else None
