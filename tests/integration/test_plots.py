"""Plots are read as `dvc plots diff` reads them: the same ids, columns, labels and points."""

import contextlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.render.match import match_defs_renderers
from dvc.repo import Repo
from tests.integration.dvcproject import Project, git

from modelci.adapters.dvc.plots import MAX_IMAGE, MOST_CELLS, MOST_PLOTS, DvcPlotsReader
from modelci.adapters.git import GitRepository
from modelci.domain.plots import COUNT, Gallery, PictureKind, Plot
from modelci.ports import FileTree

PNG = b"\x89PNG\r\n\x1a\n"
ROOT = Path(__file__).parents[2]
# What is in one and not in the other of our plots and DVC's, by id: labels, title, points by side.
Points = list[tuple[Any, ...]]
Shown = dict[str, tuple[Any, ...]]


def read(root: Path, base: str | None = "HEAD", head: str | None = None, **more: Any) -> Gallery:
    repository = GitRepository(root)

    def tree(name: str | None) -> FileTree:
        return repository.tree(repository.resolve(name).sha) if name else repository.work_tree()

    reader = DvcPlotsReader(root, config_folders=(), fetch=more.pop("fetch", None))
    return reader.read(tree(base) if base else None, tree(head), **more)


def plain(value: Any) -> Any:
    """Return a CSV's text as the number that it is."""
    with contextlib.suppress(TypeError, ValueError):
        return float(value)
    return value


def ours(gallery: Gallery) -> Shown:
    return {plot.id: (*_words(plot), *_points(plot)) for plot in gallery.plots}


def _words(plot: Plot) -> tuple[str, ...]:
    return plot.template, plot.title, plot.x, plot.y, plot.x_label, plot.y_label


def _points(plot: Plot) -> tuple[Points, ...]:
    return tuple(
        [
            (plain(row[plot.x]), plain(row[plot.y]), row.get("series"))
            for row in plot.rows
            if row["rev"] == side
            for _ in range(int(str(row.get(COUNT, 1))))
        ]
        for side in ("base", "head")
    )


def theirs(root: Path, revisions: tuple[str, str]) -> Shown:
    with contextlib.chdir(root), Repo() as repo:
        found = match_defs_renderers(repo.plots.diff(revs=list(revisions)))
        return {
            one.renderer.name: _dvc_shown(one.renderer, revisions)
            for one in found
            if one.renderer.TYPE == "vega" and one.renderer.datapoints
        }


def _dvc_shown(
    renderer: Any,
    revisions: tuple[str, str],
) -> tuple[Any, ...]:
    properties = renderer.properties
    ys = properties["anchors_y_definitions"]
    varied = [key for key in ("filename", "field") if len({one[key] for one in ys}) > 1]
    x, y = properties["x"], properties["y"]
    points = (
        [
            (plain(row[x]), plain(row[y]), "::".join(row[key] for key in varied) or None)
            for row in renderer.datapoints
            if row["rev"] == revision
        ]
        for revision in revisions
    )
    names = (properties.get("template", "linear"), properties["title"], x, y)
    return (*names, properties["x_label"], properties["y_label"], *points)


def csv(shift: float = 0.0) -> str:
    lines = [f"{step / 10},{step / 7 + shift},{1 / (step + 1) - shift}" for step in range(12)]
    return "\n".join(["epoch,acc,loss", *lines, ""])


def rows(shift: float = 0.0) -> list[dict[str, float]]:
    return [{"epoch": step, "acc": step / 7 + shift, "loss": 1 / (step + 1)} for step in range(9)]


Files = Mapping[str, tuple[str, str]]
TWO: Files = {"a.csv": (csv(), csv(1)), "b.csv": (csv(2), csv(3))}

FORMS: dict[str, tuple[str, Files]] = {
    "an output": ("plots: [a.csv: {cache: false}]", TWO),
    "an output with properties": (
        "plots: [a.csv: {cache: false, x: epoch, y: acc, x_label: E, y_label: A, title: T}]",
        TWO,
    ),
    "an output without header": (
        "plots: [a.csv: {cache: false, header: false, y: '1'}]",
        {"a.csv": ("1,2\n3,4\n", "1,5\n3,9\n")},
    ),
    "tabs": (
        "plots: [a.tsv: {cache: false}]",
        {"a.tsv": (csv().replace(",", "\t"), csv(1).replace(",", "\t"))},
    ),
    "a JSON list": (
        "plots: [a.json: {cache: false}]",
        {"a.json": (json.dumps(rows()), json.dumps(rows(1)))},
    ),
    "lists inside of JSON": (
        "plots: [a.json: {cache: false, y: acc}]",
        {"a.json": tuple(json.dumps({"name": 1, "in": {"x": rows(n)}}) for n in (0, 1))},  # type: ignore[dict-item]
    ),
    "two lists side by side": (
        "plots: [a.json: {cache: false, x: n, y: loss}]",
        {
            "a.json": tuple(  # type: ignore[dict-item]
                json.dumps({"one": rows(n), "two": [{"n": 3 * step} for step in range(9)]})
                for n in (0, 1)
            )
        },
    ),
    "YAML": (
        "plots: [a.yaml: {cache: false}]",
        {"a.yaml": ("train:\n- {e: 1, f: 2.5}\n- {e: 2, f: 1e-3}\n", "train:\n- {e: 1, f: 3}\n")},
    ),
    "a confusion matrix": (
        "plots: [a.csv: {cache: false, x: actual, y: predicted, template: confusion}]",
        {"a.csv": ("actual,predicted\n" + "0,1\n" * 3 + "1,1\n", "actual,predicted\n1,1\n0,1\n")},
    ),
}
TOP_LEVEL: dict[str, str] = {
    "a path": "[a.csv]",
    "a path with columns": "[a.csv: {x: epoch, y: acc}]",
    "a path with several columns": "[a.csv: {x: epoch, y: [acc, loss], y_label: both}]",
    "an id": "[Loss: {y: {a.csv: loss}}]",
    "an id with x": "[Loss: {x: epoch, y: {a.csv: loss}, title: The loss, template: simple}]",
    "an id with several columns": "[Both: {x: epoch, y: {a.csv: [acc, loss]}}]",
    "several files": "[Both: {x: epoch, y: {a.csv: loss, b.csv: loss}}]",
    "several files and columns": "[All: {y: {a.csv: [acc, loss], b.csv: [acc, loss]}}]",
    "x of another file": "[Over: {x: {b.csv: epoch}, y: {a.csv: loss}}]",
    "x of each file": "[Over: {x: {a.csv: epoch, b.csv: acc}, y: {a.csv: loss, b.csv: loss}}]",
    "a template's variables": "['${name}': {x: '${x}', y: {'${name}.csv': loss}}]",
    "a folder": "[many: {x: epoch}]",
    "a folder and a file in it": "[many: {x: epoch}, many/c.csv: {y: acc}]",
}


def build(tmp_path: Path, files: Files, *, yaml: str, folder: str = "") -> Project:
    """Commit the base's files and leave the head's in the work tree."""
    project = Project.create(tmp_path / "repo")
    for place, name in enumerate(("base", "head")):
        for path, sides in files.items():
            project.put(f"{folder}{path}", sides[place])
        project.put(f"{folder}dvc.yaml", yaml)
        if name == "base":
            project.commit()
    return project


@pytest.mark.parametrize("form", FORMS)
def test_outputs_are_drawn_as_by_dvc(tmp_path: Path, form: str) -> None:
    section, files = FORMS[form]
    project = build(tmp_path, files, yaml=f"stages:\n  draw:\n    cmd: 'true'\n    {section}\n")
    gallery = read(project.root)
    assert gallery.notes == ()
    assert ours(gallery) == _sorted(theirs(project.root, ("HEAD", "workspace")), gallery)
    assert gallery.plots


@pytest.mark.parametrize("form", TOP_LEVEL)
@pytest.mark.parametrize("folder", ["", "sub/deep/"])
def test_definitions_are_drawn_as_by_dvc(tmp_path: Path, form: str, folder: str) -> None:
    files = {**TWO, "many/c.csv": (csv(), csv(4)), "many/in/d.json": ("[]", json.dumps(rows()))}
    yaml = f"vars: [{{name: a, x: epoch}}]\nplots: {TOP_LEVEL[form]}\n"
    project = build(tmp_path, files, yaml=yaml, folder=folder)
    gallery = read(project.root)
    assert ours(gallery) == theirs(project.root, ("HEAD", "workspace"))
    assert gallery.plots


def _sorted(shown: Shown, gallery: Gallery) -> Shown:
    """Return DVC's points in order where we count the rows of a confusion matrix."""
    for plot in gallery.plots:
        if plot.template.startswith("confusion"):
            *words, base, head = shown[plot.id]
            shown[plot.id] = (*words, sorted(base), sorted(head))
    return shown


def test_two_commits_and_one_alone(tmp_path: Path) -> None:
    project = build(tmp_path, TWO, yaml="plots: [a.csv, b.csv: {y: acc}]\n")
    project.commit()
    gallery = read(project.root, "HEAD~1", "HEAD")
    assert ours(gallery) == theirs(project.root, ("HEAD~1", "HEAD"))
    alone = read(project.root, None, "HEAD")
    assert {row["rev"] for plot in alone.plots for row in plot.rows} == {"head"}
    assert [plot.id for plot in alone.plots] == ["a.csv", "b.csv"]


def test_one_name_in_two_files_is_told_apart(tmp_path: Path) -> None:
    project = build(tmp_path, TWO, yaml="plots: [Loss: {y: {a.csv: loss}}]\n")
    project.put("sub/dvc.yaml", "plots: [Loss: {y: {../b.csv: loss}}]\n")
    project.commit()
    gallery = read(project.root, "HEAD", "HEAD")
    assert [plot.id for plot in gallery.plots] == ["dvc.yaml::Loss", "sub/dvc.yaml::Loss"]
    assert {plot.id for plot in gallery.plots} == set(theirs(project.root, ("HEAD", "HEAD")))


def test_the_head_says_how_both_are_drawn(tmp_path: Path) -> None:
    project = build(tmp_path, TWO, yaml="plots: [a.csv: {y: acc, title: Old}]\n")
    project.commit()
    project.put("dvc.yaml", "plots: [a.csv: {y: loss, title: New, template: scatter}]\n")
    (plot,) = read(project.root).plots
    assert (plot.title, plot.y, plot.template) == ("New", "loss", "scatter")
    assert ours(read(project.root)) == theirs(project.root, ("HEAD", "workspace"))


def test_plots_in_the_cache_are_read_by_hash(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put("make.py", "import sys, pathlib\npathlib.Path('out').mkdir(exist_ok=True)\n")
    project.put(
        "dvc.yaml",
        "stages:\n  draw:\n    cmd: mkdir -p out && cp in.csv out/a.csv && cp in.csv b.csv"
        " && cp in.png out/p.png\n    deps: [in.csv]\n"
        "    plots: [out, b.csv: {x: epoch, y: acc}]\n",
    )
    (project.root / "in.png").write_bytes(PNG + b"1")
    for shift in (0, 1):
        project.put("in.csv", csv(shift))
        assert project.repro()
        project.commit()
    shown = theirs(project.root, ("HEAD~1", "HEAD"))
    project.remove("out", "b.csv")
    gallery = read(project.root, "HEAD~1", "HEAD")
    assert gallery.notes == ()
    assert ours(gallery) == shown
    assert set(shown) == {"out/a.csv", "b.csv"}
    (picture,) = gallery.pictures
    assert (picture.path, picture.base, picture.head) == ("out/p.png", PNG + b"1", PNG + b"1")


def test_what_the_cache_lacks_is_told_or_pulled(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.add_remote(tmp_path / "store")
    command = "mkdir -p out && cp in.csv out/a.csv && cp in.csv b.csv"
    project.put(
        "dvc.yaml",
        f"stages:\n  draw:\n    cmd: {command}\n    deps: [in.csv]\n    plots: [out, b.csv]\n",
    )
    project.put("in.csv", csv())
    assert project.repro()
    project.commit()
    assert project.push()
    whole = read(project.root, None, "HEAD")
    project.remove(".dvc/cache", "out", "b.csv")
    lacking = read(project.root, None, "HEAD")
    assert lacking.plots == ()
    assert any("b.csv is not in the local DVC cache" in note for note in lacking.notes)
    assert any("dvc fetch out" in note for note in lacking.notes)
    pulled = read(project.root, None, "HEAD", pull=True, fetch=project.pipeline.fetch)
    assert pulled == whole
    assert [plot.id for plot in pulled.plots] == ["out/a.csv", "b.csv"]


def test_a_named_column_needs_no_guess_beside_it(tmp_path: Path) -> None:
    project = build(
        tmp_path,
        {"out/a.csv": (csv(), csv(1)), "out/b.csv": (csv(), csv(1))},
        yaml="stages:\n  draw:\n    cmd: 'true'\n    plots: [out: {cache: false}]\n"
        "plots: [Loss: {x: epoch, y: {out/a.csv: loss}}]\n",
    )
    found, dvc = ours(read(project.root)), theirs(project.root, ("HEAD", "workspace"))
    assert set(dvc) - set(found) == {"out/a.csv"}
    assert found == {name: shown for name, shown in dvc.items() if name in found}


def test_templates_of_the_projects_own(tmp_path: Path) -> None:
    project = build(
        tmp_path,
        TWO,
        yaml="plots: [a.csv: {y: acc, template: mine}, b.csv: {y: acc, template: t/other.json}]\n",
    )
    project.put(".dvc/plots/mine.json", '{"mine": 1}')
    project.put("t/other.json", '{"other": 1}')
    project.commit()
    one, other = read(project.root, "HEAD~1", "HEAD").plots
    assert (one.spec, other.spec) == ('{"mine": 1}', '{"other": 1}')
    assert set(one.rows[0]) == {"step", "epoch", "acc", "loss", "rev"}
    assert "series" not in one.rows[0]


@pytest.mark.parametrize("name", ["../../secret.json", "/etc/passwd", "x/../../y", "nonsense"])
def test_a_template_elsewhere_is_not_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text("{}")
    project = build(tmp_path, TWO, yaml=f"plots: [a.csv: {{template: {name}}}]\n")
    gallery = read(project.root)
    assert [(plot.spec, plot.template) for plot in gallery.plots] == [(None, "linear")]
    assert any("no template" in note for note in gallery.notes)


def test_images_are_paired_and_must_be_images(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    images = {
        "p/same.png": PNG,
        "p/html.png": b"<html><script>1</script></html>",
        "p/big.png": PNG + bytes(MAX_IMAGE),
        "p/named.png": b"GIF89a",
        "p/drawn.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "p/photo.JPEG": b"\xff\xd8\xff\xe0",
        "p/new.webp": b"RIFF\x00\x00\x00\x00WEBP",
    }
    (project.root / "p").mkdir()
    project.put("dvc.yaml", "plots: [p]\n")
    for path, data in images.items():
        if "new" not in path:
            (project.root / path).write_bytes(data)
    project.commit()
    (project.root / "p/new.webp").write_bytes(images["p/new.webp"])
    gallery = read(project.root)
    assert gallery.plots == ()
    assert {
        picture.path: (picture.kind, picture.base == picture.head) for picture in gallery.pictures
    } == {
        "p/drawn.svg": (PictureKind.SVG, True),
        "p/named.png": (PictureKind.GIF, True),
        "p/new.webp": (PictureKind.WEBP, False),
        "p/photo.JPEG": (PictureKind.JPEG, True),
        "p/same.png": (PictureKind.PNG, True),
    }
    assert "Plots, head: p/html.png was left out: it is no PNG, JPEG, GIF, WebP or SVG image" in (
        gallery.notes
    )
    assert any("p/big.png was left out: it is larger than 2 MB" in note for note in gallery.notes)


def test_images_have_a_bound_together(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put("dvc.yaml", "plots: [p]\n")
    (project.root / "p").mkdir()
    for number in range(14):
        image = PNG + bytes([number]) * (MAX_IMAGE - 100)
        (project.root / f"p/{number:02}.png").write_bytes(image)
    gallery = read(project.root, None, None)
    assert len(gallery.pictures) == 10
    assert gallery.notes == tuple(
        f"p/{number}.png was left out: all images are more than 20 MB" for number in range(10, 14)
    )


def test_long_files_are_cut_and_counted(tmp_path: Path) -> None:
    text = "x,y\n" + "".join(f"{row},{row % 3}\n" for row in range(5_001))
    counted = "plots: [a.csv: {x: x, y: y}, b.csv: {x: y, y: y, template: confusion}]\n"
    project = build(tmp_path, {"a.csv": (text, text), "b.csv": (text, text)}, yaml=counted)
    line, confusion = read(project.root).plots
    assert (len(line.rows), line.cut) == (2_000, 8_002)
    assert [row["x"] for row in (line.rows[0], line.rows[999])] == [0, 5_000]
    assert confusion.cut == 0
    assert [row[COUNT] for row in confusion.rows if row["rev"] == "base"] == [1667, 1667, 1667]


def test_only_so_many_plots_are_read(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put("dvc.yaml", "plots: [p]\n")
    for number in range(MOST_PLOTS + 7):
        project.put(f"p/{number:03}.csv", csv())
    gallery = read(project.root, None, None)
    assert len(gallery.plots) == MOST_PLOTS
    assert gallery.notes == (f"7 plots were left out: at most {MOST_PLOTS} are shown",)


def test_plots_have_a_bound_together(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    columns = [f"c{number}" for number in range(20)]
    body = "".join(f"{row}{',1' * 19}\n" for row in range(1_000))
    ids = "".join(f"- P{n}: {{y: {{a.csv: [{', '.join(columns)}]}}}}\n" for n in range(20))
    project.put("dvc.yaml", f"plots:\n{ids}")
    project.put("a.csv", f"{','.join(columns)}\n{body}")
    gallery = read(project.root, None, None)
    assert sum(len(row) for plot in gallery.plots for row in plot.rows) <= MOST_CELLS
    assert [plot.cut for plot in gallery.plots] == [10_000] * 12
    assert gallery.notes[0] == "P12 was left out: all plots hold too many points"
    assert len(gallery.notes) == 8


BROKEN = {
    "empty.csv": ("", "holds no rows"),
    "broken.json": ("{", "cannot be read"),
    "text.json": ('"x"', "holds no rows"),
    "latin.csv": ("a,b\n\udce9,1\n", "not UTF-8"),
    "ragged.csv": ("a,b\n1,2,3\n", "rows longer than its header"),
    "page.html": ("<html>", "neither JSON, YAML"),
    "bomb.yaml": (
        "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
        + "".join(
            f"{new}: &{new} {{{', '.join(f'k{n}: *{old}' for n in range(10))}}}\n"
            for old, new in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "expands to more than",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_leaves_the_others_alone(tmp_path: Path, name: str) -> None:
    content, why = BROKEN[name]
    project = Project.create(tmp_path / "repo")
    project.put("dvc.yaml", f"plots: [{name}, good.csv]\n")
    project.put("good.csv", csv())
    (project.root / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    gallery = read(project.root, None, None)
    assert [plot.id for plot in gallery.plots] == ["good.csv"]
    (note,) = gallery.notes
    assert note.startswith(f"Plots, head: {name} was left out: ")
    assert why in note


@pytest.mark.parametrize(
    ("definition", "why"),
    [
        ("[Lost: {y: {a.csv: lost}}]", "a.csv has no column 'lost' (it has epoch, acc, loss)"),
        ("[Lost: {x: lost, y: {a.csv: loss}}]", "a.csv has no column 'lost'"),
        ("[Odd: {x: {short.csv: x}, y: {a.csv: loss}}]", "short.csv and a.csv differ in length"),
        ("[Odd: {x: {a.csv: [acc, loss]}, y: {a.csv: [acc, loss, epoch]}}]", "2 columns for x"),
        ("[missing.csv]", "missing.csv does not exist"),
        ("[../out.csv]", "../out.csv (`plots` of dvc.yaml) lies outside of the repository"),
        ("[Out: {y: {../out.csv: x, a.csv: loss}}]", "../out.csv (`plots`) lies outside"),
        ("[.git/config]", "lies outside of the repository"),
    ],
)
def test_a_definition_that_cannot_be_drawn_is_told(
    tmp_path: Path, definition: str, why: str
) -> None:
    project = build(tmp_path, TWO, yaml=f"plots: {definition}\n")
    project.put("short.csv", "x\n1\n")
    (tmp_path / "out.csv").write_text("x\n1\n")
    gallery = read(project.root, None, None)
    assert [note for note in gallery.notes if why in note]
    assert "Lost" not in [plot.id for plot in gallery.plots]


def test_values_are_ones_that_a_document_holds(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put("dvc.yaml", "plots: [a.json: {y: v}, b.csv: {y: v}]\n")
    nested = '[{"v": NaN}, {"v": {"a": [1]}}, {"v": true}, {"v": null}, {"v": 1e400}]'
    project.put("a.json", nested)
    project.put("b.csv", "v\n007\n1e3\n-.5\nnan\n1_0\n" + "x" * 900 + "\n")
    one, other = read(project.root, None, None).plots
    assert [row["v"] for row in one.rows] == [None, '{"a":[1]}', True, None, None]
    assert [row["v"] for row in other.rows] == ["007", 1000.0, -0.5, None, "1_0", "x" * 200]


def test_this_repository_is_drawn_as_dvcs_own_command_draws_it(tmp_path: Path) -> None:
    """The points are those that ``dvc plots diff --json`` prints; what is only cached is noted."""
    copy = tmp_path / "copy"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
    scores = copy / "plots" / "credit" / "scores.csv"
    scores.write_text(scores.read_text().replace("0.7", "0.6"))
    gallery = read(copy)
    said = subprocess.run(
        ["dvc", "plots", "diff", "--json", "HEAD", "workspace"],
        cwd=copy,
        check=True,
        capture_output=True,
    ).stdout
    shown = json.loads(said)["data"]
    for plot in gallery.plots:
        rows = shown[plot.id][0]["content"]["data"]["values"]
        for place, revision in enumerate(("HEAD", "workspace")):
            counted = sorted(
                (plain(row[plot.x]), plain(row[plot.y])) for row in rows if row["rev"] == revision
            )
            assert sorted((x, y) for x, y, _ in _points(plot)[place]) == counted
    assert {plot.id for plot in gallery.plots} >= {"ROC", "Scores", "Confusion", "Calibration"}
    assert all("not in the local DVC cache" in note for note in gallery.notes)


@pytest.fixture(autouse=True)
def quiet_git() -> None:
    """Let DVC look at clones of this repository, whoever owns it."""
    git(ROOT, "config", "--global", "--add", "safe.directory", "*")
