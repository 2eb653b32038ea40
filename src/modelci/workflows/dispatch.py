"""Starting the workflow that deploys, for tags that GitHub tells no workflow of."""

from collections.abc import Callable, Sequence
from shlex import quote

from modelci.domain.promotion import PlannedTag
from modelci.domain.tags import Action, TagName
from modelci.errors import ForgeError, ModelCIError
from modelci.ports import Forge, Progress


def dispatch(
    tags: Sequence[PlannedTag],
    workflow: str,
    *,
    forge: Callable[[], Forge],
    progress: Progress,
) -> None:
    """Start ``workflow`` once for each assignment among ``tags``, at that tag.

    Every one is tried; raises ForgeError with what to run where one was refused. The tags stand.
    """
    refused: list[tuple[str, ModelCIError]] = []
    for name in filter(_is_assignment, (tag.name for tag in tags)):
        try:
            forge().dispatch(workflow, tag=name, inputs={"tag": name})
        except ModelCIError as error:
            progress.warn(f"{name} is tagged, but {workflow} was not started: {error}")
            refused.append((name, error))
        else:
            progress.note(f"{name} → {workflow}")
    if refused:
        raise _explain(refused, workflow)


def _is_assignment(name: str) -> bool:
    found = TagName.parse(name)
    return found is not None and found.action is Action.ASSIGN


def _explain(refused: Sequence[tuple[str, ModelCIError]], workflow: str) -> ForgeError:
    names = ", ".join(name for name, _ in refused)
    _, error = refused[0]
    by_hand = "; ".join(
        f"`gh workflow run {quote(workflow)} --ref {quote(name)} -f tag={quote(name)}`"
        for name, _ in refused
    )
    return ForgeError(
        f"Promoted, but {workflow} was not started for {names}: {error}",
        hint=f"{error.hint or ''} To promote again starts nothing, as nothing is left to tag; on "
        f"GitHub run {by_hand}.".strip(),
    )
