"""Cut what a test can check out of the Open Inference Protocol's published REST description.

Takes `specification/protocol/open_inference_rest.yaml` of the repository
kserve/open-inference-protocol (Apache-2.0) and keeps paths, replies and schemas, without prose and
examples. Its path parameters, written `${NAME}`, become `{NAME}`, as OpenAPI has them:

    python tools/cut_open_inference.py open_inference_rest.yaml --commit 18d5991
"""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

OUTPUT = Path(__file__).parents[1] / "tests" / "contract" / "openapi" / "open_inference.json"
PROSE = {"description", "summary", "title", "tags", "x-examples", "operationId"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("description", type=Path)
    parser.add_argument("--commit", required=True, help="of the repository that it was taken from")
    asked = parser.parse_args()
    whole = yaml.safe_load(asked.description.read_text(encoding="utf-8"))
    cut = {
        "openapi": whole["openapi"],
        "info": {"title": "Open Inference Protocol", "version": asked.commit},
        "paths": {path.replace("${", "{"): trim(item) for path, item in whole["paths"].items()},
        "components": {
            "schemas": {
                name: trim(schema) for name, schema in whole["components"]["schemas"].items()
            }
        },
    }
    for item in cut["paths"].values():
        for method in ("get", "post"):
            for code, reply in item.get(method, {}).get("responses", {}).items():
                reply["description"] = code
    OUTPUT.write_text(json.dumps(cut, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def trim(part: Any, *, names: bool = False) -> Any:
    """Leave out prose; below `properties` keys are names, and stay."""
    if isinstance(part, dict):
        return {
            key: trim(value, names=key == "properties" and not names)
            for key, value in part.items()
            if names or key not in PROSE
        }
    return [trim(one) for one in part] if isinstance(part, list) else part


if __name__ == "__main__":
    main()
