"""``modelci registry``: which versions there are and which stage each holds, from tags alone."""

from modelci.domain.registry import ArtifactState, fold_registry
from modelci.domain.tags import is_artifact_name
from modelci.errors import UsageError
from modelci.ports import Git


def list_registry(
    git: Git, *, name: str | None = None, remote: bool = False
) -> tuple[ArtifactState, ...]:
    """Return the artifacts that local tags (or, with ``remote``, the remote's) speak of."""
    if name is not None and not is_artifact_name(name):
        raise UsageError(f"{name!r} cannot be an artifact's name.")
    where = git.remote() if remote else None
    states = fold_registry(git.tags(None if name is None else [name], remote=where))
    if name is not None and not states:
        raise UsageError(
            f"No tag speaks of an artifact {name!r}.",
            hint="`git fetch --tags` brings the remote's tags, or use --remote.",
        )
    return states
