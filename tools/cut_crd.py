"""Cut what modelci says of an InferenceService out of KServe's published CRD.

Takes the file config/crd/full/serving.kserve.io_inferenceservices.yaml of kserve/kserve
(Apache-2.0, 2 MB) and keeps of v1beta1 the parts that a predictor of one container has, as JSON
Schema without prose. Run it when the manifests say something new, and commit what it writes:

    python tools/cut_crd.py serving.kserve.io_inferenceservices.yaml --commit SHA
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

VERSION = "v1beta1"
SOURCE = "kserve/kserve, config/crd/full/serving.kserve.io_inferenceservices.yaml (Apache-2.0)"
OUTPUT = Path(__file__).parents[1] / "tests" / "contract" / "kserve" / "inferenceservice.json"

PREDICTOR = ("canaryTrafficPercent", "containers", "minReplicas", "serviceAccountName")
CONTAINER = (
    *("env", "image", "livenessProbe", "name", "ports", "readinessProbe", "resources"),
    "securityContext",
)


def main() -> None:
    """Read the CRD, cut it, and write the rest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("crd", type=Path)
    parser.add_argument("--commit", required=True, help="of kserve/kserve, that the file is from")
    asked = parser.parse_args()
    crd = yaml.safe_load(asked.crd.read_bytes())
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(cut(crd, asked.commit), indent=1, sort_keys=True)
    OUTPUT.write_text(f"{text}\n", encoding="utf-8")


def cut(crd: Mapping[str, Any], commit: str) -> dict[str, Any]:
    """Return the schema of the parts that are said."""
    (version,) = (one for one in crd["spec"]["versions"] if one["name"] == VERSION)
    whole = version["schema"]["openAPIV3Schema"]
    predictor = _only(whole["properties"]["spec"]["properties"]["predictor"], PREDICTOR)
    containers = predictor["properties"]["containers"]
    containers["items"] = _only(containers["items"], CONTAINER)
    schema = {
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": f"{crd['spec']['group']}/{VERSION}"},
            "kind": {"const": crd["spec"]["names"]["kind"]},
            "metadata": {"type": "object", "additionalProperties": True},
            "spec": {"type": "object", "properties": {"predictor": predictor}},
        },
    }
    return {
        "$comment": f"Cut by tools/cut_crd.py from {SOURCE}, commit {commit}.",
        **_plain(schema),
    }


def _only(schema: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {**schema, "properties": {name: schema["properties"][name] for name in names}}


def _plain(schema: Any) -> Any:
    """Return JSON Schema: without prose, and with no field that the CRD does not know.

    A cluster drops unknown fields without a word, or refuses them, as it is told.
    """
    if isinstance(schema, list):
        return [_plain(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        name: {key: _plain(value) for key, value in part.items()}
        if name == "properties"
        else _plain(part)
        for name, part in schema.items()
        if name not in {"description", "format", "default"} and not name.startswith("x-kubernetes")
    }
    if "properties" in kept:
        kept.setdefault("additionalProperties", False)
    return kept


if __name__ == "__main__":
    main()
