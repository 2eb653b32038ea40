"""Which forge to talk to: as configured, as the CI system says, or as the remote's URL tells."""

import re
from dataclasses import dataclass

from modelci.config.model import ForgeConfig, ForgeKind
from modelci.domain.events import CIContext
from modelci.errors import ConfigError

_REMOTE = re.compile(
    r"(?:(?P<scheme>https?)://(?:[^@/]+@)?(?P<site>[\w.-]+(?::\d+)?)/"
    r"|ssh://[\w.-]+@(?P<ssh>[\w.-]+)(?::\d+)?/"
    r"|[\w.-]+@(?P<scp>[\w.-]+):)"
    r"(?P<repository>(?:[\w.-]+/)+[\w.-]+?)(?:\.git)?/?"
)
_API = "https://api.github.com"
_KNOWN_HOSTS = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "codeberg.org": "gitea",
    "gitea.com": "gitea",
}
_FIRST_WORDS = {"gitlab": "gitlab", "gitea": "gitea", "forgejo": "gitea"}
_API_PATHS = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1"}
_KINDS = frozenset(_API_PATHS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeChoice:
    """A forge's kind and, where it has one, the repository there (``owner/name``)."""

    kind: str
    repository: str | None = None
    api_url: str = _API


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remote:
    """Where a Git remote is; over SSH the site's scheme and port are taken for the usual ones."""

    scheme: str
    host: str
    repository: str

    @property
    def kind(self) -> str | None:
        name = self.host.partition(":")[0]
        return _KNOWN_HOSTS.get(name) or _FIRST_WORDS.get(name.partition(".")[0])

    def api_url(self, kind: str) -> str:
        return (
            _API if self.host == "github.com" else f"{self.scheme}://{self.host}{_API_PATHS[kind]}"
        )


def choose_forge(settings: ForgeConfig, context: CIContext, remote_url: str | None) -> ForgeChoice:
    """Decide; ConfigError where nothing tells."""
    if settings.kind is ForgeKind.LOCAL:
        return ForgeChoice(kind="local")
    wanted = None if settings.kind is ForgeKind.AUTO else settings.kind.value
    return _by_ci(wanted, context) or _by_remote(wanted, _parse(remote_url)) or _give_up(wanted)


def _by_ci(wanted: str | None, context: CIContext) -> ForgeChoice | None:
    """Return the forge that runs us, unless another one is wanted."""
    kind = context.provider or "github"
    if context.repository is None or kind not in _KINDS or wanted not in {None, kind}:
        return None
    api_url = context.api_url or (_API if kind == "github" else None)
    if api_url is None:
        return None
    return ForgeChoice(kind=kind, repository=context.repository, api_url=api_url)


def _by_remote(wanted: str | None, remote: _Remote | None) -> ForgeChoice | None:
    kind = wanted or (remote.kind if remote else None)
    if remote is None or kind is None:
        return None
    return ForgeChoice(kind=kind, repository=remote.repository, api_url=remote.api_url(kind))


def _parse(remote_url: str | None) -> _Remote | None:
    found = _REMOTE.fullmatch(remote_url or "")
    if found is None:
        return None
    host = found["site"] or found["ssh"] or found["scp"]
    scheme = found["scheme"] or "https"
    return _Remote(scheme=scheme, host=host.lower(), repository=found["repository"])


def _give_up(wanted: str | None) -> ForgeChoice:
    which = f"{wanted} is wanted, but where is it?" if wanted else "Which forge?"
    raise ConfigError(
        f"{which} Neither the CI system nor the Git remote tells.",
        hint="In modelci.yaml set `forge: {kind: github}` (or gitlab, gitea) where the Git remote "
        "is an https or ssh address there, or `forge: {kind: local}` to write comments to a "
        "folder, or run in GitHub Actions (GITHUB_REPOSITORY), GitLab CI or Gitea Actions.",
    )
