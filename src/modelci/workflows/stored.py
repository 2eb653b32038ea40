"""The bytes behind a version: whether the DVC remote keeps them, and what they hash to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from modelci.domain.allowance import Liftable, Objection
from modelci.domain.changes import TrackedFile
from modelci.domain.promotion import PlannedTag, Promotion
from modelci.domain.provenance import FileBytes, digest_files
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError, PipelineError, PromotionError
from modelci.ports import FileTree, Pipeline, StoredBytes
from modelci.workflows.provenance import find_bytes

SHA256 = "Modelci-Sha256"

_PATH, _HASH = "Modelci-Path", "Modelci-Hash"
_MOST_NAMED = 3
_PUSH = "Give the job the DVC remote's credentials, or set promote.require_remote: false."


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What came of looking for bytes: what to say of it, and what of it a reason has to lift."""

    notes: tuple[str, ...] = ()
    objections: tuple[Objection, ...] = ()


def look_for_bytes(
    files: Mapping[str, TrackedFile],
    pipeline: Callable[[], Pipeline] | None,
    *,
    is_required: bool,
) -> Search:
    """Ask the DVC remote for the bytes of artifacts; object to versions whose bytes it lacks.

    Without ``is_required`` a remote that is not set, or cannot be asked from here, is a note: the
    job that tags often has no credentials for it. A folder that does not exist lacks everything.
    """
    wanted = {name: file for name, file in files.items() if file.hash and not file.in_git}
    if pipeline is None or not wanted:
        return Search()
    try:
        missing = pipeline().missing(list(dict.fromkeys(wanted.values())))
    except (PipelineError, ConfigError) as error:
        return _unchecked(f"The DVC remote could not be asked: {error}", wanted, is_required)
    if missing is None:
        return _unchecked("No DVC remote is set", wanted, is_required)
    return _found_missing(missing, wanted) if missing else Search()


def _unchecked(
    why: str,
    wanted: Mapping[str, TrackedFile],
    is_required: bool,  # noqa: FBT001
) -> Search:
    why = why.rstrip(".")
    text = f"{why}, and promote.require_remote is set."
    return Search(
        notes=(f"{why}: nobody checked that the bytes are kept there.",),
        objections=_objections(wanted, text, hint=_PUSH) if is_required else (),
    )


def _found_missing(missing: Sequence[TrackedFile], wanted: Mapping[str, TrackedFile]) -> Search:
    lacking = [name for name, file in wanted.items() if any(_is_of(one, file) for one in missing)]
    is_all = set(wanted.values()) <= set(missing)
    unmounted = " If the remote is a folder: is it mounted?" if is_all else ""
    text = f"The DVC remote lacks {_list(missing)}"
    push = f"Where they are: `dvc push {wanted[lacking[0]].path}` (or `modelci run --push`)."
    return Search(
        notes=(f"{text}.",),
        objections=_objections(
            lacking, f"{text}: nobody could deploy this version.", hint=push + unmounted
        ),
    )


def _is_of(missing: TrackedFile, file: TrackedFile) -> bool:
    return missing == file or missing.path.startswith(f"{file.path}/")


def _objections(artifacts: Iterable[str], message: str, *, hint: str) -> tuple[Objection, ...]:
    return tuple(
        Objection(rule=Liftable.STORED_BYTES, message=message, hint=hint, artifact=one)
        for one in artifacts
    )


def _list(missing: Sequence[TrackedFile]) -> str:
    named = ", ".join(f"{one.path} ({one.hash_name} {one.hash})" for one in missing[:_MOST_NAMED])
    more = len(missing) - _MOST_NAMED
    return f"{named} and {more:,} more" if more > 0 else named


class Seal:
    """Hashes the bytes that planned tags are about, and puts their sha256 into the tags.

    DVC's md5 keeps nobody from making other bytes of the same hash; the tag shall say more. Bytes
    are read once, in the cache or else in the DVC remote; where neither lets us, the tag goes
    without. Bytes that are not those of ``dvc.lock`` are refused whatever is allowed: they are not
    what was tested.
    """

    def __init__(
        self,
        tree: FileTree,
        snapshot: Snapshot,
        stored: Callable[[], StoredBytes] | None,
    ) -> None:
        self._tree = tree
        self._snapshot = snapshot
        self._stored = stored
        self._known: dict[str, str | None] = {}
        self._notes: dict[str, str] = {}

    def put(self, promotion: Promotion) -> Promotion:
        """Return the promotion with the digests in its tags; raises PromotionError."""
        if self._stored is None:
            return promotion
        tags = tuple(self._sealed(tag, self._stored) for tag in promotion.tags)
        return replace(promotion, tags=tags, notes=(*promotion.notes, *self._notes.values()))

    def _sealed(self, tag: PlannedTag, stored: Callable[[], StoredBytes]) -> PlannedTag:
        path = dict(tag.trailers)[_PATH]
        if path not in self._known:
            self._known[path] = self._read(path, stored())
        digest = self._known[path]
        if digest is None:
            return tag
        keys = [key for key, _ in tag.trailers]
        after = keys.index(_HASH) + 1
        trailers = (*tag.trailers[:after], (SHA256, digest), *tag.trailers[after:])
        return replace(tag, trailers=trailers)

    def _read(self, path: str, stored: StoredBytes) -> str | None:
        found = find_bytes(self._tree, self._snapshot, path, stored)
        for file in found.files:
            _require_right(file)
        digest = digest_files(path, found.files)
        if digest is None:
            why = f" ({found.trouble.rstrip('.')})" if found.trouble else ""
            self._notes[path] = (
                f"The bytes of {path} are neither in the cache nor to be had from the DVC "
                f"remote{why}: its tag has no sha256."
            )
        return digest


def _require_right(file: FileBytes) -> None:
    if file.found is not None and not file.is_right:
        raise PromotionError(
            f"{file.refusal}: this is not what was tested.",
            hint="Somebody changed them: find out who. Then remove them there, and `dvc pull` or "
            "`dvc push` the honest ones, or run the pipeline again. Nothing lifts this.",
        )
