import json
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.forge import FakeForge
from tests.fakes.progress import RecordedProgress
from tests.golden.samples import CASES, HEAD_SHA, RUN, blocked, first, good, hostile, proven

from modelci.config.model import CommentConfig, CommentMode
from modelci.documents import codec
from modelci.domain.events import Cause, CIContext, EventKind
from modelci.domain.report import Report
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError, UsageError
from modelci.ports import PullRequest, Writer
from modelci.render.markdown import render_comment
from modelci.workflows import comment
from modelci.workflows.comment import Desk, Posting, post
from modelci.workflows.handover import NothingToPostError, receive, take_report

NEW_SHA = "e" * 40
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'
PULL = PullRequest(
    number=7,
    head_sha=HEAD_SHA,
    head_branch="feature/deeper-trees",
    head_repository="acme/credit",
    base_branch="main",
)
CAUSE = Cause(
    run_id=512,
    attempt=2,
    action="completed",
    event_name="pull_request",
    workflow="model-pr",
    head_owner="acme",
    head_repository="acme/credit",
    head_branch="feature/deeper-trees",
    head_sha=HEAD_SHA,
    conclusion="success",
    run_url="https://github.com/acme/credit/actions/runs/512",
)
FORK = replace(CAUSE, head_owner="eve", head_repository="eve/credit")
HERE = CIContext(
    event=EventKind.PULL_REQUEST,
    repository="acme/credit",
    pull_request=7,
    head_sha=HEAD_SHA,
    run_id="512",
    attempt=1,
    workflow="model-pr",
    job="run",
)


def caused_by(cause: Cause) -> CIContext:
    return CIContext(
        event=EventKind.WORKFLOW_RUN,
        event_name="workflow_run",
        repository="acme/credit",
        sha="d" * 40,
        head_sha="d" * 40,
        run_id="9999",
        attempt=1,
        workflow="model-comment",
        job="comment",
        cause=cause,
    )


def show(report: Report, marker: str, *, pictures: Mapping[str, str], elsewhere: str | None) -> str:
    return render_comment(
        report, title="Model report", marker=marker, pictures=pictures, elsewhere=elsewhere
    )


@dataclass
class World:
    forge: FakeForge = field(default_factory=lambda: FakeForge(pulls={7: PULL}))
    progress: RecordedProgress = field(default_factory=RecordedProgress)
    settings: CommentConfig = field(default_factory=CommentConfig)
    drawn: list[Report] = field(default_factory=list)

    def draw(self, report: Report) -> Mapping[str, bytes]:
        self.drawn.append(report)
        return {"one.svg": SVG} if report.plots else {}

    def desk(self, context: CIContext = HERE) -> Desk:
        return Desk(
            forge=self.forge,
            settings=self.settings,
            context=context,
            render=show,
            draw=self.draw,
            progress=self.progress,
        )

    def post(self, report: Report, context: CIContext = HERE) -> Posting:
        return post(report, self.forge.pull_request(7), self.desk(context))

    def leave(self, data: bytes, *, run_id: int = 512, file: str = "report.json") -> None:
        self.forge.artifacts[run_id, "modelci"] = {file: data}

    def hand_over(self, cause: Cause = CAUSE) -> Posting:
        context = caused_by(cause)
        report, pull = receive(self.forge, context, "modelci", "report.json")
        return post(report, pull, self.desk(context))

    @property
    def bodies(self) -> list[str]:
        return [one.body for one in self.forge.comments if not one.is_deleted]


@pytest.fixture
def world() -> World:
    return World()


def on_head(report: Report, sha: str = HEAD_SHA) -> Report:
    return replace(report, head_sha=sha)


# -- which comment -------------------------------------------------------------------------------


def test_the_pull_request_is_the_events_or_given_never_the_documents() -> None:
    assert comment.find_number(CIContext(pull_request=7), None) == 7
    assert comment.find_number(CIContext(pull_request=7), 9) == 9
    with pytest.raises(UsageError, match="Which pull request") as raised:
        comment.find_number(CIContext(), None)
    assert "--pr" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("context", "identity", "marker"),
    [
        (CIContext(), None, "<!-- modelci:report local/report -->"),
        (CIContext(workflow="Model PR", job="a_b"), None, "<!-- modelci:report Model-PR/a_b -->"),
        (CIContext(workflow="x--> evil", job="j"), None, "<!-- modelci:report x-evil/j -->"),
        (CIContext(workflow="x"), "my id", "<!-- modelci:report my-id -->"),
        (caused_by(CAUSE), None, "<!-- modelci:report model-pr/comment -->"),
        (caused_by(replace(CAUSE, workflow="-->\n@a")), None, "<!-- modelci:report a/comment -->"),
    ],
)
def test_each_workflow_and_job_keeps_a_comment_of_its_own(
    context: CIContext, identity: str | None, marker: str
) -> None:
    assert comment.marker(context, identity) == marker


@pytest.mark.parametrize(
    ("context", "writer"),
    [
        (HERE, Writer(run_id=512, attempt=1, head_sha=HEAD_SHA)),
        (caused_by(CAUSE), Writer(run_id=512, attempt=2, head_sha=HEAD_SHA)),
        (CIContext(), Writer(head_sha=HEAD_SHA)),
        (CIContext(run_id="7/8", attempt=3), Writer(attempt=3, head_sha=HEAD_SHA)),
    ],
)
def test_the_writer_is_the_run_that_made_the_report(context: CIContext, writer: Writer) -> None:
    assert comment.writer(on_head(good()), context) == writer


def test_a_pull_request_that_the_forge_does_not_show_is_the_events() -> None:
    forge = FakeForge()
    assert comment.find_pull_request(forge, HERE, 7).head_sha == HEAD_SHA
    for context, number in [(HERE, 8), (CIContext(), 7), (replace(HERE, head_sha=None), 7)]:
        with pytest.raises(UsageError, match="no pull request"):
            comment.find_pull_request(forge, context, number)


# -- comments that never lie ---------------------------------------------------------------------


def test_a_report_of_a_head_that_is_gone_is_not_posted(world: World) -> None:
    world.forge.pulls[7] = replace(PULL, head_sha=NEW_SHA)
    posted = world.post(on_head(good()))
    assert (posted.action, posted.url) == ("outdated", None)
    assert posted.reason == ("The report is of 9f2c41d, the head of pull request 7 is eeeeeee now.")
    assert world.bodies == []


def test_a_report_of_no_commit_is_not_posted(world: World) -> None:
    posted = world.post(replace(good(), head_sha=None))
    assert posted.action == "outdated"
    assert "no commit" in posted.reason


@pytest.mark.parametrize("mode", [CommentMode.UPDATE, CommentMode.HIDE_AND_NEW])
def test_an_older_run_leaves_a_newer_run_s_comment_alone(world: World, mode: CommentMode) -> None:
    world.settings = CommentConfig(mode=mode)
    world.post(on_head(good()), caused_by(replace(CAUSE, run_id=600)))
    (before,) = world.bodies
    posted = world.post(on_head(blocked()), caused_by(replace(CAUSE, run_id=512)))
    assert posted.action == "outdated"
    assert posted.reason == "A newer run has written there."
    assert world.bodies == [before]


def test_a_re_run_updates_what_the_first_attempt_said(world: World) -> None:
    assert world.post(on_head(blocked())).action == "created"
    assert world.post(on_head(good()), replace(HERE, attempt=2)).action == "updated"
    (body,) = world.bodies
    assert "**Passed**" in body


def test_new_keeps_the_old_ones(world: World) -> None:
    world.settings = CommentConfig(mode=CommentMode.NEW)
    for _ in range(2):
        assert world.post(on_head(good())).action == "created"
    assert len(world.bodies) == 2


UNCHANGED = replace(good(), metrics=(), params=(), data=(), stages=(), texts=(), gate_changes=())


@pytest.mark.parametrize(
    ("report", "changed"),
    [
        (UNCHANGED, False),
        (replace(UNCHANGED, metrics=good().metrics), True),
        (replace(UNCHANGED, params=good().params), True),
        (replace(UNCHANGED, data=good().data), True),
        (replace(UNCHANGED, base=None), True),
        (replace(UNCHANGED, gates=blocked().gates), True),
        (replace(UNCHANGED, run=replace(RUN, error="lost")), True),
        (first(), True),
    ],
)
def test_what_counts_as_a_change(report: Report, *, changed: bool) -> None:
    assert comment.has_changes(report) is changed


def test_on_change_only_begins_no_comment_but_keeps_one_true(world: World) -> None:
    world.settings = CommentConfig(on_change_only=True)
    quiet = on_head(UNCHANGED)
    assert world.post(quiet) == Posting(action="none", reason="Nothing changed.")
    assert world.post(on_head(blocked())).action == "created"
    assert world.post(quiet).action == "updated"
    (body,) = world.bodies
    assert "**Passed**" in body


# -- pictures ------------------------------------------------------------------------------------


def test_pictures_are_stored_for_as_long_as_configured(world: World) -> None:
    world.settings = CommentConfig(pictures=True, keep_days=30)
    world.post(on_head(proven()))
    assert list(world.forge.pictures.values()) == [SVG]
    assert world.forge.keep_days == 30
    assert "report.html" not in world.bodies[0]


def test_pictures_that_may_not_be_stored_cost_no_comment(world: World) -> None:
    world.settings = CommentConfig(pictures=True)
    world.forge.denied = {"store_pictures"}
    assert world.post(on_head(proven())).action == "created"
    assert "page report.html in the run's artifact" in world.bodies[0]
    (warning,) = world.progress.warnings
    assert "`fake: write` below `permissions:`" in warning


def test_where_pictures_are_off_the_comment_says_where_they_are(world: World) -> None:
    world.post(on_head(proven()))
    assert "page report.html in the run's artifact" in world.bodies[0]
    assert world.drawn == []
    world.post(on_head(good()), replace(HERE, job="other"))
    assert "report.html" not in world.bodies[1]


def test_a_fork_s_pictures_are_neither_drawn_nor_stored(world: World) -> None:
    world.settings = CommentConfig(pictures=True)
    world.post(replace(on_head(proven()), from_fork=True))
    assert world.drawn == []
    assert world.forge.pictures == {}


def test_no_pictures_are_stored_for_a_comment_that_is_not_posted(world: World) -> None:
    world.settings = CommentConfig(pictures=True)
    world.post(on_head(proven(), NEW_SHA))
    assert world.forge.pictures == {}


# -- what another run left -----------------------------------------------------------------------


def document(report: Report, **changes: object) -> bytes:
    content = json.loads(codec.encode(on_head(report)))
    return json.dumps({**content, **changes}).encode()


def test_a_report_is_taken_over_from_the_run_that_caused_this_one(world: World) -> None:
    world.leave(document(good(), run_url="https://evil.example", from_fork=True))
    assert world.hand_over().action == "created"
    (body,) = world.bodies
    assert body.startswith("<!-- modelci:report model-pr/comment -->")
    assert "https://github.com/acme/credit/actions/runs/512" in body
    assert "evil.example" not in body
    assert "fork" not in body


def test_a_fork_s_report_says_that_nobody_here_vouches_for_it(world: World) -> None:
    world.forge.pulls[7] = replace(PULL, head_repository="eve/credit")
    world.leave(document(good(), from_fork=False))
    world.hand_over(FORK)
    assert "fork's own run; nobody here has checked" in world.bodies[0]


@pytest.mark.parametrize(
    "cause",
    [
        replace(CAUSE, head_owner="eve"),
        replace(CAUSE, head_branch="main"),
        replace(CAUSE, head_sha=NEW_SHA),
        replace(CAUSE, head_owner="", head_repository=""),
        replace(CAUSE, event_name="push"),
        replace(CAUSE, conclusion="cancelled"),
        replace(CAUSE, conclusion="action_required"),
    ],
)
def test_without_an_open_pull_request_of_that_head_nothing_is_read(
    world: World, cause: Cause
) -> None:
    world.leave(document(good(), pull_request=7, number=7))
    world.forge.denied = {"read_artifact"}
    with pytest.raises(NothingToPostError, match=r"^(No open pull request|Run 512 ended as)"):
        world.hand_over(cause)
    assert world.bodies == []


def test_a_closed_pull_request_hears_nothing(world: World) -> None:
    world.forge.pulls[7] = replace(PULL, is_open=False)
    world.leave(document(good()))
    with pytest.raises(NothingToPostError):
        world.hand_over()


def test_only_a_workflow_run_has_a_cause() -> None:
    with pytest.raises(UsageError, match="Which run's artifact") as raised:
        take_report(FakeForge(), HERE, "modelci", "report.json")
    assert "--report" in (raised.value.hint or "")


@pytest.mark.parametrize("sha", [NEW_SHA, None, HEAD_SHA[:7], "x\n::error::mine"])
def test_a_report_of_another_commit_than_the_event_s_is_refused(
    world: World, sha: str | None
) -> None:
    world.leave(document(good(), head_sha=sha))
    with pytest.raises(ConfigError, match="is not of 9f2c41d") as raised:
        world.hand_over()
    assert "::" not in str(raised.value)
    assert world.bodies == []


DEEP = b'{"schema": "modelci.report/1", "base": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"PK\x03\x04",
        b"[]",
        b'"modelci.report/1"',
        b'{"schema": "modelci.report/1"}',
        b'{"schema": "x\\n::error::mine"}',
        b'{"schema": ' * 100_000,
        DEEP,
        document(good()).replace(b"0.81", b"NaN", 1) + b" NaN",
        document(good(), metrics=[{"key": {"path": "m", "name": "auc"}, "base": math.inf}]),
        document(good(), metrics={"__class__": "os.system"}),
        document(good(), notes=["\ud800"]),
        document(good(), from_fork="x\n::error::mine"),
    ],
    ids=range(14),
)
def test_what_is_no_report_is_refused_without_being_repeated(world: World, data: bytes) -> None:
    world.leave(data)
    with pytest.raises(ConfigError, match="is none that this version reads") as raised:
        world.hand_over()
    assert "mine" not in str(raised.value)
    assert world.bodies == []


@pytest.mark.parametrize("field", ["metrics", "gates", "notes", "plots", "pictures", "slices"])
def test_16_mib_of_anything_take_seconds_not_minutes(world: World, field: str) -> None:
    content = json.loads(document(proven(), notes=["x"]))
    (one, *_) = content[field]
    content[field] = [one] * (15 * 1024 * 1024 // (len(json.dumps(one)) + 2))
    world.leave(json.dumps(content).encode())
    began = time.process_time()
    world.hand_over()
    assert time.process_time() - began < 10
    assert len(world.bodies[0].encode()) < 66_000


def test_more_than_16_mib_is_not_read(world: World) -> None:
    world.leave(document(good(), notes=["x" * 16 * 1024 * 1024]))
    with pytest.raises(ForgeError, match="too large"):
        world.hand_over()


def test_a_report_that_is_not_there_is_an_error(world: World) -> None:
    with pytest.raises(ForgeError, match=r"has no .report\.json."):
        world.hand_over()


def test_a_denied_token_is_an_error_of_its_own(world: World) -> None:
    world.leave(document(good()))
    world.forge.denied = {"read_artifact"}
    with pytest.raises(ForgeDeniedError):
        world.hand_over()


def test_a_hostile_report_is_rendered_inert(world: World) -> None:
    world.forge.pulls[7] = replace(PULL, head_repository="eve/credit")
    world.leave(document(hostile(), number=8, pull_request={"number": 8}))
    world.hand_over(FORK)
    (one,) = world.forge.comments
    assert one.number == 7
    assert_inert(one.body)


CODE = re.compile(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
NUMBERS = st.one_of(
    st.integers(min_value=-(2**63), max_value=2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
TEXTS = st.sampled_from(
    [
        "@acme/admins look",
        "x\n\n# Approved\n<!-- modelci:report model-pr/comment -->",
        '<!-- modelci-state: {"run":99999999999} -->',
        "```\n<img src=https://evil.example/pixel.png>",
        "| a | b |\n![x](https://evil.example/x.png)",
        "javascript:alert(1)",
        "\u202egnp.exe\u0000",
        "passed",
        "x" * 70_000,
    ]
)


@given(st.sampled_from(sorted(CASES)), st.data())
def test_a_report_altered_anywhere_is_refused_or_rendered_inert(
    case: str, data: st.DataObject
) -> None:
    content = json.loads(codec.encode(on_head(CASES[case]())))
    for _ in range(data.draw(st.integers(min_value=1, max_value=3))):
        alter(content, data)
    content["head_sha"] = HEAD_SHA
    world = World(forge=FakeForge(pulls={7: PULL}))
    world.leave(json.dumps(content).encode())
    try:
        world.hand_over()
    except ConfigError:
        assert world.bodies == []
        return
    assert_inert(world.bodies[0])


def alter(content: Any, data: st.DataObject) -> None:
    """Replace one value somewhere in a document, mostly by one of its own kind."""
    here = content
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = data.draw(st.sampled_from(keys))
        value = here[key]
        if not isinstance(value, (dict, list)) or not value or data.draw(st.integers(0, 9)) == 0:
            here[key] = data.draw(others(value))
            return
        here = value


def others(value: object) -> st.SearchStrategy[object]:
    match value:
        case bool():
            return st.just(not value)
        case int() | float():
            return NUMBERS
        case str():
            return TEXTS
        case list():
            return st.sampled_from([[], value * 2, value[::-1]])
        case _:
            return st.one_of(TEXTS, NUMBERS, st.just({}))


def assert_inert(body: str) -> None:
    """Hold that nothing in the comment notifies, loads, or passes for what is ours."""
    assert len(body.encode()) <= 66_000
    lines = body.splitlines()
    assert sum(line.startswith("<!-- modelci:report ") for line in lines) == 1
    assert sum(line.startswith("<!-- modelci-state:") for line in lines) == 1
    assert '"run":512' in body.partition("<!-- modelci-state:")[2].partition("\n")[0]
    outside = CODE.sub("", body)
    assert "@acme" not in outside
    assert "<img" not in outside
    assert "](https://evil" not in outside
    assert "\n# Approved" not in body
