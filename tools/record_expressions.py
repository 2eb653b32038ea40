"""Records what GitHub's own evaluator makes of expressions, as tests/e2e/expressions.json.

    npm install --prefix /tmp/github @actions/expressions
    python tools/record_expressions.py /tmp/github      # needs Node 20 or newer

The table holds each expression of our workflows, in several situations, and corners of the
language. A test evaluates all of it anew, without Node: record again when the workflows say
something new.
"""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "tests" / "e2e" / "expressions.json"
# GitHub's package is called from a file of its own, which finds it by the folder it lies in.
PROGRAM = """\
import { readFileSync } from "node:fs";
import { data, Evaluator, Lexer, Parser } from "@actions/expressions";

const { situations, expressions } = JSON.parse(readFileSync(0, "utf8"));
const status = ["success", "failure", "always", "cancelled"];
const known = status.map((name) => ({ name, minArgs: 0, maxArgs: 0, call: () => null }));

function evaluate(expression, situation) {
  const { status: said, ...contexts } = situation;
  const answer = (name) => ({ ...known[0], name, call: () => new data.BooleanData(said[name]) });
  const functions = new Map(status.map((name) => [name, answer(name)]));
  const tokens = new Lexer(expression).lex().tokens;
  const tree = new Parser(tokens, Object.keys(contexts), known).parse();
  const holder = JSON.parse(JSON.stringify(contexts), data.reviver);
  try {
    const value = new Evaluator(tree, holder, functions).evaluate();
    return { value: JSON.parse(JSON.stringify(value, data.replacer)) };
  } catch (error) {
    return { error: error.message };
  }
}

const rows = expressions.map((expression) => ({
  expression,
  results: situations.map((one) => evaluate(expression, one)),
}));
process.stdout.write(JSON.stringify(rows));
"""
CORNERS = """\
'it''s' == 'IT''S'
'' == 0
null == ''
true == 'true'
true == 1
'0' == false
'abc' == 0
' 12 ' == 12
1.50
3 > 2 == true
'B' > 'a'
'10' < '9'
'10' < 9
!'' && !0 && !null
!'false'
'' || 'second'
'first' && 'second'
false && fromJSON('no JSON')
'kept' || fromJSON('no JSON')
github.event.nothing.at.all
github.EVENT.Action
github['event']['action']
inputs.runs-on[0]
fromJSON('[1, 2, 3]')[1]
fromJSON('{"a": {"b": true}}').a.b
contains('Hello', 'ELL')
contains(fromJSON('["push", "schedule"]'), 'PUSH')
startsWith('refs/tags/a', 'refs/TAGS/')
endsWith('a.yml', '.YML')
format('{0} {{1}} {1}', 'a', true)
join(fromJSON('["a", 1, true]'), '+')
join('alone')
(false || true) && (1 == 2 || 'inner')
true || false && false
""".splitlines()


def main() -> None:
    """Ask GitHub's evaluator, and write down what it says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where npm put @actions/expressions")
    folder: Path = parser.parse_args().folder
    program = folder / "evaluate.mjs"
    program.write_text(PROGRAM, encoding="utf-8")
    asked = {"situations": SITUATIONS, "expressions": sorted({*CORNERS, *said_by_files()})}
    done = subprocess.run(
        ["node", program], input=json.dumps(asked), text=True, stdout=subprocess.PIPE, check=True
    )
    about = json.loads((folder / "node_modules/@actions/expressions/package.json").read_text())
    by = f"{about['name']} {about['version']} ({about['license']})"
    rows = json.loads(done.stdout)
    parts = {"by": json.dumps(by), "situations": _lines(SITUATIONS), "rows": _lines(rows)}
    text = ",\n".join(f'"{name}": {part}' for name, part in parts.items())
    TABLE.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")
    sys.stdout.write(f"{len(rows)} expressions in {len(SITUATIONS)} situations\n")


def _lines(rows: list[Any]) -> str:
    """Write a row a line, so that a change shows what it changes."""
    return "[\n" + ",\n".join(json.dumps(row, sort_keys=True) for row in rows) + "\n]"


def said_by_files() -> Iterator[str]:
    """Yield every expression of the action and of the workflows: ours and those we write."""
    folders = (".github/workflows", "src/modelci/templates/init")
    found = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.yml"))]
    files = [file for file in found if file.parent.name == "workflows"]
    for file in (ROOT / "action.yml", ROOT / "setup" / "action.yml", *files):
        yield from _within(yaml.safe_load(file.read_text(encoding="utf-8")))


def _within(value: object, key: object = None) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _within(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _within(one, key)
    elif isinstance(value, str) and "${{" in value:
        yield from (one.strip() for one in re.findall(r"\$\{\{(.*?)\}\}", value))
    elif key == "if" and isinstance(value, str):
        yield value


def _situation(*, went_well: bool, action: str, said: str, **inputs: Any) -> dict[str, Any]:
    repository = {"full_name": "acme/credit", "default_branch": "main"}
    event = {"action": action, "repository": repository}
    if said:
        event |= {"pull_request": {"number": 7}, "workflow_run": {"id": 42, "event": said}}
    outputs = {"outcome": "planned", "stage": "prod", "assignments": '["credit#prod#1"]'}
    outputs |= {"verdict": "passed", "window": "2026-03", "retrain": "true", "folder": ".dvc/cache"}
    told = {"outputs": outputs if went_well else {}}
    names = ("run", "setup", "plan", "install", "dvc", "python", "environment", "promote", "watch")
    return {
        "github": {
            "event": event,
            "event_name": "pull_request",
            "ref": "refs/heads/main",
            "run_attempt": "1",
            "server_url": "https://github.com",
            "sha": "a" * 40,
            "token": "t0ken",
            "workflow": "model",
        },
        "inputs": {"cache": True, "runs-on": "ubuntu-24.04", "timeout-minutes": 360, **inputs},
        "jobs": dict.fromkeys(("run", "promote", "plan", "deploy", "comment", "watch"), told),
        "matrix": {"tag": "credit#prod#1", "python": "3.12"},
        "needs": dict.fromkeys(("run", "promote", "plan", "watch"), told),
        "runner": {"temp": "/runner/temp", "os": "Linux", "arch": "X64"},
        "secrets": {"MODELCI_TOKEN": "own"} if went_well else {},
        "status": {
            "success": went_well,
            "failure": not went_well,
            "always": True,
            "cancelled": False,
        },
        "steps": dict.fromkeys(names, told),
    }


SITUATIONS = [
    _situation(
        went_well=True,
        action="completed",
        said="pull_request",
        tag="credit#prod#7",
        extras="s3",
        prepare="make data",
        **{"writer-runs-on": '["self-hosted", "small"]', "dvc-config": "[core]"},
    ),
    _situation(went_well=False, action="requested", said="push", cache="true"),
    _situation(went_well=False, action="completed", said="", **{"runs-on": '["gpu"]'}),
]


if __name__ == "__main__":
    main()
