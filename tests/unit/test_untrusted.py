"""Whatever a stranger's file holds, it is read, or refused in words: no crash, and no minutes.

Documents of other jobs are honest ones of which a few values are something else, since a text of
random bytes never gets past the first check.
"""

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.golden import samples, windows

from modelci.adapters.ci import detect
from modelci.adapters.dvc.cache import is_hash, parse_listing
from modelci.adapters.dvc.numbers import Allowance, TooLargeError, read_metrics, read_params
from modelci.adapters.forge.archive import read_member
from modelci.documents import codec
from modelci.domain.events import CIContext
from modelci.domain.monitoring import Monitoring
from modelci.domain.orders import parse_wanted, wanted_by
from modelci.domain.report import Report
from modelci.domain.retraining import Retraining, is_commit_id
from modelci.domain.tags import Query, TagName
from modelci.errors import ConfigError, ForgeError, ModelCIError, UsageError
from modelci.formats import parse
from modelci.render import html, markdown, terminal
from modelci.render.monitoring import markdown as watched_markdown
from modelci.render.monitoring import openmetrics
from modelci.render.monitoring import terminal as watched_terminal

MARKER = "<!-- modelci:report model-pr/run -->"
BOUNDED = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
QUICK = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))

ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1, 2**31, 2**63, -(2**63), 10**400, 1e308, -1e308, 5e-324, -0.0, 0.5]),
    st.sampled_from(["", "NaN", "Infinity", "\0", "\n::error::x", "../../etc/passwd", "9" * 5_000]),
    st.sampled_from([[], {}, [None], [[]], {"": None}, [1, 2, 3], [0.0, 0.0, -1.0]]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(ODD, st.floats()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=12,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value within a document."""
    if path:
        yield path
    entries = dict(enumerate(value)) if isinstance(value, list) else value
    for key, child in entries.items() if isinstance(entries, dict) else ():
        yield from places(child, (*path, key))


def spoil(document: Any, data: st.DataObject) -> bytes:
    """Return a document with one to three values replaced."""
    found = copy.deepcopy(document)
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from(list(places(found))))
        parent = found
        for step in way:
            parent = parent[step]
        parent[last] = copy.deepcopy(data.draw(ODD))
    return json.dumps(found).encode()


def show_report(report: Report) -> list[str]:
    comment = markdown.render_comment(report, title="Model report", marker=MARKER)
    assert len(comment.encode()) <= 65_536
    return [comment, terminal.render_report(report), html.render_page(report, title="Report")]


def show_window(window: Monitoring) -> list[str]:
    comment = watched_markdown.render_comment(window, title="credit in prod", marker=MARKER)
    return [
        comment,
        watched_terminal.render_monitoring(window, width=100),
        openmetrics.render_metrics(window),
    ]


RETRAINING = Retraining(
    model="credit",
    window="2026-03",
    branch="modelci/retrain-credit",
    base="main",
    base_sha="a" * 40,
    commit="b" * 40,
    changed=("dvc.lock",),
)
DOCUMENTS: dict[str, tuple[Any, Any, Callable[[Any], list[str]]]] = {
    "report": (Report, samples.proven(), show_report),
    "hostile report": (Report, samples.hostile(), show_report),
    "window": (Monitoring, windows.drifted(), show_window),
    "retraining": (Retraining, RETRAINING, lambda one: [str(is_commit_id(one.commit or ""))]),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
@BOUNDED
@given(data=st.data())
def test_a_document_of_another_job_is_shown_or_refused(kind: str, data: st.DataObject) -> None:
    read, document, show = DOCUMENTS[kind]
    text = spoil(json.loads(codec.encode(document)), data)
    try:
        found: Any = codec.decode(read, text, source="report.json")
    except ConfigError:
        return
    for shown in show(found):
        assert not any(line.lstrip().startswith("::") for line in shown.splitlines())


@QUICK
@given(text=st.binary(max_size=80) | JSON.map(lambda one: json.dumps(one).encode()))
def test_what_is_no_document_is_refused(text: bytes) -> None:
    kinds: list[Any] = [Report, Monitoring, Retraining]
    for kind in kinds:
        with pytest.raises(ConfigError):
            codec.decode(kind, text, source="x.json")


METRICS = st.one_of(
    st.tuples(st.just("m.json"), JSON.map(lambda one: json.dumps(one).encode())),
    st.tuples(
        st.sampled_from(["m.json", "m.yaml", "m.toml", "dvc.lock"]),
        st.one_of(
            st.binary(max_size=60),
            st.text("ab0x1._-+:&*<>!{}[]#'\"\n \t,e", max_size=80).map(str.encode),
        ),
    ),
)


@QUICK
@given(file=METRICS)
@example(("m.yaml", b"a: 0x" + b"f" * 6_000))
@example(("m.yaml", b"a: &a [*a]\nb: &b {c: *b}\n"))
@example(("m.yaml", "".join(["a0: &a0 {x: 1}\n", *(f"a{i}: &a{i} {{b: *a{i - 1}, c: *a{i - 1}}}\n"
                             for i in range(1, 40))]).encode()))  # fmt: skip
def test_a_metrics_file_gives_values_that_json_can_hold_or_is_refused(
    file: tuple[str, bytes],
) -> None:
    path, data = file
    try:
        content = parse(path, data)
        metrics = read_metrics(path, content, Allowance(10_000))
        params = read_params(path, content, Allowance(10_000))
    except (ConfigError, TooLargeError):
        return
    assert all(isinstance(one, str) or math.isfinite(one) for one in metrics.numbers.values())
    json.dumps([*metrics.texts.values(), *params.values()], allow_nan=False)


NAMES = st.one_of(
    st.text("ab01/-_.=:#@!v+\n\0 ~^*?[\\", max_size=40),
    st.text(max_size=20),
    st.sampled_from(["m@v", "m#prod#", "a=b@v1.0.0!", "m@v1.0.0#", "m#prod!#"]).flatmap(
        lambda start: st.integers(0, 10**30).map(lambda number: f"{start}{number}")
    ),
)


@QUICK
@given(name=NAMES)
@example("a" * 100_000)
@example("a-" * 50_000 + "!")
@example("m#prod#" + "9" * 5_000)
@example("m@v" + "9" * 5_000 + ".0.0")
def test_a_tag_is_one_of_ours_to_the_letter_or_none(name: str) -> None:
    found = TagName.parse(name)
    if found is not None:
        assert TagName.parse(str(found)) == found
        assert not set(name) & set("\n\0 ~^*?[\\:")
        assert not name.startswith("-")
    wanted_by(name, ["prod"])
    Query.parse(name)
    try:
        parse_wanted(name)
    except UsageError:
        return


LISTS = JSON | st.lists(st.fixed_dictionaries({"relpath": ODD, "md5": ODD}), max_size=4)


@QUICK
@given(value=LISTS)
def test_a_folders_list_is_paths_and_hashes_or_none(value: Any) -> None:
    found = parse_listing(json.dumps(value).encode())
    for path, hash_ in (found or {}).items():
        assert isinstance(path, str)
        is_hash(hash_)


PAYLOADS = sorted((Path(__file__).parents[1] / "fakes" / "payloads").rglob("*.json"))
EVENTS = ["pull_request", "workflow_run", "push", "workflow_dispatch", "repository_dispatch"]


@pytest.mark.parametrize("file", PAYLOADS, ids=lambda file: file.stem)
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_event_is_understood_or_refused(tmp_path: Path, file: Path, data: st.DataObject) -> None:
    path = tmp_path / "event.json"
    path.write_bytes(spoil(json.loads(file.read_bytes()), data))
    context = known(path, data.draw(st.sampled_from(EVENTS)))
    if context is not None:
        assert context.pull_request is None or context.pull_request > 0
        assert context.cause is None or is_commit_id(context.cause.head_sha)


@QUICK
@given(text=st.binary(max_size=60) | JSON.map(lambda one: json.dumps(one).encode()))
def test_an_event_of_any_bytes_is_understood_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "event.json"
    path.write_bytes(text)
    for name in EVENTS:
        known(path, name)


def known(path: Path, name: str) -> CIContext | None:
    """Return what an event says; None where it is refused in words."""
    variables = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": name,
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_REPOSITORY": "acme/credit",
    }
    try:
        return detect(variables)
    except ModelCIError:
        return None


@QUICK
@given(data=st.binary(max_size=200), start=st.sampled_from([b"", b"PK\x03\x04", b"PK\x05\x06"]))
def test_an_archive_of_any_bytes_is_refused(data: bytes, start: bytes) -> None:
    with pytest.raises(ForgeError):
        read_member(start + data, "report.json", max_bytes=1_000)
