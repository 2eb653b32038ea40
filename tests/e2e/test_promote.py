"""``modelci promote`` in people's hands: versions to further stages, rules, and reasons."""

import json

import pytest
from tests.e2e.world import BETTER, SETTINGS, WORSE, Checkout, World, hint_of

ORDERED = SETTINGS.replace("promote:\n", "promote:\n  stages: [staging, prod]\n")


def merged(site: World, files: dict[str, str], name: str) -> None:
    site.push(files)
    site.push_runner(name=name).modelci("ci")
    site.laptop.git("pull", "--quiet")


def judged(site: World, files: dict[str, str]) -> Checkout:
    """Run and commit everything on a laptop, and judge that commit."""
    laptop = site.laptop
    laptop.put(files)
    laptop.modelci("run")
    laptop.commit()
    laptop.git("push", "--quiet", "origin", "HEAD:main")
    laptop.modelci("report")
    return laptop


def test_a_version_goes_to_production_from_a_shallow_clone(site: World) -> None:
    merged(site, {"modelci.yaml": ORDERED, **BETTER}, "first")
    clone = site.clone("somewhere", "--depth=1", "--no-tags")

    plan = clone.modelci("promote", "credit@v0.0.1", "--assign", "prod", "--dry-run")
    assert "1 tag to create on origin" in plan.out
    done = clone.modelci("promote", "credit#staging", "--assign", "prod", "--json")

    document = json.loads(done.out)
    assert [tag["name"] for tag in document["tags"]] == ["credit#prod#2"]
    assert document["done"] is True
    assert site.bare("rev-parse", "credit#prod#2^{commit}") == site.bare(
        "rev-parse", "credit@v0.0.1^{commit}"
    )
    again = clone.modelci("promote", "credit@v0.0.1", "--assign", "prod")
    assert "credit: v0.0.1 holds prod" in again.out


def test_the_stage_before_comes_first_unless_somebody_says_why(site: World) -> None:
    laptop = judged(site, {"modelci.yaml": ORDERED, **BETTER})
    refused = laptop.modelci("promote", "--assign", "prod", code=6)
    assert "credit@v0.0.1 cannot go to prod: nothing holds staging" in refused.err
    assert "modelci promote credit@v0.0.1 --assign staging" in hint_of(refused)
    laptop.modelci("promote", "--assign", "prod", "--allow", " ", code=2)

    done = laptop.modelci("promote", "--assign", "prod", "--allow", "staging is down")

    assert "Rules are lifted (stage-order): staging is down" in done.out
    said = site.bare("tag", "--list", "--format=%(contents)", "credit#prod#1")
    assert "Modelci-Allowed: staging is down" in said
    assert "Modelci-Allowed-By: " in said
    assert "Modelci-Allowed-Rules: stage-order" in said.splitlines()


def test_a_blocked_model_is_promoted_by_a_reason_alone_and_says_so_for_ever(site: World) -> None:
    laptop = judged(site, WORSE)
    refused = laptop.modelci("promote", code=6)
    assert "gates block it (roc_auc)" in refused.err
    assert "--allow REASON" in hint_of(refused)
    document = json.loads(laptop.modelci("promote", "--allow", "the law changed", "--json").out)
    assert (document["allowed"], document["allowed_rules"]) == ("the law changed", ["gates"])
    assert {tuple(tag["allowed_rules"]) for tag in document["tags"]} == {("gates",)}
    refused = laptop.modelci("promote", "credit@v0.0.1", "--assign", "prod", code=6)
    assert "was registered although gates blocked it" in refused.err


def test_pre_releases_and_their_release(site: World) -> None:
    laptop = judged(site, BETTER)
    laptop.modelci("promote", "credit", "--pre", "rc", "--bump", "minor")
    assert "credit@v0.0.1-rc.1" in site.bare("tag", "--list")
    laptop.commit({"README.md": "say what it is\n"})
    laptop.git("push", "--quiet", "origin", "HEAD:main")
    laptop.modelci("report")
    laptop.modelci("promote", "--final")
    assert "credit@v0.0.1" in site.bare("tag", "--list").split()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("credit@v1.0.0", "--bump", "minor"), "it goes with --assign, alone"),
        (("credit@v1.0.0", "credit"), "it goes with --assign, alone"),
        (("credit@nonsense", "--assign", "prod"), "names no version"),
        (("--pre", "rc", "--final"), "exclude each other"),
        (("credit@v1.0.0",), "no stage for it"),
        (("--remote", "nowhere"), "There is no remote 'nowhere'"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(
    site: World, arguments: tuple[str, ...], said: str
) -> None:
    laptop = judged(site, BETTER)
    laptop.modelci("promote")
    refused = laptop.modelci("promote", *arguments, code=2)
    assert said in refused.err


@pytest.mark.parametrize("created", [True, False])
def test_bytes_that_the_dvc_remote_lacks_are_not_promoted(site: World, *, created: bool) -> None:
    laptop = judged(site, BETTER)
    store = laptop.folder.parent / "empty-store"
    if created:
        store.mkdir()
    add = ("dvc", "remote", "add", "--local", "--default", "--force", "store", str(store))
    assert laptop.run(*add).code == 0

    refused = laptop.modelci("promote", code=6)

    assert "The DVC remote lacks model.txt (md5 " in refused.err
    assert "dvc push model.txt" in hint_of(refused)
    assert laptop.run("dvc", "push", "--quiet").code == 0
    assert laptop.modelci("promote").out.startswith("2 tags created")
