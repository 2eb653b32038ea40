"""How the workflows that ``modelci init`` writes install modelci: from an index, or as one says."""

import re
from urllib.parse import urlsplit

from modelci import __version__
from modelci.errors import UsageError

_LIKE = "'modelci @ git+https://HOST/OWNER/modelci@COMMIT'"
_OURS = re.compile(rf"pip install (['\"]?)modelci(?:\[(\w+)\])?=={re.escape(__version__)}\1")
_ADDRESS = re.compile(r"[A-Za-z0-9._~:/@+%=-]+(?:#[A-Za-z0-9._~=&/-]+)?")
"""What means nothing to a shell in quotes, to YAML or to a runner."""
_COMMIT = re.compile(r"@[0-9a-f]{40}(?:[0-9a-f]{24})?$", re.ASCII)


def install_by(text: str, requirement: str) -> str:
    """Return a workflow that installs modelci by ``requirement``, each job's extra kept.

    ``text`` is one of ours, which installs this version from a package index. Raises UsageError
    for what is no requirement of modelci, or may mean another modelci tomorrow.
    """
    extras, source = _parse(requirement)

    def line(found: re.Match[str]) -> str:
        wanted = sorted(extras | ({found[2]} if found[2] else set()))
        names = f"[{','.join(wanted)}]" if wanted else ""
        return f"pip install 'modelci{names}{source}'"

    return _OURS.sub(line, text)


def _parse(requirement: str) -> tuple[set[str], str]:
    """Return the extras, and what comes after the name: `` @ URL`` or ``==1.2.3``."""
    from packaging.requirements import (  # noqa: PLC0415 - one option needs it
        InvalidRequirement,
        Requirement,
    )

    try:
        found = Requirement(requirement)
    except InvalidRequirement as error:
        raise _refused(requirement, "is no requirement", f"Write {_LIKE}.") from error
    if found.name.lower() != "modelci":
        raise _refused(requirement, "does not name modelci", f"Write {_LIKE}.")
    if found.marker is not None:
        raise _refused(requirement, "has a condition", "The jobs need modelci in any case.")
    if found.url is not None:
        _check_address(found.url)
        return set(found.extras), f" @ {found.url}"
    pins = list(found.specifier)
    if len(pins) != 1 or pins[0].operator != "==" or "*" in pins[0].version:
        raise _refused(
            requirement, "pins no version", f"Write 'modelci=={__version__}', or {_LIKE}."
        )
    return set(found.extras), str(pins[0])


def _check_address(url: str) -> None:
    """Raise UsageError for what holds a secret, means a shell something, or can be changed."""
    parts = urlsplit(url)
    if not _ADDRESS.fullmatch(url):
        raise _refused(url, "has characters that a workflow cannot hold", f"Write {_LIKE}.")
    if parts.password or (parts.username and not parts.scheme.endswith("ssh")):
        raise _refused(
            parts.hostname or "the address",
            "is given with credentials, which do not belong into Git",
            "Leave them out: the jobs' own Git credentials or pip's settings have them.",
        )
    if parts.scheme.startswith("git+") and not _COMMIT.search(parts.path):
        raise _refused(
            url,
            "names no commit",
            "End it with @COMMIT, all digits: what a branch or a tag names can be changed under "
            "you.",
        )


def _refused(what: str, why: str, hint: str) -> UsageError:
    return UsageError(f"--install: {what!r} {why}.", hint=hint)
