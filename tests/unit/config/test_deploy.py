import pytest

from modelci.config.load import load
from modelci.config.model import Config, DeployConfig, StrategyConfig, TargetConfig, TargetKind
from modelci.domain.deploying import Limits, Manner
from modelci.domain.deployment import Strategy
from modelci.errors import ConfigError

FULL = b"""\
deploy:
  wait_seconds: 30
  strategy: {kind: canary, shares: ["1%", "0.5"], min_requests: 50, max_latency_ms: 20}
  targets:
    prod: {kind: directory, path: /srv/models, stages: [prod, eu/prod], python: /opt/bin/python}
    script: {kind: command, path: srv, cmd: ./deploy.sh, timeout_seconds: 60}
    front: {kind: server, path: web, strategy: {kind: shadow, watch_seconds: 60}}
promote: {deploy: prod}
"""


def config(text: bytes = FULL, **environment: str) -> Config:
    return load(text, environment=environment).config


def test_targets_and_strategies_are_read() -> None:
    deploy = config().deploy
    assert deploy.wait_seconds == 30
    assert deploy.targets["prod"].stages == ("prod", "eu/prod")
    assert deploy.targets["script"].timeout_seconds == 60
    assert deploy.strategy.manner() == Manner(
        strategy=Strategy.CANARY,
        shares=(0.01, 0.5),
        limits=Limits(watch_seconds=10, min_requests=50, max_latency_ms=20),
    )


def test_a_target_has_its_own_strategy_the_common_one_or_none() -> None:
    deploy = config().deploy
    manners = {name: deploy.manner(one).strategy for name, one in deploy.targets.items()}
    assert manners == {
        "prod": Strategy.ALL,
        "script": Strategy.CANARY,
        "front": Strategy.SHADOW,
    }
    assert deploy.manner(deploy.targets["front"], Strategy.ALL).strategy is Strategy.ALL
    assert deploy.manner(deploy.targets["front"]).limits.watch_seconds == 60
    assert deploy.manner(deploy.targets["prod"], Strategy.ALL).strategy is Strategy.ALL
    with pytest.raises(ValueError, match="a directory divides no traffic"):
        deploy.manner(deploy.targets["prod"], Strategy.CANARY)


@pytest.mark.parametrize(
    ("variable", "deploys", "target"),
    [
        (None, False, None),
        ("true", True, None),
        ("false", False, None),
        ("prod", True, "prod"),
    ],
)
def test_promotion_deploys_to_the_stages_target_or_one_by_name(
    variable: str | None, *, deploys: bool, target: str | None
) -> None:
    text = FULL.replace(b"promote: {deploy: prod}", b"")
    found = config(text, **({"MODELCI_PROMOTE_DEPLOY": variable} if variable else {})).promote
    assert (found.deploys, found.deploy_target) == (deploys, target)
    said = b"promote: {deploy: true}"
    assert config(text + said).promote.deploys
    assert config(text + said).promote.deploy_target is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"deploy: {targets: {prod: {}}}", "path is missing: a directory keeps releases there"),
        (b"deploy: {targets: {prod: {kind: command, path: x}}}", "cmd is missing"),
        (b"deploy: {targets: {prod: {path: x, keep: 0}}}", "keep must be 1 or more"),
        (b"deploy: {targets: {prod: {path: x, timeout_seconds: 0}}}", "timeout_seconds must be"),
        (b"deploy: {targets: {prod: {path: x, stages: ['a b']}}}", "stages has 'a b'"),
        (b"deploy: {targets: {'../x': {path: x}}}", "its name is of letters"),
        (
            b"deploy: {targets: {prod: {path: x, strategy: {kind: canary}}}}",
            "strategy divides traffic, which a directory does not",
        ),
        (b"deploy: {strategy: {shares: ['5']}}", "shares has '5'"),
        (b"deploy: {strategy: {shares: ['0%']}}", "shares has '0%'"),
        (b"deploy: {strategy: {shares: [five]}}", "shares has 'five'"),
        (b"deploy: {strategy: {max_error_rate: 2}}", "max_error_rate is a share of requests"),
        (b"deploy: {strategy: {max_latency_ms: -1}}", "max_latency_ms must be 0 or more"),
        (b"deploy: {strategy: {watch_seconds: -1}}", "watch_seconds and patience_seconds"),
        (b"deploy: {strategy: {min_requests: -1}}", "min_requests must be 0 or more"),
        (
            b"deploy: {targets: {front: {kind: server, path: x, strategy: {shares: ['2']}}}}",
            "target 'front': strategy: shares has '2'",
        ),
        (b"deploy: {targets: {front: {kind: server}}}", "path is missing: a server keeps"),
        (
            b"deploy: {targets: {front: {kind: server, path: x, server: {listen: '8080'}}}}",
            "server.listen: '8080' is no address such as 127.0.0.1:8080",
        ),
        (
            b"deploy: {targets: {front: {kind: server, path: x, server: {workers: 0}}}}",
            "server.workers must be 1 or more",
        ),
        (
            b"deploy: {targets: {front: {kind: server, path: x, server: {switch: nginx}}}}",
            "Invalid enum value 'nginx'",
        ),
        (b"promote: {deploy: moon}", "there is no target 'moon' \\(deploy.targets has none\\)"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(text: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^modelci\.yaml:1: .*{says}"):
        load(text)


def test_the_defaults_make_sense() -> None:
    assert StrategyConfig().manner().shares == (0.05, 0.25)
    server = TargetConfig(kind=TargetKind.SERVER)
    assert DeployConfig().manner(server).strategy is Strategy.ALL
    assert not Config().promote.deploys


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prod: {kind: dirctory}", "modelci.yaml:4: deploy.targets.prod.kind: Invalid enum"),
        ("prod: {path: y, keep: many}", "modelci.yaml:4: deploy.targets.prod.keep: Expected"),
        ("prod: {stages: [qa, 3]}", "modelci.yaml:4: deploy.targets.prod.stages[1]: Expected"),
        ("prod: 3", "modelci.yaml:4: deploy.targets.prod: Expected"),
        ("a.b: {path: 3}", "modelci.yaml:4: deploy.targets.a.b.path: Expected"),
    ],
)
def test_an_error_in_a_target_names_the_target_and_the_line(line: str, said: str) -> None:
    text = f"deploy:\n  targets:\n    eu: {{path: x}}\n    {line}\n"
    with pytest.raises(ConfigError) as caught:
        load(text.encode())
    assert str(caught.value).startswith(said)


def test_the_first_of_two_errors_is_named_by_its_own_target() -> None:
    text = "deploy: {targets: {eu: {path: 1}, us: {path: 2}}}"
    with pytest.raises(ConfigError, match=r"deploy\.targets\.eu\.path"):
        load(text.encode())
