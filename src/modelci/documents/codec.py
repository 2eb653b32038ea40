"""Reads and writes the documents; the domain's dataclasses are their schema.

Field names are the dataclasses', numbers are unrounded, null is explicit, and a document names
its schema and version: ``{"schema": "modelci.report/1", …}``. Readers ignore fields they do not
know, since within a version fields are only added.
"""

from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import msgspec

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
from modelci.errors import ConfigError

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
T = TypeVar("T", Run, Report, Promotion, Golden, Health, Release, Profile, Monitoring, Retraining)

SCHEMAS: dict[type, str] = {
    Run: "modelci.run/1",
    Plan: "modelci.plan/1",
    Report: "modelci.report/1",
    Promotion: "modelci.promotion/1",
    RegistryChange: "modelci.change/1",
    Verification: "modelci.verification/1",
    VersionCheck: "modelci.version-check/1",
    ModelSigning: "modelci.model-signing/1",
    Registry: "modelci.registry/1",
    RegistryHistory: "modelci.registry-history/1",
    RegistryStages: "modelci.registry-stages/1",
    RegistryRef: "modelci.registry-ref/1",
    RegistryDiff: "modelci.registry-diff/1",
    Examination: "modelci.examination/1",
    History: "modelci.history/1",
    Golden: "modelci.golden/1",
    Health: "modelci.health/1",
    Scan: "modelci.scan/1",
    Release: "modelci.release/1",
    Deployment: "modelci.deployment/1",
    Deployments: "modelci.deployments/1",
    Profile: "modelci.profile/1",
    Monitoring: "modelci.monitor/1",
    Retraining: "modelci.retraining/1",
}

MAX_BYTES = 64 * 1024 * 1024
"""A document from another job is untrusted; larger ones are not read."""


_SLICE = 1_000  # how many entries of a list are text at a time


def encode(document: Document) -> str:
    """Return the document as indented JSON text that ends in a newline."""
    return b"".join(pieces(document)).decode()


def pieces(document: Document) -> Iterator[bytes]:
    """Yield that text in UTF-8, piece by piece: whole, it takes more memory than the document."""
    opening = b"{"
    for name, value in _members(document):
        yield b'%b\n  "%b": ' % (opening, name.encode())
        yield from _slices(value) if isinstance(value, tuple) else (_indented(value),)
        opening = b","
    yield b"\n}\n"


def _members(document: Document) -> Iterator[tuple[str, object]]:
    yield "schema", SCHEMAS[type(document)]
    if isinstance(document, (Report, Monitoring)):
        yield "ok", document.is_ok
        yield "verdict", document.verdict
    if isinstance(document, Verification):
        yield "ok", document.ok
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
        if head.schema != SCHEMAS[kind]:
            raise ConfigError(
                f"{source} is a {head.schema!r}, not a {SCHEMAS[kind]!r}.",
                hint="Use the same modelci version in every job.",
            )
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is no {SCHEMAS[kind]} document: {error}.") from error


def read(kind: type[T], path: Path) -> T:
    """Read a document from a file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.", hint=_HINTS.get(kind)
        ) from error
    return decode(kind, data, source=str(path))


def write(document: Document, path: Path) -> None:
    """Write a document, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.writelines(pieces(document))
    part.replace(path)


class _Envelope(msgspec.Struct):
    schema: str = "(no schema)"


_HINTS: dict[type, str] = {
    Report: "`modelci report` writes it; name another with --report.",
    Run: "`modelci run` writes it.",
}
