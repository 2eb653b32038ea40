"""What the snapshot reader makes of files that anybody may have written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fakes.trees import MemoryTree, blob_id

from modelci.adapters.dvc.snapshot import DvcSnapshotReader
from modelci.domain.artifacts import Artifact
from modelci.domain.changes import DataKind, ValueKey
from modelci.domain.metrics import MetricKey, NonFinite
from modelci.domain.snapshot import Snapshot
from modelci.errors import ConfigError

LAUGHS = "\n".join(
    ["a0: &a0 {x: 1, y: 2}"] + [f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}" for n in range(1, 40)]
)


def read(files: dict[str, str | bytes]) -> Snapshot:
    return DvcSnapshotReader(Path("/nowhere"), config_folders=()).read(MemoryTree(files))


def metrics_of(path: str, data: str | bytes) -> Snapshot:
    return read({"dvc.yaml": f"metrics: [{path}, good.json]", path: data, "good.json": '{"x": 1}'})


def test_nothing_is_an_empty_snapshot() -> None:
    assert read({}) == Snapshot()


def test_it_reads_in_few_goes() -> None:
    files = {
        f"p{n}/dvc.yaml": "vars: [v.yaml]\nstages: {a: {cmd: x, deps: [d], metrics: [m.json]}}"
        for n in range(20)
    }
    files |= {f"p{n}/{name}": "{}" for n in range(20) for name in ("v.yaml", "d", "m.json")}
    tree = MemoryTree(files)
    DvcSnapshotReader(Path("/nowhere")).read(tree)
    assert tree.reads <= 4


def test_what_a_revision_changes_of_dvc_s_files_counts_from_there_on() -> None:
    dvc = "vars: [v.yaml]\nmetrics: ['${name}.json']"
    first = {"dvc.yaml": dvc, "v.yaml": "name: a", "a.json": '{"x": 1}', "b.json": '{"x": 2}'}
    commits = [
        first,
        first | {"a.json": '{"x": 3}'},
        first | {"v.yaml": "name: b"},
        first | {"v.yaml": "name: b", "params.yaml": "name: c"},
        first | {"dvc.yaml": "metrics: [a.json, b.json]"},
        first | {"sub/dvc.yaml": "metrics: [m.json]", "sub/m.json": '{"x": 4}'},
        first,
    ]
    reader = DvcSnapshotReader(Path("/nowhere"), config_folders=())
    found = reader.metrics(MemoryTree(files) for files in commits)
    assert [
        None if isinstance(one, ConfigError) else {key.path: value for key, value in one.items()}
        for one in found
    ] == [
        {"a.json": 1},
        {"a.json": 3},
        {"b.json": 2},
        None,  # both files of variables say what the name is
        {"a.json": 1, "b.json": 2},
        {"a.json": 1, "sub/m.json": 4},
        {"a.json": 1},
    ]


def test_importing_it_imports_neither_dvc_nor_what_is_seldom_needed() -> None:
    code = (
        "import sys, modelci.adapters.dvc.snapshot;"
        "print({'dvc', 'configobj', 'pathspec', 'platformdirs', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"


@pytest.mark.parametrize(
    ("data", "note"),
    [
        ('{"a": 1,\n  b}', "m.json:2:3 cannot be read: Expecting property name"),
        ("", "m.json is empty"),
        (b"\xff\xfe\x00", "m.json cannot be read"),
        (b"\x89PNG\r\n\x1a\n\0\0", "m.json"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "m.json"),
        ('{"a":' * 300 + "1" + "}" * 300, "m.json was left out: it holds more than 200 levels"),
        ("<<<<<<< ours\n{}", "m.json:1 holds a merge conflict"),
        ("1" * 5000, "m.json cannot be read"),
    ],
)
def test_a_broken_metrics_file_hides_no_other(data: str | bytes, note: str) -> None:
    found = metrics_of("m.json", data)
    assert found.notes[0].startswith(note)
    assert found.metrics == {MetricKey(path="good.json", name="x"): 1.0}


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        "a: &a {x: *a}",
        "a: &a [*a]",
        "[" * 100_000,
        "- " * 100_000 + "x",
        "x: !!bool maybe",
        "x: !!timestamp never",
        "x: !!python/object/apply:os.system [ls]",
        "x: !!int ''",
        "{[a]: 1}",
        "\x01",
    ],
)
def test_no_yaml_harms_the_rest(data: str) -> None:
    found = metrics_of("m.yaml", data)
    assert found.metrics == {MetricKey(path="good.json", name="x"): 1.0}


@pytest.mark.parametrize("data", ["a: &a [*a]", "l: &l [*m]\nm: &m [1]\nn: [*l]", LAUGHS])
def test_no_params_file_harms_the_rest(data: str) -> None:
    found = read({"dvc.yaml": "params: [p.yaml, q.yaml]", "p.yaml": data, "q.yaml": "x: 1"})
    assert found.params[ValueKey(path="q.yaml", name="x")] == 1


def test_odd_numbers_and_names_survive() -> None:
    text = (
        '{"nan": NaN, "inf": Infinity, "big": 1' + "0" * 400 + ', "minus": -1e999,'
        ' "a.b|`c`\\n<d>": 1, "half \\ud800": 2, "t": "half \\ud800", "flag": true}'
    )
    found = metrics_of("m.json", text)
    values = {key.name: value for key, value in found.metrics.items() if key.path == "m.json"}
    assert values == {
        "nan": NonFinite.NAN,
        "inf": NonFinite.INFINITY,
        "big": NonFinite.INFINITY,
        "minus": NonFinite.MINUS_INFINITY,
        "a.b|`c`\n<d>": 1.0,
        "half ?": 2.0,
    }
    assert found.texts == {
        ValueKey(path="m.json", name="t"): "half ?",
        ValueKey(path="m.json", name="flag"): True,
    }


def test_of_metrics_of_one_name_the_first_counts() -> None:
    found = metrics_of("m.json", '{"a.b": 1, "a": {"b": 2}}')
    assert found.metrics[MetricKey(path="m.json", name="a.b")] == 1
    assert found.notes == ("m.json has metrics of one name, the first counts: a.b",)


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest/meta-data", "https://evil.example/m.json", "s3://b/m.json"],
)
def test_no_address_is_asked_for(url: str) -> None:
    text = (
        f'metrics: ["{url}"]\nparams: ["{url}"]\nplots: ["{url}"]\n'
        f'artifacts: {{a: {{path: "{url}", type: model}}}}\n'
        f'stages: {{s: {{cmd: x, deps: ["{url}"], outs: ["{url}"], metrics: ["{url}"]}}}}'
    )
    tree = MemoryTree({"dvc.yaml": text, "d.dvc": f'outs: [{{path: "{url}", md5: abc}}]'})
    found = DvcSnapshotReader(Path("/nowhere"), config_folders=()).read(tree)  # without sockets
    assert tree.asked <= {"dvc.yaml", "dvc.lock", "d.dvc", "params.yaml"}
    assert not found.metrics


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "~/.netrc",
        "a/../../b",
        ".git/config",
        "x/../.GIT/config",
        ".dvc/config.local",
        "C:\\\\x",
        "a\\0b",
    ],
)
def test_no_path_leads_out_or_to_secrets(path: str) -> None:
    tree = MemoryTree(
        {
            "dvc.yaml": f'metrics: ["{path}"]\nparams: ["{path}"]\n'
            f'artifacts: {{a: {{path: "{path}"}}}}\n'
            f'stages: {{s: {{cmd: x, deps: ["{path}"], outs: ["{path}"], metrics: ["{path}"]}}}}',
            "dvc.lock": f'stages: {{s: {{cmd: x, outs: [{{path: "{path}", md5: abc}}]}}}}',
            "d.dvc": f'outs: [{{path: "{path}", md5: abc}}]',
        }
    )
    found = DvcSnapshotReader(Path("/nowhere"), config_folders=()).read(tree)
    assert tree.asked <= {"dvc.yaml", "dvc.lock", "d.dvc", "params.yaml"}
    assert not found.tracked
    assert any("lies outside of the repository" in note for note in found.notes)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("dvc.yaml", "stages:\n  a:\n    deps: [x]", r"dvc\.yaml:2: `stages.a.cmd` is missing"),
        ("dvc.yaml", "stages: [a]", r"dvc\.yaml:1: `stages` must be a mapping, not a list"),
        ("dvc.yaml", "x: 1\nstages:\n  1: {cmd: x}", r"dvc\.yaml:2: `stages` has the key 1"),
        ("dvc.yaml", "stages: {a: 1}", "`stages.a` must be a mapping, not 1"),
        ("dvc.yaml", "stages: {a: {cmd: 1}}", "`stages.a.cmd` must be text, not 1"),
        ("dvc.yaml", "stages: {a: {cmd: [{}]}}", r"`stages.a.cmd\[0\]` must be text"),
        ("dvc.yaml", "stages: {a: {cmd: x, deps: [1]}}", r"`stages.a.deps\[0\]` must be text"),
        ("dvc.yaml", "stages: {a: {cmd: x, outs: [{o: 1}]}}", r"`stages.a.outs\[0\].o` must"),
        ("dvc.yaml", "stages: {a: {cmd: x, params: [{p: k}]}}", r"params\[0\].p` must be a list"),
        ("dvc.yaml", "stages: {a: {cmd: x, wdir: 1}}", "`stages.a.wdir` must be text"),
        ("dvc.yaml", "stages: {a: {cmd: x, vars: [1]}}", r"`stages.a.vars\[0\]` must be a file"),
        ("dvc.yaml", "stages: {a: {foreach: 1, do: {cmd: x}}}", "`stages.a.foreach` must be"),
        ("dvc.yaml", "stages: {a: {matrix: [1], cmd: x}}", "`stages.a.matrix` must be"),
        ("dvc.yaml", "metrics: x", "`metrics` must be a list, not text"),
        ("dvc.yaml", "artifacts: {a: {}}", "`artifacts.a.path` must be text, not nothing"),
        ("dvc.yaml", "artifacts: {a: {path: x, labels: {}}}", "`artifacts.a.labels` must be"),
        ("dvc.yaml", "- x", r"dvc\.yaml: must be a mapping, not a list|dvc\.yaml"),
        ("dvc.yaml", "a: &a [*a]", "nested more than 100 levels"),
        ("dvc.yaml", LAUGHS, "expands to more than"),
        ("dvc.yaml", "a: 1\n b: 2", r"dvc\.yaml:2:\d+ cannot be read"),
        ("dvc.yaml", "<<<<<<< ours\n", r"dvc\.yaml:1 holds a merge conflict"),
        ("params.yaml", "a: [", r"params\.yaml:\d+:\d+ cannot be read"),
        ("params.yaml", "- a", r"params\.yaml, which holds a list"),
        ("dvc.lock", "stages: []", r"dvc\.lock:1: `stages` must be a mapping"),
        ("dvc.lock", "stages: {a: {outs: x}}", r"`stages.a.outs` must be a list"),
        ("dvc.lock", "stages: {a: {outs: [{md5: 1}]}}", r"`stages.a.outs\[0\].path` must be text"),
        ("dvc.lock", "stages: {a: {params: [x]}}", "`stages.a.params` must be a mapping"),
        ("dvc.lock", "stages:\n  a: 1\n=======\n<<<<<<< x\n", r"dvc\.lock:4 holds a merge"),
        ("x.dvc", "outs: 3", r"x\.dvc:1: `outs` must be a list, not 3"),
        ("x.dvc", "outs: [3]", r"x\.dvc:1: `outs\[0\]` must be a mapping, not 3"),
        ("x.dvc", "wdir: []", r"x\.dvc:1: `wdir` must be text"),
    ],
)
def test_dvc_s_own_files_must_be_right(file: str, text: str, message: str) -> None:
    files: dict[str, str | bytes] = {"dvc.yaml": "stages: {}", file: text}
    with pytest.raises(ConfigError, match=message):
        read(files)


def test_loops_without_end_are_refused() -> None:
    axes = ", ".join(f"a{n}: [1,2,3,4,5,6,7,8,9]" for n in range(12))
    with pytest.raises(ConfigError, match="grows without bounds"):
        read({"dvc.yaml": f"stages: {{a: {{matrix: {{{axes}}}, cmd: x}}}}"})


shapes = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.sampled_from(["x", "${x}", "params.yaml", "../x", "", "a:b", "s3://b/k", "sub", "md5"]),
        st.text(max_size=3),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                """stages vars metrics params plots artifacts cmd deps outs foreach do matrix wdir
                path type labels meta cache hash md5 size nfiles files relpath schema a x""".split()
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


@given(
    project=shapes,
    stage=shapes,
    entry=shapes,
    out=shapes,
    params=shapes,
)
def test_any_shape_is_read_or_refused(
    project: object, stage: object, entry: object, out: object, params: object
) -> None:
    sections = project if isinstance(project, dict) else {}
    whole = {**sections, "stages": {"a": stage, "b": {"cmd": "x", "outs": ["o"]}}}
    lock = {"schema": "2.0", "stages": {"a": entry, "b": {"cmd": "x", "outs": [out]}}}
    for dvc_yaml in (project, whole):
        try:
            read(
                {
                    "dvc.yaml": json.dumps(dvc_yaml),
                    "dvc.lock": json.dumps(lock),
                    "d.dvc": json.dumps({"outs": [out]}),
                    "params.yaml": json.dumps(params),
                }
            )
        except ConfigError:
            continue


def test_stages_have_dvc_s_addresses_and_a_settled_order() -> None:
    found = read(
        {
            "dvc.yaml": "stages: {b: {cmd: [x, y], deps: [d, c], outs: [p, o]}}",
            "sub/dvc.yaml": "stages: {a: {cmd: x, wdir: .., params: [k, {q.yaml: }],"
            " frozen: true}}",
        }
    )
    assert [(s.name, s.cmd, s.deps, s.params, s.outs, s.frozen) for s in found.stages] == [
        ("b", ("x", "y"), ("c", "d"), (), ("o", "p"), False),
        ("sub/dvc.yaml:a", ("x",), (), ("params.yaml:k", "q.yaml"), (), True),
    ]


def test_artifacts_are_named_as_tags_name_them() -> None:
    text = "artifacts: {'${n}': {path: 'm/${n}.pkl', type: model, labels: [x], meta: {k: 1}}}"
    found = read(
        {"dvc.yaml": "vars: [{n: a}]\n" + text, "sub/in/dvc.yaml": "vars: [{n: b}]\n" + text}
    )
    assert found.artifacts == (
        Artifact(name="a", path="m/a.pkl", type="model", labels=("x",), meta={"k": 1}),
        Artifact(
            name="sub/in:b", path="sub/in/m/b.pkl", type="model", labels=("x",), meta={"k": 1}
        ),
    )


def test_kinds_are_as_declared_else_by_name() -> None:
    outs = ["a.pkl", "models/b", "c.csv", "d", "e", "f", "g/h"]
    listed = ", ".join(f"{{path: {out}, md5: {'0' * 32}, hash: md5}}" for out in outs)
    found = read(
        {
            "dvc.yaml": f"stages: {{s: {{cmd: x, outs: [{', '.join(outs)}]}}}}\n"
            "plots: [{d: {x: i}}, {n: {y: {e: col}}}]\n"
            "artifacts: {m: {path: f, type: model}, n: {path: g/h/i.bin, type: model}}",
            "dvc.lock": f"schema: '2.0'\nstages: {{s: {{cmd: x, outs: [{listed}]}}}}",
        }
    )
    assert {path: one.kind for path, one in found.tracked.items()} == {
        "a.pkl": DataKind.MODEL,
        "models/b": DataKind.MODEL,
        "c.csv": DataKind.DATA,
        "d": DataKind.PLOTS,
        "e": DataKind.PLOTS,
        "f": DataKind.MODEL,
        "g/h": DataKind.MODEL,
    }


def test_imports_links_and_listed_folders_are_tracked() -> None:
    found = read(
        {
            "data/x.csv.dvc": "deps: [{path: x.csv, repo: {url: u}}]\n"
            "outs: [{path: x.csv, md5: 11111111111111111111111111111111, hash: md5, size: 5}]",
            "old.dvc": "outs: [{path: old, md5: abc.dir, nfiles: 2}]",
            "cloud.dvc": "outs: [{path: cloud, hash: md5, files: ["
            "{relpath: a, md5: 0cc175b9c0f1b6a831c399e269772661, size: 1, etag: x},"
            "{relpath: b, md5: 92eb5ffee6ae2fec3ad71c777531578f, size: 2}]}]",
            "run.dvc": "cmd: make\nouts: [{path: made, md5: abc}]",
        }
    )
    assert {
        path: (one.hash, one.hash_name, one.bytes, one.files) for path, one in found.tracked.items()
    } == {
        "cloud": ("5b94ef7ba4840901cc23311660411a1d.dir", "md5", 3, 2),
        "data/x.csv": ("1" * 32, "md5", 5, None),
        "made": ("abc", "md5-dos2unix", None, None),
        "old": ("abc.dir", "md5-dos2unix", None, 2),
    }
    assert [(stage.name, stage.cmd) for stage in found.stages] == [("run.dvc", ("make",))]


def test_locks_are_named_by_their_blobs() -> None:
    text = "schema: '2.0'\nstages: {}\n"
    assert read({"dvc.lock": text, "sub/dvc.lock": text}).locks == {
        "dvc.lock": blob_id(text.encode()),
        "sub/dvc.lock": blob_id(text.encode()),
    }


def test_a_metrics_file_may_be_a_link() -> None:
    found = read({"dvc.yaml": "metrics: [m.json]", "m.json": "in/n.json", "in/n.json": '{"x": 1}'})
    assert found.metrics == {MetricKey(path="m.json", name="x"): 1.0}


def test_links_in_a_ring_end() -> None:
    lock = (
        "schema: '2.0'\nstages: {s: {cmd: x, deps: [{path: a, hash: md5, md5: abc},"
        " {path: a/x, hash: md5, md5: abc}]}}"
    )
    found = read(
        {"dvc.yaml": "stages: {s: {cmd: x, deps: [a, a/x]}}", "dvc.lock": lock, "a": "b", "b": "a"}
    )
    assert found.stale == {"s": ("dependency a differs",)}


@pytest.mark.parametrize("path", ["lib", "lib/x.py"])
def test_a_submodule_raises_no_alarm(path: str) -> None:
    lock = (
        f"schema: '2.0'\nstages: {{s: {{cmd: x, deps: [{{path: {path}, hash: md5, md5: abc}}]}}}}"
    )
    files: dict[str, str | bytes] = {
        "dvc.yaml": f"stages: {{s: {{cmd: x, deps: [{path}]}}}}",
        "dvc.lock": lock,
    }
    assert read(files).stale == {
        "s": (f"dependency {path} is missing: neither in Git nor tracked by DVC",)
    }
    assert read({**files, ".gitmodules": '[submodule "l"]\n\tpath = lib\n\turl = x\n'}).stale == {}


def test_large_files_in_git_are_not_hashed() -> None:
    lock = "{path: big, hash: md5, md5: abc, size: 99999999999}"
    tree = MemoryTree(
        {
            "dvc.yaml": "stages: {s: {cmd: x, deps: [big]}}",
            "dvc.lock": f"schema: '2.0'\nstages: {{s: {{cmd: x, deps: [{lock}]}}}}",
            "big": "x",
        }
    )
    found = DvcSnapshotReader(Path("/nowhere")).read(tree)
    assert (found.stale, found.notes) == (
        {},
        ("big is large: it was not compared with dvc.lock",),
    )
    assert "big" not in tree.asked


@pytest.mark.parametrize(
    ("actual", "locked", "stale"),
    [
        (".nan", ".nan", False),
        ("[1, [2.0]]", "[1.0, [2]]", False),
        ("{a: .nan}", "{a: .nan}", False),
        ("{a: 1}", "{a: 1, b: 2}", True),
        ("true", "1", False),
        ("'1'", "1", True),
        ("null", "0", True),
    ],
)
def test_params_are_compared_by_value(actual: str, locked: str, *, stale: bool) -> None:
    found = read(
        {
            "params.yaml": f"k: {actual}",
            "dvc.yaml": "stages: {s: {cmd: x, params: [k]}}",
            "dvc.lock": "stages: {s: {cmd: x, params: {params.yaml: {k: %s}}}}" % locked,  # noqa: UP031
        }
    )
    assert bool(found.stale) is stale


def test_dates_of_toml_are_compared_with_their_text() -> None:
    lock = "schema: '2.0'\nstages: {s: {cmd: x, params: {p.toml: {day: 2020-01-02}}}}"
    files: dict[str, str | bytes] = {
        "dvc.yaml": "stages: {s: {cmd: x, params: [{p.toml: [day]}]}}",
        "dvc.lock": lock,
    }
    assert read({**files, "p.toml": "day = 2020-01-02"}).stale == {}
    assert read({**files, "p.toml": "day = 2020-01-03"}).stale == {
        "s": ("param day of p.toml is 2020-01-03, dvc.lock has 2020-01-02",)
    }
