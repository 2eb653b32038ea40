"""What to do about GitLab's refusals: which token, which scope, which role."""

import re
from functools import partial

from modelci.adapters.forge import replies
from modelci.adapters.forge.http import Exchange
from modelci.adapters.forge.replies import Advice

ADVICE = (
    "Make a project access token with the scope `api` and the role Developer (Settings, Access "
    "tokens), and keep it as the masked variable GITLAB_TOKEN (Settings, CI/CD, Variables). "
    "CI_JOB_TOKEN cannot write comments."
)
_ROLES = (
    (re.compile(r"/notes(?:/\d+)?$"), "comment on merge requests: the role Reporter"),
    (re.compile(r"/statuses/[^/]+$"), "set commit statuses: the role Developer"),
    (re.compile(r"/releases(?:/.*)?$"), "publish releases: the role Developer"),
    (re.compile(r"/packages(?:/.*)?$"), "keep packages: the role Developer, and packages enabled"),
    (
        re.compile(r"/deployments(?:/\d+)?$"),
        "deploy: in a protected environment the right to, else the role Developer",
    ),
    (
        re.compile(r"/merge_requests(?:/\d+)?(?:/merge)?$"),
        "open merge requests: the role Developer, and the right to merge where it merges by itself",
    ),
    (re.compile(r"/issues(?:/\d+)?$"), "open issues: the role Reporter, and issues enabled"),
    (re.compile(r"/uploads$"), "upload pictures: the role Reporter"),
)


def _permission(asked: Exchange) -> str:
    for path, what in _ROLES:
        if path.search(asked.path):
            return (
                f"GITLAB_TOKEN must have the scope `api`, and to {what} at least. A protected "
                "variable is hidden from branches that are not protected."
            )
    return "GITLAB_TOKEN must have the scope `api`, and see the project."


judge = partial(
    replies.judge,
    advice=Advice(
        name="GitLab",
        token=f"It has expired, was revoked or is mistyped. {ADVICE}",
        outage="Ask who runs this GitLab; https://status.gitlab.com speaks for gitlab.com.",
        permission=_permission,
    ),
)
