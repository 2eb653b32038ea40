"""Where pull requests, issues, checks, releases and deployments live."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from modelci.config.model import CommentMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Which run wrote a comment, and on which head; kept in it, unseen.

    Runs of one repository have growing ids; ``attempt`` counts the re-runs of one.
    """

    run_id: int | None = None
    attempt: int = 1
    head_sha: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A pull request as the forge has it now; ``head_repository`` is None once it is deleted."""

    number: int
    head_sha: str
    head_branch: str
    head_repository: str | None
    base_branch: str
    is_open: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedComment:
    """A comment on a pull request; ``action`` is created, updated, unchanged or outdated.

    Outdated: a newer run, or one of a newer head, has written there; its comment is left alone.
    """

    url: str
    action: str


class CheckStatus(StrEnum):
    """Where a check stands."""

    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The verdict as a forge shows it beside a commit; ``summary`` is Markdown."""

    name: str
    sha: str
    status: CheckStatus
    title: str
    summary: str = ""
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedCheck:
    """``kind`` is a check run or a commit status."""

    kind: str
    url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedRelease:
    """A release on the forge; ``notes`` say what of it could not be brought up to date."""

    tag: str
    url: str
    notes: tuple[str, ...] = ()


class DeploymentStatus(StrEnum):
    """How far a deployment has come; an inactive one was replaced, or taken away."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeDeployment:
    """What a tag brings to an environment, which several artifacts may share.

    ``version`` is as people write it (v1.2.0), None where only a commit is deployed.
    ``description`` is a line about the status, which forges cut to their size. ``log_url`` leads
    to the run that deploys, ``environment_url`` to what is deployed.
    """

    environment: str
    artifact: str
    version: str | None
    tag: str
    sha: str
    status: DeploymentStatus
    description: str = ""
    log_url: str | None = None
    environment_url: str | None = None
    is_production: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedDeployment:
    """A deployment as the forge has it; ``kind`` is a deployment or a commit status.

    ``action`` is created, updated or unchanged. ``seconds`` is when it got its status (Unix time),
    ``creator`` who deployed, where the forge tells.
    """

    deployment: ForgeDeployment
    kind: str
    action: str
    url: str | None = None
    seconds: int | None = None
    creator: str | None = None


class ProposalState(StrEnum):
    """Where a pull request of ours stands; closed is closed without a merge."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A pull request of ours, from ``branch`` of the repository itself to ``base``.

    In its text the ``marker`` line and all below it are ours; what people write above it stays.
    ``head_sha`` is what the branch names. ``auto_merge`` lets the forge merge that commit once all
    that it requires has passed.
    """

    branch: str
    base: str
    head_sha: str
    title: str
    body: str
    marker: str
    labels: tuple[str, ...] = ()
    auto_merge: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedProposal:
    """A pull request as the forge has it; ``action`` is created, updated, unchanged or closed.

    ``notes`` say what of it could not be brought about (a label, the merge by itself).
    """

    number: int
    url: str
    state: ProposalState
    head_sha: str
    action: str = "unchanged"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """An issue of ours, found again by the ``marker`` line in its text while it is open."""

    title: str
    body: str
    marker: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PostedIssue:
    """An issue as the forge has it; ``action`` is created, updated, unchanged or closed."""

    number: int
    url: str
    action: str
    notes: tuple[str, ...] = ()


_NOBODY = Writer()

_NO_FILES: Mapping[str, bytes] = {}


class Forge(Protocol):
    """Where pull requests and releases live."""

    @property
    def name(self) -> str:
        """What to call it in messages."""

    def upsert_comment(
        self,
        number: int,
        body: str,
        *,
        marker: str,
        writer: Writer = _NOBODY,
        mode: CommentMode = CommentMode.UPDATE,
        create: bool = True,
    ) -> PostedComment | None:
        """Update our comment with that ``marker`` line, or create it; leave an equal one alone.

        An older ``writer`` never replaces a newer one's. Further comments of ours with the marker
        are deleted. Without ``create`` only an existing one is updated, else None is returned.
        """

    def pull_request(self, number: int) -> PullRequest:
        """Return a pull request; UsageError where there is none of that number."""

    def find_pull_request(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        """Return the open pull request from that owner's branch whose head is ``sha``."""

    def set_check(self, check: Check) -> PostedCheck:
        """Create or update the check of that name on that commit.

        Where check runs are not allowed, or unknown, a commit status says the same.
        """

    def store_pictures(self, pictures: Mapping[str, bytes], *, keep_days: int) -> Mapping[str, str]:
        """Store images for a comment in the forge itself; return their addresses by name.

        What is older than ``keep_days`` is removed. Raises ForgeDeniedError where the token may
        not, or the forge has no place for them.
        """

    def read_artifact(self, run_id: int, name: str, path: str, *, max_bytes: int) -> bytes:
        """Return one file out of a workflow run's artifact, read in memory.

        Raises ForgeError for what is missing, larger, or no honest archive.
        """

    def publish_release(
        self,
        tag: str,
        *,
        title: str,
        body: str,
        assets: Mapping[str, bytes] = _NO_FILES,
        prerelease: bool = False,
        latest: bool = True,
    ) -> PostedRelease:
        """Create the release of a tag with its files, or complete and update it.

        It becomes public when all of it is there; one that was cut short is found again. Files
        that are published already are left. ``latest`` lets it be shown as the newest.
        """

    def read_release_asset(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        """Return a file of a published release; ForgeError where there is none, or a larger."""

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        """Learn of a tag that was created; a forge that receives the pushes ignores it."""

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """Return the labels of the merged pull requests that a commit belongs to."""

    def dispatch(self, workflow: str, *, tag: str, inputs: Mapping[str, str]) -> None:
        """Start a workflow by its file's name, as it is at that tag.

        Raises ForgeError with what is missing: a permission, the file, or its trigger.
        """

    def set_deployment(self, deployment: ForgeDeployment) -> PostedDeployment:
        """Create the deployment of that tag to that environment, or find it again; set its status.

        Its success makes inactive what the environment had of the same artifact, and of no other.
        What was replaced and is deployed anew is another deployment. A forge that knows no
        deployments gets a commit status.
        """

    def deployments(
        self, environment: str | None = None, *, limit: int
    ) -> tuple[PostedDeployment, ...]:
        """Return the deployments made last, to one environment or all, the newest first.

        Raises ForgeError where the forge keeps no list of them.
        """

    def find_proposal(self, branch: str, *, base: str) -> PostedProposal | None:
        """Return the newest pull request from a branch of the repository itself, however it ended.

        An open one comes before newer ones that are not.
        """

    def propose(self, proposal: Proposal) -> PostedProposal:
        """Open the pull request of a branch, or bring the open one up to date; never a second.

        Raises ForgeDeniedError with the permission that is missing.
        """

    def withdraw(self, branch: str, *, base: str, why: str) -> PostedProposal | None:
        """Close the open pull request of a branch, with a comment; None where there is none."""

    def upsert_issue(self, issue: Issue) -> PostedIssue:
        """Open the issue with that ``marker``, or bring the open one of ours up to date."""

    def close_issue(self, marker: str, *, why: str) -> PostedIssue | None:
        """Close our open issue with that ``marker``, with a comment; None where there is none."""
