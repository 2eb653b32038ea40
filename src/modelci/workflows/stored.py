"""Whether the bytes behind a version are kept: asked of the DVC remote, by hash."""

from collections.abc import Callable, Sequence

from modelci.domain.changes import TrackedFile
from modelci.errors import ConfigError, PipelineError, PromotionError
from modelci.ports import Pipeline

_MOST_NAMED = 3
_PUSH = "Give the job the DVC remote's credentials, or set promote.require_remote: false."


def require_bytes(
    files: Sequence[TrackedFile],
    pipeline: Callable[[], Pipeline] | None,
    *,
    is_required: bool,
    allowed: str | None,
) -> tuple[str, ...]:
    """Refuse a version whose bytes the DVC remote lacks; return notes on what was not checked.

    Without ``is_required`` a remote that is not set, or cannot be asked from here, is a note: the
    job that tags often has no credentials for it. A folder that does not exist lacks everything.
    ``allowed`` lifts all of it.
    """
    wanted = [file for file in files if file.hash and not file.in_git]
    if pipeline is None or not wanted:
        return ()
    try:
        missing = pipeline().missing(wanted)
    except (PipelineError, ConfigError) as error:
        return _unchecked(f"The DVC remote could not be asked: {error}", is_required, allowed)
    if missing is None:
        return _unchecked("No DVC remote is set", is_required, allowed)
    if not missing:
        return ()
    if allowed is not None:
        return (f"The DVC remote lacks {_list(missing)}.",)
    unmounted = "" if set(wanted) - set(missing) else " If the remote is a folder: is it mounted?"
    raise PromotionError(
        f"The DVC remote lacks {_list(missing)}: nobody could deploy this version.",
        hint=f"Where they are: `dvc push {wanted[0].path}` (or `modelci run --push`).{unmounted}",
    )


def _unchecked(why: str, is_required: bool, allowed: str | None) -> tuple[str, ...]:  # noqa: FBT001
    why = why.rstrip(".")
    if is_required and allowed is None:
        raise PromotionError(f"{why}, and promote.require_remote is set.", hint=_PUSH)
    return (f"{why}: nobody checked that the bytes are kept there.",)


def _list(missing: Sequence[TrackedFile]) -> str:
    named = ", ".join(f"{one.path} ({one.hash_name} {one.hash})" for one in missing[:_MOST_NAMED])
    more = len(missing) - _MOST_NAMED
    return f"{named} and {more:,} more" if more > 0 else named
