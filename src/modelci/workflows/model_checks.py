"""Whether the models that are here would pass a report's scan, and settings name what there is."""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase

from modelci.config.model import Config
from modelci.domain.artifacts import did_you_mean
from modelci.domain.checks import Check, ok, problem, warning
from modelci.domain.modelfiles import advice
from modelci.domain.snapshot import Snapshot
from modelci.ports import FileTree, MissingDataError, ModelScanner
from modelci.workflows.safety import declared_models, explain, scan_declared

_NAME = "models"


def check_models(
    snapshot: Snapshot, tree: FileTree, config: Config, scanner: Callable[[], ModelScanner]
) -> Iterator[Check]:
    """Scan each declared model as a report does, by these settings: what it refuses, it blocks."""
    if not config.safety.scan:
        return
    safe = []
    for artifact in declared_models(snapshot):
        try:
            files = scan_declared(artifact, tree, config, scanner())
        except MissingDataError as error:
            yield warning(
                _NAME,
                f"{artifact.name} was not scanned: {error}",
                error.hint or "`modelci run` makes it, or `dvc pull` brings it.",
            )
            continue
        findings = [one for file in files for one in file.findings]
        if findings:
            yield problem(
                _NAME,
                f"every report blocks {artifact.name}: {artifact.path} {explain(findings)}",
                f"{advice(findings, has_flags=False)} `modelci scan {artifact.name}` shows all.",
            )
        else:
            safe.append(artifact.name)
    if safe:
        yield ok(_NAME, f"safe to load: {', '.join(safe)}")


def check_names(snapshot: Snapshot, config: Config) -> Iterator[Check]:
    """Warn of settings for artifacts that no dvc.yaml declares: they do nothing."""
    known = {one.name for one in snapshot.artifacts}
    settings = {
        "safety.allow_pickle": config.safety.allow_pickle,
        "models": config.models,
        "registry.signers": config.registry.signers,
        "signing.signers": config.signing.signers,
    }
    for key, names in settings.items():
        for name in names:
            is_glob = key.endswith("signers")
            if name in known or (is_glob and any(fnmatchcase(one, name) for one in known)):
                continue
            yield warning(
                key,
                f"{name!r} is no artifact that a dvc.yaml declares: it does nothing",
                did_you_mean(name, known),
            )
