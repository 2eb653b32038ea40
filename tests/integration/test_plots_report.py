"""`modelci report` holds the plots of both revisions, unless the configuration wants none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.dvcproject import Project

PNG = b"\x89PNG\r\n\x1a\n"
STAGE = "stages:\n  draw:\n    cmd: 'true'\n    plots: [p: {cache: false}]\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project.create(tmp_path / "repo")
    found.put("dvc.yaml", f"{STAGE}plots: [Loss: {{x: step, y: {{p/loss.csv: loss}}}}]\n")
    for number in range(2):
        found.put("p/loss.csv", f"step,loss\n0,1\n1,0.{5 - number}\n")
        (found.root / "p/curve.png").write_bytes(PNG + bytes([number]))
        (found.root / "p/fake.png").write_text("<html>")
        found.commit()
    return found


def report(project: Project, *options: str) -> str:
    command = [sys.executable, "-m", "modelci", "report", "HEAD~1", "HEAD", *options]
    done = subprocess.run(command, cwd=project.root, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_report_holds_plots_and_pictures(project: Project) -> None:
    found: dict[str, Any] = json.loads(report(project, "--json"))
    (plot,) = found["plots"]
    assert (plot["id"], plot["x"], plot["y"], plot["template"]) == (
        "Loss",
        "step",
        "loss",
        "linear",
    )
    assert plot["rows"] == [
        {"step": 0, "loss": 1, "rev": "base"},
        {"step": 1, "loss": 0.5, "rev": "base"},
        {"step": 0, "loss": 1, "rev": "head"},
        {"step": 1, "loss": 0.4, "rev": "head"},
    ]
    (picture,) = found["pictures"]
    assert picture["path"] == "p/curve.png"
    assert picture["base"] != picture["head"]
    assert any("p/fake.png was left out" in note for note in found["notes"])


def test_a_page_holds_the_plots(project: Project) -> None:
    pytest.importorskip("vl_convert")
    page = report(project, "--format", "html")
    assert "modelciPlot" in page
    assert '"loss": 0.4' in page or '"loss":0.4' in page


def test_a_configuration_may_want_none(project: Project) -> None:
    project.put("modelci.yaml", "report: {plots: false}\n")
    found = json.loads(report(project, "--json"))
    assert (found["plots"], found["pictures"]) == ([], [])
    assert not [note for note in found["notes"] if "p/fake.png" in note]
