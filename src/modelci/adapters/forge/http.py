"""One careful HTTP client for forges: it knows when to ask again, and where the token may go.

A request that failed is repeated only when that cannot do its work twice, and all waiting comes
out of one budget. What a reply means is the forge's own business (``judge``).
"""

import ssl
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from ipaddress import ip_address
from itertools import count
from typing import NoReturn, TypeVar

import httpx
import msgspec

from modelci import __version__
from modelci.adapters import trace
from modelci.adapters.forge.failures import LookAgainError
from modelci.errors import ConfigError, ForgeDeniedError, ForgeError
from modelci.ports import Progress

T = TypeVar("T")

TIMEOUT = httpx.Timeout(20, connect=10)
MAX_REDIRECTS = 3
MAX_PAUSE_SECONDS = 16


class Retry(Enum):
    """Whether a request that failed may be sent again."""

    NEVER = auto()
    IF_REPEATABLE = auto()
    """It may have done its work."""
    ALWAYS = auto()
    """It was turned away before it did anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What was asked: ``needs`` is the permission it takes, ``tries`` counts from 0.

    ``now`` is Unix time.
    """

    method: str
    path: str
    needs: str
    tries: int
    now: float

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no answer; ``wait_seconds`` is how long the forge wants to be left alone."""

    error: ForgeError
    retry: Retry = Retry.NEVER
    wait_seconds: float | None = None


Judge = Callable[[httpx.Response, Exchange], Failure | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBody:
    """A body that is sent as it is, where JSON will not do."""

    data: bytes
    content_type: str


class ForgeClient:
    """Sends requests to one origin, which alone ever sees the token.

    A forge that takes files at an address of its own has it in ``uploads``, and there the token
    is sent too. ``budget_seconds`` bounds the time spent on pauses and on replies that never
    came, over all requests of this client.
    """

    def __init__(
        self,
        name: str,
        api_url: str,
        token: str,
        *,
        judge: Judge,
        progress: Progress,
        headers: dict[str, str] | None = None,
        budget_seconds: float = 60.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.time,
        transport: httpx.BaseTransport | None = None,
        uploads: str | None = None,
    ) -> None:
        self.name = name
        self._root = _parse_root(name, api_url)
        ours = [self._root, *([_parse_root(name, uploads)] if uploads else [])]
        self._origins = frozenset(_origin(url) for url in ours)
        self._token = _check_token(name, token)
        self._judge = judge
        self._progress = progress
        self._budget = self._left = budget_seconds
        self._sleep = sleep
        self._clock = clock
        is_local = _is_loopback(self._root)
        self._client = httpx.Client(
            headers={"User-Agent": f"modelci/{__version__}", **(headers or {})},
            timeout=TIMEOUT,
            transport=transport,
            # The environment names proxies and certificates; none stands before loopback.
            trust_env=not is_local,
            verify=_certificates() if is_local else True,
        )
        # Connections are kept for the next request; nobody has to remember to close them.
        weakref.finalize(self, self._client.close)

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        needs: str = "",
        repeatable: bool | None = None,
    ) -> httpx.Response:
        """Send a request and return its successful reply.

        ``path`` is below the API's URL, or a whole URL of the same origin. A POST that may have
        done its work raises LookAgainError, unless it is said to be ``repeatable``.
        """
        url = self.url(path)
        if repeatable is None:
            repeatable = method != "POST"
        for tries in count():
            exchange = Exchange(
                method=method, path=url.path, needs=needs, tries=tries, now=self._clock()
            )
            reply = self._try(exchange, url, body)
            if isinstance(reply, httpx.Response):
                return reply
            if reply.retry is Retry.NEVER:
                raise reply.error
            if reply.retry is Retry.IF_REPEATABLE and not repeatable:
                raise LookAgainError(str(reply.error), hint=reply.error.hint) from reply.error
            self.wait(reply.error, tries=tries, seconds=reply.wait_seconds)
        raise AssertionError  # unreachable: count() never ends

    def download(
        self, path: str, *, max_bytes: int, needs: str = "", accept: str | None = None
    ) -> bytes:
        """Return a file of at most ``max_bytes`` as it is stored, to be had by GET.

        ``accept`` is the media type to ask for where a path has several.
        Forges send on to a store elsewhere: it is followed, over https, without the token.
        """
        first = self.url(path)
        for tries in count():
            exchange = Exchange(
                method="GET", path=first.path, needs=needs, tries=tries, now=self._clock()
            )
            try:
                got = self._follow(exchange, first, max_bytes, accept)
            except httpx.RequestError as error:
                self._left -= min(self._left, max(0.0, self._clock() - exchange.now))
                got = self._unreached(exchange, error)
            if isinstance(got, bytes):
                return got
            if got.retry is Retry.NEVER:
                raise got.error
            self.wait(got.error, tries=tries, seconds=got.wait_seconds)
        raise AssertionError  # unreachable: count() never ends

    def warn(self, text: str) -> None:
        """Say something to whoever watches."""
        self._progress.warn(text)

    def url(self, path: str) -> httpx.URL:
        """Return the URL to ask, or refuse one of another origin."""
        try:
            url = httpx.URL(path if "://" in path else f"{self._root}{path}")
        except httpx.InvalidURL as error:
            raise ForgeError(f"{self.name} points to what is no URL: {error}.") from error
        if _origin(url) not in self._origins:
            raise ForgeError(
                f"{self.name} points to another host, {url.host}, which gets no token of ours.",
                hint=f"Is the API's URL right? It is {self._root}.",
            )
        return url

    def decode(self, reply: httpx.Response, kind: type[T]) -> T:
        """Read the reply's JSON as that type, or raise ForgeError."""
        try:
            return msgspec.json.decode(reply.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ForgeError(
                f"{self.name} answered {reply.request.method} {reply.url.path} with something "
                f"unexpected: {error}.",
                hint=f"Is the API's URL right? It is {self._root}.",
            ) from error

    def wait(self, because: ForgeError, *, tries: int, seconds: float | None = None) -> None:
        """Pause before another try, or raise when the budget does not allow it."""
        pause = float(min(2**tries, MAX_PAUSE_SECONDS)) if seconds is None else seconds
        if pause > self._left:
            raise ForgeError(
                f"{because} Another try would have to wait {pause:.0f} s, and of "
                f"{self._budget:.0f} s for waiting {self._left:.0f} s are left.",
                hint=because.hint or "Run the job again later.",
            ) from because
        self._left -= pause
        self._progress.warn(
            f"{because} Trying again in {pause:.0f} s "
            f"({self._left:.0f} of {self._budget:.0f} s for waiting left)."
        )
        self._sleep(pause)

    def _try(self, exchange: Exchange, url: httpx.URL, body: object) -> httpx.Response | Failure:
        content, content_type = _encode(body)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                with trace.told(exchange.method, str(url)):
                    reply = self._client.request(
                        exchange.method,
                        url,
                        content=content,
                        headers=self._headers(content_type),
                    )
            except httpx.RequestError as error:
                self._left -= min(self._left, max(0.0, self._clock() - exchange.now))
                return self._unreached(exchange, error)
            if not reply.has_redirect_location:
                return self._judge(reply, exchange) or reply
            url = self._redirected(exchange, reply)
        raise ForgeError(f"{self.name} sends {exchange} round in circles.")

    def _follow(
        self, exchange: Exchange, url: httpx.URL, max_bytes: int, accept: str | None
    ) -> bytes | Failure:
        for _ in range(MAX_REDIRECTS + 1):
            ours = _origin(url) == _origin(self._root)
            headers = {"Accept-Encoding": "identity", **({"Accept": accept} if accept else {})}
            headers |= self._headers(None) if ours else {}
            with (
                trace.told("GET", str(url)),
                self._client.stream("GET", url, headers=headers) as reply,
            ):
                if reply.is_success:
                    return _read_capped(exchange, reply, max_bytes)
                if not reply.has_redirect_location:
                    return self._judge_whole(exchange, reply) if ours else _judge_store(reply)
                url = self._leave(reply)
        raise ForgeError(f"{self.name} sends {exchange} round in circles.")

    def _judge_whole(self, exchange: Exchange, reply: httpx.Response) -> Failure:
        reply.read()
        what = f"{self.name} answered {reply.status_code} to {exchange}."
        return self._judge(reply, exchange) or Failure(error=ForgeError(what))

    def _leave(self, reply: httpx.Response) -> httpx.URL:
        """Return where a redirect leads, another host allowed; the token stays behind."""
        try:
            url = reply.url.join(reply.headers["location"])
        except httpx.InvalidURL as error:
            raise ForgeError(f"{self.name} points to what is no URL: {error}.") from error
        local = url.scheme == "http" and _is_loopback(url) and _is_loopback(self._root)
        if url.userinfo or not url.host or not (url.scheme == "https" or local):
            raise ForgeError(
                f"{self.name} sends a download to {url.host or 'nowhere'}, which is not safe.",
                hint="Only plain https addresses are followed.",
            )
        return url

    def _headers(self, content_type: str | None) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self._token}"}
        return headers | ({"Content-Type": content_type} if content_type else {})

    def _redirected(self, exchange: Exchange, reply: httpx.Response) -> httpx.URL:
        if exchange.method == "GET":
            return self.url(str(reply.url.join(reply.headers["location"])))
        raise ForgeError(
            f"{self.name} says that {exchange} has moved.",
            hint="Was the repository renamed or transferred? Use its present name.",
        )

    def _unreached(self, exchange: Exchange, error: httpx.RequestError) -> Failure:
        reason = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            retry, hint = Retry.NEVER, "SSL_CERT_FILE can name your own authority's certificate."
        elif isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
            retry, hint = Retry.ALWAYS, f"Can this machine reach {self._root.host}?"
        else:
            retry, hint = Retry.IF_REPEATABLE, f"Can this machine reach {self._root.host}?"
        failure = ForgeError(f"{self.name} did not answer {exchange}: {reason}.", hint=hint)
        failure.__cause__ = error
        return Failure(error=failure, retry=retry)


def _encode(body: object) -> tuple[bytes | None, str | None]:
    """Return what is sent for a body, and its media type."""
    if body is None:
        return None, None
    if isinstance(body, RawBody):
        return body.data, body.content_type
    return msgspec.json.encode(body), "application/json"


def _judge_store(reply: httpx.Response) -> Failure:
    """Judge a store that is not the forge: it knows no token, so that nothing is denied to us."""
    what = f"{reply.url.host}, where the forge keeps the file, answered {reply.status_code}."
    again = reply.status_code in {408, 429} or reply.status_code >= 500
    return Failure(error=ForgeError(what), retry=Retry.ALWAYS if again else Retry.NEVER)


def _read_capped(exchange: Exchange, reply: httpx.Response, max_bytes: int) -> bytes:
    parts = bytearray()
    for part in reply.iter_raw():
        parts += part
        if len(parts) > max_bytes:
            raise ForgeError(f"What {exchange} leads to is larger than {max_bytes:,} bytes.")
    return bytes(parts)


def _parse_root(name: str, api_url: str) -> httpx.URL:
    def refuse(why: str) -> NoReturn:
        raise ConfigError(
            f"The URL of {name}'s API {why}.",
            hint="It looks like https://api.github.com or https://HOST/api/v3.",
        )

    try:
        url = httpx.URL(api_url.rstrip("/"))
    except httpx.InvalidURL:
        refuse("cannot be read")
    if url.userinfo:
        refuse("holds a user name or password")  # it must not reach a log
    if not url.host or url.query or url.fragment:
        refuse("is no base URL")
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url)):
        refuse(f"would send the token to {url.host} without encryption")
    return url


def _check_token(name: str, token: str) -> str:
    token = token.strip()
    # A header that cannot be sent would be shown in the error, with the token.
    if not token or not all("!" <= character <= "~" for character in token):
        raise ForgeDeniedError(
            f"The token for {name} is empty, or holds characters that no token has."
        )
    return token


def _is_loopback(url: httpx.URL) -> bool:
    try:
        return ip_address(url.host).is_loopback
    except ValueError:
        return url.host == "localhost"


@cache
def _certificates() -> ssl.SSLContext:
    """Return the usual ones; to read them takes longer than many a request.

    One for all clients: where the environment has no say they do not differ. For other hosts httpx
    reads anew what SSL_CERT_FILE names.
    """
    return httpx.create_ssl_context(trust_env=False)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port
