"""What each key of ``modelci.yaml`` means, in a line of Markdown: ``keys.toml`` has it."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def meanings() -> Mapping[str, Mapping[str, str]]:
    """Return the meaning of each key, by the class that reads it and then by the key's name."""
    text = files(__package__).joinpath("keys.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
