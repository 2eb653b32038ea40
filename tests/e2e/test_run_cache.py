"""A run cache that somebody made up: whether its fakes reach a release."""

from hashlib import md5, sha256
from pathlib import Path

import pytest
from tests.e2e.world import BETTER, SETTINGS, World

EVIL = b"0.99\n"
HONEST = b"0.85\n"
PULLS = "run: {pull: true, push: true"
TRUSTING = SETTINGS.replace(PULLS, f"{PULLS}, events: {{push: {{run_cache: on}}}}")
SEPARATE = SETTINGS.replace(PULLS, f"{PULLS}, events: {{pull_request: {{remote: pr}}}}")
DOUBT = "Past runs are not restored: jobs of pull requests push to the default DVC remote"


def poison(site: World, store: Path) -> None:
    """Say in a remote that the merge's training gave another model than it does.

    It takes what every job of a pull request that pushes has: the remote's credentials.
    """
    site.laptop.git("clone", "--quiet", site.remote.as_uri(), str(site.root / "attacker"))
    attacker = type(site.laptop)(site.root / "attacker", {})
    attacker.put(BETTER)
    attacker.modelci("run")
    cache = attacker.folder / ".dvc" / "cache"
    honest, evil = (md5(data, usedforsecurity=False).hexdigest() for data in (HONEST, EVIL))
    entries = [path for path in (cache / "runs").rglob("*") if path.is_file()]
    faked = [
        path
        for path in entries
        if f"path: model.txt\n  hash: md5\n  md5: {honest}" in path.read_text()
    ]
    assert len(faked) == 2  # what trains it writes it, what evaluates it reads it
    for path in entries:
        target = store / path.relative_to(cache)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.write_text(path.read_text().replace(honest, evil))
    for folder in (store, site.root / "store"):
        place = folder / "files" / "md5" / evil[:2] / evil[2:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(EVIL)


def promoted(site: World) -> tuple[str, str]:
    """Merge a change, and return what the promoted version's tag names, and what the job said."""
    before = site.bare("rev-parse", "main")
    site.push(BETTER)
    done = site.push_runner(before=before).modelci("ci")
    form = "--format=%(contents:trailers:key=Modelci-Sha256,valueonly)"
    return site.bare("for-each-ref", form, "refs/tags/credit@v0.0.1"), done.err


def test_the_attack_is_real_where_everyone_is_trusted(site: World) -> None:
    site.push({"modelci.yaml": TRUSTING})
    poison(site, site.root / "store")
    digest, said = promoted(site)
    assert digest == sha256(EVIL).hexdigest()
    assert "Past runs" not in said


def test_a_poisoned_run_cache_does_not_reach_a_release(site: World) -> None:
    poison(site, site.root / "store")
    digest, said = promoted(site)
    assert digest == sha256(HONEST).hexdigest()
    assert DOUBT in said
    checks = site.laptop.modelci("doctor").out
    assert DOUBT in " ".join(checks.split())
    assert "events: {pull_request: {remote: pr}}" in " ".join(checks.split())


def test_with_a_remote_for_pull_requests_alone_a_release_sees_none_of_it(site: World) -> None:
    separate(site)
    site.propose(BETTER)
    site.pull_request_runner(name="pull-request").modelci("ci", "--no-write")
    store, pr = site.root / "store", site.root / "pr"
    assert held(pr, HONEST)
    assert not held(store, HONEST)
    poison(site, pr)

    digest, said = promoted(site)

    assert digest == sha256(HONEST).hexdigest()
    assert "Past runs" not in said
    assert held(store, HONEST)
    assert "Past runs" not in site.laptop.modelci("doctor").out


@pytest.mark.parametrize("url", ["../../store", "../../store/pr"])
def test_another_name_for_the_same_place_separates_nothing(site: World, url: str) -> None:
    separate(site, url=url)
    poison(site, site.root / "store")
    digest, said = promoted(site)
    assert digest == sha256(HONEST).hexdigest()
    assert f"{DOUBT} (pr is the same place)" in said


def separate(site: World, *, url: str = "../../pr") -> None:
    config = site.laptop.read(".dvc/config")
    config += f"['remote \"pr\"']\n    url = {url}\n"
    site.push({"modelci.yaml": SEPARATE, ".dvc/config": config})


def held(store: Path, data: bytes) -> bool:
    name = md5(data, usedforsecurity=False).hexdigest()
    return (store / "files" / "md5" / name[:2] / name[2:]).exists()
