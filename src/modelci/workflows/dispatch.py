"""Starting the workflow that deploys, for tags that GitHub tells no workflow of."""

from collections.abc import Callable, Sequence
from shlex import quote

from modelci.domain.promotion import PlannedTag
from modelci.domain.tags import is_assignment
from modelci.errors import ForgeError, ModelCIError
from modelci.ports import Forge, Progress


def dispatch(
    tags: Sequence[PlannedTag],
    workflow: str,
    *,
    standing: Sequence[str] = (),
    forge: Callable[[], Forge],
    progress: Progress,
) -> None:
    """Start ``workflow`` once for each assignment among ``tags``, at that tag.

    So too for those ``standing`` from a run before, which may have been cut short before it came to
    this. Every one is tried; raises ForgeError with what to run where one was refused. The tags
    stand.
    """
    refused: list[tuple[str, ModelCIError]] = []
    names = (*(tag.name for tag in tags), *standing)
    for name in filter(is_assignment, dict.fromkeys(names)):
        try:
            forge().dispatch(workflow, tag=name, inputs={"tag": name})
        except ModelCIError as error:
            progress.warn(f"{name} is tagged, but {workflow} was not started: {error}")
            refused.append((name, error))
        else:
            progress.note(f"{name} → {workflow}{' (again)' if name in standing else ''}")
    if refused:
        raise _explain(refused, workflow)


def _explain(refused: Sequence[tuple[str, ModelCIError]], workflow: str) -> ForgeError:
    names = ", ".join(name for name, _ in refused)
    _, error = refused[0]
    by_hand = "; ".join(
        f"`gh workflow run {quote(workflow)} --ref {quote(name)} -f tag={quote(name)}`"
        for name, _ in refused
    )
    return ForgeError(
        f"Promoted, but {workflow} was not started for {names}: {error}",
        hint=f"{error.hint or ''} Then run the same again: it tags nothing twice, and starts what "
        f"stands. Or on GitHub {by_hand}.".strip(),
    )
