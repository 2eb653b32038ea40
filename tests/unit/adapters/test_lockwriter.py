"""The printed and spliced ``dvc.lock``, the quick YAML reader and printer: just what DVC has."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from dvc.utils.serialize._yaml import (
    YAMLFileCorruptedError,
    parse_yaml,
    parse_yaml_for_update,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelci.adapters.dvc import seams
from modelci.adapters.dvc.lockwriter import split
from modelci.adapters.dvc.quickprint import text_of
from modelci.adapters.dvc.quickyaml import QuickYaml

HEADER = "schema: '2.0'\nstages:\n"
words = st.sampled_from(
    [
        *("a", "a b", "true", "Null", "~", "1", "1e3", "0b1", "- a", "a: b", "a #b", "é", "x" * 90),
        *("w " * 60, "it's", '"', "2020-01-01", "<<", "=", "{a}", "[", "a\nb\n", "", " a", "!x"),
        *("0" * 32, "1" * 31 + "e", "d" * 32 + ".dir", "off", "a\tb", "%", "*.csv", "a && b > c"),
        *("a:", "p: ~", "&a"),
    ]
)
texts = words | st.text(max_size=12).filter(lambda text: text.isprintable())
scalars = texts | st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
entries = st.fixed_dictionaries(
    {"cmd": texts | st.lists(texts, min_size=1, max_size=2)},
    optional={"params": st.dictionaries(texts, values, min_size=1, max_size=2), "outs": values},
)


@settings(deadline=None)
@given(stages=st.dictionaries(texts, entries, min_size=1, max_size=4))
def test_a_file_of_dvcs_own_is_the_sum_of_its_blocks(stages: dict[str, Any]) -> None:
    printed = {name: seams.print_yaml({"stages": {name: one}}) for name, one in stages.items()}
    whole = seams.print_yaml({"schema": "2.0", "stages": stages})
    blocks = split(whole)
    if blocks is None:  # left to DVC: always right
        return
    assert blocks == {name: text.removeprefix("stages:\n") for name, text in printed.items()}
    assert seams.print_yaml(parse_yaml_for_update(whole, "dvc.lock")) == whole


LINES = [
    "      - path: x", "        size: 2", "     size: 3",
    "  a:", "  b:", "  true:", "  '1':", "    cmd: x", "    cmd: 'x'", '    cmd: "x"',
    "    cmd: yes", "    cmd: True", "    cmd: 007", "    cmd: 1_0", "    deps:", "    - path: a",
    "      size: 1", "      md5: 0e1", "# c", "    # c", "    cmd: a # c", "", "    cmd: &a x",
    "    outs: *a", "      x", "    cmd:  x", "    cmd: x ", "    - path:", "    - - a",
    "    p: {a: 1}", "    p: [a]", "   x: 1", "    p: 0.10", "    p: 1e5", "    p: ~",
    "    p: null", "    p:", "    - true", "    - no: x",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::ruamel.yaml.error.ReusedAnchorWarning")
@example(lines=["    deps:", "      x"])
@settings(deadline=None, max_examples=300)
@given(lines=st.lists(st.sampled_from(LINES), min_size=1, max_size=6))
def test_no_file_is_taken_for_dvcs_own_that_is_not(lines: list[str]) -> None:
    text = HEADER + "\n".join(["  first:", "    cmd: x", *lines, ""])
    try:
        content = parse_yaml_for_update(text, "dvc.lock")
    except YAMLFileCorruptedError:
        return  # DVC has read the file before, and refused it
    blocks = split(text)
    if blocks is not None:
        assert seams.print_yaml(content) == text
        assert list(content["stages"]) == list(blocks)


ONE = "  a:\n    cmd: x\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEADER,
        f"stages:\n{ONE}",
        f"{HEADER}{ONE.rstrip()}",
        HEADER.replace("'", '"') + ONE,
        f"{HEADER}# hand-made\n{ONE}",
        f"{HEADER}{ONE}datasets: []\n",
    ],
)
def test_what_is_left_to_dvc(text: str) -> None:
    assert split(text) is None


PIECES = [
    "a: 1\n", "b: [1, x, {c: d}]\n", "c: 010\n", "d: 0o17\n", "e: 1e-3\n", "f: yes\n", "g: ~\n",
    "h: 2024-02-29\n", "i: !!int '3'\n", "j: &x {k: 1}\n", "l: *x\n", "m: {<<: *x, n: 2}\n",
    "o: |\n  p\n   q\n", "r: >-\n  s\n  t\n", "u: 'it''s'\n", 'v: "\\u00e9\\n"\n',
    "w: a b\n  c\n", "? x\n: y\n", "y: 1_000\n", "z: .inf\n", "aa: a:b\n", "bb: 'x' # c\n",
    "cc: !t x\n", "a: 2\n", "dd: http://x/y?z#w\n", "ee: -.5\n", "ff: [a:1, b: 2]\n",
    "gg: {a:1}\n", "hh: \tx\n", "ii: é\n", "jj: 0x1F\n", "kk: +12\n", "ll: 1.\n",
    "mm: 12:30:45\n", "nn: =\n", "oo: 'a\n  b'\n", "---\n", "pp: ${x} > y && z\n", "qq: - x\n",
    "rr: [a, b\n", "ss: -\n", "tt: true\n", "1: 2\n", "'1': 3\n", "uu: \u2028x\n",
    'vv: "a\\/b"\n', 'ww: {"a":1}\n', "xx: 0b11\n", "yy: 12e03\n", "zz: 1e3x\n",
]  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(text=st.lists(st.sampled_from(PIECES), max_size=6).map("".join))
def test_the_quick_reader_reads_what_ruamel_reads(text: str) -> None:
    reader = QuickYaml(parse_yaml)
    assert outcome(reader.parse, text) == outcome(parse_yaml, text)
    assert outcome(reader.parse, text) == outcome(parse_yaml, text)


plain_keys = st.sampled_from(["a", "path", "out/x.d", "True", "nulls", "no", "a@b", "_", "e1", "1"])
plain_texts = st.sampled_from(
    [
        "x",
        "a: b",
        "/x y",
        "no",
        "cat a > b && c",
        "a #b",
        "a#b",
        "true",
        "e5",
        "_1",
        "w " * 34,
        "y" * 79,
    ]
) | st.text("abef01 :#-'.{", max_size=9)
records = st.recursive(
    plain_texts | st.text("0123456789abcdef", min_size=32, max_size=32) | st.integers(-1, 10**17),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(plain_keys, inner, max_size=3)
        | st.dictionaries(plain_keys, inner, max_size=3).map(OrderedDict)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=500)
@given(data=records | values)
def test_the_quick_printer_prints_what_ruamel_prints(data: object) -> None:
    text = text_of(data)
    assert text is None or text == seams.print_yaml(data)


def test_what_the_quick_printer_prints() -> None:
    out = {"path": "out/a", "hash": "md5", "md5": "d" * 32, "size": 2}
    record = {"cmd": "echo 1 > out/a", "deps": [out, {**out, "isexec": 1}], "outs": [{**out}]}
    for data in (record, {"stages": {"one": OrderedDict(record)}}):
        assert text_of(data) == seams.print_yaml(data)
    assert text_of({"deps": [out], "outs": [out]}) is None
    assert text_of({"lr": 0.1}) is None


def test_each_reading_has_values_of_its_own() -> None:
    reader = QuickYaml(parse_yaml)
    first = reader.parse("a: [1]\n", "x")
    first["a"].append(2)
    assert reader.parse("a: [1]\n", "x") == {"a": [1]}


def outcome(parse: Callable[[str, str], object], text: str) -> object:
    try:
        found = parse(text, "x.yaml")
    except Exception as error:  # noqa: BLE001 - whatever it is, both shall raise it
        return type(error)
    return repr(found)
