"""Whether the bytes behind a version are kept: asked of the DVC remote, by hash."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelci.domain.allowance import Liftable, Objection
from modelci.domain.changes import TrackedFile
from modelci.errors import ConfigError, PipelineError
from modelci.ports import Pipeline

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
