"""Releases of what was merged: notes, files, provenance, and the run that completes one."""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256

import pytest
from tests.e2e.test_merge import hand_over
from tests.e2e.world import BETTER, SETTINGS, Checkout, World, hint_of, with_token
from tests.fakes.github_server import FakeGitHub, Request

TAG = "credit@v0.0.1"
NEXT = "credit@v0.0.2"
RELEASING = f"""{SETTINGS}  releases: true
model_card:
  intended_use: "Score loans of people, never of @everyone"
  limitations: [Nobody below 18, "<img src=x>"]
  owners: [Ada Lovelace]
  license: Apache-2.0
  links: ["https://example.org/card", "javascript:alert(1)"]
"""
FILES = ["dvc.lock", "model-card.md", "provenance.json", "report.html", "report.json"]
BEST = {"params.yaml": "quality: 0.87\nnoise: 0.100\n"}


def merge(
    site: World, github: FakeGitHub, files: Mapping[str, str], tag: str, *, code: int = 0
) -> Checkout:
    """Push a commit to main and let a runner promote it; GitHub has the tag by then."""
    site.push(files)
    github.tags[tag] = "a" * 40
    runner = site.push_runner(name=tag, variables=with_token(github.api_url))
    runner.modelci("ci", code=code)
    site.laptop.git("pull", "--quiet", "--tags")
    return runner


def test_a_version_is_released_with_all_that_proves_it(site: World, github: FakeGitHub) -> None:
    runner = merge(site, github, {**BETTER, "modelci.yaml": RELEASING}, TAG)

    release = github.releases[TAG]
    assert (release["draft"], release["prerelease"], github.latest) == (False, False, TAG)
    assert release["name"] == "credit v0.0.1"
    assert "The first version" in release["body"]
    files = github.assets_of(TAG)
    assert sorted(files) == FILES
    assert files["report.json"] == (runner.folder / ".modelci" / "report.json").read_bytes()
    assert files["dvc.lock"].decode() == site.bare("show", f"{TAG}:dvc.lock") + "\n"
    statement = json.loads(files["provenance.json"])
    (subject,) = statement["subject"]
    assert subject["name"] == "model.txt"
    assert set(subject["digest"]) == {"md5", "sha256"}
    definition = statement["predicate"]["buildDefinition"]
    assert definition["externalParameters"]["params"]["params.yaml:quality"] == 0.85
    commit = site.bare("rev-parse", f"{TAG}^{{commit}}")
    assert {"gitCommit": commit} in [one["digest"] for one in definition["resolvedDependencies"]]
    details = statement["predicate"]["runDetails"]
    assert details["builder"]["id"] == "https://github.com/actions/runner"
    assert details["metadata"]["invocationId"].endswith("/acme/credit/actions/runs/42")


def test_what_a_release_says_is_since_the_version_that_held_the_stage(
    site: World, github: FakeGitHub
) -> None:
    merge(site, github, {**BETTER, "modelci.yaml": RELEASING}, TAG)
    site.laptop.git("switch", "--quiet", "--create", "tune")
    site.laptop.git("config", "user.name", "Grace <b>@Hopper")
    site.laptop.commit(BEST)
    site.laptop.git("switch", "--quiet", "main")
    site.laptop.git(
        "merge",
        "--quiet",
        "--no-ff",
        "-m",
        "Merge pull request #12 from acme/tune\n\nTune it | @all <!-- x -->",
        "tune",
    )
    site.laptop.git("push", "--quiet")
    merge(site, github, {"README.md": "1\n"}, NEXT)

    body = github.releases[NEXT]["body"]
    assert f"Changes since `{TAG}`, which held `staging`." in body
    assert "`metrics.json` `roc_auc` | 0.8500 | 0.8700" in body
    assert "`params.yaml:quality` | `0.85` | `0.87`" in body
    assert "- #12: Tune it | @&#8203;all &lt;!-- x --&gt;" in body
    assert "Grace b@&#8203;Hopper" in body  # Git itself drops the brackets
    assert "example.com" not in body  # no address of anybody
    assert "never of @&#8203;everyone" in body
    assert "<img" not in body
    assert "\n- javascript:alert(1)\n" in body  # text, and no link
    message = site.bare("tag", "--list", "--format=%(contents)", NEXT)
    assert "- metrics.json:roc_auc: 0.85 → 0.87" in message
    assert "Modelci-Hash: md5:" in message
    assert f"Modelci-Previous: {TAG}" in site.bare(
        "tag", "--list", "--format=%(contents:trailers)", NEXT
    )


@pytest.mark.parametrize("broken", [("POST", "/releases"), ("POST", "/assets"), ("PATCH", "")])
def test_a_release_that_failed_is_completed_by_promoting_again(
    site: World, github: FakeGitHub, broken: tuple[str, str]
) -> None:
    github.fail(*broken, 403, "Resource not accessible by integration", times=1)
    runner = merge(site, github, {**BETTER, "modelci.yaml": RELEASING}, TAG, code=4)
    assert TAG in site.bare("tag", "--list")
    refs = site.bare("show-ref")
    assert all(release["draft"] for release in github.releases.values())

    done = runner.modelci("promote")

    assert "already promoted from this commit" in done.out
    assert github.releases[TAG]["draft"] is False
    assert sorted(github.assets_of(TAG)) == FILES
    assert site.bare("show-ref") == refs
    before = len(github.requests)
    runner.modelci("promote")
    assert [one.method for one in github.requests[before:]] == ["GET"]


@pytest.mark.parametrize("uploaded", [0, 1, 4])
def test_a_process_killed_on_the_way_leaves_what_the_next_one_completes(
    site: World, github: FakeGitHub, uploaded: int
) -> None:
    """Killed with the draft made, or some of its files there; no code of ours runs after that."""
    site.push({**BETTER, "modelci.yaml": RELEASING})
    github.tags[TAG] = "a" * 40
    runner = site.push_runner(variables=with_token(github.api_url))
    runner.modelci("ci", "--no-write")
    command = [sys.executable, "-m", "modelci", "promote"]
    process = subprocess.Popen(
        command, cwd=runner.folder, env=runner.environment({}), stderr=subprocess.PIPE
    )

    def kill(server: FakeGitHub, request: Request) -> None:
        here = sum(len(release["assets"]) for release in server.releases.values())
        if request.path.endswith("/assets") and here == uploaded:
            server.hang_up("POST", "/assets")
            process.send_signal(signal.SIGKILL)
            process.wait()

    github.before = kill
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    github.before = None
    github.faults.clear()
    draft = github.releases[TAG]
    assert (draft["draft"], len(draft["assets"])) == (True, uploaded)
    refs = site.bare("show-ref")
    assert TAG in refs

    runner.modelci("promote")

    assert github.releases[TAG]["id"] == draft["id"]
    assert github.releases[TAG]["draft"] is False
    assert sorted(github.assets_of(TAG)) == FILES
    assert site.bare("show-ref") == refs


def test_the_provenance_of_a_release_verifies_the_version(site: World, github: FakeGitHub) -> None:
    merge(site, github, {**BETTER, "modelci.yaml": RELEASING}, TAG)
    clone = site.clone("reader")
    settings = clone.read("modelci.yaml") + "forge: {kind: github}\n"
    (clone.folder / "modelci.yaml").write_text(settings)
    known = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/credit"}
    clone = Checkout(clone.folder, {**with_token(github.api_url), **known})
    done = clone.modelci("verify", TAG, "--remote", "--pull", "--json")
    states = {one["subject"]: one["state"] for one in json.loads(done.out)["findings"]}
    assert set(states.values()) == {"ok"}
    assert "model.txt: provenance sha256" in states

    statement = clone.folder / "statement.json"
    text = github.assets_of(TAG)["provenance.json"].decode()
    sha = json.loads(text)["subject"][0]["digest"]["sha256"]
    for wrong, subject in {
        text.replace(sha, "0" * 64): "model.txt: provenance sha256",
        text.replace('"params.yaml:quality": 0.85', '"params.yaml:quality": 0.9'): "provenance: "
        "parameter params.yaml:quality",
        text.replace(f"refs/tags/{TAG}", "refs/tags/credit@v0.0.9"): "provenance: tag",
    }.items():
        statement.write_text(wrong)
        done = clone.modelci(
            "verify", TAG, "--provenance", str(statement), "--pull", "--json", code=1
        )
        failed = [
            one["subject"] for one in json.loads(done.out)["findings"] if one["state"] == "failed"
        ]
        assert failed == [subject]
    statement.write_text('{"_type": "x"}')
    done = clone.modelci("verify", TAG, "--provenance", str(statement), code=3)
    assert "is no provenance of a model" in done.err


def test_a_job_without_the_models_bytes_has_them_from_the_remote(
    site: World, github: FakeGitHub
) -> None:
    """As our workflows do it: one job runs user code, another one has the token."""
    before = site.bare("rev-parse", "main")
    site.push({**BETTER, "modelci.yaml": RELEASING})
    github.tags[TAG] = "a" * 40
    run = site.push_runner(name="run", before=before)
    promote = site.push_runner(name="promote", before=before, variables=with_token(github.api_url))
    run.modelci("ci", "--no-write")
    report = f"{hand_over(run, promote)}/report.json"

    promote.modelci("promote", "--report", report)

    (subject,) = json.loads(github.assets_of(TAG)["provenance.json"])["subject"]
    assert set(subject["digest"]) == {"md5", "sha256"}
    assert not list((promote.folder / ".dvc").rglob("cache/files"))


def test_several_models_are_released_each_by_itself(site: World, github: FakeGitHub) -> None:
    pipeline = site.laptop.read("dvc.yaml")
    pipeline += "  sorted:\n    path: data.csv\n"
    other = "sorted@v0.0.1"
    github.tags[other] = "a" * 40
    github.fail("POST", "/releases", 403, "Resource not accessible by integration")
    files = {**BETTER, "modelci.yaml": RELEASING, "dvc.yaml": pipeline}
    runner = merge(site, github, files, TAG, code=4)
    assert list(github.releases) == [other]  # the first failed, the second did not wait for it

    runner.modelci("promote")

    assert sorted(github.releases) == [TAG, other]
    names = [
        json.loads(github.assets_of(tag)["provenance.json"])["subject"][0]["name"]
        for tag in (TAG, other)
    ]
    assert names == ["model.txt", "data.csv"]


def test_what_cache_and_remote_were_made_to_hold_is_not_vouched_for(
    site: World, github: FakeGitHub
) -> None:
    merge(site, github, {**BETTER, "modelci.yaml": RELEASING}, TAG)
    github.releases.clear()
    runner = Checkout(
        site.root / TAG,
        site.push_runner(name="x", variables=with_token(github.api_url)).variables,
    )
    hash_ = site.bare("show", f"{TAG}:dvc.lock").split(
        "path: model.txt\n      hash: md5\n      md5: "
    )[-1][:32]
    places = [runner.folder / ".dvc" / "cache", site.root / "store"]
    (cached,), (stored,) = (list(place.rglob(hash_[2:])) for place in places)
    for file in (cached, stored):
        file.chmod(0o644)
    cached.write_bytes(b"0.99\n")
    honest = stored.read_bytes()
    stored.write_bytes(b"0.99\n")
    done = runner.modelci("promote", code=3)
    assert "are not those that dvc.lock records" in done.err
    assert "dvc pull" in hint_of(done)
    assert github.releases == {}

    stored.write_bytes(honest)
    runner.modelci("promote")
    (subject,) = json.loads(github.assets_of(TAG)["provenance.json"])["subject"]
    assert subject["digest"]["sha256"] == sha256(honest).hexdigest()
