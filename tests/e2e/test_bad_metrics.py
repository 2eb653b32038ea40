"""Metrics that are no numbers, too many, badly named, or out of reach."""

import json
import shutil
from collections.abc import Mapping
from typing import Any

import pytest
from markdown_it import MarkdownIt
from tests.e2e.world import BETTER, PIPELINE, Checkout, World, hint_of

IN_CACHE = {
    "dvc.yaml": PIPELINE.replace("- metrics.json:\n          cache: false", "- metrics.json"),
    ".gitignore": "/metrics.json\n.venv\n",
}


def test_what_is_no_number_is_shown_as_text_and_fails_its_gates(site: World) -> None:
    site.laptop.put({"metrics.json": '{"roc_auc": "good", "brier": true, "name": null}'})
    out = site.laptop.modelci("report").out
    assert "✗ Blocked: 2 of 3 gates found no metric (roc_auc)." in out
    assert "Metrics that are text" in out
    texts = {one["key"]["name"]: one["head"] for one in site.laptop.document("report")["texts"]}
    assert texts == {"roc_auc": "good", "brier": True, "name": None}
    site.laptop.modelci("gate", code=1)


@pytest.mark.parametrize(("value", "shown"), [("NaN", "NaN"), ("1e999", "Infinity")])
def test_what_is_not_finite_fails_its_gates_and_stays_valid_json(
    site: World, value: str, shown: str
) -> None:
    site.laptop.put({"metrics.json": f'{{"roc_auc": {value}, "brier": 0.1}}'})
    site.laptop.modelci("report")
    text = site.laptop.read(".modelci/report.json")
    report = json.loads(text, parse_constant=lambda name: pytest.fail(f"a bare {name}"))
    found = {one["key"]["name"]: one["head"] for one in report["metrics"]}
    assert found == {"roc_auc": shown, "brier": 0.1}
    site.laptop.modelci("gate", code=1)


def test_nested_metrics_have_dotted_names(site: World) -> None:
    nested = {"roc_auc": 0.8, "brier": 0.1, "test": {"north": {"f1": 0.5}, "south": {"f1": 0.6}}}
    put_metrics(site.laptop, nested)
    assert "test.north.f1" in site.laptop.modelci("report").out


def test_a_hundred_thousand_numbers_are_compared_within_every_limit(site: World) -> None:
    wide = {f"group{i}": {f"m{j}": i + j / 7 for j in range(100)} for i in range(1_000)}
    put_metrics(site.laptop, wide)
    for name in ("terminal", "md"):
        assert len(site.laptop.modelci("report", "--format", name).out.encode()) <= 65_000


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ('{"roc_auc": 0.8,\n "brier": }\n', "metrics.json:2:11 cannot be read"),
        ("", "metrics.json is empty"),
        ('{"a":' * 300 + "1" + "}" * 300, "more than 200 levels"),
        (b"\xff\xfe{", "metrics.json cannot be read"),
        (None, "metrics.json does not exist"),
    ],
)
def test_a_file_without_metrics_blocks_and_says_why(
    site: World, text: str | bytes | None, note: str
) -> None:
    if text is None:
        (site.laptop.folder / "metrics.json").unlink()
    else:
        site.laptop.put({"metrics.json": text})
    out = site.laptop.modelci("report").out
    assert note in " ".join(out.split())
    site.laptop.modelci("gate", code=1)


@pytest.mark.parametrize("name", ["a|b", "`tick`", "@everyone", "new\nline", "<img>", "[l](u)"])
def test_a_name_is_a_name_wherever_it_is_shown(site: World, name: str) -> None:
    put_metrics(site.laptop, {"roc_auc": 0.8, "brier": 0.1, name: 7})
    markdown = site.laptop.modelci("report", "--format", "md").out
    html = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
    rows = [row.split("</td>")[0] for row in html.split("<tr>") if row.strip().startswith("<td>")]
    first = [row.strip().removeprefix("<td>").removeprefix("<code>") for row in rows]
    shown = name.replace("\n", "\\n").replace("<", "&lt;").replace(">", "&gt;")
    assert f"{shown}</code>" in first
    assert "<img>" not in site.laptop.modelci("report", "--format", "html").out


def test_three_thousand_changed_metrics_fit_into_a_comment(site: World) -> None:
    put_metrics(site.laptop, {f"m|{i}`@": i for i in range(3_000)})
    site.laptop.commit()
    put_metrics(site.laptop, {f"m|{i}`@": i * 2 for i in range(3_000)})
    markdown = site.laptop.modelci("report", "--format", "md").out
    assert len(markdown.encode()) <= 65_000
    assert "more rows: see the HTML page" in markdown
    html = site.laptop.modelci("report", "--format", "html").out
    assert html.count("<tr") > 2_999


def test_metrics_in_dvc_s_cache_are_read_there_or_pulled(site: World) -> None:
    keep_metrics_in_cache(site)
    clone = site.clone("fresh")
    out = clone.modelci("report").out
    assert "no base" not in out
    assert "metrics.json" in out
    assert "--pull" in " ".join(out.split())
    pulled = clone.modelci("report", "--pull").out
    assert "roc_auc   0.8000   0.8000" in pulled


def test_without_cache_and_remote_the_report_says_what_is_missing(site: World) -> None:
    keep_metrics_in_cache(site)
    clone = site.clone("fresh")
    clone.put({".dvc/config": ""})
    flat = " ".join(clone.modelci("report", "--pull").out.split())
    assert "No default DVC remote is configured." in flat
    assert "metrics.json is not in the local DVC cache" in flat
    clone.modelci("gate", code=1)


def test_what_only_the_base_lacks_is_said_of_the_base(site: World) -> None:
    keep_metrics_in_cache(site)
    clone = site.clone("fresh")
    clone.put(BETTER)
    clone.modelci("run", "--no-pull", "--no-push")
    flat = " ".join(clone.modelci("report").out.split())
    assert "In the base: metrics.json is not in the local DVC cache" in flat


def test_a_dvc_remote_that_does_not_answer(site: World) -> None:
    keep_metrics_in_cache(site)
    clone = site.clone("fresh")
    url = "http://127.0.0.1:9/store"
    clone.put(
        {".dvc/config": f"[core]\n    remote = store\n['remote \"store\"']\n    url = {url}\n"}
    )
    done = clone.command("run", "--push", code=5)
    assert f"Could not push to the DVC remote store ({url})" in " ".join(done.err.split())


def test_a_dvc_remote_whose_plugin_is_missing_or_that_nobody_defined(site: World) -> None:
    clone = site.clone("fresh")
    clone.put({".dvc/config": "[core]\n    remote = nope\n"})
    done = clone.modelci("run", code=3)
    assert "remote 'nope' doesn't exist" in done.err
    assert ".dvc/config" in hint_of(done)


def put_metrics(checkout: Checkout, metrics: Mapping[str, Any]) -> None:
    checkout.put({"metrics.json": json.dumps(metrics)})


def keep_metrics_in_cache(site: World) -> None:
    """Let DVC, not Git, keep metrics.json, and push that twice: base and head have it there."""
    laptop = site.laptop
    laptop.git("rm", "--quiet", "--cached", "metrics.json")
    laptop.put(IN_CACHE)
    laptop.modelci("run", "--force", "--push")
    shutil.rmtree(laptop.folder / ".modelci")
    laptop.commit()
    laptop.commit({"README.md": "more\n"})
    laptop.git("push", "--quiet")
