from pathlib import Path

import pytest
from tests.fakes.serving import write_release

from modelci.documents import codec
from modelci.domain.deployment import Release
from modelci.errors import ConfigError, DeploymentError
from modelci.serving.source import open_file, open_release


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_release(tmp_path / "release")
    return tmp_path / "release"


def rewrite(folder: Path, old: str, new: str) -> None:
    file = folder / "release.json"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_release_says_what_to_serve(folder: Path) -> None:
    release = codec.read(Release, folder / "release.json")
    source = open_release(folder)
    assert (source.artifact, source.version, source.release) == ("credit", "v1.0.0", release.id)
    assert Path(source.model).read_bytes() == (folder / "model/credit.onnx").read_bytes()
    assert source.golden == str(folder / "golden.json")


def test_a_link_is_followed_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(folder)
    source = open_release(tmp_path / "current")
    (tmp_path / "current").unlink()
    assert Path(source.model).is_file()


def test_without_a_version_the_commit_names_it(folder: Path) -> None:
    rewrite(folder, '"version": "v1.0.0"', '"version": null')
    assert open_release(folder).version == "ccccccc"


@pytest.mark.parametrize("path", ["model/credit.onnx", "golden.json"])
def test_a_file_that_was_changed_is_refused(folder: Path, path: str) -> None:
    with (folder / path).open("ab") as file:
        file.write(b" ")
    with pytest.raises(DeploymentError, match=r"is not the file of release v1\.0\.0-"):
        open_release(folder)


def test_a_file_that_is_missing_is_told(folder: Path) -> None:
    (folder / "golden.json").unlink()
    with pytest.raises(ConfigError, match=r"golden\.json cannot be read: No such file"):
        open_release(folder)


@pytest.mark.parametrize("path", ["../secret", "/etc/hostname"])
def test_a_release_names_nothing_outside_of_its_folder(folder: Path, path: str) -> None:
    (folder.parent / "secret").write_text("x", encoding="utf-8")
    rewrite(folder, '"path": "golden.json"', f'"path": "{path}"')
    with pytest.raises(ConfigError, match="lies outside of it"):
        open_release(folder)


def test_a_link_leads_nowhere_outside_either(folder: Path) -> None:
    secret = folder.parent / "secret"
    secret.write_bytes((folder / "golden.json").read_bytes())
    (folder / "golden.json").unlink()
    (folder / "golden.json").symlink_to(secret)
    with pytest.raises(ConfigError, match="lies outside of it"):
        open_release(folder)


def test_a_model_that_is_not_listed_is_refused(folder: Path) -> None:
    rewrite(folder, '"model": "model/credit.onnx"', '"model": "model/other.onnx"')
    with pytest.raises(ConfigError, match="does not list the model"):
        open_release(folder)


def test_a_folder_that_is_no_release_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no folder"):
        open_release(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"release\.json cannot be read"):
        open_release(tmp_path)


def test_a_file_is_named_by_itself_and_its_hash(folder: Path) -> None:
    source = open_file(folder / "model/credit.onnx")
    assert (source.artifact, source.version) == ("credit", source.sha256[:12])
    assert source.release == source.version
    tagged = open_file(folder / "model/credit.onnx", artifact="a", version="v2.0.0")
    assert (tagged.artifact, tagged.release) == ("a", f"v2.0.0-{source.sha256[:12]}")


def test_a_file_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        open_file(tmp_path / "none.skops")
    assert "dvc pull" in str(caught.value.hint)
