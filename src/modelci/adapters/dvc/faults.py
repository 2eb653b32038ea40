"""What goes wrong between us and a DVC remote, in our words; loads nothing of DVC's pipeline."""

import errno
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dvc.exceptions import DvcException
from dvc_objects.fs.errors import RemoteMissingDepsError

from modelci.errors import ModelCIError, PipelineError

_DENIED_STATUS = frozenset({401, 403, 407})
# What says so by neither Python's PermissionError nor a status of HTTP.
_DENIED = frozenset(
    """ClientAuthenticationError CredentialRetrievalError DefaultCredentialsError ForbiddenOperation
    NoCredentialsError PartialCredentialsError PermissionDenied RefreshError TokenRetrievalError
    UnauthorizedSSOTokenError""".split()
)
_EXTRAS = {"webdavs": "webdav", "s3": "s3", "ssh": "ssh", "gs": "gs", "azure": "azure"}
_HTTP = (
    "Give this job its user and password: `dvc remote modify --local {name} user USER` and "
    "`… password PASSWORD`"
)
_CREDENTIALS = {
    "s3": "Give this job AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or a role (OIDC) "
    "that may s3:GetObject there, and s3:ListBucket: without that S3 says the same of what is not "
    "there.",
    "gs": "Give this job GOOGLE_APPLICATION_CREDENTIALS, or a workload identity that may "
    "storage.objects.get there.",
    "azure": "Give this job AZURE_STORAGE_CONNECTION_STRING, or the account's name with a key, a "
    "SAS token or an identity.",
    "ssh": "Give this job a key that lets it in: in ssh-agent, or by `dvc remote modify --local "
    "{name} keyfile PATH` (and `… user USER`).",
    "webdav": f"{_HTTP}, or `… token TOKEN`.",
    "webdavs": f"{_HTTP}, or `… token TOKEN`.",
    "http": f"{_HTTP}, with `dvc remote modify {{name}} auth basic`.",
    "https": f"{_HTTP}, with `dvc remote modify {{name}} auth basic`.",
    "": "Let this user read that folder and what lies in it.",
}
_USUAL = "Check its URL and this job's credentials (`dvc remote list`, `dvc status --cloud`)."


@dataclass(frozen=True, slots=True)
class RemoteLabel:
    """What to call a DVC remote in messages: its name, and its URL without credentials."""

    name: str
    url: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.url})" if self.url else self.name

    @property
    def scheme(self) -> str:
        """The URL's scheme; a folder of this machine has none."""
        return urlsplit(self.url).scheme

    @classmethod
    def of(cls, config: Mapping[str, Any], name: str) -> "RemoteLabel":
        """Return that of a remote as DVC's configuration has it."""
        url = str(config["remote"].get(name.lower(), {}).get("url", ""))
        return cls(name, without_credentials(url))


def no_remote() -> PipelineError:
    """Return the error for a repository that has no default remote."""
    return PipelineError(
        "No default DVC remote is configured.",
        hint="`dvc remote add --default NAME URL`, and commit .dvc/config.",
    )


def remote_failed(
    doing: str, remote: RemoteLabel, error: Exception, heard: Sequence[str] = ()
) -> ModelCIError:
    """Return the error for a remote that does not do what we ask; ``heard`` is what DVC warned."""
    if lacks_plugin(error):
        scheme = remote.scheme or "all"
        extra = _EXTRAS.get(scheme, scheme)
        ours = "modelci" if extra in _EXTRAS.values() else "dvc"
        return PipelineError(
            f"The DVC remote {remote} needs a plug-in that is not installed here: "
            f"{describe(error)}.",
            hint=f"pip install '{ours}[{extra}]'",
        )
    if is_disk_full(error):
        return disk_full(error)
    reasons = "; ".join((*heard[-3:], describe(error)))
    if is_denied(error):
        hint = _CREDENTIALS.get(remote.scheme, _USUAL).format(name=remote.name)
        return PipelineError(
            f"Could not {doing} the DVC remote {remote}: access is denied ({reasons}).", hint=hint
        )
    return PipelineError(f"Could not {doing} the DVC remote {remote}: {reasons}.", hint=_USUAL)


def disk_full(error: BaseException) -> PipelineError:
    """Return the error for a disk with no room left."""
    return PipelineError(
        f"The disk is full: {error}.",
        hint="Free space, or move DVC's cache (`dvc cache dir PATH`); then run again.",
    )


def lacks_plugin(error: BaseException) -> bool:
    """Whether DVC has no way to talk to such a remote here."""
    return any(isinstance(one, (RemoteMissingDepsError, ImportError)) for one in causes(error))


def is_denied(error: BaseException) -> bool:
    """Whether whoever keeps the remote knows us and says no, or wants to know who we are."""
    return any(
        isinstance(one, PermissionError)
        or type(one).__name__ in _DENIED
        or any(getattr(one, name, None) in _DENIED_STATUS for name in ("status", "status_code"))
        for one in causes(error)
    )


def is_disk_full(error: BaseException) -> bool:
    """Whether there is no room left on a disk of ours."""
    full = {errno.ENOSPC, errno.EDQUOT}
    return any(isinstance(one, OSError) and one.errno in full for one in causes(error))


def describe(error: BaseException) -> str:
    """Return the messages of an error and its causes, each once, as one line."""
    parts: list[str] = []
    for cause in causes(error):
        text = " ".join(str(cause).split()).rstrip(".") or type(cause).__name__
        if not isinstance(cause, DvcException | OSError | ModelCIError):
            text = f"{type(cause).__name__}: {text}"
        if not any(text in part for part in parts):
            parts.append(text)
    return ": ".join(parts)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it came from, and so on."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def without_credentials(url: str) -> str:
    """Return a URL without user and password."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
