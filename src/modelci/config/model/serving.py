"""Models that are served: what may be loaded, and how requests are answered."""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What is to be known of an artifact to serve it.

    ``golden`` is the file that ``modelci golden`` wrote in the pipeline (default: beside the model,
    ``models/credit.golden.json`` for ``models/credit.skops``). ``flavour`` says how to load it
    where its format does not. ``max_latency_ms`` bounds the 99th percentile of single golden rows.
    """

    golden: str | None = None
    flavour: str | None = None
    max_latency_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyConfig:
    """Which models may be loaded. ``trusted_types`` vouches for types beyond those built in.

    ``allow_pickle`` names artifacts whose pickles may be loaded, through an allow-list of what
    honest models of scikit-learn hold. ``scan: false`` takes the gate off reports.
    """

    trusted_types: tuple[str, ...] = ()
    allow_pickle: tuple[str, ...] = ()
    scan: bool = True


class LogFormat(StrEnum):
    """What a closed file of the request log is."""

    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLogConfig:
    """Where ``modelci serve`` writes what it was asked and answered; ``path`` is a folder.

    ``sample`` is the share of requests; a file that reaches ``max_bytes`` is closed and the next
    begun, and of closed ones the newest ``keep`` stay. ``format`` is jsonl or parquet.
    """

    path: str | None = None
    sample: float = 1.0
    format: LogFormat = LogFormat.JSONL
    max_bytes: int | str = "64 MB"
    keep: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeConfig:
    """How ``modelci serve`` listens, and what a request may cost.

    ``threads`` is what numerical libraries may use in each worker. ``drain_seconds`` is how long a
    server that is told to end still takes requests. ``onnx`` lets ONNX Runtime answer where it has
    been shown to answer the same. ``token_file`` holds bearer tokens, one a line.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    max_body: int | str = "10 MB"
    max_rows: int = 10_000
    timeout_seconds: float = 30.0
    drain_seconds: float = 0.5
    threads: int = 1
    onnx: bool = False
    token_file: str | None = None
    log: RequestLogConfig = field(default_factory=RequestLogConfig)
