"""What a request may cost and who may ask; read from JSON, so that a target can write it."""

import hashlib
import hmac
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from modelci.errors import ConfigError

Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0)]


class LogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request log: ``path`` is its folder, ``sample`` the share of requests.

    A file that reaches ``max_bytes`` is closed; of closed ones the newest ``keep`` stay.
    """

    path: str
    sample: Annotated[float, Meta(ge=0, le=1)] = 1.0
    format: Literal["jsonl", "parquet"] = "jsonl"
    max_bytes: Count = 64_000_000
    keep: Count = 20


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits and habits of a server.

    ``timeout_seconds`` bounds each part of a request: that it comes in, is answered, and is taken.
    Beyond ``max_waiting`` requests at a time a worker says no. ``drain_seconds`` is how long a
    server that is told to end still takes requests, while it says that it is not ready.
    ``onnx`` answers through ONNX Runtime where a model has been shown to answer the same there.
    ``token_sha256`` are the hashes of bearer tokens: with none, everyone may ask.
    """

    max_body: Count = 10_000_000
    max_rows: Count = 10_000
    max_waiting: Count = 256
    timeout_seconds: Seconds = 30.0
    keep_alive_seconds: Seconds = 75.0
    drain_seconds: Annotated[float, Meta(ge=0)] = 0.5
    threads: Count = 1
    onnx: bool = False
    token_file: str | None = None
    token_sha256: tuple[str, ...] = ()
    log: LogSettings | None = None

    def with_tokens(self, *tokens: str) -> "Settings":
        """Return the same with these tokens, and those of ``token_file``, let in.

        The file holds a token a line: two, while one takes the other's place.
        """
        if self.token_file is not None:
            tokens = (*tokens, *_read_tokens(Path(self.token_file)))
        hashes = tuple(hashlib.sha256(token.encode()).hexdigest() for token in tokens)
        return msgspec.structs.replace(
            self, token_file=None, token_sha256=(*self.token_sha256, *hashes)
        )

    def as_json(self) -> dict[str, Any]:
        """Return what a file of settings has to hold."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def lets_in(self, authorization: bytes | None) -> bool:
        """Whether the header ``Authorization`` holds a token that is known, or none is wanted."""
        if not self.token_sha256:
            return True
        scheme, _, token = (authorization or b"").partition(b" ")
        given = hashlib.sha256(token.strip()).hexdigest()
        # All are compared, each in constant time: how long it takes says nothing of any.
        known = [hmac.compare_digest(given, one) for one in self.token_sha256]
        return scheme.lower() == b"bearer" and any(known)


def read_settings(path: Path) -> Settings:
    """Read a settings file, or raise ConfigError that says what is wrong in it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Settings)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path} holds no settings of a server: {error}.",
            hint="docs/serving.md lists them; each has a default.",
        ) from error


def _read_tokens(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The tokens in {path} cannot be read.",
            hint="Name a text file that this user may read, with a token on each line.",
        ) from error
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens:
        raise ConfigError(
            f"{path} holds no token: everyone would be let in.",
            hint="Write a token into it, such as `openssl rand -hex 32` prints.",
        )
    return tokens
