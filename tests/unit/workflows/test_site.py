"""The site's facts are gathered from tags first, and its folder is written without harm."""

import json
from pathlib import Path

import pytest
from tests.fakes.git import FakeGit, FakeRemote
from tests.fakes.snapshots import METRICS, FakeSnapshots, metrics

from modelci.config.model import Config, ForgeConfig, ForgeKind, GateConfig
from modelci.domain.events import CIContext
from modelci.domain.promotion import PlannedTag
from modelci.domain.site import Site, Web
from modelci.errors import ConfigError, UsageError
from modelci.workflows.site import MANIFEST, gather_site, write_site

ROOT = Path("/repository")
GITHUB = CIContext(
    provider="github",
    repository="acme/credit",
    server_url="https://github.example",
    api_url="https://github.example/api/v3",
)


def tag(name: str, commit: str, seconds: int, *trailers: tuple[str, str]) -> PlannedTag:
    artifact = name.partition("@")[0].partition("#")[0]
    return PlannedTag(
        name=name,
        artifact=artifact,
        commit=commit,
        seconds=seconds,
        subject=f"Say {name}",
        trailers=trailers,
    )


def gather(git: FakeGit, config: Config | None = None, *, remote: bool = False) -> Site:
    return gather_site(
        git=git,
        reader=FakeSnapshots(),
        config=config or Config(),
        context=GITHUB,
        title="Ours",
        remote=remote,
    )


def release(git: FakeGit, *tags: PlannedTag) -> None:
    git.tag_objects.update({one.name: one for one in tags})


def test_declared_and_tagged_models_are_there_with_their_history() -> None:
    remote = FakeRemote()
    sha = remote.commit({METRICS: metrics(auc=0.5)})
    git = FakeGit(ROOT, remote)
    release(git, tag("old@v1.0.0", sha, 5), tag("old#prod#1", sha, 6))
    declared, old = gather(git).models
    assert (declared.state.name, old.state.name) == ("m", "old")
    assert declared.artifact
    assert not declared.events
    assert old.artifact is None
    assert [event.tag.tag for event in old.events] == ["old#prod#1", "old@v1.0.0"]
    assert old.state.stages["prod"].label == "v1.0.0"


def test_metrics_come_from_tags_and_else_from_commits() -> None:
    remote = FakeRemote()
    shas = [remote.commit({METRICS: metrics(auc=one, other=1)}) for one in (0.1, 0.2)]
    git = FakeGit(ROOT, remote)
    told = ("Modelci-Metric", f"{METRICS}:auc=0.9")
    release(git, tag("m@v1.0.0", shas[0], 5), tag("m@v1.1.0", shas[1], 6, told))
    (model,) = gather(git).models
    (history,) = model.metrics  # the tag says which metrics matter
    assert history.key.name == "auc"
    assert [(point.name, point.value) for point in history.points] == [
        ("v1.0.0", 0.1),
        ("v1.1.0", 0.9),
    ]


def test_of_versions_that_say_no_metric_the_gated_ones_are_shown() -> None:
    remote = FakeRemote()
    sha = remote.commit({METRICS: metrics(auc=0.1, other=1)})
    git = FakeGit(ROOT, remote)
    release(git, tag("m@v1.0.0", sha, 5), tag("m@v1.1.0", "0" * 40, 6))
    gated = Config(gates=(GateConfig(metric="other", min=0.0),))
    for config, wanted in ((Config(), ["auc", "other"]), (gated, ["other"])):
        (model,) = gather(git, config).models
        assert [one.key.name for one in model.metrics] == wanted
        assert [point.value for point in model.metrics[-1].points] == [1.0, None]


def test_the_remotes_tags_count_with_remote() -> None:
    remote = FakeRemote()
    sha = remote.commit({})
    git = FakeGit(ROOT, remote)
    remote.tags["m@v1.0.0"] = tag("m@v1.0.0", sha, 5)
    assert not gather(git).models[0].events
    assert gather(git, remote=True).models[0].events


def test_a_lone_repository_has_no_remote_tags() -> None:
    with pytest.raises(UsageError, match="no remote"):
        gather(FakeGit(ROOT), remote=True)


def test_the_forge_is_where_the_ci_system_says() -> None:
    remote = FakeRemote()
    remote.commit({})
    site = gather(FakeGit(ROOT, remote))
    assert site.web == Web(kind="github", root="https://github.example/acme/credit")
    local = Config(forge=ForgeConfig(kind=ForgeKind.LOCAL))
    assert gather(FakeGit(ROOT, remote), local).web is None


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("git@github.com:acme/credit.git", "https://github.com/acme/credit"),
        ("https://gitlab.example/acme/sub/credit", "https://gitlab.example/acme/sub/credit"),
        ("https://codeberg.org/acme/credit.git", "https://codeberg.org/acme/credit"),
        ("/srv/git/credit.git", None),
    ],
)
def test_the_forge_is_else_where_the_remote_is(url: str, root: str | None) -> None:
    class Cloned(FakeGit):
        def remote_url(self) -> str | None:
            return url

    remote = FakeRemote()
    remote.commit({})
    site = gather_site(
        git=Cloned(ROOT, remote),
        reader=FakeSnapshots(),
        config=Config(),
        context=CIContext(),
        title="Ours",
    )
    assert (site.web.root if site.web else None) == root


# -- writing -----------------------------------------------------------------------------------

FIRST = {"index.html": b"1", "models/a.html": b"a", "models/b.html": b"b", ".nojekyll": b""}
SECOND = {"index.html": b"2", "models/a.html": b"A", ".nojekyll": b""}


def listed(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "site"


def test_a_site_is_written_and_what_the_last_build_left_is_removed(out: Path) -> None:
    write_site(out, FIRST)
    assert listed(out) == FIRST
    write_site(out, SECOND)
    assert listed(out) == SECOND
    assert [path.name for path in out.parent.iterdir()] == ["site"]  # nothing is left over


def test_files_of_others_stay(out: Path) -> None:
    write_site(out, FIRST)
    (out / "CNAME").write_bytes(b"models.example")
    (out / "models" / "mine.html").write_bytes(b"mine")
    write_site(out, SECOND)
    assert listed(out) == {**SECOND, "CNAME": b"models.example", "models/mine.html": b"mine"}


def test_a_folder_of_others_is_refused_without_force(out: Path) -> None:
    out.mkdir(parents=True)
    (out / "index.html").write_bytes(b"theirs")
    (out / "notes.txt").write_bytes(b"theirs")
    with pytest.raises(UsageError, match="no build of ours wrote it"):
        write_site(out, FIRST)
    assert listed(out) == {"index.html": b"theirs", "notes.txt": b"theirs"}
    write_site(out, FIRST, force=True)
    assert listed(out) == {**FIRST, "notes.txt": b"theirs"}


def test_a_new_page_replaces_no_file_of_others(out: Path) -> None:
    write_site(out, SECOND)
    (out / "models" / "b.html").write_bytes(b"theirs")
    with pytest.raises(UsageError, match=r"b\.html"):
        write_site(out, FIRST)
    assert listed(out)["models/b.html"] == b"theirs"


def test_a_pages_branch_checked_out_may_be_written(out: Path) -> None:
    (out / ".git").mkdir(parents=True)
    write_site(out, FIRST)
    write_site(out, SECOND)
    assert listed(out) == SECOND
    assert (out / ".git").is_dir()


def test_a_manifest_cannot_remove_what_is_no_site(out: Path, tmp_path: Path) -> None:
    write_site(out, FIRST)
    precious = [tmp_path / "deep" / "precious.html", out / "models" / "key.pem", out / ".env"]
    for path in precious:
        path.write_bytes(b"x")
    names = ["../precious.html", "models/../../precious.html", "models/key.pem", ".env", "", 7]
    (out / MANIFEST).write_text(
        json.dumps({"schema": "modelci.site/1", "files": [*names, str(precious[0]), *FIRST]})
    )
    write_site(out, SECOND)
    assert all(path.exists() for path in precious)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": "x"}', '{"files": 1}', "[" * 100_000])
def test_a_broken_manifest_is_named(out: Path, text: str) -> None:
    write_site(out, FIRST)
    (out / MANIFEST).write_text(text)
    with pytest.raises(ConfigError, match=MANIFEST):
        write_site(out, SECOND)
    assert listed(out) == FIRST


def test_nothing_is_written_through_links(out: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    write_site(out, SECOND)
    (out / "index.html").unlink()
    (out / "index.html").symlink_to(victim)
    write_site(out, SECOND)
    assert victim.read_bytes() == b"theirs"
    (out / "models" / "a.html").unlink()
    (out / "models").rmdir()
    (out / "models").symlink_to(elsewhere)
    with pytest.raises(UsageError, match="symbolic link"):
        write_site(out, FIRST)
    assert not list(elsewhere.iterdir())


def test_a_place_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be written") as caught:
        write_site(tmp_path / "file" / "site", FIRST)
    assert "--out" in (caught.value.hint or "")


def test_a_build_cut_short_is_run_again(out: Path) -> None:
    write_site(out, FIRST)
    # As a build leaves it that was stopped before its first file: all that is ours is known.
    both = sorted({*FIRST, "models/c.html"})
    (out / MANIFEST).write_text(json.dumps({"schema": "modelci.site/1", "files": both}))
    (out / "models" / "c.html").write_bytes(b"half")
    write_site(out, SECOND)
    assert listed(out) == SECOND
