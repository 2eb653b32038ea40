from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.fakes.forge import FakeForge
from tests.fakes.progress import RecordedProgress
from tests.golden.samples import HEAD_SHA, blocked, failed, good, unclear, ungated, warned
from tests.unit.workflows.test_comment import CAUSE, FORK, HERE, NEW_SHA, caused_by

from modelci.domain.events import Cause, CIContext
from modelci.domain.gates import WhenUnclear
from modelci.domain.report import Report
from modelci.errors import (
    ConfigError,
    ForgeDeniedError,
    ForgeError,
    ModelCIError,
    UsageError,
)
from modelci.ports import Check, CheckStatus, Forge
from modelci.workflows.check import (
    KeptCheck,
    Subject,
    concluded,
    crashed,
    ended,
    find_subject,
    started,
)

SUBJECT = Subject(name="modelci", sha=HEAD_SHA, url="https://ci.example/512")
SUCCESS, FAILURE = CheckStatus.SUCCESS, CheckStatus.FAILURE
NEUTRAL, IN_PROGRESS = CheckStatus.NEUTRAL, CheckStatus.IN_PROGRESS


def describe(report: Report) -> tuple[str, str]:
    return f"ok: {report.is_ok}", "a page"


def on_head(report: Report) -> Report:
    return replace(report, head_sha=HEAD_SHA)


@pytest.mark.parametrize(
    ("context", "given", "sha", "url"),
    [
        (HERE, None, HEAD_SHA, None),
        (replace(HERE, run_url="https://ci.example/1"), None, HEAD_SHA, "https://ci.example/1"),
        (HERE, NEW_SHA, NEW_SHA, None),
        (caused_by(CAUSE), None, HEAD_SHA, CAUSE.run_url),
        (CIContext(), NEW_SHA, NEW_SHA, None),
    ],
)
def test_the_commit_is_the_event_s_or_given(
    context: CIContext, given: str | None, sha: str, url: str | None
) -> None:
    assert find_subject(context, "modelci", given) == Subject(name="modelci", sha=sha, url=url)


def test_without_an_event_a_commit_is_to_be_named() -> None:
    with pytest.raises(UsageError, match="Which commit") as raised:
        find_subject(CIContext(), "modelci")
    assert "--sha" in (raised.value.hint or "")


def test_a_check_keeps_its_name_and_commit_from_start_to_end() -> None:
    checks = [
        started(SUBJECT),
        crashed(SUBJECT),
        concluded(SUBJECT, on_head(good()), describe),
    ]
    assert {(one.name, one.sha, one.url) for one in checks} == {
        ("modelci", HEAD_SHA, "https://ci.example/512")
    }
    assert [one.status for one in checks] == [IN_PROGRESS, FAILURE, SUCCESS]
    assert checks[2].title == "ok: True"
    assert checks[2].summary == "a page"


@pytest.mark.parametrize(
    ("make", "status"),
    [
        (good, SUCCESS),
        (ungated, SUCCESS),
        (warned, SUCCESS),
        (blocked, FAILURE),
        (failed, FAILURE),
        (unclear, NEUTRAL),
    ],
)
def test_the_verdict_is_the_status(make: Callable[[], Report], status: CheckStatus) -> None:
    assert concluded(SUBJECT, on_head(make()), describe).status is status


def test_what_the_data_cannot_decide_fails_where_a_gate_says_so() -> None:
    report = on_head(unclear())
    fail = WhenUnclear.FAIL
    strict = tuple(
        replace(one, gate=replace(one.gate, inconclusive=fail, incomparable=fail))
        for one in report.gates
    )
    assert concluded(SUBJECT, replace(report, gates=strict), describe).status is FAILURE


@pytest.mark.parametrize(("make", "status"), [(good, NEUTRAL), (blocked, FAILURE)])
def test_a_fork_s_pass_is_a_claim(make: Callable[[], Report], status: CheckStatus) -> None:
    check = concluded(SUBJECT, replace(on_head(make()), from_fork=True), describe)
    assert check.status is status
    assert check.title.startswith("A fork's own figures: ok")


def test_a_title_fits_a_commit_status() -> None:
    check = concluded(SUBJECT, on_head(good()), lambda _: ("x" * 300, ""))
    assert check.title == "x" * 139 + "…"


@pytest.mark.parametrize("sha", [NEW_SHA, None])
def test_the_verdict_on_another_commit_is_not_shown(sha: str | None) -> None:
    with pytest.raises(UsageError, match="the check is for 9f2c41d"):
        concluded(SUBJECT, replace(good(), head_sha=sha), describe)


# -- a run that has ended ------------------------------------------------------------------------


def end(read: Callable[[], Report], cause: Cause | None = None) -> tuple[Check, list[str]]:
    progress = RecordedProgress()
    check = ended(SUBJECT, read, cause=cause, describe=describe, progress=progress)
    return check, progress.warnings


def refuse(error: ModelCIError) -> Callable[[], Report]:
    def read() -> Report:
        raise error

    return read


@pytest.mark.parametrize("error", [ConfigError("It is no report."), ForgeError("It is not there.")])
@pytest.mark.parametrize("cause", [None, CAUSE, FORK, replace(CAUSE, conclusion="timed_out")])
def test_no_report_is_a_failure(error: ModelCIError, cause: Cause | None) -> None:
    check, warnings = end(refuse(error), cause)
    assert (check.status, check.title) == (FAILURE, "The pipeline crashed: no report")
    assert warnings == [str(error)]
    assert str(error) not in check.summary


@pytest.mark.parametrize(
    ("conclusion", "title"),
    [
        ("cancelled", "The run ended as cancelled"),
        ("action_required", "The run ended as action required"),
    ],
)
def test_a_run_that_was_not_let_to_its_end_is_neutral(conclusion: str, title: str) -> None:
    check, _ = end(refuse(ForgeError("no")), replace(CAUSE, conclusion=conclusion))
    assert (check.status, check.title) == (NEUTRAL, title)


def test_a_denied_token_is_no_crash_of_the_pipeline() -> None:
    with pytest.raises(ForgeDeniedError):
        end(refuse(ForgeDeniedError("no")))


# -- around a run --------------------------------------------------------------------------------


def keep(forge: Callable[[], Forge], progress: RecordedProgress) -> KeptCheck:
    return KeptCheck(SUBJECT, forge=forge, describe=describe, progress=progress)


def test_a_crash_ends_the_check_too() -> None:
    forge = FakeForge()
    with pytest.raises(KeyboardInterrupt), keep(lambda: forge, RecordedProgress()):
        raise KeyboardInterrupt
    assert [one.status for one in forge.checks] == [IN_PROGRESS, FAILURE]


def test_a_denied_token_is_told_once() -> None:
    forge, progress = FakeForge(denied={"set_check"}), RecordedProgress()
    with keep(lambda: forge, progress) as check:
        check.conclude(on_head(good()))
    (warning,) = progress.warnings
    assert warning.startswith("No check was set: The fake forge refused set_check.")
    assert "`fake: write` below `permissions:`" in warning


def test_a_forge_that_was_ill_at_first_is_asked_again() -> None:
    forge, progress, tries = FakeForge(), RecordedProgress(), iter([ForgeError("ill")])

    def connect() -> Forge:
        for error in tries:
            raise error
        return forge

    with keep(connect, progress) as check:
        check.conclude(on_head(good()))
    assert [one.status for one in forge.checks] == [SUCCESS]
    assert len(progress.warnings) == 1


def test_a_report_of_another_commit_leaves_no_check_behind_that_runs_for_ever() -> None:
    forge, progress = FakeForge(), RecordedProgress()
    with keep(lambda: forge, progress) as check:
        check.conclude(replace(good(), head_sha=NEW_SHA))
    assert [one.status for one in forge.checks] == [IN_PROGRESS, FAILURE]
    assert "The report is of eeeeeee" in progress.warnings[0]
