"""What `git push --porcelain` says, in the words of Git, GitHub, GitLab and Gitea."""

import pytest

from modelci.adapters.pushes import read_verdicts, refused
from modelci.errors import PromotionError, TagTakenError

OID = "a" * 40
WITH_ANOTHER = "[rejected] (atomic push failed)"
GITHUB = """\
remote: error: GH013: Repository rule violations found for refs/tags/a.
remote: Review all repository rules at https://github.com/o/r/rules?ref=refs%2Fa
"""


def answer(**refs: str) -> bytes:
    rows = [f"!\t{OID}:refs/{name.replace('__', '/')}\t{why}" for name, why in refs.items()]
    return "\n".join(["To https://forge.example/o/r.git", *rows, "Done"]).encode()


def error(out: bytes, err: str = "") -> PromotionError:
    return refused("origin", err, read_verdicts(out), reason="no reason given")


@pytest.mark.parametrize(
    ("out", "err"),
    [
        (
            answer(
                tags__a="[rejected] (already exists)", tags__b="[rejected] (atomic push failed)"
            ),
            "error: atomic push failed for ref refs/tags/a. status: 3\n",
        ),
        (
            answer(tags__a="[remote rejected] (atomic transaction failed)"),
            "remote: error: cannot lock ref 'refs/tags/a': reference already exists        \n",
        ),
        (answer(tags__a="[remote rejected] (failed to update ref)"), ""),
    ],
)
def test_a_tag_that_was_there_first_can_be_planned_around(out: bytes, err: str) -> None:
    found = error(out, err)
    assert isinstance(found, TagTakenError)
    assert str(found).startswith("origin refused the push, nothing was tagged: a [")


def test_what_only_went_down_with_another_is_not_blamed() -> None:
    out = answer(
        tags__a="[remote rejected] (hook declined)",
        tags__b="[remote rejected] (atomic push failure)",
    )
    assert read_verdicts(out) == {"refs/tags/a": "[remote rejected] (hook declined)"}
    assert not isinstance(error(out), TagTakenError)


def test_a_branch_that_moved_on_is_no_race_of_tags() -> None:
    moved = answer(
        heads__main="[rejected] (fetch first)", tags__a="[rejected] (atomic push failed)"
    )
    locked = answer(
        heads__main="[remote rejected] (atomic transaction failed)",
        tags__a="[remote rejected] (atomic transaction failed)",
    )
    err = "remote: error: cannot lock ref 'refs/heads/main': is at 1 but expected 2\n"
    for found in (error(moved), error(locked, err)):
        assert not isinstance(found, TagTakenError)
        assert "a promotion of its own" in (found.hint or "")


@pytest.mark.parametrize(
    ("err", "hint"),
    [
        (
            GITHUB,
            "https://github.com/o/r/rules?ref=refs%2Fa",
        ),
        ("remote: - Cannot create ref: GH013\n", "Settings > Rules > Rulesets"),
        (
            "remote: GitLab: You are not allowed to create this tag as it is protected.\n",
            "Settings > Repository > Protected tags",
        ),
        ("remote: Gitea: Tag a is protected\n", "name is protected"),
        ("remote: error: GH006: Protected branch update failed.\n", "commit_results: false"),
    ],
)
def test_the_setting_that_forbids_it_is_named(err: str, hint: str) -> None:
    found = error(answer(tags__a="[remote rejected] (pre-receive hook declined)"), err)
    assert hint in (found.hint or "")
    assert not isinstance(found, TagTakenError)


def test_a_path_of_ours_is_no_word_of_the_remotes() -> None:
    out = answer(tags__a="[remote rejected] (hook declined)")
    found = error(out, "error: failed to push some refs to '/home/protected/o.git'\n")
    assert found.hint == "A hook of the remote decides this: ask who keeps it."


def test_what_a_hook_says_is_quoted_without_its_escapes() -> None:
    out = answer(tags__a="[remote rejected] (hook declined)")
    found = error(out, "remote: \x1b[31mask Ada\x1b[0m        \nremote: now\n")
    assert str(found).endswith("(hook declined): [31mask Ada[0m now")
