"""The OpenAPI 3.1 description of a server with the model that it has."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelci import __version__
from modelci.domain.golden import InputColumn, OutputColumn, ValueType
from modelci.serving import tensors
from modelci.serving.model import ServedModel
from modelci.serving.schema import MAX_ID

Json = dict[str, Any]

_JSON_TYPE = {
    ValueType.NUMBER: "number",
    ValueType.INTEGER: "integer",
    ValueType.STRING: "string",
    ValueType.BOOLEAN: "boolean",
}
_ANYTHING = ["number", "integer", "string", "boolean", "null"]
_EXAMPLES = 2


def describe(model: ServedModel) -> Json:
    """Return the document; schemas hold the model's own columns."""
    source = model.source
    return {
        "openapi": "3.1.0",
        "info": {
            "title": source.artifact,
            "version": source.version,
            "description": _about(model),
        },
        "paths": _paths(model),
        "components": {
            "schemas": _schemas(model),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "x-modelci": {
            "server": __version__,
            "release": source.release,
            "flavour": model.predictor.flavour,
            "typed": model.schema.typed,
        },
    }


def _about(model: ServedModel) -> str:
    return (
        f"It answers its {model.health.rows} golden requests as it did when they were recorded."
        if model.health.rows
        else "It came without golden requests: what its columns hold is not known for certain."
    )


def _paths(model: ServedModel) -> Json:
    base = f"/v2/models/{model.source.artifact}"
    paths: Json = {
        "/predict": _predict("predict", "Answer rows"),
        f"{base}/records": _predict("records", "Answer rows, as /predict"),
        f"{base}/infer": _infer("infer", model),
        base: {"get": _get("model", "What the model reads and answers", "ModelMetadata")},
        f"{base}/ready": {"get": _probe("modelReady", "Whether the model answers", "Ready")},
    }
    versioned = f"{base}/versions/{model.source.version}"
    paths |= {
        f"{versioned}/records": _predict("recordsOfVersion", "Answer rows by this version"),
        f"{versioned}/infer": _infer("inferOfVersion", model),
        versioned: {"get": _get("version", "What this version reads and answers", "ModelMetadata")},
        f"{versioned}/ready": {
            "get": _probe("versionReady", "Whether this version answers", "Ready")
        },
        "/v2": {"get": _get("server", "What the server is", "ServerMetadata")},
        "/v2/models": {"get": _get("models", "Which models answer here", "ModelIndex")},
        "/v2/health/live": {"get": _probe("live", "Whether the process works", "Live", open_=True)},
        "/v2/health/ready": {
            "get": _probe("ready", "Whether requests should be sent here", "Ready", open_=True)
        },
        "/metrics": {"get": _metrics()},
    }
    return paths


def _predict(operation: str, summary: str) -> Json:
    return {
        "post": {
            "operationId": operation,
            "summary": summary,
            "security": _TOKEN,
            "requestBody": _body("RecordsRequest"),
            "responses": {
                "200": _response("The predictions, in the order of the rows", "RecordsResponse"),
                **_refusals(400, 401, 413, 422, 500, 503, 504),
            },
        }
    }


def _infer(operation: str, model: ServedModel) -> Json:
    return {
        "post": {
            "operationId": operation,
            "summary": "Answer tensors, by the Open Inference Protocol",
            "description": "One input for each column, of shape [n] or [n, 1]: "
            + ", ".join(model.schema.inputs),
            "security": _TOKEN,
            "requestBody": _body("InferenceRequest"),
            "responses": {
                "200": _response("The outputs", "InferenceResponse"),
                **_refusals(400, 401, 413, 500, 503, 504),
            },
        }
    }


def _get(operation: str, summary: str, schema: str) -> Json:
    responses = {"200": _response(summary, schema), **_refusals(401)}
    return {
        "operationId": operation,
        "summary": summary,
        "security": _TOKEN,
        "responses": responses,
    }


def _probe(operation: str, summary: str, schema: str, *, open_: bool = False) -> Json:
    refusals = {} if open_ else _refusals(401)
    return {
        "operationId": operation,
        "summary": summary,
        "security": [] if open_ else _TOKEN,
        "responses": {
            "200": _response("Yes", schema),
            "503": _response("No", schema),
            **refusals,
        },
    }


def _metrics() -> Json:
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "operationId": "metrics",
        "summary": "Counters in Prometheus' text format, of all workers",
        "security": _TOKEN,
        "responses": {"200": {"description": "Metrics", "content": text}, **_refusals(401)},
    }


_TOKEN: list[Json] = [{}, {"bearer": []}]
_REASONS = {
    400: "The request cannot be understood",
    401: "The token is missing or unknown",
    413: "The body is too large",
    422: "Rows are not as the model wants them",
    500: "The server failed",
    503: "Too many requests are waiting",
    504: "The model took too long",
}


def _refusals(*codes: int) -> Json:
    return {str(code): _response(_REASONS[code], "Error") for code in codes}


def _response(description: str, schema: str) -> Json:
    return {"description": description, "content": _content(schema)}


def _body(schema: str) -> Json:
    return {"required": True, "content": _content(schema)}


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _schemas(model: ServedModel) -> Json:
    inputs = tuple(model.schema.inputs.values())
    return {
        "Row": _row(inputs, typed=model.schema.typed),
        "Prediction": _object({one.name: _output(one) for one in model.outputs}),
        "RecordsRequest": _records_request(model),
        "RecordsResponse": _object(
            {
                "id": _TEXT,
                "model": _TEXT,
                "version": _TEXT,
                "predictions": _list(_ref("Prediction")),
                "warnings": _list(_ref("Problem")),
            },
            optional=["warnings"],
        ),
        "Problem": _object(
            {
                "row": {"type": ["integer", "null"], "description": "counts from 0"},
                "column": {"type": ["string", "null"]},
                "message": _TEXT,
            }
        ),
        "Error": _object(
            {"error": _TEXT, "id": _TEXT, "problems": _list(_ref("Problem"))},
            optional=["id", "problems"],
        ),
        **_protocol(model, inputs),
    }


def _records_request(model: ServedModel) -> Json:
    rows = {"type": "array", "items": _ref("Row"), "minItems": 1}
    name = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
    requests = model.golden.requests[:_EXAMPLES] if model.golden else ()
    envelope = _object(
        {
            "records": rows,
            "id": {**name, "type": ["string", "null"], "description": "comes back in the answer"},
            "ids": {
                "type": ["array", "null"],
                "items": name,
                "description": "of each row, for the request log",
            },
        },
        optional=["id", "ids"],
    )
    examples = {"examples": [{"records": [dict(row) for row in requests]}]} if requests else {}
    return {"oneOf": [envelope, rows], **examples}


def _row(inputs: Sequence[InputColumn], *, typed: bool) -> Json:
    return _object({one.name: _input(one, typed=typed) for one in inputs})


def _input(column: InputColumn, *, typed: bool) -> Json:
    kind: str | list[str] = _JSON_TYPE[column.type]
    if not typed:
        return {"type": _ANYTHING}
    found: Json = {"type": [kind, "null"] if column.nullable else kind}
    # What training had is no limit: the model answers other values as well.
    if column.values:
        found["x-training-values"] = list(column.values)
    if column.min is not None and column.max is not None:
        found["x-training-range"] = [column.min, column.max]
    return found


def _output(column: OutputColumn) -> Json:
    plain: Json = {"type": [_JSON_TYPE[column.type], "null"]}
    return _object(dict.fromkeys(column.classes, plain)) if column.classes else plain


def _protocol(model: ServedModel, inputs: Sequence[InputColumn]) -> Json:
    """Return the schemas of the Open Inference Protocol, closer than it has them."""
    parameters = {"type": "object"}
    tensor = {"name": _TEXT, "shape": _list({"type": "integer"}), "datatype": _TEXT}
    data = _list({"type": ["number", "string", "boolean", "null"]})
    described = _object({**tensor, "parameters": parameters}, optional=["parameters"])
    requested = {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": {"type": ["string", "null"], "maxLength": MAX_ID},
            "parameters": parameters,
            "inputs": _list(_request_input(inputs)),
            "outputs": _list(
                {
                    "type": "object",
                    "required": ["name"],
                    "properties": {
                        "name": {"enum": [one.name for one in model.outputs]},
                        "parameters": parameters,
                    },
                }
            ),
        },
    }
    return {
        "InferenceRequest": {**requested, **_example(model)},
        "InferenceResponse": _object(
            {
                "model_name": _TEXT,
                "model_version": _TEXT,
                "id": _TEXT,
                "parameters": parameters,
                "outputs": _list(
                    _object(
                        {**tensor, "data": data, "parameters": parameters},
                        optional=["data", "parameters"],
                    )
                ),
            },
            optional=["parameters"],
        ),
        "ModelMetadata": _object(
            {
                "name": _TEXT,
                "versions": _list(_TEXT),
                "platform": _TEXT,
                "inputs": _list(described),
                "outputs": _list(described),
            }
        ),
        "ServerMetadata": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
        "ModelIndex": _object({"models": _list(_TEXT)}),
        "Live": _object({"live": {"type": "boolean"}}),
        "Ready": _object({"ready": {"type": "boolean"}, "name": _TEXT}, optional=["name"]),
    }


def _request_input(inputs: Sequence[InputColumn]) -> Json:
    return {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"enum": [one.name for one in inputs]},
            "shape": {
                "type": "array",
                "items": {"type": "integer", "minimum": 0},
                "minItems": 1,
                "maxItems": 2,
            },
            "datatype": {"enum": [*tensors.DATATYPES]},
            "data": {"type": "array"},
            "parameters": {"type": "object"},
        },
    }


def _example(model: ServedModel) -> Json:
    if model.golden is None or not model.golden.requests:
        return {}
    row = model.golden.requests[0]
    described = tensors.metadata(tuple(model.schema.inputs.values()))
    inputs = [
        {
            "name": one["name"],
            "shape": [1],
            "datatype": one["datatype"],
            "data": [row.get(one["name"])],
        }
        for one in described
    ]
    return {"examples": [{"inputs": inputs}]}


_TEXT: Json = {"type": "string"}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(properties: Mapping[str, Json], *, optional: Sequence[str] = ()) -> Json:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
