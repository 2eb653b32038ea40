"""Artifacts of workflow runs on GitHub."""

from urllib.parse import quote

import msgspec

from modelci.adapters.forge.archive import read_member
from modelci.adapters.forge.http import ForgeClient
from modelci.errors import ForgeError

MAX_ARCHIVE_BYTES = 50 * 1024 * 1024

_NEEDS = "actions: read"


class _Artifact(msgspec.Struct):
    id: int
    name: str
    size_in_bytes: int
    expired: bool


class _Artifacts(msgspec.Struct):
    artifacts: list[_Artifact]


def read_artifact(
    client: ForgeClient, root: str, run_id: int, name: str, path: str, *, max_bytes: int
) -> bytes:
    """Return one file of the run's newest artifact of that name.

    A re-run of the workflow adds an artifact of the same name; the greater id is the newer.
    """
    query = f"name={quote(name, safe='')}&per_page=100"
    reply = client.send("GET", f"{root}/actions/runs/{run_id}/artifacts?{query}", needs=_NEEDS)
    listed = client.decode(reply, _Artifacts).artifacts
    found = [one for one in listed if one.name == name and not one.expired]
    if not found:
        raise ForgeError(
            f"Run {run_id} has no artifact {name!r}"
            + (": it has expired." if any(one.name == name for one in listed) else "."),
            hint="Did the first workflow come as far as its upload-artifact step?",
        )
    newest = max(found, key=lambda one: one.id)
    # Refused before it is fetched; what comes is counted all the same.
    if newest.size_in_bytes > MAX_ARCHIVE_BYTES:
        raise ForgeError(
            f"The artifact {name!r} of run {run_id} is larger than {MAX_ARCHIVE_BYTES:,} bytes."
        )
    where = f"{root}/actions/artifacts/{newest.id}/zip"
    archive = client.download(where, max_bytes=MAX_ARCHIVE_BYTES, needs=_NEEDS)
    return read_member(archive, path, max_bytes=max_bytes)
