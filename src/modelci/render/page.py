"""What our pages have in common: templates, styles, and a policy that lets nothing else in."""

import hashlib
import json
import re
from base64 import b64encode
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from modelci.render.escape import PROSE_LIMIT, clean

_TEMPLATES = files("modelci.render") / "templates"
_NAME_LIMIT = 300
_JOINT = re.compile(r"[/:._](?=\S)")


def asset(name: str) -> str:
    """Return one of our own files."""
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def environment() -> Environment:
    """Return a Jinja environment that escapes, and knows our templates."""
    return Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(asset),
    )


def policy(*, style: str, scripts: tuple[str, ...] = ()) -> str:
    """Return a Content-Security-Policy: our own style and scripts by hash, pictures in the page."""
    allowed = f"; script-src {' '.join(map(_hash, scripts))}" if scripts else ""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash(style)}{allowed}"
    )


def trusted(text: str) -> Markup:
    """Return a file of ours as it stands."""
    return Markup(text)  # noqa: S704 - our own file


def script_data(value: object) -> Markup:
    """Return a value as JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"))
    return trusted(text.replace("<", "\\u003c"))


def name(text: str) -> str:
    """Return a foreign name as one line in which every character can be seen."""
    return clean(text, _NAME_LIMIT) if text.strip() else '""'


def breaks(name: str) -> Markup:
    """Return a name as HTML in which a line may end behind a slash, colon, dot or underscore."""
    return Markup(_JOINT.sub(r"\g<0><wbr>", str(escape(name))))  # noqa: S704 - escaped just here


def prose(text: str) -> str:
    """Return a sentence that holds foreign text."""
    return clean(text, PROSE_LIMIT)


FILTERS = {"name": name, "breaks": breaks, "prose": prose}
"""What a template needs to show foreign text."""


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
