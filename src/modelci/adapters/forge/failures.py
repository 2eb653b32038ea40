"""How talking to a forge fails, as far as that decides what to do next; no library is needed."""

from modelci.errors import ForgeError


class NotFoundError(ForgeError):
    """The forge has no such thing, or does not show it to us."""


class LookAgainError(ForgeError):
    """The request may have done its work: look before sending it again."""


class ConflictError(ForgeError):
    """Somebody else was faster: what was built on is no longer the newest."""
