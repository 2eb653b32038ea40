"""Pull requests of one repository on GitHub."""

from urllib.parse import quote

import msgspec

from modelci.adapters.forge.failures import NotFoundError
from modelci.adapters.forge.github_identity import Identity, User, ask_graphql
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeError, UsageError
from modelci.ports import PullRequest

_NEEDS = "pull-requests: read"
_QUERY = """\
query($owner: String!, $name: String!, $number: Int!) {
  viewer { login }
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      state headRefOid headRefName baseRefName headRepository { nameWithOwner }
    }
  }
}"""


class _Repository(msgspec.Struct):
    full_name: str


class _Ref(msgspec.Struct):
    ref: str
    sha: str
    user: User | None = None
    repo: _Repository | None = None


class _Pull(msgspec.Struct):
    number: int
    state: str
    head: _Ref
    base: _Ref


class _Label(msgspec.Struct):
    name: str


class _Labelled(msgspec.Struct):
    labels: list[_Label] = []
    merged_at: str | None = None


class _HeadRepository(msgspec.Struct, rename="camel"):
    name_with_owner: str


class _Node(msgspec.Struct, rename="camel"):
    state: str
    head_ref_oid: str
    head_ref_name: str
    base_ref_name: str
    head_repository: _HeadRepository | None = None


class _NodeHolder(msgspec.Struct, rename="camel"):
    pull_request: _Node | None = None


class _Answer(msgspec.Struct):
    viewer: User
    repository: _NodeHolder | None = None


class GitHubPulls:
    """Reads pull requests; ``root`` is ``/repos/OWNER/NAME``."""

    def __init__(self, client: ForgeClient, root: str, identity: Identity) -> None:
        self._client = client
        self._root = root
        self._identity = identity

    def read(self, number: int) -> PullRequest:
        """Return a pull request; UsageError where there is none of that number.

        As long as nobody knows whose token this is, both are asked in one request.
        """
        pull = None if self._identity.known is not None else self._read_with_login(number)
        return pull or self._read_alone(number)

    def find(self, *, owner: str, branch: str, sha: str) -> PullRequest | None:
        """Return the open pull request from that branch whose head is ``sha``.

        One branch can be proposed to several bases; then the one opened last is meant. GitHub
        ignores a filter that it does not understand: what it lists is compared again.
        """
        head = quote(f"{owner}:{branch}", safe="")
        query = f"state=open&head={head}&sort=created&direction=desc&per_page=100"
        reply = self._client.send("GET", f"{self._root}/pulls?{query}", needs=_NEEDS)
        for pull in self._client.decode(reply, list[_Pull]):
            theirs = pull.head.user is not None and (
                pull.head.user.login.casefold() == owner.casefold()
            )
            if theirs and (pull.head.ref, pull.head.sha) == (branch, sha):
                return _convert(pull)
        return None

    def labels_of(self, sha: str) -> tuple[str, ...]:
        """Return the labels of the merged pull requests that a commit belongs to, sorted."""
        path = f"{self._root}/commits/{quote(sha, safe='')}/pulls?per_page=100"
        reply = self._client.send("GET", path, needs=_NEEDS)
        pulls = self._client.decode(reply, list[_Labelled])
        return tuple(sorted({one.name for pull in pulls if pull.merged_at for one in pull.labels}))

    def _read_alone(self, number: int) -> PullRequest:
        try:
            reply = self._client.send("GET", f"{self._root}/pulls/{number}", needs=_NEEDS)
        except NotFoundError as error:
            raise UsageError(str(error), hint=error.hint) from error
        return _convert(self._client.decode(reply, _Pull))

    def _read_with_login(self, number: int) -> PullRequest | None:
        _, _, owner, name = self._root.split("/")
        variables: dict[str, object] = {"owner": owner, "name": name, "number": number}
        try:
            answer = ask_graphql(self._client, _QUERY, variables, kind=_Answer)
        except ForgeError:
            return None  # REST has its own say, and better words for a refusal
        self._identity.learn(answer.viewer.login)
        node = answer.repository and answer.repository.pull_request
        if not node:
            return None
        return PullRequest(
            number=number,
            head_sha=node.head_ref_oid,
            head_branch=node.head_ref_name,
            head_repository=node.head_repository.name_with_owner if node.head_repository else None,
            base_branch=node.base_ref_name,
            is_open=node.state == "OPEN",
        )


def _convert(pull: _Pull) -> PullRequest:
    return PullRequest(
        number=pull.number,
        head_sha=pull.head.sha,
        head_branch=pull.head.ref,
        head_repository=pull.head.repo.full_name if pull.head.repo else None,
        base_branch=pull.base.ref,
        is_open=pull.state == "open",
    )
