import json
from collections.abc import Mapping

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from modelci.config.load import leaves, load
from modelci.config.model import (
    Config,
    ExecutorKind,
    ForgeKind,
    GateConfig,
    RunCache,
)
from modelci.documents.schemas import schemas
from modelci.domain.events import CIContext
from modelci.domain.gates import Rule, Severity, WhenMissing, parse_limit
from modelci.domain.metrics import Direction
from modelci.errors import ConfigError

FULL = b"""\
default_branch: trunk
metrics:
  my_cost: lower
gates:
  - metric: roc_auc
    min: 0.7
    max_drop: 0.01
  - {metric: my_cost, max_increase: "5%", severity: warn, missing: ignore}
run: {pull: true}
report:
  title: Credit
promote:
  assign: [dev, prod]
forge:
  kind: local
"""


@pytest.mark.parametrize("text", [None, b"", b"# nothing\n", b"{}\n", b"---\n"])
def test_without_a_word_in_the_file_everything_is_default(text: bytes | None) -> None:
    loaded = load(text)
    assert loaded.config == Config()
    assert loaded.origins == {}


def test_a_whole_file_is_read() -> None:
    config = load(FULL).config
    assert config.default_branch == "trunk"
    assert config.metrics == {"my_cost": Direction.LOWER}
    assert config.run.pull
    assert not config.run.push
    assert config.promote.assign == ("dev", "prod")
    assert config.forge.kind is ForgeKind.LOCAL
    assert [str(gate) for gate in config.all_gates()] == [
        "roc_auc min 0.7",
        "roc_auc max_drop 0.01",
        "my_cost max_increase 5%",
    ]
    assert config.all_gates()[2].severity is Severity.WARN
    assert config.all_gates()[2].missing is WhenMissing.IGNORE


@pytest.mark.parametrize(
    ("environment", "flags", "pull", "origin"),
    [
        ({}, {}, True, "modelci.yaml:9"),
        ({"MODELCI_RUN_PULL": "false"}, {}, False, "MODELCI_RUN_PULL"),
        ({"MODELCI_RUN_PULL": "false"}, {"run.pull": True}, True, "--pull"),
        ({}, {"run.pull": False}, False, "--pull"),
        ({}, {"run.pull": None}, True, "modelci.yaml:9"),
        ({"MODELCI_RUN_PULL": ""}, {}, True, "modelci.yaml:9"),
    ],
)
def test_a_flag_beats_a_variable_beats_the_file_and_each_is_remembered(
    environment: Mapping[str, str], flags: Mapping[str, object], origin: str, *, pull: bool
) -> None:
    loaded = load(FULL, environment=environment, flags=flags)
    assert loaded.config.run.pull is pull
    assert loaded.origins["run.pull"] == origin


def test_every_value_of_the_file_knows_its_line() -> None:
    assert load(FULL).origins == {
        "default_branch": "modelci.yaml:1",
        "metrics": "modelci.yaml:2",
        "gates": "modelci.yaml:4",
        "run.pull": "modelci.yaml:9",
        "report.title": "modelci.yaml:11",
        "promote.assign": "modelci.yaml:13",
        "forge.kind": "modelci.yaml:15",
    }


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("MODELCI_DEFAULT_BRANCH", "2024", "default_branch", "2024"),
        ("MODELCI_DEFAULT_BRANCH", "main", "default_branch", "main"),
        ("MODELCI_RUN_PUSH", "true", "run.push", True),
        ("MODELCI_REPORT_TITLE", "Model: v2", "report.title", "Model: v2"),
        ("MODELCI_REPORT_MAX_BYTES", "1000", "report.max_bytes", 1000),
        ("MODELCI_FORGE_KIND", "local", "forge.kind", ForgeKind.LOCAL),
        ("MODELCI_FORGE_PATH", "1.0", "forge.path", "1.0"),
        ("MODELCI_PROMOTE_ARTIFACTS", "[a, b]", "promote.artifacts", ("a", "b")),
        ("MODELCI_PROMOTE_RELEASES", "true", "promote.releases", True),
        ("MODELCI_PROMOTE_COMMIT_RESULTS", "false", "promote.commit_results", False),
    ],
)
def test_a_plain_value_has_a_variable_of_its_name(
    variable: str, text: str, key: str, value: object
) -> None:
    loaded = load(None, environment={variable: text})
    assert dict(leaves(loaded.config))[key] == value
    assert loaded.origins == {key: variable}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (b"run:\n  pul: true\n", "modelci.yaml:2: unknown key 'pul'", "Did you mean 'pull'?"),
        (b"a: 1\n", "modelci.yaml:1: unknown key 'a'", "Known keys: default_branch, metrics"),
        (b"1: 1\n", "modelci.yaml:1: unknown key 1", "Known keys"),
        (b"gates:\n  - metric: a\n    mins: 1\n", "modelci.yaml:3: unknown key", "'min'?"),
        (b"metric: {a: lower}\n", "modelci.yaml:1: unknown key 'metric'", "'metrics'?"),
    ],
)
def test_an_unknown_key_names_its_line_and_the_nearest_known_one(
    text: bytes, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text)
    assert str(raised.value).startswith(message)
    assert hint in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"- a\n", "modelci.yaml must hold keys and values, not a list"),
        (b"just text\n", "modelci.yaml must hold keys and values, not a str"),
        (b"run: 5\n", "modelci.yaml:1: run: Expected `object`"),
        (b"run:\n", "modelci.yaml:1: run: Expected `object`"),
        (b"run:\n  pull: maybe\n", "modelci.yaml:2: run.pull: Expected `bool`"),
        (b"report: {max_bytes: many}\n", "modelci.yaml:1: report.max_bytes: Expected `int`"),
        (b"\ngates: 7\n", "modelci.yaml:2: gates: Expected `array`"),
        (b"gates: [7]\n", "modelci.yaml:1: gates[0]: Expected `object`"),
        (b"gates:\n- min: 1\n", "modelci.yaml:2: gates[0]: `metric` is missing"),
        (b"gates:\n- metric: a\n  min: 5%\n", "modelci.yaml:3: gates[0].min: Expected `float"),
        (b"gates:\n- metric: a\n  severity: bad\n", "modelci.yaml:3: gates[0].severity: Invalid"),
        (b"metrics:\n  a: up\n", "modelci.yaml:2: metrics.a: Invalid enum value 'up'"),
        (b"a: [\n", "modelci.yaml:2:1 cannot be read"),
        (b"run: {}\nrun: {}\n", "modelci.yaml:2:1 cannot be read: key 'run' stands twice"),
        (b"<<<<<<< HEAD\n", "modelci.yaml:1 holds a merge conflict"),
    ],
)
def test_a_wrong_value_names_its_line_and_what_was_expected(text: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text)
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("", "it has no limit: give one of min, max, max_drop, max_increase, min_gain"),
        ("max_drop: '0.01'", "'0.01' is neither a number nor a share such as 1%"),
        ("max_drop: 1%%", "'1%%' is neither"),
        ("max_drop: '%'", "'%' is neither"),
        ("max_drop: x%", "'x%' is neither"),
        ("max_drop: -0.01", "a change's limit is never negative"),
        ("min_gain: -1%", "a change's limit is never negative"),
        ("max_increase: -1", "a change's limit is never negative"),
        ("min: .nan", "a limit must be a finite number"),
        ("max: .inf", "a limit must be a finite number"),
        ("max_drop: nan%", "a limit must be a finite number"),
    ],
)
def test_a_limit_that_means_nothing_is_refused_with_its_line(limits: str, message: str) -> None:
    text = f"gates:\n  - metric: first\n    min: 1\n  - metric: auc\n    {limits}\n"
    with pytest.raises(ConfigError) as raised:
        load(text.encode())
    assert str(raised.value).startswith("modelci.yaml:4: the gate on 'auc': ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("limit", "value", "relative"),
    [
        (0.01, 0.01, False),
        (1, 1.0, False),
        ("1%", 0.01, True),
        (" 0.5 % ", 0.005, True),
        ("1e1%", 0.1, True),
    ],
)
def test_a_bare_limit_is_absolute_and_a_percent_relative(
    limit: float | str, value: float, *, relative: bool
) -> None:
    threshold = parse_limit(limit)
    assert threshold.value == pytest.approx(value)
    assert threshold.relative is relative


def test_a_negative_bound_is_fine() -> None:
    (gate,) = GateConfig(metric="r2", min=-1.0).gates()
    assert (gate.rule, gate.threshold.value) == (Rule.MIN, -1.0)


@pytest.mark.parametrize(
    ("environment", "flags", "source"),
    [
        ({"MODELCI_RUN_PULL": "maybe"}, {}, "MODELCI_RUN_PULL"),
        ({"MODELCI_RUN_PULL": "[1"}, {}, "MODELCI_RUN_PULL"),
        ({"MODELCI_FORGE_KIND": "gitlabb"}, {}, "MODELCI_FORGE_KIND"),
        ({}, {"run.push": 7}, "--push"),
    ],
)
def test_a_wrong_variable_or_flag_is_named_not_the_file(
    environment: Mapping[str, str], flags: Mapping[str, object], source: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(FULL, environment=environment, flags=flags)
    assert str(raised.value).startswith(source)


@pytest.mark.parametrize("text", [b"run: 5\n", b"run:\n"])
def test_a_variable_does_not_hide_that_the_file_is_wrong(text: bytes) -> None:
    with pytest.raises(ConfigError, match=r"modelci.yaml:1: run: Expected `object`"):
        load(text, environment={"MODELCI_RUN_PULL": "true"}, flags={"run.push": True})


def test_another_files_name_is_the_one_in_messages() -> None:
    with pytest.raises(ConfigError, match=r"^modelci.yaml of the base:1: unknown key"):
        load(b"x: 1\n", source="modelci.yaml of the base")


def test_the_schema_for_editors_takes_the_full_file_and_refuses_a_wrong_type() -> None:
    schema = schemas()["modelci.yaml"]
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    assert validator.is_valid(yaml.safe_load(FULL))
    assert validator.is_valid({})
    assert not validator.is_valid({"run": {"pull": "maybe"}})
    assert not validator.is_valid({"gates": [{"min": 1}]})


@pytest.mark.parametrize(
    "document", [{"runn": {}}, {"run": {"pul": True}}, {"gates": [{"metric": "a", "mins": 1}]}]
)
def test_the_schema_for_editors_refuses_unknown_keys_as_the_loader_does(
    document: object,
) -> None:
    assert not jsonschema.Draft202012Validator(schemas()["modelci.yaml"]).is_valid(document)


def test_config_show_prints_each_value_with_its_origin() -> None:
    from modelci.cli.config import show

    class App:
        configuration = load(FULL, environment={"MODELCI_RUN_PUSH": "true"})

    printed = CliRunner().invoke(show, obj=App()).output.splitlines()
    assert 'default_branch = "trunk"  # modelci.yaml:1' in printed
    assert "run.push = true  # MODELCI_RUN_PUSH" in printed
    assert "report.max_bytes = 65000  # default" in printed


def test_config_schema_prints_the_schema() -> None:
    from modelci.cli.config import schema

    printed = CliRunner().invoke(schema).output
    assert json.loads(printed) == json.loads(json.dumps(schemas()["modelci.yaml"]))


EVENTS = b"""\
run:
  pull: true
  push: true
  remote: usual
  events:
    pull_request: {remote: pulls}
    push: {run_cache: off, remote: release}
    fork: {pull: false}
"""


def job(event: str, *, from_fork: bool = False) -> CIContext:
    return CIContext(event_name=event, from_fork=from_fork)


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (job("schedule"), (True, True, RunCache.ON, "usual")),
        (job("pull_request"), (True, True, RunCache.ON, "pulls")),
        (job("push"), (True, True, RunCache.OFF, "release")),
        (job("pull_request", from_fork=True), (False, False, RunCache.READ, "pulls")),
    ],
)
def test_an_event_has_its_own_way_to_run(
    context: CIContext, expected: tuple[bool, bool, RunCache, str]
) -> None:
    run = load(EVENTS).config.run.for_event(context)
    assert (run.pull, run.push, run.run_cache, run.remote) == expected


def test_a_fork_pushes_only_to_a_remote_of_its_own() -> None:
    fork = job("pull_request", from_fork=True)
    without = load(b"run: {push: true}").config.run
    assert not without.for_event(fork).push
    assert not without.for_event(fork, fixed={"push"}).push
    own = load(b"run: {push: true, events: {fork: {remote: forks}}}").config.run.for_event(fork)
    assert (own.push, own.remote, own.run_cache) == (True, "forks", RunCache.ON)


def test_a_flag_beats_an_event() -> None:
    run = load(EVENTS, flags={"run.remote": "mine"}).config.run
    assert run.for_event(job("push"), fixed={"remote"}).remote == "mine"


def test_a_misspelt_key_of_an_event_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown key 'remot'"):
        load(b"run:\n  events:\n    push: {remot: release}\n")


def test_the_arguments_of_a_cluster_are_the_clusters_business() -> None:
    text = b"executor: {kind: dask, cluster: a.B, arguments: {anything: {at: [all]}}, workers: 3}"
    executor = load(text).config.executor
    assert executor.arguments == {"anything": {"at": ["all"]}}
    assert executor.kind is ExecutorKind.DASK


@pytest.mark.parametrize(
    ("text", "hint"),
    [(b"gates: [\n a: b: c\n", "a blank follows each colon"), (b"a:\n\tb: 1\n", "no tabs")],
)
def test_what_is_no_yaml_has_a_hint(text: bytes, hint: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        load(text)
    assert hint in (caught.value.hint or "")
