"""From a bad version back to a good one, through the commands and a DVC remote that forgets."""

import json
import shutil

from tests.e2e.world import BETTER, SETTINGS, Checkout, World, with_token
from tests.fakes.github_server import FakeGitHub

EVEN_BETTER = {"params.yaml": "quality: 0.90\nnoise: 0.100\n"}
STAGE = ("credit", "--stage", "staging")


def promote(laptop: Checkout) -> None:
    """Run what is in the work tree, push data and commit, judge and promote it."""
    laptop.modelci("run", "--push")
    if laptop.git("status", "--porcelain"):
        laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    laptop.modelci("report")
    laptop.modelci("promote")


def holder(laptop: Checkout) -> str | None:
    out = laptop.modelci("registry", "show", "credit", "--remote", "--json").out
    (artifact,) = json.loads(out)["artifacts"]
    found: str | None = artifact["stages"]["staging"]["version"]
    return found


def test_a_rollback_a_hold_and_the_way_forward(site: World) -> None:
    laptop = site.laptop
    promote(laptop)
    laptop.put(BETTER)
    promote(laptop)
    assert holder(laptop) == "v0.0.2"

    done = laptop.modelci("rollback", *STAGE, "--reason", "recall fell")
    assert "staging: v0.0.2 → v0.0.1" in done.out
    assert holder(laptop) == "v0.0.1"

    laptop.put(EVEN_BETTER)
    promote(laptop)
    assert holder(laptop) == "v0.0.1"
    laptop.modelci("release-hold", *STAGE, "--reason", "fixed")
    laptop.modelci("promote", "credit@v0.0.3", "--assign", "staging")
    assert holder(laptop) == "v0.0.3"
    verified = json.loads(laptop.modelci("registry", "verify", "--remote", "--json").out)
    assert {one["standing"] for one in verified["tags"]} == {"unsigned"}
    laptop.modelci("registry", "verify", "--require-signed", code=1)


def test_there_is_no_way_back_to_bytes_that_are_gone(site: World) -> None:
    laptop = site.laptop
    promote(laptop)
    shutil.rmtree(site.root / "store" / "files")
    laptop.put(BETTER)
    promote(laptop)

    refused = laptop.modelci("rollback", *STAGE, "--reason", "recall fell", code=6)
    assert "The DVC remote lacks model.txt" in refused.err
    assert holder(laptop) == "v0.0.2"


def test_on_a_runner_it_says_who_started_it_and_that_nobody_hears_the_tag(site: World) -> None:
    laptop = site.laptop
    promote(laptop)
    laptop.put(BETTER)
    promote(laptop)

    runner = site.push_runner(variables={"GITHUB_ACTOR": "anna"})
    done = runner.modelci("rollback", *STAGE, "--reason", "recall `fell`", "--json")
    change = json.loads(done.out)
    assert change["by"] == "anna"
    assert any("starts no workflow" in note for note in change["notes"]), change["notes"]
    assert "credit#staging#3" in runner.summary
    assert runner.outputs["tags"] == "credit#staging#3"


def test_where_signatures_are_required_nothing_is_promoted_without(site: World) -> None:
    laptop = site.laptop
    laptop.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(site.root / "anna"))
    public = (site.root / "anna.pub").read_text(encoding="utf-8")
    rules = "registry: {require_signed: true, allowed_signers: .signers}\n"
    laptop.put({".signers": f"anna@example.com {public}"})
    laptop.put({"modelci.yaml": laptop.read("modelci.yaml") + rules})
    laptop.modelci("run", "--push")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    laptop.modelci("report")

    refused = laptop.modelci("promote", code=6)
    assert "registry.require_signed is true, and this Git signs no tags." in refused.err
    assert laptop.tags() == []
    laptop.git("config", "gpg.format", "ssh")
    laptop.git("config", "user.signingKey", str(site.root / "anna"))
    laptop.modelci("promote", "--sign")
    verified = laptop.modelci("registry", "verify", "--remote")
    assert "2 tags on origin: every one is signed by somebody who may." in verified.out


def test_a_rollback_and_a_further_stage_start_the_deployment_too(
    site: World, github: FakeGitHub
) -> None:
    laptop = site.laptop
    promote(laptop)
    laptop.put({**BETTER, "modelci.yaml": SETTINGS})
    promote(laptop)
    laptop.put({"modelci.yaml": SETTINGS + "  dispatch: deploy.yml\n"})
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "main")
    job = site.push_runner(variables=with_token(github.api_url))

    job.modelci("rollback", *STAGE, "--reason", "recall fell", "--dry-run")
    job.modelci("rollback", *STAGE, "--reason", "recall fell")
    job.modelci("promote", "credit@v0.0.2", "--assign", "dev")
    stood = ["credit#staging#3", "credit#dev#4"]
    assert [tag for _, tag, _ in github.dispatches] == stood

    # Run again, in case the first run was cut short before it came to that.
    again = job.modelci("rollback", *STAGE, "--reason", "recall fell")
    job.modelci("promote", "credit@v0.0.2", "--assign", "dev")
    assert "credit#staging#3 was there before: deploy.yml starts for it again" in again.out
    assert [tag for _, tag, _ in github.dispatches] == [*stood, *stood]

    job.modelci("unassign", "credit#dev", "--reason", "nobody looks")
    job.modelci("unassign", "credit#dev", "--reason", "nobody looks")
    assert len(github.dispatches) == 4
