"""Watching a deployed model over real Git and DVC remotes, each time from a fresh shallow clone."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from tests.fakes.progress import RecordedProgress
from tests.integration.promoting import git
from tests.integration.watching import SETTINGS, FakeModel, Site, applications, profile_of

from modelci.adapters.journal import FolderJournal, GitJournal
from modelci.config.model import MonitorConfig
from modelci.domain.gates import Outcome, Subject, WhenUnclear
from modelci.domain.monitoring import ActionKind, Monitoring, TriggerKind
from modelci.domain.profile import Profile
from modelci.domain.triggers import Trigger
from modelci.errors import ConfigError, ForgeDeniedError, ModelCIError, UsageError
from modelci.modelfiles.files import ModelFileError
from modelci.ports import MissingDataError
from modelci.workflows.acting import Acted
from modelci.workflows.alert import is_well
from modelci.workflows.monitor import Occasion, watch

DRIFT = Trigger(when=TriggerKind.DRIFT, action=ActionKind.RETRAIN_PR)
FELL = Trigger(when=TriggerKind.PERFORMANCE, action=ActionKind.RETRAIN_PR)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return profile_of(applications(4_000, seed=99))


@pytest.fixture
def site(tmp_path: Path, profile: Profile) -> Site:
    site = Site(folder=tmp_path)
    site.promote(profile)
    return site


def outcomes(document: Monitoring) -> Mapping[Subject, set[Outcome]]:
    found: dict[Subject, set[Outcome]] = {}
    for one in document.gates:
        found.setdefault(one.subject, set()).add(one.outcome)
    return found


def opened(occasion: Occasion) -> Acted:
    """Open a pull request for each action that is due."""
    actions = tuple(
        one if one.held_back else replace(one, done="opened", url="https://forge.example/1")
        for one in occasion.document.actions
    )
    return Acted(document=replace(occasion.document, actions=actions))


def test_a_quiet_month_is_well_and_remembered(site: Site) -> None:
    site.score("2026-03", applications(seed=3))
    (seen,) = site.watch()
    document = seen.document
    assert document.is_ok
    assert set().union(*outcomes(document).values()) == {Outcome.PASSED}
    assert (document.window, document.rows, document.labelled) == ("2026-03", 1_500, 0)
    watched = document.watched
    assert (watched.version, watched.tag) == ("v1.0.0", "credit#prod#1")
    assert watched.commit == git(site.work, "rev-parse", "HEAD")
    assert watched.age_days == pytest.approx(90.25, abs=0.01)
    assert site.remembered() == [
        f"Watch credit prod, 2026-03: 0 failed, 0 warned, {len(document.gates)} passed"
    ]


def test_what_has_shifted_is_found(site: Site) -> None:
    site.score("2026-03", applications(seed=3, shift=1.0))
    (seen,) = site.watch(replace(SETTINGS, triggers=(DRIFT,)))
    failed = {one.gate.metric for one in seen.document.gates if one.outcome is Outcome.FAILED}
    assert failed == {"psi of x", "psi of score", "psi of decision rate"}
    assert [one.kind for one in seen.document.actions] == [ActionKind.RETRAIN_PR]
    assert seen.document.chosen_now is not None
    assert seen.document.chosen_before is not None
    assert seen.document.chosen_now > seen.document.chosen_before + 0.2


def test_what_breaks_the_schema_fails_whatever_has_drifted(site: Site) -> None:
    broken = applications(seed=3).rename(columns={"x": "the_x"})
    site.score("2026-03", broken)
    # The model could not be asked about rows without its column.
    (seen,) = site.watch(replace(SETTINGS, skew=replace(SETTINGS.skew, rows=0)))
    found = {
        one.gate.metric: one.outcome for one in seen.document.gates if one.subject is Subject.SCHEMA
    }
    assert found == {
        "x: column": Outcome.FAILED,
        "the_x: column": Outcome.WARNED,
        "schema": Outcome.PASSED,
    }
    assert not seen.document.is_ok


def test_breaches_in_a_row_are_counted_from_clone_to_clone(site: Site) -> None:
    settings = replace(SETTINGS, triggers=(replace(DRIFT, consecutive=2),))
    for month in (1, 2):
        site.score(f"2026-0{month}", applications(seed=month, shift=1.0))
    (first,) = site.watch(settings, "2026-01")
    (second,) = site.watch(settings, "2026-02")
    assert first.document.actions[0].held_back == "in 1 of 2 windows in a row so far"
    assert second.document.actions[0].held_back is None
    assert (second.document.consecutive["drift"], len(second.history)) == (2, 1)


def test_a_window_watched_again_is_the_same_window(site: Site) -> None:
    settings = replace(SETTINGS, triggers=(DRIFT,))
    site.score("2026-02", applications(seed=2, shift=1.0))
    site.watch(settings, "2026-02", act=opened)
    site.now = "2026-04-02T09:00:00Z"
    (again,) = site.watch(settings, "2026-02", act=opened)
    assert (again.document.consecutive["drift"], again.history) == (1, ())
    assert again.document.actions[0].held_back is None
    assert len(site.remembered()) == 1


def test_what_is_told_of_a_window_does_not_change_by_looking_again(site: Site) -> None:
    told = list[Monitoring]()

    def tell(occasion: Occasion) -> Acted:
        told.append(occasion.document)
        return opened(occasion)

    settings = replace(SETTINGS, triggers=(DRIFT,))
    site.score("2026-02", applications(seed=2, shift=1.0))
    for now in ("2026-03-01T06:00:00Z", "2026-03-01T06:30:00Z"):
        site.now = now
        site.watch(settings, "2026-02", act=tell)
    first, second = (replace(one, watched=replace(one.watched, age_days=0)) for one in told)
    assert first == second


def test_a_retraining_holds_back_that_of_the_next_window(site: Site) -> None:
    settings = replace(SETTINGS, triggers=(DRIFT,))
    for month in (2, 3):
        site.score(f"2026-0{month}", applications(seed=month, shift=1.0))
    (first,) = site.watch(settings, "2026-02", act=opened)
    (second,) = site.watch(settings, "2026-03", act=opened)
    assert first.document.actions[0].done == "opened"
    assert second.document.actions[0].held_back == (
        "cooling down until 2026-04-08 06:00 UTC: 2026-02 asked for one"
    )
    site.now = "2026-04-08T06:00:00Z"
    (third,) = site.watch(settings, "2026-03", act=opened)
    assert third.document.actions[0].done == "opened"


def test_an_action_that_fails_is_told_and_what_was_found_is_remembered(site: Site) -> None:
    def fails(occasion: Occasion) -> Acted:
        failure = ForgeDeniedError("the forge says no")
        return Acted(document=occasion.document, failure=failure)

    settings = replace(SETTINGS, triggers=(DRIFT,))
    site.score("2026-03", applications(seed=3, shift=1.0))
    (seen,) = site.watch(settings, act=fails)
    assert str(seen.failure) == "the forge says no"
    assert len(site.remembered()) == 1
    (again,) = site.watch(settings, act=opened)
    assert (again.failure, again.document.actions[0].done) == (None, "opened")


def test_outcomes_are_waited_for_and_an_estimate_stands_in(site: Site) -> None:
    rows = applications(seed=3, reverse=True)
    site.score("2026-03", rows)
    site.settle("2026-03", rows)
    (seen,) = site.watch()
    (measure,) = seen.document.performance
    assert measure.realised is None
    assert measure.estimated is not None
    assert measure.reference is not None
    assert measure.estimated.value == pytest.approx(measure.reference.value, abs=0.03)
    assert seen.document.notes == (
        "Outcomes of 2026-03 are not complete before 2026-05-01 (labels.delay).",
    )
    assert outcomes(seen.document)[Subject.PERFORMANCE] == {Outcome.PASSED}


def test_a_window_is_judged_by_its_outcomes_once_they_are_complete(site: Site) -> None:
    settings = replace(SETTINGS, triggers=(DRIFT, FELL))
    march, april = applications(seed=3, reverse=True), applications(seed=4)
    site.score("2026-03", march)
    site.watch(settings)
    site.score("2026-04", april)
    site.settle("2026-03", march)
    site.now = "2026-05-02T06:00:00Z"
    late, newest = site.watch(settings)
    assert (late.document.window, late.document.labelled) == ("2026-03", 1_500)
    assert outcomes(late.document)[Subject.PERFORMANCE] == {Outcome.FAILED}
    assert [one.trigger for one in late.document.actions] == [TriggerKind.PERFORMANCE]
    assert (newest.document.window, newest.document.actions) == ("2026-04", ())
    assert [one.window for one in newest.history] == ["2026-03"]
    assert newest.history[0].labelled == 1_500
    assert len(site.watch(settings)) == 1, "it is judged by them once"


def test_that_an_earlier_window_was_well_is_no_news(site: Site) -> None:
    acted = list[str]()

    def act(occasion: Occasion) -> Acted:
        acted.append(occasion.document.window)
        return Acted(document=occasion.document)

    settings = replace(SETTINGS, triggers=(replace(DRIFT, action=ActionKind.ISSUE),))
    march = applications(seed=3)
    site.score("2026-03", march)
    site.watch(settings)
    site.settle("2026-03", march)
    site.score("2026-04", applications(seed=4, shift=1.0))
    site.now = "2026-05-02T06:00:00Z"
    seen = site.watch(settings, act=act)
    assert [one.document.window for one in seen] == ["2026-03", "2026-04"]
    assert acted == ["2026-04"], "else the issue would be closed, and opened again"


def test_a_window_without_outcomes_is_not_read_again(site: Site) -> None:
    site.score("2026-03", applications(seed=3))
    site.watch()
    site.score("2026-04", applications(seed=4))
    site.now = "2026-05-02T06:00:00Z"
    progress = RecordedProgress()
    assert [one.document.window for one in site.watch(progress=progress)] == ["2026-04"]
    assert not any("2026-03" in note for note in (*progress.notes, *progress.warnings))


def test_a_window_of_another_version_is_not_judged_late(site: Site, profile: Profile) -> None:
    march = applications(seed=3)
    site.score("2026-03", march)
    site.watch()
    site.promote(profile)
    site.settle("2026-03", march)
    site.score("2026-04", applications(seed=4))
    site.now = "2026-05-02T06:00:00Z"
    assert [one.document.window for one in site.watch()] == ["2026-04"]


def no_file(site: Site, march: pd.DataFrame) -> None:
    """Nobody has written the outcomes."""


def no_rows(site: Site, march: pd.DataFrame) -> None:
    site.settle("2026-03", march[:0])


def other_ids(site: Site, march: pd.DataFrame) -> None:
    site.settle("2026-03", march.assign(key="other-" + march["key"]))


def odd_labels(site: Site, march: pd.DataFrame) -> None:
    site.settle("2026-03", march.assign(defaulted=march["defaulted"] + 7))


@pytest.mark.parametrize(
    ("settle", "said"),
    [
        (no_file, "outcomes are not to be had: outcomes/2026-03.csv does not exist"),
        (no_rows, "outcomes/2026-03.csv holds no outcome of the window"),
        (other_ids, "none of the 1,500 outcomes in outcomes/2026-03.csv is of a row"),
        (odd_labels, "outcomes cannot be used: "),
    ],
)
def test_outcomes_that_are_due_and_not_known_warn_although_an_estimate_passes(
    site: Site, settle: Callable[[Site, pd.DataFrame], None], said: str
) -> None:
    march = applications(seed=3)
    (site.data / "outcomes").mkdir(parents=True)
    site.score("2026-03", march)
    settle(site, march)
    site.now = "2026-07-01T00:00:00Z"
    (seen,) = site.watch(window="2026-03")
    (gate,) = (one for one in seen.document.gates if one.subject is Subject.PERFORMANCE)
    assert gate.outcome is Outcome.WARNED
    assert gate.reason.startswith(said)
    assert "estimated (cbpe)" in gate.reason
    assert seen.document.is_ok
    assert any(note.lower().startswith(said.lower()) for note in seen.document.notes)
    fell = replace(FELL, action=ActionKind.ISSUE)
    assert not is_well(seen.document, [fell]), "an issue would be closed by what nobody knows"


@pytest.mark.parametrize(
    ("changes", "said", "hint"),
    [
        ({"join": "keys"}, r"labels\.join: keys does not fit .* no column 'keys'", "'key'"),
        (
            {"target": "default"},
            r"monitor\.labels\.target: default does not fit .* no column 'default'",
            "'defaulted'",
        ),
    ],
)
def test_a_column_that_outcomes_lack_is_an_error(
    site: Site, changes: dict[str, str], said: str, hint: str
) -> None:
    march = applications(seed=3)
    site.score("2026-03", march)
    site.settle("2026-03", march)
    site.now = "2026-07-01T00:00:00Z"
    assert SETTINGS.labels is not None
    settings = replace(SETTINGS, labels=replace(SETTINGS.labels, **changes))
    with pytest.raises(ConfigError, match=said) as caught:
        site.watch(settings, "2026-03")
    assert not isinstance(caught.value, MissingDataError)
    assert f"Did you mean {hint}?" in str(caught.value.hint)


def test_a_column_that_earlier_outcomes_lack_keeps_no_newer_window_back(site: Site) -> None:
    march = applications(seed=3)
    site.score("2026-03", march)
    site.watch()
    site.settle("2026-03", march)
    site.score("2026-04", applications(seed=4))
    site.now = "2026-05-02T06:00:00Z"
    assert SETTINGS.labels is not None
    settings = replace(SETTINGS, labels=replace(SETTINGS.labels, target="default"))
    seen = watch(settings, site.tools(), window=None)
    assert next(seen).document.window == "2026-04"
    with pytest.raises(ConfigError, match=r"labels\.target"):
        next(seen)


def test_outcomes_of_earlier_windows_that_never_come_warn(site: Site) -> None:
    site.score("2026-03", applications(seed=3))
    site.watch()
    site.score("2026-04", applications(seed=4))
    site.now = "2026-05-02T06:00:00Z"
    (seen,) = site.watch()
    (gate,) = (one for one in seen.document.gates if one.subject is Subject.PERFORMANCE)
    assert gate.outcome is Outcome.WARNED
    assert gate.reason.startswith("no outcome of 2026-03 is known, which are due (labels.delay); ")


@pytest.mark.parametrize(("rows", "outcome"), [(199, Outcome.FAILED), (15, Outcome.INCONCLUSIVE)])
def test_few_outcomes_that_are_known_overrule_the_estimate(
    site: Site, rows: int, outcome: Outcome
) -> None:
    march = applications(800, seed=3, reverse=True)
    site.score("2026-03", march)
    site.settle("2026-03", march[:rows])
    site.now = "2026-05-02T06:00:00Z"
    (seen,) = site.watch(window="2026-03")
    assert seen.document.labelled == rows
    assert outcomes(seen.document)[Subject.PERFORMANCE] == {outcome}
    assert f"{rows} of 800 outcomes known." in seen.document.notes


def test_few_rows_decide_nothing_about_drift(site: Site) -> None:
    site.score("2026-03", applications(50, seed=3, shift=2.0))
    (seen,) = site.watch()
    assert outcomes(seen.document)[Subject.DRIFT] == {Outcome.INCONCLUSIVE}
    assert seen.document.is_ok


def test_an_empty_window_decides_nothing(site: Site) -> None:
    site.score("2026-03", applications(1, seed=3).iloc[:0])
    (seen,) = site.watch()
    assert (seen.document.rows, seen.document.skew) == (0, None)
    assert outcomes(seen.document) == {
        one: {Outcome.INCONCLUSIVE} for one in (Subject.DRIFT, Subject.SCHEMA, Subject.PERFORMANCE)
    }
    assert {one.reason for one in seen.document.gates} == {"the window has no rows"}
    assert not seen.document.verdict.blocked


@pytest.mark.parametrize("rows", [0, 50])
def test_what_cannot_be_decided_fails_where_the_settings_say_so(site: Site, rows: int) -> None:
    site.score("2026-03", applications(50, seed=3)[:rows])
    (seen,) = site.watch(replace(SETTINGS, inconclusive=WhenUnclear.FAIL))
    verdict = seen.document.verdict
    assert (verdict.blocked, verdict.unclear) == (True, True)


def test_answers_that_are_not_the_models_own_are_found(site: Site) -> None:
    site.score("2026-03", applications(seed=3))
    site.model = FakeModel(skew=0.001)
    (seen,) = site.watch()
    assert seen.document.skew is not None
    assert (seen.document.skew.rows, seen.document.skew.differing) == (50, 50)
    assert outcomes(seen.document)[Subject.SKEW] == {Outcome.FAILED}
    (lenient,) = site.watch(replace(SETTINGS, skew=replace(SETTINGS.skew, tolerance=0.01)))
    assert outcomes(lenient.document)[Subject.SKEW] == {Outcome.PASSED}


def test_a_model_that_cannot_be_asked_is_a_note(site: Site) -> None:
    site.score("2026-03", applications(seed=3))
    site.model = FakeModel(error=ModelFileError("it was made with another scikit-learn."))
    (seen,) = site.watch()
    assert seen.document.skew is None
    assert seen.document.notes[-1] == (
        "Logged answers were not held against the tagged model: it was made with another "
        "scikit-learn."
    )


def test_of_a_request_log_the_watched_versions_rows_of_the_window_count(
    site: Site, profile: Profile, tmp_path: Path
) -> None:
    site.promote(profile)
    rows = applications(900, seed=3)
    times = [datetime(2026, 2 if n % 3 == 0 else 3, 5, tzinfo=UTC) for n in range(900)]
    log = rows.drop(columns=["defaulted", "key"]).assign(
        id=rows["key"],
        time=[one.isoformat() for one in times],
        artifact="credit",
        version=["v1.0.0" if n % 3 == 1 else "v2.0.0" for n in range(900)],
    )
    folder = tmp_path / "a log"
    folder.mkdir()
    log[:450].to_json(folder / "requests-1.jsonl", orient="records", lines=True)
    log[450:].to_json(folder / "requests-2.jsonl", orient="records", lines=True)
    settings = replace(SETTINGS, id="id", time="time", current=str(folder), labels=None)
    (seen,) = site.watch(settings)
    assert seen.document.rows == 300
    assert seen.document.notes[1:] == (
        "Rows that other versions answered are left out: v1.0.0 (300).",
    )
    assert [one.name for one in seen.document.columns] == ["x", "kind"]


def test_rows_are_named_by_what_names_them_in_the_window(site: Site) -> None:
    rows = applications(seed=3).rename(columns={"key": "request"})
    rows["request"] = ["3-0", *rows["request"][:-1]]
    site.score("2026-03", rows)
    (seen,) = site.watch(replace(SETTINGS, id="request", labels=None))
    broken = [one for one in seen.document.gates if one.outcome is not Outcome.PASSED]
    assert [(one.subject, one.gate.metric) for one in broken] == [
        (Subject.SCHEMA, "request: repeated")
    ]
    assert broken[0].reason.startswith("1 of 1,500 rows repeat an earlier id")
    assert [one.name for one in seen.document.columns] == ["x", "kind"]


def test_an_id_that_the_window_lacks_breaks_the_schema(site: Site) -> None:
    site.score("2026-03", applications(seed=3))
    (seen,) = site.watch(replace(SETTINGS, id="nope", labels=None))
    broken = [
        one
        for one in seen.document.gates
        if one.subject is Subject.SCHEMA and one.outcome is Outcome.FAILED
    ]
    assert [one.gate.metric for one in broken] == ["nope: column"]
    assert "which is to name its rows" in broken[0].reason
    lost = applications(seed=3).drop(columns="key")
    site.score("2026-03", lost)
    (seen,) = site.watch(replace(SETTINGS, labels=None))
    failed = [one.gate.metric for one in seen.document.gates if one.outcome is Outcome.FAILED]
    assert failed == ["key: column"], "said once, where the profile has the column too"


def test_a_column_that_nobody_has_is_a_note(site: Site) -> None:
    site.score("2026-03", applications(seed=3).assign(extra=1.0))
    columns = dict.fromkeys(("knd", "extra", "score", "x", "decision rate"), "ignore")
    (seen,) = site.watch(replace(SETTINGS, columns=columns, labels=None))
    assert seen.document.notes == (
        "monitor.columns has 'knd', which the profile and the window lack. Did you mean 'kind'?",
    )


def test_data_of_no_window_are_a_note(site: Site) -> None:
    site.score("2026-03", applications(seed=3))
    settings = replace(SETTINGS, current="scored/2026-03.parquet", labels=None)
    (seen,) = site.watch(settings)
    (note,) = seen.document.notes
    assert note.startswith("All rows of scored/2026-03.parquet count, whichever window is named")
    (told,) = site.watch(replace(SETTINGS, labels=None), current="scored/2026-03.parquet")
    assert told.document.notes == ()


def test_data_that_dvc_tracks_are_brought_by_hash(site: Site) -> None:
    frame = applications(seed=3)
    path = site.folder / "bytes.parquet"
    frame.drop(columns="defaulted").to_parquet(path)
    entry = site._store("2026-03.parquet", path.read_bytes())
    (site.work / "tracked").mkdir()
    (site.work / "tracked/2026-03.parquet.dvc").write_text(f"outs:\n{entry}\n")
    git(site.work, "add", "--all")
    git(site.work, "commit", "--quiet", "-m", "Add scored rows")
    git(site.work, "push", "--quiet", "origin", "HEAD:main")
    (seen,) = site.watch(replace(SETTINGS, current="tracked/{window}.parquet"))
    assert seen.document.rows == 1_500


def test_without_a_stage_the_latest_version_is_watched(site: Site, profile: Profile) -> None:
    site.promote(profile, stage=None)
    site.score("2026-03", applications(seed=3))
    (seen,) = site.watch(replace(SETTINGS, stage=None))
    assert (seen.document.watched.version, seen.document.watched.stage) == ("v2.0.0", None)
    assert len(site.remembered("credit@latest")) == 1


def test_a_broken_history_is_left_out_with_a_note(site: Site) -> None:
    repository = site.clone()
    journal = GitJournal(repository, "credit#prod", remote="origin")
    entries = {"2026-01": b"{}", "2026-02": b"\xff\x00", "no window": b"{}", "2026-00": b"[]"}
    for name, data in entries.items():
        journal.write(name, data, message="Break it", seconds=0)
    site.score("2026-03", applications(seed=3))
    progress = RecordedProgress()
    (seen,) = site.watch(progress=progress)
    assert seen.history == ()
    warned = [note for note in progress.warnings if note.startswith("The history of ")]
    assert len(warned) == len(entries)
    assert journal.place in warned[0]
    assert sum(note.startswith("The history of ") for note in seen.document.notes) == len(entries)


def test_history_may_be_a_folder_or_nowhere(site: Site, tmp_path: Path) -> None:
    site.score("2026-03", applications(seed=3))
    folder = FolderJournal(tmp_path / "windows")
    site.watch(journal=lambda _: folder)
    site.watch(journal=lambda _: None)
    assert [*folder.read()] == ["2026-03"]
    assert git(site.bare, "for-each-ref", "refs/modelci") == ""


@pytest.mark.parametrize(
    ("settings", "window", "error", "said"),
    [
        (SETTINGS, "2026-02", MissingDataError, "There are no data of credit#prod for 2026-02"),
        (SETTINGS, "February", UsageError, "'February' is none of the windows that %Y-%m names"),
        (replace(SETTINGS, stage="dev"), None, UsageError, "holds stage 'dev'"),
        (
            replace(SETTINGS, model="other"),
            None,
            UsageError,
            "No tag speaks of an artifact 'other'",
        ),
        (
            replace(SETTINGS, profile="models/other.json"),
            None,
            MissingDataError,
            r"credit v1.0.0 has no reference profile: models/other.json is not in this revision",
        ),
    ],
)
def test_what_cannot_be_watched_says_why(
    site: Site, settings: MonitorConfig, window: str | None, error: type[ModelCIError], said: str
) -> None:
    site.score("2026-03", applications(seed=3))
    with pytest.raises(error, match=said):
        site.watch(settings, window)
    assert git(site.bare, "for-each-ref", "refs/modelci") == ""


def test_a_version_without_a_profile_says_what_writes_one(tmp_path: Path) -> None:
    site = Site(folder=tmp_path)
    site.promote(None)
    with pytest.raises(MissingDataError, match=r"v1.0.0 has no reference profile") as caught:
        site.watch()
    assert "modelci profile" in str(caught.value.hint)


def test_contradicting_and_unknown_outcomes_are_told(site: Site) -> None:
    rows = applications(seed=3)
    site.score("2026-03", rows)
    extra = pd.DataFrame({"key": ["3-0", "elsewhere"], "defaulted": [1 - rows.defaulted[0], 1]})
    site.settle("2026-03", pd.concat([rows[["key", "defaulted"]], extra]))
    site.now = "2026-07-01T00:00:00Z"
    (seen,) = site.watch(window="2026-03")
    assert seen.document.labelled == 1_499
    said = " ".join(seen.document.notes)
    assert "1 ids have outcomes that contradict each other" in said
    assert "1 outcomes in outcomes/2026-03.csv are of no row" in said


def test_a_window_that_has_not_ended_says_so(site: Site) -> None:
    said = "2026-03 has not ended (2026-04-01 00:00 UTC): these are the rows so far"
    site.score("2026-03", applications(seed=3))
    site.now = "2026-03-20T00:00:00Z"
    (seen,) = site.watch(window="2026-03")
    assert [one for one in seen.document.notes if said in one]
    site.now = "2026-04-01T00:00:00Z"
    (seen,) = site.watch(window="2026-03")
    assert not [one for one in seen.document.notes if "has not ended" in one]


def test_progress_names_what_is_watched(site: Site) -> None:
    progress = RecordedProgress()
    site.score("2026-03", applications(seed=3))
    site.watch(progress=progress)
    assert progress.notes == [
        "Watching credit#prod (v1.0.0), 2026-03",
        "Remembered at refs/modelci/monitor/credit#prod of origin",
    ]
