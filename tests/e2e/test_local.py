"""A person at a laptop: plan, run, report, gate."""

import json
from html.parser import HTMLParser

import pytest
from tests.e2e.world import BETTER, BROKEN, WORSE, World, hint_of


def test_plan_and_run_say_why(site: World) -> None:
    laptop = site.laptop
    laptop.put(BETTER)

    plan = laptop.modelci("plan")
    assert plan.out.startswith("3 stages: 1 run, 1 unchanged, 1 depends\n")
    assert "params.yaml: quality changed (0.8 → 0.85)" in plan.out
    mermaid = laptop.modelci("plan", "--mermaid").out
    assert mermaid.startswith("flowchart LR\n")
    assert not mermaid.endswith("\n\n")

    run = laptop.modelci("run")
    assert "✓ Pipeline ran: 2 ran, 1 unchanged" in run.out
    assert laptop.modelci("plan").out.startswith("3 stages: 3 unchanged\n")
    laptop.put({"params.yaml": "quality: 0.80\nnoise: 0.100\n"})
    assert "restored" in laptop.modelci("run").out


def test_a_failing_stage_leaves_the_others_results(site: World) -> None:
    laptop = site.laptop
    laptop.put({**BROKEN, **BETTER})

    done = laptop.modelci("run", code=5)

    assert "no such column" in done.out
    assert "Error: Failed: evaluate." in done.err
    assert laptop.read("model.txt") == "0.85\n"
    (failed,) = [one for one in laptop.document("run")["stages"] if one["status"] == "failed"]
    assert (failed["name"], failed["exit_code"]) == ("evaluate", 3)


def test_a_branch_is_compared_with_the_merge_base_and_gated(site: World) -> None:
    laptop = site.laptop
    laptop.git("switch", "--quiet", "--create", "worse")
    laptop.put(WORSE)
    laptop.modelci("run")
    laptop.commit()

    done = laptop.modelci("report")

    assert done.out.startswith("✗ Blocked: 1 of 3 gates failed (roc_auc")
    assert "(merge base with main)" in " ".join(done.out.split())
    gate = laptop.modelci("gate", code=1)
    assert gate.out.startswith("✗ Blocked")
    assert "worse by 0.05" in gate.out


def test_ci_on_a_laptop_runs_and_judges_and_writes_nothing_elsewhere(site: World) -> None:
    refs = site.bare("show-ref")
    site.laptop.put(WORSE)
    done = site.laptop.modelci("ci", code=1)
    assert done.out.startswith("✗ Blocked")
    assert "::" not in done.err
    assert site.bare("show-ref") == refs


def test_main_is_compared_with_its_last_commit_when_dirty_else_with_the_one_before(
    site: World,
) -> None:
    laptop = site.laptop
    first = laptop.git("rev-parse", "HEAD")
    second = site.push({"README.md": "1\n"})
    laptop.modelci("report")
    assert laptop.document("report")["base"]["sha"] == first
    laptop.put({"README.md": "2\n"})
    laptop.modelci("report")
    assert laptop.document("report")["base"]["sha"] == second


def test_any_two_revisions_are_compared_without_a_checkout(site: World) -> None:
    laptop = site.laptop
    laptop.put(BETTER)
    laptop.modelci("run")
    better = laptop.commit()
    laptop.put({**WORSE, "metrics.json": "not JSON at all"})

    done = laptop.modelci("report", "HEAD^", "HEAD")

    assert "✓ Passed: all 3 gates hold; 1 of 2 metrics changed." in done.out
    assert laptop.document("report")["head"] == {
        "sha": better, "name": "HEAD", "chosen": "given", "dirty": False, "tag": None,
        "merged": False,
    }  # fmt: skip
    assert laptop.read("metrics.json") == "not JSON at all"


def test_all_formats_at_once(site: World) -> None:
    site.laptop.put(WORSE)
    formats = [word for name in ("terminal", "md", "json", "html") for word in ("--format", name)]

    done = site.laptop.modelci("report", *formats, "--out", "build")

    assert done.out == ""
    assert done.err.count("Wrote build/report.") == 4
    build = site.laptop.folder / "build"
    assert sorted(path.suffix for path in build.iterdir()) == [".html", ".json", ".md", ".txt"]
    assert json.loads((build / "report.json").read_bytes())["schema"] == "modelci.report/1"
    assert (build / "report.json").read_bytes() == (
        site.laptop.folder / ".modelci" / "report.json"
    ).read_bytes()
    page = HTMLParser()
    page.feed((build / "report.html").read_text(encoding="utf-8"))
    assert page.rawdata == ""


@pytest.mark.parametrize(
    ("file", "begin"),
    [
        ("o.html", "<!doctype html>"),
        ("o.md", "<!-- modelci"),
        ("o.json", "{"),
        ("o.xml", "<?xml"),
        ("o.txt", "i No base"),
    ],
)
def test_the_ending_of_a_file_says_its_format(site: World, file: str, begin: str) -> None:
    site.laptop.modelci("report", "--out", file)
    written = site.laptop.read(file)
    assert written.lstrip().startswith(begin), written[:80]
    site.laptop.modelci("report", "--format", "json", "--out", file)
    assert site.laptop.read(file).startswith("{")


def test_several_formats_need_a_folder(site: World) -> None:
    done = site.laptop.modelci("report", "--format", "md", "--format", "html", code=2)
    assert "Several formats need --out DIR." in done.err


@pytest.mark.parametrize("command", ["plan", "promote", "registry", "run"])
def test_every_command_prints_its_document(site: World, command: str) -> None:
    site.laptop.modelci("report")
    document = json.loads(site.laptop.modelci(command, "--json").out)
    schema = {"promote": "promotion"}.get(command, command)
    assert document["schema"] == f"modelci.{schema}/1"


@pytest.mark.parametrize("dirty", [True, False])
def test_a_gate_refuses_the_report_of_a_model_before_this_one(site: World, dirty: bool) -> None:
    laptop = site.laptop
    if dirty:
        laptop.put(BETTER)
        laptop.modelci("run")
    laptop.modelci("report")
    laptop.modelci("gate")
    laptop.put(WORSE)
    laptop.modelci("-q", "run")

    done = laptop.modelci("gate", code=3)

    assert not done.out
    assert "are others now" in done.err
    assert "Run `modelci report`" in hint_of(done)
    laptop.modelci("gate", "--report", ".modelci/report.json")
    laptop.modelci("report")
    laptop.modelci("gate", code=1)
    laptop.commit()
    assert "checked out is" in laptop.modelci("gate", code=3).err


def test_a_gate_takes_the_report_of_what_is_here_wherever_it_is_written_to(site: World) -> None:
    laptop = site.laptop
    laptop.put({**BETTER, "modelci.yaml": "gates: [{metric: roc_auc, min: 0.1}]\n"})
    laptop.modelci("run")
    laptop.commit()
    laptop.modelci("report", "--format", "html", "--out", "build/page.html")
    laptop.put({"README.md": "An edit that no number depends on.\n"})
    laptop.modelci("gate")
    laptop.modelci("report", "main", "HEAD")
    laptop.modelci("gate")

    laptop.put({"modelci.yaml": "gates: [{metric: roc_auc, min: 0.99}]\n"})
    laptop.modelci("gate", code=3)
