"""Cut the requests that modelci sends out of GitHub's published OpenAPI description.

Takes the npm package @octokit/openapi (MIT, 400 MB unpacked) and keeps of the paths below what a
test can check: parameters, request bodies and replies as plain JSON Schema, without prose and
examples. Run it when the client sends something new, and commit what it writes:

    python tools/cut_openapi.py             # wants npm
    python tools/cut_openapi.py --description api.github.com.json
"""

import argparse
import json
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

VERSION = "23.0.2"
PACKAGE = f"@octokit/openapi@{VERSION}"
MEMBER = "package/generated/api.github.com.json"
OUTPUT = Path(__file__).parents[1] / "tests" / "contract" / "openapi" / "github.json"

REPOSITORY = "/repos/{owner}/{repo}"
OPERATIONS = {
    "/actions/artifacts/{artifact_id}/{archive_format}": ("get",),
    "/actions/runs/{run_id}/artifacts": ("get",),
    "/actions/workflows/{workflow_id}/dispatches": ("post",),
    "/check-runs": ("post",),
    "/check-runs/{check_run_id}": ("patch",),
    "/commits/{commit_sha}/pulls": ("get",),
    "/commits/{ref}/check-runs": ("get",),
    "/deployments": ("get", "post"),
    "/deployments/{deployment_id}/statuses": ("get", "post"),
    "/git/blobs": ("post",),
    "/git/commits": ("post",),
    "/git/commits/{commit_sha}": ("get",),
    "/git/matching-refs/{ref}": ("get",),
    "/git/ref/{ref}": ("get",),
    "/git/refs": ("post",),
    "/git/refs/{ref}": ("delete", "patch"),
    "/git/trees": ("post",),
    "/git/trees/{tree_sha}": ("get",),
    "/issues": ("get", "post"),
    "/issues/comments/{comment_id}": ("delete", "patch"),
    "/issues/{issue_number}": ("patch",),
    "/issues/{issue_number}/comments": ("get", "post"),
    "/issues/{issue_number}/labels": ("post",),
    "/pulls": ("get", "post"),
    "/pulls/{pull_number}": ("get", "patch"),
    "/releases": ("get", "post"),
    "/releases/assets/{asset_id}": ("delete", "get"),
    "/releases/tags/{tag}": ("get",),
    "/releases/{release_id}": ("get", "patch"),
    "/releases/{release_id}/assets": ("post",),
    "/statuses/{sha}": ("post",),
}

PROSE = {
    *("description", "title", "example", "examples", "default", "externalDocs", "deprecated"),
    *("discriminator", "nullable", "summary"),
}
COMPONENTS = "#/components/schemas/"


def read_description() -> Any:
    """Fetch the package with npm and read GitHub's description out of it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as opened:
            file = opened.extractfile(MEMBER)
            if file is None:
                raise SystemExit(f"{PACKAGE} has no {MEMBER}")
            return json.load(file)


class Cutter:
    """Collects the schemas that are referred to on the way."""

    def __init__(self, description: Any) -> None:
        self.description = description
        self.schemas: dict[str, Any] = {}

    def cut(self) -> dict[str, Any]:
        operations = {
            f"{method.upper()} {REPOSITORY}{path}": self.operation(REPOSITORY + path, method)
            for path, methods in sorted(OPERATIONS.items())
            for method in methods
        }
        return {
            "origin": f"{PACKAGE}, MIT, cut by tools/cut_openapi.py",
            "operations": operations,
            "schemas": dict(sorted(self.schemas.items())),
        }

    def operation(self, path: str, method: str) -> dict[str, Any]:
        found = self.description["paths"][path][method]
        body = self.resolve(found.get("requestBody", {}))
        parameters = [self.resolve(one) for one in found.get("parameters", [])]
        return {
            "parameters": {
                f"{one['in']} {one['name']}": self.schema(one["schema"]) for one in parameters
            },
            "required": sorted(
                one["name"] for one in parameters if one["in"] == "query" and one.get("required")
            ),
            "request": self.content(body),
            "responses": {
                status: self.content(self.resolve(one))
                for status, one in found["responses"].items()
            },
        }

    def content(self, holder: Any) -> Any:
        schema = holder.get("content", {}).get("application/json", {}).get("schema")
        return None if schema is None else self.schema(schema)

    def resolve(self, value: Any) -> Any:
        """Follow a reference to a parameter or a response."""
        if "$ref" not in value:
            return value
        found = self.description
        for part in value["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        return found

    def schema(self, value: Any) -> Any:
        """Return OpenAPI's dialect of a schema as JSON Schema."""
        if not isinstance(value, dict):
            return value
        if "$ref" in value:
            return self.reference(value["$ref"].removeprefix(COMPONENTS))
        kept = {key: self.keyword(key, one) for key, one in value.items() if self.is_fact(key)}
        if value.get("nullable"):
            return make_nullable(kept)
        return kept

    def is_fact(self, key: str) -> bool:
        return key not in PROSE and not key.startswith("x-")

    def keyword(self, key: str, value: Any) -> Any:
        if key == "properties":
            return {name: self.schema(one) for name, one in value.items()}
        if key in {"items", "not", "additionalProperties"}:
            return self.schema(value)
        if key in {"allOf", "anyOf", "oneOf"}:
            return [self.schema(one) for one in value]
        return value

    def reference(self, name: str) -> Any:
        if name not in self.schemas:
            self.schemas[name] = None  # schemas may hold themselves
            self.schemas[name] = self.schema(self.description["components"]["schemas"][name])
        return {"$ref": f"#/schemas/{name}"}


def make_nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Allow null, as OpenAPI 3.0 says it by a keyword of its own."""
    if set(schema) <= {"type", "format", "properties", "items", "required"} and "type" in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--description", type=Path, help="read this file instead of the package")
    path = parser.parse_args().description
    description = json.loads(path.read_text()) if path else read_description()
    text = json.dumps(Cutter(description).cut(), separators=(",", ":"), sort_keys=True)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(text + "\n", encoding="utf-8")
    print(f"{OUTPUT}: {len(text):,} bytes")


if __name__ == "__main__":
    main()
