import pytest

from modelci.config.model import ForgeConfig, ForgeKind
from modelci.domain.events import CIContext
from modelci.errors import ConfigError
from modelci.workflows.forge import ForgeChoice, choose_forge

NOWHERE = CIContext()
GITLAB_JOB = CIContext(
    provider="gitlab", repository="a/b/c", api_url="https://host.example/gitlab/api/v4"
)
GITEA_JOB = CIContext(provider="gitea", repository="a/b", api_url="https://host.example/api/v1")
GITHUB_JOB = CIContext(provider="github", repository="a/b", api_url="https://ghe.example/api/v3")


def choose(
    remote: str | None, kind: ForgeKind = ForgeKind.AUTO, context: CIContext = NOWHERE
) -> tuple[str, str | None, str]:
    choice = choose_forge(ForgeConfig(kind=kind), context, remote)
    return choice.kind, choice.repository, choice.api_url


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/a/b.git", ("github", "a/b", "https://api.github.com")),
        ("git@github.com:a/b.git", ("github", "a/b", "https://api.github.com")),
        ("ssh://git@github.com/a/b", ("github", "a/b", "https://api.github.com")),
        (
            "https://user:secret@gitlab.com/a/b/c.git",
            ("gitlab", "a/b/c", "https://gitlab.com/api/v4"),
        ),
        ("git@gitlab.com:a/b/c.d.git", ("gitlab", "a/b/c.d", "https://gitlab.com/api/v4")),
        (
            "ssh://git@gitlab.acme.example:2222/a/b.git/",
            ("gitlab", "a/b", "https://gitlab.acme.example/api/v4"),
        ),
        ("https://codeberg.org/a/b", ("gitea", "a/b", "https://codeberg.org/api/v1")),
        ("http://Gitea.lan:3000/a/b.git", ("gitea", "a/b", "http://gitea.lan:3000/api/v1")),
        ("forgejo@forgejo.lan:a/b", ("gitea", "a/b", "https://forgejo.lan/api/v1")),
    ],
)
def test_a_remote_tells_its_forge(remote: str, expected: tuple[str, str, str]) -> None:
    assert choose(remote) == expected


@pytest.mark.parametrize(
    "remote",
    [
        None,
        "",
        "/srv/git/credit.git",
        "https://git.example/a/b.git",
        "https://evil.example/github.com/a/b",
        "https://notgitlab.com/a/b",
        "https://github.com.evil.example/a/b",
        "git@github.com:b.git",
        "file:///a/b",
    ],
)
def test_a_remote_that_tells_nothing_is_an_error(remote: str | None) -> None:
    with pytest.raises(ConfigError, match="Which forge") as caught:
        choose(remote)
    assert "forge: {kind: local}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("context", "kind"), [(GITLAB_JOB, "gitlab"), (GITEA_JOB, "gitea"), (GITHUB_JOB, "github")]
)
def test_the_ci_system_s_forge_goes_before_the_remote(context: CIContext, kind: str) -> None:
    expected = (kind, context.repository, context.api_url)
    assert choose("https://github.com/x/y", context=context) == expected


def test_a_repository_alone_is_github_s() -> None:
    context = CIContext(repository="a/b")
    assert choose(None, context=context) == ("github", "a/b", "https://api.github.com")


@pytest.mark.parametrize(
    ("kind", "api_url"),
    [
        (ForgeKind.GITHUB, "https://git.example/api/v3"),
        (ForgeKind.GITLAB, "https://git.example/api/v4"),
        (ForgeKind.GITEA, "https://git.example/api/v1"),
    ],
)
def test_a_configured_kind_says_what_a_remote_is(kind: ForgeKind, api_url: str) -> None:
    assert choose("https://git.example/a/b.git", kind) == (kind.value, "a/b", api_url)


def test_a_configured_kind_is_not_the_ci_system_s_that_is_another() -> None:
    assert choose("https://gitlab.com/x/y", ForgeKind.GITLAB, GITHUB_JOB)[:2] == ("gitlab", "x/y")
    with pytest.raises(ConfigError, match="gitlab is wanted"):
        choose(None, ForgeKind.GITLAB, GITHUB_JOB)


def test_a_configured_kind_is_the_ci_system_s_that_is_the_same() -> None:
    assert choose(None, ForgeKind.GITLAB, GITLAB_JOB) == (
        "gitlab",
        "a/b/c",
        "https://host.example/gitlab/api/v4",
    )


def test_the_local_forge_needs_nothing() -> None:
    choice = choose_forge(ForgeConfig(kind=ForgeKind.LOCAL), GITLAB_JOB, None)
    assert choice == ForgeChoice(kind="local")
