"""Draws Vega-Lite in a process of its own, which may be killed; run as a script, never imported.

Reads one JSON line per job and answers each with one: ``{"data": base64}`` or ``{"error": text}``.
"""

import base64
import json
import sys
from typing import Any

import vl_convert

_NOWHERE: list[str] = []


def answer(job: dict[str, Any]) -> bytes:
    if job["kind"] == "bundle":
        script: str = vl_convert.javascript_bundle(job["snippet"])
        return script.encode()
    drawing: str = vl_convert.vegalite_to_svg(job["spec"], allowed_base_urls=_NOWHERE)
    if "<image" in drawing:  # whoever looks at it would fetch them
        raise ValueError("it draws images from addresses")
    return drawing.encode()


def main() -> None:
    for line in sys.stdin:
        try:
            reply = {"data": base64.b64encode(answer(json.loads(line))).decode()}
        except Exception as error:  # noqa: BLE001 - the parent decides what a failure means
            reply = {"error": str(error)[:2_000]}
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
