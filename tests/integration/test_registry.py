"""`modelci registry` and `doctor` over real repositories: bad tags, clocks, .gto, dvc.yaml."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.integration.test_git_gto import START, Happening, build, git

NOW = 4_000_000_000  # later than any machine's clock


class Done(NamedTuple):
    code: int
    out: str
    err: str


def modelci(root: Path, *arguments: str) -> Done:
    command = [str(Path(sys.executable).with_name("modelci")), *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


def registry(root: Path, *arguments: str) -> dict[str, Any]:
    done = modelci(root, "registry", *arguments, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    return found


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A registry with one tag of each kind that makes GTO give up, and a good artifact."""
    events = [
        *(Happening("good@v1.0.0", 0, 10), Happening("good#prod#1", 0, 11)),
        *(Happening("twice@v1.0.0", 1, 10), Happening("twice@v1.1.0", 1, 11)),
        *(Happening("twice#prod#3", 1, 12), Happening("made@created", 0, 12)),
        *(Happening("made@v0.0.1", 0, 13), Happening("copied@v0.0.1", 0, 14)),
    ]
    sha = build(tmp_path, events)[0]
    tree = git(tmp_path, "rev-parse", "HEAD^{tree}").strip()
    git(tmp_path, "tag", "-a", "-m", "x", "tree@v1.0.0", tree)
    git(tmp_path, "tag", "-a", "-m", "x", "nested@v1.0.0", "good@v1.0.0")
    git(tmp_path, "tag", "light@v1.0.0")
    git(tmp_path, "update-ref", "refs/tags/copied@v9.0.0", "refs/tags/copied@v0.0.1")
    kind = ("hash-object", "-w", "-t", "tag", "--literally", "--stdin")
    for name, text in (
        ("nobody@v1.0.0", f"object {sha}\ntype commit\ntag nobody@v1.0.0\n\nx\n"),
        ("broken@v1.0.0", f"object {sha}\nnonsense\n\nx\n"),
    ):
        oid = git(tmp_path, *kind, stdin=text)
        (tmp_path / ".git/refs/tags" / name).write_text(oid)
    return tmp_path


RULES = {
    "broken": "renamed",
    "copied": "renamed",
    "made": "created",
    "nested": "tag-of-a-tag",
    "nobody": "no-tagger",
    "tree": "no-commit",
    "twice": "two-versions",
}


def test_one_bad_tag_marks_its_artifact_and_hides_no_other(bad: Path) -> None:
    found = {one["name"]: one for one in registry(bad)["artifacts"]}
    assert {
        name: one["problems"][0]["rule"] for name, one in found.items() if one["problems"]
    } == RULES
    assert set(found) == {"good", *RULES}
    assert found["good"]["stages"]["prod"]["version"] == found["good"]["latest"] == "v1.0.0"
    assert found["twice"]["stages"]["prod"]["version"] == "v1.1.0"
    assert (found["made"]["latest"], found["copied"]["latest"]) == ("v0.0.1", "v0.0.1")
    text = modelci(bad, "registry").out
    assert "! nobody@v1.0.0 (no-tagger): it has no tagger" in text
    assert registry(bad, "good")["artifacts"] == [found["good"] | {"declared": None}]


def test_doctor_names_each_bad_tag_its_rule_and_the_command_that_helps(bad: Path) -> None:
    checks = json.loads(modelci(bad, "doctor", "--json").out)["checks"]
    named = {one["name"]: one for one in checks if one["name"].startswith("tag ")}
    assert {
        name.removeprefix("tag ").split("@")[0].split("#")[0]: one["detail"].split(":")[0]
        for name, one in named.items()
    } == RULES
    assert named["tag made@created"]["fix"].startswith("`git tag -d made@created`")
    (light,) = (one for one in checks if "lightweight" in one["detail"])
    assert (light["health"], "light@v1.0.0" in light["detail"]) == ("warning", True)


def test_doctor_removes_from_the_remote_too(
    bad: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clone = tmp_path_factory.mktemp("clone") / "work"
    (bad / ".git/refs/tags/broken@v1.0.0").unlink()
    git(bad, "clone", "--quiet", "--no-tags", f"file://{bad}", str(clone))
    checks = json.loads(modelci(clone, "doctor", "--json").out)["checks"]
    fixes = [one["fix"] for one in checks if one["name"] == "tag twice#prod#3"]
    (fix,) = fixes
    assert fix == (
        "`git tag -d 'twice#prod#3'; git push origin --delete 'refs/tags/twice#prod#3'`; then, "
        "if it was meant, make it anew by `git tag -a`."
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    events = [
        *(Happening("m@v1.0.0", 0, 10), Happening("m@v2.0.0", 1, 11), Happening("m@v1.1.0", 2, 12)),
        *(Happening("m#prod#1", 1, 13), Happening("m#prod#2", 0, 14), Happening("m#qa#3", 2, 15)),
        *(Happening("d=m@v0.1.0", 3, 15), Happening("m@v1.1.0!#4", 2, 16)),
    ]
    build(tmp_path, events)
    return tmp_path


@pytest.mark.parametrize(
    ("asked", "version", "stages"),
    [
        ("m@latest", "v2.0.0", []),
        ("m@v1.1.0", "v1.1.0", []),
        ("m@v1", "v1.0.0", ["prod"]),
        ("m#prod", "v1.0.0", ["prod"]),
        ("d:m", "v0.1.0", []),
        ("d/dvc.yaml:m@greatest", "v0.1.0", []),
        ("dvc.yaml:m@v2.0.0", "v2.0.0", []),
    ],
)
def test_one_version_is_asked_for(
    project: Path, asked: str, version: str, stages: list[str]
) -> None:
    (found,) = registry(project, "show", asked)["artifacts"]
    assert found["versions"][0]["version"] == version
    assert list(found["stages"]) == stages or asked == "d:m"
    assert found["declared"]["path"] == (
        "d/model.bin" if asked.startswith("d") else "model.bin"
    ) or (asked.startswith("dvc.yaml"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("nobody", "No tag speaks of an artifact 'nobody'"),
        ("m@v3", "m has no version v3"),
        ("m#qa", "Nothing of m holds stage 'qa'"),
        ("m@", "names nothing of a registry"),
        ("a=b", "names nothing of a registry"),
        ("-m", "No such option"),
    ],
)
def test_what_is_not_there_is_a_usage_error(project: Path, asked: str, says: str) -> None:
    done = modelci(project, "registry", "show", asked)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_the_holder_is_configured_printed_and_overridden(project: Path) -> None:
    (project / "modelci.yaml").write_text("registry: {holder: semver}\n")
    found = registry(project, "m#prod")
    assert (found["holder"], found["artifacts"][0]["versions"][0]["version"]) == (
        "semver",
        "v2.0.0",
    )
    assert "registry.holder: semver" in modelci(project, "registry").out
    assert registry(project, "m#prod", "--holder", "newest")["holder"] == "newest"
    (project / "modelci.yaml").write_text("registry: {holder: oldest}\n")
    done = modelci(project, "registry")
    assert (done.code, "newest, semver" in done.err) == (3, True)


def test_clocks_and_seconds_that_decide_are_warned_of(tmp_path: Path) -> None:
    late = NOW - START
    events = [
        *(Happening("m@v1.0.0", 0, 10), Happening("m@v2.0.0", 1, 11)),
        *(Happening("m#prod#1", 0, 20), Happening("m#prod#2", 1, 20), Happening("m#qa#3", 1, late)),
        Happening("old@v1.0.0", 0, -200_000),
    ]
    build(tmp_path, events)
    found = {one["name"]: one["warnings"] for one in registry(tmp_path)["artifacts"]}
    assert [
        (one["doubt"], one["stage"]) for one in found["m"] if one["doubt"] != "dvc-differs"
    ] == [
        ("tie", "prod"),
        ("future", None),
    ]
    assert [(one["doubt"], one["message"][:46]) for one in found["old"]] == [
        ("clock-skew", "old@v1.0.0 is 2 days older than the commit it ")
    ]
    checks = json.loads(modelci(tmp_path, "doctor", "--json").out)["checks"]
    told = {one["detail"].split(" ")[0] for one in checks if one["name"].startswith("registry ")}
    assert told == {"m#prod#1", "old@v1.0.0"}


def test_a_gto_file_restricts_stages_and_types(project: Path) -> None:
    (project / ".gto").write_text("stages: [dev, staging]\ntypes: [dataset]\n")
    found = registry(project, "stages")["stages"]
    assert [(one["stage"], one["allowed"], list(one["holders"])) for one in found] == [
        ("dev", True, []),
        ("staging", True, []),
        ("prod", False, ["m"]),
    ]
    doubts = [one["doubt"] for one in registry(project, "m")["artifacts"][0]["warnings"]]
    assert doubts[-2:] == ["unknown-stage", "unknown-type"]
    (project / ".gto").write_text("stages: prod\n")
    done = modelci(project, "registry")
    assert (done.code, "must be a list of names" in done.err) == (3, True)


def test_a_broken_dvc_yaml_hides_no_tags(project: Path) -> None:
    (project / "dvc.yaml").write_text("artifacts: {\n")
    done = modelci(project, "registry", "m", "--plain")
    assert done.code == 0
    assert "dvc.yaml cannot be read" in done.err
    assert done.out.startswith("m\tv2.0.0\t")


@pytest.mark.parametrize("path", ["models/m", "models/${kind}"])
def test_what_dvc_yaml_declares_is_shown_templates_filled_in(project: Path, path: str) -> None:
    (project / "params.yaml").write_text("kind: m\n")
    entry = f"{{path: '{path}', type: model, desc: Trees, labels: [a], meta: {{k: [1]}}}}"
    (project / "dvc.yaml").write_text(f"artifacts:\n  m: {entry}\n")
    (found,) = registry(project, "m")["artifacts"]
    assert found["declared"] == {
        "path": "models/m",
        "type": "model",
        "desc": "Trees",
        "labels": ["a"],
        "meta": {"k": [1]},
    }
    for odd in ("artifacts: {m: odd}\n", "# artifacts\n", "[artifacts]\n", "artifacts: {n: 1}\n"):
        (project / "dvc.yaml").write_text(odd)
        assert registry(project, "m")["artifacts"][0]["declared"] is None


def test_a_tag_says_what_it_did_and_whether_that_stands(project: Path) -> None:
    def check(tag: str) -> tuple[str, bool]:
        found = registry(project, "check-ref", tag)
        return found["event"]["event"], found["standing"]

    assert check("refs/tags/m#prod#2") == ("assignment", True)
    assert check("m#prod#1") == ("assignment", False)
    assert check("m@v1.1.0") == ("registration", False)
    assert check("m@v1.1.0!#4") == ("deregistration", True)
    assert check("m@v2.0.0") == ("registration", True)
    for tag, says in (("v1.0", "is no tag of the registry"), ("m@v7.0.0", "There is no tag")):
        done = modelci(project, "registry", "check-ref", tag)
        assert (done.code, says in done.err) == (2, True)


def test_a_tag_that_breaks_a_rule_is_no_trigger(bad: Path) -> None:
    done = modelci(bad, "registry", "check-ref", "refs/tags/copied@v9.0.0")
    assert (done.code, "does not count (renamed)" in done.err) == (2, True)
    done = modelci(bad, "registry", "check-ref", "light@v1.0.0")
    assert (done.code, "does not count (lightweight)" in done.err) == (2, True)


def test_two_versions_are_compared_by_their_commits_else_by_their_tags(project: Path) -> None:
    first = git(project, "rev-list", "--reverse", "main").split()[0]
    git(project, "checkout", "--quiet", first)
    (project / "dvc.yaml").write_text(
        "metrics: [m.json]\nartifacts: {m: {path: model.bin, type: model}}\n"
    )
    (project / "m.json").write_text('{"auc": 0.5}')
    git(project, "add", "--all")
    git(project, *("-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "-m", "More"))
    text = (
        "Register\n\nModelci-Hash: md5:1\nModelci-Metric: m.json:auc=0.75\nModelci-Path: model.bin"
    )
    for name, message in (("m@v5.0.0", "x"), ("m#new#9", "x")):
        git(project, "-c", "user.name=A", "-c", "user.email=a@b", "tag", "-a", "-m", message, name)
    git(
        project,
        *("-c", "user.name=A", "-c", "user.email=a@b"),
        "tag",
        "-a",
        "-m",
        text,
        "m@v4.0.0",
        "main",
    )
    found = registry(project, "diff", "m#new", "m@v4.0.0")
    assert (found["base"]["version"], found["head"]["version"]) == ("v5.0.0", "v4.0.0")
    assert (found["base"]["source"], found["head"]["source"]) == ("commit", "tags")
    assert (found["head"]["hash"], found["same_bytes"]) == ("md5:1", None)
    assert found["metrics"] == [{"metric": "m.json:auc", "base": 0.5, "head": 0.75, "change": 0.25}]


def test_the_remotes_tags_are_read_without_touching_this_clones(
    project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clone = tmp_path_factory.mktemp("clone") / "work"
    git(project, "clone", "--quiet", "--no-tags", "--depth=1", f"file://{project}", str(clone))
    done = modelci(clone, "registry")
    assert "empty" in done.out
    assert "--remote reads the remote's" in done.err
    assert registry(clone, "--remote") == registry(project)
    assert registry(clone, "history", "m", "--remote") == registry(project, "history", "m")
    assert git(clone, "tag", "--list") == ""


def test_bare_words_options_and_subcommands_are_told_apart(project: Path) -> None:
    assert (
        modelci(project, "registry", "--plain").out
        == modelci(project, "registry", "show", "--plain").out
    )
    assert "check-ref" in modelci(project, "registry", "--help").out
    assert modelci(project, "registry", "--json", "--plain").code == 2
    assert modelci(project, "registry", "history", "nobody").code == 2


def test_it_loads_nothing_that_the_answer_does_not_need(project: Path) -> None:
    heavy = "git dvc rich yaml msgspec numpy dataclasses difflib json pathlib traceback".split()
    code = (
        "import sys\nfrom modelci.cli import main\n"
        "try: main(['registry'])\nexcept SystemExit: pass\n"
        f"print(sorted({set(heavy)} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, check=True
    )
    assert done.stdout.decode().endswith("[]\n")
