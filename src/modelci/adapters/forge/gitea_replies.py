"""What to do about Gitea's and Forgejo's refusals: which token, which permission."""

import re
from functools import partial

from modelci.adapters.forge import replies
from modelci.adapters.forge.http import Exchange
from modelci.adapters.forge.replies import Advice

ADVICE = (
    "In a workflow, set `GITEA_TOKEN: ${{ github.token }}` in the step's `env:`. Elsewhere make an "
    "access token (Settings, Applications) with read and write for repository and issue, and read "
    "for user."
)
_PERMISSIONS = (
    (re.compile(r"/(?:issues|labels)(?:/.*)?$"), "write:issue"),
    (re.compile(r"/user$"), "read:user"),
    (re.compile(r"/(?:statuses|releases|actions/workflows)(?:/.*)?$"), "write:repository"),
)


def _permission(asked: Exchange) -> str:
    found = (permission for path, permission in _PERMISSIONS if path.search(asked.path))
    usual = "read:repository" if asked.method == "GET" else "write:repository"
    return (
        f"The token needs `{next(found, usual)}`. A workflow's own token can only read "
        "where a pull request comes from a fork, and where the repository's settings say so."
    )


judge = partial(
    replies.judge,
    advice=Advice(
        name="Gitea",
        token=f"It has expired, was deleted or is mistyped. {ADVICE}",
        outage="Ask who runs this Gitea.",
        permission=_permission,
    ),
)
