"""Which forge to talk to: as configured, as the CI system says, or as the remote's URL tells."""

import re
from dataclasses import dataclass

from modelci.config.model import ForgeConfig, ForgeKind
from modelci.domain.events import CIContext
from modelci.errors import ConfigError

_GITHUB = re.compile(
    r"(?:https://(?:[^@/]+@)?|ssh://git@|git@)github\.com[:/](?P<repository>[\w.-]+/[\w.-]+?)"
    r"(?:\.git)?/?"
)
_API = "https://api.github.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeChoice:
    """A forge's kind and, where it has one, the repository there (``owner/name``)."""

    kind: str
    repository: str | None = None
    api_url: str = _API


def choose_forge(settings: ForgeConfig, context: CIContext, remote_url: str | None) -> ForgeChoice:
    """Decide; ConfigError where nothing tells."""
    if settings.kind is ForgeKind.LOCAL:
        return ForgeChoice(kind="local")
    found = _GITHUB.fullmatch(remote_url or "")
    repository = context.repository or (found["repository"] if found else None)
    if repository is not None:
        return ForgeChoice(kind="github", repository=repository, api_url=context.api_url or _API)
    raise ConfigError(
        "Which forge? Neither the CI system nor the Git remote tells.",
        hint="In modelci.yaml set `forge: {kind: local}` to write comments to a folder, or run "
        "in GitHub Actions (GITHUB_REPOSITORY).",
    )
