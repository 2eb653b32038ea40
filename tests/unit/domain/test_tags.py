import pytest
from gto.tag import parse_name
from hypothesis import given
from hypothesis import strategies as st

from modelci.domain.tags import Action, Query, TagName, is_artifact_name, is_stage_name
from modelci.domain.versions import Version

WORD = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9\-/_]{0,6}[a-zA-Z0-9])?", fullmatch=True)
FOLDER = st.from_regex(r"[a-zA-Z0-9\-_./]{1,8}", fullmatch=True)
ARTIFACTS = st.one_of(WORD, st.builds("{}:{}".format, FOLDER, WORD))
VERSION_TEXTS = st.from_regex(
    r"(0|[1-9][0-9]{0,2})(\.(0|[1-9][0-9]{0,2})){2}"
    r"(-(0|[1-9][0-9]?|[a-zA-Z-][0-9a-zA-Z-]{0,3})(\.(0|[a-z][0-9a-z-]{0,3})){0,2})?"
    r"(\+[0-9a-zA-Z-]{1,4}(\.[0-9a-zA-Z-]{1,4})?)?",
    fullmatch=True,
)
COUNTERS = st.none() | st.integers(0, 10**6)
VERSIONED = st.builds(
    TagName,
    artifact=ARTIFACTS,
    action=st.sampled_from([Action.REGISTER, Action.DEREGISTER]),
    version=VERSION_TEXTS.map(Version.parse),
    stage=st.none(),
    counter=COUNTERS,
)
STAGED = st.builds(
    TagName,
    artifact=ARTIFACTS,
    action=st.sampled_from([Action.ASSIGN, Action.UNASSIGN]),
    version=st.none(),
    stage=WORD,
    counter=COUNTERS,
)
MARKED = st.builds(
    TagName,
    artifact=ARTIFACTS,
    action=st.sampled_from([Action.DEPRECATE, Action.CREATE]),
    version=st.none(),
    stage=st.none(),
    counter=COUNTERS,
)


@given(st.one_of(VERSIONED, STAGED, MARKED))
def test_every_form_is_read_back_as_it_was_written(name: TagName) -> None:
    assert TagName.parse(str(name)) == name


@given(
    st.one_of(
        st.one_of(VERSIONED, STAGED, MARKED).map(str),
        st.from_regex(r"[a-z0-9=./\-_]{0,4}[a-z]?[@#]v?[a-z0-9.!@#+\-]{0,12}", fullmatch=True),
        st.text(max_size=12),
    )
)
def test_gto_and_we_read_the_same_names_and_the_same_parts(text: str) -> None:
    if text.endswith("\n"):  # a regular expression's `$`; Git allows no such name
        return
    theirs, ours = parse_name(text, raise_on_fail=False), TagName.parse(text)
    if "action" not in theirs:  # GTO accepts @created and then fails on it
        assert ours is None or ours.action is Action.CREATE
        return
    assert ours is not None
    assert ours.action.value == theirs["action"].value
    assert ours.artifact == theirs["name"]
    assert ours.stage == theirs.get("stage")
    assert ours.counter == theirs.get("counter")
    assert (f"v{ours.version}" if ours.version else None) == theirs.get("version")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model@v1.2.3", ("model", Action.REGISTER, "1.2.3", None, None)),
        (
            "model@v1.2.3-rc.1+build.5",
            ("model", Action.REGISTER, "1.2.3-rc.1+build.5", None, None),
        ),
        ("model@v1.2.3!", ("model", Action.DEREGISTER, "1.2.3", None, None)),
        ("model@v1.2.3!#7", ("model", Action.DEREGISTER, "1.2.3", None, 7)),
        ("model#prod#007", ("model", Action.ASSIGN, None, "prod", 7)),
        ("model#prod", ("model", Action.ASSIGN, None, "prod", None)),
        ("model#prod!#4", ("model", Action.UNASSIGN, None, "prod", 4)),
        ("model@deprecated", ("model", Action.DEPRECATE, None, None, None)),
        ("models/credit=hgb@v0.0.1", ("models/credit:hgb", Action.REGISTER, "0.0.1", None, None)),
        ("a/b-c_d#dev/eu#1", ("a/b-c_d", Action.ASSIGN, None, "dev/eu", 1)),
    ],
)
def test_a_name_says_what_happens_to_which_artifact(
    text: str, expected: tuple[str, Action, str | None, str | None, int | None]
) -> None:
    found = TagName.parse(text)
    assert found is not None
    version = str(found.version) if found.version else None
    assert (found.artifact, found.action, version, found.stage, found.counter) == expected


@pytest.mark.parametrize(
    "text",
    [
        "v1.2.3",
        "model@1.2.3",
        "model@V1.2.3",
        "model@v1.2",
        "model@v01.2.3",
        "model@v1.2.3-",
        "model@latest",
        "model#",
        "#prod",
        "-model@v1.2.3",
        "mo del@v1.2.3",
        "model#prod#1!",
        "model@v1.2.3#x",
        "model@v1.2.3\n",
        "modèle@v1.2.3",
        "model@v1.2.٣",
        "model#prod#" + "9" * 5000,
        "model@v1.0." + "9" * 5000,
        "",
    ],
)
def test_other_peoples_tags_are_none_of_ours(text: str) -> None:
    assert TagName.parse(text) is None


def test_a_folder_is_a_colon_in_commands_and_an_equals_sign_in_tags() -> None:
    name = TagName(artifact="sub/dir:m", action=Action.ASSIGN, stage="prod", counter=2)
    assert str(name) == "sub/dir=m#prod#2"
    assert TagName.parse(str(name)) == name


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("m", True),
        ("sub/dir:m", True),
        ("./x:m", True),
        ("m-", False),
        ("m n", False),
        ("a=b", False),
        ("a:b:c", False),
        ("", False),
        ("m|n", False),
    ],
)
def test_an_artifact_that_no_tag_could_carry_is_told_apart(name: str, *, fits: bool) -> None:
    assert is_artifact_name(name) is fits
    if fits:
        found = TagName.parse(str(TagName(artifact=name, action=Action.ASSIGN, stage="s")))
        assert found is not None
        assert found.artifact == name


@pytest.mark.parametrize(("name", "fits"), [("prod", True), ("eu/prod-1", True), ("a!", False)])
def test_a_stage_that_no_tag_could_carry_is_told_apart(name: str, *, fits: bool) -> None:
    assert is_stage_name(name) is fits


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("m", ("m", None, None)),
        ("sub/dir:m@latest", ("sub/dir:m", "latest", None)),
        ("m@greatest", ("m", "latest", None)),
        ("m@v1.2.0-rc.1+b", ("m", "v1.2.0-rc.1+b", None)),
        ("m@v1", ("m", "v1", None)),
        ("m#eu/prod", ("m", None, "eu/prod")),
        ("sub/dvc.yaml:m#prod", ("sub:m", None, "prod")),
        ("dvc.yaml:m", ("m", None, None)),
        ("m@", None),
        ("m@1.0.0", None),
        ("m#", None),
        ("a:b:c", None),
        ("a=m", None),
        ("m@v1.0.0#prod", None),
        ("", None),
        ("m" * 2000, None),
    ],
)
def test_what_a_person_may_ask_for(
    text: str, expected: tuple[str, str | None, str | None] | None
) -> None:
    found = Query.parse(text)
    assert (tuple(found) if found else None) == expected
    if found:
        assert Query.parse(str(found)) == found
