"""What a cluster is told, held to KServe's published description of an InferenceService."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from modelci.adapters.targets.kserving.branch import dump
from modelci.adapters.targets.kserving.manifest import (
    Objects,
    Subject,
    label,
    make_objects,
    service_name,
)
from modelci.config.model import KServeTargetConfig
from modelci.domain.deployment import Running, Trial
from modelci.domain.switches import Switches
from modelci.errors import DeploymentError

SCHEMA = json.loads((Path(__file__).parent / "kserve/inferenceservice.json").read_text("utf-8"))
IMAGE = "registry.example.com/models/credit@sha256:" + "ab" * 32
SUBJECT = Subject(
    artifact="credit",
    release="v1.2.0+eu-0123456789ab",
    version="v1.2.0+eu",
    commit="1234e56" + "7" * 33,
    image=IMAGE,
)
RUNNING = Running(
    release=SUBJECT.release,
    artifact="credit",
    version=SUBJECT.version,
    tag="credit#prod#3",
    commit=SUBJECT.commit,
    assigned_seconds=1,
    since="2026-01-01T00:00:00+00:00",
    by="Ann <ann@example.com>",
    reason='Ann\'s: "yes"\n  on: no',
    image=IMAGE,
)
SWITCHES = Switches(artifact="credit", history=(RUNNING,))


def make(settings: KServeTargetConfig | None = None, **fields: Any) -> Objects:
    return make_objects(
        SUBJECT, SWITCHES, settings or KServeTargetConfig(), target="cluster", **fields
    )


def refused(service: object) -> str:
    errors = list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(service))
    return "; ".join(one.message for one in errors)


FULL = KServeTargetConfig(
    namespace="models",
    service="scoring",
    min_replicas=0,
    service_account="puller",
    cpu="500m",
    annotations={"serving.kserve.io/deploymentMode": "RawDeployment"},
)


@pytest.mark.parametrize("settings", [KServeTargetConfig(), FULL])
@pytest.mark.parametrize("share", [None, 0.001, 0.5])
def test_what_is_said_is_what_kserve_knows(
    settings: KServeTargetConfig, share: float | None
) -> None:
    assert refused(make(settings, share=share).service) == ""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "predictor", "canaryTrafficPercentage"), 10),
        (("spec", "predictor", "minReplicas"), "1"),
        (("spec", "predictor", "containers", 0, "readinessProbe", "path"), "/"),
        (("spec", "predictor", "containers", 0, "resources", "limits", "cpu"), "one"),
        (("apiVersion",), "serving.kserve.io/v1alpha2"),
    ],
)
def test_the_description_would_refuse_mistakes(path: tuple[Any, ...], value: object) -> None:
    service = json.loads(json.dumps(make().service))
    place = service
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert refused(service)


def test_the_image_is_named_by_its_digest_and_asked_whether_it_is_ready() -> None:
    service = make(FULL, share=0.05).service
    assert service is not None
    predictor = service["spec"]["predictor"]
    (container,) = predictor["containers"]
    assert container["image"] == IMAGE
    assert container["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 8080}
    assert container["resources"]["limits"] == {"cpu": "500m", "memory": "2Gi"}
    assert {"name": "OMP_NUM_THREADS", "value": "1"} in container["env"]
    assert container["securityContext"]["runAsNonRoot"] is True
    assert predictor["canaryTrafficPercent"] == 5
    assert predictor["serviceAccountName"] == "puller"
    metadata = service["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("scoring", "models")
    assert metadata["labels"]["app.kubernetes.io/version"] == "v1.2.0_eu"
    assert metadata["annotations"]["modelci/tag"] == "credit@v1.2.0+eu"
    assert metadata["annotations"]["modelci/commit"] == SUBJECT.commit
    assert metadata["annotations"]["serving.kserve.io/deploymentMode"] == "RawDeployment"


def test_who_asked_when_and_why_starts_no_containers() -> None:
    other = replace(RUNNING, tag="credit#prod#9", by="Bob", settled=True)
    again = make_objects(SUBJECT, SWITCHES.after(other), KServeTargetConfig(), target="cluster")
    assert again.service == make().service
    assert again.notes != make().notes


def test_what_is_told_is_read_back() -> None:
    objects = make(share=0.25)
    assert objects.image == IMAGE
    assert objects.trial == Trial(release=SUBJECT.release, share=0.25)
    assert objects.target == "cluster"
    assert objects.switches("credit") == SWITCHES
    assert make().trial is None
    nothing = Objects()
    assert (nothing.image, nothing.trial, nothing.target) == (None, None, None)
    assert nothing.switches("credit") == Switches(artifact="credit")


def test_what_cannot_be_read_is_told() -> None:
    notes = {"data": {"switches.json": '{"schema": "modelci.switches/2", "artifact": "x"}'}}
    with pytest.raises(DeploymentError, match=r"not a 'modelci\.switches/1'"):
        Objects(notes=notes).switches("credit")
    with pytest.raises(DeploymentError, match="cannot be read"):
        Objects(notes={"data": {"switches.json": "{"}}).switches("credit")


def test_a_file_of_a_branch_means_the_same_to_every_reader_of_yaml() -> None:
    objects = make(FULL)
    text = dump(objects)
    assert list(yaml.safe_load_all(text)) == [objects.notes, objects.service]
    # What YAML 1.1 or 1.2 may take for a number, a date or a truth is quoted.
    assert 'app.kubernetes.io/version: "v1.2.0_eu"' in text
    assert f'modelci/commit: "{SUBJECT.commit}"' in text
    assert 'value: "1"' in text
    assert "data:\n  switches.json: |" in text


@pytest.mark.parametrize(
    ("template", "artifact", "name"),
    [
        ("{artifact}", "credit", "credit"),
        ("{artifact}", "team/a:Credit_Risk", "team-a-credit-risk"),
        ("{artifact}-eu", "credit", "credit-eu"),
        ("{artifact}", "2nd", "model-2nd"),
        ("scores", "credit", "scores"),
    ],
)
def test_services_have_names_that_dns_takes(template: str, artifact: str, name: str) -> None:
    assert service_name(template, artifact) == name


def test_long_names_are_cut_and_stay_apart() -> None:
    one, other = (service_name("{artifact}", "a" * 60 + end) for end in "xy")
    assert one != other
    assert len(one) == len(other) == 40


def test_labels_are_what_kubernetes_takes() -> None:
    assert label("a:b/c+d") == "a_b_c_d"
    assert label("v1-") == "v1"
    assert len(label("x" * 100)) == 63
