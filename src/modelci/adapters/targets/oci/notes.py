"""An image that holds a note instead of a program: how a registry remembers what it is told."""

import tarfile
from dataclasses import dataclass

import msgspec

from modelci.adapters.targets.oci.assembly import NOTE, Assembly, list_layers, pull_whole
from modelci.adapters.targets.oci.registry import OtherBytesError, Registry
from modelci.domain.switches import SCHEMA, Switches
from modelci.errors import DeploymentError

_FILE = "state.json"
_NAME = "note"
_MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """Reads and writes the switches of a target under the tag ``tag`` of a repository."""

    tag: str
    assembly: Assembly

    def read(self, registry: Registry) -> Switches | None:
        """Return what is kept there; None where nothing is yet."""
        digest = registry.digest(self.tag)
        return None if digest is None else self._decode(registry, self._pull(registry, digest))

    def write(self, registry: Registry, switches: Switches) -> None:
        """Replace what is kept there, from one moment to the next."""
        data = msgspec.json.format(msgspec.json.encode(switches), indent=1)
        self.assembly.build_note({_FILE: data}, _NAME)
        registry.push(self.assembly.layout, _NAME, self.tag)

    def _pull(self, registry: Registry, digest: str) -> bytes:
        try:
            with self.assembly.scratch() as scratch:
                layout = scratch / "layout"
                pull_whole(registry, digest, layout)
                (layer,) = list_layers(layout, digest)
                with tarfile.open(layer, "r:*") as tar:
                    file = tar.extractfile(f"{NOTE}/{_FILE}")
                    return file.read(_MOST_BYTES) if file else b""
        except (OtherBytesError, tarfile.TarError, KeyError, ValueError) as error:
            raise self._unreadable(registry, str(error)) from error

    def _decode(self, registry: Registry, data: bytes) -> Switches:
        try:
            found = msgspec.json.decode(data, type=Switches)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._unreadable(registry, str(error)) from error
        if found.schema != SCHEMA:
            raise self._unreadable(registry, f"it is a {found.schema!r}, not a {SCHEMA!r}")
        return found

    def _unreadable(self, registry: Registry, why: str) -> DeploymentError:
        return DeploymentError(
            f"{registry}:{self.tag}, which says what runs, cannot be read: {why}.",
            hint="Use a modelci as new as the one that wrote it; or delete that tag and deploy "
            "again: what ran before is forgotten then.",
        )
