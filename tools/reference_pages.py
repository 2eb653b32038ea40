"""The pages of ``docs/reference`` that the code writes: keys, documents, codes, variables."""

import re
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import date
from enum import Enum
from inspect import getdoc
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
from tools.check_links import slug

from modelci.adapters import ci
from modelci.config.keys import meanings
from modelci.config.load import variables
from modelci.config.model import Config
from modelci.documents.schemas import kinds, schemas
from modelci.errors import BLOCKED_EXIT_CODE, UNCLEAR_EXIT_CODE, ModelCIError

NOTE = "<!-- Generated from the code by `make docs`. Do not edit. -->"

# Who writes each document: commands with --json, and files.
WRITERS: Mapping[str, str] = {
    "modelci.run/1": "`modelci run --json`; `.modelci/run.json`",
    "modelci.plan/1": "`modelci plan --json`, `modelci run --dry-run --json`",
    "modelci.report/1": "`modelci report --json`, `modelci ci --json`; `.modelci/report.json`, "
    "a release's `report.json`",
    "modelci.promotion/1": "`modelci promote --json`; `.modelci/promotion.json`",
    "modelci.change/1": "`modelci rollback --json`, `modelci release-hold --json`, "
    "`modelci deregister --json`, `modelci unassign --json`, `modelci deprecate --json`",
    "modelci.verification/1": "`modelci registry verify --json`",
    "modelci.version-check/1": "`modelci verify --json`",
    "modelci.model-signing/1": "`modelci sign --json`",
    "modelci.registry/1": "`modelci registry show --json`; `registry.json` of `modelci site build`",
    "modelci.registry-history/1": "`modelci registry history --json`",
    "modelci.registry-stages/1": "`modelci registry stages --json`",
    "modelci.registry-ref/1": "`modelci registry check-ref --json`",
    "modelci.registry-diff/1": "`modelci registry diff --json`",
    "modelci.examination/1": "`modelci doctor --json`",
    "modelci.history/1": "`modelci history --json`",
    "modelci.golden/1": "`modelci golden`, into the file that `--out` names",
    "modelci.health/1": "the check of a release before it is switched to, as a step of "
    "`modelci deploy --json`; `python -m modelci.serving check`",
    "modelci.scan/1": "`modelci scan --json`",
    "modelci.release/1": "`modelci deploy`, as `release.json` in the folder of a release",
    "modelci.deployment/1": "`modelci deploy --json`; `.modelci/deployment.json`",
    "modelci.deployments/1": "`modelci deployments --json`",
    "modelci.profile/1": "`modelci profile`, into the file that `--out` names",
    "modelci.monitor/1": "`modelci monitor --json`; `.modelci/monitor.json`",
    "modelci.retraining/1": "`modelci retrain`, for `modelci act` in the job that may write",
}

OTHER_CODES: Mapping[int, tuple[str, str]] = {
    0: ("fine", "What was asked for is done, and no gate blocks."),
    BLOCKED_EXIT_CODE: ("verdict", "A gate failed, or drift was found: a verdict and no error."),
    UNCLEAR_EXIT_CODE: (
        "verdict",
        "Nothing blocks but gates that cannot be decided, and that are to fail then.",
    ),
    70: ("bug", "A bug of ours. What it prints can be pasted into an issue: it holds no values."),
    129: ("hung up", "Its terminal was closed (SIGHUP: 128 and the number of the signal)."),
    130: ("interrupted", "Somebody pressed Ctrl-C (SIGINT)."),
    141: ("broken pipe", "Whoever read the output had enough, such as `head`."),
    143: ("ended", "The runner, or somebody, told it to end (SIGTERM)."),
}

VARIABLES: Mapping[str, str] = {
    "MODELCI_SERVE_TOKEN": "bearer token that `modelci serve` asks of its clients",
    "MODELCI_SIGNING_KEY_PEM": "the private key that models are signed with, itself (PEM)",
    "MODELCI_SIGNING_PASSWORD": "opens a private key that is encrypted",
    "MODELCI_TOKEN": "in our workflows the secret that takes the place of `GITHUB_TOKEN`, whose "
    "pushes start no workflow: an app's token, or a person's",
    "MODELCI_WEBHOOK_SECRET": "what the forge's webhook signs with: `modelci deploy --listen`",
}
TO_COMMANDS: Mapping[str, str] = {
    "`MODELCI_BASE`": "`evaluation.rescore.cmd`: folder with the base's files",
    "`MODELCI_OUT`": "`evaluation.rescore.cmd`: file to write predictions to",
    "`MODELCI_WINDOW`": "`monitor.retrain.cmd`: the window's name",
    "`MODELCI_CURRENT`": "`monitor.retrain.cmd`: the window's data",
    "`MODELCI_DEPLOY_…`": "`deploy.targets.NAME.cmd`: see [targets](../targets.md#command)",
}
TERMINAL: Mapping[str, str] = {
    "`NO_COLOR`": "set to anything: no colours, whatever the next two say",
    "`FORCE_COLOR`": "neither empty nor `0`: colours without a terminal too, as in a CI log",
    "`CLICOLOR_FORCE`": "the same",
    "`TERM`": "`dumb`: no colours and no live table",
    "`_MODELCI_COMPLETE`": "[completion](../installing.md#completion) by the shell",
}
FORGES: Mapping[str, str] = {"github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea and Forgejo"}

KEYS = """
`[]` stands for each entry of a list, `NAME` for a name of your choice. Where one entry is the usual
case (`evaluation`, `monitor`) it may stand without the list. A plain setting also comes from a
[variable](environment.md), `MODELCI_SECTION_KEY`. `modelci config show` prints what holds and where
it comes from; [configuration](../configuration.md) explains it, with examples. The [JSON
Schema](../schemas/modelci.yaml.json) tells editors the same.
"""
DOCUMENTS = """
What one job hands to another, and what `--json` prints: JSON that names its schema and version,
`{"schema": "modelci.report/1", …}`. Names are snake_case, numbers unrounded, times UTC in ISO 8601,
and what is not there is `null`. Within a version fields are only added: a reader ignores what it
does not know.
"""
EXIT_CODES = """
Each kind of failure has a code of its own, so that CI can tell a model that got worse from a forge
that refused us. Every error says on stderr what happened and what to do next.
"""
ENVIRONMENT = """
## Secrets

These have no key in `modelci.yaml`: a secret does not belong into Git. No command of the project
sees them, nor any other token of a forge or a runner.
"""
SETTINGS = """\
Each plain setting may come from a variable, which counts more than the file and less than a flag.
What is no text is read as YAML (`true`, `0.5`); an empty variable is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A class of the configuration and where its keys stand, such as ``monitor[].drift``."""

    path: str
    kind: type
    meaning: str

    @property
    def anchor(self) -> str:
        return slug(self.path)


def configuration() -> str:
    """Return the page of every key of ``modelci.yaml``."""
    found = tuple(sections(Config, ""))
    first: dict[type, Section] = {}
    for section in sorted(found, key=lambda one: one.path.count(".")):
        first.setdefault(section.kind, section)
    lines = [*head("Every key of modelci.yaml", KEYS), *key_table(Config, "", first)]
    for section in found:
        if first[section.kind] is section:
            depth = "##" if re.fullmatch(r"\w+(\[\])?|models\.NAME", section.path) else "###"
            lines += ["", f"{depth} `{section.path}`", "", section.meaning, ""]
            lines += key_table(section.kind, section.path, first)
    return "\n".join(lines) + "\n"


def sections(kind: type, path: str) -> Iterator[Section]:
    """Yield what stands below a section, and below that, in the order of the keys."""
    hints = get_type_hints(kind)
    for field in fields(kind):
        where = f"{path}.{field.name}" if path else field.name
        for below, inner in held(hints[field.name], where):
            yield Section(path=below, kind=inner, meaning=meanings()[kind.__name__][field.name])
            yield from sections(inner, below)


def held(hint: Any, path: str) -> Iterator[tuple[str, type]]:
    """Yield the classes that a key's value holds, and where their keys stand."""
    if isinstance(hint, type) and is_dataclass(hint):
        yield path, hint
    elif get_origin(hint) is tuple:
        yield from held(get_args(hint)[0], f"{path}[]")
    elif get_origin(hint) is not None:
        suffix = "" if is_union(hint) else ".NAME"
        for one in get_args(hint):
            yield from held(one, path + suffix)


def key_table(kind: type, path: str, first: Mapping[type, Section]) -> Iterator[str]:
    hints = get_type_hints(kind)
    yield "| key | type | default | means |"
    yield "| --- | --- | --- | --- |"
    for field in fields(kind):
        inner = [section for _, section in held(hints[field.name], path)]
        where = "".join(f" ([keys](#{first[one].anchor}))" for one in inner)
        meaning = meanings()[kind.__name__][field.name]
        kind_of_value = wording(hints[field.name]) + where
        yield f"| `{field.name}` | {kind_of_value} | {default(field)} | {meaning} |"


def wording(hint: Any) -> str:
    """Say what a value may be, in the words of somebody who writes YAML."""
    inner = get_args(hint)
    if is_union(hint):
        parts = [wording(one) for one in inner if one is not types.NoneType]
        return " or ".join(dict.fromkeys(parts))
    if get_origin(hint) is tuple:
        return f"list of {plural(wording(inner[0]))}"
    if inner:
        return f"name → {wording(inner[-1])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return choices(one.value for one in hint)
    return PLAIN.get(hint, "section")


PLAIN: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    date: "date",
    Any: "anything",
}


def plural(words: str) -> str:
    return f"{words}s" if words in {"text", "number", "section"} else words


def is_union(hint: Any) -> bool:
    return get_origin(hint) in {Union, types.UnionType}


def choices(values: Iterable[Any]) -> str:
    return ", ".join(f"`{one}`" for one in values)


def default(field: Field[Any]) -> str:
    """Return a key's default as YAML; nothing where its own keys have theirs."""
    if field.default is MISSING and field.default_factory is MISSING:
        return "required"
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is None or is_dataclass(value):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`".replace('"', "")


def documents() -> str:
    """Return the page of the documents: what each is, who writes it, its fields."""
    lines = [*head("Documents", DOCUMENTS), "| document | is | written by |", "| --- | --- | --- |"]
    found = dict(sorted((name, kind) for kind, name in kinds().items()))
    for name, kind in found.items():
        summary = prose(kind).partition("\n\n")[0].replace("\n", " ")
        lines.append(f"| [`{name}`](#{slug(name)}) | {summary} | {WRITERS[name]} |")
    for name, kind in found.items():
        file = f"{name.replace('/', '-')}.json"
        lines += [
            "",
            f"## `{name}`",
            "",
            prose(kind),
            "",
            f"Schema: [{file}](../schemas/{file})",
            "",
        ]
        lines += field_table(schemas()[name.replace("/", "-")])
    return "\n".join(lines) + "\n"


def field_table(schema: Mapping[str, Any]) -> Iterator[str]:
    required = set(schema["required"])
    yield "| field | type | always there |"
    yield "| --- | --- | --- |"
    for name, part in schema["properties"].items():
        always = "yes" if name in required else ""
        yield f"| `{name}` | {json_wording(part, schema['$defs'])} | {always} |"


def json_wording(part: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Say what a part of a JSON Schema lets through."""
    if "const" in part:
        return f"`{part['const']}`"
    if "anyOf" in part:
        return " or ".join(json_wording(one, definitions) for one in part["anyOf"])
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        values = definitions[name].get("enum")
        return choices(values) if values else f"{name}"
    kind = str(part.get("type", "object"))
    if kind == "array":
        return f"array of {json_wording(part['items'], definitions)}" if "items" in part else kind
    inner = part.get("additionalProperties")
    return f"object of {json_wording(inner, definitions)}" if isinstance(inner, dict) else kind


def prose(kind: type) -> str:
    """Return a docstring as Markdown."""
    text = (getdoc(kind) or "").replace("``", "`")
    text = re.sub(r"^The document `[^`]*`[:;] (\w)", lambda found: found[1].upper(), text)
    return text.strip()


def exit_codes() -> str:
    """Return the page of exit codes."""
    rows = {code: (name, text) for code, (name, text) in OTHER_CODES.items()}
    for error in families():
        rows[error.exit_code] = (
            error.__name__.removesuffix("Error").lower(),
            prose(error).partition("\n\n")[0],
        )
    lines = [
        *head("Exit codes", EXIT_CODES),
        "| code | kind | means |",
        "| ---: | --- | --- |",
        *(f"| `{code}` | {name} | {text} |" for code, (name, text) in sorted(rows.items())),
    ]
    return "\n".join(lines) + "\n"


def families() -> Iterator[type[ModelCIError]]:
    """Yield the errors that have an exit code of their own."""
    waiting: list[type[ModelCIError]] = ModelCIError.__subclasses__()
    for error in waiting:
        waiting.extend(error.__subclasses__())
        if "exit_code" in vars(error):
            yield error


def environment() -> str:
    """Return the page of environment variables."""
    tokens = {choices(ci.forge_token_names(forge)): label for forge, label in FORGES.items()}
    secrets = {f"`{name}`": text for name, text in VARIABLES.items()}
    secrets |= {
        names: f"the token for {label}, the first that is set" for names, label in tokens.items()
    }
    settings = {f"`{name}`": key_link(key) for key, name in sorted(variables().items())}
    lines = [
        *head("Environment variables", ENVIRONMENT),
        *two_columns("variable", "holds", secrets),
        *("", "## To a project's own commands", ""),
        *two_columns("variable", "to whom, and what", TO_COMMANDS),
        *("", "## Terminal", ""),
        *two_columns("variable", "does", TERMINAL),
        *("", "## Settings", "", *SETTINGS.splitlines(), ""),
        *two_columns("variable", "sets", settings),
    ]
    return "\n".join(lines) + "\n"


def two_columns(left: str, right: str, rows: Mapping[str, str]) -> list[str]:
    return [f"| {left} | {right} |", "| --- | --- |", *(f"| {a} | {b} |" for a, b in rows.items())]


def head(title: str, text: str) -> list[str]:
    return [f"# {title}", "", NOTE, "", *text.strip().splitlines(), ""]


def key_link(key: str) -> str:
    section = key.rpartition(".")[0]
    anchor = f"#{slug(section)}" if section else ""
    return f"[`{key}`](configuration.md{anchor})"


def decisions(folder: Path) -> str:
    """Return the list of decisions, by their headings."""
    lines = ["# Decisions", "", NOTE, "", *decision_links(sorted(folder.glob("[0-9]*.md")))]
    return "\n".join(lines) + "\n"


def decision_links(pages: Sequence[Path]) -> Iterator[str]:
    for page in pages:
        number, _, title = page.read_text(encoding="utf-8").partition("\n")[0][2:].partition(". ")
        yield f"{number}. [{title}]({page.name})"
