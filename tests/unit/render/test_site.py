"""The registry's pages: deterministic, safe whatever tags and dvc.yaml say, and complete."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.artifacts import Artifact
from modelci.domain.history import HistoryPoint, MetricHistory
from modelci.domain.metrics import Direction, MetricKey
from modelci.domain.registry import TagRecord, fold_registry, list_events
from modelci.domain.site import Message, Model, Site, Web, metric_values, read_message
from modelci.domain.tags import TagName
from modelci.render.site import render_site, slug

START = 1_700_000_000
GITHUB = Web(kind="github", root="https://forge.example/acme/credit")


def record(name: str, at: int, message: str = "", *, on: str = "one", by: str = "Ada") -> TagRecord:
    parsed = TagName.parse(name)
    assert parsed is not None
    return TagRecord(
        name=parsed,
        ref=f"refs/tags/{name}",
        commit=sha1(on.encode(), usedforsecurity=False).hexdigest(),
        seconds=START + at * 86_400,
        tagger=by,
        message=message,
    )


def model(*tags: TagRecord, artifact: Artifact | None = None) -> Model:
    (state,) = fold_registry(tags)
    return Model(state=state, events=list_events(tags), artifact=artifact)


def pages(*models: Model, web: Web | None = GITHUB) -> Mapping[str, str]:
    files = render_site(Site(title="Our models", models=models, web=web))
    return {path: data.decode() for path, data in files.items()}


CREDIT = model(
    record("credit@v1.0.0", 0, "Register credit v1.0.0\n\nModelci-Hash: md5:0123456789abcdef"),
    record("credit#prod#1", 1, "Assign prod to credit v1.0.0\n\nModelci-Reason: first of all"),
    record("credit@v1.1.0", 2, "Much better\n\nFewer refusals.", on="two"),
    record("credit#prod#2", 3, "Modelci-Reason: no trailer of a lone paragraph", on="two"),
    record(
        "credit#prod#3",
        4,
        "Roll prod of credit back to v1.0.0 from v1.1.0\n\n"
        "Modelci-Reason: complaints\nModelci-By: Grace\nModelci-Hold: true",
    ),
    artifact=Artifact(
        name="credit", path="m.txt", type="model", desc="Will they pay?", labels=("eu",)
    ),
)


def text(page: str) -> str:
    body = page.partition("<body>")[2].partition("<script")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body))


def test_the_index_names_models_stages_and_who_did_what() -> None:
    index = text(pages(CREDIT)["index.html"])
    for words in ("credit", "Will they pay?", "eu", "v1.1.0", "prod", "since 2023-11-18", "held"):
        assert words in index


def test_a_page_tells_versions_stages_and_why() -> None:
    page = text(pages(CREDIT)["models/credit.html"])
    assert "Much better" in page
    assert "Fewer refusals." in page
    assert "first of all" in page
    assert "md5:01234567" in page
    assert "prod rolled back to v1.0.0 and held" in page
    assert "Grace, tagged by Ada" in page
    assert "complaints" in page
    assert "Register credit" not in page  # the row says it already


def test_a_page_tells_which_rules_were_overridden_and_for_what() -> None:
    said = "Assign prod to m v1\n\nModelci-Allowed: Hotfix\nModelci-Allowed-By: Ada\n"
    tags = (
        record("m@v1.0.0", 0),
        record("m#prod#1", 1, f"{said}Modelci-Allowed-Rules: gates, stage-order"),
        record("m#dev#2", 2, said.replace("Hotfix", "Of old")),
    )
    page = text(pages(model(*tags))["models/m.html"])
    assert "gates, stage-order overridden: Hotfix" in page
    assert "rules overridden: Of old" in page


def test_the_same_registry_makes_the_same_bytes() -> None:
    site = Site(title="Our models", models=(CREDIT,), web=GITHUB)
    assert render_site(site) == render_site(site)


def test_documents_lie_beside_the_pages() -> None:
    files = pages(CREDIT)
    assert {"index.html", "registry.json", ".nojekyll", "models/credit.html"} <= files.keys()
    document = json.loads(files["models/credit.json"])
    assert document["schema"] == "modelci.registry/1"
    (entry,) = document["artifacts"]
    assert entry["stages"]["prod"]["version"] == "v1.0.0"
    assert entry["declared"]["labels"] == ["eu"]


@pytest.mark.parametrize(
    ("web", "commit", "tag"),
    [
        (GITHUB, "/commit/", "/releases/tag/credit%40v1.0.0"),
        (Web(kind="gitea", root=GITHUB.root), "/commit/", "/releases/tag/credit%40v1.0.0"),
        (Web(kind="gitlab", root=GITHUB.root), "/-/commit/", "/-/tags/credit%40v1.0.0"),
        (
            Web(kind="gitlab", root=GITHUB.root, releases=True),
            "/-/commit/",
            "/-/releases/credit%40v1.0.0",
        ),
    ],
)
def test_links_lead_to_the_forge(web: Web, commit: str, tag: str) -> None:
    page = pages(CREDIT, web=web)["models/credit.html"]
    assert f'href="{web.root}{commit}{CREDIT.state.versions[0].commit}"' in page
    assert f'href="{web.root}{tag}"' in page


def test_without_a_forge_there_is_no_link_to_one() -> None:
    hrefs = re.findall(r'href="([^"]*)"', pages(CREDIT, web=None)["models/credit.html"])
    assert all(one.startswith(("#", "data:,", "../index.html", "credit.json")) for one in hrefs)


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\u202eevil\u200b\x1b[31m\x00"


def test_whatever_tags_and_files_say_is_shown_as_text() -> None:
    hostile = model(
        record(
            "m@v1.0.0",
            0,
            f"{EVIL}\n\n{EVIL}\n\nModelci-Reason: {EVIL}\nModelci-Hash: md5:{EVIL}\n"
            f"Modelci-Metric: a:{EVIL}=1\nModelci-Run: javascript:alert(3)\nOther: {EVIL}",
            by=EVIL,
        ),
        record("m#prod#1", 1, f"x\n\nModelci-Hold: {EVIL}\nModelci-By: {EVIL}", by=EVIL),
        artifact=Artifact(name="m", path=EVIL, type=EVIL, desc=EVIL, labels=(EVIL,) * 50),
    )
    key = MetricKey(path=EVIL, name=EVIL)
    points = tuple(
        HistoryPoint(sha="0", name="v1.0.0", seconds=START, value=float(one)) for one in range(3)
    )
    metric = MetricHistory(key=key, direction=Direction.HIGHER, points=points)
    evil_site = Site(
        title=EVIL,
        models=(replace(hostile, metrics=(metric,)),),
        web=Web(kind="github", root="javascript:alert(4)//x"),
    )
    for path, data in render_site(evil_site).items():
        if not path.endswith(".html"):
            continue
        page = data.decode()
        assert page.count("<script") == (2 if path == "index.html" else 1)
        assert "<img" not in page
        assert not set(page) & {"\u202e", "\u200b", "\x1b", "\x00"}
        assert not re.search(r'href="\s*javascript:', page, re.IGNORECASE)
        assert "&lt;script&gt;alert(1)" in page


def test_a_declared_name_reaches_no_other_folder() -> None:
    names = ["../../etc/passwd", "a/../b", "C:\\x", "", ".", "🙂", "con", "Credit", "a" * 5000]
    found = [
        Model(state=CREDIT.state._replace(name=one, versions=(), stages={}), events=())
        for one in names
    ]
    files = pages(*found)
    assert len(files) == 3 + 2 * len(names)
    for path in files:
        assert re.fullmatch(r"(models/)?[A-Za-z0-9_.-]{1,90}", path)
        assert ".." not in path


@given(st.text(), st.text())
def test_two_names_never_share_a_file(one: str, other: str) -> None:
    assert (slug(one) == slug(other)) is (one == other)
    assert slug(one) == slug(one).lower()
    assert re.fullmatch(r"[a-z0-9_-]+(\.[0-9a-f]{16})?", slug(one))


def test_a_name_cannot_be_made_to_meet_anothers_file() -> None:
    made = slug("a/b")
    assert slug(made) != made
    assert slug("dir:name") == slug("dir:name") != slug("dir-name") == "dir-name"


def test_a_huge_message_is_cut() -> None:
    lines = "line\n" * 500_000
    big = model(record("m@v1.0.0", 0, f"{'s' * 5_000_000}\n\n{lines}\n\nModelci-Reason: end"))
    page = pages(big)["models/m.html"]
    assert len(page) < 100_000
    assert "end" in text(page)


def test_a_date_of_no_calendar_is_left_out() -> None:
    page = text(pages(model(record("m@v1.0.0", 10**15)))["models/m.html"])
    assert "v1.0.0 registered" in page


def test_more_versions_than_a_page_holds_are_named() -> None:
    many = [record(f"m@v1.{number}.0", number, on=str(number)) for number in range(1_005)]
    files = pages(model(*many))
    assert "… 5 older ones" in text(files["models/m.html"])
    assert len(json.loads(files["models/m.json"])["artifacts"][0]["versions"]) == 1_005


def test_an_empty_registry_has_a_page_that_says_so() -> None:
    assert "No tag speaks of a model yet" in text(pages()["index.html"])


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("One", Message(subject="One")),
        ("One\n\nKey: a", Message(subject="One", trailers=(("Key", "a"),))),
        ("One\n\nWords: these\nare none", Message(subject="One", body="Words: these\nare none")),
        (
            "One\r\n\r\nBody\r\n\r\nKey: a\r\nKey: b\r\n  and c\r\n",
            Message(subject="One", body="Body", trailers=(("Key", "a"), ("Key", "b and c"))),
        ),
        (
            "One\n\nKey: a\n-----BEGIN SSH SIGNATURE-----\nU1NI\n-----END SSH SIGNATURE-----\n",
            Message(subject="One", trailers=(("Key", "a"),)),
        ),
        ("", Message(subject="")),
    ],
)
def test_a_message_is_taken_apart(message: str, wanted: Message) -> None:
    assert read_message(message) == wanted


def test_metrics_are_read_from_trailers_and_nonsense_is_passed_over() -> None:
    lines = ["m.json:auc=0.5", "m.json:a=b=1e3", "none", "m.json:x=", "nocolon=1", "m.json:n=NaN"]
    message = read_message("One\n\n" + "\n".join(f"Modelci-Metric: {one}" for one in lines))
    found = {str(key): value for key, value in metric_values(message).items()}
    assert found == {"m.json:auc": 0.5, "m.json:a=b": 1000.0, "m.json:n": "NaN"}
