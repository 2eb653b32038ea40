"""Names and trailers of retraining branches, and what may not be on them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.notes import LoggedCommit
from modelci.domain.retraining import name_branch, read_window, steers_ci, write_message


def commit(message: str) -> LoggedCommit:
    subject, _, body = message.partition("\n")
    return LoggedCommit(sha="a" * 40, parents=(), author="modelci", subject=subject, body=body)


@pytest.mark.parametrize(
    ("model", "branch"),
    [
        ("credit", "modelci/retrain-credit"),
        ("models/credit", "modelci/retrain-models-credit"),
        ("sub/dir:credit", "modelci/retrain-sub-dir-credit"),
        ("a b~^:?*[", "modelci/retrain-a-b"),
    ],
)
def test_a_branch_is_one_that_git_takes(model: str, branch: str) -> None:
    assert name_branch("modelci/retrain-{model}", model) == branch


@given(
    model=st.from_regex(r"[a-z][a-z0-9:/_.-]{0,20}", fullmatch=True),
    window=st.from_regex(r"[0-9]{4}(-W?[0-9]{2}){0,2}", fullmatch=True),
)
def test_a_window_is_read_from_the_commit_that_was_made_of_it(model: str, window: str) -> None:
    made = commit(write_message(model, window))
    assert read_window([made], model) == window
    assert read_window([made], f"{model}x") is None
    assert read_window([made, made], model) is None
    assert read_window([], model) is None


def test_a_commit_of_somebody_else_has_no_window() -> None:
    assert read_window([commit("Mend the data\n\nModelci-Retrained: churn 2026-03\n")], "m") is None
    assert read_window([commit("Mend the data")], "m") is None


def test_what_decides_about_ci_is_told_from_what_only_looks_so() -> None:
    steering = (
        *(".github/workflows/a.yml", "x/.gitlab-ci.yml", ".gitmodules", ".ci/run"),
        *(".github", "sub/.GitHub/x", "CODEOWNERS", "docs/CODEOWNERS", ".gitattributes"),
        *("modelci.yaml", "sub/modelci.yml", "action.yml", ".dvc/config", "a/.dvc/config.local"),
    )
    harmless = (
        *("data/a.csv.dvc", "dvc.lock", "docs/github/x.md", "a.github/x", ".gitignore"),
        *("data/transaction.yml", "docs/CODEOWNERS.md", "my-modelci.yaml", "a.dvc/config"),
    )
    assert steers_ci([*harmless, *steering]) == steering
