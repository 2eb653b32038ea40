"""What a release is made of: known from Git alone, then brought into a folder and held to it."""

import posixpath
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from modelci.config.model import Config, ModelConfig
from modelci.documents import codec
from modelci.domain.changes import TrackedFile
from modelci.domain.deploying import make_release_id
from modelci.domain.deployment import Release, ReleaseFile
from modelci.domain.golden import Golden
from modelci.domain.modelfiles import Trust
from modelci.domain.orders import Order
from modelci.domain.provenance import (
    TREE,
    CheckState,
    FileBytes,
    Finding,
    Provenance,
    check_files,
    check_lock,
    check_provenance,
    digest_files,
    find_tracked,
)
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError, DeploymentError
from modelci.ports import FileTree, ReleaseBytes
from modelci.workflows.provenance import find_artifact
from modelci.workflows.verify import require_fetched

HASH, SHA256 = "Modelci-Hash", "Modelci-Sha256"
GOLDEN, LOCK, MODEL, RELEASE = "golden.json", "dvc.lock", "model", "release.json"
GOLDEN_SUFFIX = ".golden.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """A file or folder of the commit; ``file`` is what DVC tracks it as, None where Git has it."""

    path: str
    file: TrackedFile | None
    hash: str

    @property
    def name(self) -> str:
        """What it is called in a folder."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A release before any of it is fetched; ``lock`` is the path of the commit's lock file."""

    id: str
    order: Order
    tree: FileTree
    snapshot: Snapshot
    model: Ingredient
    golden: Ingredient | None
    lock: str | None
    trust: Trust
    flavour: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What was brought: ``files`` of the model and ``golden``'s, as their bytes hash."""

    folder: Path
    files: tuple[FileBytes, ...]
    golden_file: FileBytes | None = None
    golden: Golden | None = None


def read_recipe(
    order: Order,
    tree: FileTree,
    snapshot: Snapshot,
    config: Config,
    *,
    surroundings: str,
) -> Recipe:
    """Return what the order's release is made of; ``surroundings`` are what it is put into.

    Raises ConfigError where the commit declares no such artifact, or has not the golden requests
    that ``models`` names, and DeploymentError where nothing says which bytes the model has.
    """
    path = find_artifact(snapshot, order.artifact).path
    model = _ingredient(tree, snapshot, path)
    if model is None:
        raise DeploymentError(
            f"No dvc.lock of {order.commit[:7]} says which bytes {path} has, and Git has none.",
            hint="Deploy a version whose pipeline was run: `modelci run --push`, commit, promote.",
        )
    settings = config.models.get(order.artifact, ModelConfig())
    golden = _golden(tree, snapshot, path, settings)
    trust = Trust(
        types=config.safety.trusted_types, pickle=order.artifact in config.safety.allow_pickle
    )
    lock = _lock(snapshot, path)
    parts = {
        "artifact": order.artifact,
        "commit": order.commit,
        "version": order.version,
        "model": (model.path, model.hash),
        "golden": (golden.path, golden.hash) if golden else None,
        "lock": snapshot.locks[lock] if lock else None,
        "types": tuple(sorted(trust.types)),
        "pickle": trust.pickle,
        "flavour": settings.flavour,
        "environment": surroundings,
    }
    return Recipe(
        id=make_release_id(order.label, parts),
        order=order,
        tree=tree,
        snapshot=snapshot,
        model=model,
        golden=golden,
        lock=lock,
        trust=trust,
        flavour=settings.flavour,
    )


def _ingredient(tree: FileTree, snapshot: Snapshot, path: str) -> Ingredient | None:
    own = find_tracked(snapshot, path)
    if own is not None:
        return Ingredient(path=path, file=own, hash=_name(own)) if own.hash else None
    blob = tree.blob_id(path)
    return Ingredient(path=path, file=None, hash=f"git:{blob}") if blob else None


def _name(file: TrackedFile) -> str:
    return f"{file.hash_name}:{file.hash}"


def _golden(
    tree: FileTree, snapshot: Snapshot, path: str, settings: ModelConfig
) -> Ingredient | None:
    beside = str(PurePosixPath(path).with_suffix(GOLDEN_SUFFIX))
    found = _ingredient(tree, snapshot, settings.golden or beside)
    if found is None and settings.golden is not None:
        raise ConfigError(
            f"The commit to deploy has no {settings.golden}, which `models` names.",
            hint=f"A stage of its pipeline writes it: `modelci golden {path} DATA`.",
        )
    return found


def _lock(snapshot: Snapshot, path: str) -> str | None:
    """Return the lock file nearest to the model, in its folder or above."""
    folders = [str(folder) for folder in PurePosixPath(path).parents]
    paths = (LOCK if folder == "." else f"{folder}/{LOCK}" for folder in folders)
    return next((one for one in paths if one in snapshot.locks), None)


def fetch_release(recipe: Recipe, work: Path, source: ReleaseBytes) -> Fetched:
    """Bring the release's files into ``work / "release"``; what is there already stays.

    Raises PipelineError where the DVC remote does not answer.
    """
    folder = work / "release"
    files = _bring(recipe, recipe.model, folder / MODEL, source)
    golden_file = golden = None
    if recipe.golden is not None:
        (golden_file,) = _bring(recipe, recipe.golden, work / "golden", source)
        golden = _read_golden(work / "golden" / recipe.golden.name, golden_file)
        if golden is not None:
            shutil.copyfile(work / "golden" / recipe.golden.name, folder / GOLDEN)
    if recipe.lock is not None:
        (folder / LOCK).write_bytes(recipe.tree.read([recipe.lock])[recipe.lock])
    return Fetched(folder=folder, files=files, golden_file=golden_file, golden=golden)


def _bring(
    recipe: Recipe, what: Ingredient, into: Path, source: ReleaseBytes
) -> tuple[FileBytes, ...]:
    into.mkdir(parents=True, exist_ok=True)
    if what.file is not None:
        return source.fetch(recipe.tree, what.file, what.path, into)
    data = recipe.tree.read([what.path])[what.path]
    (into / what.name).write_bytes(data)
    digest = sha256(data).hexdigest()
    return (
        FileBytes(
            path=what.path,
            recorded=digest,
            hash_name="sha256",
            found=digest,
            sha256=digest,
            size=len(data),
        ),
    )


def _read_golden(file: Path, found: FileBytes) -> Golden | None:
    """Read golden requests if they are those that were recorded; else verifying will say so."""
    return codec.read(Golden, file) if found.found == found.recorded else None


def verify_release(
    recipe: Recipe, fetched: Fetched, provenance: Provenance | None
) -> tuple[Finding, ...]:
    """Hold the bytes against all that was said of them: each finding that fails refuses them."""
    golden = (fetched.golden_file,) if fetched.golden_file else ()
    said = recipe.order.said
    found = [
        check_lock(recipe.snapshot, recipe.model.path, said.get(HASH)),
        *check_files(fetched.files, provenance),
        *check_files(golden, None),
        *_about_digests(recipe, fetched),
    ]
    if provenance is not None:
        order = recipe.order
        tag = order.registration or order.tag
        found.extend(check_provenance(provenance, recipe.snapshot, tag=tag, commit=order.commit))
    return tuple(require_fetched(one) for one in found)


def _about_digests(recipe: Recipe, fetched: Fetched) -> Iterator[Finding]:
    """Compare the model's sha256 with those that its tag and its golden requests name."""
    found = digest_files(recipe.model.path, fetched.files)
    if found is None:
        return  # bytes are missing, which others say
    tag = recipe.order.said.get(SHA256)
    is_file = not found.startswith(TREE)  # golden requests name no folder's
    golden = fetched.golden.sha256 if fetched.golden and is_file else None
    for who, said in (("tag", tag), ("golden requests", golden)):
        if said is not None:
            agrees = said == found
            yield Finding(
                subject=f"{recipe.model.path}: sha256 of the {who}",
                state=CheckState.OK if agrees else CheckState.FAILED,
                detail="" if agrees else "they differ",
                expected=said,
                found=found,
            )


def write_release(recipe: Recipe, fetched: Fetched) -> Release:
    """Return the release of a folder whose bytes were verified, and write it there."""
    above = posixpath.dirname(recipe.model.path)
    placed = {_inside(one.path, above): one for one in fetched.files}
    golden = fetched.golden
    release = Release(
        id=recipe.id,
        artifact=recipe.order.artifact,
        version=recipe.order.version,
        commit=recipe.order.commit,
        model=f"{MODEL}/{recipe.model.name}",
        files=(
            *(_file(fetched.folder, path, found) for path, found in sorted(placed.items())),
            *_others(fetched.folder, ([GOLDEN] if golden else []) + [LOCK] * bool(recipe.lock)),
        ),
        golden=GOLDEN if golden else None,
        flavour=recipe.flavour or (golden.flavour if golden else None),
        trusted_types=tuple(recipe.trust.types),
        allow_pickle=recipe.trust.pickle,
        environment=golden.environment if golden else None,
    )
    codec.write(release, fetched.folder / RELEASE)
    return release


def _inside(path: str, above: str) -> str:
    return f"{MODEL}/{path[len(above) + 1 :] if above else path}"


def _file(folder: Path, path: str, found: FileBytes) -> ReleaseFile:
    return ReleaseFile(
        path=path,
        sha256=found.sha256 or "",
        bytes=found.size if found.size is not None else (folder / path).stat().st_size,
        md5=found.found if found.hash_name == "md5" else None,
    )


def _others(folder: Path, names: Sequence[str]) -> Iterator[ReleaseFile]:
    for name in names:
        data = (folder / name).read_bytes()
        yield ReleaseFile(path=name, sha256=sha256(data).hexdigest(), bytes=len(data))
