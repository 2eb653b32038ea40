"""Two promotions at once, on real remotes by file, HTTP and SSH: one outcome, never half of one."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
from tests.fakes.snapshots import MODEL
from tests.fakes.storedbytes import FakeStored, right
from tests.integration.gitserver import serve_http, serve_ssh
from tests.integration.promoting import Act, Site, git, outcome

from modelci.adapters.git import GitRepository
from modelci.config.model import PromoteConfig
from modelci.domain.promotion import PlannedTag, Promotion
from modelci.errors import ModelCIError, PipelineError, PromotionError
from modelci.ports import NO_BLOBS, Blobs

Outcome = Promotion | ModelCIError


@dataclass(kw_only=True)
class Racer:
    """A clone that is used again and again."""

    site: Site
    root: Path

    def ready(self, commit: str, line: threading.Barrier) -> "LinedUp":
        git(self.root, "fetch", "--quiet", "--no-tags", "--depth=1", "origin", commit)
        git(self.root, "checkout", "--quiet", "--detach", commit)
        return LinedUp(self.root, line)


class LinedUp(GitRepository):
    """Pushes the first time only when the others are about to push as well."""

    def __init__(self, root: Path, line: threading.Barrier) -> None:
        super().__init__(root)
        self._line: threading.Barrier | None = line

    def push(
        self,
        tags: Sequence[PlannedTag],
        *,
        remote: str | None,
        commit_to: tuple[str, str] | None = None,
        blobs: Blobs = NO_BLOBS,
    ) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.wait(timeout=100)
        super().push(tags, remote=remote, commit_to=commit_to, blobs=blobs)


@pytest.fixture(params=["file", "http", "ssh"])
def racers(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Site, Racer, Racer, int]]:
    """A site, two clones of it with taggers of their own, and how many rounds are worth it."""
    site = Site(folder=tmp_path)
    site.merge("zero")

    def clones(url: str | None, ssh: str | None = None) -> tuple[Racer, Racer]:
        names = ("Ada", "Ben")
        ada, ben = (
            Racer(site=site, root=site.clone(url, name=name, ssh=ssh).root) for name in names
        )
        return ada, ben

    if request.param == "http":
        with serve_http(tmp_path) as remote:
            yield site, *clones(remote.url("origin.git")), 1
    elif request.param == "ssh":
        (tmp_path / "keys").mkdir()
        with serve_ssh(tmp_path / "keys") as server:
            yield site, *clones(server.url(site.bare), server.command), 1
    else:
        yield site, *clones(None), 4


def versions(site: Site) -> dict[str, str]:
    return {name: commit for name, commit in site.tags.items() if "@" in name}


def assert_no_half(site: Site) -> None:
    """Whatever was registered on a commit was assigned there as well, and once."""
    tags = site.tags
    commits = list(versions(site).values())
    assert len(commits) == len(set(commits))
    assigned = [commit for name, commit in tags.items() if "#prod" in name]
    assert sorted(assigned) == sorted(commits)


def test_the_same_version_promoted_twice_at_once_is_promoted_once(
    racers: tuple[Site, Racer, Racer, int],
) -> None:
    site, ada, ben, rounds = racers
    for number in range(1, rounds + 1):
        sha = site.merge(f"model {number}")
        line = threading.Barrier(2)
        clones = [one.ready(sha, line) for one in (ada, ben)]
        results = _both([partial(site.promote, one) for one in clones])
        assert all(isinstance(one, Promotion) and one.done for one in results), results
        assert versions(site) == {**versions(site), f"m@v0.0.{number}": sha}
        assert len(site.tags) == 2 * number
        assert_no_half(site)


@pytest.mark.parametrize("is_read_by", ["ada", "ben"])
def test_the_same_version_is_promoted_once_also_where_only_one_can_read_its_bytes(
    racers: tuple[Site, Racer, Racer, int], is_read_by: str
) -> None:
    site, ada, ben, rounds = racers
    for number in range(1, rounds + 1):
        model = f"model {number}"
        sha = site.merge(model)
        line = threading.Barrier(2)
        read = FakeStored(cached=(right(MODEL, model, model.encode()),))
        away = FakeStored(kept=PipelineError("There are no credentials here."))
        stored = (read, away) if is_read_by == "ada" else (away, read)
        clones = [one.ready(sha, line) for one in (ada, ben)]
        acts = [
            partial(site.promote, one, stored=partial(_itself, bytes_))
            for one, bytes_ in zip(clones, stored, strict=True)
        ]
        results = _both(acts)
        assert all(isinstance(one, Promotion) and one.done for one in results), results
        assert len(site.tags) == 2 * number
        assert_no_half(site)
        # Both tags are one promotion's, and neither of them makes new ones when it runs again.
        digests = {digest_in(site, f"m@v0.0.{number}"), digest_in(site, f"m#prod#{number}")}
        assert digests in ({sha256(model.encode()).hexdigest()}, {""})
        before = git(site.bare, "show-ref")
        for act in acts:
            again = outcome(act)
            assert isinstance(again, Promotion)
            assert again.tags == ()
        assert git(site.bare, "show-ref") == before


def _itself(stored: FakeStored) -> FakeStored:
    return stored


def digest_in(site: Site, tag: str) -> str:
    form = "--format=%(contents:trailers:key=Modelci-Sha256,valueonly)"
    return git(site.bare, "for-each-ref", form, f"refs/tags/{tag}")


def test_of_two_merges_at_once_one_is_promoted_and_named_to_the_other(
    racers: tuple[Site, Racer, Racer, int],
) -> None:
    site, ada, ben, rounds = racers
    for number in range(1, rounds + 1):
        shas = [site.merge(f"{who} {number}") for who in ("ada", "ben")]
        line = threading.Barrier(2)
        clones = [one.ready(sha, line) for one, sha in zip((ada, ben), shas, strict=True)]
        results = _both([partial(site.promote, one) for one in clones])
        (won,) = [one for one in results if isinstance(one, Promotion)]
        (lost,) = [one for one in results if isinstance(one, PromotionError)]
        assert [tag.name for tag in won.tags] == [f"m@v0.0.{number}", f"m#prod#{number}"]
        winner = "Ada" if won.commit == shas[0] else "Ben"
        assert f"by {winner} (" in str(lost)
        assert f"on {won.commit[:7]}) came first" in str(lost)
        assert lost.exit_code == 6
        assert site.state.stages["prod"].commit == won.commit
        assert_no_half(site)


def test_different_stages_at_once_are_both_assigned(
    racers: tuple[Site, Racer, Racer, int],
) -> None:
    site, ada, ben, rounds = racers
    for number in range(1, rounds + 1):
        sha = site.merge(f"model {number}")
        site.promote(ada.ready(sha, threading.Barrier(1)), settings=PromoteConfig())
        line = threading.Barrier(2)
        clones = {"dev": ada.ready(sha, line), "staging": ben.ready(sha, line)}
        results = _both(
            [partial(site.assign, one, f"m@v0.0.{number}", name) for name, one in clones.items()]
        )
        assert all(isinstance(one, Promotion) and len(one.tags) == 1 for one in results), results
        assert {stage: one.label for stage, one in site.state.stages.items()} == {
            "dev": f"v0.0.{number}",
            "staging": f"v0.0.{number}",
        }


def test_of_two_versions_for_one_stage_one_wins_and_is_named_to_the_other(
    racers: tuple[Site, Racer, Racer, int],
) -> None:
    site, ada, ben, rounds = racers
    shas = [site.merge("one"), site.merge("two")]
    for sha in shas:
        site.promote(ada.ready(sha, threading.Barrier(1)), settings=PromoteConfig())
    for number in range(1, rounds + 1):
        git(site.bare, "update-ref", "--stdin", stdin=_without_assignments(site))
        line = threading.Barrier(2)
        pairs = [("m@v0.0.1", ada.ready(shas[0], line)), ("m@v0.0.2", ben.ready(shas[1], line))]
        results = _both(
            [partial(site.assign, one, name, "prod", seconds=number) for name, one in pairs]
        )
        (won,) = [one for one in results if isinstance(one, Promotion)]
        (lost,) = [one for one in results if isinstance(one, PromotionError)]
        assert "m#prod#1 by" in str(lost)
        assert "Nothing was tagged" in str(lost)
        assert site.state.stages["prod"].commit == won.commit


def _without_assignments(site: Site) -> bytes:
    names = [name for name in site.tags if "#" in name]
    return "".join(f"delete refs/tags/{name}\n" for name in names).encode()


def _both(acts: Sequence[Act]) -> list[Outcome]:
    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(outcome, acts))
