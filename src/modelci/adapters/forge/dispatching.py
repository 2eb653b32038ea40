"""Starting a workflow by its file's name, which Gitea took over from GitHub."""

from collections.abc import Mapping
from urllib.parse import quote

from modelci.adapters.forge.failures import NotFoundError
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeDeniedError, ForgeError

NEEDS = "actions: write"


def dispatch(
    client: ForgeClient, root: str, workflow: str, *, ref: str, inputs: Mapping[str, str]
) -> None:
    """Ask for one run. It is never asked for twice: an answer that is lost may have started it."""
    path = f"{root}/actions/workflows/{quote(workflow, safe='')}/dispatches"
    body = {"ref": ref, "inputs": dict(inputs)}
    try:
        client.send("POST", path, body, needs=NEEDS)
    except ForgeDeniedError:
        raise
    except NotFoundError as error:
        hint = (
            f"Is {workflow} among the workflows of the default branch? promote.dispatch takes the "
            f"file's name alone, and a private repository's token needs `{NEEDS}`."
        )
        raise NotFoundError(str(error), hint=hint) from error
    except ForgeError as error:
        raise ForgeError(str(error), hint=_advice(str(error), workflow, inputs)) from error


def _advice(said: str, workflow: str, inputs: Mapping[str, str]) -> str:
    takes = f"`workflow_dispatch: {{inputs: {{{', '.join(f'{one}: {{}}' for one in inputs)}}}}}`"
    if "trigger" in said or "nputs" in said:
        return f"{workflow} takes {takes} below `on:`, in the commit that the tag names too."
    return f"Look at the runs of {workflow} before you start it by hand: it may have begun."
