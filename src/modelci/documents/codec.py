"""Reads and writes the documents; the domain's dataclasses are their schema.

Field names are the dataclasses', numbers are unrounded, null is explicit, and a document names
its schema and version: ``{"schema": "modelci.report/1", …}``. Readers ignore fields they do not
know, since within a version fields are only added.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from modelci.errors import ConfigError

if TYPE_CHECKING:
    from modelci.documents.registry import Registry
    from modelci.documents.registry_views import (
        RegistryDiff,
        RegistryHistory,
        RegistryRef,
        RegistryStages,
    )
    from modelci.domain.checks import Examination
    from modelci.domain.deployment import Deployment, Deployments, Release
    from modelci.domain.golden import Golden, Health
    from modelci.domain.history import History
    from modelci.domain.modelfiles import Scan
    from modelci.domain.modelsignatures import ModelSigning
    from modelci.domain.monitoring import Monitoring
    from modelci.domain.pipeline import Plan, Run
    from modelci.domain.profile import Profile
    from modelci.domain.promotion import Promotion
    from modelci.domain.provenance import VersionCheck
    from modelci.domain.report import Report
    from modelci.domain.retraining import Retraining
    from modelci.domain.rollback import RegistryChange
    from modelci.domain.signatures import Verification

    Document = (
        Run
        | Plan
        | Report
        | Promotion
        | Registry
        | RegistryHistory
        | RegistryStages
        | RegistryRef
        | RegistryDiff
        | Examination
        | History
        | RegistryChange
        | Verification
        | VersionCheck
        | Golden
        | Health
        | Scan
        | ModelSigning
        | Release
        | Deployment
        | Deployments
        | Profile
        | Monitoring
        | Retraining
    )


T = TypeVar(
    "T",
    "Run",
    "Report",
    "Promotion",
    "Golden",
    "Health",
    "Release",
    "Profile",
    "Monitoring",
    "Retraining",
)

SCHEMAS: Mapping[str, str] = {
    "modelci.domain.pipeline.Run": "modelci.run/1",
    "modelci.domain.pipeline.Plan": "modelci.plan/1",
    "modelci.domain.report.Report": "modelci.report/1",
    "modelci.domain.promotion.Promotion": "modelci.promotion/1",
    "modelci.domain.rollback.RegistryChange": "modelci.change/1",
    "modelci.domain.signatures.Verification": "modelci.verification/1",
    "modelci.domain.provenance.VersionCheck": "modelci.version-check/1",
    "modelci.domain.modelsignatures.ModelSigning": "modelci.model-signing/1",
    "modelci.documents.registry.Registry": "modelci.registry/1",
    "modelci.documents.registry_views.RegistryHistory": "modelci.registry-history/1",
    "modelci.documents.registry_views.RegistryStages": "modelci.registry-stages/1",
    "modelci.documents.registry_views.RegistryRef": "modelci.registry-ref/1",
    "modelci.documents.registry_views.RegistryDiff": "modelci.registry-diff/1",
    "modelci.domain.checks.Examination": "modelci.examination/1",
    "modelci.domain.history.History": "modelci.history/1",
    "modelci.domain.golden.Golden": "modelci.golden/1",
    "modelci.domain.golden.Health": "modelci.health/1",
    "modelci.domain.modelfiles.Scan": "modelci.scan/1",
    "modelci.domain.deployment.Release": "modelci.release/1",
    "modelci.domain.deployment.Deployment": "modelci.deployment/1",
    "modelci.domain.deployment.Deployments": "modelci.deployments/1",
    "modelci.domain.profile.Profile": "modelci.profile/1",
    "modelci.domain.monitoring.Monitoring": "modelci.monitor/1",
    "modelci.domain.retraining.Retraining": "modelci.retraining/1",
}
"""The schema of each kind of document, by where its dataclass is: one is loaded when it is used."""

MAX_BYTES = 64 * 1024 * 1024
"""A document from another job is untrusted; larger ones are not read."""


_SLICE = 1_000  # how many entries of a list are text at a time


def schema_of(kind: type) -> str:
    """Return the schema of a kind of document."""
    return SCHEMAS[f"{kind.__module__}.{kind.__qualname__}"]


def encode(document: "Document") -> str:
    """Return the document as indented JSON text that ends in a newline."""
    return b"".join(pieces(document)).decode()


def pieces(document: "Document") -> Iterator[bytes]:
    """Yield that text in UTF-8, piece by piece: whole, it takes more memory than the document."""
    opening = b"{"
    for name, value in _members(document):
        yield b'%b\n  "%b": ' % (opening, name.encode())
        yield from _slices(value) if isinstance(value, tuple) else (_indented(value),)
        opening = b","
    yield b"\n}\n"


def _members(document: "Document") -> Iterator[tuple[str, object]]:
    schema = schema_of(type(document))
    yield "schema", schema
    for name, attribute in _DERIVED.get(schema, {}).items():
        yield name, getattr(document, attribute)
    for field in fields(document):
        yield field.name, getattr(document, field.name)


def _slices(entries: tuple[object, ...]) -> Iterator[bytes]:
    opening, closing = b"[", b"\n  ]"
    for start in range(0, len(entries), _SLICE):
        text = _indented(entries[start : start + _SLICE])
        yield opening + text[1 : -len(closing)]
        opening = b","
    yield closing if entries else b"[]"


def _indented(value: object) -> bytes:
    # JSON's strings hold no newline as such.
    return msgspec.json.format(msgspec.json.encode(value), indent=2).replace(b"\n", b"\n  ")


def decode(kind: type[T], data: bytes, *, source: str) -> T:
    """Read a document of that ``kind``, or raise ConfigError naming ``source``."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source} is larger than {MAX_BYTES // 1024**2} MiB.")
    try:
        head = msgspec.json.decode(data, type=_Envelope)
        if head.schema != schema_of(kind):
            raise ConfigError(
                f"{source} is a {head.schema!r}, not a {schema_of(kind)!r}.",
                hint="Use the same modelci version in every job.",
            )
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is no {schema_of(kind)} document: {error}.") from error


def read(kind: type[T], path: Path) -> T:
    """Read a document from a file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", hint=_HINTS.get(schema_of(kind))
        ) from error
    return decode(kind, data, source=str(path))


def write(document: "Document", path: Path) -> None:
    """Write a document, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.writelines(pieces(document))
    part.replace(path)


class _Envelope(msgspec.Struct):
    schema: str = "(no schema)"


_HINTS = {
    "modelci.report/1": "`modelci report` writes it; name another with --report.",
    "modelci.run/1": "`modelci run` writes it.",
}
_DERIVED: Mapping[str, Mapping[str, str]] = {
    "modelci.report/1": {"ok": "is_ok", "verdict": "verdict"},
    "modelci.monitor/1": {"ok": "is_ok", "verdict": "verdict"},
    "modelci.verification/1": {"ok": "ok"},
}
"""What a document says beside its fields: the names there, and the properties they come from."""
