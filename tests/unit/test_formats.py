import json
import math
from io import StringIO

import pytest
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from modelci.errors import ConfigError
from modelci.formats import locate_yaml, parse, parse_json, parse_yaml

SCALAR = st.one_of(
    st.text(alphabet="0123456789_+-.:eExXoObBaAfFnNtTuUlLrRsSyYiI~<= ", min_size=1, max_size=8),
    st.sampled_from(
        "yes no on off y n true True TRUE tRue false null Null NULL nULL ~ 010 0o10 0x1F 0b101"
        " 1_000"
        " 1e3 1e-3 1E+3 1.5e3 .5 5. -.5 +1 -0 0.0 -0.0 .inf -.inf +.INF .nan .NaN 1:30 190:20:30"
        " 0o8 0b2 0xg 1e 1.e3 .e3 1__0 _1 1_ 0_1 + - . .. = << 12e03"
        " 99999999999999999999 1,000".split()
    ),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("ab_ -#", max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


def as_dvc(text: str) -> object:
    value: object = YAML(typ="safe").load(text)
    return value


def same(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return same(list(one), list(other)) and same(list(one.values()), list(other.values()))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@given(SCALAR)
@example("0o7_7")
@example("+.inf")
def test_a_plain_scalar_means_what_it_means_to_dvc(text: str) -> None:
    # libyaml, which reads for us, refuses empty keys and a lone colon.
    assume(text.strip() and ":" not in {part[-1:] for part in text.split(" ")})
    assume(not text.lstrip().startswith(":"))
    flow = () if ":" in text else (f"- [{text}]\n",)
    for document in (f"a: {text}\n", f"{text}: 1\n", *flow):
        try:
            expected = as_dvc(document)
        except (YAMLError, ValueError, NotImplementedError, IndexError, TypeError):
            continue  # what DVC cannot read, we may
        assert same(parse_yaml(document.encode(), "f.yaml"), expected), document


@given(value=VALUES, flow=st.booleans())
def test_what_dvc_writes_is_read_as_it_was_meant(value: object, *, flow: bool) -> None:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    written = StringIO()
    yaml.dump(value, written)
    text = written.getvalue()
    try:
        assume(same(as_dvc(text), value))
    except YAMLError:  # ruamel writes what it cannot read
        reject()
    assert same(parse_yaml(text.encode(), "f.yaml"), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("010", 10),
        ("0o10", 8),
        ("1e-3", 0.001),
        ("1_000", 1000),
        ("~", None),
        ("'1'", "1"),
        ("!!str 1", "1"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("12:30", "12:30"),
        (".inf", math.inf),
    ],
)
def test_yaml_is_read_as_1_2_and_dates_stay_text(text: str, value: object) -> None:
    assert parse_yaml(text.encode(), "f.yaml") == value


def test_merge_keys_and_anchors_work() -> None:
    text = b"base: &b {lr: 1, depth: 2}\nhgb:\n  <<: *b\n  depth: 3\n"
    assert parse_yaml(text, "f.yaml")["hgb"] == {"lr": 1, "depth": 3}


@pytest.mark.parametrize(
    ("path", "text"), [("f.yaml", "a: 1\n"), ("f.json", '{"a": 1}'), ("f.toml", "a = 1\n")]
)
def test_a_byte_order_mark_is_no_part_of_the_text(path: str, text: str) -> None:
    assert parse(path, b"\xef\xbb\xbf" + text.encode()) == {"a": 1}


def test_an_empty_yaml_is_none() -> None:
    assert parse_yaml(b"", "f.yaml") is None
    assert parse_yaml(b"# only a comment\n", "f.yaml") is None


@pytest.mark.parametrize(
    ("path", "data", "message"),
    [
        ("f.yaml", b"a: 1\nb: [1\nc: 2\n", "f.yaml:3:2 cannot be read"),
        ("f.yaml", b"a: 1\n\tb: 2\n", "f.yaml:2:1 cannot be read"),
        ("f.yaml", b"a: {}\na: {}\n", "f.yaml:2:1 cannot be read: key 'a' stands twice"),
        ("f.yaml", b"x:\n  a: 1\n  b: 2\n  a: 3\n", "f.yaml:4:3 cannot be read: key 'a' stands"),
        ("f.yaml", b"a: *nothing\n", "f.yaml:1:4 cannot be read: found undefined alias"),
        ("f.yaml", b"--- 1\n--- 2\n", "f.yaml:2:1 cannot be read"),
        ("f.yaml", b"a: !!python/object:os.system x\n", "f.yaml:1:4 cannot be read"),
        ("f.yaml", b"? [a]\n: 1\n", "f.yaml:1:3 cannot be read: found unhashable key"),
        ("f.yaml", b"a: \xff\n", "f.yaml cannot be read"),
        ("f.yaml", b"a: \x00\n", "f.yaml cannot be read"),
        ("f.yaml", b"a: !!int x\n", "f.yaml cannot be read"),
        ("f.yaml", b"a: " + b"9" * 5000, "f.yaml cannot be read"),
        ("dvc.lock", b"a: [\n", "dvc.lock:2:1 cannot be read"),
        ("f.json", b'{"a": 1,\n "b": }\n', "f.json:2:7 cannot be read"),
        ("f.json", b"", "f.json:1:1 cannot be read"),
        ("f.json", b'{"a": "\xff"}', "f.json cannot be read"),
        ("f.json", b"9" * 5000, "f.json cannot be read"),
        ("f.toml", b"a = 1\nb = \n", "f.toml cannot be read"),
        ("f.toml", b"a = 1\na = 2\n", "f.toml cannot be read"),
        ("f.toml", b"a = '\xff'\n", "f.toml cannot be read"),
    ],
)
def test_an_error_names_the_file_and_where_it_is(path: str, data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(path, data)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_toml_names_the_line_too() -> None:
    with pytest.raises(ConfigError, match="line 2"):
        parse("f.toml", b"a = 1\nb = \n")


@given(st.dictionaries(st.sampled_from(["1", "'1'", "a", "'a'", "'true'"]), st.none()))
def test_keys_are_equal_where_dvc_says_so(keys: dict[str, None]) -> None:
    text = "".join(f"{key}: 1\n" for key in keys)
    try:
        expected = as_dvc(text)
    except DuplicateKeyError:
        with pytest.raises(ConfigError, match="stands twice"):
            parse_yaml(text.encode(), "f.yaml")
    else:
        assert same(parse_yaml(text.encode(), "f.yaml"), expected)


@pytest.mark.parametrize("path", ["dvc.lock", "params.yaml", "metrics.json", "p.toml"])
def test_a_merge_conflict_is_named_as_such(path: str) -> None:
    data = b"a: 1\n<<<<<<< HEAD\nb: 1\n=======\nb: 2\n>>>>>>> other\n"
    with pytest.raises(ConfigError, match=f"{path}:2 holds a merge conflict") as raised:
        parse(path, data)
    assert raised.value.hint is not None


@pytest.mark.parametrize("depth", [5_000, 30_000])
@pytest.mark.parametrize(
    ("path", "opening", "closing"),
    [
        ("f.json", b"[", b"]"),
        ("f.json", b'{"a":', b"}"),
        ("f.toml", b"[", b"]"),
        ("f.yaml", b"[", b"]"),
        ("f.yaml", b"{a: ", b"}"),
        ("f.yaml", b"- ", b""),
        ("f.yaml", b"? ", b""),
        ("f.yaml", b"- ? ", b""),
    ],
)
def test_endless_nesting_is_an_error_and_no_crash(
    path: str, opening: bytes, closing: bytes, depth: int
) -> None:
    prefix = b"a = " if path == "f.toml" else b""
    text = prefix + opening * depth + b"1" + closing * depth
    with pytest.raises(ConfigError) as raised:
        parse(path, text)
    assert len(str(raised.value)) < 300


def test_a_deep_block_of_yaml_is_an_error() -> None:
    text = b"\n".join(b" " * depth + b"a:" for depth in range(3_000))
    with pytest.raises(ConfigError, match=r"f.yaml:\d+:\d+ cannot be read: nested more than"):
        parse_yaml(text, "f.yaml")
    assert parse_yaml(b"\n".join(b" " * depth + b"a:" for depth in range(300)), "f.yaml")


def test_json_holds_what_python_writes_also_nan() -> None:
    value = parse_json(json.dumps({"a": math.nan, "b": -math.inf}).encode(), "f.json")
    assert math.isnan(value["a"])
    assert value["b"] == -math.inf


def test_an_unknown_ending_is_yaml_and_endings_have_no_case() -> None:
    assert parse("dvc.lock", b"a: no\n") == {"a": "no"}
    assert parse("METRICS.JSON", b'{"a": 1}') == {"a": 1}
    assert parse("x.TOML", b"a = 1") == {"a": 1}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("gates",), 2),
        (("gates", 0), 3),
        (("gates", 1, "min"), 6),
        (("gates", 1, "max"), 5),
        (("gates", 7), 2),
        (("nothing",), None),
        (("a", "deeper"), 1),
    ],
)
def test_the_line_of_a_value_or_of_its_nearest_parent_is_found(
    path: tuple[str | int, ...], line: int | None
) -> None:
    text = b"a: 1\ngates:\n  - metric: x\n    min: 1\n  - metric: y\n    min: 2\n"
    assert locate_yaml(text, path) == line


def test_merges_of_merges_are_given_up_and_honest_ones_are_not() -> None:
    lines = [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}\n" for i in range(1, 60)]
    bomb = "".join(["a0: &a0 {x: 1}\n", *lines])
    with pytest.raises(ConfigError, match="merged keys"):
        parse("metrics.yaml", bomb.encode())
    assert parse("m.yaml", b"a: &a {x: 1}\nb: {<<: *a, y: 2}\n")["b"] == {"x": 1, "y": 2}
