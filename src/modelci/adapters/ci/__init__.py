"""The CI system around us: its variables, event, summary, outputs. Only here is os.environ read."""

import os
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from modelci.domain.events import CIContext

_MAX_SUMMARY_BYTES = 1024 * 1024

_SECRETS = frozenset(
    """ACTIONS_CACHE_URL ACTIONS_ID_TOKEN_REQUEST_TOKEN ACTIONS_ID_TOKEN_REQUEST_URL
    ACTIONS_RESULTS_URL ACTIONS_RUNTIME_TOKEN ACTIONS_RUNTIME_URL CI_BUILD_TOKEN
    CI_DEPENDENCY_PROXY_PASSWORD CI_DEPLOY_PASSWORD CI_JOB_JWT CI_JOB_JWT_V2 CI_JOB_TOKEN
    CI_REGISTRY_PASSWORD CI_REPOSITORY_URL FORGEJO_TOKEN GH_ENTERPRISE_TOKEN GH_TOKEN
    GITEA_TOKEN GITHUB_ENTERPRISE_TOKEN GITHUB_TOKEN GITLAB_TOKEN MODELCI_SERVE_TOKEN
    MODELCI_SIGNING_KEY_PEM MODELCI_SIGNING_PASSWORD MODELCI_TOKEN
    MODELCI_WEBHOOK_SECRET SIGSTORE_ID_TOKEN""".split()
)
# Gitea's and Forgejo's runners give the same files by names of their own too.
_RUNNER_FILES = frozenset(
    f"{forge}_{file}"
    for forge in ("FORGEJO", "GITEA", "GITHUB")
    for file in ("ENV", "OUTPUT", "PATH", "STATE", "STEP_SUMMARY")
)


def stage_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for user code: no forge token, no file that steers the runner."""
    hidden = _SECRETS | _RUNNER_FILES
    return {name: value for name, value in environ.items() if name not in hidden}


_BARE = frozenset(
    """HOME LANG LC_ALL LC_CTYPE LD_LIBRARY_PATH OMP_NUM_THREADS OPENBLAS_NUM_THREADS PATH
    SYSTEMROOT TEMP TMP TMPDIR TZ USER""".split()
)


def bare_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for a process that loads a model: no credentials of any kind."""
    return {name: value for name, value in environ.items() if name in _BARE}


_INSTALLING = frozenset(
    """ALL_PROXY CC CFLAGS CURL_CA_BUNDLE CXX HTTPS_PROXY HTTP_PROXY LDFLAGS NETRC NO_PROXY
    PYENV_ROOT REQUESTS_CA_BUNDLE SSL_CERT_DIR SSL_CERT_FILE SSL_CLIENT_CERT XDG_CACHE_HOME
    XDG_CONFIG_DIRS XDG_CONFIG_HOME XDG_DATA_HOME""".split()
)


def installing_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for pip and uv: how to get packages here, and no other credentials."""
    return {
        name: value
        for name, value in environ.items()
        if name in _BARE or name.upper() in _INSTALLING or name.startswith(("PIP_", "UV_"))
    }


def signing_secrets(environ: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """Return the private key that models are signed with (PEM), and the password of a key."""
    pem, password = environ.get("MODELCI_SIGNING_KEY_PEM"), environ.get("MODELCI_SIGNING_PASSWORD")
    return pem or None, password or None


def webhook_secret(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the secret that webhooks are signed with, None where there is none."""
    return environ.get("MODELCI_WEBHOOK_SECRET") or None


def git_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for Git: messages in English, which are read, and no questions."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
    return {**environ, "LANGUAGE": "C", "LC_ALL": "C", **quiet}


def overrides(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the ``MODELCI_*`` variables."""
    return {name: value for name, value in environ.items() if name.startswith("MODELCI_")}


_TOKENS = {
    "github": ("GITHUB_TOKEN", "GH_TOKEN"),
    "gitlab": ("GITLAB_TOKEN",),
    "gitea": ("GITEA_TOKEN", "FORGEJO_TOKEN"),
}


def forge_token_names(kind: str) -> tuple[str, ...]:
    """Return the variables that may hold the token of that kind of forge, the usual one first."""
    return _TOKENS.get(kind, _TOKENS["github"])


def forge_token(environ: Mapping[str, str] = os.environ, *, kind: str = "github") -> str | None:
    """Return the token to talk to that kind of forge with, None where there is none.

    One forge's token is never another's, but Gitea's runners call theirs GITHUB_TOKEN too.
    """
    names = _TOKENS.get(kind, ())
    if kind == "gitea":
        from modelci.adapters.ci.gitea import runs_us  # noqa: PLC0415

        names += ("GITHUB_TOKEN",) if runs_us(environ) else ()
    return next((environ[name] for name in names if environ.get(name)), None)


def serve_token(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the bearer token that `modelci serve` asks of its clients, None where it asks none."""
    return environ.get("MODELCI_SERVE_TOKEN") or None


def wants_no_colour(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether https://no-color.org is asked for, or a terminal that cannot."""
    return bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"


def wants_colour(environ: Mapping[str, str] = os.environ, *, is_terminal: bool) -> bool:
    """Whether to colour what goes to a stream: a terminal, or what FORCE_COLOR says takes it.

    CLICOLOR_FORCE says so too; 0 is no wish, and NO_COLOR beats both.
    """
    if environ.get("NO_COLOR"):
        return False
    if any(environ.get(name, "0") not in {"", "0"} for name in ("FORCE_COLOR", "CLICOLOR_FORCE")):
        return True
    return is_terminal and not wants_no_colour(environ)


def detect(environ: Mapping[str, str] = os.environ) -> "CIContext":
    """Return what is known of the job that runs us; all None outside of CI."""
    from modelci.domain.events import CIContext  # noqa: PLC0415 - Git's environment needs none

    systems = (import_module(f"{__name__}.{name}") for name in SYSTEMS)
    found: Iterator[CIContext | None] = (system.detect(environ) for system in systems)
    return next((context for context in found if context is not None), CIContext())


SYSTEMS = ("gitlab", "gitea", "github")  # Gitea before GitHub, which its runners claim to be
"""The CI systems, each a module with ``detect``; the first that knows itself is believed."""


def write_summary(text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Append to the step's summary page; False where there is none, or no room left in its 1 MiB.

    GitHub drops a page that is larger, with all that the step wrote there before.
    """
    path = environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return False
    page = (text + "\n").encode()
    with _file(path).open("ab") as file:
        if file.tell() + len(page) > _MAX_SUMMARY_BYTES:
            return False
        file.write(page)
    return True


def write_outputs(values: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> bool:
    """Set the step's outputs; False where there are none to set."""
    path = environ.get("GITHUB_OUTPUT")
    if not path:
        return False
    from secrets import token_hex  # noqa: PLC0415 - brings hashlib and hmac, seldom needed

    with _file(path).open("a", encoding="utf-8") as file:
        for name, value in values.items():
            # A value cannot end its own block early: nobody can guess the delimiter.
            mark = f"modelci_{token_hex(16)}"
            file.write(f"{name}<<{mark}\n{value}\n{mark}\n")
    return True


def _file(path: str) -> "Path":
    from pathlib import Path  # noqa: PLC0415 - every command loads this module, few write a file

    return Path(path)
