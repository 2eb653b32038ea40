from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.progress import RecordedProgress

from modelci.domain.events import CIContext, EventKind
from modelci.domain.promotion import PlannedTag
from modelci.domain.registry import Holder
from modelci.domain.report import Revision
from modelci.errors import ForgeError, UsageError
from modelci.workflows.revisions import Names, choose_base, name_head, named, parse_range

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path("/repository")
NOWHERE = CIContext()


def choose(
    git: FakeGit,
    context: CIContext = NOWHERE,
    *,
    base: str | None = None,
    head: str | None = None,
    default_branch: str | None = None,
    artifacts: tuple[str, ...] = (),
    progress: RecordedProgress | None = None,
) -> Revision | None:
    return choose_base(
        git,
        name_head(git, head),
        context,
        base=base,
        default_branch=default_branch,
        artifacts=artifacts,
        progress=progress or RecordedProgress(),
    )


def sha_of(revision: Revision | None) -> str | None:
    assert revision is not None
    return revision.sha


@pytest.fixture
def remote() -> FakeRemote:
    return FakeRemote()


def grow(
    remote: FakeRemote, count: int, branch: str = "main", start: str | None = None
) -> list[str]:
    """Make a branch of so many commits, on top of ``start``."""
    grown: list[str] = []
    for number in range(count):
        parents = [start] if start and not grown else None
        files = {f"{branch}.txt": b"%d" % number}
        grown.append(remote.commit(files, branch=branch, parents=parents))
    return grown


def pull(remote: FakeRemote, head: str, *, merge: str | None = None) -> CIContext:
    return CIContext(
        provider="github",
        event=EventKind.PULL_REQUEST,
        sha=merge or head,
        head_sha=head,
        base_ref="main",
        pull_request=7,
    )


def push(sha: str, before: str | None, branch: str = "main") -> CIContext:
    return CIContext(
        event=EventKind.PUSH, sha=sha, before=before, branch=branch, default_branch="main"
    )


# -- the head --------------------------------------------------------------------------------


def test_the_head_is_what_was_named_or_the_work_tree(remote: FakeRemote) -> None:
    first, second = grow(remote, 2)
    git = FakeGit(ROOT, remote)
    assert name_head(git, first) == Revision(sha=first, name=first, chosen="given")
    for dirty in (False, True):
        head = name_head(git, None)
        assert (head.sha, head.name, head.dirty) == (second, "main", dirty)
        git.files["new"] = b"x"
    detached = FakeGit(ROOT, remote, at=second, branch=None)
    assert name_head(detached, None).name == "HEAD"


def test_before_the_first_commit_there_is_only_the_work_tree_and_no_base() -> None:
    git = FakeGit(ROOT)
    head = name_head(git, None)
    assert (head.sha, head.dirty) == (None, True)
    assert choose(git) is None


# -- a base that was named -------------------------------------------------------------------


def test_a_base_that_was_named_is_taken_whatever_the_event_says(remote: FakeRemote) -> None:
    first, _, third = grow(remote, 3)
    git = FakeGit(ROOT, remote)
    found = choose(git, pull(remote, third), base=first)
    assert found == Revision(sha=first, name=first, chosen="given")
    with pytest.raises(UsageError, match="no revision 'nowhere'"):
        choose(git, base="nowhere")


# -- two revisions in one, and names of the registry ------------------------------------------


def test_two_dots_name_both_revisions_and_three_their_merge_base(remote: FakeRemote) -> None:
    first, second = grow(remote, 2)
    side = remote.commit({"side": b"1"}, branch="side", parents=[first])
    git = FakeGit(ROOT, remote)
    assert parse_range(git, None, None) == (None, None)
    assert parse_range(git, first, side) == (first, side)
    assert parse_range(git, "v1.2", None) == ("v1.2", None)
    assert parse_range(git, f"{first}..{side}", None) == (first, side)
    assert parse_range(git, "m@v1.0.0..m#prod", None) == ("m@v1.0.0", "m#prod")
    assert parse_range(git, f"{first}..", None) == (first, "HEAD")
    assert parse_range(git, f"..{side}", None) == ("HEAD", side)
    assert parse_range(git, f"{second}...{side}", None) == (first, side)
    with pytest.raises(UsageError, match="one too many"):
        parse_range(git, f"{first}..{side}", second)


def test_revisions_without_common_history_have_no_three_dots(remote: FakeRemote) -> None:
    (first,) = grow(remote, 1)
    alone = remote.commit({"a": b"1"}, branch="alone", parents=[])
    with pytest.raises(UsageError, match="no common history"):
        parse_range(FakeGit(ROOT, remote), f"{first}...{alone}", None)


def registered(git: FakeGit, name: str, commit: str, seconds: int = 0) -> None:
    git.tag_objects[name] = PlannedTag(
        name=name, artifact="m", commit=commit, seconds=seconds, subject="s"
    )


@pytest.fixture
def registry(remote: FakeRemote) -> tuple[FakeGit, list[str]]:
    shas = grow(remote, 5)
    git = FakeGit(ROOT, remote)
    for place, name in enumerate(("m@v1.0.0", "m@v1.2.0", "m@v1.10.0", "m@v2.0.0-rc.1")):
        registered(git, name, shas[place], place)
    registered(git, "m@v3.0.0", shas[4], 10)
    registered(git, "m@v3.0.0!", shas[4], 11)
    registered(git, "m#prod#1", shas[1], 12)
    registered(git, "dir=name@v1.0.0", shas[2], 13)
    return git, shas


@pytest.mark.parametrize(
    ("name", "place", "chosen"),
    [
        ("m@v1.2.0", 1, "version v1.2.0"),
        ("m@v1", 2, "version v1.10.0"),
        ("m@v1.2", 1, "version v1.2.0"),
        ("m@v2.0.0-rc.1", 3, "version v2.0.0-rc.1"),
        ("m@v3.0.0", 4, "version v3.0.0"),
        ("m@latest", 3, "version v2.0.0-rc.1"),
        ("m#prod", 1, "v1.2.0 holds prod"),
        ("dir:name@v1", 2, "version v1.0.0"),
    ],
)
def test_a_name_of_the_registry_means_its_commit(
    registry: tuple[FakeGit, list[str]], name: str, place: int, chosen: str
) -> None:
    git, shas = registry
    expected = Revision(sha=shas[place], name=name, chosen=chosen)
    assert named(git, name) == expected
    assert choose(git, base=name) == expected
    assert name_head(git, name) == expected


def test_a_stage_is_held_by_the_configured_rule(
    registry: tuple[FakeGit, list[str]],
) -> None:
    git, shas = registry
    registered(git, "m#prod#2", shas[2], 14)
    registered(git, "m#prod#3", shas[1], 15)
    assert named(git, "m#prod").sha == shas[1]
    semver = Names(holder=Holder.SEMVER)
    assert named(git, "m#prod", semver).sha == shas[2]
    assert name_head(git, "m#prod", semver).sha == shas[2]


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("m@v9", "m has no version v9", "There are v2.0.0-rc.1, v1.10.0, v1.2.0, v1.0.0."),
        ("m@v3", "m has no version v3", "There are v2.0.0-rc.1, v1.10.0, v1.2.0, v1.0.0."),
        ("m#dev", "Nothing of m holds stage 'dev'", "There are m#prod."),
        ("dir:name#dev", "Nothing of dir:name holds", "None of its stages is held."),
        ("mm@v1", "speaks of an artifact 'mm'", "Did you mean 'm'?"),
        ("other@v1", "of this clone or of origin speaks of an artifact 'other'", "--remote` lists"),
        ("nowhere", "no revision 'nowhere'", ""),
    ],
)
def test_what_the_registry_does_not_know_is_an_error_that_lists_what_it_does(
    registry: tuple[FakeGit, list[str]], name: str, message: str, hint: str
) -> None:
    git, _ = registry
    with pytest.raises(UsageError, match=message) as caught:
        named(git, name)
    assert hint in (caught.value.hint or "")


def test_a_branch_of_an_artifacts_name_is_not_taken_for_its_version(
    registry: tuple[FakeGit, list[str]],
) -> None:
    git, shas = registry
    git.refs["refs/heads/m@v1.2.0"] = shas[4]
    git.refs["refs/heads/fix#12"] = shas[0]
    assert named(git, "m@v1.2.0").sha == shas[1]
    assert named(git, "fix#12").sha == shas[0]  # no artifact has that name
    assert git.asked == [None, None]  # nor is the remote asked for one


@pytest.fixture
def tagless(remote: FakeRemote) -> tuple[FakeGit, list[str]]:
    """A checkout of one commit, as CI makes it, of a registry whose tags the remote has."""
    shas = grow(remote, 3)
    for place, name in enumerate(("m@v1.0.0", "m@v1.1.0", "m#prod#1", "other@v1.0.0")):
        commit = shas[min(place, 1)]
        remote.tags[name] = PlannedTag(
            name=name, artifact=name[0], commit=commit, seconds=place, subject="s"
        )
    return FakeGit(ROOT, remote, depth=1), shas


def test_of_an_artifact_without_tags_here_those_of_the_remote_are_fetched(
    tagless: tuple[FakeGit, list[str]],
) -> None:
    git, shas = tagless
    progress = RecordedProgress()
    found = name_head(git, "m@v1.0.0", Names(progress=progress))
    assert found == Revision(sha=shas[0], name="m@v1.0.0", chosen="version v1.0.0")
    assert git.has(shas[0])
    assert progress.notes == ["This clone has no tags of m: fetching those of origin"]
    assert sha_of(choose(git, base="m#prod")) == shas[1]
    assert named(git, "m@latest").chosen == "version v1.1.0"
    assert git.tag_objects == {}
    with pytest.raises(UsageError, match="m has no version v2"):
        named(git, "m@v2")


def test_the_remotes_tags_go_before_this_clones_where_that_is_asked_for(
    registry: tuple[FakeGit, list[str]],
) -> None:
    git, shas = registry
    assert git.origin is not None
    newer = PlannedTag(name="m#prod#9", artifact="m", commit=shas[3], seconds=20, subject="s")
    git.origin.tags = {**git.tag_objects, "m#prod#9": newer}
    assert named(git, "m#prod").sha == shas[1]
    assert named(git, "m#prod", Names(remote=True)).sha == shas[3]
    git.origin.tags = {}
    with pytest.raises(UsageError, match="and no tag of origin speaks of an artifact 'm'"):
        named(git, "m#prod", Names(remote=True))


def test_where_nobody_can_be_asked_for_a_version_it_is_said(remote: FakeRemote) -> None:
    grow(remote, 1)
    git = FakeGit(ROOT, remote, depth=1)
    remote.away = True
    with pytest.raises(ForgeError, match="knows of no 'm#prod', and could not ask origin for it"):
        named(git, "m#prod")
    alone = FakeGit(ROOT)
    with pytest.raises(UsageError, match="no tag of this clone speaks of an artifact 'm'"):
        named(alone, "m#prod")
    with pytest.raises(UsageError, match="has no remote"):
        named(alone, "m#prod", Names(remote=True))


def test_a_versions_commit_is_fetched_alone(tagless: tuple[FakeGit, list[str]]) -> None:
    git, shas = tagless
    registered(git, "m@v1.0.0", shas[0])
    assert not git.has(shas[0])
    assert named(git, "m@v1.0.0").sha == shas[0]
    assert git.log == [f"fetch {shas[0]} depth=1"]
    registered(git, "m@v3.0.0", "f" * 40, 1)
    with pytest.raises(ForgeError, match=r"^m@v3.0.0 is not in this clone\. ") as caught:
        named(git, "m@v3.0.0")
    assert "fetch-depth: 0" in (caught.value.hint or "")


# -- pull requests ---------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [None, 1, 2])
def test_a_test_merge_is_compared_with_its_own_first_parent(
    remote: FakeRemote, depth: int | None
) -> None:
    main = grow(remote, 3)
    (head,) = grow(remote, 1, "side", main[0])
    merge = remote.commit({"m": b"1"}, branch="pull", parents=[main[2], head])
    git = FakeGit(ROOT, remote, at=merge, branch=None, depth=depth)
    found = choose(git, pull(remote, head, merge=merge))
    assert found == Revision(sha=main[2], name="main", chosen="main as the test merge has it")
    assert git.has(main[2])
    assert not [line for line in git.log if "deepen" in line]


@pytest.mark.parametrize(
    ("behind", "steps"), [(3, ["deepen 50"]), (80, ["deepen 50", "deepen 500"])]
)
def test_a_heads_own_checkout_is_deepened_until_the_merge_base_is_here(
    remote: FakeRemote, behind: int, steps: list[str]
) -> None:
    main = grow(remote, behind)
    side = grow(remote, 2, "side", main[0])
    git = FakeGit(ROOT, remote, at=side[-1], branch=None, depth=1)
    progress = RecordedProgress()
    found = choose(git, pull(remote, side[-1]), progress=progress)
    assert found == Revision(sha=main[0], name="main", chosen="merge base with main")
    assert [line for line in git.log if line.startswith("deepen")] == steps
    assert len(progress.notes) == len(steps)
    assert git.log[0] == "fetch +refs/heads/main:refs/remotes/origin/main depth=1"


def test_a_heads_own_full_checkout_needs_no_fetch(remote: FakeRemote) -> None:
    main = grow(remote, 3)
    side = grow(remote, 2, "side", main[1])
    git = FakeGit(ROOT, remote, at=side[-1], branch=None)
    git.log.clear()
    assert sha_of(choose(git, pull(remote, side[-1]))) == main[1]
    assert git.log == []


def test_a_merge_of_the_authors_own_is_no_test_merge(remote: FakeRemote) -> None:
    main = grow(remote, 3)
    (side,) = grow(remote, 1, "side", main[0])
    own = remote.commit({"x": b"1"}, branch="side", parents=[side, main[1]])
    git = FakeGit(ROOT, remote, at=own, branch=None, depth=1)
    assert sha_of(choose(git, pull(remote, own))) == main[1]


def test_a_base_that_cannot_be_fetched_says_what_to_set(remote: FakeRemote) -> None:
    main = grow(remote, 3)
    (head,) = grow(remote, 1, "side", main[0])
    merge = remote.commit({}, branch="pull", parents=[main[2], head])
    for context, at in ((pull(remote, head, merge=merge), merge), (pull(remote, head), head)):
        git = FakeGit(ROOT, remote, at=at, branch=None, depth=1)
        remote.away = True
        with pytest.raises(ForgeError, match="The base is not in this clone") as raised:
            choose(git, context)
        assert "fetch-depth: 0" in (raised.value.hint or "")
        remote.away = False


def test_histories_apart_say_so(remote: FakeRemote) -> None:
    grow(remote, 2)
    alone = remote.commit({}, branch="side", parents=[])
    git = FakeGit(ROOT, remote, at=alone, branch=None, depth=1)
    with pytest.raises(UsageError, match="no common history"):
        choose(git, pull(remote, alone))


# -- pushes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [None, 1])
def test_a_push_is_compared_with_what_it_replaced(remote: FakeRemote, depth: int | None) -> None:
    main = grow(remote, 4)
    git = FakeGit(ROOT, remote, depth=depth)
    found = choose(git, push(main[3], main[1]))
    assert found == Revision(
        sha=main[1], name=main[1][:7], chosen="what the push replaced", merged=True
    )
    assert git.has(main[1])


def test_what_is_pushed_to_a_branch_is_not_merged(remote: FakeRemote) -> None:
    side = grow(remote, 3, "side", start=grow(remote, 1)[0])
    git = FakeGit(ROOT, remote, at=side[2], branch="side")
    found = choose(git, push(side[2], side[1], branch="side"))
    assert found is not None
    assert (found.chosen, found.merged) == ("what the push replaced", False)


def test_results_committed_on_top_of_a_push_do_not_change_its_base(remote: FakeRemote) -> None:
    main = grow(remote, 3)
    git = FakeGit(ROOT, remote, depth=1)
    git.files["dvc.lock"] = b"new"
    git.commit_paths(["dvc.lock"], "Record the pipeline's results")
    assert sha_of(choose(git, push(main[2], main[1]))) == main[1]


def test_what_a_forced_push_threw_away_is_fetched_by_its_id(remote: FakeRemote) -> None:
    main = grow(remote, 2)
    lost = remote.commit({"lost": b"1"}, branch="gone", parents=[main[0]])
    del remote.branches["gone"]
    full, thin = FakeGit(ROOT, remote), FakeGit(ROOT, remote, depth=1)
    for git, depth in ((full, "None"), (thin, "1")):
        assert sha_of(choose(git, push(main[1], lost))) == lost
        assert git.log[-1] == f"fetch {lost} depth={depth}"
    assert not full.is_shallow()


def test_for_a_replaced_commit_that_nobody_has_the_parent_stands_in(remote: FakeRemote) -> None:
    main = grow(remote, 2)
    found = choose(FakeGit(ROOT, remote), push(main[1], "f" * 40))
    assert found is not None
    assert (found.sha, found.name) == (main[0], "HEAD^")


@pytest.mark.parametrize("depth", [None, 1])
def test_a_branchs_first_push_is_compared_where_it_left_the_default_branch(
    remote: FakeRemote, depth: int | None
) -> None:
    main = grow(remote, 3)
    side = grow(remote, 2, "side", main[1])
    git = FakeGit(ROOT, remote, at=side[-1], branch="side", depth=depth)
    found = choose(git, push(side[-1], None, "side"))
    assert found == Revision(sha=main[1], name="main", chosen="merge base with main")


def test_the_configured_default_branch_beats_the_forges_word(remote: FakeRemote) -> None:
    main = grow(remote, 3)
    trunk = grow(remote, 1, "trunk", main[2])
    side = grow(remote, 1, "side", trunk[0])
    git = FakeGit(ROOT, remote, at=side[-1], branch="side", depth=1)
    found = choose(git, push(side[-1], None, "side"), default_branch="trunk")
    assert found == Revision(sha=trunk[0], name="trunk", chosen="merge base with trunk")


def test_a_repositorys_very_first_push_has_no_base(remote: FakeRemote) -> None:
    (only,) = grow(remote, 1)
    assert choose(FakeGit(ROOT, remote), push(only, None)) is None
    assert choose(FakeGit(ROOT, remote, depth=1), push(only, None)) is None


# -- at home, on a schedule ------------------------------------------------------------------


def test_a_branch_is_compared_where_it_left_the_default_branch(remote: FakeRemote) -> None:
    main = grow(remote, 3)
    side = grow(remote, 2, "side", main[1])
    git = FakeGit(ROOT, remote, at=side[-1], branch="side")
    assert sha_of(choose(git)) == main[1]
    git.files["a"] = b"dirty"
    assert sha_of(choose(git)) == main[1]


def test_on_the_default_branch_changes_are_compared_with_the_last_commit(
    remote: FakeRemote,
) -> None:
    main = grow(remote, 3)
    git = FakeGit(ROOT, remote)
    git.files["a"] = b"dirty"
    assert choose(git) == Revision(sha=main[2], name="HEAD", chosen="the last commit")


@pytest.mark.parametrize("depth", [None, 1])
def test_on_the_default_branch_a_clean_tree_is_compared_with_its_parent(
    remote: FakeRemote, depth: int | None
) -> None:
    main = grow(remote, 3)
    schedule = CIContext(event=EventKind.OTHER, event_name="schedule", default_branch="main")
    for context in (NOWHERE, schedule):
        git = FakeGit(ROOT, remote, depth=depth)
        found = choose(git, context)
        assert found is not None
        assert (found.sha, found.name) == (main[1], "HEAD^")
        assert git.has(main[1])


def test_an_unknown_default_branch_says_what_to_set(remote: FakeRemote) -> None:
    grow(remote, 2, "odd")
    git = FakeGit(ROOT, remote, at=remote.branches["odd"], branch="odd", depth=1)
    with pytest.raises(UsageError, match="default branch is not known") as raised:
        choose(git)
    assert "default_branch in modelci.yaml" in (raised.value.hint or "")


def test_a_lone_first_commit_has_no_base_and_its_changes_have_one(remote: FakeRemote) -> None:
    sha = remote.commit({"a": b"1"})
    files: Mapping[str, bytes] = remote.commits[sha].files
    git = FakeGit(ROOT, branch="odd")
    git.commits[sha] = remote.commits[sha]
    git._head, git.files = sha, dict(files)
    assert choose(git) is None


def tagged(remote: FakeRemote, name: str, commit: str, seconds: int) -> None:
    remote.tags[name] = PlannedTag(
        name=name, artifact="m", commit=commit, seconds=seconds, subject="s"
    )


@pytest.mark.parametrize("depth", [None, 1])
def test_a_push_to_the_default_branch_is_compared_with_the_newest_version(
    remote: FakeRemote, depth: int | None
) -> None:
    main = grow(remote, 4)
    tagged(remote, "m@v0.0.1", main[0], 10)
    tagged(remote, "m@v0.0.2", main[1], 20)
    tagged(remote, "m@v0.0.3", main[3], 30)  # by an earlier run of this very job
    git = FakeGit(ROOT, remote, depth=depth)
    found = choose(git, push(main[3], main[2]), artifacts=("m",))
    assert found is not None
    assert (found.sha, found.tag) == (main[1], "m@v0.0.2")
    assert sha_of(choose(git, push(main[3], main[2]), artifacts=("other",))) == main[2]


def test_a_push_to_another_branch_is_compared_with_what_it_replaced(remote: FakeRemote) -> None:
    main = grow(remote, 2)
    side = grow(remote, 2, "side", main[1])
    tagged(remote, "m@v0.0.1", main[0], 10)
    git = FakeGit(ROOT, remote, at=side[1], branch="side")
    assert sha_of(choose(git, push(side[1], side[0], "side"), artifacts=("m",))) == side[0]
