"""History and names of versions, over a real Git repository and DVC's own files."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from modelci.cli import main

PIPELINE = """\
stages:
  evaluate:
    cmd: python evaluate.py
    metrics:
      - metrics.json:
          cache: false
"""
CACHED = PIPELINE.replace("          cache: false\n", "").replace("metrics.json:", "metrics.json")

Run = Callable[..., Result]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main", ".")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("")
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    for place, value in enumerate((0.7, 0.72, None, 0.71, 0.75)):
        path = tmp_path / "metrics.json"
        path.write_text(json.dumps({"hgb": {"roc_auc": value, "f1": 0.1 * place}}))
        if value is None:
            path.write_text("{")
        commit(tmp_path, f"Step {place}")
    git(tmp_path, "tag", "-a", "credit@v1.0.0", "-m", "Register credit v1.0.0", "HEAD~4")
    git(tmp_path, "tag", "-a", "credit@v1.1.0", "-m", "Register credit v1.1.0", "HEAD~1")
    git(tmp_path, "tag", "-a", "credit#prod#1", "-m", "Assign", "HEAD~4")
    return tmp_path


@pytest.fixture
def run(repository: Path) -> Run:
    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["-C", str(repository), *arguments])

    return invoke


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def commit(folder: Path, subject: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", subject)


def values(result: Result) -> list[float | None]:
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["schema"] == "modelci.history/1"
    (one,) = document["metrics"]
    return [point["value"] for point in one["points"]]


def test_a_metric_over_the_commits_of_a_branch(run: Run) -> None:
    assert values(run("history", "roc_auc", "--json")) == [0.7, 0.72, None, 0.71, 0.75]
    assert values(run("history", "hgb.roc_auc", "--last", "2", "--json")) == [0.71, 0.75]
    assert values(run("history", "roc_auc", "--branch", "main~3", "--json")) == [0.7, 0.72]
    text = run("history", "roc_auc").stdout
    assert "metrics.json:hgb.roc_auc  ▁▄·▂█  best 0.7500" in text
    assert "was left out" not in text  # a broken metrics file is a gap, the rest is there


def test_a_metric_over_versions(run: Run) -> None:
    assert values(run("history", "roc_auc", "--versions", "credit", "--json")) == [0.7, 0.71]
    text = run("history", "roc_auc", "--versions").stdout
    assert text.startswith("The last 2 versions of credit:")
    assert "v1.1.0" in text


def test_a_revision_that_dvc_cannot_read_is_a_gap_and_a_note(run: Run, repository: Path) -> None:
    (repository / "dvc.yaml").write_text("stages: [")
    commit(repository, "Break it")
    (repository / "dvc.yaml").write_text(PIPELINE)
    commit(repository, "Mend it")
    result = run("history", "roc_auc", "--last", "3", "--json")
    assert values(result) == [0.75, None, 0.75]
    (note,) = json.loads(result.stdout)["notes"]
    assert "was left out: dvc.yaml:2:1 cannot be read" in note


def test_metrics_in_dvcs_cache_are_read_from_there(run: Run, repository: Path) -> None:
    (repository / "dvc.yaml").write_text(CACHED)
    (repository / ".gitignore").write_text("/metrics.json\n.dvc/cache\n")
    git(repository, "rm", "--quiet", "--cached", "metrics.json")
    (repository / "metrics.json").unlink()
    for value in (0.8, 0.9):
        text = json.dumps({"hgb": {"roc_auc": value}})
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        kept = repository / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(text)
        lock = (
            "schema: '2.0'\nstages:\n  evaluate:\n    cmd: python evaluate.py\n    outs:\n"
            "    - path: metrics.json\n      hash: md5\n"
            f"      md5: {digest}\n      size: {len(text)}\n"
        )
        (repository / "dvc.lock").write_text(lock)
        commit(repository, "Cached")
    assert values(run("history", "roc_auc", "--last", "3", "--json")) == [0.75, 0.8, 0.9]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("roc_acu",), 2, "There are, say, hgb.roc_auc"),
        (("roc_auc", "--versions", "other"), 2, "No tag of this clone speaks of an artifact"),
        (("roc_auc", "--versions", "credit", "--branch", "main"), 2, "exclude each other"),
        (("roc_auc", "--branch", "nowhere"), 2, "no revision 'nowhere'"),
        (("roc_auc", "--last", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_is_not_there_is_an_error(
    run: Run, arguments: tuple[str, ...], code: int, message: str
) -> None:
    result = run("history", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.output


def test_a_history_is_drawn(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    picture = tmp_path / "drawn" / "auc.svg"
    assert run("history", "*", "--plot", str(picture)).exit_code == 0
    text = picture.read_text()
    assert text.startswith("<svg")
    assert "hgb.f1" in text


@pytest.mark.parametrize(
    ("names", "base", "head"),
    [
        (("credit@v1.0.0..credit@v1.1.0",), 0.7, 0.71),
        (("credit#prod", "credit@latest"), 0.7, 0.71),
        (("credit#prod..HEAD",), 0.7, 0.75),
        (("HEAD~1...HEAD",), 0.71, 0.75),
    ],
)
def test_versions_and_ranges_are_compared(
    run: Run, names: tuple[str, ...], base: float, head: float
) -> None:
    result = run("report", *names, "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    (auc,) = [one for one in document["metrics"] if one["key"]["name"] == "hgb.roc_auc"]
    assert (auc["base"], auc["head"]) == (base, head)


def test_a_report_looks_back_and_writes_junit(run: Run, repository: Path) -> None:
    document = json.loads(run("report", "HEAD~1..HEAD", "--json").stdout)
    histories = {one["key"]["name"]: one["points"] for one in document["history"]}
    assert [point["value"] for point in histories["hgb.roc_auc"]] == [0.7, 0.72, None, 0.71]
    (repository / "modelci.yaml").write_text("gates: [{metric: roc_auc, min: 0.9}]\n")
    commit(repository, "Gate it")
    text = run("report", "HEAD..HEAD", "--format", "junit").stdout
    assert '<failure type="failed" message="failed: 0.75 must be ≥ 0.9">' in text


def test_templates_of_the_project_are_used(run: Run, repository: Path) -> None:
    (repository / "modelci.yaml").write_text("report: {templates: ours}\n")
    assert run("report", "HEAD~1..HEAD", "--format", "md").exit_code == 3
    (repository / "ours").mkdir()
    template = repository / "ours/comment.md.j2"
    template.write_text("{{ report.metrics|length }} metrics\n")
    assert run("report", "HEAD~1..HEAD", "--format", "md").stdout.endswith("-->\n2 metrics\n")
    template.write_text("\n{{ nothing }}\n")
    result = run("report", "HEAD~1..HEAD", "--format", "md")
    assert result.exit_code == 3
    assert "ours/comment.md.j2:2 cannot be rendered: 'nothing' is undefined" in result.output
