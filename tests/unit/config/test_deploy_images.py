"""What modelci.yaml may say of images and InferenceServices, and where a mistake is told."""

import pytest

from modelci.config.load import load
from modelci.config.model import TargetConfig
from modelci.domain.deployment import Strategy
from modelci.errors import ConfigError

BASE = "python@sha256:" + "ab" * 32
IMAGE = f"image: {{repository: 'host/models/{{artifact}}', base: '{BASE}'}}"


def target(text: str) -> TargetConfig:
    data = f"deploy:\n  targets:\n    it: {{{text}}}\n".encode()
    return load(data, environment={}).config.deploy.targets["it"]


def test_images_and_services_are_read() -> None:
    image = target(f"kind: image, {IMAGE}")
    assert (image.image.repository, image.image.base) == ("host/models/{artifact}", BASE)
    kserve = target(f"kind: kserve, {IMAGE}, kserve: {{apply: true, annotations: {{a/b: c}}}}")
    assert (kserve.kserve.apply, kserve.kserve.service) == (True, "{artifact}")
    assert kserve.kserve.annotations == {"a/b": "c"}


def test_the_base_is_a_part_of_what_a_release_is_put_into() -> None:
    one = target(f"kind: image, {IMAGE}")
    other = target(f"kind: image, {IMAGE.replace('ab', 'cd')}")
    assert one.surroundings != other.surroundings
    # An image is the same image, whoever deploys it.
    assert (
        target(f"kind: kserve, {IMAGE}, kserve: {{apply: true}}").surroundings == one.surroundings
    )
    assert target("kind: directory, path: x").surroundings == "current"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: image", "image.repository is missing"),
        ("kind: image, image: {repository: host/x}", "image.base is missing"),
        ("kind: image, image: {repository: x, base: 'oci:b'}", "image.repository is 'x'"),
        (
            "kind: image, image: {repository: host/x, base: 'python:3.11'}",
            r"image\.base is 'python:3\.11', which can become another image",
        ),
        (f"kind: image, {IMAGE}, stages: [a, b]", "image.tag is missing"),
        (
            f"kind: image, image: {{repository: host/x, base: '{BASE}', tag: a/b}}",
            "image.tag is 'a/b', which no image can be tagged",
        ),
        (f"kind: image, {IMAGE}, strategy: {{kind: canary}}", "a image does not"),
        (f"kind: kserve, {IMAGE}", "kserve.branch is missing"),
        (f"kind: kserve, {IMAGE}, kserve: {{apply: true, branch: b}}", "either that or"),
        (
            f"kind: kserve, {IMAGE}, kserve: {{branch: b}}, strategy: {{kind: canary}}",
            "from a branch no traffic is seen",
        ),
        (
            f"kind: kserve, {IMAGE}, kserve: {{apply: true}}, strategy: {{kind: shadow}}",
            "KServe copies no requests",
        ),
        (f"kind: kserve, {IMAGE}, kserve: {{branch: b, path: ../x}}", "inside the branch"),
        (f"kind: kserve, {IMAGE}, kserve: {{apply: true, min_replicas: -1}}", "must be 0 or more"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        target(text)


def test_a_common_strategy_means_all_where_traffic_is_not_divided() -> None:
    kserve = f"kind: kserve, {IMAGE}, kserve:"
    text = (
        f"deploy:\n  strategy: {{kind: canary}}\n  targets:\n    one: {{kind: image, {IMAGE}}}\n"
        f"    two: {{{kserve} {{branch: b}}}}\n    three: {{{kserve} {{apply: true}}}}\n"
    )
    deploy = load(text.encode(), environment={}).config.deploy
    manners = [deploy.manner(one).strategy for one in deploy.targets.values()]
    assert manners == [Strategy.ALL, Strategy.ALL, Strategy.CANARY]
    with pytest.raises(ValueError, match="from a branch no traffic is seen"):
        deploy.manner(deploy.targets["two"], Strategy.CANARY)
    with pytest.raises(ValueError, match="a server does"):
        deploy.manner(deploy.targets["three"], Strategy.SHADOW)
