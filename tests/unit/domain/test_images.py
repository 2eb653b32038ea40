"""Names of images: what a registry takes, and what must not move."""

import pytest

from modelci.domain.images import (
    Base,
    is_release_tag,
    is_tag,
    parse_base,
    release_of,
    release_tag,
    repository_of,
    stage_tag,
    version_tag,
)

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (f"python@{DIGEST}", Base(name="python", digest=DIGEST)),
        (f"python:3.11-slim@{DIGEST}", Base(name="python", digest=DIGEST)),
        (f"docker://host:5000/a/b@{DIGEST}", Base(name="host:5000/a/b", digest=DIGEST)),
        (f"host:5000/a/b:tag@{DIGEST}", Base(name="host:5000/a/b", digest=DIGEST)),
        ("oci:bases/python:3.11", Base(name="bases/python", tag="3.11")),
        ("oci:/srv/a:b/python", Base(name="/srv/a:b/python")),
        ("oci:bases", Base(name="bases")),
    ],
)
def test_a_base_is_pinned_or_lies_here(text: str, base: Base) -> None:
    assert parse_base(text) == base


@pytest.mark.parametrize(
    "text",
    ["python", "python:3.11-slim", "python@sha256:ab", f"python@{DIGEST}0", "oci:", "oci::x"],
)
def test_a_base_that_can_become_another_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base is"):
        parse_base(text)


def test_the_refusal_tells_how_to_pin() -> None:
    with pytest.raises(ValueError, match=r"skopeo inspect .* docker://python:3\.11-slim"):
        parse_base("python:3.11-slim")


@pytest.mark.parametrize(
    ("template", "artifact", "repository"),
    [
        ("host/models/credit", "anything", "host/models/credit"),
        ("host/models/{artifact}", "credit", "host/models/credit"),
        ("host:5000/{artifact}", "Credit_Risk", "host:5000/credit_risk"),
        ("host/m/{artifact}", "team/a:credit", "host/m/team/a/credit"),
        ("[::1]:5000/{artifact}", "credit", "[::1]:5000/credit"),
    ],
)
def test_repositories_are_named_by_their_artifact(
    template: str, artifact: str, repository: str
) -> None:
    assert repository_of(template, artifact) == repository


@pytest.mark.parametrize(
    ("template", "artifact"),
    [
        ("credit", "x"),
        ("host/", "x"),
        ("host/{artifact}", "a___b"),
        ("host/Models/{artifact}", "x"),
        ("https://host/models", "x"),
        ("host/a:tag", "x"),
    ],
)
def test_what_no_registry_takes_is_refused(template: str, artifact: str) -> None:
    with pytest.raises(ValueError, match="which no registry takes"):
        repository_of(template, artifact)


@pytest.mark.parametrize("release", ["v1.2.0-0123456789ab", "v1.2.0-rc.1+build.5-0123456789ab"])
def test_a_release_is_found_by_its_tag(release: str) -> None:
    tag = release_tag(release)
    assert is_tag(tag)
    assert is_release_tag(tag)
    assert release_of(tag) == release


@pytest.mark.parametrize("tag", ["prod", "v1.2.0", "modelci.prod", "latest"])
def test_other_tags_are_no_releases(tag: str) -> None:
    assert not is_release_tag(tag)


def test_versions_and_stages_have_tags_of_their_own() -> None:
    assert version_tag("v1.2.0+build.5") == "v1.2.0_build.5"
    assert stage_tag("eu/prod") == "eu..prod"
    assert all(map(is_tag, ("v1.2.0_build.5", "eu..prod")))
