"""Signing a model's bytes as people and CI meet it: with a merge's tags, by hand, verified."""

import json
import subprocess
from dataclasses import replace

import pytest
from tests.e2e.world import BETTER, SETTINGS, Checkout, World, hint_of
from tests.integration.certificates import Key, make_key, private, public

ANNA = make_key()
SIGNED = SETTINGS.replace("promote:\n", "promote:\n  sign_models: true\n") + (
    "signing:\n  trusted:\n    anna: {public_key: anna.pub}\n"
)
FILES = {"modelci.yaml": SIGNED, "anna.pub": public(ANNA).decode(), **BETTER}
REFS = ("for-each-ref", "--format=%(refname)", "refs/modelci")


def armed(checkout: Checkout, of: Key = ANNA, password: str = "") -> Checkout:
    """Return a checkout in whose environment there is a key to sign with."""
    secrets = {
        "MODELCI_SIGNING_KEY_PEM": private(of, password.encode() or None).decode(),
        "MODELCI_SIGNING_PASSWORD": password,
    }
    return replace(checkout, variables={**checkout.variables, **secrets})


def signature_in(found: str) -> dict[str, str]:
    findings = json.loads(found)["findings"]
    (one,) = [one for one in findings if one["subject"] == "signature"]
    return {name: one[name] for name in ("state", "detail", "found")}


def test_a_merge_signs_what_it_registers_and_a_shallow_clone_verifies_it(site: World) -> None:
    site.push(FILES)
    runner = site.push_runner(name="merge")
    armed(runner).modelci("ci")

    ref = site.bare(*REFS)
    assert ref.startswith("refs/modelci/signatures/credit@v0.0.1/")
    clone = site.clone("elsewhere", "--depth=1", "--no-tags")
    found = clone.modelci("verify", "credit@v0.0.1", "--remote", "--pull", "--json")
    assert signature_in(found.out) == {"state": "ok", "detail": "", "found": "key of anna"}

    again = armed(clone).modelci("sign", "credit@v0.0.1", "--pull")
    assert "was signed already as anna: nothing was changed" in again.out
    assert site.bare(*REFS) == ref


def test_a_merge_that_cannot_sign_tags_nothing(site: World) -> None:
    site.push(FILES)
    runner = site.push_runner(name="merge")
    refused = runner.modelci("ci", code=3)
    assert "There is no private key to sign with" in refused.err
    assert "MODELCI_SIGNING_KEY_PEM" in hint_of(refused)
    refused = armed(runner, make_key()).modelci("ci", code=6)
    assert "credit@v0.0.1 was not signed: the signature would be unknown" in refused.err
    assert (site.bare("tag"), site.bare(*REFS)) == ("", "")


def test_a_stage_of_the_pipeline_does_not_see_the_key(site: World) -> None:
    train = "env > ../seen.txt; sed -n 's/quality: //p' params.yaml > model.txt\n"
    site.push({**FILES, "train.sh": train})
    runner = site.push_runner(name="merge")
    armed(runner, password="hush").modelci("ci")
    seen = runner.read("../seen.txt")
    assert "PATH=" in seen
    assert "MODELCI_SIGNING" not in seen
    assert "PRIVATE KEY" not in seen


def test_a_version_is_signed_by_hand_afterwards(site: World) -> None:
    site.push({**FILES, "modelci.yaml": SIGNED.replace("  sign_models: true\n", "")})
    site.push_runner(name="merge").modelci("ci")
    assert site.bare(*REFS) == ""
    laptop = site.laptop
    laptop.git("pull", "--quiet")

    unsigned = laptop.modelci("verify", "credit@v0.0.1", "--remote", "--pull", "--json")
    assert signature_in(unsigned.out)["state"] == "unchecked"
    done = armed(laptop).modelci("sign", "credit@v0.0.1", "--pull", "--json")

    document = json.loads(done.out)
    assert document["schema"] == "modelci.model-signing/1"
    assert (document["made"], document["signers"]) == (True, ["anna"])
    assert list(document["files"]) == ["model.txt"]
    assert document["ref"] == site.bare(*REFS)
    signed = laptop.modelci("verify", "credit@v0.0.1", "--pull", "--json")  # by this clone's refs
    assert signature_in(signed.out)["state"] == "ok"


def test_where_nobody_is_trusted_it_is_signed_and_said_so(site: World) -> None:
    site.push(BETTER)
    site.push_runner(name="merge").modelci("ci")
    site.laptop.git("pull", "--quiet")
    done = armed(site.laptop).modelci("sign", "credit@v0.0.1", "--pull")
    assert "signing.trusted of the default branch names nobody" in done.out


@pytest.mark.parametrize("name", ["credit@v9.9.9", "credit"])
def test_what_is_no_version_cannot_be_signed(site: World, name: str) -> None:
    armed(site.laptop).modelci("sign", name, code=2)


def test_signing_names_its_extra_where_that_is_missing(site: World) -> None:
    site.push(BETTER)
    site.push_runner(name="merge").modelci("ci")
    site.laptop.git("pull", "--quiet")
    script = (
        "import sys; sys.modules['model_signing'] = None\n"
        "from modelci.__main__ import main; main()\n"
    )
    command = ["python", "-c", script, "sign", "credit@v0.0.1", "--pull"]
    done = subprocess.run(
        command,
        cwd=site.laptop.folder,
        env=armed(site.laptop).environment({}),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr.decode()
    assert "pip install 'modelci[signing]'" in done.stderr.decode()
