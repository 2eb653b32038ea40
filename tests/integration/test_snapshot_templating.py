"""Whatever a ``dvc.yaml`` says, we resolve it to the stages that DVC itself sees."""

import contextlib
import json
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import DvcException
from dvc.parsing import DataResolver
from dvc.repo import Repo
from dvc.utils.serialize import parse_yaml as dvc_parse_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fakes.trees import MemoryTree
from tests.integration.dvcproject import Project

from modelci.adapters.dvc.cache import DvcSettings
from modelci.adapters.dvc.contents import Parser
from modelci.adapters.dvc.files import Files, find_layout
from modelci.adapters.dvc.project import Stage
from modelci.adapters.dvc.revision import Revision, load_revision
from modelci.adapters.dvc.shape import ShapeError
from modelci.adapters.dvc.templating import Context, Dialect, World, generate_stages
from modelci.errors import ConfigError
from modelci.formats import parse_yaml

PARAMS = """\
lr: 1e-3
name: a name's
flag: true
off: false
nothing: null
count: 010
models: [hgb, logreg, 3, true, null, 2.50]
deep:
  list: [{a: 1}, {a: two}]
  "key with space": x
  opts: {lr: 0.1, text: it's, flag: true, off: false, many: [1, "b c", true], nested: {x: y}}
grid: {one: {lr: 1}, two: {lr: 2}}
"""

RESOLVED = {
    "plain": "stages: {a: {cmd: echo, deps: [x], outs: [y]}}",
    "types": """
stages:
  a:
    cmd: echo ${lr} ${name} ${flag} ${nothing} ${count} ${deep.list[1].a} ${ deep.list[0].a }
    frozen: true
    outs: ["out-${lr}"]
""",
    "whole value": "stages: {a: {cmd: '${name}', desc: '${name}', meta: '${lr}'}}",
    "options": "stages: {a: {cmd: 'run ${deep.opts} end'}}",
    "escaped": r"stages: {a: {cmd: 'echo \${lr} ${lr} \${HOME} $HOME'}}",
    "odd names": "stages: {a: {cmd: 'echo ${deep.key with space}'}}",
    "command list": "stages: {a: {cmd: ['echo ${lr}', 'ls ${name}']}}",
    "foreach list": """
stages:
  a:
    foreach: ${models}
    do: {cmd: 'echo ${item} ${lr}', outs: ['o-${item}']}
""",
    "foreach inline": """
stages:
  a: {foreach: [1, true, x, null, '${flag}'], do: {cmd: 'echo ${item}'}}
""",
    "foreach of mappings": """
stages:
  a: {foreach: '${deep.list}', do: {cmd: 'echo ${item.a}', frozen: true}}
  b: {foreach: [{x: 1}, 7], do: {cmd: 'echo'}}
""",
    "foreach mapping": """
stages:
  a: {foreach: '${grid}', do: {cmd: 'echo ${key} ${item.lr}', params: ['grid.${key}.lr']}}
  b: {foreach: {2: {x: 2}, true: {x: 3}}, do: {cmd: 'echo ${key} ${item.x}'}}
""",
    "matrix": """
stages:
  a:
    matrix: {model: '${models}', size: [1, 2.5, {x: 1}], on: [true, '${flag}']}
    cmd: echo ${item.model} ${item.on} ${key}
    outs: ['${key}.bin']
""",
    "vars": """
vars: [{extra: {x: 1}}, {where: sub}, more.json, 'some.yaml:b', 'sub/in.toml']
stages:
  a: {cmd: 'echo ${extra.x} ${extra.y} ${b} ${toml.x}', vars: [{own: 5}, 'some.yaml:c']}
  b: {cmd: 'echo ${own[0]}', vars: [{own: [1]}], wdir: sub}
  c: {cmd: 'echo ${here} ${d}', vars: [here.yaml, {d: 1}], wdir: '${where}', deps: [../x, ./y]}
""",
    "python vars": "vars: [conf.py]\nstages: {a: {cmd: 'echo ${LR} ${Train.depth} ${Train.name}'}}",
    "outs": """
stages:
  a:
    cmd: echo
    deps: [x, ./y/../z, sub/dir/]
    outs: [{'${name}.bin': {cache: false}}, plain, {p: {persist: true}}]
    metrics: [{m.json: {cache: false}}, n.json]
    plots: [{p.csv: {cache: false, x: a}}, q.csv]
""",
    "params": """
stages:
  a: {cmd: echo, params: [lr, deep.opts.lr, {other.yaml: [b]}, {more.json: }, {other.yaml: [c]}]}
  b: {cmd: echo, params: [lr, {params.yaml: null}], wdir: .}
  c: {cmd: echo, params: [{params.yaml: [lr]}, count]}
""",
    "empty": "",
    "no stages": "metrics: [m.json]\nparams: [other.yaml]\n",
}
OTHERS = {
    "more.json": '{"extra": {"y": 2}}',
    "some.yaml": "b: 1\nc: 2\n",
    "other.yaml": "b: 1\nc: 2\n",
    "sub/in.toml": "[toml]\nx = 1.5\n",
    "sub/here.yaml": "here: there\n",
    "conf.py": """\
LR = 1e-3
class Train:
    depth: int = 3
    def __init__(self):
        self.name = 'x'
""",
}
REFUSED = {
    "unknown": "stages: {a: {cmd: 'echo ${nowhere}'}}",
    "through a value": "stages: {a: {cmd: 'echo ${lr.x}'}}",
    "beyond a list": "stages: {a: {cmd: 'echo ${models[9]}'}}",
    "no number": "stages: {a: {cmd: 'echo ${models[x]}'}}",
    "list in a text": "stages: {a: {cmd: 'echo ${models}'}}",
    "mapping in deps": "stages: {a: {cmd: echo, deps: ['${grid}']}}",
    "empty expression": "stages: {a: {cmd: 'echo ${}'}}",
    "broken expression": "stages: {a: {cmd: 'echo ${a..b}'}}",
    "open bracket": "stages: {a: {cmd: 'echo ${models[0}'}}",
    "foreach of a text": "stages: {a: {foreach: '${name}', do: {cmd: echo}}}",
    "item outside": "stages: {a: {cmd: 'echo ${item}'}}",
    "vars redefined": "vars: [{lr: 5}]\nstages: {a: {cmd: echo}}",
    "vars merged twice": "vars: [{grid: {one: {lr: 3}}}]\nstages: {a: {cmd: echo}}",
    "vars without file": "vars: [none.yaml]\nstages: {a: {cmd: echo}}",
    "vars without key": "vars: ['some.yaml:z']\nstages: {a: {cmd: echo}}",
    "vars twice": "vars: ['some.yaml:b', some.yaml]\nstages: {a: {cmd: echo}}",
    "vars of params": "vars: ['params.yaml:lr']\nstages: {a: {cmd: echo}}",
    "vars with expression": "vars: [{x: '${lr}'}]\nstages: {a: {cmd: echo}}",
    "loop's name": "stages: {a: {foreach: [1], do: {cmd: echo, vars: [{item: 2}]}}}",
    "no command": "stages: {a: {deps: [x]}}",
    "stages is a list": "stages: [a]",
    "number as name": "stages: {1: {cmd: echo}}",
    "deps is text": "stages: {a: {cmd: echo, deps: x}}",
    "dep is a mapping": "stages: {a: {cmd: echo, deps: [{x: y}]}}",
    "vars is a mapping": "vars: {a: 1}\nstages: {a: {cmd: echo}}",
    "nested lists": "vars: [{o: {l: [[1]]}}]\nstages: {a: {cmd: 'x ${o}'}}",
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    project = Project.create(tmp_path_factory.mktemp("templating") / "repo")
    for path, text in {"params.yaml": PARAMS, **OTHERS}.items():
        project.put(path, text)
    with contextlib.chdir(project.root):
        yield project


@pytest.mark.parametrize("name", RESOLVED)
def test_stages_are_dvc_s(project: Project, name: str) -> None:
    text = RESOLVED[name]
    project.put("dvc.yaml", text)
    ours = {
        stage.name: described(stage) for stage, _ in loaded({**texts(), "dvc.yaml": text}).stages()
    }
    assert ours == by_dvc(project.root)


@pytest.mark.parametrize("name", REFUSED)
def test_what_dvc_refuses_is_refused(project: Project, name: str) -> None:
    text = REFUSED[name]
    project.put("dvc.yaml", text)
    with pytest.raises(DvcException):
        by_dvc(project.root)
    with pytest.raises(ConfigError, match=r"dvc\.yaml"):
        loaded({**texts(), "dvc.yaml": text})


def test_files_of_subfolders_have_their_own_params(tmp_path: Path) -> None:
    project = Project.create(tmp_path / "repo")
    files = {
        "params.yaml": "x: top\n",
        "dvc.yaml": "stages: {a: {cmd: 'echo ${x}', outs: [o]}}",
        "sub/params.yaml": "x: below\n",
        "sub/dvc.yaml": (
            "stages: {a: {cmd: 'echo ${x}', params: [x], deps: [../o], outs: [m/n]},"
            " b: {cmd: ls, wdir: deeper/.., deps: [q]}}"
        ),
        "deep/er/dvc.yaml": "stages: {a: {foreach: [1], do: {cmd: 'echo ${item}', wdir: ..}}}",
    }
    for path, text in files.items():
        project.put(path, text)
    with contextlib.chdir(project.root):
        ours = {stage.name: described(stage) for stage, _ in loaded(files).stages()}
        assert ours == by_dvc(project.root)


def test_settings_say_how_options_are_written(project: Project) -> None:
    text = "stages: {a: {cmd: 'run ${deep.opts}'}}"
    project.put("dvc.yaml", text)
    config = project.root / ".dvc" / "config"
    config.write_text("[parsing]\n    bool = boolean_optional\n    list = append\n")
    try:
        ours = loaded({**texts(), "dvc.yaml": text}, project.root).stages()
        assert {stage.name: described(stage) for stage, _ in ours} == by_dvc(project.root)
    finally:
        config.write_text("")


scalars = st.one_of(
    st.booleans(),
    st.none(),
    st.integers(-5, 99),
    st.sampled_from([0.5, 1e-5, 2.0, 1e20]),
    st.text("ab '\"$\\{}x-é", max_size=5),
)
names = st.sampled_from(["a", "b", "c", "item", "key", "lr"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=6,
)
expressions = st.builds(
    lambda parts: "${" + "".join(parts).removeprefix(".") + "}",
    st.lists(
        st.sampled_from([".a", ".b", ".c", ".item", ".key", ".lr", "[0]", "[1]", ".0", "[-1]"]),
        min_size=1,
        max_size=3,
    ),
)
templates = st.one_of(
    expressions,
    st.lists(st.one_of(expressions, st.text("ab ${}\\[]", max_size=4)), min_size=1, max_size=3).map(
        "".join
    ),
)
stages = st.one_of(
    st.fixed_dictionaries({"cmd": templates}, optional={"outs": st.lists(templates, max_size=2)}),
    st.fixed_dictionaries(
        {
            "foreach": st.one_of(
                expressions, st.lists(st.one_of(scalars, expressions), max_size=3)
            ),
            "do": st.fixed_dictionaries({"cmd": templates, "desc": templates}),
        }
    ),
    st.fixed_dictionaries(
        {
            "matrix": st.dictionaries(
                names, st.one_of(expressions, st.lists(scalars, max_size=2)), min_size=1, max_size=2
            ),
            "cmd": templates,
        }
    ),
)


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(variables=st.dictionaries(names, values, max_size=4), stage=stages)
def test_any_template_resolves_as_with_dvc(
    project: Project, variables: dict[str, Any], stage: dict[str, Any]
) -> None:
    text = json.dumps({"vars": [variables], "stages": {"s": stage}})
    resolver = Resolver(project.root)
    try:
        theirs = resolver(text)
    except AssertionError:  # DVC cannot have a loop over an empty text
        return
    except (DvcException, TypeError):  # the latter where DVC itself stumbles
        with pytest.raises(ShapeError):
            resolved(text)
        return
    assert resolved(text) == theirs


class Resolver:
    """DVC's own, on a folder without params.yaml."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, text: str) -> dict[str, Any]:
        found: dict[str, Any] | None = DataResolver(
            REPO.of(self.root), str(self.root / "nowhere"), dvc_parse_yaml(text, "dvc.yaml")
        ).resolve()["stages"]
        return found or {}


class _Repos:
    def __init__(self) -> None:
        self._known: dict[Path, Repo] = {}

    def of(self, root: Path) -> Repo:
        if root not in self._known:
            self._known[root] = Repo(str(root))
        return self._known[root]


REPO = _Repos()


def resolved(text: str) -> dict[str, Any]:
    data = parse_yaml(text.encode(), "dvc.yaml")

    def load(path: str) -> object:
        raise KeyError(path)

    context = Context.of_file(World(load=load, dialect=Dialect), "", data["vars"])
    return {
        generated.name: generated.fields
        for name, definition in data["stages"].items()
        for generated in generate_stages(context, name, definition, "")
    }


def texts() -> dict[str, str]:
    return {"params.yaml": PARAMS, **OTHERS}


def loaded(files: Mapping[str, str], root: Path = Path("nowhere")) -> Revision:
    tree = Files(MemoryTree(files))
    return load_revision(tree, find_layout(tree), Parser(), lambda _: DvcSettings(root, ()))


def described(stage: Stage) -> dict[str, Any]:
    return {
        "cmd": stage.cmd,
        "deps": [dep.path for dep in stage.deps],
        "params": {file.ref.path: list(file.keys) for file in stage.params},
        "outs": sorted((out.ref.path, str(out.kind), out.cached) for out in stage.outs),
        "frozen": stage.frozen,
        "always_changed": stage.always_changed,
    }


def by_dvc(root: Path) -> dict[str, Any]:
    def relative(path: str) -> str:
        return posixpath.relpath(path, root)

    with Repo(str(root)) as repo:
        return {
            stage.addressing: {
                "cmd": stage.cmd,
                "deps": [relative(dep.fs_path) for dep in stage.deps if dep not in stage.params],
                "params": {relative(dep.fs_path): list(dep.params) for dep in stage.params},
                "outs": sorted(
                    (
                        relative(out.fs_path),
                        "metrics" if out.metric else "plots" if out.plot else "outs",
                        out.use_cache,
                    )
                    for out in stage.outs
                ),
                "frozen": stage.frozen,
                "always_changed": stage.always_changed,
            }
            for stage in repo.index.stages
        }
