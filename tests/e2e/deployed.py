"""A project that deploys by a script of its own, which keeps a copy of the model beside it."""

import json

from tests.e2e.world import PIPELINE, Job, World

# A model that is JSON needs nothing to be scanned; the script of the target keeps a copy of it.
FILES = {
    "dvc.yaml": PIPELINE.replace("model.txt", "model.json"),
    "train.sh": "q=$(sed -n 's/quality: //p' params.yaml); echo \"[$q]\" > model.json\n",
    "evaluate.sh": (
        "q=$(tr -d '[]' < model.json)\n"
        'printf \'{"roc_auc": %s, "brier": 0.1}\\n\' "$q" > metrics.json\n'
    ),
    "deploy.sh": """\
set -e
echo "$MODELCI_DEPLOY_STEP $MODELCI_DEPLOY_VERSION" >> ../calls
[ -z "$GITHUB_TOKEN" ]
if [ "$MODELCI_DEPLOY_STEP" = check ] && grep -q "$(cat ../ill)" "$MODELCI_DEPLOY_MODEL"; then
  echo "it answers otherwise"
  exit 1
fi
if [ "$MODELCI_DEPLOY_STEP" = switch ]; then cp "$MODELCI_DEPLOY_MODEL" ../live.json; fi
""",
}
SETTINGS = """\
gates:
  - {metric: roc_auc, min: 0.70}
run: {pull: true, push: true}
promote: {assign: [prod]%s}
deploy:
  strategy: {watch_seconds: 0}
  wait_seconds: 30
  targets:
    live: {kind: command, path: ../srv, cmd: sh deploy.sh, stages: [prod]}
"""


def settings(promote: str = "") -> str:
    return SETTINGS % (f", {promote}" if promote else "")


def promote(site: World, quality: str = "0.80") -> str:
    """Train, judge and promote a model; return the assignment."""
    laptop = site.laptop
    laptop.put({"params.yaml": f"quality: {quality}\nnoise: 0.100\n"})
    laptop.modelci("run", "--push")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    laptop.modelci("report")
    out = laptop.modelci("promote", "--json", MODELCI_PROMOTE_DEPLOY="false").out
    names: list[str] = [one["name"] for one in json.loads(out)["tags"]]
    return names[-1]


def live(site: World) -> str | None:
    file = site.root / "live.json"
    return file.read_text().strip() if file.exists() else None


def tag_job(site: World, tag: str) -> Job:
    return Job(
        event={"ref": f"refs/tags/{tag}", "repository": {"default_branch": "main"}},
        variables={
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_REF": f"refs/tags/{tag}",
            "GITHUB_REF_NAME": tag,
            "GITHUB_REF_TYPE": "tag",
            "GITHUB_SHA": site.bare("rev-parse", f"refs/tags/{tag}^{{commit}}"),
            "GITHUB_WORKFLOW": "model-deploy",
            "GITHUB_ACTOR": "anna",
        },
    )
