"""A forge in memory, held to the same contract as the real ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelci.adapters.forge import deploying, issuing, proposing
from modelci.adapters.forge.deploying import Known
from modelci.adapters.forge.failures import LookAgainError
from modelci.adapters.forge.issuing import KnownIssue
from modelci.adapters.forge.pictures import name_pictures
from modelci.adapters.forge.proposing import KnownProposal
from modelci.adapters.forge.releasing import NO_FILES
from modelci.adapters.forge.sticky import NOBODY, StickyComment, has_marker, post, retire
from modelci.config.model import CommentMode
from modelci.errors import ForgeDeniedError, ForgeError, UsageError
from modelci.ports import (
    Check,
    ForgeDeployment,
    Issue,
    PostedCheck,
    PostedComment,
    PostedDeployment,
    PostedIssue,
    PostedProposal,
    PostedRelease,
    Proposal,
    ProposalState,
    PullRequest,
    Writer,
)


@dataclass(kw_only=True)
class FakeComment:
    number: int
    author: str
    body: str
    is_hidden: bool = False
    is_deleted: bool = False


@dataclass(kw_only=True)
class FakeForge:
    """Comments in the order written; releases (title, body) and tags (commit, message) by name;
    ``assets`` are the releases' files.

    Put in what the world has (``pulls`` by number, ``artifacts`` as {path: bytes} by run and
    name, the ``labels`` of merges by sha), name in ``denied`` the methods that a token may not use,
    and look at what was posted: ``checks`` in the order set, ``pictures`` by file name,
    ``dispatches`` (workflow, tag, inputs), ``deployed`` with the newest first, ``proposals`` and
    ``issues`` by number (an issue with its author and whether it is open), ``said`` (number, text)
    where one was closed. Without ``has_checks`` a commit status is set instead.
    """

    name: str = "the fake forge"
    login: str = "modelci"
    comments: list[FakeComment] = field(default_factory=list)
    releases: dict[str, tuple[str, str]] = field(default_factory=dict)
    assets: dict[str, dict[str, bytes]] = field(default_factory=dict)
    prereleases: set[str] = field(default_factory=set)
    latest: str | None = None
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)
    has_checks: bool = True
    pictures: dict[str, bytes] = field(default_factory=dict)
    keep_days: int | None = None
    artifacts: dict[tuple[int, str], dict[str, bytes]] = field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    dispatches: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    deployed: list[Known] = field(default_factory=list)
    proposals: dict[int, tuple[Proposal, KnownProposal]] = field(default_factory=dict)
    issues: dict[int, tuple[str, bool, KnownIssue]] = field(default_factory=dict)
    said: list[tuple[int, str]] = field(default_factory=list)
    denied: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

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
        self._refuse("upsert_comment")
        store = _Comments(forge=self, number=number)
        return post(store, body, marker=marker, writer=writer, mode=mode, create=create)

    def pull_request(self, number: int) -> PullRequest:
        self._refuse("pull_request")
        if number not in self.pulls:
            raise UsageError(f"There is no pull request {number}.", hint="Check the number.")
        return self.pulls[number]

    def find_pull_request(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        self._refuse("find_pull_request")
        for _, pull in sorted(self.pulls.items(), reverse=True):
            theirs = (pull.head_repository or "").partition("/")[0] == owner
            if pull.is_open and theirs and (pull.head_branch, pull.head_sha) == (branch, sha):
                return pull
        return None

    def set_check(self, check: Check) -> PostedCheck:
        self._refuse("set_check")
        self.checks.append(check)
        kind = "check run" if self.has_checks else "commit status"
        return PostedCheck(kind=kind, url=f"https://forge.example/checks/{len(self.checks)}")

    def store_pictures(self, pictures: Mapping[str, bytes], *, keep_days: int) -> Mapping[str, str]:
        self._refuse("store_pictures")
        self.keep_days = keep_days
        names = name_pictures(pictures)
        self.pictures.update({names[name]: data for name, data in pictures.items()})
        return {name: f"https://forge.example/pictures/{file}" for name, file in names.items()}

    def read_artifact(self, run_id: int, name: str, path: str, *, max_bytes: int) -> bytes:
        self._refuse("read_artifact")
        data = self.artifacts.get((run_id, name), {}).get(path)
        if data is None or len(data) > max_bytes:
            what = "no" if data is None else "too large a"
            raise ForgeError(f"Run {run_id} has {what} {path!r} in its artifact {name!r}.")
        return data

    def publish_release(
        self,
        tag: str,
        *,
        title: str,
        body: str,
        assets: Mapping[str, bytes] = NO_FILES,
        prerelease: bool = False,
        latest: bool = True,
    ) -> PostedRelease:
        self._refuse("publish_release")
        kept = self.assets.setdefault(tag, {})
        notes = [f"{name} is left" for name in assets if kept.get(name, b"") != assets[name]]
        notes = notes if kept else []
        kept.update({name: data for name, data in assets.items() if name not in kept})
        self.releases[tag] = (title, body)
        self.prereleases |= {tag} if prerelease else set()
        self.latest = tag if latest and not prerelease else self.latest
        url = f"https://forge.example/releases/{tag}"
        return PostedRelease(tag=tag, url=url, notes=tuple(notes))

    def read_release_asset(self, tag: str, name: str, *, max_bytes: int) -> bytes:
        data = self.assets.get(tag, {}).get(name) if tag in self.releases else None
        if data is None or len(data) > max_bytes:
            raise ForgeError(f"There is no {name} of {tag}, or it is too large.")
        return data

    def record_tag(self, tag: str, *, commit: str, message: str) -> None:
        self.tags[tag] = (commit, message)

    def labels_of(self, sha: str) -> tuple[str, ...]:
        self._refuse("labels_of")
        return self.labels.get(sha, ())

    def dispatch(self, workflow: str, *, tag: str, inputs: Mapping[str, str]) -> None:
        self._refuse("dispatch")
        self.dispatches.append((workflow, tag, dict(inputs)))

    def set_deployment(self, deployment: ForgeDeployment) -> PostedDeployment:
        self._refuse("set_deployment")
        return deploying.set_deployment(_Deployments(forge=self), deployment)

    def deployments(
        self, environment: str | None = None, *, limit: int
    ) -> tuple[PostedDeployment, ...]:
        self._refuse("deployments")
        return deploying.list_deployments(_Deployments(forge=self), environment, limit)

    def find_proposal(self, branch: str, *, base: str) -> PostedProposal | None:
        self._refuse("find_proposal")
        return proposing.find_proposal(_Proposals(forge=self), branch, base)

    def propose(self, proposal: Proposal) -> PostedProposal:
        self._refuse("propose")
        return proposing.propose(_Proposals(forge=self), proposal)

    def withdraw(self, branch: str, *, base: str, why: str) -> PostedProposal | None:
        self._refuse("withdraw")
        return proposing.withdraw(_Proposals(forge=self), branch, base, why)

    def upsert_issue(self, issue: Issue) -> PostedIssue:
        self._refuse("upsert_issue")
        return issuing.upsert_issue(_Issues(forge=self), issue)

    def close_issue(self, marker: str, *, why: str) -> PostedIssue | None:
        self._refuse("close_issue")
        return issuing.close_issue(_Issues(forge=self), marker, why)

    def change_proposal(self, number: int, **fields: object) -> None:
        wanted, known = self.proposals[number]
        self.proposals[number] = (wanted, replace(known, **fields))  # type: ignore[arg-type]

    def next_number(self) -> int:
        return max([*self.proposals, *self.issues, 0]) + 1

    def _refuse(self, method: str) -> None:
        if method in self.denied:
            raise ForgeDeniedError(
                f"The fake forge refused {method}.",
                hint="Write `fake: write` below `permissions:`.",
            )


@dataclass(frozen=True, kw_only=True)
class _Comments:
    forge: FakeForge
    number: int

    def check(self, body: str) -> None: ...

    def list_ours(self, marker: str) -> list[StickyComment]:
        return [
            StickyComment(key=index, url=self._url(index), body=one.body)
            for index, one in enumerate(self.forge.comments)
            if (one.number, one.author) == (self.number, self.forge.login)
            and not one.is_deleted
            and has_marker(one.body, marker)
        ]

    def create(self, body: str) -> str:
        comment = FakeComment(number=self.number, author=self.forge.login, body=body)
        self.forge.comments.append(comment)
        return self._url(len(self.forge.comments) - 1)

    def update(self, comment: StickyComment, body: str) -> str:
        self.forge.comments[int(comment.key)].body = body
        return comment.url

    def delete(self, comment: StickyComment) -> None:
        self.forge.comments[int(comment.key)].is_deleted = True

    def hide(self, comment: StickyComment, *, marker: str) -> None:
        hidden = self.forge.comments[int(comment.key)]
        hidden.is_hidden, hidden.body = True, retire(comment.body, marker, collapse=False)

    def wait(self, error: LookAgainError, *, tries: int) -> None: ...

    def warn(self, text: str) -> None:
        self.forge.warnings.append(text)

    def _url(self, index: int) -> str:
        return f"https://forge.example/pull/{self.number}#comment-{index}"


@dataclass(frozen=True, kw_only=True)
class _Deployments:
    forge: FakeForge
    tells_replaced: bool = False

    def history(self, environment: str | None, artifact: str | None) -> Iterator[Known]:
        for one in list(self.forge.deployed):
            known = one.deployment
            if environment in {None, known.environment} and artifact in {None, known.artifact}:
                yield one

    def keeps(self, wanted: ForgeDeployment) -> ForgeDeployment:
        return wanted

    def create(self, wanted: ForgeDeployment) -> Known:
        number = len(self.forge.deployed) + 1
        url = f"https://forge.example/deployments/{number}"
        made = Known(key=number, deployment=wanted, url=url, creator=self.forge.login)
        self.forge.deployed.insert(0, made)
        return made

    def update(self, known: Known, wanted: ForgeDeployment) -> Known:
        made = replace(known, deployment=wanted)
        self.forge.deployed = [made if one == known else one for one in self.forge.deployed]
        return made

    def wait(self, error: LookAgainError, *, tries: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Proposals:
    forge: FakeForge
    max_characters: int = 65_536

    def find(self, branch: str, *, base: str) -> KnownProposal | None:
        found = [
            known
            for wanted, known in reversed(self.forge.proposals.values())
            if (wanted.branch, wanted.base) == (branch, base)
        ]
        opened = [one for one in found if one.state is ProposalState.OPEN]
        return next(iter(opened + found), None)

    def create(self, wanted: Proposal) -> KnownProposal:
        number = self.forge.next_number()
        known = KnownProposal(
            number=number,
            url=f"https://forge.example/pull/{number}",
            state=ProposalState.OPEN,
            head_sha=wanted.head_sha,
            title=wanted.title,
            body=wanted.body,
        )
        self.forge.proposals[number] = (wanted, known)
        return known

    def update(self, known: KnownProposal, *, title: str, body: str, sha: str) -> None:
        self.forge.change_proposal(known.number, title=title, body=body, head_sha=sha)

    def label(self, known: KnownProposal, labels: Sequence[str]) -> None:
        self.forge._refuse("label")
        self.forge.change_proposal(known.number, labels=(*known.labels, *labels))

    def merge_when_ready(self, known: KnownProposal, *, sha: str) -> None:
        self.forge._refuse("merge_when_ready")
        assert self.forge.proposals[known.number][1].head_sha == sha
        self.forge.change_proposal(known.number, merges_itself=True)

    def close(self, known: KnownProposal, *, why: str) -> None:
        self.forge.said.append((known.number, why))
        self.forge.change_proposal(known.number, state=ProposalState.CLOSED)

    def wait(self, error: LookAgainError, *, tries: int) -> None: ...


@dataclass(frozen=True, kw_only=True)
class _Issues:
    forge: FakeForge
    max_characters: int = 65_536

    def list_ours(self, marker: str) -> list[KnownIssue]:
        return [
            one
            for author, is_open, one in self.forge.issues.values()
            if is_open and author == self.forge.login and has_marker(one.body, marker)
        ]

    def create(self, title: str, body: str) -> KnownIssue:
        number = self.forge.next_number()
        url = f"https://forge.example/issues/{number}"
        made = KnownIssue(number=number, url=url, title=title, body=body)
        self.forge.issues[number] = (self.forge.login, True, made)
        return made

    def update(self, known: KnownIssue, *, title: str, body: str) -> None:
        self._set(replace(known, title=title, body=body))

    def label(self, known: KnownIssue, labels: Sequence[str]) -> None:
        self.forge._refuse("label")
        _, _, now = self.forge.issues[known.number]
        self._set(replace(now, labels=(*now.labels, *labels)))

    def close(self, known: KnownIssue, *, why: str) -> None:
        self.forge.said.append((known.number, why))
        self.forge.issues[known.number] = (self.forge.login, False, known)

    def wait(self, error: LookAgainError, *, tries: int) -> None: ...

    def _set(self, issue: KnownIssue) -> None:
        self.forge.issues[issue.number] = (self.forge.login, True, issue)
