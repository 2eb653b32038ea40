"""The target ``kserve`` on a cluster: what kubectl is told, and what a cluster makes of it."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.fakes import kubectl
from tests.integration.imageworld import running
from tests.integration.kserveworld import ARTIFACT, World, image_of

from modelci.adapters.targets.kserving.cluster import Clock, Cluster
from modelci.adapters.targets.settings import TargetSettings
from modelci.adapters.targets.tools import Tools
from modelci.config.model import KServeTargetConfig
from modelci.domain.deployment import Observation, Release, Trial
from modelci.errors import DeploymentError

NAMESPACE = "models"


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    kubectl.install(tmp_path / "cluster")
    return tmp_path / "cluster"


@pytest.fixture
def world(tmp_path: Path, cluster: Path) -> World:
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    def place(settings: TargetSettings) -> Cluster:
        return Cluster(
            target=settings.name,
            namespace=settings.config.kserve.namespace,
            context=settings.config.kserve.context,
            tools=Tools(environment=dict(os.environ), timeout_seconds=100),
            kubectl=str(cluster / "kubectl"),
            clock=Clock(now=lambda: now[0], pause=pause),
        )

    return World(
        folder=tmp_path, config=KServeTargetConfig(namespace=NAMESPACE, apply=True), place=place
    )


def change(cluster: Path, **fields: Any) -> None:
    kubectl.save(cluster, {**kubectl.load(cluster), **fields})


def service(cluster: Path, name: str = ARTIFACT) -> Mapping[str, Any]:
    found: Mapping[str, Any] = kubectl.load(cluster)["objects"]["InferenceService"][name]
    return found


def predictor(cluster: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = service(cluster)["spec"]["predictor"]
    return found


def image(cluster: Path) -> str:
    return str(predictor(cluster)["containers"][0]["image"])


def test_a_switch_is_applied_by_the_server_in_one_call_and_waited_for(
    world: World, cluster: Path
) -> None:
    release = world.release("a")
    world.target().switch(running(release))
    (applied,) = [one for one in kubectl.calls(cluster) if "apply" in one["arguments"]]
    assert applied["arguments"] == [
        f"--namespace={NAMESPACE}",
        "apply",
        "--server-side",
        "--field-manager=modelci",
        "--force-conflicts",
        "--filename=-",
    ]
    notes, told = json.loads(applied["stdin"])["items"]
    assert notes["kind"] == "ConfigMap"  # what is told comes before what runs
    assert told["metadata"]["annotations"]["modelci/release"] == release.id
    assert image(cluster) == image_of(release)
    assert "canaryTrafficPercent" not in predictor(cluster)
    asked = [one["arguments"] for one in kubectl.calls(cluster)]
    assert asked.index(applied["arguments"]) < len(asked) - 1  # it was looked at again


def test_what_runs_is_what_the_cluster_says(world: World) -> None:
    first, second = world.release("a"), world.release("b")
    target = world.target()
    assert target.artifacts() == ()
    target.switch(running(first))
    target.switch(running(second, 2))
    state = world.target().read(ARTIFACT)
    assert state.running == replace(running(second, 2), image=image_of(second))
    assert state.previous == replace(running(first), image=image_of(first))
    assert state.staged == (first.id, second.id)
    assert world.target().artifacts() == (ARTIFACT,)
    assert world.target().release(ARTIFACT, first.id) == first


def test_what_is_known_better_starts_no_containers(world: World, cluster: Path) -> None:
    release = world.release("a")
    world.target().switch(running(release))
    before = service(cluster)["status"]["revision"]
    world.target().switch(running(release, settled=True))
    world.target().switch(running(release, 2, settled=True))  # the same, by another tag
    assert service(cluster)["status"]["revision"] == before
    state = world.target().read(ARTIFACT)
    assert state.running
    assert (state.running.tag, state.running.settled) == ("credit#prod#2", True)


def test_a_canary_is_kserves_and_ends_in_either_way(world: World, cluster: Path) -> None:
    first, second = world.release("a"), world.release("b")
    target = world.target()
    target.switch(running(first))
    target.try_out(second, share=0.05, shadow=False)
    assert image(cluster) == image_of(second)
    assert predictor(cluster)["canaryTrafficPercent"] == 5
    state = world.target().read(ARTIFACT)
    assert state.trial == Trial(release=second.id, share=0.05)
    assert state.running
    assert state.running.release == first.id

    target.try_out(second, share=0.0, shadow=False)
    assert image(cluster) == image_of(first)
    assert "canaryTrafficPercent" not in predictor(cluster)
    assert world.target().read(ARTIFACT).trial is None

    target.try_out(second, share=0.25, shadow=False)
    revision = service(cluster)["status"]["revision"]
    target.switch(running(second, 2))
    assert "canaryTrafficPercent" not in predictor(cluster)
    # What was tried is what stays: it is not started once more.
    assert service(cluster)["status"]["revision"] == revision
    state = world.target().read(ARTIFACT)
    assert [one.release for one in state.history] == [second.id, first.id]


def test_going_back_needs_no_registry(world: World, cluster: Path) -> None:
    first, second = world.release("a"), world.release("b")
    world.target().switch(running(first))
    world.target().switch(running(second, 2))
    world.registry.is_up[0] = False
    world.target().switch(running(first, 3, reason="it was slow"))
    assert image(cluster) == image_of(first)


def test_a_release_without_an_image_is_not_switched_to(world: World) -> None:
    release = world.release("a")
    world.registry.there.clear()
    with pytest.raises(DeploymentError, match=r"has no image of v1\.0\.0"):
        world.target().switch(running(release))
    with pytest.raises(DeploymentError, match=r"has no image of v1\.0\.0"):
        world.target().try_out(release, share=0.5, shadow=False)


def test_what_does_not_become_ready_is_told_with_the_clusters_words(
    world: World, cluster: Path
) -> None:
    first, second = world.release("a"), world.release("b")
    world.target().switch(running(first))
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s"}
    pods = {
        **kubectl.load(cluster)["pods"],
        second.id: {"b-1": {"ready": False, "waiting": waiting}},
    }
    change(cluster, ready=False, pods=pods)
    with pytest.raises(DeploymentError, match=r"credit did not become ready in \d+ s") as caught:
        world.target().switch(running(second, 2))
    assert "container is restarting" in str(caught.value)
    assert "kserve-container waits: CrashLoopBackOff back-off 40s" in str(caught.value)
    assert world.target().answers(ARTIFACT) is False
    change(cluster, ready=True)
    world.target().switch(running(first, 3))
    assert world.target().answers(ARTIFACT) is True
    state = world.target().read(ARTIFACT)
    assert state.running
    assert state.running.release == first.id


def test_kserves_word_on_what_ran_before_is_not_enough(world: World, cluster: Path) -> None:
    first, second = world.release("a"), world.release("b")
    world.target().switch(running(first))
    # The controller has not looked yet: all is ready, but no pod is of this release.
    change(cluster, pods={**kubectl.load(cluster)["pods"], second.id: {}})
    with pytest.raises(DeploymentError, match="did not become ready"):
        world.target().switch(running(second, 2))


def test_a_switch_that_was_cut_short_was_none_and_can_be_done_again(
    world: World, cluster: Path
) -> None:
    first, second = world.release("a"), world.release("b")
    world.target().switch(running(first))
    change(cluster, dies_at="InferenceService")
    with pytest.raises(DeploymentError, match="connection reset"):
        world.target().switch(running(second, 2))
    change(cluster, dies_at=None)
    state = world.target().read(ARTIFACT)
    assert state.running
    assert state.running.release == first.id
    world.target().switch(running(second, 2))
    history = world.target().read(ARTIFACT).history
    assert [one.release for one in history] == [second.id, first.id]


def test_two_that_deploy_at_once_do_not_overwrite_each_other(world: World, cluster: Path) -> None:
    world.target().switch(running(world.release("a")))
    place = world.place(world.settings)
    before = place.read(ARTIFACT)
    world.target().switch(running(world.release("b"), 2))
    with pytest.raises(DeploymentError, match="has been modified") as caught:
        place.write(ARTIFACT, before, before, why="")
    assert "Deploy again" in (caught.value.hint or "")


# -- traffic --------------------------------------------------------------------------------------


def metrics(good: int, bad: int, slow: int = 0) -> str:
    total = good + bad
    return (
        "# TYPE modelci_requests_total counter\n"
        f'modelci_requests_total{{endpoint="infer",code="200"}} {good}\n'
        f'modelci_requests_total{{endpoint="records",code="503"}} {bad}\n'
        'modelci_requests_total{endpoint="other",code="500"} 1000\n'
        f'modelci_request_seconds_bucket{{endpoint="infer",le="0.005"}} {total - slow}\n'
        f'modelci_request_seconds_bucket{{endpoint="infer",le="0.25"}} {total}\n'
        f'modelci_request_seconds_bucket{{endpoint="infer",le="+Inf"}} {total}\n'
    )


def let_pods_say(cluster: Path, release: Release, *texts: str, refuses: bool = False) -> None:
    pods = {
        f"p{number}": {"ready": True, "metrics": text, "refuses": refuses}
        for number, text in enumerate(texts)
    }
    change(cluster, pods={**kubectl.load(cluster)["pods"], release.id: pods})


def test_what_the_pods_answered_since_the_trial_began_is_seen(world: World, cluster: Path) -> None:
    first, second = world.release("a"), world.release("b")
    target = world.target()
    target.switch(running(first))
    let_pods_say(cluster, second, metrics(90, 10))
    target.try_out(second, share=0.05, shadow=False)
    let_pods_say(cluster, second, metrics(140, 15, slow=5), metrics(45, 0))
    assert target.observe(second, seconds=7) == Observation(
        seconds=7, requests=100, errors=5, p50_ms=5.0, p99_ms=250.0
    )


def test_a_pod_that_began_anew_counts_from_nothing(world: World, cluster: Path) -> None:
    release = world.release("a")
    target = world.target()
    let_pods_say(cluster, release, metrics(100, 0))
    target.switch(running(release))
    let_pods_say(cluster, release, metrics(3, 1))
    seen = target.observe(release, seconds=1)
    assert seen
    assert (seen.requests, seen.errors) == (4, 1)


def test_traffic_that_may_not_be_seen_is_not_seen(world: World, cluster: Path) -> None:
    release = world.release("a")
    target = world.target()
    target.switch(running(release))
    let_pods_say(cluster, release, metrics(1, 0), refuses=True)
    assert target.observe(release, seconds=1) is None


def test_copies_of_requests_are_refused(world: World) -> None:
    with pytest.raises(DeploymentError, match="copies no requests") as caught:
        world.target().try_out(world.release("a"), share=0.0, shadow=True)
    assert "kind server" in (caught.value.hint or "")


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ('error: no matches for kind "InferenceService" in version "v1beta1"', "KServe installed"),
        ('inferenceservices is forbidden: User "ci" cannot get resource', "in namespace models"),
        ("The connection to the server 10.0.0.1:6443 was refused", "current-context"),
    ],
)
def test_a_cluster_that_says_no_is_told_with_what_to_do(
    world: World, cluster: Path, said: str, hint: str
) -> None:
    change(cluster, fails=said)
    with pytest.raises(DeploymentError, match="The cluster cannot be asked") as caught:
        world.target().read(ARTIFACT)
    assert hint in (caught.value.hint or "")


def test_a_service_that_is_not_ours_is_left_alone(world: World, cluster: Path) -> None:
    change(
        cluster,
        objects={"InferenceService": {ARTIFACT: {"metadata": {"name": ARTIFACT}, "spec": {}}}},
    )
    with pytest.raises(DeploymentError, match="was not made by modelci"):
        world.target().switch(running(world.release("a")))


def test_a_service_of_another_target_or_artifact_is_left_alone(world: World) -> None:
    world.target().switch(running(world.release("a")))
    with pytest.raises(DeploymentError, match="is target cluster's"):
        replace(world, name="other").target().read(ARTIFACT)
    one = world.with_config(service=ARTIFACT)
    with pytest.raises(DeploymentError, match="is that of credit, not of scores"):
        one.target().switch(running(world.release("b", artifact="scores")))


def test_kubectl_is_told_which_cluster(world: World, cluster: Path) -> None:
    world.with_config(context="staging").target().artifacts()
    assert kubectl.calls(cluster)[0]["arguments"][:2] == [
        f"--namespace={NAMESPACE}",
        "--context=staging",
    ]


def test_a_service_that_may_sleep_is_ready_without_pods(world: World, cluster: Path) -> None:
    release = world.release("a")
    change(cluster, pods={release.id: {}})
    world.with_config(min_replicas=0).target().switch(running(release))
    assert image(cluster) == image_of(release)
