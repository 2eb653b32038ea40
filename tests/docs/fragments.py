"""Blocks that are pieces of files, held to what reads such files."""

import configparser
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import jsonschema
from dvc.config import Config
from dvc.schema import COMPILED_MULTI_STAGE_SCHEMA
from tests.docs import calls
from tests.docs.blocks import ROOT, Block
from tests.golden import samples

from modelci.config.load import load
from modelci.formats import parse_json, parse_yaml
from modelci.render.markdown import render_comment
from modelci.render.templating import COMMENT, Overrides

# What a reader has already where a piece of a file is shown.
_SETTINGS: Mapping[str, Any] = {"evaluation": {"predictions": "predictions.parquet"}}
_MONITOR = {
    "model": "credit",
    "current": "scored/{window}.csv",
    "labels": {"path": "outcomes/{window}.csv", "join": "id"},
    "performance": {"roc_auc": {"max_drop": 0.03}},
}
_WORKFLOW = {"on": "push", "permissions": {}}
_JOB = {"runs-on": "ubuntu-latest", "steps": [{"run": "true"}]}
_DIGEST = "sha256:" + 64 * "0"  # nobody wants to read one
_PINNED = re.compile(r"uses: +(?:\./\S*|[\w./-]+@(?:[0-9a-f]{40} +# v\S+|COMMIT))(?: .*)?")


def check(block: Block) -> None:
    """Raise what the reader of such a file says."""
    _CHECKS[block.language](block)


def _check_yaml(block: Block) -> None:
    value = parse_yaml(block.text.replace("sha256:…", _DIGEST).encode(), block.name)
    _check_calls(calls.scripts(value))
    for key in reversed(block.place):
        value = {key: value}
    file = block.file or "modelci.yaml"
    for pattern, check in _YAML:
        if re.fullmatch(pattern, file):
            check(value, block)


def _check_calls(scripts: Iterable[str]) -> None:
    wrong = [why for script in scripts for why in calls.problems(script)]
    assert not wrong, "\n".join(wrong)


def _check_settings(value: Any, block: Block) -> None:
    around = {**_SETTINGS, **({"monitor": _MONITOR} if block.place[:1] == ("monitor",) else {})}
    load(json.dumps(filled(value, around)).encode(), source=block.name)


def _check_pipeline(value: Any, block: Block) -> None:
    COMPILED_MULTI_STAGE_SCHEMA(value)


def _check_workflow(value: Any, block: Block) -> None:
    """Ask actionlint, and hold actions of others to a commit and ours to its inputs."""
    for line in re.findall(r"^[\s-]*(uses:.*)$", block.text, re.MULTILINE):
        assert _PINNED.fullmatch(line), f"{line}: pin it to a commit, with its version behind"
    jobs = value.get("jobs") or {"job": {}}
    whole = {
        **_WORKFLOW,
        **value,
        "jobs": {name: filled(jobs[name], _job(jobs[name])) for name in jobs},
    }
    for step in (step for job in whole["jobs"].values() for step in job.get("steps", ())):
        if re.fullmatch(r"[\w-]+/modelci@.*|\./", step.get("uses", "")):
            assert set(step.get("with", {})) <= _inputs(), "action.yml has no such input"
    lint = [str(Path(sys.executable).parent / "actionlint"), "-shellcheck=", "-pyflakes=", "-"]
    done = subprocess.run(
        lint, input=json.dumps(whole), capture_output=True, check=False, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _job(job: Mapping[str, Any]) -> Mapping[str, Any]:
    return {} if "uses" in job else _JOB


@cache
def _inputs() -> frozenset[str]:
    action = parse_yaml((ROOT / "action.yml").read_bytes(), "action.yml")
    return frozenset(action["inputs"])


def _check_gitlab(value: Any, block: Block) -> None:
    _schema("gitlab-ci").validate(value)


@cache
def _schema(name: str) -> Any:
    """One of the schemas that check-jsonschema brings along."""
    text = files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{name}.json"
    return jsonschema.Draft7Validator(json.loads(text.read_text(encoding="utf-8")))


def filled(value: Any, around: Mapping[str, Any]) -> Any:
    """Give a piece what stands around it, where it has none of its own."""
    if not isinstance(value, Mapping):
        return value
    both = {**around, **value}
    for key in around.keys() & value.keys():
        if isinstance(around[key], Mapping):
            both[key] = filled(value[key], around[key])
    return both


def _check_json(block: Block) -> None:
    value = parse_json(block.text.encode(), block.name)
    if isinstance(value, dict) and str(value.get("schema")).startswith("modelci."):
        path = ROOT / "docs/schemas" / f"{value['schema'].replace('/', '-')}.json"
        jsonschema.validate(value, json.loads(path.read_text(encoding="utf-8")))


def _check_toml(block: Block) -> None:
    tomllib.loads(block.text)


def _check_ini(block: Block) -> None:
    if block.file == ".dvc/config":
        with NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(block.text)
            file.flush()
            Config.validate(Config.load_file(file.name))
        return
    unit = configparser.RawConfigParser(strict=False)
    unit.read_string(block.text)
    commands = [
        unit[one][key] for one in unit.sections() for key in unit[one] if key.startswith("exec")
    ]
    _check_calls(commands)


def _check_jinja(block: Block) -> None:
    """Render it as a project's template of comments, with a report."""
    ours = Overrides(folder=".", files={COMMENT: block.text})
    render_comment(samples.proven(), title="x", marker="x", max_bytes=65_000, overrides=ours)


_YAML: Sequence[tuple[str, Callable[[Any, Block], None]]] = (
    (r"(.*/)?modelci\.yaml", _check_settings),
    (r"(.*/)?dvc\.yaml", _check_pipeline),
    (r"(.*/)?workflows/.*\.ya?ml", _check_workflow),
    (r"(.*/)?\.?gitlab.*\.yml", _check_gitlab),
)
_CHECKS: Mapping[str, Callable[[Block], None]] = {
    "ini": _check_ini,
    "jinja": _check_jinja,
    "json": _check_json,
    "toml": _check_toml,
    "yaml": _check_yaml,
}
