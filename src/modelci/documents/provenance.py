"""A version's provenance as an in-toto Statement v1 with a SLSA provenance v1 predicate.

Sources: https://in-toto.io/Statement/v1, https://slsa.dev/provenance/v1. The statement is not
signed; what is said in it is as good as the place that it was read from.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from modelci.domain.changes import Scalar
from modelci.domain.provenance import Provenance
from modelci.errors import ConfigError

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:modelci:dvc-pipeline:v1"
MEDIA_TYPE = "application/vnd.in-toto+json"
MAX_BYTES = 16 * 1024 * 1024

_SOURCE = "git+"


class _Resource(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str | None = None
    uri: str | None = None
    digest: dict[str, str] = {}


class _Parameters(msgspec.Struct, kw_only=True, rename="camel"):
    artifact: str
    path: str
    params: dict[str, Any]
    ref: str
    repository: str | None


class _Internal(msgspec.Struct, kw_only=True):
    stages: list[str] = []


class _Definition(msgspec.Struct, kw_only=True, rename="camel"):
    build_type: str
    external_parameters: _Parameters
    internal_parameters: _Internal = msgspec.field(default_factory=_Internal)
    resolved_dependencies: list[_Resource] = []


class _Builder(msgspec.Struct, kw_only=True):
    id: str
    version: dict[str, str] = {}


class _Metadata(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=True):
    invocation_id: str | None = None
    started_on: str | None = None


class _Details(msgspec.Struct, kw_only=True):
    builder: _Builder
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    byproducts: list[_Resource] = []


class _Predicate(msgspec.Struct, kw_only=True, rename="camel"):
    build_definition: _Definition
    run_details: _Details


class _Statement(msgspec.Struct, kw_only=True, rename="camel"):
    type: str = msgspec.field(name="_type")
    subject: list[_Resource]
    predicate_type: str
    predicate: _Predicate


def encode_provenance(made: Provenance) -> bytes:
    """Return the statement as indented JSON; equal provenances have equal bytes."""
    repository = f"{_SOURCE}{made.repository}" if made.repository else None
    source = _Resource(name="source", uri=repository, digest={"gitCommit": made.commit})
    locks = [
        _Resource(name=path, digest={"gitBlob": blob}) for path, blob in sorted(made.locks.items())
    ]
    statement = _Statement(
        type=STATEMENT,
        subject=_resources(made.subjects),
        predicate_type=PREDICATE,
        predicate=_Predicate(
            build_definition=_Definition(
                build_type=BUILD_TYPE,
                external_parameters=_Parameters(
                    artifact=made.artifact,
                    path=made.path,
                    params={key: _plain(value) for key, value in sorted(made.params.items())},
                    ref=f"refs/tags/{made.tag}",
                    repository=repository,
                ),
                internal_parameters=_Internal(stages=list(made.stages)),
                resolved_dependencies=[source, *locks, *_resources(made.inputs)],
            ),
            run_details=_Details(
                builder=_Builder(
                    id=made.builder, version={"modelci": made.version} if made.version else {}
                ),
                metadata=_Metadata(invocation_id=made.invocation, started_on=made.started),
                byproducts=_resources(made.byproducts),
            ),
        ),
    )
    return msgspec.json.format(msgspec.json.encode(statement), indent=2) + b"\n"


def decode_provenance(data: bytes, *, source: str) -> Provenance:
    """Read a statement of ours strictly, or raise ConfigError naming ``source``."""
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{source} is larger than {MAX_BYTES // 1024**2} MiB.")
    try:
        read = msgspec.json.decode(data, type=_Statement)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is no provenance of a model: {error}.") from error
    definition = read.predicate.build_definition
    kinds = (read.type, read.predicate_type, definition.build_type)
    if kinds != (STATEMENT, PREDICATE, BUILD_TYPE):
        raise ConfigError(
            f"{source} is another kind of statement: {', '.join(kinds)}.",
            hint=f"modelci reads {STATEMENT} with {PREDICATE}, as a release's provenance.json.",
        )
    asked = definition.external_parameters
    return Provenance(
        tag=asked.ref.removeprefix("refs/tags/"),
        artifact=asked.artifact,
        path=asked.path,
        commit=_commit(definition.resolved_dependencies, source),
        repository=asked.repository.removeprefix(_SOURCE) if asked.repository else None,
        subjects=_by_name(read.subject, source),
        locks={
            one.name: one.digest["gitBlob"]
            for one in definition.resolved_dependencies
            if one.name and "gitBlob" in one.digest
        },
        inputs=_by_name(
            [one for one in definition.resolved_dependencies if not _GIT & set(one.digest)], source
        ),
        params={key: _scalar(value, source) for key, value in asked.params.items()},
        stages=tuple(definition.internal_parameters.stages),
        byproducts=_by_name(read.predicate.run_details.byproducts, source),
        builder=read.predicate.run_details.builder.id,
        version=read.predicate.run_details.builder.version.get("modelci", ""),
        invocation=read.predicate.run_details.metadata.invocation_id,
        started=read.predicate.run_details.metadata.started_on,
    )


_GIT = {"gitCommit", "gitBlob"}


def _resources(digests: Mapping[str, Mapping[str, str]]) -> list[_Resource]:
    return [
        _Resource(name=name, digest=dict(sorted(one.items())))
        for name, one in sorted(digests.items())
    ]


def _by_name(found: list[_Resource], source: str) -> dict[str, dict[str, str]]:
    named = {one.name: one.digest for one in found if one.name is not None}
    if len(named) != len(found):
        raise ConfigError(f"{source} is no provenance of ours: its parts need names of their own.")
    return named


def _commit(found: list[_Resource], source: str) -> str:
    commits = [one.digest["gitCommit"] for one in found if "gitCommit" in one.digest]
    if len(commits) != 1:
        raise ConfigError(f"{source} names {len(commits)} commits; a version has one.")
    return commits[0]


def _plain(value: Scalar) -> Scalar:
    """Return a value that JSON has: NaN and infinities stand as text."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _scalar(value: object, source: str) -> Scalar:
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise ConfigError(f"{source} holds a parameter that is no plain value.")
