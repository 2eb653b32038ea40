"""What a cluster is told: an InferenceService, which is the release, and beside it what is known.

The InferenceService follows from the release and the settings alone. Whatever changes in it makes
KServe start new containers, so who asked for it, when and why is in a ConfigMap of its own.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import msgspec

from modelci.config.model import KServeTargetConfig
from modelci.domain.deployment import Release, Running, Trial
from modelci.domain.images import ARTIFACT, release_tag
from modelci.domain.switches import SCHEMA, Switches
from modelci.errors import DeploymentError

Manifest = Mapping[str, Any]

API, KIND = "serving.kserve.io/v1beta1", "InferenceService"
PORT = 8080
NOTES = "switches.json"
RELEASE, TARGET = "modelci/release", "modelci/target"
_ARTIFACT = "modelci/artifact"
_MANAGED = {"app.kubernetes.io/managed-by": "modelci"}

_LONGEST = 40  # of a name: KServe and Knative add theirs, and 63 are a name's most
_LABEL = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A release as a cluster is told of it; ``image`` is its image by digest."""

    artifact: str
    release: str
    version: str | None
    commit: str
    image: str

    @classmethod
    def of(cls, one: Release | Running, image: str) -> "Subject":
        """Return what is to be told of a release, or of what ran."""
        release = one.id if isinstance(one, Release) else one.release
        return cls(
            artifact=one.artifact,
            release=release,
            version=one.version,
            commit=one.commit,
            image=image,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """What a cluster, or a branch, has of one service."""

    service: Manifest | None = None
    notes: Manifest | None = None

    @property
    def image(self) -> str | None:
        """The image that the service has."""
        found = _dig(self.service, "spec", "predictor", "containers")
        return found[0].get("image") if isinstance(found, list) and found else None

    @property
    def trial(self) -> Trial | None:
        """The trial that the service is in: it gets a part of the traffic only."""
        percent = _dig(self.service, "spec", "predictor", "canaryTrafficPercent")
        release = _dig(self.service, "metadata", "annotations", RELEASE)
        if not isinstance(percent, int) or percent >= 100 or not release:
            return None
        return Trial(release=str(release), share=percent / 100)

    @property
    def target(self) -> str | None:
        """The target that the service belongs to; None for one that somebody else made."""
        found = _dig(self.notes, "metadata", "labels", TARGET)
        return None if found is None else str(found)

    def switches(self, artifact: str) -> Switches:
        """Return what is told of the service's switches; DeploymentError where it is unreadable."""
        text = _dig(self.notes, "data", NOTES)
        if text is None:
            return Switches(artifact=artifact)
        try:
            found = msgspec.json.decode(str(text), type=Switches)
        except msgspec.DecodeError as error:
            raise _unreadable(str(error)) from error
        if found.schema != SCHEMA:
            raise _unreadable(f"it is a {found.schema!r}, not a {SCHEMA!r}")
        return found


def service_name(template: str, artifact: str) -> str:
    """Return the name of an artifact's service: one that DNS takes, and short enough for KServe."""
    plain = re.sub(r"[^a-z0-9]+", "-", template.replace(ARTIFACT, artifact).lower()).strip("-")
    name = plain if plain[:1].isalpha() else f"model-{plain}".strip("-")
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9].strip('-')}-{sha256(name.encode()).hexdigest()[:8]}"


def notes_name(service: str) -> str:
    """Return the name of the ConfigMap beside a service."""
    return f"modelci-{service}"


def label(text: str) -> str:
    """Return a text as a label's value."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)[:_LABEL]
    return plain.strip("._-")


def make_objects(
    subject: Subject,
    switches: Switches,
    settings: KServeTargetConfig,
    *,
    target: str,
    share: float | None = None,
) -> Objects:
    """Return what a cluster is told of a release; with a ``share`` of the traffic (0 to 1) only."""
    name = service_name(settings.service, subject.artifact)
    return Objects(
        service=_service(name, subject, settings, share),
        notes=_notes(name, switches, settings, target),
    )


def _service(
    name: str, subject: Subject, settings: KServeTargetConfig, share: float | None
) -> Manifest:
    predictor: dict[str, object] = {
        "minReplicas": settings.min_replicas,
        "containers": [_container(subject, settings)],
    }
    if share is not None:
        predictor["canaryTrafficPercent"] = max(1, round(share * 100))
    if settings.service_account is not None:
        predictor["serviceAccountName"] = settings.service_account
    return {
        "apiVersion": API,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            "labels": {
                **_MANAGED,
                "app.kubernetes.io/name": label(subject.artifact),
                "app.kubernetes.io/version": label(subject.version or subject.commit[:7]),
                RELEASE: label(release_tag(subject.release)),
            },
            "annotations": {**settings.annotations, **_annotations(subject)},
        },
        "spec": {"predictor": predictor},
    }


def _annotations(subject: Subject) -> Mapping[str, str]:
    tag = f"{subject.artifact.replace(':', '=', 1)}@{subject.version}" if subject.version else ""
    told = {
        _ARTIFACT: subject.artifact,
        "modelci/commit": subject.commit,
        RELEASE: subject.release,
        "modelci/tag": tag,
        "modelci/version": subject.version or "",
    }
    return {name: value for name, value in told.items() if value}


def _container(subject: Subject, settings: KServeTargetConfig) -> Manifest:
    size = {"cpu": settings.cpu, "memory": settings.memory}
    return {
        "name": "kserve-container",
        "image": subject.image,
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        # A request is a row or a few: more threads than CPUs only wait for each other.
        "env": [
            {"name": "OMP_NUM_THREADS", "value": "1"},
            {"name": "OPENBLAS_NUM_THREADS", "value": "1"},
        ],
        # The server replays the golden requests before it says that it is ready.
        "readinessProbe": {
            "httpGet": {"path": "/v2/health/ready", "port": PORT},
            "periodSeconds": 5,
            "timeoutSeconds": 2,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": "/v2/health/live", "port": PORT},
            "initialDelaySeconds": 60,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "resources": {"requests": size, "limits": size},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
        },
    }


def _notes(name: str, switches: Switches, settings: KServeTargetConfig, target: str) -> Manifest:
    text = msgspec.json.format(msgspec.json.encode(switches), indent=1).decode()
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": notes_name(name),
            "namespace": settings.namespace,
            "labels": {**_MANAGED, TARGET: label(target)},
            "annotations": {_ARTIFACT: switches.artifact},
        },
        "data": {NOTES: f"{text}\n"},
    }


def _unreadable(why: str) -> DeploymentError:
    return DeploymentError(
        f"What the ConfigMap says of the service's switches cannot be read: {why}.",
        hint="Use a modelci as new as the one that wrote it; or delete the ConfigMap and deploy "
        "again: what ran before is forgotten then.",
    )


def _dig(found: object, *path: str) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
