"""Whether what answered is the model that was tagged: logged rows are asked of it again."""

from collections.abc import Mapping, Sequence

from modelci.config.model import Config, ModelConfig, MonitorConfig
from modelci.domain.modelfiles import Trust
from modelci.domain.monitoring import Skew
from modelci.domain.staleness import TOLERANCE, compare_logged
from modelci.errors import ConfigError
from modelci.ports import Asker
from modelci.workflows.watched import Bring, Reference, read_golden


def ask_again(
    settings: MonitorConfig,
    config: Config,
    reference: Reference,
    rows: Sequence[Mapping[str, object]],
    *,
    bring: Bring,
    asker: Asker,
) -> Skew | None:
    """Hold the scores of ``rows`` against those that the version's model gives; None without any.

    Raises MissingDataError where the model cannot be had, ModelFileError where it cannot be asked.
    """
    sample = [row for row in rows if row.get(settings.score) is not None]
    if not sample:
        return None
    artifact = reference.watched.artifact
    golden = read_golden(reference, config, bring)
    answers = asker.ask(
        bring(reference.tree, reference.model),
        [{name: _cell(value) for name, value in row.items()} for row in sample],
        golden=golden,
        trust=Trust(
            types=config.safety.trusted_types, pickle=artifact in config.safety.allow_pickle
        ),
        flavour=config.models.get(artifact, ModelConfig()).flavour,
    )
    output = _output(settings.score, answers[0])
    tolerance = settings.skew.tolerance
    if tolerance is None:
        tolerance = golden.tolerance if golden else TOLERANCE
    return compare_logged(
        [_cell(row[settings.score]) for row in sample],
        [one.get(output) for one in answers],
        tolerance=tolerance,
    )


def _output(score: str, answer: Mapping[str, object]) -> str:
    """Return which output of the model the column ``score`` is."""
    names = [*answer]
    if score in names or len(names) == 1:
        return score if score in names else names[0]
    raise ConfigError(f"none of the model's outputs ({', '.join(names)}) is the column {score}.")


def _cell(value: object) -> object:
    """Return a cell as requests have it: what is neither number nor truth is text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    to_float = getattr(value, "__float__", None)
    return str(value) if to_float is None else to_float()
