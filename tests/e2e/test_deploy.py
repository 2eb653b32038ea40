"""From a merge to what runs, through the commands, as runners, servers and people call them."""

import hashlib
import hmac
import http.client
import json
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.deployed import FILES, live, promote, settings, tag_job
from tests.e2e.world import Checkout, Job, World, hint_of, with_token
from tests.fakes.github_server import FakeGitHub


@pytest.fixture
def site(template: World, tmp_path: Path) -> World:
    site = template.copy(tmp_path / "world")
    (site.root / "ill").write_text("no quality")
    site.laptop.put({**FILES, "modelci.yaml": settings()})
    return site


def calls(site: World) -> list[str]:
    file = site.root / "calls"
    return file.read_text().splitlines() if file.exists() else []


def tag_runner(
    site: World, tag: str, *, name: str = "deployer", variables: Mapping[str, str] | None = None
) -> Checkout:
    """Give a job of a pushed tag: its event, and the default branch checked out."""
    job = tag_job(site, tag)
    job = replace(job, variables={**job.variables, **(variables or {})})
    return site.runner(site.checkout(name, "refs/heads/main"), job)


def test_a_pushed_tag_is_deployed_and_the_forge_hears_of_it(
    site: World, github: FakeGitHub
) -> None:
    tag = promote(site)
    commit = site.bare("rev-parse", f"refs/tags/{tag}^{{commit}}")
    github.tags[tag] = commit
    runner = tag_runner(site, tag, variables=with_token(github.api_url))
    done = runner.modelci("ci")
    assert "Warning" not in done.err
    assert live(site) == "[0.80]"
    assert done.out.startswith(f"credit v0.0.1 ({tag}) runs on live.\n")
    document = runner.document("deployment")
    assert (document["outcome"], document["by"]) == ("deployed", "anna")
    assert document["run_url"] == "https://github.com/acme/credit/actions/runs/42"
    assert (runner.outputs["outcome"], runner.outputs["artifact"]) == ("deployed", "credit")
    assert (runner.outputs["target"], runner.outputs["deployed"]) == ("live", "v0.0.1")
    assert runner.outputs["deployment"].endswith(".modelci/deployment.json")
    assert runner.summary.startswith("### ✅ credit v0.0.1 ")
    assert "| verify | ✅ |" in runner.summary
    (posted,) = github.deployments
    assert (posted["ref"], posted["environment"]) == (tag, "live")
    states = [one["state"] for one in github.deployment_statuses[posted["id"]]]
    assert states == ["in_progress", "success"]
    assert runner.tags() == []
    assert not (runner.folder / "model.json").exists()

    again = tag_runner(site, tag, name="again", variables=with_token(github.api_url))
    before = calls(site)
    assert "runs on live already." in again.modelci("ci").out
    assert again.outputs["outcome"] == "unchanged"
    assert calls(site) == before


def test_a_dispatch_names_the_tag_and_a_job_without_token_does_without_the_forge(
    site: World,
) -> None:
    tag = promote(site)
    job = site.push_job()
    job = Job(
        event={**job.event, "inputs": {"tag": tag}},
        variables={**job.variables, "GITHUB_EVENT_NAME": "workflow_dispatch"},
    )
    runner = site.runner(site.checkout("dispatched", "refs/heads/main"), job)
    runner.modelci("ci", "--no-write")
    assert live(site) is None
    runner.modelci("ci")
    assert live(site) == "[0.80]"


@pytest.mark.parametrize("form", ["credit@v0.0.1", "credit#dev#2"])
def test_a_tag_that_moves_no_stage_of_a_target_deploys_nothing(site: World, form: str) -> None:
    promote(site)
    site.laptop.modelci("promote", "credit@v0.0.1", "--assign", "dev")
    done = tag_runner(site, form).modelci("ci")
    assert done.out == ""
    assert "moves no stage that a target takes" in done.err
    assert live(site) is None


def test_a_late_older_run_never_replaces_a_newer_deployment(site: World) -> None:
    old, new = promote(site), promote(site, "0.85")
    tag_runner(site, new, name="quick").modelci("ci")
    assert live(site) == "[0.85]"
    late = tag_runner(site, old, name="late").modelci("ci", code=7)
    assert f"{old} (v0.0.1) is superseded: v0.0.2 holds prod now" in late.err
    assert "`modelci deploy credit#prod`" in hint_of(late)
    assert live(site) == "[0.85]"


def test_a_merge_deploys_in_its_own_run_where_that_is_wanted(site: World) -> None:
    laptop = site.laptop
    laptop.put({"modelci.yaml": settings("deploy: true")})
    laptop.modelci("run", "--push")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    site.push_runner(name="run").modelci("ci", "--no-write")
    assert (live(site), site.bare("tag")) == (None, "")
    merged = site.push_runner(name="merge")
    done = merged.modelci("ci")
    assert live(site) == "[0.80]"
    assert "credit v0.0.1 (credit#prod#1) runs on live." in done.out
    assert merged.document("deployment")["outcome"] == "deployed"

    laptop.git("fetch", "--quiet", "--tags")
    laptop.put({"params.yaml": "quality: 0.85\nnoise: 0.100\n"})
    laptop.modelci("run", "--push")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    site.push_runner(name="second").modelci("ci")
    assert live(site) == "[0.85]"
    back = laptop.modelci("rollback", "credit", "--stage", "prod", "--reason", "recall fell")
    assert live(site) == "[0.80]"
    assert "credit v0.0.1 (credit#prod#3) runs on live." in back.out
    listed = laptop.modelci("deployments").out
    assert re.search(r"live \(command\) +credit +v0\.0\.1 ", listed)
    assert "recall fell" in listed


def test_a_promotion_whose_deployment_fails_stands_and_says_so(site: World) -> None:
    site.laptop.put({"modelci.yaml": settings("deploy: live")})
    (site.root / "ill").write_text("0.85")
    promote(site)
    site.laptop.modelci("deploy", "credit#prod")
    site.laptop.put({"params.yaml": "quality: 0.85\nnoise: 0.100\n"})
    site.laptop.modelci("run", "--push")
    site.laptop.commit()
    site.laptop.git("push", "--quiet", "origin", "main")
    site.laptop.modelci("report")
    failed = site.laptop.modelci("promote", code=7)
    assert "credit#prod#2 was not deployed to live, where v0.0.1 runs: " in failed.err
    assert "✗ check" in failed.out
    assert "credit#prod#2" in site.bare("tag")
    assert live(site) == "[0.80]"
    (site.root / "ill").write_text("no quality")
    again = site.laptop.modelci("promote")
    assert "runs on live." in again.out
    assert live(site) == "[0.85]"


def test_a_person_plans_deploys_and_looks(site: World) -> None:
    tag = promote(site)
    laptop = site.laptop
    planned = json.loads(laptop.modelci("deploy", "credit#prod", "--dry-run", "--json").out)
    assert (planned["outcome"], planned["tag"]) == ("planned", tag)
    assert [one["kind"] for one in planned["plan"]][-3:] == ["switch", "watch", "prune"]
    assert not (laptop.folder / ".modelci/deployment.json").exists()
    assert calls(site) == []
    done = json.loads(laptop.modelci("deploy", tag, "--json").out)
    assert (done["outcome"], done["release"]) == ("deployed", planned["release"])
    assert laptop.document("deployment") == done
    steps = [one.split()[0] for one in calls(site)]
    assert steps == ["stage", "check", "switch", "observe", "check", "switch"]
    plain = laptop.modelci("deployments", "--plain").out.split("\t")
    assert plain[:4] == ["live", "command", "credit", "v0.0.1"]
    assert plain[-1] == "current\n"
    laptop.modelci("deployments", "--check")
    promote(site, "0.85")
    laptop.modelci("deployments", "--check", code=1)
    behind = json.loads(laptop.modelci("deployments", "credit", "--to", "live", "--json").out)
    assert behind["deployed"][0]["differs"] == ["behind: prod holds v0.0.2 (credit#prod#2)"]
    assert behind["deployed"][0]["state"]["running"]["version"] == "v0.0.1"


def test_a_version_goes_where_it_is_told_to(site: World) -> None:
    promote(site)
    what = site.laptop.modelci("deploy", "--to", "live", code=2)
    assert "`modelci deploy 'credit#prod' --to live`" in hint_of(what)
    nowhere = site.laptop.modelci("deploy", "credit@latest", code=2)
    assert "A version has no stage that tells where it goes" in nowhere.err
    assert "live (prod)" in hint_of(nowhere)
    site.laptop.modelci("deploy", "credit@latest", "--to", "live")
    assert live(site) == "[0.80]"


def test_a_hold_is_passed_for_a_reason_alone(site: World) -> None:
    promote(site)
    promote(site, "0.85")
    laptop = site.laptop
    laptop.modelci("rollback", "credit", "--stage", "prod", "--reason", "recall fell")
    laptop.modelci("deploy", "credit#prod")
    refused = laptop.modelci("deploy", "credit@v0.0.2", "--to", "live", code=7)
    assert "credit#prod is held by credit#prod#3" in refused.err
    assert live(site) == "[0.80]"
    laptop.modelci("deploy", "credit@v0.0.2", "--to", "live", "--allow", "hotfix 7")
    assert live(site) == "[0.85]"
    document = laptop.document("deployment")
    assert document["allowed"] == "hotfix 7"
    assert document["after"]["reason"] == "hotfix 7"


def test_bytes_that_somebody_changed_never_run(site: World) -> None:
    promote(site)
    site.laptop.modelci("deploy", "credit#prod")
    tag = promote(site, "0.85")
    objects = site.root / "store" / "files" / "md5"
    (changed,) = [one for one in objects.glob("*/*") if one.read_text() == "[0.85]\n"]
    changed.chmod(0o644)
    changed.write_text("[0.99]\n")
    runner = tag_runner(site, tag)
    failed = runner.modelci("ci", code=7)
    assert "These are not the bytes that were tagged: model.json: md5: they differ" in failed.err
    assert runner.document("deployment")["outcome"] == "failed"
    assert runner.summary.startswith("### ❌ ")
    assert live(site) == "[0.80]"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["deploy"], "There is no CI event with a tag"),
        (["deploy", "credit"], "names nothing to deploy"),
        (["deploy", "credit#prod", "--to", "moon"], "There is no target 'moon'"),
        (["deploy", "credit#moon"], "No target takes stage 'moon'"),
        (["deploy", "credit#prod", "--listen", ":1"], "--listen goes with --poll"),
        (["deploy", "credit#prod", "--poll", "1", "--dry-run"], "exclude each other"),
        (["deploy", "--poll", "1"], "What is to be followed?"),
        (["deployments", "--to", "moon"], "There is no target 'moon'"),
        (["deployments", "credti"], "an artifact 'credti'"),
        (["deployments", "--json", "--plain"], "exclude each other"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(site: World, arguments: list[str], says: str) -> None:
    assert says in site.laptop.modelci(*arguments, code=2).err


def test_a_target_that_divides_no_traffic_takes_no_canary(site: World) -> None:
    site.laptop.put({"modelci.yaml": "deploy: {targets: {d: {path: ../d, stages: [prod]}}}\n"})
    for follows in ((), ("--poll", "0.2")):  # which ends at once, too
        wanted = ("deploy", "credit#prod", "--strategy", "canary", *follows)
        refused = site.laptop.modelci(*wanted, code=2)
        assert "a directory divides no traffic" in refused.err


# -- a server that follows -----------------------------------------------------------------------


class Server:
    """``modelci deploy --poll`` in a clone of its own."""

    def __init__(self, site: World, *arguments: str) -> None:
        clone = site.clone("server", "--depth=1", "--no-tags")
        clone.put({"modelci.yaml": settings(), "deploy.sh": FILES["deploy.sh"]})
        self.clone = clone
        self.process = subprocess.Popen(
            ["modelci", "deploy", *arguments],
            cwd=clone.folder,
            env=clone.environment({"MODELCI_WEBHOOK_SECRET": "s3cret"}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def wait_until_told(self, tag: str) -> None:
        """Wait until it has written what came of a deployment: a signal may cut its last steps."""
        document, deadline = self.clone.folder / ".modelci/deployment.json", time.monotonic() + 60
        while json.loads(document.read_text())["tag"] != tag:
            assert time.monotonic() < deadline, f"{tag} was not told of"
            time.sleep(0.05)

    def stop(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=60)


def wait_for(site: World, tag: str) -> None:
    """Wait until the target runs what the tag asks for, and has watched it."""
    deadline, state = time.monotonic() + 60, site.root / "srv/credit/state.json"
    while True:
        text = state.read_text() if state.exists() else "{}"
        running = json.loads(text).get("artifacts", {}).get("credit", {}).get("running") or {}
        if running.get("tag") == tag and running["settled"]:
            return
        assert time.monotonic() < deadline, f"{tag} does not run: {text}"
        time.sleep(0.05)


def test_a_server_follows_the_stage_and_stops_when_it_is_told_to(site: World) -> None:
    first = promote(site)
    server = Server(site, "--to", "live", "--poll", "0.2")
    try:
        wait_for(site, first)
        wait_for(site, promote(site, "0.85"))
        assert live(site) == "[0.85]"
        site.laptop.modelci("rollback", "credit", "--stage", "prod", "--reason", "recall fell")
        wait_for(site, "credit#prod#3")
        assert live(site) == "[0.80]"
        server.wait_until_told("credit#prod#3")
    finally:
        out, err = server.stop()
    assert server.process.returncode == 0, err
    assert out.count("runs on live.") == 3, out
    assert err.startswith(
        "live follows what holds prod: the remote's tags are looked at every 0.2 s"
    )
    assert err.endswith("Stopped.\n")


def test_a_hook_wakes_a_server_at_once(site: World) -> None:
    server = Server(
        site, "credit#prod", "--to", "live", "--poll", "3600", "--listen", "127.0.0.1:0"
    )
    try:
        found = re.search(r"port (\d+)", server.line())
        assert found is not None
        port = int(found[1])
        tag = promote(site)
        assert hook(port, "wrong") == 403
        assert live(site) is None
        assert hook(port, "s3cret") == 202
        wait_for(site, tag)
    finally:
        _, err = server.stop()
    assert server.process.returncode == 0, err


def hook(port: int, secret: str) -> int:
    body = b'{"ref": "refs/tags/other#prod#9"}'
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", body, {"X-Hub-Signature-256": f"sha256={digest}"})
    status = connection.getresponse().status
    connection.close()
    return status


CANARY = """\
deploy:
  strategy: {kind: canary, shares: [10%%], watch_seconds: 0, min_requests: %d, patience_seconds: 60}
"""
WATCHED = """\
if [ "$MODELCI_DEPLOY_STEP" = try ]; then echo "$MODELCI_DEPLOY_SHARE" >> ../shares; fi
if [ "$MODELCI_DEPLOY_STEP" = observe ]; then
  echo '{"requests": 10, "errors": 0}' > "$MODELCI_DEPLOY_OUT"
fi
"""


def with_canary(site: World, *, min_requests: int) -> None:
    text = settings().replace("deploy:\n  strategy: {watch_seconds: 0}\n", CANARY % min_requests)
    script = FILES["deploy.sh"] + WATCHED
    site.laptop.put({"modelci.yaml": text, "deploy.sh": script})


def test_a_canary_is_tried_and_then_switched_to(site: World) -> None:
    promote(site)
    site.laptop.modelci("deploy", "credit#prod")
    with_canary(site, min_requests=10)
    promote(site, "0.85")
    done = site.laptop.modelci("deploy", "credit#prod")
    assert "✓ trial" in done.out
    assert "10% of the requests: 10 requests, 0 failed" in done.out
    assert (site.root / "shares").read_text() == "0.1\n"
    assert live(site) == "[0.85]"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_in_a_canary_the_trial_ends_and_what_runs_stays(
    site: World, number: signal.Signals
) -> None:
    promote(site)
    site.laptop.modelci("deploy", "credit#prod")
    with_canary(site, min_requests=1000)
    tag = promote(site, "0.85")
    shares = site.root / "shares"
    with subprocess.Popen(
        ["modelci", "deploy", "credit#prod"],
        cwd=site.laptop.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        deadline = time.monotonic() + 60
        while not (shares.exists() and shares.read_text()):  # its line, besides the file
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert shares.read_text() == "0.1\n0\n"
    assert live(site) == "[0.80]"
    (one,) = json.loads(site.laptop.modelci("deployments", "--json").out)["deployed"]
    assert one["state"]["trial"] is None
    assert one["state"]["running"]["version"] == "v0.0.1"
    with_canary(site, min_requests=0)
    site.laptop.modelci("deploy", tag)
    assert live(site) == "[0.85]"


# -- a real model --------------------------------------------------------------------------------

TRAINING = """\
import json
from pathlib import Path
import numpy as np, pandas as pd, skops.io
from sklearn.linear_model import LogisticRegression

rng = np.random.default_rng(0)
data = pd.DataFrame({"age": rng.normal(size=300), "income": rng.normal(size=300)})
target = (data.age + data.income + rng.normal(size=300) > 0).astype(int)
model = LogisticRegression().fit(data, target)
data.to_csv("test.csv", index=False)
skops.io.dump(model, "model.skops")
Path("metrics.json").write_text(json.dumps({"roc_auc": model.score(data, target)}))
"""
REAL = {
    "train.py": TRAINING,
    "dvc.yaml": """\
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    outs: [model.skops, test.csv]
    metrics: [metrics.json: {cache: false}]
  golden:
    cmd: modelci golden model.skops test.csv --out model.golden.json
    deps: [model.skops, test.csv]
    outs: [model.golden.json]
artifacts:
  credit: {path: model.skops, type: model}
""",
    "modelci.yaml": """\
gates: [{metric: roc_auc, min: 0.5}]
run: {push: true}
promote: {assign: [prod]}
models: {credit: {max_latency_ms: 1000}}
deploy:
  require_golden: true
  strategy: {watch_seconds: 0}
  targets: {srv: {path: ../srv, stages: [prod]}}
""",
}


def test_a_model_of_scikit_learn_reaches_a_folder_and_answers_as_at_training(
    site: World,
) -> None:
    laptop = site.laptop
    laptop.put(REAL)
    (laptop.folder / "dvc.lock").unlink()
    laptop.modelci("run", "--push")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    laptop.modelci("report")
    laptop.modelci("promote")
    runner = tag_runner(site, "credit#prod#1")
    runner.modelci("ci")
    document: Any = runner.document("deployment")
    assert document["outcome"] == "deployed"
    assert document["health"]["ok"]
    assert document["health"]["rows"] > 0
    assert document["health"]["worst"] <= 1e-6
    states = {one["kind"]: one["state"] for one in document["steps"]}
    assert set(states.values()) == {"done"}
    served = site.root / "srv/credit/current/model/model.skops"
    assert hashlib.sha256(served.read_bytes()).hexdigest() == (
        hashlib.sha256((laptop.folder / "model.skops").read_bytes()).hexdigest()
    )
