"""JSON Schemas of the documents and of ``modelci.yaml``, generated from the dataclasses."""

from typing import Any

import msgspec

from modelci.config.model import Config
from modelci.documents.codec import SCHEMAS
from modelci.domain.gates import Verdict
from modelci.domain.report import Report


def schemas() -> dict[str, dict[str, Any]]:
    """Return every schema by its file's stem: ``modelci.report-1``, …, ``modelci.yaml``."""
    found = {name.replace("/", "-"): _document(kind, name) for kind, name in SCHEMAS.items()}
    return found | {"modelci.yaml": config_schema()}
