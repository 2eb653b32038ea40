"""Notes, commit statuses, uploads and releases on GitLab, through python-gitlab."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec

from modelci.config.model import CommentMode
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError, UsageError

try:
    import gitlab
    from gitlab.exceptions import GitlabError
except ImportError as error:
    raise ConfigError(
        "GitLab is talked to through python-gitlab, which is not installed.",
        hint="pip install 'modelci[gitlab]'",
    ) from error

from modelci.adapters.forge import deploying
from modelci.adapters.forge.failures import LookAgainError, NotFoundError
from modelci.adapters.forge.gitlab_carrier import Carrier
from modelci.adapters.forge.gitlab_deployments import GitLabDeployments
from modelci.adapters.forge.gitlab_proposals import GitLabIssues, GitLabProposals
from modelci.adapters.forge.gitlab_releases import GitLabReleases
from modelci.adapters.forge.gitlab_replies import ADVICE, judge
from modelci.adapters.forge.http import ForgeClient
from modelci.adapters.forge.loop import LoopClosing
from modelci.adapters.forge.pictures import name_pictures
from modelci.adapters.forge.publishing import Publishing
from modelci.adapters.forge.settings import ForgeSettings
from modelci.adapters.forge.sticky import NOBODY, StickyComment, has_marker, post, retire
from modelci.ports import (
    Check,
    CheckStatus,
    ForgeDeployment,
    Issue,
    PostedCheck,
    PostedComment,
    PostedDeployment,
    PostedIssue,
    PostedProposal,
    Progress,
    Proposal,
    PullRequest,
    Writer,
)

NAME = "GitLab"
MAX_NOTE_CHARACTERS = 1_000_000
MAX_DESCRIPTION_CHARACTERS = 255
MAX_NOTES = 10_000
API = "/api/v4"

_JOBS_OWN = "glcbt-"
_PROJECT = re.compile(r"[\w.-]+(?:/(?!\.{1,2}(?:/|$))[\w.-]+)+", re.ASCII)
_COMMAND = re.compile(r"^/", re.MULTILINE)
_REFERENCE = re.compile(r"!(?=\d)")
_STATES = {
    CheckStatus.IN_PROGRESS: "running",
    CheckStatus.SUCCESS: "success",
    CheckStatus.FAILURE: "failed",
    CheckStatus.NEUTRAL: "success",
}

T = TypeVar("T")


class _User(msgspec.Struct):
    id: int


class _Note(msgspec.Struct):
    id: int
    body: str = ""
    author: _User | None = None
    system: bool = False


class _MergeRequest(msgspec.Struct):
    iid: int
    state: str
    source_branch: str
    target_branch: str
    source_project_id: int | None = None
    target_project_id: int | None = None
    sha: str | None = None  # None until GitLab has worked out the diff


class _Labelled(msgspec.Struct):
    state: str
    labels: list[str] = []


class _Project(msgspec.Struct):
    path_with_namespace: str


class _Upload(msgspec.Struct):
    url: str
    full_path: str | None = None


def connect(settings: ForgeSettings) -> "GitLabForge":
    """Return the project's forge, without asking it anything yet."""
    token = (settings.token or "").strip()
    if not token or token.startswith(_JOBS_OWN):
        raise ForgeDeniedError(
            "There is no token for GitLab."
            if not token
            else "The token for GitLab is a job's own, which may not write comments.",
            hint=ADVICE,
        )
    root = settings.api_url.rstrip("/")
    if not root.endswith(API):
        raise ConfigError(
            "The URL of GitLab's API does not end in /api/v4.",
            hint="It looks like https://gitlab.com/api/v4; CI_API_V4_URL has it in a job.",
        )
    client = ForgeClient(
        NAME,
        root,
        token,
        judge=judge,
        progress=settings.progress,
        budget_seconds=settings.wait_seconds,
    )
    return GitLabForge(client, root, settings.repository or "", progress=settings.progress)


class GitLabForge(LoopClosing, Publishing):
    """One project on one GitLab; ``api_url`` ends in /api/v4, below a path if GitLab is."""

    name = NAME

    def __init__(
        self, client: ForgeClient, api_url: str, project: str, *, progress: Progress
    ) -> None:
        if not _PROJECT.fullmatch(project):
            raise ConfigError(
                f"{project!r} is no project on GitLab.",
                hint="It looks like GROUP/NAME; a job finds it in CI_PROJECT_PATH.",
            )
        self._client = client
        self._progress = progress
        self._site = api_url.removesuffix(API)
        self._project = project
        self._root = f"/projects/{quote(project, safe='')}"
        # Pages are asked for where we ask for the first, whatever GitLab thinks its name is.
        self._api = gitlab.Gitlab(
            self._site, backend=Carrier, carrier=client, keep_base_url=True, timeout=None
        )
        self._releases = GitLabReleases(
            self,
            client,
            api_url=api_url,
            root=self._root,
            page=f"{self._site}/{project}/-/releases",
        )
        self._deployments = GitLabDeployments(self, self._root, page=f"{self._site}/{project}")
        self._proposals = GitLabProposals(self, self._root)
        self._issues = GitLabIssues(self, self._root)
        self._user: int | None = None
        self._uploaded: dict[str, str] = {}

    def upsert_comment(
        self,
        number: int,
        body: str,
        *,
        marker: str,
        writer: Writer = NOBODY,
        mode: CommentMode = CommentMode.UPDATE,
        create: bool = True,
    ) -> PostedComment | None:
        """Keep the rules of ``sticky.post``; nothing in the text is a command to GitLab."""
        store = _Notes(self, number)
        return post(store, _tame(body), marker=marker, writer=writer, mode=mode, create=create)

    def pull_request(self, number: int) -> PullRequest:
        """Return a merge request by the number that the project gives it."""
        try:
            found = self.ask("get", f"{self._root}/merge_requests/{number}", _MergeRequest)
        except NotFoundError as error:
            if "404 Project Not Found" in str(error):
                raise
            raise UsageError(
                f"{self._project} has no merge request !{number}.", hint=error.hint
            ) from error
        return self._describe(found)

    def find_pull_request(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        """Return the newest open merge request from that namespace's branch with that head."""
        query = {
            "state": "opened",
            "source_branch": branch,
            "order_by": "created_at",
            "sort": "desc",
            "per_page": 100,
        }
        for found in self.walk(f"{self._root}/merge_requests", _MergeRequest, query):
            if found.sha != sha or found.source_branch != branch:
                continue
            pull = self._describe(found)
            if (pull.head_repository or "").rpartition("/")[0].casefold() == owner.casefold():
                return pull
        return None

    def set_check(self, check: Check) -> PostedCheck:
        """Set a commit status; GitLab's checks are pipelines."""
        body = {
            "state": _STATES[check.status],
            "name": check.name,
            "description": _clip(check.title),
            **({"target_url": check.url} if check.url else {}),
        }
        try:
            self.send("post", f"{self._root}/statuses/{quote(check.sha, safe='')}", body)
        except ForgeError as error:
            # Older versions refuse to set a status to what it is.
            if "Cannot transition status" not in str(error) or body["state"] != "running":
                raise
        url = f"{self._site}/{self._project}/-/commit/{check.sha}"
        return PostedCheck(kind="commit status", url=check.url or url)

    def store_pictures(
        self,
        pictures: Mapping[str, bytes],
        *,
        keep_days: int,  # noqa: ARG002
    ) -> Mapping[str, str]:
        """Upload the pictures to the project, equal ones once in a job.

        Nothing is pruned, and what an earlier job uploaded is not found again: GitLab lets only
        maintainers list and delete uploads.
        """
        names = name_pictures(pictures)
        for name, file in names.items():
            if file not in self._uploaded:
                self._uploaded[file] = self._upload(file, pictures[name])
        return {name: self._uploaded[names[name]] for name in pictures}

    def read_artifact(
        self,
        run_id: int,
        name: str,
        path: str,
        *,
        max_bytes: int,  # noqa: ARG002
    ) -> bytes:
        """Refuse: on GitLab a report reaches the job that comments within its own pipeline."""
        raise ForgeError(
            f"{path} of {name} cannot be read from pipeline {run_id}: on GitLab no other "
            "pipeline's artifacts are read.",
            hint="Let the job that comments have `needs: [{job: model, artifacts: true}]`, and "
            "give it --report .modelci/report.json.",
        )

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """Return the labels of the merged merge requests that a commit belongs to, sorted."""
        path = f"{self._root}/repository/commits/{quote(sha, safe='')}/merge_requests"
        found = self.walk(path, _Labelled, {"per_page": 100})
        return tuple(
            sorted({one for some in found if some.state == "merged" for one in some.labels})
        )

    def dispatch(
        self,
        workflow: str,
        *,
        tag: str,
        inputs: Mapping[str, str],  # noqa: ARG002
    ) -> None:
        """Refuse: GitLab has no workflows to name, and starts pipelines for tags by itself."""
        raise ForgeError(
            f"GitLab starts a pipeline for {tag} by itself, and none that is called {workflow}.",
            hint="Leave `promote.dispatch` out, and let the job that deploys have "
            "`rules: [{if: $CI_COMMIT_TAG}]`.",
        )

    def set_deployment(self, deployment: ForgeDeployment) -> PostedDeployment:
        """Keep the rules of ``deploying``, as far as GitLab's deployments go."""
        return deploying.set_deployment(self._deployments, deployment)

    def deployments(
        self, environment: str | None = None, *, limit: int
    ) -> tuple[PostedDeployment, ...]:
        """Return the newest deployments of tags that no job of GitLab's own made."""
        return deploying.list_deployments(self._deployments, environment, limit)

    def propose(self, proposal: Proposal) -> PostedProposal:
        """Keep the rules of ``proposing``; nothing in the text is a command to GitLab."""
        return super().propose(replace(proposal, body=_tame(proposal.body)))

    def upsert_issue(self, issue: Issue) -> PostedIssue:
        """Keep the rules of ``issuing``; nothing in the text is a command to GitLab."""
        return super().upsert_issue(replace(issue, body=_tame(issue.body)))

    def ask(self, verb: str, path: str, kind: type[T], body: object = None) -> T:
        """Send a request below the API's URL and return its reply as ``kind``."""
        answer = self.send(verb, path, body)
        with _translated():
            return msgspec.convert(answer, type=kind)

    def send(self, verb: str, path: str, body: object = None) -> object:
        """Send a request below the API's URL."""
        call = getattr(self._api, f"http_{verb}")
        with _translated():
            return call(path) if body is None else call(path, post_data=body)

    def walk(self, path: str, kind: type[T], query: dict[str, Any]) -> Iterator[T]:
        """Return all items of a list, page after page as they are asked for."""
        with _translated():
            pages = self._api.http_list(path, query_data=query, iterator=True)
            for item in islice(pages, MAX_NOTES):
                yield msgspec.convert(item, type=kind)
            if next(iter(pages), None) is not None:
                raise ForgeError(f"GitLab lists more than {MAX_NOTES:,} items at {path}.")

    def notes_path(self, number: int) -> str:
        """Return where the notes of a merge request are."""
        return f"{self._root}/merge_requests/{number}/notes"

    def note_url(self, number: int, note: int) -> str:
        """Return the page that shows a note."""
        return f"{self._site}/{self._project}/-/merge_requests/{number}#note_{note}"

    def is_us(self, user: _User | None) -> bool:
        """Whether a user is the token's; GitLab is asked once, and only if need be."""
        return user is not None and user.id == self.user_id

    @property
    def user_id(self) -> int:
        """The id of the token's user, asked for once."""
        if self._user is None:
            self._user = self.ask("get", "/user", _User).id
        return self._user

    def wait(self, error: ForgeError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._client.wait(error, tries=tries)

    def warn(self, text: str) -> None:
        """Say what did not work."""
        self._progress.warn(text)

    def _describe(self, found: _MergeRequest) -> PullRequest:
        return PullRequest(
            number=found.iid,
            head_sha=found.sha or "",
            head_branch=found.source_branch,
            head_repository=self._find_head(found),
            base_branch=found.target_branch,
            is_open=found.state == "opened",
        )

    def _find_head(self, found: _MergeRequest) -> str | None:
        if found.source_project_id is None:
            return None
        if found.source_project_id == found.target_project_id:
            return self._project
        try:
            fork = self.ask("get", f"/projects/{found.source_project_id}", _Project)
        except (NotFoundError, ForgeDeniedError):
            return None  # a private fork is as good as none
        return fork.path_with_namespace

    def _upload(self, name: str, data: bytes) -> str:
        with _translated():
            answer = self._api.http_post(f"{self._root}/uploads", files={"file": (name, data)})
            made = msgspec.convert(answer, type=_Upload)
        if made.full_path is None:  # before GitLab 12
            return f"{self._site}/{self._project}{made.url}"
        parts = urlsplit(self._site)
        return f"{parts.scheme}://{parts.netloc}{made.full_path}"


class _Notes:
    """The notes of one merge request, as ``sticky.post`` wants them."""

    def __init__(self, forge: GitLabForge, number: int) -> None:
        self._forge = forge
        self._number = number
        self._path = forge.notes_path(number)

    def check(self, body: str) -> None:
        """Refuse what is too long."""
        if len(body) > MAX_NOTE_CHARACTERS:
            raise ForgeError(
                f"The comment has {len(body):,} characters; GitLab takes {MAX_NOTE_CHARACTERS:,}.",
                hint="Lower `report.max_bytes` in modelci.yaml.",
            )

    def list_ours(self, marker: str) -> Sequence[StickyComment]:
        """Return our own notes with the marker; a system's notes are nobody's."""
        query = {"sort": "asc", "order_by": "created_at", "per_page": 100}
        return [
            StickyComment(
                key=note.id, url=self._forge.note_url(self._number, note.id), body=note.body
            )
            for note in self._forge.walk(self._path, _Note, query)
            if not note.system and has_marker(note.body, marker) and self._forge.is_us(note.author)
        ]

    def create(self, body: str) -> str:
        """Create a note."""
        made = self._forge.ask("post", self._path, _Note, {"body": body})
        return self._forge.note_url(self._number, made.id)

    def update(self, comment: StickyComment, body: str) -> str:
        """Replace a note's text."""
        self._forge.ask("put", f"{self._path}/{comment.key}", _Note, {"body": body})
        return comment.url

    def delete(self, comment: StickyComment) -> None:
        """Delete a note."""
        try:
            self._forge.send("delete", f"{self._path}/{comment.key}")
        except NotFoundError:
            return

    def hide(self, comment: StickyComment, *, marker: str) -> None:
        """Fold a note's text: GitLab has nothing to hide one by."""
        self.update(comment, retire(comment.body, marker, collapse=True))

    def wait(self, error: LookAgainError, *, tries: int) -> None:
        """Pause, out of the time for waiting."""
        self._forge.wait(error, tries=tries)

    def warn(self, text: str) -> None:
        """Say what did not work."""
        self._forge.warn(text)


def _tame(body: str) -> str:
    """Take from a text what only GitLab obeys, and other forges show as it is.

    A line that begins with ``/merge`` is done, but not with a blank before it, which Markdown does
    not see; ``!12`` leaves a note on that merge request, but not with a space of no width in it.
    """
    return _REFERENCE.sub("!\u200b", _COMMAND.sub(" /", body))


def _clip(text: str) -> str:
    limit = MAX_DESCRIPTION_CHARACTERS
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (GitlabError, msgspec.ValidationError, LookupError, TypeError) as error:
        # python-gitlab takes what should be a list for one.
        raise ForgeError(
            f"GitLab answered with something unexpected: {error}.",
            hint="Is the API's URL right? CI_API_V4_URL has it in a job.",
        ) from error
