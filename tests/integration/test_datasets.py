"""Datasets of revisions, in every format and wherever their bytes lie."""

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from tests.fakes.trees import CommitTree, FolderTree
from tests.integration.dvcproject import Project

from modelci.adapters.datasets import DatasetReader, read_file
from modelci.adapters.git import GitRepository
from modelci.domain.changes import TrackedFile
from modelci.errors import ForgeError
from modelci.ports import MissingDataError

if TYPE_CHECKING:
    from modelci.ports import Table, Tables

FRAME = pd.DataFrame(
    {
        "id": [3, 1, 2],
        "y_true": [0, 1, 1],
        "score": [0.1, 0.25, 1 / 3],
        "region": ["north", None, "süd"],
    }
)
PIPELINE = """\
stages:
  predict:
    cmd: cp given.csv in_git.csv; cp given.csv cached.csv; mkdir deep; cp given.csv deep/one.csv
    deps: [given.csv]
    outs:
      - in_git.csv: {cache: false}
      - cached.csv
      - deep
  never:
    cmd: touch never.csv
    outs: [never.csv]
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two commits whose scores differ, and a work tree whose scores differ from both."""
    project = Project.create(tmp_path_factory.mktemp("datasets") / "repo")
    project.put("dvc.yaml", PIPELINE)
    for times in (1, 2):
        FRAME.assign(score=FRAME["score"] / times).to_csv(project.root / "given.csv", index=False)
        (project.root / "added").mkdir(exist_ok=True)
        FRAME.assign(score=FRAME["score"] / times).to_parquet(project.root / "added/two.parquet")
        project.add("added")
        assert project.repro("predict")
        project.commit()
    for path in ("in_git.csv", "cached.csv", "deep/one.csv"):
        (project.root / path).unlink()
        FRAME.assign(score=FRAME["score"] / 3).to_csv(project.root / path, index=False)
    return project


@pytest.fixture
def project(ran: Project, tmp_path: Path) -> Project:
    return ran.copy(tmp_path / "repo")


def read(
    project: Project,
    path: str,
    revision: str = "HEAD",
    *,
    columns: Sequence[str] | None = None,
) -> "Table":
    return DatasetReader(project.root).read(
        CommitTree(project.root, revision), path, columns=columns
    )


def test_the_reader_keeps_the_port(project: Project) -> None:
    tables: Tables = DatasetReader(project.root)
    assert len(tables.read(CommitTree(project.root), "in_git.csv").frame) == 3


@pytest.mark.parametrize("path", ["in_git.csv", "cached.csv", "deep/one.csv", "added/two.parquet"])
def test_each_revision_has_its_own_rows(project: Project, path: str) -> None:
    for revision, times in (("HEAD~1", 1), ("HEAD", 2)):
        found = read(project, path, revision).frame
        pd.testing.assert_frame_equal(
            found, FRAME.assign(score=FRAME["score"] / times), check_dtype=False
        )


def test_the_hash_is_git_s_or_dvc_s(project: Project) -> None:
    data = (project.root / "given.csv").read_bytes()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert read(project, "in_git.csv").hash == CommitTree(project.root).blob_id("given.csv")
    assert read(project, "cached.csv").hash == md5
    assert read(project, "deep/one.csv").hash == md5
    assert read(project, "cached.csv", "HEAD~1").hash != md5


@pytest.mark.parametrize("path", ["in_git.csv", "cached.csv", "deep/one.csv"])
def test_the_work_tree_is_read_from_disk(project: Project, path: str) -> None:
    for tree in (FolderTree(project.root), GitRepository.discover(project.root).work_tree()):
        found = DatasetReader(project.root).read(tree, path)
        assert found.frame["score"].tolist() == pytest.approx((FRAME["score"] / 3).tolist())
    if path == "cached.csv":
        data = (project.root / path).read_bytes()
        assert found.hash == hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_only_wanted_columns_are_read_in_the_order_asked(project: Project) -> None:
    for path in ("cached.csv", "added/two.parquet"):
        found = read(project, path, columns=["score", "id", "score"]).frame
        assert list(found.columns) == ["score", "id"]
    with pytest.raises(MissingDataError, match="no column 'scor'") as caught:
        read(project, "added/two.parquet", columns=["scor"])
    assert caught.value.hint is not None
    assert "Did you mean 'score'? It has id, y_true, score, region." in caught.value.hint


def write(path: Path) -> None:
    name = path.name.removesuffix(".gz")
    records = json.loads(FRAME.to_json(orient="records"))
    texts = {
        ".csv": FRAME.to_csv(index=False),
        ".tsv": FRAME.to_csv(index=False, sep="\t"),
        ".json": json.dumps(records),
        ".jsonl": "".join(f"{json.dumps(record)}\n" for record in records) + "\n",
        ".ndjson": "\n".join(json.dumps(record) for record in records),
    }
    if Path(name).suffix in {".parquet", ".pq"}:
        FRAME.to_parquet(path)
        return
    data = texts[Path(name).suffix].encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize(
    "name",
    """x.csv x.csv.gz x.tsv x.tsv.gz x.json x.json.gz x.jsonl x.jsonl.gz x.ndjson x.parquet x.pq
    X.CSV""".split(),
)
def test_every_format_gives_the_same_table(tmp_path: Path, name: str) -> None:
    write(tmp_path / name.lower())
    if name != name.lower():
        (tmp_path / name.lower()).rename(tmp_path / name)
    found = read_file(tmp_path / name)
    pd.testing.assert_frame_equal(found, FRAME, check_dtype=False, rtol=1e-8)
    picked = read_file(tmp_path / name, columns=["region", "id"])
    pd.testing.assert_frame_equal(picked, FRAME[["region", "id"]], check_dtype=False)


def test_an_index_that_parquet_keeps_is_a_column(tmp_path: Path) -> None:
    FRAME.set_index("id").to_parquet(tmp_path / "x.parquet")
    assert read_file(tmp_path / "x.parquet", columns=["id"])["id"].tolist() == [3, 1, 2]


BROKEN = {
    "x.csv": b'id,score\n1,"2\n3,4\n',
    "wide.csv": b"id,score\n1,2,3\n4,5,6\n",
    "ragged.csv": b"id,score\n1,2\n4,5,6\n",
    "empty.csv": b"",
    "binary.csv": b"\xff\xfe\x00\x01,\n\xff\n",
    "x.csv.gz": b"id,score\n1,2\n",
    "cut.csv.gz": gzip.compress(b"id,score\n1,2\n" * 5000)[:-300],
    "x.parquet": b"PAR1nothingPAR1",
    "short.parquet": b"",
    "x.json": b'{"id": 1}',
    "numbers.json": b"[1, 2]",
    "deep.json": b"[" * 200_000,
    "cut.jsonl": b'{"id": 1}\n{"id":',
    "list.jsonl": b"[1]\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_an_error_with_its_name(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    with pytest.raises(MissingDataError, match=f"^{name} cannot be read: .+") as caught:
        read_file(tmp_path / name)
    assert len(str(caught.value)) < 300
    assert caught.value.hint


@pytest.mark.parametrize("name", ["x.pkl", "x.joblib", "x.npy", "x", "x.csv.zip", "x.parquet.gz"])
def test_what_is_no_dataset_is_not_opened(project: Project, name: str) -> None:
    with pytest.raises(MissingDataError, match="no dataset that modelci reads") as caught:
        read(project, name)
    assert caught.value.hint is not None
    assert ".csv, .tsv, .parquet" in caught.value.hint


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz", "x.jsonl.gz", "x.json", "x.parquet"])
def test_a_file_that_is_too_large_is_refused(project: Project, name: str) -> None:
    frame = pd.DataFrame({"x": [7.25] * 100_000})
    if name.endswith("parquet"):
        frame.assign(y=range(100_000)).to_parquet(project.root / name)
    elif "json" in name:
        frame.to_json(project.root / name, orient="records", lines="jsonl" in name)
    else:
        frame.to_csv(project.root / name)
    reader = DatasetReader(project.root, max_bytes=100_000)
    with pytest.raises(MissingDataError, match=f"^{name} is too large: it holds"):
        reader.read(FolderTree(project.root), name)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nothing.csv", "neither in Git nor recorded by DVC"),
        ("never.csv", "neither in Git nor recorded by DVC"),
        ("deep/nothing.csv", "deep has no such file"),
        ("../other.csv", "outside of the repository"),
        ("/etc/passwd.csv", "outside of the repository"),
        (".git/config.csv", "outside of the repository"),
    ],
)
def test_what_is_not_in_the_revision_is_said(project: Project, path: str, said: str) -> None:
    with pytest.raises(MissingDataError, match=said) as caught:
        read(project, path)
    assert caught.value.hint


def test_a_folder_is_no_dataset(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    project.put("parts.csv/one.csv", "id\n1\n")
    project.put("more.csv/one.csv", "id\n1\n")
    project.add("parts.csv")
    project.commit()
    for path in ("parts.csv", "more.csv"):
        with pytest.raises(MissingDataError, match=f"{path} is a folder") as caught:
            read(project, path)
        assert caught.value.hint == f"Name a file in it, such as {path}/test.parquet."
    assert read(project, "parts.csv/one.csv").frame["id"].tolist() == [1]


def cache_of(project: Project) -> Path:
    return project.root / ".dvc/cache/files/md5"


@pytest.mark.parametrize(
    ("path", "named"), [("cached.csv", "cached.csv"), ("added/two.parquet", "added")]
)
def test_what_the_cache_lacks_says_how_to_fetch_it(project: Project, path: str, named: str) -> None:
    shutil.rmtree(cache_of(project))
    with pytest.raises(MissingDataError, match=f"{path} is not in the local DVC cache") as caught:
        read(project, path)
    assert caught.value.hint == f"Run `dvc fetch {named}`, or pass --pull."


def test_a_damaged_object_is_not_believed(project: Project) -> None:
    digest = read(project, "cached.csv").hash
    assert digest is not None
    file = cache_of(project) / digest[:2] / digest[2:]
    file.chmod(0o644)
    file.write_text("id,y_true,score,region\n1,1,1,x\n")
    with pytest.raises(MissingDataError, match="not in the local DVC cache"):
        read(project, "cached.csv")


@pytest.mark.parametrize("path", ["cached.csv", "deep/one.csv", "added/two.parquet"])
def test_pull_fetches_from_the_remote(project: Project, tmp_path: Path, path: str) -> None:
    project.add_remote(tmp_path / "store")
    assert project.push()
    shutil.rmtree(cache_of(project))
    tree = CommitTree(project.root)
    reader = DatasetReader(project.root, fetch=project.pipeline.fetch)
    with pytest.raises(MissingDataError, match="not in the local DVC cache"):
        reader.read(tree, path)
    assert len(reader.read(tree, path, pull=True).frame) == 3
    assert len(reader.read(tree, path).frame) == 3


def test_a_remote_that_has_nothing_or_does_not_answer_is_said(project: Project) -> None:
    shutil.rmtree(cache_of(project))
    tree = CommitTree(project.root)
    asked: list[TrackedFile] = []
    empty = DatasetReader(project.root, fetch=asked.extend)
    with pytest.raises(MissingDataError, match="nor on the remote") as caught:
        empty.read(tree, "cached.csv", pull=True)
    assert [one.path for one in asked] == ["cached.csv"]
    assert caught.value.hint == "Push it from where it was made: `dvc push cached.csv`."

    def refuse(files: Sequence[TrackedFile]) -> None:
        raise ForgeError("no such bucket", hint="Log in.")

    with pytest.raises(MissingDataError, match="gave nothing: no such bucket") as refused:
        DatasetReader(project.root, fetch=refuse).read(tree, "cached.csv", pull=True)
    assert refused.value.hint == "Log in."


def test_parquet_without_pyarrow_names_the_extra(project: Project) -> None:
    program = (
        "import sys; from pathlib import Path; sys.modules['pyarrow'] = None\n"
        "from modelci.adapters.datasets import read_file\n"
        "from modelci.ports import MissingDataError\n"
        "try: read_file(Path('added/two.parquet'))\n"
        "except MissingDataError as error: print(error, error.hint)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == (
        "two.parquet is Parquet, which needs pyarrow. Run `pip install 'modelci[parquet]'`.\n"
    )


def test_pandas_is_imported_only_to_read(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from modelci.adapters.datasets import DatasetReader\n"
        "DatasetReader(Path('.'))\n"
        "assert not {'pandas', 'numpy', 'pyarrow', 'dvc'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
