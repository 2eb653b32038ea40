"""Waves of shares as the job matrices of CI systems."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from modelci.domain.waves import Share

Waves = Sequence[Sequence[Share]]


def render_github(waves: Waves, *, wave: int | None) -> str:
    """Return what ``fromJSON`` makes a ``strategy.matrix`` of, on one line.

    With ``wave`` that wave's matrix, else a list of all waves'; a wave that is not there is
    ``{"include": []}``, for which a workflow must skip the job: a matrix may not be empty.
    """
    if wave is None:
        return json.dumps([_matrix(shares) for shares in waves])
    return json.dumps(_matrix(waves[wave - 1] if wave <= len(waves) else ()))


def _matrix(shares: Sequence[Share]) -> dict[str, Any]:
    return {
        "include": [
            {"wave": share.wave, "shard": str(share.shard), "stages": " ".join(share.stages)}
            for share in shares
        ]
    }


def render_gitlab(waves: Waves, *, wave: int | None) -> str:
    """Return a child pipeline: the waves as stages, a job for each share, and one that collects.

    Each job extends ``.modelci``, which the project defines beside it: image, set-up, secrets.
    """
    chosen = [shares for number, shares in enumerate(waves, 1) if wave in {None, number}]
    jobs = {_name(share): _job(share) for shares in chosen for share in shares}
    collect = {
        "extends": ".modelci",
        "stage": "collect",
        "script": ["modelci run --collect"],
        # Also after a failure: what the other jobs did shall not be lost.
        "when": "always",
        "artifacts": {"when": "always", "paths": [".modelci/run.json", "dvc.lock"]},
    }
    pipeline = {"stages": [*map(_stage, chosen), "collect"], **jobs, "collect": collect}
    return yaml.safe_dump(pipeline, sort_keys=False, allow_unicode=True)


def _stage(shares: Sequence[Share]) -> str:
    return f"wave-{shares[0].wave}"


def _name(share: Share) -> str:
    return f"wave {share.wave}: {share.shard.number} of {share.shard.of}"


def _job(share: Share) -> dict[str, Any]:
    return {
        "extends": ".modelci",
        "stage": f"wave-{share.wave}",
        "script": [f"modelci run --shard {share.shard} --wave {share.wave}"],
        "artifacts": {"when": "always", "paths": [".modelci/parts/"]},
    }


MATRICES: Mapping[str, Callable[..., str]] = {"github": render_github, "gitlab": render_gitlab}
