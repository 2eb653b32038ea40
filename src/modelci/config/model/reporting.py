"""The report, its comment, and the forge that takes it."""

from dataclasses import dataclass
from enum import StrEnum


class CommentMode(StrEnum):
    """What becomes of an earlier comment: it is updated, left alone, or hidden below a new one."""

    UPDATE = "update"
    NEW = "new"
    HIDE_AND_NEW = "hide-and-new"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentConfig:
    """``on_change_only`` posts nothing where nothing changed (an earlier comment is updated).

    ``pictures`` lets plots be stored on the forge to be seen in the comment, for ``keep_days``.
    ``check`` reports the verdict as a check run (or commit status) of this name too.
    """

    mode: CommentMode = CommentMode.UPDATE
    on_change_only: bool = False
    pictures: bool = False
    keep_days: int = 90
    check: str = "modelci"


class ForgeKind(StrEnum):
    """Which forge to talk to; ``auto`` asks the environment."""

    AUTO = "auto"
    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeConfig:
    """``path`` is the local forge's folder."""

    kind: ForgeKind = ForgeKind.AUTO
    path: str = ".modelci/forge"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportConfig:
    """``title`` heads the comment and tells two reports on one pull request apart.

    ``history`` is how many commits of the default branch the sparklines look back. ``plots`` lets
    the report hold DVC's plots. ``templates`` is a folder of Jinja templates that override parts
    of the comment and the page.
    """

    title: str = "Model report"
    max_bytes: int = 65_000
    history: int = 20
    plots: bool = True
    templates: str | None = None
