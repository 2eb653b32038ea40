"""The statement: by in-toto's and SLSA's schemas, the same bytes each time, and read strictly."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from modelci.documents.provenance import MAX_BYTES, decode_provenance, encode_provenance
from modelci.domain.provenance import Provenance
from modelci.errors import ConfigError

COMMIT = "c" * 40
MADE = Provenance(
    tag="models=credit@v1.2.0",
    artifact="models:credit",
    path="models/credit.pkl",
    commit=COMMIT,
    builder="https://github.com/actions/runner",
    repository="https://github.com/acme/credit.git",
    subjects={"models/credit.pkl": {"md5": "a" * 32, "sha256": "b" * 64}},
    locks={"dvc.lock": "d" * 40, "models/dvc.lock": "e" * 40},
    inputs={"rows": {"dvc_md5_dir": "1" * 32}},
    params={"params.yaml:lr": 0.1, "params.yaml:seed": 7, "params.yaml:name": None},
    stages=("train", "evaluate"),
    byproducts={"report.json": {"sha256": "f" * 64}},
    version="1.0",
    invocation="https://github.com/acme/credit/actions/runs/42",
    started="2026-01-02T03:04:05Z",
)

RESOURCE = {
    # in-toto's ResourceDescriptor: a name, a URI or a digest at least, and no other fields.
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "uri": {"type": "string", "format": "uri"},
        "digest": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "string", "pattern": "^[0-9a-f]+$"},
        },
    },
    "anyOf": [{"required": ["name"]}, {"required": ["uri"]}, {"required": ["digest"]}],
    "additionalProperties": False,
}
SCHEMA = {
    # Written after https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1.
    "type": "object",
    "required": ["_type", "subject", "predicateType", "predicate"],
    "additionalProperties": False,
    "properties": {
        "_type": {"const": "https://in-toto.io/Statement/v1"},
        "subject": {
            "type": "array",
            "minItems": 1,
            "items": {**RESOURCE, "required": ["digest"]},
        },
        "predicateType": {"const": "https://slsa.dev/provenance/v1"},
        "predicate": {
            "type": "object",
            "required": ["buildDefinition", "runDetails"],
            "additionalProperties": False,
            "properties": {
                "buildDefinition": {
                    "type": "object",
                    "required": ["buildType", "externalParameters"],
                    "additionalProperties": False,
                    "properties": {
                        "buildType": {"type": "string", "pattern": "^[a-z+.-]+:"},
                        "externalParameters": {"type": "object"},
                        "internalParameters": {"type": "object"},
                        "resolvedDependencies": {"type": "array", "items": RESOURCE},
                    },
                },
                "runDetails": {
                    "type": "object",
                    "required": ["builder"],
                    "additionalProperties": False,
                    "properties": {
                        "builder": {
                            "type": "object",
                            "required": ["id"],
                            "additionalProperties": False,
                            "properties": {
                                "id": {"type": "string", "pattern": "^[a-z+.-]+:"},
                                "version": {
                                    "type": "object",
                                    "additionalProperties": {"type": "string"},
                                },
                            },
                        },
                        "metadata": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "invocationId": {"type": "string"},
                                "startedOn": {
                                    "type": "string",
                                    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$",
                                },
                                "finishedOn": {"type": "string"},
                            },
                        },
                        "byproducts": {"type": "array", "items": RESOURCE},
                    },
                },
            },
        },
    },
}
LEAST = replace(
    MADE, repository=None, locks={}, inputs={}, params={}, stages=(), byproducts={}, version="",
    invocation=None, started=None,
)  # fmt: skip


@pytest.mark.parametrize("made", [MADE, LEAST])
def test_the_statement_keeps_the_schemas_and_is_read_back(made: Provenance) -> None:
    data = encode_provenance(made)
    Draft202012Validator.check_schema(SCHEMA)
    assert [
        error.message for error in Draft202012Validator(SCHEMA).iter_errors(json.loads(data))
    ] == []
    assert decode_provenance(data, source="x") == made


def test_the_order_of_what_is_said_makes_no_difference() -> None:
    turned = replace(
        MADE,
        locks=dict(reversed(list(MADE.locks.items()))),
        params=dict(reversed(list(MADE.params.items()))),
        subjects={"models/credit.pkl": {"sha256": "b" * 64, "md5": "a" * 32}},
    )
    assert encode_provenance(turned) == encode_provenance(MADE)


names = st.text(min_size=1, max_size=12)
digests = st.dictionaries(st.sampled_from(["md5", "sha256"]), st.just("ab"), min_size=1)


@given(
    st.dictionaries(names, digests, min_size=1, max_size=4),
    st.dictionaries(names, st.none() | st.booleans() | st.integers(-5, 5) | st.text(), max_size=4),
    names,
)
def test_any_names_and_values_survive(
    subjects: dict[str, dict[str, str]], params: dict[str, None], path: str
) -> None:
    made = replace(MADE, subjects=subjects, params=params, path=path)
    assert decode_provenance(encode_provenance(made), source="x") == made


def test_a_parameter_that_is_no_number_stands_as_text() -> None:
    made = replace(MADE, params={"params.yaml:limit": float("inf")})
    assert decode_provenance(encode_provenance(made), source="x").params == {
        "params.yaml:limit": "inf"
    }


TEXT = encode_provenance(MADE).decode()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no provenance"),
        ("[]", "no provenance"),
        ("{}", "no provenance"),
        ("[" * 100_000, "no provenance"),
        (TEXT.replace("Statement/v1", "Statement/v0.1"), "another kind of statement"),
        (TEXT.replace("provenance/v1", "provenance/v0.2"), "another kind of statement"),
        (TEXT.replace("urn:modelci:dvc-pipeline:v1", "https://example.org"), "another kind"),
        (TEXT.replace("gitCommit", "gitcommit"), "names 0 commits"),
        (TEXT.replace("gitBlob", "gitCommit"), "names 3 commits"),
        (TEXT.replace('"name": "report.json",', ""), "need names"),
        (TEXT.replace('"params.yaml:seed": 7', '"params.yaml:seed": [7]'), "no plain value"),
        (" " * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_is_no_statement_of_ours_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        decode_provenance(text.encode(), source="x")
