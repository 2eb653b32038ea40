"""A cluster, through kubectl: it finds the cluster and its credentials as it always does."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelci.adapters.targets.kserving.manifest import (
    RELEASE,
    TARGET,
    Manifest,
    Objects,
    label,
    notes_name,
)
from modelci.adapters.targets.kserving.traffic import Counters, read_counters
from modelci.adapters.targets.tools import ToolError, Tools
from modelci.domain.images import release_tag
from modelci.errors import DeploymentError

_MANAGER = "modelci"
_SERVICES = "inferenceservices.serving.kserve.io"
_OF_SERVICE = "serving.kserve.io/inferenceservice"
_PORT = 8080
_NO_KSERVE = re.compile(
    r"no matches for kind|doesn't have a resource type|could not find the requested resource"
)
_CHANGED = re.compile(r"the object has been modified|Operation cannot be fulfilled")
_DENIED = re.compile(r"forbidden|unauthorized|must be logged in", re.IGNORECASE)
_MOST_SAID = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Time as it passes: ``now`` gives seconds that only grow, ``pause`` waits for some."""

    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The ``Place`` that a namespace of a cluster is. ``kubectl`` is the command to run."""

    target: str
    namespace: str
    tools: Tools
    context: str | None = None
    kubectl: str = "kubectl"
    clock: Clock = Clock()

    def services(self) -> Mapping[str, Objects]:
        """Return the services of the ConfigMaps that bear the target's label."""
        listed = self._get("configmaps", f"--selector={TARGET}={label(self.target)}")
        found = [one["metadata"]["name"] for one in (listed or {}).get("items", ())]
        prefix = notes_name("")
        names = [name.removeprefix(prefix) for name in found if name.startswith(prefix)]
        return {name: self.read(name) for name in names}

    def read(self, service: str) -> Objects:
        """Return the service and the ConfigMap beside it, as the cluster has them."""
        return Objects(
            service=self._get(_SERVICES, service),
            notes=self._get("configmaps", notes_name(service)),
        )

    def is_ready(self, service: str) -> bool:
        """Whether KServe says that the service is ready."""
        return _is_ready(self._get(_SERVICES, service) or {})

    def write(self, service: str, before: Objects, after: Objects, *, why: str) -> None:
        """Apply it, and wait until the service is ready with it.

        What is told comes first: a service that runs is always told of. What modelci sets it takes
        back from whoever changed it, and what it has set before and sets no more is gone; all else
        stays as it is. The cluster lets nothing be told on top of what was not read.
        """
        del why
        wanted = [one for one in (_on_top(after.notes, before.notes), after.service) if one]
        self._apply(wanted)
        if after.service is not None:
            self._wait(service, after.service)

    def counters(self, service: str, release_id: str) -> Mapping[str, Counters] | None:
        """Return what each pod of a release has counted, by its name.

        None where this user may not ask them.
        """
        found = {}
        for pod in self._pods(service, label(release_tag(release_id))):
            name = pod["metadata"]["name"]
            path = f"/api/v1/namespaces/{self.namespace}/pods/{name}:{_PORT}/proxy/metrics"
            try:
                text = self._kubectl("get", "--raw", path)
            except ToolError as error:
                if _DENIED.search(str(error)):
                    return None
                continue  # it starts, or goes
            found[name] = read_counters(text.decode(errors="replace"))
        return found

    # -- waiting -----------------------------------------------------------------------------------

    def _wait(self, service: str, wanted: Manifest) -> None:
        """Wait until containers of this very release are ready, and KServe says that all is.

        KServe's word alone may still be about what ran before.
        """
        value = wanted["metadata"]["labels"][RELEASE]
        least = wanted["spec"]["predictor"]["minReplicas"]
        deadline = self.clock.now() + self.tools.timeout_seconds
        while True:
            found = self._get(_SERVICES, service) or {}
            pods = self._pods(service, value)
            is_up = any(map(_is_ready, pods)) or (least == 0 and not pods)
            if is_up and _is_settled(found):
                return
            if self.clock.now() >= deadline:
                raise self._not_ready(service, found, pods)
            self.clock.pause(1.0)

    def _pods(self, service: str, release_label: str) -> Sequence[Mapping[str, Any]]:
        selector = f"{_OF_SERVICE}={service},{RELEASE}={release_label}"
        listed = self._get("pods", f"--selector={selector}") or {}
        return [
            one for one in listed.get("items", ()) if "deletionTimestamp" not in one["metadata"]
        ]

    def _not_ready(
        self, service: str, found: Manifest, pods: Sequence[Mapping[str, Any]]
    ) -> DeploymentError:
        whys = dict.fromkeys([*_conditions(found), *(why for pod in pods for why in _waiting(pod))])
        why = "; ".join(whys) or "KServe says nothing of it"
        return DeploymentError(
            f"{service} did not become ready in {self.tools.timeout_seconds:g} s: "
            f"{why[:_MOST_SAID]}",
            hint=f"`kubectl -n {self.namespace} describe inferenceservice {service}` and the logs "
            "of its pods say more; timeout_seconds of the target is how long is waited.",
        )

    # -- kubectl -----------------------------------------------------------------------------------

    def _apply(self, manifests: Sequence[Manifest]) -> None:
        document = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        how = ("--server-side", f"--field-manager={_MANAGER}", "--force-conflicts")
        try:
            self._kubectl("apply", *how, "--filename=-", stdin=json.dumps(document).encode())
        except ToolError as error:
            raise self._translate(str(error), "be told") from error

    def _get(self, kind: str, *arguments: str) -> Mapping[str, Any] | None:
        try:
            said = self._kubectl("get", kind, *arguments, "--ignore-not-found", "--output=json")
        except ToolError as error:
            raise self._translate(str(error), "be asked") from error
        found: Mapping[str, Any] | None = json.loads(said) if said.strip() else None
        return found

    def _kubectl(self, *arguments: str, stdin: bytes = b"") -> bytes:
        where = [f"--namespace={self.namespace}"]
        if self.context is not None:
            where.append(f"--context={self.context}")
        return self.tools.run([self.kubectl, *where, *arguments], stdin=stdin)

    def _translate(self, said: str, what: str) -> DeploymentError:
        hint = "`kubectl config current-context` says which cluster that is; kserve.context of the "
        hint += "target names another."
        if _NO_KSERVE.search(said):
            hint = "Is KServe installed there? Its InferenceService is what is deployed."
        elif _CHANGED.search(said):
            hint = "Somebody else deploys there, too. Deploy again: it is looked up anew."
        elif _DENIED.search(said):
            hint = "Whoever deploys must get, list, create and patch inferenceservices and "
            hint += f"configmaps, and get and list pods, in namespace {self.namespace}."
        return DeploymentError(f"The cluster cannot {what}: {said}", hint=hint)


def _on_top(notes: Manifest | None, before: Manifest | None) -> Manifest | None:
    """Return what is told, to be refused where what was told before is no longer that."""
    version = before and before["metadata"].get("resourceVersion")
    if notes is None or not version:
        return notes
    return {**notes, "metadata": {**notes["metadata"], "resourceVersion": version}}


def _is_settled(found: Manifest) -> bool:
    status = found.get("status") or {}
    predictor = (status.get("components") or {}).get("predictor") or {}
    made, up = predictor.get("latestCreatedRevision"), predictor.get("latestReadyRevision")
    return _is_ready(found) and made == up


def _is_ready(found: Manifest) -> bool:
    """Whether a service or a pod says that it is ready."""
    conditions = (found.get("status") or {}).get("conditions", ())
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _conditions(found: Manifest) -> Iterator[str]:
    for one in (found.get("status") or {}).get("conditions", ()):
        if one.get("status") != "True" and (one.get("message") or one.get("reason")):
            yield f"{one['type']}: {one.get('message') or one.get('reason')}"


def _waiting(pod: Mapping[str, Any]) -> Iterator[str]:
    for one in (pod.get("status") or {}).get("containerStatuses", ()):
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            text = f"{one['name']} waits: {waiting['reason']} {waiting.get('message', '')}"
            yield text.strip()
