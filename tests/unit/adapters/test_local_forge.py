"""The folder that stands for a forge: readable files, whole, and nowhere else."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelci.adapters.forge.local import LocalForge
from modelci.errors import ForgeError

names = st.text(min_size=1) | st.sampled_from(["..", ".", "/etc/passwd", "../../x", "C:\\x", "a\0"])


@given(name=names, other=names)
def test_no_name_leaves_the_folder_or_meets_another(name: str, other: str) -> None:
    with TemporaryDirectory() as folder:
        forge = LocalForge(Path(folder) / "forge")
        urls = {one: forge.publish_release(one, title="t", body="b").url for one in (name, other)}
        for one in (name, other):
            forge.record_tag(one, commit="f" * 40, message=one)
        for url in urls.values():
            assert Path(url).parent == Path(folder) / "forge" / "releases"
            assert Path(url).is_file()
        assert [path.name for path in Path(folder).iterdir()] == ["forge"]
        same = name.encode("utf-8", "replace") == other.encode("utf-8", "replace")
        assert (len(set(urls.values())) == 1) == same


@pytest.mark.parametrize("length", [1, 100, 10_000])
def test_long_names_are_cut_and_stay_apart(tmp_path: Path, length: int) -> None:
    forge = LocalForge(tmp_path)
    urls = {forge.publish_release("é" * length + end, title="t", body="").url for end in "ab"}
    assert len(urls) == 2


def test_files_are_named_and_written_for_people(tmp_path: Path) -> None:
    forge = LocalForge(tmp_path)
    comment = forge.upsert_comment(7, "AUC fell", marker="<!-- modelci: Credit report -->")
    assert comment is not None
    forge.publish_release("credit@v1.0.0", title="credit v1.0.0", body="First.\n")
    forge.record_tag("a/credit#prod#1", commit="f" * 40, message="Assign prod\n\nKey: value\n")
    assert Path(comment.url).name.startswith("pr-7-modelci-credit-report-")
    assert Path(comment.url).read_text() == "<!-- modelci: Credit report -->\nAUC fell\n"
    release = tmp_path / "releases" / "credit@v1.0.0.md"
    assert release.read_text() == "# credit v1.0.0\n\nFirst.\n"
    tag = tmp_path / "tags" / "a%2Fcredit#prod#1.md"
    commit = "f" * 40
    assert tag.read_text() == (
        f"# a/credit#prod#1\n\nCommit: `{commit}`\n\n    Assign prod\n\n    Key: value\n"
    )
    assert not list(tmp_path.rglob(".*"))


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ForgeError, match="cannot use") as caught:
        LocalForge(tmp_path / "file").upsert_comment(7, "x", marker="m")
    assert "forge.path" in (caught.value.hint or "")


@given(path=st.text() | st.sampled_from(["/etc/hostname", "a/../../x", "..", ".", "a\0", "link"]))
def test_no_artifacts_path_leaves_its_folder(path: str) -> None:
    with TemporaryDirectory() as folder:
        top = Path(folder) / "artifacts" / "5" / "report"
        top.mkdir(parents=True)
        (Path(folder) / "secret").write_text("secret")
        (top / "link").symlink_to(Path(folder) / "secret")
        with pytest.raises(ForgeError):
            LocalForge(Path(folder)).read_artifact(5, "report", path, max_bytes=99)


def test_old_pictures_are_removed_and_used_ones_kept(tmp_path: Path) -> None:
    now = [time.time()]
    forge = LocalForge(tmp_path, clock=lambda: now[0])
    png = b"\x89PNG\r\n\x1a\n"
    forge.store_pictures({"old": png, "used": png + b"2"}, keep_days=30)
    now[0] += 31 * 86_400
    stored = forge.store_pictures({"used": png + b"2"}, keep_days=30)
    (left,) = (tmp_path / "pictures").iterdir()
    assert stored["used"] == f"../pictures/{left.name}"
    assert (tmp_path / "comments" / stored["used"]).resolve() == left


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"head_sha": 1}', '{"head_sha": "", "x": 1}']
)
def test_a_pull_requests_file_that_is_none_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "pulls").mkdir()
    (tmp_path / "pulls" / "7.json").write_text(text)
    with pytest.raises(ForgeError, match=r"7\.json describes no pull request"):
        LocalForge(tmp_path).pull_request(7)
