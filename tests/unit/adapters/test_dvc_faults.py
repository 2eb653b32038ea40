"""What a DVC remote's errors mean: who is not let in hears what to set, a plug-in has a name."""

import errno

import pytest
from dvc.exceptions import DvcException

from modelci.adapters.dvc import faults
from modelci.adapters.dvc.faults import RemoteLabel
from modelci.errors import ModelCIError

BY_KIND = {
    "s3://models/x": "AWS_ACCESS_KEY_ID",
    "gs://models/x": "GOOGLE_APPLICATION_CREDENTIALS",
    "azure://models/x": "AZURE_STORAGE_CONNECTION_STRING",
    "ssh://host/x": "dvc remote modify --local store keyfile PATH",
    "webdavs://host/x": "dvc remote modify --local store user USER",
    "https://host/x": "dvc remote modify store auth basic",
    "/srv/models": "Let this user read that folder",
    "hdfs://host/x": "Check its URL and this job's credentials",
}


class HTTPError(Exception):
    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status_code = status


class NoCredentialsError(Exception):
    """As botocore calls it."""


def failed(error: Exception, url: str = "s3://models/x") -> ModelCIError:
    return faults.remote_failed("fetch from", RemoteLabel("store", url), error)


@pytest.mark.parametrize(("url", "hint"), BY_KIND.items())
def test_whoever_is_not_let_in_hears_what_to_set(url: str, hint: str) -> None:
    found = failed(PermissionError("Forbidden"), url)
    assert str(found) == (
        f"Could not fetch from the DVC remote store ({url}): access is denied (Forbidden)."
    )
    assert hint in (found.hint or "")


@pytest.mark.parametrize("error", [HTTPError(401), HTTPError(403), NoCredentialsError("none")])
def test_a_denial_is_known_in_whatever_form_it_comes(error: Exception) -> None:
    wrapped = DvcException("failed to transfer")
    wrapped.__cause__ = error
    for one in (error, wrapped):
        assert faults.is_denied(one)
        assert "access is denied" in str(failed(one))


@pytest.mark.parametrize("error", [HTTPError(500), HTTPError(404), ConnectionResetError("gone")])
def test_what_is_no_denial_is_not_called_one(error: Exception) -> None:
    assert not faults.is_denied(error)
    assert "denied" not in str(failed(error))


@pytest.mark.parametrize(
    ("scheme", "install"),
    [
        ("s3", "pip install 'modelci[s3]'"),
        ("ssh", "pip install 'modelci[ssh]'"),
        ("webdav", "pip install 'modelci[webdav]'"),
        ("webdavs", "pip install 'modelci[webdav]'"),
        ("gs", "pip install 'modelci[gs]'"),
        ("azure", "pip install 'modelci[azure]'"),
        ("oss", "pip install 'dvc[oss]'"),
    ],
)
def test_a_plugin_that_is_not_installed_is_named_by_what_installs_it(
    scheme: str, install: str
) -> None:
    missing = ImportError(f"{scheme} is supported, but requires 'dvc-{scheme}' to be installed")
    found = failed(missing, f"{scheme}://models/x")
    assert "needs a plug-in that is not installed here" in str(found)
    assert found.hint == install


def test_a_full_disk_is_no_fault_of_the_remote() -> None:
    found = failed(OSError(errno.ENOSPC, "No space left on device"))
    assert str(found).startswith("The disk is full")


def test_a_url_is_shown_without_its_credentials() -> None:
    config = {"remote": {"store": {"url": "https://me:secret@host:8443/models"}}}
    assert str(RemoteLabel.of(config, "Store")) == "Store (https://host:8443/models)"
    assert str(RemoteLabel("store")) == "store"
