"""A stand-in for kubectl and a cluster with KServe: objects in a file, and a log of the calls.

``install`` writes an executable that runs this file. What the cluster
does is in ``cluster.json`` of its folder: ``objects`` by kind and name, ``pods`` that a release's
label leads to (``metrics`` are what each says), ``fails`` (a text that every call ends with), and
``ready`` (whether what is applied comes to be so).
"""

import json
import sys
from pathlib import Path
from typing import Any

KINDS = {
    "configmaps": "ConfigMap",
    "inferenceservices.serving.kserve.io": "InferenceService",
}
RELEASE = "modelci/release"


def install(folder: Path) -> Path:
    """Write the executable, with an empty cluster beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "kubectl"
    program.write_text(
        f"#!{sys.executable} -IS\nimport runpy, sys\n"
        f"sys.argv.insert(1, {str(folder)!r})\nrunpy.run_path({__file__!r}, run_name='__main__')\n",
        encoding="utf-8",
    )
    program.chmod(0o755)
    save(folder, {"objects": {}, "pods": {}, "ready": True, "version": 0})
    return program


def load(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "cluster.json").read_text(encoding="utf-8"))
    return found


def save(folder: Path, cluster: dict[str, Any]) -> None:
    (folder / "cluster.json").write_text(json.dumps(cluster, indent=1), encoding="utf-8")


def calls(folder: Path) -> list[dict[str, Any]]:
    """Return what was called, as ``arguments`` and what came in (``stdin``)."""
    log = folder / "calls.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [json.loads(line) for line in lines]


def main(folder: Path, arguments: list[str], stdin: str) -> int:
    with (folder / "calls.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"arguments": arguments, "stdin": stdin}) + "\n")
    cluster = load(folder)
    if cluster.get("fails"):
        return fail(cluster["fails"])
    words = [one for one in arguments if not one.startswith("--")]
    options = dict(one.split("=", 1) for one in arguments if one.startswith("--") and "=" in one)
    if words[0] == "apply":
        return apply(folder, cluster, json.loads(stdin))
    if "--raw" in arguments:
        return raw(cluster, words[-1])
    return get(cluster, words[1:], options)


def apply(folder: Path, cluster: dict[str, Any], document: dict[str, Any]) -> int:
    for item in document["items"]:
        place = cluster["objects"].setdefault(item["kind"], {})
        before = place.get(item["metadata"]["name"], {})
        wanted = item["metadata"].pop("resourceVersion", None)
        if wanted is not None and wanted != before.get("metadata", {}).get("resourceVersion"):
            return fail(
                "error: Operation cannot be fulfilled on configmaps: the object has been "
                "modified; please apply your changes to the latest version and try again\n"
                "Please review the fields above--they currently have other managers.\n"
                "* You may co-own fields by updating your manifest to match the existing value;\n"
                "  see the page on server-side apply and conflicts"
            )
        if cluster.get("dies_at") == item["kind"]:
            return fail("connection reset by peer")
        cluster["version"] += 1
        item["metadata"]["resourceVersion"] = str(cluster["version"])
        if item["kind"] == "InferenceService":
            reconcile(cluster, before, item)
        place[item["metadata"]["name"]] = item
        save(folder, cluster)
    return 0


def reconcile(cluster: dict[str, Any], before: dict[str, Any], item: dict[str, Any]) -> None:
    """Do as KServe does: a changed template is a new revision, with pods if they come up."""
    status = before.get("status", {"revision": 0})
    label = item["metadata"]["labels"][RELEASE]

    def template(one: dict[str, Any]) -> object:
        containers = one.get("spec", {}).get("predictor", {}).get("containers")
        return containers, one.get("metadata", {}).get("annotations")

    made = status["revision"] + (template(item) != template(before))
    if cluster["ready"] and label not in cluster["pods"]:
        cluster["pods"][label] = {f"{label}-{made}": {"ready": True, "metrics": ""}}
    up = made if cluster["ready"] else status["revision"]
    item["status"] = {
        "revision": made,
        "conditions": [
            {"type": "PredictorReady", "status": "True" if up == made else "False"},
            {
                "type": "Ready",
                "status": "True" if up == made else "False",
                "message": "" if up == made else "Revision failed: container is restarting",
            },
        ],
        "components": {
            "predictor": {
                "latestCreatedRevision": f"r{made}",
                "latestReadyRevision": f"r{up}",
            }
        },
    }


def raw(cluster: dict[str, Any], path: str) -> int:
    name = path.partition("/pods/")[2].partition(":")[0]
    for pods in cluster["pods"].values():
        if name in pods:
            if pods[name].get("refuses"):
                return fail(
                    f'pods "{name}" is forbidden: User "ci" cannot get resource "pods/proxy"'
                )
            sys.stdout.write(pods[name]["metrics"])
            return 0
    return fail(f'Error from server (NotFound): pods "{name}" not found')


def get(cluster: dict[str, Any], words: list[str], options: dict[str, str]) -> int:
    selector = dict(one.split("=") for one in options.get("--selector", "").split(",") if one)
    if words[0] == "pods":
        found = cluster["pods"].get(selector[RELEASE], {})
        sys.stdout.write(json.dumps({"items": [pod(name, one) for name, one in found.items()]}))
        return 0
    objects = cluster["objects"].get(KINDS[words[0]], {})
    if len(words) > 1:
        one = objects.get(words[1])
        sys.stdout.write("" if one is None else json.dumps(one))
        return 0
    chosen = [
        one
        for one in objects.values()
        if selector.items() <= one["metadata"].get("labels", {}).items()
    ]
    sys.stdout.write(json.dumps({"items": chosen}))
    return 0


def pod(name: str, one: dict[str, Any]) -> dict[str, Any]:
    waiting = {"waiting": one["waiting"]} if "waiting" in one else {}
    return {
        "metadata": {"name": name},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if one["ready"] else "False"}],
            "containerStatuses": [{"name": "kserve-container", "state": waiting}],
        },
    }


def fail(said: str) -> int:
    sys.stderr.write(f"{said}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:], sys.stdin.read()))
